"""One more listener of a node: the operator pages, in the node's own process, on this machine alone unless told.

How it works
    `serve` hands the pages to what serves the citizen pages too (node.pages.service), with the settings of `[console]`,
    and the tasks that they need beside them: looks at the machine, live streams, audits.

What it does not do
    It writes no access log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from node.console.application import make_console
from node.console.desk import Desk
from node.console.settings import Console
from node.pages.service import present

if TYPE_CHECKING:
    from node.daemon import Node


async def serve(
    node: Node,
    settings: Console,
    desk: Desk | None = None,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the pages until the node stops; tell the address. `desk`: tests bring their own.

    Raises LocalError PAGES_INVALID, LISTEN_REFUSED.
    """
    settings.check()
    desk = desk or Desk(node, settings)
    app = make_console(desk)
    await present(node, settings, app, desk.renderer, tasks(desk), desk.live.end_all, task_status=task_status)


def tasks(desk: Desk) -> tuple[Callable[[], Awaitable[None]], ...]:
    """Return what the pages need beside the server."""
    return desk.checks.run, desk.live.run, desk.audits.run
