"""One entry: COSE_Sign1 by ledger/entry.cddl, its payload, its signature.

How it works
    `read_entry` takes an entry apart from the outside in. A fault of form is MALFORMED, one of key or signature
    BAD_SIGNATURE, as README.md has it.

What it does not do
    It knows nothing of what entries mean together.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from tests.proofs.second import cbor, curve
from tests.proofs.second.shapes import KINDS, TIME, octets, row

Head = tuple[bytes, int, bytes]
"""(feed, size, root)"""
_KIND: Final = re.compile(r"application/vnd\.maille\.([a-z0-9]+(?:[.-][a-z0-9]+)*)\+cose")
_SUB: Final = re.compile(r"urn:maille:([^:]+):((?:[0-9a-f]{2})+)")
_SEEN: Final = row(octets(32), lambda v: type(v) is int and 0 <= v < 2**48, octets(32))


class Refused(Exception):
    """A check of the bundle by itself failed: the code of the verdict."""

    def __init__(self, code: str, words: str = "") -> None:
        super().__init__(f"{code} {words}")
        self.code = code


class Entry(NamedTuple):
    """A signed statement; names as in ledger/README.md."""

    raw: bytes
    id: bytes
    kind: str
    signer: bytes
    kid: bytes
    thing: tuple[str, bytes]
    iat: int
    seen: tuple[Head, ...]
    mesh: bytes | None
    payload: dict[str, Any]
    epoch: bytes | None


def need(holds: object, code: str, words: str = "") -> None:
    """Refuse unless something holds."""
    if not holds:
        raise Refused(code, words)


@lru_cache(maxsize=1_024)
def read_entry(raw: bytes) -> Entry:
    """Read an entry and check its signature. Raises Refused MALFORMED, BAD_SIGNATURE."""
    try:
        entry, signed = _parts(raw)
    except cbor.BadBytes as fault:
        raise Refused("MALFORMED", str(fault)) from None
    good = curve.is_sound_key(entry.signer) and curve.verify(entry.signer, signed, raw[-64:])
    need(good, "BAD_SIGNATURE", entry.kind)
    return entry


def _ensure(holds: object, words: str) -> None:
    if not holds:
        raise cbor.BadBytes(words)


def _parts(raw: bytes) -> tuple[Entry, bytes]:
    _ensure(len(raw) <= 65_536 and raw[:1] == b"\xd2", "an entry has tag 18 and 64 KiB at most")
    outer = cbor.read(raw[1:])
    _ensure(row(octets(0, 65_536), lambda v: v == {} and type(v) is dict, octets(0, 65_536), octets(64))(outer), "form")
    protected, _, payload, _ = outer
    header, body = cbor.read(protected), cbor.read(payload)
    _ensure(type(header) is dict and header.get(1) == -19, "alg")
    typ, claims, kid = header.get(16), header.get(15), header.get(4)
    told = _KIND.fullmatch(typ) if type(typ) is str and len(typ) <= 100 else None
    _ensure(told and type(claims) is dict and claims.keys() == {1, 2, 6, 7}, "typ and claims")
    kind = told[1] if told else ""
    signer = curve.of_did(claims[1])
    _ensure(signer is not None and kid == curve.key_id(signer), "iss and kid")
    about = _SUB.fullmatch(claims[2]) if type(claims[2]) is str and len(claims[2]) <= 160 else None
    _ensure(about and about[1].isascii(), "sub")
    iat = claims[6]
    _ensure(type(iat) is int and 0 <= iat < TIME and octets(16)(claims[7]), "iat and cti")
    seen, mesh, epoch = header.get(-70000), header.get(-70001), header.get(-70002)
    labels = {1, 4, 15, 16} | {at for at in (-70000, -70001, -70002) if at in header}
    _ensure(header.keys() == labels and None not in header.values(), "labels")
    is_first = kind == "genesis"
    _ensure((seen is None) == is_first and (mesh is None) == is_first, "seen and mesh id")
    heads = [] if seen is None else seen
    _ensure(type(heads) is list and (is_first or 1 <= len(heads) <= 8) and all(map(_SEEN, heads)), "seen")
    _ensure(len({head[0] for head in heads}) == len(heads), "a feed is seen once")
    _ensure(all(value is None or octets(32)(value) for value in (mesh, epoch)), "mesh id and epoch")
    thing = (about[1], bytes.fromhex(about[2])) if about else ("", b"")
    _payload(kind, thing, body, epoch is not None)
    short = {"consent.grant": 8_192, "delegation.give": 4_096, "consent.rekey": 4_096}
    _ensure(len(raw) <= short.get(kind, 65_536), "what others carry is short")
    signed = cbor.write(["Signature1", protected, b"", payload])
    names = tuple((head[0], head[1], head[2]) for head in heads)
    return Entry(raw, sha256(raw).digest(), kind, signer or b"", kid, thing, iat, names, mesh, body, epoch), signed


def _payload(kind: str, thing: tuple[str, bytes], body: Any, has_epoch: bool) -> None:
    if kind not in KINDS:
        _ensure(type(body) is dict and all(type(key) is str for key in body), "payload")
        return
    name, size, governs, shape = KINDS[kind]
    _ensure(thing[0] == name and len(thing[1]) in (size or len(thing[1]),), "what it is about")
    _ensure(has_epoch == governs and shape(body), f"the payload of a {kind}")


# Trees (RFC 9162 §2.1.3.2)


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """Return the root that an inclusion path leads to; None where index, size and path do not fit."""
    if not 0 <= index < size:
        return None
    node, last = index, size - 1
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            leaf = sha256(b"\x01" + sibling + leaf).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            leaf = sha256(b"\x01" + leaf + sibling).digest()
        node, last = node >> 1, last >> 1
    return leaf if last == 0 else None


def head_message(mesh: bytes, head: Head, time: int) -> bytes:
    """Return what a cosignature/v1 of a feed's head signs."""
    return b"cosignature/v1\ntime %d\n" % time + note(mesh, head)


def note(mesh: bytes, head: Head) -> bytes:
    """Return the three lines of a checkpoint's note."""
    from base64 import b64encode

    name = f"maille/{mesh.hex()}/{head[0].hex()}"
    return f"{name}\n{head[1]}\n{b64encode(head[2]).decode()}\n".encode()


def is_signed(public: bytes, mesh: bytes, head: Head, time: int, signature: bytes) -> bool:
    """Say whether a key cosigned a head at a time; an empty tree has one root."""
    fits = head[1] > 0 or head[2] == sha256(b"").digest()
    return fits and curve.verify(public, head_message(mesh, head, time), signature)
