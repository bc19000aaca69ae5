"""What a worker process runs: it verifies signatures, frame by frame, and knows nothing else (node/workers.py).

How it works
    `python -m node.verifying` reads frames from its standard input: a count, then as many length-prefixed items: key,
    signature and what was signed. It answers each frame with one frame of verdicts: nothing for a good signature, else
    code, field and message. It imports little, so it is there soon after the first bulk run.

What it does not do
    It holds no state and no secrets: it sees public bytes. It decodes no entry: the node does, once.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Final

from ledger.entry import check_signature
from ledger.errors import RemoteError

U32: Final = struct.Struct(">I")
"""How lengths and counts stand in a frame."""


def pack(items: Sequence[bytes]) -> bytes:
    """Return one frame: length, count, then length-prefixed items."""
    body = b"".join([U32.pack(len(items)), *(part for item in items for part in (U32.pack(len(item)), item))])
    return U32.pack(len(body)) + body


def unpack(body: bytes) -> list[bytes]:
    """Return the items of a frame's body."""
    (count,) = U32.unpack_from(body)
    items, at = [], 4
    for _ in range(count):
        (size,) = U32.unpack_from(body, at)
        items.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return items


def verdict(item: bytes) -> bytes:
    """Return b"" for a good signature, else code, field and message, separated by newlines.

    `item`: public key (32), signature (64), signed bytes.
    """
    try:
        check_signature(item[:32], item[96:], item[32:96])
    except RemoteError as error:
        return "\n".join((error.code, error.field or "", error.message)).encode()
    return b""


def serve() -> None:
    """Answer frames until standard input ends (the whole life of a worker process).

    A thread reads ahead: a node takes in a thousand leaves in one go, and a pipe holds work for less time than that.
    It hinders nothing, for whoever verifies or reads holds no lock of the interpreter.
    """
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    frames: SimpleQueue[bytes] = SimpleQueue()  # at most QUEUED_BATCHES: the node gives no more

    def read_ahead() -> None:
        while head := source.read(4):
            frames.put(source.read(U32.unpack(head)[0]))
        frames.put(b"")

    Thread(target=read_ahead, daemon=True).start()
    while body := frames.get():
        sink.write(pack([verdict(item) for item in unpack(body)]))
        sink.flush()


if __name__ == "__main__":
    serve()
