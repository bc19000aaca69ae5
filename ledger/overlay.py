"""Scratch tables over a snapshot: rows that may be written without touching the store.

How it works
    `Overlay`: the tables named at the start begin empty and live in memory, sorted; every other table is read through
    from the snapshot and refuses to be written. `Draft`: every table is the snapshot's, with the changes laid over it.

What it does not do
    They are for one derivation of what fits in memory (`verify`, the state root of a seal), and nothing outlives them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice

from ledger.errors import LocalError
from ledger.rows import Reader, prefix_stop


class Overlay:
    """A `ledger.rows.Writer` whose `fresh` tables are in memory and whose others are those of `below`."""

    def __init__(self, below: Reader, fresh: tuple[str, ...]) -> None:
        self._below = below
        self._values: dict[str, dict[bytes, bytes]] = {table: {} for table in fresh}
        self._keys: dict[str, list[bytes]] = {table: [] for table in fresh}

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value at `key`, or None."""
        return self._values[table].get(key) if table in self._values else self._below.get(table, key)

    def scan(
        self,
        table: str,
        start: bytes,
        stop: bytes | None = None,
        *,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows with `start` <= key < `stop`, as they stand when the scan begins."""
        if table not in self._values:
            return self._below.scan(table, start, stop, limit=limit, reverse=reverse)
        keys, values = self._keys[table], self._values[table]
        low = bisect_left(keys, start)
        high = len(keys) if stop is None else bisect_left(keys, stop)
        found = keys[low:high]
        if reverse:
            found.reverse()
        return ((key, values[key]) for key in islice(found, limit))

    def last(self, table: str, prefix: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that begins with `prefix`, or None."""
        return next(self.scan(table, prefix, prefix_stop(prefix), limit=1, reverse=True), None)

    def count(self, table: str) -> int:
        """Return how many rows the table has."""
        return len(self._keys[table]) if table in self._keys else self._below.count(table)

    def put(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:  # noqa: ARG002
        """Write a row of a fresh table. Raises LocalError READ_ONLY for another."""
        values = self._fresh(table)
        if key not in values:
            insort(self._keys[table], key)
        values[key] = value

    def delete(self, table: str, key: bytes) -> None:
        """Remove a row of a fresh table. Raises LocalError READ_ONLY for another."""
        if self._fresh(table).pop(key, None) is not None:
            keys = self._keys[table]
            del keys[bisect_left(keys, key)]

    def _fresh(self, table: str) -> dict[bytes, bytes]:
        if table not in self._values:
            raise LocalError("READ_ONLY", f"the table {table} is read through and cannot be written")
        return self._values[table]


class Draft:
    """A `ledger.rows.Writer` over a snapshot: what is written is read back, and the store never changes."""

    def __init__(self, below: Reader) -> None:
        self._below = below
        self._changed: dict[str, dict[bytes, bytes | None]] = {}

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value at `key`, or None."""
        changed = self._changed.get(table, {})
        return changed[key] if key in changed else self._below.get(table, key)

    def scan(
        self,
        table: str,
        start: bytes,
        stop: bytes | None = None,
        *,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows with `start` <= key < `stop`, as they stand when the scan begins."""
        changed = {k: v for k, v in self._changed.get(table, {}).items() if k >= start and (stop is None or k < stop)}
        if not changed:
            return self._below.scan(table, start, stop, limit=limit, reverse=reverse)
        rows = {key: value for key, value in self._below.scan(table, start, stop) if key not in changed}
        rows.update({key: value for key, value in changed.items() if value is not None})
        return islice(iter(sorted(rows.items(), reverse=reverse)), limit)

    def last(self, table: str, prefix: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that begins with `prefix`, or None."""
        return next(self.scan(table, prefix, prefix_stop(prefix), limit=1, reverse=True), None)

    def count(self, table: str) -> int:
        """Return how many rows the table has."""
        changed = self._changed.get(table, {})
        gained = sum((value is not None) - (self._below.get(table, key) is not None) for key, value in changed.items())
        return self._below.count(table) + gained

    def put(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:  # noqa: ARG002
        """Write a row of the draft."""
        self._changed.setdefault(table, {})[key] = value

    def delete(self, table: str, key: bytes) -> None:
        """Remove a row of the draft."""
        self._changed.setdefault(table, {})[key] = None
