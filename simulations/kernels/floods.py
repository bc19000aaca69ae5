"""Graphs as tables of neighbours, floods along their edges, and what is left of them when nodes fail.

How it works
    A graph is an array (nodes, width) of neighbours, -1 where there is none; an edge stands in both rows.
    `regular` shuffles a circulant graph by double-edge swaps until it is random; it stays simple all the time.
    `flood` sends one message from a source, everybody passing it on at once to all but who brought it, with a delay
    for each direction of each edge, and counts every copy delivered. `largest` looks at components among the living.

What it does not do
    It loses nothing and knows no bandwidth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulations.kernels.dice import Dice, Floats, Ints, Nodes, below, compiled, dice, unit
from simulations.kernels.heaps import pop, sift

SWAPS_AN_EDGE = 12
"""Double-edge swaps tried for each edge: enough that nothing is left of the circulant graph."""

Living = npt.NDArray[np.bool_]


@compiled
def _joined(table: Nodes, one: int, another: int) -> bool:
    return bool(np.any(table[one] == another))


@compiled
def _replace(table: Nodes, node: int, old: int, new: int) -> None:
    for at in range(table.shape[1]):
        if table[node, at] == old:
            table[node, at] = new
            return


@compiled
def shuffle(table: Nodes, swaps: int, state: Dice) -> None:
    """Swap the ends of random pairs of edges, never making a loop or a double edge. Rows must be full."""
    count, width = table.shape
    for _ in range(swaps):
        a, c = below(state, count), below(state, count)
        b, d = table[a, below(state, width)], table[c, below(state, width)]
        if a in (c, d) or b in (c, d) or _joined(table, a, d) or _joined(table, c, b):
            continue
        _replace(table, a, b, d)
        _replace(table, b, a, c)
        _replace(table, c, d, b)
        _replace(table, d, c, a)


@compiled
def flood(table: Nodes, delays: Floats, source: int, arrival: Floats, hops: Nodes) -> int:
    """Flood from `source`; fill in the first arrival and its hops for each node; return copies delivered.

    `delays`: as `table`, from the row's node to the neighbour. Nodes not reached: arrival inf, hops -1.
    """
    count, width = table.shape
    keys, nodes = np.empty(count * width + 1), np.empty(count * width + 1, np.int64)
    source_of = np.full(count, -1, np.int64)
    arrival[:] = np.inf
    hops[:] = -1
    arrival[source], hops[source], keys[0], nodes[0] = 0.0, 0, 0.0, source
    size, copies = 1, 0
    while size:
        at, node = keys[0], nodes[0]
        size -= 1
        pop(keys, nodes, size)
        if at > arrival[node]:
            continue
        for place in range(width):
            peer = table[node, place]
            if peer < 0 or peer == source_of[node]:
                continue
            copies += 1
            then = at + delays[node, place]
            if then < arrival[peer]:
                arrival[peer], hops[peer], source_of[peer] = then, hops[node] + 1, node
                sift(keys, nodes, size, then, peer)
                size += 1
    return copies


@compiled
def sizes(table: Nodes, living: Living, out: Ints) -> int:
    """Fill in the size of each component of the living, at its first node (others 0); return how many there are."""
    count, width = table.shape
    seen = ~living
    queue = np.empty(count, np.int64)
    found = 0
    out[:] = 0
    for start in range(count):
        if seen[start]:
            continue
        seen[start], queue[0] = True, start
        at, end = 0, 1
        while at < end:
            node = queue[at]
            at += 1
            for place in range(width):
                peer = table[node, place]
                if peer >= 0 and not seen[peer]:
                    seen[peer], queue[end] = True, peer
                    end += 1
        out[start] = end
        found += 1
    return found


@compiled
def kill(living: Living, fraction: float, state: Dice) -> None:
    """Let exactly that fraction of the nodes die, chosen evenly."""
    count = len(living)
    order = np.arange(count)
    living[:] = True
    for at in range(round(fraction * count)):
        chosen = at + below(state, count - at)
        order[at], order[chosen] = order[chosen], order[at]
        living[order[at]] = False


def regular(count: int, degree: int, *, seed: int) -> Nodes:
    """Return a random regular graph; `count` must be even where `degree` is odd."""
    base = np.arange(count, dtype=np.int64)[:, None]
    steps = [sign * step for step in range(1, degree // 2 + 1) for sign in (1, -1)]
    if degree % 2:
        steps.append(count // 2)
    table: Nodes = (base + np.array(steps)) % count
    shuffle(table, SWAPS_AN_EDGE * count * degree // 2, dice(seed, f"regular {count} {degree}"))
    return table


def random_delays(table: Nodes, low: float, high: float, *, seed: int) -> Floats:
    """Return delays drawn evenly between two bounds, the same in both directions of an edge."""
    count, width = table.shape
    ends = np.sort(np.stack([np.repeat(np.arange(count), width), table.ravel()]), axis=0)
    _, edge = np.unique(ends[0] * count + ends[1], return_inverse=True)
    state = dice(seed, f"delays {count} {width}")
    drawn = np.array([unit(state) for _ in range(int(edge.max()) + 1)])
    out: Floats = (low + (high - low) * drawn)[edge].reshape(count, width)
    return out


def largest(table: Nodes, fraction: float, *, seed: int) -> tuple[float, float]:
    """Let a fraction of nodes fall silent. Return (largest living component, mean reach), both among the living.

    Mean reach: the part of the living that a message of a random living node reaches.
    """
    count = len(table)
    living, out = np.empty(count, np.bool_), np.zeros(count, np.int64)
    kill(living, float(fraction), dice(seed, f"kill {count} {fraction}"))
    sizes(table, living, out)
    alive = int(living.sum())
    return float(out.max()) / alive, float((out.astype(np.float64) ** 2).sum()) / alive**2
