"""What the doctor finds, for the pages: problems of the running node at each look, those of its machine now and then.

How it works
    `findings` asks the node (`node examine`), and adds what the last look at the machine found: files, keys, disk,
    backups, certificates. That look takes a while, since it measures the disk: a task takes it every few minutes, in
    a thread.

What it does not do
    It mends nothing: each finding names the command that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
import trio

from ledger.errors import MailleError
from node.checkup import Finding, look
from node.operation import Nothing

if TYPE_CHECKING:
    from node.daemon import Node

EVERY_SECONDS: Final = 300
_RANK: Final = {"error": 0, "warning": 1, "note": 2}


class Checks:
    """See the module. `looked`: when the machine was looked at last, unix seconds; 0: not yet."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._machine: tuple[Finding, ...] = ()
        self.looked = 0

    async def run(self) -> None:
        """Look at the machine again and again."""
        while True:
            await self.look()
            await trio.sleep(EVERY_SECONDS)

    async def look(self) -> None:
        """Look at the machine once."""
        home, now = self._node.home, self._node.now
        try:
            self._machine = await trio.to_thread.run_sync(lambda: tuple(look(home, now)))
            self.looked = now
        except MailleError as error:
            structlog.get_logger("console").warning("machine not looked at", code=error.code)

    async def findings(self) -> list[Finding]:
        """Return every finding, the gravest first."""
        from node.ops.doctor import node_examine

        asked = await node_examine.handler(self._node, Nothing())
        here = {one.code for one in self._machine}
        found = [*self._machine, *(one for one in asked.findings if one.code not in here)]
        return sorted(found, key=lambda one: _RANK[one.severity])
