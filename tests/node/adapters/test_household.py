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


def test_the_same_seed_gives_the_same_readings_and_another_gives_others() -> None:
    start = 1_700_000_000
    assert household.load_curve(1, start, 30, gaps=3) == household.load_curve(1, start, 30, gaps=3)
    assert household.load_curve(1, start, 30).mantissas != household.load_curve(2, start, 30).mantissas
    later = household.load_curve(1, start + 86_400 * 3, 2)
    assert household.load_curve(1, start, 30).window(later.starts[0], later.stop) == later


def test_these_are_the_readings_of_seed_7() -> None:
    """Pinned: a demonstration shows the same figures on every machine."""
    assert household.daily_totals(7, 1_616_713_200, 3).values() == [21_373, 19_115, 19_343]


def test_gaps_have_no_value() -> None:
    assert household.load_curve(1, 1_700_000_000, 2, gaps=5).gap_count == 5


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
