"""Gas consumption as GRDF's ADICT gives it: NDJSON, a period a line, both ways.

How it works
    A line has a point (pce), two readings of the register (releve_debut, releve_fin) and a consumption between two
    stamps. It becomes up to three series: energy in kWh (energie), volume in m3 (volume_brut), and the register in m3
    (index_brut_debut, index_brut_fin). Periods of a day are P1D (a gas day begins at six in the morning); longer ones,
    as published, are P1M, the coarsest step that a gas series of ours has short of a year, with their own durations.
    A line whose consumption is absent or null (statut_restitution says why) is a gap over its period, if the period
    is a day; else it is left out, and said. The trailer of a list is checked: a code other than zeros refuses the file.
    Of provisional and definitive lines for one period the definitive ones count.
    Written: a line for each period of a series in kWh, with the volume beside it where that is given too.
    "maille:fictitious" marks what is of no real meter.

What it does not do
    It converts no volume to energy: the coefficient of each period is GRDF's. It reads no injection of biomethane by
    producers. It knows of no right to these data: `node.adapters.consents.droit_acces` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final

from ledger.errors import LocalError, RemoteError
from node.adapters.adapter import Adapter, Found, Head, LeftOut, Parsed, Source, refused
from node.adapters.stamps import day_of, exact, gas_day, with_offset
from node.adapters.strict_json import Fields, encoded, lines
from node.readings import MAX_RECORDS, Reading, Series, Value
from node.series_key import SeriesKey

MAX_BYTES: Final = 64 << 20
"""Largest file, in bytes."""
MAX_LINES: Final = 200_000
"""Lines in one file."""
CODE: Final = "BAD_ADICT"
SUCCESS: Final = "0000000000"
"""The trailer's code of a list that is whole."""
FICTITIOUS: Final = "maille:fictitious"

_KNOWN: Final = frozenset(
    {
        *("pce", "periode", "releve_debut", "releve_fin", "consommation", "bordereau_publication"),
        *("statut_restitution", FICTITIOUS),
    }
)
_CONSUMPTION: Final = frozenset(
    {
        *("date_debut_consommation", "date_fin_consommation", "flag_retour_zero", "volume_brut", "coeff_calcul"),
        *("volume_converti", "energie", "type_qualif_conso", "sens_flux_gaz", "statut_conso", "journee_gaziere"),
        *("type_conso",),
    }
)
_FLOWS: Final = {"Consommation": "consumption"}
_STATES: Final = {"Provisoire": 0, "Définitive": 1, "": 0}
_DAY_MOST: Final = 25 * 3_600
_KWH, _M3, _INDEX = ("daily", "kWh"), ("daily", "m3"), ("index", "m3")

Rows = dict[int, tuple[int, int, Value]]
"""Start -> (how final, duration in seconds, value) of one series."""


class _Columns:
    """What has been read: series by key, a record by its start."""

    def __init__(self) -> None:
        self.rows: dict[SeriesKey, Rows] = {}
        self.repeated: dict[SeriesKey, int] = {}

    def put(self, line: Fields, key: SeriesKey, start: int, final: int, duration: int, value: Value) -> None:
        """Keep a record; of two for one start the more final counts, and equal ones must agree."""
        rows = self.rows.setdefault(key, {})
        held = rows.get(start)
        if held is not None and held[0] >= final:
            if held[0] == final and held[1:] != (duration, value):
                raise line.bad("", "Another line says something else of this period")
            self.repeated[key] = self.repeated.get(key, 0) + 1
            return
        rows[start] = (final, duration, value)

    def series(self, source: Source) -> Iterator[Parsed]:
        """Yield the series."""
        for key, rows in self.rows.items():
            readings = [Reading(start, duration, value) for start, (_, duration, value) in sorted(rows.items())]
            try:
                yield Parsed(Series.from_readings(key, readings), self.repeated.get(key, 0))
            except LocalError as error:
                where = f"series {key.kind} in {key.unit}, {error.field}"
                raise RemoteError(
                    CODE, f"{error.message}. Nothing was read.", field=f"{source.name}, {where}"
                ) from error


def read(data: bytes, source: Source) -> Iterator[Found]:
    """Yield the series of a file. Raises RemoteError BAD_ADICT, naming line and field."""
    columns = _Columns()
    left_out, lines_read = 0, 0
    for line in lines(data, source, CODE, MAX_BYTES, MAX_LINES):
        if "code_statut_traitement" in line.values:
            if line.text("code_statut_traitement") != SUCCESS:
                raise line.bad("code_statut_traitement", "GRDF says that the request failed; its list is not whole")
            continue
        lines_read += 1
        left_out += not _line(line, columns)
    if not lines_read:
        raise refused(CODE, source, "file", "The file has no line of consumption")
    yield from columns.series(source)
    if left_out:
        yield LeftOut("periods longer than a day without a value", left_out)


def _line(line: Fields, columns: _Columns) -> bool:
    """Read one line; False where there is nothing in it that could be kept."""
    line.only(_KNOWN)
    conso = line.object("consommation")
    conso.only(_CONSUMPTION)
    conso.choice("sens_flux_gaz", _FLOWS, "Consommation")
    final = conso.choice("statut_conso", _STATES, "")
    start, stop = _period(line, conso)
    granularity = "P1D" if stop - start <= _DAY_MOST else "P1M"
    kept = False
    for name, (kind, unit) in (("energie", _KWH), ("volume_brut", _M3)):
        value = conso.number(name)
        if value is None and (granularity, name) != ("P1D", "energie"):
            continue  # the energy's gap says that the day is missing
        columns.put(line, _key(line, kind, unit, granularity), start, final, stop - start, value)
        kept = True
    for side in ("debut", "fin"):
        index = line.object(f"releve_{side}").object(f"index_brut_{side}")
        value, at = index.number("valeur_index"), index.moment("horodate_Index", exact)
        if value is not None and at is None:
            raise index.bad("horodate_Index", "A register has a value and no time")
        if value is not None and at is not None:
            columns.put(line, _key(line, *_INDEX, "P1D"), at, 0, 0, value)
            kept = True
    return kept


def _period(line: Fields, conso: Fields) -> tuple[int, int]:
    """Return when a line's period begins and ends: by its stamps, else by its dates."""
    start = conso.moment("date_debut_consommation", _moment)
    stop = conso.moment("date_fin_consommation", _moment)
    if start is None and stop is None and conso.has("journee_gaziere"):
        day = conso.moment("journee_gaziere", day_of)
        start, stop = gas_day(day or 0), gas_day((day or 0) + 1)
    if start is None and stop is None:
        period = line.object("periode")
        start, stop = period.moment("date_debut", _moment), period.moment("date_fin", _moment)
    if start is None or stop is None:
        raise line.bad("consommation", "A line says from when to when its consumption is")
    if stop <= start:
        raise line.bad("date_fin_consommation", "A period ends after it begins")
    return start, stop


def _moment(text: str) -> int:
    """Return UTC seconds of a stamp, or of the morning on which the gas day of a date begins."""
    return gas_day(day_of(text)) if len(text) == len("2021-01-31") else exact(text)


def _key(line: Fields, kind: str, unit: str, granularity: str) -> SeriesKey:
    point = f"pce:{line.object('pce').text('id_pce')}"
    fictitious = line.flag(FICTITIOUS, default=False)
    try:
        return SeriesKey(point, "gas", "consumption", kind, granularity, unit, fictitious=fictitious)
    except LocalError:
        raise line.bad("pce, id_pce", "A point of 14 digits was expected; others are not known here") from None


def write(series: Sequence[Series]) -> bytes:
    """Return gas series as NDJSON. Raises LocalError NO_PLACE for what ADICT has no line for."""
    volumes = {one.key.point: _by_start(one) for one in series if (one.key.kind, one.key.unit) == _M3}
    energies = [one for one in series if (one.key.kind, one.key.unit) == _KWH]
    if len(energies) + len(volumes) != len(series) or any(one.key.energy != "gas" for one in series):
        raise LocalError(
            "NO_PLACE", "ADICT has lines for daily gas in kWh and m3 alone; choose these series", field="series"
        )
    if not energies:
        raise LocalError("NO_PLACE", "ADICT needs the energy in kWh of each period", field="series")
    found = [_written(one, reading, volumes) for one in energies for reading in one]
    return b"".join(map(encoded, found))


def _by_start(series: Series) -> dict[int, Value]:
    return dict(zip(series.starts, series.values(), strict=True))


def _written(series: Series, reading: Reading, volumes: dict[str, dict[int, Value]]) -> dict[str, Any]:
    start, stop = with_offset(reading.start), with_offset(reading.start + reading.duration_s)
    daily = series.key.granularity == "P1D"
    conso: dict[str, Any] = {
        "date_debut_consommation": start,
        "date_fin_consommation": stop,
        "volume_brut": volumes.get(series.key.point, {}).get(reading.start),
        "energie": reading.value,
        "sens_flux_gaz": "Consommation",
        "statut_conso": "Définitive",
        "journee_gaziere": start[: len(date.min.isoformat())] if daily else None,
        "type_conso": "Informative Journalier" if daily else "Publiée",
    }
    line: dict[str, Any] = {
        "pce": {"id_pce": series.key.point.removeprefix("pce:")},
        "periode": {"date_debut": start[:10], "date_fin": stop[:10]},
        "consommation": conso,
    }
    return line | ({FICTITIOUS: True} if series.key.fictitious else {})


def _is_ours(head: Head) -> bool:
    return head.kind == "json" and head.text.startswith("{") and {"pce", "consommation"} <= head.members


ADAPTERS: Final = (
    Adapter(
        "adict",
        "GRDF ADICT, consumption of gas (NDJSON)",
        _is_ours,
        read,
        write,
        {"bytes": MAX_BYTES, "lines": MAX_LINES, "records": MAX_RECORDS},
        (CODE,),
    ),
)
"""What `node.adapters.registry` lists of this module."""
