"""Energy documents of a Cozy (Ecolyo's doctypes), both ways: one object of JSON, doctype to list of documents.

How it works
    {"com.grandlyon.enedis.minute": [{"load": 0.53, "year": 2021, "month": 1, "day": 7, "hour": 14, "minute": 0}]}
    A document has the start of its period by the clock of Paris, and its energy: kWh for enedis and grdf, litres for
    egl. A half-hour's energy becomes the mean power in W, and back, exactly. `load: null` is a gap. Documents stand
    in order of time, which settles the hour that autumn repeats. Gas days begin at six.
    A document says nothing of its point: whoever imports names it, except for what we wrote, where "maille" has the
    point, and whether it is fictitious.

What it does not do
    It reads no other doctype of a Cozy, and refuses a file that has one. Steps other than the half-hour, the day, the
    month and the year have no doctype. Sharings are records of consent: `node.adapters.consents.cozy_sharing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from ledger.errors import LocalError
from node.adapters.adapter import Adapter, Found, Head, Source, refused
from node.adapters.enedis_time import DAY, NoTimeError, day_number, midnight, resolve
from node.adapters.numbers import plain
from node.adapters.rows import Table, times
from node.adapters.stamps import gas_day, shown
from node.adapters.strict_json import Fields, document, encoded
from node.readings import MAX_RECORDS, Reading, Series, Value
from node.series_key import SeriesKey

MAX_BYTES: Final = 64 << 20
"""Largest file, in bytes."""
CODE: Final = "BAD_COZY"
OURS: Final = "maille"
"""The field of a document in which we say what the doctype has no place for."""
_PREFIX: Final = "com.grandlyon."
_HALF_HOUR: Final = 1_800
_W_PER_KWH: Final = 2_000  # mean power of a half-hour that used one kWh


@dataclass(frozen=True, slots=True)
class Doctype:
    """What one doctype holds: `step`: minute | day | month | year; `unit`: of its `load`, as our series has it."""

    energy: str
    step: str
    kind: str
    granularity: str
    unit: str


def _doctypes() -> dict[str, Doctype]:
    found = {f"{_PREFIX}enedis.minute": Doctype("electricity", "minute", "load_curve", "PT30M", "W")}
    for source, energy, unit in (("enedis", "electricity", "kWh"), ("grdf", "gas", "kWh"), ("egl", "water", "l")):
        for step, granularity in (("day", "P1D"), ("month", "P1M"), ("year", "P1Y")):
            found[f"{_PREFIX}{source}.{step}"] = Doctype(energy, step, "daily", granularity, unit)
    return found


DOCTYPES: Final = _doctypes()
"""Name -> what it holds."""
_NUMBERS: Final = ("year", "month", "day", "hour", "minute")
_YEARS: Final = range(1996, 2090)
_KNOWN: Final = frozenset({*_NUMBERS, "load", OURS, "id", "_id", "_rev", "_type", "cozyMetadata", "price", "peakLoad"})
_EPOCH: Final = date(1970, 1, 1).toordinal()


def read(data: bytes, source: Source) -> Iterator[Found]:
    """Yield the series of a file. Raises RemoteError BAD_COZY, naming doctype, document and field."""
    found = document(data, source, CODE, MAX_BYTES)
    if not found.values:
        raise refused(CODE, source, "file", "The file has no doctype")
    for name in found.values:
        if name not in DOCTYPES:
            raise found.bad("doctype", f"A doctype that is not known here; there are {', '.join(DOCTYPES)}")
        yield from _series(name, found.objects(name), source)


def _series(name: str, documents: list[Fields], source: Source) -> Iterator[Found]:
    """Yield the series of the documents of one doctype."""
    doctype = DOCTYPES[name]
    table = Table(lambda place, what, message: refused(CODE, source, f"{name} {place}, {what}", message))
    rows: dict[SeriesKey, list[tuple[int, Fields]]] = {}
    for place, one in enumerate(documents, 1):
        one.only(_KNOWN)
        rows.setdefault(_key(doctype, one, source), []).append((place, one))
    for key, placed in rows.items():
        for (place, one), (start, stop) in zip(placed, _periods(doctype, [one for _, one in placed]), strict=True):
            table.add(key, place, start, stop - start, _load(doctype, one))
    return table.found()


def _load(doctype: Doctype, one: Fields) -> Value:
    if "load" not in one.values:
        raise one.bad("load", "A document has a load, or null for a gap")
    load = one.number("load")
    return load if load is None or doctype.step != "minute" else times(load, _W_PER_KWH)


def _key(doctype: Doctype, one: Fields, source: Source) -> SeriesKey:
    ours = one.object(OURS)
    ours.only(frozenset({"point", "direction", "fictitious"}))
    point = ours.text("point", source.point)
    if not point:
        raise one.bad("point", "The documents name no point; say which one it is (--point)")
    direction = ours.text("direction", source.direction)
    fictitious = ours.flag("fictitious", default=False)
    try:
        return SeriesKey(
            point, doctype.energy, direction, doctype.kind, doctype.granularity, doctype.unit, fictitious=fictitious
        )
    except LocalError as error:
        raise one.bad(error.field or "point", error.message) from None


def _periods(doctype: Doctype, documents: list[Fields]) -> list[tuple[int, int]]:
    """Return when each document's period begins and ends, in UTC seconds."""
    days = [_day(one) for one in documents]
    if doctype.step != "minute":
        return [
            (_morning(doctype, day), _morning(doctype, _following(doctype.step, day, one)))
            for day, one in zip(days, documents, strict=True)
        ]
    clocks = [day * DAY + _clock(one) for day, one in zip(days, documents, strict=True)]
    try:
        starts = resolve(clocks, [_HALF_HOUR] * len(clocks))
    except NoTimeError as error:
        raise documents[error.index].bad("hour", error.message) from None
    return [(start, start + _HALF_HOUR) for start in starts]


def _day(one: Fields) -> int:
    year, month, day = one.whole("year"), one.whole("month", 1), one.whole("day", 1)
    try:
        if not _YEARS.start <= year < _YEARS.stop:
            raise ValueError
        return day_number(year, month, day)
    except (ValueError, OverflowError):
        raise one.bad("year, month, day", f"There is no such day from {_YEARS.start} to {_YEARS.stop - 1}") from None


def _clock(one: Fields) -> int:
    hour, minute = one.whole("hour", 0), one.whole("minute", 0)
    if not (0 <= hour < 24 and minute in {0, 30}):
        raise one.bad("hour, minute", "Hours go from 0 to 23, minutes are 0 or 30")
    return hour * 3_600 + minute * 60


def _following(step: str, day: int, one: Fields) -> int:
    try:
        return _next(step, day)
    except ValueError as error:
        raise one.bad("month, day", str(error)) from None


def _next(step: str, day: int) -> int:
    """Return the day on which the next period begins. Raises ValueError."""
    at = date.fromordinal(day + _EPOCH)
    if (step != "day" and at.day != 1) or (step == "year" and at.month != 1):
        raise ValueError("A month and a year begin on their first day")
    match step:
        case "day":
            return day + 1
        case "month":
            return date(at.year + at.month // 12, at.month % 12 + 1, 1).toordinal() - _EPOCH
        case _:
            return date(at.year + 1, 1, 1).toordinal() - _EPOCH


def _morning(doctype: Doctype, day: int) -> int:
    return gas_day(day) if doctype.energy == "gas" else midnight(day)


def write(series: Sequence[Series]) -> bytes:
    """Return series as documents. Raises LocalError NO_PLACE for what no doctype holds."""
    names = {(d.energy, d.kind, d.granularity, d.unit): name for name, d in DOCTYPES.items()}
    found: dict[str, list[dict[str, Any]]] = {}
    for one in series:
        key = one.key
        name = names.get((key.energy, key.kind, key.granularity, key.unit))
        if name is None or key.stage != "raw":
            raise LocalError(
                "NO_PLACE",
                "No doctype holds a series of this kind, step and unit; choose another format",
                field="series",
            )
        ours = {"point": key.point, "direction": key.direction, "fictitious": key.fictitious}
        documents = found.setdefault(name, [])
        documents += [{**_written(DOCTYPES[name], reading), OURS: ours} for reading in one]
    return encoded(found, indent=1)


def _written(doctype: Doctype, reading: Reading) -> dict[str, Any]:
    clock = datetime.fromtimestamp(shown(reading.start), UTC)
    day = shown(reading.start) // DAY
    try:
        stop = reading.start + _HALF_HOUR if doctype.step == "minute" else _morning(doctype, _next(doctype.step, day))
    except ValueError:
        stop = -1
    begins = clock.minute in {0, 30} if doctype.step == "minute" else reading.start == _morning(doctype, day)
    if not begins or clock.second or stop != reading.start + reading.duration_s:
        raise LocalError("NO_PLACE", f"A record is no {doctype.step} of Paris; choose another format", field="series")
    value = reading.value
    load = None if value is None else plain(Decimal(value) / _W_PER_KWH) if doctype.step == "minute" else value
    found: dict[str, Any] = {"load": load, "year": clock.year, "month": clock.month, "day": clock.day}
    if doctype.step == "minute":
        found |= {"hour": clock.hour, "minute": clock.minute}
    return found


def _is_ours(head: Head) -> bool:
    return head.kind == "json" and any(member.startswith(_PREFIX) for member in head.members)


ADAPTERS: Final = (
    Adapter(
        "cozy",
        "Energy documents of a Cozy (Ecolyo)",
        _is_ours,
        read,
        write,
        {"bytes": MAX_BYTES, "records": MAX_RECORDS},
        (CODE,),
    ),
)
"""What `node.adapters.registry` lists of this module."""
