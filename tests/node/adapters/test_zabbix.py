"""Lines for zabbix_sender: host, key, clock, value, and no line for a gap."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given

from node.adapters import household, zabbix
from node.readings import Reading, Series
from tests.node.series import CURVE, INDEX, series


@pytest.mark.covers("system:consometers/quoalise-zabbix")
def test_a_line_has_host_key_clock_and_value() -> None:
    one = Series.from_readings(CURVE, [Reading(1_600_000_000, 600, 7), Reading(1_600_000_600, 600, Decimal("0.5"))])
    assert zabbix.write([one]).decode().splitlines() == [
        "prm:12345678901234 consumption.power.active.raw[W,PT10M] 1600000000 7",
        "prm:12345678901234 consumption.power.active.raw[W,PT10M] 1600000600 0.5",
    ]
    assert zabbix.item_key(INDEX) == "consumption.energy.active.index.provider.F1[Wh,P1D]"


@given(series())
def test_every_value_has_a_line_and_no_gap_has(one: Series) -> None:
    lines = zabbix.write([one]).decode().splitlines()
    rows = [line.split(" ") for line in lines]
    assert all(len(row) == 4 for row in rows)
    expected = [(start, value) for start, value in zip(one.starts, one.values(), strict=True) if value is not None]
    assert [(int(row[2]), Decimal(row[3])) for row in rows] == expected


def test_what_is_made_up_says_so_in_its_key() -> None:
    data = zabbix.write([household.load_curve(1, 1_600_000_000, 1, gaps=3)])
    assert data.count(b" fictitious.consumption.") == 45 == data.count(b"\n")
