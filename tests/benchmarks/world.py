"""world: messages a second through the exact worlds: a flood of empty payloads, and entries through real nodes.

How it works
    `flood`: 1 000 light nodes with 8 neighbours each flood payloads that nobody looks into; every delivery takes its
    way through the engine, the network's path and the trace. `bulk`: real nodes (ledger, governance, gossip, stores in
    memory) state 200 consents at a time; an entry counts once for each node that takes it in: verified, judged, stored,
    folded, answered. `single`: consents are stated one by one, so that each node hears of each from about six sides;
    messages that carry an entry and first deliveries are told apart. Signatures are memoised (simulations.signatures):
    real ones, verified once in the process. All is counted per second of the processor's time, not of the wall's.
    Limit: the bare loop over the same number of events, which only puts them into a heap and takes them out.

What it does not do
    It measures no disk, no encryption and no second core.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from gossip.messages import GOSSIP
from gossip.vocabulary import Runs
from node.core import Turn
from simulations.light import LightWorld
from simulations.links import WAN, Link, Path
from simulations.people import person
from simulations.protocols import Flood
from simulations.randomness import Seed
from simulations.signatures import remembered
from simulations.world import SECOND, World
from tests.benchmarks.measure import Result, main, progress

REACH = 300_000
ENTRIES_REACH = 20_000


class Country:
    """A network in which every path takes 10 to 50 ms."""

    def __init__(self, link: Link = WAN) -> None:
        self.seed, self.link = Seed(1), link

    def path(self, source: int, target: int) -> Path:
        return Path(self.link, self.seed.stream(source, f"link/{target}"))


def cpu(work: Callable[[], object]) -> float:
    """Return the processor's seconds that some work took."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector of cycles out of a measurement, as `sim run` does."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def overlay(count: int, degree: int) -> list[list[int]]:
    """Return neighbours, about `degree` each, both ways."""
    source = random.Random(1)
    found: list[set[int]] = [set() for _ in range(count)]
    for number in range(count):
        for other in source.sample(range(count), degree // 2):
            if other != number:
                found[number].add(other)
                found[other].add(number)
    return [sorted(each) for each in found]


def flood(nodes: int, messages: int) -> tuple[int, float]:
    """Return deliveries and seconds of a flood over paths that were used before."""
    world = LightWorld(1, Flood, overlay(nodes, 8), Country())
    world.publish(0, b"first")
    world.run_for(10 * SECOND)
    world.counts.clear()
    for number in range(messages):
        publish = b"%d" % number
        world.at(world.now_us + number * 1_000, lambda n=number, p=publish: world.publish(n * 7 % nodes, p))  # type: ignore[misc]
    with uncollected():
        seconds = cpu(lambda: world.run_for(10 * SECOND + messages * 1_000))
    return world.counts["sent"], seconds


def founded(nodes: int) -> World:
    """Return a mesh of real nodes that has come to rest."""
    world = World(1)
    world.found(nodes)
    world.run_for(10 * SECOND)
    return world


def bulk(nodes: int, count: int) -> dict[str, float]:
    """Return what real nodes did with `count` consents that three of them stated at once."""
    with remembered():
        world = founded(nodes)
        parties = [node.who.party for node in world.nodes[:2]]

        def burst(first: int, turn: Turn) -> None:
            for number in range(first, count, 3):
                person(world.seed, number).grant(turn, *parties)

        for first in range(3):
            world.act(first, partial(burst, first))
        with uncollected():
            seconds = cpu(lambda: world.run_for(5 * SECOND))
        missed = sum(len(node.entries("consent.grant")) < count for node in world.nodes)
    return {"first": count * (nodes - 1), "seconds": seconds, "missed": missed}


def single(nodes: int, count: int) -> dict[str, float]:
    """Return what real nodes did with `count` consents that were stated one by one."""
    carried = 0

    def note(_: int, __: int, message: bytes) -> None:
        nonlocal carried
        carried += message[1] == GOSSIP and message[3] == Runs.KIND

    with remembered():
        world = founded(nodes)
        world.on_deliver = note
        parties = [node.who.party for node in world.nodes[:2]]

        def state(number: int) -> None:
            world.act(number * 7 % nodes, lambda turn: person(world.seed, number).grant(turn, *parties))

        for number in range(count):
            world.at(world.now_us + number * 20_000, partial(state, number))
        with uncollected():
            seconds = cpu(lambda: world.run_for(count * 20_000 + SECOND))
        missed = sum(len(node.entries("consent.grant")) < count for node in world.nodes)
    return {"messages": carried, "first": count * (nodes - 1), "seconds": seconds, "missed": missed}


def bare(events: int) -> float:
    """Return the seconds that a heap takes for so many events, ten thousand of which are on their way at a time."""
    source = random.Random(1)

    def work() -> None:
        heap = [(source.randrange(40_000), made) for made in range(10_000)]
        heapq.heapify(heap)
        for made in range(10_000, events):
            at, _ = heapq.heappop(heap)
            heapq.heappush(heap, (at + 10_000 + int(source.random() * 40_001), made))

    with uncollected():
        return cpu(work)


def measure(options: argparse.Namespace) -> Result:
    """Measure the exact worlds."""
    figures, limits = [], []
    for number in range(options.rounds):
        progress(f"flood {number + 1} of {options.rounds}")
        events, seconds = flood(options.nodes, options.messages)
        figures.append(events / seconds)
        limits.append(events / bare(max(events, 10_001)))
    progress("entries")
    many, one = bulk(options.entry_nodes, options.bulk), single(options.entry_nodes, options.entries)
    rate = many["first"] / many["seconds"]
    figure, limit = max(figures), max(limits)
    return Result(
        name="world",
        what=f"deliveries of empty payloads, {options.nodes} light nodes",
        figure=figure,
        unit="deliveries/s of processor time",
        limit=limit,
        limit_is="a heap alone with the same number of events",
        ratio=figure / limit,
        reach=f"{REACH:,} deliveries/s at 1 000 nodes; {ENTRIES_REACH:,} entry deliveries/s, memoised signatures",
        aim="the same on a busy machine",
        met=None if options.nodes != 1_000 else figure >= REACH and rate >= ENTRIES_REACH,
        peers={"VOPR, Shadow, Maelstrom": "no comparable figure is published"},
        method=f"best of {options.rounds} rounds, limit and figure alternating",
        details={
            "signatures": "memoised",
            "entry_nodes": options.entry_nodes,
            "bulk_entry_deliveries_per_second": rate,
            "single_entry_messages_per_second": one["messages"] / one["seconds"],
            "single_first_deliveries_per_second": one["first"] / one["seconds"],
            "nodes_that_missed": many["missed"] + one["missed"],
        },
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--nodes", type=int, default=1_000, help="light nodes")
    parser.add_argument("--messages", type=int, default=100, help="payloads that are flooded")
    parser.add_argument("--entry-nodes", type=int, default=100, help="real nodes")
    parser.add_argument("--bulk", type=int, default=600, help="consents that are stated at once")
    parser.add_argument("--entries", type=int, default=60, help="consents that are stated one by one")
    parser.add_argument("--rounds", type=int, default=3)


if __name__ == "__main__":
    main(measure, describe)
