"""A page about runs: reads what `maille sim run` and `sweep` left, draws what the metrics allow, writes HTML.

How it works
    Below the folder, each SCENARIO/PARAMETERS/SEED/metrics.parquet is a run: tidy rows (run, t, node, metric, value).
    `PLOTS` names the figures that can be made of them, and each is drawn for each scenario that has its metric; runs
    are told apart by the fields in which they differ (simulations.figures.across). Where a number differs, the measures
    in `CURVES` are drawn over it, as means with 95 % intervals. The page shows figures (SVG), links to PDF and CSV, and
    tables of means and of summaries; SCENARIO-runs.csv and SCENARIO-means.csv hold them. It is one file beside those.

What it does not do
    It runs nothing, and compares nothing (`maille sim compare` does).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

import polars as pl
from matplotlib.figure import Figure

from ledger.errors import LocalError
from simulations.comparing import MEASURES
from simulations.figures import across
from simulations.figures.drawing import COLOURS, axes, band, cumulative, write
from simulations.files import write_whole

STEP_PARTS: Final = 200
"""Moments at which a coverage curve is drawn."""
STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;font-size:.85rem}td,th{border:1px solid #999;padding:.2rem .5rem}"
    "figure{margin:1rem 0}img{max-width:100%}"
)


@dataclass(frozen=True, slots=True)
class Made:
    """What was written: the page, how many runs it is about, the names of the figures."""

    page: Path
    runs: int
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: where its files are, below the folder, and what they say."""

    scenario: str
    parameters: str
    seed: str
    rows: pl.DataFrame
    summary: dict[str, Any]
    fields: dict[str, Any]


def runs_of(folder: Path) -> list[Run]:
    """Read all runs below a folder. Raises LocalError NO_RUNS, BAD_RUN."""
    found = []
    for path in sorted(folder.glob("*/*/*/metrics.parquet")):
        scenario, parameters, seed = path.parent.relative_to(folder).parts
        label = f"{scenario}/{parameters}/{seed}"
        try:
            rows = pl.read_parquet(path).with_columns(
                pl.lit(label).alias("run"), pl.lit(parameters).alias("parameters")
            )
            summary = path.with_name("summary.json")
            told = json.loads(summary.read_text("utf-8")) if summary.is_file() else {}
            spec = path.with_name("spec.toml")
            fields = dict(across.flat(tomllib.loads(spec.read_text("utf-8")))) if spec.is_file() else {}
            missing = {"t", "node", "metric", "value"} - set(rows.columns)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise LocalError("BAD_RUN", f"{label} cannot be read ({type(error).__name__}); run it again") from None
        if missing:
            raise LocalError("BAD_RUN", f"{label}: metrics.parquet has no column {sorted(missing)[0]}; run it again")
        found.append(Run(scenario, parameters, seed, rows, told, fields))
    if not found:
        raise LocalError("NO_RUNS", "there are no runs below that folder: none has metrics.parquet")
    return found


def _of(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    return rows.filter(pl.col("metric") == metric)


def _coverage(rows: pl.DataFrame) -> tuple[pl.DataFrame, Figure]:
    """Draw the part of the honest nodes that had a publication, over the time since it was made: a curve for each run.

    Of all pairs of a publication and a node other than its own; those where it never came count too (metric `missed`).
    """
    arrivals, missed = _of(rows, "arrival_s"), _of(rows, "missed")
    last = float(arrivals["value"].max() or 0.0)  # type: ignore[arg-type]
    grid = [last * step / STEP_PARTS for step in range(STEP_PARTS + 1)]
    found = []
    for (label, run), each in arrivals.group_by("parameters", "run"):
        values = each["value"].sort()
        due = len(values) + float(missed.filter(pl.col("run") == run)["value"].sum())
        parts = [float(values.search_sorted(at, "right")) / due for at in grid]
        found.append(pl.DataFrame({"parameters": label, "run": run, "t_s": grid, "part": parts}))
    table = pl.concat(found).sort("parameters", "run", "t_s")
    figure, drawn = axes("Coverage (median, p5 to p95 over runs)", "seconds since publication", "part of the nodes")
    drawn.set_ylim(0, 1.02)
    band(drawn, table, "t_s", "part", by="parameters" if table["parameters"].n_unique() > 1 else "", step=True)
    return table, figure


def _distribution(metric: str, title: str, x: str) -> Callable[[pl.DataFrame], tuple[pl.DataFrame, Figure]]:
    def draw(rows: pl.DataFrame) -> tuple[pl.DataFrame, Figure]:
        table = _of(rows, metric).select("run", "parameters", "t", "node", "value").sort("parameters", "value")
        figure, drawn = axes(title, x, "part")
        groups = table.group_by("parameters", maintain_order=True)
        cumulative(drawn, [(str(key[0]), each["value"].to_list()) for key, each in groups])
        return table, figure

    return draw


def _boxes(metric: str, title: str, y: str) -> Callable[[pl.DataFrame], tuple[pl.DataFrame, Figure]]:
    def draw(rows: pl.DataFrame) -> tuple[pl.DataFrame, Figure]:
        table = _of(rows, metric).select("run", "parameters", "node", "value").sort("parameters", "run", "node")
        figure, drawn = axes(title, "parameters", y)
        groups = [
            (str(key[0]), each["value"].to_list()) for key, each in table.group_by("parameters", maintain_order=True)
        ]
        drawn.boxplot([values for _, values in groups], tick_labels=[label.replace(", ", "\n") for label, _ in groups])
        drawn.set_ylim(bottom=0)
        return table, figure

    return draw


def _over_time(metric: str, title: str) -> Callable[[pl.DataFrame], tuple[pl.DataFrame, Figure]]:
    def draw(rows: pl.DataFrame) -> tuple[pl.DataFrame, Figure]:
        table = _of(rows, metric).select("run", "parameters", "t", "value").sort("run", "t")
        figure, drawn = axes(title, "seconds", metric)
        order = table["parameters"].unique().sort().to_list()
        for _, each in table.group_by("run", maintain_order=True):
            label = each["parameters"][0]
            how: dict[str, Any] = {"drawstyle": "steps-post", "alpha": 0.7}
            how["color"] = COLOURS[order.index(label) % len(COLOURS)]
            how["label"] = label if len(order) > 1 and label not in drawn.get_legend_handles_labels()[1] else None
            drawn.plot(each["t"].to_list(), each["value"].to_list(), **how)
        if len(order) > 1:
            drawn.legend(fontsize=8)
        return table, figure

    return draw


PLOTS: Final[dict[str, tuple[str, Callable[[pl.DataFrame], tuple[pl.DataFrame, Figure]]]]] = {
    "coverage": ("arrival_s", _coverage),
    "hops": ("hops", _distribution("hops", "Hops to each node", "hops")),
    "revocation": ("revocation_s", _distribution("revocation_s", "Until a node knows of a withdrawal", "seconds")),
    "refusal": ("refused_s", _distribution("refused_s", "From a withdrawal to the last pack", "seconds")),
    "leaked": ("leaked_packs", _boxes("leaked_packs", "Packs that left after a withdrawal", "packs")),
    "bytes": ("bytes_sent", _boxes("bytes_sent", "Bytes sent by each node", "bytes")),
    "degree": ("degree", _boxes("degree", "Channels of each node", "channels")),
    "frontiers": ("frontiers", _over_time("frontiers", "Distinct frontiers")),
    "state_roots": ("state_roots", _over_time("state_roots", "Distinct state roots")),
    "up": ("up", _over_time("up", "Nodes that are up")),
    "convergence": ("converged_s", _boxes("converged_s", "Until all agreed", "seconds")),
}
"""Figure -> (the metric that it needs, how it is drawn from the rows of one scenario)."""


CURVES: Final = (
    "reached",
    "arrival p50 (s)",
    "arrival p99 (s)",
    "redundancy",
    "bytes",
    "converged (s)",
    "revocation p99 (s)",
    "last pack after withdrawal (s)",
    "leaked packs",
)
"""Measures that are drawn over a field that differs between runs."""


def report(folder: Path, out: Path) -> Made:
    """Write the page and its figures for all runs below a folder. Raises LocalError NO_RUNS, BAD_RUN."""
    runs = runs_of(folder)
    out.mkdir(parents=True, exist_ok=True)
    parts, names = [], []
    for scenario in sorted({run.scenario for run in runs}):
        own = [run for run in runs if run.scenario == scenario]
        table = across.runs_table([(run.parameters, run.seed, run.fields, run.summary) for run in own])
        means = across.means_table(table)
        told = across.labels({run.parameters: run.fields for run in own})
        parts.append(f"<h2>{escape(scenario)}</h2>\n{_means(means, told)}\n{_summaries(own, told)}")
        for each, frame in (("runs", table), ("means", means)):
            write_whole(out / f"{_named(scenario, each)}.csv", frame.write_csv())
            parts.append(f'<p><a href="{_named(scenario, each)}.csv">All {each}, as CSV</a></p>')
        for plot, drawn in _drawn(own, means, told):
            name = _named(scenario, plot)
            write(drawn[1], drawn[0], out, name)
            names.append(name)
            parts.append(_figure(name, drawn[1]))
    page = out / "index.html"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>maille: runs</title><style>{STYLE}</style>'
    write_whole(page, f"{head}\n<h1>{len(runs)} runs</h1>\n" + "\n".join(parts) + "\n</html>\n")
    return Made(page, len(runs), tuple(names))


def _named(scenario: str, what: str) -> str:
    return re.sub(r"[^\w-]+", "_", f"{scenario}-{what}").strip("_")


def _drawn(
    runs: Sequence[Run], means: pl.DataFrame, told: Mapping[str, str]
) -> Iterator[tuple[str, tuple[pl.DataFrame, Figure]]]:
    """Yield the name of each figure that one scenario's runs allow, its table and itself."""
    labelled = [run.rows.with_columns(pl.lit(told[run.parameters]).alias("parameters")) for run in runs]
    rows = pl.concat(labelled, how="diagonal_relaxed")
    known = set(rows["metric"].unique().to_list())
    for plot, (metric, draw) in PLOTS.items():
        if metric in known:
            yield plot, draw(rows)
    for measure in CURVES if means.height else ():
        found = across.curve(means, measure)
        if found is not None:
            yield f"by {measure}", found


def _means(means: pl.DataFrame, told: Mapping[str, str]) -> str:
    """Return a table of means and of half the 95 % interval, a row for each set of parameters."""
    if not means.height:
        return ""
    cells: dict[str, dict[str, str]] = {}
    for row in means.iter_rows(named=True):
        half = "" if row["low"] is None else f" ± {row['mean'] - row['low']:.3g}"
        cells.setdefault(row["parameters"], {})[row["measure"]] = f"{row['mean']:.5g}{half} ({row['runs']})"
    columns = [name for name in MEASURES if any(name in each for each in cells.values())]
    head = "".join(f"<th>{escape(name)}</th>" for name in ("parameters", *columns))
    rows = "".join(
        f"<tr><td>{escape(told[key])}</td>" + "".join(f"<td>{each.get(name, '')}</td>" for name in columns) + "</tr>"
        for key, each in cells.items()
    )
    return f"<p>Mean ± half of its 95 % interval (runs):</p><table><tr>{head}</tr>{rows}</table>"


def _figure(name: str, figure: Figure) -> str:
    title = escape(figure.axes[0].get_title())
    links = f'<a href="{name}.pdf">PDF</a>, <a href="{name}.csv">CSV</a>'
    return f'<figure><img src="{name}.svg" alt="{title}"><figcaption>{title} ({links})</figcaption></figure>'


def _summaries(runs: list[Run], told: Mapping[str, str]) -> str:
    """Return a table of what the summaries say, of plain values alone."""
    plain = [{key: value for key, value in run.summary.items() if not isinstance(value, dict | list)} for run in runs]
    columns = sorted({key for one in plain for key in one})
    head = "".join(f"<th>{escape(name)}</th>" for name in ("parameters", "seed", *columns))
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in (told[run.parameters], run.seed, *map(one.get, columns)))
        + "</tr>"
        for run, one in zip(runs, plain, strict=True)
    )
    return f"<table><tr>{head}</tr>{rows}</table>"
