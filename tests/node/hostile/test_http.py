"""Hostile callers of the control API on TCP, of its unix socket's sibling /metrics, and of a node's own port.

How it works
    A whole node over real sockets, under a clock that jumps when nothing has moved for some milliseconds: what waits
    for seconds is over at once, and no test measures time.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from gossip.handshake import Opening
from gossip.noise import XX
from node.api import READ_BODY_BYTES_MAX
from node.config import Api, Metrics, as_toml
from node.daemon import Node
from node.doorway import CONNECTIONS_A_HOST_MAX
from tests.node.nodes import do, make_home, running

CROWD = 16
MEMORY_BYTES_MAX = 16 * 2**20
"""What all that an attack sends may leave in memory while it lasts."""


@pytest.fixture
def mock_clock() -> trio.testing.MockClock:
    """Jump when nothing has happened for 20 ms: real sockets need a moment to deliver."""
    return trio.testing.MockClock(autojump_threshold=0.02)


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[tuple[Node, int, int, str]]:
    """Run a node with API and metrics; give its ports and a token that may read."""
    home = make_home(path, "Ada")
    config = msgspec.structs.replace(
        home.config(), api=Api(listen="127.0.0.1:0"), metrics=Metrics(listen="127.0.0.1:0")
    )
    home.config_file.write_text(as_toml(config))
    async with running(home, serve=False) as node:
        await do(node, "mesh create", name="m")
        _, token = node.tokens.make("app", "read", node.now, 5)
        ports = [int(address.rpartition(":")[2].strip("/")) for address in (node.api_address, node.metrics_address)]
        yield node, ports[0], ports[1], token


async def answer(port: int, request: bytes, seconds: float = 20) -> bytes:
    """Send a request, and read until the node closes, or so long."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    found = b""
    with trio.move_on_after(seconds):
        try:
            await stream.send_all(request)
            while data := await stream.receive_some(65_536):
                found += data
        except trio.BrokenResourceError:
            pass
    await trio.aclose_forcefully(stream)
    return found


def asking(token: str, path: str = "/v1/node/status", body: bytes = b"{}") -> bytes:
    """Return an honest request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    return head.encode() + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def is_well(api: int, metrics: int, token: str) -> bool:
    """Ask honestly at both doors."""
    told = await answer(api, asking(token))
    alive = await answer(metrics, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return json.loads(told.partition(b"\r\n\r\n")[2])["node"]["name"] == "Ada" and alive.endswith(b"ok\n")


HOSTILE = {
    "a flood of headers": b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"x: y\r\n" * 20_000,
    "a header without end": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nx: " + b"y" * 200_000,
    "a line without end": b"GET /" + b"y" * 200_000,
    "no HTTP": bytes(range(256)) * 100,
    "a body that is announced": b"POST /v1/node/status HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 99999999999\r\n\r\n{",
    "chunks without end": b"POST /v1/node/status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\nx\r\n" * 2_000,
    "two lengths": b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "another host": b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "nothing": b"",
    "half a request": b"GET /livez HTTP/1.1\r\nHost: lo",
    "an upgrade": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "HTTP/2 by surprise": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
}


async def test_hostile_requests_end_and_honest_ones_are_answered(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with served(tmp_path / "a") as (_, api, metrics, token):
        assert await is_well(api, metrics, token)
        for name, request in HOSTILE.items():
            for port in (api, metrics):
                told = await answer(port, request, seconds=90)
                assert b"ada" not in told.lower(), name
                assert not told.startswith(b"HTTP/1.1 5"), (name, told[:100])
        assert await is_well(api, metrics, token)


async def test_crowds_that_say_it_slowly_hold_nothing(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    async with served(tmp_path / "a") as (_, api, metrics, token), trio.open_nursery() as nursery:
        head = asking("maille_00000000_wrong", body=b"x" * 5_000)
        tracemalloc.start()

        async def slowly(port: int) -> None:
            while True:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                try:
                    for byte in head:
                        await stream.send_all(bytes([byte]))
                        await trio.sleep(1)
                except trio.BrokenResourceError:
                    await trio.sleep(1)
                finally:
                    await trio.aclose_forcefully(stream)

        for number in range(CROWD):
            nursery.start_soon(slowly, (api, metrics)[number % 2])
        await trio.sleep(12)
        assert await is_well(api, metrics, token)
        assert tracemalloc.get_traced_memory()[0] < MEMORY_BYTES_MAX
        tracemalloc.stop()
        nursery.cancel_scope.cancel()


async def test_a_reader_cannot_fill_the_memory(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    async with served(tmp_path / "a") as (_, api, metrics, token):
        told = await answer(api, asking(token, body=b'{"x": "' + b"y" * (2 * READ_BODY_BYTES_MAX) + b'"}'))
        assert told == b"" or b" 200 " not in told.partition(b"\r\n")[0]
        assert await is_well(api, metrics, token)


async def test_a_crowd_at_the_port_of_peers(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    """Over real sockets: as many as one host may have, some of whom begin a handshake; then the door is free again."""
    async with served(tmp_path / "a") as (node, api, metrics, token):
        port = int(node.net.listening[0].rpartition(":")[2])
        opening = Opening.to(node.mesh().mesh_id, XX, 1, bytes(16)).encode()
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(CONNECTIONS_A_HOST_MAX + 20)]
        for stream in streams[:10]:
            await stream.send_all(opening)
        for stream in streams[10:20]:
            await stream.send_all(b"\x00" * 60)
        await trio.sleep(1)
        assert node.net.doorway.hosts.total() <= CONNECTIONS_A_HOST_MAX
        assert await is_well(api, metrics, token)
        await trio.sleep(30)
        assert node.net.doorway.hosts.total() == 0
        for stream in streams:
            await trio.aclose_forcefully(stream)
