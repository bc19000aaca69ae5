"""The Noise protocol framework (revision 34): patterns XX and IK over 25519 and ChaChaPoly, without I/O.

How it works
    The three objects of the specification, under its names: `CipherState` (§5.1) is a key with a counter,
    `SymmetricState` (§5.2) adds the chaining key and the transcript hash, `HandshakeState` (§5.3) walks the
    tokens of a pattern (§7.5). When the last message is done, `HandshakeState.split` gives a `Transport`: a
    different type, so that nothing can be sent through a handshake that has not ended. The hash is chosen by
    the protocol name, and so is the modifier `psk3`, because the published vectors use them; a channel uses
    `XX` and `IK` below.

What it does not do
    It makes no randomness (ephemeral keys come from `random_bytes`), frames nothing, knows no identities and
    keeps no replay list. Python cannot erase keys: they live until the garbage collector takes them.

Source: noiseprotocol.org/noise.html, revision 34.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, Literal

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

from ledger.errors import LocalError, RemoteError

KEY_BYTES: Final = 32
"""Bytes of every 25519 and ChaChaPoly key (DHLEN, §4.1)."""
TAG_BYTES: Final = 16
"""Bytes that encryption adds (§4.2)."""
MESSAGE_MAX: Final = 65_535
"""Largest Noise message, in bytes (§3)."""
PLAINTEXT_MAX: Final = MESSAGE_MAX - TAG_BYTES
"""Largest plaintext of one transport message, in bytes."""
NONCE_MAX: Final = 2**64 - 1
"""The nonce that is kept for rekey (§5.1): it never encrypts a message."""

XX: Final = "Noise_XX_25519_ChaChaPoly_BLAKE2b"
"""Nobody knows the other's static key before."""
IK: Final = "Noise_IK_25519_ChaChaPoly_BLAKE2b"
"""The initiator knows the responder's static key; one message less before the first payload."""

RandomBytes = Callable[[int], bytes]
"""Gives n random bytes; the only source of ephemeral keys."""

Token = Literal["e", "s", "ee", "es", "se", "ss", "psk"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A handshake pattern (§7). `responder_known`: a pre-message gives the responder's static key."""

    responder_known: bool
    messages: tuple[tuple[Token, ...], ...]


PATTERNS: Final[dict[str, Pattern]] = {
    "XX": Pattern(False, (("e",), ("e", "ee", "s", "es"), ("s", "se"))),
    "IK": Pattern(True, (("e", "es", "s", "ss"), ("e", "ee", "se"))),
    "XXpsk3": Pattern(False, (("e",), ("e", "ee", "s", "es"), ("s", "se", "psk"))),
}
"""Token tables (§7.5; §9.4 for psk3)."""

_HASHES: Final = {"BLAKE2b": "blake2b", "BLAKE2s": "blake2s", "SHA256": "sha256", "SHA512": "sha512"}
_NONCE: Final = Struct("<4xQ").pack
_ZEROS: Final = bytes(KEY_BYTES)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A 25519 key pair; `private` and `public` are 32 bytes each."""

    private: bytes
    public: bytes

    def __repr__(self) -> str:
        """Show the public half alone, so that no log ever holds the private one."""
        return f"KeyPair(public={self.public.hex()})"

    @staticmethod
    def from_private(private: bytes) -> KeyPair:
        """Derive the public half of 32 private bytes. Raises `LocalError` KEY_LENGTH."""
        return KeyPair(_need(private, "private key"), crypto_scalarmult_base(private))


def dh(pair: KeyPair, public: bytes, kind: Literal["STATIC", "EPHEMERAL"]) -> bytes:
    """Return DH(pair, public) (§4.1); `kind` says whose key `public` is.

    An all-zero result is refused, as RFC 7748 §6.1 and §12.1 of the specification allow: a peer that sends a
    low-order point chose the shared secret alone. Raises `RemoteError` WEAK_STATIC_KEY or WEAK_EPHEMERAL_KEY.
    """
    try:
        shared = crypto_scalarmult(pair.private, public)
    except (CryptoError, RuntimeError):  # libsodium refuses all-zero outputs; older bindings raise otherwise
        shared = _ZEROS
    if shared == _ZEROS:
        told = f"The peer's {kind.lower()} key has a low order and was refused."
        raise RemoteError(f"WEAK_{kind}_KEY", told)
    return shared


class CipherState:
    """A key and its counter `n` (§5.1). Without a key, it passes plaintext through."""

    __slots__ = ("_k", "n")

    def __init__(self, key: bytes | None = None) -> None:
        """InitializeKey: 32 bytes or none, and n = 0."""
        self._k = key
        self.n = 0

    def has_key(self) -> bool:
        """HasKey."""
        return self._k is not None

    def set_nonce(self, nonce: int) -> None:
        """SetNonce; for transports that may lose messages, and for tests of the limit."""
        self.n = nonce

    def encrypt_with_ad(self, ad: bytes, plaintext: bytes) -> bytes:
        """EncryptWithAd: 16 bytes longer than `plaintext`. Raises `LocalError` NONCE_EXHAUSTED at 2^64-1."""
        if self._k is None:
            return plaintext
        if self.n >= NONCE_MAX:
            raise LocalError("NONCE_EXHAUSTED", "This key has no nonce left; close the channel.")
        sealed = crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, ad, _NONCE(self.n), self._k)
        self.n += 1
        return sealed

    def decrypt_with_ad(self, ad: bytes, ciphertext: bytes) -> bytes:
        """DecryptWithAd. On failure `n` stays. Raises `RemoteError` DECRYPT_FAILED, NONCE_EXHAUSTED."""
        if self._k is None:
            return ciphertext
        if self.n >= NONCE_MAX:
            raise RemoteError("NONCE_EXHAUSTED", "The peer used every nonce of its key without closing.")
        if len(ciphertext) < TAG_BYTES:  # the binding would compute a negative length
            raise RemoteError("DECRYPT_FAILED", f"{len(ciphertext)} bytes cannot hold a tag of {TAG_BYTES}.")
        try:
            plain = crypto_aead_chacha20poly1305_ietf_decrypt(ciphertext, ad, _NONCE(self.n), self._k)
        except CryptoError:
            told = "Bytes from the peer do not decrypt; they were changed, replayed or made with another key."
            raise RemoteError("DECRYPT_FAILED", told) from None
        self.n += 1
        return plain

    def rekey(self) -> None:
        """Rekey (§4.2): the key becomes the first 32 bytes of ENCRYPT(k, 2^64-1, "", zeros); `n` goes on."""
        if self._k is None:
            raise LocalError("NO_KEY", "A cipher without a key cannot be rekeyed.")
        sealed = crypto_aead_chacha20poly1305_ietf_encrypt(_ZEROS, b"", _NONCE(NONCE_MAX), self._k)
        self._k = sealed[:KEY_BYTES]


class SymmetricState:
    """Chaining key, transcript hash and the handshake's cipher (§5.2)."""

    __slots__ = ("_hash", "cipher", "ck", "h")

    def __init__(self, protocol_name: str) -> None:
        """InitializeSymmetric. Raises `LocalError` NOISE_PROTOCOL for a hash that is not here."""
        name = protocol_name.encode()
        self._hash = _hash_of(protocol_name)
        size = hashlib.new(self._hash).digest_size
        self.h = name.ljust(size, b"\0") if len(name) <= size else hashlib.new(self._hash, name).digest()
        self.ck = self.h
        self.cipher = CipherState()

    def hkdf(self, material: bytes, outputs: int) -> list[bytes]:
        """HKDF (§4.3): two or three outputs of HASHLEN bytes."""
        key = hmac.digest(self.ck, material, self._hash)
        made: list[bytes] = []
        for number in range(1, outputs + 1):
            made.append(hmac.digest(key, (made[-1] if made else b"") + bytes([number]), self._hash))
        return made

    def mix_key(self, material: bytes) -> None:
        """MixKey."""
        self.ck, key = self.hkdf(material, 2)
        self.cipher = CipherState(key[:KEY_BYTES])

    def mix_hash(self, data: bytes) -> None:
        """MixHash."""
        self.h = hashlib.new(self._hash, self.h + data).digest()

    def mix_key_and_hash(self, material: bytes) -> None:
        """MixKeyAndHash, for pre-shared keys (§9.2)."""
        self.ck, extra, key = self.hkdf(material, 3)
        self.mix_hash(extra)
        self.cipher = CipherState(key[:KEY_BYTES])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """EncryptAndHash."""
        sealed = self.cipher.encrypt_with_ad(self.h, plaintext)
        self.mix_hash(sealed)
        return sealed

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """DecryptAndHash. Raises `RemoteError` DECRYPT_FAILED."""
        plain = self.cipher.decrypt_with_ad(self.h, ciphertext)
        self.mix_hash(ciphertext)
        return plain

    def split(self) -> tuple[CipherState, CipherState]:
        """Split: the ciphers initiator → responder and responder → initiator."""
        first, second = self.hkdf(b"", 2)
        return CipherState(first[:KEY_BYTES]), CipherState(second[:KEY_BYTES])


@dataclass(frozen=True, slots=True)
class Transport:
    """What a finished handshake leaves: one cipher for each direction."""

    sending: CipherState
    receiving: CipherState

    def encrypt(self, plaintext: bytes) -> bytes:
        """Seal one transport message of at most `PLAINTEXT_MAX` bytes."""
        return self.sending.encrypt_with_ad(b"", plaintext)

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Open one transport message. Raises `RemoteError` DECRYPT_FAILED."""
        return self.receiving.decrypt_with_ad(b"", ciphertext)


class HandshakeState:
    """One side of a handshake (§5.3): write and read in turn, then `split`."""

    def __init__(
        self,
        protocol_name: str,
        *,
        initiator: bool,
        prologue: bytes,
        static: KeyPair,
        random_bytes: RandomBytes,
        remote_static: bytes | None = None,
        psks: Sequence[bytes] = (),
    ) -> None:
        """Initialize: mix name, prologue and pre-messages.

        `remote_static` is the responder's key, needed by the initiator of IK and by nobody else. Raises
        `LocalError` NOISE_PROTOCOL, REMOTE_STATIC or KEY_LENGTH.
        """
        self._pattern = _pattern_of(protocol_name)
        if (remote_static is not None) != (initiator and self._pattern.responder_known):
            raise LocalError("REMOTE_STATIC", "The initiator of IK, and it alone, gives a remote static key.")
        self.symmetric = SymmetricState(protocol_name)
        self.symmetric.mix_hash(prologue)
        self._initiator = initiator
        self._s = static
        self._e: KeyPair | None = None
        self.rs: bytes | None = None if remote_static is None else _need(remote_static, "remote static key")
        self.re: bytes | None = None
        self._psks = [_need(psk, "pre-shared key") for psk in psks]
        self._psk_mode = bool(psks)
        self._random_bytes = random_bytes
        self.turn = 0
        if self._pattern.responder_known:
            self.symmetric.mix_hash(static.public if self.rs is None else self.rs)

    @property
    def handshake_hash(self) -> bytes:
        """GetHandshakeHash (§11.2): after the end the same at both ends and nowhere else."""
        return self.symmetric.h

    @property
    def finished(self) -> bool:
        """Whether every message of the pattern is done."""
        return self.turn == len(self._pattern.messages)

    @property
    def my_turn(self) -> bool:
        """Whether this side writes the next message."""
        return not self.finished and (self.turn % 2 == 0) == self._initiator

    def write_message(self, payload: bytes) -> bytes:
        """WriteMessage: the next message. Raises `LocalError` HANDSHAKE_TURN or HANDSHAKE_LENGTH."""
        if not self.my_turn:
            raise LocalError("HANDSHAKE_TURN", "It is not this side's turn to write.")
        state, parts = self.symmetric, list[bytes]()
        for token in self._pattern.messages[self.turn]:
            match token:
                case "e":
                    self._e = KeyPair.from_private(self._random_bytes(KEY_BYTES))
                    self._mix_ephemeral(self._e.public)
                    parts.append(self._e.public)
                case "s":
                    parts.append(state.encrypt_and_hash(self._s.public))
                case _:
                    self._mix(token)
        parts.append(state.encrypt_and_hash(payload))
        self.turn += 1
        message = b"".join(parts)
        if len(message) > MESSAGE_MAX:
            told = f"A handshake message holds {MESSAGE_MAX} bytes, not {len(message)}."
            raise LocalError("HANDSHAKE_LENGTH", told)
        return message

    def read_message(self, message: bytes) -> bytes:
        """ReadMessage: the payload of the peer's next message. After an error the state is of no more use.

        Raises `RemoteError` HANDSHAKE_MALFORMED, DECRYPT_FAILED, WEAK_STATIC_KEY, WEAK_EPHEMERAL_KEY.
        """
        if self.finished or self.my_turn or len(message) > MESSAGE_MAX:
            raise RemoteError("HANDSHAKE_MALFORMED", "A handshake message came out of turn or is too long.")
        state, at = self.symmetric, 0
        for token in self._pattern.messages[self.turn]:
            match token:
                case "e":
                    self.re = _take(message, at, KEY_BYTES)
                    at += KEY_BYTES
                    self._mix_ephemeral(self.re)
                case "s":
                    size = KEY_BYTES + (TAG_BYTES if state.cipher.has_key() else 0)
                    self.rs = state.decrypt_and_hash(_take(message, at, size))
                    at += size
                case _:
                    self._mix(token)
        payload = state.decrypt_and_hash(message[at:])
        self.turn += 1
        return payload

    def split(self) -> Transport:
        """Return the transport of a finished handshake. Raises `LocalError` HANDSHAKE_TURN before its end."""
        if not self.finished:
            raise LocalError("HANDSHAKE_TURN", "The handshake has not ended; there is no transport yet.")
        first, second = self.symmetric.split()
        sending, receiving = (first, second) if self._initiator else (second, first)
        return Transport(sending, receiving)

    def _mix_ephemeral(self, public: bytes) -> None:
        self.symmetric.mix_hash(public)
        if self._psk_mode:  # §9.2: with a pre-shared key, ephemerals enter the chaining key too
            self.symmetric.mix_key(public)

    def _mix(self, token: Token) -> None:
        """Mix a DH (first letter: the initiator's key; second: the responder's) or a pre-shared key."""
        if token == "psk":
            if not self._psks:
                raise LocalError("KEY_LENGTH", "This pattern needs a pre-shared key.", field="psks")
            self.symmetric.mix_key_and_hash(self._psks.pop(0))
            return
        mine, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
        pair = self._e if mine == "e" else self._s
        public = self.re if theirs == "e" else self.rs
        if pair is None or public is None:  # a token table that uses a key before it is sent
            raise LocalError("NOISE_PROTOCOL", f"Token {token} needs a key that is not there yet.")
        self.symmetric.mix_key(dh(pair, public, "EPHEMERAL" if theirs == "e" else "STATIC"))


def _need(key: bytes, field: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise LocalError("KEY_LENGTH", f"A key has {KEY_BYTES} bytes, not {len(key)}.", field=field)
    return key


def _take(message: bytes, at: int, size: int) -> bytes:
    if len(message) < at + size:
        told = f"A handshake message ends after {len(message)} bytes, inside a key."
        raise RemoteError("HANDSHAKE_MALFORMED", told)
    return message[at : at + size]


def _hash_of(protocol_name: str) -> str:
    try:
        return _HASHES[protocol_name.rpartition("_")[2]]
    except KeyError:
        raise LocalError("NOISE_PROTOCOL", f"{protocol_name} names a hash that is not here.") from None


def _pattern_of(protocol_name: str) -> Pattern:
    match protocol_name.split("_"):
        case ["Noise", pattern, "25519", "ChaChaPoly", _] if pattern in PATTERNS:
            return PATTERNS[pattern]
        case _:
            raise LocalError("NOISE_PROTOCOL", f"{protocol_name} is not a Noise protocol that is here.")
