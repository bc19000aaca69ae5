"""How streams between nodes come about: TCP in production, memory streams in the whole-daemon test driver.

How it works
    `Network` is all that the net needs of the world: listen at an address, dial one. `Tcp` does it with sockets.
    `TcpStream` asks trio for nothing but to wait: a small message costs one call to the system at each end, and the
    sender goes on at once. Trio's own stream looks for bytes before it waits, and gives way after each send.

What it does not do
    It encrypts nothing and keeps no connection: that is the net's (node.net).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

import trio

READ_BYTES: Final = 65_536
"""Read at once, where the reader names no other number."""

_CLOSED: Final = "this stream was closed here"

RELAY_PREFIX: Final = "relay:"
"""Begins an address that leads through a member: `relay:` and its id, in hexadecimal."""

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
            await handler(TcpStream(stream), str(peer))

        listeners = await trio.open_tcp_listeners(port, host=host)
        bound = listeners[0].socket.getsockname()
        task_status.started(join_address(bound[0], bound[1]))
        await trio.serve_listeners(serve, listeners)

    async def dial(self, address: str) -> trio.abc.Stream:
        """Connect to "host:port"."""
        host, port = split_address(address)
        return TcpStream(await trio.open_tcp_stream(host, port))


class TcpStream(trio.abc.Stream):
    """A connection: one task may read while another writes. `opened`: trio's stream, which this one owns.

    `send_all` gives way only where the system does not take it all: whoever sends without end must wait elsewhere.
    """

    def __init__(self, opened: trio.SocketStream) -> None:
        self._opened, self._socket = opened, opened.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises BrokenResourceError, ClosedResourceError."""
        sent = self._write(data)
        while sent < len(data):
            await trio.lowlevel.wait_writable(self._socket)
            sent += self._write(memoryview(data)[sent:])

    def _write(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return os.write(self._socket.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._ended(error) from error

    def send_now(self, data: bytes) -> int:
        """Send what the system takes at once, and return how much that was: 0 too where the stream has ended."""
        try:
            return self._write(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return 0  # whoever sends the rest is told

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the system takes something."""
        await self._opened.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come, at most `max_bytes`; b"" at the end. Raises as `send_all` does."""
        while self._socket.fileno() >= 0:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return os.read(self._socket.fileno(), max_bytes or READ_BYTES)
            except BlockingIOError:  # the system was wrong
                continue
            except OSError as error:
                raise self._ended(error) from error
        raise trio.ClosedResourceError(_CLOSED)

    def _ended(self, error: OSError) -> Exception:
        if self._socket.fileno() < 0:
            return trio.ClosedResourceError(_CLOSED)
        return trio.BrokenResourceError(f"the connection broke: {error}")

    async def aclose(self) -> None:
        """Close; whoever waits in the stream gets ClosedResourceError."""
        await self._opened.aclose()


def is_relay(address: str) -> bool:
    """Say whether an address leads through a member that passes on."""
    return address.startswith(RELAY_PREFIX)


def split_address(address: str) -> tuple[str, int]:
    """Split "host:port" or "[v6]:port". Raises OSError when it is neither (a dial that cannot be)."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise OSError(f"{address!r} is not host:port")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
