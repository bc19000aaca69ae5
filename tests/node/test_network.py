"""TCP streams: everything arrives whatever the system takes at once, and each end learns how it ended."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from node.network import Tcp, TcpStream


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[trio.abc.Stream, trio.abc.Stream]]:
    """Both ends of a connection: who dialed, who accepted."""
    accepted: list[trio.abc.Stream] = []
    met, over = trio.Event(), trio.Event()

    async def handle(stream: trio.abc.Stream, host: str) -> None:
        assert host == "127.0.0.1"
        accepted.append(stream)
        met.set()
        await over.wait()

    async with trio.open_nursery() as nursery:
        tcp = Tcp()

        async def listen(*, task_status: trio.TaskStatus[str]) -> None:
            await tcp.listen("127.0.0.1:0", handle, task_status=task_status)

        address = await nursery.start(listen)
        dialed = await tcp.dial(address)
        await met.wait()
        yield dialed, accepted[0]
        await trio.aclose_forcefully(dialed)
        await trio.aclose_forcefully(accepted[0])
        over.set()
        nursery.cancel_scope.cancel()


async def received(stream: trio.abc.Stream) -> bytes:
    """Read to the end."""
    data = bytearray()
    while chunk := await stream.receive_some(50_000):
        assert len(chunk) <= 50_000
        data += chunk
    return bytes(data)


async def test_more_than_the_system_takes_at_once_arrives_in_both_directions() -> None:
    there, back = random.Random(1).randbytes(20_000_000), random.Random(2).randbytes(3_000_000)

    async def send(stream: trio.abc.Stream, data: bytes) -> None:
        await stream.send_all(memoryview(data)[:7])
        await stream.send_all(data[7:])
        assert isinstance(stream, TcpStream)
        stream._socket.shutdown(trio.socket.SHUT_WR)

    heard: dict[str, bytes] = {}

    async def hear(name: str, stream: trio.abc.Stream) -> None:
        heard[name] = await received(stream)

    async with joined() as (one, other), trio.open_nursery() as nursery:
        nursery.start_soon(send, one, there)
        nursery.start_soon(send, other, back)
        nursery.start_soon(hear, "other", other)
        nursery.start_soon(hear, "one", one)
    assert heard == {"other": there, "one": back}


async def test_the_end_is_told_and_then_nothing_is_sent() -> None:
    async with joined() as (one, other):
        await one.send_all(b"last words")
        await one.aclose()
        assert await received(other) == b"last words"

        async def send_on() -> None:
            for _ in range(1_000):  # the first may still be taken
                await other.send_all(bytes(100_000))

        with pytest.raises(trio.BrokenResourceError):
            await send_on()


async def test_who_waits_in_a_stream_that_is_closed_is_told() -> None:
    async with joined() as (one, _other):

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await one.receive_some()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await one.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await one.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await one.receive_some()
        await one.aclose()


async def test_who_cannot_send_waits_and_can_be_cancelled() -> None:
    sent = 0
    async with joined() as (one, _other), trio.open_nursery() as nursery:

        async def send_on() -> None:
            nonlocal sent
            while True:
                await one.send_all(bytes(1 << 20))
                sent += 1

        nursery.start_soon(send_on)
        await trio.testing.wait_all_tasks_blocked()
        stuck = sent
        await trio.testing.wait_all_tasks_blocked()
        assert sent == stuck  # nobody reads
        nursery.cancel_scope.cancel()


async def test_what_is_sent_at_once_is_what_the_system_takes() -> None:
    async with joined() as (one, other):
        assert isinstance(one, TcpStream)
        assert one.send_now(b"small") == 5
        assert await other.receive_some() == b"small"
        data = random.Random(3).randbytes(20_000_000)
        sent = one.send_now(data)
        assert 0 < sent < len(data)  # nobody reads
        taken = bytearray()

        async def read() -> None:
            while len(taken) < len(data):
                taken.extend(await other.receive_some())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await one.send_all(data[sent:])
        assert taken == data
        await one.aclose()
        assert one.send_now(b"too late") == 0
