"""Disclosures: the sealed half of a consent, hidden in salted slots on the ledger, carried off it under seal.

How it works
    On the ledger stands one digest a slot, SD-CWT style: SHA-256 over the CBOR byte string that wraps CBOR
    [salt16, value, field]. How many slots an entry has tells which table of fields they are of. The name is hashed
    in, and field n must be in slot n, so no second truth can hide among the decoys that fill the unused slots. Off the
    ledger the values travel as a sealed blob:

      blob = CBOR [suite 1, entry id, [[reader's kid, wrapped key], …], nonce 24, ciphertext]
      ciphertext = XChaCha20-Poly1305(key, CBOR {field: [salt, value]})
        under the associated data: entry id ‖ typ ‖ suite ‖ SHA-256(CBOR of the readers' list)
      wrapped key = libsodium's sealed box, to the reader's X25519 key, of CBOR [entry id, kid, key]

    The X25519 key is converted from the reader's Ed25519 key. The readers' list is in the associated data: who
    else may read is no more malleable than what is read. A selection of the fields can be sealed by itself.

What it does not do
    It stores nothing: the vault does, and forgets. It draws no randomness but what `random_bytes` gives. It
    does not hide the blob's size, nor who the readers are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_box,
    crypto_box_seal_open,
    crypto_box_seed_keypair,
    crypto_scalarmult_base,
    crypto_sign_ed25519_pk_to_curve25519,
    crypto_sign_ed25519_sk_to_curve25519,
)
from nacl.exceptions import CryptoError

from ledger import codec
from ledger.consent import bounds
from ledger.consent.bounds import Bounds
from ledger.consent.kinds import BOUND_COUNT, SLOT_COUNT
from ledger.consent.record import FIELDS, FREE_SLOTS, SLOTS, Terms
from ledger.entry import Entry, typ_of_kind
from ledger.errors import LocalError, RemoteError
from ledger.keys import SigningKey, thumbprint

RandomBytes: TypeAlias = Callable[[int], bytes]
"""So many random bytes, from whoever may draw them."""

TABLES: Final[dict[int, Mapping[str, int]]] = {SLOT_COUNT: SLOTS, BOUND_COUNT: bounds.SLOTS}
"""Number of slots -> field -> slot: those of a consent, those of a delegation's bounds."""
SALT_BYTES: Final = 16
DIGEST_BYTES: Final = 32
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
SUITE: Final = 1
"""The only suite: XChaCha20-Poly1305, sealed boxes, SHA-256. Another one is another number."""
READERS_MAX: Final = 16
SEALED_MAX: Final = 65_536
"""The largest sealed blob, and the largest set of opened disclosures, in bytes."""


@dataclass(frozen=True, slots=True)
class Disclosures:
    """What was hidden: field -> (salt, CBOR value), some fields or all. Personal data: for the vault alone."""

    fields: Mapping[str, tuple[bytes, Any]]

    def __repr__(self) -> str:
        """Show names only: a value must not reach a log by accident."""
        return f"Disclosures({', '.join(self.fields)})"

    def only(self, names: Iterable[str]) -> Disclosures:
        """Return the disclosures of these fields alone. Raises LocalError DISCLOSURE_MISSING."""
        chosen = tuple(names)
        for name in chosen:
            if name not in self.fields:
                raise LocalError("DISCLOSURE_MISSING", "this field is not among the disclosures", field=name)
        return Disclosures({name: self.fields[name] for name in chosen})

    def terms(self) -> Terms:
        """Return the terms they hold. Raises RemoteError DISCLOSURE_MISSING (fields named), TERMS_INVALID."""
        missing = [name for name in FIELDS if name not in self.fields]
        if missing:
            raise RemoteError(
                "DISCLOSURE_MISSING",
                "not disclosed; ask the person or her host for them",
                field=", ".join(missing),
            )
        return Terms.from_values({name: value for name, (_, value) in self.fields.items()})

    def bounds(self) -> Bounds:
        """Return the bounds of a delegation. Raises RemoteError DISCLOSURE_MISSING (fields named), BOUNDS_INVALID."""
        missing = [name for name in bounds.FIELDS if name not in self.fields]
        if missing:
            told = "not disclosed; ask the person or her host for them"
            raise RemoteError("DISCLOSURE_MISSING", told, field=", ".join(missing))
        return Bounds.from_values({name: value for name, (_, value) in self.fields.items()})

    def encode(self) -> bytes:
        """Return them as CBOR, for the vault. Raises LocalError DISCLOSURES_TOO_LARGE."""
        data = codec.encode({name: [salt, value] for name, (salt, value) in self.fields.items()})
        if len(data) > SEALED_MAX:
            raise LocalError("DISCLOSURES_TOO_LARGE", f"disclosures have at most {SEALED_MAX} bytes; name less")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Disclosures:
        """Read what `encode` wrote. Raises RemoteError CBOR_*, DISCLOSURES_MALFORMED.

        It does not hold them to any entry: `check` does.
        """
        value = codec.decode(data, max_bytes=SEALED_MAX)
        if type(value) is not dict:
            raise RemoteError("DISCLOSURES_MALFORMED", "disclosures are a map")
        fields: dict[str, tuple[bytes, Any]] = {}
        for name, pair in value.items():
            if type(name) is not str or not any(name in table for table in TABLES.values()):
                raise RemoteError("DISCLOSURES_MALFORMED", "schema 1 has no such field", field=str(name)[:40])
            if type(pair) is not list or len(pair) != 2:
                raise RemoteError("DISCLOSURES_MALFORMED", "a disclosure is [salt, value]", field=name)
            salt = pair[0]
            if type(salt) is not bytes or len(salt) != SALT_BYTES:
                raise RemoteError("DISCLOSURES_MALFORMED", f"a salt has {SALT_BYTES} bytes", field=name)
            fields[name] = (salt, pair[1])
        return cls(fields)


def slot_digest(salt: bytes, value: Any, name: str) -> bytes:
    """Return the digest that hides `value`: SHA-256 over bstr(CBOR [salt, value, name]).

    Raises LocalError UNENCODABLE when the value is outside the ledger's data model.
    """
    return hashlib.sha256(codec.encode(codec.encode([salt, value, name]))).digest()


def hide(terms: Terms, random_bytes: RandomBytes) -> tuple[bytes, Disclosures]:
    """Return (slots, disclosures): the digests of all slots in order, and what opens them.

    Every call draws fresh salts and decoys: two consents never share one. Raises LocalError UNENCODABLE, with
    the field, for text that is not in Unicode normal form C.
    """
    return _hide(terms.values(), FREE_SLOTS, random_bytes)


def hide_bounds(limits: Bounds, random_bytes: RandomBytes) -> tuple[bytes, Disclosures]:
    """Return (slots, disclosures) of a delegation's bounds, as `hide` does."""
    return _hide(limits.values(), bounds.FREE_SLOTS, random_bytes)


def _hide(values: Mapping[str, Any], free: int, random_bytes: RandomBytes) -> tuple[bytes, Disclosures]:
    digests, fields = [], {}
    for name, value in values.items():
        salt = random_bytes(SALT_BYTES)
        try:
            digests.append(slot_digest(salt, value, name))
        except LocalError as error:
            raise LocalError(error.code, error.message, field=name) from None
        fields[name] = (salt, value)
    # A decoy is a digest as well: nothing about the source of randomness sets it apart.
    digests += [hashlib.sha256(random_bytes(DIGEST_BYTES)).digest() for _ in range(free)]
    return b"".join(digests), Disclosures(fields)


def check(disclosures: Disclosures, slots: bytes) -> None:
    """Hold each disclosure to its slot. Raises RemoteError DISCLOSURE_MISMATCH, naming every field that fails."""
    wrong = [name for name, (salt, value) in disclosures.fields.items() if not _opens(slots, salt, value, name)]
    if wrong:
        raise RemoteError(
            "DISCLOSURE_MISMATCH",
            "the value is not what the entry's slot was made of; refuse it and ask its sender",
            field=", ".join(wrong),
        )


def _opens(slots: bytes, salt: bytes, value: Any, name: str) -> bool:
    table = TABLES.get(len(slots) // DIGEST_BYTES, {})
    if name not in table:
        return False
    start = table[name] * DIGEST_BYTES
    try:
        return slot_digest(salt, value, name) == slots[start : start + DIGEST_BYTES]
    except LocalError:  # outside the ledger's data model: no slot was ever made of it
        return False


def seal(disclosures: Disclosures, entry: Entry, readers: Sequence[bytes], random_bytes: RandomBytes) -> bytes:
    """Seal the disclosures of an entry that has slots for `readers` (Ed25519 public keys); return the blob.

    Raises LocalError SEAL_READERS, DISCLOSURES_TOO_LARGE; RemoteError DISCLOSURE_MISMATCH, WEAK_KEY.
    """
    check(disclosures, entry.payload["slots"])
    return seal_bytes(disclosures.encode(), entry, readers, random_bytes)


def seal_bytes(plaintext: bytes, entry: Entry, readers: Sequence[bytes], random_bytes: RandomBytes) -> bytes:
    """Seal what belongs to `entry` for `readers`, bound to it; the caller has held it to the entry.

    Raises LocalError SEAL_READERS, DISCLOSURES_TOO_LARGE; RemoteError WEAK_KEY.
    """
    if not 1 <= len(readers) <= READERS_MAX or len(set(readers)) != len(readers):
        raise LocalError("SEAL_READERS", f"name 1 to {READERS_MAX} readers, each once", field="readers")
    key, nonce = random_bytes(KEY_BYTES), random_bytes(NONCE_BYTES)
    wraps = [_wrap(entry.id, reader, key, random_bytes) for reader in readers]
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, _bound(entry, wraps), nonce, key)
    blob = codec.encode([SUITE, entry.id, wraps, nonce, sealed])
    if len(blob) > SEALED_MAX:
        raise LocalError("DISCLOSURES_TOO_LARGE", f"a sealed blob has at most {SEALED_MAX} bytes; name less")
    return blob


def sealed_for(blob: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Return (entry id, readers' kids) of a sealed blob, unverified: to know which entry to fetch, and whose it is.

    Raises RemoteError SEALED_MALFORMED, SEALED_SUITE, CBOR_*.
    """
    entry_id, wraps, _, _ = _parts(blob)
    return entry_id, tuple(kid for kid, _ in wraps)


def open_sealed(blob: bytes, entry: Entry, reader: SigningKey) -> Disclosures:
    """Open a blob that was sealed for `entry` and `reader`, and hold every disclosure to its slot.

    Raises RemoteError SEALED_MALFORMED, SEALED_SUITE, SEALED_OTHER_ENTRY, DISCLOSURE_NOT_FOR_YOU, SEALED_BROKEN,
    DISCLOSURES_MALFORMED, DISCLOSURE_MISMATCH, CBOR_*.
    """
    if "slots" not in entry.payload:
        raise RemoteError("SEALED_OTHER_ENTRY", "nothing is sealed for an entry of this kind", field="entry")
    disclosures = Disclosures.decode(open_bytes(blob, entry, reader))
    check(disclosures, entry.payload["slots"])
    return disclosures


def open_bytes(blob: bytes, entry: Entry, reader: SigningKey) -> bytes:
    """Open a blob that was sealed for `entry` and `reader`; the caller holds what is in it to the entry.

    Raises RemoteError SEALED_MALFORMED, SEALED_SUITE, SEALED_OTHER_ENTRY, DISCLOSURE_NOT_FOR_YOU, SEALED_BROKEN.
    """
    entry_id, wraps, nonce, sealed = _parts(blob)
    if entry_id != entry.id:
        raise RemoteError("SEALED_OTHER_ENTRY", "the blob belongs to another entry", field="entry")
    key = _unwrap(entry_id, wraps, reader)
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, _bound(entry, wraps), nonce, key)
    except CryptoError:
        raise RemoteError("SEALED_BROKEN", "the blob was altered; ask its sender for it again") from None


def _parts(blob: bytes) -> tuple[bytes, list[list[bytes]], bytes, bytes]:
    match codec.decode(blob, max_bytes=SEALED_MAX):
        case [int(suite), *_] if suite != SUITE:
            raise RemoteError("SEALED_SUITE", f"suite {suite} is unknown here; only {SUITE} is", field="suite")
        case [int(), bytes(entry_id), list(wraps), bytes(nonce), bytes(sealed)]:
            pass
        case _:
            raise RemoteError("SEALED_MALFORMED", "a blob is [suite, entry id, readers, nonce, ciphertext]")
    if len(entry_id) != 32 or len(nonce) != NONCE_BYTES or not 1 <= len(wraps) <= READERS_MAX:
        raise RemoteError("SEALED_MALFORMED", "the entry id, the nonce or the readers' list has a wrong size")
    readers: list[list[bytes]] = []
    for wrap in wraps:
        match wrap:
            case [bytes(kid), bytes(wrapped)] if len(kid) == 32:
                readers.append([kid, wrapped])
            case _:
                raise RemoteError("SEALED_MALFORMED", "a reader is [kid, wrapped key]", field="readers")
    return entry_id, readers, nonce, sealed


def _bound(entry: Entry, wraps: list[list[bytes]]) -> bytes:
    """Return the associated data: what the ciphertext is bound to. Sizes are fixed but the type's, in the middle."""
    readers = hashlib.sha256(codec.encode(wraps)).digest()
    return entry.id + typ_of_kind(entry.kind).encode() + bytes((SUITE,)) + readers


def _wrap(entry_id: bytes, reader: bytes, key: bytes, random_bytes: RandomBytes) -> list[bytes]:
    """Return [kid, sealed box of CBOR [entry id, kid, key]].

    libsodium's own `crypto_box_seal` draws its randomness itself; the same construction is spelt out here:
    ephemeral public key ‖ crypto_box under the nonce BLAKE2b-192(ephemeral public key ‖ reader's key).
    """
    try:
        to = crypto_sign_ed25519_pk_to_curve25519(reader)
    except (CryptoError, RuntimeError, TypeError, ValueError):
        raise RemoteError("WEAK_KEY", "a reader's key is not a sound Ed25519 key", field="readers") from None
    kid = thumbprint(reader)
    public, secret = crypto_box_seed_keypair(random_bytes(KEY_BYTES))
    nonce = hashlib.blake2b(public + to, digest_size=NONCE_BYTES).digest()
    return [kid, public + crypto_box(codec.encode([entry_id, kid, key]), nonce, to, secret)]


def _unwrap(entry_id: bytes, wraps: list[list[bytes]], reader: SigningKey) -> bytes:
    wrapped = next((wrapped for kid, wrapped in wraps if kid == reader.kid), None)
    if wrapped is None:
        raise RemoteError("DISCLOSURE_NOT_FOR_YOU", "this key is not among the readers of the blob", field="readers")
    secret = crypto_sign_ed25519_sk_to_curve25519(reader.seed + reader.public)
    try:
        inner = codec.decode(crypto_box_seal_open(wrapped, crypto_scalarmult_base(secret), secret))
    except (CryptoError, TypeError, ValueError):
        raise RemoteError("SEALED_BROKEN", "the wrapped key was altered; ask for the blob again") from None
    match inner:
        case [bytes(entry), bytes(kid), bytes(key)] if (entry, kid, len(key)) == (entry_id, reader.kid, KEY_BYTES):
            return key
        case _:
            raise RemoteError("SEALED_BROKEN", "the wrapped key was made for another entry or reader")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A proof kept elsewhere (a signed paper, a screenshot): of what kind, its SHA-256, type, and when captured.

    Its salted digest may stand in clear in a grant. Whether the evidence was checked, and by whom, changes over
    time and is therefore not part of it.
    """

    kind: str
    sha256: bytes
    media_type: str
    captured_at: int
    salt: bytes

    def digest(self) -> bytes:
        """Return what stands in the grant's `evidence` list; made as a slot's digest is, under the name "evidence"."""
        return slot_digest(self.salt, self.value()[1:], "evidence")

    def value(self) -> list[Any]:
        """Return it with its salt, as a CBOR list: for the vault."""
        return [self.salt, self.kind, self.sha256, self.media_type, self.captured_at]
