"""Readings that move under a consent, between two and three cores: whole, once, and no further than granted."""

from __future__ import annotations

from tests.node.flows.world import DAILY, LOAD_CURVE, World, terms
from node.adapters import household


def test_smoke() -> None:
    world = World()
    assert len(world.holder.core.replica.members.voters) == 2
    curve = household.load_curve(1, 1_700_000_000, 30, gaps=3)
    world.import_series(curve)
    grant, _ = world.grant(terms(curve))
    transfer, decision = world.send(grant=grant.id)
    print(decision)
    world.pump()
    print(world.recipient.codes(), world.holder.codes())
    got = world.recipient.look(lambda t: world.recipient.flows.incoming.get(t.vault, transfer))
    print(got.state, got.tally)
    assert got.tally.count == len(curve)
