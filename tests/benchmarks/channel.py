"""channel: encrypted throughput between two processes, beside the same frames in clear over the same kind of stream.

How it works
    A child process listens on loopback. The parent connects, says in one byte which way is meant, and sends as many
    bytes as asked for. In clear: frames of a 2-byte length and 65 519 bytes. Encrypted: messages that fill such frames,
    through `gossip.channel` at both ends, sent and read as the node does. The child answers once it has everything;
    the clock runs from the first byte sent to that answer. Rounds of both alternate; the quietest counts. The
    round trip of a 400-byte message is measured on the same connections.

What it does not do
    No messages are made or understood: it is the channel alone, not gossip.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

import trio

from gossip.channel import Channel, Effect, Established, Identity, Received, Transmit
from gossip.framing import RECORD_HEADER_BYTES, FrameBuffer, frame
from gossip.noise import PLAINTEXT_MAX
from ledger.keys import SigningKey
from node.connection import JOIN_SMALL_BYTES, READ_BYTES
from tests.benchmarks import measure
from tests.benchmarks.measure import Result

MESH: Final = b"\x4d" * 32
BURST: Final = 16  # messages sealed at once: 1 MiB
PING_BYTES: Final = 400
CLEAR: Final = b"C"
ENCRYPTED: Final = b"E"


class Pipe:
    """One end of a connection that carries whole messages: in clear, or through a channel."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._frames = FrameBuffer()
        self._arrived: list[bytes] = []

    async def start(self) -> None:
        """Make the connection ready."""

    async def send(self, messages: Sequence[bytes]) -> None:
        """Send messages; each must fit in a frame."""
        await self._out([frame(message) for message in messages])

    async def receive(self) -> list[bytes]:
        """Return the messages that came next, at least one."""
        while not self._arrived:
            self._take(await self._in())
        arrived, self._arrived = self._arrived, []
        return arrived

    def _take(self, data: bytes) -> None:
        self._frames.push(data)
        while (body := self._frames.next()) is not None:
            self._arrived.append(body)

    async def _in(self) -> bytes:
        data = await self._stream.receive_some(READ_BYTES)
        if not data:
            raise EOFError("the other end is gone")
        return bytes(data)

    async def _out(self, chunks: Sequence[bytes]) -> None:
        joined = [b"".join(chunks)] if sum(map(len, chunks)) <= JOIN_SMALL_BYTES else chunks
        for chunk in joined:
            await self._stream.send_all(chunk)


class Encrypted(Pipe):
    """The same through a channel."""

    def __init__(self, stream: trio.SocketStream, channel: Channel) -> None:
        super().__init__(stream)
        self._channel = channel
        self._ready = False

    async def start(self) -> None:
        """Run the handshake to its end."""
        effects: Sequence[Effect] = self._channel.start(_now_ms())
        while True:
            await self._out([effect.data for effect in effects if isinstance(effect, Transmit)])
            if self._ready:
                return
            effects = self._channel.receive(await self._in(), _now_ms())
            self._sort(effects)

    async def send(self, messages: Sequence[bytes]) -> None:
        """Seal the messages and send them."""
        await self._out([effect.data for effect in self._channel.send(messages) if isinstance(effect, Transmit)])

    def _take(self, data: bytes) -> None:
        self._sort(self._channel.receive(data, _now_ms()))

    def _sort(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Received):
                self._arrived.append(effect.message)
            elif isinstance(effect, Established):
                self._ready = True


def _now_ms() -> int:
    return int(trio.current_time() * 1_000)


def _identity(seed: int) -> Identity:
    source = random.Random(seed)
    return Identity(SigningKey.from_seed(source.randbytes(32)), source.randbytes(32))


async def answer(stream: trio.SocketStream) -> None:
    """Serve one connection: count what comes, say when it is all there, echo small messages."""
    mode = bytes(await stream.receive_some(1))
    pipe = Pipe(stream)
    if mode == ENCRYPTED:
        pipe = Encrypted(stream, Channel.responder({MESH: _identity(2)}, random.Random(2).randbytes))
    await pipe.start()
    counted, expected = 0, 0
    while True:
        try:
            messages = await pipe.receive()
        except (EOFError, trio.BrokenResourceError):
            return
        for message in messages:
            if len(message) == 8:
                counted, expected = 0, int.from_bytes(message, "big")
            elif len(message) == PING_BYTES:
                await pipe.send([message])
            else:
                counted += len(message)
                if counted >= expected:
                    await pipe.send([b"."])


async def serve() -> None:
    """Listen on loopback and print the port (the whole life of the child)."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(answer, listeners)


async def dial(port: int, mode: bytes) -> Pipe:
    """Connect to the child in one of the two modes."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(mode)
    pipe = Pipe(stream)
    if mode == ENCRYPTED:
        pipe = Encrypted(stream, Channel.initiator(_identity(1), MESH, random.Random(1).randbytes))
    await pipe.start()
    return pipe


async def throughput(pipe: Pipe, size: int, message: bytes) -> float:
    """Return bytes a second for `size` bytes in messages like this one."""
    count = -(-size // (len(message) * BURST))
    await pipe.send([(count * BURST * len(message)).to_bytes(8, "big")])
    begun = time.perf_counter()
    for _ in range(count):
        await pipe.send([message] * BURST)
    await pipe.receive()
    return count * BURST * len(message) / (time.perf_counter() - begun)


async def round_trips(pipe: Pipe, count: int) -> list[float]:
    """Return the seconds of some round trips of one small message."""
    message, taken = bytes(PING_BYTES), []
    for _ in range(count):
        begun = time.perf_counter()
        await pipe.send([message])
        await pipe.receive()
        taken.append(time.perf_counter() - begun)
    return taken


async def compare(port: int, options: argparse.Namespace) -> dict[bytes, dict[str, list[float]]]:
    """Measure both modes in turns."""
    size = options.mebibytes << 20
    sizes = {CLEAR: PLAINTEXT_MAX, ENCRYPTED: PLAINTEXT_MAX - RECORD_HEADER_BYTES}
    found: dict[bytes, dict[str, list[float]]] = {mode: {"rate": [], "trip": []} for mode in sizes}
    pipes = {mode: await dial(port, mode) for mode in sizes}
    for number in range(options.rounds):
        measure.progress(f"round {number + 1} of {options.rounds}")
        for mode, pipe in pipes.items():
            found[mode]["trip"].append(statistics.median(await round_trips(pipe, options.trips)))
            found[mode]["rate"].append(await throughput(pipe, size, bytes(sizes[mode])))
    return found


def bench(options: argparse.Namespace) -> Result:
    """Measure the encrypted channel beside the same frames in clear."""
    process = measure.child("channel", "--serve")
    try:
        port = int(process.stdout.readline() if process.stdout else "0")
        found = trio.run(compare, port, options)
    finally:
        process.kill()
        process.communicate()
    clear, encrypted = found[CLEAR], found[ENCRYPTED]
    pairs = list(zip(clear["rate"], encrypted["rate"], strict=True))
    limit, figure = (rate / 1e6 for rate in min(pairs, key=lambda pair: 1 / pair[0] + 1 / pair[1]))
    details: dict[str, Any] = {
        "ratios_by_round": [e / c for c, e in pairs],
        "round_trip_400_bytes_us": {"clear": min(clear["trip"]) * 1e6, "encrypted": min(encrypted["trip"]) * 1e6},
    }
    return Result(
        name="channel",
        what=f"{options.mebibytes} MiB through the encrypted channel between two processes over loopback",
        figure=figure,
        unit="MB/s",
        limit=limit,
        limit_is="the same frames in clear: 2-byte length, 65 519 bytes, trio TCP, the same two processes",
        ratio=figure / limit,
        reach="0.3",
        aim="0.3",
        met=figure / limit >= 0.3,
        peers={"py-libp2p 0.8.1": "69 to 210 MB/s", "iroh 1.2.0, patched": "327 to 403 MB/s"},
        method=f"the quietest of {options.rounds} rounds, clear and encrypted in turns",
        details=details,
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--mebibytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trips", type=int, default=200)


def run(options: argparse.Namespace) -> Result:
    """Measure, unless this is the child."""
    if options.serve:
        trio.run(serve)
    return bench(options)


if __name__ == "__main__":
    measure.main(run, describe)
