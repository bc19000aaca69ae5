"""To whom a consent is handed on: the public keys that another wallet has for it, as a text that travels.

How it works
    Whoever takes a consent on derives the keys that her wallet has for it (`heir_of`) and gives their public halves to
    the one who hands it on: `code` is a line of text with a checksum, in which her new host may be named. It says
    nothing secret: whoever else holds it can only hand this one consent to her.

What it does not do
    It signs nothing (acts.make_rekey does). That the text comes from the right person is for the two to make sure.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger import codec
from ledger.consent.status import Party
from ledger.consent.wallet import Wallet
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.keys import KEY_BYTES, SigningKey

PREFIX: Final = "heir1."
CODE_MAX: Final = 400
"""Longest text that is read, in characters."""
_CHECK_BYTES: Final = 4
_ID_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Heir:
    """Public keys (32 bytes each) for one grant (its id): the one in force from then on, and the one that withdraws.

    `host`: the member that will keep them, if one will.
    """

    grant: bytes
    key: bytes
    withdraw_key: bytes
    host: Party | None = None

    def code(self) -> str:
        """Return the text."""
        host = None if self.host is None else list(self.host)
        data = codec.encode([self.grant, self.key, self.withdraw_key, host])
        return PREFIX + urlsafe_b64encode(data + sha256(data).digest()[:_CHECK_BYTES]).decode().rstrip("=")


def heir_of(wallet: Wallet, grant: Entry, host: Party | None = None) -> Heir:
    """Return the public keys that a wallet has for a consent, whoever's it is."""
    ident = grant.thing[1]
    withdraw_key = SigningKey.from_seed(wallet.withdraw_seed(ident)).public
    return Heir(grant.id, wallet.consent_key(ident).public, withdraw_key, host)


def parse_heir(text: str) -> Heir:
    """Read a text that `Heir.code` wrote; spaces and line breaks in it do not matter. Raises LocalError BAD_HEIR."""
    line = "".join(text.split())
    try:
        if not line.startswith(PREFIX) or len(line) > CODE_MAX:
            raise _bad()
        body = line[len(PREFIX) :]
        raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        data, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        if sha256(data).digest()[:_CHECK_BYTES] != check:
            raise _bad()
        match codec.decode(data, max_bytes=CODE_MAX):
            case [bytes(grant), bytes(key), bytes(withdraw_key), host] if (len(grant), len(key), len(withdraw_key)) == (
                _ID_BYTES,
                KEY_BYTES,
                KEY_BYTES,
            ) and key != withdraw_key:
                found = Heir(grant, key, withdraw_key, _host(host))
            case _:
                raise _bad()
    except (Base64Error, ValueError, RemoteError):
        raise _bad() from None
    if found.code() != line:
        raise _bad()
    return found


def _host(value: object) -> Party | None:
    match value:
        case None:
            return None
        case [bytes(kid), int(incarnation)] if len(kid) == _ID_BYTES and 0 < incarnation < 1 << 32:
            return kid, incarnation
        case _:
            raise _bad()


def _bad() -> LocalError:
    told = "this is no text of `maille consent take-on`, or a part of it is missing; copy it whole"
    return LocalError("BAD_HEIR", told, field="heir")
