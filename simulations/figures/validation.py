"""A figure of each experiment: how far each number is from what was expected, in tolerances.

How it works
    A row for each check, a dot for where it landed, a band from -1 to 1 that it must land in. Of a bound, the dot is at
    0 if it holds, and beside the band if it does not; the numbers stand beside it.

What it does not do
    It judges nothing: the verdicts come with the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from simulations.figures.drawing import COLOURS, axes, write

FARTHEST: Final = 3.0
"""Tolerances beyond which a dot stands at the edge."""


def draw(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write a figure for each experiment's row (simulations.validation.checks) into a folder."""
    for row in rows:
        checks = row["checks"]
        title = f"{row['id']}  {row['title']}\n{row['source']}"
        figure, drawn = axes(
            title, "measured - expected, in tolerances", "", width=7.0, height=1.4 + 0.22 * len(checks)
        )
        drawn.axvspan(-1, 1, color=COLOURS[2], alpha=0.15, linewidth=0)
        for place, check in enumerate(checks):
            failed = check["verdict"] == "fail"
            drawn.plot([_place(check)], [-place], "o", color=COLOURS[1] if failed else COLOURS[0], markersize=4)
            numbers = f"{check['measured']:.4g} ({check['kind']} {check['expected']:.4g})"
            drawn.text(FARTHEST * 1.08, -place, numbers, fontsize=6, va="center")
        drawn.set_xlim(-FARTHEST * 1.05, FARTHEST * 1.05)
        drawn.set_yticks([-place for place in range(len(checks))], [check["name"] for check in checks], fontsize=6)
        write(figure, pl.DataFrame(list(checks), infer_schema_length=None), folder, row["id"])


def _place(check: dict[str, Any]) -> float:
    """Return where a dot stands."""
    gap = float(check["measured"]) - float(check["expected"])
    if check["kind"] != "within":
        return 0.0 if check["verdict"] == "pass" else (FARTHEST if gap > 0 else -FARTHEST)
    if not check["tolerance"]:
        return 0.0 if not gap else (FARTHEST if gap > 0 else -FARTHEST)
    return max(-FARTHEST, min(FARTHEST, gap / float(check["tolerance"])))
