"""The command line: options from Structs, files and secrets, exit codes, one sentence an error."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from ledger.errors import LocalError, RemoteError
from node import exits
from node.cli.app import collect, run
from node.cli.render import ago, lines, table
from node.cli.terminal import Terminal
from node.config import Home
from node.keystore import Keystore
from node.operation import Args, Local, Operation, Result, local_operation, said
from node.operations import OPERATIONS, find
from tests.node.nodes import LIGHT, make_home


class TryArgs(Args, frozen=True):
    """Everything an argument can be."""

    word: Annotated[str, said("A word.", positional=True)]
    count: Annotated[int, said("A number.")] = 1
    loud: Annotated[bool, said("Loudly.")] = False
    kind: Annotated[Literal["one", "two"], said("A choice.")] = "one"
    mark: Annotated[tuple[str, ...], said("Marks.")] = ()
    to: Annotated[str, said("A name that another option of commands has too.")] = ""
    file: Annotated[bytes | None, said("A file.", content=True)] = None
    page: Annotated[tuple[bytes, ...], said("Several files.", content=True)] = ()
    ticket: Annotated[str, said("A text.", content=True)] = ""
    token: Annotated[str | None, said("A secret.", secret=True)] = None
    place: Annotated[str, said("A directory.", path=True)] = ""


class Tried(Result, frozen=True):
    """What came in."""

    given: Annotated[dict[str, Any], said("The arguments.")]


class Part(Result, frozen=True):
    """A part."""

    id: Annotated[str, said("Its id.")]
    when: Annotated[datetime | None, said("When.")] = None


class FileMade(Result, frozen=True):
    """A file."""

    name: Annotated[str, said("Its name.")]
    body: Annotated[bytes, said("What is in it.", content=True)]


class Many(Result, frozen=True):
    """Parts."""

    title: Annotated[str, said("The title.")]
    good: Annotated[bool, said("Whether all is well.")]
    parts: Annotated[tuple[Part, ...], said("The parts.")]


class Nothing2(Args, frozen=True):
    """No arguments."""


@local_operation("try", "out", permission="read", keys=True)
def try_out(local: Local, args: TryArgs) -> Tried:
    """Try everything out."""
    if args.word == "locked":
        local.passphrase()
    if args.word in ("KEY_LOCKED", "NOT_FOUND", "TEMPORARY", "WHATEVER"):
        raise LocalError(args.word, "it is so", field="word")
    if args.word == "theirs":
        raise RemoteError("BAD_TICKET", "it is cut")
    return Tried({name: getattr(args, name) for name in args.__struct_fields__})


@local_operation("try", "erase", permission="admin", confirm="Erase everything?")
def try_erase(local: Local, args: Nothing2) -> Tried:
    """Erase everything."""
    return Tried({})


@local_operation("try", "make", permission="operate", exit_of=lambda made: 3 if made.name else 0)
def try_make(local: Local, args: Nothing2) -> FileMade:
    """Make a file."""
    return FileMade("x", b"\x00\xff")


@local_operation("try", "many", permission="read")
def try_many(local: Local, args: Nothing2) -> Many:
    """Show parts."""
    return Many("Title", True, (Part("ab" * 32), Part("c", datetime(2026, 1, 2, tzinfo=UTC))))


TABLE: tuple[Operation, ...] = (try_out, try_erase, try_make, try_many)


def given(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    """Run `try out` and return what came in."""
    assert run(["try", "out", *argv, "--json"], TABLE) == exits.OK, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["given"]
    return found


def test_arguments_come_in(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"\x00raw")
    (tmp_path / "text").write_text("  from a file\n")
    words = ["a", "--count", "7", "--loud", "--kind", "two", "--mark", "x", "--mark", "y", "--to", "z"]
    words += ["--page", str(tmp_path / "raw"), "--page", str(tmp_path / "text")]
    words += ["--file", str(tmp_path / "raw"), "--ticket", str(tmp_path / "text"), "--place", "."]
    found = given(capsys, *words)
    assert found == {
        "word": "a",
        "count": 7,
        "loud": True,
        "kind": "two",
        "mark": ["x", "y"],
        "to": "z",
        "file": "AHJhdw==",
        "page": ["AHJhdw==", "ICBmcm9tIGEgZmlsZQo="],
        "ticket": "from a file",
        "token": None,
        "place": str(Path.cwd()),
    }


def test_a_text_may_be_given_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert given(capsys, "a", "--ticket", "MAILLE1" + "A" * 400)["ticket"] == "MAILLE1" + "A" * 400


def test_a_secret_comes_from_a_private_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden\nrest\n")
    secret.chmod(0o600)
    assert given(capsys, "a", "--token-file", str(secret))["token"] == "hidden"
    secret.chmod(0o644)
    assert run(["try", "out", "a", "--token-file", str(secret)], TABLE) == exits.REFUSED
    assert "chmod 600" in capsys.readouterr().err
    assert run(["try", "out", "a", "--token", "hidden"], TABLE) == exits.USAGE


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["a", "b"],
        ["a", "--count", "x"],
        ["a", "--count"],
        ["a", "--kind", "three"],
        ["a", "--vanish"],
        ["a", "--passphrase", "x"],
    ],
)
def test_wrong_usage_is_one_sentence(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert run(["try", "out", *argv], TABLE) == exits.USAGE
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.startswith("maille: ")
    assert caught.err.endswith("[USAGE]\n")
    assert caught.err.count("\n") == 1


@pytest.mark.parametrize("argv", [["vanish"], ["try", "vanish"], ["try", "out", "x", "--data-dir"]])
def test_an_unknown_command_is_wrong_usage(argv: list[str]) -> None:
    assert run(argv, TABLE) == exits.USAGE


@pytest.mark.parametrize(
    ("word", "code"), [("KEY_LOCKED", 4), ("NOT_FOUND", 5), ("TEMPORARY", 75), ("WHATEVER", 1), ("theirs", 1)]
)
def test_an_error_has_its_exit_code(capsys: pytest.CaptureFixture[str], word: str, code: int) -> None:
    assert run(["try", "out", word], TABLE) == code
    told = capsys.readouterr().err
    assert told in (f"maille: word: it is so [{word}]\n", "maille: it is cut [BAD_TICKET]\n")


def test_no_question_without_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["try", "erase"], TABLE) == exits.USAGE
    assert "--yes" in capsys.readouterr().err
    assert run(["try", "erase", "--yes"], TABLE) == exits.OK
    assert run(["try", "out", "locked"], TABLE) == exits.LOCKED
    assert "--passphrase-file" in capsys.readouterr().err
    assert run(["try", "out", "locked", "--passphrase-file", str(tmp_path / "absent")], TABLE) == exits.NOT_FOUND


def test_a_passphrase_is_taken_from_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "maille-passphrase").write_text("from systemd")
    (tmp_path / "maille-passphrase").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert run(["try", "out", "locked"], TABLE) == exits.OK


def test_a_result_can_be_a_file(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    target = tmp_path / "made"
    assert run(["try", "make"], TABLE) == 3
    assert capsysbinary.readouterr().out == b"\x00\xff"
    assert run(["try", "make", "--to", str(target), "--json"], TABLE) == 3
    assert target.read_bytes() == b"\x00\xff"
    assert target.stat().st_mode & 0o777 == 0o600
    assert json.loads(capsysbinary.readouterr().out) == {"name": "x", "body": ""}
    assert run(["try", "make", "--to", str(tmp_path / "absent" / "made")], TABLE) == exits.REFUSED


def test_a_result_is_shown_to_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["try", "many"], TABLE) == exits.OK
    shown = capsys.readouterr().out
    assert "title  Title" in shown
    assert "good   yes" in shown
    assert "abababababab\n" in shown
    assert "ab" * 7 not in shown
    assert "2026-01-02T00:00:00Z" in shown
    assert "\x1b" not in shown
    assert lines(Many("", False, ())) == ["good   no"]


def test_a_table_too_wide_for_its_terminal_is_shown_row_below_row(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = (Part("some words that are long"), Part("c", datetime(2026, 1, 2, tzinfo=UTC)))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    assert len(table(parts)) == 4
    monkeypatch.setenv("COLUMNS", "40")
    title, blank, *second = table(parts)
    assert title.split(maxsplit=1)[1] == "some words that are long"
    assert blank == ""
    assert [line.split()[0] for line in second] == ["id", "when"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert len(table(parts)) == 4


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "now"), (5, "5 s ago"), (-65, "in 1 min"), (7_200, "2 h ago"), (86_400, "1 day ago"), (-200_000, "in 2 days")],
)
def test_times_are_told_from_now(seconds: int, told: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert ago(now - timedelta(seconds=seconds), now) == told


# The real table, in a process of its own


def maille(*argv: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    script = [sys.executable, "-c", "from node.cli import main; main()", *argv]
    environment = {key: value for key, value in os.environ.items() if key != "CREDENTIALS_DIRECTORY"}
    return subprocess.run(
        script, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment, **more
    )


def test_version_and_help() -> None:
    assert maille("--version").stdout.strip()
    told = maille("--help")
    assert told.returncode == 0
    assert all(noun in told.stdout for noun in {row.noun or row.verb for row in OPERATIONS})
    assert "--passphrase-file" in maille("node", "init", "--help").stdout


def test_without_a_node_the_command_says_so(tmp_path: Path) -> None:
    found = maille("mesh", "list", "--data-dir", str(tmp_path))
    assert found.returncode == exits.UNREACHABLE
    assert f"maille node init --data-dir {tmp_path}" in found.stderr
    assert maille("node", "run", "--data-dir", str(tmp_path)).returncode == exits.NOT_FOUND


def test_a_node_is_made_and_its_keys_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    place = ["--data-dir", str(tmp_path / "node")]
    made = maille("node", "init", "--name", "Ada", *place, "--passphrase-file", str(secret), "--json")
    assert made.returncode == 0, made.stderr
    row = find("node", "init")
    assert row is not None
    msgspec.json.decode(made.stdout, type=row.result)
    assert maille("node", "init", "--name", "Ada", *place, "--unsealed").returncode == exits.REFUSED
    shown = json.loads(maille("key", "show", *place, "--json").stdout)
    assert shown["did"] == json.loads(made.stdout)["did"]
    exported = tmp_path / "root.key"
    assert maille("key", "export", "root", *place, "--to", str(exported)).returncode == 0
    assert exported.read_bytes() == (tmp_path / "node" / "keys" / "root.key").read_bytes()
    tried = maille("key", "check", str(exported), *place, "--passphrase-file", str(secret), "--json")
    assert {**json.loads(tried.stdout), "fingerprint": ""} == {
        **{"purpose": "root", "sealed": True, "name": "root", "did": shown["did"], "fingerprint": ""}
    }
    exported.write_bytes(exported.read_bytes()[:-1] + b"\0")
    tried = maille("key", "check", str(exported), *place, "--passphrase-file", str(secret))
    assert tried.returncode == exits.LOCKED
    secret.write_text("wrong horse battery\n")
    locked = maille("node", "run", *place, "--passphrase-file", str(secret))
    assert (locked.returncode, "Traceback" in locked.stderr) == (exits.LOCKED, False)
    assert maille("node", "run", *place).returncode == exits.LOCKED


def test_unsealed_says_what_it_means(tmp_path: Path) -> None:
    made = maille("node", "init", "--name", "Ada", "--data-dir", str(tmp_path / "node"), "--unsealed")
    assert made.returncode == 0
    assert "whoever can read the files" in made.stderr


def secret_file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_the_passphrase_is_changed_and_the_root_key_moved(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILLE_DATA_DIR", str(tmp_path / "node"))
    make_home(tmp_path / "node", "Ada", passphrase="the first passphrase")
    first = secret_file(tmp_path / "first", "the first passphrase")
    second = secret_file(tmp_path / "second", "the second passphrase")
    rotate = ["key", "rotate-passphrase", "--passphrase-file"]
    assert run([*rotate, str(second), "--new-file", str(second)]) == exits.LOCKED
    with Home(tmp_path / "node").lock():
        assert run([*rotate, str(first), "--new-file", str(second)]) == exits.REFUSED
    assert "[NODE_RUNNING]" in capsys.readouterr().err
    assert run([*rotate, str(first)]) == exits.LOCKED, "there is nobody to ask for the new one"
    # The cost of a real seal is not paid here: plain keys, then a file that is sealed lightly.
    assert run([*rotate, str(first), "--unsealed"]) == exits.OK
    assert run(["key", "detach-root", "--to", str(tmp_path)]) == exits.REFUSED
    assert "[KEY_UNSEALED]" in capsys.readouterr().err
    keys = Keystore(tmp_path / "node" / "keys", os.urandom, LIGHT)
    keys.rotate("the second passphrase")
    assert run(["key", "detach-root", "--to", str(tmp_path / "absent")]) == exits.NOT_FOUND
    assert run(["key", "detach-root", "--to", str(tmp_path)]) == exits.OK
    assert run(["key", "show", "root"]) == exits.NOT_FOUND
    assert "[KEY_MISSING]" in capsys.readouterr().err
    assert run(["key", "list"]) == exits.OK
    assert "root here  no" in capsys.readouterr().out


def test_a_file_that_is_no_proof_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "proof").write_bytes(b"no proof")
    proof = str(tmp_path / "proof")
    assert run(["proof", "verify", proof, "--genesis", "00" * 32]) == exits.REFUSED
    assert "TOTAL-FAILED MALFORMED" in capsys.readouterr().out
    assert run(["proof", "verify", proof, "--genesis", "00" * 32, "--json"]) == exits.REFUSED
    assert json.loads(capsys.readouterr().out)["reason"] == "MALFORMED"
    for genesis in ("00", "xy"):
        assert run(["proof", "verify", proof, "--genesis", genesis]) == exits.USAGE
    assert run(["proof", "verify", str(tmp_path / "absent"), "--genesis", "00" * 32]) == exits.NOT_FOUND
    assert run(["proof", "inspect", proof]) == exits.REFUSED


class Screen(io.StringIO):
    """A terminal that says when something was written to it."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal, self.written = terminal, threading.Event()

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)


@pytest.mark.parametrize(("terminal", "quiet"), [(True, False), (True, True), (False, False)])
def test_a_long_command_shows_its_time_on_a_terminal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool, quiet: bool
) -> None:
    screen = Screen(terminal=terminal)
    monkeypatch.setattr("sys.stderr", screen)
    shown = terminal and not quiet
    with Terminal(tmp_path, quiet=quiet, passphrase_file=None, yes=False).waiting("readings import", every_s=0.001):
        assert screen.written.wait(10 if shown else 0) == shown
    assert ("readings import" in screen.getvalue()) == shown


def test_a_short_name_is_the_same_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = []
    for words in (["status"], ["node", "status"]):
        assert run([*words, "--data-dir", str(tmp_path)]) == 3
        told.append(capsys.readouterr())
    assert told[0] == told[1]


def test_a_path_that_is_not_given_is_no_place() -> None:
    matrix = find("scenario", "matrix")
    assert matrix is not None
    assert msgspec.structs.asdict(collect(matrix, {"record": ""})) == {"record": ""}
    assert msgspec.structs.asdict(collect(matrix, {"record": "x"})) == {"record": str(Path("x").absolute())}
