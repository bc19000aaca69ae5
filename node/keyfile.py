"""One secret in a file: sealed with a passphrase, or plain (node/keystore.py keeps a directory of them).

| part of the CBOR list | what |
|---|---|
| "maille key", 1 | the format and its version |
| purpose | "root", "device", "static", "vault", "tenant" or "authority" |
| public | the public key; of the vault key, which has none, a hash (32 bytes) |
| seal | null (plain), or [operations, memory in bytes, salt (16), nonce (24)] |
| body | the 32-byte secret: plain, or sealed (48 bytes) |

How it works
    The passphrase and the salt give a key by argon2id, at the cost the file names (within bounds: a file from
    elsewhere cannot ask for all memory). The secret is sealed under it by XChaCha20-Poly1305, with all the other parts
    as associated data, so none of them can be changed. `public` can be read without the passphrase; after opening it
    is checked against the secret, so a damaged plain file is noticed too.

What it does not do
    It touches no file. A wrong passphrase and a damaged body are one error: no one can tell them apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from nacl import bindings
from nacl.exceptions import CryptoError

from ledger import codec
from ledger.errors import LocalError, RemoteError
from ledger.keys import SigningKey

Purpose = Literal["root", "device", "static", "vault", "tenant", "authority"]
RandomBytes = Callable[[int], bytes]

SECRET_BYTES: Final = 32
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 24
FILE_BYTES_MAX: Final = 1_024
OPERATIONS_MAX: Final = 64
MEMORY_BYTES_MIN: Final = 8_192
MEMORY_BYTES_MAX: Final = 2**30

_MAGIC: Final = "maille key"
_VERSION: Final = 1
_PURPOSES: Final[dict[str, Purpose]] = {name: name for name in get_args(Purpose)}


@dataclass(frozen=True, slots=True)
class Cost:
    """What argon2id takes: passes over the memory, and memory in bytes."""

    operations: int
    memory: int


MODERATE: Final = Cost(3, 256 * 2**20)
"""libsodium's MODERATE: about half a second and 256 MiB, once at each start."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """A passphrase turned into a key once, for many files: the salt and cost go into each, the key into none."""

    cost: Cost
    salt: bytes
    key: bytes = field(repr=False)

    @classmethod
    def derive(cls, passphrase: str, cost: Cost, salt: bytes) -> Wrapping:
        """Run argon2id (libsodium's crypto_pwhash). Raises LocalError KEY_MEMORY where memory is short."""
        try:
            key = bindings.crypto_pwhash_alg(
                SECRET_BYTES,
                passphrase.encode(),
                salt,
                cost.operations,
                cost.memory,
                bindings.crypto_pwhash_ALG_ARGON2ID13,
            )
        except (RuntimeError, MemoryError):
            told = f"Opening the keys takes {cost.memory // 2**20} MiB of memory, which this machine has not free."
            raise LocalError("KEY_MEMORY", told) from None
        return cls(cost, salt, key)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file as read: all that can be known without the passphrase. `wrapped`: (cost, salt, nonce) or None."""

    purpose: Purpose
    public: bytes
    wrapped: tuple[Cost, bytes, bytes] | None
    body: bytes = field(repr=False)

    @property
    def sealed(self) -> bool:
        """Whether a passphrase is needed."""
        return self.wrapped is not None

    @classmethod
    def make(cls, purpose: Purpose, secret: bytes, wrapping: Wrapping | None, random_bytes: RandomBytes) -> KeyFile:
        """Put a 32-byte secret into a file, sealed unless `wrapping` is None."""
        public = public_of(purpose, secret)
        if wrapping is None:
            return cls(purpose, public, None, secret)
        nonce = random_bytes(NONCE_BYTES)
        wrapped = (wrapping.cost, wrapping.salt, nonce)
        label = _label(purpose, public, wrapped)
        body = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(secret, label, nonce, wrapping.key)
        return cls(purpose, public, wrapped, body)

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        return codec.encode([*_head(self.purpose, self.public, self.wrapped), self.body])

    @classmethod
    def decode(cls, data: bytes) -> KeyFile:
        """Read the bytes of a file. Raises RemoteError KEY_DAMAGED, KEY_VERSION."""
        try:
            value = codec.decode(data, max_bytes=FILE_BYTES_MAX)
        except RemoteError:
            raise _damaged("it is no key file, or cut or changed") from None
        match value:
            case [str(magic), int(version), *_] if magic == _MAGIC and version != _VERSION:
                raise RemoteError("KEY_VERSION", f"This key file has format {version}; use the release that wrote it.")
            case [str(magic), int(), str(purpose), bytes(public), seal, bytes(body)] if (
                magic == _MAGIC and purpose in _PURPOSES and len(public) == SECRET_BYTES
            ):
                known = _PURPOSES[purpose]
                wrapped = _read_seal(seal)
                if len(body) == SECRET_BYTES + (16 if wrapped else 0):
                    return cls(known, public, wrapped, body)
        raise _damaged("it does not have the parts of a key file")

    def open(self, wrapping: Wrapping | None) -> bytes:
        """Return the secret. Raises LocalError KEY_LOCKED (no or wrong passphrase, or changed), KEY_DAMAGED."""
        secret = self.body
        if self.wrapped is not None:
            cost, salt, nonce = self.wrapped
            if wrapping is None or (wrapping.cost, wrapping.salt) != (cost, salt):
                raise LocalError("KEY_LOCKED", f"The {self.purpose} key is sealed; its passphrase is needed.")
            label = _label(self.purpose, self.public, self.wrapped)
            try:
                secret = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(self.body, label, nonce, wrapping.key)
            except CryptoError:
                told = f"The {self.purpose} key does not open: the passphrase is wrong, or the file was changed."
                raise LocalError("KEY_LOCKED", told) from None
        if public_of(self.purpose, secret) != self.public:
            raise _damaged("its secret and public parts do not belong together")
        return secret

    def unlock(self, passphrase: str | None) -> bytes:
        """Return the secret of a single file, deriving what its seal needs. Raises as `open`."""
        if self.wrapped is None or passphrase is None:
            return self.open(None)
        cost, salt, _ = self.wrapped
        return self.open(Wrapping.derive(passphrase, cost, salt))


def public_of(purpose: Purpose, secret: bytes) -> bytes:
    """Return what a secret shows: its Ed25519 or X25519 public key, or a hash of the vault's key."""
    match purpose:
        case "root" | "device" | "tenant" | "authority":
            return SigningKey.from_seed(secret).public
        case "static":
            return bindings.crypto_scalarmult_base(secret)
        case "vault":
            return hashlib.sha256(b"maille-vault-key" + secret).digest()


def _head(purpose: str, public: bytes, wrapped: tuple[Cost, bytes, bytes] | None) -> list[object]:
    seal = None if wrapped is None else [wrapped[0].operations, wrapped[0].memory, wrapped[1], wrapped[2]]
    return [_MAGIC, _VERSION, purpose, public, seal]


def _label(purpose: str, public: bytes, wrapped: tuple[Cost, bytes, bytes]) -> bytes:
    return codec.encode(_head(purpose, public, wrapped))


def _read_seal(value: object) -> tuple[Cost, bytes, bytes] | None:
    match value:
        case None:
            return None
        case [int(operations), int(memory), bytes(salt), bytes(nonce)] if (
            1 <= operations <= OPERATIONS_MAX
            and MEMORY_BYTES_MIN <= memory <= MEMORY_BYTES_MAX
            and (len(salt), len(nonce)) == (SALT_BYTES, NONCE_BYTES)
        ):
            return Cost(operations, memory), salt, nonce
    raise _damaged("its seal is none that this program makes")


def _damaged(why: str) -> RemoteError:
    return RemoteError("KEY_DAMAGED", f"This key file cannot be used: {why}. Put a copy of it in its place.")
