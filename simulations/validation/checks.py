"""What an experiment is, and what it says: numbers expected, measured, and how far apart they may be.

How it works
    An `Experiment` is a function from (seed, quick) to `Check`s. Its row (`row_of`) gives the check that came nearest
    to failing as expected, measured and tolerance, and all of them under `checks`. It passes if all hold.

What it does not do
    It chooses no numbers: expectations stand in the experiments' modules and in `theory`, with their sources.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["within", "at least", "at most"]


@dataclass(frozen=True, slots=True)
class Check:
    """One number. `within`: measured may differ from expected by `tolerance`; else it may pass the bound by so much."""

    name: str
    expected: float
    measured: float
    tolerance: float
    kind: Kind = "within"

    @property
    def miss(self) -> float:
        """How far off it is, in tolerances: above 1 it fails."""
        gap = self.measured - self.expected
        if self.kind != "within":
            gap = max(0.0, gap if self.kind == "at most" else -gap)
        if math.isnan(gap):
            return math.inf
        return abs(gap) / self.tolerance if self.tolerance else (math.inf if gap else 0.0)

    @property
    def holds(self) -> bool:
        """Whether the number is as expected."""
        return self.miss <= 1.0


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of the table. `source`: where the expected numbers come from. `run(seed, quick)` gives its checks."""

    id: str
    title: str
    source: str
    run: Callable[[int, bool], Sequence[Check]]


def near(name: str, expected: float, measured: float, tolerance: float) -> Check:
    """Return a check of closeness."""
    return Check(name, float(expected), float(measured), float(tolerance))


def at_least(name: str, bound: float, measured: float) -> Check:
    """Return a check that something is not below a bound."""
    return Check(name, float(bound), float(measured), 0.0, "at least")


def at_most(name: str, bound: float, measured: float) -> Check:
    """Return a check that something is not above a bound."""
    return Check(name, float(bound), float(measured), 0.0, "at most")


def row_of(experiment: Experiment, seed: int, *, quick: bool) -> dict[str, Any]:
    """Run an experiment and return its row of the table."""
    began = time.perf_counter()
    checks = tuple(experiment.run(seed, quick))
    worst = max(checks, key=lambda check: check.miss)
    return {
        "id": experiment.id,
        "title": experiment.title,
        "source": experiment.source,
        "check": worst.name,
        "expected": worst.expected,
        "measured": worst.measured,
        "tolerance": worst.tolerance,
        "kind": worst.kind,
        "verdict": "pass" if all(check.holds for check in checks) else "fail",
        "seconds": round(time.perf_counter() - began, 2),
        "checks": [{**asdict(check), "verdict": "pass" if check.holds else "fail"} for check in checks],
    }
