"""Runs: what they leave, that they repeat themselves in any process, and what is done with many of them."""

from __future__ import annotations

import json
import os
import re
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
from simulations.engine import SECOND
from simulations.records import METRICS
from simulations.runs import complete, environment, read_summary, run_one
from simulations.shrinking import Shrunk, shrink, steps
from simulations.spec import (
    AdversarySpec,
    FaultSpec,
    LoadSpec,
    NetworkSpec,
    OverlaySpec,
    PolicySpec,
    Scenario,
    params_hash,
    parse,
)

ROOT = Path(__file__).resolve().parents[2]
MESH = Scenario(
    name="mesh",
    nodes=5,
    seconds=12,
    network=NetworkSpec(loss=0.1, replay=0.1, reorder=True, skew_ms=300),
    load=LoadSpec(start=1, count=3, every=1, withdraw=1.0, withdraw_after=3, withdraw_at="anywhere"),
    faults=(FaultSpec(kind="partition", at=2, until=6), FaultSpec(kind="crash", at=3, until=5, share=0.2)),
)
TRADE = Scenario(
    name="trade",
    nodes=7,
    seconds=30,
    policy=PolicySpec(max_staleness_seconds=60, heartbeat_seconds=5),
    network=NetworkSpec(latency="regions", regions="simblock", jitter=0.1, clog=0.01, clog_ms=50),
    load=LoadSpec(
        start=2, count=4, every=1, publishers=(2, 3), withdraw=1.0, withdraw_after=14, data="home", every_ask=3
    ),
    faults=(FaultSpec(kind="churn", rate=6, down=3, storage="torn", at=5, until=25),),
    adversaries=(AdversarySpec(kind="heartbeat-lies", nodes=(6,), at=5, until=25),),
)
"""Data, disks that fail and an adversary, over distances."""
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
    made_with = {"commit", "version", "python", "platform", "libraries", "seed", "wall_seconds"}
    assert env.keys() == environment(7, 0.0).keys() == made_with
    assert {"cbor2", "pynacl", "rustworkx"} <= env["libraries"].keys()
    metrics = polars.read_parquet(folder / "metrics.parquet")
    assert metrics.columns == ["run", "t", "node", "metric", "value"]
    assert set(metrics["metric"]) <= METRICS.keys()
    assert set(metrics["run"]) == {f"{params_hash(scenario)}/7"}
    arrivals = metrics.filter(polars.col("metric") == "arrival_s")
    assert summary["arrival_s"]["count"] == len(arrivals) > 0
    events = polars.read_parquet(folder / "events.parquet").filter(polars.col("what") == "")
    delivered = summary["counts"].get("delivered", summary["counts"]["sent"])
    assert len(events) == delivered
    took = events["came_us"] - events["left_us"]
    assert took.min() >= 10_000  # type: ignore[operator]
    assert took.max() <= 50_000 if scenario is LIGHT else took.median() < 50_000  # type: ignore[operator]
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


ELSEWHERE = """
import sys
from pathlib import Path
from simulations.runs import run_one
from tests.simulations.test_runs import LIGHT, MESH, TRADE
for scenario in (MESH, LIGHT, TRADE):
    for seed in (1, 2):
        run_one(scenario, seed, Path(sys.argv[1]), events=True)
"""


def left(folder: Path) -> dict[str, bytes]:
    """Return the files of all runs below a folder, but what says how long it took and of which commit it was."""
    found = {}
    for path in folder.rglob("*.*"):
        data = path.read_bytes()
        if path.name == "summary.json":
            data = re.sub(rb'"commit": "[^"]*"', b"", data)
        if path.name != "env.json":
            found[str(path.relative_to(folder))] = data
    return found


def test_processes_with_other_hash_seeds_leave_the_same_bytes_and_seeds_have_other_traces(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(tmp_path / seed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
    one, other = (left(tmp_path / seed) for seed in ("1", "2"))
    assert len(one) == 6 * 5
    assert one == other
    traces = {data for name, data in one.items() if name.endswith("trace.sha256")}
    assert len(traces) == 6
    assert f"{run_one(MESH, 1)['trace']}\n".encode() in traces


def test_what_a_message_took_is_what_its_link_drew_though_some_are_lost_and_some_come_twice() -> None:
    """The same bytes are sent again and again here: a loss must not be taken for a long way."""
    network = NetworkSpec(latency="constant", low_ms=20, loss=0.3, replay=0.2)
    scenario = msgspec.structs.replace(LIGHT, protocol="push-pull", network=network)
    records, summary = runs.simulate(scenario, 1, traced=True)
    assert summary["counts"]["lost"] > 100
    took = [came - left for left, came, *_ in records.messages]
    assert set(took) == {20_000, 40_000}
    lost, twice = summary["counts"]["lost"], summary["counts"]["duplicated"]
    assert 0 <= twice - took.count(40_000) < 10  # the last are on their way yet
    assert 0 <= summary["counts"]["sent"] - lost + twice - len(took) < 20


def test_figures_follow_from_the_raw_messages() -> None:
    """What the summary says of arrivals and hops, counted again from the messages of a flood alone."""
    one_only = msgspec.structs.replace(LIGHT, load=LoadSpec(start=1, count=1))
    records, summary = runs.simulate(one_only, 3, traced=True)
    (one,) = records.publications.values()
    reached = {one.node: (one.at_us, 0)}
    for left_us, came_us, source, target, *_ in sorted(records.messages, key=lambda row: row[1]):
        assert left_us == reached[source][0]  # whoever has it sends it on at once
        reached.setdefault(target, (came_us, reached[source][1] + 1))
    assert {node: at for node, (at, _) in reached.items()} == one.seen
    assert {node: hops for node, (_, hops) in reached.items()} == one.hops
    delays = sorted((at - one.at_us) / 1e6 for node, (at, _) in reached.items() if node != one.node)
    assert summary["arrival_s"]["count"] == len(delays) == LIGHT.nodes - 1
    assert summary["arrival_s"]["p50"] == delays[len(delays) // 2]
    assert summary["arrival_s"]["p99"] == summary["arrival_s"]["max"] == delays[-1]
    assert summary["redundancy"] == round(len(records.messages) / len(delays) - 1, 4)


def test_what_happens_after_the_end_or_nowhere_is_counted() -> None:
    late = msgspec.structs.replace(MESH, load=LoadSpec(start=1, count=30, every=1), faults=())
    records, summary = runs.simulate(late, 1)
    assert summary["counts"]["not_published"] + summary["publications"] == 30
    assert summary["publications"] == 11  # at 1 to 11 seconds, of 12: while it settles nobody says anything new
    assert max(one.at_us for one in records.publications.values()) < records.start_us + 12 * SECOND
    assert "not_published" not in run_one(msgspec.structs.replace(late, load=LoadSpec(start=1, count=3)), 1)["counts"]


def test_who_never_hears_is_counted() -> None:
    dying = msgspec.structs.replace(LIGHT, protocol="rumor", protocol_options={"fanout": 1})
    records, summary = runs.simulate(dying, 1)
    missed = sum(records.values("missed"))
    assert missed > 0
    assert summary["arrival_s"]["count"] + missed == summary["publications"] * (LIGHT.nodes - 1)


def test_a_crash_and_a_partition_are_seen_in_the_picture(tmp_path: Path) -> None:
    run_one(MESH, 1, tmp_path, events=True)
    (folder,) = complete(tmp_path)
    events = polars.read_parquet(folder / "events.parquet").filter(polars.col("what") != "")
    assert {"partition: 2 nodes cut off", "heal", "crash", "restart", "consent"} <= set(events["what"])
    page = api.replay(folder, start_s=0.0, seconds=12.0).html
    assert "<title>crash</title>" in page
    assert 'stroke-dasharray="4"><title>partition: 2 nodes cut off</title>' in page


class Dying:
    """A protocol whose process ends."""

    def __init__(self, *_: object) -> None:
        """End it."""
        os._exit(1)

    def handle(self, event: object, now: int, rng: object) -> tuple[()]:  # noqa: ARG002 (the interface has it)
        """Answer nothing."""
        return ()


def test_a_process_that_ends_is_a_sentence_and_what_is_complete_stays(tmp_path: Path) -> None:
    dying = msgspec.structs.replace(LIGHT, name="dying", protocol=f"{__name__}:Dying")
    done = api.grid(LIGHT, {}, [1])
    api.sweep(done, tmp_path, workers=1)
    with pytest.raises(LocalError, match="sim resume") as caught:
        api.sweep([*done, *api.grid(dying, {}, [1])], tmp_path, workers=1)
    assert caught.value.code == "WORKER_ENDED"
    assert len(complete(tmp_path)) == 1
    assert api.kept(done[0], tmp_path)
    assert not api.kept(done[0], tmp_path, events=True)


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


@pytest.mark.parametrize("seed", range(1, 5))
def test_what_nodes_say_at_a_boundary_after_they_agreed_breaks_nothing(seed: int) -> None:
    """With seed 2 they agree, and a heartbeat of each is under way when the run ends."""
    summary = run_one(msgspec.structs.replace(MESH, faults=(), policy=PolicySpec(heartbeat_seconds=5)), seed)
    assert summary["violations"] == []
    assert summary["converged_s"] is not None


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


def test_python_does_what_the_command_does(tmp_path: Path) -> None:
    run_one(LIGHT, 1, tmp_path / "runs")
    made = api.report(tmp_path / "runs", tmp_path / "report")
    assert made.runs == 1
    assert "light-coverage" in made.figures
    (row,) = api.validate(["V17"], quick=True)
    assert (row["id"], row["verdict"]) == ("V17", "pass")


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
