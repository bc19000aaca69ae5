"""The frontier lists of one open epoch: which heads a proposed seal covers, by the digest that the seal names.

How it works
    A list travels and is kept as its difference to the frontier sealed last, in parts. Nobody is sent what it did not
    ask for: whoever meets a digest that it cannot give a list for first looks whether its own heads give it, then asks
    one peer after another. Parts are taken from the peer that was asked alone, and the whole is held to the digest, so
    a false list costs its sender the question and nobody else anything. Who asks too early is answered as soon as the
    list is there. Lists are rows too: a voter that is locked on a seal must have its list after a crash.

What it does not do
    It does not say whether the heads are held, or whether a seal may cover them: the ledger does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from gossip.seals import Ask, Part, encode, pack_heads, unpack_heads
from ledger.checkpoint import Head
from ledger.governance.certificate import EpochContext
from ledger.governance.sealing import frontier_digest
from ledger.kinds import FRONTIER_HEADS_MAX, FRONTIER_PARTS_MAX
from ledger.rows import Reader, prefix_stop

if TYPE_CHECKING:
    from node.core import Turn

ASK_MS: Final = 2_000
"""How long a peer that was asked may be silent before another is."""
SERVE_MS: Final = 1_000
"""One list is sent to one peer no more often than this."""
LISTS_MAX: Final = 8
"""Lists kept beside those that are still needed."""
ASKERS_MAX: Final = 64
"""Peers that wait for one list."""
HEADS_MAX: Final = FRONTIER_PARTS_MAX * FRONTIER_HEADS_MAX
"""Heads that one seal can add."""
PREFIX: Final = b"seal/list/"


@dataclass(slots=True)
class _Coming:
    """A list that is asked for: whom, since when something came, who was asked before, who sent a false one."""

    peer: bytes = b""
    at_ms: int = 0
    parts: dict[int, tuple[Head, ...]] = field(default_factory=dict)
    asked: set[bytes] = field(default_factory=set)
    false: set[bytes] = field(default_factory=set)


class Lists:
    """The lists of one epoch. `base`: the frontier that was sealed last."""

    def __init__(self, context: EpochContext, base: Mapping[bytes, Head], rows: Reader) -> None:
        self._n, self._base = context.n, dict(base)
        self._prefix = PREFIX + context.reference
        self._held: dict[bytes, tuple[Head, ...]] = {}
        self._coming: dict[bytes, _Coming] = {}
        self._askers: dict[bytes, dict[bytes, None]] = {}
        self._served: dict[tuple[bytes, bytes], int] = {}  # (digest, peer) -> when, ms
        for key, packed in rows.scan("outbox", self._prefix, prefix_stop(self._prefix)):
            self._held[key[len(self._prefix) :]] = unpack_heads(packed)

    # What is held

    def frontier(self, digest: bytes) -> dict[bytes, Head] | None:
        """Return the whole frontier with this digest, or None."""
        delta = self._held.get(digest)
        return None if delta is None else {**self._base, **{head.feed: head for head in delta}}

    def delta(self, digest: bytes) -> list[tuple[Head, ...]] | None:
        """Return what a list adds to the frontier sealed last, in parts (at least one), or None."""
        held = self._held.get(digest)
        if held is None:
            return None
        return [held[at : at + FRONTIER_HEADS_MAX] for at in range(0, len(held), FRONTIER_HEADS_MAX)] or [()]

    def fitting(self, heads: Mapping[bytes, Head], round_: int) -> dict[bytes, Head]:
        """Return the frontier of these heads, cut to what one seal can add: to others in each epoch and round."""
        changed = [head for feed, head in sorted(heads.items()) if self._base.get(feed) != head]
        if len(changed) > HEADS_MAX:
            first = sha256(self._prefix + round_.to_bytes(4, "big")).digest()
            changed.sort(key=lambda head: (head.feed < first, head.feed))
        return {**self._base, **{head.feed: head for head in changed[:HEADS_MAX]}}

    def add(self, turn: Turn, frontier: Mapping[bytes, Head]) -> bytes:
        """Keep a whole frontier and return its digest; whoever waits for it is answered."""
        digest = frontier_digest(frontier.values())
        if digest not in self._held:
            delta = tuple(head for feed, head in sorted(frontier.items()) if self._base.get(feed) != head)
            self._held[digest] = delta
            turn.rows.put("outbox", self._prefix + digest, pack_heads(delta))
        self._coming.pop(digest, None)
        for peer in self._askers.pop(digest, {}):
            self._send(turn, peer, digest)
        return digest

    def keep(self, turn: Turn, needed: Collection[bytes]) -> None:
        """Forget the oldest lists beyond LISTS_MAX that are not needed, and what nobody needs any more."""
        spare = [digest for digest in self._held if digest not in needed]
        for digest in spare[: max(0, len(spare) - LISTS_MAX)]:
            del self._held[digest]
            turn.rows.delete("outbox", self._prefix + digest)
        self._coming = {digest: coming for digest, coming in self._coming.items() if digest in needed}
        self._askers = {digest: peers for digest, peers in self._askers.items() if digest in needed}

    # Asking

    def seek(self, turn: Turn, digest: bytes, peers: Sequence[bytes]) -> None:
        """Ask a peer for a list, unless one that was asked still answers. `peers`: the likeliest first."""
        coming = self._coming.setdefault(digest, _Coming())
        if coming.peer in peers and turn.now_ms - coming.at_ms < ASK_MS:
            return
        able = [peer for peer in peers if peer not in coming.false]
        fresh = [peer for peer in able if peer not in coming.asked]
        if able and not fresh:
            coming.asked.clear()
            fresh = able
        if fresh:
            coming.peer, coming.at_ms, coming.parts = fresh[0], turn.now_ms, {}
            coming.asked.add(fresh[0])
            turn.send(fresh[0], encode(Ask(self._n, digest)))

    def take(self, turn: Turn, peer: bytes, told: Part) -> bool | None:
        """Take a part from the peer that was asked. True: the list is whole; False: it is false; None: neither yet."""
        coming = self._coming.get(told.digest)
        if coming is None or coming.peer != peer:
            return None
        coming.at_ms = turn.now_ms
        coming.parts[told.part] = told.heads
        if len(coming.parts) < told.count:
            return None
        heads = [head for _, part in sorted(coming.parts.items()) for head in part]
        frontier = {**self._base, **{head.feed: head for head in heads}}
        if len(coming.parts) == told.count and frontier_digest(frontier.values()) == told.digest:
            self.add(turn, frontier)
            return True
        coming.false.add(peer)
        coming.peer, coming.parts = b"", {}
        return False

    # Answering

    def serve(self, turn: Turn, peer: bytes, digest: bytes) -> None:
        """Send a list to a peer that asks, or note that it waits for one that we ask for too."""
        if digest in self._held:
            self._send(turn, peer, digest)
        elif digest in self._coming:
            askers = self._askers.setdefault(digest, {})
            if len(askers) < ASKERS_MAX:
                askers[peer] = None

    def _send(self, turn: Turn, peer: bytes, digest: bytes) -> None:
        whole = self.delta(digest)
        if whole is None or turn.now_ms - self._served.get((digest, peer), -SERVE_MS) < SERVE_MS:
            return
        if len(self._served) >= LISTS_MAX * ASKERS_MAX:
            self._served.clear()
        self._served[digest, peer] = turn.now_ms
        for number, heads in enumerate(whole):
            turn.send(peer, encode(Part(self._n, digest, number, len(whole), heads)))
