"""What the ledger says that pages need found fast: requests, which grants answer them, and who used which consent.

How it works
    `Following.advance` reads the leaves that came since the last time, a portion a turn, and keeps in memory the id of
    each request and the grants that name it. What is wrong or void is not counted; a leaf whose body stands in another
    feed is counted there. Uses are found as `consent trail` finds them (node.flows.trail).

What it does not do
    It keeps no personal data: everything here stands in clear on the ledger. It believes no receipt (`uses_of` asks
    who signed it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.consent.status import Party
from ledger.entry import Entry, typ_of_kind
from ledger.rows import prefix_stop
from ledger.tables import RECEIPT, position, read_leaf, read_position
from node.flows.trail import Stated, Use

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
    _stated: Stated = field(default_factory=Stated)
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

    def uses_of(self, turn: Turn, grant: bytes, holder: Party) -> list[Use]:
        """Return what the holder states of a consent's use, oldest first, each transfer once."""
        return self._stated.uses_of(turn, grant, holder)

    def tally(self, turn: Turn, grant: bytes, holder: Party) -> tuple[int, int]:
        """Return how many transfers the holder states under a consent, and when it last did; (0, 0) for none.

        Nothing is parsed: a leaf names a grant, 32 bytes that nobody can guess, once for each transfer. The time is the
        largest in the feed up to that leaf. `uses_of` tells exactly, and leaf by leaf.
        """
        replica, prefix = turn.core.replica, RECEIPT + grant
        if not holder[1]:  # of a service, only its own signature tells
            uses = self.uses_of(turn, grant, holder)
            return len(uses), max((use.at for use in uses), default=0)
        count, last = 0, 0
        for key, _ in turn.rows.scan("things", prefix, prefix_stop(prefix)):
            number, index = read_position(key)
            feed = replica.feed_of(number)
            if replica.members.party_of(feed) == holder:
                leaf = replica.leaf(turn.rows, feed, index)
                count, last = count + leaf.raw.count(grant), max(last, leaf.iat_max)
        return count, last
