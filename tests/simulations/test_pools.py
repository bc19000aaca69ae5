"""Worker processes: Ctrl-C ends them without a word of their own."""

from __future__ import annotations

import os
import signal
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool

import pytest

from simulations.pools import pool


def interrupted(number: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return number


def test_work_is_done_elsewhere() -> None:
    with pool(1) as made:
        assert made.submit(os.getpid).result() != os.getpid()


def test_an_interrupted_worker_ends_silently(capfd: pytest.CaptureFixture[str]) -> None:
    with pool(1) as made:
        (found,) = as_completed([made.submit(interrupted, 1)])
        with pytest.raises(BrokenProcessPool):  # it ended; a KeyboardInterrupt would come back as such, with its trace
            found.result()
    assert capfd.readouterr().err == ""
