"""The numbers that experiments are held against, as formulas, each with its source.

How it works
    Everything here is computed from probability alone: no function runs a simulation. The expected rounds of a rumour
    follow from the Markov chain of the number of informed nodes; the rest are fixed points and limits in closed form.

What it does not do
    It holds no published tables: they stand beside the experiments that use them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EXACT_CALLS = 64
"""Pushes of a round up to which the number of nodes hit is computed exactly; with more, each node is missed alone."""


def expected_rounds(count: int, *, pushes: int = 0, pulls: int = 0, success: float = 1.0) -> float:
    """Return E[rounds] until all know a rumour on the complete graph.

    The number of informed nodes is a Markov chain (Frieze and Grimmett 1985, Pittel 1987, Doerr and Kostrygin 2017).
    With k informed, an uninformed node is missed by all k * pushes calls with probability (1 - p/(n-1))^(k pushes)
    and misses with its own pulls with (1 - p k/(n-1))^pulls. Pulls are independent; pushes very nearly once they are
    many, and while they are few the number of nodes hit is computed by drawing call after call.
    """
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    left = np.zeros(count + 1)
    for informed in range(count - 1, 0, -1):
        open_ = count - informed
        missed = (1.0 - success * informed / (count - 1)) ** pulls
        calls = informed * pushes
        if calls <= EXACT_CALLS:
            later, stay = _few(logs, left, count, informed, calls, missed, success)
        else:
            missed *= (1.0 - success / (count - 1)) ** calls
            later, stay = _many(logs, left, count, open_, missed)
        left[informed] = (1.0 + later) / (1.0 - stay)
    return float(left[1])


def _binomial(logs: Floats, total: int, chance: float) -> tuple[int, Floats]:
    """Return (least, probabilities from there) of a binomial number, without its far tails."""
    chance = min(max(chance, 1e-300), 1.0)
    if chance == 1.0:
        return total, np.ones(1)
    spread = 10 * math.sqrt(total * chance * (1 - chance)) + 10
    least = max(0, int(total * chance - spread))
    numbers = np.arange(least, min(total, int(total * chance + spread)) + 1)
    log = logs[total] - logs[numbers] - logs[total - numbers]
    return least, np.exp(log + numbers * math.log(chance) + (total - numbers) * math.log1p(-chance))


def _many(logs: Floats, left: Floats, count: int, open_: int, missed: float) -> tuple[float, float]:
    """Return (expected rounds after this one, probability that nothing happened); the latter's rounds not counted."""
    least, chances = _binomial(logs, open_, missed)
    informed = count - np.arange(least, least + len(chances))
    stays = informed == count - open_
    stay = float(chances[stays].sum())
    return float((chances * left[informed])[~stays].sum()), stay


def _few(
    logs: Floats, left: Floats, count: int, informed: int, calls: int, missed: float, success: float
) -> tuple[float, float]:
    open_ = count - informed
    hit = np.zeros(min(calls, open_) + 1)
    hit[0] = 1.0
    fresh = success * (open_ - np.arange(len(hit))) / (count - 1)
    for _ in range(calls):
        hit = hit * (1.0 - fresh) + np.concatenate([[0.0], (hit * fresh)[:-1]])
    later = stay = 0.0
    for number, chance in enumerate(hit):
        if chance > 1e-15:
            if number == 0:
                more, stayed = _many(logs, left, count, open_, missed)
                later, stay = later + chance * more, stay + chance * stayed
            else:
                least, chances = _binomial(logs, open_ - number, missed)
                later += chance * float((chances * left[count - np.arange(least, least + len(chances))]).sum())
    return later, stay


def coin_residue(k: int) -> float:
    """Return the part that never hears, push with feedback and coin (Demers et al. 1987, §1.4).

    s = exp(-(k+1)(1-s)).
    """
    return _fixed_point(lambda s: math.exp(-(k + 1) * (1.0 - s)), 0.1)


def cascade_reach(fanout: float) -> float:
    """Return the part that infect-and-die reaches if it takes off: pi = 1 - exp(-f pi) (Erdős and Rényi 1960)."""
    return _fixed_point(lambda reach: 1.0 - math.exp(-fanout * reach), 0.9)


def atomic(margin: float) -> float:
    """Return P(all are reached) at fanout ln n + margin (Kermarrec, Massoulié, Ganesh 2003; Erdős and Rényi)."""
    return math.exp(-math.exp(-margin))


def regular_component(degree: int, kept: float) -> float:
    """Return the giant component's part of the kept nodes of a random regular graph.

    Site percolation on a branching tree: S = 1 - u^r with u = 1 - q + q u^(r-1) (Newman, Strogatz, Watts 2001).
    """
    stuck = _fixed_point(lambda u: 1.0 - kept + kept * u ** (degree - 1), 0.0)
    return 1.0 - stuck**degree


def first_detection() -> float:
    """Return protocol periods until a crash is first noticed: e/(e-1) (Das, Gupta, Motivala 2002, SWIM, §3.1)."""
    return math.e / (math.e - 1.0)


def reunion_rounds(count: int) -> float:
    """Return rounds of push-pull until all hold what half held: u' = u^2 exp(-(1-u)) (Demers et al. 1987, §1.3).

    A node still lacks it if whom it calls lacks it, and nobody who holds it calls. The last few that lack it are a
    Poisson number, so P(all hold it after t) = exp(-n u_t).
    """
    lacking, rounds = 0.5, 0.0
    while count * lacking > 1e-12:
        rounds += 1.0 - math.exp(-count * lacking)
        lacking = lacking**2 * math.exp(-(1.0 - lacking))
    return rounds


def _fixed_point(step: Callable[[float], float], start: float) -> float:
    value = start
    for _ in range(10_000):
        after = step(value)
        if abs(after - value) < 1e-14:
            break
        value = after
    return value
