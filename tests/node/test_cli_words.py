"""What a command says to a person: times that are rounded, stories, and hints that work where they are read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pytest

from node.cli.app import at, run
from node.cli.render import lines
from node.cli.terminal import Terminal
from node.operation import Local, Nothing, Result, local_operation, said


class Rounded(Result, frozen=True):
    """A time that is rounded on purpose, and one that is not."""

    granted: Annotated[datetime, said("To the hour.", coarse=True)]
    ended: Annotated[datetime, said("When it ended.")]


class RoundedRows(Result, frozen=True):
    """Several."""

    rows: Annotated[tuple[Rounded, ...], said("Each.")]


def test_how_long_ago_is_not_said_of_a_time_that_is_rounded() -> None:
    when = datetime(2026, 1, 1, 12, tzinfo=UTC)
    row = Rounded(when, when)
    assert lines(row)[0] == "granted  2026-01-01T12:00:00Z"
    assert "(" in lines(row)[1]
    *_, drawn = lines(RoundedRows((row,)))
    assert drawn.count("2026-01-01T12:00:00Z") == 2
    assert drawn.count("(") == 1


def test_commands_in_hints_work_with_the_directory_that_was_named() -> None:
    told = "Stop the node, then: maille key rotate-passphrase; or see `maille keys`.\nmaille proof verify FILE"
    there = told.replace("rotate-passphrase", "rotate-passphrase --data-dir '/a b'")
    assert at("/a b", told) == there
    assert at("/a b", there) == there
    assert at("", told) == told
    assert at("/a", "see `maille status`") == "see `maille status --data-dir /a`"


def test_a_story_is_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(tmp_path, quiet=False, passphrase_file=None, yes=False).tell("1. Once.")
    Terminal(tmp_path, quiet=True, passphrase_file=None, yes=False).tell("2. Never.")
    assert capsys.readouterr() == ("1. Once.\n", "")


class Proven(Result, frozen=True):
    """A file, and what is told of it."""

    proof: Annotated[bytes, said("The file.", content=True)]
    verify: Annotated[str, said("What to run.")] = "maille proof verify FILE --genesis 00"
    hint: Annotated[str, said("What else there is to know.")] = "See `maille data settle`."


@local_operation("try", "prove", permission="read")
def prove(local: Local, args: Nothing) -> Proven:
    """Make a file."""
    return Proven(b"proof")


def test_the_file_that_was_written_is_named_and_a_hint_goes_beside_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a proof"
    assert run(["try", "prove", "--to", str(file)], [prove]) == 0
    shown = capsys.readouterr()
    assert f"maille proof verify '{file}' --genesis 00" in shown.out
    assert "`maille data settle`" in shown.out
    assert (file.read_bytes(), shown.err) == (b"proof", "")
    assert run(["try", "prove", "--data-dir", "/a"], [prove]) == 0
    assert capsys.readouterr() == ("proof", "maille: See `maille data settle --data-dir /a`.\n")
