"""Reads the CSV exports of the Enedis customer portal: load curve, daily index, calendars, daily peak power.

How it works
    A file is one or more blocks, one after another. A block of measures is a heading ("Identifiant PRM;..."),
    one row that describes it, a header ("Horodate;Valeur", or the registers of an index) and rows of data; a
    block of calendars is a header ("Periode;...") and rows. UTF-8, byte order mark allowed, ";" between
    cells, no quotes. An empty value is a gap: the record is kept, without a value. Stamps carry their own
    offset from UTC, so the two changes of hour a year need no rule.

    Load curve: values are the mean power in W of the step that *ends* at the stamp; a `Series` holds its
    start. A row's step is the block's "Pas en minutes" where that is given, else what `node.adapters.steps`
    finds. Nothing is ever filled in.
    Index: one series for each register, instants, in Wh. Peak power: instants at which the day's peak was
    reached; the meter measures VA, whatever unit the export prints.

What it does not do
    It reads no other layout (they are refused, naming the line and what was expected), opens no file, and
    does not compare the rows with the "Date de debut" and "Date de fin" of the description. Errors never
    quote a cell.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, replace
from itertools import compress
from operator import sub
from typing import Final

from ledger.errors import LocalError
from node.adapters.enedis_cells import GAP, STAMP_CHARS, File, plain
from node.adapters.steps import STEPS, NoStepError, durations_from
from node.readings import Series
from node.series_key import SeriesKey

_MEASURES: Final = (
    "Identifiant PRM;Type de donnees;Date de debut;Date de fin;Grandeur physique;Grandeur metier;Etape metier;Unite"
)
_STEP_COLUMN: Final = "Pas en minutes"
_CALENDARS: Final = ";".join(
    ["Periode", "Identifiant calendrier fournisseur", "Libelle calendrier fournisseur"]
    + [f"{what} classe temporelle {n}" for n in range(1, 11) for what in ("Identifiant", "Libelle", "Cadran")]
    + ["Identifiant calendrier distributeur", "Libelle calendrier distributeur"]
    + [
        f"{what} classe temporelle distributeur {n}"
        for n in range(1, 5)
        for what in ("Identifiant", "Libelle", "Cadran")
    ]
)
_VALUES: Final = "Horodate;Valeur"
_INDEX: Final = "Horodate;Type de releve;"
_DAILY_READ: Final = "Arrêté quotidien"
_KINDS: Final = {  # type of data -> kind, physical quantity, units the export may print, our unit
    "Courbe de charge": ("load_curve", "Energie active", ("W",), "W"),
    "Index": ("index", "Energie active", ("", "Wh"), "Wh"),
    "Puissance maximale quotidienne": ("max_power", "Puissance maximale atteinte", ("W", "VA"), "VA"),
}
_DIRECTIONS: Final = {"Consommation": "consumption", "Production": "injection", "Injection": "injection"}
_STAGES: Final = {"Comptage Brut": "raw", "Comptage Corrige": "corrected"}

_FRENCH_DATE: Final = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_PERIOD: Final = re.compile(r"Du (.{25}) au(?: (.{25}))?")


@dataclass(frozen=True, slots=True)
class CalendarClass:
    """One class of a calendar ("BASE", "Base") and the register that counts it ("EAS F1")."""

    identifier: str
    label: str
    register: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which classes the registers of a point counted, from `start` to `stop` (UTC seconds; None: still in
    force).

    `owner`: provider (registers F1 to F10) or distributor (D1 to D4). Unused registers have empty classes.
    """

    point: str
    owner: str
    start: int
    stop: int | None
    identifier: str
    label: str
    classes: tuple[CalendarClass, ...]


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
    file = File(data, name)
    series: dict[SeriesKey, Series] = {}
    calendars: list[Calendar] = []
    point = ""
    edges = [i for i, line in enumerate(file.lines) if not line.startswith("2") and _is_heading(line)]
    if not edges or edges[0] != 0:
        raise file.bad(0, "header", f'This header is not known; an export starts with "{_MEASURES}"')
    for first, last in zip(edges, [*edges[1:], len(file.lines)], strict=True):
        if file.lines[first].startswith("Periode"):
            calendars += _read_calendars(file, first, last, point)
            continue
        block = _read_description(file, first, last)
        point = block.key.point
        for one in _read_index(file, block) if block.key.kind == "index" else [_read_values(file, block)]:
            if one.key in series:
                raise file.bad(first, "header", "The file has this series twice")
            series[one.key] = one
    return Export(tuple(series.values()), tuple(calendars))


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of measures: the series it describes, its declared step, and where its rows are."""

    key: SeriesKey
    step: int | None
    header: int
    last: int


def _is_heading(line: str) -> bool:
    return line.startswith(("Identifiant PRM;", "Periode;", "P\u00e9riode;"))


def _read_description(file: File, first: int, last: int) -> _Block:
    heading = plain(file.lines[first])
    if heading not in {_MEASURES, f"{_MEASURES};{_STEP_COLUMN}"}:
        raise file.bad(first, "header", f'This header is not known; it should be "{_MEASURES}"')
    if last < first + 4:
        raise file.bad(last - 1, "rows", "A description, a header and at least one row of data should follow")
    names, cells = heading.split(";"), file.lines[first + 1].split(";")
    if len(cells) != len(names):
        raise file.bad(first + 1, "line", f"{len(names)} cells were expected")
    cell = dict(zip(names, map(plain, cells), strict=True))

    def choose(column: str, choices: dict[str, str]) -> str:
        if cell[column] not in choices:
            raise file.bad(first + 1, column, f"One of {' | '.join(choices)} was expected")
        return choices[cell[column]]

    kind, quantity, units, unit = _KINDS[choose("Type de donnees", {text: text for text in _KINDS})]
    choose("Grandeur physique", {quantity: kind})
    choose("Unite", dict.fromkeys(units, unit))
    for column in ("Date de debut", "Date de fin"):
        if not _FRENCH_DATE.fullmatch(cell[column]):
            raise file.bad(first + 1, column, "A date looks like 20/10/2020")
    step = choose(_STEP_COLUMN, {"": "0", **{str(s // 60): str(s) for s in STEPS}}) if _STEP_COLUMN in cell else "0"
    direction = choose("Grandeur metier", _DIRECTIONS)
    register = {"consumption": "EAS T", "injection": "EAI T"}[direction] if kind == "index" else ""
    granularity = "PT30M" if kind == "load_curve" else "P1D"  # a load curve's own is known after its rows
    stage = choose("Etape metier", _STAGES)
    try:
        point = f"prm:{cell['Identifiant PRM']}"
        key = SeriesKey(point, "electricity", direction, kind, granularity, unit, register, stage)
    except LocalError as error:
        column = "Identifiant PRM" if error.field == "point" else "Etape metier"
        raise file.bad(first + 1, column, error.message) from error
    return _Block(key, int(step) or None, first + 2, last)


def _read_values(file: File, block: _Block) -> Series:
    """Read the rows of a load curve or of the daily peaks."""
    if file.lines[block.header] != _VALUES:
        raise file.bad(block.header, "header", f'"{_VALUES}" was expected')
    first = block.header + 1
    stamps = file.stamps(first, block.last)
    column = file.values(first, [line[STAMP_CHARS + 1 :] for line in file.lines[first : block.last]], "Valeur")
    if block.key.is_instant:
        return _series(file, first, block.key, stamps, array("i", [0]) * len(stamps), column)
    distances = _ascending(file, first, stamps)
    if block.step is None:
        try:
            durations = durations_from(distances)
        except NoStepError as error:
            message = "No step of 10, 15, 30 or 60 minutes explains this stamp beside its neighbours"
            raise file.bad(first + error.index, "Horodate", message) from None
    else:
        durations = array("i", [block.step]) * len(stamps)
    key = replace(block.key, granularity=f"PT{min(durations) // 60}M")
    return _series(file, first, key, list(map(sub, stamps, durations)), durations, column)


def _read_index(file: File, block: _Block) -> list[Series]:
    """Read the registers of an index: one series for each column."""
    header = file.lines[block.header]
    if not plain(header).startswith(_INDEX):
        raise file.bad(block.header, "header", f'"{_INDEX}" and the registers were expected')
    registers = header.split(";")[2:]
    first, width = block.header + 1, len(registers) + 2
    keys = []
    for register in registers:
        try:
            keys.append(replace(block.key, register=register))
        except LocalError as error:
            raise file.bad(block.header, "header", "A register of an index looks like EAS F1, D1 or T") from error
    if len(set(keys)) != len(keys):
        raise file.bad(block.header, "header", "A register stands twice")
    stamps = file.stamps(first, block.last)
    _ascending(file, first, stamps)
    for index in range(first, block.last):  # before anything is split: a hostile line has thousands of cells
        if file.lines[index].count(";") != width - 1:
            raise file.bad(index, "line", f"{width} cells were expected")
    rows = [line.split(";") for line in file.lines[first : block.last]]
    for index, row in enumerate(rows, first):
        if row[1] != _DAILY_READ and plain(row[1]) != plain(_DAILY_READ):
            raise file.bad(index, "Type de releve", f'"{_DAILY_READ}" was expected')
    columns = list(zip(*rows, strict=True))[2:]
    instants = array("i", [0]) * len(stamps)
    return [
        _series(file, first, key, stamps, instants, file.values(first, list(column), key.register))
        for key, column in zip(keys, columns, strict=True)
    ]


def _ascending(file: File, first: int, stamps: list[int]) -> list[int]:
    """Return the distances between stamps, or refuse the first that does not come after the one before."""
    distances = list(map(sub, stamps[1:], stamps))
    if distances and min(distances) <= 0:
        index = next(i for i, distance in enumerate(distances, first + 1) if distance <= 0)
        raise file.bad(index, "Horodate", "The stamp does not come after the one before it")
    return distances


def _series(
    file: File, first: int, key: SeriesKey, starts: list[int], durations: array[int], column: array[int]
) -> Series:
    """Make the series, its gaps marked; refuse what no series may be, naming the line."""
    gaps = bytes(map(GAP.__eq__, column)) if GAP in column else bytes(len(column))
    for index in compress(range(len(gaps)), gaps):
        column[index] = 0
    series = Series(key, array("q", starts), durations, column, gaps)
    fault = series.fault()
    if fault:
        raise file.bad(first + fault[0], "Horodate", fault[1])
    return series


def _read_calendars(file: File, first: int, last: int, point: str) -> list[Calendar]:
    """Read a block of calendars: for each period that of the provider and that of the distributor."""
    if plain(file.lines[first]) != _CALENDARS:
        raise file.bad(first, "header", "The columns of a calendar (Periode, provider, distributor) were expected")
    if not point:
        raise file.bad(first, "header", "A calendar stands before any block that names its point")
    if last == first + 1:
        raise file.bad(first, "rows", "At least one period should follow")
    calendars = []
    for index in range(first + 1, last):
        cells = file.lines[index].split(";")
        period = _PERIOD.fullmatch(cells[0])
        if period is None or len(cells) != _CALENDARS.count(";") + 1:
            raise file.bad(index, "Periode", f'"Du STAMP au STAMP" and {_CALENDARS.count(";")} cells were expected')
        start = file.stamp(index, period[1], "Periode")
        stop = file.stamp(index, period[2], "Periode") if period[2] else None
        for owner, at, count in (("provider", 1, 10), ("distributor", 33, 4)):
            triples = cells[at + 2 : at + 2 + 3 * count]
            classes = tuple(map(CalendarClass, triples[0::3], triples[1::3], triples[2::3]))
            calendars.append(Calendar(point, owner, start, stop, cells[at], cells[at + 1], classes))
    return calendars
