"""The columns of Conso Herozh, from the JSON twin."""

from __future__ import annotations

import pytest

from node.adapters import consoherozh, household, quoalise
from node.readings import Reading, Series
from tests.node.series import CURVE, INDEX


@pytest.mark.covers("system:consometers/consoherozh")
def test_power_has_its_energy_beside_it_and_a_gap_no_row() -> None:
    one = Series.from_readings(CURVE, [Reading(1_600_000_000, 600, 1061), Reading(1_600_000_600, 600, None)])
    assert consoherozh.columns(quoalise.write_json([one])).decode().splitlines() == [
        "device,dateValue,name,value",
        "12345678901234,2020-09-13T12:26:40Z,,1061",
        "12345678901234,2020-09-13T12:26:40Z,baseinst,176.833",
    ]


def test_each_kind_has_its_name() -> None:
    register = Series.from_readings(INDEX, [Reading(1_600_000_000, 0, 7)])
    totals = household.daily_totals(1, 1_600_000_000, 1)
    rows = [line.split(",") for line in consoherozh.write([register, totals]).decode().splitlines()[1:]]
    assert [row[2] for row in rows] == ["baseindex", "basesum"]
    assert rows[1][0] == "fictitious-00000000000001"
    assert int(rows[1][3]) == totals.values()[0]
