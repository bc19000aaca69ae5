"""Durations: which are taken, and that "coarser" is an order that holds in every calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.granularity import DURATION, Unit, covers, later, parse_duration
from ledger.errors import RemoteError

DURATIONS = st.builds(
    lambda count, form: form.format(count),
    st.integers(1, 400),
    st.sampled_from(["P{}Y", "P{}M", "P{}W", "P{}D", "PT{}H", "PT{}M", "PT{}S"]),
)


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P0D", "PT0S", "P1DT12H", "P1.5D", "PT30m", "-P1D", "P-1D", "P01D", "P1D\n", "P١D", "PT999999S"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(RemoteError) as error:
        parse_duration(text)
    assert error.value.code == "BAD_DURATION"
    assert not DURATION.ok(text)


@given(DURATIONS)
def test_shape_and_parser_take_the_same(text: str) -> None:
    assert DURATION.ok(text)
    assert parse_duration(text).count >= 1


@pytest.mark.parametrize(
    ("granted", "asked", "expected"),
    [
        ("PT30M", "PT30M", True),
        ("PT30M", "PT1H", True),
        ("PT30M", "P1D", True),
        ("PT30M", "P1M", True),
        ("PT30M", "PT10M", False),
        ("P1D", "PT30M", False),
        ("P1D", "PT24H", False),  # a day of 25 hours is coarser
        ("PT24H", "P1D", False),  # a day of 23 hours is finer
        ("P1D", "P1W", True),
        ("P7D", "P1W", True),
        ("P1M", "P30D", False),
        ("P1M", "P32D", True),
        ("P30D", "P1M", False),  # February
        ("P12M", "P1Y", True),
        ("P1Y", "P1M", False),
    ],
)
def test_covers(granted: str, asked: str, expected: bool) -> None:
    assert covers(parse_duration(granted), parse_duration(asked)) is expected


@given(DURATIONS, DURATIONS, DURATIONS)
def test_covers_is_an_order(one: str, two: str, three: str) -> None:
    a, b, c = map(parse_duration, (one, two, three))
    assert covers(a, a)
    if covers(a, b) and covers(b, c):
        assert covers(a, c)
    if covers(a, b) and covers(b, a):
        assert (a.count, a.unit) == (b.count, b.unit)


@given(DURATIONS, DURATIONS, st.integers(0, 4_000))
def test_what_is_covered_is_never_finer_in_any_calendar(granted: str, asked: str, day: int) -> None:
    """In a calendar of UTC days, from any day on, the asked step is at least as long as the granted one."""
    start = datetime(2016, 1, 1, tzinfo=UTC) + timedelta(days=day)
    if covers(parse_duration(granted), parse_duration(asked)):
        assert _after(start, asked) >= _after(start, granted)


def _after(start: datetime, text: str) -> datetime:
    duration = parse_duration(text)
    if duration.unit is Unit.MONTH:
        months = start.year * 12 + start.month - 1 + duration.count
        return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC) + timedelta(days=start.day - 1)
    return start + timedelta(**{f"{duration.unit.value}s": duration.count})


@pytest.mark.parametrize(
    ("start", "duration", "stop"),
    [
        ((2026, 1, 31), "P1M", (2026, 2, 28)),
        ((2024, 1, 31), "P1M", (2024, 2, 29)),
        ((2026, 12, 31), "P2M", (2027, 2, 28)),
        ((2024, 2, 29), "P1Y", (2025, 2, 28)),
        ((2026, 1, 1), "P2W", (2026, 1, 15)),
        ((2026, 1, 1), "PT24H", (2026, 1, 2)),
    ],
)
def test_later_counts_by_the_calendar(start: tuple[int, int, int], duration: str, stop: tuple[int, int, int]) -> None:
    assert later(_unix(start), duration) == _unix(stop)


def _unix(day: tuple[int, int, int]) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp())
