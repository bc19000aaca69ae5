"""Swarms over a network in virtual time: latency, loss, duplication, disorder, partitions, and counted bytes.

How it works
    One heap of events. A `Node` is a swarm, its MemoryLedger, and the few lines an engine needs to carry out effects.
    Everything random comes from one seed. `World.trace` is a hash over all that was sent, for comparing two runs.

What it does not do
    It is no model of TCP: messages are lost one by one, which no channel does, since gossip must bear it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

from gossip import swarm as gossip
from gossip.messages import Envelope
from ledger.errors import RemoteError
from ledger.feed import SignedHead
from tests.gossip.ledgers import MemoryLedger, feed_id

START_MS = 1_800_000_000_000


class Node:
    """A swarm with its ledger and an engine."""

    def __init__(self, world: World, name: int, limits: gossip.Limits | None) -> None:
        self.world, self.name = world, name
        self.kid = feed_id(name)
        self.ledger = MemoryLedger()
        rng = Random(f"{world.seed} {name}")
        self.swarm = gossip.Swarm(self.ledger, own=self.kid, rng=rng, random_bytes=rng.randbytes, limits=limits)
        self.peers: set[bytes] = set()
        self.forks: list[gossip.ForkCandidate] = []
        self.ticks: list[int] = []
        self.closed: list[tuple[bytes, str]] = []
        self.others: list[gossip.Stranger | gossip.Data] = []
        self.ingested = 0
        self.timers: dict[str, int] = {}

    def publish(self, raws: list[bytes]) -> None:
        """Append to our own feed and tell the swarm."""
        run = self.ledger.publish(self.kid, raws, self.world.now_ms // 1000)
        self.tell(gossip.Accepted(run, None))

    def beat(self) -> SignedHead:
        """Sign our own feed afresh and tell the swarm."""
        head = self.ledger.beat(self.kid, self.world.now_ms // 1000)
        self.tell(gossip.HeadAccepted(self.kid, head, None))
        return head

    def tell(self, event: gossip.Event) -> None:
        """Hand an event to the swarm and carry out what it asks."""
        self.carry_out(self.swarm.handle(event, self.world.now_ms))

    def carry_out(self, effects: Iterable[gossip.Effect]) -> None:
        """Carry out effects as an engine does."""
        for effect in effects:
            self.world.effects.update(repr(effect).encode())
            match effect:
                case gossip.Send(peer, data):
                    self.world.send(self, peer, data)
                case gossip.Ingest(source, run):
                    self.world.later(self.world.engine_ms, partial(self._ingest, source, run))
                case gossip.Observe(source, feed, head):
                    self._observe(source, feed, head)
                case gossip.SetTimer(name, at_ms):
                    self.timers[name] = at_ms
                    self.world.at(at_ms, partial(self._fire, name, at_ms))
                case gossip.ForkCandidate():
                    self.forks.append(effect)
                case gossip.TickAsked(boundary, _):
                    self.ticks.append(boundary)
                case gossip.Disconnect(peer, code, _):
                    self.closed.append((peer, code))
                    self.world.cut(self.kid, peer)
                case gossip.Stranger() | gossip.Data():
                    self.others.append(effect)

    def _fire(self, name: str, at_ms: int) -> None:
        if self.timers.get(name) == at_ms:
            del self.timers[name]
            self.tell(gossip.TimerFired(name))

    def _ingest(self, source: bytes, run: Any) -> None:
        self.ingested += 1
        try:
            self.ledger.ingest(run)
        except RemoteError as error:
            self.tell(gossip.Refused(source, run.feed, error.code))
        else:
            self.tell(gossip.Accepted(run, source))

    def _observe(self, source: bytes, feed: bytes, head: SignedHead) -> None:
        try:
            news = self.ledger.observe(feed, head)
        except RemoteError as error:
            self.tell(gossip.HeadRefused(source, feed, head, error.code))
        else:
            self.tell(gossip.HeadAccepted(feed, head, source) if news else gossip.HeadRefused(source, feed, head, ""))


class World:
    """Nodes and the network between them."""

    def __init__(self, nodes: int, seed: int = 1, *, latency_ms: int = 10, limits: gossip.Limits | None = None) -> None:
        self.seed, self.latency_ms = seed, latency_ms
        self.engine_ms = 0
        self.now_ms = START_MS
        self.rng = Random(seed)
        self.loss = self.duplication = 0.0
        self.jitter_ms = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self.nodes = [Node(self, name, limits) for name in range(nodes)]
        self.by_kid = {node.kid: node for node in self.nodes}
        self.sent: Counter[tuple[int, int]] = Counter()  # (family, kind) -> bytes
        self.messages: Counter[tuple[int, int]] = Counter()
        self.effects = sha256()
        for node in self.nodes:
            node.ledger.known = set(self.by_kid)
            node.carry_out(node.swarm.start(self.now_ms))

    @property
    def trace(self) -> str:
        """Return a hash over every effect so far."""
        return self.effects.hexdigest()

    def at(self, at_ms: int, act: Callable[[], None]) -> None:
        """Do something at a time."""
        self._count += 1
        heapq.heappush(self._heap, (max(at_ms, self.now_ms), self._count, act))

    def later(self, after_ms: int, act: Callable[[], None]) -> None:
        """Do something after a while."""
        self.at(self.now_ms + after_ms, act)

    def join(self, left: int, right: int) -> None:
        """Open a channel between two members."""
        one, two = self.nodes[left], self.nodes[right]
        one.peers.add(two.kid)
        two.peers.add(one.kid)
        one.tell(gossip.PeerUp(two.kid, True))
        two.tell(gossip.PeerUp(one.kid, True))

    def mesh(self) -> None:
        """Open all channels."""
        for left in range(len(self.nodes)):
            for right in range(left):
                self.join(left, right)

    def cut(self, left: bytes, right: bytes) -> None:
        """Close a channel."""
        for kid, other in ((left, right), (right, left)):
            node = self.by_kid.get(kid)
            if node is not None and other in node.peers:
                node.peers.discard(other)
                node.tell(gossip.PeerDown(other))

    def split(self, group: Iterable[int]) -> None:
        """Close every channel between a group of nodes and the rest."""
        inside = {self.nodes[at].kid for at in group}
        for node in self.nodes:
            for peer in sorted(node.peers):
                if (node.kid in inside) != (peer in inside):
                    self.cut(node.kid, peer)

    def send(self, source: Node, peer: bytes, data: bytes) -> None:
        """Put a message on its way."""
        envelope = Envelope.open(data)
        self.sent[(envelope.family, envelope.kind)] += len(data)
        self.messages[(envelope.family, envelope.kind)] += 1
        if peer not in source.peers or self.rng.random() < self.loss:
            return
        copies = 2 if self.rng.random() < self.duplication else 1
        for _ in range(copies):
            delay = self.latency_ms + (self.rng.randrange(self.jitter_ms) if self.jitter_ms else 0)
            self.later(delay, partial(self._deliver, source.kid, peer, data))

    def _deliver(self, source: bytes, peer: bytes, data: bytes) -> None:
        node = self.by_kid.get(peer)
        if node is not None and source in node.peers:
            node.tell(gossip.Message(source, data))

    def run(self, for_ms: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; stop early when `until` holds, and return whether it does."""
        end_ms = self.now_ms + for_ms
        while self._heap and self._heap[0][0] <= end_ms:
            if until is not None and until():
                return True
            self.now_ms, _, act = heapq.heappop(self._heap)
            act()
        if until is not None and until():
            return True
        self.now_ms = end_ms
        return False

    def equal(self) -> bool:
        """Say whether all ledgers hold the same heads."""
        first = self.nodes[0].ledger.signed_heads()
        plain = {feed: (head.size, head.root) for feed, head in first.items()}
        return all(
            {feed: (head.size, head.root) for feed, head in node.ledger.signed_heads().items()} == plain
            for node in self.nodes[1:]
        )
