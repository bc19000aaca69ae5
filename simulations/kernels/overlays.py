"""HyParView: partial views that keep an overlay connected (Leitão, Pereira, Rodrigues 2007), for 10^4 nodes and more.

How it works
    Two tables of neighbours, -1 where there is none: the active views, symmetric, and the passive ones. Acts take no
    time: a join walks at once, a cycle lets every node in turn repair its active view, shuffle its passive view along a
    random walk, and with probability `swap` trade an active neighbour for a passive one, which keeps the overlay from
    clustering. `fail` lets nodes die and their neighbours notice, as closed connections would tell them.

What it does not do
    No message is lost and there are no delays: it is about the overlay, not about the way there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulations.kernels.dice import Dice, Floats, Ints, Nodes, below, compiled, dice, unit
from simulations.kernels.floods import Living, kill

ACTIVE, PASSIVE = 5, 30
"""Places in the two views, as in the paper."""
ARWL, PRWL = 6, 3
"""Length of the walk of a join, and where on it the newcomer is noted as passive."""
SENT_ACTIVE, SENT_PASSIVE = 3, 4
"""What a shuffle carries of each view, besides the node itself."""
SWAP = 0.02


@compiled
def _holds(view: Ints, node: int) -> bool:
    found = False
    for place in range(len(view)):
        found = found or view[place] == node
    return found


@compiled
def _size(view: Ints) -> int:
    found = 0
    while found < len(view) and view[found] >= 0:
        found += 1
    return found


@compiled
def _drop(view: Ints, node: int) -> None:
    """Take a node out; views stay packed to the left."""
    last = _size(view) - 1
    for place in range(last + 1):
        if view[place] == node:
            view[place] = view[last]
            view[last] = -1
            return


@compiled
def _remember(active: Ints, passive: Ints, node: int, peer: int, state: Dice) -> None:
    """Note a peer in the passive view, in place of a random one if it is full."""
    if node == peer or _holds(active[node], peer) or _holds(passive[node], peer):
        return
    size = _size(passive[node])
    passive[node, size if size < passive.shape[1] else below(state, size)] = peer


@compiled
def _part(active: Ints, passive: Ints, node: int, peer: int, state: Dice) -> None:
    _drop(active[node], peer)
    _drop(active[peer], node)
    _remember(active, passive, node, peer, state)
    _remember(active, passive, peer, node, state)


@compiled
def _link(active: Ints, passive: Ints, node: int, peer: int, state: Dice) -> None:
    """Make two nodes neighbours; whoever has no room parts with a random other one."""
    if node == peer or _holds(active[node], peer):
        return
    for full in (node, peer):
        if _size(active[full]) == active.shape[1]:
            _part(active, passive, full, active[full, below(state, active.shape[1])], state)
    _drop(passive[node], peer)
    _drop(passive[peer], node)
    active[node, _size(active[node])] = peer
    active[peer, _size(active[peer])] = node


@compiled
def _walk(active: Ints, came: int, start: int, steps: int, state: Dice) -> int:
    """Return where a random walk that never goes straight back ends. It came to `start` from `came`."""
    at = start
    for _ in range(steps):
        size = _size(active[at])
        if size <= 1:
            break
        step = active[at, below(state, size)]
        while step == came:
            step = active[at, below(state, size)]
        at, came = step, at
    return at


@compiled
def _join(active: Ints, passive: Ints, node: int, contact: int, state: Dice) -> None:
    _link(active, passive, node, contact, state)
    starts = active[contact].copy()
    for start in starts:
        if start < 0 or start == node:
            continue
        noted = _walk(active, contact, start, ARWL - PRWL, state)
        _remember(active, passive, noted, node, state)
        at = _walk(active, -1, noted, PRWL, state)
        _link(active, passive, node, at, state)


@compiled
def _repair(active: Ints, passive: Ints, living: Living, node: int, state: Dice) -> None:
    """Ask passive peers, in random order, until the active view is full. The dead among them are forgotten."""
    tried = passive[node].copy()
    left = _size(tried)
    while left and _size(active[node]) < active.shape[1]:
        place = below(state, left)
        peer = tried[place]
        left -= 1
        tried[place] = tried[left]
        if not living[peer]:
            _drop(passive[node], peer)
        elif _size(active[node]) == 0 or _size(active[peer]) < active.shape[1]:
            _link(active, passive, node, peer, state)


@compiled
def _offer(active: Ints, passive: Ints, node: int, sent: Ints, state: Dice) -> int:
    """Fill in what a shuffle carries; return how many."""
    sent[0], count = node, 1
    for view, most in ((active[node], SENT_ACTIVE), (passive[node], SENT_PASSIVE)):
        size = _size(view)
        for _ in range(min(most, size)):
            peer = view[below(state, size)]
            if not _holds(sent[:count], peer):
                sent[count] = peer
                count += 1
    return count


@compiled
def _shuffle(active: Ints, passive: Ints, node: int, state: Dice) -> None:
    size = _size(active[node])
    if size == 0:
        return
    sent, back = np.empty(8, np.int64), np.empty(8, np.int64)
    count = _offer(active, passive, node, sent, state)
    at = _walk(active, node, active[node, below(state, size)], ARWL, state)
    if at == node:
        return
    held = _size(passive[at])
    answers = min(count, held)
    for place in range(answers):
        back[place] = passive[at, below(state, held)]
    for place in range(count):
        _remember(active, passive, at, sent[place], state)
    for place in range(answers):
        _remember(active, passive, node, back[place], state)


@compiled
def _cycle(active: Ints, passive: Ints, living: Living, swap: float, state: Dice) -> None:
    for node in range(len(active)):
        if not living[node]:
            continue
        _repair(active, passive, living, node, state)
        _shuffle(active, passive, node, state)
        kept = _size(passive[node])
        if kept and _size(active[node]) and unit(state) < swap:
            peer = passive[node, below(state, kept)]
            if living[peer]:
                parted = active[node, below(state, _size(active[node]))]
                _part(active, passive, node, parted, state)
                _link(active, passive, node, peer, state)
                _repair(active, passive, living, parted, state)
            else:
                _drop(passive[node], peer)


@compiled
def grow(active: Ints, passive: Ints, cycles: int, swap: float, state: Dice) -> None:
    """Let nodes join one after the other, each through a random one, and run some cycles."""
    living = np.ones(len(active), np.bool_)
    for node in range(1, len(active)):
        _join(active, passive, node, below(state, node), state)
    for _ in range(cycles):
        _cycle(active, passive, living, swap, state)


@compiled
def fail(active: Ints, passive: Ints, living: Living, fraction: float, repairs: int, swap: float, state: Dice) -> None:
    """Let a fraction die, the survivors drop them from their active views, and run `repairs` cycles."""
    kill(living, fraction, state)
    for node in range(len(active)):
        for place in range(active.shape[1] - 1, -1, -1):
            peer = active[node, place]
            if peer >= 0 and not (living[node] and living[peer]):
                _drop(active[node], peer)
    for _ in range(repairs):
        _cycle(active, passive, living, swap, state)


@compiled
def _walks(table: Ints, sources: int, out: Floats) -> None:
    """Fill in (mean distance, mean of the farthest) from the first `sources` nodes, and the mean local clustering."""
    count, width = table.shape
    hops, queue = np.empty(count, np.int64), np.empty(count, np.int64)
    total, pairs, farthest = 0.0, 0, 0.0
    for source in range(sources):
        hops[:] = -1
        hops[source], queue[0] = 0, source
        at, end = 0, 1
        while at < end:
            node = queue[at]
            at += 1
            for place in range(width):
                peer = table[node, place]
                if peer >= 0 and hops[peer] < 0:
                    hops[peer] = hops[node] + 1
                    total += hops[peer]
                    queue[end] = peer
                    end += 1
        pairs += end - 1
        farthest += hops[queue[end - 1]]
    closed = 0.0
    for node in range(count):
        size, found = _size(table[node]), 0
        for one in range(size):
            for another in range(one):
                found += _holds(table[table[node, one]], table[node, another])
        if size > 1:
            closed += 2.0 * found / (size * (size - 1))
    out[0], out[1], out[2] = total / max(pairs, 1), farthest / sources, closed / count


@dataclass(frozen=True, slots=True)
class Shape:
    """What a graph is like: mean distance and mean of the farthest in hops, mean local clustering coefficient."""

    distance: float
    farthest: float
    clustering: float


def overlay(count: int, *, cycles: int, seed: int, swap: float = SWAP) -> tuple[Ints, Ints]:
    """Return the active and passive views of a HyParView overlay after some cycles."""
    active, passive = np.full((count, ACTIVE), -1, np.int64), np.full((count, PASSIVE), -1, np.int64)
    grow(active, passive, cycles, float(swap), dice(seed, f"overlay {count} {cycles} {swap}"))
    return active, passive


def struck(views: tuple[Ints, Ints], fraction: float, *, seed: int, repairs: int = 1) -> tuple[Nodes, Living]:
    """Return the active views after a massive failure and some cycles, and who lives. `views` stay as they are."""
    active, passive = views[0].copy(), views[1].copy()
    living = np.ones(len(active), np.bool_)
    fail(active, passive, living, float(fraction), repairs, SWAP, dice(seed, f"fail {fraction}"))
    return active, living


def shape(table: Ints | Nodes, sources: int = 300) -> Shape:
    """Measure a connected graph, distances from its first nodes."""
    out = np.zeros(3)
    _walks(table, min(sources, len(table)), out)
    return Shape(float(out[0]), float(out[1]), float(out[2]))
