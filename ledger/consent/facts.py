"""Facts: one statement about a person, signed by whoever knows it, shown by her alone, without the data behind it.

How it works
    `fact.attest` hides four fields in salted slots: the statement ("lives in the city"), its value, what it is about,
    and what it rests on. It names the id of a key of the person (`subject`) and the day it ends. She shows a `Showing`:
    the entry, the fields she chooses to open, and a signature of her key over the showing, the audience and the
    audience's nonce, so that a copy is worth nothing to anyone else, nor at another counter.

    `check` needs the issuer's key, which the verifier holds from elsewhere, and no network.

What it does not do
    It cannot show that a fact was not revoked since: a node of the mesh can (`fact.revoke`). It does not make a
    statement true: its issuer answers for it. Two showings of one fact can be linked; ask for a fact anew for each
    place where that matters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.disclosure import RandomBytes, slot_digest
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.keys import SigningKey, thumbprint, verify
from ledger.schema import DAY

FIELDS: Final = ("statement", "value", "about", "basis")
"""The sealed fields, in slot order."""
NEEDED: Final = ("statement", "value")
"""What every showing opens."""
TEXT_MAX: Final = 500
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 16
SHOWING_MAX: Final = 16_384
"""The largest showing, in bytes."""
AGE_MAX: Final = 600
"""How old a showing may be when it is checked, and how far ahead of the verifier's clock, in seconds."""
_DIGEST: Final = 32
_DOMAIN: Final = "maille fact shown 1"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Fact:
    """What is attested. `value`: true, false, a whole number or a text. `about`, `basis`: texts, or empty."""

    statement: str
    value: bool | int | str
    about: str = ""
    basis: str = ""

    def __repr__(self) -> str:
        """Show nothing of it: it is about a person."""
        return "Fact(...)"

    def values(self) -> dict[str, Any]:
        """Return the fields in slot order. Raises LocalError BAD_FACT."""
        texts = (self.statement, self.about, self.basis, self.value if type(self.value) is str else "")
        if not self.statement.strip() or any(len(text) > TEXT_MAX for text in texts):
            told = f"a fact has a statement; its texts have at most {TEXT_MAX} characters"
            raise LocalError("BAD_FACT", told, field="statement")
        return {"statement": self.statement, "value": self.value, "about": self.about, "basis": self.basis}


Opened = Mapping[str, tuple[bytes, Any]]
"""Field -> (salt, value)."""


def hide(fact: Fact, random_bytes: RandomBytes) -> tuple[bytes, dict[str, tuple[bytes, Any]]]:
    """Return the slots and what opens them. Raises LocalError BAD_FACT."""
    opened = {name: (random_bytes(SALT_BYTES), value) for name, value in fact.values().items()}
    return b"".join(slot_digest(salt, value, name) for name, (salt, value) in opened.items()), opened


def payload(subject: bytes, valid_until: int, slots: bytes) -> dict[str, Any]:
    """Return the payload of a `fact.attest`. `subject`: the kid of the person's key; the end is rounded to a day."""
    return {"subject": subject, "valid_until": valid_until - valid_until % DAY, "slots": slots}


@dataclass(frozen=True, slots=True)
class Showing:
    """A fact as it is shown. `audience`, `nonce`: for whom, and what she was asked with. `at`: unix seconds."""

    entry: bytes
    opened: tuple[tuple[str, bytes, Any], ...]
    audience: str
    nonce: bytes
    at: int
    public: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Return the bytes that `read` takes."""
        return codec.encode([_VERSION, *self._signed(), self.public, self.signature])

    def _signed(self) -> list[Any]:
        return [self.entry, [list(each) for each in self.opened], self.audience, self.nonce, self.at]

    def message(self) -> bytes:
        """Return what her key signs."""
        return hashlib.sha256(codec.encode([_DOMAIN, *self._signed()])).digest()

    @classmethod
    def read(cls, data: bytes) -> Showing:
        """Read a showing, of which nothing is checked yet. Raises RemoteError FACT_MALFORMED, CBOR_*."""
        match codec.decode(data, max_bytes=SHOWING_MAX):
            case [
                version,
                bytes(entry),
                list(rows),
                str(audience),
                bytes(nonce),
                int(at),
                bytes(public),
                bytes(by),
            ] if type(version) is int and version == _VERSION:
                return cls(entry, tuple(map(_row, rows)), audience, nonce, at, public, by)
            case _:
                raise RemoteError("FACT_MALFORMED", "this is no fact that someone shows; ask for the file again")


def _row(row: Any) -> tuple[str, bytes, Any]:
    match row:
        case [str(name), bytes(salt), bool() | int() | str() as value] if name in FIELDS and len(salt) == SALT_BYTES:
            return name, salt, value
        case _:
            raise RemoteError("FACT_MALFORMED", "an opened field is [name, salt, value]", field="fields")


def show(
    entry: Entry, opened: Opened, names: Iterable[str], key: SigningKey, audience: str, nonce: bytes, now: int
) -> Showing:
    """Show a fact to one audience. `names`: the fields to open beside those that are needed; `key`: hers.

    Raises LocalError NOT_YOUR_FACT, BAD_FACT.
    """
    if entry.kind != "fact.attest" or entry.payload["subject"] != key.kid:
        raise LocalError("NOT_YOUR_FACT", "the fact is about another key; use the wallet it was made for")
    chosen = [name for name in FIELDS if name in (*NEEDED, *names)]
    unknown = [name for name in names if name not in opened]
    if unknown or len(nonce) != NONCE_BYTES or not audience:
        told = f"a fact opens {', '.join(FIELDS)}, to a named audience, with its nonce of {NONCE_BYTES} bytes"
        raise LocalError("BAD_FACT", told, field=", ".join(unknown))
    rows = tuple((name, *opened[name]) for name in chosen)
    unsigned = Showing(entry.raw, rows, audience, nonce, now, key.public, b"")
    return Showing(entry.raw, rows, audience, nonce, now, key.public, key.sign(unsigned.message()))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a showing that holds says. `issuer`: the public key that attested it; `fields`: what was opened."""

    entry: Entry
    issuer: bytes
    fields: Mapping[str, Any]
    valid_until: int


def check(showing: Showing, issuers: Iterable[bytes], audience: str, nonce: bytes, now: int) -> Shown:
    """Check a showing; `issuers`: the public keys that are believed. Needs no network.

    Raises RemoteError FACT_ISSUER, FACT_NOT_HERS, FACT_OTHER_AUDIENCE, FACT_TIME, FACT_EXPIRED, DISCLOSURE_MISMATCH,
    FACT_MALFORMED, and what a bad entry raises.
    """
    entry = Entry.decode(showing.entry)
    if entry.kind != "fact.attest":
        raise RemoteError("FACT_MALFORMED", "the entry attests no fact", field="entry")
    if entry.signer not in set(issuers):
        raise RemoteError("FACT_ISSUER", "whoever attested this is none of those you believe", field="issuer")
    hers = thumbprint(showing.public) == entry.payload["subject"]
    if not hers or not verify(showing.public, showing.message(), showing.signature):
        raise RemoteError("FACT_NOT_HERS", "whoever shows this is not the person it is about", field="signature")
    if (showing.audience, showing.nonce) != (audience, nonce):
        raise RemoteError("FACT_OTHER_AUDIENCE", "it was shown to someone else, or before; ask anew", field="nonce")
    if abs(now - showing.at) > AGE_MAX:
        raise RemoteError("FACT_TIME", f"it was signed more than {AGE_MAX} s from now; ask anew", field="at")
    if now >= entry.payload["valid_until"]:
        raise RemoteError("FACT_EXPIRED", "the fact was attested until a day that has passed", field="valid_until")
    return Shown(entry, entry.signer, _opened(showing, entry), entry.payload["valid_until"])


def _opened(showing: Showing, entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, salt, value in showing.opened:
        at = FIELDS.index(name) * _DIGEST
        if name in found or slot_digest(salt, value, name) != entry.payload["slots"][at : at + _DIGEST]:
            raise RemoteError("DISCLOSURE_MISMATCH", "this field is not what was attested", field=name)
        found[name] = value
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise RemoteError("FACT_MALFORMED", "a fact shows its statement and its value", field=", ".join(missing))
    return found
