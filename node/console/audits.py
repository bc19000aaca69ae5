"""Audits that are started from a page: they run in the background, and their results are kept for a while.

How it works
    One audit runs at a time: a thread asks the node for the rows, a page at a time, and matches them by the same code
    as `maille audit run`. The newest results stay in memory.

What it does not do
    Nothing is written to disk, and no result survives a restart. `maille audit run` writes a report.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog
import trio

from ledger.errors import LocalError, MailleError
from node.pages.settings import Language

if TYPE_CHECKING:
    from node.audit.findings import Report
    from node.audit.gathering import What
    from node.daemon import Node
    from node.mesh import Mesh

KEPT: Final = 5
"""Results."""


@dataclass(frozen=True, slots=True)
class Audit:
    """One audit. `error`: the code of why it failed. `report`: None until it has ended."""

    number: int
    mesh: str
    period: str
    began: int
    report: Report | None = None
    error: str = ""

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.report is None and not self.error


class Audits:
    """See the module. `run` is a task of the server."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._send, self._receive = trio.open_memory_channel[tuple[Audit, "Mesh", int, int]](KEPT)
        self._last = 0
        self.kept: tuple[Audit, ...] = ()

    def start(self, mesh: Mesh, period: str) -> Audit:
        """Begin an audit of FROM..TO. Raises LocalError USAGE, BUSY."""
        from node.ops.audit import period_of

        since, until = period_of(period, self._node.now)
        if any(one.runs for one in self.kept):
            raise LocalError("BUSY", "An audit runs already; wait for it.")
        self._last += 1
        audit = Audit(self._last, mesh.name, period, self._node.now)
        self._send.send_nowait((audit, mesh, since, until))
        self.kept = (audit, *self.kept)[:KEPT]
        return audit

    def find(self, number: int) -> Audit | None:
        """Return one that is kept, or None."""
        return next((one for one in self.kept if one.number == number), None)

    async def run(self) -> None:
        """Run the audits that are started, one after the other."""
        async for audit, mesh, since, until in self._receive:
            try:
                report = await trio.to_thread.run_sync(_audited, mesh, since, until, abandon_on_cancel=True)
                ended = replace(audit, report=report)
            except MailleError as error:
                structlog.get_logger("console").warning("audit failed", code=error.code)
                ended = replace(audit, error=error.code)
            self.kept = tuple(ended if one.number == audit.number else one for one in self.kept)


def _audited(mesh: Mesh, since: int, until: int) -> Report:
    from node.audit.auditing import audit
    from node.audit.gathering import collect, page, write
    from node.audit.rows import Question

    async def asked(what: What, cursor: str) -> tuple[bytes, str]:
        rows, following = await mesh.engine.read(lambda turn: page(turn, mesh.flows, what, cursor, since, until))
        return write(rows), following

    rows = collect(lambda what, cursor: trio.from_thread.run(asked, what, cursor))
    return audit(rows, Question(since, until))


def written(report: Report, lang: Language) -> bytes:
    """Return a report as a page for the desk, whole: it holds what this node's vault holds."""
    from node.audit.page import as_html

    return as_html(report, lang, None).encode()
