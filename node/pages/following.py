"""What the ledger says that pages need found fast: requests, and which grants answer them.

How it works
    `Following.advance` reads the leaves that came since the last time, a portion a turn, and keeps in memory the id of
    each request and the grants that name it. What is wrong or void is not counted; a leaf whose body stands in another
    feed is counted there.

What it does not do
    It keeps no personal data: everything here stands in clear on the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.entry import Entry, typ_of_kind
from ledger.tables import position, read_leaf, read_position

if TYPE_CHECKING:
    from node.core import Turn

LEAVES_MAX: Final = 2_000
"""Leaves read in one turn: some tens of milliseconds."""
_KINDS: Final = ("consent.request", "consent.grant")
_TYPES: Final = tuple(typ_of_kind(kind).encode() for kind in _KINDS)


@dataclass(slots=True)
class Following:
    """See the module. One for each mesh."""

    requests: dict[bytes, bytes] = field(default_factory=dict)
    """Request -> who signed it (key id)."""
    answers: dict[bytes, list[bytes]] = field(default_factory=dict)
    """Request -> grants that name it."""
    _read: dict[int, int] = field(default_factory=dict)

    def advance(self, turn: Turn) -> bool:
        """Read on; True when everything has been read."""
        replica, left = turn.core.replica, LEAVES_MAX
        for number in range(len(replica.feeds)):
            begin, size = self._read.get(number, 0), replica.size(replica.feed_of(number))
            stop = position(number, size)
            for key, value in turn.rows.scan("entries", position(number, begin), stop, limit=left):
                left -= 1
                _, index = read_position(key)
                self._read[number] = index + 1
                leaf = read_leaf(value)
                if not leaf.void and any(typ in leaf.raw for typ in _TYPES):
                    self._take(replica.leaf_entry(turn.rows, replica.feed_of(number), index))
            if left <= 0:
                return False
        return True

    def _take(self, entry: Entry) -> None:
        match entry.kind:
            case "consent.request":
                self.requests[entry.id] = entry.kid
            case "consent.grant" if "request" in entry.payload:
                grants = self.answers.setdefault(entry.payload["request"], [])
                if entry.id not in grants:
                    grants.append(entry.id)
            case _:
                pass
