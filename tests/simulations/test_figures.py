"""Figures are written as SVG, PDF and CSV, the same bytes each time; a report reads runs, and refuses what is none."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ledger.errors import LocalError
from simulations.figures import across, costs, dimensions, measured, modelled
from simulations.figures.catalogue import FIGURES, Options, make
from simulations.figures.drawing import axes, band, cumulative, write
from simulations.figures.report import report
from simulations.figures.summary import lines
from simulations.figures.validation import draw
from simulations.runs import run_one
from simulations.spec import LoadSpec, OverlaySpec, Scenario
from simulations.validation.checks import Experiment, at_least, near, row_of

SMALL: dict[str, Callable[[], pl.DataFrame]] = {
    "coverage": lambda: modelled.coverage(200, runs=2),
    "redundancy": lambda: modelled.redundancy(rounds=2),
    "traffic": lambda: measured.traffic(4, minutes=1),
    "degrees": lambda: modelled.degrees(200),
    "failures": lambda: modelled.failures(200, runs=1),
    "churn": lambda: measured.churn(4, runs=1),
    "partition": lambda: measured.partition(4, seconds=30),
    "byzantine": lambda: modelled.byzantine(200, runs=1),
    "eclipse": lambda: modelled.eclipses(runs=200),
    "withdrawal": lambda: measured.withdrawals(8, partitions=(0,), staleness=(600,)),
    "leaked": lambda: measured.withdrawals(8, partitions=(0,), staleness=(600,)),
    "cost": costs.costs,
    "dimension": lambda: dimensions.dimensions((2, 4), entries=10),
    "availability": costs.costs,
}


@pytest.mark.covers("R7")
def test_every_figure_has_a_small_form() -> None:
    assert set(SMALL) == set(FIGURES)
    with pytest.raises(LocalError, match="nothing"):
        make("nothing", Path(), Options())


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_figure_is_drawn_from_its_table(name: str, tmp_path: Path) -> None:
    table = SMALL[name]()
    paths = write(FIGURES[name].draw(table), table, tmp_path, name)
    assert [path.suffix for path in paths] == [".svg", ".pdf", ".csv"]
    assert paths[0].read_text("utf-8").count("<path") > 5
    assert paths[1].read_bytes().startswith(b"%PDF")
    assert pl.read_csv(paths[2]).height == table.height > 0


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": [0, 0, 1, 1], "y": [1.0, 2.0, 3.0, 5.0]})
    for folder in ("one", "other"):
        figure, drawn = axes("Title", "x", "y")
        band(drawn, table, "x", "y")
        cumulative(drawn, [("all", table["y"].to_list())])
        write(figure, table, tmp_path / folder, "figure")
    for ending in ("svg", "pdf", "csv"):
        assert len({(tmp_path / folder / f"figure.{ending}").read_bytes() for folder in ("one", "other")}) == 1


def test_after_a_withdrawal_without_a_partition_nothing_flows_for_long() -> None:
    table = SMALL["withdrawal"]()
    assert set(table["mode"]) == {"home", "quorum"}
    assert table["last_flow_s"].max() < 10  # type: ignore[operator]
    told = list(lines("withdrawal", table))
    assert len(told) == 3
    assert all(re.match(r"(mode|home|quorum) ", line) for line in told)
    assert not list(lines("coverage", table))


@pytest.mark.covers("R7", "R146")
def test_what_an_entry_costs_a_node_does_not_hang_on_how_many_nodes_there_are() -> None:
    load = dimensions.Load(people=10, entries_a_person=2.0, points=3, readings_a_day=24, reading_bytes=8.0)
    small, large = dimensions.dimensions((2, 6), load=load, entries=20).iter_rows(named=True)
    assert 300 < small["entry_stored"] < 20_000
    assert large["entry_stored"] == pytest.approx(small["entry_stored"], rel=0.6)
    assert large["ledger_gb"] == pytest.approx(6 * 20 * large["entry_stored"] / 1e9)
    assert small["readings_gb"] == large["readings_gb"] == pytest.approx(3 * 24 * 365.25 * 8 / 1e9)
    assert min(small.values()) >= 0
    assert small["entry_bytes"] > 0


@pytest.mark.covers("R15", "R16")
def test_a_mesh_costs_each_member_the_same_and_a_hub_less_as_it_grows() -> None:
    table = costs.costs()
    mesh, hub = (table.filter(pl.col("model") == model).sort("members") for model in ("mesh", "hub"))
    assert mesh["euros_a_member"].n_unique() == 1
    assert hub["euros_a_member"].is_sorted(descending=True)
    assert costs.half_down(2, 0.9) == pytest.approx(1 - 0.81)
    assert costs.half_down(3, 0.9) == pytest.approx(3 * 0.01 * 0.9 + 0.001)


def test_a_figure_of_each_experiment(tmp_path: Path) -> None:
    checks = [near("a", 1.0, 9.0, 0.2), near("b", 1, 1, 0), at_least("c", 0.5, 0.6), at_least("d", 0.5, 0.4)]
    draw([row_of(Experiment("V0", "title", "source", lambda _seed, _quick: checks), 1, quick=True)], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"V0.svg", "V0.pdf", "V0.csv"}
    assert pl.read_csv(tmp_path / "V0.csv")["verdict"].to_list() == ["fail", "pass", "pass", "fail"]


def run_at(folder: Path, metrics: pl.DataFrame) -> None:
    """Write one run as `maille sim run` leaves it."""
    folder.mkdir(parents=True)
    metrics.write_parquet(folder / "metrics.parquet")
    (folder / "summary.json").write_text(json.dumps({"agreed": True, "<b>": 1, "deep": {}}), "utf-8")


def test_a_report_draws_what_the_metrics_allow(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        rows = [
            {"run": seed, "t": float(t), "node": t % 3, "metric": metric, "value": float(t + int(seed))}
            for metric in ("arrival_s", "hops", "frontiers", "bytes_sent", "revocation_s")
            for t in range(6)
        ]
        run_at(tmp_path / "runs" / "my scenario" / "abc" / seed, pl.DataFrame(rows))
    made = report(tmp_path / "runs", tmp_path / "out")
    assert made.runs == 2
    assert {name.rpartition("-")[2] for name in made.figures} == {
        "coverage",
        "hops",
        "frontiers",
        "bytes",
        "revocation",
    }
    page = made.page.read_text("utf-8")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    for name in made.figures:
        assert f'src="{name}.svg"' in page
        assert all((made.page.parent / f"{name}.{ending}").is_file() for ending in ("svg", "pdf", "csv"))


def test_a_report_tells_runs_apart_by_what_differs_and_counts_who_never_heard(tmp_path: Path) -> None:
    for chance in (1, 4):
        scenario = Scenario(
            name="rumours",
            world="light",
            nodes=40,
            seconds=4,
            protocol="rumor",
            protocol_options={"fanout": chance},
            overlay=OverlaySpec(kind="complete"),
            load=LoadSpec(start=1, count=3),
        )
        for seed in (1, 2, 3):
            run_one(scenario, seed, tmp_path / "runs")
    made = report(tmp_path / "runs", tmp_path / "out")
    assert {"rumours-coverage", "rumours-by_reached", "rumours-by_arrival_p50_s"} <= set(made.figures)
    coverage = pl.read_csv(tmp_path / "out" / "rumours-coverage.csv")
    assert set(coverage["parameters"]) == {"fanout=1", "fanout=4"}
    runs = pl.read_csv(tmp_path / "out" / "rumours-runs.csv")
    assert runs.columns[:3] == ["parameters", "protocol_options.fanout", "seed"]
    assert runs.height == 6
    # who publishes has it; of the others the last row of each curve says which part came to have it
    ends = coverage.filter(pl.col("t_s") == pl.col("t_s").max()).group_by("parameters").agg(pl.col("part").mean())
    for fanout, part in ((1, 0.5), (4, 0.99)):
        reached = statistics.fmean(runs.filter(pl.col("protocol_options.fanout") == fanout)["reached"].to_list())
        end = ends.filter(pl.col("parameters") == f"fanout={fanout}")["part"][0]
        assert end == pytest.approx((40 * reached - 1) / 39, abs=1e-5)
        assert end < part if fanout == 1 else end > 0.9
    means = pl.read_csv(tmp_path / "out" / "rumours-means.csv").filter(pl.col("measure") == "reached")
    assert means["runs"].to_list() == [3, 3]
    values = runs.filter(pl.col("protocol_options.fanout") == 1)["reached"].to_list()
    row = means.filter(pl.col("protocol_options.fanout") == 1).row(0, named=True)
    assert row["mean"] == pytest.approx(sum(values) / 3)
    assert row["high"] - row["mean"] == pytest.approx(4.3027 * statistics.stdev(values) / 3**0.5)
    page = made.page.read_text("utf-8")
    assert "<td>fanout=4</td>" in page
    assert 'href="rumours-means.csv"' in page


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.7062), (2, 4.3027), (10, 2.2281), (11, 2.2010), (30, 2.0423), (1_000, 1.9623)]
)
def test_students_t_is_that_of_the_tables(freedom: int, expected: float) -> None:
    assert across.student(freedom) == pytest.approx(expected, abs=2e-4)
    assert across.half_width([1.0]) is None


def test_labels_are_the_shortest_that_tell_apart() -> None:
    specs = {
        "a": {"network.loss": 0.1, "faults.0.at": 5.0, "load.at": 1},
        "b": {"network.loss": 0.1, "faults.0.at": 6.0, "load.at": 2},
    }
    assert across.labels(specs) == {"a": "faults.0.at=5, load.at=1", "b": "faults.0.at=6, load.at=2"}
    assert across.labels({"a": {"nodes": 1}, "b": {"nodes": 1}}) == {"a": "a", "b": "b"}
    assert across.labels({"a": {}}) == {"a": "a"}
    assert dict(across.flat({"name": "x", "n": 1, "t": {"name": 2}, "l": [{"at": 3}], "k": [4]})) == {
        "n": 1,
        "t.name": 2,
        "l.0.at": 3,
        "k": [4],
    }


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError) as caught:
        report(tmp_path, tmp_path / "out")
    assert caught.value.code == "NO_RUNS"
    folder = tmp_path / "s" / "p" / "1"
    run_at(folder, pl.DataFrame({"t": [1.0]}))
    with pytest.raises(LocalError, match="has no column metric") as caught:
        report(tmp_path, tmp_path / "out")
    assert caught.value.code == "BAD_RUN"
    (folder / "metrics.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(LocalError, match="cannot be read"):
        report(tmp_path, tmp_path / "out")
