"""Identities: a provider says that a key belonged to a person it knows at a time, and shows no name (consent.md §5).

How it works
    `identity.attest` is about the id of a key. It names the issuer ("franceconnect", "counter of the town hall"), a
    level, the time of the check, and a salted digest of the identity: the pivot fields, or the issuer's own subject.
    Whoever is given the salt and the fields can tell that they are the ones. Levels are the provider's: weak (a mail
    address), substantial (FranceConnect), high (an identity card in person).

    `strongest` picks what is best known of a key; attestations of unknown issuers count for nothing.

What it does not do
    It proves nobody's identity to anyone who does not trust the issuer: the caller says whom it trusts, and at which
    level at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger.consent.disclosure import slot_digest
from ledger.consent.kinds import IDENTITY_LEVELS
from ledger.consent.status import Party
from ledger.errors import LocalError, RemoteError

SALT_BYTES: Final = 16
FIELDS: Final = ("sub", "family_name", "given_name", "birthdate", "birthplace", "birthcountry", "gender", "siren")
"""What an identity may hold: FranceConnect's pivot fields and its subject, or an organisation's number."""
_FIELD_MAX: Final = 200
_SLOT: Final = "identity"


def digest(fields: Mapping[str, str], salt: bytes) -> bytes:
    """Return the salted digest of an identity. Raises LocalError BAD_IDENTITY."""
    unknown = [name for name in fields if name not in FIELDS]
    if unknown or not fields or any(not 0 < len(value) <= _FIELD_MAX for value in fields.values()):
        told = f"an identity holds texts of {', '.join(FIELDS)}, each of at most {_FIELD_MAX} characters"
        raise LocalError("BAD_IDENTITY", told, field=", ".join(unknown))
    return slot_digest(salt, dict(fields), _SLOT)


def payload(issuer: str, level: str, at: int, fields: Mapping[str, str], salt: bytes) -> dict[str, Any]:
    """Return the payload of an `identity.attest`. Raises LocalError BAD_IDENTITY."""
    if level not in IDENTITY_LEVELS:
        raise LocalError("BAD_IDENTITY", f"a level is one of {', '.join(IDENTITY_LEVELS)}", field="level")
    return {"issuer": issuer, "level": level, "at": at, "digest": digest(fields, salt)}


@dataclass(frozen=True, slots=True)
class Attested:
    """One attestation: its entry, who signed it, the key it is about, and what it says."""

    entry: bytes
    by: Party
    kid: bytes
    issuer: str
    level: str
    at: int
    digest: bytes

    def check(self, fields: Mapping[str, str], salt: bytes) -> None:
        """Hold an identity to the attestation. Raises RemoteError DISCLOSURE_MISMATCH; LocalError BAD_IDENTITY."""
        if digest(fields, salt) != self.digest:
            raise RemoteError("DISCLOSURE_MISMATCH", "this identity is not the one that was attested", field="digest")


def strongest(
    attestations: Iterable[Attested], kid: bytes, trusted: Mapping[tuple[Party, str], str], now: int
) -> Attested | None:
    """Return the best attestation of a key: the highest level, the newest of it, the smallest id. None if none counts.

    `trusted`: (who may sign, for which issuer) -> the highest level that is believed of it. Those dated after `now`
    do not count.
    """
    best: tuple[int, int, bytes] | None = None
    found = None
    for one in attestations:
        believed = trusted.get((one.by, one.issuer))
        if one.kid != kid or one.at > now or believed is None:
            continue
        level = min(IDENTITY_LEVELS.index(one.level), IDENTITY_LEVELS.index(believed))
        rank = (level, one.at, bytes(255 - byte for byte in one.entry))
        if best is None or rank > best:
            best, found = rank, one
    return found
