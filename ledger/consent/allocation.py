"""The keys by which a loop of collective self-consumption shares its energy: versions, dated, that sum to exactly 1.

How it works
    The organiser (in French law the PMO) states for each version from which day it holds and the salted digest of the
    table: which point gets which share. Shares are fractions with one denominator, so that "sums to 1" is exact. The
    table itself is personal and goes to the parties alone; whoever has it holds it to the entry with `check`.

    `in_force` picks the version of a day from any set of statements: the newest that is effective then, the greatest
    version number among those of one day, the smallest entry id among equals.

What it does not do
    It computes nobody's bill. Statements of anybody but the loop's organiser count for nothing: the caller says who
    that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, Final

from ledger.consent.disclosure import slot_digest
from ledger.consent.status import Party
from ledger.errors import LocalError, RemoteError
from ledger.schema import DAY

POINTS_MAX: Final = 1_000
DENOMINATOR_MAX: Final = 10**9
SALT_BYTES: Final = 16
_SLOT: Final = "allocation"


@dataclass(frozen=True, slots=True)
class Shares:
    """One version of the table. `parts`: point -> numerator; `whole`: the denominator; the parts sum to it exactly."""

    parts: Mapping[str, int]
    whole: int

    @classmethod
    def of(cls, shares: Mapping[str, Fraction]) -> Shares:
        """Return a table of exact fractions. Raises LocalError BAD_SHARES with what is wrong."""
        whole = lcm(*(share.denominator for share in shares.values())) if shares else 0
        made = cls({point: int(share * whole) for point, share in sorted(shares.items())}, whole)
        fault = made.fault()
        if fault:
            raise LocalError("BAD_SHARES", fault, field="shares")
        return made

    @classmethod
    def read(cls, value: Any) -> Shares:
        """Read what `value` wrote. Raises RemoteError BAD_SHARES."""
        match value:
            case [int(whole), dict(parts)] if all(type(k) is str and type(v) is int for k, v in parts.items()):
                made = cls(parts, whole)
            case _:
                raise RemoteError("BAD_SHARES", "a table is [whole, {point: part}]", field="shares")
        fault = made.fault()
        if fault:
            raise RemoteError("BAD_SHARES", fault, field="shares")
        return made

    def fault(self) -> str:
        """Return what is wrong with it, or ""."""
        if not 1 <= len(self.parts) <= POINTS_MAX or not 1 <= self.whole <= DENOMINATOR_MAX:
            return f"a table names 1 to {POINTS_MAX} points, and shares of at most {DENOMINATOR_MAX} parts"
        if any(part < 0 for part in self.parts.values()):
            return "no share is negative"
        total = sum(self.parts.values())
        if total != self.whole:
            return f"the shares sum to {total}/{self.whole}; they must sum to exactly 1"
        return ""

    def share(self, point: str) -> Fraction:
        """Return a point's share; 0 for one that is not in the loop."""
        return Fraction(self.parts.get(point, 0), self.whole)

    def value(self) -> list[Any]:
        """Return it as a CBOR value."""
        return [self.whole, dict(self.parts)]

    def digest(self, salt: bytes) -> bytes:
        """Return the salted digest that stands on the ledger (made as a slot's is)."""
        return slot_digest(salt, self.value(), _SLOT)


@dataclass(frozen=True, slots=True)
class Statement:
    """One `allocation.state`: its entry, who signed, its version, its first day (unix seconds), the table's digest."""

    entry: bytes
    by: Party
    version: int
    effective: int
    digest: bytes

    def check(self, shares: Shares, salt: bytes) -> None:
        """Hold a table to the statement. Raises RemoteError DISCLOSURE_MISMATCH."""
        if shares.digest(salt) != self.digest:
            raise RemoteError("DISCLOSURE_MISMATCH", "this table is not the one that was stated", field="digest")


def payload(version: int, effective: int, shares: Shares, salt: bytes) -> dict[str, Any]:
    """Return the payload of an `allocation.state`. Raises LocalError BAD_SHARES."""
    if effective % DAY:
        raise LocalError("BAD_SHARES", "a version holds from the beginning of a day (UTC)", field="effective")
    fault = shares.fault()
    if fault:
        raise LocalError("BAD_SHARES", fault, field="shares")
    return {"version": version, "effective": effective, "digest": shares.digest(salt)}


def in_force(statements: Iterable[Statement], organiser: Party, day: int) -> Statement | None:
    """Return the statement that holds at `day` (unix seconds), or None before the first."""
    found = [one for one in statements if one.by == organiser and one.effective <= day]
    return max(found, key=lambda one: (one.effective, one.version, _descending(one.entry)), default=None)


def _descending(entry: bytes) -> bytes:
    return bytes(255 - byte for byte in entry)
