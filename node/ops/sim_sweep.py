"""Operations of `maille sim` on many runs: sweep over parameters and seeds, go on with a sweep, compare.

How it works
    As node/ops/sim.py: simulations/api.py does it, here or through processes and clusters. Exit code 1: a run broke a
    check, or a gate was exceeded.

What it does not do
    It needs no node and touches none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from node.exits import OK, REFUSED, usage
from node.operation import Args, Local, Result, local_operation, said
from node.ops.sim import NAME, OUT, SET, bar, from_here, pairs, settings

Count = Annotated[int, Meta(ge=0)]
_WORKERS = "Processes side by side; 0: one for each core."
_CLUSTER = "Address of a dask scheduler, tcp://host:port, instead of processes here."


class SweepArgs(Args, frozen=True):
    """What to run with which parameters."""

    scenario: Annotated[str, said(NAME, positional=True)]
    out: Annotated[str, said(OUT, path=True)]
    over: Annotated[tuple[str, ...], said("Values of one field: network.loss=0,0.1,0.2. May be given again.")] = ()
    seeds: Annotated[str, said("Seeds, as 1..10 or 1,5,9.")] = "1..5"
    set: Annotated[tuple[str, ...], said(SET)] = ()
    workers: Annotated[Count, said(_WORKERS)] = 0
    cluster: Annotated[str, said(_CLUSTER)] = ""


class ResumeArgs(Args, frozen=True):
    """Which sweep goes on."""

    folder: Annotated[str, said("The folder of its runs.", positional=True, path=True)]
    workers: Annotated[Count, said(_WORKERS)] = 0
    cluster: Annotated[str, said(_CLUSTER)] = ""


class SimCompareArgs(Args, frozen=True):
    """What to compare."""

    first: Annotated[str, said("A folder of runs, the baseline.", positional=True, path=True)]
    second: Annotated[str, said("A folder of runs.", positional=True, path=True)]
    fail_above: Annotated[float | None, said("Exit with 1 if any factor of a cost is above this.")] = None


class SweepDone(Result, frozen=True):
    """What a sweep came to."""

    runs: Annotated[int, said("Runs that are complete.")]
    failed: Annotated[tuple[str, ...], said("Those that broke a check: scenario, hash and seed.")]
    out: Annotated[str, said("Where they are.")]


class CompareRow(msgspec.Struct, frozen=True):
    """One measure on both sides."""

    measure: Annotated[str, said("What it is.")]
    first: Annotated[float | None, said("Mean over the runs of the first.")]
    second: Annotated[float | None, said("Mean over the runs of the second.")]
    factor: Annotated[float | None, said("Second over first.")]


class SidesCompared(Result, frozen=True):
    """Two sides."""

    rows: Annotated[tuple[CompareRow, ...], said("Each measure.")]
    above: Annotated[tuple[str, ...], said("Measures whose factor is above the limit.")]


@local_operation("sim", "sweep", permission="read", exit_of=lambda done: REFUSED if done.failed else OK)
def sim_sweep(local: Local, args: SweepArgs) -> SweepDone:
    """Run a scenario with every combination of values and seeds, here or on a cluster. Complete runs are kept."""
    from simulations import api

    from_here()
    over = {name: _values(values) for name, values in pairs(args.over, "over")}
    runs = api.grid(api.load(args.scenario, settings(args.set)), over, _seeds(args.seeds))
    if held := sum(api.kept(run, Path(args.out)) for run in runs):
        local.say(f"{held} of {len(runs)} runs are complete already: they are read, not run.")
    found = api.sweep(runs, Path(args.out), workers=args.workers, cluster=args.cluster, done=_told)
    return _swept(local, found, args.out)


@local_operation("sim", "resume", permission="read", exit_of=lambda done: REFUSED if done.failed else OK)
def sim_resume(local: Local, args: ResumeArgs) -> SweepDone:
    """Go on with a sweep that was interrupted."""
    from simulations import api

    from_here()
    found = api.resume(Path(args.folder), workers=args.workers, cluster=args.cluster, done=_told)
    return _swept(local, found, args.folder)


def _told(done: int, count: int, _: dict[str, Any]) -> None:
    bar("sweep", done / count)


def _swept(local: Local, found: Sequence[dict[str, Any]], out: str) -> SweepDone:
    if len(commits := {str(one["commit"]) for one in found}) > 1:
        local.say(f"These runs are of several commits: {', '.join(sorted(commits))}. To compare them, sweep anew.")
    failed = tuple(f"{one['scenario']} {one['params']} {one['seed']}" for one in found if not one["ok"])
    return SweepDone(len(found), failed, out)


@local_operation("sim", "compare", permission="read", exit_of=lambda found: REFUSED if found.above else OK)
def sim_compare(local: Local, args: SimCompareArgs) -> SidesCompared:  # noqa: ARG001 (every operation has it)
    """Compare two folders of runs: the factor of each measure. With --fail-above, a gate."""
    from simulations import api

    rows = api.compare(Path(args.first), Path(args.second))
    limit = args.fail_above
    above = [
        row.measure
        for row in rows
        if limit is not None and row.measure != "reached" and (row.factor is None or row.factor > limit)
    ]
    found = tuple(CompareRow(row.measure, row.first, row.second, row.factor) for row in rows)
    return SidesCompared(found, tuple(above))


def _values(text: str) -> list[str]:
    """Return the values of a list between commas; brackets hold values together."""
    found, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return found


def _seeds(text: str) -> list[int]:
    try:
        if ".." in text:
            first, last = (int(part) for part in text.split("..", 1))
            found = list(range(first, last + 1))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found:
        raise usage("Seeds are 1..10 or 1,5,9.", "seeds")
    return found
