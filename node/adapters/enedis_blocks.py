"""Blocks of measures in an Enedis export: a heading that describes them, a header, and rows.

How it works
    A heading ("Identifiant PRM;...") is followed by one row that describes the block, a header ("Horodate;Valeur", the
    registers of an index, or "Date;Valeur (en Wh)") and rows. An export of an account has a block for each point.
    Stamps carry their own offset from UTC, so the two changes of hour a year need no rule.

    Load curve: values are the mean power in W of the step that *ends* at the stamp; a `Series` holds its start. A row's
    step is the block's "Pas en minutes" where that is given, else what `node.adapters.steps` finds. Nothing is filled
    in. Index: one series for each register, instants, in Wh. Peak power: instants at which the day's peak was reached;
    the meter measures VA, whatever unit the export prints. A row that stands twice, the same, counts once.

What it does not do
    It does not compare the rows with the "Date de debut" and "Date de fin" of the description. Meters of the segments
    C1 to C4 stamp the start of a step; nothing in the file tells them apart, and these exports are of C5.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from operator import sub
from typing import Final

from ledger.errors import LocalError
from node.adapters.adapter import Parsed
from node.adapters.enedis_cells import GAP, STAMP_CHARS, Cells, plain
from node.adapters.enedis_lines import Lines
from node.adapters.enedis_tables import read_daily
from node.adapters.steps import STEPS, NoStepError, durations_from
from node.readings import Series
from node.series_key import SeriesKey

SHORT: Final = "Identifiant PRM;Type de donnees;Date de debut;Date de fin"
"""The heading of a block of daily totals, without accents."""
LONG: Final = f"{SHORT};Grandeur physique;Grandeur metier;Etape metier;Unite"
"""The heading of any other block, without accents; the column of the step may follow."""
_STEP_COLUMN: Final = "Pas en minutes"
_VALUES: Final = "Horodate;Valeur"
_INDEX: Final = "Horodate;Type de releve;"
_DAILY_READ: Final = "Arrete quotidien"
_KINDS: Final = {  # type of data -> kind, physical quantity, units the export may print, our unit
    "Courbe de charge": ("load_curve", "Energie active", ("W", ""), "W"),
    "Index": ("index", "Energie active", ("", "Wh"), "Wh"),
    "Puissance maximale quotidienne": ("max_power", "Puissance maximale atteinte", ("W", "VA"), "VA"),
}
_TOTALS: Final = {
    "Consommation quotidienne": "consumption",
    "Production quotidienne": "injection",
    "Injection quotidienne": "injection",
}
_DIRECTIONS: Final = {"Consommation": "consumption", "Production": "injection", "Injection": "injection"}
_STAGES: Final = {"Comptage Brut": "raw", "Comptage Corrige": "corrected"}


@dataclass(frozen=True, slots=True)
class Block:
    """What a block is about: its series (of an index, the total's), and its declared step in seconds or None."""

    key: SeriesKey
    step: int | None


def read_block(lines: Lines) -> Iterator[Parsed]:
    """Yield the series of the block whose heading comes next. Raises RemoteError BAD_CSV."""
    block = _read_description(lines)
    while lines.peek() == "":
        lines.take()
    if block.key.kind == "index":
        return _read_index(lines, block)
    if block.key.kind == "daily":
        return read_daily(lines, block.key)
    return _read_values(lines, block)


def _read_description(lines: Lines) -> Block:
    at = lines.number
    heading = plain(lines.take())
    if heading not in {SHORT, LONG, f"{LONG};{_STEP_COLUMN}"}:
        raise lines.bad(at, "header", f'This header is not known; it should be "{LONG}"')
    names, cells = heading.split(";"), lines.take().split(";")
    if len(cells) != len(names):
        raise lines.bad(at + 1, "line", f"{len(names)} cells were expected")
    cell = dict(zip(names, map(plain, cells), strict=True))

    def choose(column: str, choices: dict[str, str]) -> str:
        if cell[column] not in choices:
            raise lines.bad(at + 1, column, f"One of {' | '.join(choices)} was expected")
        return choices[cell[column]]

    for column in ("Date de debut", "Date de fin"):
        Cells(lines).day(at + 1, cell[column], column)
    step = "0"
    if cell["Type de donnees"] in _TOTALS or heading == SHORT:
        direction, stage = choose("Type de donnees", _TOTALS), "raw"
        kind, unit, granularity = "daily", "Wh", "P1D"
    else:
        choose("Type de donnees", dict.fromkeys([*_KINDS, *_TOTALS], ""))
        kind, quantity, units, unit = _KINDS[cell["Type de donnees"]]
        choose("Grandeur physique", {quantity: kind})
        choose("Unite", dict.fromkeys(units, unit))
        direction, stage = choose("Grandeur metier", _DIRECTIONS), choose("Etape metier", _STAGES)
        granularity = "PT30M" if kind == "load_curve" else "P1D"  # a load curve's own is known after its rows
        if _STEP_COLUMN in cell:
            step = choose(_STEP_COLUMN, {"": "0", **{str(s // 60): str(s) for s in STEPS}})
    register = {"consumption": "EAS T", "injection": "EAI T"}[direction] if kind == "index" else ""
    try:
        point = f"prm:{cell['Identifiant PRM']}"
        key = SeriesKey(point, "electricity", direction, kind, granularity, unit, register, stage)
    except LocalError as error:
        column = "Identifiant PRM" if error.field == "point" else "Etape metier"
        raise lines.bad(at + 1, column, error.message) from error
    return Block(key, int(step) or None)


def _read_values(lines: Lines, block: Block) -> Iterator[Parsed]:
    """Read the rows of a load curve or of the daily peaks."""
    if lines.peek() != _VALUES:
        raise lines.bad(lines.number, "header", f'"{_VALUES}" was expected')
    lines.take()
    cells, first = Cells(lines), lines.number
    stamps, column = array("q"), array("q")
    while rows := lines.stretch():
        start = lines.number - len(rows)
        stamps.extend(cells.stamps(start, rows))
        column.extend(cells.values(start, [line[STAMP_CHARS + 1 :] for line in rows], "Valeur"))
    _end_of_rows(lines, first)
    repeated = _once(lines, first, stamps, [column])
    if block.key.is_instant:
        yield _parsed(lines, first, block.key, stamps, array("i", [0]) * len(stamps), column, repeated)
        return
    if block.step is None:
        try:
            durations = durations_from(list(map(sub, stamps[1:], stamps)))
        except NoStepError as error:
            told = "No step of 10, 15, 30 or 60 minutes explains this stamp beside its neighbours"
            raise lines.bad(_line(first, error.index, repeated), "Horodate", told) from None
    else:
        durations = array("i", [block.step]) * len(stamps)
    key = replace(block.key, granularity=f"PT{min(durations) // 60}M")
    starts = array("q", map(sub, stamps, durations))
    yield _parsed(lines, first, key, starts, durations, column, repeated)


def _read_index(lines: Lines, block: Block) -> Iterator[Parsed]:
    """Read the registers of an index: one series for each column."""
    header = lines.peek() or ""
    if not plain(header).startswith(_INDEX):
        raise lines.bad(lines.number, "header", f'"{_INDEX}" and the registers were expected')
    keys = []
    for register in header.split(";")[2:]:
        try:
            keys.append(replace(block.key, register=register))
        except LocalError as error:
            raise lines.bad(lines.number, "header", "A register of an index looks like EAS F1, D1 or T") from error
    if len(set(keys)) != len(keys):
        raise lines.bad(lines.number, "header", "A register stands twice")
    lines.take()
    cells, first = Cells(lines), lines.number
    stamps, columns = array("q"), [array("q") for _ in keys]
    while rows := lines.stretch():
        start = lines.number - len(rows)
        stamps.extend(cells.stamps(start, rows))
        for column, key, texts in zip(columns, keys, _registers(lines, start, rows, len(keys)), strict=True):
            column.extend(cells.values(start, texts, key.register))
    _end_of_rows(lines, first)
    repeated = _once(lines, first, stamps, columns)
    for key, column in zip(keys, columns, strict=True):
        yield _parsed(lines, first, key, array("q", stamps), array("i", [0]) * len(stamps), column, repeated)


def _registers(lines: Lines, start: int, rows: list[str], count: int) -> list[list[str]]:
    """Return the cells of each register in some rows, checked to be daily reads."""
    for index, line in enumerate(rows, start):  # before anything is split: a hostile line has thousands of cells
        if line.count(";") != count + 1:
            raise lines.bad(index, "line", f"{count + 2} cells were expected")
    split = [line.split(";") for line in rows]
    for index, row in enumerate(split, start):
        if plain(row[1]) != _DAILY_READ:
            raise lines.bad(index, "Type de releve", '"Arrêté quotidien" was expected')
    return [list(column) for column in zip(*split, strict=True)][2:]


def _end_of_rows(lines: Lines, first: int) -> None:
    """Refuse a block without rows, or with a row that is none."""
    follows = lines.peek()
    if follows and not plain(follows).startswith(("Identifiant PRM;", "Periode;")):
        raise lines.bad(lines.number, "Horodate", "A stamp looks like 2021-01-07T14:00:00+01:00")
    if lines.number == first:
        raise lines.bad(first - 1, "rows", "At least one row of data should follow")


def _once(lines: Lines, first: int, stamps: array[int], columns: Sequence[array[int]]) -> list[int]:
    """Drop rows that say again what the one before said; return their places. Refuse what is out of order."""
    distances = array("q", map(sub, stamps[1:], stamps))
    if not distances or min(distances) > 0:
        return []
    repeated = []
    for index, distance in enumerate(distances, 1):
        if distance < 0:
            raise lines.bad(first + index, "Horodate", "The stamp does not come after the one before it")
        if distance == 0:
            if any(column[index] != column[index - 1] for column in columns):
                raise lines.bad(first + index, "Horodate", "The row before says something else of the same time")
            repeated.append(index)
    for column in (stamps, *columns):
        kept = bytearray(b"\x01") * len(column)
        for index in repeated:
            kept[index] = 0
        column[:] = array("q", compress(column, kept))
    return repeated


def _line(first: int, index: int, repeated: list[int]) -> int:
    """Return the line of record `index`, after the rows at the places `repeated` were dropped."""
    for place in repeated:
        if place > index:
            break
        index += 1
    return first + index


def _parsed(
    lines: Lines,
    first: int,
    key: SeriesKey,
    starts: array[int],
    durations: array[int],
    column: array[int],
    repeated: list[int],
) -> Parsed:
    """Make the series, its gaps marked; refuse what no series may be, naming the line."""
    gaps = bytes(map(GAP.__eq__, column)) if GAP in column else bytes(len(column))
    for index in compress(range(len(gaps)), gaps):
        column[index] = 0
    series = Series(key, starts, durations, column, gaps)
    fault = series.fault()
    if fault:
        raise lines.bad(_line(first, fault[0], repeated), "Horodate", fault[1])
    return Parsed(series, len(repeated))
