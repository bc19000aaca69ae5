"""Terms: what is taken, what is refused with its field, and that they read back as they were written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.consent.kinds import SLOT_COUNT
from ledger.consent.record import FIELDS, FREE_SLOTS, SLOTS, Actor, DataKind, OnwardSharing, Rights, Terms
from ledger.errors import LocalError, RemoteError
from ledger.schema import DAY
from tests.ledger.consent.cases import DAILY, NOW, POINT, RECIPIENT, TERMS, but

SOMEONE = Actor("Someone", "recipient")

NARROW = but(
    purpose_category="dpv:Research",
    freshness=(b"a" * 32, b"b" * 32),
    computation=b"c" * 32,
    access_period=(NOW, None),
    onward_sharing=OnwardSharing("listed", 0, (SOMEONE,), True, "contract 7"),
)


@pytest.mark.covers("R50")
@pytest.mark.parametrize("terms", [TERMS, NARROW])
def test_terms_read_back_as_written(terms: Terms) -> None:
    assert Terms.from_values(codec.decode(codec.encode(terms.values()))) == terms  # type: ignore[arg-type]


def test_the_slot_table_is_the_one_that_grants_were_made_with() -> None:
    """Slots are bytes decided for ever: a field that moves makes every grant unreadable."""
    assert list(SLOTS) == list(TERMS.values())
    assert [SLOTS[name] for name in ("purpose", "points", "pii_type", "granularity", "computation")] == [0, 3, 4, 5, 22]
    assert len(SLOTS) + FREE_SLOTS == SLOT_COUNT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("points", ("prm:1234567890123",)),
        ("points", ("prm:123456789012345",)),
        ("points", ("prm:1234567890123a",)),
        ("points", ("prm:١٢٣٤٥٦٧٨٩٠١٢٣٤",)),
        ("points", ("pce:12345678901234",)),  # another fluid
        ("points", (POINT, POINT)),
        ("points", ()),
        ("legal_basis", "because"),
        ("pii_type", DataKind("electricity", "consumption", "everything")),
        ("granularity", "30 minutes"),
        ("data_period", ((10, 10),)),
        ("data_period", ((10, 20), (19, 30))),
        ("data_period", ((10, 20), (0, 5))),
        ("data_period", ()),
        ("access_period", (20, 20)),
        ("access_period", (True, None)),
        ("controllers", ()),
        ("controllers", (Actor("X", "recipient"),)),
        ("processors", (Actor("X", "sub_processor"),)),
        ("processors", (Actor("City of Lyon", "processor"),)),  # a controller itself: no purpose of its own
        ("processors", (Actor("Under another name", "processor", "", RECIPIENT),)),
        ("recipients", (SOMEONE, SOMEONE)),
        ("onward_sharing", OnwardSharing("depth", 0)),
        ("onward_sharing", OnwardSharing("none", 1)),
        ("onward_sharing", OnwardSharing("listed")),
        ("retention", "for ever"),
        ("freshness", (b"short",)),
        ("freshness", (b"a" * 32, b"b" * 32, b"c" * 32)),
        ("principal_role", "neighbour"),
        ("computation", b"short"),
        ("purpose", "line\nbreak"),
        ("purpose", "\ud800"),
        ("purpose", "x" * 301),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(LocalError) as error:
        but(**{field: value})
    assert (error.value.code, error.value.field) == ("TERMS_INVALID", field)


@pytest.mark.covers("R74", "R110")
def test_a_load_curve_cannot_pass_for_daily_totals() -> None:
    with pytest.raises(LocalError) as error:
        but(pii_type=DAILY, granularity="PT30M")
    assert error.value.field == "granularity"
    assert but(pii_type=DAILY, granularity="P1M").granularity == "P1M"


def test_contract_data_have_no_granularity() -> None:
    kind = DataKind("electricity", "consumption", "contract")
    with pytest.raises(LocalError):
        but(pii_type=kind)
    assert but(pii_type=kind, granularity=None).granularity is None


@pytest.mark.covers("R50")
@pytest.mark.parametrize("field", list(FIELDS))
def test_every_field_is_required_when_read(field: str) -> None:
    values = TERMS.values()
    del values[field]
    with pytest.raises(RemoteError) as error:
        Terms.from_values(values)
    assert (error.value.code, error.value.field) == ("TERMS_INVALID", field)


@pytest.mark.parametrize("field", ["rights", "stages", "onward_sharing", "freshness"])
def test_an_unknown_inner_key_is_no_place_to_hide_in(field: str) -> None:
    values = NARROW.values()
    values[field] = {**values[field], "also": "anything"}
    with pytest.raises(RemoteError) as error:
        Terms.from_values(values)
    assert error.value.field == field


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40) | st.text(max_size=40),
    _nested,
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "unknown"]), VALUES, min_size=1, max_size=4))
def test_whatever_is_disclosed_is_terms_or_refused(changes: dict[str, Any]) -> None:
    values = {**TERMS.values(), **changes}
    fault: RemoteError | None = None
    try:
        assert Terms.from_values(values).values() == values
    except RemoteError as error:
        fault = error
    assert fault is None or (fault.code == "TERMS_INVALID" and fault.field in values)


def test_a_text_not_told_is_in_shape() -> None:
    """What a person was not told is not a fault of form: grant.missing_information lists it."""
    assert isinstance(
        but(purpose="", rights=Rights(), recipients=(), withdrawal_method="", pii_type=None, granularity=None), Terms
    )


def test_windows_are_in_seconds_of_dates_that_exist() -> None:
    with pytest.raises(LocalError) as error:
        but(data_period=((0, 10**12 * DAY),))
    assert error.value.field == "data_period"
