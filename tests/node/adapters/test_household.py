"""The fictitious household: the same for the same seed, marked as fictitious, and with the days of Paris."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.adapters import household, plain_csv, senml

PARIS = ZoneInfo("Europe/Paris")


@given(st.integers(0, 999_999), st.integers(830_000_000, 3_700_000_000), st.integers(1, 40))
def test_days_are_those_of_paris_and_totals_are_the_sums(seed: int, start: int, days: int) -> None:
    curve, totals = household.load_curve(seed, start, days), household.daily_totals(seed, start, days)
    first = datetime.fromtimestamp(start, PARIS).replace(hour=0, minute=0, second=0)
    assert curve.starts[0] == totals.starts[0] == int(first.timestamp())
    assert all(datetime.fromtimestamp(midnight, PARIS).hour == 0 for midnight in totals.starts)
    assert curve.fault() is totals.fault() is None
    assert curve.jumps() == totals.jumps() == []
    assert len(totals) == days
    for day in totals:
        powers = [value for value in curve.window(day.start, day.start + day.duration_s).values() if value]
        assert sum(powers) / 2 == day.value


@pytest.mark.covers("R116")
def test_the_same_seed_gives_the_same_readings_and_another_gives_others() -> None:
    start = 1_700_000_000
    assert household.load_curve(1, start, 30, gaps=3) == household.load_curve(1, start, 30, gaps=3)
    assert household.load_curve(1, start, 30).mantissas != household.load_curve(2, start, 30).mantissas
    later = household.load_curve(1, start + 86_400 * 3, 2)
    assert household.load_curve(1, start, 30).window(later.starts[0], later.stop) == later


def test_these_are_the_readings_of_seed_7() -> None:
    """Pinned: a demonstration shows the same figures on every machine."""
    assert household.daily_totals(7, 1_616_713_200, 3).values() == [21_373, 23_195, 24_005]


def test_panels_first_serve_the_house() -> None:
    """What is drawn without panels is what is drawn with them, and what the sun gave of it; both are not at once."""
    start, roof = 1_623_000_000, household.Equipment(solar=True)
    plain, drawn = household.load_curve(3, start, 20), household.load_curve(3, start, 20, roof)
    given = household.injected(3, start, 20)
    assert given.key.direction == "injection"
    assert (given.starts, given.durations) == (drawn.starts, drawn.durations)
    assert all(not (here and there) for here, there in zip(drawn.values(), given.values(), strict=True))
    assert all(less <= more for less, more in zip(drawn.mantissas, plain.mantissas, strict=True))
    at_noon = [power for at, power in zip(given.starts, given.mantissas, strict=True) if at % 86_400 == 12 * 3_600]
    at_night = [power for at, power in zip(given.starts, given.mantissas, strict=True) if at % 86_400 == 23 * 3_600]
    assert sum(at_noon) > 0 == sum(at_night)
    totals = household.daily_totals(3, start, 20, roof)
    assert sum(totals.mantissas) * 2 == sum(drawn.mantissas)


def test_seasons_and_weekends_show() -> None:
    year = household.daily_totals(5, 1_609_455_600, 365)
    gas = household.gas_totals(5, 1_609_455_600, 365)
    assert sum(year.mantissas[:31]) > 1.5 * sum(year.mantissas[181:212])
    assert sum(gas.mantissas[:31]) > 4 * sum(gas.mantissas[181:212])
    weekends = [
        total for at, total in zip(year.starts, year.mantissas, strict=True) if (at // 86_400 + 1) % 7 in (2, 3)
    ]
    assert sum(weekends) / len(weekends) > 1.1 * sum(year.mantissas) / 365
    sun = household.injected(5, 1_609_455_600, 365)
    june, december = (sun.window(at, at + 30 * 86_400) for at in (1_622_498_400, 1_638_313_200))
    assert sum(june.mantissas) > 3 * sum(december.mantissas)


@given(st.integers(0, 999_999), st.integers(830_000_000, 3_700_000_000), st.integers(1, 20))
def test_gas_days_begin_at_six(seed: int, start: int, days: int) -> None:
    gas = household.gas_totals(seed, start, days)
    assert gas.fault() is None
    assert gas.jumps() == []
    assert (gas.key.point, gas.key.fictitious) == (f"pce:00000000{seed:06}", True)
    assert all(datetime.fromtimestamp(at, PARIS).hour == 6 for at in gas.starts)


def test_gaps_have_no_value() -> None:
    assert household.load_curve(1, 1_700_000_000, 2, gaps=5).gap_count == 5


@pytest.mark.covers("R116")
def test_the_mark_is_on_every_export() -> None:
    one = household.load_curve(1, 1_700_000_000, 1)
    assert (one.key.point, one.key.fictitious) == ("prm:00000000000001", True)
    assert b'"bq:fictitious":true' in senml.encode_json([one])
    assert senml.decode_cbor(senml.encode_cbor(one))[0].key.fictitious
    assert all(line.endswith(b",true") for line in plain_csv.to_csv([one]).split(b"\r\n")[1:-1])


@pytest.mark.parametrize(
    ("seed", "start", "days", "gaps", "field"),
    [
        (-1, 1_700_000_000, 1, 0, "seed"),
        (1_000_000, 1_700_000_000, 1, 0, "seed"),
        (1, 0, 1, 0, "start"),
        (1, 1 << 40, 1, 0, "start"),
        (1, 1_700_000_000, 0, 0, "days"),
        (1, 1_700_000_000, 3661, 0, "days"),
        (1, 1_700_000_000, 1, 49, "gaps"),
        (1, 1_700_000_000, 1, -1, "gaps"),
    ],
)
def test_what_cannot_be_made_is_refused(seed: int, start: int, days: int, gaps: int, field: str) -> None:
    with pytest.raises(LocalError) as error:
        household.load_curve(seed, start, days, gaps=gaps)
    assert (error.value.code, error.value.field) == ("BAD_HOUSEHOLD", field)
