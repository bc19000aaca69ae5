"""/livez, /readyz and /metrics over HTTP: for supervisors and Prometheus, on this machine alone.

How it works
    The three paths answer on the control socket, and on TCP where `[metrics]` in config.toml says so. They take no
    token, so only an address of this machine is served, under names of this machine (against DNS rebinding); an agent
    beside the node, or a proxy, carries them further. /livez says that the process answers, /readyz (200 or 503) names
    what is amiss.

What it does not do
    It changes nothing, and tells nothing personal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ledger.errors import LocalError
from node.client.exchange import is_loopback
from node.operation import Nothing

if TYPE_CHECKING:
    from node.config import Metrics
    from node.daemon import Node

_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def routes(node: Node) -> list[Route]:
    """Return the three paths of a node."""

    async def livez(_: Request) -> Response:
        return Response(b"ok\n", 200, _HEADERS, "text/plain")

    async def readyz(_: Request) -> Response:
        from node.ops.health import HealthArgs, health

        found = await health.handler(node, HealthArgs())
        return Response(msgspec.json.encode(found), 200 if found.ready else 503, _HEADERS, "application/json")

    async def metrics(_: Request) -> Response:
        from node.metrics import CONTENT_TYPE, exposition
        from node.ops.health import readiness
        from node.ops.node import node_status

        status = await node_status.handler(node, Nothing())
        body = exposition(node, status, ready=not readiness(status))
        return Response(body, 200, _HEADERS | {"content-type": CONTENT_TYPE})

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


def check(settings: Metrics) -> None:
    """Refuse an address that others reach. Raises LocalError METRICS_OPEN."""
    if not is_loopback(settings.listen.rpartition(":")[0]):
        told = f"Metrics take no token: {settings.listen} would be open to others. Listen on 127.0.0.1, with an agent."
        raise LocalError("METRICS_OPEN", told, field="metrics.listen")


async def serve(node: Node, settings: Metrics, *, task_status: trio.TaskStatus[str]) -> None:
    """Serve the three paths on TCP until the node stops; tell the address, which is of this machine alone.

    Raises LocalError METRICS_OPEN, LISTEN_REFUSED.
    """
    from node.listening import listen, settings_of

    check(settings)
    names = Middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]"])
    app = Starlette(routes=list(routes(node)), middleware=[names])
    await listen(node, app, settings_of(settings.listen), "metrics", "[metrics]", task_status=task_status)
