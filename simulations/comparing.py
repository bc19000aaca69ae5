"""Two sets of runs side by side: what changed, by which factor. A gate for continuous integration.

How it works
    Each side is a folder: one run, or any folder above runs. Of every run its summary is read; numbers are averaged
    over the runs of a side, and the factor is second over first. A side whose runs fail their checks says so.

What it does not do
    It tests no significance: give both sides the same seeds, and enough of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ledger.errors import LocalError
from simulations.runs import complete, read_summary

MEASURES: Final[dict[str, Callable[[dict[str, Any]], float | None]]] = {
    "reached": lambda run: run["reached"],
    "arrival p50 (s)": lambda run: run["arrival_s"]["p50"],
    "arrival p99 (s)": lambda run: run["arrival_s"]["p99"],
    "arrival max (s)": lambda run: run["arrival_s"]["max"],
    "last hop": lambda run: run["hops"]["max"],
    "redundancy": lambda run: run["redundancy"],
    "messages": lambda run: run["counts"].get("sent"),
    "bytes": lambda run: run["counts"].get("bytes"),
    "converged (s)": lambda run: run["converged_s"],
    "revocation p99 (s)": lambda run: run["revocation_s"]["p99"],
    "revocation max (s)": lambda run: run["revocation_s"]["max"],
    "last pack after withdrawal (s)": lambda run: run["refused_s"]["max"],
    "leaked packs": lambda run: run["leaked_packs"],
    "failed runs": lambda run: float(not run["ok"]),
}
"""What is compared: the name and where a summary has it."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure on both sides, averaged over runs. `factor`: second over first; None where it says nothing."""

    measure: str
    first: float | None
    second: float | None
    factor: float | None


def compare(first: Path, second: Path) -> list[Compared]:
    """Compare two folders of runs. Raises LocalError NO_RUN where a folder holds none."""
    sides = [_read(folder) for folder in (first, second)]
    found = []
    for name, measure in MEASURES.items():
        one, other = (_mean([measure(run) for run in side]) for side in sides)
        if one is not None or other is not None:
            factor = other / one if one and other is not None else (1.0 if one == other else None)
            found.append(Compared(name, _short(one), _short(other), _short(factor)))
    return found


def _read(folder: Path) -> list[dict[str, Any]]:
    runs = [read_summary(each) for each in complete(folder)]
    if not runs:
        raise LocalError("NO_RUN", f"{folder.name} holds no complete run", field="folder")
    return runs


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _short(value: float | None) -> float | None:
    """Return a number with six digits: more say nothing here."""
    return None if value is None else float(f"{value:.6g}")
