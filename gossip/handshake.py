"""What the two ends of a channel say around Noise: the opening, the reply and the introductions.

How it works
    The initiator opens in clear with a pattern marker, a protocol version, a salt and a tag: the salted hash
    of the mesh id, so that a stranger who reads it does not learn the mesh, and a responder that hosts
    several finds its own. The responder replies in clear with one code byte and two versions: go on, or why
    not. Noise messages follow, with a prologue that binds version, pattern and mesh id. Inside them each end
    introduces itself (`Exchange`): its Ed25519 device key, that key's signature over the X25519 static key,
    the mesh id and its role (as libp2p-noise does), the versions it speaks, and a small payload of the
    application. A first IK message can be replayed: channel acts on it only once the initiator proved live.

What it does not do
    It keeps no time and knows no frames (channel does). It decides no membership: an introduction proves who
    speaks, not that it may. The opening hides the mesh
    from strangers alone; whoever knows the mesh id recognises it.

Bytes
    opening      = marker (1: "X" or "I") || version (2) || salt (16) || tag (32)
    tag          = SHA-256("maille-mesh-tag" || salt || mesh_id)
    reply        = code (1: 0 accepted, else `REFUSALS`) || lowest (2) || highest (2); versions only with 2
    prologue     = "maille" || version (2) || marker (1) || mesh_id
    introduction = CBOR [device key, signature, lowest, highest, payload]
    signed       = "maille-channel-binding-v1" || mesh_id || static key || role (1: 0 initiator, 1 responder)
Integers are big-endian.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from gossip.noise import IK, KEY_BYTES, XX, HandshakeState, KeyPair, RandomBytes, Transport
from ledger.codec import decode, encode
from ledger.errors import LocalError, RemoteError
from ledger.keys import SigningKey, thumbprint, verify

SALT_BYTES: Final = 16
"""Bytes of the salt that hides the mesh id."""
PAYLOAD_BYTES_MAX: Final = 1_024
"""Largest application payload of an introduction, in bytes."""
INTRODUCTION_BYTES_MAX: Final = 1_280
"""Largest encoded introduction, in bytes."""
VERSION_MAX: Final = 0xFFFF
"""Largest protocol version."""

REFUSALS: Final[dict[int, str]] = {
    1: "UNKNOWN_MESH",
    2: "VERSION_UNSUPPORTED",
    3: "IK_REFUSED",
    4: "HANDSHAKE_REFUSED",
}
"""Codes that a reply can carry in clear; whatever else went wrong is 4."""

_MARKERS: Final = {XX: b"X", IK: b"I"}
_OPENING: Final = Struct(">1sH16s32s")
_REPLY: Final = Struct(">BHH")
_BINDING: Final = b"maille-channel-binding-v1"
_SIGNATURE_BYTES: Final = 64

OPENING_BYTES: Final = _OPENING.size
"""Bytes of an opening."""
REPLY_BYTES: Final = _REPLY.size
"""Bytes of a reply."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an end is: its Ed25519 device key and its 32-byte X25519 static private key."""

    device: SigningKey
    static_private: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Versions:
    """The protocol versions an end speaks, from `lowest` to `highest`, both included."""

    lowest: int
    highest: int

    def __post_init__(self) -> None:
        """Refuse an empty or impossible range. Raises `LocalError` VERSION_RANGE."""
        if not 1 <= self.lowest <= self.highest <= VERSION_MAX:
            told = f"Versions {self.lowest} to {self.highest} are no range within 1 to {VERSION_MAX}."
            raise LocalError("VERSION_RANGE", told)

    def __contains__(self, version: int) -> bool:
        """Whether this end speaks `version`."""
        return self.lowest <= version <= self.highest

    def __str__(self) -> str:
        """Return the range for a sentence."""
        return f"{self.lowest} to {self.highest}"

    def common(self, other: Versions) -> int | None:
        """Return the highest version that both ends speak, or None."""
        version = min(self.highest, other.highest)
        return version if version in self and version in other else None


@dataclass(frozen=True, slots=True)
class Opening:
    """The initiator's first bytes: `protocol` is `XX` or `IK`, `version` the one it wants to run."""

    protocol: str
    version: int
    salt: bytes
    tag: bytes

    @staticmethod
    def to(mesh_id: bytes, protocol: str, version: int, salt: bytes) -> Opening:
        """Make the opening for a mesh, with 16 fresh random bytes of salt."""
        return Opening(protocol, version, salt, mesh_tag(mesh_id, salt))

    def encode(self) -> bytes:
        """Return the 51 bytes."""
        return _OPENING.pack(_MARKERS[self.protocol], self.version, self.salt, self.tag)

    @staticmethod
    def decode(data: bytes) -> Opening:
        """Read 51 bytes. Raises `RemoteError` HANDSHAKE_MALFORMED unless they begin with a known marker."""
        marker, version, salt, tag = _OPENING.unpack(data)
        for protocol, known in _MARKERS.items():
            if marker == known:
                return Opening(protocol, version, salt, tag)
        raise RemoteError("HANDSHAKE_MALFORMED", "The peer's first byte is no pattern of maille.")

    def mesh_among(self, mesh_ids: Iterable[bytes]) -> bytes:
        """Return the mesh that is meant. Raises `RemoteError` UNKNOWN_MESH."""
        for mesh_id in mesh_ids:
            if hmac.compare_digest(mesh_tag(mesh_id, self.salt), self.tag):
                return mesh_id
        raise RemoteError("UNKNOWN_MESH", "The peer asked for a mesh that this node does not host.")

    def prologue(self, mesh_id: bytes) -> bytes:
        """Return the Noise prologue of this opening (design.md §4)."""
        return b"maille" + self.version.to_bytes(2, "big") + _MARKERS[self.protocol] + mesh_id


def mesh_tag(mesh_id: bytes, salt: bytes) -> bytes:
    """Return the 32 bytes that stand for a mesh in an opening."""
    return hashlib.sha256(b"maille-mesh-tag" + salt + mesh_id).digest()


def accept() -> bytes:
    """Return the reply that lets the handshake go on."""
    return _REPLY.pack(0, 0, 0)


def refuse(code: str, versions: Versions) -> bytes:
    """Return the reply that ends it: a code of `REFUSALS`, and the versions if they are the reason."""
    number = next((number for number, known in REFUSALS.items() if known == code), 4)
    named = versions if code == "VERSION_UNSUPPORTED" else None
    return _REPLY.pack(number, named.lowest if named else 0, named.highest if named else 0)


def read_reply(data: bytes) -> tuple[str, Versions | None] | None:
    """Read 5 bytes: None if accepted, else the refusal's code and, for a version, what the peer speaks.

    Nobody signed it: a refusal ends an attempt and proves nothing. Raises `RemoteError` HANDSHAKE_MALFORMED.
    """
    number, lowest, highest = _REPLY.unpack(data)
    if REFUSALS.get(number) == "VERSION_UNSUPPORTED":
        return REFUSALS[number], _range(lowest, highest)
    if (number and number not in REFUSALS) or lowest or highest:
        raise RemoteError("HANDSHAKE_MALFORMED", f"The peer's reply {data.hex()} is no known one.")
    return (REFUSALS[number], None) if number else None


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a peer proved and said inside the handshake. `kid` is the thumbprint of `device_public`."""

    device_public: bytes
    kid: bytes
    versions: Versions
    payload: bytes


def introduce(
    device: SigningKey,
    static_public: bytes,
    mesh_id: bytes,
    *,
    initiator: bool,
    versions: Versions,
    payload: bytes,
) -> bytes:
    """Return the encoded introduction of one end. Raises `LocalError` PAYLOAD_TOO_LARGE."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        told = f"A handshake carries {PAYLOAD_BYTES_MAX} bytes of payload, not {len(payload)}."
        raise LocalError("PAYLOAD_TOO_LARGE", told)
    signature = device.sign(_signed(static_public, mesh_id, initiator=initiator))
    return encode([device.public, signature, versions.lowest, versions.highest, payload])


def read_introduction(data: bytes, static_public: bytes, mesh_id: bytes, *, initiator: bool) -> Introduction:
    """Read the introduction of a peer whose static key is `static_public`; `initiator` is the peer's role.

    Raises `RemoteError` HANDSHAKE_MALFORMED for wrong bytes and BINDING_INVALID for a wrong signature.
    """
    try:
        value = decode(data, max_bytes=INTRODUCTION_BYTES_MAX)
    except RemoteError as error:
        told = f"The peer's introduction is malformed. {error.message}"
        raise RemoteError("HANDSHAKE_MALFORMED", told) from None
    match value:
        case [bytes() as public, bytes() as signature, int() as lowest, int() as highest, bytes() as payload]:
            versions = _range(lowest, highest)
        case _:
            raise RemoteError("HANDSHAKE_MALFORMED", "The peer's introduction has wrong fields.")
    if (len(public), len(signature)) != (KEY_BYTES, _SIGNATURE_BYTES) or len(payload) > PAYLOAD_BYTES_MAX:
        raise RemoteError("HANDSHAKE_MALFORMED", "A field of the peer's introduction has a wrong length.")
    if not verify(public, _signed(static_public, mesh_id, initiator=initiator), signature):
        told = "The peer's device key did not sign its static key for this mesh and role."
        raise RemoteError("BINDING_INVALID", told)
    return Introduction(public, thumbprint(public), versions, payload)


def check_version(version: int, own: Versions, peer: Versions) -> None:
    """Refuse a version that is not the highest common one, now that the peer's versions are authentic.

    So a refusal that somebody forged in clear cannot push two ends to an old version. Raises `RemoteError`
    VERSION_DOWNGRADED, or HANDSHAKE_MALFORMED if the peer runs a version that it says it does not speak.
    """
    if version not in peer:
        told = f"The peer runs version {version} and says that it speaks {peer}."
        raise RemoteError("HANDSHAKE_MALFORMED", told)
    if version != own.common(peer):
        told = f"Version {version} was opened where {own.common(peer)} is common to both; open with that one."
        raise RemoteError("VERSION_DOWNGRADED", told)


class Exchange:
    """The Noise messages of one handshake with their introductions.

    Call `write` and `read` in turn, then `transport`. The first message of XX carries nothing, every other
    one an introduction.
    """

    def __init__(
        self,
        opening: Opening,
        mesh_id: bytes,
        identity: Identity,
        random_bytes: RandomBytes,
        *,
        initiator: bool,
        versions: Versions,
        payload: bytes,
        expected_kid: bytes | None = None,
        expected_static: bytes | None = None,
    ) -> None:
        """Stand before the first message. `expected_static` is for the initiator of IK alone."""
        self.opening, self.mesh_id = opening, mesh_id
        self._identity, self._initiator = identity, initiator
        self._versions, self._payload, self._expected_kid = versions, payload, expected_kid
        self._static = KeyPair.from_private(identity.static_private)
        self._peer: Introduction | None = None
        self._noise = HandshakeState(
            opening.protocol,
            initiator=initiator,
            prologue=opening.prologue(mesh_id),
            static=self._static,
            random_bytes=random_bytes,
            remote_static=expected_static,
        )

    @property
    def first(self) -> bool:
        """Whether the next message is the first one."""
        return self._noise.turn == 0

    @property
    def my_turn(self) -> bool:
        """Whether this end writes next."""
        return self._noise.my_turn

    @property
    def finished(self) -> bool:
        """Whether every message passed."""
        return self._noise.finished

    def write(self) -> bytes:
        """Return the next Noise message. Raises `LocalError` PAYLOAD_TOO_LARGE."""
        if self.first and self.opening.protocol == XX:
            return self._noise.write_message(b"")
        said = introduce(
            self._identity.device,
            self._static.public,
            self.mesh_id,
            initiator=self._initiator,
            versions=self._versions,
            payload=self._payload,
        )
        return self._noise.write_message(said)

    def read(self, message: bytes) -> None:
        """Take the peer's next Noise message and check what it says.

        Raises `RemoteError`: what `HandshakeState.read_message`, `read_introduction` and `check_version`
        raise, IK_REFUSED (the first message of IK was made for another static key), SELF_CONNECTION and
        WRONG_KEY.
        """
        first = self.first
        try:
            payload = self._noise.read_message(message)
        except RemoteError as error:
            if first and error.code == "DECRYPT_FAILED":
                told = "The peer dialled a static key that this node does not have; XX needs none."
                raise RemoteError("IK_REFUSED", told) from None
            raise
        static = self._noise.rs
        if static is None:  # the first message of XX
            if payload:
                raise RemoteError("HANDSHAKE_MALFORMED", "The first message of XX carries a payload.")
            return
        self._peer = read_introduction(payload, static, self.mesh_id, initiator=not self._initiator)
        self._check(self._peer, static)

    def transport(self) -> Transport:
        """Return the transport. Raises `LocalError` HANDSHAKE_TURN before the last message."""
        return self._noise.split()

    def who(self) -> tuple[Introduction, bytes]:
        """Return the peer and its static key. Raises `LocalError` HANDSHAKE_TURN before it was read."""
        if self._peer is None or self._noise.rs is None:
            raise LocalError("HANDSHAKE_TURN", "The peer has not introduced itself yet.")
        return self._peer, self._noise.rs

    @property
    def handshake_hash(self) -> bytes:
        """The transcript's hash (64 bytes): after the end, the channel's own name."""
        return self._noise.handshake_hash

    def _check(self, peer: Introduction, static: bytes) -> None:
        if static == self._static.public or peer.kid == self._identity.device.kid:
            told = "The peer has this node's own keys: it dialled itself, or a copy of itself."
            raise RemoteError("SELF_CONNECTION", told)
        if self._expected_kid is not None and peer.kid != self._expected_kid:
            told = f"The peer is device {peer.kid.hex()}; {self._expected_kid.hex()} was expected."
            raise RemoteError("WRONG_KEY", told)
        check_version(self.opening.version, self._versions, peer.versions)


def _signed(static_public: bytes, mesh_id: bytes, *, initiator: bool) -> bytes:
    return _BINDING + mesh_id + static_public + (b"\x00" if initiator else b"\x01")


def _range(lowest: int, highest: int) -> Versions:
    try:
        return Versions(lowest, highest)
    except LocalError as error:
        raise RemoteError("HANDSHAKE_MALFORMED", f"The peer's versions are wrong. {error.message}") from None
