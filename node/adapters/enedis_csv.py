"""Reads the CSV exports of Enedis: load curves, indexes, calendars, peak power, daily totals, of one or more points.

How it works
    The first line that is not empty says which layout follows, and each has a module: blocks under a heading
    ("Identifiant PRM;...", `enedis_blocks`) with the calendars that come after an index (`enedis_calendars`), or one
    plain table (`enedis_tables`). Blocks of several points or kinds follow one another in one file.

What it does not do
    It opens no file, fills nothing in and guesses no layout: an unknown one is refused, naming the line and what was
    expected. Errors never quote a cell. An account's newer exports are spreadsheets (xlsx): save them as CSV first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ledger.errors import LocalError
from node.adapters.adapter import Adapter, Found, Head, LeftOut, Parsed, Source
from node.adapters.enedis_blocks import LONG, read_block
from node.adapters.enedis_calendars import Calendar, read_calendars
from node.adapters.enedis_cells import plain
from node.adapters.enedis_lines import CODE, MAX_FILE_BYTES, MAX_ROWS, Lines
from node.adapters.enedis_tables import DAILY_HEADERS, MEASURES, read_daily, read_measures
from node.readings import Series
from node.series_key import SeriesKey


@dataclass(frozen=True, slots=True)
class Export:
    """All that one file says: its series and its calendars, in the order of the file."""

    series: tuple[Series, ...]
    calendars: tuple[Calendar, ...]


def parse(data: bytes, *, name: str = "file") -> list[Series]:
    """Return the series of an export. `name` is what errors call the file. Raises as `read` does."""
    return list(read(data, name=name).series)


def read(data: bytes, *, name: str = "file") -> Export:
    """Return all that an export says.

    Raises RemoteError BAD_CSV; its field names the file, the line (from 1) and the column. Refused whole.
    """
    found = list(_found(data, Source(name)))
    series = tuple(one.series for one in found if isinstance(one, Parsed))
    return Export(series, tuple(one for one in found if isinstance(one, Calendar)))


def _found(data: bytes, source: Source) -> Iterator[Parsed | Calendar]:
    """Yield what the blocks and tables of a file say, in order."""
    lines = Lines(data, source)
    point = ""
    while (line := lines.peek()) is not None:
        header = plain(line)
        if header.startswith("Identifiant PRM;"):
            for one in read_block(lines):
                point = one.series.key.point
                yield one
        elif header.startswith("Periode;"):
            yield from read_calendars(lines, point)
        elif header == MEASURES:
            yield from read_measures(lines)
        elif header in DAILY_HEADERS:
            yield from read_daily(lines, _beside(lines, header))
        elif not line.strip():
            lines.take()
        else:
            told = f'This header is not known; an export starts with "{LONG}"'
            raise lines.bad(lines.number, "header", told)
    if not lines.number:
        raise lines.bad(0, "header", "The file is empty")


def _beside(lines: Lines, header: str) -> SeriesKey:
    """Return the series of a table that does not name its point."""
    source = lines.source
    if not source.point:
        told = "This layout does not name its point: say it beside the file (--point prm:…)"
        raise lines.bad(lines.number, "point", told)
    direction = DAILY_HEADERS[header][0] or source.direction
    try:
        return SeriesKey(source.point, "electricity", direction, "daily", "P1D", "Wh")
    except LocalError as error:
        raise lines.bad(lines.number, error.field or "point", error.message) from error


def _is_enedis(head: Head) -> bool:
    first = head.text.lstrip().partition("\n")[0].replace("\t", ";")
    if ";" not in first:
        first = first.replace(",", ";")
    return head.kind == "text" and first.startswith(_OPENINGS)


def _read(data: bytes, source: Source) -> Iterator[Found]:
    calendars = 0
    for one in _found(data, source):
        if isinstance(one, Calendar):
            calendars += 1
        else:
            yield one
    if calendars:
        yield LeftOut("calendars", calendars)


_OPENINGS: Final = (
    *("Identifiant PRM;", "Date de la mesure;Heure de la mesure;", "Date;Valeur (en "),
    *("Date;Consommation (en ", "Date;Production (en ", "Date;Injection (en "),
)
ADAPTERS: Final = (
    Adapter(
        "enedis-csv",
        "Enedis CSV: load curve, index, peak power, daily totals; exports of a point or an account",
        _is_enedis,
        _read,
        limits={"bytes": MAX_FILE_BYTES, "rows": MAX_ROWS},
        codes=(CODE,),
    ),
)
"""What `node.adapters.registry` lists of this module."""
