"""The page of state diagrams: states and steps as tables, and as pictures drawn from the same tables.

What it does not do
    It decides no state: `ledger/consent/status.py` and `ledger/governance/members.py` do. A test holds the names here
    against theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

Place = tuple[float, float]

CONSENT_PLACES: Final[dict[str, Place]] = {
    "requested": (0, 1),
    "refused": (1, 2),
    "incomplete": (1, 0),
    "granted": (2, 1),
    "withdrawn": (3, 0),
    "revoked": (3, 1),
    "expired": (3, 2),
}
CONSENT_STEPS: Final = (
    ("requested", "granted", "consent.grant"),
    ("requested", "refused", "consent.refuse"),
    ("requested", "incomplete", "consent.grant, others must sign"),
    ("incomplete", "granted", "consent.sign"),
    ("incomplete", "withdrawn", "consent.withdraw"),
    ("incomplete", "revoked", "consent.revoke"),
    ("granted", "withdrawn", "consent.withdraw"),
    ("granted", "revoked", "consent.revoke"),
    ("granted", "expired", "its end passes"),
)
MEMBER_PLACES: Final[dict[str, Place]] = {
    "applied": (0, 1),
    "member": (1, 1),
    "suspended": (2, 0),
    "left": (2, 2),
    "expelled": (3, 1),
    "revoked": (1, 0),
}
MEMBER_STEPS: Final = (
    ("applied", "member", "member.admit"),
    ("member", "suspended", "a ballot, for days"),
    ("suspended", "member", "the time is over"),
    ("member", "revoked", "its credential was revoked"),
    ("member", "left", "member.leave"),
    ("member", "expelled", "a ballot"),
    ("suspended", "expelled", "a ballot"),
)

WIDTH, HEIGHT, BOX_W, BOX_H, MARGIN = 210, 96, 112, 36, 24


def _middle(place: Place) -> Place:
    return MARGIN + place[0] * WIDTH + BOX_W / 2, MARGIN + place[1] * HEIGHT + BOX_H / 2


def _edge(start: Place, stop: Place) -> tuple[Place, Place]:
    """Return where a line between two boxes leaves the one and meets the other."""
    (x0, y0), (x1, y1) = start, stop
    dx, dy = x1 - x0, y1 - y0
    scale = min(BOX_W / 2 / abs(dx) if dx else 9, BOX_H / 2 / abs(dy) if dy else 9)
    return (x0 + dx * scale, y0 + dy * scale), (x1 - dx * scale, y1 - dy * scale)


def picture(title: str, places: dict[str, Place], steps: tuple[tuple[str, str, str], ...]) -> str:
    """Return a drawing of states and steps as SVG."""
    width = MARGIN * 2 + max(x for x, _ in places.values()) * WIDTH + BOX_W
    height = MARGIN * 2 + max(y for _, y in places.values()) * HEIGHT + BOX_H

    def parts() -> Iterator[str]:
        label = f'role="img" aria-label="{escape(title)}"'
        yield f'<svg viewBox="0 0 {width:.0f} {height:.0f}" {label} width="{width:.0f}">'
        yield '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
        yield 'orient="auto"><path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>'
        for source, target, by in steps:
            back = (target, source) in {(a, b) for a, b, _ in steps}
            (x0, y0), (x1, y1) = _edge(_middle(places[source]), _middle(places[target]))
            shift = 7 if back else 0
            line = f'x1="{x0:.0f}" y1="{y0 + shift:.0f}" x2="{x1:.0f}" y2="{y1 + shift:.0f}"'
            yield f'<line {line} stroke="currentColor" marker-end="url(#tip)"><title>{escape(by)}</title></line>'
        for name, place in places.items():
            x, y = _middle(place)
            box = f'x="{x - BOX_W / 2:.0f}" y="{y - BOX_H / 2:.0f}" width="{BOX_W}" height="{BOX_H}" rx="8"'
            yield f'<rect {box} fill="none" stroke="currentColor"/>'
            at = f'x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" font-size="15" fill="currentColor"'
            yield f"<text {at}>{name}</text>"
        yield "</svg>"

    return "\n".join(parts())


def page() -> str:
    """Return the page."""
    parts = ["# States"]
    for title, what, places, steps in (
        (
            "A consent",
            "Restrictive steps win over permissive ones, however late they come: a consent that was withdrawn never "
            "is granted again.",
            CONSENT_PLACES,
            CONSENT_STEPS,
        ),
        (
            "A member",
            "Whoever left or was expelled comes back only as another incarnation, with nothing of the old one.",
            MEMBER_PLACES,
            MEMBER_STEPS,
        ),
    ):
        rows = "\n".join(f"| {source} | {target} | {label} |" for source, target, label in steps)
        parts += [f"## {title}", what, picture(title, places, steps), f"| from | to | by |\n|---|---|---|\n{rows}"]
    return "\n\n".join(parts) + "\n"
