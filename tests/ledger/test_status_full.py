"""The status of a consent over its whole life: rules C3 and C5 to C8, whatever the order, whoever forges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.checkpoint import Head
from ledger.consent.kinds import EVIDENCE_STATES
from ledger.consent.status import AMENDED_MAX, VIA_MARK, Checked, Fact, Place, State, Status, resolve
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
    rival = rekey(GRANT.kid, STRANGERS, STRANGERS, iat=6)
    found = status(second, rival, first)
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
    *(fact("consent.withdraw", kid, about=about) for kid in (LAST, STRANGERS) for about in (b"", VIA_MARK)),
    checked(HOLDERS, "checked_ok", 1),
    checked(STRANGERS, "checked_ok", 1),
]
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
