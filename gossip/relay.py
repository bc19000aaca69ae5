"""The messages of family 6, version 1: sealed frames that a member passes on between two that cannot reach each other.

How it works
    A member opens a circuit at a relay (`Open`) to a device; the relay tells that device (`Call`) under a number of
    its own. Both then send `Piece`s: bytes of an ordinary channel between the two ends, opaque to the relay. `Credit`
    says how many bytes were taken out and may follow; `End` ends the circuit with a code. Numbers hold on one channel:
    the end with the smaller device id chooses even ones, the other odd ones.

What it does not do
    It keeps no circuit (gossip/circuits.py) and opens no seal: who passes pieces on sees devices, sizes and times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from gossip.messages import RELAY, VERSION, Envelope, bad, octets, parts, seal, uint
from ledger.errors import RemoteError

PIECE_BYTES_MAX: Final = 16_384
"""Bytes in one piece."""
WINDOW_BYTES: Final = 131_072
"""Bytes of one direction of a circuit that are on their way at most; more ends it."""
CIRCUITS_MAX: Final = 2**32 - 1
"""The greatest number of a circuit."""

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,47}")


@dataclass(frozen=True, slots=True)
class Open:
    """To a relay: open a circuit to `device` (its id, 32 bytes)."""

    KIND: ClassVar[int] = 1
    circuit: int
    device: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.circuit, self.device]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Open:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        circuit, device = parts(body, 2)
        return cls(uint(circuit, CIRCUITS_MAX, "circuit"), octets(device, 32, "device"))


@dataclass(frozen=True, slots=True)
class Call:
    """From a relay: `device` (its id, 32 bytes) has opened a circuit to you."""

    KIND: ClassVar[int] = 2
    circuit: int
    device: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.circuit, self.device]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Call:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        circuit, device = parts(body, 2)
        return cls(uint(circuit, CIRCUITS_MAX, "circuit"), octets(device, 32, "device"))


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the channel between the two ends, 1 to PIECE_BYTES_MAX."""

    KIND: ClassVar[int] = 3
    circuit: int
    data: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.circuit, self.data]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Piece:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        circuit, data = parts(body, 2)
        if type(data) is not bytes or not 0 < len(data) <= PIECE_BYTES_MAX:
            raise bad("data", f"A piece has 1 to {PIECE_BYTES_MAX} bytes.")
        return cls(uint(circuit, CIRCUITS_MAX, "circuit"), data)


@dataclass(frozen=True, slots=True)
class Credit:
    """So many more bytes were taken out (at least 1), and may follow."""

    KIND: ClassVar[int] = 4
    circuit: int
    size: int

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.circuit, self.size]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Credit:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        circuit, size = parts(body, 2)
        if uint(size, WINDOW_BYTES, "size") == 0:
            raise bad("size", "A credit is for one byte at least.")
        return cls(uint(circuit, CIRCUITS_MAX, "circuit"), size)


@dataclass(frozen=True, slots=True)
class End:
    """The circuit has ended, for the reason `code`."""

    KIND: ClassVar[int] = 5
    circuit: int
    code: str

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.circuit, self.code]

    @classmethod
    def read(cls, body: Sequence[Any]) -> End:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        circuit, code = parts(body, 2)
        if type(code) is not str or not _CODE.fullmatch(code):
            raise bad("code", "A code is 1 to 48 capital letters, digits and underscores.")
        return cls(uint(circuit, CIRCUITS_MAX, "circuit"), code)


RelayMessage: TypeAlias = Open | Call | Piece | Credit | End
"""The messages of family 6."""

_READERS: Final[dict[int, Callable[[Sequence[Any]], RelayMessage]]] = {
    kind.KIND: kind.read for kind in (Open, Call, Piece, Credit, End)
}


def encode(message: RelayMessage) -> bytes:
    """Return the bytes of a message of family 6. Raises LocalError UNENCODABLE, MESSAGE_TOO_LARGE."""
    return seal(RELAY, VERSION, message.KIND, message.body())


def decode(data: bytes) -> RelayMessage | None:
    """Return a message of family 6, or None for an unknown version or kind. Raises RemoteError as its parts do."""
    envelope = Envelope.open(data)
    if envelope.family != RELAY:
        raise RemoteError("BAD_MESSAGE", "This message is not of family 6.", field="family")
    reader = _READERS.get(envelope.kind) if envelope.version == VERSION else None
    return reader(envelope.body()) if reader is not None else None


def is_relayed(data: bytes) -> bool:
    """Say whether a message is of family 6, by its second byte."""
    return data[1:2] == bytes((RELAY,))
