"""The table of experiments, and running it: in this process, or side by side in several.

How it works
    `validate` runs experiments and returns their rows in order. Each is a function of the seed alone, so that workers
    change nothing but the time. Workers are new processes; machine code of kernels is shared through numba's cache.

What it does not do
    It prints and writes nothing (see figures/validation and node/ops/sim_validate).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from typing import Any, Final

from ledger.errors import LocalError
from simulations.pools import pool
from simulations.validation import floods, healing, mongering, overlays, spreading
from simulations.validation.checks import Experiment, row_of

EXPERIMENTS: Final[tuple[Experiment, ...]] = tuple(
    sorted(
        (
            *spreading.EXPERIMENTS,
            *mongering.EXPERIMENTS,
            *floods.EXPERIMENTS,
            *overlays.EXPERIMENTS,
            *healing.EXPERIMENTS,
        ),
        key=lambda experiment: int(experiment.id[1:]),
    )
)
"""Every experiment, once, in the order of its number."""

Row = dict[str, Any]


def chosen(names: Sequence[str]) -> tuple[Experiment, ...]:
    """Return the experiments of these ids, all where none is named. Raises LocalError UNKNOWN_EXPERIMENT."""
    known = {experiment.id: experiment for experiment in EXPERIMENTS}
    wrong = [name for name in names if name.upper() not in known]
    if wrong:
        told = f"there is no experiment {wrong[0]!r}; there are {', '.join(known)}"
        raise LocalError("UNKNOWN_EXPERIMENT", told)
    wanted = {name.upper() for name in names}
    return tuple(experiment for experiment in EXPERIMENTS if not wanted or experiment.id in wanted)


def validate(
    names: Sequence[str] = (),
    *,
    quick: bool,
    seed: int = 1,
    workers: int = 1,
    told: Callable[[Row], None] = lambda _: None,
) -> list[Row]:
    """Run experiments and return their rows. `told` hears of each as it ends. Raises LocalError UNKNOWN_EXPERIMENT."""
    experiments = chosen(names)
    rows: dict[str, Row] = {}
    if workers == 1 or len(experiments) == 1:
        for experiment in experiments:
            rows[experiment.id] = row_of(experiment, seed, quick=quick)
            told(rows[experiment.id])
    else:
        with pool(workers) as made:
            # the long ones first, so that none is left for the end alone
            order = sorted(experiments, key=lambda experiment: experiment.id not in LONG)
            for future in as_completed([made.submit(_row, experiment.id, seed, quick) for experiment in order]):
                row = future.result()
                rows[row["id"]] = row
                told(row)
    return [rows[experiment.id] for experiment in experiments]


def cores() -> int:
    """Return how many workers to use: a core each, at most four."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(4, len(affinity(0)) if affinity else os.cpu_count() or 1)


LONG: Final = frozenset({"V10", "V11", "V12", "V13", "V14", "V16"})
"""Experiments that take longest."""


def _row(name: str, seed: int, quick: bool) -> Row:
    return row_of(chosen([name])[0], seed, quick=quick)
