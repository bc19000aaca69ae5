"""From a run that fails to the smallest scenario that still fails in the same way.

How it works
    A failure is the set of checks that a run broke. Step after step something is taken away: a fault, an adversary,
    half of the nodes or of the publications, half of the time, a condition of the network. What is left is run with
    the same seed; if one of the same checks still breaks, it is kept, else the step is undone. It ends when no step
    helps, or when `runs_max` runs were made.

What it does not do
    It does not search other seeds. The smallest it finds is a local one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ledger.errors import LocalError
from simulations.faults import resolved
from simulations.runs import run_one
from simulations.spec import NetworkSpec, OverlaySpec, Scenario, changed, to_toml

RUNS_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What was found. `checks`: what it breaks; `runs`: how many were made."""

    scenario: Scenario
    seed: int
    checks: tuple[str, ...]
    runs: int

    def toml(self) -> str:
        """Return the scenario as a file that runs."""
        told = f"# breaks {', '.join(self.checks)} with seed {self.seed}\n"
        return told + to_toml(self.scenario, short=True)


def broken(scenario: Scenario, seed: int) -> frozenset[str]:
    """Return the checks that a run breaks; a run that raises breaks `raises`."""
    try:
        summary = run_one(scenario, seed)
    except LocalError as error:
        if error.code in {"BAD_SCENARIO", "NO_TOPOLOGY", "NO_PROTOCOL", "NO_ADVERSARY", "EXTRA_MISSING"}:
            return frozenset()
        return frozenset({"raises"})
    return frozenset(one["check"] for one in summary["violations"]) | frozenset(summary["expected_but_held"])


def shrink(
    scenario: Scenario,
    seed: int,
    *,
    runs_max: int = RUNS_MAX,
    fails: Callable[[Scenario, int], frozenset[str]] = broken,
    told: Callable[[str], object] = lambda _: None,
) -> Shrunk:
    """Shrink a failing run. Raises LocalError RUN_HOLDS if it does not fail.

    `fails`: what a run breaks; `told`: a sentence for each step that was kept.
    """
    wanted = fails(scenario, seed)
    if not wanted:
        raise LocalError("RUN_HOLDS", f"{scenario.name} with seed {seed} breaks no check; there is nothing to shrink")
    runs, smaller = 1, True
    while smaller and runs < runs_max:
        smaller = False
        for what, candidate in steps(scenario, seed):
            if runs >= runs_max:
                break
            runs += 1
            if fails(candidate, seed) & wanted:
                told(f"still broken {what}")
                scenario, smaller = candidate, True
                break
    return Shrunk(scenario, seed, tuple(sorted(fails(scenario, seed) & wanted)), runs)


def steps(scenario: Scenario, seed: int) -> Iterator[tuple[str, Scenario]]:
    """Yield smaller scenarios, the largest steps first, each with what it lacks."""
    replace = msgspec.structs.replace
    for name in ("faults", "adversaries"):
        rows = getattr(scenario, name)
        for place in range(len(rows)):
            if rows[place].kind == "chaos":  # its network is kept as it was drawn; only its partitions go
                base = resolved(scenario, seed)
                yield "without chaos's partitions", replace(base, faults=rows[:place] + rows[place + 1 :])
            yield f"without {rows[place].kind}", replace(scenario, **{name: rows[:place] + rows[place + 1 :]})
    for field, least in (("nodes", 2), ("load.count", 0), ("seconds", 10.0)):
        yield from _halved(scenario, field, least)
    for field, usual in msgspec.to_builtins(NetworkSpec()).items():
        if getattr(scenario.network, field) != usual:
            yield f"with {field} as usual", replace(scenario, network=replace(scenario.network, **{field: usual}))
    if scenario.overlay != OverlaySpec():
        yield "with the usual overlay", replace(scenario, overlay=OverlaySpec())
    if scenario.load.withdraw:
        yield "without withdrawals", changed(scenario, {"load.withdraw": 0.0})


def _halved(scenario: Scenario, field: str, least: float) -> Iterator[tuple[str, Scenario]]:
    value: Any = scenario
    for part in field.split("."):
        value = getattr(value, part)
    whole = isinstance(value, int)
    for candidate in (value / 2, value * 3 / 4, value - 1 if whole else value):
        smaller = max(least, int(candidate) if whole else candidate)
        if smaller < value:
            try:
                yield f"with {field} = {smaller}", changed(scenario, {field: smaller})
            except LocalError:
                continue  # a node that is named would be gone
