"""Data Connect in three shapes: one normal form; an unknown shape is refused with its place; no rows is an error."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from node.adapters import registry
from node.adapters.adapter import LeftOut, Source
from node.readings import Reading, Series
from node.series_key import SeriesKey
from tests.node.adapters.test_enedis_services import PARIS, POINT, WINTER, at, only, read, refusal


def v3(
    values: list[Any], *, kind: str = "power", step: Any = 1800, unit: str = "W", start: str = WINTER
) -> dict[str, Any]:
    aggregate = {"power": "average", "energy": "sum"}[kind]
    reading = {
        "usage_point_id": POINT,
        "start": start,
        "end": "2026-01-16",
        "reading_type": {"measurement_kind": kind, "interval_length": step, "unit": unit, "aggregate": aggregate},
        "interval_reading": [{"rank": rank, "value": value} for rank, value in enumerate(values, 1)],
    }
    return {"usage_point": [{"meter_reading": reading}]}


def v5(values: list[tuple[str, Any]], *, kind: str = "power", unit: str = "W", **more: Any) -> dict[str, Any]:
    aggregate = {"power": "average", "energy": "sum"}[kind]
    length = {"interval_length": "PT30M", "measure_type": "B"} if kind == "power" else {}
    reading = {
        "usage_point_id": POINT,
        "start": WINTER,
        "end": "2026-01-16",
        "quality": "BRUT",
        "reading_type": {"measurement_kind": kind, "unit": unit, "aggregate": aggregate, **more},
        "interval_reading": [{"value": value, "date": stamp, **length} for stamp, value in values],
    }
    return {"meter_reading": reading}


def y2026(values: list[tuple[str, Any]], *, kind: str = "PA", unit: str = "W", metier: str = "CONS") -> dict[str, Any]:
    step = {"p": "PT30M"} if kind == "PA" else {}
    quantity = {
        "grandeurMetier": metier,
        "grandeurPhysique": kind,
        "unite": unit,
        "points": [{"v": value, "d": stamp, "n": "B", **step} for stamp, value in values],
    }
    return {
        "idPrm": POINT,
        "etapeMetier": "BRUT",
        "periode": {"dateDebut": WINTER, "dateFin": "2026-01-16"},
        "modeCalcul": "R",
        "grandeur": [quantity],
        "contexte": [],
    }


def test_the_three_versions_give_the_same_load_curve() -> None:
    stamps = [f"{WINTER} 00:30:00", f"{WINTER} 01:00:00", f"{WINTER} 01:30:00"]
    values = ["540", None, "0"]
    wanted = Series.from_readings(
        SeriesKey(f"prm:{POINT}", "electricity", "consumption", "load_curve", "PT30M", "W"),
        [Reading(at(f"{WINTER}T00:00:00") + 1800 * n, 1800, value) for n, value in enumerate((540, None, 0))],
    )
    assert only(v3(values)) == wanted
    assert only(v5(list(zip(stamps, values, strict=True)))) == wanted
    assert only(y2026(list(zip(stamps, values, strict=True)))) == wanted
    with_null = [(stamp, "null" if value is None else value) for stamp, value in zip(stamps, values, strict=True)]
    assert only(v5(with_null)) == wanted
    bare: dict[str, Any] = v5(list(zip(stamps, values, strict=True)))["meter_reading"]
    assert only(bare) == wanted
    iso = [(f"{stamp.replace(' ', 'T')}.000+01:00", value) for stamp, value in zip(stamps, values, strict=True)]
    assert only(y2026(iso)) == wanted


@pytest.mark.covers("system:Enedis Data Connect")
def test_the_three_versions_give_the_same_daily_totals() -> None:
    days = [(WINTER, "12571"), ("2026-01-15", "9800")]
    wanted = Series.from_readings(
        SeriesKey(f"prm:{POINT}", "electricity", "consumption", "daily", "P1D", "Wh"),
        [Reading(at(f"{WINTER}T00:00:00"), 86_400, 12_571), Reading(at("2026-01-15T00:00:00"), 86_400, 9_800)],
    )
    assert only(v3([value for _, value in days], kind="energy", step="P1D", unit="Wh")) == wanted
    assert only(v3([value for _, value in days], kind="energy", step=86400, unit="Wh")) == wanted
    assert only(v5(days, kind="energy", unit="Wh", measuring_period="P1D")) == wanted
    assert only(y2026(days, kind="EA", unit="Wh")) == wanted
    kilo = [(day, f"{int(value) / 1000}") for day, value in days]
    assert only(y2026(kilo, kind="EA", unit="kWh")) == wanted


def test_a_day_of_v3_has_as_many_half_hours_as_the_day() -> None:
    one = only(v3([str(n) for n in range(46)], start="2026-03-29"))
    assert one.stop == at("2026-03-30T00:00:00")
    assert only(v3(["1", "2"], kind="energy", step=86400, unit="Wh", start="2026-03-29")).durations[0] == 82_800


def test_directions_peaks_and_what_is_left_out() -> None:
    assert only(v5([(WINTER, "5")], kind="energy", unit="Wh", flow_direction="reverse")).key.direction == "injection"
    assert (
        only(v5([(WINTER, "5")], kind="energy", unit="Wh"), Source(direction="injection")).key.direction == "injection"
    )
    peak = only(y2026([(f"{WINTER} 18:04:09", "6")], kind="PMA", unit="kVA", metier="PROD"))
    assert (peak.key.kind, peak.key.direction, peak.key.unit, list(peak)) == (
        "max_power",
        "injection",
        "VA",
        [Reading(at(f"{WINTER}T18:04:09"), 0, 6000)],
    )
    both = y2026([(WINTER, "5")], kind="EA", unit="Wh")
    both["grandeur"].append(y2026([(f"{WINTER} 00:30:00", "5")], kind="PRI", unit="VAr")["grandeur"][0])
    assert list(registry.read(json.dumps(both).encode(), Source()))[1:] == [LeftOut("reactive power", 1)]


def test_registers_of_an_index_below_their_context() -> None:
    def register(cadran: str, value: int) -> dict[str, Any]:
        return {"idClasseTemporelle": "HP", "codeCadran": cadran, "valeur": [{"d": WINTER, "v": value, "iv": 0}]}

    calendar = {
        "idCalendrier": "FC000013",
        "libelleGrille": "x",
        "classeTemporelle": [register("1", 7), register("02", 8)],
    }
    answer = y2026([])
    answer["contexte"] = [
        {"grandeur": [{"grandeurMetier": "CONS", "grandeurPhysique": "EA", "unite": "Wh", "calendrier": [calendar]}]}
    ]
    found = read(answer)
    assert [(one.key.register, one.key.unit, list(one)) for one in found] == [
        ("EAS F1", "Wh", [Reading(at(f"{WINTER}T00:00:00"), 0, 7)]),
        ("EAS F2", "Wh", [Reading(at(f"{WINTER}T00:00:00"), 0, 8)]),
    ]


def test_the_hour_told_twice_in_october() -> None:
    stamps = [datetime.fromtimestamp(at("2026-10-25T00:00:00") + 1800 * n, PARIS) for n in range(1, 51)]
    one = only(v5([(stamp.strftime("%Y-%m-%d %H:%M:%S"), "1") for stamp in stamps]))
    assert (len(one), one.jumps(), one.stop) == (50, [], at("2026-10-26T00:00:00"))


def changed(answer: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return an answer with one member changed, or added."""
    copy: dict[str, Any] = json.loads(json.dumps(answer))
    inner: Any = copy
    *way, last = path.split(".")
    for step in way:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    inner[last] = value
    return copy


READ, ITEM = "file, answer, meter_reading", "meter_reading.interval_reading.0"
CURVE5 = v5([(f"{WINTER} 00:30:00", "540")])
CURVE2026 = y2026([(f"{WINTER} 00:30:00", "540")])


@pytest.mark.covers("system:Enedis Data Connect")
@pytest.mark.parametrize(
    ("answer", "field"),
    [
        (changed(CURVE5, "meter_reading.usage_point_id", "123"), f"{READ}, point"),
        (changed(CURVE5, "meter_reading.reading_type.unit", "MW"), f"{READ}, unit"),
        (changed(CURVE5, "meter_reading.reading_type.aggregate", "max"), f"{READ}, reading_type, aggregate"),
        (changed(CURVE5, "meter_reading.quality", "?"), f"{READ}, quality"),
        (changed(CURVE5, "meter_reading.new_name", 1), f"{READ}"),
        (changed(CURVE5, f"{ITEM}.date", "14/01/2026"), f"{READ}, interval_reading 1, date"),
        (changed(CURVE5, f"{ITEM}.value", "1e3"), f"{READ}, interval_reading 1, value"),
        (changed(CURVE5, f"{ITEM}.interval_length", "P1D"), f"{READ}, interval_reading 1, step"),
        (changed(CURVE2026, "grandeur.0.grandeurPhysique", "XX"), "file, answer, grandeur 1, grandeurPhysique"),
        (changed(CURVE2026, "grandeur.0.grandeurMetier", "XX"), "file, answer, grandeur 1, grandeurMetier"),
        (changed(CURVE2026, "mesures", []), "file, answer"),
        (changed(CURVE2026, "periode.dateDebut", "hier"), "file, answer, periode, dateDebut"),
        (v3(["1"], step=1234), "file, answer, usage_point 1, meter_reading, reading_type, interval_length"),
    ],
)  # fmt: skip
def test_an_unknown_shape_is_refused_with_its_place(answer: dict[str, Any], field: str) -> None:
    error = refusal(answer)
    assert (error.code, error.field) == ("BAD_DATA_CONNECT", field)


@pytest.mark.parametrize(
    "answer", [v3([]), v5([]), y2026([]), {"usage_point": [], "meter_reading": 1}, {"meter_reading": {}}]
)
def test_no_rows_is_an_error_and_never_an_empty_success(answer: dict[str, Any]) -> None:
    assert refusal(answer).code in {"NOTHING_READ", "BAD_DATA_CONNECT"}
