"""The control API on TCP: where it listens, its certificate, the names by which it may be asked; `listen` for others.

How it works
    `[api]` in config.toml names an address. On this machine alone (127.0.0.1, [::1], localhost) plain HTTP is served,
    elsewhere only TLS, by certificate files: anything else is refused when the node starts. Behind a proxy on the same
    machine that ends TLS, listen on loopback and name the public host in `hosts`.

What it does not do
    It gets no certificate, and knows no token (node/guard.py).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from ledger.errors import LocalError
from node.client.exchange import is_loopback
from node.exits import first_of

if TYPE_CHECKING:
    from hypercorn.config import Config as Hypercorn

    from node.config import Api
    from node.daemon import Node

IDLE_SECONDS: Final = 5.0
"""How long a connection may be silent between requests."""
GRACE_SECONDS: Final = 0.5
"""How long running requests are given when the node stops."""
_WILDCARDS: Final = ("0.0.0.0", "[::]")
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


def check(api: Api, directory: Path) -> None:
    """Refuse settings that would open the API to others. Raises LocalError TLS_NEEDED, CONFIG_INVALID, SECRET_MODE."""
    host = api.listen.rpartition(":")[0]
    if bool(api.certificate) != bool(api.key):
        told = "A certificate and its key go together: give both `certificate` and `key`, or neither."
        raise LocalError("CONFIG_INVALID", told, field="api.certificate" if api.key else "api.key")
    if not api.certificate and not is_loopback(host):
        told = (
            f"The control API would be open on {api.listen} without encryption. Give `certificate` and `key` under "
            "[api] in config.toml, or listen on 127.0.0.1, behind a proxy that has them."
        )
        raise LocalError("TLS_NEEDED", told, field="api.listen")
    if host in _WILDCARDS and not api.hosts:
        told = (
            "Listening everywhere, the API must know by which names it is asked: write under [api], for example: "
            'hosts = ["node.example.org"].'
        )
        raise LocalError("CONFIG_INVALID", told, field="api.hosts")
    for field, name in (("api.certificate", api.certificate), ("api.key", api.key)):
        path = directory / name
        if name and not path.is_file():
            raise LocalError("CONFIG_INVALID", f"There is no file {path}; put it there, or name another.", field=field)
        if name and field == "api.key" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise LocalError("SECRET_MODE", f"Others can reach {path}; run: chmod 600 {path}", field=field)


def hosts_of(api: Api) -> frozenset[str]:
    """Return the names by which the API may be asked, small letters, without ports."""
    host = api.listen.rpartition(":")[0].lower()
    own = _LOOPBACK_NAMES if is_loopback(host) else () if host in _WILDCARDS else (host,)
    return frozenset((*own, *(name.lower() for name in api.hosts)))


async def serve(node: Node, api: Api, *, task_status: trio.TaskStatus[str]) -> None:
    """Serve the API on TCP until the node stops; tell the address, such as http://127.0.0.1:8480.

    Raises LocalError as `check`, and LISTEN_REFUSED.
    """
    from node.api import make_guarded_app
    from node.operations import OPERATIONS

    check(api, node.home.path)
    settings = settings_of(api.listen)
    if api.certificate:
        settings.certfile = os.fspath(node.home.path / api.certificate)
        settings.keyfile = os.fspath(node.home.path / api.key)
    settings.keep_alive_timeout = IDLE_SECONDS
    names = hosts_of(api), frozenset(api.origins)
    app = make_guarded_app(node, OPERATIONS, node.version, node.tokens, *names, node.clock)
    await listen(node, app, settings, "the control API", "[api]", task_status=task_status)


def settings_of(address: str) -> Hypercorn:
    """Return the settings by which hypercorn listens on "host:port"; it logs nothing itself."""
    from hypercorn.config import Config

    settings = Config()
    host, _, port = address.rpartition(":")
    settings.bind = [f"{'127.0.0.1' if host == 'localhost' else host}:{port}"]
    settings.graceful_timeout = GRACE_SECONDS
    settings.accesslog = settings.errorlog = None
    return settings


async def listen(
    node: Node, app: Any, settings: Hypercorn, what: str, table: str, *, task_status: trio.TaskStatus[str]
) -> None:
    """Serve an application until the node stops; tell the address.

    `what` is served, as `table` of config.toml says, in the words of an error. Raises LocalError LISTEN_REFUSED.
    """
    from hypercorn.trio import serve as run

    async def bound(*, task_status: trio.TaskStatus[list[str]]) -> None:
        await run(app, settings, shutdown_trigger=node.stop.wait, task_status=task_status)

    try:
        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(bound)
            task_status.started(address)
    except* OSError as group:
        told = f"Cannot serve {what} on {settings.bind[0]} ({first_of(group)}); change `listen` under {table}."
        raise LocalError("LISTEN_REFUSED", told) from None
