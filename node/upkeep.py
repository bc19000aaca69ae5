"""When the node was last looked after: its backups and the exercises of restoring one, in `upkeep.json`.

How it works
    A small file in the data directory, written whole by `backup create` and `backup drill`. What cannot be read counts
    as never done: the doctor then asks for a new one.

What it does not do
    It proves nothing: a backup is proven by `maille backup verify`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

FILE: Final = "upkeep.json"
BYTES_MAX: Final = 64 * 1024


class Upkeep(msgspec.Struct, frozen=True):
    """Mesh by local name to unix seconds."""

    backups: Mapping[str, int] = {}
    drills: Mapping[str, int] = {}


def read_upkeep(data_dir: Path) -> Upkeep:
    """Return what was noted; nothing where there is no such file, or none that can be read."""
    try:
        with (data_dir / FILE).open("rb") as file:
            return msgspec.json.decode(file.read(BYTES_MAX), type=Upkeep)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Upkeep()


def note_upkeep(data_dir: Path, what: Literal["backups", "drills"], mesh: str, now: int) -> None:
    """Note that something was done for a mesh, at `now` (unix seconds). Raises OSError."""
    held = read_upkeep(data_dir)
    young = msgspec.structs.replace(held, **{what: {**getattr(held, what), mesh: now}})
    partial = data_dir / f".{FILE}.{os.getpid()}"
    partial.write_bytes(msgspec.json.encode(young))
    partial.replace(data_dir / FILE)
