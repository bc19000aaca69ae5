"""Answers of Enedis' Data Connect, in the shapes of v3, of v4 and v5, and of 2026: one normal form for all.

How it works
    v3 gives a start and values with their rank; v4 and v5 give each value its stamp; 2026 gives quantities with their
    direction, as SGE does (`node.adapters.enedis_measures`), and registers of an index below `contexte`. Values are
    texts. v3 to v5 do not say the direction, unless by `flow_direction`: it is said beside the file. Every object's
    names are known or refused, so that a changed shape is an error and never a file without rows.

What it does not do
    It fetches nothing. Subscribed services are consent, not readings, and are read elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ledger.errors import LocalError, RemoteError
from node.adapters.adapter import Adapter, Found, Head, LeftOut, Source, refused
from node.adapters.enedis_measures import DIRECTIONS, OTHERS, STAGES, Group, kind_of, value_of
from node.adapters.enedis_time import DAY, meanings, period_of_day, read_day, read_stamp
from node.adapters.rows import Table
from node.adapters.strict_json import Fields, document
from node.readings import MAX_RECORDS, Value
from node.series_key import SeriesKey

MAX_BYTES: Final = 16 << 20
"""Largest answer, in bytes: seven years of half-hours."""
CODE: Final = "BAD_DATA_CONNECT"
"""The code of every refusal."""

_READING: Final = {"usage_point_id", "start", "end", "quality", "reading_type", "interval_reading"}
_TYPE: Final = {
    *("measurement_kind", "unit", "aggregate", "measuring_period", "interval_length", "flow_direction"),
    *("accumulation_behaviour", "commodity"),
}
_VALUE: Final = {"value", "date", "interval_length", "measure_type", "rank"}
_ANSWER: Final = {"idPrm", "etapeMetier", "periode", "modeCalcul", "pas", "grandeur", "contexte"}
_QUANTITY: Final = {"grandeurMetier", "grandeurPhysique", "unite", "points", "calendrier"}
_MEASURES: Final = {("power", "average"): "PA", ("energy", "sum"): "EA", ("power", "maximum"): "PMA"}
_FLOWS: Final = {"forward": "consumption", "reverse": "injection"}


class _Answer:
    """One answer being read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.where: list[str] = []
        self.table = Table(self.refuse)
        self.left_out: dict[str, int] = {}

    def place(self, fields: Fields) -> int:
        """Remember where an object stands; return the number that stands for it."""
        self.where.append(fields.where)
        return len(self.where) - 1

    def refuse(self, place: int, name: str, message: str) -> RemoteError:
        """Return the error that refuses the file for a field of an object."""
        return refused(CODE, self.source, f"{self.where[place]}, {name}", message)

    def leave(self, what: str, records: int) -> None:
        """Note what is not kept."""
        self.left_out[what] = self.left_out.get(what, 0) + records


def _value(fields: Fields, name: str) -> Value:
    """Return a value, which is a text or a number."""
    raw = fields.values.get(name)
    known, value = value_of(raw) if isinstance(raw, str) or raw is None else (True, fields.number(name))
    if not known:
        raise fields.bad(name, "A number in a text, or null, was expected")
    return value


def _day(fields: Fields, name: str) -> int:
    """Return a date, alone or with the time of midnight, as days from 1970."""
    text = fields.text(name)
    try:
        return read_day(text) if len(text) == len("2026-09-14") else read_stamp(text)[0] // DAY
    except ValueError as error:
        raise fields.bad(name, str(error).capitalize()) from None


def _read_old(answer: _Answer, reading: Fields) -> None:
    """Read a meter_reading of v3, v4 or v5."""
    reading.only(_READING)
    kind, values = reading.object("reading_type"), reading.objects("interval_reading")
    kind.only(_TYPE)
    quantity = _MEASURES.get((kind.text("measurement_kind"), kind.text("aggregate")))
    if quantity is None:
        raise kind.bad("aggregate", "power average, energy sum or power maximum was expected")
    series = kind_of(quantity) or ""
    group = Group(
        answer.refuse,
        answer.place(reading),
        reading.text("usage_point_id"),
        series,
        kind.choice("flow_direction", _FLOWS) if kind.has("flow_direction") else answer.source.direction,
        reading.choice("quality", STAGES, "BRUT"),
        kind.text("unit"),
    )
    group.factor()
    if values and all(value.has("rank") for value in values):
        _read_ranks(answer, reading, kind, values, group)
        return
    step = kind.text("interval_length", "") or None
    for value in values:
        value.only(_VALUE)
        length = value.text("interval_length", "") or step
        group.add(answer.place(value), value.text("date"), length, _value(value, "value"))
    group.into(answer.table)


def _read_ranks(answer: _Answer, reading: Fields, kind: Fields, values: list[Fields], group: Group) -> None:
    """Read the values of v3: the first has rank 1 and begins with the period."""
    raw = kind.values.get("interval_length")
    text = str(raw) if isinstance(raw, int) else kind.text("interval_length", "P1D" if group.kind == "daily" else "")
    step = {"P1D": DAY, "PT30M": 1800, "PT60M": 3600, "PT10M": 600, "PT15M": 900}.get(text)
    if step is None and text.isascii() and text.isdigit() and len(text) < 6:
        step = int(text)
    if step not in {600, 900, 1800, 3600, DAY} or (step == DAY) != (group.kind == "daily"):
        raise kind.bad("interval_length", "The length of the step, in seconds or as PT30M, was expected")
    first = _day(reading, "start")
    unit = {"load_curve": "W", "daily": "Wh"}.get(group.kind)
    if unit is None:
        raise kind.bad("aggregate", "Peaks with ranks have no times")
    granularity = "P1D" if step == DAY else f"PT{step // 60}M"
    try:
        key = SeriesKey(
            f"prm:{group.point}", "electricity", group.direction, group.kind, granularity, unit, stage=group.stage
        )
    except LocalError as error:
        raise reading.bad(error.field or "usage_point_id", error.message) from error
    for value in values:
        value.only(_VALUE - {"date"})
        rank = value.whole("rank")
        if not 1 <= rank <= MAX_RECORDS:
            raise value.bad("rank", "Ranks begin with 1")
        period = (meanings(first * DAY)[0] + (rank - 1) * step, step)
        if step == DAY:
            period = period_of_day(first + rank - 1)
        read = _value(value, "value")
        group_value = None if read is None else read * group.factor()
        answer.table.add(key, answer.place(value), *period, group_value)


def _read_new(answer: _Answer, fields: Fields) -> None:
    """Read an answer of 2026."""
    fields.only(_ANSWER)
    period = fields.object("periode")
    asked = (_day(period, "dateDebut"), _day(period, "dateFin")) if period.values else None
    stage = fields.choice("etapeMetier", STAGES, "BRUT")
    point = fields.text("idPrm")
    for quantity in fields.objects("grandeur"):
        quantity.only(_QUANTITY)
        name, points = quantity.text("grandeurPhysique"), quantity.objects("points")
        direction = quantity.choice("grandeurMetier", DIRECTIONS)
        kind = kind_of(name)
        if kind is None:
            if name not in OTHERS:
                raise quantity.bad("grandeurPhysique", "This quantity is not known")
            answer.leave(OTHERS[name], len(points))
            continue
        place = answer.place(quantity)
        group = Group(answer.refuse, place, point, kind, direction, stage, quantity.text("unite"), asked)
        step = fields.text("pas", "") or None
        for one in points:
            one.only({"v", "d", "p", "n", "iv", "tc"})
            group.add(answer.place(one), one.text("d"), one.text("p", "") or step, _value(one, "v"))
        group.into(answer.table)
    for context in fields.objects("contexte"):
        for quantity in context.objects("grandeur"):
            _read_index(answer, point, stage, quantity)


def _read_index(answer: _Answer, point: str, stage: str, quantity: Fields) -> None:
    """Read the registers of an index below a context."""
    letters = {"CONS": "EAS", "PROD": "EAI"}
    direction = quantity.choice("grandeurMetier", DIRECTIONS)
    prefix = letters[quantity.text("grandeurMetier")]
    for calendar in quantity.objects("calendrier"):
        grid = {"DI": "D", "FC": "F"}.get(calendar.text("idCalendrier", "")[:2])
        for register in calendar.objects("classeTemporelle"):
            values = register.objects("valeur")
            code = register.text("codeCadran", "").lstrip("0")
            if quantity.text("grandeurPhysique") != "EA" or grid is None or not code:
                answer.leave("registers of another grid or quantity", len(values))
                continue
            if quantity.text("unite") not in {"Wh", "kWh"}:
                raise quantity.bad("unite", "Wh or kWh was expected")
            factor = 1000 if quantity.text("unite") == "kWh" else 1
            try:
                key = SeriesKey(
                    f"prm:{point}", "electricity", direction, "index", "P1D", "Wh", f"{prefix} {grid}{code}", stage
                )
            except LocalError as error:
                raise register.bad(error.field or "codeCadran", error.message) from error
            for one in values:
                one.only({"v", "d", "iv", "n"})
                read = _value(one, "v")
                group_value = None if read is None else read * factor
                answer.table.add(key, answer.place(one), _instant(one), 0, group_value)


def _instant(fields: Fields) -> int:
    text = fields.text("d")
    try:
        seconds, local = read_stamp(text if len(text) > len("2026-09-14") else f"{text} 00:00:00")
    except ValueError as error:
        raise fields.bad("d", str(error).capitalize()) from None
    found = meanings(seconds) if local else (seconds,)
    if not found:
        raise fields.bad("d", "This local time does not exist: the clock was put forward")
    return found[0]


def _read(data: bytes, source: Source) -> Iterator[Found]:
    answer, fields = _Answer(source), document(data, source, CODE, MAX_BYTES)
    fields = replace(fields, where="answer")
    if "usage_point" in fields.values:
        fields.only({"usage_point"})
        for point in fields.objects("usage_point"):
            point.only({"meter_reading"})
            _read_old(answer, point.object("meter_reading"))
    elif "meter_reading" in fields.values:
        fields.only({"meter_reading"})
        _read_old(answer, fields.object("meter_reading"))
    elif "interval_reading" in fields.values:
        _read_old(answer, fields)
    else:
        _read_new(answer, fields)
    yield from answer.table.found()
    for what, records in answer.left_out.items():
        yield LeftOut(what, records)


def _is_data_connect(head: Head) -> bool:
    if head.kind != "json" or not head.text.startswith("{"):
        return False
    old = head.members & {"meter_reading", "interval_reading"}
    return bool(old) or {"idPrm", "periode"} <= head.members


ADAPTERS: Final = (
    Adapter(
        "data-connect",
        "Enedis Data Connect JSON: v3, v4 and v5, 2026",
        _is_data_connect,
        _read,
        limits={"bytes": MAX_BYTES, "records": MAX_RECORDS},
        codes=(CODE,),
    ),
)
"""What `node.adapters.registry` lists of this module."""
