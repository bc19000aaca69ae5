"""Many runs: every combination of parameters and seeds, side by side, here or on a cluster; resumable.

How it works
    `grid` makes the runs of a sweep: each value of each parameter with each seed. `sweep` gives those that are not
    complete yet to an executor (concurrent.futures): processes of this machine, or the workers of a dask cluster at
    `tcp://host:port`, which offers the same interface. A worker needs maille[sim] and no shared disk: it sends back
    the files of its run. The sweep itself is written down beside the runs, so that `resume` needs the folder alone.

What it does not do
    It starts no cluster and installs nothing on it. One run uses one process.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.errors import LocalError
from simulations.extra import needs
from simulations.files import write_whole
from simulations.pools import pool
from simulations.runs import SUMMARY, kept, read_summary, run_one
from simulations.spec import RunName, Scenario, changed

SWEEP: Final = "sweep.json"
RUNS_MAX: Final = 100_000

Done = Callable[[int, int, dict[str, Any]], object]
"""Told of each run: how many are done, how many there are, its summary."""


def grid(scenario: Scenario, over: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> list[RunName]:
    """Return every combination of values and seeds. `over`: dotted name -> values, as `changed` takes them."""
    combinations = [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]
    found = [RunName(changed(scenario, settings), seed) for settings in combinations for seed in seeds]
    if not 0 < len(found) <= RUNS_MAX:
        raise LocalError("BAD_SWEEP", f"a sweep has 1 to {RUNS_MAX} runs, not {len(found)}", field="over")
    return found


def sweep(
    runs: Sequence[RunName],
    out: Path,
    *,
    workers: int = 0,
    cluster: str = "",
    done: Done = lambda _, __, ___: None,
) -> list[dict[str, Any]]:
    """Run what is not complete yet, and return the summaries of all, in order.

    `workers`: processes of this machine; 0: as many as it has cores. `cluster`: address of a dask scheduler instead.
    Raises LocalError EXTRA_MISSING, NO_CLUSTER, and whatever a run refuses.
    """
    needs("polars")
    _write_down(runs, out)
    found = [_held(run, out) for run in runs]
    waiting = [place for place, summary in enumerate(found) if summary is None]
    count = len(runs) - len(waiting)
    if waiting:
        with _executor(min(workers or os.cpu_count() or 1, len(waiting)), cluster) as executor:
            futures: dict[Future[dict[str, bytes]], int] = {
                executor.submit(task, runs[place].scenario, runs[place].seed): place for place in waiting
            }
            for future in as_completed(futures):
                place = futures[future]
                found[place] = _keep(out / runs[place].folder, _result(future, runs[place]))
                count += 1
                done(count, len(runs), found[place] or {})
    return [summary for summary in found if summary is not None]


def _result(future: Future[dict[str, bytes]], run: RunName) -> dict[str, bytes]:
    """Return the files of a run. Raises LocalError WORKER_ENDED where its process died, and what the run refuses."""
    try:
        return future.result()
    except BrokenExecutor:
        told = (
            f"a process of the sweep ended before its run did ({run.scenario.name}, seed {run.seed} or another); "
            "what is complete is kept: `maille sim resume` goes on, --workers 1 needs the least memory"
        )
        raise LocalError("WORKER_ENDED", told) from None


def resume(out: Path, *, workers: int = 0, cluster: str = "", done: Done = lambda _, __, ___: None) -> list[Any]:
    """Go on with the sweep that was written down in a folder. Raises LocalError NO_SWEEP."""
    try:
        rows = json.loads((out / SWEEP).read_bytes())
        runs = [RunName(msgspec.convert(row["scenario"], Scenario), int(row["seed"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError):
        raise LocalError("NO_SWEEP", f"{out.name} holds no sweep that can go on", field="folder") from None
    return sweep(runs, out, workers=workers, cluster=cluster, done=done)


def task(scenario: Scenario, seed: int) -> dict[str, bytes]:
    """Run one, wherever this is, and return the files that it leaves."""
    with tempfile.TemporaryDirectory(prefix="maille-sim-") as place:
        run_one(scenario, seed, Path(place))
        folder = Path(place) / RunName(scenario, seed).folder
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _held(run: RunName, out: Path) -> dict[str, Any] | None:
    return read_summary(out / run.folder) if kept(run, out) else None


def _keep(folder: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Write the files of a run, the summary last."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in sorted(files.items(), key=lambda each: each[0] == SUMMARY):
        write_whole(folder / name, data)
    return read_summary(folder)


def _write_down(runs: Sequence[RunName], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows = [{"scenario": msgspec.to_builtins(run.scenario), "seed": run.seed} for run in runs]
    write_whole(out / SWEEP, json.dumps(rows, indent=1) + "\n")


@contextmanager
def _executor(workers: int, cluster: str) -> Iterator[Executor]:
    if cluster:
        distributed = needs("distributed", "cluster")
        try:
            client = distributed.Client(cluster, timeout="10s")
        except (OSError, ValueError) as error:
            raise LocalError(
                "NO_CLUSTER", f"no dask scheduler answers at {cluster}: {error}", field="cluster"
            ) from None
        with client:
            executor = client.get_executor()
            try:
                yield executor
            finally:
                executor.shutdown(wait=False)
        return
    with pool(workers) as local:
        yield local
