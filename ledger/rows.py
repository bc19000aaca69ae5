"""Rows: how the ledger reads and writes what it keeps, without knowing where that is.

How it works
    A row is a key and a value, both bytes, in a named table whose keys sort as unsigned bytes. The ledger is
    handed a `Reader` (a snapshot that does not move) or a `Writer` (the one open transaction, which sees its
    own writes). `storage/disk.py` and `storage/memory.py` provide both; the full contract, with what a crash
    may and may not do, is in `storage/store.py`.

What it does not do
    No files, no transactions: whoever opens the transaction ends it. It gives no meaning to keys and values;
    the modules that own a table document its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

META: Final = "meta"
"""Single facts about the store (name -> value)."""
ENTRIES: Final = "entries"
"""Bodies, by feed number and index, so that a feed is read in one sweep."""
IDS: Final = "ids"
"""Where an entry is: entry id -> its place in `ENTRIES`."""
FEEDS: Final = "feeds"
"""Feeds and their logs."""
HEADS: Final = "heads"
"""Checkpoints, as their owners signed them."""
COSIGNED: Final = "cosigned"
"""Cosignatures of checkpoints by other members (ledger/witnessing.py)."""
THINGS: Final = "things"
"""Folded state by name of the thing (a member, a device, a consent), and the entries of each."""
MAPS: Final = "maps"
"""Leaves of the committed maps."""
NODES: Final = "nodes"
"""Inner nodes of Merkle trees."""
OUTBOX: Final = "outbox"
"""What must still be sent; it survives a restart."""

TABLES: Final[tuple[str, ...]] = (META, ENTRIES, IDS, FEEDS, HEADS, COSIGNED, THINGS, MAPS, NODES, OUTBOX)
"""The tables of a ledger store, opened up front."""

MAX_KEY_BYTES: Final = 511
"""Longest key, in bytes; the shortest is 1. (The limit of LMDB.)"""


class Reader(Protocol):
    """Rows as they stand. Every method raises `LocalError` UNKNOWN_TABLE for an undeclared table."""

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value at `key`, or None."""
        ...

    def scan(
        self,
        table: str,
        start: bytes,
        stop: bytes | None = None,
        *,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows with `start` <= key < `stop` in key order; from the end downwards if `reverse`.

        `start` b"" is the first row, `stop` None the end of the table. At most `limit` rows.
        """
        ...

    def last(self, table: str, prefix: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that begins with `prefix` (b"": of the table), or None."""
        ...

    def count(self, table: str) -> int:
        """Return how many rows the table has; takes no scan."""
        ...


class Writer(Reader, Protocol):
    """The open transaction: it reads its own writes, and nobody else does before it ends."""

    def put(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:
        """Write a row, in place of the old one if there is one.

        `append`: a hint that `key` sorts after every key of the table. It is faster then, and still right
        when the hint is wrong. Raises `LocalError` BAD_KEY unless 1 <= len(key) <= `MAX_KEY_BYTES`.
        """
        ...

    def delete(self, table: str, key: bytes) -> None:
        """Remove a row; nothing happens if it is not there."""
        ...


def distinct(rows: Reader, table: str, prefix: bytes, length: int, start: bytes = b"") -> Iterator[bytes]:
    """Yield, once each and in order, the `length` bytes that follow `prefix` in keys, from `start` on.

    Each costs one look, however many rows there are of it.
    """
    begin: bytes | None = prefix + start
    while begin is not None:
        row = next(rows.scan(table, begin, prefix_stop(prefix), limit=1), None)
        if row is None:
            return
        found = row[0][len(prefix) : len(prefix) + length]
        yield found
        begin = prefix_stop(prefix + found)


def portion(
    rows: Reader, table: str, prefix: bytes, start: bytes, limit: int
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return at most `limit` rows whose keys begin with `prefix`, and the key from which the next portion begins.

    `start`: where to go on, b"" for the beginning. The next key is b"" when there are no more.
    """
    found = list(rows.scan(table, start or prefix, prefix_stop(prefix), limit=limit))
    return found, found[-1][0] + b"\x00" if len(found) == limit else b""


def prefix_stop(prefix: bytes) -> bytes | None:
    """Return the smallest key after all that begin with `prefix`, or None if nothing sorts after them.

    `scan(table, prefix, prefix_stop(prefix))` yields exactly the rows whose key begins with `prefix`.
    """
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else None
