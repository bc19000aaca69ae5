"""Local time of metropolitan France, for the formats whose stamps carry no offset from UTC.

How it works
    Summer time runs from the last Sunday of March to the last of October, 01:00 UTC (Directive 2000/84/EC). A local
    time thus has one meaning, none (the hour skipped in March) or two (the hour told twice in October). `resolve`
    settles the two by the neighbours: a stamp that would not come after the one before is the second; one that
    follows the stamp before at its step, or precedes the next one so, is that one. What no neighbour settles is
    refused, not guessed.

What it does not do
    It reads no time zone database, and knows no other territory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Final

DAY: Final = 86_400
"""Seconds in 24 hours."""
_WINTER, _SUMMER = 3_600, 7_200  # ahead of UTC, in seconds
_YEAR: Final = 31_556_952
_AHEAD: Final = 64  # stamps looked at for the end of the hour that is told twice
_DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_STAMP: Final = re.compile(
    _DAY.pattern + r"[ T]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.0{1,6})?(Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?"
)
_DURATION: Final = re.compile(r"PT([1-9][0-9]{0,2})([MH])")
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class NoTimeError(Exception):
    """The stamp at `index` has no meaning (`skipped`), or two that nothing settles."""

    def __init__(self, index: int, *, skipped: bool) -> None:
        super().__init__(index)
        self.index = index
        self.skipped = skipped

    @property
    def message(self) -> str:
        """A sentence without its full stop."""
        if self.skipped:
            return "This local time does not exist: the clock was put forward"
        return "This local time was told twice, and the records around it do not show which one is meant"


@cache
def _summer(year: int) -> tuple[int, int]:
    """Return the UTC seconds at which summer time begins and ends."""
    spring, autumn = (_last_sunday(year, month) * DAY + 3_600 for month in (3, 10))
    return spring, autumn


def _last_sunday(year: int, month: int) -> int:
    last = date(year, month, 31)
    return last.toordinal() - last.isoweekday() % 7 - _EPOCH_DAY


def meanings(local: int) -> tuple[int, ...]:
    """Return the UTC seconds that a local time may mean: one, none, or two in order.

    `local`: seconds from 1970-01-01T00:00 as the clock on the wall counts them.
    """
    spring, autumn = _summer(1970 + local // _YEAR)  # near New Year the wrong year says winter too
    found = []
    if spring <= local - _SUMMER < autumn:
        found.append(local - _SUMMER)
    if not spring <= local - _WINTER < autumn:
        found.append(local - _WINTER)
    return tuple(found)


def midnight(day: int) -> int:
    """Return the UTC seconds at which a day of Paris begins; `day` counted from 1 January 1970."""
    return meanings(day * DAY)[0]


def period_of_day(day: int) -> tuple[int, int]:
    """Return when a day of Paris begins, UTC seconds, and how long it is: 23 to 25 h. `day`: from 1 January 1970."""
    start = midnight(day)
    return start, midnight(day + 1) - start


def day_number(year: int, month: int, day: int) -> int:
    """Return a date as days from 1 January 1970. Raises ValueError where there is no such date."""
    return date(year, month, day).toordinal() - _EPOCH_DAY


def resolve(stamps: Sequence[int], steps: Sequence[int]) -> list[int]:
    """Return local times as UTC seconds. `steps`: how long before its stamp each period begins, 0 if unknown.

    Raises NoTimeError.
    """
    choices = [meanings(stamp) for stamp in stamps]
    found: list[int] = []
    for index, choice in enumerate(choices):
        if len(choice) == 1:
            found.append(choice[0])
        elif not choice:
            raise NoTimeError(index, skipped=True)
        else:
            found.append(_settled(index, choice, found, choices, steps))
    return found


def _settled(
    index: int, choice: tuple[int, ...], found: list[int], choices: list[tuple[int, ...]], steps: Sequence[int]
) -> int:
    """Return which of two meanings the neighbours show."""
    first, second = choice
    if found and first <= found[-1]:
        return second
    if found and steps[index]:
        for one in choice:
            if one - steps[index] == found[-1]:
                return one
    for place in range(index + 1, min(index + _AHEAD, len(choices))):
        after, before = choices[place], choices[place - 1]
        if len(after) != len(choice):
            if steps[place] and after and before[1] + steps[place] == after[0]:
                return second
            break
        if after <= before:  # the clock goes back only after this one
            return first
    raise NoTimeError(index, skipped=False)


def read_stamp(text: str) -> tuple[int, bool]:
    """Return a stamp's seconds, and whether they are those on the wall (True) or UTC (False: it has its offset).

    Known: "2026-09-14 00:30:00", also with "T", with thousandths, with "Z" or "+02:00". Raises ValueError.
    """
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError("a stamp looks like 2026-09-14 00:30:00, or ends in its offset from UTC")
    seconds = day_number(*(int(match[i]) for i in (1, 2, 3))) * DAY
    seconds += int(match[4]) * 3_600 + int(match[5]) * 60 + int(match[6])
    if match[7] is None:
        return seconds, True
    if match[7] == "Z":
        return seconds, False
    ahead = (int(match[7][1:3]) * 60 + int(match[7][4:6])) * 60
    return seconds - (ahead if match[7][0] == "+" else -ahead), False


def read_day(text: str) -> int:
    """Return a date, "2026-09-14", as days from 1 January 1970. Raises ValueError."""
    match = _DAY.fullmatch(text)
    if match is None:
        raise ValueError("a date looks like 2026-09-14")
    return day_number(*(int(match[i]) for i in (1, 2, 3)))


def read_duration(text: str) -> int | None:
    """Return an ISO 8601 duration of minutes or hours in seconds; None where it is no such one."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * (60 if match[2] == "M" else 3_600) if match else None
