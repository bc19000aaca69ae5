"""Worker processes that verify entries in bulk, fed by pipes (design.md §1).

How it works
    `WorkerPool` starts the processes (node/verifying.py) at the first bulk run and splits runs over them in batches.
    The node itself decodes an entry, once, and hands over the signature alone: that is two thirds of the work, and an
    entry decoded elsewhere would have to be decoded again here. A worker has its next batches at hand while it verifies
    one, so it never waits for a busy node. The engine has some runs verified at a time and takes them back in order.
    Threads would not do: a thread that verifies beside a busy Python loop gets through 200 entries a second, a process
    through 20 000 and more.

What it does not do
    It verifies nothing itself. A worker that dies is an error of the node.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import trio

from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.replica import Decoded
from node.core import Verified, Verify
from node.verifying import U32, pack, unpack

BATCH_ENTRIES: Final = 256
QUEUED_BATCHES: Final = 8  # given to one worker at a time
PIPE_BYTES: Final = 1 << 20


def ask_of(raws: Sequence[bytes]) -> tuple[list[Decoded], list[bytes]]:
    """Decode entries, and return them with the item a worker is given for each that is well formed."""
    read: list[Decoded] = []
    items = []
    for raw in raws:
        try:
            entry, signed = Entry.unverified(raw)
        except RemoteError as error:
            read.append(error)
        else:
            read.append(entry)
            items.append(b"".join((entry.signer, raw[-64:], signed)))
    return read, items


def settled(read: Sequence[Decoded], verdicts: Sequence[bytes]) -> list[Decoded]:
    """Return what was read, with an error in the place of each entry whose signature a worker refused.

    `verdicts`: one for each entry in `read`, in order.
    """
    if not any(verdicts) and len(verdicts) == len(read):
        return list(read)
    told = iter(verdicts)
    return [_settled(item, next(told)) if isinstance(item, Entry) else item for item in read]


def _settled(entry: Entry, told: bytes) -> Decoded:
    if not told:
        return entry
    code, field, message = told.decode().split("\n", 2)
    return RemoteError(code, message, field=field or None)


@dataclass(slots=True)
class _Worker:
    """One process. Its pipes are first come, first served: who sends first reads first."""

    process: trio.Process
    requests: trio.abc.SendStream
    answers: trio.abc.ReceiveStream
    sending: trio.Lock = field(default_factory=trio.Lock)
    reading: trio.Lock = field(default_factory=trio.Lock)

    async def ask(self, items: Sequence[bytes], sent: Callable[[], None]) -> list[bytes]:
        """Return the verdicts, one an item; call `sent` when all are on their way.

        Once begun it is not cancelled half-way: the next answer would be taken for this.
        """
        body = b""
        with trio.CancelScope(shield=True):
            async with self.sending:
                await self.requests.send_all(pack(items))
            sent()
            async with self.reading:
                (size,) = U32.unpack(await _exactly(self.answers, 4))
                body = await _exactly(self.answers, size)
        return unpack(body)


class WorkerPool:
    """A few worker processes. `async with` it around the engines that use it."""

    def __init__(self, count: int) -> None:
        """`count`: processes to start, when there is bulk work at all."""
        self._count = count
        self._free_send, self._free = trio.open_memory_channel[_Worker](count * QUEUED_BATCHES)
        self._started: list[_Worker] = []
        self._lock = trio.Lock()
        self._dealing = trio.Lock()  # one run after the other: the first is wanted first

    async def __aenter__(self) -> WorkerPool:
        """Start nothing yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the workers."""
        for worker in self._started:
            worker.process.kill()
        with trio.CancelScope(shield=True):
            for worker in self._started:
                await worker.process.wait()

    async def _start(self) -> None:
        async with self._lock:
            if self._started:
                return
            for _ in range(self._count):
                command = [sys.executable, "-m", "node.verifying"]
                process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                if process.stdin is None or process.stdout is None:
                    raise LocalError("WORKER_LOST", "a verifying worker has no pipes; restart the node")
                _widen(process.stdin)
                self._started.append(_Worker(process, process.stdin, process.stdout))
            for worker in self._started * QUEUED_BATCHES:  # all once, then all again: a short run goes to an idle one
                self._free_send.send_nowait(worker)

    async def verify(self, effect: Verify) -> Verified:
        """Decode a run's entries and have the workers verify their signatures."""
        await self._start()
        raws = effect.run.raws
        found: list[list[Decoded]] = [[]] * -(-len(raws) // BATCH_ENTRIES)

        async def ask(worker: _Worker, place: int, *, task_status: trio.TaskStatus[None]) -> None:
            try:
                read, items = ask_of(raws[place * BATCH_ENTRIES : (place + 1) * BATCH_ENTRIES])
                found[place] = settled(read, await worker.ask(items, task_status.started))
            finally:
                self._free_send.send_nowait(worker)

        async with trio.open_nursery() as nursery, self._dealing:
            for place in range(len(found)):
                worker = await self._free.receive()
                await nursery.start(ask, worker, place)  # returns once it is sent: verified while we decode the next
        return Verified(effect.source, effect.run, [item for batch in found for item in batch])


def _widen(pipe: trio.abc.SendStream) -> None:
    """Let the next batches wait in the pipe while this process is busy, where the system allows it."""
    if isinstance(pipe, trio.lowlevel.FdStream) and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


async def _exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = await stream.receive_some(min(size - len(data), 1 << 20))
        if not chunk:
            raise LocalError("WORKER_LOST", "a verifying worker ended; restart the node")
        data += chunk
    return bytes(data)
