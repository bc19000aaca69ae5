"""A store that crashes at its n-th step, so that a test can crash at every write.

How it works
    `CrashingStore` wraps any store and counts its steps: each put, each delete, and two for each commit (just
    before, just after). At step `crash_at` it raises `Crash`; from then on everything raises `Crash`, as a dead
    process answers nothing. The wrapped store is then what was on the disk. Run the same work with `crash_at`
    0, 1, 2, ... until it ends without a crash: every step was the last one once.

What it does not do
    It does not tear a commit in two: `test_disk.py` does that with the pages of the data file, and with kill -9.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ledger.rows import Reader, Writer
from storage.store import Store


class Crash(BaseException):
    """The process is dead. No `except Exception` in the code under test may survive it."""


class CrashingWriter:
    """The writer of a `CrashingStore`."""

    def __init__(self, store: CrashingStore, writer: Writer) -> None:
        self._store = store
        self._writer = writer
        self.get = writer.get
        self.scan = writer.scan
        self.last = writer.last
        self.count = writer.count

    def put(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:
        """Write a row, or crash before."""
        self._store.step()
        self._writer.put(table, key, value, append=append)

    def delete(self, table: str, key: bytes) -> None:
        """Delete a row, or crash before."""
        self._store.step()
        self._writer.delete(table, key)


class CrashingStore:
    """See the module. `crash_at`: the step to crash at, from 0; None never crashes and only counts `steps`."""

    def __init__(self, store: Store, crash_at: int | None = None) -> None:
        self._store = store
        self._crash_at = crash_at
        self._dead = False
        self.steps = 0

    def step(self) -> None:
        """Count one step, and die at the chosen one."""
        if self._dead or self.steps == self._crash_at:
            self._dead = True
            raise Crash
        self.steps += 1

    def _alive(self) -> Store:
        if self._dead:
            raise Crash
        return self._store

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """Return a snapshot."""
        with self._alive().read() as reader:
            yield reader

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """Return the transaction; it may crash before its commit, and after it."""
        with self._alive().write() as writer:
            yield CrashingWriter(self, writer)
            self.step()
        self.step()

    def compact(self) -> int:
        """Compact the wrapped store."""
        return self._alive().compact()

    def size_bytes(self) -> int:
        """Return the size of the wrapped store."""
        return self._alive().size_bytes()

    def map_used_ratio(self) -> float:
        """Return the ratio of the wrapped store."""
        return self._alive().map_used_ratio()

    def close(self) -> None:
        """Close the wrapped store, also after a crash."""
        self._store.close()
