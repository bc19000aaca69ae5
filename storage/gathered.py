"""Transactions of a store on disk, gathered: each durable in the journal, all in one commit of LMDB.

How it works
    One transaction of LMDB stays open from the first transaction on and holds what was journaled since. A with-block
    of the store writes into it. Where the block ends well and its record has room there, it goes to the
    journal (storage/journal.py), and that is all; else LMDB commits everything. Where it ends in an exception, LMDB's
    transaction is aborted and made anew from the records, which are kept in memory.

    Whoever reads must see what was acknowledged: LMDB commits before a snapshot is taken. Inside of an open block too:
    its own changes are then taken out, and put into the next transaction of LMDB.

What it does not do
    It does not open the store (storage/disk.py). Snapshots are to be opened by the thread that writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Final

import lmdb

from ledger.errors import LocalError
from storage.journal import Change, Journal
from storage.store import store_busy
from storage.transactions import DiskWriter, Environment, from_errno, translate

if TYPE_CHECKING:
    from lmdb import _Database

RECORD_BYTES_MAX: Final = 4 * 1024**2
"""A transaction that changed more is committed by LMDB at once, in bytes of keys and values."""
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
"""Until then the changes of an open transaction are kept, so that it can be put into another one of LMDB, in bytes."""
_ROW_BYTES: Final = 16  # what a row costs beside its key and value, about


def apply(txn: lmdb.Transaction[bytes], tables: dict[str, _Database], changes: Iterable[Change]) -> None:
    """Change rows. Raises KeyError for a table that is not there, and what LMDB raises."""
    for table, key, value in changes:
        if value is None:
            txn.delete(key, b"", tables[table])
        else:
            txn.put(key, value, db=tables[table])


class Gathered:
    """What an environment holds that LMDB has not committed."""

    __slots__ = ("_at", "_journal", "_records", "txn", "writer")

    def __init__(self, at: Environment, journal: Journal) -> None:
        self._at, self._journal = at, journal
        self._records: list[list[Change]] = []
        self.txn: lmdb.Transaction[bytes] | None = None
        self.writer: GatheringWriter | None = None

    def begin(self) -> lmdb.Transaction[bytes]:
        """Return LMDB's open transaction, with what was journaled. Raises lmdb.Error."""
        if self.txn is None:
            txn = self._at.env.begin(write=True)
            try:
                for changes in self._records:
                    apply(txn, self._at.tables, changes)
            except BaseException:
                txn.abort()
                raise
            self.txn = txn
        return self.txn

    def drop(self) -> None:
        """Abort LMDB's transaction; what was journaled comes back with the next."""
        txn, self.txn = self.txn, None
        if txn is not None:
            txn.abort()

    def rest(self) -> None:
        """A block ended that changed nothing: keep no lock for nothing."""
        if not self._records:
            self.drop()

    def note(self, changes: list[Change]) -> None:
        """Make the changes of a block durable: in the journal, or by a commit if it is full.

        Raises OSError or lmdb.Error; then they are undone.
        """
        try:
            if self._journal.append(changes):
                self._records.append(changes)
                return
        except OSError:
            self.drop()
            raise
        self.commit()

    def commit(self) -> None:
        """Have LMDB commit its open transaction. Raises lmdb.Error; what was journaled then comes back."""
        txn, self.txn = self.txn, None
        if txn is not None:
            txn.commit()
            self._records.clear()
            self._journal.restart(self._at.env.info()["last_txnid"])

    def settle(self) -> None:
        """Have LMDB commit what was journaled, and nothing else. Raises LocalError; what is durable stays so."""
        if not self._records:
            return
        writer = self.writer
        try:
            if writer is not None:
                self.drop()  # its own changes must not be committed with the others
            self.begin()
            self.commit()
            if writer is not None:
                writer.resume(self.begin())
        except lmdb.Error as error:
            failure = self._at.failure(error)
            if writer is not None:
                writer.lose(failure)
            raise failure from error

    def erase(self) -> None:
        """Settle, and make sure that the journal counts for nothing, whatever file comes in the store's place."""
        self.settle()
        self.drop()
        try:
            self._journal.erase()
        except OSError as error:
            raise from_errno(self._at.path, error.errno or 0, "journal") from error

    def close(self) -> None:
        """Commit if that is possible (else the journal keeps it), and let go of everything."""
        try:
            self.settle()
        except LocalError:
            pass
        finally:
            self.drop()
            self._journal.close()


class GatheringWriter(DiskWriter):
    """The one transaction of a journaled store; see `ledger.rows.Writer`."""

    __slots__ = ("_gathered", "_size")

    def __init__(self, at: Environment, gathered: Gathered) -> None:
        super().__init__(at)
        self._gathered = gathered
        self._log = []  # None: it outgrew what is kept
        self._size = 0

    def __enter__(self) -> GatheringWriter:
        """Begin. Raises STORE_BUSY if a transaction is open."""
        if self._at.writing:
            raise store_busy("write")
        try:
            txn = self._gathered.begin()
        except lmdb.Error as error:
            raise self._at.failure(error) from error
        self._bind(txn)
        self._at.writing, self._gathered.writer = True, self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make it durable, or undo it if an exception is on its way out."""
        gathered, log = self._gathered, self._log
        self._unbind()
        self._at.writing, gathered.writer = False, None
        if kind is not None or self._lost is not None:
            gathered.drop()
            if kind is None and self._lost is not None:
                raise self._lost
            return
        try:
            if log is None or self._size > RECORD_BYTES_MAX:
                gathered.commit()
            elif log:
                gathered.note(log)
            else:
                gathered.rest()
        except lmdb.Error as failure:
            raise self._at.failure(failure) from failure
        except OSError as failure:
            raise from_errno(self._at.path, failure.errno or 0, "journal") from failure

    def resume(self, txn: lmdb.Transaction[bytes]) -> None:
        """Go on in another transaction of LMDB, with all that was changed so far. Raises lmdb.Error."""
        self._bind(txn)
        self._changes += 1  # open scans find their place again
        apply(txn, self._at.tables, self._log or ())

    def lose(self, failure: LocalError) -> None:
        """Fail at the end: the transaction of LMDB is gone."""
        self._lost = failure

    def _noted(self, size: int) -> None:
        self._size += size + _ROW_BYTES
        if self._size > LOG_BYTES_MAX:
            self._outgrow()

    def _outgrow(self) -> None:
        """From here on LMDB alone keeps the changes: what was journaled is committed before, so none is undone."""
        self._gathered.settle()
        self._log = None


def recover(at: Environment, records: Iterable[Iterable[Change]]) -> None:
    """Commit what a crash left in the journal. Raises LocalError."""
    try:
        with at.env.begin(write=True) as txn:
            for changes in records:
                apply(txn, at.tables, changes)
    except lmdb.Error as error:
        raise translate(at.path, error) from error
