"""What goes into the swarm and what comes out of it, and the ledger as the swarm sees it.

How it works
    Closed unions of frozen values: the engine hands in events and carries out effects. Every `Ingest` is answered
    with `Accepted` or `Refused`, in order for each pair of source and feed; every `Observe` with `HeadAccepted` or
    `HeadRefused`. Own publications are told the same way, with `source` None. Identities of peers are the
    thumbprints of their devices (32 bytes), times are unix milliseconds where a name says `_ms`, else seconds.

What it does not do
    It holds no state and no rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gossip.messages import Envelope
from ledger.feed import Run, SignedHead


class LedgerView(Protocol):
    """Our ledger, as gossip reads it. What it says may change only between two calls of the swarm."""

    def digest(self) -> bytes:
        """Return 32 bytes that are equal for two nodes exactly when `signed_heads` agree in (feed, size, root)."""
        ...

    def signed_head(self, feed: bytes) -> SignedHead | None:
        """Return the newest checkpoint held of a feed."""
        ...

    def signed_heads(self) -> Mapping[bytes, SignedHead]:
        """Return the newest checkpoint of every feed."""
        ...

    def size(self, feed: bytes) -> int:
        """Return how many leaves of a feed are held (those above its newest checkpoint included); 0 if none."""
        ...

    def accepts(self, feed: bytes) -> bool:
        """Say whether the feed belongs to this mesh as far as we know."""
        ...

    def run(self, feed: bytes, start: int, bytes_max: int) -> Run | None:
        """Return leaves from `start`: at least one, and no more than `bytes_max` after that; None if none is signed."""
        ...

    def leaf_hashes(self, feed: bytes, start: int, stop: int) -> Sequence[bytes]:
        """Return the leaf hashes held from `start` to `stop` (excluded); fewer when fewer are held."""
        ...

    def heads_at(self, boundary: int) -> Mapping[bytes, SignedHead]:
        """Return for each feed the newest checkpoint known whose time is at most `boundary`."""
        ...


# Events


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A channel to `peer` is open, or its membership is known anew. `member`: whether it may gossip."""

    peer: bytes
    member: bool


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The channel to `peer` is gone."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message from `peer`."""

    peer: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time of a `SetTimer` has come."""

    name: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run is stored and durable. `source`: the peer of its Ingest; None for what we published ourselves."""

    run: Run
    source: bytes | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The oldest open Ingest of (`source`, `feed`) was refused with `code`."""

    source: bytes
    feed: bytes
    code: str


@dataclass(frozen=True, slots=True)
class HeadAccepted:
    """A checkpoint without leaves is stored: a heartbeat of `source`'s telling, or our own (None)."""

    feed: bytes
    head: SignedHead
    source: bytes | None


@dataclass(frozen=True, slots=True)
class HeadRefused:
    """An observed checkpoint was refused with `code`, or is no news (code "")."""

    source: bytes
    feed: bytes
    head: SignedHead
    code: str


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """`accepts` may say otherwise than before."""


@dataclass(frozen=True, slots=True)
class BoundaryPassed:
    """Our clock passed a tick boundary (unix seconds): its marks are compared from now on."""

    boundary: int


Event: TypeAlias = (
    PeerUp
    | PeerDown
    | Message
    | TimerFired
    | Accepted
    | Refused
    | HeadAccepted
    | HeadRefused
    | MembersChanged
    | BoundaryPassed
)
"""What the swarm is told."""


# Effects


@dataclass(frozen=True, slots=True)
class Send:
    """Send `data` as one message to `peer`."""

    peer: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Ingest:
    """Verify and store this run, then say Accepted or Refused."""

    source: bytes
    run: Run


@dataclass(frozen=True, slots=True)
class Observe:
    """Verify and store this checkpoint, then say HeadAccepted or HeadRefused."""

    source: bytes
    feed: bytes
    head: SignedHead


@dataclass(frozen=True, slots=True)
class ForkCandidate:
    """`peer` showed `theirs`, under which the leaf hashes (0 to its size) stand that are not ours.

    The hashes are proven to give `theirs.root`; its signature is not checked. (A smaller size signed later needs no
    leaves; the engine that refuses such a head proves it from the two heads.)
    """

    peer: bytes
    feed: bytes
    theirs: SignedHead
    their_leaf_hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TickAsked:
    """`source` asks for a tick at `boundary` (unix seconds)."""

    boundary: int
    source: bytes


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the channel to `peer`; it may be told `code`, the sentence is for us."""

    peer: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Say TimerFired(name) at `at_ms`; it replaces an older timer of that name."""

    name: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Stranger:
    """A message of family 2, for the door (gossip.knock)."""

    peer: bytes
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Data:
    """A message of family 3 from a member, its body unread."""

    peer: bytes
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class SealMessage:
    """A message of family 4 from a member, its body unread."""

    peer: bytes
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class WitnessMessage:
    """A message of family 5 from a member, its body unread."""

    peer: bytes
    envelope: Envelope


Effect: TypeAlias = (
    Send
    | Ingest
    | Observe
    | ForkCandidate
    | TickAsked
    | Disconnect
    | SetTimer
    | Stranger
    | Data
    | SealMessage
    | WitnessMessage
)
"""What the swarm asks for."""
