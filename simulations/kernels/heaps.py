"""A heap of (time, node) in two arrays: what floods take the next arrival from.

How it works
    A binary heap; the caller owns the arrays and counts what is in them.

What it does not do
    It never grows: the caller makes room for all that may wait at once.
"""

from __future__ import annotations

from simulations.kernels.dice import Floats, Nodes, compiled


@compiled
def sift(keys: Floats, nodes: Nodes, size: int, key: float, node: int) -> None:
    """Put a node in: `size` counts those that are there before."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if keys[above] <= key:
            break
        keys[at], nodes[at] = keys[above], nodes[above]
        at = above
    keys[at], nodes[at] = key, node


@compiled
def pop(keys: Floats, nodes: Nodes, size: int) -> None:
    """Take the least away: `size` counts what is left, and the last stands at `size`."""
    key, node, at = keys[size], nodes[size], 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[at], nodes[at] = keys[child], nodes[child]
        at = child
    keys[at], nodes[at] = key, node
