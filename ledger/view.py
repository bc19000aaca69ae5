"""A frontier over what is held, as the fold looks through it.

How it works
    `HeldView` answers from a `Held` and its rows, below given sizes. It notes in `missing` what it was asked for and is
    not held: a feed that grows so far may change what the fold found.

What it does not do
    It keeps nothing, and is good for one fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ledger.entry import Entry
from ledger.governance.roster import View
from ledger.rows import Reader

if TYPE_CHECKING:
    from ledger.held import Held


class HeldView:
    """What is held of each feed up to a size, as the fold sees it. `size`: by default all that is held."""

    def __init__(self, held: Held, rows: Reader, sizes: Mapping[bytes, int] | None = None) -> None:
        self._held, self._rows, self._sizes = held, rows, sizes
        self.missing: set[tuple[bytes, int]] = set()  # (feed, size) that entries wait for

    def size(self, feed: bytes) -> int:
        """Return how many leaves of the feed lie below the frontier."""
        return self._held.size(feed) if self._sizes is None else self._sizes.get(feed, 0)

    def holds(self, entry: Entry, forks: Mapping[bytes, int]) -> bool:
        """Say whether every head that the entry names is held here, and not dated after it."""
        return self._held.resolves(self._rows, entry, self.size, forks, self.missing)

    def root(self, feed: bytes, size: int) -> bytes | None:
        """Return the feed's root at a size, or None where so much of it is not held here."""
        head = self._held.head_at(self._rows, feed, size) if size <= self.size(feed) else None
        if head is None:
            self.missing.add((feed, size))
        return head.root if head is not None else None

    def below(self, sizes: Mapping[bytes, int]) -> View:
        """Return the view of a frontier inside this one."""
        return HeldView(self._held, self._rows, sizes)
