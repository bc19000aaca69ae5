"""One run of a protocol at light nodes: a scenario and a seed in, what was measured out.

How it works
    As simulations.mesh_run, with a protocol in place of the mesh: the overlay is drawn, payloads are published, faults
    are laid into the future, and each payload is followed to every node.

What it does not do
    There are no adversaries, no ledger and so none of its checks: what a protocol promises, its author knows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from simulations import faults
from simulations.engine import SECOND, mark_of
from simulations.light import LightWorld
from simulations.network import Modelled
from simulations.protocol import Received, load
from simulations.randomness import Seed
from simulations.records import Records
from simulations.spec import FaultSpec, Scenario
from simulations.topologies import overlay

SAMPLES_MAX = 600


class LightRun:
    """Light nodes under one scenario."""

    def __init__(self, scenario: Scenario, seed: int, *, traced: bool = False) -> None:
        self.scenario = faults.resolved(scenario, seed)
        self.seed = Seed(seed, scenario.name)
        self.network = Modelled(self.seed, self.scenario.network, scenario.nodes)
        neighbours = overlay(scenario.overlay, scenario.nodes, self.seed.stream(-1, "overlay"), self.network.can_dial)
        self.records = Records(0, traced)
        kind = load(scenario.protocol)
        self.world = LightWorld(self.seed, kind, neighbours, self.network, scenario.protocol_options)
        self.network.counts = self.world.counts
        self._over_us = 0  # when the load ends; what is planned for later does not happen
        self._choice = self.seed.stream(-1, "load")

    def run(self, progress: Callable[[float], object] = lambda _: None) -> None:
        """Run it all."""
        world, scenario = self.world, self.scenario
        if self.records.traced:
            world.engine.watch, world.engine.laid = self._saw, self.records.left
        for number in range(scenario.load.count):
            at = round((scenario.load.start + number * scenario.load.every) * SECOND)
            world.at(at, partial(self.publish, number))
        seen = faults.Observed(world, self.records.happened)
        over = self._over_us = max(
            faults.plan(seen, scenario, self.seed, self._spoil), round(scenario.seconds * SECOND)
        )
        end = over + round(scenario.checks.settle * SECOND)
        every = max(SECOND, over // SAMPLES_MAX)
        while world.now_us < end and (world.now_us < over or world.engine.waiting):
            world.run_for(min(every, end - world.now_us))
            self.records.note(world.now_us, -1, "up", scenario.nodes - len(world.down))
            progress(min(1.0, world.now_us / over))
        self._account()

    def _spoil(self, number: int, _: FaultSpec) -> None:
        self.world.crash(number)

    def _saw(self, at_us: int, target: int, source: int, value: Any) -> None:
        if isinstance(value, Received) and self.world.hears(target, source):
            self.records.came(at_us, source, target, mark_of(value.payload), len(value.payload), 0)

    def publish(self, number: int) -> None:
        """Publish payload `number` at some node that is up."""
        load = self.scenario.load
        wanted = load.publishers or range(self.scenario.nodes)
        running = [each for each in wanted if self.world.is_up(each)]
        chosen = self._choice.random()
        if not running or self.world.now_us >= self._over_us:
            return
        node = running[int(chosen * len(running))]
        payload = self.seed.bytes(number, "payload") * (load.payload_bytes // 32 + 1)
        payload = payload[: max(32, load.payload_bytes)]
        self.records.published(payload, "payload", node, self.world.now_us)
        self.world.publish(node, payload)

    def _account(self) -> None:
        records, world = self.records, self.world
        for arrival in world.arrivals:
            one = records.publications.get(arrival.payload)
            if one is not None and arrival.node not in one.seen:
                one.seen[arrival.node] = arrival.at_us
                one.hops[arrival.node] = arrival.hops
        records.finish(range(self.scenario.nodes))
        if missing := self.scenario.load.count - len(records.publications):
            world.counts["not_published"] = missing
        for number, peers in enumerate(world.overlay):
            records.note(world.now_us, number, "degree", len(peers))

    def summary(self) -> dict[str, Any]:
        """Return what a person wants to know first."""
        counts, published = self.world.counts, self.records.publications.values()
        first = sum(len(one.seen) - 1 for one in published)
        up = [number for number in range(self.scenario.nodes) if self.world.is_up(number)]
        got = sum(len(one.seen.keys() & set(up)) for one in published)
        return {
            "publications": len(published),
            "reached": round(got / (len(published) * len(up)), 6) if published and up else 1.0,
            "redundancy": round(counts["payloads"] / first - 1, 4) if first else None,
            "counts": dict(sorted(counts.items())),
            "honest": self.scenario.nodes,
        }
