"""A holder's signed answer to a request for data, and the evidence that is made of it.

How it works
    Whoever answers a request signs the answer with its device: who asked whom for what transfer under which grant,
    when, and "no" with a code or "here is pack n" with a salted digest of what the pack is. Recipients take no pack
    in without it, so a holder cannot serve and keep its hands clean. `Evidence` is an answer with its signature; the
    mesh's id is not in it and must be known to whoever verifies.

    Two kinds of requests show by themselves that no honest holder may serve them, through hashes that only the
    requester can open, so that they look like any other:
      NoGrant  the grant asked for is SHA-256 over a nonce: no entry can ever have that id;
      After    the transfer's id is SHA-256 over the entry that ended the grant and over a checkpoint of the holder's
               own feed: the answer, which names the transfer, was signed after the holder had signed that checkpoint.
               No clock is needed, and no answer of the time before can be shown in its place.

What it does not do
    It judges nothing (fault). Evidence holds no reading and no point, period or kind of data: a digest with a salt
    of 16 bytes, which the evidence does not hold either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ledger import codec
from ledger.checkpoint import verify_head
from ledger.consent.disclosure import slot_digest
from ledger.errors import LocalError, RemoteError
from ledger.feed import SignedHead
from ledger.governance.roster import Party
from ledger.keys import SigningKey, thumbprint, verify
from ledger.schema import HASH, KEY, NULL, PARTY, SIGNED_HEAD, TIME
from ledger.shapes import either, integer, octets, one_of, text, tuple_of

EVIDENCE_BYTES_MAX: Final = 16_384
TRANSFER_BYTES: Final = 16
NONCE_BYTES: Final = 16
SALT_BYTES: Final = 16
NOTHING: Final = bytes(32)
"""The digest in a refusal."""

_ANSWER: Final = "maille answer 1"
_NO_GRANT: Final = "maille no grant 1"
_AFTER: Final = "maille after 1"
_SERVED: Final = "served"
_NUMBER_MAX: Final = 1 << 24  # packs of a transfer
_NO_GRANT_SHAPE: Final = tuple_of(one_of("no-grant"), octets(NONCE_BYTES))
_AFTER_SHAPE: Final = tuple_of(one_of("after"), octets(NONCE_BYTES), HASH, HASH, SIGNED_HEAD)
_SHAPE: Final = tuple_of(
    integer(1, 1),
    KEY,
    octets(64),
    octets(TRANSFER_BYTES),
    integer(0, _NUMBER_MAX),
    either(HASH, NULL),
    PARTY,
    PARTY,
    TIME,
    either(text(48), NULL),
    HASH,
    either(either(_NO_GRANT_SHAPE, _AFTER_SHAPE), NULL),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a holder's device signs. `code`: "" when it serves, else why not. `at`: its clock, unix seconds.

    `number`: of the pack, from 0. `grant`: None in a refusal of a request that named none. `digest`: of the pack, by
    `content_digest`; NOTHING in a refusal.
    """

    transfer: bytes
    number: int
    grant: bytes | None
    holder: Party
    recipient: Party
    at: int
    code: str
    digest: bytes

    def message(self, mesh_id: bytes) -> bytes:
        """Return the bytes that are signed."""
        return codec.encode([_ANSWER, mesh_id, *self.value()])

    def value(self) -> list[Any]:
        """Return the fields as a CBOR list."""
        parties = [list(self.holder), list(self.recipient)]
        return [self.transfer, self.number, self.grant, *parties, self.at, self.code or None, self.digest]

    def sign(self, device: SigningKey, mesh_id: bytes) -> bytes:
        """Return the device's signature (64 bytes)."""
        return device.sign(self.message(mesh_id))

    def signed_by(self, public: bytes, mesh_id: bytes, signature: bytes) -> bool:
        """Say whether the signature is good under the key `public`."""
        return verify(public, self.message(mesh_id), signature)


def content_digest(salt: bytes, chain: bytes, kinds: Sequence[str]) -> bytes:
    """Return the salted digest of a pack: of the chain up to it, and of the kinds of data in it, as words.

    `kinds`: "electricity/consumption/daily/P1D" and the like, in any order.
    """
    return slot_digest(salt, [chain, sorted(set(kinds))], _SERVED)


@dataclass(frozen=True, slots=True)
class NoGrant:
    """A request under a grant that cannot exist."""

    nonce: bytes

    def grant(self) -> bytes:
        """Return the id that was asked for: no entry hashes to it, since entries are no such lists."""
        return hashlib.sha256(codec.encode([_NO_GRANT, self.nonce])).digest()

    def value(self) -> list[Any]:
        """Return it as a CBOR list."""
        return ["no-grant", self.nonce]


@dataclass(frozen=True, slots=True)
class After:
    """A request made after a grant had ended by the entry `ended`, and after `feed`'s device had signed `head`."""

    nonce: bytes
    ended: bytes
    feed: bytes
    head: SignedHead

    def transfer(self) -> bytes:
        """Return the transfer's id that binds them."""
        return hashlib.sha256(codec.encode([_AFTER, *self.value()])).digest()[:TRANSFER_BYTES]

    def value(self) -> list[Any]:
        """Return it as a CBOR list."""
        return ["after", self.nonce, self.ended, self.feed, self.head.as_list()]


Challenge: TypeAlias = NoGrant | After
"""How a request shows by itself what it was."""


def challenge_of(value: Any) -> Challenge | None:
    """Read what `value()` of a challenge wrote, once its shape was checked."""
    match value:
        case ["no-grant", nonce]:
            return NoGrant(nonce)
        case ["after", nonce, ended, feed, head]:
            return After(nonce, ended, feed, SignedHead(*head))
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A signed answer. `public`: the key of the device that signed; `challenge`: of the one who asked, if any."""

    public: bytes
    signature: bytes
    answer: Answer
    challenge: Challenge | None = None

    @property
    def device(self) -> bytes:
        """The id of the device that signed."""
        return thumbprint(self.public)

    def encode(self) -> bytes:
        """Return the bytes that `open_evidence` reads. Raises LocalError EVIDENCE_TOO_LARGE."""
        challenge = self.challenge.value() if self.challenge is not None else None
        data = codec.encode([1, self.public, self.signature, *self.answer.value(), challenge])
        if len(data) > EVIDENCE_BYTES_MAX:
            raise LocalError("EVIDENCE_TOO_LARGE", f"evidence has at most {EVIDENCE_BYTES_MAX} bytes")
        return data


def open_evidence(data: bytes, mesh_id: bytes) -> Evidence:
    """Read evidence and verify all of it that needs no ledger: form, signature, challenge.

    Raises RemoteError EVIDENCE_MALFORMED, EVIDENCE_SIGNATURE (not what this device signed in this mesh),
    EVIDENCE_CHALLENGE (the challenge is not of this request, or its checkpoint is not the device's own).
    """
    found = _read(data)
    if not found.answer.signed_by(found.public, mesh_id, found.signature):
        raise RemoteError("EVIDENCE_SIGNATURE", "the device did not sign this answer in this mesh", field="evidence")
    if found.challenge is not None and not _belongs(found, found.challenge, mesh_id):
        raise RemoteError("EVIDENCE_CHALLENGE", "the challenge does not belong to this answer", field="evidence")
    return found


def _belongs(found: Evidence, challenge: Challenge, mesh_id: bytes) -> bool:
    """Say whether a challenge is of this answer's request, and of the device that answered."""
    if isinstance(challenge, NoGrant):
        return challenge.grant() == found.answer.grant
    head = challenge.head
    bound = challenge.transfer() == found.answer.transfer and challenge.feed == found.device
    return bound and verify_head(found.public, mesh_id, challenge.feed, head.size, head.root, head.time, head.signature)


def _read(data: bytes) -> Evidence:
    try:
        value: Any = codec.decode(data, max_bytes=EVIDENCE_BYTES_MAX)
    except RemoteError as error:
        raise RemoteError("EVIDENCE_MALFORMED", error.message, field="evidence") from None
    if not _SHAPE.ok(value):
        raise RemoteError("EVIDENCE_MALFORMED", "this is no evidence of version 1", field="evidence")
    _, public, signature, transfer, number, grant, holder, recipient, at, code, digest, challenge = value
    parties = ((holder[0], holder[1]), (recipient[0], recipient[1]))
    answer = Answer(transfer, number, grant, *parties, at, code or "", digest)
    return Evidence(public, signature, answer, challenge_of(challenge))
