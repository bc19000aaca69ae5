"""Runs: what they leave, that they repeat themselves in any process, and what is done with many of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import polars
import pytest

from ledger.errors import LocalError
from simulations import api, extra, runs
from simulations.records import METRICS
from simulations.runs import complete, environment, read_summary, run_one
from simulations.shrinking import Shrunk, shrink, steps
from simulations.spec import FaultSpec, LoadSpec, NetworkSpec, OverlaySpec, Scenario, params_hash, parse

ROOT = Path(__file__).resolve().parents[2]
MESH = Scenario(
    name="mesh",
    nodes=5,
    seconds=12,
    network=NetworkSpec(loss=0.1, replay=0.1, reorder=True, skew_ms=300),
    load=LoadSpec(start=1, count=3, every=1, withdraw=1.0, withdraw_after=3, withdraw_at="anywhere"),
    faults=(FaultSpec(kind="partition", at=2, until=6), FaultSpec(kind="crash", at=3, until=5, share=0.2)),
)
LIGHT = Scenario(
    name="light",
    world="light",
    nodes=30,
    seconds=4,
    overlay=OverlaySpec(kind="regular", degree=4),
    load=LoadSpec(start=0.5, count=4, every=0.5),
)


@pytest.mark.parametrize("scenario", [MESH, LIGHT], ids=lambda one: one.name)
def test_a_run_leaves_what_the_contract_says(scenario: Scenario, tmp_path: Path) -> None:
    summary = run_one(scenario, 7, tmp_path, events=True)
    folder = tmp_path / scenario.name / params_hash(scenario) / "7"
    assert complete(tmp_path) == [folder]
    names = {"spec.toml", "env.json", "metrics.parquet", "summary.json", "trace.sha256", "events.parquet"}
    assert {path.name for path in folder.iterdir()} == names
    assert parse((folder / "spec.toml").read_bytes()) == msgspec.convert(msgspec.to_builtins(scenario), Scenario)
    assert (folder / "trace.sha256").read_text() == summary["trace"] + "\n"
    env = json.loads((folder / "env.json").read_bytes())
    assert (
        env.keys() == environment(7, 0.0).keys() == {"commit", "version", "python", "platform", "seed", "wall_seconds"}
    )
    metrics = polars.read_parquet(folder / "metrics.parquet")
    assert metrics.columns == ["run", "t", "node", "metric", "value"]
    assert set(metrics["metric"]) <= METRICS.keys()
    assert set(metrics["run"]) == {f"{params_hash(scenario)}/7"}
    arrivals = metrics.filter(polars.col("metric") == "arrival_s")
    assert summary["arrival_s"]["count"] == len(arrivals) > 0
    events = polars.read_parquet(folder / "events.parquet").filter(polars.col("what") == "")
    delivered = summary["counts"].get("delivered", summary["counts"]["sent"])
    assert len(events) == delivered
    assert (events["came_us"] >= events["left_us"]).all()
    assert read_summary(folder) == json.loads(json.dumps(summary))
    assert summary["ok"]
    assert summary["reached"] == 1.0


def test_a_complete_run_is_not_run_again(tmp_path: Path) -> None:
    first = run_one(LIGHT, 1, tmp_path)
    (folder,) = complete(tmp_path)
    (folder / "summary.json").write_text(json.dumps({**first, "nodes": 99}))
    assert run_one(LIGHT, 1, tmp_path)["nodes"] == 99
    assert run_one(LIGHT, 1, tmp_path, again=True)["nodes"] == 30
    (folder / "summary.json").unlink()
    assert complete(tmp_path) == []
    assert run_one(LIGHT, 1, tmp_path)["trace"] == first["trace"]
    with pytest.raises(LocalError, match="no folder of a complete run"):
        read_summary(tmp_path)


def test_processes_with_other_hash_seeds_have_the_same_trace_and_seeds_have_others() -> None:
    told = (
        "from tests.simulations.test_runs import MESH, LIGHT\nfrom simulations.runs import run_one\n"
        "print([run_one(one, seed)['trace'] for one in (MESH, LIGHT) for seed in (1, 2)])"
    )
    traces = [
        subprocess.run(
            [sys.executable, "-c", told],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert traces[0] == traces[1]
    assert traces[0].count("', '") == 3
    assert len(set(traces[0].strip("[]\n").split(", "))) == 4
    assert run_one(MESH, 1)["trace"] in traces[0]


def test_real_signatures_give_the_same_run_as_memoised_ones() -> None:
    real = msgspec.structs.replace(MESH, signatures="real")
    one, other = run_one(MESH, 3), run_one(real, 3)
    assert one["trace"] == other["trace"]
    assert (one["signatures"], other["signatures"]) == ("memoised", "real")


def test_a_sweep_runs_every_combination_once_and_goes_on_where_it_was(tmp_path: Path) -> None:
    found = api.grid(LIGHT, {"network.loss": ["0", "0.2"], "nodes": [10, 20]}, [1, 2])
    assert len(found) == 8
    assert len({run.folder for run in found}) == 8
    told: list[int] = []
    summaries = api.sweep(found[:2], tmp_path, workers=1, done=lambda done, _, __: told.append(done))
    assert told == [1, 2]
    assert [one["seed"] for one in summaries] == [1, 2]
    assert [one["trace"] for one in summaries] == [run_one(run.scenario, run.seed)["trace"] for run in found[:2]]
    (complete(tmp_path)[0] / "summary.json").unlink()
    told.clear()
    resumed = api.resume(tmp_path, workers=1, done=lambda done, _, __: told.append(done))
    assert [one["trace"] for one in resumed] == [one["trace"] for one in summaries]
    assert told == [2]
    with pytest.raises(LocalError, match="no sweep"):
        api.resume(tmp_path / "nowhere")
    with pytest.raises(LocalError, match="not 0"):
        api.grid(LIGHT, {}, [])


@contextmanager
def cluster() -> Iterator[str]:
    """Start a dask scheduler with a worker, as an operator does; yield its address."""
    code = (
        "import sys\nfrom distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None,\n"
        "                      protocol='tcp', host='127.0.0.1') as cluster:\n"
        "        print(cluster.scheduler_address, flush=True)\n        sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_sweep_on_a_cluster_is_the_sweep_here(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    found = api.grid(LIGHT, {}, [1, 2])
    with cluster() as address:
        assert address.startswith("tcp://")
        summaries = api.sweep(found, tmp_path, cluster=address)
    assert [one["trace"] for one in summaries] == [run_one(LIGHT, seed)["trace"] for seed in (1, 2)]
    assert len(complete(tmp_path)) == 2


def test_two_sides_are_compared_by_factors(tmp_path: Path) -> None:
    slow = msgspec.structs.replace(LIGHT, network=NetworkSpec(low_ms=20, high_ms=100))
    for name, scenario in (("a", LIGHT), ("b", slow)):
        for seed in (1, 2):
            run_one(scenario, seed, tmp_path / name)
    rows = {row.measure: row for row in api.compare(tmp_path / "a", tmp_path / "b")}
    assert rows["arrival p50 (s)"].factor == pytest.approx(2.0, rel=0.1)
    assert rows["reached"].factor == 1.0
    assert rows["failed runs"].factor == 1.0
    with pytest.raises(LocalError, match="no complete run"):
        api.compare(tmp_path / "a", tmp_path / "none")


def test_a_replay_is_the_same_run_and_draws_it(tmp_path: Path) -> None:
    run_one(MESH, 1, tmp_path)
    (folder,) = complete(tmp_path)
    found = api.replay(folder, seconds=4.0)
    assert found.same
    assert found.messages > 50
    assert found.html.count("gossip 1: ") > 3
    assert found.html.count("<circle") >= 1
    assert "<script" not in found.html
    assert "gossip 1: " in found.html
    summary = read_summary(folder)
    (folder / "summary.json").write_text(json.dumps({**summary, "trace": "0" * 64}))
    assert not api.replay(folder, start_s=1.0).same


def test_a_failing_run_shrinks_to_what_it_needs() -> None:
    """Fails whenever something crashes among at least four nodes: everything else goes."""
    made = 0

    def fails(scenario: Scenario, _: int) -> frozenset[str]:
        nonlocal made
        made += 1
        crashes = any(fault.kind == "crash" for fault in scenario.faults)
        return frozenset({"convergence"} if crashes and scenario.nodes >= 4 else {})

    found = shrink(MESH, 1, fails=fails)
    assert found.scenario.nodes == 4
    assert [fault.kind for fault in found.scenario.faults] == ["crash"]
    assert found.scenario.network == NetworkSpec()
    assert found.scenario.load.count == 0
    assert made <= found.runs + 1
    assert parse(found.toml().encode()) == found.scenario
    with pytest.raises(LocalError, match="nothing to shrink"):
        shrink(MESH, 1, fails=lambda _, __: frozenset())
    assert isinstance(shrink(MESH, 1, fails=fails, runs_max=2), Shrunk)


def test_every_step_of_shrinking_is_smaller_and_makes_sense() -> None:
    found = list(steps(MESH, 1))
    assert len(found) > 8
    assert all(one != MESH for _, one in found)
    assert all(parse(api.to_toml(one).encode()) for _, one in found)


def test_a_run_that_breaks_a_check_says_so_and_how_to_repeat_it(tmp_path: Path) -> None:
    """A partition that nobody heals: no mesh can converge."""
    cut = FaultSpec(kind="partition", at=1, share=0.4)
    scenario = msgspec.structs.replace(MESH, faults=(cut,), checks=msgspec.structs.replace(MESH.checks, settle=2.0))
    summary = run_one(scenario, 5, tmp_path)
    assert not summary["ok"]
    assert "convergence" in {one["check"] for one in summary["violations"]}
    assert summary["seed"] == 5
    assert summary["commit"]
    assert summary["converged_s"] is None
    expecting = msgspec.structs.replace(scenario.checks, expect=("convergence", "durability", "status", "receipts"))
    again = run_one(msgspec.structs.replace(scenario, checks=expecting), 5)
    assert not again["violations"]
    assert not again["ok"]
    assert "receipts" in again["expected_but_held"]


def test_without_the_research_libraries_there_is_a_plain_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(extra, "import_module", missing)
    with pytest.raises(LocalError, match=r"pip install 'maille\[sim\]'"):
        run_one(LIGHT, 1, tmp_path)
    assert not list(tmp_path.iterdir())
    assert runs.run_one(MESH, 1)["ok"]  # a run that keeps nothing needs none of them
    with pytest.raises(LocalError, match=r"maille\[cluster\]"):
        extra.needs("distributed", "cluster")
