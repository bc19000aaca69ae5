"""Two drivers, one core: whole daemons in virtual time and the exact world deliver the same things by the same ways.

How it works
    Daemons found a mesh and dial whom they like. Then persons consent, one after another, over links of one delay.
    The channels that the daemons had at that time, and the order in which each prefers its neighbours (drawn as they
    come up, which is not at the same time in both), are given to the exact world, with the same seed and acts. For each
    entry and each node both must say the same: that it came, and over how many nodes.

What it does not do
    It loses nothing on the way: streams do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import trio

from ledger.entry import Entry
from node.core import Core, Turn
from simulations.daemons import Daemons, run
from simulations.links import Link, constant
from simulations.mesh_run import Ears
from simulations.nodes import Node
from simulations.people import person
from simulations.randomness import Seed
from simulations.world import MS, SECOND, START_US, World
from tests.conftest import PROFILE
from tests.simulations.test_world import POLICY

COUNTS = {"ci": [12], "nightly": [12, 50]}[PROFILE]
DELAY_MS = 20
BEGIN = 20
GRANTS = 6


def hear(told: dict[tuple[bytes, int], float], number: int, now: object, _: Turn, entries: Sequence[Entry]) -> None:
    """Note when consents took effect at a node."""
    for entry in entries:
        if entry.kind == "consent.grant":
            told.setdefault((entry.id, number), now())  # type: ignore[operator]


def grant(seed: Seed, parties: list[tuple[bytes, int]], who: int, turn: Turn) -> Entry:
    return person(seed, who).grant(turn, parties[0], parties[1])


Liking = dict[tuple[int, int], float]
"""(node, neighbour) -> the place of the neighbour in the order in which the node prefers them."""


def whole(seed: Seed, count: int) -> tuple[dict[tuple[bytes, int], float], Liking]:
    """Return when each consent came to each daemon, and who had channels, liked how much."""
    told: dict[tuple[bytes, int], float] = {}

    async def body(mesh: Daemons) -> Liking:
        numbers = {daemon.kid: number for number, daemon in mesh.nodes.items()}
        parties = [mesh.nodes[number].who.party for number in range(count)]
        await trio.sleep_until(BEGIN)
        liking = {
            (number, numbers[peer.kid]): peer.priority
            for number, daemon in mesh.nodes.items()
            for peer in daemon.core.swarm._peers
        }
        for number, daemon in mesh.nodes.items():
            daemon.core.data = Ears(partial(hear, told, number, trio.current_time))
        for who in range(GRANTS):
            await trio.sleep_until(BEGIN + who)
            await mesh.nodes[who * 5 % count].engine.act(partial(grant, seed, parties, who))
        await trio.sleep_until(BEGIN + GRANTS + 12)
        return liking

    liking = run(seed, body, count=count, policy=POLICY, delay=constant(DELAY_MS))
    return told, liking


def exact(seed: Seed, count: int, liking: Liking) -> dict[tuple[bytes, int], float]:
    """Return when each consent came to each node of the exact world with these channels."""
    told: dict[tuple[bytes, int], float] = {}

    def now() -> float:
        return (world.now_us - START_US) / SECOND

    def equip(node: Node, core: Core) -> None:
        core.data = Ears(partial(hear, told, node.number, now))

    world = World(seed, policy=POLICY, link=Link(constant(DELAY_MS)), equip=equip)
    world.found(count, [[b for a, b in liking if a == number] for number in range(count)])
    parties = [node.who.party for node in world.nodes]
    world.run_for(BEGIN * SECOND - 1)
    for node in world.nodes:
        peers = node.running.swarm._peers
        for other in world.nodes:
            if (peer := peers.get(other.kid)) is not None:
                peer.priority = liking[node.number, other.number]
        peers._order()
    for who in range(GRANTS):
        act = partial(grant, seed, parties, who)
        world.at(START_US + (BEGIN + who) * SECOND, partial(world.act, who * 5 % count, act))
    world.run_for((GRANTS + 12) * SECOND)
    return told


def hops(told: dict[tuple[bytes, int], float]) -> dict[tuple[bytes, int], int]:
    """Return how many delays each took; the publisher itself: 0."""
    first = {entry: min(at for (one, _), at in told.items() if one == entry) for entry, _ in told}
    return {(entry, node): round((at - first[entry]) * SECOND / (DELAY_MS * MS)) for (entry, node), at in told.items()}


@pytest.mark.parametrize("count", COUNTS)
def test_both_drivers_deliver_the_same_over_as_many_nodes(count: int) -> None:
    seed = Seed(count, "drivers")
    daemons, liking = whole(seed, count)
    world = exact(seed, count, liking)
    assert len(daemons) == count * GRANTS
    assert daemons.keys() == world.keys()  # entry ids are equal too: the same bytes
    assert count <= 16 or max(hops(daemons).values()) > 1
    assert hops(daemons) == hops(world)
