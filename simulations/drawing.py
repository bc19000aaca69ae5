"""A run as a picture: the space-time diagram of its messages, one page of HTML with an SVG in it.

How it works
    Time runs downwards, each node is a vertical line, each message a slanted one from where and when it left to where
    and when it came; its colour is its family's, its title says the rest. Publications, crashes and what else happened
    are dots; what happens to all, as a partition, is a line across. A window of time is shown, and at most
    `MESSAGES_MAX` messages of it.

What it does not do
    It runs nothing: `simulations.api.replay` does. The page loads nothing from elsewhere and holds no script.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Final

from simulations.records import Records

MESSAGES_MAX: Final = 4_000
WIDTH: Final = 1_200
HEIGHT: Final = 1_600
MARGIN: Final = 60
FAMILIES: Final = {
    0: ("protocol", "#777777"),
    1: ("gossip", "#0b6e99"),
    2: ("knock", "#8a6d00"),
    3: ("data", "#b3261e"),
    4: ("seals", "#5b3fa0"),
    5: ("cosignatures", "#1b7f4d"),
}
"""Families of messages: name and colour."""


def window_of(records: Records, start_s: float | None, seconds: float) -> tuple[int, int]:
    """Return the window that is drawn, in microseconds. Without a start: from just before the first publication."""
    if start_s is not None:
        start = records.start_us + round(start_s * 1_000_000)
    else:
        first = min((one.at_us for one in records.publications.values()), default=records.start_us)
        start = first - round(seconds * 50_000)
    return start, start + round(seconds * 1_000_000)


def page(title: str, records: Records, nodes: int, start_us: int, end_us: int) -> str:
    """Return the page. `nodes`: how many; `start_us`, `end_us`: the window."""
    inside = [row for row in records.messages if row[1] >= start_us and row[0] <= end_us]
    shown = inside[:MESSAGES_MAX]
    left = f", {len(inside) - len(shown)} more are not drawn" if len(shown) < len(inside) else ""
    window = f"{(start_us - records.start_us) / 1e6:.3f} s to {(end_us - records.start_us) / 1e6:.3f} s"
    body = "\n".join(_svg(records, shown, nodes, start_us, end_us))
    key = " ".join(f'<span style="color:{colour}">{name}</span>' for name, colour in FAMILIES.values())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>"
        "body{font:14px sans-serif;margin:1.5rem}svg{max-width:100%;height:auto}"
        "text{font:11px sans-serif;fill:#333}</style></head><body>\n"
        f"<h1>{html.escape(title)}</h1><p>{window}; {len(shown)} messages{left}. Families: {key}.</p>\n"
        f"{body}\n</body></html>\n"
    )


def _svg(
    records: Records, messages: list[tuple[int, int, int, int, int, int]], nodes: int, start_us: int, end_us: int
) -> Iterator[str]:
    span = max(1, end_us - start_us)

    def x(node: int) -> float:
        return round(MARGIN + node * (WIDTH - 2 * MARGIN) / max(1, nodes - 1), 1)

    def y(at_us: int) -> float:
        return round(MARGIN + (min(max(at_us, start_us), end_us) - start_us) * (HEIGHT - 2 * MARGIN) / span, 1)

    yield f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Messages between nodes over time">'
    for node in range(nodes):
        yield f'<line x1="{x(node)}" x2="{x(node)}" y1="{MARGIN}" y2="{HEIGHT - MARGIN}" stroke="#ddd"/>'
        if nodes <= 60:
            yield f'<text x="{x(node)}" y="{MARGIN - 8}" text-anchor="middle">{node}</text>'
    for step in range(11):
        at = start_us + span * step // 10
        yield f'<text x="4" y="{y(at)}">{(at - records.start_us) / 1e6:.3f}</text>'
    for left, came, source, target, size, kind in messages:
        name, colour = FAMILIES.get(kind // 32, ("other", "#777777"))
        told = f"{name} {kind % 32}: {source} to {target}, {size} bytes, {(came - left) / 1_000:.1f} ms"
        yield (
            f'<line x1="{x(source)}" y1="{y(left)}" x2="{x(target)}" y2="{y(came)}" stroke="{colour}" '
            f'stroke-opacity="0.6"><title>{told}</title></line>'
        )
    for at, node, what in records.happenings:
        if start_us <= at <= end_us and node < 0:
            ends = f'x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(at)}" y2="{y(at)}"'
            yield f'<line {ends} stroke="#000" stroke-dasharray="4"><title>{html.escape(what)}</title></line>'
        elif start_us <= at <= end_us:
            yield f'<circle cx="{x(node)}" cy="{y(at)}" r="5" fill="#000"><title>{html.escape(what)}</title></circle>'
    yield "</svg>"
