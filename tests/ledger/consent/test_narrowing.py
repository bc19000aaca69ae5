"""Terms that were narrowed: never wider than either, whatever an amendment says; never out of shape."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.grant import wider_fields
from ledger.consent.narrowing import is_left, together
from ledger.consent.record import Actor, DataKind, OnwardSharing, Stages, Terms
from ledger.schema import DAY
from tests.ledger.consent.cases import NOW, PAST, POINT, POINT_TOO, TERMS

FRIENDS = (Actor("City of Lyon", "recipient"), Actor("Cime", "recipient"))
SHARED = replace(TERMS, recipients=FRIENDS, onward_sharing=OnwardSharing("listed", 0, FRIENDS))
HOSTING, BACKUP = TERMS.processors
WINDOW = (PAST + 5 * DAY, PAST + 35 * DAY)
FIELDS: dict[str, tuple[Any, ...]] = {
    "points": ((POINT,), (POINT_TOO,), (POINT_TOO, POINT), ("prm:99999999999999",)),
    "granularity": ("PT30M", "P1D", "P1M", "P30D"),
    "data_period": ((WINDOW,), ((PAST - DAY, PAST),), ((PAST, PAST + DAY), WINDOW)),
    "access_period": ((NOW, None), (NOW, NOW + DAY), (NOW + 99 * DAY, None), (0, NOW - 20 * DAY)),
    "processors": ((), (HOSTING,), (replace(HOSTING, name="Another"), BACKUP)),
    "onward_sharing": (OnwardSharing("listed", 0, FRIENDS[:1]), OnwardSharing("depth", 2), OnwardSharing("depth", 1)),
    "retention": ("P30D", "P1M", "P9Y"),
    "stages": (Stages(False, False, True), Stages(True, True, False)),
    "computation": (None, b"c" * 32),
    "pii_type": (TERMS.pii_type, DataKind("electricity", "production", "load_curve")),
}


@st.composite
def drawn_terms(draw: st.DrawFn) -> Terms:
    """Return terms that differ from the shared ones in some fields."""
    names = draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=4))
    return replace(SHARED, **{name: draw(st.sampled_from(FIELDS[name])) for name in sorted(names)})


@given(drawn_terms(), st.lists(drawn_terms(), min_size=1, max_size=4))
def test_what_is_left_lies_within_the_terms_and_is_in_shape(terms: Terms, amendments: list[Terms]) -> None:
    left = reduce(together, amendments, terms)  # in shape, or it raises
    assert set(wider_fields(left, terms)) <= {"recipients"}, "fewer recipients, where nothing may be shared any more"
    if not is_left(terms, amendments[0]):
        assert not together(terms, amendments[0]).stages.transmit


@given(drawn_terms())
def test_the_same_terms_change_nothing(terms: Terms) -> None:
    assert together(terms, terms) == terms
    assert is_left(terms, terms)


def test_each_field_is_what_both_allow() -> None:
    narrow = {
        name: values[0] for name, values in FIELDS.items() if name not in ("computation", "pii_type", "processors")
    }
    other = replace(SHARED, processors=(HOSTING,), **{**narrow, "granularity": "P1D"})
    both = together(SHARED, other)
    assert (both.points, both.granularity, both.processors, both.retention) == ((POINT,), "P1D", (HOSTING,), "P30D")
    assert both.data_period == (
        (WINDOW[0], PAST + 10 * DAY),
        (PAST + 10 * DAY, PAST + 20 * DAY),
        (PAST + 30 * DAY, WINDOW[1]),
    )
    assert both.access_period == (NOW, SHARED.access_period[1])
    assert both.stages == Stages(False, False, True)
