"""Room on the disk: how much the ledgers and vaults of a node take, and the quota they stay below.

How it works
    What counts is what their directories take: data files with the free pages in them, journals, copies from before a
    migration. From WARN_SHARE of the quota on, the status and the doctor warn. At the quota nothing large is taken in
    any more: files of readings are refused with QUOTA_FULL, and so are packs of other members, which wait and come
    again. Erasing and `maille storage compact` make room.

What it does not do
    It never refuses what a node owes the mesh: entries (withdrawals, revocations, votes, seals) come in until the disk
    is full. A file does not shrink by itself: what was deleted inside it is used again, or given back by compacting.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ledger.errors import LocalError
from node.amiss import ROOM
from node.saying import Value, english

if TYPE_CHECKING:
    from node.config import Home

WARN_SHARE: Final = 0.8
"""From this part of the quota on, operators are warned."""
START_BYTES: Final = 32 << 20
"""Free bytes that a start needs at most to take in one journal: its 256 KiB hold some 5 000 of the smallest rows, and
each can lie on a page of 4 KiB of its own, with the pages above it."""
_HEAD_BYTES: Final = 32
QUOTA_FULL: Final = "QUOTA_FULL"
QUOTA_NEAR: Final = "QUOTA_NEAR"


def directory_bytes(path: Path) -> int:
    """Return how many bytes the files of a store's directory take; 0 where it is not there."""
    total = 0
    for file in path.iterdir() if path.is_dir() else ():
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue  # a journal that was just emptied
    return total


def mesh_bytes(home: Home, mesh: str) -> tuple[int, int]:
    """Return how many bytes the ledger and the vault of a mesh take."""
    return directory_bytes(home.mesh(mesh) / "ledger"), directory_bytes(home.mesh(mesh) / "vault")


def journals(home: Home) -> list[Path]:
    """Return the journals in which something may stand that a start has to take in first (storage/journal.py)."""
    from storage.journal import JOURNAL_FILE

    found = (home.mesh(name) / "ledger" / JOURNAL_FILE for name in home.mesh_names())
    return [file for file in found if file.is_file() and _begins(file)]


def _begins(journal: Path) -> bool:
    """Say whether a first record was ever written: an emptied journal begins with zeros."""
    with journal.open("rb") as file:
        return any(file.read(_HEAD_BYTES))


class Room:
    """The room of one node. `quota`: in bytes, as the settings say now; 0: none."""

    def __init__(self, home: Home, quota: Callable[[], int]) -> None:
        self._home, self._quota = home, quota

    @property
    def quota(self) -> int:
        """The quota in bytes, or 0."""
        return self._quota()

    @property
    def used(self) -> int:
        """The bytes that all ledgers and vaults take."""
        return sum(sum(mesh_bytes(self._home, name)) for name in self._home.mesh_names())

    @property
    def full(self) -> bool:
        """Whether nothing large may be taken in."""
        return 0 < self.quota <= self.used

    def require(self) -> None:
        """Refuse to take in more. Raises LocalError QUOTA_FULL."""
        if self.full:
            raise LocalError(QUOTA_FULL, f"{english(ROOM.message, self.told())} Nothing was taken in. {ROOM.fix[0]}")

    def problem(self) -> tuple[str, dict[str, Value]] | None:
        """Return the code of node/amiss.py, and values for its places, when the quota is near or reached."""
        if self.quota and self.used >= WARN_SHARE * self.quota:
            return (QUOTA_FULL if self.full else QUOTA_NEAR), self.told()
        return None

    def told(self) -> dict[str, Value]:
        """Return how full it is: `used` in MiB, and the `share` of the quota."""
        used = self.used
        return {"used": used >> 20, "share": used / self.quota}
