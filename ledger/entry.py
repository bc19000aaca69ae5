"""One signed statement: a COSE_Sign1 that is also a SCITT signed statement (ledger.md §3, RFC 9052, RFC 9943).

How it works
    `Entry.decode(raw)` is the way in for bytes from outside: it checks the encoding (codec), the headers, the
    payload against the schema of its kind (kinds), and the signature by libsodium's rule (keys). An `Entry`
    that exists is therefore well formed and signed. `Entry.parse` does all but the signature, for bytes whose
    signature this node has already checked: those in its own store, and those a worker process vouched for.
    `sign_entry` is the way to make one.

    The protected header is a map with labels in deterministic order:
      1 alg, 4 kid, 15 claims {1 iss, 2 sub, 6 iat, 7 cti}, 16 typ, -70000 seen, -70001 mesh id, -70002 epoch.
    ledger/entry.cddl says the same as CDDL.

What it does not do
    It knows nothing of feeds or of effect: an entry may be well formed, signed, and void (state, governance).
    `external_aad` is empty, so any COSE library verifies an entry.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec, keys, kinds
from ledger.checkpoint import Head
from ledger.errors import LocalError, RemoteError

ALG_ED25519: Final = -19  # RFC 9864; -8 (EdDSA) is deprecated and refused
LABEL_ALG: Final = 1
LABEL_KID: Final = 4
LABEL_CLAIMS: Final = 15
LABEL_TYP: Final = 16
LABEL_SEEN: Final = -70000
LABEL_MESH: Final = -70001
LABEL_EPOCH: Final = -70002

SEEN_MAX: Final = 8  # heads an entry may name as seen
SUB_LENGTH_MAX: Final = 160  # characters
TIME_MAX: Final = 2**40  # seconds; the year 36812: a bound for arithmetic, not a promise
_TYP_HEAD: Final = "application/vnd.maille."
_TYP_TAIL: Final = "+cose"
_KIND: Final = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
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
        entry, protected, payload = _open(cls, raw)
        keys.check_public_key(entry.signer)
        if not keys.verify(entry.signer, _to_be_signed(protected, payload), raw[-64:]):
            raise RemoteError("BAD_SIGNATURE", "the signature does not match the entry; ask its sender for it again")
        return entry

    @classmethod
    def parse(cls, raw: bytes) -> Entry:
        """Do what `decode` does, except for the signature: for bytes this node has already verified."""
        return _open(cls, raw)[0]

    @property
    def signature(self) -> bytes:
        """The 64 bytes of the Ed25519 signature: they end the encoding."""
        return self.raw[-64:]

    @property
    def known(self) -> bool:
        """Whether this version knows the kind. Unknown kinds are stored and relayed, and have no effect."""
        return self.kind in kinds.KINDS


def _open(cls: type[Entry], raw: bytes) -> tuple[Entry, bytes, bytes]:
    """Return the entry, and the two byte strings its signature covers: protected header and payload."""
    protected, unprotected, payload, signature = codec.decode_sign1(raw)
    if type(protected) is not bytes or type(payload) is not bytes or type(signature) is not bytes:
        raise RemoteError("ENTRY_MALFORMED", "header, payload and signature must be byte strings")
    if unprotected != {}:
        raise RemoteError("ENTRY_UNPROTECTED", "the unprotected header must be empty", field="unprotected")
    if len(signature) != 64:
        raise RemoteError("ENTRY_MALFORMED", "the signature must be 64 bytes", field="signature")
    header = codec.decode(protected)
    if type(header) is not dict:
        raise RemoteError("ENTRY_MALFORMED", "the protected header must be a map", field="protected")
    return _read(cls, raw, header, codec.decode(payload)), protected, payload


def _read(cls: type[Entry], raw: bytes, header: dict[Any, Any], payload: Any) -> Entry:
    get = header.get
    if get(LABEL_ALG) != ALG_ED25519:
        raise RemoteError("ENTRY_ALGORITHM", "the algorithm must be -19 (Ed25519, RFC 9864)", field="alg")
    kind = kind_of_typ(get(LABEL_TYP))
    signer, thing, iat, cti = _claims(get(LABEL_CLAIMS))
    kid = get(LABEL_KID)
    if kid != keys.thumbprint(signer):
        raise RemoteError("ENTRY_KID", "the key id is not the RFC 9679 thumbprint of the signer's key", field="kid")
    mesh_id, epoch = get(LABEL_MESH), get(LABEL_EPOCH)
    seen = _seen(get(LABEL_SEEN), genesis=kind == "genesis")
    labels = 4 + (seen != ()) + (mesh_id is not None) + (epoch is not None)
    if len(header) != labels:
        raise RemoteError(
            "ENTRY_HEADER", "an unknown, missing or null label in the protected header", field="protected"
        )
    if (mesh_id is None) != (kind == "genesis") or not _is_hash(mesh_id, optional=True):
        raise RemoteError("ENTRY_MESH", "every entry but the genesis names its mesh by 32 bytes", field="mesh_id")
    if not _is_hash(epoch, optional=True):
        raise RemoteError("ENTRY_EPOCH", "an epoch reference is 32 bytes", field="epoch")
    if kind == "consent.grant" and len(raw) > kinds.GRANT_BYTES_MAX:
        raise RemoteError(
            "ENTRY_TOO_LARGE", f"a grant is at most {kinds.GRANT_BYTES_MAX} bytes: a withdrawal carries it"
        )
    kinds.check(kind, thing, payload, epoch is not None)
    return cls(hashlib.sha256(raw).digest(), raw, kind, signer, kid, thing, iat, cti, seen, mesh_id, epoch, payload)


def kind_of_typ(typ: object) -> str:
    """Return the kind in a media type "application/vnd.maille.<kind>+cose". Raises RemoteError ENTRY_TYPE.

    A kind is lower-case words joined by dots; unknown ones pass.
    """
    if type(typ) is str and len(typ) <= 100 and typ.startswith(_TYP_HEAD) and typ.endswith(_TYP_TAIL):
        kind = typ[len(_TYP_HEAD) : -len(_TYP_TAIL)]
        if kind in kinds.KINDS or _KIND.fullmatch(kind):
            return kind
    raise RemoteError("ENTRY_TYPE", "the type must be application/vnd.maille.<kind>+cose", field="typ")


def typ_of_kind(kind: str) -> str:
    """Return the media type of a kind."""
    return f"{_TYP_HEAD}{kind}{_TYP_TAIL}"


def _claims(claims: Any) -> tuple[bytes, tuple[str, bytes], int, bytes]:
    if type(claims) is not dict or claims.keys() != {1, 2, 6, 7}:
        raise RemoteError("ENTRY_CLAIMS", "the claims must be exactly iss, sub, iat and cti", field="claims")
    issuer, subject, iat, cti = claims[1], claims[2], claims[6], claims[7]
    if type(issuer) is not str:
        raise RemoteError("ENTRY_CLAIMS", "the issuer must be a did:key", field="iss")
    if type(iat) is not int or not 0 <= iat < TIME_MAX:
        raise RemoteError("ENTRY_CLAIMS", "the time must be unix seconds", field="iat")
    if type(cti) is not bytes or len(cti) != 16:
        raise RemoteError("ENTRY_CLAIMS", "the entry's own random id must be 16 bytes", field="cti")
    return keys.public_from_did_key(issuer), parse_subject(subject), iat, cti


def parse_subject(text: object) -> tuple[str, bytes]:
    """Read "urn:maille:<kind of thing>:<lower-case hex id>". Raises RemoteError ENTRY_SUBJECT."""
    if type(text) is str and len(text) <= SUB_LENGTH_MAX:
        parts = text.split(":")
        if len(parts) == 4 and parts[0] == "urn" and parts[1] == "maille" and parts[2].isascii() and parts[2]:
            try:
                ident = bytes.fromhex(parts[3])
            except ValueError:
                ident = b""
            if ident and ident.hex() == parts[3]:
                return parts[2], ident
    raise RemoteError("ENTRY_SUBJECT", "the subject must be urn:maille:<kind of thing>:<hex id>", field="sub")


def _seen(heads: Any, *, genesis: bool) -> tuple[Head, ...]:
    if genesis:
        if heads is not None:
            raise RemoteError("ENTRY_SEEN", "a genesis has seen nothing", field="seen")
        return ()
    if type(heads) is not list or not 1 <= len(heads) <= SEEN_MAX:
        raise RemoteError("ENTRY_SEEN", f"an entry names 1 to {SEEN_MAX} heads it has seen", field="seen")
    read = []
    for head in heads:
        if type(head) is not list or len(head) != 3:
            raise RemoteError("ENTRY_SEEN", "a head is [feed, size, root]", field="seen")
        feed, size, root = head
        if not (_is_hash(feed) and _is_hash(root) and type(size) is int and 0 <= size < 2**48):
            raise RemoteError("ENTRY_SEEN", "a head is [32 bytes, size, 32 bytes]", field="seen")
        read.append(Head(feed, size, root))
    if len(read) > 1 and len({head.feed for head in read}) != len(read):
        raise RemoteError("ENTRY_SEEN", "a feed is named once", field="seen")
    return tuple(read)


def _is_hash(value: object, *, optional: bool = False) -> bool:
    return (type(value) is bytes and len(value) == 32) or (optional and value is None)


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
    header: dict[int, Any] = {
        LABEL_ALG: ALG_ED25519,
        LABEL_KID: key.kid,
        LABEL_CLAIMS: {1: key.did, 2: f"urn:maille:{thing[0]}:{thing[1].hex()}", 6: iat, 7: cti},
        LABEL_TYP: typ_of_kind(kind),
    }
    if seen:
        header[LABEL_SEEN] = [[head.feed, head.size, head.root] for head in seen]
    if mesh_id is not None:
        header[LABEL_MESH] = mesh_id
    if epoch is not None:
        header[LABEL_EPOCH] = epoch
    protected, body = codec.encode(header), codec.encode(dict(payload))
    size = len(codec.encode_sign1([protected, {}, body, bytes(64)]))
    if size > codec.MAX_BYTES:
        raise LocalError("ENTRY_TOO_LARGE", f"an entry is at most {codec.MAX_BYTES} bytes; this one has {size}")
    raw = codec.encode_sign1([protected, {}, body, key.sign(_to_be_signed(protected, body))])
    try:
        return Entry.parse(raw)
    except RemoteError as error:
        raise LocalError(error.code, error.message, field=error.field) from None
