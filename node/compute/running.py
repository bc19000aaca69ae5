"""Runs a computation over the granted windows of one series, and makes results of what it gives.

How it works
    The granted windows are cut into the computation's whole steps (computation.windows_of); over each the operation,
    or the module, sees the records that lie in it whole, and nothing else. What a result is compared with (an
    operation's reference window) must be granted too.

What it does not do
    It asks no gate: each result passes it when it is sent. It blocks; call it in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from ledger.consent.record import Window
from ledger.errors import LocalError, RemoteError
from node.compute.computation import Brought, Computation, Reviewed, windows_of
from node.compute.module import TIME_SECONDS, pack_readings, run_module
from node.compute.operations import Outcome, read_window, reference_of, run
from node.compute.result import Result
from node.flows.door import kind_of
from node.readings import Series

ALL_SECONDS: Final = 60
"""Time that the runs of one module may take together, however many results are wanted, in seconds."""


def results_of(
    computation: Computation,
    wasm: bytes,
    pieces: Sequence[Series],
    granted: tuple[Window, ...],
    wanted: Window | None,
) -> list[Result]:
    """Return the results over the whole steps inside granted windows (and `wanted`) in which there are records.

    `pieces`: the chunks of one series, in order. Raises LocalError REFERENCE_NOT_GRANTED, NOT_FOR_KIND,
    TOO_MANY_STEPS, and what `run_module` raises.
    """
    if not pieces:
        return []
    key = pieces[0].key
    if isinstance(computation, Reviewed):
        reference = reference_of(computation)
        if reference is not None and not any(a <= reference[0] and reference[1] <= b for a, b in granted):
            told = "the consent does not grant the readings of the time that results are compared with"
            raise LocalError("REFERENCE_NOT_GRANTED", told, field="computation")
    found, until = [], time.monotonic() + ALL_SECONDS
    for window in windows_of(computation.step, granted, wanted):
        near = [piece for piece in pieces if piece.starts[0] < window[1] and window[0] <= piece.starts[-1]]
        read = read_window(near, window)
        if not read.records:
            continue
        value: str | bytes
        if isinstance(computation, Reviewed):
            outcome: Outcome = run(computation, pieces, window)
            value, unit = outcome.value, outcome.unit
        else:
            inside = Series.from_readings(key, [reading for piece in near for reading in piece.window(*window)])
            value, unit = _run(computation, wasm, inside, until - time.monotonic()), ""
        where = (key.point, kind_of(key), key.granularity, window)
        found.append(Result(computation.hash, *where, value, unit, read.records, read.gaps, read.complete))
    return found


def _run(computation: Brought, wasm: bytes, series: Series, left: float) -> bytes:
    """Run a module once, within what is left of the time for all runs."""
    if left <= 0:
        told = f"the module took more than {ALL_SECONDS} seconds in all; take a shorter window"
        raise RemoteError("MODULE_TIME", told, field="module")
    return run_module(computation, wasm, pack_readings(series), seconds=min(left, TIME_SECONDS))
