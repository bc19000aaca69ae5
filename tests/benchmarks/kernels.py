"""kernels: messages delivered a second by the flood over a random graph, with a delay for each edge.

How it works
    A message floods from many sources over a random regular graph; every copy that arrives is counted. The limit walks
    over the same edges breadth first, without times: what the memory alone allows. Machine code is made before.

What it does not do
    It judges no figure: V10 (`maille sim validate`) holds arrivals and copies against shortest paths.
"""

from __future__ import annotations

import argparse
import time
from typing import Final

import numpy as np

from simulations.kernels.dice import dice
from simulations.kernels.floods import flood, random_delays, regular, sizes
from simulations.kernels.rounds import spread
from tests.benchmarks import measure
from tests.benchmarks.measure import Result

REACH: Final = 6e6


def bench(options: argparse.Namespace) -> Result:
    """Measure deliveries a second of the flood kernel."""
    count, degree = options.nodes, options.degree
    table = regular(count, degree, seed=1)
    delays = random_delays(table, 10.0, 50.0, seed=1)
    arrival, hops = np.empty(count), np.empty(count, np.int64)
    living, parts = np.ones(count, np.bool_), np.zeros(count, np.int64)
    calls_out = np.zeros(options.sources, np.int64)
    flood(table, delays, 0, arrival, hops)
    sizes(table, living, parts)
    spread(count, 1, 1, 1.0, dice(1, "warm"), calls_out[:1])
    rounds = []
    for _ in range(options.rounds):
        began = time.process_time()
        copies = sum(flood(table, delays, source, arrival, hops) for source in range(options.sources))
        flooded = time.process_time()
        for _ in range(options.sources):
            sizes(table, living, parts)
        walked = time.process_time()
        calls = spread(count, 1, 1, 1.0, dice(1, "calls"), calls_out)
        called = time.process_time()
        walks = options.sources * count * degree
        rounds.append((copies / (flooded - began), walks / (walked - flooded), calls / (called - walked)))
    best, limit, calls_rate = (max(each) for each in zip(*rounds, strict=True))
    return Result(
        name="kernels",
        what=f"deliveries a second of a flood over {count} nodes of degree {degree}",
        figure=best,
        unit="deliveries/s",
        limit=limit,
        limit_is="edges a second, walked breadth first without times",
        ratio=best / limit,
        reach=f"{REACH:.0e} deliveries/s",
        aim=f"{REACH:.0e} deliveries/s",
        met=best >= REACH if count >= 10_000 else None,
        peers={},
        method=f"best of {options.rounds} rounds of {options.sources} floods, limit and figure in turns; CPU time",
        details={"push_pull_calls_a_second": calls_rate},
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--degree", type=int, default=8)
    parser.add_argument("--sources", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)


if __name__ == "__main__":
    measure.main(bench, describe)
