"""Where two branches of one feed part: asks the peer that showed another root for its leaf hashes.

How it works
    A root that differs from ours (at the same size, or under leaves that do not fit ours) is a suspicion. The peer
    is asked for leaf hashes, at first the last ones both branches have, then further back in growing pages, until
    the oldest page begins like ours. Our own leaves below plus its hashes must then give the root it showed: this
    both ends the search and proves that the hashes are what the root stands for. It hashes the whole branch, so it is
    tried once before all of the branch is there, and a peer whose branch is none is left alone for a while. Then
    `ForkCandidate` carries the whole branch, from which ledger.fork makes the proof. A smaller size signed later needs
    no leaves: the engine, which noticed it, proves it.

What it does not do
    It checks no signature (the engine does, before it accuses anyone) and registers nothing. Branches of more than
    BRANCH_MAX leaves are counted and left alone.
"""

from __future__ import annotations

from typing import Final

from gossip.events import Disconnect, Effect, ForkCandidate, LedgerView, Send
from gossip.peers import Inquiry, Peer, Peers, Recent
from gossip.vocabulary import BRANCH_LEAVES_MAX, Branch, Leaves, encode
from ledger.feed import SignedHead
from ledger.merkle import HASH_BYTES, root_of

BRANCH_MAX: Final = 1 << 20
"""The most leaves of a branch that is looked into: 32 MiB of hashes."""
FIRST_LEAVES: Final = 256
"""How far below the end of the shorter branch the search begins."""
INQUIRY_MS: Final = 30_000
"""How long an inquiry may take before another may replace it."""
INQUIRED_MS: Final = 60_000
"""A feed is inquired into with one peer no more often than this; any feed, where the last inquiry showed no fork."""
FORKS_MAX: Final = 1_024
"""Heads of other branches that are remembered as told."""


class Branches:
    """The inquiries that are open, at most one a peer, and the branches that were told."""

    def __init__(self, view: LedgerView, peers: Peers) -> None:
        self._view, self._peers = view, peers
        self._told: Recent[tuple[bytes, int, bytes], None] = Recent(FORKS_MAX)

    def is_told(self, feed: bytes, size: int, root: bytes) -> bool:
        """Say whether this head was found to be of another branch already."""
        return (feed, size, root) in self._told

    def suspect(self, peer: Peer, feed: bytes, theirs: SignedHead, now_ms: int) -> list[Effect]:
        """Begin to look into a head that does not fit ours, unless that is done or under way."""
        ours = self._view.signed_head(feed)
        if theirs.size == 0 or self.is_told(feed, theirs.size, theirs.root):
            return []
        if ours is not None and theirs.size < ours.size and theirs.time > ours.time:
            return []  # the engine proves that from the two heads
        if peer.inquiry is not None and now_ms - peer.inquiry.started_ms < INQUIRY_MS:
            return []
        last = peer.inquired.get(feed)
        if (last is not None and now_ms - last < INQUIRED_MS) or now_ms - peer.fruitless_ms < INQUIRED_MS:
            return []
        if theirs.size > BRANCH_MAX:
            self._peers.counters["branch_too_long"] += 1
            return []
        peer.inquired.set(feed, now_ms)
        low = max(0, min(self._view.size(feed), theirs.size) - FIRST_LEAVES)
        peer.inquiry = Inquiry(feed, theirs, now_ms, low)
        return [_ask(peer, feed, low, theirs.size)]

    def serve(self, peer: Peer, asked: Branch) -> list[Effect]:
        """Answer a peer that looks into a branch."""
        hashes = self._ours(asked.feed, asked.start, asked.stop)
        return [Send(peer.kid, encode(Leaves(asked.feed, asked.start, b"".join(hashes))))]

    def on_leaves(self, peer: Peer, told: Leaves) -> list[Effect]:
        """Take a page of the branch; ask for the next, or come to the end."""
        inquiry = peer.inquiry
        if inquiry is None or told.feed != inquiry.feed:
            self._peers.counters["leaves_unasked"] += 1
            return []
        page = [told.hashes[at : at + HASH_BYTES] for at in range(0, len(told.hashes), HASH_BYTES)]
        high = inquiry.low + len(inquiry.hashes)
        if page and told.start == high and high + len(page) <= inquiry.theirs.size:
            inquiry.hashes += page
        elif page and told.start + len(page) == inquiry.low:
            inquiry.hashes[:0] = page
            inquiry.low = told.start
        else:
            self._peers.counters["leaves_unfit"] += 1
            return self._fruitless(peer, inquiry)
        high = inquiry.low + len(inquiry.hashes)
        if high < inquiry.theirs.size:
            return [_ask(peer, inquiry.feed, high, inquiry.theirs.size)]
        return self._conclude(peer, inquiry)

    def _ours(self, feed: bytes, start: int, stop: int) -> list[bytes]:
        stop = min(stop, self._view.size(feed))
        return list(self._view.leaf_hashes(feed, start, stop)) if start < stop else []

    def _conclude(self, peer: Peer, inquiry: Inquiry) -> list[Effect]:
        """All from `low` up is there: say what it means, or go further back."""
        feed, theirs, low = inquiry.feed, inquiry.theirs, inquiry.low
        common = min(self._view.size(feed), theirs.size)
        ours = self._ours(feed, low, common)
        if low == 0 or (not inquiry.tried and ours and ours[0] == inquiry.hashes[0]):
            inquiry.tried = True
            branch = (*self._ours(feed, 0, low), *inquiry.hashes)
            if root_of(branch) == theirs.root:
                if ours == inquiry.hashes[: len(ours)]:
                    self._peers.counters["branch_agrees"] += 1
                    return self._fruitless(peer, inquiry)
                peer.inquiry = None
                if self.is_told(feed, theirs.size, theirs.root):
                    return []  # another peer showed the same branch in the meantime
                self._told.set((feed, theirs.size, theirs.root), None)
                return [ForkCandidate(peer.kid, feed, theirs, branch)]
            if low == 0:
                peer.inquiry = None
                told = "The leaf hashes it sent do not give the root that it showed."
                return [Disconnect(peer.kid, "BAD_BRANCH", told)]
        further = max(0, low - min(BRANCH_LEAVES_MAX, 2 * (theirs.size - low)))
        return [_ask(peer, feed, further, low)]

    @staticmethod
    def _fruitless(peer: Peer, inquiry: Inquiry) -> list[Effect]:
        """End an inquiry that showed no fork: the peer had us read and hash for nothing."""
        peer.inquiry, peer.fruitless_ms = None, inquiry.started_ms
        return []


def _ask(peer: Peer, feed: bytes, start: int, stop: int) -> Send:
    return Send(peer.kid, encode(Branch(feed, start, min(stop, start + BRANCH_LEAVES_MAX))))
