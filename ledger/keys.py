"""Ed25519 keys: names of a key (thumbprint, did:key), signatures, and seeds derived from seeds.

How it works
    PyNaCl signs and verifies. The verdict of libsodium's `crypto_sign_verify_detached` is the rule of the
    whole mesh (ledger.md §3): libraries differ on edge cases, and nodes that disagreed would split.
    Names of keys are pure functions of the 32 bytes, asked for again and again, so they are cached.

What it does not do
    It draws no randomness: seeds are given. It keeps no key on disk; that is the keystore's work.
    It cannot wipe a seed from memory: Python holds copies beyond our reach.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final, NoReturn

from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

from ledger.errors import LocalError, RemoteError

KEY_BYTES: Final = 32
"""Length of a public key, and of a seed, in bytes."""
SIGNATURE_BYTES: Final = 64
"""Length of a signature, in bytes."""

_COSE_KEY_HEAD: Final = bytes.fromhex("a301012006215820")  # {1: 1 (OKP), -1: 6 (Ed25519), -2: 32 bytes …}
_DID_PREFIX: Final = "did:key:z"
_MULTICODEC: Final = b"\xed\x01"  # ed25519-pub, as an unsigned varint
_DID_CHARACTERS: Final = len(_DID_PREFIX) + 47  # 34 bytes that begin with 0xed01 are always 47 in base 58
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES: Final = {character: value for value, character in enumerate(_BASE58)}
_CHECKED_MAX: Final = 16_384  # keys known to be sound; about 250 bytes each
_WRITTEN_MAX: Final = 1_024  # thumbprints and did:keys; some 400 bytes each. Whose repeat are devices' and hosts'


@lru_cache(maxsize=_WRITTEN_MAX)
def thumbprint(public: bytes) -> bytes:
    """Return the RFC 9679 SHA-256 thumbprint (32 bytes) of the COSE key of `public` (32 bytes): its `kid`.

    It is the hash of the deterministic `{1: 1, -1: 6, -2: public}`. Raises RemoteError WEAK_KEY for a wrong
    length.
    """
    _check_length(public)
    return hashlib.sha256(_COSE_KEY_HEAD + public).digest()


@lru_cache(maxsize=_WRITTEN_MAX)
def did_key(public: bytes) -> str:
    """Return `public` (32 bytes) as a did:key, `did:key:z6Mk…`: base58btc of 0xed01 and the key.

    Raises RemoteError WEAK_KEY for a wrong length.
    """
    _check_length(public)
    number = int.from_bytes(_MULTICODEC + public, "big")
    characters = []
    while number:
        number, value = divmod(number, 58)
        characters.append(_BASE58[value])
    return _DID_PREFIX + "".join(reversed(characters))


@lru_cache(maxsize=_WRITTEN_MAX)
def public_from_did_key(text: str) -> bytes:
    """Return the 32 bytes of the Ed25519 key that the did:key `text` names; only its own spelling is taken.

    It does not ask whether the key is a good one: `check_public_key` does. Raises RemoteError BAD_DID_KEY.
    """
    number = 0
    if len(text) == _DID_CHARACTERS and text.startswith(_DID_PREFIX):
        for character in text[len(_DID_PREFIX) :]:
            number = number * 58 + _BASE58_VALUES.get(character, 0)
    public = (number & ((1 << 8 * KEY_BYTES) - 1)).to_bytes(KEY_BYTES, "big")
    if did_key(public) != text:  # wrong prefix, length, character or key type all show here
        raise RemoteError("BAD_DID_KEY", "This is not the did:key of an Ed25519 key (did:key:z6Mk…).")
    return public


@lru_cache(maxsize=_CHECKED_MAX)
def check_public_key(public: bytes) -> None:
    """Refuse a public key that is no canonical point of the main subgroup, or of small order.

    Keys are admitted once through this check; `verify` does not repeat it. Raises RemoteError WEAK_KEY.
    """
    _check_length(public)
    if not crypto_core_ed25519_is_valid_point(public):
        raise RemoteError("WEAK_KEY", "This is not a sound Ed25519 public key. Ask its owner for another.")


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` (64 bytes) of `message` is good under `public` (32 bytes).

    The verdict is that of libsodium's `crypto_sign_verify_detached`. A wrong length is a bad signature.
    """
    if len(signature) != SIGNATURE_BYTES or len(public) != KEY_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True


class SigningKey:
    """An Ed25519 key pair. It never shows its seed by itself, and it refuses to be pickled or copied.

    `public`: 32 bytes. `kid`: its thumbprint, 32 bytes; the feed id of a device. `did`: its did:key.
    """

    __slots__ = ("_secret", "did", "kid", "public")

    def __init__(self, secret: bytes, public: bytes) -> None:
        """Take libsodium's 64-byte secret key and its public key; call `from_seed` instead."""
        self._secret = secret
        self.public = public
        self.kid = thumbprint(public)
        self.did = did_key(public)

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """Return the key pair of a 32-byte seed (RFC 8032 §5.1.5). Raises LocalError BAD_SEED."""
        _check_seed(seed)
        public, secret = crypto_sign_seed_keypair(seed)
        return cls(secret, public)

    @property
    def seed(self) -> bytes:
        """The 32-byte seed, which is the whole secret. For the keystore alone: it seals the seed on disk."""
        return self._secret[:KEY_BYTES]

    def sign(self, message: bytes) -> bytes:
        """Return the detached signature (64 bytes) of `message`; the same message gives the same bytes."""
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        """Show the first bytes of the kid, never the seed."""
        return f"SigningKey(kid={self.kid.hex()[:12]}…)"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        """Refuse to be pickled or copied: a secret leaves its process only through the keystore."""
        raise LocalError("SECRET_KEY", "A signing key is never pickled or copied. Pass its public key instead.")


def derive_seed(parent_seed: bytes, context: str, info: bytes) -> bytes:
    """Derive a 32-byte seed from a 32-byte seed: HKDF-SHA256 (RFC 5869), for one key per consent.

    `context` (at most 255 bytes as UTF-8) names the use, `info` the instance, such as a consent's id. The
    HKDF info is the context's length in one byte, the context, `info`: different pairs, unrelated seeds.
    Raises LocalError BAD_SEED or BAD_LENGTH.
    """
    _check_seed(parent_seed)
    name = context.encode()
    if len(name) > 255:
        raise LocalError("BAD_LENGTH", f"At most 255 bytes, this has {len(name)}.", field="context")
    return hkdf_sha256(parent_seed, salt=b"", info=bytes((len(name),)) + name + info, length=KEY_BYTES)


def hkdf_sha256(secret: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    """Return `length` bytes (at most 8 160) by HKDF-SHA256 (RFC 5869). Raises LocalError BAD_LENGTH."""
    digest_bytes = hashlib.sha256().digest_size
    if not 0 < length <= 255 * digest_bytes:
        raise LocalError("BAD_LENGTH", f"HKDF-SHA256 gives 1 to {255 * digest_bytes} bytes, not {length}.")
    pseudorandom_key = hmac.digest(salt or bytes(digest_bytes), secret, "sha256")
    output = block = b""
    for counter in range(1, -(-length // digest_bytes) + 1):
        block = hmac.digest(pseudorandom_key, block + info + bytes((counter,)), "sha256")
        output += block
    return output[:length]


def _check_length(public: bytes) -> None:
    if len(public) != KEY_BYTES:
        raise RemoteError("WEAK_KEY", f"An Ed25519 public key has {KEY_BYTES} bytes, this has {len(public)}.")


def _check_seed(seed: bytes) -> None:
    if len(seed) != KEY_BYTES:
        raise LocalError("BAD_SEED", f"A seed has {KEY_BYTES} bytes, this has {len(seed)}.")
