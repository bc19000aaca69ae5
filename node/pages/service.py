"""The second listener of a node: the citizen pages, over TLS or behind a proxy, in the node's own process.

How it works
    `serve` opens the files that the settings name, runs hypercorn under the node's nursery, and the watch beside it.
    `present` is what it shares with the operator pages (node/console/service.py).
    Files are opened at start: what is missing or does not fit together stops the node with a sentence, instead of
    leaving people before a closed door.

What it does not do
    It renews no certificate: whoever does restarts the node. It writes no access log: addresses of people who look at
    their consents are nobody's business.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import trio

from node.listening import listen
from node.pages.application import make_pages
from node.pages.settings import Pages, Served
from node.pages.visit import Site
from node.pages.watching import Watch

if TYPE_CHECKING:
    from hypercorn.config import Config as Hypercorn
    from starlette.types import ASGIApp

    from node.daemon import Node
    from node.pages.rendering import Renderer

GRACE_SECONDS: Final = 0.5
READ_SECONDS: Final = 30
"""A client that sends nothing for so long is hung up on."""
HEADER_BYTES_MAX: Final = 16 * 1024
STREAMS_MAX: Final = 50
"""Requests at a time on one connection of HTTP/2."""


async def serve(
    node: Node,
    settings: Pages,
    site: Site | None = None,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the pages until the node stops; tell the address. `site`: tests bring their own.

    Raises LocalError PAGES_INVALID, EXTRA_MISSING, LISTEN_REFUSED.
    """
    settings.check()
    site = site or make_site(node, settings)
    site.watch = Watch(site)
    await present(node, settings, make_pages(site), site.renderer, (site.watch.run,), task_status=task_status)


async def present(
    node: Node,
    settings: Served,
    app: ASGIApp,
    renderer: Renderer,
    beside: Sequence[Callable[[], Awaitable[None]]],
    ending: Callable[[], None] = lambda: None,
    *,
    task_status: trio.TaskStatus[str],
) -> None:
    """Serve an application's pages until the node stops, with the tasks `beside` it; tell the address.

    `renderer`: of its templates, which are compiled before the first visit. `ending`: called when the node stops.
    Raises LocalError PAGES_INVALID, LISTEN_REFUSED.
    """
    table, how = f"[{settings.TABLE}]", hypercorn_of(settings, node.home.path)
    async with trio.open_nursery() as nursery:
        for task in beside:
            nursery.start_soon(task)
        address: str = await nursery.start(partial(listen, node, app, how, "pages", table))
        structlog.get_logger(settings.TABLE).info("pages served", listening=address, url=settings.origin)
        task_status.started(address)
        for _ in renderer.warm():
            await trio.lowlevel.checkpoint()
        await node.stop.wait()
        ending()
        nursery.cancel_scope.deadline = trio.current_time() + 2 * GRACE_SECONDS


def make_site(node: Node, settings: Pages) -> Site:
    """Return what the pages share. Raises LocalError PAGES_INVALID, EXTRA_MISSING."""
    site = Site(node, settings)
    if settings.oidc is not None:
        from node.pages.oidc import Provider, require_extra

        require_extra()
        secret = (
            _read(settings, node.home.path / settings.oidc.secret_file, "oidc.secret_file")
            .decode("utf-8", "replace")
            .strip()
        )
        site.provider = Provider(settings.oidc, secret, f"{settings.url}/oidc/callback", node.random_bytes)
    return site


def hypercorn_of(settings: Served, folder: Path) -> Hypercorn:
    """Return how pages are listened for. Raises LocalError PAGES_INVALID for a certificate that does not fit."""
    from hypercorn.config import Config

    how = Config()
    how.bind = [settings.listen]
    how.graceful_timeout = GRACE_SECONDS
    how.read_timeout = READ_SECONDS
    how.h11_max_incomplete_size = HEADER_BYTES_MAX
    how.h2_max_header_list_size = HEADER_BYTES_MAX
    how.h2_max_concurrent_streams = STREAMS_MAX
    how.include_server_header = False
    how.accesslog = None
    how.errorlog = None
    if settings.certificate:
        certificate, key = folder / settings.certificate, folder / settings.key
        for name, path in (("certificate", certificate), ("key", key)):
            _read(settings, path, name)
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
        except (ssl.SSLError, OSError) as error:
            told = f"certificate and key do not fit together ({error})"
            raise settings.bad("certificate", told) from None
        how.certfile, how.keyfile = str(certificate), str(key)
    return how


def _read(settings: Served, path: Path, field: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise settings.bad(field, f"{path} cannot be read: {error.strerror}") from None
