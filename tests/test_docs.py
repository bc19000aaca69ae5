"""README tells the truth: its commands run, and what it names exists.

Commands: a fenced `sh` block right below a line `<!-- run -->` is run. All such blocks, in order, are one
bash script with `set -euo pipefail`, run in an empty directory with an empty home and the environment's
`maille` on the PATH: what a reader gets who types them one after the other in one terminal. What they leave
running is ended with the script.
Names: in backticks, whatever looks like a file or a folder exists in the project (`path::name` also occurs in
the file), and whatever starts with `maille` is a command of the table of operations.
"""

from __future__ import annotations

import importlib
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN_SECONDS_MAX = 300
"""Only against a command that hangs."""

SETUP = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/maille demo"
TEST = ".venv/bin/pytest -n auto --dist loadfile"

DOCS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))}
PAGES = {"README.md": README, **DOCS}
"""Every page that a person wrote; the reference pages are made from the code (docs/hooks)."""

FENCE = re.compile(r"^(<!-- run -->\n+)?```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LOOKS_LIKE_PATH = re.compile(
    r"(?!text/|application/)(?:\.\./)?(?:\.?[\w-][\w.-]*/)+[\w.-]*"  # a folder, or a file in one
    r"|[\w.-]+\.(?:py|md|lock|cff|cddl)|pyproject\.toml|LICENSE"
)
"""Bare names of other kinds (`proof.json`), `./`, `~/` and `/` are the reader's own files."""

COMMAND = re.compile(r"(?:^|[\s;&|(/])maille((?: +[a-z][a-z-]*(?:\|[a-z-]+)*){0,2})")


def blocks(text: str) -> Iterator[tuple[bool, str, str]]:
    """Yield every fenced block: whether it is to be run, its language, its text."""
    for match in FENCE.finditer(text):
        yield match[1] is not None, match[2], match[3]


def script(text: str) -> str:
    """Return the blocks to be run as one script."""
    return "".join(body for run, language, body in blocks(text) if run and language == "sh")


def spans(text: str) -> list[str]:
    """Return what stands in single backticks outside the fenced blocks."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def missing_paths(text: str, root: Path) -> list[str]:
    """Return the names of files and folders in `text` that are not there, seen from `root`."""
    missing = []
    for span in spans(text):
        name, _, inside = span.partition("::")
        if not LOOKS_LIKE_PATH.fullmatch(name):
            continue
        if name.startswith("../shared/") and not (root.parent / "shared").is_dir():
            continue
        path = root / name
        if not path.exists() or (inside and not re.search(rf"\b{re.escape(inside)}\b", path.read_text("utf-8"))):
            missing.append(span)
    return missing


def commands(text: str) -> set[tuple[str, ...]]:
    """Return the words after each `maille` in backticks and `sh` blocks; `make|verify` is two commands."""
    lines = [line for _, language, body in blocks(text) if language == "sh" for line in body.splitlines()]
    lines += [span for span in spans(text) if span.startswith("maille ")]
    found: set[tuple[str, ...]] = set()
    for line in lines:
        for match in COMMAND.finditer(line.split(" #", maxsplit=1)[0]):
            variants: list[tuple[str, ...]] = [()]
            for word in match[1].split():
                variants = [(*variant, choice) for variant in variants for choice in word.split("|")]
            found |= set(variants) - {()}
    return found


def unknown_commands(text: str, known: set[tuple[str | None, str]]) -> list[str]:
    """Return the commands in `text` which are not in `known`, a set of (noun or None, verb)."""
    nouns = {noun for noun, _ in known}
    unknown = []
    for words in sorted(commands(text)):
        alone = (None, words[0]) in known or (len(words) == 1 and words[0] in nouns)
        if not alone and (words[0], words[-1]) not in known:
            unknown.append(" ".join(["maille", *words]))
    return unknown


def command_lines(text: str) -> list[str]:
    """Return each command of maille in `sh` blocks, a line each, without what the shell does around it."""
    found = []
    for _, language, body in blocks(text):
        if language != "sh":
            continue
        for line in body.replace("\\\n", " ").splitlines():
            for part in re.split(r"\|\||&&|[|;]|\bdo\b|\buntil\b", re.sub(r"\s#.*", "", line)):
                match = re.match(r"\s*(?:\w+=\$\()?(maille .*)", part)
                if match:
                    found.append(re.sub(r"\s+(?:\d?[<>]|&(?!&)).*", "", match[1]).strip())
    return found


def misunderstood(line: str) -> str:
    """Return what the command line does not understand of a command; empty when it understands it."""
    app = importlib.import_module("node.cli.app")
    words = shlex.split(re.sub(r"\$\([^)]*\)|\$\w+", "x", line).replace("--at x", "--at 2026-01-01"))[1:]
    try:
        app.build().parse_args(words, exit_on_error=False, print_error=False)
    except app.CycloptsError as error:
        return f"{line}: {error}"
    return ""


def run_as_reader(text: str) -> tuple[int, str]:
    """Run a script as a reader of README would; return its exit code and what it printed."""
    with tempfile.TemporaryDirectory(prefix="maille-") as home:
        folder = Path(home) / "here"
        folder.mkdir()
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": home,
            "TMPDIR": home,
            "LANG": "C.UTF-8",
        }
        with (Path(home) / "output").open("w+", encoding="utf-8") as output:
            # A file, not a pipe: a daemon left running would hold a pipe open for ever.
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(timeout=RUN_SECONDS_MAX)
            finally:
                _end_group(process.pid)
                process.wait()
            output.seek(0)
            return code, output.read()


def _end_group(leader: int) -> None:
    """End whatever the script left running; it is the leader of its own process group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_readme_gives_the_two_commands() -> None:
    lines = [
        re.sub(r"\s+#.*", "", line)
        for _, language, body in blocks(README)
        if language == "sh"
        for line in body.splitlines()
    ]
    assert lines[:2] == [SETUP, TEST]


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if script(text)])
def test_what_a_page_says_to_run_runs(page: str) -> None:
    code, output = run_as_reader(script(PAGES[page]))
    assert code == 0, output


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_exist(page: str) -> None:
    assert missing_paths(PAGES[page], ROOT) == []


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_commands_that_exist(page: str) -> None:
    table = importlib.import_module("node.operations")
    known = {(operation.noun, operation.verb) for operation in table.OPERATIONS} | {
        (None, name) for name in table.SHORT
    }
    assert unknown_commands(PAGES[page], known) == []


@pytest.mark.parametrize("page", DOCS)
def test_pages_call_commands_with_options_that_exist(page: str) -> None:
    """Each command in a block is given to the command line, which must understand it; nothing is run."""
    assert [told for line in command_lines(DOCS[page]) if (told := misunderstood(line))] == []


def test_the_documentation_is_built_strictly(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    commands_page = (tmp_path / "site" / "reference" / "commands.html").read_text(encoding="utf-8")
    for operation in importlib.import_module("node.operations").OPERATIONS:
        assert f"maille {operation.name}<" in commands_page, operation.name
    fetched = re.findall(r'(?:src|href)="(https?://[^"]+\.(?:js|css|woff2?))"', commands_page)
    assert fetched == [], "a page fetches from elsewhere"


def test_states_of_the_pictures_are_those_of_the_code() -> None:
    told = runpy.run_path(str(ROOT / "docs" / "hooks" / "states.py"))
    consent = importlib.import_module("ledger.consent.status").State
    assert {state.name.lower() for state in consent} <= set(told["CONSENT_PLACES"])
    members = importlib.import_module("ledger.governance.roster")._STATES
    assert set(members) == set(told["MEMBER_PLACES"]) - {"applied"}
    for places, steps in (("CONSENT_PLACES", "CONSENT_STEPS"), ("MEMBER_PLACES", "MEMBER_STEPS")):
        assert {name for source, target, _ in told[steps] for name in (source, target)} == set(told[places])


SAMPLE = """
`ledger/` and `ledger/absent.py` and `ledger/errors.py::LocalError` and `ledger/errors.py::Absent` and
`absent.md`, `pyproject.toml`, `.ci/run`, `.ci/absent`; not `a | b`, `text/csv`, `./x/y`, `~/x/y`,
`proof.json`

<!-- run -->
```sh
maille peer list --json   # maille comment only
echo ran > file; x=1
```
`maille proof make|break` and `maille demo` and `maille wallet` and `maille --version`
```sh
.venv/bin/maille ghost
```
<!-- run -->
```sh
test "$x" = 1 && cat file && cd .. && test ! -e README.md
```
"""


def test_missing_files_are_found() -> None:
    assert missing_paths(SAMPLE, ROOT) == [
        "ledger/absent.py",
        "ledger/errors.py::Absent",
        "absent.md",
        ".ci/absent",
    ]


def test_unknown_commands_are_found() -> None:
    known: set[tuple[str | None, str]] = {
        ("peer", "list"),
        ("proof", "make"),
        (None, "demo"),
        ("wallet", "show"),
    }
    assert unknown_commands(SAMPLE, known) == ["maille ghost", "maille proof break"]


def test_marked_blocks_are_one_script() -> None:
    assert "maille ghost" not in script(SAMPLE)
    code, output = run_as_reader(script(SAMPLE).replace("maille", "true"))
    assert (code, output) == (0, "ran\n")


@pytest.mark.parametrize("text", ["false\ntrue", "false | true", "echo $nowhere", "maille-of-nobody"])
def test_a_failing_command_fails(text: str) -> None:
    code, _ = run_as_reader(text)
    assert code != 0
