"""A fictitious household: readings for demonstrations and tests, never to be taken for a person's.

How it works
    The power of each half-hour is a habit (a table by hour of the day and by month) times a chance of that
    household and that day, in whole watts, even ones, so that a half-hour is a whole number of Wh. Chance
    comes from the seed and the day alone: two calls whose days overlap agree on them, and the daily totals
    are the sums of the load curve. Days are those of Paris, with 23 or 25 hours when the hour changes.
    Every series carries `fictitious=True`, which all exports repeat, and a point whose number begins with
    eight zeros and ends with the seed.

What it does not do
    It simulates no heating, no weather, no injection: it looks like a household, and proves nothing about
    one.
"""

from __future__ import annotations

import itertools
from array import array
from datetime import date
from random import Random
from typing import Final

from ledger.errors import LocalError
from node.readings import Series
from node.series_key import SeriesKey

MAX_DAYS: Final = 3660
"""Days in one call."""
MAX_SEED: Final = 999_999
"""Largest seed: it ends the point number."""

_STEP: Final = 1800
_DAY: Final = 86_400
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_HOURS: Final = (
    *(210, 190, 180, 180, 190, 240, 520, 760, 610, 420, 390, 520),
    *(740, 560, 420, 390, 420, 560, 880, 1180, 1060, 790, 520, 300),
)
"""Habit, in W, for each hour of the day."""
_MONTHS: Final = (165, 160, 135, 105, 85, 75, 72, 70, 82, 105, 135, 160)
"""Percent of the habit, January to December."""


def load_curve(seed: int, start: int, days: int, *, gaps: int = 0) -> Series:
    """Return the half-hourly mean power, in W, of `days` days of Paris from the one that `start` falls in.

    `seed`: 0 to 999 999. `start`: UTC seconds. `gaps`: how many half-hours the meter gave no value for.
    Raises LocalError BAD_HOUSEHOLD.
    """
    first = _first_day(seed, start, days)
    starts: array[int] = array("q")
    powers: array[int] = array("q")
    for day in range(first, first + days):
        midnight = _midnight(day)
        length = (_midnight(day + 1) - midnight) // _STEP
        starts.extend(range(midnight, midnight + length * _STEP, _STEP))
        powers.extend(_powers(seed, day, length))
    if not 0 <= gaps <= len(starts):
        raise LocalError("BAD_HOUSEHOLD", "There are fewer half-hours than gaps asked for", field="gaps")
    mask = bytearray(len(starts))
    for index in Random(f"gaps {seed} {first}").sample(range(len(starts)), gaps):
        mask[index], powers[index] = 1, 0
    return Series(_key(seed, "load_curve", "PT30M", "W"), starts, _all(_STEP, len(starts)), powers, bytes(mask))


def daily_totals(seed: int, start: int, days: int) -> Series:
    """Return the energy of each day, in Wh: the sums of `load_curve` without gaps. Arguments as there."""
    first = _first_day(seed, start, days)
    midnights = [_midnight(day) for day in range(first, first + days + 1)]
    lengths = [after - before for before, after in itertools.pairwise(midnights)]
    totals = [sum(_powers(seed, first + i, length // _STEP)) // 2 for i, length in enumerate(lengths)]
    columns = (array("q", midnights[:-1]), array("i", lengths), array("q", totals))
    return Series(_key(seed, "daily", "P1D", "Wh"), *columns, bytes(days))


def _first_day(seed: int, start: int, days: int) -> int:
    """Return the day of Paris, counted from 1 January 1970, that `start` falls in."""
    if not 0 <= seed <= MAX_SEED:
        raise LocalError("BAD_HOUSEHOLD", f"A seed lies between 0 and {MAX_SEED}", field="seed")
    if not 1 <= days <= MAX_DAYS:
        raise LocalError("BAD_HOUSEHOLD", f"Days lie between 1 and {MAX_DAYS}", field="days")
    day = start // _DAY
    if not date(1996, 1, 1).toordinal() <= day + _EPOCH_DAY <= date(2089, 1, 1).toordinal():
        raise LocalError("BAD_HOUSEHOLD", "The start lies between 1996 and 2089", field="start")
    return day + 1 if start >= _midnight(day + 1) else day


def _midnight(day: int) -> int:
    """Return the UTC seconds at which a day begins in Paris: an hour before UTC midnight, two in summer time.

    Summer time runs from the last Sunday of March to the last of October, 01:00 UTC (Directive 2000/84/EC).
    """
    year = date.fromordinal(day + _EPOCH_DAY).year
    spring, autumn = (_last_sunday(year, month) for month in (3, 10))
    return day * _DAY - (7200 if spring < day <= autumn else 3600)


def _last_sunday(year: int, month: int) -> int:
    last = date(year, month, 31)
    return last.toordinal() - last.isoweekday() % 7 - _EPOCH_DAY


def _powers(seed: int, day: int, length: int) -> list[int]:
    """Return the powers of one day, even numbers of W."""
    chance = Random(f"household {seed} {day}")
    size = 70 + Random(f"household {seed}").randrange(60)  # percent: a small flat or a large family
    month = _MONTHS[date.fromordinal(day + _EPOCH_DAY).month - 1]
    return [
        _HOURS[half_hour // 2 % 24] * month * size * chance.randrange(50, 170) // 2_000_000 * 2
        for half_hour in range(length)
    ]


def _key(seed: int, kind: str, granularity: str, unit: str) -> SeriesKey:
    point = f"prm:00000000{seed:06}"
    return SeriesKey(point, "electricity", "consumption", kind, granularity, unit, fictitious=True)


def _all(duration: int, count: int) -> array[int]:
    return array("i", [duration]) * count
