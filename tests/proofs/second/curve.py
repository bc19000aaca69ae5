"""Ed25519 by the rule of README.md ("Signatures"), and what names a key.

How it works
    OpenSSL solves the equation. It is laxer than the rule where a key or R is of small order, or a key is written in
    two ways, so the two points are looked at here, over plain integers, before it is asked.

What it does not do
    It keeps no secret: nothing here is constant in time.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Point: TypeAlias = tuple[int, int, int, int]
"""Extended coordinates (x, y, z, t) of RFC 8032 §5.1.4."""

_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT: Final = pow(2, (_P - 1) // 4, _P)
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _point(raw: bytes) -> Point | None:
    """Read a point; None for what is none, and for an y that is not below the prime."""
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P != u:
        x = x * _ROOT % _P
        if v * x * x % _P != u:
            return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c, d = 2 * one[3] * other[3] * _D % _P, 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(number: int, point: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = _add(total, point)
        point, number = _add(point, point), number >> 1
    return total


def _is_zero(point: Point) -> bool:
    return point[0] % _P == 0 and (point[1] - point[2]) % _P == 0


@lru_cache(maxsize=4_096)
def _large(raw: bytes) -> Point | None:
    """Return a point that is canonical and not of small order; None for any other."""
    point = _point(raw)
    return None if point is None or _is_zero(_times(8, point)) else point


@lru_cache(maxsize=4_096)
def is_sound_key(public: bytes) -> bool:
    """Say whether a key may be admitted: a canonical point of the group of prime order, and not its zero."""
    point = _large(public) if len(public) == 32 else None
    return point is not None and _is_zero(_times(_L, point))


@lru_cache(maxsize=4_096)
def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether a signature is good by the rule."""
    if len(public) != 32 or len(signature) != 64:
        return False
    if _large(public) is None or _large(signature[:32]) is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_id(public: bytes) -> bytes:
    """Return the RFC 9679 thumbprint: SHA-256 of CBOR {1: 1, -1: 6, -2: key}."""
    return sha256(bytes.fromhex("a301012006215820") + public).digest()


def did(public: bytes) -> str:
    """Return the did:key: base58btc of 0xed01 and the key, after `did:key:z`."""
    number, text = int.from_bytes(b"\xed\x01" + public, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "did:key:z" + text


def of_did(text: object) -> bytes | None:
    """Return the key of a did:key in its only spelling; None for anything else."""
    if not isinstance(text, str) or len(text) != 56 or not set(text[9:]) <= set(_ALPHABET):
        return None
    number = 0
    for letter in text[9:]:
        number = number * 58 + _ALPHABET.index(letter)
    public = (number & (1 << 256) - 1).to_bytes(32, "big")
    return public if did(public) == text else None
