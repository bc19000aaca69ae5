"""`maille sim`: the commands do what the Python API does, say what went wrong, and end with the right exit code."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from node.cli.app import run
from node.exits import OK, REFUSED, USAGE
from node.ops.sim_sweep import _seeds, _values

SMALL = ("--set", "nodes=4", "--set", "seconds=8", "--set", "load.start=1", "--set", "load.count=2")


def maille(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Run a command and return its exit code, and what it said on both streams."""
    code = run(["sim", *argv])
    told = capsys.readouterr()
    return code, told.out, told.err


def answered(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    """Run a command that succeeds with --json, and return its answer."""
    code, out, err = maille(capsys, *argv, "--json")
    assert code == OK, err
    assert not err  # progress is for terminals
    return json.loads(out)


def test_a_run_tells_its_figures_and_repeats_itself(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = answered(capsys, "run", "baseline", *SMALL, "--seed", "3", "--out", str(tmp_path))
    assert told["reached"] == 1.0
    assert told["seed"] == 3
    (folder,) = tmp_path.glob("baseline/*/3")
    assert told["trace"] in (folder / "trace.sha256").read_text()
    page = tmp_path / "run.html"
    again = answered(capsys, "replay", str(folder), "--html", str(page))
    assert again["same"]
    assert "<svg" in page.read_text()
    compared = answered(capsys, "compare", str(folder), str(folder), "--fail-above", "1.0")
    assert not compared["above"]
    assert {row["factor"] for row in compared["rows"]} <= {1.0, None}
    code, out, _ = maille(capsys, "run", "baseline", *SMALL)
    assert code == OK
    assert "signatures memoised" in out
    assert "p99" in out


def test_a_broken_check_is_an_exit_code_with_seed_and_commit(capsys: pytest.CaptureFixture[str]) -> None:
    cut = (*SMALL, "--set", "faults.0.until=0", "--set", "faults.0.at=1", "--set", "checks.settle=1")
    code, out, _ = maille(capsys, "run", "partition-single", *cut, "--seed", "9")
    assert code == REFUSED
    assert "BROKEN convergence" in out
    assert "seed 9, commit " in out
    assert "maille sim shrink partition-single --seed 9" in out
    code, out, _ = maille(capsys, "shrink", "partition-single", *cut, "--seed", "9", "--runs", "3")
    assert code == OK
    assert "# breaks convergence" in out
    assert 'kind = "partition"' in out


def test_the_command_that_shrinks_a_file_with_fields_set_is_the_one_that_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "my cut.toml"
    path.write_text('name = "cut"\n[[faults]]\nkind = "partition"\nmode = "isolate_single"\nat = 1\n')
    code, out, _ = maille(capsys, "run", str(path), *SMALL, "--set", "checks.settle=1")
    assert code == REFUSED
    command = next(line for line in out.splitlines() if line.startswith("To shrink: maille sim "))
    code, out, _ = maille(capsys, *shlex.split(command)[4:], "--runs", "2")
    assert code == OK
    assert "# breaks convergence" in out
    assert 'mode = "isolate_single"' in out


def test_a_run_that_was_read_and_not_run_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    light = ("flood", "--set", "nodes=20", "--set", "seconds=2", "--set", "load.count=9", "--out", str(tmp_path))
    assert "--again" not in maille(capsys, "run", *light)[2]
    code, out, err = maille(capsys, "run", *light)
    assert code == OK
    assert "complete already" in err
    assert "not published  " in out
    assert "--again" not in maille(capsys, "run", *light, "--again")[2]
    code, _, err = maille(capsys, "sweep", *light, "--seeds", "1..2", "--workers", "1")
    assert code == OK
    assert "1 of 2 runs are complete already" in err
    (summary, _) = sorted(tmp_path.rglob("summary.json"))
    summary.write_text(json.dumps({**json.loads(summary.read_bytes()), "commit": "another"}))
    assert "several commits: " in maille(capsys, "resume", str(tmp_path))[2]


def test_a_sweep_counts_its_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    light = ("--set", "nodes=20", "--set", "seconds=2", "--set", "load.count=1", "--set", "overlay.degree=4")
    out = ("--out", str(tmp_path), "--workers", "1")
    told = answered(capsys, "sweep", "flood", *light, "--over", "network.loss=0,0.1", "--seeds", "1", *out)
    assert told == {"runs": 2, "failed": [], "out": str(tmp_path)}
    assert answered(capsys, "resume", str(tmp_path))["runs"] == 2


def test_scenarios_and_topologies_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answered(capsys, "scenarios")["scenarios"]
    assert {"baseline", "revocation", "chaos", "eclipse"} <= {row["name"] for row in rows}
    code, out, _ = maille(capsys, "scenarios", "eclipse")
    assert code == OK
    assert 'kind = "eclipse-single"' in out
    shown = answered(capsys, "topology", "planetary")
    assert shown["components"] == 1
    assert shown["places"] == 6


PLUGIN = """
from simulations.protocol import Deliver, Publish, Received, Send


class Echo:
    def __init__(self, node, peers, options):
        self.peers, self.seen = tuple(peers), set()

    def handle(self, event, now, rng):
        if isinstance(event, Publish | Received) and event.payload not in self.seen:
            self.seen.add(event.payload)
            return Deliver(event.payload), Send(self.peers, event.payload)
        return ()
"""


def test_a_protocol_is_a_file_of_the_current_directory(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_echo.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    light = ("--set", "nodes=20", "--set", "seconds=2", "--set", "load.count=2", "--set", "overlay.degree=4")
    told = answered(capsys, "run", "flood", *light, "--set", "protocol=my_echo:Echo")
    assert "not measured" in maille(capsys, "run", "flood", *light)[1]
    assert told["reached"] == 1.0
    assert told["redundancy"] > 2
    assert told["signatures"] == "none"


@pytest.mark.parametrize(
    ("argv", "exit_code", "word"),
    [
        (("run", "nowhere"), REFUSED, "NO_SCENARIO"),
        (("run", "baseline", "--set", "network.none=1"), REFUSED, "BAD_SCENARIO"),
        (("run", "baseline", "--set", "nodes"), USAGE, "network.loss=0.1"),
        (("run", "flood", "--set", "protocol=none"), REFUSED, "NO_PROTOCOL"),
        (("sweep", "flood", "--out", "x", "--seeds", "one"), USAGE, "1..10"),
        (("sweep", "flood", "--out", "x", "--seeds", "5..1"), USAGE, "1..10"),
        (("sweep", "flood", "--out", "x", "--over", "nodes"), USAGE, "network.loss=0,0.1"),
        (("run", "eclipse", "--set", "adversaries.0.kind=none"), REFUSED, "adversaries.0.kind"),
        (("run", "baseline", "--set", "network.los=1"), REFUSED, "jitter, loss"),
        (("resume", "nowhere"), REFUSED, "NO_SWEEP"),
        (("replay", "nowhere"), REFUSED, "NO_RUN"),
        (("compare", "nowhere", "nowhere"), REFUSED, "NO_RUN"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_a_code(
    argv: tuple[str, ...], exit_code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = maille(capsys, *argv)
    assert code == exit_code
    assert not out
    assert word in err


def test_lists_and_seeds_are_read() -> None:
    assert _values("0,0.1,[1, 2],x") == ["0", "0.1", "[1, 2]", "x"]
    assert _seeds("3..5") == [3, 4, 5]
    assert _seeds("1,9") == [1, 9]
