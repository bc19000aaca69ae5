"""The journal of a store on disk: a transaction made durable by one write and one sync.

How it works
    A commit of LMDB writes some twenty scattered pages and syncs twice, and a large one a page for every row whose
    key is a hash. A journaled store instead appends what a transaction changed, as one record, to a file that was
    written to its end before, so that nothing but the record itself must reach the disk. The changes stay in LMDB's
    open transaction, and are committed there together once the file is full. A record names the generation of LMDB
    (its last transaction) that it builds on, so those that were committed since count for nothing and the file needs
    no clearing. While a ledger is fetched large records come one upon another: then the file grows, so that many of
    them share a commit. What is small waits in less memory.

    | record | bytes |
    |---|---|
    | digest | 16, of SHA-256 over all that follows |
    | generation, place in the file, length of the changes | 8, 4, 4, big-endian |
    | each change: length of table, key, value; table, key, value | 1, 2, 4, and as many |

    A deletion has the length `_DELETED` and no value. Reading ends at the first record that is torn, out of place or
    of another generation.

What it does not do
    It opens no environment and applies nothing: `storage/gathered.py` does. Two records are never in one write.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from struct import Struct
from struct import error as struct_error
from typing import Final, TypeAlias

from storage.pages import new_file, sync_directory, write_all

JOURNAL_FILE: Final = "journal"
"""Its name in the store's directory."""
JOURNAL_BYTES: Final = 256 * 1024
"""Its size, in bytes, and what it holds at most while only small records come."""
BURST_BYTES: Final = 8 * 1024**2
"""What it holds at most from a large record on, in bytes: a start after a crash applies no more again."""
LARGE_BYTES: Final = 64 * 1024
"""From here on a record is a large one, in bytes."""

_DIGEST_BYTES: Final = 16
_HEAD: Final = Struct(">QII")
_ROW: Final = Struct(">BHI")
_DELETED: Final = 0xFFFF_FFFF

Change: TypeAlias = tuple[str, bytes, bytes | None]
"""Table, key and value; None: the row is deleted."""


class Journal:
    """The file, open for appending from its beginning: what it held is gone. `generation`: see `restart`."""

    def __init__(self, directory: Path, generation: int) -> None:
        """Make the file whole and empty. Raises OSError."""
        file = directory / JOURNAL_FILE
        if not file.exists() or file.stat().st_size != JOURNAL_BYTES:
            young = file.with_suffix(".partial")
            with new_file(young) as descriptor:
                write_all(descriptor, bytes(JOURNAL_BYTES))
            young.replace(file)
            sync_directory(directory)
        self._descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        self.restart(generation)
        try:
            self.erase()
        except OSError:
            self.close()
            raise

    def erase(self) -> None:
        """Make sure that no record counts any more, whatever becomes of the generation. Raises OSError."""
        os.pwrite(self._descriptor, bytes(_DIGEST_BYTES + _HEAD.size), 0)
        os.fdatasync(self._descriptor)
        self._at = 0

    def restart(self, generation: int) -> None:
        """Begin again: LMDB has committed what the records held, and its last transaction is `generation`."""
        self._generation, self._at, self._broken, self._room = generation, 0, False, JOURNAL_BYTES

    def append(self, changes: Sequence[Change]) -> bool:
        """Make a record durable. False when it has no room: then LMDB must commit. Raises OSError."""
        body = pack(changes)
        start = self._at
        stop = start + _DIGEST_BYTES + _HEAD.size + len(body)
        room = BURST_BYTES if len(body) >= LARGE_BYTES else self._room
        if self._broken or stop > room:
            return False
        sealed = _HEAD.pack(self._generation, start, len(body)) + body
        record = sha256(sealed).digest()[:_DIGEST_BYTES] + sealed
        try:
            if os.pwrite(self._descriptor, record, start) != len(record):
                raise OSError(os.strerror(5))
            os.fdatasync(self._descriptor)
        except OSError:
            # It may be on the disk all the same, and is refused: no other may follow it in this generation.
            self._broken = True
            with suppress(OSError):
                os.pwrite(self._descriptor, bytes(_DIGEST_BYTES), start)
                os.fdatasync(self._descriptor)
            raise
        self._at, self._room = stop, room
        return True

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def pack(changes: Sequence[Change]) -> bytes:
    """Return the bytes of changes."""
    parts: list[bytes] = []
    for table, key, value in changes:
        name, size = table.encode(), _DELETED if value is None else len(value)
        parts += (_ROW.pack(len(name), len(key), size), name, key, value or b"")
    return b"".join(parts)


def unpack(body: bytes) -> list[Change]:
    """Return the changes that `pack` wrote."""
    changes: list[Change] = []
    at = 0
    while at < len(body):
        name_size, key_size, size = _ROW.unpack_from(body, at)
        at += _ROW.size
        key_at = at + name_size
        value_at = key_at + key_size
        table, key = body[at:key_at].decode(), body[key_at:value_at]
        at = value_at + (0 if size == _DELETED else size)
        changes.append((table, key, None if size == _DELETED else body[value_at:at]))
    return changes


def left_behind(directory: Path, generation: int) -> list[list[Change]]:
    """Return the records that the file in a store's directory holds beyond `generation`, oldest first.

    None without a file. Raises OSError.
    """
    file = directory / JOURNAL_FILE
    data = file.read_bytes() if file.exists() else b""
    records: list[list[Change]] = []
    at = 0
    while at + _DIGEST_BYTES + _HEAD.size <= len(data):
        start = at + _DIGEST_BYTES
        named, place, size = _HEAD.unpack_from(data, start)
        stop = start + _HEAD.size + size
        digest = sha256(data[start:stop]).digest()[:_DIGEST_BYTES]
        if (named, place) != (generation, at) or stop > len(data) or digest != data[at:start]:
            break
        try:
            records.append(unpack(data[start + _HEAD.size : stop]))
        except (struct_error, UnicodeDecodeError):
            break  # its digest is right, and no journal of ours has written it
        at = stop
    return records
