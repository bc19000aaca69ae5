"""The same fact compared across those who hold it: two series of one point, record by record.

How it works
    Records are matched by the start of their period. Values are compared exactly; a gap equals a gap alone. Where the
    units differ by a power of ten (Wh, kWh) the caller brings them together first: this module refuses.

What it does not do
    It does not say who is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.errors import LocalError
from node.readings import Series, Value

SHOWN_MAX: Final = 100
"""Differences that are listed; all are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One period (its start, UTC seconds) for which the two say different things; None: a gap."""

    start: int
    one: Value
    other: Value


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two series have in common. `different`: how many; `shown`: the first of them."""

    same: int
    different: int
    only_one: int
    only_other: int
    shown: tuple[Difference, ...]


def compare(one: Series, other: Series) -> Comparison:
    """Compare two series of one point and kind. Raises LocalError NOT_COMPARABLE."""
    for name in ("point", "energy", "direction", "kind", "granularity", "unit"):
        if getattr(one.key, name) != getattr(other.key, name):
            told = f"the two series differ in their {name}; compare like with like"
            raise LocalError("NOT_COMPARABLE", told, field=name)
    first = {reading.start: reading.value for reading in one}
    second = {reading.start: reading.value for reading in other}
    both = sorted(first.keys() & second.keys())
    apart = [Difference(start, first[start], second[start]) for start in both if first[start] != second[start]]
    lonely = (len(first) - len(both), len(second) - len(both))
    return Comparison(len(both) - len(apart), len(apart), *lonely, tuple(apart[:SHOWN_MAX]))
