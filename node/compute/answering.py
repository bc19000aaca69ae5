"""Computes what recipients ask for, one request after another, each in a thread, and sends the results.

How it works
    `Answerer.run` waits for the mesh's bell, takes what is next (node.flows.computing), computes without any
    transaction open, and begins the transfer that was asked for with what came out. A computation that fails, or gives
    nothing, is a refusal with a code.

What it does not do
    It decides nothing: the gate judged the request, and judges each result when it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog
import trio

from ledger.consent.record import Window
from ledger.errors import LocalError, MailleError
from node.compute.computation import Brought, Computation
from node.compute.operations import check
from node.compute.result import Result
from node.compute.running import results_of
from node.readings import Series

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.computing import Work
    from node.mesh import Mesh

RESULTS_MAX: Final = 4_000
"""Results of one sending."""
IDLE_SECONDS: Final = 60
"""After so long the queue is looked at in any case."""
NO_READINGS: Final = "NO_READINGS"


def is_for(computation: Computation, pieces: Sequence[Series]) -> bool:
    """Say whether a computation is for these readings."""
    kinds = {piece.key.kind for piece in pieces}
    return bool(kinds) and (isinstance(computation, Brought) or kinds <= set(check(computation).kinds))


def compute(
    computation: Computation,
    wasm: bytes,
    series: Sequence[Sequence[Series]],
    granted: tuple[Window, ...],
    wanted: Window | None,
) -> list[Result]:
    """Return the results over every series. It blocks. Raises LocalError TOO_MANY_STEPS, and as `results_of`."""
    found: list[Result] = []
    for pieces in series:
        found += results_of(computation, wasm, pieces, granted, wanted)
        if len(found) > RESULTS_MAX:
            told = f"this gives more than {RESULTS_MAX} results; take a shorter window"
            raise LocalError("TOO_MANY_STEPS", told, field="window")
    return found


def answer(work: Work) -> tuple[list[bytes], str]:
    """Return the results of a request, encoded, or the code that refuses it. It blocks; it never raises."""
    fitting = [pieces for pieces in work.series if is_for(work.computation, pieces)]
    try:
        done = compute(work.computation, work.module, fitting, work.scope.windows, work.wanted.window)
    except MailleError as error:
        return [], error.code
    return [one.encode() for one in done], "" if done else NO_READINGS


class Answerer:
    """See the module. One for each mesh of a running node."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._log = structlog.get_logger("compute").bind(mesh=mesh.name)

    async def run(self) -> None:
        """Answer what is asked, until cancelled."""
        while True:
            rung = self._mesh.bell.listen()
            try:
                while (work := await self._mesh.engine.read(self._mesh.flows.computing.next)) is not None:
                    await self._answer(work)
            except LocalError as error:  # the disk is full or read-only: the recipient asks again
                self._log.error("results wait", code=error.code, reason=error.message)
            with trio.move_on_after(IDLE_SECONDS):
                await rung.wait()

    async def _answer(self, work: Work) -> None:
        results, code = await trio.to_thread.run_sync(answer, work)

        def act(turn: Turn) -> None:
            self._mesh.flows.sending.computed(turn, work.transfer, work.wanted, results, code)
            self._mesh.flows.retry_later(turn)

        await self._mesh.engine.act(act)
