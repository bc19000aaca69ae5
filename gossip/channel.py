"""The encrypted channel between two nodes: handshake, transport, deadlines, and how it ends, without I/O.

How it works
    The driver feeds it bytes and the time and carries out what comes back: `Transmit` to the stream;
    `Established`, `Received` and `Closed` to the layers above. `Closed` comes exactly once; after it the
    driver sends what is left, closes the stream and drops the channel. The initiator sends its opening and
    the first Noise message, the responder replies, both check the introductions (handshake), then sealed
    frames carry records (sealed, framing). A direction gets a new key after every 2^30 bytes, which both ends
    count alike, and every hour, which the sender says; the new key holds from the next frame on.

    XX when only the address is known, IK when the peer's static key is. The first message of IK can be
    replayed: so a responder says `Established`, with the payload of that message, only when the first
    transport frame proves that the initiator is live; the initiator sends that frame unasked. If a
    responder's static key changed, IK ends with IK_REFUSED and the caller dials again with XX. If it ends
    with VERSION_UNSUPPORTED, `Closed.versions` says what the peer speaks; a lie there is found out.

What it does not do
    It knows no members: the layer above closes a channel to an unknown or expelled key (`close`). It limits
    no rate and no number of connections. It does not hide lengths and times. It does not enforce that a peer
    rekeys by time. It opens no socket.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Final

from gossip import handshake
from gossip.effects import Closed, Effect, Established, Limits, Received, Transmit
from gossip.framing import FRAME_BODY_MAX, FrameBuffer, check_message, frame
from gossip.handshake import Exchange, Identity, Opening, Versions
from gossip.noise import IK, XX, RandomBytes
from gossip.sealed import SealedStream
from ledger.errors import LocalError, RemoteError

__all__ = [
    "VERSIONS",
    "Channel",
    "Closed",
    "Effect",
    "Established",
    "Identity",
    "Limits",
    "Phase",
    "Received",
    "Transmit",
    "Versions",
]

VERSIONS: Final = Versions(1, 1)
"""The protocol versions that this code speaks."""
HANDSHAKE_FRAME_BYTES_MAX: Final = 2_048
"""Largest frame before a channel is established, in bytes; no more than this and 2 bytes wait in memory."""


class Phase(enum.Enum):
    """Where a channel is."""

    NEW = "new"
    OPENING = "opening"  # the responder waits for the opening, the initiator for the reply
    HANDSHAKE = "handshake"
    CONFIRM = "confirm"  # the responder of IK waits for a proof that the initiator is live
    OPEN = "open"
    CLOSED = "closed"


class Channel:
    """One end of a channel. Make it with `initiator` or `responder`, `start` it, then feed it.

    No method blocks. `RemoteError` never leaves it (a fault of the peer is a `Closed`); `LocalError` means
    that the caller broke a rule written here.
    """

    def __init__(
        self,
        *,
        hosted: Mapping[bytes, Identity],
        random_bytes: RandomBytes,
        payload: bytes,
        versions: Versions,
        limits: Limits,
        opening: Opening | None = None,
        expected_kid: bytes | None = None,
        expected_static: bytes | None = None,
    ) -> None:
        """Use `initiator` or `responder`."""
        if len(payload) > handshake.PAYLOAD_BYTES_MAX:
            told = f"A handshake carries {handshake.PAYLOAD_BYTES_MAX} bytes of payload, not {len(payload)}."
            raise LocalError("PAYLOAD_TOO_LARGE", told)
        self.phase = Phase.NEW
        self._hosted, self._random_bytes, self._payload = hosted, random_bytes, payload
        self._versions, self._limits = versions, limits
        self._initiator = opening is not None
        self._opening = opening
        self._expected_kid, self._expected_static = expected_kid, expected_static
        self._exchange: Exchange | None = None
        self._sealed: SealedStream | None = None
        self._replied = False
        self._frames = FrameBuffer(HANDSHAKE_FRAME_BYTES_MAX)
        self._now = self._started = self._heard = self._spoke = self._keyed = 0

    @classmethod
    def initiator(
        cls,
        identity: Identity,
        mesh_id: bytes,
        random_bytes: RandomBytes,
        *,
        expected_device_kid: bytes | None = None,
        expected_static: bytes | None = None,
        payload: bytes = b"",
        versions: Versions = VERSIONS,
        protocol_version: int | None = None,
        limits: Limits | None = None,
    ) -> Channel:
        """Dial: IK if `expected_static` (32 bytes) is given, else XX.

        `expected_device_kid`: refuse any other device with WRONG_KEY. `payload`: at most 1 024 bytes, for the
        peer's `Established`. `protocol_version`: the one to open with, by default the highest. Raises
        `LocalError` PAYLOAD_TOO_LARGE or VERSION_RANGE.
        """
        version = versions.highest if protocol_version is None else protocol_version
        if version not in versions:
            raise LocalError("VERSION_RANGE", f"This node speaks versions {versions}, not {version}.")
        salt = random_bytes(handshake.SALT_BYTES)
        opening = Opening.to(mesh_id, XX if expected_static is None else IK, version, salt)
        return cls(
            hosted={mesh_id: identity},
            random_bytes=random_bytes,
            payload=payload,
            versions=versions,
            limits=limits or Limits(),
            opening=opening,
            expected_kid=expected_device_kid,
            expected_static=expected_static,
        )

    @classmethod
    def responder(
        cls,
        hosted: Mapping[bytes, Identity],
        random_bytes: RandomBytes,
        *,
        payload: bytes = b"",
        versions: Versions = VERSIONS,
        limits: Limits | None = None,
    ) -> Channel:
        """Answer for the meshes of `hosted` (mesh id → identity). Raises `LocalError` PAYLOAD_TOO_LARGE."""
        return cls(
            hosted=hosted,
            random_bytes=random_bytes,
            payload=payload,
            versions=versions,
            limits=limits or Limits(),
        )

    @property
    def pending(self) -> int:
        """Bytes that wait in memory for the rest of a frame or message."""
        return self._frames.pending + (self._sealed.pending if self._sealed else 0)

    @property
    def deadline_ms(self) -> int | None:
        """The time by which `tick` must be called next; None once closed."""
        match self.phase:
            case Phase.CLOSED | Phase.NEW:
                return None
            case Phase.OPEN:
                limits = self._limits
                return min(
                    self._heard + limits.idle_ms,
                    self._spoke + limits.keep_alive_ms,
                    self._keyed + limits.rekey_ms,
                )
            case _:
                return self._started + self._limits.handshake_ms

    def start(self, now_ms: int) -> list[Effect]:
        """Begin. `now_ms`: any clock that only goes forward, in milliseconds; a step back is ignored."""
        if self.phase is not Phase.NEW:
            raise LocalError("CHANNEL_STARTED", "This channel was started before; make a new one.")
        self.phase = Phase.OPENING
        self._now = self._started = now_ms
        if self._opening is None:
            return []
        (mesh_id,) = self._hosted
        try:
            self._exchange = self._begin(self._opening, mesh_id)
            return [Transmit(self._opening.encode() + frame(self._exchange.write()))]
        except RemoteError as error:  # the static key that the peer was said to have is weak
            return self._refuse(error)

    def receive(self, data: bytes, now_ms: int) -> list[Effect]:
        """Take bytes of the peer, in chunks of any size. After the end of the channel they are ignored."""
        if self.phase is Phase.NEW:
            raise LocalError("CHANNEL_NOT_OPEN", "Start the channel first.")
        effects = self.tick(now_ms) if self.phase is not Phase.OPEN else []
        self._now = max(self._now, now_ms)
        if self.phase is Phase.CLOSED:
            return effects
        self._frames.push(data)
        try:
            while self._step(effects):
                pass
        except RemoteError as error:
            effects += self._refuse(error)
        return effects

    def send(self, messages: Sequence[bytes]) -> list[Effect]:
        """Seal messages (each at most 16 MiB) into as few frames as they fill.

        Refused whole: raises `LocalError` MESSAGE_TOO_LARGE, or CHANNEL_NOT_OPEN outside of `Phase.OPEN`.
        """
        sealed = self._sealed
        if self.phase is not Phase.OPEN or sealed is None:
            raise LocalError("CHANNEL_NOT_OPEN", "Messages pass between Established and Closed alone.")
        for message in messages:
            check_message(message)
        self._spoke = self._now
        return [Transmit(chunk) for chunk in sealed.seal(messages)]

    def tick(self, now_ms: int) -> list[Effect]:
        """Look at the clock: deadlines, keep-alive, new key by time."""
        self._now = now = max(self._now, now_ms)
        limits = self._limits
        match self.phase:
            case Phase.CLOSED | Phase.NEW:
                return []
            case Phase.OPENING | Phase.HANDSHAKE | Phase.CONFIRM:
                if now < self._started + limits.handshake_ms:
                    return []
                told = f"The handshake did not end within {limits.handshake_ms} ms."
                return self._end("HANDSHAKE_TIMEOUT", told)
            case Phase.OPEN:
                if now >= self._heard + limits.idle_ms:
                    return self._end("IDLE_TIMEOUT", f"No whole frame came for {limits.idle_ms} ms.")
                return self._maintain(self._sealed) if self._sealed is not None else []

    def close(self, code: str, message: str) -> list[Effect]:
        """End the channel from this side; an established peer is told `code` (UPPER_SNAKE, 1 to 48) alone."""
        return [] if self.phase is Phase.CLOSED else self._end(code, message)

    def end_of_stream(self) -> list[Effect]:
        """Say that the stream ended. If the peer did not close before, somebody cut it off."""
        if self.phase is Phase.CLOSED:
            return []
        self._forget()
        return [Closed("STREAM_TRUNCATED", "The stream ended before the channel was closed.", remote=True)]

    # -- before the channel is open ------------------------------------------------------------------------

    def _step(self, effects: list[Effect]) -> bool:
        """Take the next thing that arrived; say whether there may be more."""
        match self.phase:
            case Phase.OPENING:
                size = handshake.REPLY_BYTES if self._initiator else handshake.OPENING_BYTES
                data = self._frames.exactly(size)
                if data is not None:
                    effects += self._read_reply(data) if self._initiator else self._read_opening(data)
                return data is not None
            case Phase.HANDSHAKE:
                body = self._frames.next()
                if body is not None and self._exchange is not None:
                    effects += self._read_handshake(self._exchange, body)
                return body is not None
            case Phase.CONFIRM | Phase.OPEN:
                body = self._frames.next()
                if body is not None and self._sealed is not None:
                    self._read_sealed(self._sealed, body, effects)
                return body is not None
            case Phase.NEW | Phase.CLOSED:
                return False

    def _begin(self, opening: Opening, mesh_id: bytes) -> Exchange:
        return Exchange(
            opening,
            mesh_id,
            self._hosted[mesh_id],
            self._random_bytes,
            initiator=self._initiator,
            versions=self._versions,
            payload=self._payload,
            expected_kid=self._expected_kid,
            expected_static=self._expected_static,
        )

    def _read_opening(self, data: bytes) -> list[Effect]:
        opening = self._opening = Opening.decode(data)
        mesh_id = opening.mesh_among(self._hosted)  # before the version: a stranger learns no version
        if opening.version not in self._versions:
            told = f"The peer opened with version {opening.version}; this node speaks {self._versions}."
            raise RemoteError("VERSION_UNSUPPORTED", told)
        self._exchange = self._begin(opening, mesh_id)
        self.phase = Phase.HANDSHAKE
        return []

    def _read_reply(self, data: bytes) -> list[Effect]:
        refusal = handshake.read_reply(data)
        if refusal is None:
            self.phase = Phase.HANDSHAKE
            return []
        code, versions = refusal
        self._forget()
        told = f"The peer refused the handshake with {code}."
        if versions is not None:
            told = f"The peer speaks versions {versions}, this node {self._versions}."
        return [Closed(code, told, remote=True, versions=versions)]

    def _read_handshake(self, exchange: Exchange, body: bytes) -> list[Effect]:
        """Read one Noise message, write the next if it is this end's turn, open up after the last."""
        first = exchange.first
        exchange.read(body)
        self._replied = True
        out: list[Effect] = []
        if exchange.my_turn:
            message = frame(exchange.write())
            out.append(Transmit(handshake.accept() + message if first else message))
        if not exchange.finished:
            return out
        self._sealed = SealedStream(exchange.transport(), self._limits.rekey_bytes)
        self._heard = self._spoke = self._keyed = self._now
        if exchange.opening.protocol == XX:
            return [*out, self._establish(exchange)]
        if not self._initiator:
            self.phase = Phase.CONFIRM
            return out
        return [*out, Transmit(self._sealed.keep_alive()), self._establish(exchange)]

    def _establish(self, exchange: Exchange) -> Established:
        peer, static = exchange.who()
        self.phase = Phase.OPEN
        self._frames.limit = FRAME_BODY_MAX
        return Established(
            peer_device_public=peer.device_public,
            peer_kid=peer.kid,
            peer_static=static,
            payload=peer.payload,
            mesh_id=exchange.mesh_id,
            version=exchange.opening.version,
            handshake_hash=exchange.handshake_hash,
        )

    # -- once there are keys -------------------------------------------------------------------------------

    def _read_sealed(self, sealed: SealedStream, body: bytes, effects: list[Effect]) -> None:
        """Open one frame. Messages that it completes go out even if a later record in it is wrong."""
        messages: list[bytes] = []
        try:
            code = sealed.open(body, messages)
        except RemoteError as error:
            if self.phase is Phase.OPEN:
                effects.extend(map(Received, messages))
            elif error.code == "DECRYPT_FAILED":
                told = "The initiator does not hold the keys of its first message: that one was replayed."
                raise RemoteError("HANDSHAKE_REPLAYED", told) from error
            raise
        self._heard = self._now
        if self.phase is Phase.CONFIRM and self._exchange is not None and code is None:
            effects.append(self._establish(self._exchange))
        if self.phase is Phase.OPEN:
            effects.extend(map(Received, messages))
        if code is not None:
            self._forget()
            effects.append(Closed(code, f"The peer closed the channel with {code}.", remote=True))

    def _maintain(self, sealed: SealedStream) -> list[Effect]:
        if self._now >= self._keyed + self._limits.rekey_ms:
            self._keyed = self._spoke = self._now
            return [Transmit(sealed.rekey())]
        if self._now >= self._spoke + self._limits.keep_alive_ms:
            self._spoke = self._now
            return [Transmit(sealed.keep_alive())]
        return []

    # -- the end -------------------------------------------------------------------------------------------

    def _refuse(self, error: RemoteError) -> list[Effect]:
        """End the channel over a fault of the peer, which learns its own code where it can be told."""
        if not self._initiator and self._opening is not None and not self._replied:
            reply = Transmit(handshake.refuse(error.code, self._versions))
            return [reply, *self._end(error.code, error.message)]
        if self._sealed is None and self._exchange is not None and self._exchange.finished:
            # What the peer said is wrong, but its keys are good: it can be told under them.
            self._sealed = SealedStream(self._exchange.transport(), self._limits.rekey_bytes)
        return self._end(error.code, error.message)

    def _end(self, code: str, message: str) -> list[Effect]:
        last: list[Effect] = [Transmit(self._sealed.close(code))] if self._sealed is not None else []
        self._forget()
        return [*last, Closed(code, message, remote=False)]

    def _forget(self) -> None:
        """Let go of keys and buffers."""
        self.phase = Phase.CLOSED
        self._exchange = self._sealed = None
        self._frames = FrameBuffer(0)
