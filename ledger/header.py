"""The protected header of an entry: who signs what kind of statement about which thing, when, having seen what.

How it works
    A header is a map with labels in deterministic order:
      1 alg, 4 kid, 15 claims {1 iss, 2 sub, 6 iat, 7 cti}, 16 typ, -70000 seen, -70001 mesh id, -70002 epoch.
    ledger/entry.cddl says the same as CDDL. The order is fixed and most lengths are, so `read_header` first looks at
    the bytes where each field must stand (`_at_places`, five times as fast as a parser: headers are most of what a
    node decodes). Whatever is not exactly there is left to the thorough way, which also names the fault. The two
    give the same answer for the same bytes, and a test holds them to it.

What it does not do
    It knows no payload and checks no signature.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from ledger import codec, keys
from ledger.checkpoint import Head
from ledger.errors import RemoteError

ALG_ED25519: Final = -19  # RFC 9864; -8 (EdDSA) is deprecated and refused
LABEL_ALG: Final = 1
LABEL_KID: Final = 4
LABEL_CLAIMS: Final = 15
LABEL_TYP: Final = 16
LABEL_SEEN: Final = -70000
LABEL_MESH: Final = -70001
LABEL_EPOCH: Final = -70002

SEEN_MAX: Final = 8  # heads an entry may name as seen
SEEN_SIZE_MAX: Final = 2**48  # leaves of a head that is seen, exclusive
SUB_LENGTH_MAX: Final = 160  # characters
TIME_MAX: Final = 2**40  # seconds; the year 36812: a bound for arithmetic, not a promise
TYP_LENGTH_MAX: Final = 100  # characters
_TYP_HEAD: Final = "application/vnd.maille."
_TYP_TAIL: Final = "+cose"
_KIND: Final = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_CACHED: Final = 16_384  # signers, and kinds, whose bytes are known

_SEEN_HEAD: Final = b"\x3a\x00\x01\x11\x6f"  # the label -70000
_MESH_HEAD: Final = b"\x3a\x00\x01\x11\x70\x58\x20"  # the label -70001 and the head of 32 bytes
_EPOCH_HEAD: Final = b"\x3a\x00\x01\x11\x71\x58\x20"


class Header(NamedTuple):
    """What a header says; see `ledger.entry.Entry` for each field."""

    kind: str
    signer: bytes
    kid: bytes
    thing: tuple[str, bytes]
    iat: int
    cti: bytes
    seen: tuple[Head, ...]
    mesh_id: bytes | None
    epoch: bytes | None


def read_header(protected: bytes) -> Header:
    """Read a protected header. Raises RemoteError CBOR_*, ENTRY_*, BAD_DID_KEY, WEAK_KEY."""
    return _at_places(protected) or read_thoroughly(protected)


def encode_header(header: Header, did: str) -> bytes:
    """Return the header's bytes; nothing is checked but what deterministic CBOR refuses. `did`: of the signer."""
    kind, ident = header.thing
    fields: dict[str | int, Any] = {
        LABEL_ALG: ALG_ED25519,
        LABEL_KID: header.kid,
        LABEL_CLAIMS: {1: did, 2: f"urn:maille:{kind}:{ident.hex()}", 6: header.iat, 7: header.cti},
        LABEL_TYP: typ_of_kind(header.kind),
    }
    if header.seen:
        fields[LABEL_SEEN] = [[head.feed, head.size, head.root] for head in header.seen]
    if header.mesh_id is not None:
        fields[LABEL_MESH] = header.mesh_id
    if header.epoch is not None:
        fields[LABEL_EPOCH] = header.epoch
    return codec.encode(fields)


# By place

_signers: dict[bytes, tuple[bytes, bytes]] = {}  # alg, kid and iss as they are encoded -> key, kid
_kinds: dict[bytes, str] = {}  # typ as it is encoded -> kind


def _at_places(data: bytes) -> Header | None:
    """Read a header whose fields stand where they usually do; None for any other, which may still be sound."""
    size = len(data)
    known = _signers.get(data[1:99])
    if known is None or size < 200 or data[0] not in (0xA6, 0xA7) or data[99:101] != b"\x02\x78":
        return None
    after_sub = 102 + data[101]
    if data[after_sub : after_sub + 2] != b"\x06\x1a" or data[after_sub + 6 : after_sub + 8] != b"\x07\x50":
        return None
    at = after_sub + 26  # behind iat, cti, and the label and head of typ: its length, one byte
    if at + 40 > size:
        return None
    after_typ = at + data[at] + 1
    kind = _kinds.get(data[after_sub + 24 : after_typ])
    iat = int.from_bytes(data[after_sub + 2 : after_sub + 6], "big")
    seen_end = size - (78 if data[0] == 0xA7 else 39)
    seen = _seen_at_places(data, after_typ, seen_end)
    if kind is None or iat < 0x1_0000 or data[101] < 24 or not seen:
        return None
    if data[seen_end : seen_end + 7] != _MESH_HEAD:
        return None
    epoch = None
    if data[0] == 0xA7:
        if data[seen_end + 39 : seen_end + 46] != _EPOCH_HEAD:
            return None
        epoch = data[-32:]
    try:
        thing = parse_subject(data[102:after_sub].decode("ascii"))
    except (UnicodeDecodeError, RemoteError):
        return None
    cti, mesh_id = data[after_sub + 8 : after_sub + 24], data[seen_end + 7 : seen_end + 39]
    return Header(kind, known[0], known[1], thing, iat, cti, seen, mesh_id, epoch)


def _seen_at_places(data: bytes, start: int, end: int) -> tuple[Head, ...]:
    """Read the heads between two places; () unless they stand there exactly, each feed once."""
    if start + 6 > end or data[start : start + 5] != _SEEN_HEAD or not 1 <= data[start + 5] - 0x80 <= SEEN_MAX:
        return ()
    at, heads = start + 6, []
    for _ in range(data[start + 5] - 0x80):
        if data[at : at + 3] != b"\x83\x58\x20" or at + 37 > end:
            return ()
        extra = _UINT_EXTRA.get(data[at + 35])
        if extra is None:
            return ()
        count, smallest = extra
        root = at + 36 + count
        size = int.from_bytes(data[at + 36 : root], "big") if count else data[at + 35]
        if data[root : root + 2] != b"\x58\x20" or not smallest <= size < SEEN_SIZE_MAX:
            return ()
        heads.append(Head(data[at + 3 : at + 35], size, data[root + 2 : root + 34]))
        at = root + 34
    if at != end or (len(heads) > 1 and len({head.feed for head in heads}) != len(heads)):
        return ()
    return tuple(heads)


# First byte of an unsigned integer -> bytes that follow, smallest value that needs so many.
_UINT_EXTRA: Final[dict[int, tuple[int, int]]] = {
    **dict.fromkeys(range(24), (0, 0)),
    0x18: (1, 24),
    0x19: (2, 0x100),
    0x1A: (4, 0x1_0000),
    0x1B: (8, 0x1_0000_0000),
}


def _remember(data: bytes, header: Header) -> None:
    """Keep the bytes of a signer and of a kind, which the thorough way has found sound."""
    if header.kind == "genesis" or data[41:43] != b"\x78\x38" or data[99:101] != b"\x02\x78":
        return  # a genesis has other labels; the rest has other places
    if len(_signers) >= _CACHED:
        _signers.clear()
    _signers[data[1:99]] = (header.signer, header.kid)
    typ = typ_of_kind(header.kind)
    if len(typ) >= 24 and len(_kinds) < _CACHED:
        _kinds[b"\x10\x78" + bytes((len(typ),)) + typ.encode()] = header.kind


# Thoroughly


def read_thoroughly(protected: bytes) -> Header:
    """Do what `read_header` does, field by field, and name what is wrong."""
    fields = codec.decode(protected)
    if type(fields) is not dict:
        raise RemoteError("ENTRY_MALFORMED", "the protected header must be a map", field="protected")
    header = _read_fields(fields)
    _remember(protected, header)
    return header


def _read_fields(fields: dict[Any, Any]) -> Header:
    get = fields.get
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
    if len(fields) != labels:
        raise RemoteError(
            "ENTRY_HEADER", "an unknown, missing or null label in the protected header", field="protected"
        )
    if (mesh_id is None) != (kind == "genesis") or not _is_hash(mesh_id, optional=True):
        raise RemoteError("ENTRY_MESH", "every entry but the genesis names its mesh by 32 bytes", field="mesh_id")
    if not _is_hash(epoch, optional=True):
        raise RemoteError("ENTRY_EPOCH", "an epoch reference is 32 bytes", field="epoch")
    return Header(kind, signer, kid, thing, iat, cti, seen, mesh_id, epoch)


def kind_of_typ(typ: object) -> str:
    """Return the kind in a media type "application/vnd.maille.<kind>+cose". Raises RemoteError ENTRY_TYPE.

    A kind is lower-case words joined by dots; unknown ones pass.
    """
    if type(typ) is str and len(typ) <= TYP_LENGTH_MAX and typ.startswith(_TYP_HEAD) and typ.endswith(_TYP_TAIL):
        kind = typ[len(_TYP_HEAD) : -len(_TYP_TAIL)]
        if _KIND.fullmatch(kind):
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
        if not (_is_hash(feed) and _is_hash(root) and type(size) is int and 0 <= size < SEEN_SIZE_MAX):
            raise RemoteError("ENTRY_SEEN", "a head is [32 bytes, size, 32 bytes]", field="seen")
        read.append(Head(feed, size, root))
    if len(read) > 1 and len({head.feed for head in read}) != len(read):
        raise RemoteError("ENTRY_SEEN", "a feed is named once", field="seen")
    return tuple(read)


def _is_hash(value: object, *, optional: bool = False) -> bool:
    return (type(value) is bytes and len(value) == 32) or (optional and value is None)
