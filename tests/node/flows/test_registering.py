"""Withdrawals stand in more feeds than one: in half of the voters', whoever is silent, lies or is away."""

from __future__ import annotations

import pytest

from gossip.messages import DATA, Envelope
from ledger.consent.status import State
from ledger.entry import Entry
from node.flows import wire
from node.flows.registering import SPREAD_TO
from tests.node.flows.losing import half_written
from tests.node.flows.test_disclosing import feeds_with
from tests.node.flows.world import SHORT, Side, World, terms


def test_a_withdrawal_that_the_vault_alone_knows_of_counts_before_any_data_go() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    world.leave(world.recipient)
    side = world.holder
    withdrawal = half_written(world, side, lambda turn: side.flows.acts.withdraw(turn, grant, "anna"))
    assert side.entry(withdrawal.id) is None
    transfer, _ = world.send(grant=grant.id)
    packs: list[bytes] = []
    post = world.post

    def watched(source: Side, peer: bytes, data: bytes) -> None:
        if data[1] == DATA and isinstance(wire.decode(Envelope.open(data)), wire.Chunk):
            packs.append(data)
        post(source, peer, data)

    world.post = watched  # type: ignore[method-assign]
    world.come_back(world.recipient)
    world.pump()
    assert packs == []
    for one in world.sides:
        status = one.status(grant.id)
        assert status is not None
        assert status.state is State.WITHDRAWN
    assert side.sent(transfer) is None


@pytest.mark.parametrize("count", [2, 7, 9])
def test_a_withdrawal_stands_in_half_of_the_voters_feeds(count: int) -> None:
    world = World(count)
    grant, _ = world.grant(terms(SHORT))
    withdrawal = world.withdraw(grant)
    world.pump()
    assert feeds_with(world, withdrawal) == {2: 2, 7: 4, 9: 5}[count]


@pytest.mark.parametrize("lies", [False, True])
def test_who_is_asked_to_register_a_withdrawal_and_does_not_holds_nothing_up(*, lies: bool) -> None:
    world = World(6)
    grant, _ = world.grant(terms(SHORT))
    idle: list[bytes] = []
    post = world.post

    def deaf(source: Side, peer: bytes, data: bytes) -> None:
        message = wire.decode(Envelope.open(data)) if data[1] == DATA else None
        if isinstance(message, wire.Register) and len(idle) < SPREAD_TO and peer not in idle:
            idle.append(peer)  # the first that are asked stay connected, and register nothing
        if not isinstance(message, wire.Register) or peer not in idle:
            post(source, peer, data)
        elif lies:
            post(world.side(peer), source.device.kid, wire.encode(wire.Taken(Entry.parse(message.entry).id)))

    world.post = deaf  # type: ignore[method-assign]
    withdrawal = world.withdraw(grant)
    world.pump()
    assert feeds_with(world, withdrawal) == 1
    for _ in range(8):
        world.pass_time(15)
    assert len(idle) == SPREAD_TO
    assert feeds_with(world, withdrawal) == 1 + SPREAD_TO


def test_one_member_does_not_stand_for_several() -> None:
    world = World(5)
    grant, _ = world.grant(terms(SHORT))
    for side in world.sides[2:]:
        world.leave(side)
    withdrawal = world.withdraw(grant)
    for _ in range(5):
        world.pass_time(15)
    assert feeds_with(world, withdrawal) == 2
    for side in world.sides[2:]:
        world.come_back(side)
    for _ in range(3):
        world.pass_time(15)
    assert feeds_with(world, withdrawal) == 1 + SPREAD_TO
    assert world.holder.look(lambda turn: list(turn.vault.scan("outgoing", b"g", b"h"))) == []
