"""How every figure looks, and how it is written: SVG, PDF, and the table it was drawn from as CSV.

How it works
    `axes` makes a figure without matplotlib's global state. `write` saves it under a name in a folder, three files.
    The same table gives the same bytes: no date, no random ids.

What it does not do
    It chooses no data.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simulations.files import write_whole

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart by colour-blind readers too (Okabe and Ito 2008)."""
STYLE: Final[Any] = {
    "svg.hashsalt": "maille",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


_NUMBER: Final = re.compile(r"[\d.]+")


def axes(title: str, x: str, y: str, *, width: float = 5.2, height: float = 3.4) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes. Sizes are in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        drawn = figure.add_subplot()
        drawn.set(title=title, xlabel=x, ylabel=y)
    return figure, drawn


def write(figure: Figure, table: pl.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write NAME.svg, NAME.pdf and NAME.csv; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{ending}" for ending in ("svg", "pdf", "csv")]
    svg, pdf = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "ModDate": None})
    csv: str = table.write_csv()
    for path, data in zip(paths, (svg.getvalue(), pdf.getvalue(), csv.encode()), strict=True):
        write_whole(path, data)
    return paths


def band(drawn: Axes, table: pl.DataFrame, x: str, y: str, *, by: str = "", step: bool = False) -> None:
    """Draw the median of `y` over the rows of equal `x`, and the band from p5 to p95; a line for each `by`."""
    groups = [("", table)] if not by else [(str(key[0]), rows) for key, rows in table.sort(by).group_by(by)]
    for number, (label, rows) in enumerate(sorted(groups, key=lambda each: each[0])):
        found = rows.group_by(x).agg(
            pl.col(y).median().alias("p50"),
            pl.col(y).quantile(0.05).alias("p5"),
            pl.col(y).quantile(0.95).alias("p95"),
        )
        found = found.sort(x)
        colour = COLOURS[number % len(COLOURS)]
        places = found[x].to_list()
        how: dict[str, Any] = {"drawstyle": "steps-post"} if step else {"marker": "o", "markersize": 3}
        told = f"{by} {label}" if _NUMBER.fullmatch(label) else label
        drawn.plot(places, found["p50"].to_list(), color=colour, label=told or None, **how)
        low, high = found["p5"].to_list(), found["p95"].to_list()
        drawn.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0, step="post" if step else None)
    if by:
        drawn.legend(fontsize=8)


def cumulative(drawn: Axes, groups: Sequence[tuple[str, Sequence[float]]]) -> None:
    """Draw the cumulative distribution of each group of numbers."""
    for number, (label, values) in enumerate(groups):
        ordered = sorted(values)
        ordered = [*ordered[:1], *ordered]
        parts = [place / (len(ordered) - 1) for place in range(len(ordered))]
        colour = COLOURS[number % len(COLOURS)]
        drawn.plot(ordered, parts, drawstyle="steps-post", color=colour, label=label)
    drawn.set_ylim(0, 1.02)
    drawn.legend(fontsize=8)
