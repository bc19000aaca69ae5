"""The named figures: where the table of each comes from, and how it is drawn.

How it works
    `FIGURES` maps a name to a `Named`: its table from `Options`, and its drawing. `make` writes SVG, PDF and CSV.

What it does not do
    It draws no runs of one's own: see `report`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from matplotlib.figure import Figure

from ledger.errors import LocalError
from simulations.figures import costs, dimensions, measured, modelled
from simulations.figures.drawing import COLOURS, axes, band, cumulative, write

WIDE_SECONDS: Final = 10
"""Times longer than this are drawn on an axis that is logarithmic from TICKS[1] on."""
TICKS: Final = (0, 0.1, 1, 10, 60, 300, 900, 3_600)


@dataclass(frozen=True, slots=True)
class Options:
    """What a figure may be asked for; each heeds what concerns it. `nodes` None: its own default. Times in seconds."""

    nodes: int | None = None
    loss: float = 0.1
    partitions: tuple[int, ...] = (0, 60, 300, 900)
    staleness: tuple[int, ...] = (300, 600)
    seeds: tuple[int, ...] = (1,)
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Named:
    """One figure. `about`: what it shows, a sentence."""

    about: str
    table: Callable[[Options], pl.DataFrame]
    draw: Callable[[pl.DataFrame], Figure]


def _coverage(table: pl.DataFrame) -> Figure:
    figure, drawn = axes("Coverage of a flood (median, p5 to p95)", "milliseconds", "part of the nodes")
    band(drawn, table, "t_ms", "part", step=True)
    return figure


def _redundancy(table: pl.DataFrame) -> Figure:
    figure, drawn = axes("Plumtree: copies beyond the first, and last hop (dashed)", "round", "RMR")
    right = drawn.twinx()
    right.set_ylabel("last hop")
    groups = table.sort("nodes", "senders", "round").group_by("nodes", "senders", maintain_order=True)
    for number, (key, rows) in enumerate(groups):
        colour = COLOURS[number % len(COLOURS)]
        drawn.plot(rows["round"].to_list(), rows["rmr"].to_list(), color=colour, label=f"n={key[0]}, {key[1]}")
        right.plot(rows["round"].to_list(), rows["last_hop"].to_list(), color=colour, linestyle="--", linewidth=0.7)
    drawn.legend(fontsize=7)
    return figure


def _traffic(table: pl.DataFrame) -> Figure:
    figure, drawn = axes("Bytes received by each node", "", "bytes")
    families = table["family"].unique().sort().to_list()
    values = [table.filter(pl.col("family") == family)["bytes"].to_list() for family in families]
    drawn.boxplot(values, tick_labels=families)
    drawn.set_yscale("log")
    return figure


def _degrees(table: pl.DataFrame) -> Figure:
    count = int(table["components"][0])
    figure, drawn = axes(f"HyParView: in-degrees ({count} component{'s' * (count > 1)})", "in-degree", "nodes")
    for number, view in enumerate(("active", "passive")):
        rows = table.filter(pl.col("view") == view)
        drawn.bar(rows["degree"].to_list(), rows["nodes"].to_list(), color=COLOURS[number], alpha=0.7, label=view)
    drawn.set_yscale("log")
    drawn.legend()
    return figure


def _against(table: pl.DataFrame, x: str, y: str, by: str, title: str, labels: tuple[str, str]) -> Figure:
    """Draw what was measured, and what was expected as thin black lines."""
    figure, drawn = axes(title, *labels)
    band(drawn, table, x, y, by=by)
    known = table.drop_nulls("expected")
    for _, rows in known.sort(x).group_by(by):
        expected = rows.group_by(x).agg(pl.col("expected").first()).sort(x)
        drawn.plot(expected[x].to_list(), expected["expected"].to_list(), color="black", linewidth=0.6, linestyle=":")
    return figure


def _failures(table: pl.DataFrame) -> Figure:
    title = "Reliability under failure (dotted: percolation theory)"
    return _against(table, "failed", "reach", "overlay", title, ("part of the nodes that fail", "reach"))


def _byzantine(table: pl.DataFrame) -> Figure:
    title = "Silent nodes (dotted: percolation theory)"
    return _against(table, "silent", "coverage", "degree", title, ("part that is silent", "honest coverage"))


def _eclipse(table: pl.DataFrame) -> Figure:
    named = table.with_columns(pl.format("{} slots, {} pinned", "slots", "pinned").alias("neighbours"))
    title = "Eclipse by sampling (dotted: b^(slots - pinned))"
    figure = _against(named, "sybils", "eclipsed", "neighbours", title, ("part that is malicious", "P(eclipsed)"))
    figure.axes[0].set_yscale("log")
    return figure


def _churn(table: pl.DataFrame) -> Figure:
    figure, drawn = axes("Real nodes: agreement after churn", "restarts a minute in the whole mesh", "seconds")
    band(drawn, table, "restarts_a_minute", "converged_s")
    return figure


def _partition(table: pl.DataFrame) -> Figure:
    figure, drawn = axes("Real nodes: distinct frontiers over a partition", "seconds", "frontiers")
    apart = table.filter(pl.col("apart"))["t"]
    drawn.axvspan(float(apart[0]), float(apart[-1]), color=COLOURS[1], alpha=0.15, label="partition")
    drawn.plot(table["t"].to_list(), table["frontiers"].to_list(), drawstyle="steps-post", color=COLOURS[0])
    drawn.legend()
    return figure


def _revocation(table: pl.DataFrame) -> Figure:
    first = table.row(0, named=True)
    title = f"From a withdrawal to the last flow, {first['nodes']} nodes, {first['loss']:.0%} loss"
    figure, drawn = axes(title, "seconds", "part of the consents")
    keys = ("mode", "partition_s", "max_staleness_s")
    groups = table.sort(keys).group_by(*keys, maintain_order=True)
    cumulative(
        drawn,
        [
            (f"{mode}, cut {cut} s, bound {bound} s", rows["last_flow_s"].to_list())
            for (mode, cut, bound), rows in groups
        ],
    )
    last = max(float(table["last_flow_s"].max() or 0.0), 0.1)  # type: ignore[arg-type]
    if last > WIDE_SECONDS:
        drawn.set_xscale("symlog", linthresh=0.1)
        ticks = [tick for tick in TICKS if tick <= last]
        drawn.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    drawn.set_xlim(0, 1.3 * last)
    return figure


def _leaked(table: pl.DataFrame) -> Figure:
    figure, drawn = axes("Records that a holder would let go after a withdrawal", "seconds of partition", "records")
    keys = ("mode", "max_staleness_s")
    for number, (key, rows) in enumerate(table.sort(keys).group_by(*keys, maintain_order=True)):
        found = rows.group_by("partition_s").agg(pl.col("leaked").mean(), pl.col("leaked").max().alias("most"))
        found = found.sort("partition_s")
        colour = COLOURS[number % len(COLOURS)]
        label = f"{key[0]}, bound {key[1]} s"
        drawn.plot(found["partition_s"].to_list(), found["leaked"].to_list(), "o-", color=colour, label=label)
    drawn.legend(fontsize=8)
    return figure


def _cost(table: pl.DataFrame) -> Figure:
    figure, drawn = axes("A mesh and a hub: cost for each member (a model)", "members", "euros a year")
    for number, model in enumerate(("mesh", "hub")):
        rows = table.filter(pl.col("model") == model)
        drawn.plot(
            rows["members"].to_list(), rows["euros_a_member"].to_list(), "o-", color=COLOURS[number], label=model
        )
    drawn.set_xscale("log")
    drawn.set_yscale("log")
    drawn.legend()
    return figure


def _availability(table: pl.DataFrame) -> Figure:
    title = "A mesh and a hub: hours with half of all flows down (a model)"
    figure, drawn = axes(title, "members", "hours a year")
    for number, model in enumerate(("mesh", "hub")):
        rows = table.filter(pl.col("model") == model)
        values = rows["half_down_hours"].to_list()
        drawn.plot(rows["members"].to_list(), values, "o-", color=COLOURS[number], label=model)
    drawn.set_xscale("log")
    drawn.set_yscale("symlog", linthresh=1e-3)
    drawn.legend()
    return figure


def _withdrawals(asked: Options) -> pl.DataFrame:
    return measured.withdrawals(
        asked.nodes or 20,
        loss=asked.loss,
        partitions=asked.partitions,
        staleness=asked.staleness,
        seeds=asked.seeds,
        workers=asked.workers,
    )


def _model_costs(_: Options) -> pl.DataFrame:
    return costs.costs()


def _dimension(table: pl.DataFrame) -> Figure:
    figure, drawn = axes("A year of one node, of the stated load", "nodes", "gigabytes a year")
    for number, name in enumerate(("traffic_gb", "ledger_gb", "readings_gb")):
        drawn.plot(table["nodes"].to_list(), table[name].to_list(), "o-", color=COLOURS[number], label=name)
    drawn.set_yscale("log")
    drawn.legend()
    return figure


FIGURES: Final[dict[str, Named]] = {
    "coverage": Named(
        "How fast a flood covers a random graph.",
        lambda o: modelled.coverage(o.nodes or 10_000, seed=o.seeds[0]),
        _coverage,
    ),
    "redundancy": Named(
        "Plumtree: copies beyond the first, and the last hop.", lambda o: modelled.redundancy(o.seeds[0]), _redundancy
    ),
    "traffic": Named(
        "Bytes that real nodes receive.",
        lambda o: measured.traffic(o.nodes or 30, loss=o.loss, seed=o.seeds[0]),
        _traffic,
    ),
    "degrees": Named(
        "Degrees and components of HyParView.",
        lambda o: modelled.degrees(o.nodes or 10_000, seed=o.seeds[0]),
        _degrees,
    ),
    "failures": Named(
        "Reach after a part of the nodes failed.",
        lambda o: modelled.failures(o.nodes or 10_000, seed=o.seeds[0]),
        _failures,
    ),
    "churn": Named(
        "Real nodes crash and come back: when all agree again.",
        lambda o: measured.churn(o.nodes or 20, loss=o.loss, seed=o.seeds[0]),
        _churn,
    ),
    "partition": Named(
        "Real nodes over a partition: distinct frontiers.",
        lambda o: measured.partition(o.nodes or 20, loss=o.loss, seed=o.seeds[0]),
        _partition,
    ),
    "byzantine": Named(
        "Honest coverage among silent nodes.",
        lambda o: modelled.byzantine(o.nodes or 10_000, seed=o.seeds[0]),
        _byzantine,
    ),
    "eclipse": Named("How often a node is eclipsed.", lambda o: modelled.eclipses(seed=o.seeds[0]), _eclipse),
    "withdrawal": Named("From a withdrawal to the last flow, at real gates.", _withdrawals, _revocation),
    "leaked": Named("Records let go after a withdrawal, at real gates.", _withdrawals, _leaked),
    "cost": Named("Cost of a mesh and of a hub, a model with stated prices.", _model_costs, _cost),
    "dimension": Named(
        "How large a node must be: bytes, storage and time, measured, for a stated load.",
        lambda o: dimensions.dimensions((o.nodes,) if o.nodes else dimensions.SIZES, seed=o.seeds[0]),
        _dimension,
    ),
    "availability": Named("Availability of a mesh and of a hub, a model.", _model_costs, _availability),
}
"""Every named figure."""


def make(name: str, folder: Path, asked: Options) -> tuple[pl.DataFrame, list[Path]]:
    """Make one figure; return its table and the files. Raises LocalError UNKNOWN_FIGURE."""
    if name not in FIGURES:
        raise LocalError("UNKNOWN_FIGURE", f"there is no figure {name!r}; there are {', '.join(FIGURES)}")
    table = FIGURES[name].table(asked)
    return table, write(FIGURES[name].draw(table), table, folder, name)
