"""One more listener of a node: the operator pages, in the node's own process, on this machine alone unless told.

How it works
    `serve` runs hypercorn under the node's nursery with the settings of `[console]`, and beside it the tasks that the
    pages need: looks at the machine, live streams, audits.

What it does not do
    It writes no access log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from ledger.errors import LocalError
from node.console.application import make_console
from node.console.desk import Desk
from node.console.settings import Console
from node.pages.service import GRACE_SECONDS, hypercorn_of

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
    from hypercorn.trio import serve as run

    settings.check()
    desk = desk or Desk(node, settings)
    async with trio.open_nursery() as nursery:
        tasks(desk, nursery)

        async def listen(*, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
            app, how = make_console(desk), hypercorn_of(settings, node.home.path)
            await run(app, how, shutdown_trigger=node.stop.wait, task_status=task_status)  # type: ignore[arg-type]

        try:
            bound = await nursery.start(listen)
        except OSError as error:
            told = f"Cannot serve operator pages on {settings.listen} ({error}); change `listen` under [console]."
            raise LocalError("LISTEN_REFUSED", told, field="console") from None
        structlog.get_logger("console").info("operator pages served", listening=bound, url=settings.origin)
        task_status.started(bound[0])
        for _ in desk.renderer.warm():
            await trio.lowlevel.checkpoint()
        await node.stop.wait()
        desk.live.end_all()
        nursery.cancel_scope.deadline = trio.current_time() + 2 * GRACE_SECONDS


def tasks(desk: Desk, nursery: trio.Nursery) -> None:
    """Start what the pages need beside the server."""
    for task in (desk.checks.run, desk.live.run, desk.audits.run):
        nursery.start_soon(task)
