"""Runs and what they leave: one folder for each, named by what it is, complete or not there at all.

How it works
    `run_one` is a pure function of (scenario, seed): it returns the summary and, where a folder of runs is named,
    leaves in `<scenario>/<params-hash>/<seed>/`

        spec.toml        the scenario as resolved; it runs again
        env.json         commit, version, Python, platform, libraries, seed, seconds it took
        metrics.parquet  tidy rows: run, t, node, metric, value (simulations.records.METRICS)
        summary.json     what a person wants to know first, and the violations
        trace.sha256     SHA-256 over everything that happened
        events.parquet   on request: every message, when it left and came, between whom; and happenings

    Each file is written whole (simulations.files), summary.json last: a run is complete when it is there, and `run_one`
    returns it at once (`again` runs anyway). So a sweep that was interrupted goes on where it was.

What it does not do
    It repeats no run in order to compare: simulations.comparing does.
"""

from __future__ import annotations

import gc
import io
import json
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.errors import LocalError
from simulations.extra import needs
from simulations.files import write_whole
from simulations.records import Records, quantiles
from simulations.signatures import remembered
from simulations.spec import RunName, Scenario, params_hash, to_toml

Progress = Callable[[float], object]
ROOT: Final = Path(__file__).resolve().parents[1]
SUMMARY: Final = "summary.json"
LIBRARIES: Final = ("cbor2", "pynacl", "rustworkx", "topohub")
"""What a trace hangs on besides maille and Python: codecs, keys, drawn graphs, backbones."""


def run_one(
    scenario: Scenario,
    seed: int,
    out: Path | None = None,
    *,
    events: bool = False,
    again: bool = False,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Run a scenario with a seed and return its summary (see the module). `out`: the folder of all runs.

    Raises LocalError for what the scenario asks and cannot have: EXTRA_MISSING, BAD_SCENARIO, NO_TOPOLOGY and so on.
    """
    name = RunName(scenario, seed)
    folder = None if out is None else out / name.folder
    if out is not None and folder is not None:
        needs("polars")
        if not again and kept(name, out, events=events):
            return read_summary(folder)
    begun = time.perf_counter()
    records, summary = simulate(scenario, seed, traced=events, progress=progress)
    took = time.perf_counter() - begun
    if folder is not None:
        _write(folder, name, records, summary, took, events=events)
    return summary


def kept(run: RunName, out: Path, *, events: bool = False) -> bool:
    """Say whether a folder of runs holds this run, complete (`events`: with its messages)."""
    folder = out / run.folder
    return (folder / SUMMARY).is_file() and (not events or (folder / "events.parquet").is_file())


def simulate(
    scenario: Scenario, seed: int, *, traced: bool = False, progress: Progress = lambda _: None
) -> tuple[Records, dict[str, Any]]:
    """Run a scenario with a seed in this process and return all that was recorded, and the summary."""
    from simulations.checks import Violation, names
    from simulations.light_run import LightRun
    from simulations.mesh_run import MeshRun

    violations: list[Violation] = []
    missing: list[str] = []
    with _collected_seldom(), remembered(use=scenario.signatures == "memoised"):
        run: LightRun | MeshRun
        if scenario.world == "light":
            run = LightRun(scenario, seed, traced=traced)
            run.run(progress)
        else:
            run = MeshRun(scenario, seed, traced=traced)
            run.run(progress)
            violations, missing = names(run.watchman.violations.values(), scenario.checks.expect)
        trace = run.world.trace
    records = run.records
    summary = {
        "scenario": scenario.name,
        "params": params_hash(scenario),
        "seed": seed,
        "commit": commit(),
        "world": scenario.world,
        "nodes": scenario.nodes,
        "signatures": scenario.signatures if scenario.world == "maille" else "none",
        "trace": trace,
        **run.summary(),
        "arrival_s": quantiles(records.values("arrival_s")),
        "hops": quantiles(records.values("hops")),
        "revocation_s": quantiles(records.values("revocation_s")),
        "refused_s": quantiles(records.values("refused_s")),
        "leaked_packs": sum(records.values("leaked_packs")),
        "converged_s": next(iter(records.values("converged_s")), None),
        "violations": [msgspec.to_builtins(one) for one in violations],
        "expected_but_held": missing,
        "ok": not violations and not missing,
    }
    return records, summary


@contextmanager
def _collected_seldom() -> Iterator[None]:
    """Look for cycles of garbage seldom: a world is one large structure, and nearly nothing of it is garbage."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the summary of a run's folder. Raises LocalError NO_RUN."""
    try:
        found = json.loads((folder / SUMMARY).read_bytes())
    except (OSError, ValueError):
        raise LocalError("NO_RUN", f"{folder.name} is no folder of a complete run", field="run") from None
    if not isinstance(found, dict):
        raise LocalError("NO_RUN", f"{folder.name} holds no summary", field="run")
    return found


def complete(out: Path) -> list[Path]:
    """Return the folders of all complete runs below a folder, in order."""
    return sorted(path.parent for path in out.rglob(SUMMARY))


def commit() -> str:
    """Return the commit that this code is of, with + where it was changed since; "" outside a repository."""
    if not (ROOT / ".git").exists():
        return ""
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def environment(seed: int, seconds: float) -> dict[str, Any]:
    """Return what a run was made with."""
    return {
        "commit": commit(),
        "version": version("maille"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "seed": seed,
        "wall_seconds": round(seconds, 3),
    }


def _write(
    folder: Path, name: RunName, records: Records, summary: dict[str, Any], took: float, *, events: bool
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    write_whole(folder / "spec.toml", to_toml(name.scenario))
    write_whole(folder / "env.json", json.dumps(environment(name.seed, took), indent=1) + "\n")
    write_whole(folder / "trace.sha256", f"{summary['trace']}\n")
    write_whole(folder / "metrics.parquet", _parquet(metrics_frame(f"{summary['params']}/{name.seed}", records)))
    if events:
        write_whole(folder / "events.parquet", _parquet(events_frame(records)))
    write_whole(folder / SUMMARY, json.dumps(summary, indent=1) + "\n")


def _parquet(frame: Any) -> bytes:
    written = io.BytesIO()
    frame.write_parquet(written)
    return written.getvalue()


def metrics_frame(run: str, records: Records) -> Any:
    """Return the tidy rows as a polars DataFrame: run, t, node, metric, value."""
    polars = needs("polars")
    columns = list(zip(*records.rows, strict=True)) or [(), (), (), ()]
    schema = {"t": polars.Float64, "node": polars.Int32, "metric": polars.String, "value": polars.Float64}
    frame = polars.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema)
    return frame.insert_column(0, polars.Series("run", [run] * len(records.rows), dtype=polars.String))


def events_frame(records: Records) -> Any:
    """Return every message and happening as a polars DataFrame. A happening has `what`, and is at one node."""
    polars = needs("polars")
    rows = [(*message, "") for message in records.messages]
    rows += [(at, at, node, node, 0, -1, what) for at, node, what in records.happenings]
    names = ("left_us", "came_us", "source", "target", "bytes", "kind")
    schema = dict.fromkeys(names, polars.Int64) | {"what": polars.String}
    return polars.DataFrame(sorted(rows), schema=schema, orient="row")
