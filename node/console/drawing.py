"""The map of a mesh as numbers: where members stand on a drawing, and which lines join them.

How it works
    Members stand on a circle in the order of their names, ourselves on top; a link is a line between two of them. The
    template draws it as SVG; the table beside it says the same in words, with the numbers that stand in the drawing.

What it does not do
    Nearness means nothing: the mesh has no geography. Beyond MEMBERS_DRAWN_MAX only the table is shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from node.ops.link import LinkRow
from node.ops.member import MemberRow

MEMBERS_DRAWN_MAX: Final = 60
LABELS_MAX: Final = 24
"""Members whose names stand in the drawing; beyond, their numbers alone."""
NAME_CHARACTERS_MAX: Final = 22
RADIUS: Final = 16
"""Of a member, in units of the drawing."""
LETTER: Final = 8.5
"""How wide a letter of a name is, about."""
_SPACING: Final = 52
_RING_MIN: Final = 130


@dataclass(frozen=True, slots=True)
class Spot:
    """A member on the drawing. `anchor`: on which side its name stands. `links`: how many are up."""

    number: int
    row: MemberRow
    x: float
    y: float
    label: str
    label_x: float
    label_y: float
    anchor: Literal["start", "middle", "end"]
    links: int


@dataclass(frozen=True, slots=True)
class Line:
    """A link on the drawing."""

    state: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """A map, and how large it is; 0 where nothing is drawn."""

    spots: tuple[Spot, ...]
    lines: tuple[Line, ...]
    width: int
    height: int


def draw(members: Sequence[MemberRow], links: Sequence[LinkRow]) -> Drawing:
    """Return the map of members who are in, or suspended, and of the links among them."""
    inside = [row for row in members if row.state in ("member", "suspended")]
    inside.sort(key=lambda row: (not row.own, row.name.lower(), row.id))
    up: dict[str, int] = {}
    for link in links:
        if link.state == "up":
            for end in (link.one_id, link.other_id):
                up[end] = up.get(end, 0) + 1
    ring = max(_RING_MIN, len(inside) * _SPACING / (2 * math.pi))
    longest = max((min(len(row.name), NAME_CHARACTERS_MAX) for row in inside), default=0)
    aside = longest * LETTER + 8 if len(inside) <= LABELS_MAX else 0
    middle = ring + RADIUS + aside + 4, ring + RADIUS + 44
    spots = tuple(_spot(place, row, len(inside), ring, middle, up.get(row.id, 0)) for place, row in enumerate(inside))
    if len(inside) > MEMBERS_DRAWN_MAX:
        return Drawing(spots, (), 0, 0)
    at = {spot.row.id: spot for spot in spots}
    lines = [
        Line(link.state, at[link.one_id].x, at[link.one_id].y, at[link.other_id].x, at[link.other_id].y)
        for link in links
        if link.state in ("up", "offered", "severed") and link.one_id in at and link.other_id in at
    ]
    return Drawing(spots, tuple(lines), round(2 * middle[0]), round(2 * middle[1]))


def _spot(place: int, row: MemberRow, count: int, ring: float, middle: tuple[float, float], links: int) -> Spot:
    angle = 2 * math.pi * place / count - math.pi / 2
    across, down = math.cos(angle), math.sin(angle)
    name = row.name if len(row.name) <= NAME_CHARACTERS_MAX else row.name[: NAME_CHARACTERS_MAX - 1] + "…"
    side: Literal["start", "middle", "end"] = "middle" if abs(across) < 0.3 else "start" if across > 0 else "end"
    away = RADIUS + 8
    x, y = middle[0] + ring * across, middle[1] + ring * down
    label_x = x if side == "middle" else x + away * (1 if side == "start" else -1)
    label_y = y + (away + 12 if down > 0 else -away) if side == "middle" else y + 5
    label = name if count <= LABELS_MAX else ""
    at = (round(x, 1), round(y, 1), label, round(label_x, 1), round(label_y, 1))
    return Spot(place + 1, row, *at, side, links)
