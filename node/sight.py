"""The ledger as gossip sees it: the reading side that the swarm is given (gossip.events.LedgerView).

How it works
    Every question is answered from the replica's memory or from the rows of the turn that is open, so gossip always
    speaks of what this turn will make durable.

What it does not do
    It writes nothing and knows no peer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ledger import tree
from ledger.feed import SignedHead
from ledger.replica import Replica, Run
from ledger.rows import Reader
from ledger.ticks import heads_at


class Sight:
    """One replica through the rows of the open turn. `rows`: returns them."""

    def __init__(self, replica: Replica, rows: Callable[[], Reader]) -> None:
        self._replica, self._rows = replica, rows

    def digest(self) -> bytes:
        """Return the digest of all signed heads."""
        return self._replica.frontier_digest()

    def signed_head(self, feed: bytes) -> SignedHead | None:
        """Return the newest checkpoint held of a feed."""
        return self._replica.signed_head(feed)

    def signed_heads(self) -> Mapping[bytes, SignedHead]:
        """Return the newest checkpoint of every feed."""
        return {feed: row.signed for feed, row in self._replica.feeds.items() if row.signed is not None}

    def size(self, feed: bytes) -> int:
        """Return how many leaves of a feed are held."""
        row = self._replica.feeds.get(feed)
        return row.peaks.size if row is not None else 0

    def accepts(self, feed: bytes) -> bool:
        """Say whether the feed belongs to this mesh as far as we know."""
        return self._replica.feed_key(feed) is not None

    def run(self, feed: bytes, start: int, bytes_max: int) -> Run | None:
        """Return leaves from `start` to send."""
        return self._replica.run(self._rows(), feed, start, bytes_max)

    def leaf_hashes(self, feed: bytes, start: int, stop: int) -> Sequence[bytes]:
        """Return the leaf hashes held in a range; none of a feed that is not held."""
        if feed not in self._replica.feeds:
            return ()
        return tree.leaf_hashes(self._rows(), self._replica.number(feed), start, stop)

    def heads_at(self, boundary: int) -> Mapping[bytes, SignedHead]:
        """Return each feed's newest checkpoint not after `boundary` (unix seconds)."""
        return heads_at(self._replica, self._rows(), boundary)
