"""A fictitious household: readings for demonstrations and tests, never to be taken for a person's (R116).

How it works
    The power of each half-hour is a habit (a table by hour of the day and by month, one for days of work and one for
    weekends) times a chance of that household and that day, in whole watts, even ones, so that a half-hour is a whole
    number of Wh. With panels on the roof, what they give (by the length of the day, and a cloud cover of that day) is
    used in the house first: the rest is injected, and what lacks is drawn. Gas is burnt for hot water all year and for
    heating by the month, in kWh a gas day. Chance comes from the seed and the day alone: two calls whose days overlap
    agree on them, and the daily totals are the sums of the load curve. Days are those of Paris, with 23 or 25 hours
    when the hour changes. Every series carries `fictitious=True`, which all exports repeat, and a point whose number
    begins with eight zeros and ends with the seed.

What it does not do
    It simulates no weather and no physics: it looks like a household, and proves nothing about one.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Final

from ledger.errors import LocalError
from node.adapters.enedis_time import midnight
from node.adapters.stamps import gas_day
from node.readings import Series
from node.series_key import SeriesKey

MAX_DAYS: Final = 3660
"""Days in one call."""
MAX_SEED: Final = 999_999
"""Largest seed: it ends the point number."""

_STEP: Final = 1800
_DAY: Final = 86_400
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_FRIDAY: Final = 5  # date.isoweekday
_HOURS: Final = (
    *(210, 190, 180, 180, 190, 240, 520, 760, 610, 420, 390, 520),
    *(740, 560, 420, 390, 420, 560, 880, 1180, 1060, 790, 520, 300),
)
"""Habit, in W, for each hour of a day of work."""
_WEEKEND_HOURS: Final = (
    *(260, 220, 190, 180, 180, 190, 230, 330, 520, 760, 880, 940),
    *(1_060, 980, 760, 640, 620, 700, 900, 1_140, 1_080, 880, 640, 420),
)
"""The same on Saturdays and Sundays."""
_MONTHS: Final = (165, 160, 135, 105, 85, 75, 72, 70, 82, 105, 135, 160)
"""Percent of the habit, January to December."""
_SUN: Final = ((8.2, 17.2), (7.6, 18.1), (6.9, 18.9), (6.1, 19.7), (5.3, 20.4), (4.9, 20.9))
"""When the sun rises and sets, in hours of UTC + 1, January to June; July to December are those backwards."""
_PEAKS: Final = (900, 1_400, 2_000, 2_500, 2_800, 2_900)
"""The most that panels of 3 kWp give at noon, in W, January to June."""
_HEATING: Final = (62, 54, 42, 24, 8, 0, 0, 0, 4, 22, 44, 58)
"""Heating with gas, in kWh a day, January to December."""
_HOT_WATER: Final = 7
"""Gas for hot water and cooking, in kWh a day."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a household has beside its electricity meter: panels of 3 kWp on the roof, a gas meter."""

    solar: bool = False
    gas: bool = False


NOTHING: Final = Equipment()


def load_curve(seed: int, start: int, days: int, equipment: Equipment = NOTHING, *, gaps: int = 0) -> Series:
    """Return the half-hourly mean power, in W, of `days` days of Paris from the one that `start` falls in.

    `seed`: 0 to 999 999. `start`: UTC seconds. `gaps`: how many half-hours the meter gave no value for.
    Raises LocalError BAD_HOUSEHOLD.
    """
    return _curve(seed, start, days, lambda day, length: _drawn(seed, day, length, equipment), "consumption", gaps)


def injected(seed: int, start: int, days: int) -> Series:
    """Return the half-hourly mean power, in W, that a household with panels gives to the grid. Arguments as above."""
    return _curve(seed, start, days, lambda day, length: _given(seed, day, length), "injection", 0)


def daily_totals(seed: int, start: int, days: int, equipment: Equipment = NOTHING) -> Series:
    """Return the energy of each day, in Wh: the sums of `load_curve` without gaps. Arguments as there."""
    first = _first_day(seed, start, days)
    midnights = [midnight(day) for day in range(first, first + days + 1)]
    lengths = [after - before for before, after in itertools.pairwise(midnights)]
    powers = (_drawn(seed, first + i, length // _STEP, equipment) for i, length in enumerate(lengths))
    columns = (array("q", midnights[:-1]), array("i", lengths), array("q", [sum(each) // 2 for each in powers]))
    return Series(_key(seed, "daily", "P1D", "Wh"), *columns, bytes(days))


def gas_totals(seed: int, start: int, days: int) -> Series:
    """Return the gas of each gas day, in kWh. Arguments as in `load_curve`."""
    first = _first_day(seed, start, days)
    starts = [gas_day(day) for day in range(first, first + days + 1)]
    lengths = array("i", [after - before for before, after in itertools.pairwise(starts)])
    burnt = array("q", [_burnt(seed, day) for day in range(first, first + days)])
    key = SeriesKey(f"pce:00000000{seed:06}", "gas", "consumption", "daily", "P1D", "kWh", fictitious=True)
    return Series(key, array("q", starts[:-1]), lengths, burnt, bytes(days))


def _curve(
    seed: int, start: int, days: int, powers_of: Callable[[int, int], list[int]], direction: str, gaps: int
) -> Series:
    first = _first_day(seed, start, days)
    starts: array[int] = array("q")
    powers: array[int] = array("q")
    for day in range(first, first + days):
        begins = midnight(day)
        length = (midnight(day + 1) - begins) // _STEP
        starts.extend(range(begins, begins + length * _STEP, _STEP))
        powers.extend(powers_of(day, length))
    if not 0 <= gaps <= len(starts):
        raise LocalError("BAD_HOUSEHOLD", "There are fewer half-hours than gaps asked for", field="gaps")
    mask = bytearray(len(starts))
    for index in Random(f"gaps {seed} {first}").sample(range(len(starts)), gaps):
        mask[index], powers[index] = 1, 0
    key = _key(seed, "load_curve", "PT30M", "W", direction)
    return Series(key, starts, array("i", [_STEP]) * len(starts), powers, bytes(mask))


def _first_day(seed: int, start: int, days: int) -> int:
    """Return the day of Paris, counted from 1 January 1970, that `start` falls in."""
    if not 0 <= seed <= MAX_SEED:
        raise LocalError("BAD_HOUSEHOLD", f"A seed lies between 0 and {MAX_SEED}", field="seed")
    if not 1 <= days <= MAX_DAYS:
        raise LocalError("BAD_HOUSEHOLD", f"Days lie between 1 and {MAX_DAYS}", field="days")
    day = start // _DAY
    if not date(1996, 1, 1).toordinal() <= day + _EPOCH_DAY <= date(2089, 1, 1).toordinal():
        raise LocalError("BAD_HOUSEHOLD", "The start lies between 1996 and 2089", field="start")
    return day + 1 if start >= midnight(day + 1) else day


def _drawn(seed: int, day: int, length: int, equipment: Equipment) -> list[int]:
    """Return what the meter counts as drawn in each half-hour, in W."""
    used = _powers(seed, day, length)
    if not equipment.solar:
        return used
    return [max(0, need - sun) for need, sun in zip(used, _sunshine(seed, day, length), strict=True)]


def _given(seed: int, day: int, length: int) -> list[int]:
    """Return what the meter counts as injected in each half-hour, in W."""
    used = _powers(seed, day, length)
    return [max(0, sun - need) for need, sun in zip(used, _sunshine(seed, day, length), strict=True)]


def _sunshine(seed: int, day: int, length: int) -> list[int]:
    """Return what panels give in each half-hour, even numbers of W: a parabola from sunrise to sunset, under clouds."""
    month = date.fromordinal(day + _EPOCH_DAY).month - 1
    half = month if month < len(_SUN) else 2 * len(_SUN) - 1 - month
    (rise, sets), peak = _SUN[half], _PEAKS[half]
    chance = Random(f"sun {seed} {day}")
    clear = chance.randrange(15, 101)  # percent
    begins = (midnight(day) + 3_600) % _DAY / 3_600  # the hour of UTC + 1 at midnight: 0, or -1 in summer
    begins = begins if begins < 12 else begins - 24
    found = []
    for half_hour in range(length):
        hour = begins + half_hour / 2 + 0.25
        share = max(0.0, 1 - ((2 * hour - rise - sets) / (sets - rise)) ** 2)
        found.append(int(peak * share * clear * chance.randrange(85, 101) / 20_000) * 2)
    return found


def _burnt(seed: int, day: int) -> int:
    """Return the gas of one day, in kWh."""
    at = date.fromordinal(day + _EPOCH_DAY)
    chance = Random(f"gas {seed} {day}")
    at_home = 115 if at.isoweekday() > _FRIDAY else 100  # percent
    heating = _HEATING[at.month - 1] * _size(seed) * at_home * chance.randrange(70, 131) // 1_000_000
    return heating + _HOT_WATER * chance.randrange(70, 131) // 100


def _size(seed: int) -> int:
    """Return how much a household uses, in percent: a small flat or a large family."""
    return 70 + Random(f"household {seed}").randrange(60)


def _powers(seed: int, day: int, length: int) -> list[int]:
    """Return the powers used on one day, even numbers of W."""
    chance = Random(f"household {seed} {day}")
    at = date.fromordinal(day + _EPOCH_DAY)
    hours = _WEEKEND_HOURS if at.isoweekday() > _FRIDAY else _HOURS
    scale = _MONTHS[at.month - 1] * _size(seed)
    return [
        hours[half_hour // 2 % 24] * scale * chance.randrange(50, 170) // 2_000_000 * 2 for half_hour in range(length)
    ]


def _key(seed: int, kind: str, granularity: str, unit: str, direction: str = "consumption") -> SeriesKey:
    point = f"prm:00000000{seed:06}"
    return SeriesKey(point, "electricity", direction, kind, granularity, unit, fictitious=True)
