"""The store in memory: the twin of `storage/disk.py` for tests and simulations.

How it works
    A table is a dict of rows and its keys in sorted blocks of at most 1 024, so that a put costs about a
    microsecond in any order and a scan needs no sorting. The writer changes tables in place and keeps an undo
    log, played backwards on an exception. Snapshots share the tables: a table that a snapshot holds is copied
    before its first change, and a snapshot opened inside a write gets the changed tables with the log undone.

What it does not do
    Nothing outlives the object, and no limit on size is kept. It is not for production.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Final

from ledger.rows import MAX_KEY_BYTES, TABLES, prefix_stop
from storage.store import bad_key, store_busy, store_closed, transaction_over, unknown_table

BLOCK_KEYS: Final = 1024
"""Most keys of one sorted block; a fuller one is split in two."""

_Undo = list[tuple[bytes, bytes | None]]


class _Rows:
    """One table: rows, their keys in order, a version that counts changes, and how many snapshots hold it."""

    __slots__ = ("blocks", "held", "maxes", "values", "version")

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.blocks: list[list[bytes]] = []
        self.maxes: list[bytes] = []
        self.version = 0
        self.held = 0

    def copy(self) -> _Rows:
        twin = _Rows()
        twin.values = self.values.copy()
        twin.blocks = [block.copy() for block in self.blocks]
        twin.maxes = self.maxes.copy()
        return twin

    def put(self, key: bytes, value: bytes) -> bytes | None:
        """Set a row and return the old value."""
        old = self.values.get(key)
        self.values[key] = value
        self.version += 1
        if old is None:
            self._insert(key)
        return old

    def delete(self, key: bytes) -> bytes | None:
        """Remove a row and return the old value."""
        old = self.values.pop(key, None)
        if old is None:
            return None
        self.version += 1
        at = bisect_left(self.maxes, key)
        block = self.blocks[at]
        del block[bisect_left(block, key)]
        if block:
            self.maxes[at] = block[-1]
        else:
            del self.blocks[at], self.maxes[at]
        return old

    def _insert(self, key: bytes) -> None:
        at = bisect_left(self.maxes, key)
        if at < len(self.blocks):
            block = self.blocks[at]
            insort(block, key)
        elif at:
            at -= 1
            block = self.blocks[at]
            block.append(key)
            self.maxes[at] = key
        else:
            self.blocks.append([key])
            self.maxes.append(key)
            return
        if len(block) > BLOCK_KEYS:
            half = block[BLOCK_KEYS // 2 :]
            del block[BLOCK_KEYS // 2 :]
            self.blocks.insert(at + 1, half)
            self.maxes[at : at + 1] = [block[-1], half[-1]]

    def undo(self, log: _Undo) -> None:
        """Play a log of old values backwards."""
        for key, old in reversed(log):
            if old is None:
                self.delete(key)
            else:
                self.put(key, old)

    def upward(self, start: bytes, *, after: bool = False) -> Iterator[bytes]:
        """Yield the keys >= `start` (> if `after`), upwards."""
        find = bisect_right if after else bisect_left
        at = find(self.maxes, start)
        if at < len(self.blocks):
            yield from islice(self.blocks[at], find(self.blocks[at], start), None)
            for block in islice(self.blocks, at + 1, None):
                yield from block

    def downward(self, stop: bytes | None) -> Iterator[bytes]:
        """Yield the keys < `stop` (None: all), downwards."""
        top = len(self.blocks) if stop is None else bisect_left(self.maxes, stop)
        if stop is not None and top < len(self.blocks):
            block = self.blocks[top]
            for index in range(bisect_left(block, stop) - 1, -1, -1):
                yield block[index]
        for at in range(top - 1, -1, -1):
            yield from reversed(self.blocks[at])


class MemoryReader:
    """A snapshot of a `MemoryStore`; see `ledger.rows.Reader`."""

    __slots__ = ("_over", "_store", "_tables")

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._tables: dict[str, _Rows] = {}
        self._over = True

    def __enter__(self) -> MemoryReader:
        """Hold the tables of the last commit."""
        self._tables = self._store.hold()
        self._over = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the tables go."""
        self._store.release(self._tables)
        self._tables, self._over = {}, True

    def _rows(self, table: str) -> _Rows:
        rows = self._tables.get(table)
        if rows is None:
            raise transaction_over() if self._over else unknown_table(table)
        return rows

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value at `key`, or None."""
        value = self._rows(table).values.get(key)
        if not key:
            raise bad_key(table, key)
        return value

    def scan(
        self,
        table: str,
        start: bytes,
        stop: bytes | None = None,
        *,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows of a range; see `ledger.rows.Reader.scan`."""
        self._rows(table)
        return islice(self._walk(table, start, stop, reverse), limit)

    def _walk(self, table: str, start: bytes, stop: bytes | None, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        rows = self._rows(table)
        keys, seen = (rows.downward(stop) if reverse else rows.upward(start)), rows.version
        while (key := next(keys, None)) is not None:
            if key < start if reverse else stop is not None and key >= stop:
                return
            yield key, rows.values[key]
            current = self._rows(table)
            if current is not rows or current.version != seen:  # changed meanwhile: find our place again
                rows, seen = current, current.version
                keys = rows.downward(key) if reverse else rows.upward(key, after=True)

    def last(self, table: str, prefix: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that begins with `prefix`, or None."""
        rows = self._rows(table)
        key = next(rows.downward(prefix_stop(prefix)), None)
        return (key, rows.values[key]) if key is not None and key.startswith(prefix) else None

    def count(self, table: str) -> int:
        """Return how many rows the table has."""
        return len(self._rows(table).values)


class MemoryWriter(MemoryReader):
    """The one transaction of a `MemoryStore`; see `ledger.rows.Writer`."""

    __slots__ = ("logs", "replaced")

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.logs: dict[str, _Undo] = {}
        self.replaced: dict[str, _Rows] = {}

    def __enter__(self) -> MemoryWriter:
        """Begin."""
        self._tables = self._store.begin(self)
        self._over = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit, or undo everything if an exception is on its way out."""
        if kind is not None:
            for table, log in self.logs.items():
                if table not in self.replaced:
                    self._tables[table].undo(log)
            self._tables.update(self.replaced)
        self._store.end()
        self._tables, self._over = {}, True
        self.logs, self.replaced = {}, {}

    def _changing(self, table: str) -> tuple[_Rows, _Undo]:
        """Return a table that may be changed in place, and its undo log."""
        rows = self._rows(table)
        if rows.held:
            self.replaced[table] = rows
            rows = self._tables[table] = rows.copy()
        log = self.logs.get(table)
        if log is None:
            log = self.logs[table] = []
        return rows, log

    def put(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:  # noqa: ARG002 (the contract has it)
        """Write a row; the hint is not needed here."""
        if not 0 < len(key) <= MAX_KEY_BYTES:
            self._rows(table)
            raise bad_key(table, key)
        rows, log = self._changing(table)
        log.append((key, rows.put(key, value)))

    def delete(self, table: str, key: bytes) -> None:
        """Remove a row; nothing happens if it is not there."""
        if not key:
            self._rows(table)
            raise bad_key(table, key)
        if key in self._rows(table).values:
            rows, log = self._changing(table)
            log.append((key, rows.delete(key)))


class MemoryStore:
    """A store in memory; see `storage.store.Store`. `tables`: the names of its tables."""

    def __init__(self, tables: Iterable[str] = TABLES) -> None:
        self._tables = {table: _Rows() for table in tables}
        self._writer: MemoryWriter | None = None
        self._readers = 0
        self._closed = False

    def read(self) -> MemoryReader:
        """Return a snapshot of the last commit, for a with-block."""
        if self._closed:
            raise store_closed()
        return MemoryReader(self)

    def write(self) -> MemoryWriter:
        """Return the one transaction, for a with-block."""
        if self._closed:
            raise store_closed()
        if self._writer is not None:
            raise store_busy("write")
        return MemoryWriter(self)

    def compact(self) -> int:
        """Do nothing: there are no stale pages here. Raises STORE_BUSY as the disk does."""
        if self._closed:
            raise store_closed()
        if self._writer is not None or self._readers:
            raise store_busy("compact")
        return 0

    def size_bytes(self) -> int:
        """Return the bytes of all keys and values (the cost of Python objects is not counted)."""
        tables = self._tables.values()
        return sum(len(key) + len(value) for rows in tables for key, value in rows.values.items())

    def map_used_ratio(self) -> float:
        """Return 0: there is no limit."""
        return 0.0

    def close(self) -> None:
        """Close the store and drop its rows."""
        if self._writer is not None or self._readers:
            raise store_busy("close")
        self._closed = True
        self._tables = {}

    # What follows is for the transactions above.

    def hold(self) -> dict[str, _Rows]:
        """Return the tables of the last commit and keep them from changing until `release`."""
        if self._closed:
            raise store_closed()
        tables = dict(self._tables)
        if self._writer is not None:
            for table, log in self._writer.logs.items():
                if table in self._writer.replaced:
                    tables[table] = self._writer.replaced[table]
                else:
                    tables[table] = tables[table].copy()
                    tables[table].undo(log)
        for rows in tables.values():
            rows.held += 1
        self._readers += 1
        return tables

    def release(self, tables: dict[str, _Rows]) -> None:
        """Let the tables of a snapshot go."""
        for rows in tables.values():
            rows.held -= 1
        self._readers -= 1

    def begin(self, writer: MemoryWriter) -> dict[str, _Rows]:
        """Make `writer` the one transaction and return the tables it changes in place."""
        if self._closed:
            raise store_closed()
        if self._writer is not None:
            raise store_busy("write")
        self._writer = writer
        return self._tables

    def end(self) -> None:
        """There is no transaction any more."""
        self._writer = None
