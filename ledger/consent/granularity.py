"""Granularity: ISO 8601 durations of one part (P1M, P1D, PT30M), and which of two is the finer.

How it works
    A duration is a count of months, of days, or of seconds. A day of a local calendar has 23 to 25 hours and a
    month 28 to 31 days, so two durations of different units are compared by their bounds: `covers` says yes only
    where it holds for every calendar.

What it does not do
    It takes no durations of several parts ("P1DT12H"), no fractions and no zero: no meter knows them. `later` counts
    by the calendar in UTC; local time zones are nobody's business here.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Final

from ledger.errors import RemoteError
from ledger.shapes import Shape

DURATION_LENGTH_MAX: Final = 8  # characters: "PT99999S"
_PATTERN: Final = re.compile(r"P(?:([1-9][0-9]{0,4})([YMWD])|T([1-9][0-9]{0,4})([HMS]))", re.ASCII)
_HOUR: Final = 3_600
_DAY: Final = 86_400


class Unit(Enum):
    """What a duration counts."""

    MONTH = "month"
    DAY = "day"
    SECOND = "second"


_DATE_UNITS: Final = {"Y": (12, Unit.MONTH), "M": (1, Unit.MONTH), "W": (7, Unit.DAY), "D": (1, Unit.DAY)}
_TIME_UNITS: Final = {"H": 3_600, "M": 60, "S": 1}


@dataclass(frozen=True, slots=True)
class Duration:
    """So many months, days or seconds. `shortest` and `longest`: its bounds over all calendars, in seconds."""

    count: int
    unit: Unit
    shortest: int
    longest: int


@lru_cache(maxsize=1_024)
def parse_duration(text: str) -> Duration:
    """Read an ISO 8601 duration of one part. Raises RemoteError BAD_DURATION."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise RemoteError("BAD_DURATION", "a duration is one part of ISO 8601, such as P1M, P1D or PT30M")
    date, letter, time, time_letter = match.groups()
    if time is not None:
        seconds = int(time) * _TIME_UNITS[time_letter]
        return Duration(seconds, Unit.SECOND, seconds, seconds)
    factor, unit = _DATE_UNITS[letter]
    count = int(date) * factor
    if unit is Unit.DAY:  # one change of the clock more or less, however many days
        return Duration(count, unit, count * _DAY - _HOUR, count * _DAY + _HOUR)
    return Duration(count, unit, count * 28 * _DAY - _HOUR, count * 31 * _DAY + _HOUR)


def covers(granted: Duration, asked: Duration) -> bool:
    """Say whether readings every `asked` are as coarse as `granted` allows, or coarser."""
    if granted.unit is asked.unit:
        return asked.count >= granted.count
    return asked.shortest >= granted.longest


def is_duration(value: object) -> bool:
    """Say whether `value` is the text of a duration."""
    return type(value) is str and len(value) <= DURATION_LENGTH_MAX and _PATTERN.fullmatch(value) is not None


DURATION: Final = Shape(
    is_duration, "a duration of one part, such as P1D or PT30M", f"tstr .size (3..{DURATION_LENGTH_MAX})"
)
"""The shape of a duration in CBOR."""


_YEAR_MAX: Final = 9_999


def later(start: int, duration: str) -> int:
    """Return unix seconds a duration after `start`; a month later is the same day of the month, or its last.

    Raises RemoteError BAD_DURATION.
    """
    found = parse_duration(duration)
    if found.unit is Unit.DAY:
        return start + found.count * _DAY
    if found.unit is Unit.SECOND:
        return start + found.count
    at = datetime.fromtimestamp(start, UTC)
    years, month = divmod(at.month - 1 + found.count, 12)
    year = min(at.year + years, _YEAR_MAX)
    day = min(at.day, calendar.monthrange(year, month + 1)[1])
    return int(at.replace(year=year, month=month + 1, day=day).timestamp())
