"""Times as the formats of others write them: stamps with an offset, dates, the clock of Paris, gas days.

How it works
    A stamp such as 2021-01-07T06:00:00+01:00 is exact. A date is a day of Paris (`node.adapters.enedis_time`). A gas
    day begins at six in the morning of Paris. What is written carries the offset that Paris has at that moment.

What it does not do
    It takes no stamp without an offset for exact: those are local, and two of them may be one text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from node.adapters.enedis_time import DAY, day_number, meanings

GAS_DAY_HOUR: Final = 6
"""A gas day begins at six in the morning of Paris."""
_HOUR: Final = 3_600
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_STAMP: Final = re.compile(
    r".{10}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)", re.ASCII
)
_CLOCK: Final = re.compile(r"(.{10})[ T]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?(?:\.0{1,6})?", re.ASCII)
_YEARS: Final = range(1970, 2100)


def day_of(text: str) -> int:
    """Return a date such as 2021-01-31 in days from 1 January 1970. Raises ValueError."""
    match = _DATE.fullmatch(text)
    if match is None or int(match[1]) not in _YEARS:
        raise ValueError(f"a date looks like 2021-01-31, from {_YEARS.start} to {_YEARS.stop - 1}")
    return day_number(int(match[1]), int(match[2]), int(match[3]))


def gas_day(day: int) -> int:
    """Return the UTC seconds at which a gas day begins; `day` counted from 1 January 1970."""
    return meanings(day * DAY + GAS_DAY_HOUR * _HOUR)[0]


def exact(text: str) -> int:
    """Return the UTC seconds of a stamp with an offset, such as 2021-01-07T06:00:00+01:00. Raises ValueError."""
    if _STAMP.fullmatch(text) is None:
        raise ValueError("a stamp looks like 2021-01-07T06:00:00+01:00")
    found = datetime.fromisoformat(text)
    if found.year not in _YEARS:
        raise ValueError(f"a year lies between {_YEARS.start} and {_YEARS.stop - 1}")
    return int((found - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def clock_of(text: str) -> int:
    """Return what a clock in Paris shows, as if it were UTC: "2021-01-31 13:30:00". Raises ValueError."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError("a local time looks like 2021-01-31 13:30:00")
    return day_of(match[1]) * DAY + int(match[2]) * _HOUR + int(match[3]) * 60 + int(match[4] or 0)


def shown(at: int) -> int:
    """Return what a clock in Paris shows at a moment, as if that were UTC."""
    return next(at + ahead for ahead in (2 * _HOUR, _HOUR) if at in meanings(at + ahead))


def with_offset(at: int) -> str:
    """Return a moment with the offset of Paris: 2021-01-07T06:00:00+01:00."""
    clock = shown(at)
    return f"{datetime.fromtimestamp(clock, UTC):%Y-%m-%dT%H:%M:%S}+{(clock - at) // _HOUR:02}:00"


def in_utc(at: int) -> str:
    """Return a moment as 2021-01-07T05:00:00Z."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
