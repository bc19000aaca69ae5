"""The rows of the founding documents: complete, in our words, covered by what ran alone; and the record of a run."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ledger.errors import LocalError, RemoteError
from simulations.scenario import load, names
from simulations.scenario_cover import SYSTEM, Record, Rows, matrix, read_record, rows
from tests.covering import Covering
from tests.shared import shared


def test_every_row_of_the_documents_is_in_the_table_and_no_other() -> None:
    text = shared("reference/requirements.md").read_text(encoding="utf-8")
    assert list(rows().requirements) == re.findall(r"^\| (R\d+) \|", text, re.MULTILINE)
    systems = shared("reference/systems.md").read_text(encoding="utf-8")
    named = [line.split("|")[1].strip() for line in systems.splitlines() if line.startswith("| ")]
    assert list(rows().systems) == [SYSTEM + name.split(" (")[0] for name in named if name != "Name"]


def test_titles_are_our_own_words() -> None:
    found = "".join(shared(f"reference/{name}.md").read_text(encoding="utf-8") for name in ("requirements", "systems"))
    copied = [
        title for title in {**rows().requirements, **rows().systems}.values() if len(title) > 40 and title in found
    ]
    assert copied == []


def test_every_scenario_names_rows_of_the_table() -> None:
    for name in names():
        rows().check(load(name).covers, name)
        assert load(name).covers, name


TABLE = Rows({"R1": "one", "R2": "two", "R3": "three"}, {"system:A": "a"}, {"R3": "nothing to do", "R2": "not needed"})


def test_a_row_is_covered_by_what_passed_alone() -> None:
    found = matrix(TABLE, {"scenario x": ("R1", "R2"), "tests/t.py::test": ("R1",)})
    assert found.requirements == {"R1": ("scenario x", "tests/t.py::test"), "R2": ("scenario x",), "R3": ()}
    assert found.uncovered == ("system:A",)
    assert found.excused == {"R3": "nothing to do"}
    with pytest.raises(LocalError) as caught:
        matrix(TABLE, {"scenario x": ("R9",)})
    assert caught.value.code == "UNKNOWN_ROW"


def report(nodeid: str, outcome: str, covers: tuple[str, ...] = (), when: str = "call") -> Any:
    """Return what pytest says of one phase of a test."""
    properties = [("covers", list(covers))] if covers else []
    phase = {"passed": outcome == "passed", "failed": outcome == "failed", "when": when}
    return SimpleNamespace(nodeid=nodeid, user_properties=properties, **phase)


def test_a_record_holds_marked_tests_that_passed_in_all_their_cases(tmp_path: Path) -> None:
    file = tmp_path / "cover.json"
    covering = Covering(file)
    for each in (
        report("t.py::test_good[1]", "passed", ("R1",)),
        report("t.py::test_good[2]", "passed", ("R2",)),
        report("t.py::test_half[1]", "passed", ("R1",)),
        report("t.py::test_half[2]", "failed", ("R1",)),
        report("t.py::test_skipped", "skipped", ("R1",)),
        report("t.py::test_unmarked", "passed"),
        report("t.py::test_setup", "passed", ("R1",), when="setup"),
        report("s.py::test_a_scenario_plays[cooperative]", "passed", ("R67",)),
        report("s.py::test_a_scenario_plays[wemix]", "failed", ("R137",)),
    ):
        covering.pytest_runtest_logreport(each)
    session: Any = SimpleNamespace(config=SimpleNamespace())
    covering.pytest_sessionfinish(session)
    record = read_record(file)
    assert record.tests == {"t.py::test_good": ("R1", "R2"), "scenario cooperative": ("R67",)}
    assert record.made.endswith("+00:00")


def test_a_worker_of_xdist_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "cover.json"
    session: Any = SimpleNamespace(config=SimpleNamespace(workerinput={}))
    Covering(file).pytest_sessionfinish(session)
    assert not file.exists()


def test_a_record_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot be read"):
        read_record(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"commit": 1}')
    with pytest.raises(RemoteError, match="no record"):
        read_record(tmp_path / "bad.json")
    assert Record("", "", {}).tests == {}
