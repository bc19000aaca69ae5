"""A device's feed: the rules of its leaves, and what a node holds of it (ledger.md §4).

How it works
    A feed is an RFC 9162 log of entry ids, kept by one device. Three rules are judged when a leaf arrives, each a
    pure function of the entry's bytes and of the prefix below it. An entry that breaks one is kept as a *void
    leaf* with its code, so that a feed has no holes:
      F1 an entry belongs to this mesh (a genesis is the mesh's own);
      F2 an entry that a device signs stands in that device's own feed, and names the feed's size and root at
         signing: the signature fixes the position, so a device cannot claim an older view without a fork;
      F3 `iat` is not before any `iat` in the entry's own closure, as far as the closure is held.

What it does not do
    It stores nothing and checks no signature. Whether a sound leaf has an effect is the fold's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.kinds import KINDS, Signer
from ledger.merkle import EMPTY_ROOT

AHEAD_SECONDS_MAX: Final = 120  # an entry or checkpoint dated further ahead waits (ledger.md §4)
FEED_LEAVES_MAX: Final = 2**40

SOUND: Final = ""  # the verdict of a leaf that is not void


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


def judge(entry: Entry, mesh_id: bytes, feed: bytes, index: int, root: bytes, closure_iat: int) -> str:
    """Return SOUND, or the code of the first rule that the entry breaks as leaf `index` of `feed`.

    `root`: the feed's root at size `index`. `closure_iat`: the largest iat in what the entry's `seen` covers.
    """
    if (entry.mesh_id or entry.id) != mesh_id:
        return "VOID_OTHER_MESH"
    row = KINDS.get(entry.kind)
    if row is not None and row.signer is Signer.DEVICE and entry.kid != feed:
        return "VOID_NOT_SELF_REGISTERED"
    if entry.kid == feed and not _names(entry.seen, feed, index, root):
        return "VOID_WRONG_POSITION"
    if entry.iat < closure_iat:
        return "VOID_BACKDATED"
    return SOUND


def _names(seen: tuple[Head, ...], feed: bytes, index: int, root: bytes) -> bool:
    return any(head.feed == feed and head.size == index and head.root == root for head in seen)


def start_of(feed: bytes) -> Head:
    """Return the head of a feed that holds nothing yet: how a new feed names itself."""
    return Head(feed, 0, EMPTY_ROOT)
