"""A store that crashes at its n-th step, and a disk that forgets what it said it had written.

How it works
    `CrashingStore` wraps any store and counts its steps: each put, each delete, and two for each commit (just
    before, just after). At step `crash_at` it raises `Crash`; from then on everything raises `Crash`, as a dead
    process answers nothing, until `revive`. The wrapped store is then what was on the disk. Run the same work with
    `crash_at` 0, 1, 2, ... until it ends without a crash: every step was the last one once. `arm` sets the next crash,
    so that a simulated node dies in the middle of a write. With `remember`, the last commits can be undone by `lose`:
    a disk that lied about having written them.

What it does not do
    It does not tear a commit in two: tests/storage/test_disk.py does that with the pages of the data file, and with
    kill -9.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.rows import Reader, Writer
from storage.store import Store

_Old = tuple[str, bytes, bytes | None]  # a row as it was before a write: table, key, value


class Crash(BaseException):
    """The process is dead. No `except Exception` in the code under test may survive it."""


class CrashingWriter:
    """The writer of a `CrashingStore`."""

    def __init__(self, store: CrashingStore, writer: Writer, olds: list[_Old] | None) -> None:
        self._store, self._writer, self._olds = store, writer, olds
        self.get = writer.get
        self.scan = writer.scan
        self.last = writer.last
        self.count = writer.count

    def put(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:
        """Write a row, or crash before."""
        self._store.step()
        if self._olds is not None:
            self._olds.append((table, key, self._writer.get(table, key)))
        self._writer.put(table, key, value, append=append)

    def delete(self, table: str, key: bytes) -> None:
        """Delete a row, or crash before."""
        self._store.step()
        if self._olds is not None:
            self._olds.append((table, key, self._writer.get(table, key)))
        self._writer.delete(table, key)


class CrashingStore:
    """See the module. `crash_at`: the step to crash at, from 0; None never crashes and only counts `steps`."""

    def __init__(self, store: Store, crash_at: int | None = None, *, remember: int = 0) -> None:
        """`remember`: how many commits `lose` can undo."""
        self._store = store
        self._crash_at = crash_at
        self._dead = False
        self._commits: deque[list[_Old]] = deque(maxlen=remember)
        self._remembers = remember > 0
        self.steps = 0

    def step(self) -> None:
        """Count one step, and die at the chosen one."""
        if self._dead or self.steps == self._crash_at:
            self._dead = True
            raise Crash
        self.steps += 1

    def arm(self, steps: int) -> None:
        """Crash after so many more steps."""
        self._crash_at = self.steps + steps

    def revive(self) -> None:
        """Answer again, with what was durable: the process was started anew."""
        self._dead, self._crash_at = False, None

    def lose(self, commits: int) -> int:
        """Undo the last commits, as a disk that had not written them; return how many were undone."""
        undone = 0
        while self._commits and undone < commits:
            with self._store.write() as writer:
                for table, key, value in reversed(self._commits.pop()):
                    if value is None:
                        writer.delete(table, key)
                    else:
                        writer.put(table, key, value)
            undone += 1
        return undone

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
        olds: list[_Old] | None = [] if self._remembers else None
        with self._alive().write() as writer:
            yield CrashingWriter(self, writer, olds)
            self.step()
        if olds:
            self._commits.append(olds)
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
