"""What a transfer sends, in order: packs cut from the vault's chunks, or results that were computed beforehand.

How it works
    `plan` chooses, once a consent allows it, the series of the granted points and kind, each with the granted windows:
    one's own readings, or what was received under the consent that is passed on (passing);
    `packs` yields what comes next after what is on its way. Each pack comes with its description (`Piece`), made from
    what is in it: the gate and the receipt go by that.

What it does not do
    It lets nothing out: `sending` holds each piece against the gate. It changes no readings: gaps stay gaps, finer
    data are never made coarser, and what is not wholly inside a granted window stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from ledger.consent.gate import Scope
from ledger.consent.granularity import covers, parse_duration
from ledger.consent.record import Window
from ledger.errors import RemoteError
from node.adapters import senml
from node.flows.contents import Content, of_series, read_pack
from node.flows.door import kind_of
from node.flows.passing import Received, is_received
from node.series_key import SeriesKey
from node.vaults.series import SeriesRows
from node.vaults.transfers import Outgoing, OutgoingRows, Piece, PlanItem, Wanted, chained

if TYPE_CHECKING:
    from node.core import Turn


class Packing:
    """See the module. `series`: one's own readings; `rows`: transfers under way."""

    def __init__(self, series: SeriesRows, rows: OutgoingRows, received: Received) -> None:
        self._series, self._rows, self._received = series, rows, received

    def plan(self, turn: Turn, wanted: Wanted, scope: Scope, parent: bytes | None) -> tuple[list[PlanItem], bool]:
        """Return what to send, and whether finer data than granted were left out.

        `parent`: the consent that is passed on, under which what is sent was received.
        """
        kind = wanted.kind or scope.pii_type
        points = sorted(scope.points) if wanted.point is None else [wanted.point]
        windows = within(scope.windows, wanted.window)
        keys = self._received.series(turn, parent, points, kind) if parent is not None else []
        passed = parent if keys else None
        if passed is None:
            keys = [row.key for point in points for row in self._series.listing(turn.vault, point)]
        plan: list[PlanItem] = []
        finer = False
        for key in keys:
            if kind_of(key) != kind:
                continue
            if not coarse_enough(key, wanted, scope):
                finer = True
            elif passed is not None:
                plan += self._received.plan(turn, passed, key, windows)
            else:
                name = self._series.name(key)
                plan += [(name, start, stop) for start, stop in windows]
        return plan, finer

    def packs(self, turn: Turn, row: Outgoing) -> Iterator[tuple[Piece, bytes, int, int]]:
        """Yield the packs that come next, each with the place in the plan after it."""
        if row.complete:
            return
        if row.wanted.computation is not None:
            yield from self._results(turn, row)
            return
        plan = self._rows.plan(turn.vault, row.transfer)
        number, item, at = row.next_number, row.item, row.at
        chain = row.flight[-1].chain if row.flight else row.acked.chain
        while item < len(plan):
            name, _, stop = plan[item]
            if is_received(name):
                series = self._received.piece(turn, name, at, stop)
            else:
                series = self._series.piece(turn.vault, name, at, stop)
            if series is None:
                item += 1
                at = plan[item][1] if item < len(plan) else 0
                continue
            pack = senml.encode_cbor(series)
            chain = chained(chain, pack)
            content = of_series(series)
            at = content.window[1]  # no record starts before the last one ends
            yield _piece(number, content, len(pack), chain), pack, item, at
            number += 1

    def _results(self, turn: Turn, row: Outgoing) -> Iterator[tuple[Piece, bytes, int, int]]:
        """Yield the results that come next, each as a pack of its own."""
        chain = row.flight[-1].chain if row.flight else row.acked.chain
        for number in count(row.item):
            pack = self._rows.result(turn.vault, row.transfer, number)
            if pack is None:
                return
            (content,) = read_pack(pack)
            chain = chained(chain, pack)
            yield _piece(number, content, len(pack), chain), pack, number + 1, 0


def _piece(number: int, content: Content, size: int, chain: bytes) -> Piece:
    what = (content.point, content.kind, content.granularity, content.window, content.count, content.gaps)
    return Piece(number, *what, size, chain, content.computation)


def coarse_enough(key: SeriesKey, wanted: Wanted, scope: Scope) -> bool:
    """Say whether a series is as coarse as granted, and of the granularity wanted."""
    granularity = key.granularity
    if wanted.granularity is not None and granularity != wanted.granularity:
        return False
    if granularity == scope.granularity_text or scope.granularity is None:
        return granularity == scope.granularity_text
    try:
        return covers(scope.granularity, parse_duration(granularity))
    except RemoteError:
        return False


def within(windows: tuple[Window, ...], wanted: Window | None) -> list[Window]:
    """Return the parts of granted windows that are wanted."""
    if wanted is None:
        return list(windows)
    shared = ((max(start, wanted[0]), min(stop, wanted[1])) for start, stop in windows)
    return [window for window in shared if window[0] < window[1]]
