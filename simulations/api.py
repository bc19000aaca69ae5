"""What `maille sim` does, for Python: run, sweep, resume, compare, replay, shrink, topology, report, validate.

    from pathlib import Path
    from simulations import api

    if __name__ == "__main__":  # a sweep starts processes, which import this file
        scenario = api.load("revocation", {"network.loss": 0.1})
        summary = api.run(scenario, seed=1, out=Path("runs"))
        api.sweep(api.grid(scenario, {"nodes": [20, 50, 100]}, range(1, 6)), Path("runs"))

How it works
    Scenarios are values (simulations.spec), runs are folders (simulations.runs). Everything here is also a command.

What it does not do
    It prints nothing and ends no process: what fails raises LocalError, and a run that breaks a check says so in its
    summary (`ok`, `violations`).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.errors import LocalError
from simulations import drawing, spec
from simulations.comparing import Compared, compare
from simulations.extra import needs
from simulations.network import Modelled
from simulations.randomness import Seed
from simulations.runs import kept, read_summary, simulate
from simulations.runs import run_one as run
from simulations.shrinking import Shrunk, shrink
from simulations.spec import RunName, Scenario, changed, names, to_toml
from simulations.sweeps import grid, resume, sweep
from simulations.topologies import overlay

if TYPE_CHECKING:
    from simulations.figures.report import Made

__all__ = (
    "Compared",
    "Replayed",
    "RunName",
    "Scenario",
    "Shrunk",
    "Topology",
    "changed",
    "compare",
    "grid",
    "kept",
    "load",
    "names",
    "replay",
    "report",
    "resume",
    "run",
    "shrink",
    "sweep",
    "to_toml",
    "topology",
    "validate",
)


def load(name: str, settings: Mapping[str, Any] | None = None) -> Scenario:
    """Return a named scenario, or that of a file, with fields set by dotted names. Raises NO_SCENARIO, BAD_SCENARIO."""
    return changed(spec.load(name), settings or {})


def report(runs: Path, out: Path) -> Made:
    """Draw the runs below a folder into another, with an HTML page. Raises EXTRA_MISSING, NO_RUNS, BAD_RUN."""
    needs("matplotlib")
    needs("polars")
    from simulations.figures import report as figures

    return figures.report(runs, out)


def validate(
    names: Sequence[str] = (), *, quick: bool = False, seed: int = 1, workers: int = 1
) -> list[dict[str, Any]]:
    """Hold the simulator against theory; return a row for each experiment. Raises EXTRA_MISSING, UNKNOWN_EXPERIMENT.

    `names`: those that are run, as V1; none: all. More than one worker starts processes that import the caller's file.
    """
    needs("numba")
    needs("rustworkx")
    from simulations.validation import table

    return table.validate(names, quick=quick, seed=seed, workers=workers)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run that was run again. `same`: whether its trace is that of the folder; `html`: its diagram."""

    trace: str
    same: bool
    html: str
    messages: int


def replay(folder: Path, *, start_s: float | None = None, seconds: float = 1.0) -> Replayed:
    """Run a folder's scenario again with its seed, and draw its messages. Raises LocalError NO_RUN.

    `start_s`, `seconds`: the window that is drawn, since the run began; by default around the first publication.
    """
    summary = read_summary(folder)
    try:
        scenario = spec.parse((folder / "spec.toml").read_bytes())
    except OSError:
        raise LocalError("NO_RUN", f"{folder.name} holds no spec.toml", field="run") from None
    records, again = simulate(scenario, int(summary["seed"]), traced=True)
    window = drawing.window_of(records, start_s, seconds)
    title = f"{scenario.name}, seed {summary['seed']}"
    page = drawing.page(title, records, scenario.nodes, *window)
    return Replayed(again["trace"], again["trace"] == summary["trace"], page, len(records.messages))


@dataclass(frozen=True, slots=True)
class Topology:
    """What a scenario's network is, before any message. Latencies are one-way between neighbours, milliseconds.

    Each is the way's own, before jitter; where distance does not matter, the median of what messages will draw.
    """

    name: str
    places: int
    links: int
    km: float
    nodes: int
    channels: int
    degree_min: int
    degree_max: int
    components: int
    behind_nat: int
    p50_ms: float
    p95_ms: float
    max_ms: float


def topology(scenario: Scenario, seed: int = 1) -> Topology:
    """Return what the network and the overlay of a scenario come to with a seed."""
    named = Seed(seed, scenario.name)
    network = Modelled(named, scenario.network, scenario.nodes)
    neighbours = overlay(scenario.overlay, scenario.nodes, named.stream(-1, "overlay"), network.can_dial)
    pairs = [(one, other) for one, peers in enumerate(neighbours) for other in peers if one < other]
    latencies = sorted(network.latency_ms(*pair) for pair in pairs) or [0.0]
    degrees = [len(peers) for peers in neighbours]
    terrain = network.terrain
    return Topology(
        name=scenario.network.latency if terrain is None else terrain.name,
        places=0 if terrain is None else len(terrain.names),
        links=0 if terrain is None else terrain.links,
        km=0.0 if terrain is None else round(terrain.km, 1),
        nodes=scenario.nodes,
        channels=len(pairs),
        degree_min=min(degrees),
        degree_max=max(degrees),
        components=_components(neighbours),
        behind_nat=len(network.behind_nat),
        p50_ms=round(statistics.median(latencies), 3),
        p95_ms=round(latencies[min(len(latencies) - 1, len(latencies) * 95 // 100)], 3),
        max_ms=round(latencies[-1], 3),
    )


def _components(neighbours: list[list[int]]) -> int:
    seen: set[int] = set()
    count = 0
    for start in range(len(neighbours)):
        if start in seen:
            continue
        count += 1
        waiting = [start]
        while waiting:
            number = waiting.pop()
            if number not in seen:
                seen.add(number)
                waiting += neighbours[number]
    return count
