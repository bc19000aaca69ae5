"""Capability tokens: derived from a consent, narrowed by anyone who holds one, never wider; and one-time shares.

How it works
    A token names a grant and the holder of its data, and lists caveats. Each only takes away: points, windows, the
    finest step, a computation whose result alone may be had, the recipient, the end. Its seal is a chain of HMACs, as
    macaroons have it:

      seal 0 = HMAC-SHA256(key, CBOR ["maille token", 1, id, grant, holder])
      seal n = HMAC-SHA256(seal n-1, CBOR caveat n)

    The key never leaves the holder's vault. Whoever has a token can add a caveat, since the last seal is in it, and
    nobody can take one off, since the seals before are not. `verify` runs the chain anew and gives the `Limits`, the
    intersection of all caveats, which the gate holds the flow to beside the consent itself. A caveat that is not
    known here refuses the token: it may take away what we cannot see.

    A `Share` lets someone fetch a token with a code, once. A code of CODE_BITS random bits may be tried without end;
    a short one SHORT_TRIES times, then the share is dead, whatever is tried next.

What it does not do
    A token gives no right that its consent does not give: the gate decides under the consent, each time. It proves
    nothing to anybody but the holder. It keeps no keys and no shares (node/vaults).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger import codec
from ledger.consent.granularity import DURATION, covers, parse_duration
from ledger.consent.record import DATE_MAX, POINTS_MAX, WINDOWS_MAX, Window
from ledger.consent.status import Party
from ledger.errors import LocalError, RemoteError
from ledger.schema import HASH, PARTY
from ledger.shapes import Shape, integer, list_of, octets, text, tuple_of

DOMAIN: Final = "maille token"
VERSION: Final = 1
KEY_BYTES: Final = 32
ID_BYTES: Final = 16
SEAL_BYTES: Final = 32
CAVEATS_MAX: Final = 16
TOKEN_BYTES_MAX: Final = 8_192

RandomBytes = Callable[[int], bytes]

_DATE: Final = integer(0, DATE_MAX)
CAVEATS: Final[dict[str, Shape]] = {
    "points": list_of(text(40), 0, POINTS_MAX),
    "windows": list_of(tuple_of(_DATE, _DATE), 0, WINDOWS_MAX),
    "granularity": DURATION,
    "aggregation": text(100),
    "recipient": PARTY,
    "expires": _DATE,
}
"""What a caveat may take away, by name, and the shape of its value."""

_TOKEN: Final = tuple_of(
    integer(VERSION, VERSION),
    octets(ID_BYTES),
    HASH,
    PARTY,
    list_of(
        Shape(lambda value: type(value) is list and len(value) == 2, "[name, value]", "[tstr, any]"), 0, CAVEATS_MAX
    ),
    octets(SEAL_BYTES),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a token allows at most; None is no limit. `expires`: unix seconds; at that second it is over.

    `aggregation`: only the result of this computation, so no readings.
    """

    grant: bytes
    expires: int
    points: frozenset[str] | None = None
    windows: tuple[Window, ...] | None = None
    granularity: str | None = None
    aggregation: str | None = None
    recipient: Party | None = None

    def with_caveat(self, name: str, value: Any) -> Limits:
        """Return what is left after one more caveat: never more. `value`: of the shape that `CAVEATS` says."""
        match name:
            case "points":
                points = frozenset(value)
                return replace(self, points=points if self.points is None else self.points & points)
            case "windows":
                own = ((0, DATE_MAX),) if self.windows is None else self.windows
                pairs = ((max(a, c), min(b, d)) for a, b in own for c, d in value)
                return replace(self, windows=tuple(sorted({(a, b) for a, b in pairs if a < b})))
            case "granularity":
                if self.granularity is None or as_coarse(value, self.granularity):
                    return replace(self, granularity=value)
                return self if as_coarse(self.granularity, value) else self._nothing()
            case "aggregation":
                return replace(self, aggregation=value) if self.aggregation in (None, value) else self._nothing()
            case "recipient":
                party = (value[0], value[1])
                return replace(self, recipient=party) if self.recipient in (None, party) else self._nothing()
            case _:
                return replace(self, expires=min(self.expires, value))

    def _nothing(self) -> Limits:
        """Two caveats that no reading fits at once."""
        return replace(self, points=frozenset())


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is handed on. `seal` is a secret: who has it has the token."""

    id: bytes
    grant: bytes
    holder: Party
    caveats: tuple[tuple[str, Any], ...]
    seal: bytes

    def __repr__(self) -> str:
        """Show no seal: a token must not reach a log by accident."""
        return f"Token({self.id.hex()})"

    def narrowed(self, name: str, value: Any) -> Token:
        """Return the token with one more caveat, which anybody may add. Raises LocalError BAD_CAVEAT, TOKEN_FULL."""
        fault = _caveat_fault(name, value)
        if fault:
            raise LocalError("BAD_CAVEAT", fault, field=name)
        if len(self.caveats) >= CAVEATS_MAX:
            raise LocalError("TOKEN_FULL", f"a token has at most {CAVEATS_MAX} caveats; ask for a new one")
        return replace(self, caveats=(*self.caveats, (name, value)), seal=_next(self.seal, name, value))

    def encode(self) -> bytes:
        """Return it as CBOR. Raises LocalError TOKEN_TOO_LARGE."""
        caveats = [[name, value] for name, value in self.caveats]
        data = codec.encode([VERSION, self.id, self.grant, list(self.holder), caveats, self.seal])
        if len(data) > TOKEN_BYTES_MAX:
            raise LocalError("TOKEN_TOO_LARGE", f"a token has at most {TOKEN_BYTES_MAX} bytes; name fewer points")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Token:
        """Read a token; its seal is not looked at. Raises RemoteError CBOR_*, BAD_TOKEN, UNKNOWN_CAVEAT."""
        value: Any = codec.decode(data, max_bytes=TOKEN_BYTES_MAX)
        if not _TOKEN.ok(value):
            raise RemoteError("BAD_TOKEN", f"a token is {_TOKEN.words}; ask for a new one")
        _, token_id, grant, holder, caveats, seal = value
        for name, limit in caveats:
            fault = _caveat_fault(name, limit)
            if fault:
                raise RemoteError("UNKNOWN_CAVEAT", fault, field=str(name)[:40])
        return cls(token_id, grant, (holder[0], holder[1]), tuple((name, limit) for name, limit in caveats), seal)


def as_coarse(asked: str, finest: str) -> bool:
    """Say whether readings every `asked` are as coarse as `finest` or coarser; both are durations."""
    return covers(parse_duration(finest), parse_duration(asked))


def _caveat_fault(name: Any, value: Any) -> str:
    shape = CAVEATS.get(name) if type(name) is str else None
    if shape is None:
        return "no caveat of this name is known here"
    return "" if shape.ok(value) else f"this caveat must be {shape.words}"


def _next(seal: bytes, name: str, value: Any) -> bytes:
    return hmac.digest(seal, codec.encode([name, value]), hashlib.sha256)


def _first(key: bytes, token_id: bytes, grant: bytes, holder: Party) -> bytes:
    return hmac.digest(key, codec.encode([DOMAIN, VERSION, token_id, grant, list(holder)]), hashlib.sha256)


def mint(
    key: bytes, token_id: bytes, grant: bytes, holder: Party, *, expires: int, caveats: Sequence[tuple[str, Any]] = ()
) -> Token:
    """Make a token, at the holder. `key`: KEY_BYTES of the vault, for this token alone; `expires`: unix seconds.

    Raises LocalError BAD_CAVEAT, TOKEN_FULL.
    """
    token = Token(token_id, grant, holder, (), _first(key, token_id, grant, holder)).narrowed("expires", expires)
    for name, value in caveats:
        token = token.narrowed(name, value)
    return token


def verify(token: Token, key: bytes) -> Limits:
    """Return what a token allows, if its seal is the one that the key makes. Raises RemoteError TOKEN_FORGED."""
    seal = _first(key, token.id, token.grant, token.holder)
    limits = Limits(token.grant, DATE_MAX)
    for name, value in token.caveats:
        seal = _next(seal, name, value)
        limits = limits.with_caveat(name, value)
    # A token of ours has an end; without one it is none of ours, whatever its seal.
    if not hmac.compare_digest(seal, token.seal) or not any(name == "expires" for name, _ in token.caveats):
        raise RemoteError("TOKEN_FORGED", "the seal of this token is not ours, or something was taken off it")
    return limits


# Codes

CODE_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # 32 letters, none that is taken for another
CODE_BITS: Final = 80
SHORT_CODE_LETTERS: Final = 8
SHORT_TRIES: Final = 5
SALT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Share:
    """A token that waits to be fetched with a code. `tries`: how many are left; None: no limit (a long code).

    `digest`: salted SHA-256 of the code. `ends`: unix seconds. `state`: "open", "redeemed", "dead" or "ended".
    """

    id: bytes
    token: bytes
    salt: bytes
    digest: bytes
    ends: int
    tries: int | None
    state: str = "open"

    def __repr__(self) -> str:
        """Show no token: a share must not reach a log by accident."""
        return f"Share({self.id.hex()}, {self.state})"


def make_code(random_bytes: RandomBytes, *, short: bool = False) -> str:
    """Draw a code: CODE_BITS random bits, or SHORT_CODE_LETTERS letters to be read out, with SHORT_TRIES tries."""
    letters = SHORT_CODE_LETTERS if short else CODE_BITS // 5
    number = int.from_bytes(random_bytes(letters), "big")  # 8 bits a letter, 5 are used: no letter is likelier
    return "".join(CODE_ALPHABET[number >> 8 * place & 31] for place in range(letters))


def make_share(share_id: bytes, token: Token, code: str, *, ends: int, random_bytes: RandomBytes) -> Share:
    """Set a token aside for whoever shows the code first, until `ends`. A code that is short gets few tries."""
    salt = random_bytes(SALT_BYTES)
    tries = SHORT_TRIES if len(code) * 5 < 64 else None
    return Share(share_id, token.encode(), salt, _code_digest(salt, code), ends, tries)


def redeem(share: Share, code: str, now: int) -> tuple[Share, str]:
    """Try a code; return the share as it is after it, and "" or why not: SHARE_OVER or SHARE_WRONG_CODE.

    Only with "" may the token go out. A wrong code costs a try, and the last one kills the share.
    """
    if share.state != "open" or now >= share.ends:
        return share, "SHARE_OVER"
    if hmac.compare_digest(_code_digest(share.salt, code), share.digest):
        return replace(share, state="redeemed"), ""
    if share.tries is None:
        return share, "SHARE_WRONG_CODE"
    left = share.tries - 1
    return replace(share, tries=left, state="open" if left > 0 else "dead"), "SHARE_WRONG_CODE"


def _code_digest(salt: bytes, code: str) -> bytes:
    """Hash a code as people type it: without spaces and hyphens, in any case."""
    plain = "".join(code.split()).replace("-", "").lower()
    return hashlib.sha256(codec.encode([DOMAIN, salt, plain.encode()])).digest()
