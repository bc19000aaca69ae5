"""The messages of family 5, version 1: cosignatures of checkpoints, told by who made them, asked for by who lacks them.

How it works
    `Cosigned` carries cosignatures by one or more devices; a device's at one time share their head. `Lacking` names
    heads and, as a bitmap over the feed's witnesses in order of their ids, whose cosignature one does not have. The
    answer is `Cosigned`, or silence.

What it does not do
    It verifies no signature and keeps nothing: node.witness does, before it passes anything on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, Final, TypeAlias

from gossip.messages import VERSION, WITNESS, Envelope, a_list, bad, multiple, octets, parts, seal, uint
from ledger.checkpoint import MAX_TIME, Head
from ledger.feed import FEED_LEAVES_MAX
from ledger.witnessing import Cosigned as Line

LINES_MAX: Final = 512
"""Cosignatures in one message."""
LACKING_MAX: Final = 4_096
"""Heads in one Lacking."""

_LINE_BYTES: Final = 32 + 8 + 32 + 64
_LACKING_BYTES: Final = 32 + 8 + 8


@dataclass(frozen=True, slots=True)
class Cosigned:
    """Cosignatures, those of one device and time together."""

    KIND: ClassVar[int] = 1
    lines: tuple[Line, ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        groups = groupby(self.lines, key=lambda line: (line.device, line.time))
        return [[[device, time, b"".join(map(_pack, lines))] for (device, time), lines in groups]]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Cosigned:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        (groups,) = parts(body, 1)
        lines: list[Line] = []
        for group in a_list(groups, LINES_MAX, "groups"):
            device, time, packed = parts(group, 3)
            rows = multiple(packed, _LINE_BYTES, LINES_MAX - len(lines), "lines")
            who = octets(device, 32, "device"), uint(time, MAX_TIME, "time")
            lines += [_unpack(*who, rows[at : at + _LINE_BYTES]) for at in range(0, len(rows), _LINE_BYTES)]
        return cls(tuple(lines))


@dataclass(frozen=True, slots=True)
class Lacking:
    """Of these heads (feed, size) I lack the cosignatures of the witnesses in the bitmap (64 bits, bit i: the i-th)."""

    KIND: ClassVar[int] = 2
    items: tuple[tuple[bytes, int, int], ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [b"".join(feed + size.to_bytes(8, "big") + bits.to_bytes(8, "big") for feed, size, bits in self.items)]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Lacking:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        (packed,) = parts(body, 1)
        rows = multiple(packed, _LACKING_BYTES, LACKING_MAX, "items")
        items = (rows[at : at + _LACKING_BYTES] for at in range(0, len(rows), _LACKING_BYTES))
        return cls(tuple((item[:32], _size(item[32:40]), int.from_bytes(item[40:], "big")) for item in items))


Message: TypeAlias = Cosigned | Lacking
"""The messages of family 5."""

_READERS: Final[dict[int, Callable[[Sequence[Any]], Message]]] = {kind.KIND: kind.read for kind in (Cosigned, Lacking)}


def encode(message: Message) -> bytes:
    """Return the bytes of a message of family 5."""
    return seal(WITNESS, VERSION, message.KIND, message.body())


def decode(envelope: Envelope) -> Message | None:
    """Return a message of family 5, or None for a kind that is unknown here. Raises RemoteError BAD_MESSAGE."""
    reader = _READERS.get(envelope.kind)
    return reader(envelope.body()) if reader is not None else None


def _pack(line: Line) -> bytes:
    return line.head.feed + line.head.size.to_bytes(8, "big") + line.head.root + line.signature


def _unpack(device: bytes, time: int, row: bytes) -> Line:
    return Line(device, time, Head(row[:32], _size(row[32:40]), row[40:72]), row[72:])


def _size(data: bytes) -> int:
    size = int.from_bytes(data, "big")
    if size > FEED_LEAVES_MAX:
        raise bad("size", "No feed has so many leaves.")
    return size
