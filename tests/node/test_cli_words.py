"""What a command says to a person: times that are rounded, stories, and hints that work where they are read."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pytest

from node.cli.app import run
from node.cli.render import lines
from node.cli.terminal import Terminal
from node.cli.there import at
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


@local_operation("try", "talk", permission="read", confirm="Sure? See `maille status`.")
def talk(local: Local, args: Nothing) -> RoundedRows:
    """Say something in every way there is."""
    local.say("Now run `maille key rotate-passphrase`.")
    local.tell("maille ledger stats")
    local.emit(Rounded(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)), "see `maille mesh list`")
    return RoundedRows(())


def test_whatever_is_said_names_commands_with_the_directory_that_was_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 2))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setenv("MAILLE_DATA_DIR", "/elsewhere")
    for given, shown in ((["--data-dir", "/a b"], " --data-dir '/a b'"), ([], "")):
        assert run(["try", "talk", *given], [talk]) == 0
        out, told = capsys.readouterr()
        assert out.startswith(f"maille ledger stats{shown}\nsee `maille mesh list{shown}`\n")
        assert told == f"Sure? See `maille status{shown}`. [y/N] Now run `maille key rotate-passphrase{shown}`.\n"


def test_a_new_node_without_a_passphrase_is_told_the_command_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "node")
    assert run(["node", "init", "--name", "x", "--unsealed", "--data-dir", place]) == 0
    assert f"`maille key rotate-passphrase --data-dir {place}`" in capsys.readouterr().err


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
