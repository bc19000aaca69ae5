"""The status of a consent over its whole life: rules C3 and C5 to C8, whatever the order, whoever forges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.checkpoint import Head
from ledger.consent.kinds import EVIDENCE_STATES
from ledger.consent.status import AMENDED_MAX, VIA_MARK, Checked, Fact, Place, State, Status, handing, resolve
from ledger.entry import Entry
from ledger.governance.members import Party
from ledger.keys import thumbprint
from ledger.schema import DAY
from ledger.tables import FactRow
from tests.worlds import World, octets

WORLD = World("whole life")
HOLDER, RECIPIENT = (member.party for member in WORLD.members)
HOLDERS, RECIPIENTS, STRANGERS = octets("holder device"), octets("recipient device"), octets("stranger")
HEAD = Head(octets("feed"), 0, octets("root"))
TRUSTEES = [octets("trustee", number) for number in range(3)]
KIDS = [thumbprint(key) for key in TRUSTEES]
EVIDENCE = octets("evidence")
ALONE = WORLD.grant(HOLDER, RECIPIENT, [HEAD], evidence=[EVIDENCE])
ALL = WORLD.grant(HOLDER, RECIPIENT, [HEAD], required_parties=TRUSTEES).grant
TWO = WORLD.grant(HOLDER, RECIPIENT, [HEAD], required_parties=TRUSTEES, required_quorum=2).grant
GRANT = ALONE.grant
IN, OUT = (octets("feed"), 1), (octets("feed"), 100)
NEXT, NEXT_SLIP, LAST, LAST_SLIP, HOST = (octets("kid", name) for name in ("next", "slip", "last", "last slip", "host"))
RIVAL_SLIP = octets("kid", "rival slip")


def party_of(kid: bytes) -> Party:
    return {HOLDERS: HOLDER, RECIPIENTS: RECIPIENT, STRANGERS: (b"x" * 32, 1)}.get(kid, (kid, 0))


def fact(kind: str, kid: bytes, *places: Place, about: bytes = b"", number: int = 0) -> Fact:
    return Fact(FactRow(kind, octets(kind, kid, about, number), kid, about), places or (IN,))


def granted(grant: Entry = GRANT) -> Fact:
    return Fact(FactRow("consent.grant", grant.id, grant.kid), (IN,))


def status(*facts: Fact, grant: Entry = GRANT) -> Status:
    def counts(_: Entry, places: Sequence[Place]) -> bool:
        return any(index < 50 for _, index in places)

    found = resolve(grant, (granted(grant), *facts), lambda _: 50, party_of, counts)
    assert found is not None
    return found


def rekey(kid: bytes, key: bytes, slip: bytes, *places: Place, iat: int = 0, host: bytes = b"") -> Fact:
    about = iat.to_bytes(8, "big") + key + slip + (host + (1).to_bytes(4, "big") if host else b"")
    return fact("consent.rekey", kid, *places, about=about)


def sign(kid: bytes, *places: Place) -> Fact:
    return fact("consent.sign", kid, *places)


def leave(kid: bytes, *places: Place) -> Fact:
    return fact("consent.revoke", kid, *places)


def test_c5_all_who_are_required_must_sign_and_any_leaves_alone() -> None:
    assert status(grant=ALL).state is State.INCOMPLETE
    assert status(*map(sign, KIDS[:2]), grant=ALL).state is State.INCOMPLETE
    assert status(*map(sign, KIDS[:2]), sign(KIDS[2], OUT), grant=ALL).state is State.INCOMPLETE
    assert status(*map(sign, KIDS[:2]), sign(STRANGERS), grant=ALL).state is State.INCOMPLETE
    signed = status(*map(sign, KIDS), grant=ALL)
    assert (signed.state, signed.signed) == (State.GRANTED, tuple(sorted(KIDS)))
    assert status(*map(sign, KIDS), leave(KIDS[0], OUT), grant=ALL).state is State.REVOKED
    assert status(*map(sign, KIDS), leave(STRANGERS), grant=ALL).state is State.GRANTED


def test_c5_a_quorum_suffices_and_ends_when_none_is_left() -> None:
    assert status(sign(KIDS[0]), grant=TWO).state is State.INCOMPLETE
    assert status(*map(sign, KIDS[:2]), grant=TWO).state is State.GRANTED
    assert status(*map(sign, KIDS[:2]), leave(KIDS[0]), grant=TWO).state is State.INCOMPLETE
    assert status(*map(sign, KIDS), leave(KIDS[0]), grant=TWO).state is State.GRANTED
    assert status(*map(sign, KIDS), *map(leave, KIDS[:2]), grant=TWO).state is State.REVOKED


def test_c6_an_amendment_narrows_wherever_it_is_and_only_by_a_key_of_the_consent() -> None:
    earlier = GRANT.payload["valid_until"] - DAY
    narrowing = fact("consent.amend", GRANT.kid, OUT, about=earlier.to_bytes(8, "big"))
    found = status(narrowing, fact("consent.amend", STRANGERS, about=bytes(8)), fact("consent.amend", HOLDERS))
    assert (found.state, found.amended, found.valid_until) == (State.GRANTED, (narrowing.row.entry_id,), earlier)
    later = fact("consent.amend", GRANT.kid, about=(earlier + 9 * DAY).to_bytes(8, "big"))
    assert status(later).valid_until == GRANT.payload["valid_until"]
    many = [fact("consent.amend", GRANT.kid, number=number) for number in range(AMENDED_MAX + 1)]
    assert status(*many[:-1]).state is State.GRANTED
    assert status(*many).state is State.INCOMPLETE


def test_c7_keys_are_handed_on_and_the_old_ones_only_take_away() -> None:
    first = rekey(GRANT.kid, NEXT, NEXT_SLIP, iat=5, host=HOST)
    second = rekey(NEXT, LAST, LAST_SLIP, iat=9)
    found = status(second, first)
    assert (found.key, found.host) == (LAST, (HOST, 1))
    assert status(rekey(GRANT.kid, NEXT, NEXT_SLIP, OUT)).key is None
    assert status(second).key is None
    assert status(rekey(STRANGERS, NEXT, NEXT_SLIP)).key is None
    assert status(first, rekey(NEXT, GRANT.kid, LAST_SLIP, iat=9)).key is None  # and no endless turn
    for kid in (GRANT.kid, NEXT, LAST):
        assert status(first, second, fact("consent.amend", kid)).amended
        assert status(first, second, fact("consent.withdraw", kid)).state is State.WITHDRAWN
    assert status(first, second, fact("consent.withdraw", LAST_SLIP)).state is State.WITHDRAWN
    assert not status(first, second, fact("consent.amend", LAST_SLIP)).amended
    assert status(fact("consent.withdraw", NEXT, about=VIA_MARK)).state is State.WITHDRAWN  # judged by what it carries
    assert status(fact("consent.withdraw", NEXT)).state is State.GRANTED


@pytest.mark.parametrize("iat", [0, 5, 99])
@pytest.mark.parametrize("place", [IN, OUT])
def test_c7_who_hands_it_on_twice_hands_it_to_nobody(iat: int, place: Place) -> None:
    first = rekey(GRANT.kid, NEXT, NEXT_SLIP, iat=5, host=HOST)
    second = rekey(NEXT, LAST, LAST_SLIP, iat=9)
    rival = rekey(GRANT.kid, STRANGERS, RIVAL_SLIP, place, iat=iat)
    found = status(second, rival, first)
    assert (found.state, found.key, found.host, found.contested) == (State.GRANTED, None, None, GRANT.kid)
    assert found.committed() != status().committed()
    assert handing(GRANT.kid, (second, rival, first), lambda _: 50).keys == ()  # nobody that it names passes it on
    for kid in (GRANT.kid, NEXT, LAST, NEXT_SLIP, LAST_SLIP, STRANGERS, RIVAL_SLIP):
        assert status(second, rival, first, fact("consent.withdraw", kid)).state is State.WITHDRAWN
    for kid in (GRANT.kid, NEXT, LAST, STRANGERS):
        assert status(second, rival, first, fact("consent.amend", kid)).amended
    later = rekey(NEXT, STRANGERS, RIVAL_SLIP, place, iat=iat)  # by the second key: the host that it got stays
    found = status(second, later, first)
    assert (found.key, found.host, found.contested) == (None, (HOST, 1), NEXT)
    assert handing(GRANT.kid, (second, later, first), lambda _: 50).keys == (NEXT,)


def test_c7_the_same_word_again_contests_nothing_and_another_host_or_slip_does() -> None:
    first = rekey(GRANT.kid, NEXT, NEXT_SLIP, iat=5, host=HOST)
    assert status(first, rekey(GRANT.kid, NEXT, NEXT_SLIP, OUT, iat=1, host=HOST)) == status(first)
    for other in (
        rekey(GRANT.kid, NEXT, RIVAL_SLIP, host=HOST),
        rekey(GRANT.kid, NEXT, NEXT_SLIP, host=RIVAL_SLIP),
        rekey(GRANT.kid, NEXT, NEXT_SLIP),
    ):
        assert status(first, other).contested == GRANT.kid
    assert (
        status(first, rekey(LAST, STRANGERS, RIVAL_SLIP), rekey(LAST, NEXT, NEXT_SLIP)).contested is None
    )  # not on it


def test_c7_what_was_handed_back_stays_where_it_is() -> None:
    there, back = rekey(GRANT.kid, NEXT, NEXT_SLIP), rekey(NEXT, GRANT.kid, LAST_SLIP, host=HOST)
    assert (status(there, back).key, status(there, back).host) == (None, (HOST, 1))
    assert status(there, back).contested is None
    for kid in (GRANT.kid, NEXT):
        found = status(there, back, rekey(kid, STRANGERS, RIVAL_SLIP))
        assert (found.key, found.contested) == (None, kid)


def checked(kid: bytes, state: str, iat: int, *places: Place, evidence: bytes = EVIDENCE) -> Fact:
    about = iat.to_bytes(8, "big") + evidence + bytes((EVIDENCE_STATES.index(state),))
    return fact("consent.evidence", kid, *places, about=about)


def test_c8_the_newest_word_of_each_party_on_evidence_that_the_grant_names() -> None:
    found = status(
        checked(HOLDERS, "checked_ko", 9),
        checked(HOLDERS, "checked_ok", 8),
        checked(HOLDERS, "pending", 10, OUT),
        checked(STRANGERS, "checked_ok", 11),
        checked(RECIPIENTS, "checked_ok", 3),
        checked(RECIPIENTS, "checked_ko", 4, evidence=octets("another")),
    )
    assert set(found.checked) == {
        Checked(EVIDENCE, HOLDER, "checked_ko"),
        Checked(EVIDENCE, RECIPIENT, "checked_ok"),
    }


def test_the_committed_value_grows_only_by_what_is_there() -> None:
    plain: Any = codec.decode(status().committed())
    assert len(plain) == 5
    first = rekey(GRANT.kid, NEXT, NEXT_SLIP, iat=5, host=HOST)
    amendment = fact("consent.amend", GRANT.kid)
    full: Any = codec.decode(status(first, amendment, checked(HOLDERS, "checked_ok", 1)).committed())
    assert full[:5] == plain
    assert full[5] == {
        "amended": [amendment.row.entry_id],
        "key": NEXT,
        "host": [HOST, 1],
        "checked": [[EVIDENCE, *HOLDER, EVIDENCE_STATES.index("checked_ok")]],
    }


FACTS = [
    *(sign(kid, place) for kid in (*KIDS, STRANGERS) for place in (IN, OUT)),
    *map(leave, (*KIDS, HOLDERS, STRANGERS)),
    *(
        fact("consent.amend", kid, OUT, about=about)
        for kid in (NEXT, STRANGERS)
        for about in (b"", DAY.to_bytes(8, "big"))
    ),
    *(fact("consent.amend", grant.kid) for grant in (GRANT, ALL, TWO)),
    *(rekey(grant.kid, NEXT, NEXT_SLIP, place) for grant in (GRANT, ALL, TWO) for place in (IN, OUT)),
    rekey(NEXT, LAST, LAST_SLIP),
    rekey(STRANGERS, LAST, LAST_SLIP),
    rekey(NEXT, HOST, RIVAL_SLIP, OUT, iat=7),
    rekey(GRANT.kid, LAST, RIVAL_SLIP, iat=1),
    *(fact("consent.withdraw", kid, about=about) for kid in (LAST, STRANGERS) for about in (b"", VIA_MARK)),
    checked(HOLDERS, "checked_ok", 1),
    checked(STRANGERS, "checked_ok", 1),
]
KEYS = [GRANT.kid, *(octets("kid", "of the line", number) for number in range(3))]
THIEVES = octets("kid", "thief")


def handed_on(back: bool, placed: Sequence[Place], twice: bool) -> list[Fact]:
    """Return what those say who hand it on one after another, each once, and the last `back` to the first."""
    to = [*KEYS[1:], *([KEYS[0]] if back else [])]
    line = [
        rekey(by, key, octets("slip of", key), place, iat=9) for by, key, place in zip(KEYS, to, placed, strict=False)
    ]
    again = [rekey(by, key, octets("slip of", key), iat=3) for by, key in zip(KEYS, to, strict=False)]
    return [*line, *(again if twice else [])]


rekeys_of_thieves = st.lists(
    st.builds(
        lambda by, to, place, iat, host: rekey(by, to, RIVAL_SLIP, place, iat=iat, host=host),
        st.sampled_from([*KEYS, THIEVES]),
        st.sampled_from([*KEYS, THIEVES]),
        st.sampled_from([IN, OUT]),
        st.integers(0, 20),
        st.sampled_from([b"", HOST]),
    ),
    max_size=6,
)


@given(
    st.booleans(), st.lists(st.sampled_from([IN, OUT]), min_size=4, max_size=4), st.booleans(), rekeys_of_thieves,
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_c7_an_old_key_takes_nothing_back_whatever_it_says_and_when(
    back: bool, placed: list[Place], twice: bool, stolen: list[Fact], shuffle: Any
) -> None:
    """Thieves have every key that was handed on; the one that was not may be anybody's."""
    line = handed_on(back, placed, twice)
    gave = {one.row.kid for one in line}
    theirs = [one for one in stolen if one.row.kid in gave or one.row.kid == THIEVES]
    mixed = [*line, *theirs]
    shuffle.shuffle(mixed)
    before, after = status(*line), status(*mixed)
    assert (before.contested, after.state) == (None, State.GRANTED)
    assert after.key in (None, before.key)
    assert after.contested is not None or (after.key, after.host) == (before.key, before.host)
    assert (after.contested is None) is not any(one.row.kid in on_the_way(before, line) for one in theirs)
    assert THIEVES not in handing(GRANT.kid, mixed, lambda _: 50).keys
    for kid in KEYS:  # whoever had it by either way ends it
        assert status(*mixed, fact("consent.withdraw", kid)).state is State.WITHDRAWN
    for one in theirs:
        if one.row.kid in gave:
            assert status(*mixed, fact("consent.withdraw", one.row.about[8:40])).state is State.WITHDRAWN
            assert status(*mixed, fact("consent.amend", one.row.about[8:40])).amended


def on_the_way(found: Status, line: Sequence[Fact]) -> set[bytes]:
    """Return the keys whose second word would be looked at: those that led to the key in force, and it."""
    way = handing(GRANT.kid, line, lambda _: 50)
    assert (found.key or GRANT.kid) == way.last
    return {GRANT.kid, *way.keys} & {one.row.kid for one in line}


@given(rekeys_of_thieves, rekeys_of_thieves, st.integers(0, 200))
def test_c7_a_contest_never_ends_and_no_date_matters(first: list[Fact], more: list[Fact], reach: int) -> None:
    before = handing(GRANT.kid, first, lambda _: reach)
    after = handing(GRANT.kid, [*first, *more], lambda _: reach)
    assert before.contested is None or after.contested is not None
    dated = [replace(one, row=replace(one.row, about=bytes(8) + one.row.about[8:])) for one in first]
    undated = handing(GRANT.kid, dated, lambda _: reach)
    assert (undated.keys, undated.host, undated.contested) == (before.keys, before.host, before.contested)


RESTRICTIVE = [each for each in FACTS if each.row.kind in {"consent.revoke", "consent.amend", "consent.withdraw"}]
_ORDER = {State.GRANTED: 3, State.INCOMPLETE: 2, State.REVOKED: 1, State.WITHDRAWN: 0}
drawn = st.lists(st.sampled_from(FACTS), unique_by=lambda each: (each.row.entry_id, each.places))
grants = st.sampled_from([GRANT, ALL, TWO])


@given(drawn, grants, st.randoms(use_true_random=False))
def test_order_does_not_matter(facts: list[Fact], grant: Entry, shuffle: Any) -> None:
    mixed = list(facts)
    shuffle.shuffle(mixed)
    assert status(*facts, grant=grant) == status(*mixed, grant=grant)


@given(drawn, grants, st.sampled_from(RESTRICTIVE))
def test_what_restricts_never_permits_more_however_late(facts: list[Fact], grant: Entry, more: Fact) -> None:
    before, after = status(*facts, grant=grant), status(*facts, more, grant=grant)
    assert _ORDER[after.state] <= _ORDER[before.state]
    assert set(before.amended) <= set(after.amended)
    assert after.valid_until <= before.valid_until


@given(drawn, grants)
def test_who_is_nobody_to_a_consent_changes_nothing(facts: list[Fact], grant: Entry) -> None:
    known = [each for each in facts if each.row.kid != STRANGERS or each.row.about == VIA_MARK]
    assert status(*facts, grant=grant) == status(*known, grant=grant)
