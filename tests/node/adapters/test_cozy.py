"""Documents of a Cozy: half-hours, days, months of three energies, both ways, over the changes of hour."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.adapters import cozy, household
from node.adapters.adapter import Source
from node.readings import Reading, Series
from node.series_key import SeriesKey
from tests.node.adapters.reads import all_series, refusal, whole_or_refused

PRM, PCE, WATER = (Source(point=point) for point in ("prm:12345678901234", "pce:12345678901234", "water:A1"))


def file(doctype: str, *documents: dict[str, Any]) -> bytes:
    return json.dumps({doctype: list(documents)}).encode()


def half_hour(hour: int, minute: int, load: Any, day: int = 7, month: int = 1) -> dict[str, Any]:
    return {"load": load, "year": 2021, "month": month, "day": day, "hour": hour, "minute": minute}


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


def test_half_hours_are_mean_power_stamped_at_their_start() -> None:
    data = file("com.grandlyon.enedis.minute", half_hour(14, 0, 0.53), half_hour(14, 30, None), half_hour(15, 0, 0))
    (one,) = all_series(cozy.read, data, PRM)
    start = at(2021, 1, 7, 13)
    assert list(one) == [Reading(start, 1800, 1060), Reading(start + 1800, 1800, None), Reading(start + 3600, 1800, 0)]


def test_days_months_and_years_have_their_own_length() -> None:
    day = {"load": 12.5, "year": 2021, "month": 3, "day": 28}
    (one,) = all_series(cozy.read, file("com.grandlyon.enedis.day", day), PRM)
    assert list(one) == [Reading(at(2021, 3, 27, 23), 23 * 3600, Decimal("12.5"))]
    (gas,) = all_series(cozy.read, file("com.grandlyon.grdf.day", day), PCE)
    assert (gas.key.unit, gas.starts[0], gas.durations[0]) == ("kWh", at(2021, 3, 28, 4), 86_400)
    month = {"load": 4000, "year": 2021, "month": 12}
    (water,) = all_series(cozy.read, file("com.grandlyon.egl.month", month), WATER)
    assert (water.key.unit, water.key.granularity, water.durations[0]) == ("l", "P1M", 31 * 86_400)
    (year,) = all_series(cozy.read, file("com.grandlyon.egl.year", {"load": 1, "year": 2020}), WATER)
    assert year.durations[0] == 366 * 86_400


def test_the_hour_that_autumn_repeats_is_two_hours() -> None:
    hours = [(1, 30), (2, 0), (2, 30), (2, 0), (2, 30), (3, 0)]
    documents = [half_hour(*hour, load, day=31, month=10) for load, hour in enumerate(hours)]
    (one,) = all_series(cozy.read, file("com.grandlyon.enedis.minute", *documents), PRM)
    assert one.jumps() == []
    assert one.starts[0] == at(2021, 10, 30, 23, 30)
    error = refusal(cozy.read, file("com.grandlyon.enedis.minute", half_hour(2, 0, 1, day=28, month=3)), PRM)
    assert error.field == "file, file, com.grandlyon.enedis.minute 1, hour"


@pytest.mark.covers("system:Ecolyo / RUDI / Grand Lyon / Rennes SPMD")
@settings(max_examples=12)
@given(st.integers(0, 99), st.integers(1, 5), st.integers(0, 9))
def test_what_is_written_is_read_back(seed: int, days: int, gaps: int) -> None:
    for start in (1_616_713_200, 1_635_400_000):
        made = [
            household.load_curve(seed, start, days, gaps=gaps),
            household.injected(seed, start, days),
            household.gas_totals(seed, start, days),
        ]
        data = cozy.write(made)
        assert data.count(b'"fictitious": true') == sum(map(len, made))
        assert sorted(all_series(cozy.read, data), key=lambda one: one.key.name) == sorted(
            made, key=lambda one: one.key.name
        )


@pytest.mark.parametrize(
    ("doctype", "document", "where"),
    [
        ("com.grandlyon.enedis.hour", {}, "file, doctype"),
        ("io.cozy.files", {}, "file, doctype"),
        ("com.grandlyon.enedis.minute", half_hour(14, 15, 1), "file, com.grandlyon.enedis.minute 1, hour, minute"),
        ("com.grandlyon.enedis.minute", half_hour(14, 0, "1"), "file, com.grandlyon.enedis.minute 1, load"),
        ("com.grandlyon.enedis.day", {"year": 2021}, "file, com.grandlyon.enedis.day 1, load"),
        ("com.grandlyon.enedis.day", {"load": 1}, "file, com.grandlyon.enedis.day 1, year"),
        (
            "com.grandlyon.enedis.day",
            {"load": 1, "year": 2021, "day": 30, "month": 2},
            "file, com.grandlyon.enedis.day 1, year, month, day",
        ),
        (
            "com.grandlyon.enedis.month",
            {"load": 1, "year": 2021, "day": 3},
            "file, com.grandlyon.enedis.month 1, month, day",
        ),
        ("com.grandlyon.enedis.day", {"load": 1, "year": 2021, "currency": "EUR"}, "file, com.grandlyon.enedis.day 1"),
    ],
)
def test_what_is_wrong_is_named(doctype: str, document: dict[str, Any], where: str) -> None:
    error = refusal(cozy.read, file(doctype, document), PRM)
    assert (error.code, error.field) == ("BAD_COZY", f"file, {where}")


def test_a_file_that_names_no_point_needs_one() -> None:
    error = refusal(cozy.read, file("com.grandlyon.enedis.day", {"load": 1, "year": 2021}))
    assert "--point" in error.message
    error = refusal(cozy.read, file("com.grandlyon.enedis.day", {"load": 1, "year": 2021}), PCE)
    assert error.field == "file, file, com.grandlyon.enedis.day 1, energy"


def test_what_no_doctype_holds_is_not_written() -> None:
    quarter = SeriesKey("prm:12345678901234", "electricity", "consumption", "load_curve", "PT15M", "W")
    half = household.load_curve(1, 1_616_713_200, 1).key
    odd = Series.from_readings(half, [Reading(1_616_713_200 + 60, 1800, 1)])
    for one in (Series.from_readings(quarter, [Reading(1_616_713_200, 900, 1)]), odd):
        with pytest.raises(LocalError) as error:
            cozy.write([one])
        assert error.value.code == "NO_PLACE"


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)


@given(
    st.dictionaries(
        st.sampled_from(sorted(cozy.DOCTYPES)),
        st.lists(
            st.dictionaries(st.sampled_from(["load", "year", "month", "day", "hour", "minute", "maille"]), VALUES)
        ),
    )
)
def test_any_documents_are_read_whole_or_refused(found: dict[str, Any]) -> None:
    assert whole_or_refused(cozy.read, json.dumps(found).encode(), PRM)


@given(st.binary(max_size=100))
def test_any_bytes_are_read_whole_or_refused(data: bytes) -> None:
    assert whole_or_refused(cozy.read, data, PRM)
