"""Rumour mongering after Demers et al. 1987: nodes lose interest in a rumour that they find known already.

How it works
    One rumour starts at one of n nodes; cycles go on until nobody is interested. `push_counter` is the paper's
    Table 1 (feedback, counter k: what a node finds is judged by the beginning of the cycle, and a useful contact sets
    the counter back), `push_coin` its Table 2 (blind, with a coin 1/k) and, with feedback, the variant of the paper's
    differential equation; `pull_counter` its Table 3 (one count a cycle, set back if anybody needed it).
    Each run gives (nodes that never heard, updates sent, cycle in which the last heard), summed up by `Told`.

What it does not do
    There is no hunting and no limit of connections.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.kernels.dice import Dice, below, compiled, dice, unit

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Told:
    """Means over runs. `residue`: the part that never heard; `traffic`: updates sent a node; `last`: cycles."""

    residue: float
    traffic: float
    last: float


@compiled
def push_counter(count: int, k: int, state: Dice, out: Rows) -> None:
    """Push with feedback and counter: interest is lost after k contacts in a row that were not needed."""
    heard = np.empty(count, np.int64)  # the cycle in which a node heard; -1: not yet
    active, useless = np.empty(count, np.int64), np.empty(count, np.int64)
    for run in range(len(out)):
        heard[:] = -1
        heard[0], active[0], useless[0] = 0, 0, 0
        live, cycle, sent, last = 1, 0, 0, 0
        while live:
            cycle += 1
            kept, fresh = 0, live
            for at in range(live):
                node = active[at]
                target = below(state, count - 1)
                target += target >= node
                sent += 1
                known = 0 <= heard[target] < cycle
                if heard[target] < 0:
                    heard[target] = cycle
                    active[fresh], useless[target] = target, 0
                    fresh += 1
                    last = cycle
                useless[node] = useless[node] + 1 if known else 0
                if useless[node] < k:
                    active[kept] = node
                    kept += 1
            for at in range(live, fresh):
                active[kept] = active[at]
                kept += 1
            live = kept
        out[run, 0], out[run, 1], out[run, 2] = np.sum(heard < 0), sent, last


@compiled
def push_coin(count: int, k: int, feedback: bool, state: Dice, out: Rows) -> None:
    """Push, losing interest with probability 1/k after each contact (blind) or each needless one (feedback)."""
    informed = np.empty(count, np.bool_)
    active = np.empty(count, np.int64)
    for run in range(len(out)):
        informed[:] = False
        informed[0], active[0] = True, 0
        live, cycle, sent, last = 1, 0, 0, 0
        while live:
            cycle += 1
            kept, fresh = 0, live
            for at in range(live):
                node = active[at]
                target = below(state, count - 1)
                target += target >= node
                sent += 1
                known = informed[target]
                if not known:
                    informed[target] = True
                    active[fresh] = target
                    fresh += 1
                    last = cycle
                if (feedback and not known) or unit(state) * k >= 1.0:
                    active[kept] = node
                    kept += 1
            for at in range(live, fresh):
                active[kept] = active[at]
                kept += 1
            live = kept
        out[run, 0], out[run, 1], out[run, 2] = np.sum(~informed), sent, last


@compiled
def pull_counter(count: int, k: int, state: Dice, out: Rows) -> None:
    """Pull with feedback and counter: a node loses interest after k cycles in a row in which no asker needed it."""
    heard, useless = np.empty(count, np.int64), np.empty(count, np.int64)
    asked, needed = np.empty(count, np.bool_), np.empty(count, np.bool_)
    for run in range(len(out)):
        heard[:] = -1
        useless[:] = k  # who has not heard is not interested
        heard[0] = useless[0] = 0
        live, cycle, sent, last = 1, 0, 0, 0
        while live:
            cycle += 1
            asked[:] = False
            needed[:] = False
            for node in range(count):
                source = below(state, count - 1)
                source += source >= node
                if not (0 <= heard[source] < cycle) or useless[source] >= k:
                    continue
                sent += 1
                asked[source] = True
                if heard[node] < 0 or heard[node] == cycle:
                    needed[source] = True
                    heard[node] = cycle
                    useless[node] = 0
                    last = cycle
            live = 0
            for node in range(count):
                if asked[node] and heard[node] < cycle:
                    useless[node] = 0 if needed[node] else useless[node] + 1
                live += heard[node] >= 0 and useless[node] < k
        out[run, 0], out[run, 1], out[run, 2] = np.sum(heard < 0), sent, last


def mongering(kernel: Callable[..., None], count: int, k: int, *more: bool, runs: int, seed: int) -> Told:
    """Run one of the kernels and return its means. `more`: what the kernel takes besides."""
    out = np.zeros((runs, 3))
    kernel(count, k, *more, dice(seed, f"rumors {kernel.__name__} {count} {k} {more}"), out)
    residue, traffic, last = out.mean(axis=0)
    return Told(float(residue) / count, float(traffic) / count, float(last))
