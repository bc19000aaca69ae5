"""The withdrawal slip: a code on paper with which a person can withdraw when her wallet or her host is gone.

How it works
    The code holds the seed of the withdraw key and the first five bytes of the grant's id, in Crockford's
    base 32: no letter that is taken for a digit, case and dashes free. Six of its 67 characters are the
    checksum of bech32m (BIP 350), a code that finds every error of up to four characters, two swapped ones
    included.

What it does not do
    It does not protect itself: whoever holds the slip can withdraw this one consent, and do nothing else. It
    draws no QR picture: the code fits one, in alphanumeric mode.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ledger.errors import LocalError
from ledger.keys import KEY_BYTES

PREFIX_BYTES: Final = 5
"""How much of the grant's id the slip shows: enough to find it, shown as 10 hex digits."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: without I, L, O, U
_VALUES: Final = {**{letter: value for value, letter in enumerate(_ALPHABET)}, "O": 0, "I": 1, "L": 1}
_VERSION: Final = 1
_SYMBOLS: Final = 60  # 37 bytes in base 32, and 4 bits that must be zero
_CHECK_SYMBOLS: Final = 6
_LENGTH: Final = 1 + _SYMBOLS + _CHECK_SYMBOLS
_GROUP: Final = 5
_SPARE_BITS: Final = _SYMBOLS * 5 - (KEY_BYTES + PREFIX_BYTES) * 8
_BECH32_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32M_RESULT: Final = 0x2BC830A3


@dataclass(frozen=True, slots=True)
class Slip:
    """What a slip holds: the 32-byte seed of the withdraw key, and the first bytes of the grant's id."""

    withdraw_seed: bytes
    grant_prefix: bytes

    def __repr__(self) -> str:
        """Show which grant it is for, never the seed."""
        return f"Slip(grant={self.grant_prefix.hex()}…)"

    def code(self) -> str:
        """Return the code, in groups of five joined by dashes."""
        number = int.from_bytes(self.withdraw_seed + self.grant_prefix, "big") << _SPARE_BITS
        symbols = [_VERSION, *(number >> (5 * place) & 31 for place in reversed(range(_SYMBOLS)))]
        check = _polymod([*symbols, *[0] * _CHECK_SYMBOLS]) ^ _BECH32M_RESULT
        symbols += [check >> (5 * place) & 31 for place in reversed(range(_CHECK_SYMBOLS))]
        letters = "".join(_ALPHABET[symbol] for symbol in symbols)
        return "-".join(letters[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))

    def lines(self, lang: str = "en") -> list[str]:
        """Return the slip as lines to print, in "fr" or else in English."""
        code = self.code()
        half = code.index("-", len(code) // 2)
        head, tail = code[: half + 1], code[half + 1 :]
        grant = self.grant_prefix.hex()
        if lang == "fr":
            return [
                "RETRAIT DE CONSENTEMENT",
                f"Consentement n° {grant}",
                "Ce code permet de retirer ce consentement à tout moment, auprès de tout membre de la maille.",
                "Il ne permet rien d'autre. Gardez-le en lieu sûr : quiconque le détient peut retirer ce consentement.",
                head,
                tail,
            ]
        return [
            "WITHDRAWAL OF CONSENT",
            f"Consent no. {grant}",
            "With this code you withdraw this consent at any time, at any member of the mesh.",
            "It can do nothing else. Keep it safe: whoever holds it can withdraw this consent.",
            head,
            tail,
        ]


def parse_slip(text: str) -> Slip:
    """Read a code as typed: any case, spaces and dashes; O for 0, I and L for 1.

    Raises LocalError SLIP_CHARACTER (with its place), SLIP_LENGTH, SLIP_TYPO, SLIP_VERSION.
    """
    symbols: list[int] = []
    for letter in text.upper():
        if letter.isspace() or letter in "-‐‑‒–—":
            continue
        if letter not in _VALUES:
            place = f"character {len(symbols) + 1}"
            raise LocalError("SLIP_CHARACTER", f"the code has no {letter!r}; read the slip again", field=place)
        symbols.append(_VALUES[letter])
    if len(symbols) != _LENGTH:
        raise LocalError("SLIP_LENGTH", f"the code has {_LENGTH} characters; {len(symbols)} were typed")
    if _polymod(symbols) != _BECH32M_RESULT:
        raise LocalError("SLIP_TYPO", "the code does not add up: a character was mistyped; read the slip again")
    if symbols[0] != _VERSION:
        raise LocalError("SLIP_VERSION", f"version {symbols[0]} of the slip is unknown here; use a newer maille")
    number = 0
    for symbol in symbols[1 : 1 + _SYMBOLS]:
        number = number << 5 | symbol
    if number & ((1 << _SPARE_BITS) - 1):
        raise LocalError("SLIP_TYPO", "the code does not add up: its last bits must be zero; read the slip again")
    data = (number >> _SPARE_BITS).to_bytes(KEY_BYTES + PREFIX_BYTES, "big")
    return Slip(data[:KEY_BYTES], data[KEY_BYTES:])


def _polymod(symbols: Iterable[int]) -> int:
    """Return the remainder of BIP 173's checksum over five-bit symbols."""
    check = 1
    for symbol in symbols:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ symbol
        for bit, generator in enumerate(_BECH32_GENERATOR):
            if top >> bit & 1:
                check ^= generator
    return check
