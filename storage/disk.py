"""The store on disk: LMDB, one environment to a directory, every table a named database.

| table | key -> value |
|---|---|
| `meta entries ids feeds heads things maps nodes outbox` | see `ledger/rows.py`; the modules that own them |
| `_storage` (private to this module) | `schema` -> version of the rows, 4 bytes big-endian |

| file in the directory (0700; files 0600) | what |
|---|---|
| `data.mdb`, `lock.mdb` | the environment |
| `journal` | of a journaled store: transactions that LMDB has not committed yet (`storage/journal.py`) |
| `before-schema-N.mdb` | made before version N was migrated; to go back, put it in the place of `data.mdb` |

How it works
    LMDB is a copy-on-write B+tree: a commit writes new pages, syncs, then writes one of two meta pages, so a
    crash at any write leaves the last commit. The map is 64 GiB of address space; the file grows as it fills.
    When three quarters are used the map is doubled before the next write. A new store is made beside its
    place and renamed into it: a `data.mdb` that is there was whole once, and an empty one is damage.
    A journaled store makes transactions durable in the journal and gathers them (`storage/gathered.py`): a
    sixth of the time of a small one, one write instead of twenty. What a crash left there is committed when the
    store is next opened for writing; until then `read_only` shows what was before. A snapshot has LMDB commit first,
    which takes room. The vault has no journal: what it erases must not stay there.
    An older schema is migrated in one transaction, after a copy; a newer one is refused.

Errors (`LocalError`)
    DISK_FULL, DISK_IO, READ_ONLY, MAP_REFUSED, STORE_CORRUPT, STORE_MISSING, STORE_OPEN, STORE_SCHEMA;
    STORE_ERROR for what LMDB has no better name for; those of `storage/store.py`. None changes anything.

What it does not do
    LMDB has no page checksums. Opening finds damaged meta pages and a file cut short. `check` walks the whole
    structure without LMDB and finds every broken page, but a flipped bit inside a value looks like a value:
    only `maille ledger verify`, which re-derives everything, finds that. A damaged page that was not checked
    may give wrong rows or end the process. 32-bit machines are not served.
    A deleted row stays in its old page until that is reused; `compact` rewrites the file without it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import lmdb

from ledger.errors import LocalError
from ledger.rows import TABLES, Writer
from storage.gathered import Gathered, GatheringWriter, recover
from storage.journal import JOURNAL_FILE, Journal, left_behind
from storage.pages import DATA_FILE, check, new_file, open_environment, require_whole, sync_directory
from storage.store import store_busy, store_closed
from storage.transactions import DiskReader, DiskWriter, Environment, corrupt, from_errno, translate

MAP_BYTES: Final = 64 * 1024**3
"""Address space that a new store maps, in bytes. Nothing is allocated for it."""
MAP_LIMIT_BYTES: Final = 16 * 1024**4
"""The map is not doubled beyond this, in bytes."""
GROW_AT: Final = 0.75
"""The map is doubled when this part of it is used."""

MAX_TABLES: Final = 64
"""Most named databases of one environment."""

Migration = Callable[[Writer], None]
"""Brings the rows of one schema version to the next. Sees every table, also those no longer declared."""
MIGRATIONS: Final[tuple[Migration, ...]] = ()
"""The migrations of a ledger store: number i (from 0) brings version i + 1 to i + 2."""

_PRIVATE: Final = "_storage"
_SCHEMA: Final = b"schema"
_YOUNG: Final = "new.mdb"
_open_directories: Final[set[tuple[int, int]]] = set()

__all__ = ["MAP_BYTES", "MAP_LIMIT_BYTES", "MIGRATIONS", "DiskStore", "Migration", "check"]


class DiskStore:
    """A store in a directory; see `storage.store.Store`.

    `path`: its directory, made if it is not there (its parent must be). `tables`: their names.
    `migrations`: bring an older schema here; None opens any version as it is (backup and restore do).
    `journal`: transactions go to the journal first; see the module.
    `create` False: raise STORE_MISSING rather than make a store. `read_only`: nothing is written.
    `map_bytes`, `map_limit_bytes`: see the constants. Raises the errors that the module lists.
    """

    def __init__(
        self,
        path: Path,
        tables: Iterable[str] = TABLES,
        *,
        migrations: tuple[Migration, ...] | None = MIGRATIONS,
        create: bool = True,
        read_only: bool = False,
        journal: bool = False,
        map_bytes: int = MAP_BYTES,
        map_limit_bytes: int = MAP_LIMIT_BYTES,
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.tables = tuple(tables)
        self._journaled = journal and not read_only
        self._gathered: Gathered | None = None
        self._map_bytes = map_bytes
        self._map_limit = map_limit_bytes
        self._closed = False
        try:
            self._identity = _prepare(path, create=create and not read_only)
        except OSError as error:
            raise from_errno(path, error.errno or 0, "open") from error
        _open_directories.add(self._identity)
        try:
            self._at = self._open(migrations, create=create and not read_only)
            self._gathered = self._gather()
        except OSError as error:
            _open_directories.discard(self._identity)
            raise from_errno(path, error.errno or 0, "open") from error
        except BaseException:
            _open_directories.discard(self._identity)
            raise

    # Opening.

    def _open(self, migrations: tuple[Migration, ...] | None, *, create: bool) -> Environment:
        file = self.path / DATA_FILE
        if not self.read_only:
            (self.path / _YOUNG).unlink(missing_ok=True)  # left by a crash
        if not file.exists():
            if not create:
                raise from_errno(self.path, errno.ENOENT, "open")
            self._create(1 if migrations is None else len(migrations) + 1)
        size = file.stat().st_size
        if size == 0:
            raise corrupt(self.path, "its data file is empty")
        while size > GROW_AT * self._map_bytes and self._map_bytes * 2 <= self._map_limit:
            self._map_bytes *= 2
        lock = not self.read_only or os.access(self.path, os.W_OK)
        env = open_environment(file, self._map_bytes, max_tables=MAX_TABLES, read_only=self.read_only, lock=lock)
        try:
            require_whole(self.path, env)
            env.reader_check()
            return self._prepared(env, migrations)
        except lmdb.Error as error:
            env.close()
            raise translate(self.path, error) from error
        except BaseException:
            env.close()
            raise

    def _create(self, version: int) -> None:
        """Make the data file beside its place, whole, and rename it there."""
        young = self.path / _YOUNG
        env = open_environment(young, self._map_bytes, max_tables=MAX_TABLES, lock=False)
        try:
            private = env.open_db(_PRIVATE.encode())
            with env.begin(write=True) as txn:
                txn.put(_SCHEMA, version.to_bytes(4, "big"), db=private)
                for table in self.tables:
                    env.open_db(table.encode(), txn=txn)
        except lmdb.Error as error:
            raise translate(self.path, error) from error
        finally:
            env.close()
        young.replace(self.path / DATA_FILE)
        sync_directory(self.path)

    def _prepared(self, env: lmdb.Environment, migrations: tuple[Migration, ...] | None) -> Environment:
        """Read the schema version, migrate if it is older, open the tables."""
        with env.begin() as txn:
            present = {bytes(name) for name in env.dbs(txn)}
            if _PRIVATE.encode() not in present:
                raise corrupt(self.path, "it has no schema version")
        private = env.open_db(_PRIVATE.encode(), create=False)
        with env.begin(db=private) as txn:
            found = int.from_bytes(txn.get(_SCHEMA) or b"", "big")
        if migrations is not None:
            self._require_version(found, len(migrations) + 1)
        if not self.read_only:
            for table in self.tables:
                if table.encode() not in present:
                    env.open_db(table.encode())
            present.update(table.encode() for table in self.tables)
        opened = {name.decode(): env.open_db(name, create=False) for name in sorted(present)}
        if not self.read_only:
            self._recover(Environment(self.path, env, opened))
        if migrations is not None and found <= len(migrations):
            self._migrate(Environment(self.path, env, opened), found, migrations)
        self.found_schema = found
        """The version that it had before it was opened."""
        self.schema = found if migrations is None else len(migrations) + 1
        for table in self.tables:
            if table not in opened:
                raise corrupt(self.path, f"it has no table {table!r}")
        return Environment(self.path, env, {table: opened[table] for table in self.tables})

    def _recover(self, at: Environment) -> None:
        """Commit what a crash left in the journal, and empty it; remove it where there is to be none."""
        records = left_behind(self.path, at.env.info()["last_txnid"])
        if records:
            recover(at, records)
        if not self._journaled and (self.path / JOURNAL_FILE).exists():
            (self.path / JOURNAL_FILE).unlink()
            sync_directory(self.path)

    def _gather(self) -> Gathered | None:
        if not self._journaled:
            return None
        try:
            return Gathered(self._at, Journal(self.path, self._at.env.info()["last_txnid"]))
        except OSError:
            self._at.env.close()
            raise

    def _require_version(self, found: int, known: int) -> None:
        if found == 0:
            raise corrupt(self.path, "its schema version is not readable")
        if found > known:
            raise LocalError(
                "STORE_SCHEMA",
                f"The store in {self.path} has schema {found}; this program knows {known}. Use a newer one.",
            )
        if found < known and self.read_only:
            raise LocalError(
                "STORE_SCHEMA",
                f"The store in {self.path} has schema {found}; open it for writing once, which migrates it.",
            )

    def _migrate(self, at: Environment, found: int, migrations: tuple[Migration, ...]) -> None:
        """Copy the store, then bring it from version `found` to the newest, all in one transaction."""
        copy = self.path / f"before-schema-{found}.mdb"
        young = copy.with_suffix(".partial")
        with DiskReader(at) as reader, new_file(young) as descriptor:
            reader.copy_to(descriptor)
        young.replace(copy)
        sync_directory(self.path)
        with DiskWriter(at) as writer:
            for migration in migrations[found - 1 :]:
                migration(writer)
            writer.put(_PRIVATE, _SCHEMA, (len(migrations) + 1).to_bytes(4, "big"))

    # The contract.

    def read(self) -> DiskReader:
        """Return a snapshot of the last commit, for a with-block. A journaled store may raise DISK_FULL here too."""
        if self._closed:
            raise store_closed()
        if self._gathered is not None:
            self._gathered.settle()
        return DiskReader(self._at)

    def write(self) -> DiskWriter:
        """Return the one transaction, for a with-block. Doubles the map first when it is getting full."""
        if self._closed:
            raise store_closed()
        if self._at.writing:
            raise store_busy("write")
        if self.read_only:
            raise LocalError("READ_ONLY", f"The store in {self.path} was opened read-only.")
        if self._gathered is None:
            self._grow()
            return DiskWriter(self._at)
        if self._gathered.txn is None:
            self._grow()
        return GatheringWriter(self._at, self._gathered)

    def _grow(self) -> None:
        """Double the map while it is too full; never under an open snapshot, which would lose its map."""
        if self._at.readers:
            return
        at, limit = self._at, self._map_limit
        while (at.map_full or self.map_used_ratio() > GROW_AT) and self._map_bytes * 2 <= limit:
            self._map_bytes *= 2
            at.map_full = False
            try:
                at.env.set_mapsize(self._map_bytes)
            except lmdb.Error as error:
                raise translate(self.path, error) from error

    def compact(self) -> int:
        """Rewrite the data file without free and stale pages, durably; return the bytes gained.

        The old file is unlinked, not overwritten: what the disk keeps of it is the disk's affair.
        Raises STORE_BUSY while a transaction is open, READ_ONLY, DISK_FULL (the old file stays).
        """
        if self._closed:
            raise store_closed()
        if self._at.writing or self._at.readers:
            raise store_busy("compact")
        if self.read_only:
            raise LocalError("READ_ONLY", f"The store in {self.path} was opened read-only.")
        before, young = self.size_bytes(), self.path / _YOUNG
        if self._gathered is not None:
            self._gathered.erase()
        try:
            with self.read() as reader, new_file(young) as descriptor:
                reader.copy_to(descriptor)
            young.replace(self.path / DATA_FILE)
            sync_directory(self.path)
        except OSError as error:
            raise from_errno(self.path, error.errno or 0, "compact") from error
        finally:
            young.unlink(missing_ok=True)
        if self._gathered is not None:
            self._gathered.close()
        self._at.env.close()
        self._at = self._open(None, create=False)
        self._gathered = self._gather()
        return before - self.size_bytes()

    def size_bytes(self) -> int:
        """Return the size of the data file."""
        return (self.path / DATA_FILE).stat().st_size

    def map_used_ratio(self) -> float:
        """Return which part of the map the pages take, free ones included."""
        info = self._at.env.info()
        return (info["last_pgno"] + 1) * self._at.page_bytes / info["map_size"]

    def close(self) -> None:
        """Close the environment; a second call does nothing."""
        if self._closed:
            return
        if self._at.writing or self._at.readers:
            raise store_busy("close")
        self._closed = True
        if self._gathered is not None:
            self._gathered.close()
        self._at.env.close()
        _open_directories.discard(self._identity)


def _prepare(path: Path, *, create: bool) -> tuple[int, int]:
    """Make the directory, keep others out of it, and return its identity; refuse it if it is open already."""
    if create and not path.exists():
        path.mkdir(mode=0o700)
        sync_directory(path.parent)
    facts = path.stat()
    identity = (facts.st_dev, facts.st_ino)
    if identity in _open_directories:
        raise LocalError("STORE_OPEN", f"The store in {path} is open in this process already; close it first.")
    if create:
        _only_for_owner(path, facts.st_mode, 0o700)
        for file in (*path.glob("*.mdb"), *path.glob(JOURNAL_FILE)):
            _only_for_owner(file, file.stat().st_mode, 0o600)
    return identity


def _only_for_owner(path: Path, mode: int, wanted: int) -> None:
    if mode & 0o077:
        path.chmod(wanted)
