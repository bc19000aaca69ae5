"""Files of studies: whole or not there at all, on a full disk too."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.errors import LocalError
from simulations.files import write_whole


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """Let no file of this process grow beyond `count` bytes, as a disk that is full would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_is_replaced_by_a_whole_one(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    write_whole(file, "une première\n")
    write_whole(file, b"2")
    assert file.read_bytes() == b"2"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("before", [None, b"of before"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, before: bytes | None) -> None:
    file = tmp_path / "index.html"
    if before is not None:
        file.write_bytes(before)
    with room_for(1_000), pytest.raises(LocalError, match=r"index\.html cannot be written") as caught:
        write_whole(file, bytes(100_000))
    assert caught.value.code == "FILE_WRITE"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if before is None else [before])


def test_what_a_crash_interrupts_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "summary.json"
    file.write_bytes(b"of before")

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(file, b"a new one")
    assert file.read_bytes() == b"of before"
