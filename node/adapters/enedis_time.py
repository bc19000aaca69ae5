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

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Final

DAY: Final = 86_400
"""Seconds in 24 hours."""
_WINTER, _SUMMER = 3_600, 7_200  # ahead of UTC, in seconds
_YEAR: Final = 31_556_952
_AHEAD: Final = 64  # stamps looked at for the end of the hour that is told twice
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
