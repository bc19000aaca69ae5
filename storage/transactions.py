"""Snapshots and the one write transaction of an LMDB environment, and what LMDB's errors mean.

How it works
    Thin: a get or put is one dictionary look-up and one call into LMDB. Values are copied out as bytes, so
    that nothing points into the map when a transaction ends. Every error of LMDB becomes a `LocalError`.

What it does not do
    It opens and closes no environment (`storage/disk.py` does) and decides nothing about tables or schema.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

import lmdb

from ledger.errors import LocalError
from ledger.rows import prefix_stop
from storage.store import bad_key, store_busy, transaction_over, unknown_table

if TYPE_CHECKING:
    from lmdb import _Database

ALMOST_FULL_BYTES: Final = 1024**2
"""A write that was cut short counts as "disk full" when less than this is free, in bytes."""

_OWN_PAGES: Final = 4
"""Pages that LMDB takes for itself: two of meta data, the list of tables, our private table."""

_CORRUPT: Final = (
    lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError,
    lmdb.IncompatibleError, lmdb.PanicError, lmdb.CursorFullError, lmdb.PageFullError, lmdb.BadChecksumError,
)  # fmt: skip


def corrupt(path: Path, finding: str) -> LocalError:
    """Return the error for a damaged store; `finding` says what is damaged."""
    advice = "Restore a backup, or sync it afresh from peers."
    return LocalError("STORE_CORRUPT", f"The store in {path} is damaged: {finding}. {advice}")


def from_errno(path: Path, code: int, what: str) -> LocalError:
    """Return the error for a failed call to the system: what happened, and what to do."""
    if code == errno.EIO and _free_bytes(path) < ALMOST_FULL_BYTES:
        code = errno.ENOSPC  # LMDB reports a write that was cut short as EIO
    match code:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return LocalError("DISK_FULL", f"No room for the store in {path}; nothing was changed. Free space.")
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return LocalError("READ_ONLY", f"The store in {path} is not writable; check its owner and the mount.")
        case errno.ENOMEM:
            return LocalError("MAP_REFUSED", f"The system refused the map of {path}; raise its limit (ulimit -v).")
        case errno.ENOENT | errno.ENOTDIR:
            return LocalError("STORE_MISSING", f"There is no store in {path}, or no such directory.")
        case _:
            name = errno.errorcode.get(code, str(code))
            return LocalError("DISK_IO", f"The disk of {path} failed ({what}: {name}); nothing was changed.")


def _free_bytes(path: Path) -> int:
    try:
        room = os.statvfs(path)
    except OSError:
        return ALMOST_FULL_BYTES
    return room.f_bavail * room.f_frsize


def translate(path: Path, error: lmdb.Error) -> LocalError:
    """Return the `LocalError` that an error of LMDB means for the store in `path`."""
    if isinstance(error, lmdb.MapFullError):
        wants = f"One transaction needs more room than the map of {path} has left"
        return LocalError("DISK_FULL", f"{wants}; nothing was changed. Write less at once.")
    if isinstance(error, _CORRUPT):
        return corrupt(path, error.reason)
    if error.code > 0:
        return from_errno(path, error.code, error.what)
    if error.code == 0:
        return transaction_over()  # "operate on closed/deleted/dropped object": LMDB was not asked at all
    return LocalError("STORE_ERROR", f"The store in {path} refused: {error}. Nothing was changed.")


class Environment:
    """An open LMDB environment with its tables, and which transactions are open on it."""

    __slots__ = ("env", "map_full", "page_bytes", "path", "readers", "tables", "writing")

    def __init__(self, path: Path, env: lmdb.Environment, tables: dict[str, _Database]) -> None:
        self.path = path
        self.env = env
        self.tables = tables
        self.page_bytes = env.stat()["psize"]
        self.readers: set[DiskReader] = set()
        self.writing = False
        self.map_full = False

    def failure(self, error: lmdb.Error) -> LocalError:
        """Return what an error of the write transaction means, and remember a map that is full."""
        self.map_full |= isinstance(error, lmdb.MapFullError)
        return translate(self.path, error)


class DiskReader:
    """A snapshot; see `ledger.rows.Reader`."""

    __slots__ = ("_at", "_get", "_tables", "_txn")

    def __init__(self, at: Environment) -> None:
        self._at = at
        self._tables = at.tables
        self._txn: lmdb.Transaction[bytes] | None = None
        self._get: Callable[..., bytes | None] = _over

    def __enter__(self) -> DiskReader:
        """Take the snapshot."""
        try:
            self._txn = self._at.env.begin()
        except lmdb.Error as error:
            raise translate(self._at.path, error) from error
        self._get = self._txn.get
        self._at.readers.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the snapshot go."""
        if self._txn is not None:
            self._txn.abort()
            self._txn, self._get = None, _over
            self._at.readers.discard(self)

    def _failed(self, error: lmdb.Error | KeyError, table: str, key: bytes = b"") -> LocalError:
        """Return what to raise."""
        if isinstance(error, KeyError):
            return transaction_over() if self._txn is None else unknown_table(table)
        if isinstance(error, lmdb.BadValsizeError):
            return bad_key(table, key)
        return translate(self._at.path, error)

    def _open(self) -> lmdb.Transaction[bytes]:
        if self._txn is None:
            raise transaction_over()
        return self._txn

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value at `key`, or None."""
        try:
            return self._get(key, None, self._tables[table])
        except (lmdb.Error, KeyError) as error:
            raise self._failed(error, table, key) from error

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
        self._open()
        if table not in self._tables:
            raise unknown_table(table)
        rows = self._downward(table, start, stop) if reverse else self._upward(table, start, stop)
        return rows if limit is None else islice(rows, limit)

    def _upward(self, table: str, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        try:
            cursor = self._open().cursor(self._tables[table])
            if not cursor.set_range(start):
                return
            for row in cursor.iternext():
                if stop is not None and row[0] >= stop:
                    return
                yield row
        except lmdb.Error as error:
            raise self._failed(error, table) from error

    def _downward(self, table: str, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        try:
            cursor = self._open().cursor(self._tables[table])
            if not _before(cursor, stop):
                return
            for row in cursor.iterprev():
                if row[0] < start:
                    return
                yield row
        except lmdb.Error as error:
            raise self._failed(error, table) from error

    def last(self, table: str, prefix: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that begins with `prefix`, or None."""
        try:
            cursor = self._open().cursor(self._tables[table])
            row = cursor.item() if _before(cursor, prefix_stop(prefix)) else None
            cursor.close()
        except (lmdb.Error, KeyError) as error:
            raise self._failed(error, table) from error
        return row if row is not None and row[0].startswith(prefix) else None

    def count(self, table: str) -> int:
        """Return how many rows the table has."""
        try:
            return self._open().stat(self._tables[table])["entries"]
        except (lmdb.Error, KeyError) as error:
            raise self._failed(error, table) from error

    def used_bytes(self) -> int:
        """Return what the pages of all tables take: about the size of a copy that `copy_to` would write."""
        try:
            txn = self._open()
            figures = [txn.stat(table) for table in self._tables.values()]
        except lmdb.Error as error:
            raise translate(self._at.path, error) from error
        pages = sum(one["branch_pages"] + one["leaf_pages"] + one["overflow_pages"] for one in figures)
        return (pages + _OWN_PAGES) * self._at.page_bytes

    def copy_to(self, descriptor: int) -> None:
        """Write this snapshot as a whole data file to an open file: compacted, without stale pages.

        Raises DISK_FULL or DISK_IO; the file is then worthless.
        """
        try:
            self._at.env.copyfd(descriptor, compact=True, txn=self._open())
        except lmdb.Error as error:
            raise translate(self._at.path, error) from error


def _over(*_arguments: object) -> bytes | None:
    """Stand in for the calls of a transaction that has ended."""
    raise transaction_over()


def _before(cursor: lmdb.Cursor[bytes], stop: bytes | None) -> bool:
    """Put the cursor on the last row before `stop` (None: the last row); False if there is none."""
    if stop is not None and cursor.set_range(stop):
        return cursor.prev()
    return cursor.last()


class DiskWriter(DiskReader):
    """The one transaction; see `ledger.rows.Writer`."""

    __slots__ = ("_changes", "_delete", "_log", "_lost", "_put")

    def __init__(self, at: Environment) -> None:
        super().__init__(at)
        self._put: Callable[..., object] = _over
        self._delete: Callable[..., object] = _over
        self._changes = 0
        self._lost: LocalError | None = None
        self._log: list[tuple[str, bytes, bytes | None]] | None = None  # what was changed, where it is to be noted

    def __enter__(self) -> DiskWriter:
        """Begin. Raises STORE_BUSY if a transaction is open."""
        if self._at.writing:
            raise store_busy("write")
        try:
            txn = self._at.env.begin(write=True)
        except lmdb.Error as error:
            raise translate(self._at.path, error) from error
        self._bind(txn)
        self._at.writing = True
        return self

    def _bind(self, txn: lmdb.Transaction[bytes]) -> None:
        self._txn, self._get, self._put, self._delete = txn, txn.get, txn.put, txn.delete

    def _unbind(self) -> None:
        self._txn = None
        self._get = self._put = self._delete = _over

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit and sync, or abort if an exception is on its way out."""
        txn = self._open()
        self._unbind()
        self._at.writing = False
        if kind is not None or self._lost is not None:
            txn.abort()
            if kind is None and self._lost is not None:
                raise self._lost
            return
        try:
            txn.commit()
        except lmdb.Error as failure:
            raise self._at.failure(failure) from failure

    def _failed(self, error: lmdb.Error | KeyError, table: str, key: bytes = b"") -> LocalError:
        failure = super()._failed(error, table, key)
        if failure.code not in ("BAD_KEY", "UNKNOWN_TABLE", "TRANSACTION_OVER"):
            self._lost = failure
            self._at.map_full |= isinstance(error, lmdb.MapFullError)
        return failure

    def put(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:
        """Write a row; see `ledger.rows.Writer.put`."""
        self._changes += 1
        try:
            # Arguments by position: dupdata, overwrite, append, db. An append out of order returns False.
            if not (append and self._put(key, value, True, True, True, self._tables[table])):
                self._put(key, value, True, True, False, self._tables[table])
        except (lmdb.Error, KeyError) as error:
            raise self._failed(error, table, key) from error
        if self._log is not None:
            self._log.append((table, key, value))
            self._noted(len(key) + len(value))

    def delete(self, table: str, key: bytes) -> None:
        """Remove a row; nothing happens if it is not there."""
        self._changes += 1
        try:
            self._delete(key, b"", self._tables[table])
        except (lmdb.Error, KeyError) as error:
            raise self._failed(error, table, key) from error
        if self._log is not None:
            self._log.append((table, key, None))
            self._noted(len(key))

    def _noted(self, size: int) -> None:
        """A change of so many bytes of key and value was noted."""

    def _upward(self, table: str, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        try:
            cursor = self._open().cursor(self._tables[table])
            found = cursor.set_range(start)
            while found:
                row = cursor.item()
                if stop is not None and row[0] >= stop:
                    return
                seen = self._changes
                yield row
                txn = self._open()
                if seen == self._changes:
                    found = cursor.next()
                else:  # rows came or went: find the next one afresh
                    cursor = txn.cursor(self._tables[table])
                    found = cursor.set_range(row[0])
                    if found and cursor.key() == row[0]:
                        found = cursor.next()
        except lmdb.Error as error:
            raise self._failed(error, table) from error

    def _downward(self, table: str, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        try:
            cursor = self._open().cursor(self._tables[table])
            found = _before(cursor, stop)
            while found:
                row = cursor.item()
                if row[0] < start:
                    return
                seen = self._changes
                yield row
                txn = self._open()
                if seen == self._changes:
                    found = cursor.prev()
                else:
                    cursor = txn.cursor(self._tables[table])
                    found = _before(cursor, row[0])
        except lmdb.Error as error:
            raise self._failed(error, table) from error
