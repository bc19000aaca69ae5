"""Records of a file as they come, put into series: in order of time, each once.

How it works
    Adapters that read a record at a time add them here, each with the series it belongs to and its place in the file.
    At the end each series is put in order of time. A record that stands there again, the same, is dropped and
    counted; one that says something else of the same time refuses the file, by the place of the later one.

What it does not do
    It fills nothing in, and compares nothing with what the node holds: the vault does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Final

from ledger.errors import LocalError, RemoteError
from node.adapters.adapter import Parsed
from node.readings import MAX_RECORDS, Series, Value
from node.series_key import SeriesKey

_NUMBER: Final = re.compile(r"(-?[0-9]{1,15})(?:[.,]([0-9]{1,9}))?")

Refuse = Callable[[int, str, str], RemoteError]
"""(place of the record, field, sentence without full stop) -> the error that refuses the file."""


@dataclass(slots=True)
class _Rows:
    starts: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


class Table:
    """Series being read. `refuse` makes the errors."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self._rows: dict[SeriesKey, _Rows] = {}
        self._count = 0

    def add(self, key: SeriesKey, place: int, start: int, duration: int, value: Value) -> None:
        """Add one record. Raises the refusal once the file has more than MAX_RECORDS."""
        rows = self._rows.get(key)
        if rows is None:
            rows = self._rows[key] = _Rows()
        self._count += 1
        if self._count > MAX_RECORDS:
            raise self._refuse(place, "record", f"A file has at most {MAX_RECORDS} records")
        rows.starts.append(start)
        rows.durations.append(duration)
        rows.values.append(value)
        rows.places.append(place)

    def found(self) -> Iterator[Parsed]:
        """Yield the series, in the order in which they first came. Raises the refusal."""
        return (self._parsed(key, rows) for key, rows in self._rows.items())

    def _parsed(self, key: SeriesKey, rows: _Rows) -> Parsed:
        columns = list(zip(rows.starts, rows.places, rows.durations, rows.values, strict=True))
        if any(one[0] >= other[0] for one, other in pairwise(columns)):
            columns.sort(key=lambda one: one[:2])
        kept = columns[:1]
        for one in columns[1:]:
            if one[0] != kept[-1][0]:
                kept.append(one)
            elif one[2:] != kept[-1][2:]:
                raise self._refuse(one[1], "time", "Another record of the file says something else of the same time")
        starts, places, durations, values = map(list, zip(*kept, strict=True))
        try:
            series = Series.from_columns(key, starts, durations, values)
        except LocalError as error:
            at = re.fullmatch(r"record ([0-9]+)", error.field or "")
            place = places[int(at[1])] if at else rows.places[0]
            raise self._refuse(int(place or 0), "record", error.message) from error
        return Parsed(series, len(columns) - len(kept))


def number(text: str) -> int | Decimal | None:
    """Return a decimal with a point or a comma, at most 15 digits and 9 decimals; None where it is none."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    if match[2] is None or not match[2].strip("0"):
        return int(match[1])
    return Decimal(f"{match[1]}.{match[2]}")


def times(value: int | Decimal, factor: int) -> int | Decimal:
    """Return a value times a factor, exactly; a whole number stays one."""
    product = Decimal(value) * factor
    return int(product) if product == product.to_integral_value() else product
