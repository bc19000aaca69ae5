"""Kinds and shapes: every field of every kind is held to its shape, and the CDDL says the same."""

from __future__ import annotations

from typing import Any

import pycddl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec, kinds
from ledger.errors import RemoteError
from ledger.shapes import Field, check_fields, constant, integer, list_of, multiple_of, octets_upto, text
from tests.golden import samples

SAMPLES = samples()
FIELDS = [(kind, name) for kind, row in kinds.KINDS.items() for name in row.fields]
WRONG: list[Any] = [None, True, -1, 2**62, b"", b"x" * 33, "", "line\nbreak", [], [1], {}, {"a": 1}, "x" * 600]


def check(kind: str, payload: Any) -> str:
    """Return "" or the code and field with which a payload is refused."""
    entry = SAMPLES[kind]
    try:
        kinds.check(kind, entry.thing, payload, entry.epoch is not None)
    except RemoteError as error:
        return f"{error.code} {error.field}"
    return ""


def fits(kind: str, payload: Any) -> bool:
    """Say whether a payload fits the CDDL."""
    schema = pycddl.Schema(f"start = {kind.replace('.', '-')}\n{kinds.cddl()}")
    try:
        schema.validate_cbor(codec.encode(payload))
    except pycddl.ValidationError:
        return False
    return True


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_samples_pass_and_unknown_optional_fields_are_kept(kind: str) -> None:
    payload = dict(SAMPLES[kind].payload)
    assert check(kind, payload) == ""
    assert check(kind, {**payload, "tomorrow": [1]}) == ""
    assert check(kind, {**payload, 7: 1}).startswith("PAYLOAD_SHAPE")
    assert check(kind, [payload]) == "PAYLOAD_SHAPE payload"


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_missing_field_is_named_unless_it_is_optional(kind: str, name: str) -> None:
    payload = {key: value for key, value in SAMPLES[kind].payload.items() if key != name}
    optional = kinds.KINDS[kind].fields[name].optional
    assert check(kind, payload) == ("" if optional else f"PAYLOAD_MISSING {name}")
    assert fits(kind, payload) == optional


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_field_of_another_shape_is_named_and_the_cddl_takes_all_that_passes(kind: str, name: str) -> None:
    refused = 0
    for value in WRONG:
        payload = {**SAMPLES[kind].payload, name: value}
        code = check(kind, payload)
        assert code in {"", f"PAYLOAD_SHAPE {name}"}
        if code:
            refused += 1
        else:
            assert fits(kind, payload), (value, "passes the check and not the CDDL")
    assert refused >= len(WRONG) - 3


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_thing_and_epoch_are_those_of_the_kind(kind: str) -> None:
    entry, row = SAMPLES[kind], kinds.KINDS[kind]
    with pytest.raises(RemoteError, match="ENTRY_SUBJECT"):
        kinds.check(kind, ("another", entry.thing[1]), entry.payload, entry.epoch is not None)
    with pytest.raises(RemoteError, match="ENTRY_EPOCH"):
        kinds.check(kind, entry.thing, entry.payload, entry.epoch is None)
    if row.thing in kinds.THING_BYTES:
        with pytest.raises(RemoteError, match="ENTRY_SUBJECT"):
            kinds.check(kind, (row.thing, entry.thing[1] + b"x"), entry.payload, entry.epoch is not None)


def test_an_unknown_kind_passes_with_any_text_keys() -> None:
    kinds.check("unknown", ("anything", b"x"), {"a": 1}, False)
    for payload in ([1], {1: 2}):
        with pytest.raises(RemoteError, match="PAYLOAD_SHAPE"):
            kinds.check("unknown", ("anything", b"x"), payload, False)


def test_only_kinds_of_the_table_are_restrictive() -> None:
    assert {kind for kind in kinds.KINDS if kinds.is_restrictive(kind)} == {
        "device.retire",
        "member.leave",
        "link.refuse",
        "link.sever",
        "tenant.unhost",
        "fork.proof",
        "seal.evidence",
        "consent.refuse",
        "consent.withdraw",
        "consent.revoke",
        "consent.amend",
        "delegation.revoke",
        "group.refuse",
        "fact.revoke",
    }
    assert not kinds.is_restrictive("unknown")


def test_text_takes_french_and_refuses_controls_alike_on_every_python() -> None:
    shape = text(12)
    for good in ("a", "« où »", "a\u00a0b", "\u202f!", "e" * 12, "é" * 6, "\u0378", "🏠"):
        assert shape.ok(good), good
    bad: list[Any] = ["", "a\nb", "\x7f", "\x85", "\u200b", "\u202e", "\u2066", "\ufeff", "\ud800", "é" * 7, b"a", None]
    for value in bad:
        assert not shape.ok(value), value


@given(st.integers(-10, 200), st.integers(0, 50), st.integers(0, 50))
def test_bounds_are_inclusive(value: int, low: int, more: int) -> None:
    assert integer(low, low + more).ok(value) == (low <= value <= low + more)
    assert multiple_of(7, 100).ok(value) == (0 <= value <= 100 and value % 7 == 0)
    assert list_of(integer(0, 1), low, low + more).ok([1] * max(value, 0)) == (low <= max(value, 0) <= low + more)
    assert octets_upto(low + 1).ok(bytes(max(value, 0))) == (1 <= max(value, 0) <= low + 1)


def test_booleans_are_no_numbers_and_constants_are_exact() -> None:
    assert not integer(0, 1).ok(True)
    assert not constant(value=True, cddl="true").ok(1)
    with pytest.raises(RemoteError, match="PAYLOAD_SHAPE"):
        check_fields({"a": Field(integer(0, 1))}, {"a": False})


@pytest.mark.covers("R30", "system:Green Button")
def test_nobody_is_hosted_who_does_not_take_part_in_the_green_button() -> None:
    payload = dict(SAMPLES["tenant.host"].payload)
    assert check("tenant.host", {**payload, "terms": {"green_button": True}}) == ""
    for terms in ({}, {"green_button": False}, {"tariff": "none"}):
        assert check("tenant.host", {**payload, "terms": terms}) != ""
        assert not fits("tenant.host", {**payload, "terms": terms})
