"""Gas readings of pygazpar: the real files to the last row, and everything else refused by its record."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from ledger.errors import RemoteError
from node.adapters import registry
from node.adapters.adapter import Parsed, Source
from node.adapters.enedis_time import day_number, midnight
from node.readings import Reading, Series
from tests.shared import shared

HOME = Source(point="pce:12345678901234")


def read(rows: Any, source: Source = HOME) -> list[Series]:
    data = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    return [one.series for one in registry.read(data, source) if isinstance(one, Parsed)]


def row(day: str = "09/05/2019", **more: Any) -> dict[str, Any]:
    return {
        "time_period": day,
        "start_index_m3": 9642.0,
        "end_index_m3": 9647.0,
        "volume_m3": 5.1,
        "energy_kwh": 57.0,
        "type": "MES",
    } | more


@pytest.mark.covers("system:Linky / Gazpar")
def test_the_real_days_are_read_to_the_last() -> None:
    data = shared("data/grdf/pygazpar_daily.json").read_bytes()
    rows = json.loads(data, parse_float=Decimal)
    energy, volume, register = read(data)
    assert [one.key.unit for one in (energy, volume, register)] == ["kWh", "m3", "m3"]
    assert energy.values() == [one["energy_kwh"] for one in rows]
    assert volume.values() == [one["volume_m3"] for one in rows]
    assert register.values() == [rows[0]["start_index_m3"], *(one["end_index_m3"] for one in rows)]
    assert (energy.starts[0], energy.stop) == (midnight(day_number(2019, 5, 9)), midnight(day_number(2021, 4, 19)))
    assert {82_800, 86_400, 90_000} == set(energy.durations)


def test_the_real_months_are_read_to_the_last() -> None:
    energy, volume = read(shared("data/grdf/pygazpar_monthly.json").read_bytes())
    assert (len(energy), energy.key.granularity, energy.jumps()) == (24, "P1M", [])
    assert list(energy)[3] == Reading(midnight(day_number(2019, 8, 1)), 31 * 86_400, 683)
    assert volume.values()[-1] == Decimal("130.7")
    assert energy.stop == midnight(day_number(2021, 5, 1))


def test_a_missing_value_is_a_gap() -> None:
    energy, volume, _ = read([row(energy_kwh=None), row("10/05/2019", volume_m3=0, start_index_m3=9647)])
    assert energy.values() == [None, 57]
    assert volume.values() == [Decimal("5.1"), 0]


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ([row("2019-05-09")], "record 1, time_period"),
        ([row("31/02/2019")], "record 1, time_period"),
        ([row("Brumaire 2019")], "record 1, time_period"),
        ([row(energy_kwh="57")], "record 1, energy_kwh"),
        ([row(energy_kwh=-1)], "record 1, energy_kwh"),
        ([row(new=1)], "record 1"),
        ([row(), row(energy_kwh=58)], "record 2, time"),
        ([row(), row("10/05/2019")], "record 2, start_index_m3"),
        ([{"time_period": "Mai 2019", "energy_kwh": None}], "record 1, energy_kwh"),
    ],
)
def test_a_bad_row_is_refused_and_named(rows: list[dict[str, Any]], where: str) -> None:
    with pytest.raises(RemoteError) as error:
        read(rows)
    assert (error.value.code, error.value.field) == ("BAD_PYGAZPAR", f"file, {where}")


def test_the_point_must_be_said_and_be_one_of_gas() -> None:
    for source in (Source(), Source(point="prm:12345678901234")):
        with pytest.raises(RemoteError) as error:
            read([row()], source)
        assert error.value.code == "BAD_PYGAZPAR"
