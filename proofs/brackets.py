"""Time brackets: before which time an entry cannot have been made (ledger.md §7).

How it works
    The lower bound of an entry is the smaller of its `iat` and the time of each head that it names as seen. A
    cosignature proves that a head existed by a time, not since: the earliest one known counts. Where the bundle does
    not carry the head's checkpoint, a quorum's frontier helps: a feed that was still shorter there reached the head
    only after that boundary.

What it does not do
    The upper bound is the quorum's (`policy.earliest`).
"""

from __future__ import annotations

from ledger.checkpoint import Head
from ledger.entry import Entry
from proofs.evidence import Evidence, TickEvidence


def not_before(evidence: Evidence, entry: Entry) -> int:
    """Return the time before which an entry cannot have been made, as far as the bundle shows; 0 for unknown."""
    return min(entry.iat, *(_published(evidence, head) for head in entry.seen))


def _published(evidence: Evidence, head: Head) -> int:
    for item in evidence.bundle.checkpoints:
        if item.head == head:
            return item.time
    shorter = [tick.boundary for tick in evidence.ticks if _size(tick, head.feed) < head.size]
    return shorter[-1] + 1 if shorter else 0


def _size(tick: TickEvidence, feed: bytes) -> int:
    head = tick.frontier.get(feed)
    return head.size if head is not None else 0
