"""A voter that lost its device, where no seal can be made without it."""

from __future__ import annotations

from ledger.keys import SigningKey
from simulations.world import SECOND
from tests.simulations.governing import succeed
from tests.simulations.sealed import mesh, reach, standings, stir


def test_of_two_voters_one_lost_its_node_and_both_seal_on() -> None:
    world = mesh(29, 2)
    reach(world, 1)
    node = world.nodes[1]
    world.crash(1)
    world.run_for(5 * SECOND)
    former, device = node.kid, SigningKey.from_seed(world.seed.bytes(1, "second device"))
    n = standings(world, [0])[0].n
    world.act(0, lambda turn: succeed(turn, node.who.root, device, former))
    world.run_for(60 * SECOND)
    assert standings(world, [0])[0].n == n, "one of two cannot seal alone"
    world.replace_device(1, device)
    world.restart(1)
    reach(world, n + 1)
    stir(world, 0)
    reach(world, n + 2)
