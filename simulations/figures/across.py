"""Runs of one scenario side by side: what differs between them, one table of all, and means with their uncertainty.

How it works
    `labels` names each set of parameters by the fields that differ, as `loss=0.1`, from the runs' spec.toml.
    `runs_table` has a row for each run: those fields, the seed, and every measure of simulations.comparing.
    `means_table` has a row for each set of parameters and measure: the mean over the runs (seeds), their standard
    deviation, and the 95 % confidence interval of the mean by Student's t. `curve` draws such means over the field
    that has the most values.

What it does not do
    The interval holds for independent seeds and about normal means: with two or three seeds it is wide, and it is not
    held within 0 and 1 where the measure is a part. A measure that a run lacks (null) is left out of its mean.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import polars as pl
from matplotlib.figure import Figure

from simulations.comparing import MEASURES
from simulations.figures.drawing import COLOURS, axes

Flat: TypeAlias = Mapping[str, Any]
"""A scenario's fields by dotted names."""

T975: Final = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""Student's t, two-sided 95 %, for 1 to 10 degrees of freedom."""
Z975: Final = 1.959964


def student(freedom: int) -> float:
    """Return Student's t, two-sided 95 %: beyond the table by Cornish and Fisher's expansion, off by under 0.0002."""
    if freedom <= len(T975):
        return T975[freedom - 1]
    z = Z975
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return z + first + second + third


def half_width(values: Sequence[float]) -> float | None:
    """Return half of the 95 % confidence interval of a mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    return student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


def flat(spec: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of each field of a scenario but its name and about, as `--set` names them."""
    for name, value in spec.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            for place, each in enumerate(value):
                yield from flat(each, f"{above}{name}.{place}.")
        elif above or name not in {"name", "about"}:
            yield f"{above}{name}", value


def varied(specs: Sequence[Flat]) -> list[str]:
    """Return the names of the fields in which scenarios differ."""
    names = dict.fromkeys(name for spec in specs for name in spec)
    return [name for name in names if len({repr(spec.get(name)) for spec in specs}) > 1]


def labels(specs: Mapping[str, Flat]) -> dict[str, str]:
    """Return what to call each set of parameters (by its hash): the fields that differ, or the hash where none does."""
    fields = varied(list(specs.values()))
    short = {name: name.rpartition(".")[2] for name in fields}
    unique = {name: each if list(short.values()).count(each) == 1 else name for name, each in short.items()}
    found = {}
    for parameters, spec in specs.items():
        told = ", ".join(f"{unique[name]}={_plain(spec.get(name))}" for name in fields)
        found[parameters] = told or parameters
    return found if len(set(found.values())) == len(found) else {parameters: parameters for parameters in specs}


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def runs_table(runs: Sequence[tuple[str, str, Flat, Mapping[str, Any]]]) -> pl.DataFrame:
    """Return a row for each (parameters, seed, fields, summary): the fields that differ, and every measure."""
    fields = varied([spec for _, _, spec, _ in runs])
    rows = []
    for parameters, seed, spec, summary in runs:
        row: dict[str, Any] = {
            "parameters": parameters,
            **{name: _cell(spec.get(name)) for name in fields},
            "seed": int(seed) if seed.isdigit() else None,
        }
        rows.append({**row, **{measure: _measured(measure, summary) for measure in MEASURES}})
    return pl.DataFrame(rows, infer_schema_length=None, strict=False).sort(*fields, "parameters", "seed")


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else repr(value)


def _measured(measure: str, summary: Mapping[str, Any]) -> float | None:
    try:
        value = MEASURES[measure](dict(summary))
    except (KeyError, TypeError):  # a summary of another version
        return None
    return None if value is None else float(value)


def means_table(table: pl.DataFrame) -> pl.DataFrame:
    """Return (parameters, the fields that differ, measure, runs, mean, sd, low, high); an interval needs two runs."""
    fields = [name for name in table.columns if name not in MEASURES and name != "seed"]
    rows = []
    for key, group in table.group_by(fields, maintain_order=True):
        for measure in MEASURES:
            values = group[measure].drop_nulls().to_list()
            if not values:
                continue
            mean, half = statistics.fmean(values), half_width(values)
            spread: dict[str, float | None] = {"sd": None, "low": None, "high": None}
            if half is not None:
                spread = {"sd": statistics.stdev(values), "low": mean - half, "high": mean + half}
            named = dict(zip(fields, key, strict=True))
            rows.append({**named, "measure": measure, "runs": len(values), "mean": mean, **spread})
    return pl.DataFrame(rows, infer_schema_length=None)


def curve(means: pl.DataFrame, measure: str) -> tuple[pl.DataFrame, Figure] | None:
    """Draw a measure's means and intervals over the field with the most values, a line for each of the others' values.

    None where no field with numbers differs, or the measure is the same everywhere.
    """
    rows = means.filter(pl.col("measure") == measure)
    known = {"parameters", "measure", "runs", "mean", "sd", "low", "high"}
    fields = [name for name in rows.columns if name not in known]
    numbers = [name for name in fields if rows[name].dtype.is_numeric() and rows[name].n_unique() > 1]
    if not numbers or rows["mean"].n_unique() < 2:
        return None
    x = max(numbers, key=lambda name: rows[name].n_unique())
    others = [name for name in fields if name != x]
    figure, drawn = axes(f"{measure}: mean of {_counted(rows)} runs, 95 % interval", x, measure)
    groups = list(rows.sort(x).group_by(others, maintain_order=True)) if others else [((), rows.sort(x))]
    for number, (key, group) in enumerate(groups):
        mean = group["mean"].to_list()
        low = [value if found is None else found for value, found in zip(mean, group["low"].to_list(), strict=True)]
        gaps = [value - found for value, found in zip(mean, low, strict=True)]
        told = ", ".join(f"{name.rpartition('.')[2]}={_plain(value)}" for name, value in zip(others, key, strict=True))
        colour = COLOURS[number % len(COLOURS)]
        drawn.errorbar(
            group[x].to_list(), mean, gaps, fmt="o-", capsize=3, markersize=4, color=colour, label=told or None
        )
    if others:
        drawn.legend(fontsize=8)
    return rows, figure


def _counted(rows: pl.DataFrame) -> str:
    counts = sorted({int(count) for count in rows["runs"]})
    return " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
