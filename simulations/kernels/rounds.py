"""Rumours on the complete graph in synchronous rounds: push, pull, push-pull, with any fanout and failing calls.

How it works
    Nodes are kept in one order, the informed first, so that a round touches those who call and nobody else. Who was
    informed at the beginning of a round acts in it. Each call goes to another node chosen evenly, and reaches it with
    probability `success`.

What it does not do
    Messages take no time and there is no network: floods along edges are in `floods`.
"""

from __future__ import annotations

import numpy as np

from simulations.kernels.dice import Dice, Ints, below, compiled, dice, unit


@compiled
def _inform(order: Ints, place: Ints, node: int, at: int) -> None:
    moved, was = order[at], place[node]
    order[at], order[was] = node, moved
    place[node], place[moved] = at, was


@compiled
def spread(count: int, pushes: int, pulls: int, success: float, state: Dice, out: Ints) -> int:
    """Run len(out) rumours among `count` nodes; `out`: rounds of each. Return how many calls there were in all.

    `pushes`: calls of an informed node in a round; `pulls`: those of one that is not.
    """
    order, place = np.empty(count, np.int64), np.empty(count, np.int64)
    calls = 0
    for run in range(len(out)):
        for node in range(count):
            order[node] = place[node] = node
        informed, rounds = 1, 0
        while informed < count:
            rounds += 1
            known = informed
            for at in range(known * pushes):
                node = order[at // pushes]
                target = below(state, count - 1)
                target += target >= node
                if place[target] >= informed and (success >= 1.0 or unit(state) < success):
                    _inform(order, place, target, informed)
                    informed += 1
            calls += known * pushes
            if pulls:
                calls += (count - informed) * pulls
                for at in range(informed, count):
                    node = order[at]
                    for _ in range(pulls):
                        target = below(state, count - 1)
                        target += target >= node
                        if place[target] < known and (success >= 1.0 or unit(state) < success):
                            _inform(order, place, node, informed)
                            informed += 1
                            break
        out[run] = rounds
    return calls


def rounds(
    count: int, *, pushes: int = 0, pulls: int = 0, success: float = 1.0, runs: int, seed: int, purpose: str = ""
) -> Ints:
    """Return the rounds until all of `count` nodes know a rumour, for each of `runs`. `purpose` names the dice."""
    out = np.zeros(runs, np.int64)
    spread(count, pushes, pulls, float(success), dice(seed, f"rounds {purpose}"), out)
    return out
