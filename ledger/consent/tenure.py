"""Who may speak for a point of measurement, and for which of its data: households, guardians, and people who move.

How it works
    A holder keeps for a point the tenures of those who live or lived behind it, and the rule of its household: `holder`
    (the one who has the contract) or `adults` (all who live there, together). Data belong to those whose tenure covers
    their time. `windows` says for which times those who signed may speak: under `holder`, whenever one of them had the
    contract; under `adults`, whenever everybody who lived there then is among them. Who acts for someone by law
    (`represented_by`: a guardian, a trustee) signs in that person's stead.

    When somebody moves out, the tenure gets an end: from that day on the data are the next one's, and a consent given
    before covers only what came before.

What it does not do
    It knows no keys and no names: persons are whatever the caller calls them. It reads no clock: a window is of data.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from ledger.consent.record import DATE_MAX, Window
from ledger.errors import LocalError

Rule = Literal["holder", "adults"]
RULES: Final = ("holder", "adults")
CONTRACT_ROLES: Final = ("contract_holder", "organisation")
"""Roles that count under the rule `holder`."""
ROLES: Final = (*CONTRACT_ROLES, "household_member")
TENURES_MAX: Final = 64
"""Of one point: people who lived there, over all years."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """One person's time behind a point: [since, until) in unix seconds; `until` None: still there.

    `represented_by`: who may sign for this person by law, beside or instead of it.
    """

    person: str
    role: str
    since: int
    until: int | None = None
    represented_by: tuple[str, ...] = ()

    def covers(self, at: int) -> bool:
        """Whether the person was there at a time."""
        return self.since <= at and (self.until is None or at < self.until)

    def speaks(self, signed: Collection[str]) -> bool:
        """Whether the person signed, or someone who may do so for it."""
        return self.person in signed or any(one in signed for one in self.represented_by)


@dataclass(frozen=True, slots=True)
class Register:
    """What a holder knows of one point. Raises LocalError BAD_TENURE when it makes no sense."""

    rule: Rule
    tenures: tuple[Tenure, ...]

    def __post_init__(self) -> None:
        """Check roles, times and their number."""
        if len(self.tenures) > TENURES_MAX:
            raise LocalError("BAD_TENURE", f"a point has at most {TENURES_MAX} tenures", field="tenures")
        for one in self.tenures:
            if one.role not in ROLES or not one.person:
                raise LocalError("BAD_TENURE", f"a tenure has a person, and a role of {', '.join(ROLES)}", field="role")
            if not 0 <= one.since <= DATE_MAX or (one.until is not None and not one.since < one.until <= DATE_MAX):
                raise LocalError("BAD_TENURE", "a tenure ends after it begins", field="until")

    def windows(self, signed: Collection[str]) -> tuple[Window, ...]:
        """Return the times of whose data those who signed may dispose, in order; windows that touch are joined."""
        found: list[Window] = []
        for start, stop in self._spans():
            if self._may(start, signed):
                if found and found[-1][1] == start:
                    found[-1] = (found[-1][0], stop)
                else:
                    found.append((start, stop))
        return tuple(found)

    def _spans(self) -> Iterator[Window]:
        """Yield the spans between two moments at which anybody comes or goes."""
        ends = (DATE_MAX if one.until is None else one.until for one in self.tenures)
        moments = sorted({*(one.since for one in self.tenures), *ends})
        return itertools.pairwise(moments)

    def _may(self, at: int, signed: Collection[str]) -> bool:
        there = [one for one in self.tenures if one.covers(at)]
        if self.rule == "holder":
            return any(one.speaks(signed) for one in there if one.role in CONTRACT_ROLES)
        return bool(there) and all(one.speaks(signed) for one in there)

    def moved_out(self, person: str, at: int) -> Register:
        """Return the register after a person left. Raises LocalError NOT_FOUND, BAD_TENURE."""
        if not any(one.person == person and one.covers(at) for one in self.tenures):
            raise LocalError("NOT_FOUND", "this person does not live behind this point then", field="person")
        return Register(
            self.rule,
            tuple(
                Tenure(one.person, one.role, one.since, at, one.represented_by)
                if one.person == person and one.covers(at) and one.since < at
                else one
                for one in self.tenures
            ),
        )
