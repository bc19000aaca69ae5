"""Results on request: a recipient asks under a consent that names a computation, and gets what that gives.

How it works
    A request names the computation, as its consent does; `asked` puts it aside where the gate would let the results go.
    It waits in memory, bounded, until whoever runs the node (node.compute.answering) has computed it in a thread and
    hands the results to `Sending.begin` under the transfer that was asked for; there each passes the gate as ever.
    What is lost with a crash is asked for again by its recipient.

What it does not do
    It computes nothing, and answers no request itself but with a code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ledger.consent.gate import Scope
from node.compute.computation import Brought, Computation
from node.flows.door import Door, kind_of
from node.flows.packing import coarse_enough
from node.flows.wire import Ask
from node.readings import Series
from node.vaults.computations import ComputationRows
from node.vaults.series import SeriesRows
from node.vaults.transfers import Wanted

if TYPE_CHECKING:
    from node.core import Turn

WAITING_MAX: Final = 64
"""Requests that wait to be computed."""
WAITING_PARTY_MAX: Final = 4
"""Of one recipient; it asks again later."""
NOTE: Final = "RESULT_ASKED"
"""Code of the note that says: there is something to compute."""
NO_SUCH_COMPUTATION: Final = "NO_SUCH_COMPUTATION"


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be computed for a transfer: the computation, its module, and the granted readings by series."""

    transfer: bytes
    wanted: Wanted
    computation: Computation
    module: bytes
    series: tuple[tuple[Series, ...], ...]
    scope: Scope


class Computing:
    """See the module. One for each mesh."""

    def __init__(self, door: Door, computations: ComputationRows, series: SeriesRows) -> None:
        self._door, self._computations, self._series = door, computations, series
        self._waiting: deque[tuple[bytes, Wanted]] = deque()
        self._at_work: bytes | None = None

    def asked(self, turn: Turn, ask: Ask) -> str | None:
        """Put a request for results aside; return "" then, a code to refuse it with, or None: it is for readings."""
        if ask.wanted.computation is None:
            return None
        judged = self._door.judge(turn, ask.wanted)
        if judged.scope is None:
            return judged.decision.reason.value
        wanted = replace(ask.wanted, grant=judged.decision.consent)
        if self._computations.get(turn.vault, ask.wanted.computation) is None:
            return NO_SUCH_COMPUTATION
        known = {transfer for transfer, _ in self._waiting} | {self._at_work}
        same = sum(other.recipient == wanted.recipient for _, other in self._waiting)
        if ask.transfer not in known and len(self._waiting) < WAITING_MAX and same < WAITING_PARTY_MAX:
            self._waiting.append((ask.transfer, wanted))
            turn.note(NOTE, transfer=ask.transfer.hex())
        return ""

    def next(self, turn: Turn) -> Work | None:
        """Return what is to be computed next, as readings and consents stand now; None when nothing waits."""
        self._at_work = None
        while self._waiting:
            transfer, wanted = self._waiting.popleft()
            scope = self._door.judge(turn, wanted).scope
            named = wanted.computation or b""
            found = self._computations.get(turn.vault, named) if scope is not None else None
            if scope is not None and found is not None:
                module = self._computations.module(turn.vault, found) if isinstance(found, Brought) else b""
                self._at_work = transfer
                return Work(transfer, wanted, found, module, self.granted(turn, wanted, scope), scope)
        return None

    def granted(self, turn: Turn, wanted: Wanted, scope: Scope) -> tuple[tuple[Series, ...], ...]:
        """Return the series that a consent covers, each by its chunks."""
        found: list[Sequence[Series]] = []
        for point in sorted(scope.points):
            for row in self._series.listing(turn.vault, point):
                if kind_of(row.key) == scope.pii_type and coarse_enough(row.key, wanted, scope):
                    found.append(list(self._series.pieces(turn.vault, row.key)))
        return tuple(map(tuple, found))
