"""A process that a test kills, starves of disk, or hands a damaged store. Run: `python -m tests.storage.victim`.

`count PATH`: commits numbers for ever and prints each when its block has ended; `journal PATH` the same with a
journal. `fill PATH`: writes until the
store refuses, and prints the error's code. `open PATH`: opens a store, reads every row, writes one; prints the
count or the error's code. `unprivileged PATH` does the same as a user that owns nothing.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from ledger.errors import LocalError
from ledger.rows import TABLES
from storage.disk import DiskStore

NOBODY = 65534
FILE_LIMIT_BYTES = 1024**2


def count(path: Path, *, journal: bool = False) -> None:
    """Commit numbers: each with a body, and `newest` naming it."""
    store = DiskStore(path, journal=journal)
    with store.read() as reader:
        number = reader.count("entries")
    while True:
        with store.write() as writer:
            key = number.to_bytes(8, "big")
            writer.put("entries", key, key * 200, append=True)
            writer.put("meta", b"newest", key)
        os.write(1, b"%d\n" % number)
        number += 1


def count_journaled(path: Path) -> None:
    """Do the same with a journal."""
    count(path, journal=True)


def fill(path: Path) -> None:
    """Write until the limit on the file's size is met; then show that nothing was lost and the store goes on."""
    store = DiskStore(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, resource.RLIM_INFINITY))
    number = 0
    try:
        while True:
            with store.write() as writer:
                for _ in range(10):
                    writer.put("entries", number.to_bytes(8, "big"), bytes(5000))
                    number += 1
    except LocalError as error:
        print(error.code)
    with store.read() as reader:
        print(reader.count("entries") == number - 10)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with store.write() as writer:
        writer.put("meta", b"room", b"again")
    store.close()


def open_all(path: Path) -> None:
    """Open, read everything, write a row."""
    try:
        store = DiskStore(path)
        rows = 0
        with store.read() as reader:
            for table in TABLES:
                rows += sum(1 for _ in reader.scan(table, b""))
        with store.write() as writer:
            writer.put("meta", b"probe", b"1")
        store.close()
        print(rows)
    except LocalError as error:
        print(error.code)


def unprivileged(path: Path) -> None:
    """Do the same as somebody else, for whom permissions count, then open it for reading only."""
    if os.getuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    open_all(path)
    store = DiskStore(path, read_only=True)
    with store.read() as reader:
        print(reader.count("entries"))
    try:
        store.write()
    except LocalError as error:
        print(error.code)


if __name__ == "__main__":
    commands = {
        "count": count,
        "journal": count_journaled,
        "fill": fill,
        "open": open_all,
        "unprivileged": unprivileged,
    }
    commands[sys.argv[1]](Path(sys.argv[2]))
