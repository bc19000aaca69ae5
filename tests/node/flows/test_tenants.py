"""Tenants in the flows: their keys speak through their host, and a new host gets what it needs from who is there."""

from __future__ import annotations

from functools import partial

import pytest

from ledger.consent.reasons import Reason
from ledger.consent.slip import Slip
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.governance.members import Party
from ledger.keys import SigningKey
from ledger.schema import DAY
from node.core import Turn
from node.flows.consenting import Offer
from node.tenants import Voice, state
from node.vaults.transfers import Wanted
from tests.node.flows.world import NOW, SHORT, Side, World, terms

TENANT = SigningKey.from_seed(b"t" * 32)
PARTY: Party = (TENANT.kid, 0)


def host(world: World, side: Side, serial: int, *, key: bool = True) -> None:
    """Have a side host the tenant, by both their words."""
    payload = {"host": list(side.party), "terms": {"green_button": True}, "serial": serial}
    thing = ("tenant", TENANT.kid)

    def act(turn: Turn) -> None:
        turn.state("tenant.host", thing, payload)
        state(turn, Voice(PARTY, TENANT), "tenant.host", thing, payload)

    if key:
        side.flows.tenants.add("advice", TENANT)
    side.act(act)
    world.pump()


def grant(world: World, side: Side) -> tuple[Entry, Slip]:
    """Grant to the tenant, from a wallet kept at a side."""
    offer = Offer(world.holder.party, PARTY, terms(SHORT), NOW + 300 * DAY)

    def act(turn: Turn) -> tuple[Entry, Slip]:
        acts = side.flows.acts
        if not side.flows.wallets.listing(turn.vault):
            acts.create_wallet(turn, "anna")
        return acts.grant(turn, "anna", offer, acts.notice(turn, offer, ("holder", "advice")))

    made = side.act(act)
    world.pump()
    return made


def holds(side: Side, entry: Entry) -> bool:
    """Say whether a side has the content of a consent."""
    return side.look(lambda turn: side.flows.consents.holds(turn.vault, entry.id))


def asked(world: World, side: Side) -> str:
    """Have a side ask the holder for what the tenant may have; return how it ended."""
    wanted = Wanted(world.holder.party, PARTY)
    transfer = side.act(lambda turn: side.flows.receiving.ask(turn, wanted))
    world.pump()
    row = side.received(transfer)
    assert row is not None
    return row.reason or row.state


@pytest.mark.covers("R143")
def test_a_dead_host_needs_no_goodbye() -> None:
    world = World(4)
    old, new = world.recipient, world.sides[2]
    world.import_series(SHORT)
    host(world, old, 1)
    kept, _ = grant(world, world.holder)
    ended, slip = grant(world, world.holder)
    world.withdraw(ended, slip)
    world.pump()
    assert [holds(side, kept) for side in world.sides] == [True, True, False, False]
    assert asked(world, old) == "done"
    world.leave(old)
    host(world, new, 2)
    assert holds(new, kept)
    assert not holds(new, ended), "what was withdrawn is no business of a new host"
    assert asked(world, new) == "done"
    world.come_back(old)
    world.pump()
    assert asked(world, old) == Reason.OTHER_RECIPIENT.value


def test_a_tenants_host_acknowledges_for_it_with_its_key_alone() -> None:
    world = World(3)
    host(world, world.recipient, 1, key=False)
    first, _ = grant(world, world.sides[2])
    status = world.holder.status(first.id)
    assert status is not None
    assert status.acknowledged == (world.holder.party,)
    world.recipient.flows.tenants.add("advice", TENANT)
    second, _ = grant(world, world.sides[2])
    status = world.holder.status(second.id)
    assert status is not None
    assert set(status.acknowledged) == {world.holder.party, PARTY}


@pytest.mark.covers("R29")
def test_only_the_host_speaks_for_a_tenant() -> None:
    world = World(3)
    other = world.sides[2]
    host(world, world.recipient, 1)
    other.flows.tenants.add("advice", TENANT)
    own = world.recipient
    assert own.look(lambda turn: own.flows.tenants.voice(turn, "advice")) == Voice(PARTY, TENANT)
    for name, code in (("advice", "TENANT_NOT_HOSTED"), ("nobody", "NOT_FOUND")):
        with pytest.raises(LocalError) as caught:
            other.look(partial(speak, other, name))
        assert caught.value.code == code


def speak(side: Side, name: str, turn: Turn) -> Voice:
    """Return the voice of a tenant."""
    return side.flows.tenants.voice(turn, name)


def test_a_host_that_left_hosts_nobody() -> None:
    world = World(3)
    world.import_series(SHORT)
    host(world, world.recipient, 1)
    kept, _ = grant(world, world.holder)
    world.recipient.act(lambda turn: turn.state("member.leave", ("member", world.recipient.party[0]), {}))
    world.pump()
    assert TENANT.kid not in world.holder.core.replica.members.tenants
    decision = world.holder.act(
        lambda turn: world.holder.flows.sending.begin(turn, Wanted(world.holder.party, PARTY, kept.id)).decision
    )
    assert decision.reason is Reason.NOT_MEMBER_RECIPIENT
    host(world, world.sides[2], 2)
    assert holds(world.sides[2], kept)
