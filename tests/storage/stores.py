"""What the tests of storage share: the stores by name, rows put and read, refusals checked."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.errors import LocalError
from ledger.rows import Reader
from storage.disk import DiskStore
from storage.memory import MemoryStore
from storage.store import Store

PROJECT = Path(__file__).resolve().parents[2]
"""The folder of the project, from which other processes are started."""
SAMPLE_ROWS = 600
"""Entries put into `sample`; every seventh is deleted again."""

MAKERS: dict[str, Callable[[Path], Store]] = {
    "disk": lambda path: DiskStore(path / "store"),
    "journaled": lambda path: DiskStore(path / "store", journal=True),
    "memory": lambda _path: MemoryStore(),
}


def rows_of(reader: Reader, table: str) -> list[tuple[bytes, bytes]]:
    """Return all rows of a table."""
    return list(reader.scan(table, b""))


def fill(store: Store, *keys: bytes, table: str = "things") -> None:
    """Put each key with itself reversed as value."""
    with store.write() as writer:
        for key in keys:
            writer.put(table, key, key[::-1])


def check_refused(code: str, call: Callable[[], object]) -> None:
    """Expect a `LocalError` with this code and a sentence."""
    with pytest.raises(LocalError) as caught:
        call()
    assert caught.value.code == code
    assert str(caught.value).rstrip("]").endswith(code)


@contextmanager
def opened(path: Path, **options: object) -> Iterator[DiskStore]:
    """Open a store and close it."""
    store = DiskStore(path, **options)  # type: ignore[arg-type]
    try:
        yield store
    finally:
        store.close()


def victim(command: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run the other process to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tests.storage.victim", command, str(path)],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def sample(path: Path) -> bytes:
    """Make a store of several hundred pages and return its data file."""
    chance = random.Random(3)
    with opened(path) as store:
        with store.write() as writer:
            for index in range(SAMPLE_ROWS):
                writer.put("entries", index.to_bytes(4, "big"), chance.randbytes(1000), append=True)
                writer.put("ids", chance.randbytes(16), chance.randbytes(30))
        with store.write() as writer:  # big values have pages of their own, and deleted ones leave free pages
            writer.put("things", b"big", bytes(20_000))
            for index in range(0, SAMPLE_ROWS, 7):
                writer.delete("entries", index.to_bytes(4, "big"))
    return (path / "data.mdb").read_bytes()
