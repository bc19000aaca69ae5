"""The same questions put to the production code: real cores in the exact world, as a cross-check of the kernels.

How it works
    `heal` lets a mesh fall into halves that write apart and come together. `flooded` lays a mesh out along a random
    regular graph with a fixed delay for each edge, lets one node register an entry, and notes when each other node
    first got it and how many copies went over the wire. `traces` runs a small rough world and a kernel in a new
    process and returns the hash of what happened.

What it does not do
    It expects nothing: experiments do.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gossip.antientropy import EXCHANGE_MS
from gossip.messages import GOSSIP, Envelope
from gossip.vocabulary import Runs, decode
from simulations.kernels.floods import regular
from simulations.kernels.rounds import rounds
from simulations.links import Link, uniform
from simulations.people import person
from simulations.signatures import remembered
from simulations.world import MS, SECOND, World

ROUGH: Final = Link(uniform(10, 50), loss=0.10, duplication=0.05, reorder=True)
"""Loss, repetition and reordering, for the determinism of everything at once."""
DEGREE: Final = 5
"""Below EAGER neighbours a node pushes to all of them: the broadcast is a flood."""
SETTLE_SECONDS: Final = 30
APART_SECONDS: Final = 20
"""How long a partition lasts: shorter than a heartbeat, so that each half agrees when the halves are counted."""


@dataclass(frozen=True, slots=True)
class Healed:
    """`roots_apart`, `roots_after`: distinct frontiers; `seconds`: from the heal until there is one."""

    roots_apart: int
    roots_after: int
    seconds: float
    interval_seconds: float


@dataclass(frozen=True, slots=True)
class Flooded:
    """`gap_us`: the largest difference between an arrival and the shortest path; `payloads`: copies sent."""

    nodes: int
    edges: int
    reached: int
    gap_us: int
    payloads: int


def heal(count: int, seed: int) -> Healed:
    """Cut a mesh of real cores into halves, let each write, heal it, and wait until all hold the same."""
    with remembered():
        world = World(seed)
        world.found(count)
        world.run_for(SETTLE_SECONDS * SECOND)
        world.partition([range(count // 2)])
        parties = [node.who.party for node in world.nodes[:2]]
        for number in (0, count - 1):
            world.act(number, lambda turn, who=number: person(world.seed, who).grant(turn, *parties))  # type: ignore[misc]
        world.run_for(APART_SECONDS * SECOND)
        apart = len(set(world.frontiers()))
        world.heal()
        began = world.now_us
        world.run_for(120 * SECOND, until=world.agree, every_us=10 * MS)
        return Healed(apart, len(set(world.frontiers())), (world.now_us - began) / SECOND, EXCHANGE_MS[1] / 1_000)


def flooded(count: int, seed: int) -> Flooded:
    """Flood an entry through a mesh of real cores, along a random graph with fixed delays."""
    import rustworkx

    table = regular(count, DEGREE, seed=seed)
    with remembered():
        world = World(seed, dials=0)
        world.found(count)
        source, graph = world.seed.stream(-1, "delays"), rustworkx.PyGraph()
        graph.add_nodes_from(range(count))
        for one in range(count):
            for other in sorted(int(peer) for peer in table[one] if peer > one):
                milliseconds = source.randrange(10, 50)
                graph.add_edge(one, other, milliseconds)
                for way in ((one, other), (other, one)):
                    world.links[way] = Link(uniform(milliseconds, milliseconds))
                world.connect(one, other)
        world.run_for(SETTLE_SECONDS * SECOND)
        feed = world.nodes[0].kid
        arrivals, copies = {0: world.now_us}, [0]
        size = world.nodes[0].running.replica.position(feed).size

        def note(_: int, target: int, message: bytes) -> None:
            envelope = Envelope.open(message)
            told = decode(envelope) if envelope.family == GOSSIP else None
            if isinstance(told, Runs) and any(run.feed == feed and run.stop > size for run in told.runs):
                copies[0] += 1
                arrivals.setdefault(target, world.now_us)

        world.on_deliver = note
        parties = [node.who.party for node in world.nodes[:2]]
        world.act(0, lambda turn: person(world.seed, 0).grant(turn, *parties))
        world.run_for(2 * SECOND)
    shortest = rustworkx.dijkstra_shortest_path_lengths(graph, 0, float)
    gaps = [abs(arrivals[node] - arrivals[0] - round(far * MS)) for node, far in shortest.items() if node in arrivals]
    return Flooded(count, graph.num_edges(), len(arrivals), max(gaps), copies[0])


def scene(seed: int) -> str:
    """Run a rough world and a kernel; return the hash of what happened."""
    world = World(seed, link=ROUGH)
    world.found(6)
    world.run_for(2 * SECOND)
    world.partition([[0, 1, 2]])
    world.run_for(5 * SECOND)
    world.crash(4)
    world.heal()
    world.restart(4)
    world.run_for(10 * SECOND)
    drawn = rounds(1_000, pushes=1, pulls=1, success=0.9, runs=50, seed=seed)
    return hashlib.sha256(world.trace.encode() + drawn.tobytes()).hexdigest()


def traces(seed: int, hash_seed: str) -> str:
    """Return `scene` as another process has it, with that PYTHONHASHSEED."""
    command = f"from simulations.validation.worlds import scene; print(scene({seed}))"
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    told = subprocess.run(
        [sys.executable, "-c", command],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
        capture_output=True,
        check=True,
        text=True,
    )
    return told.stdout.strip()
