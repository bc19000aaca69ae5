"""Tick boundaries: asking for a tick, and agreeing on each feed's newest checkpoint up to a boundary.

How it works
    A tick's frontier takes, for each feed, the newest checkpoint whose owner's time is not after the boundary
    (ledger.md §5). Two nodes with equal ledgers can still differ in it, when one has missed a checkpoint that a later
    one has overtaken. So a Summary carries the last boundary and a digest of its marks. Where boundaries agree and
    digests do not, the answerer sends (feed, size, time) of its marks, and each side sends the other the signed
    heads in which it is ahead.
    A tick on demand is flooded once: a boundary near our clock, not asked before, and not too many from one peer.

What it does not do
    It folds and attests nothing. Marks beyond MARKS_MAX feeds are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from gossip.events import Effect, LedgerView, Send, TickAsked
from gossip.peers import Bucket, Peer, Peers, Recent
from gossip.vocabulary import HEADS_MAX, MARKS_MAX, Heads, Marks, Summary, Tick, encode
from ledger.errors import LocalError
from ledger.feed import SignedHead

TICK_SECONDS_MAX: Final = 120
"""A tick is asked for a boundary no further than this from our clock, in seconds."""
TICKS_SEEN: Final = 64
"""Boundaries asked for that are remembered."""
TICKS_RATE: Final = 1
"""Ticks on demand a second, over all peers."""
TICKS_BURST: Final = 8
"""Ticks on demand at once, over all peers."""


class Boundaries:
    """The last boundary and its marks, and the ticks asked for."""

    def __init__(self, view: LedgerView, peers: Peers) -> None:
        self._view, self._peers = view, peers
        self._boundary = 0
        self._marks: Mapping[bytes, SignedHead] | None = None
        self._digest = b""
        self._asked: Recent[int, None] = Recent(TICKS_SEEN)
        self._bucket: Bucket | None = None

    def passed(self, boundary: int) -> None:
        """Our clock passed a boundary; only the latest counts."""
        if boundary > self._boundary:
            self._boundary, self._marks = boundary, None

    def moved(self, head: SignedHead) -> None:
        """A checkpoint was stored: it may be a mark."""
        if head.time <= self._boundary:
            self._marks = None

    def summary(self) -> tuple[int, bytes]:
        """Return the last boundary and the digest of its marks, or (0, b"")."""
        if not self._boundary:
            return 0, b""
        self._load()
        return self._boundary, self._digest

    def _load(self) -> Mapping[bytes, SignedHead]:
        if self._marks is None:
            self._marks = self._view.heads_at(self._boundary)
            rows = sorted((feed, head.size, head.root) for feed, head in self._marks.items())
            packed = b"".join(feed + size.to_bytes(8, "big") + root for feed, size, root in rows)
            self._digest = sha256(packed).digest()
        return self._marks

    def compare(self, peer: Peer, told: Summary) -> list[Effect]:
        """Answer a Summary whose marks differ from ours."""
        boundary, digest = self.summary()
        if not boundary or told.boundary != boundary or told.marks == digest:
            return []
        return [self._say(peer, reply=True)]

    def on_marks(self, peer: Peer, told: Marks) -> list[Effect]:
        """Send the heads in which our marks are ahead, and our marks if they were asked for."""
        if told.boundary != self._boundary or not self._boundary:
            self._peers.counters["marks_other"] += 1
            return []
        theirs = {feed: (time, size) for feed, size, time in told.items}
        ahead = [
            (feed, head)
            for feed, head in sorted(self._load().items(), key=lambda row: row[0])
            if (head.time, head.size) > theirs.get(feed, (-1, 0)) and head.size != theirs.get(feed, (0, -1))[1]
        ]
        effects: list[Effect] = [
            Send(peer.kid, encode(Heads(tuple(ahead[at : at + HEADS_MAX])))) for at in range(0, len(ahead), HEADS_MAX)
        ]
        return [*effects, self._say(peer, reply=False)] if told.reply else effects

    def _say(self, peer: Peer, *, reply: bool) -> Effect:
        rows = sorted((feed, head.size, head.time) for feed, head in self._load().items())
        return Send(peer.kid, encode(Marks(self._boundary, reply, tuple(rows[:MARKS_MAX]))))

    def ask(self, boundary: int, now_ms: int) -> list[Effect]:
        """Ask everybody for a tick. Raises LocalError TICK_TOO_FAR."""
        if abs(boundary - now_ms // 1000) > TICK_SECONDS_MAX:
            told = f"A tick is asked for within {TICK_SECONDS_MAX} s of now."
            raise LocalError("TICK_TOO_FAR", told, field="boundary")
        if boundary in self._asked:
            return []
        self._asked.set(boundary, None)
        return self._flood(boundary, None)

    def on_tick(self, peer: Peer, told: Tick, now_ms: int) -> list[Effect]:
        """Pass on what a peer asks for, once."""
        boundary, counters = told.boundary, self._peers.counters
        if boundary in self._asked:
            return []
        if abs(boundary - now_ms // 1000) > TICK_SECONDS_MAX:
            counters["tick_too_far"] += 1
            return []
        if self._bucket is None:
            self._bucket = Bucket(TICKS_RATE, TICKS_BURST, now_ms)
        if not self._bucket.take(1, now_ms):
            counters["tick_too_many"] += 1
            return []
        self._asked.set(boundary, None)
        return [TickAsked(boundary, peer.kid), *self._flood(boundary, peer)]

    def _flood(self, boundary: int, source: Peer | None) -> list[Effect]:
        data = encode(Tick(boundary))
        return [Send(peer.kid, data) for peer in self._peers.members if peer is not source]
