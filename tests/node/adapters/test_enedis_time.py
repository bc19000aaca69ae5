"""Local time of France, held against the time zone database; and the hour told twice, settled by its neighbours."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.adapters import enedis_time
from node.adapters.enedis_time import NoTimeError, meanings, period_of_day, read_duration, read_stamp, resolve

PARIS = ZoneInfo("Europe/Paris")
SECONDS = st.integers(
    int(datetime(1996, 1, 2, tzinfo=UTC).timestamp()), int(datetime(2089, 1, 1, tzinfo=UTC).timestamp())
)
EPOCH = datetime(1970, 1, 1)
AUTUMN = int(datetime(2021, 10, 31, 0, 30, tzinfo=UTC).timestamp())  # 02:30 for the first time


def on_the_wall(utc: int) -> int:
    """Return what a clock on the wall in Paris shows, in seconds from 1970."""
    shown = datetime.fromtimestamp(utc, PARIS).replace(tzinfo=None, fold=0)
    return int((shown - EPOCH).total_seconds())


@given(SECONDS)
def test_what_the_wall_shows_means_the_time_it_was_shown_at(utc: int) -> None:
    found = meanings(on_the_wall(utc))
    assert utc in found
    assert all(on_the_wall(one) == on_the_wall(utc) for one in found)
    assert len(found) == 1 + (on_the_wall(utc + 3600) == on_the_wall(utc)) + (
        on_the_wall(utc - 3600) == on_the_wall(utc)
    )


@given(SECONDS, st.sampled_from([600, 1800, 3600]), st.integers(2, 60))
def test_a_curve_without_gaps_is_resolved_as_it_was(start: int, step: int, count: int) -> None:
    utc = [start - start % step + step * n for n in range(count)]
    shown = [on_the_wall(one) for one in utc]
    if all(len(meanings(one)) == 2 for one in shown):  # within the hour that is told twice: nothing may show which
        return
    assert resolve(shown, [step] * count) == utc


def test_the_hour_that_is_skipped_has_no_meaning() -> None:
    spring = on_the_wall(int(datetime(2021, 3, 28, 1, 0, tzinfo=UTC).timestamp())) - 1800
    assert meanings(spring) == ()
    with pytest.raises(NoTimeError, match="0") as error:
        resolve([spring], [1800])
    assert "put forward" in error.value.message


@pytest.mark.parametrize(
    ("wanted", "step"),
    [
        ([AUTUMN - 3600, AUTUMN - 1800, AUTUMN], 1800),
        ([AUTUMN + 3600, AUTUMN + 5400], 1800),
        ([AUTUMN, AUTUMN + 1800], 1800),
        ([AUTUMN, AUTUMN + 3600], 0),
        ([AUTUMN - 7200, AUTUMN, AUTUMN + 3600], 1800),
    ],
)
def test_neighbours_settle_the_hour_told_twice(wanted: list[int], step: int) -> None:
    assert resolve([on_the_wall(one) for one in wanted], [step] * len(wanted)) == wanted


def test_what_nothing_settles_is_not_guessed() -> None:
    with pytest.raises(NoTimeError) as error:
        resolve([on_the_wall(AUTUMN)], [1800])
    assert "told twice" in error.value.message


@pytest.mark.parametrize(("day", "hours"), [("2021-03-28", 23), ("2021-10-31", 25), ("2021-07-01", 24)])
def test_a_day_is_from_midnight_to_midnight(day: str, hours: int) -> None:
    start, duration = period_of_day(enedis_time.read_day(day))
    assert duration == hours * 3600
    assert datetime.fromtimestamp(start, PARIS).isoformat()[:19] == f"{day}T00:00:00"


def test_stamps_and_durations() -> None:
    assert read_stamp("1970-01-02 00:30:00") == (88_200, True)
    assert read_stamp("1970-01-02T00:30:00.000+01:00") == read_stamp("1970-01-01T23:30:00Z") == (84_600, False)
    assert [read_duration(text) for text in ("PT30M", "PT1H", "P1D", "PT0M", "PT")] == [1800, 3600, None, None, None]
    for bad in ("2021-02-30 00:00:00", "2021-01-01", "2021-01-01 24:00:00", "2021-01-01T00:00:00+1", ""):
        with pytest.raises(ValueError, match=r"stamp|month|day"):
            read_stamp(bad)
