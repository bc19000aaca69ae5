"""Cells of the Enedis exports: stamps, dates and values, each meaning looked up where it was met before.

How it works
    A stamp such as 2021-01-07T14:00:00+01:00 is cut at fixed places: the day is looked up in one table, the time with
    its offset in another, and both are parsed only when first met; values likewise. A column of a million rows thus
    costs three look-ups a row.

What it does not do
    It knows no layout. Errors never quote a cell: what a meter says is personal.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from datetime import date
from decimal import Decimal
from typing import Final

from node.adapters.enedis_lines import Lines
from node.adapters.rows import number

STAMP_CHARS: Final = 25
"""Length of a stamp such as 2021-01-07T14:00:00+01:00."""
GAP: Final = -1
"""Stands for an empty cell in a column of values; a value has no sign in these files."""

_REMEMBERED: Final = 65_536  # cells whose meaning is kept, in each table
_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_FRENCH_DAY: Final = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_CLOCK: Final = re.compile(r"T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])([+-])(0[0-9]|1[0-4]):([0-5][0-9]);")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_CELL: Final = re.compile(r"[0-9]{1,15}")
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class Cells:
    """What the cells of some lines mean."""

    __slots__ = ("_cells", "_clocks", "_days", "_lines")

    def __init__(self, lines: Lines) -> None:
        """Remember nothing yet. `lines`: makes the errors."""
        self._lines = lines
        self._days, self._clocks, self._cells = _Days(), _Clocks(), _Cells()

    def stamp(self, index: int, text: str, column: str) -> int:
        """Return the UTC seconds of a stamp that stands in line `index`."""
        try:
            return self._days[text[:10]] + self._clocks[text[10:] + ";"]
        except BadCellError:
            raise self._lines.bad(index, column, "A stamp looks like 2021-01-07T14:00:00+01:00") from None

    def stamps(self, first: int, lines: list[str]) -> list[int]:
        """Return the UTC seconds of the stamps that open lines, each followed by ";". `first`: index of the first."""
        days, clocks = self._days, self._clocks
        try:
            return [days[line[:10]] + clocks[line[10:26]] for line in lines]
        except BadCellError:
            for index, line in enumerate(lines, first):
                if line[STAMP_CHARS : STAMP_CHARS + 1] != ";":
                    told = 'A stamp of 25 characters, then ";", was expected'
                    raise self._lines.bad(index, "Horodate", told) from None
                self.stamp(index, line[:STAMP_CHARS], "Horodate")
            raise

    def values(self, first: int, texts: list[str], column: str) -> array[int]:
        """Return the values of one column whose first cell stands in line `first`; GAP for an empty cell."""
        try:
            return array("q", map(self._cells.__getitem__, texts))
        except BadCellError:
            index = next(i for i, text in enumerate(texts, first) if text and not _CELL.fullmatch(text))
            told = "A whole number of at most 15 digits, or nothing, was expected"
            raise self._lines.bad(index, column, told) from None

    def day(self, index: int, text: str, column: str) -> int:
        """Return a date, 2021-01-07 or 07/01/2021, as seconds from 1970 on the wall's clock."""
        french = _FRENCH_DAY.fullmatch(text)
        try:
            return self._days[f"{french[3]}-{french[2]}-{french[1]}" if french else text]
        except BadCellError:
            raise self._lines.bad(index, column, "A date looks like 2021-01-07 or 07/01/2021") from None

    def time(self, index: int, text: str, column: str) -> int:
        """Return a time of day, 14:30 or 14:30:00, in seconds."""
        match = _TIME.fullmatch(text)
        if match is None:
            raise self._lines.bad(index, column, "A time looks like 14:30 or 14:30:00")
        return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)

    def decimal(self, index: int, text: str, column: str) -> int | Decimal | None:
        """Return a value with at most nine decimals, or None for a gap: an empty cell, or NA."""
        if text in {"", "NA"}:
            return None
        value = number(text)
        if value is None or text.startswith("-"):
            raise self._lines.bad(index, column, "A number of at most 15 digits, or nothing, was expected")
        return value


class BadCellError(Exception):
    """A cell has not the form of its column; whoever knows the line turns it into a RemoteError."""


class _Days(dict[str, int]):
    """Text of a day -> UTC seconds of its midnight; asked again only for what it has not met."""

    def __missing__(self, text: str) -> int:
        match = _DAY.fullmatch(text)
        if match is None:
            raise BadCellError
        try:
            seconds = (date(int(match[1]), int(match[2]), int(match[3])).toordinal() - _EPOCH_DAY) * 86_400
        except ValueError:
            raise BadCellError from None
        return _remember(self, text, seconds)


class _Clocks(dict[str, int]):
    """Text of a time with its offset and its ";" -> seconds to add to the day."""

    def __missing__(self, text: str) -> int:
        match = _CLOCK.fullmatch(text)
        if match is None:
            raise BadCellError
        hour, minute, second, offset_hours, offset_minutes = (int(match[i]) for i in (1, 2, 3, 5, 6))
        offset = (offset_hours * 60 + offset_minutes) * 60
        seconds = hour * 3600 + minute * 60 + second + (offset if match[4] == "-" else -offset)
        return _remember(self, text, seconds)


class _Cells(dict[str, int]):
    """Text of a value -> the value; an empty cell is a gap."""

    def __missing__(self, text: str) -> int:
        if text and _CELL.fullmatch(text) is None:
            raise BadCellError
        return _remember(self, text, int(text) if text else GAP)


def plain(text: str) -> str:
    """Return the text without its accents: exports write both "données" and "donnees"."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _remember(table: dict[str, int], text: str, meaning: int) -> int:
    if len(table) < _REMEMBERED:
        table[text] = meaning
    return meaning
