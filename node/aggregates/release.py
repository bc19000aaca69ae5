"""A table that is published: judged, kept, and written as CSV and as JSON with its label, thresholds and sources.

How it works
    `publish` has every cell judged and makes the release that the vault keeps: the figures that passed have a value,
    the others have none, so that nothing written from a release can hold one. In a file all that is kept back looks
    the same: neither the reason nor any count is told, since both would tell of the group.

What it does not do
    It sends nothing (node.flows.releasing): a release is a file on this machine, for whoever runs the node to publish.
    It asks nobody's consent: the aggregate door is for data that are not personal any more, and the thresholds are
    its condition.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ledger.consent.aggregate import Verdict, judge_release
from ledger.consent.thresholds import Profile
from node.aggregates.checks import report
from node.aggregates.handing import Table
from node.aggregates.table import Built, Request, runs_of, unit_of
from node.labels import MEANINGS, Level
from node.vaults.releases import Figure, Release

HEADER: Final = "group,start,stop,value,unit,state,label"
"""The header line of the CSV form. Lines before it begin with "#"."""
RELEASED: Final = "released"
KEPT_BACK: Final = "kept back"
ALL: Final = "(all)"
"""The group of lines over all groups."""


def publish(
    request: Request, built: Built, profile: Profile, history: Sequence[Release], *, ident: bytes, name: str, at: int
) -> tuple[Release, list[Verdict]]:
    """Judge a table and return it as a release, with the verdicts, which are for the holder of the data alone.

    `history`: every release before; what the table was built with is the part of it that is `concerned`. Raises
    what `judge_release` raises.
    """
    verdicts = judge_release(
        built.cells, built.earlier, built.material, profile, related=built.related, kept_back=built.kept_back
    )
    points = tuple(sorted(request.points))
    places = {point: place for place, point in enumerate(points)}
    figures = []
    for cell, line, verdict in zip(built.cells, built.lines, verdicts, strict=True):
        value = built.value(cell) if verdict.released else ""
        figures.append(Figure(*line, value, verdict.check.value, tuple(runs_of(cell.parts, built.bounds, places))))
    numbers = tuple((key, one.value, one.source, one.confidence) for key, one in profile.numbers().items())
    what = (ident, name, at, request.source, unit_of(request.source), request.step, request.window)
    lines = report(request, built, profile, verdicts, history)
    holders = tuple(request.holders[point] for point in points)
    return Release(*what, profile.name, numbers, points, holders, tuple(figures), lines), verdicts


def to_csv(release: Release) -> bytes:
    """Return a release as CSV (RFC 4180), with its label and thresholds in lines that begin with "#"."""
    return table_to_csv(Table.of(release))


def to_json(release: Release) -> bytes:
    """Return a release as JSON: label, profile with the source of every number, lines."""
    return table_to_json(Table.of(release))


def table_to_csv(table: Table) -> bytes:
    """Return what anyone may read of a release as CSV: `to_csv`, for a table that was received as well."""
    lines = [f"# {line}" for line in _preamble(table)]
    lines.append(HEADER)
    label = f'"{Level.AGGREGATED.value}"'  # it holds a comma
    for group, window, value in table.lines:
        times = ",".join(map(_stamp, window))
        state = RELEASED if value else KEPT_BACK
        lines.append(f"{_cell(group or ALL)},{times},{value},{table.unit},{state},{label}")
    return ("\r\n".join(lines) + "\r\n").encode()


def table_to_json(table: Table) -> bytes:
    """Return what anyone may read of a release as JSON: `to_json`, for a table that was received as well."""
    source = table.source
    said: dict[str, Any] = {
        "label": Level.AGGREGATED.value,
        "meaning": MEANINGS[Level.AGGREGATED],
        "release": table.id.hex(),
        "name": table.name,
        "made": _stamp(table.at),
        "energy": source.energy,
        "direction": source.direction,
        "kind": source.kind,
        "readings": source.granularity,
        "fictitious": source.fictitious,
        "unit": table.unit,
        "step": table.step or "whole window",
        "window": list(map(_stamp, table.window)),
        "profile": {
            "name": table.profile,
            "numbers": {
                key: {"value": value, "source": where, "confidence": confidence}
                for key, value, where, confidence in table.numbers
            },
        },
        "lines": [
            {
                "group": group or None,
                "start": _stamp(window[0]),
                "stop": _stamp(window[1]),
                "value": value or None,
                "state": RELEASED if value else KEPT_BACK,
            }
            for group, window, value in table.lines
        ],
    }
    return json.dumps(said, indent=2, ensure_ascii=False).encode() + b"\n"


def _preamble(table: Table) -> list[str]:
    found = [f"{Level.AGGREGATED.value}: {MEANINGS[Level.AGGREGATED]}", f"release {table.id.hex()} {table.name}"]
    if table.source.fictitious:
        found.append("fictitious readings, of no real meter")
    found.append(f"thresholds: {table.profile}")
    found += [f"{key} = {value} ({confidence}: {where})" for key, value, where, confidence in table.numbers]
    return found


def _cell(text: str) -> str:
    """Return a text as a cell, in quotes where it would be taken for several."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def _stamp(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
