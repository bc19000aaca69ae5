"""A network of memory streams with latency and partitions, in virtual time: what the daemons' driver runs on.

How it works
    A `Switchboard` knows who listens where. Dialing makes two streams out of two pipes; bytes lie in a pipe until
    their time has come, in order, and no more than PIPE_BYTES_MAX of them: then the sender waits, as with sockets.
    A partition stalls pipes and dials, as TCP does: bytes are held and go on after healing, unless an end has given
    up by then. Every chunk that arrives goes into `trace`.

What it does not do
    It loses and reorders nothing (streams do not), and runs in a single trio loop.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections import deque
from collections.abc import Iterable
from typing import Final

import trio

from node.network import Handler
from simulations.links import WAN, Delay
from simulations.randomness import Seed

PIPE_BYTES_MAX: Final = 262_144
_TRACED: Final = struct.Struct(">QII16s")
_END: Final = b""


class Switchboard:
    """Who listens where, and who is cut off from whom. Hosts are numbers; "n3:7000" is an address of host 3."""

    def __init__(self, seed: Seed, delay: Delay = WAN.delay) -> None:
        self.seed, self.delay = seed, delay
        self.listeners: dict[str, tuple[int, Handler, trio.Nursery]] = {}
        self.changed = trio.Event()
        self.bytes = 0
        self._group: dict[int, int] = {}
        self._dials = 0
        self._trace = hashlib.sha256()

    @property
    def trace(self) -> str:
        """SHA-256 over all that arrived so far, in hexadecimal."""
        return self._trace.hexdigest()

    def blocked(self, one: int, other: int) -> bool:
        """Say whether nothing passes between two hosts."""
        return self._group.get(one, -1) != self._group.get(other, -1)

    def partition(self, groups: Iterable[Iterable[int]]) -> None:
        """Let nothing pass between groups; hosts in no group form one more."""
        self._set({number: place for place, group in enumerate(groups) for number in group})

    def heal(self) -> None:
        """Let everything pass."""
        self._set({})

    def _set(self, group: dict[int, int]) -> None:
        self._group = group
        self.changed.set()
        self.changed = trio.Event()

    def arrived(self, source: int, target: int, data: bytes) -> None:
        """Note what a host was handed."""
        self.bytes += len(data)
        at_us = round(trio.current_time() * 1_000_000)
        self._trace.update(_TRACED.pack(at_us, source, target, hashlib.sha256(data).digest()[:16]))

    def pair(self, one: int, other: int) -> tuple[MemoryStream, MemoryStream]:
        """Return the two ends of a new connection."""
        self._dials += 1
        there, back = _Pipe(self, one, other, self._dials), _Pipe(self, other, one, self._dials)
        return MemoryStream(there, back), MemoryStream(back, there)


class _Pipe:
    """One direction of a connection."""

    def __init__(self, board: Switchboard, source: int, target: int, number: int) -> None:
        self.board, self.source, self.target = board, source, target
        self.closed = False  # the receiver is gone
        self._random = board.seed.stream(source, f"pipe/{target}/{number}")
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._last = 0.0
        self._moved = trio.Event()

    def move(self) -> None:
        """Wake whoever waits for this pipe."""
        self._moved.set()
        self._moved = trio.Event()

    def put(self, data: bytes) -> None:
        """Lay bytes into the pipe; none end it."""
        at = trio.current_time() + self.board.delay(self._random) / 1_000_000
        self._last = max(self._last, at)
        self._chunks.append((self._last, data))
        self._bytes += len(data)
        self.move()

    async def room(self) -> None:
        """Wait until there is room for more. Raises BrokenResourceError when the receiver is gone."""
        await trio.lowlevel.checkpoint()
        while self._bytes > PIPE_BYTES_MAX and not self.closed:
            await self._moved.wait()
        if self.closed:
            raise trio.BrokenResourceError("the other end is closed")

    async def get(self, most: int) -> bytes:
        """Return the next bytes whose time has come; b"" at the end. Raises ClosedResourceError."""
        await trio.lowlevel.checkpoint()
        while not self.closed:
            at = self._chunks[0][0] if self._chunks else math.inf
            if self._chunks and self.board.blocked(self.source, self.target):
                await self.board.changed.wait()
            elif at <= trio.current_time():
                return self._take(most)
            else:
                with trio.move_on_at(at):
                    await self._moved.wait()
        raise trio.ClosedResourceError("this end is closed")

    def _take(self, most: int) -> bytes:
        at, data = self._chunks[0]
        if data == _END:
            return _END
        self._chunks.popleft()
        if len(data) > most:
            self._chunks.appendleft((at, data[most:]))
            data = data[:most]
        self._bytes -= len(data)
        self.move()
        self.board.arrived(self.source, self.target, data)
        return data


class MemoryStream(trio.abc.Stream):
    """One end of a connection in memory."""

    def __init__(self, out: _Pipe, back: _Pipe) -> None:
        self._out, self._in = out, back
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; waits while the pipe is full."""
        if self._closed:
            raise trio.ClosedResourceError("this end is closed")
        await self._out.room()
        if data:
            self._out.put(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await self._out.room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive bytes; b"" at the end."""
        return await self._in.get(max_bytes or PIPE_BYTES_MAX)

    async def aclose(self) -> None:
        """Close both directions."""
        if not self._closed:
            self._closed = True
            self._out.put(_END)
            self._in.closed = True
            self._in.move()
        await trio.lowlevel.checkpoint()


class Host:
    """One host's view of the switchboard (node.network.Network)."""

    def __init__(self, board: Switchboard, number: int) -> None:
        self._board, self._number = board, number
        self._random = board.seed.stream(number, "dials")

    async def listen(self, address: str, handler: Handler, *, task_status: trio.TaskStatus[str]) -> None:
        """Accept connections until cancelled."""
        async with trio.open_nursery() as nursery:
            self._board.listeners[address] = (self._number, handler, nursery)
            task_status.started(address)
            try:
                await trio.sleep_forever()
            finally:
                del self._board.listeners[address]

    async def dial(self, address: str) -> trio.abc.Stream:
        """Connect, one round trip later; waits while a partition lies between. Raises OSError."""
        await trio.sleep(2 * self._board.delay(self._random) / 1_000_000)
        while True:
            found = self._board.listeners.get(address)
            if found is None:
                raise ConnectionRefusedError(f"nobody listens at {address}")
            number, handler, nursery = found
            if not self._board.blocked(self._number, number):
                break
            await self._board.changed.wait()
        ours, theirs = self._board.pair(self._number, number)
        nursery.start_soon(handler, theirs, f"n{self._number}")
        return ours
