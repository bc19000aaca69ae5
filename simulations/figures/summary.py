"""A table of a figure in a few lines, for the terminal.

How it works
    For withdrawals: median, p99 and greatest of the time from the withdrawal to the last flow, and records leaked, for
    each mode, partition and bound. Costs and dimensions are the table itself, four digits of each number.

What it does not do
    Other figures have no summary: their CSV is the table.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl


def lines(name: str, table: pl.DataFrame) -> Iterator[str]:
    """Yield the lines of a figure's summary."""
    if name in {"cost", "availability", "dimension"}:
        yield from _columns(table)
    if name not in {"withdrawal", "leaked"}:
        return
    yield f"{'mode':7} {'partition':>9} {'bound':>6} {'consents':>8} {'p50':>8} {'p99':>8} {'last':>8} {'records':>8}"
    keys = ("mode", "partition_s", "max_staleness_s")
    for (mode, cut, bound), rows in table.sort(keys).group_by(*keys, maintain_order=True):
        last = rows["last_flow_s"]
        p50, p99 = (float(last.quantile(part) or 0.0) for part in (0.5, 0.99))
        times = f"{p50:7.2f}s {p99:7.2f}s {float(last.max() or 0.0):7.2f}s"  # type: ignore[arg-type]
        leaked = f"{float(rows['leaked'].mean() or 0.0):8.1f}"  # type: ignore[arg-type]
        yield f"{mode:7} {cut:8}s {bound:5}s {rows.height:8} {times} {leaked}"


def _columns(table: pl.DataFrame) -> Iterator[str]:
    yield " ".join(f"{name:>16}" for name in table.columns)
    for row in table.iter_rows():
        yield " ".join(f"{value:>16.4g}" if isinstance(value, float) else f"{value:>16}" for value in row)
