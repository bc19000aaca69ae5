"""How streams between nodes come about: TCP in production, memory streams in the whole-daemon test driver.

How it works
    `Network` is all that the net needs of the world: listen at an address, dial one. `Tcp` does it with sockets.

What it does not do
    It encrypts nothing and keeps no connection: that is the net's (node.net).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import trio

Handler: TypeAlias = Callable[[trio.abc.Stream, str], Awaitable[None]]


class Network(Protocol):
    """How streams come about: TCP in production, memory streams in the whole-daemon test driver."""

    async def listen(self, address: str, handler: Handler, *, task_status: trio.TaskStatus[str]) -> None:
        """Accept connections until cancelled; report the address bound through `task_status`."""

    async def dial(self, address: str) -> trio.abc.Stream:
        """Open a stream to "host:port". Raises OSError."""


class Tcp:
    """Streams over TCP, without Nagle's delay."""

    async def listen(self, address: str, handler: Handler, *, task_status: trio.TaskStatus[str]) -> None:
        """Accept TCP connections at "host:port" (port 0: any free one)."""
        host, port = split_address(address)

        async def serve(stream: trio.SocketStream) -> None:
            try:
                peer = stream.socket.getpeername()[0]
            except OSError:
                return  # it hung up before we looked
            await handler(stream, str(peer))

        listeners = await trio.open_tcp_listeners(port, host=host)
        bound = listeners[0].socket.getsockname()
        task_status.started(join_address(bound[0], bound[1]))
        await trio.serve_listeners(serve, listeners)

    async def dial(self, address: str) -> trio.abc.Stream:
        """Connect to "host:port"."""
        host, port = split_address(address)
        return await trio.open_tcp_stream(host, port)


def split_address(address: str) -> tuple[str, int]:
    """Split "host:port" or "[v6]:port". Raises OSError when it is neither (a dial that cannot be)."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise OSError(f"{address!r} is not host:port")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
