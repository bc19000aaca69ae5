"""What a partition cuts, for both worlds: every direction between its groups, or only those out of the first.

How it works
    `cut` makes of groups of nodes a predicate on directions (source, target); nodes in no group form one more.

What it does not do
    It ends no channel: worlds do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

Way: TypeAlias = tuple[int, int]
"""Source and target."""
Cut: TypeAlias = Callable[[Way], bool]
"""Says whether a direction delivers nothing."""


def nothing(_: Way) -> bool:
    """Cut nothing."""
    return False


def cut(groups: Iterable[Iterable[int]], *, one_way: bool = False) -> Cut:
    """Return what lies between groups. `one_way`: what the first group sends is cut, what it hears is not."""
    place = {number: place for place, group in enumerate(groups) for number in group}

    def severs(way: Way) -> bool:
        here, there = (place.get(number, -1) for number in way)
        return here != there and (not one_way or here == 0)

    return severs
