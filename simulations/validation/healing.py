"""V15 to V17: silent nodes and eclipses, the healing of a partition, the first detection of a crash.

How it works
    V15 holds random regular graphs with silenced nodes against percolation theory, and a node that samples its
    neighbours against b^r. V16 holds push-pull exchanges against their recursion, and lets a mesh of real cores fall
    into halves that write apart, and heal: what they hold must become one again. V17 is SWIM's e/(e-1).

What it does not do
    The rounds of the real cores are not held against the kernel: their exchanges reconcile sets, not one rumour.
"""

from __future__ import annotations

import numpy as np

from simulations.kernels.cascades import detections, reunions
from simulations.kernels.dice import Dice, Ints, below, compiled, dice
from simulations.kernels.floods import largest, regular
from simulations.validation.checks import Check, Experiment, at_most, near
from simulations.validation.theory import first_detection, regular_component, reunion_rounds

GRAPHS = 3
"""Graphs that each point of V15 is averaged over."""


@compiled
def eclipse(nodes: int, malicious: int, slots: int, pinned: int, state: Dice, out: Ints) -> None:
    """Let a node choose its other `slots - pinned` neighbours evenly, len(out) times; out: 1 where all are malicious.

    The first `malicious` of `nodes` are; `pinned` slots are malicious too: the worst case of a pinned peer.
    """
    chosen = np.empty(slots, np.int64)
    for run in range(len(out)):
        out[run] = 1
        for slot in range(slots - pinned):
            again = True
            while again:
                chosen[slot] = below(state, nodes)
                again = False
                for before in range(slot):
                    again = again or chosen[before] == chosen[slot]
            if chosen[slot] >= malicious:
                out[run] = 0
                break


def silent(seed: int, quick: bool) -> list[Check]:
    """V15."""
    count = 10_000 if quick else 40_000
    found = []
    for degree in (5, 8):
        graphs = [regular(count, degree, seed=seed + number) for number in range(GRAPHS)]
        for fraction in (0.2, 0.33, 0.5, 0.6):
            mean = sum(largest(graph, fraction, seed=seed + n)[0] for n, graph in enumerate(graphs)) / GRAPHS
            found.append(near(f"silent b={fraction} r={degree}", regular_component(degree, 1 - fraction), mean, 0.009))
    runs = 40_000
    for part in (0.5, 0.8):
        for slots, pinned in ((5, 0), (8, 0), (8, 2)):
            out = np.zeros(runs, np.int64)
            state = dice(seed, f"eclipse {part} {slots} {pinned}")
            eclipse(10_000, round(part * 10_000), slots, pinned, state, out)
            expected = part ** (slots - pinned)
            tolerance = 4 * (expected * (1 - expected) / runs) ** 0.5
            found.append(near(f"eclipse b={part} r={slots} pinned={pinned}", expected, out.mean(), tolerance))
    return found


def reunion(seed: int, quick: bool) -> list[Check]:
    """V16."""
    found = [
        near(f"n={count}", reunion_rounds(count), reunions(count, runs=400, seed=seed).mean(), 0.25)
        for count in (100, 1_000, 10_000)
    ]
    from simulations.validation.worlds import heal

    count = 10 if quick else 24
    told = heal(count, seed)
    found.append(near(f"real cores, {count} nodes: distinct frontiers during the partition", 2, told.roots_apart, 0))
    found.append(near(f"real cores, {count} nodes: distinct frontiers after it", 1, told.roots_after, 0))
    bound = (reunion_rounds(count) + 1) * told.interval_seconds
    found.append(at_most(f"real cores, {count} nodes: seconds until they agree", bound, told.seconds))
    return found


def detection(seed: int, quick: bool) -> list[Check]:
    """V17."""
    runs = 4_000 if quick else 20_000
    return [near("n=500, periods", first_detection(), detections(500, runs=runs, seed=seed).mean(), 0.04)]


EXPERIMENTS = (
    Experiment("V15", "Silent nodes, and eclipse", "Newman, Strogatz, Watts 2001: 1 - u^r; b^(r-k)", silent),
    Experiment("V16", "Partition and heal", "Demers et al. 1987: u' = u^2 exp(-(1-u))", reunion),
    Experiment("V17", "First detection of a crash", "Das, Gupta, Motivala 2002 (SWIM): e/(e-1)", detection),
)
"""The rows of this module."""
