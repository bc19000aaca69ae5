"""The status of a consent: rules C1 to C5, whatever the order of the facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.checkpoint import Head
from ledger.consent.standing import carried_grant
from ledger.consent.status import DECIDED_MAX, Fact, Place, State, Status, resolve
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.governance.members import Party
from ledger.keys import thumbprint
from ledger.tables import FactRow
from tests.worlds import World, key, octets

WORLD = World("status")
HOLDER, RECIPIENT = (member.party for member in WORLD.members)
DEVICE = {octets("holder device"): HOLDER, octets("recipient device"): RECIPIENT, octets("stranger"): (b"x", 1)}
HOLDERS, RECIPIENTS, STRANGERS = DEVICE
TENANT = octets("tenant")
HEAD = Head(octets("feed"), 0, octets("root"))
CONSENT = WORLD.grant(HOLDER, RECIPIENT, [HEAD])
GRANT = CONSENT.grant
WITHDRAW_KID = thumbprint(CONSENT.withdraw.public)
IN, OUT = (octets("feed"), 1), (octets("feed"), 100)


def party_of(kid: bytes) -> Party:
    """Return whom a key speaks for."""
    return DEVICE.get(kid, (kid, 0))


def fact(kind: str, kid: bytes, *places: Place, about: bytes = b"", number: int = 0) -> Fact:
    """Return a fact."""
    ident = GRANT.id if kind == "consent.grant" else octets(kind, kid, number)
    return Fact(FactRow(kind, ident, kid, about), places or (IN,))


def granted(*places: Place) -> Fact:
    """Return the grant's own fact."""
    return fact("consent.grant", GRANT.kid, *places)


def status(*facts: Fact, grant: Entry = GRANT, held: bool = True, reach: int = 50) -> Status | None:
    """Resolve facts; every feed counts below 50."""

    def counts(_: Entry, places: Sequence[Place]) -> bool:
        return held and any(index < reach for _, index in places)

    return resolve(grant, facts, lambda _: reach, party_of, counts)


def state(*facts: Fact, **options: Any) -> State | None:
    """Resolve facts to a state."""
    found = status(*facts, **options)
    return found.state if found is not None else None


def test_c1_a_grant_counts_registered_within_reach_and_with_its_seen_held() -> None:
    assert state() is None
    assert state(granted()) is State.GRANTED
    assert state(granted(OUT)) is None
    assert state(granted(OUT, IN)) is State.GRANTED
    assert state(granted(), held=False) is None


@pytest.mark.parametrize("place", [IN, OUT], ids=["within", "beyond"])
@pytest.mark.parametrize("kid", [GRANT.kid, WITHDRAW_KID], ids=["own", "withdraw"])
def test_c2_a_withdrawal_by_either_key_counts_wherever_it_is(kid: bytes, place: Place) -> None:
    withdrawn = fact("consent.withdraw", kid, place)
    assert state(withdrawn) is State.WITHDRAWN
    assert state(granted(), withdrawn, fact("consent.revoke", HOLDERS)) is State.WITHDRAWN
    assert state(withdrawn, granted(OUT), held=False) is State.WITHDRAWN


def test_c2_nobody_else_withdraws() -> None:
    for kid in (HOLDERS, STRANGERS, TENANT, octets("kid")):
        assert state(granted(), fact("consent.withdraw", kid)) is State.GRANTED


@pytest.mark.parametrize("place", [IN, OUT], ids=["within", "beyond"])
def test_c3_a_revocation_counts_wherever_it_is_from_a_party_of_the_grant(place: Place) -> None:
    for kid in (HOLDERS, RECIPIENTS):
        assert state(granted(), fact("consent.revoke", kid, place)) is State.REVOKED
        assert state(fact("consent.revoke", kid, place)) is State.REVOKED
    for kid in (STRANGERS, TENANT):
        assert state(granted(), fact("consent.revoke", kid, place)) is State.GRANTED


def test_c4_an_acknowledgement_counts_in_the_devices_own_feed_within_reach() -> None:
    def acknowledged(kid: bytes, *places: Place, about: bytes = GRANT.id) -> tuple[Party, ...]:
        found = status(granted(), fact("consent.acknowledge", kid, *places, about=about))
        assert found is not None
        return found.acknowledged

    assert acknowledged(HOLDERS, (HOLDERS, 1)) == (HOLDER,)
    assert acknowledged(HOLDERS, (HOLDERS, 60)) == ()
    assert acknowledged(HOLDERS, (RECIPIENTS, 1)) == ()
    assert acknowledged(STRANGERS, (STRANGERS, 1)) == ()
    assert acknowledged(HOLDERS, (HOLDERS, 1), about=octets("another")) == ()


def test_c4_a_tenants_acknowledgement_stands_in_any_feed() -> None:
    consent = WORLD.grant((TENANT, 0), RECIPIENT, [HEAD])
    facts = (
        Fact(FactRow("consent.grant", consent.grant.id, consent.grant.kid), (IN,)),
        Fact(FactRow("consent.acknowledge", octets("ack"), TENANT, consent.grant.id), (IN,)),
    )
    found = status(*facts, grant=consent.grant)
    assert found is not None
    assert found.acknowledged == ((TENANT, 0),)


def test_c4_who_acknowledged_the_grant_has_not_acknowledged_its_withdrawal() -> None:
    withdrawn = fact("consent.withdraw", GRANT.kid)
    ack = fact("consent.acknowledge", HOLDERS, (HOLDERS, 1), about=GRANT.id)
    seen = fact("consent.acknowledge", RECIPIENTS, (RECIPIENTS, 1), about=withdrawn.row.entry_id)
    found = status(granted(), ack, withdrawn, seen)
    assert found is not None
    assert found.acknowledged == (RECIPIENT,)


def test_c5_a_grant_that_needs_others_is_incomplete_and_can_still_end() -> None:
    consent = WORLD.grant(HOLDER, RECIPIENT, [HEAD], required_parties=[octets("party")])
    registered = Fact(FactRow("consent.grant", consent.grant.id, consent.grant.kid), (IN,))
    assert state(registered, grant=consent.grant) is State.INCOMPLETE
    withdrawn = fact("consent.withdraw", consent.grant.kid)
    assert state(registered, withdrawn, grant=consent.grant) is State.WITHDRAWN
    assert state(registered, fact("consent.revoke", HOLDERS), grant=consent.grant) is State.REVOKED


def test_a_class_of_recipients_has_no_party_that_revokes() -> None:
    consent = WORLD.grant(HOLDER, ["researchers"], [HEAD])
    registered = Fact(FactRow("consent.grant", consent.grant.id, consent.grant.kid), (IN,))
    found = status(registered, fact("consent.revoke", RECIPIENTS), grant=consent.grant)
    assert found is not None
    assert (found.state, found.recipient) == (State.GRANTED, None)


def test_many_withdrawals_leave_a_small_value() -> None:
    many = [fact("consent.withdraw", GRANT.kid, number=i) for i in range(3 * DECIDED_MAX)]
    last = max(f.row.entry_id for f in many)
    found = status(*many, fact("consent.acknowledge", HOLDERS, (HOLDERS, 1), about=last))
    assert found is not None
    assert found.decided_by == tuple(sorted(f.row.entry_id for f in many))[:DECIDED_MAX]
    assert found.acknowledged == (HOLDER,)
    assert len(found.committed()) < 1_000


FACTS = [
    granted(),
    granted(OUT),
    fact("consent.withdraw", GRANT.kid),
    fact("consent.withdraw", WITHDRAW_KID, OUT),
    fact("consent.withdraw", STRANGERS),
    fact("consent.revoke", HOLDERS, OUT),
    fact("consent.revoke", STRANGERS),
    fact("consent.acknowledge", HOLDERS, (HOLDERS, 1), about=GRANT.id),
    fact("consent.acknowledge", RECIPIENTS, (RECIPIENTS, 90), about=GRANT.id),
    fact("consent.request", HOLDERS),
]


@given(st.lists(st.sampled_from(FACTS), unique=True), st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(facts: list[Fact], shuffle: Any) -> None:
    facts = [f for f in facts if f is not FACTS[1] or FACTS[0] not in facts]
    mixed = list(facts)
    shuffle.shuffle(mixed)
    assert status(*facts) == status(*mixed)


@given(st.lists(st.sampled_from(FACTS), unique=True), st.sampled_from(FACTS[2:]))
def test_no_fact_but_a_grant_makes_a_consent_more_permissive(facts: list[Fact], more: Fact) -> None:
    facts = [f for f in facts if f is not FACTS[1] or FACTS[0] not in facts]
    before, after = state(*facts), state(*facts, more) if more not in facts else state(*facts)
    assert after is before or after in {State.WITHDRAWN, State.REVOKED}
    assert before is not State.WITHDRAWN or after is State.WITHDRAWN


def test_the_committed_value_is_deterministic_cbor_with_fixed_numbers() -> None:
    assert [int(s) for s in (State.GRANTED, State.INCOMPLETE, State.WITHDRAWN, State.REVOKED)] == [1, 2, 3, 4]
    found = status(granted())
    assert found is not None
    assert codec.decode(found.committed()) == [1, GRANT.thing[1], GRANT.payload["valid_until"], [GRANT.id], []]


def test_a_carried_grant_is_verified_whole() -> None:
    assert carried_grant(WORLD.withdrawal(CONSENT, [HEAD])) == GRANT
    other = WORLD.grant(HOLDER, RECIPIENT, [HEAD])
    for carried in (GRANT.raw[:-1], GRANT.raw[:-1] + b"\x00", other.grant.raw, b""[:0] + b"\x01"):
        entry = WORLD.sign(CONSENT.withdraw, "consent.withdraw", GRANT.thing, {"grant": carried}, seen=[HEAD])
        with pytest.raises(RemoteError):
            carried_grant(entry)
    with pytest.raises(RemoteError, match="WITHDRAW_NOT_YOURS"):
        carried_grant(WORLD.withdrawal(CONSENT, [HEAD], by=key("stranger")))
