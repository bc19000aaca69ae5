"""What a channel asks of its driver and tells the layers above; import these from gossip.channel.

How it works
    A closed union: take it apart with `match` and `assert_never`. A channel says `Established` at most once
    and `Closed` exactly once; `Received` comes only between the two, `Transmit` only before `Closed`.

What it does not do
    It does nothing: these are values.
"""

from __future__ import annotations

from dataclasses import dataclass

from gossip.handshake import Versions


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in milliseconds and volumes in bytes. Both ends must have the same `rekey_bytes`."""

    handshake_ms: int = 10_000
    idle_ms: int = 90_000
    keep_alive_ms: int = 30_000
    rekey_ms: int = 3_600_000
    rekey_bytes: int = 2**30


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send `data` to the peer, in order."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Established:
    """The peer is proven. `peer_kid` is its feed id; `payload` is what it said in the handshake.

    `handshake_hash` (64 bytes) is the same at both ends and names this channel alone.
    """

    peer_device_public: bytes
    peer_kid: bytes
    peer_static: bytes
    payload: bytes
    mesh_id: bytes
    version: int
    handshake_hash: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """One whole application message."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The channel ended. `remote`: the peer (or the way to it) ended it, so `code` is the peer's word.

    `versions`: what the peer said it speaks, with VERSION_UNSUPPORTED from the peer alone.
    """

    code: str
    message: str
    remote: bool
    versions: Versions | None = None


Effect = Transmit | Established | Received | Closed
