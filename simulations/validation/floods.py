"""V10, V20: floods are exact, and a seed is a run.

How it works
    V10: in a flood everybody hears along the shortest path, and E edges carry 2E - n + 1 copies: each node passes it on
    to all but who brought it. The kernel and a mesh of real cores are held against the shortest paths of rustworkx.
    V20: another process with other hash seeds must have the same trace, another seed another one.

What it does not do
    Nothing is lost here: what becomes of losses is V8, V9 and V16.
"""

from __future__ import annotations

import numpy as np

from simulations.kernels.dice import Floats, Nodes
from simulations.kernels.floods import flood, random_delays, regular
from simulations.validation.checks import Check, Experiment, near


def shortest_paths(table: Nodes, delays: Floats, source: int) -> Floats:
    """Return the distance of each node from `source`, by an implementation that is not ours."""
    import rustworkx

    graph = rustworkx.PyDiGraph()
    graph.add_nodes_from(range(len(table)))
    graph.add_edges_from(
        [
            (one, int(other), float(delays[one, place]))
            for one, row in enumerate(table)
            for place, other in enumerate(row)
        ]
    )
    found = rustworkx.dijkstra_shortest_path_lengths(graph, source, float)
    return np.array([0.0 if node == source else found[node] for node in range(len(table))])


def exact(seed: int, quick: bool) -> list[Check]:
    """V10."""
    from simulations.validation.worlds import flooded

    found, count = [], 1_000
    arrival, hops = np.empty(count), np.empty(count, np.int64)
    for degree in (5, 8):
        table = regular(count, degree, seed=seed)
        delays = random_delays(table, 0.010, 0.050, seed=seed)
        edges, worst, copies = count * degree // 2, 0.0, set()
        for source in range(2 if quick else 50):
            copies.add(flood(table, delays, source, arrival, hops))
            worst = max(worst, float(np.abs(arrival - shortest_paths(table, delays, source)).max()))
        found.append(near(f"r={degree} gap to the shortest path, s", 0.0, worst, 1e-9))
        for sent in sorted(copies):
            found.append(near(f"r={degree} copies", 2 * edges - count + 1, sent, 0))
            found.append(near(f"r={degree} RMR", degree - 2, sent / (count - 1) - 1, 0.01))
    told = flooded(20 if quick else 50, seed)
    found.append(near("real cores: reached", told.nodes, told.reached, 0))
    found.append(near("real cores: gap to the shortest path, us", 0, told.gap_us, 0))
    found.append(near("real cores: copies", 2 * told.edges - told.nodes + 1, told.payloads, 0))
    return found


def determined(seed: int, quick: bool) -> list[Check]:  # noqa: ARG001 (cheap enough to be run whole)
    """V20."""
    from simulations.validation.worlds import scene, traces

    here = scene(seed)
    return [
        near("another process, PYTHONHASHSEED=1: equal traces", 1, traces(seed, "1") == here, 0),
        near("another process, PYTHONHASHSEED=2: equal traces", 1, traces(seed, "2") == here, 0),
        near("another seed: equal traces", 0, scene(seed + 1) == here, 0),
    ]


EXPERIMENTS = (
    Experiment("V10", "A flood is exact", "Shortest paths (Dijkstra); all but one neighbour get a copy", exact),
    Experiment("V20", "Determinism", "A seed names a run: equal SHA-256 of everything delivered", determined),
)
"""The rows of this module."""
