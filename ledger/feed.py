"""A device's feed: what a leaf and a signed head are, and the bounds on both (ledger.md §4).

How it works
    A feed is an RFC 9162 log of entry ids, kept by one device. The rules a leaf is held to are in `judge`; an entry
    that breaks one keeps its place as a *void leaf*, so that a feed has no holes.

What it does not do
    It stores nothing and checks no signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.merkle import EMPTY_ROOT

AHEAD_SECONDS_MAX: Final = 120  # an entry or checkpoint dated further ahead waits (ledger.md §4)
FEED_LEAVES_MAX: Final = 2**40
RUN_LEAVES_MAX: Final = 4_096  # leaves in one ingested run


@dataclass(frozen=True, slots=True)
class Registration:
    """An entry at its place: leaf `index` of `feed`."""

    entry: Entry
    feed: bytes
    index: int


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A checkpoint as its owner signed it: size, root, unix seconds, cosignature/v1 signature (64 bytes)."""

    size: int
    root: bytes
    time: int
    signature: bytes

    def as_list(self) -> list[Any]:
        """Return the head as it stands in payloads and messages."""
        return [self.size, self.root, self.time, self.signature]


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive leaves of one feed, from index `start`, and a checkpoint of the feed.

    `path`: empty when the checkpoint ends with these leaves; otherwise the consistency path (RFC 9162 §2.1.4)
    from where they end to the checkpoint, so that a long feed travels in pieces, each of them proven.
    """

    feed: bytes
    start: int
    raws: tuple[bytes, ...]
    head: SignedHead
    path: tuple[bytes, ...] = ()

    @property
    def stop(self) -> int:
        """The index after the last leaf."""
        return self.start + len(self.raws)


def start_of(feed: bytes) -> Head:
    """Return the head of a feed that holds nothing yet: how a new feed names itself."""
    return Head(feed, 0, EMPTY_ROOT)
