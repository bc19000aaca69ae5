"""The committed maps at an earlier boundary, rebuilt in memory beside a store that only moves forward.

How it works
    A store holds its maps at the newest tick alone. `view_at` recomputes them for another boundary from the leaves
    and checkpoints of the store (ticks.Ticker.rebuild) over an overlay: the tables `maps` and `meta` are its own,
    everything else is read through. A `View` is what a proof needs of one tick.

What it does not do
    It changes nothing in the store. It costs one pass over all leaves below the boundary. A boundary
    whose checkpoints were dropped from the store gives another frontier than the attested one; `make` then finds no
    attestation and says so. A remembered tick does not have that difficulty.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.overlay import Overlay
from ledger.replica import Replica
from ledger.rows import MAPS, META, Reader
from ledger.ticks import Tick, Ticker


@dataclass(frozen=True, slots=True)
class View:
    """The committed maps at one tick: the ticker that stands there, and the rows that hold its maps."""

    rows: Reader
    ticker: Ticker


def view_at(rows: Reader, replica: Replica, at: int | Tick) -> View:
    """Return the maps at a boundary (unix seconds) or at a remembered tick, rebuilt from the store's leaves.

    A tick brings its own frontier: it can be rebuilt when the checkpoints of its time are no longer kept.
    """
    overlay = Overlay(rows, (MAPS, META))
    ticker = Ticker(replica)
    if isinstance(at, Tick):
        ticker.rebuild_at(overlay, at)
    else:
        ticker.rebuild(overlay, at)
    return View(overlay, ticker)
