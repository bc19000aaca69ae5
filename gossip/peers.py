"""The neighbours of a node: what is known of each, and how much each may cost.

How it works
    One `Peer` for each open channel, made by PeerUp and dropped by PeerDown. Four token buckets bound what it can
    make us do: messages, bytes, work (the messages whose answer costs reading or hashing), and heads to be verified,
    of which one message may hold hundreds, and whose owner can sign any number. Whoever is over is slowed: the message
    or head is dropped and counted; gossip repairs what is lost. Whoever keeps on sending messages is to be
    disconnected.
    Everything remembered of a peer is bounded, the oldest forgotten first: forgetting costs a repetition, no more.

What it does not do
    It sends nothing, decides no membership, and keeps no opinion of a peer once the channel is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final, Generic, TypeAlias, TypeVar

from gossip.reconcile import Decoder, Encoder
from gossip.vocabulary import Summary
from ledger.feed import SignedHead

EAGER: Final = 6
"""Neighbours that a new entry is pushed to (design.md §5)."""
WINDOW_BATCHES: Final = 4
"""Batches of leaves on their way to one peer, at first and at least."""
WINDOW_BATCHES_MAX: Final = 20
"""Batches of leaves on their way to a peer that answers quickly; what arrives beyond twice as many is dropped."""
QUICK_MS: Final = 1_000
"""A batch that was dealt with so soon widens the window by one; one that took longer narrows it by one."""
DROP_PAUSE_MS: Final = 10_000
"""After so long without a drop, a peer's drops are forgotten."""
BAN_MS: Final = 15_000
"""How long a peer that did not deliver is not asked again, while there are others."""
STUCK_MS: Final = 60_000
"""How long a feed that one of two peers refused is not tried again between them."""

RandomBytes: TypeAlias = Callable[[int], bytes]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may cost. Rates are a second; a burst is what may come at once after a quiet time."""

    messages_rate: int = 2_000
    messages_burst: int = 10_000
    bytes_rate: int = 64 << 20
    bytes_burst: int = 128 << 20
    work_rate: int = 200
    work_burst: int = 400
    heads_rate: int = 1_000  # heads without leaves whose signature must be verified
    heads_burst: int = 20_000
    dropped_max: int = 10_000  # drops, without a pause, that end the channel
    stranger_messages_rate: int = 1
    stranger_messages_burst: int = 20
    stranger_bytes_rate: int = 64 << 10
    stranger_bytes_burst: int = 2 << 20
    stranger_dropped_max: int = 100
    flight_runs: int = 512  # runs of one peer that the engine has not answered yet
    flight_bytes: int = 8 << 20
    known_feeds: int = 4_096  # feeds of which we remember what a peer has
    deferred_feeds: int = 4_096  # feeds that a peer has and that we do not know yet
    sending_feeds: int = 16_384  # feeds asked for by a peer and not sent yet
    wanted_feeds: int = 16_384  # feeds asked for by us and not received yet, over all peers
    faults_max: int = 8  # runs or heads with a bad signature that end the channel


class Recent(Generic[K, V]):
    """A dictionary of at most `most` keys; the oldest key gives way. Setting a key again makes it the newest."""

    __slots__ = ("_most", "_rows")

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: K) -> bool:
        return key in self._rows

    def get(self, key: K) -> V | None:
        """Return the value of a key, or None."""
        return self._rows.get(key)

    def set(self, key: K, value: V) -> None:
        """Set a key as the newest one."""
        self._rows.pop(key, None)
        self._rows[key] = value
        if len(self._rows) > self._most:
            del self._rows[next(iter(self._rows))]

    def pop(self, key: K) -> V | None:
        """Remove a key and return its value, or None."""
        return self._rows.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()

    def items(self) -> list[tuple[K, V]]:
        """Return keys and values, the oldest first."""
        return list(self._rows.items())


class Bucket:
    """A token bucket: `rate` tokens a second, at most `burst`. A clock that steps back adds nothing."""

    __slots__ = ("_at_ms", "_burst", "_milli", "_rate")

    def __init__(self, rate: int, burst: int, now_ms: int) -> None:
        self._rate, self._burst, self._at_ms = rate, burst * 1000, now_ms
        self._milli = self._burst

    def take(self, tokens: int, now_ms: int) -> bool:
        """Take tokens and return True, or leave them and return False."""
        passed = max(0, now_ms - self._at_ms)
        self._at_ms = now_ms
        self._milli = min(self._burst, self._milli + passed * self._rate)
        if self._milli < tokens * 1000:
            return False
        self._milli -= tokens * 1000
        return True


@dataclass(slots=True)
class Exchange:
    """An exchange that we opened with a peer: what we said, and what has come of the answer."""

    number: int
    started_ms: int
    said: Summary
    changes: int  # our number of changes when it was said
    decoder: Decoder | None = None
    symbols: int = 0
    pages: int = 0
    items: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Inquiry:
    """The leaf hashes of a peer's branch, as far as they have come: from index `low` on."""

    feed: bytes
    theirs: SignedHead
    started_ms: int
    low: int
    hashes: list[bytes] = field(default_factory=list)
    tried: bool = False  # whether the hashes were held against the root before all of them were there


@dataclass(slots=True)
class Sent:
    """A batch on its way: where each of its feeds ends in it, and since when."""

    stops: dict[bytes, int]
    at_ms: int


class Peer:
    """What is known of one neighbour while its channel is open."""

    def __init__(self, kid: bytes, member: bool, priority: float, limits: Limits, now_ms: int) -> None:
        self.kid, self.member, self.priority = kid, member, priority
        if member:
            self.messages = Bucket(limits.messages_rate, limits.messages_burst, now_ms)
            self.bytes = Bucket(limits.bytes_rate, limits.bytes_burst, now_ms)
        else:
            self.messages = Bucket(limits.stranger_messages_rate, limits.stranger_messages_burst, now_ms)
            self.bytes = Bucket(limits.stranger_bytes_rate, limits.stranger_bytes_burst, now_ms)
        self.work = Bucket(limits.work_rate, limits.work_burst, now_ms)
        self.heads = Bucket(limits.heads_rate, limits.heads_burst, now_ms)
        self.dropped = 0
        self.dropped_ms = 0
        self.faults = 0
        self.refused_families: set[int] = set()
        # Who has what
        self.known: Recent[bytes, tuple[int, int]] = Recent(limits.known_feeds)  # feed -> (size, time)
        self.deferred: Recent[bytes, int] = Recent(limits.deferred_feeds)  # feed -> size
        self.stuck: Recent[bytes, int] = Recent(limits.deferred_feeds)  # feed -> until, ms
        # From it to us
        self.flying = 0
        self.flying_bytes = 0
        self.batches: dict[int, tuple[int, set[bytes]]] = {}  # token -> (runs left, feeds)
        self.progress_ms = now_ms
        self.banned_ms = 0
        # From us to it
        self.sending: dict[bytes, int] = {}  # feed -> next index
        self.outstanding: dict[int, Sent] = {}
        self.window = WINDOW_BATCHES
        self.token = 0
        # Exchanges
        self.exchange: Exchange | None = None
        self.serving: tuple[int, Encoder, bytes, int] | None = None  # exchange, encoder, key, symbols sent
        self.exchanged_ms = -1
        self.inquiry: Inquiry | None = None
        self.inquired: Recent[bytes, int] = Recent(64)  # feed -> when, ms
        self.fruitless_ms = -(1 << 62)  # when an inquiry began that showed no fork

    def knows(self, feed: bytes, size: int, time: int) -> None:
        """Note that the peer has a feed up to `size`, with a checkpoint of `time` (0: nothing is known of it)."""
        old_size, old_time = self.known.get(feed) or (0, 0)
        self.known.set(feed, (max(size, old_size), max(time, old_time)))

    def answered(self, took_ms: int) -> None:
        """Fit the window to how long the peer took to deal with a batch."""
        wider = self.window + (1 if took_ms <= QUICK_MS else -1)
        self.window = min(max(wider, WINDOW_BATCHES), WINDOW_BATCHES_MAX)

    def is_stuck(self, feed: bytes, now_ms: int) -> bool:
        """Say whether the feed was refused between us a short time ago."""
        return (self.stuck.get(feed) or 0) > now_ms


class Peers:
    """All neighbours, in a fixed random order, with the counters of what was dropped and why."""

    def __init__(self, own: bytes, limits: Limits, rng: Random, random_bytes: RandomBytes) -> None:
        self.own, self.limits, self.rng, self.random_bytes = own, limits, rng, random_bytes
        self.counters: Counter[str] = Counter()
        self._peers: dict[bytes, Peer] = {}
        self._members: list[Peer] = []

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def get(self, kid: bytes | None) -> Peer | None:
        """Return an open peer, or None."""
        return self._peers.get(kid) if kid is not None else None

    def up(self, kid: bytes, member: bool, now_ms: int) -> Peer:
        """Add a peer, anew if it was there."""
        peer = self._peers[kid] = Peer(kid, member, self.rng.random(), self.limits, now_ms)
        self._order()
        return peer

    def down(self, kid: bytes) -> None:
        """Drop a peer."""
        self._peers.pop(kid, None)
        self._order()

    @property
    def members(self) -> list[Peer]:
        """The neighbours that are members; the first EAGER of them are pushed to."""
        return self._members

    def _order(self) -> None:
        self._members = sorted((p for p in self._peers.values() if p.member), key=lambda p: (p.priority, p.kid))

    def admit(self, peer: Peer, size: int, now_ms: int) -> bool:
        """Charge a message of `size` bytes. False: drop it."""
        if peer.messages.take(1, now_ms) and peer.bytes.take(size, now_ms):
            return True
        self.drop(peer, now_ms)
        return False

    def drop(self, peer: Peer, now_ms: int) -> None:
        """Count a message that was dropped because the peer asks too much."""
        if now_ms - peer.dropped_ms > DROP_PAUSE_MS:
            peer.dropped = 0
        peer.dropped += 1
        peer.dropped_ms = now_ms
        self.counters["over_rate"] += 1

    def verifies(self, peer: Peer, now_ms: int) -> bool:
        """Charge a head that has to be verified. False: leave it out."""
        if peer.heads.take(1, now_ms):
            return True
        self.counters["heads_over_rate"] += 1
        return False

    def persists(self, peer: Peer) -> bool:
        """Say whether the peer went on being dropped for so long that its channel is to end."""
        limits = self.limits
        return peer.dropped > (limits.dropped_max if peer.member else limits.stranger_dropped_max)
