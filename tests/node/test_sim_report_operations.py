"""`maille sim validate`, `figure` and `report`: schemas, exit codes, and what a missing extra says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from node.cli.app import run
from node.exits import OK, REFUSED
from node.ops.sim_report import sim_figure, sim_report
from node.ops.sim_validate import sim_validate
from simulations.validation import spreading, theory

ROWS = (sim_validate, sim_figure, sim_report)


def sim(*words: object) -> int:
    """Run a command of `sim` as a person would, but one after the other in this process."""
    return run(["sim", *map(str, words)], ROWS)


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the JSON that was printed."""
    return json.loads(capsys.readouterr().out)


def test_experiments_that_hold_end_in_zero_and_are_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert sim("validate", "--quick", "--only", "V4,V17", "--workers", 1, "--json", "--out", tmp_path / "out") == OK
    printed = told(capsys)
    assert [row["id"] for row in printed["experiments"]] == ["V4", "V17"]
    for row in printed["experiments"]:
        assert {"expected", "measured", "tolerance", "verdict", "source", "checks"} <= set(row)
        assert row["verdict"] == "pass"
    assert json.loads((tmp_path / "out" / "validation.json").read_text("utf-8")) == printed
    assert {path.name for path in (tmp_path / "out").glob("*.svg")} == {"V4.svg", "V17.svg"}


def test_an_experiment_that_fails_ends_in_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = theory.expected_rounds
    monkeypatch.setattr(spreading, "expected_rounds", lambda *count, **how: right(*count, **how) + 1)
    assert sim("validate", "--quick", "--only", "V5", "--workers", 1) == REFUSED
    printed = capsys.readouterr().out
    assert "fail" in printed
    assert "0 of 1 experiments hold" in printed


def test_an_unknown_experiment_and_an_unknown_figure_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim("validate", "--only", "V0") == REFUSED
    assert "UNKNOWN_EXPERIMENT" in capsys.readouterr().err
    assert sim("figure", "nothing") == REFUSED
    assert "UNKNOWN_FIGURE" in capsys.readouterr().err


def test_figures_are_listed_and_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert sim("figure", "--json") == OK
    names = {one["name"] for one in told(capsys)["figures"]}
    assert {"coverage", "withdrawal", "cost"} <= names
    assert sim("figure", "cost", "--out", tmp_path, "--json") == OK
    printed = told(capsys)
    assert printed["rows"] == 18
    assert sorted(Path(file).name for file in printed["files"]) == ["cost.csv", "cost.pdf", "cost.svg"]


def test_a_withdrawal_is_summed_up(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = ("--out", tmp_path, "--workers", 1)
    assert sim("figure", "withdrawal", "--nodes", 8, "--partition", 0, "--max-staleness", 300, *where) == OK
    assert "quorum" in capsys.readouterr().out


def test_a_report_is_written_or_says_why_not(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert sim("report", tmp_path / "nowhere") != OK
    assert "NOT_FOUND" in capsys.readouterr().err
    folder = tmp_path / "flood" / "abc" / "1"
    folder.mkdir(parents=True)
    rows = {"run": ["1"], "t": [0.0], "node": [1], "metric": ["hops"], "value": [2.0]}
    pl.DataFrame(rows).write_parquet(folder / "metrics.parquet")
    assert sim("report", tmp_path, "--json") == OK
    printed = told(capsys)
    assert (printed["runs"], printed["figures"]) == (1, ["flood-hops"])
    assert Path(printed["page"]).is_file()


@pytest.mark.parametrize("words", [("validate", "--quick"), ("figure", "cost"), ("report", ".")])
def test_without_the_extra_it_says_what_to_install(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("numba", "matplotlib"):
        monkeypatch.setitem(sys.modules, library, None)
    assert sim(*words) != OK
    printed = capsys.readouterr().err
    assert "pip install 'maille[sim]'" in printed
    assert "EXTRA_MISSING" in printed
