"""Backups of a running node's stores, their verification, and restoring.

A backup is a directory (0700, files 0600):

| file | what |
|---|---|
| `ledger.mdb` | the ledger's store, compacted |
| `vault.mdb` | the vault's store, still sealed, if there is one |
| `extra-NAME` | what the caller adds (configuration, say) |
| `manifest.json` | size and SHA-256 of every file, schemas, rows of each table, when; written last |

How it works
    Both snapshots are taken before the first byte is copied, so a caller that is the one owner of state gets
    a ledger and a vault of the same moment. It only reads, so it may run in a thread while the owner writes.
    Everything goes to a directory beside the destination, is synced, and renamed: a backup is there whole or
    not at all. `verify_backup` hashes every file anew and walks the structure of the stores. `restore` does
    that first, and marks the store as restored.

Why a restored store is marked
    It may be older than what the node has published since. Signing on with the same device would put two
    different entries at one place of its feed: a fork, proven against it for ever. So the node asks
    `is_restored`, and signs nothing before its root key has certified a successor device (governance.md);
    with that certificate goes `clear_restored`.

What it does not do
    No keys: the vault's key and the signing keys are not in the backup unless the caller adds them as extra
    files, sealed. Without the vault key `vault.mdb` is noise. No signature, no secrecy: the manifest finds
    damage, not a forger. Erased rows live on in older backups; `storage/vault.py` says what ends that.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeGuard

from ledger.errors import LocalError, RemoteError
from ledger.rows import META, Reader, Writer
from storage.disk import DiskStore
from storage.pages import COPY_CHUNK_BYTES, DATA_FILE, check, copy_file, new_file, sync_directory, write_all
from storage.transactions import DiskReader, from_errno

FORMAT: Final = 1
"""Version of the manifest."""
MANIFEST: Final = "manifest.json"
"""Name of the manifest."""
MANIFEST_MAX_BYTES: Final = 1024**2
"""A larger manifest is refused unread, in bytes."""
LEDGER_FILE: Final = "ledger.mdb"
VAULT_FILE: Final = "vault.mdb"
EXTRA_PREFIX: Final = "extra-"
RESTORED: Final = b"restored"
"""Row of `meta` in a restored store: when it was restored, 8 bytes big-endian, unix seconds."""

_EXTRA_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

Progress = Callable[[str, int, int], None]
"""Told (file, bytes done, bytes in all) as the work goes on."""


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file of a backup. `sha256` in hexadecimal; `schema` and `rows` (by table) only for a store."""

    name: str
    size: int
    sha256: str
    schema: int | None = None
    rows: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `created`: unix seconds, as the caller gave it."""

    format: int
    created: int
    files: tuple[BackupFile, ...]

    @property
    def with_vault(self) -> bool:
        """Whether the vault is in it."""
        return any(file.name == VAULT_FILE for file in self.files)


def _silent(_name: str, _done: int, _total: int) -> None:
    """Report to nobody."""


def backup(
    store: DiskStore,
    vault_store: DiskStore | None,
    destination_dir: Path,
    progress: Progress = _silent,
    *,
    now: int,
    extra: Mapping[str, bytes] | None = None,
) -> Manifest:
    """Copy running stores to a new directory and return its manifest; see `copy_out`."""
    with store.read() as ledger, vault_store.read() if vault_store is not None else nullcontext() as vault:
        sources = [Source(LEDGER_FILE, store, ledger)]
        if vault_store is not None and vault is not None:
            sources.append(Source(VAULT_FILE, vault_store, vault))
        return copy_out(sources, destination_dir, progress, now=now, extra=extra)


@dataclass(frozen=True, slots=True)
class Source:
    """A store, a snapshot of it (opened by the thread that writes), and its file in the backup."""

    name: str
    store: DiskStore
    reader: DiskReader


def copy_out(
    sources: Sequence[Source],
    destination_dir: Path,
    progress: Progress = _silent,
    *,
    now: int,
    extra: Mapping[str, bytes] | None = None,
) -> Manifest:
    """Copy snapshots to a new directory and return its manifest. Any thread may do it.

    `extra`: files to add, by name. Writing may go on in other with-blocks meanwhile. Raises `LocalError`
    BACKUP_EXISTS if the destination is there, BAD_NAME, DISK_FULL, DISK_IO; then nothing is left behind.
    """
    for name in extra or {}:
        if not _EXTRA_NAME.fullmatch(name):
            raise LocalError("BAD_NAME", f"{name!r} cannot name a file of a backup: use letters, digits, '._-'.")
    if destination_dir.exists():
        raise LocalError("BACKUP_EXISTS", f"{destination_dir} exists already; name a new directory.")
    partial = _beside(destination_dir)
    try:
        partial.mkdir(mode=0o700)
        files = [_copy_store(source, partial / source.name, progress) for source in sources]
        for name, data in sorted((extra or {}).items()):
            file = partial / (EXTRA_PREFIX + name)
            _write(file, data)
            files.append(BackupFile(file.name, len(data), hashlib.sha256(data).hexdigest()))
        manifest = Manifest(FORMAT, now, tuple(files))
        _write(partial / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
        _into_place(partial, destination_dir)
    except OSError as error:
        raise from_errno(destination_dir.parent, error.errno or 0, "backup") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _copy_store(source: Source, file: Path, progress: Progress) -> BackupFile:
    store, reader = source.store, source.reader
    progress(file.name, 0, store.size_bytes())
    with new_file(file) as descriptor:
        reader.copy_to(descriptor)
    size, digest = _hash(file, progress)
    rows = tuple((table, reader.count(table)) for table in store.tables)
    return BackupFile(file.name, size, digest, store.schema, rows)


def verify_backup(directory: Path, progress: Progress = _silent) -> Manifest:
    """Hash every file of a backup anew, walk its stores, and return its manifest.

    Raises `LocalError` BACKUP_MISSING if there is no manifest, `RemoteError` BACKUP_DAMAGED naming the file
    if one is missing, changed, cut, or not named by the manifest, or the manifest is not one of ours.
    """
    try:
        manifest = _read_manifest(directory / MANIFEST)
        for file in manifest.files:
            path = directory / file.name
            if path.is_symlink() or not path.is_file():
                raise _damaged(file.name, "is missing")
            if (path.stat().st_size, *_hash(path, progress)) != (file.size, file.size, file.sha256):
                raise _damaged(file.name, "differs from the manifest")
            if file.schema is not None and (findings := check(path)):
                raise _damaged(file.name, f"is not a sound store ({findings[0]})")
        named = {MANIFEST, *(file.name for file in manifest.files)}
        for path in sorted(directory.iterdir()):
            if path.name not in named:
                raise _damaged(path.name, "is not named by the manifest")
    except OSError as error:
        raise from_errno(directory, error.errno or 0, "verify") from error
    return manifest


def restore(directory: Path, target_dir: Path, progress: Progress = _silent, *, now: int) -> Manifest:
    """Verify a backup and put its stores into `target_dir/ledger` and `target_dir/vault`; extra files beside.

    The ledger's store is marked (`is_restored`). Raises `LocalError` TARGET_NOT_EMPTY unless `target_dir` is
    absent or empty, what `verify_backup` raises, DISK_FULL, DISK_IO; then `target_dir` is as it was.
    """
    if target_dir.exists() and (not target_dir.is_dir() or any(target_dir.iterdir())):
        raise LocalError("TARGET_NOT_EMPTY", f"{target_dir} is not an empty directory; restore elsewhere.")
    manifest = verify_backup(directory, progress)
    partial = _beside(target_dir)
    try:
        partial.mkdir(mode=0o700)
        for file in manifest.files:
            destination = partial / file.name.removeprefix(EXTRA_PREFIX)
            if file.schema is not None:
                (partial / Path(file.name).stem).mkdir(mode=0o700)
                destination = partial / Path(file.name).stem / DATA_FILE
            _copy_checked(directory / file.name, destination, file, progress)
        store = DiskStore(partial / "ledger", (META,), migrations=None, create=False)
        try:
            with store.write() as writer:
                mark_restored(writer, now)
        finally:
            store.close()
        for inner in partial.iterdir():
            if inner.is_dir():
                sync_directory(inner)
        _into_place(partial, target_dir)
    except OSError as error:
        raise from_errno(target_dir.parent, error.errno or 0, "restore") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def mark_restored(writer: Writer, now: int) -> None:
    """Mark a store as restored at `now` (unix seconds)."""
    writer.put(META, RESTORED, now.to_bytes(8, "big"))


def is_restored(reader: Reader) -> bool:
    """Return whether this store came from a backup and no successor device has been certified since."""
    return reader.get(META, RESTORED) is not None


def clear_restored(writer: Writer) -> None:
    """Remove the mark: in the same transaction as the certified successor, and never before."""
    writer.delete(META, RESTORED)


# Files.


def _beside(path: Path) -> Path:
    """Return the directory in which `path` is made ready; what a crash left there is removed."""
    partial = path.absolute().parent / f".{path.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    return partial


def _into_place(partial: Path, destination: Path) -> None:
    """Make everything durable and rename it; the destination is absent or an empty directory."""
    sync_directory(partial)
    os.rename(partial, destination)
    sync_directory(destination.absolute().parent)


def _write(file: Path, data: bytes) -> None:
    with new_file(file) as descriptor:
        write_all(descriptor, data)


def _hash(file: Path, progress: Progress) -> tuple[int, str]:
    """Return the bytes read and their SHA-256."""
    total, done, digest = file.stat().st_size, 0, hashlib.sha256()
    with file.open("rb") as reading:
        while piece := reading.read(COPY_CHUNK_BYTES):
            digest.update(piece)
            done += len(piece)
            progress(file.name, done, total)
    return done, digest.hexdigest()


def _copy_checked(source: Path, destination: Path, file: BackupFile, progress: Progress) -> None:
    """Copy a file and hash what was copied: it may have changed since it was verified."""
    digest, done = hashlib.sha256(), 0

    def step(piece: bytes) -> None:
        nonlocal done
        digest.update(piece)
        done += len(piece)
        progress(file.name, done, file.size)

    copy_file(source, destination, step)
    if digest.hexdigest() != file.sha256:
        raise _damaged(file.name, "changed while it was restored")


# The manifest.


def _damaged(name: str, what: str) -> RemoteError:
    return RemoteError("BACKUP_DAMAGED", f"This file of the backup {what}; use another backup.", field=name)


def _read_manifest(path: Path) -> Manifest:
    if not path.is_file():
        raise LocalError("BACKUP_MISSING", f"There is no backup in {path.parent}: it has no {MANIFEST}.")
    if path.stat().st_size > MANIFEST_MAX_BYTES:
        raise _damaged(MANIFEST, "is larger than any manifest")
    try:
        raw = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(MANIFEST, "is not JSON") from error
    match raw:
        case {"format": version, **_rest} if _is_number(version) and version > FORMAT:
            raise _damaged(MANIFEST, f"has format {version}, newer than this program")
        case {"format": version, "created": created, "files": list(files), **rest} if (
            not rest and _is_number(version) and version == FORMAT and _is_number(created)
        ):
            read = tuple(_read_file(file) for file in files)
            names = [file.name for file in read]
            if LEDGER_FILE in names and len(set(names)) == len(names):
                return Manifest(FORMAT, created, read)
    raise _damaged(MANIFEST, "does not have the fields of a manifest")


def _read_file(raw: object) -> BackupFile:
    match raw:
        case {
            "name": str(name),
            "size": size,
            "sha256": str(digest),
            "schema": schema,
            "rows": list(rows),
            **rest,
        } if not rest and _is_number(size) and _SHA256.fullmatch(digest):
            is_store = name in (LEDGER_FILE, VAULT_FILE)
            is_extra = name.startswith(EXTRA_PREFIX) and _EXTRA_NAME.fullmatch(name.removeprefix(EXTRA_PREFIX))
            if (is_store and _is_number(schema)) or (is_extra and schema is None):
                return BackupFile(name, size, digest, schema, tuple(_read_rows(row) for row in rows))
    raise _damaged(MANIFEST, "names a file that a backup cannot hold")


def _is_number(raw: object) -> TypeGuard[int]:
    """Return whether this is a natural number; JSON's `true` is none, though Python counts it as 1."""
    return type(raw) is int and raw >= 0


def _read_rows(raw: object) -> tuple[str, int]:
    match raw:
        case [str(table), rows] if _is_number(rows):
            return table, rows
    raise _damaged(MANIFEST, "has a count of rows that is none")
