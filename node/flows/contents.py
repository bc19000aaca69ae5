"""What a pack holds, said as the gate, the receipt and the evidence need it: readings, or results of computations.

How it works
    A pack is opened once (`read_pack`) into `Content`s: of each series what it is and which window it covers; of a
    result what it was computed on, and by which computation. `flow` makes of a content the flow that handing it over
    is, so what enters is judged by what it is, and not by what is said of it: half-hours that call themselves daily
    totals are half-hours.

What it does not do
    It decides nothing and keeps nothing. Instants (an index, a highest power) that are called rarer than they are
    show by their number alone, so a few in a pack do not; nor do periods longer than a day that are called months.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.consent.gate import Flow
from ledger.consent.record import DataKind, Window
from ledger.governance.members import Party
from ledger.schema import DAY
from node.adapters import senml
from node.compute.result import is_result, read_result
from node.flows.door import kind_of, window_of
from node.readings import Series
from node.series_key import SeriesKey, granularity_seconds
from node.vaults.transfers import Piece

DAY_LEAST: Final = 23 * 3_600
DAY_MOST: Final = 25 * 3_600
"""Seconds of the shortest and the longest day: those on which the clocks change."""


@dataclass(frozen=True, slots=True)
class Content:
    """One thing in a pack. `count`: its records, gaps included; of a result, 1. `key`: of readings.

    `computation`: hash of the one that gave this result; None for readings.
    """

    point: str
    kind: DataKind
    granularity: str
    window: Window
    count: int
    gaps: int
    key: SeriesKey | None
    computation: bytes | None = None

    def flow(self, holder: Party, recipient: Party, purpose: str) -> Flow:
        """Return the flow that handing this over is."""
        what = (self.point, self.kind, self.granularity, self.window, purpose)
        return Flow(holder, recipient, *what, computation=self.computation)


def of_series(series: Series) -> Content:
    """Return what a series is."""
    key = series.key
    counts = (len(series), series.gap_count)
    return Content(key.point, kind_of(key), step_of(series), window_of(series), *counts, key)


def step_of(series: Series) -> str:
    """Return the granularity of a series: as its key says, unless its records are finer than that.

    By its key it is as fine as its finest record. A month or a year may begin or end within one, so that a record of
    some days is one; of a day it is not.
    """
    text, count = series.key.granularity, len(series)
    nominal = granularity_seconds(text) or 0
    least = min(nominal, DAY_LEAST) if nominal <= DAY else DAY_MOST + 1
    finest = min((duration for duration in series.durations if duration), default=least)
    if series.durations.count(0) > 1:
        span = series.starts[-1] - series.starts[0]
        if count > 2 * (span // least + 2):
            finest = min(finest, span // (count - 1))
    return text if finest >= least else f"PT{max(finest, 1)}S"


def read_pack(pack: bytes) -> list[Content]:
    """Open a pack. Raises RemoteError BAD_RESULT, or what `senml.decode_cbor` raises."""
    if not is_result(pack):
        return [of_series(series) for series in senml.decode_cbor(pack)]
    result = read_result(pack)
    where = (result.point, result.kind, result.granularity, result.window)
    return [Content(*where, 1, 0, None, result.computation)]


def words_of(kind: Sequence[str], granularity: str, computation: bytes | None) -> str:
    """Return a kind of data in words, as digests of packs have it. A result is named by its computation too."""
    words = "/".join((*kind, granularity))
    return words if computation is None else f"result/{computation.hex()}/{words}"


def kinds_in(contents: Sequence[Content]) -> list[str]:
    """Return the kinds of data in a pack, in words, each once."""
    return sorted({words_of(one.kind, one.granularity, one.computation) for one in contents})


def kind_of_piece(piece: Piece) -> str:
    """Return the kind of data of a pack that is to leave, in words."""
    return words_of(piece.kind, piece.granularity, piece.computation)
