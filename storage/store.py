"""The contract of a store: rows in named tables, one writer, snapshots, nothing half-written.

The contract (met by `storage/disk.py` and `storage/memory.py`; one test-suite holds both to it)
    1.  **Tables** are declared when the store is opened (`ledger/rows.py` names those of the ledger). Keys
        are 1 to 511 bytes and sort as unsigned bytes; values are any bytes, also empty.
    2.  **Snapshots.** `read()` shows the rows of the last commit before it was entered. Later commits do not
        change it. A long snapshot keeps old pages alive, so end it soon.
    3.  **One writer.** `write()` sees its own rows; nobody else does before it ends. A second `write()` while
        one is open is refused (STORE_BUSY): there is one owner of state, and nothing ever waits for a lock.
    4.  **All or nothing.** The with-block of `write()` commits when it ends normally and changes nothing when
        an exception leaves it. If the commit itself fails (disk full), it raises and has changed nothing. A
        refused row (BAD_KEY, UNKNOWN_TABLE) leaves the transaction as it was; after any other error the
        transaction is lost, and its commit raises that error again even if the block swallowed it.
    5.  **Durable.** When the block of `write()` has ended without exception, the rows are on the disk (fsync)
        and outlive a crash, `kill -9` and a power cut, as far as the disk keeps its word. The in-memory twin
        keeps them for as long as the object lives.
    6.  **Scans** are lazy. In a snapshot nothing moves. In a writer each step yields the nearest row beyond
        the last one that exists *then*, so rows may be put and deleted meanwhile, also the one just seen.
    7.  **After the block** its reader or writer is dead: every use raises TRANSACTION_OVER.
    8.  **Errors** are `LocalError` with a sentence: see the list in `storage/disk.py`.

What it does not do
    No locks between processes (the node holds a lock on its data directory), no threads, no queries, no
    secondary indexes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from ledger.errors import LocalError
from ledger.rows import MAX_KEY_BYTES, Reader, Writer


class Store(Protocol):
    """Where rows are kept. See the module's contract."""

    def read(self) -> AbstractContextManager[Reader]:
        """Return a snapshot of the last commit, for a with-block. Raises STORE_CLOSED."""
        ...

    def write(self) -> AbstractContextManager[Writer]:
        """Return the one transaction, for a with-block: committed and durable at its normal end.

        Raises STORE_BUSY if one is open, STORE_CLOSED, READ_ONLY; at the end DISK_FULL, DISK_IO.
        """
        ...

    def compact(self) -> int:
        """Rewrite the store without its free and stale pages; return the bytes gained. Raises STORE_BUSY."""
        ...

    def size_bytes(self) -> int:
        """Return how many bytes the store takes."""
        ...

    def map_used_ratio(self) -> float:
        """Return which part of the room for growth is used, 0 to 1."""
        ...

    def close(self) -> None:
        """Close the store; a second call does nothing. Raises STORE_BUSY inside a with-block of its own."""
        ...


def bad_key(table: str, key: bytes) -> LocalError:
    """Return the refusal of a key that no store can hold."""
    return LocalError(
        "BAD_KEY", f"A key of {table!r} has {len(key)} bytes; 1 to {MAX_KEY_BYTES} are allowed.", field="key"
    )


def unknown_table(table: str) -> LocalError:
    """Return the refusal of a table that was not declared."""
    return LocalError("UNKNOWN_TABLE", f"The store has no table {table!r}; declare it at opening.", field="table")


def transaction_over() -> LocalError:
    """Return the refusal of a reader or writer whose with-block has ended."""
    return LocalError("TRANSACTION_OVER", "A reader or writer was used after its with-block had ended; open another.")


def store_busy(what: str) -> LocalError:
    """Return the refusal of what cannot be done while a transaction is open."""
    return LocalError("STORE_BUSY", f"Cannot {what} while a transaction of this store is open; end it first.")


def store_closed() -> LocalError:
    """Return the refusal of a store that was closed."""
    return LocalError("STORE_CLOSED", "The store is closed; open it again.")


def snapshot(store: Store) -> AbstractContextManager[Reader]:
    """Return what is committed, to be read; on a full disk the one transaction, which sees the same.

    A journaled store commits what it has gathered before it gives a snapshot, for which there may be no room; operators
    must see how their node is just then. Raises LocalError as `read` and `write` do; nothing may be written.
    """
    try:
        return store.read()
    except LocalError as error:
        if error.code != "DISK_FULL":
            raise
        return store.write()
