"""Files that a study leaves: each whole or not there at all, whatever interrupts the writing.

How it works
    `write_whole` writes beside the file, has the disk keep it, and renames. Who reads meanwhile, or after a crash or on
    a full disk, finds the file of before or the new one, never a part. An operator's node writes its files likewise.

What it does not do
    Several files are not written as one: what says that a folder is complete is written last (simulations.runs).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ledger.errors import LocalError
from storage.pages import sync_directory


def write_whole(path: Path, data: bytes | str) -> None:
    """Write a file, text as UTF-8, in place of what was there. Raises LocalError FILE_WRITE: nothing has changed."""
    young = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with young.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        young.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            young.unlink(missing_ok=True)
        raise LocalError(
            "FILE_WRITE", f"{path} cannot be written ({error.strerror}); make room, or name another"
        ) from None
