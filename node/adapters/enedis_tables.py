"""Enedis exports that are one plain table: a row a measure with all its columns, or a row a day.

How it works
    A row a measure: "Date de la mesure;Heure de la mesure;Valeur;...;Pas en minutes"; the columns that describe the
    series may be said once and left empty after. A row a day: "Date;Valeur (en Wh)" or "Date;Consommation (en kWh)",
    under a heading that names the point, or alone, when the point must be said beside.
    Dates and times are those on the wall in Paris, without offset: `node.adapters.enedis_time` says what they mean on
    the days when the hour changes. A load curve's stamp is the end of its step; a day is from midnight to midnight,
    23 to 25 hours. Energy is held in Wh whatever the file prints, peak power in VA. Empty, or NA: a gap.

What it does not do
    It keeps no "Statut de la mesure": the normal form has no place for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final

from ledger.errors import LocalError
from node.adapters.adapter import Parsed
from node.adapters.enedis_cells import Cells, plain
from node.adapters.enedis_lines import Lines
from node.adapters.enedis_time import DAY, NoTimeError, period_of_day, resolve
from node.adapters.rows import Table, times
from node.adapters.steps import STEPS, NoStepError, durations_from
from node.series_key import SeriesKey

MEASURES: Final = (
    "Date de la mesure;Heure de la mesure;Valeur;Statut de la mesure;PRM;Type de donnees;Date de debut;Date de fin;"
    "Grandeur metier;Grandeur physique;Statut demande;Unite;Pas en minutes"
)
"""The header of a table with a row a measure, without accents."""
DAILY_HEADERS: Final = {  # header -> direction it says, or "", and what makes Wh of the value
    **{f"Date;Valeur (en {unit})": ("", factor) for unit, factor in (("Wh", 1), ("kWh", 1000))},
    **{
        f"Date;{word} (en {unit})": (direction, factor)
        for word, direction in (
            ("Consommation", "consumption"),
            ("Production", "injection"),
            ("Injection", "injection"),
        )
        for unit, factor in (("Wh", 1), ("kWh", 1000))
    },
}
"""Headers of a table with a row a day, without accents."""
_ABOUT: Final = MEASURES.split(";")[4:]
_KINDS: Final = {
    "courbe de charge": "load_curve",
    "energie quotidienne": "daily",
    "consommation quotidienne": "daily",
    "production quotidienne": "daily",
    "puissance maximale quotidienne": "max_power",
}
_DIRECTIONS: Final = {
    **{"consommation": "consumption", "cons": "consumption"},
    **{"production": "injection", "injection": "injection", "prod": "injection"},
}
_QUANTITIES: Final = {
    "load_curve": {"energie active", "puissance active", "ea", "pa"},
    "daily": {"energie active", "ea"},
    "max_power": {"puissance maximale atteinte", "puissance maximale", "pma"},
}
_STAGES: Final = {"": "raw", "brut": "raw", "comptage brut": "raw", "corrige": "corrected"} | {
    "comptage corrige": "corrected"
}
_UNITS: Final = {
    "load_curve": {"w": 1, "kw": 1000},
    "daily": {"wh": 1, "kwh": 1000},
    "max_power": {"w": 1, "va": 1, "kva": 1000},
}


def read_daily(lines: Lines, key: SeriesKey) -> Iterator[Parsed]:
    """Yield the series of the daily totals whose header comes next. `key`: what is known of it, in Wh."""
    at = lines.number
    known = DAILY_HEADERS.get(plain(lines.take()))
    if known is None:
        raise lines.bad(at, "header", f"One of {' | '.join(DAILY_HEADERS)} was expected")
    direction, factor = known
    if direction and direction != key.direction:
        raise lines.bad(at, "header", "The header is of the other direction than the one that was said")
    cells, table = Cells(lines), Table(lines.bad)
    while rows := lines.stretch():
        for index, line in enumerate(rows, lines.number - len(rows)):
            day, _, text = line.partition(";")
            midnight = cells.day(index, day, "Date")
            value = cells.decimal(index, text, "Valeur")
            table.add(key, index, *period_of_day(midnight // DAY), None if value is None else times(value, factor))
    follows = lines.peek()
    if follows and not plain(follows).startswith("Identifiant PRM;"):
        raise lines.bad(lines.number, "Date", "A date looks like 2021-01-07 or 07/01/2021")
    if lines.number == at + 1:
        raise lines.bad(at, "rows", "At least one row of data should follow")
    yield from table.found()


@dataclass(slots=True)
class _Rows:
    """Rows of one series: wall-clock stamps, values and lines."""

    key: SeriesKey
    step: int
    factor: int
    stamps: list[int] = field(default_factory=list)
    values: list[int | Decimal | None] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


def read_measures(lines: Lines) -> Iterator[Parsed]:
    """Yield the series of a table with a row a measure, whose header comes next. Raises RemoteError BAD_CSV."""
    at, cells = lines.number, Cells(lines)
    lines.take()
    found: dict[tuple[str, ...], _Rows] = {}
    about: list[str] = []
    while rows := lines.stretch():
        for index, line in enumerate(rows, lines.number - len(rows)):
            row = line.split(";", len(_ABOUT) + 5)
            if len(row) != len(_ABOUT) + 4:
                raise lines.bad(index, "line", f"{len(_ABOUT) + 4} cells were expected")
            if any(row[4:]) or not about:
                about = row[4:]
            one = found.get(tuple(about))
            if one is None:
                one = found[tuple(about)] = _series(lines, index, about)
            one.stamps.append(
                cells.day(index, row[0], "Date de la mesure") + cells.time(index, row[1], "Heure de la mesure")
            )
            value = cells.decimal(index, row[2], "Valeur")
            one.values.append(None if value is None else times(value, one.factor))
            one.places.append(index)
    if lines.peek():
        raise lines.bad(lines.number, "Date de la mesure", "A date looks like 2021-01-07 or 07/01/2021")
    if not found:
        raise lines.bad(at, "rows", "At least one row of data should follow")
    table = Table(lines.bad)
    for one in found.values():
        _add(lines, table, one)
    yield from table.found()


def _series(lines: Lines, index: int, about: list[str]) -> _Rows:
    """Return what the describing columns of a row say."""
    cell = dict(zip(_ABOUT, (plain(text).strip().lower() for text in about), strict=True))

    def choose(column: str, choices: dict[str, str]) -> str:
        if cell[column] not in choices:
            raise lines.bad(index, column, f"One of {' | '.join(filter(None, choices))} was expected")
        return choices[cell[column]]

    kind = choose("Type de donnees", _KINDS)
    choose("Grandeur physique", dict.fromkeys(sorted(_QUANTITIES[kind]), kind))
    factor = int(choose("Unite", {unit: str(factor) for unit, factor in _UNITS[kind].items()}))
    steps = {"": "0", **{str(s // 60): str(s) for s in STEPS}} if kind == "load_curve" else {"": "0", "1440": "0"}
    step = int(choose("Pas en minutes", steps))
    granularity = f"PT{(step or 1800) // 60}M" if kind == "load_curve" else "P1D"
    unit = {"load_curve": "W", "daily": "Wh", "max_power": "VA"}[kind]
    direction, stage = choose("Grandeur metier", _DIRECTIONS), choose("Statut demande", _STAGES)
    try:
        key = SeriesKey(f"prm:{cell['PRM']}", "electricity", direction, kind, granularity, unit, stage=stage)
    except LocalError as error:
        raise lines.bad(index, "PRM" if error.field == "point" else "Statut demande", error.message) from error
    return _Rows(key, step, factor)


def _add(lines: Lines, table: Table, rows: _Rows) -> None:
    """Turn wall-clock stamps into periods and add them."""
    if rows.key.kind == "daily":
        for stamp, value, place in zip(rows.stamps, rows.values, rows.places, strict=True):
            table.add(rows.key, place, *period_of_day(stamp // DAY), value)
        return
    try:
        stamps = resolve(rows.stamps, [rows.step] * len(rows.stamps))
    except NoTimeError as error:
        raise lines.bad(rows.places[error.index], "Heure de la mesure", error.message) from None
    durations = _durations(lines, rows, stamps)
    key = rows.key
    if key.kind == "load_curve":
        key = replace(key, granularity=f"PT{min(durations) // 60}M")
    for stamp, duration, value, place in zip(stamps, durations, rows.values, rows.places, strict=True):
        table.add(key, place, stamp - duration, duration, value)


def _durations(lines: Lines, rows: _Rows, stamps: list[int]) -> list[int]:
    if rows.key.is_instant:
        return [0] * len(stamps)
    if rows.step:
        return [rows.step] * len(stamps)
    distances = [after - before for before, after in pairwise(stamps)]
    if distances and min(distances) <= 0:
        place = next(place for place, distance in zip(rows.places[1:], distances, strict=True) if distance <= 0)
        raise lines.bad(place, "Heure de la mesure", "The stamp does not come after the one before it")
    try:
        return list(durations_from(distances))
    except NoStepError as error:
        told = "No step of 10, 15, 30 or 60 minutes explains this stamp beside its neighbours"
        raise lines.bad(rows.places[error.index], "Heure de la mesure", told) from None
