"""Which tests bear out which rows of the founding documents: the marker `covers`, and the record of a run.

How it works
    `@pytest.mark.covers("R12", "system:Quoalise / Quolise")` says that a test bears out these rows of
    simulations/cover.toml; a name that is no row stops the run. `pytest --cover=FILE` writes which marked tests ran
    and passed, for `maille scenario matrix --record FILE`. A test that is parametrised counts once, when all of its
    cases that ran have passed. With xdist the record is the controller's: rows travel with each report.

What it does not do
    It judges no marker: whether a test shows what its marker says is for a reader to see.
"""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from simulations.scenario_cover import Record, rows

MARKER = "covers(*rows): the rows of simulations/cover.toml that this test bears out"
_PROPERTY = "covers"
_ROOT = Path(__file__).resolve().parents[1]


class Covering:
    """The plugin of one run. `file`: where the record goes, or None."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._passed: dict[str, set[str]] = {}
        self._failed: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Hold markers to the table, and let rows travel with reports."""
        table = rows()
        for item in items:
            names = [str(name) for mark in item.iter_markers("covers") for name in mark.args]
            table.check(names, item.nodeid)
            if names:
                item.user_properties.append((_PROPERTY, names))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a marked test."""
        covered = [name for key, names in report.user_properties if key == _PROPERTY for name in _names(names)]
        test = report.nodeid.partition("[")[0]
        if report.failed:
            self._failed.add(test)
        elif covered and report.when == "call" and report.passed:
            self._passed.setdefault(_shown(report.nodeid), set()).update(covered)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the record, at the controller alone."""
        if self._file is None or hasattr(session.config, "workerinput"):
            return
        good = {name: tuple(sorted(found)) for name, found in self._passed.items() if name not in self._failed}
        record = Record(_commit(), datetime.now(UTC).isoformat(timespec="seconds"), dict(sorted(good.items())))
        self._file.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))


def _names(names: object) -> list[str]:
    return [str(name) for name in names] if isinstance(names, list | tuple) else []


def _shown(nodeid: str) -> str:
    """Return what the record calls a test: a scenario by its name, all else by file and function."""
    test, _, case = nodeid.partition("[")
    return f"scenario {case.rstrip(']')}" if test.endswith("::test_a_scenario_plays") else test


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=_ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip()
