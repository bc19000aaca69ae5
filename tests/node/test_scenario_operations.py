"""`maille scenario`: list, show, run and matrix, their schemas, words and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.errors import LocalError
from node.exits import OK, REFUSED
from node.operation import Nothing
from node.operations import find
from node.ops.scenario import CoverMatrix, MatrixArgs, PlayArgs, ScenarioArgs, ScenarioRows, ScenarioShown
from tests.simulations.test_scenarios import STORY


class Quiet:
    """A command's surroundings without a terminal."""

    data_dir = Path()

    def say(self, sentence: str) -> None:
        """Say nothing."""

    def passphrase(self, *, new: bool = False) -> str | None:  # noqa: ARG002 - as Local has it
        """Have none."""
        return None


def run(verb: str, args: Any) -> Any:
    """Run an operation, hold its result to its schema, and return (result, exit code, words)."""
    row = find("scenario", verb)
    assert row is not None
    found = row.handler(Quiet(), args)
    assert msgspec.json.decode(msgspec.json.encode(found), type=row.result) == found
    return found, row.exit_of(found), row.render(found) if row.render is not None else ""


def test_scenarios_are_listed_and_shown() -> None:
    listed: ScenarioRows = run("list", Nothing())[0]
    assert len(listed.scenarios) >= 30
    shown: ScenarioShown = run("show", ScenarioArgs("pmo-loop"))[0]
    assert shown.scenario in listed.scenarios
    assert shown.text.startswith("title = ")


def test_a_story_of_ones_own_is_told_step_by_step(tmp_path: Path) -> None:
    file = tmp_path / "story.toml"
    file.write_text(STORY)
    played, code, words = run("run", PlayArgs(str(file)))
    assert (played.passed, code) == (True, OK)
    assert "1 of 1 scenarios passed." in words
    assert "auditor: the consent was active then" in words
    assert played.scenarios[0].name == "story"


def test_a_story_that_fails_ends_with_exit_code_1(tmp_path: Path) -> None:
    file = tmp_path / "story.toml"
    file.write_text(STORY.replace('reason = "WITHDRAWN"', 'reason = "EXPIRED"'))
    played, code, words = run("run", PlayArgs(str(file)))
    assert (played.passed, code) == (False, REFUSED)
    assert "FAILED  4." in words
    assert "expected refused EXPIRED; found refused WITHDRAWN" in words


def test_an_unknown_scenario_is_named() -> None:
    with pytest.raises(LocalError) as caught:
        run("run", PlayArgs("no-such-story"))
    assert caught.value.code == "NOT_FOUND"


def test_the_matrix_reads_a_record(tmp_path: Path) -> None:
    file = tmp_path / "cover.json"
    tests = {"scenario wemix": ["R137"], "tests/t.py::test": ["R9"]}
    file.write_text(json.dumps({"commit": "abc", "made": "2026-11-22T08:00:00+00:00", "tests": tests}))
    found: CoverMatrix = run("matrix", MatrixArgs(str(file)))[0]
    assert found.scenarios == ("wemix",)
    by = {row.name: row.by for row in found.requirements}
    assert by["R137"] == ("scenario wemix",)
    assert by["R9"] == ("tests/t.py::test",)
    assert "R1" in found.uncovered
    assert [row.name for row in found.excused] == ["R110", "system:QED"]
    assert found.record == "abc 2026-11-22T08:00:00+00:00"
