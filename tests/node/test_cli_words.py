"""What a command says to a person: times that are rounded, stories, and hints that work where they are read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pytest

from node import exits
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


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("statu", 'There is no command "statu"; did you mean status? Try: maille --help'),
        ("consent lst", 'There is no command "lst"; did you mean list? Try: maille consent --help'),
        ("status --data-dri x", "There is no option --data-dri; did you mean --data-dir? Try: maille status --help"),
        ("consent show", "ID is missing. Try: maille consent show --help"),
        ("node init --unsealed", "--name is missing."),
        ("consent grant --kind", "--kind stands without a value."),
        ("consent grant --kind dayly", '--kind cannot be "dayly"; it is one of load_curve, daily, '),
        ("consent grant --kind dayly", "technical; did you mean daily?"),
        ("consent grant --days x", '--days: "x" is not a whole number.'),
        ("consent grant --days -3", "--days: This must be a whole number from 1 to 3653."),
        ("consent grant --data-from yesterday", "is not a time: write 2026-01-31, or"),
        ("tick run extra", 'Nothing is expected where "extra" stands.'),
    ],
)
def test_what_was_typed_wrong_is_named_as_it_was_typed(
    typed: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(typed.split()) == exits.USAGE
    said = capsys.readouterr().err
    assert told in said
    assert "`str`" not in said
    assert "?." not in said


def test_no_choice_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["consent", "grant", "--help"]) == exits.OK
    assert "[choices: ," not in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_letter_that_the_terminal_lacks_ends_no_command(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @local_operation("try", "arrow", permission="read", render=lambda _: "é \u2192 mends")
    def arrow(local: Local, args: Nothing) -> Said:
        """Say something."""
        return Said("")

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    assert run(["try", "arrow"], [arrow]) == exits.OK
    assert raw.getvalue().endswith(b" ? mends\n")


class Said(Result, frozen=True):
    """A word."""

    word: Annotated[str, said("It.")]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--listen", "127.0.0.1:65536"], "--listen: This must be text (host:port"),
        (["--listen", "127.0.0.1"], "a port is at most 65535"),
        (["--name", ""], "--name: This must be text (1 to 100 characters)."),
        (["--passphrase-file", "short"], "at least 8 characters"),
    ],
)
def test_a_node_that_cannot_be_made_leaves_nothing_behind(
    given: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("short")
    (tmp_path / "short").chmod(0o600)
    sealed = [] if "--passphrase-file" in given else ["--unsealed"]
    name = [] if "--name" in given else ["--name", "Ada"]
    assert run(["node", "init", "--data-dir", "node", *name, *given, *sealed]) != exits.OK
    assert told in capsys.readouterr().err
    assert not (tmp_path / "node").exists()
    assert run(["node", "init", "--data-dir", "node", "--name", "Ada", "--unsealed"]) == exits.OK


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full: it is Linux's")
@pytest.mark.parametrize("typed", ["man", "consent grant --help", "key list --json"])
def test_where_the_result_has_no_room_the_command_says_so(typed: str, tmp_path: Path) -> None:
    assert run(["node", "init", "--data-dir", str(tmp_path / "node"), "--name", "Ada", "--unsealed"]) == exits.OK
    command = [sys.executable, "-c", "from node.cli import main; main()", *typed.split()]
    environment = {**os.environ, "MAILLE_DATA_DIR": str(tmp_path / "node")}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert "The result could not be written: No space left on device" in done.stderr
    assert done.returncode == exits.TEMPORARY
