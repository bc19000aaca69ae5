"""Two ends of a channel for tests: identities, a pump between them, and what each said."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import assert_never

from gossip.channel import Channel, Closed, Effect, Established, Identity, Received, Transmit
from gossip.framing import frame
from gossip.handshake import Opening
from gossip.noise import IK, XX, HandshakeState, KeyPair, Transport
from ledger.keys import SigningKey

MESH = b"\x4d" * 32
OTHER_MESH = b"\x4f" * 32


def rng(seed: int) -> random.Random:
    """Return the randomness of one end."""
    return random.Random(seed)


def identity(seed: int) -> Identity:
    """Return a device key and a static key that depend on the seed alone."""
    source = rng(seed * 1_000 + 17)
    return Identity(SigningKey.from_seed(source.randbytes(32)), source.randbytes(32))


def static_public(who: Identity) -> bytes:
    """Return the public half of an identity's static key."""
    return KeyPair.from_private(who.static_private).public


ALICE, BOB, MALLORY = identity(1), identity(2), identity(3)


@dataclass
class End:
    """A channel with everything it said, apart."""

    channel: Channel
    out: bytearray = field(default_factory=bytearray)
    established: list[Established] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    closed: list[Closed] = field(default_factory=list)
    peak: int = 0

    def take(self, effects: list[Effect]) -> None:
        """Sort effects and hold their order: established, then received, then closed, once."""
        for effect in effects:
            assert not self.closed, f"{effect} after the end"
            match effect:
                case Transmit(data):
                    self.out += data
                case Established():
                    assert not self.established
                    self.established.append(effect)
                case Received(message):
                    assert self.established
                    self.received.append(message)
                case Closed():
                    self.closed.append(effect)
                case _:
                    assert_never(effect)
        self.peak = max(self.peak, self.channel.pending)

    def start(self, now_ms: int = 0) -> End:
        """Start the channel."""
        self.take(self.channel.start(now_ms))
        return self

    def feed(self, data: bytes, now_ms: int = 0) -> None:
        """Deliver bytes of the peer."""
        self.take(self.channel.receive(data, now_ms))

    def drain(self) -> bytes:
        """Take what it transmitted."""
        data = bytes(self.out)
        self.out.clear()
        return data

    @property
    def code(self) -> str | None:
        """The code it ended with, if it ended."""
        return self.closed[0].code if self.closed else None


def pump(one: End, two: End, now_ms: int = 0) -> None:
    """Carry bytes both ways until both are silent."""
    while one.out or two.out:
        two.feed(one.drain(), now_ms)
        one.feed(two.drain(), now_ms)


def initiator(*, ik: bool = False, seed: int = 1, payload: bytes = b"from alice") -> End:
    """Return Alice, who dials Bob."""
    static = static_public(BOB) if ik else None
    return End(Channel.initiator(ALICE, MESH, rng(seed).randbytes, expected_static=static, payload=payload)).start()


def responder(*, seed: int = 2, payload: bytes = b"from bob") -> End:
    """Return Bob, who hosts one mesh."""
    return End(Channel.responder({MESH: BOB}, rng(seed).randbytes, payload=payload)).start()


def connected(*, ik: bool = False) -> tuple[End, End]:
    """Return Alice and Bob with an open channel."""
    alice, bob = initiator(ik=ik), responder()
    pump(alice, bob)
    assert alice.established
    assert bob.established
    return alice, bob


def raw(protocol: str, prologue: bytes | None = None) -> HandshakeState:
    """Return Mallory's Noise end, without the manners of a channel."""
    return HandshakeState(
        protocol,
        initiator=True,
        prologue=prologue or Opening.to(MESH, protocol, 1, bytes(16)).prologue(MESH),
        static=KeyPair.from_private(MALLORY.static_private),
        random_bytes=rng(66).randbytes,
        remote_static=static_public(BOB) if protocol == IK else None,
    )


def run_raw(end: HandshakeState, bob: End, said: bytes) -> Transport | None:
    """Run a handshake in which Mallory says `said`; return the transport if it came so far."""
    ik = end.rs is not None
    opening = Opening.to(MESH, IK if ik else XX, 1, bytes(16))
    bob.feed(opening.encode() + frame(end.write_message(said if ik else b"")))
    if bob.closed:
        return None
    end.read_message(bob.drain()[7:])
    if not ik:
        bob.feed(frame(end.write_message(said)))
    return end.split()
