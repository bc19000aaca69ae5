"""One signed statement: a COSE_Sign1 that is also a SCITT signed statement (ledger.md §3, RFC 9052, RFC 9943).

How it works
    `Entry.decode(raw)` is the way in for bytes from outside: it checks the encoding (codec), the headers, the
    payload against the schema of its kind (kinds), and the signature by libsodium's rule (keys). An `Entry`
    that exists is therefore well formed and signed. `Entry.parse` does all but the signature, for bytes whose
    signature this node has already checked: those in its own store. `Entry.unverified` does the same and gives what
    `check_signature` must then pass, so that another process can (node/workers.py). `sign_entry` makes an entry.

What it does not do
    It knows nothing of feeds or of effect: an entry may be well formed, signed, and void (state, governance).
    `external_aad` is empty, so any COSE library verifies an entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cbor2

from ledger import codec, keys, kinds
from ledger.checkpoint import Head
from ledger.consent.kinds import CARRIED_BYTES_MAX
from ledger.errors import LocalError, RemoteError
from ledger.header import Header, encode_header, kind_of_typ, parse_subject, read_header, typ_of_kind

__all__ = ("Entry", "check_signature", "kind_of_typ", "parse_subject", "sign_entry", "typ_of_kind")

_SIG_HEAD: Final = b"\x84\x6aSignature1"


@dataclass(frozen=True, slots=True)
class Entry:
    """A well-formed, signed statement. Made by `decode`, `parse` or `sign_entry` only.

    `id`: SHA-256 of `raw`. `kind`: e.g. "consent.grant". `signer`: Ed25519 public key; `kid` its RFC 9679
    thumbprint. `thing`: kind and id of what it is about (from `sub`). `iat`: claimed unix seconds. `cti`: 16
    random bytes. `seen`: the heads the signer had seen. `mesh_id`: None in a genesis alone. `epoch`: epoch hash
    of a governance entry. `payload`: text keys; treat as read-only.
    """

    id: bytes
    raw: bytes
    kind: str
    signer: bytes
    kid: bytes
    thing: tuple[str, bytes]
    iat: int
    cti: bytes
    seen: tuple[Head, ...]
    mesh_id: bytes | None
    epoch: bytes | None
    payload: Mapping[str, Any]

    @classmethod
    def decode(cls, raw: bytes) -> Entry:
        """Check everything an entry's own bytes can show, the signature included.

        Raises RemoteError with codes CBOR_*, ENTRY_*, PAYLOAD_*, BAD_SIGNATURE, WEAK_KEY, BAD_DID_KEY.
        """
        entry, signed = _open(cls, raw)
        check_signature(entry.signer, signed, raw[-64:])
        return entry

    @classmethod
    def parse(cls, raw: bytes) -> Entry:
        """Do what `decode` does, except for the signature: for bytes this node has already verified."""
        return _open(cls, raw)[0]

    @classmethod
    def unverified(cls, raw: bytes) -> tuple[Entry, bytes]:
        """Do what `parse` does; return the entry and the bytes its signature covers, for `check_signature`.

        The entry counts for nothing before that has passed.
        """
        return _open(cls, raw)

    @classmethod
    def vouched(cls, raw: bytes, ident: bytes) -> Entry:
        """Read bytes whose SHA-256 is the id of an entry that `decode` accepted before: nothing is checked again.

        For nothing else: other bytes may be anything, and this raises whatever it likes then.
        """
        protected, payload, _ = _split(raw)
        return cls(ident, raw, *read_header(protected), cbor2.loads(payload))

    @classmethod
    def kept(cls, raw: bytes, ident: bytes) -> Entry:
        """Read a sound leaf of our own store, kept under its id; bytes that are not those any more are parsed."""
        return cls.vouched(raw, ident) if hashlib.sha256(raw).digest() == ident else cls.parse(raw)

    @property
    def signature(self) -> bytes:
        """The 64 bytes of the Ed25519 signature: they end the encoding."""
        return self.raw[-64:]

    @property
    def known(self) -> bool:
        """Whether this version knows the kind. Unknown kinds are stored and relayed, and have no effect."""
        return self.kind in kinds.KINDS


def check_signature(signer: bytes, signed: bytes, signature: bytes) -> None:
    """Check the signature (64 bytes) of what a key signed. Raises RemoteError WEAK_KEY or BAD_SIGNATURE."""
    keys.check_public_key(signer)
    if not keys.verify(signer, signed, signature):
        raise RemoteError("BAD_SIGNATURE", "the signature does not match the entry; ask its sender for it again")


def _open(cls: type[Entry], raw: bytes) -> tuple[Entry, bytes]:
    """Return the entry, and the bytes its signature covers."""
    protected, payload, signed = _split(raw)
    header = read_header(protected)
    kind = header[0]
    if len(raw) > CARRIED_BYTES_MAX.get(kind, codec.MAX_BYTES):
        most = CARRIED_BYTES_MAX[kind]
        raise RemoteError("ENTRY_TOO_LARGE", f"an entry of kind {kind} is at most {most} bytes: others carry it")
    value: Any = codec.decode(payload)
    kinds.check(kind, header[3], value, header[8] is not None)
    return cls(hashlib.sha256(raw).digest(), raw, *header, value), signed


def _split(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the protected header, the payload and the bytes signed (Sig_structure) of a COSE_Sign1.

    The parts are looked for where they must stand: tag and list, two byte strings around an empty map, and 64 bytes
    at the end. Where they do not, codec names the fault.
    """
    size = len(raw)
    if 100 < size <= codec.MAX_BYTES and raw[:2] == b"\xd2\x84" and raw[-66:-64] == b"\x58\x40":
        start, stop = _bstr_at(raw, 2)
        if start and stop < size - 70 and raw[stop] == 0xA0:
            body, end = _bstr_at(raw, stop + 1)
            if body and end == size - 66:
                return raw[start:stop], raw[body:end], b"".join((_SIG_HEAD, raw[2:stop], b"\x40", raw[stop + 1 : end]))
    protected, unprotected, payload, signature = codec.decode_sign1(raw)
    if type(protected) is not bytes or type(payload) is not bytes or type(signature) is not bytes:
        raise RemoteError("ENTRY_MALFORMED", "header, payload and signature must be byte strings")
    if unprotected != {}:
        raise RemoteError("ENTRY_UNPROTECTED", "the unprotected header must be empty", field="unprotected")
    if len(signature) != 64:
        raise RemoteError("ENTRY_MALFORMED", "the signature must be 64 bytes", field="signature")
    return protected, payload, _to_be_signed(protected, payload)


def _bstr_at(raw: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the byte string at a place begins and ends; (0, 0) where no such head stands."""
    head = raw[at]
    if head == 0x59:
        size = raw[at + 1] << 8 | raw[at + 2]
        return (at + 3, at + 3 + size) if size >= 0x100 else (0, 0)
    if head == 0x58:
        size = raw[at + 1]
        return (at + 2, at + 2 + size) if size >= 24 else (0, 0)
    return (at + 1, at + 1 + head - 0x40) if 0x40 <= head <= 0x57 else (0, 0)


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure of RFC 9052 §4.4: ["Signature1", protected, h'', payload]."""
    return b"".join((_SIG_HEAD, _bstr(protected), b"\x40", _bstr(payload)))


def _bstr(value: bytes) -> bytes:
    size = len(value)
    if size < 24:
        return bytes((0x40 | size,)) + value
    if size < 256:
        return bytes((0x58, size)) + value
    return b"\x59" + size.to_bytes(2, "big") + value  # an entry is at most 64 KiB


def sign_entry(
    key: keys.SigningKey,
    kind: str,
    thing: tuple[str, bytes],
    payload: Mapping[str, Any],
    *,
    iat: int,
    cti: bytes,
    seen: Sequence[Head],
    mesh_id: bytes | None,
    epoch: bytes | None = None,
) -> Entry:
    """Sign a statement of `kind` about `thing`. `cti`: 16 random bytes; `mesh_id` is None for a genesis alone.

    Raises LocalError with the code of the check that would have refused the entry elsewhere: nothing that
    others would refuse is ever signed.
    """
    header = Header(kind, key.public, key.kid, thing, iat, cti, tuple(seen), mesh_id, epoch)
    protected, body = encode_header(header, key.did), codec.encode(dict(payload))
    size = len(codec.encode_sign1([protected, {}, body, bytes(64)]))
    if size > codec.MAX_BYTES:
        raise LocalError("ENTRY_TOO_LARGE", f"an entry is at most {codec.MAX_BYTES} bytes; this one has {size}")
    raw = codec.encode_sign1([protected, {}, body, key.sign(_to_be_signed(protected, body))])
    try:
        return Entry.parse(raw)
    except RemoteError as error:
        raise LocalError(error.code, error.message, field=error.field) from None
