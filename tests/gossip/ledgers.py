"""A ledger in memory for tests of gossip: feeds, heads and their rules, without signatures or entries.

How it works
    It meets gossip's LedgerView and takes runs and heads in by the rules of ledger.replica: order, roots, signatures,
    forks. A "signature" is a hash that anybody can compute: tests of adversaries write other bytes where it matters.

What it does not do
    It judges no entry and folds nothing. Which feeds are known is a plain set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from ledger.checkpoint import Head
from ledger.errors import RemoteError
from ledger.feed import RUN_LEAVES_MAX, Run, SignedHead
from ledger.held import digest_of
from ledger.merkle import (
    EMPTY_ROOT,
    PeaksBuilder,
    consistency_path,
    leaf_hash,
    root_of,
    verify_consistency,
)
from ledger.replica import ForkSeen


def feed_id(name: int | str) -> bytes:
    """Return a feed id made from a name."""
    return sha256(f"feed {name}".encode()).digest()


def signature(feed: bytes, size: int, root: bytes, time: int) -> bytes:
    """Return what stands for a signature of the feed's owner."""
    return sha256(b"%b %d %b %d" % (feed, size, root, time)).digest() * 2


def signed(feed: bytes, leaves: Sequence[bytes], time: int) -> SignedHead:
    """Return the head over leaf hashes, as the feed's owner signs it."""
    root = root_of(list(leaves)) if leaves else EMPTY_ROOT
    return SignedHead(len(leaves), root, time, signature(feed, len(leaves), root, time))


def bodies(name: int | str, start: int, stop: int, size: int = 200) -> list[bytes]:
    """Return leaves of a feed: distinct bytes of a given length."""
    return [sha256(f"leaf {name} {index}".encode()).digest().ljust(size, b".") for index in range(start, stop)]


class _Feed:
    def __init__(self) -> None:
        self.raws: list[bytes] = []
        self.leaves: list[bytes] = []
        self.builder = PeaksBuilder()
        self.heads: dict[tuple[int, int], SignedHead] = {}  # (time, size)
        self.newest: SignedHead | None = None

    def extend(self, raws: Iterable[bytes]) -> None:
        raws = list(raws)
        leaves = [leaf_hash(sha256(raw).digest()) for raw in raws]
        self.raws += raws
        self.leaves += leaves
        self.builder.extend(leaves)

    def keep(self, head: SignedHead) -> None:
        self.heads[(head.time, head.size)] = head
        if self.newest is None or (head.size, head.time) > (self.newest.size, self.newest.time):
            self.newest = head


class MemoryLedger:
    """One node's ledger. `known`: the feeds it takes in."""

    def __init__(self, known: Iterable[bytes] = ()) -> None:
        self.known = set(known)
        self._feeds: dict[bytes, _Feed] = {}
        self.digests = 0  # how often the digest was asked for

    # gossip.events.LedgerView

    def digest(self) -> bytes:
        self.digests += 1
        return digest_of(Head(feed, head.size, head.root) for feed, head in self.signed_heads().items())

    def signed_head(self, feed: bytes) -> SignedHead | None:
        found = self._feeds.get(feed)
        return found.newest if found is not None else None

    def signed_heads(self) -> Mapping[bytes, SignedHead]:
        return {feed: row.newest for feed, row in self._feeds.items() if row.newest is not None}

    def size(self, feed: bytes) -> int:
        return len(self._feeds[feed].raws) if feed in self._feeds else 0

    def accepts(self, feed: bytes) -> bool:
        return feed in self.known

    def run(self, feed: bytes, start: int, bytes_max: int) -> Run | None:
        head = self.signed_head(feed)
        if head is None or start >= head.size:
            return None
        row, total = self._feeds[feed], 0
        raws: list[bytes] = []
        for raw in row.raws[start : min(head.size, start + RUN_LEAVES_MAX)]:
            total += len(raw)
            if raws and total > bytes_max:
                break
            raws.append(raw)
        stop = start + len(raws)
        path = consistency_path(row.leaves[: head.size], stop, head.size) if stop < head.size else []
        return Run(feed, start, tuple(raws), head, tuple(path))

    def leaf_hashes(self, feed: bytes, start: int, stop: int) -> Sequence[bytes]:
        return self._feeds[feed].leaves[start:stop]  # an unknown feed is the caller's fault, as in the real one

    def heads_at(self, boundary: int) -> Mapping[bytes, SignedHead]:
        newest = {}
        for feed, row in self._feeds.items():
            times = [key for key in row.heads if key[0] <= boundary]
            if times:
                newest[feed] = row.heads[max(times)]
        return newest

    # What an engine does

    def publish(self, feed: bytes, raws: Sequence[bytes], time: int) -> Run:
        """Append to a feed as its owner, sign, and return the run to tell the swarm."""
        self.known.add(feed)
        row = self._feeds.setdefault(feed, _Feed())
        start = len(row.raws)
        row.extend(raws)
        row.keep(self._sign(feed, row, time))
        head = row.newest
        if head is None or head.size != len(row.raws):
            raise AssertionError("a feed's owner signs what it holds")
        return Run(feed, start, tuple(raws), head)

    def beat(self, feed: bytes, time: int) -> SignedHead:
        """Sign a feed afresh, as its owner."""
        row = self._feeds.setdefault(feed, _Feed())
        head = self._sign(feed, row, time)
        row.keep(head)
        return head

    @staticmethod
    def _sign(feed: bytes, row: _Feed, time: int) -> SignedHead:
        size, root = len(row.raws), row.builder.root()
        return SignedHead(size, root, time, signature(feed, size, root, time))

    def ingest(self, run: Run) -> None:
        """Take a run in, or raise as ledger.replica does."""
        if run.feed not in self.known:
            raise RemoteError("UNKNOWN_FEED", "not known")
        row = self._feeds.get(run.feed) or _Feed()
        held = len(row.raws)
        if run.start > held:
            raise RemoteError("FEED_GAP", "leaves are missing")
        skip = min(held - run.start, len(run.raws))
        fresh = [leaf_hash(sha256(raw).digest()) for raw in run.raws]
        builder = PeaksBuilder(row.builder.snapshot())
        builder.extend(fresh[skip:])
        size, head = max(run.stop, held), run.head
        same = row.leaves[run.start : run.start + skip] == fresh[:skip]
        proven = (
            builder.root() == head.root
            if size == head.size
            else verify_consistency(size, builder.root(), head.size, head.root, list(run.path))
        )
        if not same or (not proven and head.size >= size):
            self._forked(row, run.feed, head)
            raise RemoteError("BAD_ROOT", "the root is not that of these leaves")
        self._check(run.feed, head)
        row.extend(run.raws[skip:])
        self._feeds[run.feed] = row
        if head.size <= len(row.raws):
            row.keep(head)

    def observe(self, feed: bytes, head: SignedHead) -> bool:
        """Take a head in without leaves; True when it is news; or raise as ledger.replica does."""
        if feed not in self.known:
            raise RemoteError("UNKNOWN_FEED", "not known")
        row = self._feeds.get(feed) or _Feed()
        if head.size > len(row.raws):
            raise RemoteError("FEED_GAP", "leaves are missing")
        if row.heads.get((head.time, head.size)) == head:
            return False
        self._check(feed, head)
        self._forked(row, feed, head)
        row.keep(head)
        self._feeds[feed] = row
        return True

    @staticmethod
    def _check(feed: bytes, head: SignedHead) -> None:
        if head.signature != signature(feed, head.size, head.root, head.time):
            raise RemoteError("BAD_CHECKPOINT_SIGNATURE", "the feed's key did not sign this")

    def _forked(self, row: _Feed, feed: bytes, theirs: SignedHead) -> None:
        ours = row.newest
        if ours is None or theirs.signature != signature(feed, theirs.size, theirs.root, theirs.time):
            return
        held = row.leaves[: theirs.size]
        contradiction = theirs.size <= ours.size and theirs.root != (root_of(held) if held else EMPTY_ROOT)
        if contradiction or (theirs.size < ours.size and theirs.time > ours.time):
            raise ForkSeen(feed, ours, theirs)
