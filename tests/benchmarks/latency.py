"""latency: from publishing an entry to its being verified, durable and accepted by all of 10 nodes.

How it works
    Ten founders' nodes, each with engine, network and a store of its own, joined by loopback TCP, all with all. One of
    them, in turns, publishes a statement; the clock runs until the last node's transaction with it has ended. Between
    two publications the same process commits one row of 1 KB to another store on the same disk: the limit. Three ways:
    one process with stores on disk (the figure), the same with stores in memory, and one process a node.

What it does not do
    One entry at a time: throughput under load is `ingest` and `sync`. Processes compare their monotonic clocks, which
    is right on one machine alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import trio

from ledger.entry import Entry
from node import collector
from node.turn import Turn
from storage.disk import DiskStore
from storage.memory import MemoryStore
from storage.store import Store
from tests.benchmarks import measure, nodes
from tests.benchmarks.corpus import Mesh
from tests.benchmarks.measure import Result

SEED: Final = 11
ROW_BYTES: Final = 1_024
REACH_DISK_MS: Final = 5.0
REACH_MEMORY_MS: Final = 3.6
WAIT_SECONDS: Final = 30.0
WARM_UP: Final = 20  # publications before the clock counts


def publish(turn: Turn) -> Entry:
    """State something small of one's own: that a consent was seen."""
    seen = {"grant": turn.core.random_bytes(32), "entry": turn.core.random_bytes(32)}
    return turn.state("consent.acknowledge", ("consent", turn.core.random_bytes(16)), seen)


class Commits:
    """A store beside those of the nodes, on the same disk, for the durable commit alone."""

    def __init__(self, path: Path) -> None:
        self._store = DiskStore(path)
        self.seconds: list[float] = []

    def one(self) -> None:
        """Commit one row and note how long that took."""
        begun = time.perf_counter()
        with self._store.write() as rows:
            rows.put("meta", len(self.seconds).to_bytes(8, "big"), bytes(ROW_BYTES))
        self.seconds.append(time.perf_counter() - begun)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class Arrivals:
    """Counts at how many nodes each entry is durable, and wakes who waits for the last."""

    def __init__(self, needed: int) -> None:
        self._needed, self._counts = needed, Counter[bytes]()
        self._awaited, self._there = b"", trio.Event()

    def note(self, entry_ids: Sequence[bytes]) -> None:
        """One more node has these."""
        self._counts.update(entry_ids)
        if self._counts[self._awaited] == self._needed:
            self._there.set()

    async def everywhere(self, entry_id: bytes) -> None:
        """Wait until all nodes have an entry."""
        self._awaited, self._there = entry_id, trio.Event()
        if self._counts[entry_id] < self._needed:
            await self._there.wait()


async def all_in_one(stores: Sequence[Store], mesh: Mesh, count: int, commits: Commits) -> list[float]:
    """Return the seconds of each publication among nodes in this process."""
    taken = []
    async with trio.open_nursery() as nursery:
        members = [nodes.node(store, mesh, place) for place, store in enumerate(stores)]
        for member in members:
            await member.start(nursery)
        addresses = {member.kid: member.address for member in members}
        for member in members:
            member.know(addresses)
        for member in members:
            await member.connected(len(members) - 1)
        arrivals = Arrivals(len(members))
        for member in members:
            member.heard.on_durable = arrivals.note
        collector.calm()
        for number in range(WARM_UP + count):
            commits.one()
            begun = time.monotonic()
            entry = await members[number % len(members)].engine.act(publish)
            with trio.fail_after(WAIT_SECONDS):
                await arrivals.everywhere(entry.id)
            taken.append(max(member.heard.at[entry.id] for member in members) - begun)
        nursery.cancel_scope.cancel()
    return taken[WARM_UP:]


def in_one_process(folder: Path, count: int, publications: int, *, durable: bool) -> dict[str, Any]:
    """Measure nodes in this process, over stores on disk or in memory."""
    mesh = Mesh(count, SEED)
    folder.mkdir()
    stores: list[Store] = [
        DiskStore(folder / str(place), journal=True) if durable else MemoryStore() for place in range(count)
    ]
    for store in stores:
        nodes.founded(store, Mesh(count, SEED))
    commits = Commits(folder / "commits")
    taken = trio.run(all_in_one, stores, mesh, publications, commits)
    for store in stores:
        store.close()
    commits.close()
    return measure.quantiles(taken) | {"commit_p50_ms": statistics.median(commits.seconds) * 1_000}


# One process a node


async def one_node(options: argparse.Namespace) -> None:
    """Run one node; take orders from standard input, a line each (the whole life of a child).

    Orders: a JSON map of addresses; "publish"; "end". Answers: the address; "ready"; the id and the time; all times.
    """
    mesh = Mesh(options.nodes, SEED)
    store = DiskStore(Path(options.node) / "store", journal=True)
    nodes.founded(store, Mesh(options.nodes, SEED))
    commits = Commits(Path(options.node) / "commits")
    async with trio.open_nursery() as nursery:
        member = nodes.node(store, mesh, options.place)
        await member.start(nursery)
        _say({"kid": member.kid.hex(), "address": member.address})
        while True:
            order = json.loads(await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True))
            if order == "end":
                break
            if order == "publish":
                commits.one()
                begun = time.monotonic()
                entry = await member.engine.act(publish)
                _say({"id": entry.id.hex(), "at": begun})
            else:
                member.know({bytes.fromhex(kid): address for kid, address in order.items()})
                await member.connected(options.nodes - 1)
                collector.calm()
                _say("ready")
        times = {entry_id.hex(): at for entry_id, at in member.heard.at.items()}
        _say({"times": times, "commits": commits.seconds})
        nursery.cancel_scope.cancel()


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


def in_processes(folder: Path, count: int, publications: int) -> dict[str, Any]:
    """Measure nodes in processes of their own."""
    folder.mkdir()
    children = []
    for place in range(count):
        (folder / str(place)).mkdir()
        own = ("--node", str(folder / str(place)), "--place", str(place), "--nodes", str(count))
        children.append(measure.child("latency", *own, stdin=measure.PIPE))

    def order(child: Any, value: object) -> None:
        child.stdin.write(json.dumps(value) + "\n")
        child.stdin.flush()

    def hear(child: Any) -> Any:
        return json.loads(child.stdout.readline())

    try:
        told = [hear(child) for child in children]
        addresses = {one["kid"]: one["address"] for one in told}
        for child in children:
            order(child, addresses)
        for child in children:
            hear(child)
        published: dict[str, float] = {}
        for number in range(WARM_UP + publications):
            child = children[number % count]
            order(child, "publish")
            entry = hear(child)
            if number >= WARM_UP:
                published[entry["id"]] = entry["at"]
            time.sleep(0.02)  # the other processes come to rest
        time.sleep(1.0)  # the last publication has arrived
        for child in children:
            order(child, "end")
        ends = [hear(child) for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    return _joined(published, ends)


def _joined(published: Mapping[str, float], ends: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    times: list[Mapping[str, float]] = [one["times"] for one in ends]
    reached = [max(t[name] for t in times) - at for name, at in published.items() if all(name in t for t in times)]
    commits = [seconds for one in ends for seconds in one["commits"]]
    lost = len(published) - len(reached)
    return measure.quantiles(reached) | {"commit_p50_ms": statistics.median(commits) * 1_000, "lost": lost}


def bench(options: argparse.Namespace) -> Result:
    """Measure how soon an entry is everywhere."""
    disk: list[dict[str, Any]] = []
    memory: list[dict[str, Any]] = []
    apart: list[dict[str, Any]] = []
    with measure.workspace() as folder:
        for number in range(options.rounds):
            measure.progress(f"round {number + 1} of {options.rounds}")
            size = (options.nodes, options.publications)
            disk.append(in_one_process(folder / f"disk-{number}", *size, durable=True))
            memory.append(in_one_process(folder / f"memory-{number}", *size, durable=False))
            apart.append(in_processes(folder / f"apart-{number}", *size))
    best = {name: min(runs, key=lambda run: float(run["p50_ms"])) for name, runs in _named(disk, memory, apart).items()}
    figure, limit = best["disk"]["p50_ms"], best["disk"]["commit_p50_ms"]
    fast = figure <= REACH_DISK_MS and best["memory"]["p50_ms"] <= REACH_MEMORY_MS
    return Result(
        name="latency",
        what=f"publish to verified, durable and accepted by all of {options.nodes} nodes in one process, p50",
        figure=figure,
        unit="ms",
        limit=limit,
        limit_is="one durable commit of 1 KB in the same process, p50",
        ratio=figure / limit,
        reach="p50 at most 5 ms, and 3.6 ms without durability",
        aim="the same",
        met=fast if options.nodes == 10 else None,
        peers={"js-libp2p 3.3.11": "3.6 to 5.3 ms, not durable", "py-libp2p 0.8.1": "40 to 69 ms, not durable"},
        method=f"best of {options.rounds} rounds by p50; commits between the publications, one at a time",
        details={
            "one_process_durable": best["disk"],
            "one_process_in_memory": best["memory"],
            "one_process_a_node": best["apart"],
            "met_durable": figure <= REACH_DISK_MS,
            "met_in_memory": best["memory"]["p50_ms"] <= REACH_MEMORY_MS,
            "p50_by_round": {n: [r["p50_ms"] for r in runs] for n, runs in _named(disk, memory, apart).items()},
        },
    )


def _named(disk: Any, memory: Any, apart: Any) -> dict[str, list[dict[str, Any]]]:
    return {"disk": disk, "memory": memory, "apart": apart}


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--publications", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--node", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=int, default=0, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> Result:
    """Measure, unless this is a child."""
    nodes.hush()
    if options.node:
        trio.run(one_node, options)
        raise SystemExit(0)
    return bench(options)


if __name__ == "__main__":
    measure.main(run, describe)
