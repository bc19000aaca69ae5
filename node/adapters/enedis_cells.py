"""Lines and cells of the Enedis exports: what is common to every layout.

How it works
    `File` holds the lines of one export under the name that errors call it by. A stamp such as
    2021-01-07T14:00:00+01:00 is cut at fixed places: the day is looked up in one table, the time with its
    offset in another, and both are parsed only when first met; values likewise. A column of a million rows
    thus costs three look-ups a row.

What it does not do
    It knows no layout, and opens no file. Errors never quote a cell: what a meter says is personal.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Callable
from datetime import date
from typing import Final

from ledger.errors import RemoteError

MAX_FILE_BYTES: Final = 64 << 20
"""Largest file, in bytes."""
MAX_ROWS: Final = 2_000_000
"""Lines in one file."""
MAX_LINE_CHARS: Final = 4096
"""Characters in one line."""
STAMP_CHARS: Final = 25
"""Length of a stamp such as 2021-01-07T14:00:00+01:00."""
GAP: Final = -1
"""Stands for an empty cell in a column of values; a value has no sign in these files."""

_REMEMBERED: Final = 65_536  # cells whose meaning is kept, in each table
_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_CLOCK: Final = re.compile(r"T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])([+-])(0[0-9]|1[0-4]):([0-5][0-9]);")
_CELL: Final = re.compile(r"[0-9]{1,15}")
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class File:
    """The lines of a file under its name, and what its cells mean."""

    __slots__ = ("_cells", "_clocks", "_days", "lines", "name")

    def __init__(self, data: bytes, name: str) -> None:
        """Split the bytes into lines. Raises RemoteError BAD_CSV: too large, too long, not UTF-8."""
        self.name = name
        self.lines = _lines(data, self.bad)
        self._days, self._clocks, self._cells = _Days(), _Clocks(), _Cells()

    def bad(self, index: int, column: str, message: str) -> RemoteError:
        """Return the error for line `index` (from 0; the error counts from 1) and a column."""
        where = f"{self.name}, line {index + 1}, {column}"
        return RemoteError("BAD_CSV", f"{message}. Nothing was read.", field=where)

    def stamp(self, index: int, text: str, column: str) -> int:
        """Return the UTC seconds of a stamp that stands in line `index`."""
        try:
            return self._days[text[:10]] + self._clocks[text[10:] + ";"]
        except BadCellError:
            raise self.bad(index, column, "A stamp looks like 2021-01-07T14:00:00+01:00") from None

    def stamps(self, first: int, last: int) -> list[int]:
        """Return the UTC seconds of the stamps that open lines first..last-1, each followed by ";"."""
        days, clocks, lines = self._days, self._clocks, self.lines[first:last]
        try:
            return [days[line[:10]] + clocks[line[10:26]] for line in lines]
        except BadCellError:
            for index, line in enumerate(lines, first):
                if line[STAMP_CHARS : STAMP_CHARS + 1] != ";":
                    raise self.bad(index, "Horodate", 'A stamp of 25 characters, then ";", was expected') from None
                self.stamp(index, line[:STAMP_CHARS], "Horodate")
            raise

    def values(self, first: int, texts: list[str], column: str) -> array[int]:
        """Return the values of one column whose first cell stands in line `first`; GAP for an empty cell."""
        try:
            return array("q", map(self._cells.__getitem__, texts))
        except BadCellError:
            index = next(i for i, text in enumerate(texts, first) if text and not _CELL.fullmatch(text))
            raise self.bad(index, column, "A whole number of at most 15 digits, or nothing, was expected") from None


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


def _lines(data: bytes, bad: Callable[[int, str, str], RemoteError]) -> list[str]:
    if len(data) > MAX_FILE_BYTES:
        raise bad(0, "file", f"The file has more than {MAX_FILE_BYTES} bytes; export fewer days at a time")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")  # "utf-8-sig" would misplace errors
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        raise bad(line, "encoding", "The file is not UTF-8; export it again as CSV") from None
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if len(lines) > MAX_ROWS:
        raise bad(MAX_ROWS, "file", f"The file has more than {MAX_ROWS} lines; export fewer days at a time")
    if max(map(len, lines)) > MAX_LINE_CHARS:
        index = next(i for i, line in enumerate(lines) if len(line) > MAX_LINE_CHARS)
        raise bad(index, "line", f"The line has more than {MAX_LINE_CHARS} characters")
    return lines
