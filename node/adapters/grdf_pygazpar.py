"""Gas readings as pygazpar gives them: JSON, a row a day or a month.

How it works
    A row has a day ("09/05/2019") or a month ("Mai 2019"), the energy in kWh, the volume in m3, and of a day the
    registers at both ends. It becomes up to three series: energy, volume, and the register in m3. A gas day is taken
    from midnight to midnight, as the rows name no hour. Rows that name no point: it is said beside the file (pce:).
    A day whose value is absent or null is a gap. Registers of successive days agree, or the file is refused.

What it does not do
    It keeps neither the temperature nor the conversion factor; energy is as GRDF computed it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from typing import Final

from ledger.errors import LocalError
from node.adapters.adapter import Adapter, Found, Head, Source, refused
from node.adapters.enedis_time import day_number, period_of_day
from node.adapters.rows import Table
from node.adapters.strict_json import Fields, documents
from node.readings import MAX_RECORDS
from node.series_key import SeriesKey

MAX_BYTES: Final = 16 << 20
"""Largest file, in bytes."""
CODE: Final = "BAD_PYGAZPAR"
"""The code of every refusal."""

_KNOWN: Final = {
    *("time_period", "start_index_m3", "end_index_m3", "volume_m3", "energy_kwh", "converter_factor_kwh/m3"),
    *("temperature_degC", "type", "timestamp"),
}
_MONTHS: Final = (
    *("janvier", "fevrier", "mars", "avril", "mai", "juin", "juillet", "aout", "septembre", "octobre"),
    *("novembre", "decembre"),
)
_DAY: Final = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})")
_MONTH: Final = re.compile(r"([a-z]{3,9}) ([0-9]{4})")


def _period(row: Fields) -> tuple[int, int, str]:
    """Return the first day of a row, the day after the last, and the granularity."""
    text = unicodedata.normalize("NFKD", row.text("time_period").lower())
    text = "".join(c for c in text if not unicodedata.combining(c))
    try:
        if day := _DAY.fullmatch(text):
            first = day_number(int(day[3]), int(day[2]), int(day[1]))
            return first, first + 1, "P1D"
        month = _MONTH.fullmatch(text)
        if month is not None and month[1] in _MONTHS:
            number, year = _MONTHS.index(month[1]) + 1, int(month[2])
            after = date(year + number // 12, number % 12 + 1, 1)
            return day_number(year, number, 1), day_number(after.year, after.month, 1), "P1M"
    except ValueError:
        pass
    raise row.bad("time_period", "A day such as 09/05/2019, or a month such as Mai 2019, was expected")


def _read(data: bytes, source: Source) -> Iterator[Found]:
    if not source.point:
        raise refused(
            CODE, source, "point", "These rows do not name their point: say it beside the file (--point pce:…)"
        )
    places: list[str] = []
    table = Table(lambda place, name, told: refused(CODE, source, f"{places[place]}, {name}", told))
    registers: dict[int, object] = {}
    for row in documents(data, source, CODE, MAX_BYTES, MAX_RECORDS):
        row.only(_KNOWN)
        places.append(row.where)
        _add(table, len(places) - 1, row, source, registers)
    yield from table.found()


def _add(table: Table, place: int, row: Fields, source: Source, registers: dict[int, object]) -> None:
    first, after, granularity = _period(row)
    start = period_of_day(first)[0]
    stop = sum(period_of_day(after - 1))
    if not (row.has("energy_kwh") or row.has("volume_m3")) and not row.has("type"):
        raise row.bad("energy_kwh", "An energy or a volume was expected")
    for unit, name in (("kWh", "energy_kwh"), ("m3", "volume_m3")):
        value = row.number(name)
        if value is not None and value < 0:
            raise row.bad(name, "Consumption is not negative")
        table.add(_key(row, source, "daily", granularity, unit), place, start, stop - start, value)
    for name, at in (("start_index_m3", start), ("end_index_m3", stop)):
        register = row.number(name)
        if register is None or granularity != "P1D":
            continue
        if registers.get(at, register) != register:
            raise row.bad(name, "Another row says another register for the same time")
        if at not in registers:
            registers[at] = register
            table.add(_key(row, source, "index", "P1D", "m3"), place, at, 0, register)


def _key(row: Fields, source: Source, kind: str, granularity: str, unit: str) -> SeriesKey:
    try:
        return SeriesKey(source.point, "gas", "consumption", kind, granularity, unit)
    except LocalError as error:
        raise row.bad("point", error.message) from error


def _is_pygazpar(head: Head) -> bool:
    return head.kind == "json" and head.text.startswith("[") and {"time_period", "energy_kwh"} <= head.members


ADAPTERS: Final = (
    Adapter(
        "grdf-pygazpar",
        "GRDF readings as pygazpar writes them: daily or monthly JSON (name the point: --point pce:…)",
        _is_pygazpar,
        _read,
        limits={"bytes": MAX_BYTES, "records": MAX_RECORDS},
        codes=(CODE,),
    ),
)
"""What `node.adapters.registry` lists of this module."""
