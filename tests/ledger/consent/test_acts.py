"""Acts on consents: what is signed lies within what was granted, and another key's withdrawal is judged anywhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.acts import (
    Shown,
    joins,
    make_amendment,
    make_delegation,
    make_group_refusal,
    make_rekey,
    make_revocation,
    make_signature,
    make_vote,
)
from ledger.consent.bounds import Bounds, beyond, wider_bounds
from ledger.consent.delegation import resolve
from ledger.consent.disclosure import check
from ledger.consent.standing import carried_delegation, carried_grant
from ledger.consent.status import Fact
from ledger.consent.wallet import Rests, make_grant, make_withdrawal
from ledger.entry import Entry, sign_entry
from ledger.errors import LocalError, RemoteError
from ledger.governance.epoch import Policy
from ledger.schema import DAY
from ledger.tables import FactRow
from tests.ledger.consent import cases
from tests.ledger.consent.cases import HEAD, MESH, NOW, POINT, POINT_TOO, TERMS, but, seeded, wallet

SHOWN = Shown(HEAD, 0, NOW, MESH, seeded(7))
PERSON, CARER, HELPER, STRANGER = wallet(1), wallet(2), wallet(3), wallet(4)
GRANT, _ = cases.grant()
UNTIL = NOW + 300 * DAY
LIMITS = Bounds(points=frozenset({POINT}), granularity="P1D", sharing_depth=1)


def withdraw(by: Any, grant: Entry, *via: Entry) -> Entry:
    return make_withdrawal(by, grant, via=via, head=HEAD, closure_iat=0, now=NOW, random_bytes=seeded(1))


def test_an_amendment_narrows_and_nothing_else() -> None:
    key = PERSON.consent_key(GRANT.thing[1])
    ends = GRANT.payload["valid_until"] - DAY
    narrower = but(points=(POINT,))
    entry, told = make_amendment(key, GRANT, TERMS, narrower, SHOWN, valid_until=ends)
    check(told, entry.payload["slots"])
    assert told.terms() == narrower
    assert entry.payload["valid_until"] == ends
    with pytest.raises(LocalError, match="AMENDMENT_WIDER") as refused:
        make_amendment(key, GRANT, narrower, TERMS, SHOWN, valid_until=ends + 2 * DAY)
    assert refused.value.field == "points, valid_until"


def test_only_a_required_party_signs() -> None:
    with pytest.raises(LocalError, match="NOT_REQUIRED"):
        make_signature(CARER.delegate_key(), GRANT, SHOWN)


def test_a_consent_that_was_handed_on_is_withdrawn_by_old_and_new_keys() -> None:
    ident = GRANT.thing[1]
    first = make_rekey(PERSON.consent_key(ident), GRANT, CARER, SHOWN)
    second = make_rekey(CARER.consent_key(ident), GRANT, HELPER, SHOWN)
    for by, via in ((PERSON, ()), (CARER, (first,)), (HELPER, (first, second)), (PERSON, (first,))):
        assert carried_grant(withdraw(by, GRANT, *via)) == GRANT
    forged = make_rekey(STRANGER.consent_key(ident), GRANT, STRANGER, SHOWN)
    for by, via in ((HELPER, (second,)), (HELPER, (second, first)), (STRANGER, ()), (STRANGER, (forged,))):
        with pytest.raises(LocalError, match="NOT_YOUR_CONSENT"):
            withdraw(by, GRANT, *via)


def test_no_withdrawal_carries_what_it_does_not_need() -> None:
    other, _ = cases.grant(seed=5)
    foreign = make_rekey(PERSON.consent_key(other.thing[1]), other, CARER, SHOWN)
    for via in ([foreign.raw], [other.raw], [b"\x01"], [foreign.raw[:-1] + b"\x00"]):
        key = PERSON.consent_key(GRANT.thing[1])
        payload = {"grant": GRANT.raw, "via": via}
        entry = sign_entry(
            key, "consent.withdraw", GRANT.thing, payload, iat=NOW, cti=bytes(16), seen=[HEAD], mesh_id=MESH
        )
        with pytest.raises(RemoteError):
            carried_grant(entry)


def delegated() -> tuple[Entry, Entry, Entry]:
    """Return a delegation, one below it, and a grant under that."""
    above, _ = make_delegation(PERSON, CARER.delegate_key().public, "carer", LIMITS, SHOWN, valid_until=UNTIL, depth=1)
    below, _ = make_delegation(
        CARER, HELPER.delegate_key().public, "delegate", LIMITS, SHOWN, valid_until=UNTIL, parent=(above, LIMITS)
    )
    grant, _ = make_grant(
        HELPER,
        but(points=(POINT,), granularity="P1D"),
        holder=cases.HOLDER,
        recipient=cases.RECIPIENT,
        valid_until=NOW + 200 * DAY,
        notice=cases.NOTICE,
        request=None,
        head=HEAD,
        closure_iat=0,
        now=NOW,
        mesh_id=MESH,
        policy=Policy(),
        random_bytes=seeded(9),
        rests=Rests(delegation=below.id),
    )
    return above, below, grant


def test_who_gave_a_delegation_withdraws_what_was_granted_under_it() -> None:
    above, below, grant = delegated()
    assert grant.signer == HELPER.delegate_key().public
    assert HELPER.with_grant(grant).consents[0].grant_id == grant.id
    for by, via in ((HELPER, ()), (CARER, (below,)), (PERSON, (below, above))):
        assert carried_grant(withdraw(by, grant, *via)) == grant
    for by, via in ((PERSON, (above,)), (STRANGER, (below, above)), (PERSON, (above, below))):
        with pytest.raises(LocalError, match="NOT_YOUR_CONSENT"):
            withdraw(by, grant, *via)


def test_a_delegation_is_ended_from_above_or_by_the_delegate() -> None:
    above, below, _ = delegated()
    ended = (
        (PERSON.consent_key(above.thing[1]), [below, above]),
        (CARER.delegate_key(), [below]),
        (HELPER.delegate_key(), [below]),
        (CARER.delegate_key(), [above]),
        (PERSON.consent_key(above.thing[1]), [above]),
    )
    for key, links in ended:
        assert carried_delegation(make_revocation(key, links, SHOWN)) == links[0]
    refused = (
        (PERSON.consent_key(above.thing[1]), [below]),
        (STRANGER.delegate_key(), [below, above]),
        (HELPER.delegate_key(), [above]),
        (PERSON.consent_key(above.thing[1]), [above, below]),
    )
    for key, links in refused:
        with pytest.raises(LocalError, match="REVOKE_NOT_YOURS"):
            make_revocation(key, links, SHOWN)


def test_a_link_attenuates() -> None:
    above, _, _ = delegated()
    options: list[dict[str, Any]] = [
        {"bounds": Bounds(granularity="P1D", sharing_depth=1), "field": "points"},
        {"valid_until": UNTIL + 2 * DAY, "field": "valid_until"},
        {"depth": 1, "field": "depth"},
    ]
    for option in options:
        field = option.pop("field")
        chosen = {"bounds": LIMITS, "valid_until": UNTIL, "depth": 0, **option}
        bounds = chosen.pop("bounds")
        with pytest.raises(LocalError, match="DELEGATION_WIDER") as refused:
            make_delegation(CARER, bytes(32), "delegate", bounds, SHOWN, parent=(above, LIMITS), **chosen)
        assert refused.value.field == field
    with pytest.raises(LocalError, match="DELEGATION_NOT_YOURS"):
        make_delegation(STRANGER, bytes(32), "delegate", LIMITS, SHOWN, valid_until=UNTIL, parent=(above, LIMITS))


some_bounds = st.builds(
    Bounds,
    points=st.none() | st.frozensets(st.sampled_from([POINT, POINT_TOO]), min_size=1),
    purposes=st.none() | st.frozensets(st.sampled_from(["Advice on insulation", "Research"]), min_size=1),
    recipients=st.none() | st.frozensets(st.sampled_from([cases.RECIPIENT, cases.OTHER]), min_size=1),
    granularity=st.sampled_from([None, "PT10M", "PT30M", "P1D"]),
    data_period=st.sampled_from([None, ((0, NOW),), ((cases.PAST, cases.PAST + 10 * DAY),)]),
    sharing_depth=st.sampled_from([None, 0, 1]),
)


@given(some_bounds, some_bounds, st.sampled_from([TERMS, but(points=(POINT,)), but(granularity="P1D")]))
def test_what_lies_within_the_lower_bounds_lies_within_the_upper(inner: Bounds, outer: Bounds, terms: Any) -> None:
    assert not wider_bounds(inner, inner)
    assert Bounds.from_values(inner.values()) == inner
    if not wider_bounds(inner, outer) and not beyond(terms, cases.RECIPIENT, inner):
        assert not beyond(terms, cases.RECIPIENT, outer)


@given(st.permutations(range(3)))
def test_a_revocation_counts_before_and_without_its_delegation_whatever_the_order(order: list[int]) -> None:
    above, _, _ = delegated()
    place = (bytes(32), 1)
    facts = [
        Fact(FactRow("delegation.give", above.id, above.kid), (place,)),
        Fact(FactRow("delegation.revoke", b"r" * 32, above.kid), ((bytes(32), 99),)),
        Fact(FactRow("delegation.revoke", b"s" * 32, above.kid), (place,)),
    ]

    def told(*chosen: Fact) -> Any:
        return resolve(above, chosen, lambda _: 50, lambda kid: (kid, 0), lambda _, places: places[0][1] < 50)

    assert told() is None
    live, ended = told(facts[0]), told(*(facts[index] for index in order))
    assert live.live
    assert not ended.live
    assert ended == told(*facts)
    assert ended.decided_by == (b"r" * 32, b"s" * 32)
    assert not told(facts[1]).live


def test_votes_are_dated_in_the_time_of_the_call_and_joining_is_a_delegation() -> None:
    group = CARER.delegate_key()
    joined, _ = make_delegation(PERSON, group.public, "group", LIMITS, SHOWN, valid_until=UNTIL)
    assert joins(joined, group.kid)
    assert not joins(joined, HELPER.delegate_key().kid)
    payload = {
        **{"title": "t", "opens": NOW, "closes": NOW + DAY, "recipient": ["linked"], "valid_until": 0},
        **{"notice": cases.NOTICE.value(), "slots": GRANT.payload["slots"]},
    }
    call = SHOWN.sign(group, "group.call", ("group", group.kid), payload)
    key = PERSON.consent_key(joined.thing[1])
    assert NOW <= make_vote(key, call, "yes", SHOWN).iat <= NOW + DAY
    assert make_group_refusal(key, call, SHOWN, reason="no").payload["call"] == call.id
    with pytest.raises(LocalError, match="CALL_OVER"):
        make_vote(key, call, "yes", Shown(HEAD, 0, NOW + DAY + 1, MESH, seeded(1)))
