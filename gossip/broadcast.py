"""Push: new leaves and heartbeats go out as soon as they are stored, to few neighbours; the rest hears of them.

How it works
    What the engine accepted, and nothing else, is pushed at once to the first EAGER member neighbours, unless they
    are known to have it: never back to its source. Runs above PUSH_BYTES go as a signed head, and whoever lacks the
    leaves asks for them. All other members get the signed head a little later (ANNOUNCE_MS), many in one message,
    if they have not shown in the meantime that they have it. In a small mesh an author pushes to everybody, and who
    is connected to everybody does not repeat what came from its author itself: the two whose ids follow the author's
    announce it. Nearly all have it by then, and a copy to each would cost more than the few who must ask. Heartbeats
    of the eager neighbours take that way too. Pieces of a long feed are not announced; its end is. A push comes from
    up to six sides, byte for byte the same: the last few are remembered, so that all but the first cost a look into a
    dictionary.

What it does not do
    It guarantees nothing: a lost push is repaired by anti-entropy. It keeps no leaves.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from gossip.events import Accepted, Effect, HeadAccepted, LedgerView, Send, SetTimer
from gossip.peers import EAGER, Peer, Peers, Recent
from gossip.vocabulary import HEADS_MAX, Heads, Runs, encode
from ledger.feed import Run, SignedHead

PUSH_BYTES: Final = 4 << 10
"""Leaves up to so many bytes are pushed; more are announced (design.md §5)."""
SMALL_MESH: Final = 12
"""Member neighbours up to which an author pushes to all of them."""
ANNOUNCERS: Final = 2
"""Who of those that have a run from its author tells the others of it, in a small mesh."""
ANNOUNCE_MS: Final = 200
"""How long an announcement waits for company."""
ANNOUNCE_FEEDS_MAX: Final = 4_096
"""Feeds that wait to be announced to one peer; beyond, anti-entropy tells it."""
PUSHES_MAX: Final = 256
"""Pushed messages that are remembered, of at most twice PUSH_BYTES each."""
ANNOUNCE_TIMER: Final = "announce"
"""The timer of the announcements."""


class Broadcast:
    """What is to be told to whom."""

    def __init__(self, view: LedgerView, peers: Peers) -> None:
        self._view, self._peers = view, peers
        self._waiting: dict[bytes, dict[bytes, None]] = {}  # peer -> feeds, in order
        self._timed = False
        self._heard: Recent[bytes, Run] = Recent(PUSHES_MAX)
        self._whole: bool | None = None  # whether we are connected to every feed of a small mesh; None: look again
        self._ring: list[bytes] = []  # the ids of our member neighbours and our own, in order, while `_whole` is known

    def review(self) -> None:
        """Look again who is connected: a channel came or went, or the members changed."""
        self._whole = None

    def _is_whole(self) -> bool:
        if self._whole is None:
            count = len(self._peers.members)
            self._whole = count <= SMALL_MESH and count + 1 >= len(self._view.signed_heads())
            self._ring = sorted({self._peers.own, *(peer.kid for peer in self._peers.members)})
        return self._whole

    def _announces(self, author: bytes) -> bool:
        """Say whether we are one of the ANNOUNCERS that follow the author in the order of ids."""
        at = bisect_right(self._ring, author)
        after = [kid for kid in self._ring[at : at + ANNOUNCERS] + self._ring[:ANNOUNCERS] if kid != author]
        return self._peers.own in after[:ANNOUNCERS]

    def hear(self, data: bytes, told: Runs) -> None:
        """Remember a push, to know it again."""
        if not told.token and len(told.runs) == 1 and len(data) <= 2 * PUSH_BYTES:
            self._heard.set(data, told.runs[0])

    def is_repeated(self, peer: Peer, data: bytes) -> bool:
        """Say whether these bytes are a push that was heard before and whose leaves are held by now."""
        run = self._heard.get(data)
        if run is None or not peer.member or self._view.size(run.feed) < run.stop:
            return False
        peer.knows(run.feed, run.head.size, run.head.time)
        self._peers.counters["run_held"] += 1
        return True

    def accepted(self, event: Accepted, now_ms: int) -> list[Effect]:
        """Push a stored run, or announce it."""
        run, source = event.run, event.source
        if run.stop < run.head.size:
            return []
        eager = EAGER
        if source is None:
            eager = SMALL_MESH if len(self._peers.members) <= SMALL_MESH else EAGER
        elif source == run.feed and self._is_whole():
            if not self._announces(run.feed):
                return []
            eager = 0
        small = sum(map(len, run.raws)) <= PUSH_BYTES
        data = b""
        effects: list[Effect] = []
        for place, peer in enumerate(self._peers.members):
            if peer.kid == source or _size_known(peer, run.feed) >= run.stop:
                continue
            if place >= eager:
                self._wait(peer, run.feed)
                continue
            if not data:
                data = encode(Runs(0, (run,)) if small else Heads(((run.feed, run.head),)))
            effects.append(Send(peer.kid, data))
            if small:
                peer.knows(run.feed, run.stop, run.head.time)
        return effects + self._timer(now_ms)

    def head_accepted(self, event: HeadAccepted, now_ms: int) -> list[Effect]:
        """Pass a heartbeat on, if it is the newest."""
        if self._view.signed_head(event.feed) != event.head:
            return []
        for peer in self._peers.members[:EAGER]:
            if peer.kid != event.source and not _has(peer, event.feed, event.head):
                self._wait(peer, event.feed)
        return self._timer(now_ms)

    def flush(self) -> list[Effect]:
        """Send what has waited."""
        self._timed = False
        waiting, self._waiting = self._waiting, {}
        effects: list[Effect] = []
        encoded: dict[tuple[tuple[bytes, SignedHead], ...], bytes] = {}  # most neighbours are told the same
        for kid, feeds in waiting.items():
            peer = self._peers.get(kid)
            if peer is not None and peer.member:
                for heads in untold(peer, self._view, list(feeds)):
                    if heads not in encoded:
                        encoded[heads] = encode(Heads(heads))
                    effects.append(Send(peer.kid, encoded[heads]))
        return effects

    def _wait(self, peer: Peer, feed: bytes) -> None:
        feeds = self._waiting.setdefault(peer.kid, {})
        if len(feeds) < ANNOUNCE_FEEDS_MAX:
            feeds[feed] = None

    def _timer(self, now_ms: int) -> list[Effect]:
        if self._timed or not self._waiting:
            return []
        self._timed = True
        return [SetTimer(ANNOUNCE_TIMER, now_ms + ANNOUNCE_MS)]


def tell(peer: Peer, view: LedgerView, feeds: list[bytes]) -> list[Effect]:
    """Send the newest heads of feeds to a peer, without those it is known to have."""
    return [Send(peer.kid, encode(Heads(heads))) for heads in untold(peer, view, feeds)]


def untold(peer: Peer, view: LedgerView, feeds: list[bytes]) -> list[tuple[tuple[bytes, SignedHead], ...]]:
    """Return the newest heads of feeds that a peer is not known to have, a message each, and count them as told."""
    heads = []
    for feed in feeds:
        head = view.signed_head(feed)
        if head is not None and not _has(peer, feed, head):
            heads.append((feed, head))
            # Its size is not noted: a head tells of leaves, it does not bring them.
            peer.knows(feed, 0, head.time)
    return [tuple(heads[at : at + HEADS_MAX]) for at in range(0, len(heads), HEADS_MAX)]


def _size_known(peer: Peer, feed: bytes) -> int:
    return (peer.known.get(feed) or (0, 0))[0]


def _has(peer: Peer, feed: bytes, head: SignedHead) -> bool:
    size, time = peer.known.get(feed) or (0, -1)
    return size >= head.size and time >= head.time
