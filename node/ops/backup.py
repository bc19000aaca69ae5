"""Operations on backups: make one of a running mesh, verify it, restore it, and practise that.

How it works
    A backup is a directory with the ledger's and the vault's stores at one moment, who we are in the mesh, the
    settings, and the keys that are sealed (storage/backup.py). Device keys are left out on purpose: what was restored
    may be older than what the node signed since, so the root key certifies a successor (`device recover`).

What it does not do
    Keys that are not sealed are never in a backup; keep a copy of them yourself. The backup has no passphrase of its
    own: the vault in it opens with the vault's key, sealed with yours.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ledger.errors import LocalError
from node.config import Home, check_name
from node.exits import OK, REFUSED, not_found, usage
from node.naming import moment
from node.operation import Args, Local, Result, local_operation, operation, said
from node.ops.mesh import WHICH
from node.upkeep import note_upkeep

if TYPE_CHECKING:
    from node.daemon import Node
    from node.mesh import Mesh
    from storage.backup import Manifest

CONFIG_FILE = "config.toml"
KEYS = ("root", "static", "vault")
"""The keys that a backup takes along, if they are sealed, besides the tenants'. Never a device's."""
NEEDED = ("root", "vault")
"""The keys without which a restored mesh cannot be run again."""


class BackupArgs(Args, frozen=True):
    """What to back up, and where to."""

    to: Annotated[str, said("The directory to make; it must not be there yet.", positional=True, path=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class BackupVerifyArgs(Args, frozen=True):
    """Which backup."""

    directory: Annotated[str, said("The backup's directory.", positional=True, path=True)]


class RestoreArgs(Args, frozen=True):
    """Which backup, and what the mesh is called here."""

    directory: Annotated[str, said("The backup's directory.", positional=True, path=True)]
    local_name: Annotated[str, said("What the mesh is called on this node.")]


class DrillArgs(Args, frozen=True):
    """Which backup, and where there is room."""

    directory: Annotated[str, said("The backup's directory.", positional=True, path=True)]
    scratch: Annotated[str | None, said("Where to restore it, for a while. Default: the system's.", path=True)] = None


class Drilled(Result, frozen=True):
    """How an exercise went."""

    sound: Annotated[bool, said("Whether everything came back and follows from its entries.")]
    created: Annotated[datetime, said("The moment the backup holds.")]
    entries: Annotated[int, said("Entries verified.")]
    faults: Annotated[tuple[str, ...], said("What was wrong.")]
    seconds: Annotated[float, said("How long it took: about as long as you would wait in earnest.")]
    meshes: Annotated[tuple[str, ...], said("The meshes here whose backup it is; noted for `maille doctor`.")]


class FileRow(Result, frozen=True):
    """A file of a backup."""

    name: Annotated[str, said("Its name.")]
    size: Annotated[int, said("Its size.")]
    sha256: Annotated[str, said("Its hash.")]


class Backup(Result, frozen=True):
    """A backup."""

    directory: Annotated[str, said("Where it is.")]
    created: Annotated[datetime, said("The moment it holds.")]
    keys: Annotated[tuple[str, ...], said("The sealed keys in it.")]
    left_out: Annotated[
        tuple[str, ...], said("Keys that are not in it, as they are not here or not sealed: keep a copy.")
    ]
    files: Annotated[tuple[FileRow, ...], said("Each file, as it was hashed.")]
    keep: Annotated[str, said("What a restore needs beside this, in a sentence; empty for nothing.")] = ""


class Restored(Result, frozen=True):
    """What was restored."""

    mesh: Annotated[str, said("The mesh's name here.")]
    created: Annotated[datetime, said("The moment the backup holds.")]
    keys: Annotated[tuple[str, ...], said("The keys that were put in their place.")]
    next: Annotated[str, said("What to do now.")]


def _backup(directory: Path, manifest: Manifest) -> Backup:
    files = tuple(FileRow(file.name, file.size, file.sha256) for file in manifest.files)
    keys = tuple(file.name[len("extra-") : -len(".key")] for file in manifest.files if file.name.endswith(".key"))
    left_out = tuple(name for name in KEYS if name not in keys)
    needed = " and ".join(f"{name}.key" for name in NEEDED if name not in keys)
    keep = f"A restore needs {needed} too: keep a copy elsewhere, or seal the keys (`maille key rotate-passphrase`)."
    return Backup(str(directory), moment(manifest.created), keys, left_out, files, keep if needed else "")


def _extra(node: Node, mesh: Mesh) -> dict[str, bytes]:
    from node.keystore import tenant_name
    from node.mesh import STANDING

    extra = {CONFIG_FILE: node.home.config_file.read_bytes(), STANDING: (mesh.path / STANDING).read_bytes()}
    for name in (*KEYS, *map(tenant_name, node.tenants.keys())):
        if node.keys.has(name) and node.keys.file(name).sealed:
            extra[f"{name}.key"] = node.keys.raw(name)
    return extra


@operation("backup", "create", permission="admin")
async def backup_create(node: Node, args: BackupArgs) -> Backup:
    """Back up a mesh while it runs: ledger, vault, standing, settings, sealed keys."""
    import trio

    from storage.backup import LEDGER_FILE, VAULT_FILE, Source, copy_out

    mesh, to = node.mesh(args.mesh), Path(args.to)
    if not to.is_absolute():
        raise usage("Name the backup's place from the root of the file system: a node has no place of its own.", "to")
    if not to.parent.is_dir():
        raise not_found(f"There is no directory {to.parent}; make it first, or name another place.", "to")
    extra, now = _extra(node, mesh), node.now
    with mesh.store.read() as ledger, mesh.vault_store.read() as vault:
        sources = Source(LEDGER_FILE, mesh.store, ledger), Source(VAULT_FILE, mesh.vault_store, vault)

        def make() -> Manifest:
            return copy_out(sources, to, now=now, extra=extra)

        made = _backup(to, await trio.to_thread.run_sync(make))
    note_upkeep(node.home.path, "backups", mesh.name, now)
    return made


@local_operation("backup", "verify", permission="read")
def backup_verify(local: Local, args: BackupVerifyArgs) -> Backup:  # noqa: ARG001 - the backup is its own place
    """Hash every file of a backup anew, and walk its stores."""
    from storage.backup import verify_backup

    directory = Path(args.directory)
    return _backup(directory, verify_backup(directory))


@local_operation("backup", "drill", permission="operate", exit_of=lambda found: OK if found.sound else REFUSED)
def backup_drill(local: Local, args: DrillArgs) -> Drilled:
    """Restore a backup as an exercise: beside, into a directory that is removed again, and verified to the last entry.

    Nothing of this node is touched, and it may run. A backup that was never restored may turn out to be none.
    """
    import tempfile
    import time

    from ledger.verify import verify_ledger
    from node.mesh import read_standing
    from storage.backup import restore
    from storage.disk import DiskStore

    home, begun = Home(local.data_dir), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="maille-drill-", dir=args.scratch) as folder:
        target = Path(folder) / "mesh"
        manifest = restore(Path(args.directory), target, now=int(time.time()))
        mesh_id = read_standing(target).mesh_id
        store = DiskStore(target / "ledger", create=False, read_only=True)
        try:
            with store.read() as rows:
                report = verify_ledger(rows, lambda *_: None)
        finally:
            store.close()
    names = [name for name in home.mesh_names() if read_standing(home.mesh(name)).mesh_id == mesh_id]
    for name in names if report.sound else ():
        note_upkeep(home.path, "drills", name, int(time.time()))
    seconds = time.monotonic() - begun
    faults = tuple(fault.message for fault in report.faults)
    return Drilled(report.sound, moment(manifest.created), report.leaves, faults, round(seconds, 3), tuple(names))


@local_operation("backup", "restore", permission="admin")
def backup_restore(local: Local, args: RestoreArgs) -> Restored:
    """Restore a mesh into this node, which must be stopped; on an empty data directory, make the node from it.

    The mesh is then not run until its root key has certified a new device: `maille node run`, then
    `maille device recover`.
    """
    import time

    from storage.backup import restore, verify_backup

    home, directory = Home(local.data_dir), Path(args.directory)
    check_name(args.local_name, "local_name")
    verify_backup(directory)
    _make_node(home, directory)
    with home.lock():
        target = home.mesh(args.local_name)
        if target.exists():
            raise LocalError("MESH_EXISTS", f"There is a mesh {args.local_name!r} here; choose another --local-name.")
        manifest = restore(directory, target, now=int(time.time()))
        keys = _place_keys(home, target)
        (target / CONFIG_FILE).unlink(missing_ok=True)
    lost = " and ".join(f"{name}.key" for name in NEEDED if not (home.keys / f"{name}.key").exists())
    told = f"maille node run, then: maille device recover {args.local_name}"
    told = f"put your copy of {lost} into {home.keys}, then: {told}" if lost else told
    return Restored(args.local_name, moment(manifest.created), keys, told)


def _make_node(home: Home, directory: Path) -> None:
    """Make the node's directory with the backup's settings, where there is none."""
    if home.config_file.exists():
        return
    from node.config import read_config
    from storage.backup import EXTRA_PREFIX

    file = directory / f"{EXTRA_PREFIX}{CONFIG_FILE}"
    home.create(read_config(file.read_bytes(), str(file)))


def _place_keys(home: Home, target: Path) -> tuple[str, ...]:
    """Move the keys that came with the backup to the others; a key that is there already stays."""
    from node.keystore import Keystore, tenant_name

    home.keys.mkdir(mode=0o700, exist_ok=True)
    store = Keystore(home.keys, os.urandom)
    placed = []
    for file in sorted(target.glob("*.key")):
        name = file.name.removesuffix(".key")
        if (name in KEYS or name.startswith(tenant_name(""))) and not store.has(name):
            store.put_back(name, file.read_bytes())
            placed.append(name)
        file.unlink()
    return tuple(placed)
