"""The data file of an LMDB environment, seen from outside: whole or damaged, copied, synced.

How it works
    `check` walks the file page by page without LMDB (the verifier that comes with py-lmdb), so a damaged file
    cannot end the process. The rest are the few file operations that need care: a file is durable when it is
    synced, and its name when the directory is.

What it does not do
    It looks at structure only; it cannot see a wrong value. It opens no transaction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb
from lmdb import verify

from storage.transactions import corrupt, from_errno, translate

DATA_FILE: Final = "data.mdb"
"""The one file of an environment that matters; `lock.mdb` beside it is made anew."""
COPY_CHUNK_BYTES: Final = 1024**2
"""Files are copied and hashed in pieces of this many bytes."""


def check(path: Path) -> list[str]:
    """Return what is structurally wrong with a store (its directory or data file); an empty list: nothing.

    Reads every page once (about 500 MB/s) and never hands the file to LMDB. Nobody may write meanwhile.
    Raises `LocalError` STORE_MISSING. It finds no flipped bits inside values.
    """
    try:
        return [str(line) for line in verify.verify(str(path))]  # type: ignore[no-untyped-call]
    except verify.VerifyError as error:
        return [str(error)]
    except OSError as error:
        raise from_errno(path, error.errno or 0, "read") from error


def require_whole(path: Path, env: lmdb.Environment) -> None:
    """Raise STORE_CORRUPT if pages that are in use lie beyond the end of the data file.

    Reading such a page would end the process. Free pages at the end may be missing in a sound file, so a
    short file is walked by `check` before it is called damaged.
    """
    pages = env.info()["last_pgno"] + 1
    if (path / DATA_FILE).stat().st_size < pages * env.stat()["psize"]:
        findings = check(path)
        if findings:
            raise corrupt(path, f"it was cut short; {findings[0]}")


def open_environment(
    file: Path, map_bytes: int, *, max_tables: int, read_only: bool = False, lock: bool = True
) -> lmdb.Environment:
    """Open the environment in the data file's directory, or in `file` itself when that has another name.

    Every commit syncs data, then meta page. Raises `LocalError` as `storage/disk.py` lists.
    """
    in_directory = file.name == DATA_FILE
    try:
        return lmdb.Environment(
            str(file.parent if in_directory else file),
            map_size=map_bytes, subdir=in_directory, readonly=read_only, create=False, mode=0o700,
            readahead=False, sync=True, metasync=True, writemap=False,
            max_dbs=max_tables, max_spare_txns=1, lock=lock,
        )  # fmt: skip
    except lmdb.Error as error:
        raise translate(file.parent, error) from error


@contextmanager
def new_file(file: Path) -> Iterator[int]:
    """Create `file` for its owner only, hand out its descriptor, and sync it. Replaces what was there."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_file(source: Path, destination: Path, step: Callable[[bytes], None]) -> None:
    """Copy a file and sync the copy; `step` sees every piece."""
    with source.open("rb") as reading, new_file(destination) as descriptor:
        while piece := reading.read(COPY_CHUNK_BYTES):
            write_all(descriptor, piece)
            step(piece)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`: one call to the system may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
