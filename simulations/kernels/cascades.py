"""Infect-and-die, failure detection and the healing of a partition: one rumour, one crash, one reunion at a time.

How it works
    `cascade`: whoever hears a rumour passes it on once, to a Poisson number of others, and never again.
    `detect`: SWIM's first detection: each live node pings one random other each protocol period, until one pings the
    node that crashed. `reunite`: half the nodes hold what the other half lacks; each round every node exchanges with
    one other, both ways, by what both held at the beginning of the round.

What it does not do
    Pings are never lost, and suspicion is not modelled: V17 asks when the first ping fails.
"""

from __future__ import annotations

import numpy as np

from simulations.kernels.dice import Dice, Ints, below, compiled, dice, poisson


@compiled
def cascade(count: int, fanout: float, state: Dice, out: Ints) -> None:
    """Run len(out) rumours; `out`: how many of `count` nodes heard each."""
    informed = np.empty(count, np.bool_)
    queue = np.empty(count, np.int64)
    for run in range(len(out)):
        informed[:] = False
        informed[0], queue[0] = True, 0
        at, heard = 0, 1
        while at < heard:
            node = queue[at]
            at += 1
            for _ in range(poisson(state, fanout)):
                target = below(state, count - 1)
                target += target >= node
                if not informed[target]:
                    informed[target] = True
                    queue[heard] = target
                    heard += 1
        out[run] = heard


@compiled
def detect(count: int, state: Dice, out: Ints) -> None:
    """Crash node 0 of `count`, len(out) times; `out`: the protocol period in which somebody first pinged it."""
    for run in range(len(out)):
        period, found = 0, False
        while not found:
            period += 1
            for node in range(1, count):
                target = below(state, count - 1)
                target += target >= node
                if target == 0:
                    found = True
        out[run] = period


@compiled
def reunite(count: int, state: Dice, out: Ints) -> None:
    """Let two halves meet, len(out) times; `out`: rounds of push-pull exchange until all hold what one half held."""
    holds, before = np.empty(count, np.bool_), np.empty(count, np.bool_)
    for run in range(len(out)):
        for node in range(count):
            holds[node] = node % 2 == 0
        held, rounds = (count + 1) // 2, 0
        while held < count:
            rounds += 1
            before[:] = holds
            for node in range(count):
                target = below(state, count - 1)
                target += target >= node
                if before[node] != before[target]:
                    held += not holds[node]
                    held += not holds[target]
                    holds[node] = holds[target] = True
        out[run] = rounds


def heard(count: int, fanout: float, *, runs: int, seed: int) -> Ints:
    """Return how many nodes heard each rumour of `cascade`."""
    out = np.zeros(runs, np.int64)
    cascade(count, float(fanout), dice(seed, f"cascade {count} {fanout}"), out)
    return out


def detections(count: int, *, runs: int, seed: int) -> Ints:
    """Return the periods of `detect`."""
    out = np.zeros(runs, np.int64)
    detect(count, dice(seed, f"detect {count}"), out)
    return out


def reunions(count: int, *, runs: int, seed: int) -> Ints:
    """Return the rounds of `reunite`."""
    out = np.zeros(runs, np.int64)
    reunite(count, dice(seed, f"reunite {count}"), out)
    return out
