"""Whose points are: people who share a point, or have several, count as one person under the thresholds.

How it works
    A point's people are those named with it, or else those who stand in the register of points for any part of the
    window; for points of earlier releases, those named then. People who meet on a point are joined, and so on: the
    result is one name for each point, the same for all points of the people joined.

What it does not do
    It guesses nothing: a point of which nobody is known has no holder, unless whoever publishes says that each such
    point is a person's of her own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ledger.consent.record import Window
from node.vaults.releases import Release

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows


def persons(
    flows: Flows,
    turn: Turn,
    points: frozenset[str],
    named: Mapping[str, str],
    history: Sequence[Release],
    window: Window,
    *,
    each_its_own: bool,
) -> dict[str, str]:
    """Return point -> person, for the points asked for as far as known, and for all of the history."""
    people: dict[str, set[str]] = {point: {named[point]} for point in points if point in named}
    for point in points - people.keys():
        register = flows.points.rows.get(turn.vault, point)
        there = register.tenures if register is not None else ()
        found = {one.person for one in there if one.since < window[1] and (one.until is None or window[0] < one.until)}
        if found:
            people[point] = found
        elif each_its_own:
            people[point] = {f"point {point}"}
    for release in history:
        for point, person in zip(release.points, release.holders, strict=True):
            if point not in points:
                people.setdefault(point, set()).add(person)
    return joined(people)


def joined(people: Mapping[str, set[str]]) -> dict[str, str]:
    """Return point -> one name for all who are joined with its people."""
    leader: dict[str, str] = {}

    def find(person: str) -> str:
        while leader.setdefault(person, person) != person:
            person = leader[person]
        return person

    for found in people.values():
        first, *others = sorted(found)
        for other in others:
            leader[find(other)] = find(first)
    return {point: find(min(found)) for point, found in people.items()}
