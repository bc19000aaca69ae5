"""Operations on upgrades: what a new release will do to the stores, doing it, and going back.

How it works
    Each store has a schema version. A new release brings older stores to its own when it opens them, in one
    transaction and after a copy; `plan` says so beforehand, `migrate --dry-run` tries it on a copy and verifies every
    entry there. `rollback` puts the copy back, as long as this device has signed nothing since: signing again what it
    has signed before would be a fork, which every member would hold against it.

What it does not do
    It installs no program: your package manager does. Members of different releases talk to each other as far as the
    versions of the protocol allow (gossip/swarm.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from ledger.errors import LocalError
from node.config import Home
from node.exits import OK, REFUSED
from node.operation import Args, Local, Nothing, Result, local_operation, said

STORES = ("ledger", "vault")


class StoreRow(Result, frozen=True):
    """A store, and what this release does to it."""

    mesh: Annotated[str, said("The mesh's name here.")]
    store: Annotated[str, said("ledger or vault.")]
    schema: Annotated[int, said("The version it has.")]
    known: Annotated[int, said("The version of this release.")]
    bytes: Annotated[int, said("Its size, which the copy takes once more.")]
    action: Annotated[str, said("none, migrate, or newer: then this release cannot open it.")]
    back_to: Annotated[tuple[int, ...], said("Versions of which a copy is kept.")]


class Plan(Result, frozen=True):
    """What an upgrade to the installed release does."""

    release: Annotated[str, said("The release that is installed.")]
    stores: Annotated[tuple[StoreRow, ...], said("Each store.")]
    free_bytes: Annotated[int, said("Room on the disk.")]
    ready: Annotated[bool, said("Whether every store can be opened by this release, with room for the copies.")]


class MigrateArgs(Args, frozen=True):
    """How."""

    dry_run: Annotated[bool, said("On a copy, which is verified and removed: nothing changes.")] = False


class Migrated(Result, frozen=True):
    """What was migrated."""

    dry_run: Annotated[bool, said("Whether it was on a copy.")]
    stores: Annotated[tuple[str, ...], said("The stores that were brought to this release's version.")]
    entries: Annotated[int, said("Entries verified afterwards.")]
    sound: Annotated[bool, said("Whether everything still follows from its entries.")]


class RolledBack(Result, frozen=True):
    """What was put back."""

    stores: Annotated[tuple[str, ...], said("The stores that are as they were before.")]
    next: Annotated[str, said("What to do now.")]


def _stores(home: Home) -> Iterator[tuple[str, str, Path]]:
    """Yield each store: its mesh, its name, its directory."""
    for mesh in home.mesh_names():
        for store in STORES:
            yield mesh, store, home.mesh(mesh) / store


def _known() -> int:
    """Return the schema version of this release."""
    from storage import disk

    return len(disk.MIGRATIONS) + 1


def _schema(path: Path) -> int:
    """Return the version of a store, which is opened as it is. Raises LocalError, RemoteError."""
    from storage.disk import DiskStore

    store = DiskStore(path, (), migrations=None, create=False, read_only=True)
    try:
        return store.schema
    finally:
        store.close()


def _copies(path: Path) -> tuple[int, ...]:
    return tuple(sorted(int(file.stem.rpartition("-")[2]) for file in path.glob("before-schema-*.mdb")))


def _row(mesh: str, store: str, path: Path) -> StoreRow:
    from storage.pages import DATA_FILE

    found, known = _schema(path), _known()
    action = "none" if found == known else "migrate" if found < known else "newer"
    return StoreRow(mesh, store, found, known, (path / DATA_FILE).stat().st_size, action, _copies(path))


@local_operation("upgrade", "plan", permission="read", exit_of=lambda found: OK if found.ready else REFUSED)
def upgrade_plan(local: Local, args: Nothing) -> Plan:  # noqa: ARG001 - an operation without arguments
    """Say what the installed release will do to this node's stores, before it does. The node may run."""
    from importlib.metadata import version

    home = Home(local.data_dir)
    home.config()
    rows = tuple(_row(*each) for each in _stores(home))
    free = shutil.disk_usage(home.path).free
    needed = sum(row.bytes for row in rows if row.action == "migrate")
    ready = all(row.action != "newer" for row in rows) and free > 2 * needed
    return Plan(version("maille"), rows, free, ready)


@local_operation("upgrade", "migrate", permission="admin", exit_of=lambda found: OK if found.sound else REFUSED)
def upgrade_migrate(local: Local, args: MigrateArgs) -> Migrated:
    """Bring the stores to this release's version, after a copy, and verify every entry. The node must be stopped.

    With --dry-run it is done to a copy that is removed again, and the node may run.
    """
    home = Home(local.data_dir)
    home.config()
    if not args.dry_run:
        with home.lock():
            return _migrated(local, [(f"{mesh}/{name}", path) for mesh, name, path in _stores(home)], dry_run=False)
    with tempfile.TemporaryDirectory(prefix=".maille-upgrade-", dir=home.path) as folder:
        copies = []
        for mesh, name, path in _stores(home):
            target = Path(folder) / mesh / name
            target.mkdir(parents=True)
            _copy_store(path, target)
            copies.append((f"{mesh}/{name}", target))
        return _migrated(local, copies, dry_run=True)


def _migrated(local: Local, stores: list[tuple[str, Path]], *, dry_run: bool) -> Migrated:
    moved, entries, sound = [], 0, True
    for name, path in stores:
        older, leaves, whole = _migrate(path, local)
        moved += [name] if older else []
        entries, sound = entries + leaves, sound and whole
    return Migrated(dry_run, tuple(moved), entries, sound)


def _copy_store(path: Path, target: Path) -> None:
    """Copy a store that may be in use."""
    from storage.disk import DiskStore
    from storage.pages import DATA_FILE, new_file

    store = DiskStore(path, (), migrations=None, create=False, read_only=True)
    try:
        with store.read() as rows, new_file(target / DATA_FILE) as descriptor:
            rows.copy_to(descriptor)
    finally:
        store.close()


def _migrate(path: Path, local: Local) -> tuple[bool, int, bool]:
    """Open a store, which migrates it. Return whether it was older, and of a ledger its entries and soundness."""
    from ledger.rows import TABLES
    from ledger.verify import verify_ledger
    from storage import disk
    from storage.vault import VAULT_TABLES

    tables = TABLES if path.name == "ledger" else VAULT_TABLES
    store = disk.DiskStore(path, tables, migrations=disk.MIGRATIONS, create=False)
    try:
        older = store.found_schema < store.schema
        if older:
            local.say(f"{path}: from version {store.found_schema} to {store.schema}")
        if path.name != "ledger":
            return older, 0, True
        with store.read() as rows:
            report = verify_ledger(rows, lambda *_: None)
        return older, report.leaves, report.sound
    finally:
        store.close()


@local_operation(
    "upgrade", "rollback", permission="admin", confirm="Put the stores back as they were before the last migration?"
)
def upgrade_rollback(local: Local, args: Nothing) -> RolledBack:  # noqa: ARG001 - an operation without arguments
    """Put back the stores as they were before the last migration. The node must be stopped.

    Refused when this device has signed anything since: it would sign other entries under the same numbers, a fork.
    What others wrote since comes again by itself. The stores of now are kept as after-schema-N.mdb.
    """
    from storage.pages import DATA_FILE, sync_directory

    home = Home(local.data_dir)
    home.config()
    with home.lock():
        back = [(mesh, name, path, max(_copies(path))) for mesh, name, path in _stores(home) if _copies(path)]
        for mesh, name, path, version in back:
            if name == "ledger" and _signed(home, mesh, path) != _signed_before(home, mesh, path, version):
                told = (
                    f"This device has signed entries in {mesh!r} since the migration; going back would fork its feed. "
                    "Stay with this release, or restore a backup and certify a new device: maille device recover."
                )
                raise LocalError("ROLLBACK_FORKS", told)
        for _, _, path, version in back:
            now = _schema(path)
            kept = path / f"after-schema-{now}.mdb"
            kept.unlink(missing_ok=True)
            os.link(path / DATA_FILE, kept)  # not moved: a crash here must not leave the store without its file
            (path / f"before-schema-{version}.mdb").replace(path / DATA_FILE)
            sync_directory(path)
    names = tuple(f"{mesh}/{name}" for mesh, name, _, _ in back)
    return RolledBack(names, "Install the release of before, then: maille node run" if names else "Nothing was to do.")


def _signed(home: Home, mesh: str, path: Path) -> bytes | None:
    """Return what a ledger's store holds of this device's feed, its journal taken in. Nothing is migrated."""
    from ledger.keys import thumbprint
    from ledger.rows import FEEDS
    from node.keystore import Keystore, device_name
    from storage.disk import DiskStore

    feed = thumbprint(Keystore(home.keys, os.urandom).file(device_name(mesh)).public)
    store = DiskStore(path, (FEEDS,), migrations=None, create=False)
    try:
        with store.read() as rows:
            return rows.get(FEEDS, feed)
    finally:
        store.close()


def _signed_before(home: Home, mesh: str, path: Path, version: int) -> bytes | None:
    from storage.pages import DATA_FILE

    with tempfile.TemporaryDirectory(prefix=".maille-upgrade-", dir=home.path) as folder:
        shutil.copy(path / f"before-schema-{version}.mdb", Path(folder) / DATA_FILE)
        return _signed(home, mesh, Path(folder))
