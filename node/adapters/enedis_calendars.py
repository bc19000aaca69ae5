"""The block of calendars in an Enedis index export: which classes the registers of a point counted, and when.

How it works
    A header ("Periode;...") is followed by a row for each period: "Du STAMP au STAMP", the provider's calendar with its
    ten classes, the distributor's with its four.

What it does not do
    Calendars are no readings: nothing of them is kept in the vault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from node.adapters.enedis_cells import Cells, plain
from node.adapters.enedis_lines import Lines

HEADER: Final = ";".join(
    ["Periode", "Identifiant calendrier fournisseur", "Libelle calendrier fournisseur"]
    + [f"{what} classe temporelle {n}" for n in range(1, 11) for what in ("Identifiant", "Libelle", "Cadran")]
    + ["Identifiant calendrier distributeur", "Libelle calendrier distributeur"]
    + [
        f"{what} classe temporelle distributeur {n}"
        for n in range(1, 5)
        for what in ("Identifiant", "Libelle", "Cadran")
    ]
)
"""The header of the block, without accents."""
_PERIOD: Final = re.compile(r"Du (.{25}) au(?: (.{25}))?")


@dataclass(frozen=True, slots=True)
class CalendarClass:
    """One class of a calendar ("BASE", "Base") and the register that counts it ("EAS F1")."""

    identifier: str
    label: str
    register: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which classes the registers of a point counted, from `start` to `stop` (UTC seconds; None: still in force).

    `owner`: provider (registers F1 to F10) or distributor (D1 to D4). Unused registers have empty classes.
    """

    point: str
    owner: str
    start: int
    stop: int | None
    identifier: str
    label: str
    classes: tuple[CalendarClass, ...]


def read_calendars(lines: Lines, point: str) -> Iterator[Calendar]:
    """Yield the calendars of the block that comes next: for each period the provider's, then the distributor's.

    `point`: the one that the file named last. Raises RemoteError BAD_CSV.
    """
    cells, first = Cells(lines), lines.number
    if plain(lines.take()) != HEADER:
        raise lines.bad(first, "header", "The columns of a calendar (Periode, provider, distributor) were expected")
    if not point:
        raise lines.bad(first, "header", "A calendar stands before any block that names its point")
    while (lines.peek() or "").startswith("Du "):
        index = lines.number
        row = lines.take().split(";")
        period = _PERIOD.fullmatch(row[0])
        if period is None or len(row) != HEADER.count(";") + 1:
            told = f'"Du STAMP au STAMP" and {HEADER.count(";")} cells were expected'
            raise lines.bad(index, "Periode", told)
        start = cells.stamp(index, period[1], "Periode")
        stop = cells.stamp(index, period[2], "Periode") if period[2] else None
        for owner, at, count in (("provider", 1, 10), ("distributor", 33, 4)):
            triples = row[at + 2 : at + 2 + 3 * count]
            classes = tuple(map(CalendarClass, triples[0::3], triples[1::3], triples[2::3]))
            yield Calendar(point, owner, start, stop, row[at], row[at + 1], classes)
    if lines.number == first + 1:
        raise lines.bad(first, "rows", "At least one period should follow")
