"""The examples, run as their readers run them, against real nodes: they work, and stop when the consent ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulations.sandbox import Sandbox, sandbox

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SECONDS_MAX = 60


@pytest.fixture
def mesh() -> Iterator[Sandbox]:
    """Run two nodes."""
    with sandbox("operator", "adviser") as running:
        yield running


@contextmanager
def command(mesh: Sandbox, name: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run an example on the adviser's node beside a with-block; end it, if need be, when the block does."""
    environment = os.environ | {"MAILLE_DATA_DIR": str(mesh.home("adviser").path)}
    pipe = subprocess.PIPE
    words = [sys.executable, str(EXAMPLES / name), *args]
    with subprocess.Popen(words, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(mesh: Sandbox, name: str, *args: str) -> tuple[int, str, str]:
    """Run an example to its end; return its exit code and what it said."""
    with command(mesh, name, *args) as process:
        out, err = process.communicate(timeout=SECONDS_MAX)
    return process.returncode, out, err


@pytest.mark.covers("R151", "system:Domoticz")
def test_the_day_is_printed_until_the_consent_ends(mesh: Sandbox) -> None:
    point = mesh.meter("operator", days=3)
    anna = mesh.person("anna", at="operator")
    consent = anna.grant(holder="operator", recipient="adviser", point=point)
    mesh.client("adviser").wait_for(consent)
    code, out, err = run(mesh, "day.py", consent)
    assert (code, err) == (0, "")
    assert out.endswith(" Wh\n")
    anna.withdraw(consent)
    code, out, err = run(mesh, "day.py", consent)
    assert (code, out) == (1, "")
    assert err.startswith("No data: ")
    assert "[WITHDRAWN]" in err
    assert "Traceback" not in err


@pytest.mark.covers("system:Domoticz")
def test_the_example_of_home_automation_is_short() -> None:
    assert len((EXAMPLES / "day.py").read_text().splitlines()) < 30


def test_changes_are_followed(mesh: Sandbox) -> None:
    point = mesh.meter("operator", days=3)
    consent = mesh.person("anna", at="operator").grant(holder="operator", recipient="adviser", point=point)
    with mesh.client("adviser") as node:
        node.wait_for(consent)
        node.fetch(consent)
    with command(mesh, "follow.py") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split()[1] for _ in range(2)]
        assert process.stdout.readline() == f"  3 readings of {point}\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS_MAX)
    assert lines == ["consent.began", "data.arrived"]
    assert err == ""


def test_a_person_is_asked(mesh: Sandbox) -> None:
    point = mesh.meter("operator", days=3)
    anna = mesh.person("anna", at="operator")
    with command(mesh, "ask.py", "operator", "operator", point) as process:
        assert process.stdout is not None
        consent = anna.answer(process.stdout.readline().strip())
        out, _ = process.communicate(timeout=SECONDS_MAX)
    assert out.strip() == consent
    with command(mesh, "ask.py", "operator", "operator", point) as process:
        assert process.stdout is not None
        anna.refuse(process.stdout.readline().strip())
        _, err = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 1
    assert "refused" in err


@pytest.mark.parametrize("name", ["day.py", "ask.py"])
def test_without_arguments_examples_say_how_they_are_called(mesh: Sandbox, name: str) -> None:
    code, out, err = run(mesh, name)
    assert (code, out) == (1, "")
    assert err.startswith(f"usage: python {name}")
