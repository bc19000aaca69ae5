"""Accounts of the people whom this node serves pages to, and invitations, in the vault's table `wallets`.

| key | value |
|---|---|
| "p", blind(login name) | [1, name, wallet, passphrase hash, created, points, own keys?, issuer, subject] |
| "v", SHA-256 of an invitation's code | [1, name, wallet, points, expires] |
| "o", blind(issuer, subject) | the login name bound to that identity |
| "r", blind(login name), request | the id of the key that refused a request, of a wallet that its person took away |

How it works
    An account binds a login name to one wallet kept here. The passphrase is kept as libsodium's argon2id string; an
    invitation by the hash of its code alone, so that a copy of the vault opens nothing. Case does not matter in login
    names. `points` are the person's points of measurement, as the operator has checked them: what is asked about them
    is shown to her.

What it does not do
    It checks no passphrase (node.pages.passphrase) and knows no session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger import codec
from ledger.errors import LocalError
from ledger.rows import Reader, Writer, prefix_stop
from node.exits import not_found
from node.vaults import Blind

TABLE: Final = "wallets"
LOGIN_MAX: Final = 100
"""Longest login name, in characters."""
POINTS_MAX: Final = 100
INVITATIONS_MAX: Final = 10_000
"""Open invitations kept; beyond, those that have expired are swept before another is made."""
_PERSON: Final = b"p"
_INVITATION: Final = b"v"
_IDENTITY: Final = b"o"
_REFUSED: Final = b"r"


@dataclass(frozen=True, slots=True)
class Person:
    """One account. `wallet`: its name here. `hashed`: of the passphrase, "" while none was chosen.

    `own_keys`: she restored the wallet from her own words, so she has a copy of its keys. `identity`: (issuer, subject)
    of an OpenID provider, or None.
    """

    name: str
    wallet: str
    hashed: str
    created: int
    points: tuple[str, ...]
    own_keys: bool = False
    identity: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """Who may open an account, or choose a new passphrase, with a code that is used once. `expires`: unix seconds."""

    name: str
    wallet: str
    points: tuple[str, ...]
    expires: int


def plain_login(text: str) -> str:
    """Return a login name as it is compared: trimmed, without regard to case. Raises LocalError BAD_NAME."""
    name = " ".join(text.split()).casefold()
    if not name.isprintable() or not 1 <= len(name) <= LOGIN_MAX:
        raise LocalError("BAD_NAME", f"a login name has 1 to {LOGIN_MAX} printable characters", field="name")
    return name


class PeopleRows:
    """The rows of this module. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

    def get(self, vault: Reader, name: str) -> Person | None:
        """Return an account by its login name, or None. Raises LocalError BAD_NAME."""
        found = vault.get(TABLE, self._key(name))
        return None if found is None else _person(found)

    def put(self, vault: Writer, person: Person) -> None:
        """Keep an account as it is now."""
        issuer, subject = person.identity or ("", "")
        what = [person.name, person.wallet, person.hashed, person.created, list(person.points), person.own_keys]
        vault.put(TABLE, self._key(person.name), codec.encode([1, *what, issuer, subject]))

    def listing(self, vault: Reader) -> list[Person]:
        """Return every account, by name."""
        found = [_person(value) for _, value in vault.scan(TABLE, _PERSON, prefix_stop(_PERSON))]
        return sorted(found, key=lambda person: person.name)

    def remove(self, vault: Writer, name: str) -> Person:
        """End an account; the wallet stays. Raises LocalError NOT_FOUND."""
        person = self.get(vault, name)
        if person is None:
            raise not_found("No account has this name; `maille pages people` shows them.", "name")
        vault.delete(TABLE, self._key(name))
        if person.identity is not None:
            vault.delete(TABLE, self._identity(*person.identity))
        return person

    # Identities of an OpenID provider

    def bind(self, vault: Writer, person: Person, issuer: str, subject: str) -> Person:
        """Bind an account to an identity. Raises LocalError IDENTITY_TAKEN where another account has it."""
        holder = self.by_identity(vault, issuer, subject)
        if holder is not None and holder.name != person.name:
            raise LocalError("IDENTITY_TAKEN", "this identity belongs to another account here")
        if person.identity is not None:
            vault.delete(TABLE, self._identity(*person.identity))
        bound = replace(person, identity=(issuer, subject))
        vault.put(TABLE, self._identity(issuer, subject), codec.encode(bound.name))
        self.put(vault, bound)
        return bound

    def by_identity(self, vault: Reader, issuer: str, subject: str) -> Person | None:
        """Return the account bound to an identity, or None."""
        found = vault.get(TABLE, self._identity(issuer, subject))
        return None if found is None else self.get(vault, str(codec.decode(found)))

    # Refusals of those who keep their keys alone

    def refused(self, vault: Writer, person: Person, request: bytes, kid: bytes) -> None:
        """Remember by which key a person refused a request: her seed, which would tell, is not here."""
        vault.put(TABLE, self._refused(person) + request, codec.encode(kid))

    def refusal_kid(self, vault: Reader, person: Person, request: bytes) -> bytes | None:
        """Return the id of the key by which she refused a request, or None."""
        found = vault.get(TABLE, self._refused(person) + request)
        kid: Any = None if found is None else codec.decode(found)
        return kid if isinstance(kid, bytes) else None

    def _refused(self, person: Person) -> bytes:
        return _REFUSED + self._blind(b"refused" + plain_login(person.name).encode())

    # Invitations

    def invite(self, vault: Writer, code: bytes, invitation: Invitation, now: int) -> None:
        """Keep an invitation under its code; an older one for the same name ends.

        Raises LocalError TOO_MANY_INVITATIONS.
        """
        open_ones = 0
        for key, value in list(vault.scan(TABLE, _INVITATION, prefix_stop(_INVITATION))):
            held = _invitation(value)
            if held.expires <= now or plain_login(held.name) == plain_login(invitation.name):
                vault.delete(TABLE, key)
            else:
                open_ones += 1
        if open_ones >= INVITATIONS_MAX:
            told = f"There are {INVITATIONS_MAX} open invitations already; wait until some are used or expire."
            raise LocalError("TOO_MANY_INVITATIONS", told)
        what = [invitation.name, invitation.wallet, list(invitation.points), invitation.expires]
        vault.put(TABLE, _code_key(code), codec.encode([1, *what]))

    def invitation(self, vault: Reader, code: bytes, now: int) -> Invitation | None:
        """Return the open invitation of a code, or None: used, expired or never made."""
        found = vault.get(TABLE, _code_key(code))
        invitation = None if found is None else _invitation(found)
        return invitation if invitation is not None and invitation.expires > now else None

    def invitations(self, vault: Reader, now: int) -> list[Invitation]:
        """Return the open invitations."""
        found = (_invitation(value) for _, value in vault.scan(TABLE, _INVITATION, prefix_stop(_INVITATION)))
        return sorted((one for one in found if one.expires > now), key=lambda one: one.name)

    def used(self, vault: Writer, code: bytes) -> None:
        """End an invitation: it was used."""
        vault.delete(TABLE, _code_key(code))

    def _key(self, name: str) -> bytes:
        return _PERSON + self._blind(b"person" + plain_login(name).encode())

    def _identity(self, issuer: str, subject: str) -> bytes:
        return _IDENTITY + self._blind(b"identity" + codec.encode([issuer, subject]))


def check_points(points: Sequence[str]) -> tuple[str, ...]:
    """Return points of measurement as they are kept, each once. Raises LocalError BAD_POINT."""
    from ledger.consent.record import POINT_SCHEMES

    if len(points) > POINTS_MAX:
        raise LocalError("BAD_POINT", f"a person has at most {POINTS_MAX} points here", field="point")
    for point in points:
        scheme, _, name = point.partition(":")
        if scheme not in POINT_SCHEMES or not name or (scheme in ("prm", "pce") and not _is_number(name)):
            raise LocalError(
                "BAD_POINT", f"{point!r} is no point: prm: or pce: and 14 digits, or water:…", field="point"
            )
    return tuple(dict.fromkeys(points))


def _is_number(name: str) -> bool:
    return len(name) == 14 and name.isascii() and name.isdigit()


def _code_key(code: bytes) -> bytes:
    return _INVITATION + hashlib.sha256(b"maille invitation" + code).digest()


def _person(data: bytes) -> Person:
    fields: Any = codec.decode(data)
    _, name, wallet, hashed, created, points, own_keys, issuer, subject = fields
    identity = (issuer, subject) if issuer else None
    return Person(name, wallet, hashed, created, tuple(points), own_keys, identity)


def _invitation(data: bytes) -> Invitation:
    fields: Any = codec.decode(data)
    _, name, wallet, points, expires = fields
    return Invitation(name, wallet, tuple(points), expires)
