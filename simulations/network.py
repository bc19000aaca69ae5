"""Network models, put together from a scenario: who is how far from whom, and what the way does to messages.

How it works
    `Terrain` says how far it is between two places, in one-way milliseconds: a matrix from a CSV file, the shortest
    ways of a GML graph, a topohub backbone by its kilometres, or a table of regions. Nodes are put at places by the
    seed. `Modelled` adds what the spec adds: jitter, loss, repetition, clogs, one uplink a node. Each direction draws
    from a stream of its own (simulations.randomness).

What it does not do
    It routes nothing and shares no link between paths: two paths over the same cable do not slow each other.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path as FilePath
from typing import Final

from ledger.errors import LocalError
from simulations.links import Delay, Link, Path, Uplink, constant, exponential, lognormal, uniform
from simulations.randomness import Seed
from simulations.spec import NetworkSpec
from simulations.topologies import Terrain, backbone, gml, matrix

REGIONS: Final[dict[str, tuple[tuple[str, ...], tuple[float, ...], tuple[tuple[float, ...], ...]]]] = {
    # dsg-titech/simblock, NetworkConfiguration.java: one-way ms of 2019 and the share of Bitcoin's nodes
    "simblock": (
        ("north-america", "europe", "south-america", "asia-pacific", "japan", "australia"),
        (0.3316, 0.4998, 0.0090, 0.1177, 0.0224, 0.0195),
        (
            (32, 124, 184, 198, 151, 189),
            (124, 11, 227, 237, 252, 294),
            (184, 227, 88, 325, 301, 322),
            (198, 237, 325, 85, 58, 198),
            (151, 252, 301, 58, 12, 126),
            (189, 294, 322, 198, 126, 16),
        ),
    ),
    # libp2p/test-plans, gossipsub-interop/network_graph.py: one-way ms seen from Europe, between others by the sum
    "libp2p": (
        ("europe", "na-east", "na-west", "east-asia", "australia"),
        (0.53, 0.27, 0.12, 0.06, 0.02),
        (
            (2, 70, 110, 125, 165),
            (70, 2, 40, 175, 200),
            (110, 40, 2, 125, 160),
            (125, 175, 125, 2, 110),
            (165, 200, 160, 110, 2),
        ),
    ),
}
"""Tables of regions: names, shares of the nodes, one-way milliseconds."""


def terrain_of(spec: NetworkSpec) -> Terrain | None:
    """Return where nodes may be; None where distance does not matter. Raises LocalError NO_TOPOLOGY, BAD_TOPOLOGY."""
    match spec.latency:
        case "matrix":
            return matrix(FilePath(spec.file), rtt=spec.rtt)
        case "gml":
            return gml(FilePath(spec.file), spec.access_ms)
        case "topohub":
            return backbone(spec.graph, spec.ms_per_km, spec.access_ms)
        case "regions":
            if spec.regions not in REGIONS:
                told = f"no table of regions {spec.regions!r}; there are {', '.join(sorted(REGIONS))}"
                raise LocalError("NO_TOPOLOGY", told, field="network.regions")
            names, weights, table = REGIONS[spec.regions]
            return Terrain(spec.regions, names, [list(row) for row in table], tuple(weights))
        case _:
            return None


class Modelled:
    """The network of one run (simulations.engine.Network)."""

    def __init__(self, seed: Seed, spec: NetworkSpec, nodes: int) -> None:
        self.counts: Counter[str] = Counter()
        self.terrain = terrain_of(spec)
        self.places = self._placed(seed, nodes)
        self._seed, self._spec = seed, spec
        self._uplinks: dict[int, Uplink] = {}
        source = seed.stream(-1, "nat")
        count = round(spec.behind_nat * nodes)
        self.behind_nat = frozenset(source.sample(range(nodes), count)) if count else frozenset[int]()
        self._skews = [seed.stream(number, "skew").randint(-spec.skew_ms, spec.skew_ms) for number in range(nodes)]

    def _placed(self, seed: Seed, nodes: int) -> list[int]:
        """Return where each node is: a matrix or graph is filled place by place, regions by their shares."""
        if self.terrain is None:
            return []
        source, count = seed.stream(-1, "places"), len(self.terrain.names)
        if self.terrain.weights is not None:
            return source.choices(range(count), self.terrain.weights, k=nodes)
        order = source.sample(range(count), count)
        return [order[number % count] for number in range(nodes)]

    def latency_ms(self, source: int, target: int) -> float:
        """Return how far two nodes are apart, one way, before jitter; where it does not matter, the median drawn."""
        if self.terrain is None:
            spec = self._spec
            match spec.latency:
                case "uniform":
                    return (spec.low_ms + spec.high_ms) / 2
                case "exponential":
                    return spec.low_ms + spec.high_ms * math.log(2)
                case _:
                    return spec.low_ms
        return self.terrain.ms[self._place(source)][self._place(target)]

    def _place(self, number: int) -> int:
        return self.places[number % len(self.places)]  # nodes that join later share places

    def skew_ms(self, number: int) -> int:
        """Return how far a node's clock is ahead."""
        return self._skews[number] if number < len(self._skews) else 0

    def can_dial(self, number: int) -> bool:
        """Say whether a node can be dialled."""
        return number not in self.behind_nat

    def path(self, source: int, target: int) -> Path:
        """Return the path of one direction."""
        spec = self._spec
        random = self._seed.stream(source, f"link/{target}")
        link = Link(
            self._delay(source, target),
            spec.loss,
            spec.replay,
            spec.reorder,
            spec.replay_ms,
            spec.clog,
            spec.clog_ms,
            spec.capacity,
        )
        return Path(link, random, self._uplink(source), self.counts)

    def _uplink(self, source: int) -> Uplink | None:
        if not self._spec.uplink_mbit:
            return None
        found = self._uplinks.get(source)
        if found is None:
            rate, burst = self._spec.uplink_mbit * 125_000, round(self._spec.burst_kib * 1_024)
            found = self._uplinks[source] = Uplink(rate, burst)
        return found

    def _delay(self, source: int, target: int) -> Delay:
        spec = self._spec
        if self.terrain is not None:
            return lognormal(self.latency_ms(source, target), spec.jitter)
        match spec.latency:
            case "uniform":
                base = uniform(spec.low_ms, spec.high_ms)
            case "exponential":
                base = exponential(spec.low_ms, spec.high_ms)
            case _:
                return lognormal(spec.low_ms, spec.jitter) if spec.jitter else constant(spec.low_ms)
        if not spec.jitter:
            return base
        return lambda random: int(base(random) * random.lognormvariate(0.0, spec.jitter))
