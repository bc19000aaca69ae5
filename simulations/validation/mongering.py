"""V6 to V9: rumour mongering against the tables of Demers et al. 1987, infect-and-die against random graph theory.

How it works
    `TABLES` holds the published tables: residue s, traffic m, and the cycle in which the last node heard. They were
    printed with two or three digits and come from simulations too, so half a unit of the last digit is allowed besides
    the tolerance. V7 is the paper's differential equation, V8 and V9 are limits for many nodes.

What it does not do
    The mean time until a node hears (t_ave) is not tested: the paper does not say from when it counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from simulations.kernels.cascades import heard
from simulations.kernels.rumors import mongering, pull_counter, push_coin, push_counter
from simulations.validation.checks import Check, Experiment, near
from simulations.validation.theory import atomic, cascade_reach, coin_residue

SITES = 1_000
Printed = tuple[float, float, float]
"""s, m, t_last as printed."""
TABLE_1: dict[int, Printed] = {
    1: (0.18, 1.7, 16.8),
    2: (0.037, 3.3, 16.9),
    3: (0.011, 4.5, 17.4),
    4: (0.0036, 5.6, 17.5),
    5: (0.0012, 6.7, 17.7),
}
TABLE_2: dict[int, Printed] = {
    1: (0.96, 0.04, 38),
    2: (0.20, 1.6, 33),
    3: (0.060, 2.8, 32),
    4: (0.021, 3.9, 32),
    5: (0.008, 4.9, 32),
}
TABLE_3: dict[int, Printed] = {1: (0.031, 2.7, 17.6), 2: (5.8e-4, 4.5, 15.4), 3: (4e-6, 6.1, 14.0)}
HALF_UNITS: dict[str, dict[int, Printed]] = {
    "T1": {1: (5e-3, 0.05, 0.05), 2: (5e-4, 0.05, 0.05), 3: (5e-4, 0.05, 0.05), 4: (5e-5, 0.05, 0.05)},
    "T2": {1: (5e-3, 5e-3, 0.5), 2: (5e-3, 0.05, 0.5), 3: (5e-4, 0.05, 0.5), 4: (5e-4, 0.05, 0.5)},
    "T3": {1: (5e-4, 0.05, 0.05), 2: (5e-6, 0.05, 0.05), 3: (5e-7, 0.05, 0.05)},
}
"""Half a unit of the last printed digit."""
RESIDUE_K_MAX = {"T1": 4, "T2": 4, "T3": 2}
"""Beyond, too few nodes are left out in too few runs, on either side, for s to be compared."""


def demers(seed: int, quick: bool) -> list[Check]:
    """V6."""
    runs = 1_000 if quick else 5_000
    more: tuple[tuple[str, Callable[..., None], tuple[bool, ...], dict[int, Printed]], ...] = (
        ("T1", push_counter, (), TABLE_1),
        ("T2", push_coin, (False,), TABLE_2),
        ("T3", pull_counter, (), TABLE_3),
    )
    found = []
    for table, kernel, options, printed in more:
        for k, (residue, traffic, last) in printed.items():
            told = mongering(kernel, SITES, k, *options, runs=runs * (3 if table == "T3" and k > 1 else 1), seed=seed)
            units = HALF_UNITS[table].get(k, (0.0, 0.05, 0.5))
            name = f"{table} k={k}"
            if k <= RESIDUE_K_MAX[table]:
                part = 0.06 if table != "T3" or k == 1 else 0.10
                found.append(near(f"{name} s", residue, told.residue, part * residue + units[0]))
            found.append(near(f"{name} m", traffic, told.traffic, 0.02 * traffic + units[1]))
            found.append(near(f"{name} t_last", last, told.last, 0.03 * last + units[2]))
    return found


def coin(seed: int, quick: bool) -> list[Check]:
    """V7."""
    count, runs = 100_000, 30 if quick else 150
    found = []
    for k in range(1, 6):
        told = mongering(push_coin, count, k, True, runs=runs, seed=seed)
        expected = coin_residue(k)
        found.append(near(f"k={k} s", expected, told.residue, 0.03 * expected))
        # Any push by which nobody is spared leaves s = exp(-m), ibid.
        found.append(near(f"k={k} s = exp(-m)", math.exp(-told.traffic), told.residue, 0.03 * told.residue))
    return found


def cascades(seed: int, quick: bool) -> list[Check]:
    """V8."""
    count, runs = 20_000, 300 if quick else 1_500
    found = []
    for fanout in (1.5, 2, 3, 4, 5, 6):
        reached = heard(count, fanout, runs=runs, seed=seed)
        took_off = reached > count // 10
        expected = cascade_reach(fanout)
        covered = reached[took_off].sum() / max(took_off.sum(), 1) / count
        found.append(near(f"f={fanout} coverage", expected, covered, 0.003))
        tolerance = 0.02 if not quick else 0.09
        found.append(near(f"f={fanout} P(take-off)", expected, took_off.mean(), tolerance))
    return found


def atomicity(seed: int, quick: bool) -> list[Check]:
    """V9."""
    found = []
    for count in (1_000,) if quick else (1_000, 10_000):
        for margin in (-1, 0, 1, 2, 3):
            reached = heard(count, math.log(count) + margin, runs=2_000, seed=seed)
            found.append(near(f"n={count} c={margin}", atomic(margin), (reached == count).mean(), 0.04))
    return found


EXPERIMENTS = (
    Experiment("V6", "Rumour mongering, three tables", "Demers et al. 1987 (CSL-89-1), tables 1 to 3", demers),
    Experiment("V7", "Feedback and coin", "Demers et al. 1987: s = exp(-(k+1)(1-s)); s = exp(-m)", coin),
    Experiment("V8", "Infect and die, Poisson fanout", "Erdős and Rényi 1960: pi = 1 - exp(-f pi)", cascades),
    Experiment("V9", "Atomic delivery", "Kermarrec, Massoulié, Ganesh 2003: exp(-exp(-c))", atomicity),
)
"""The rows of this module."""
