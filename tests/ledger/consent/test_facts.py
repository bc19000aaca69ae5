"""Facts: shown by the person alone, to one audience, once; every forgery, replay and alteration is refused."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.consent.facts import AGE_MAX, FIELDS, SHOWING_MAX, Fact, Showing, check, hide, payload, show
from ledger.entry import Entry
from ledger.errors import LocalError, MailleError, RemoteError
from ledger.schema import DAY
from tests.worlds import NOW, World, key

COUNTER = "Counter of the town hall"
NONCE = bytes(range(16))
HERS = key("anna's fact")
FACT = Fact("lives in Lyon", True, "Anna", "a bill of this year")
WORLD = World("facts")
ISSUER = WORLD.members[0].scribe.device
SLOTS, OPENED = hide(FACT, random.Random(3).randbytes)


def attested(kind: str = "fact.attest", **changes: Any) -> Entry:
    """Return a fact that the first member attests."""
    said = {**payload(HERS.kid, NOW + 30 * DAY, SLOTS), **changes}
    heads = tuple(member.scribe.head() for member in WORLD.members)
    return WORLD.sign(ISSUER, kind, ("fact", bytes(16)), said, seen=heads, iat=NOW)


ENTRY = attested()
SHOWN = show(ENTRY, OPENED, (), HERS, COUNTER, NONCE, NOW)


def code(showing: Showing, **changes: Any) -> str:
    """Return the code with which a check refuses, or ""."""
    asked = {"issuers": [ISSUER.public], "audience": COUNTER, "nonce": NONCE, "now": NOW, **changes}
    try:
        check(showing, **asked)
    except RemoteError as error:
        return error.code
    return ""


@pytest.mark.covers("R83")
def test_a_fact_shows_what_she_opens_and_no_more() -> None:
    read = Showing.read(SHOWN.encode())
    assert read == SHOWN
    found = check(read, [ISSUER.public], COUNTER, NONCE, NOW)
    assert found.fields == {"statement": "lives in Lyon", "value": True}
    assert (found.issuer, found.valid_until) == (ISSUER.public, (NOW + 30 * DAY) // DAY * DAY)
    assert b"Anna" not in SHOWN.encode()
    more = check(show(ENTRY, OPENED, ("basis",), HERS, COUNTER, NONCE, NOW), [ISSUER.public], COUNTER, NONCE, NOW)
    assert more.fields["basis"] == "a bill of this year"
    assert "Lyon" not in repr(FACT)
    assert b"Lyon" not in ENTRY.raw


def test_each_fault_has_its_code() -> None:
    assert code(SHOWN) == ""
    assert code(SHOWN, issuers=[WORLD.members[1].scribe.device.public]) == "FACT_ISSUER"
    assert code(SHOWN, audience="the baker") == "FACT_OTHER_AUDIENCE"
    assert code(SHOWN, nonce=bytes(16)) == "FACT_OTHER_AUDIENCE"
    assert code(SHOWN, now=NOW + AGE_MAX + 1) == "FACT_TIME"
    assert code(SHOWN, now=NOW - AGE_MAX - 1) == "FACT_TIME"
    end = ENTRY.payload["valid_until"]
    assert code(show(ENTRY, OPENED, (), HERS, COUNTER, NONCE, end), now=end) == "FACT_EXPIRED"
    assert code(show(ENTRY, OPENED, (), HERS, COUNTER, NONCE, end - 1), now=end - 1) == ""


@pytest.mark.covers("R84")
def test_a_copy_is_worth_nothing_to_anyone_else() -> None:
    thief = key("thief")
    theirs = replace(SHOWN, public=thief.public, signature=thief.sign(SHOWN.message()))
    assert code(theirs) == "FACT_NOT_HERS"
    for altered in (replace(SHOWN, at=NOW + 1), replace(SHOWN, audience="the baker"), replace(SHOWN, nonce=bytes(16))):
        assert code(altered, audience=altered.audience, nonce=altered.nonce) == "FACT_NOT_HERS"
    with pytest.raises(LocalError) as refused:
        show(ENTRY, OPENED, (), thief, COUNTER, NONCE, NOW)
    assert refused.value.code == "NOT_YOUR_FACT"


def signed(rows: tuple[tuple[str, bytes, Any], ...], entry: Entry = ENTRY) -> Showing:
    """Return a showing of any rows, soundly signed by her: she is the adversary."""
    bare = Showing(entry.raw, rows, COUNTER, NONCE, NOW, HERS.public, b"")
    return replace(bare, signature=HERS.sign(bare.message()))


def test_she_cannot_alter_what_was_attested() -> None:
    (name, salt, _), value = SHOWN.opened
    for rows in (
        ((name, salt, "lives in Paris"), value),
        ((name, bytes(16), "lives in Lyon"), value),
        ((name, salt, "lives in Lyon"), ("value", value[1], 1)),
        ((name, salt, "lives in Lyon"), ("value", value[1], False)),
        (("about", salt, "lives in Lyon"), value),
        (*SHOWN.opened, SHOWN.opened[0]),
    ):
        assert code(signed(rows)) == "DISCLOSURE_MISMATCH"
    assert code(signed(SHOWN.opened[:1])) == "FACT_MALFORMED"
    assert code(signed(())) == "FACT_MALFORMED"


def test_another_entry_or_subject_is_refused() -> None:
    assert code(signed(SHOWN.opened, attested(subject=bytes(32)))) == "FACT_NOT_HERS"
    other = WORLD.sign(ISSUER, "fact.revoke", ("fact", bytes(16)), {"fact": ENTRY.id}, seen=ENTRY.seen, iat=NOW)
    assert code(signed(SHOWN.opened, other)) == "FACT_MALFORMED"


def test_what_is_no_fact_is_not_attested() -> None:
    for fact in (Fact(" ", True), Fact("x" * 501, True), Fact("x", "y" * 501)):
        with pytest.raises(LocalError) as refused:
            hide(fact, random.Random(1).randbytes)
        assert refused.value.code == "BAD_FACT"
    for names, audience, nonce in ((("height",), COUNTER, NONCE), ((), "", NONCE), ((), COUNTER, b"short")):
        with pytest.raises(LocalError) as refused:
            show(ENTRY, OPENED, names, HERS, audience, nonce, NOW)
        assert refused.value.code == "BAD_FACT"
    assert set(OPENED) == set(FIELDS)


@given(st.binary(max_size=200) | st.recursive(st.integers(0, 2) | st.binary(max_size=9), st.lists).map(codec.encode))
def test_any_bytes_are_refused_without_a_traceback(data: bytes) -> None:
    with pytest.raises(RemoteError):
        Showing.read(data)
    with pytest.raises(RemoteError):
        Showing.read(bytes(SHOWING_MAX + 1))


@given(st.integers(0, len(SHOWN.encode()) * 8 - 1))
def test_no_bit_can_be_flipped(place: int) -> None:
    data = bytearray(SHOWN.encode())
    data[place // 8] ^= 1 << place % 8
    try:
        found = code(Showing.read(bytes(data)))
    except MailleError as error:
        found = error.code
    assert found != ""
