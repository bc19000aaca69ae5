"""The messages of family 4, version 1: how members agree on the next epoch (governance.md §2).

How it works
    Each message begins with the number `n` of the epoch that is being sealed, so it can be sorted before anything
    is verified. `Word` carries one signed message of the agreement (ledger.governance.rounds); `Have` says which of
    them a node holds, one bitmap a round and step, and the other side sends what is not in it; `Ask` and `Part` move
    a frontier list; `Sealed` is the certificate, for whoever still talks of an epoch that is over.

What it does not do
    It verifies no signature and keeps nothing: node.sealing does, before it passes anything on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from gossip.messages import SEALS, VERSION, Envelope, a_list, bad, multiple, octets, parts, seal, uint
from ledger.checkpoint import Head
from ledger.governance.certificate import CERTIFICATE_BYTES_MAX, ROUND_MAX, VOTERS_MAX
from ledger.governance.rounds import MESSAGE_BYTES_MAX
from ledger.kinds import FRONTIER_HEADS_MAX, FRONTIER_PARTS_MAX

ROWS_MAX: Final = 256
"""Rounds and steps in one Have."""
BITMAP_BYTES_MAX: Final = (VOTERS_MAX + 7) // 8
HEAD_BYTES: Final = 32 + 8 + 32
"""Feed, size, root: a head as it is packed."""

_HASH: Final = 32
_STEP_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Word:
    """One message of a voter, as it signed it (rounds.Message.encode)."""

    KIND: ClassVar[int] = 1
    n: int
    raw: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.n, self.raw]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Word:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        n, raw = parts(body, 2)
        return cls(_number(n), _blob(raw, MESSAGE_BYTES_MAX, "raw"))


@dataclass(frozen=True, slots=True)
class Have:
    """What I hold of the agreement after epoch `reference`, being in `round`: (round, step, bitmap of voters) a row.

    Voter i is bit i % 8 of byte i // 8.
    """

    KIND: ClassVar[int] = 2
    n: int
    reference: bytes
    round: int
    rows: tuple[tuple[int, int, bytes], ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.n, self.reference, self.round, [list(row) for row in self.rows]]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Have:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        n, reference, own, rows = parts(body, 4)
        listed = (parts(row, 3) for row in a_list(rows, ROWS_MAX, "rows"))
        read = (
            (uint(round_, ROUND_MAX, "round"), uint(step, _STEP_MAX, "step"), _blob(bits, BITMAP_BYTES_MAX, "bitmap"))
            for round_, step, bits in listed
        )
        return cls(_number(n), octets(reference, _HASH, "reference"), uint(own, ROUND_MAX, "round"), tuple(read))


@dataclass(frozen=True, slots=True)
class Ask:
    """Send me the frontier list with this digest, once you have it."""

    KIND: ClassVar[int] = 3
    n: int
    digest: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.n, self.digest]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Ask:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        n, digest = parts(body, 2)
        return cls(_number(n), octets(digest, _HASH, "digest"))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a frontier list: of the heads that differ from the frontier sealed last, ascending by feed."""

    KIND: ClassVar[int] = 4
    n: int
    digest: bytes
    part: int
    count: int
    heads: tuple[Head, ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.n, self.digest, self.part, self.count, pack_heads(self.heads)]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Part:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        n, digest, part, count, packed = parts(body, 5)
        whole = uint(count, FRONTIER_PARTS_MAX, "count")
        if whole == 0:
            raise bad("count", "A list has at least one part.")
        heads = unpack_heads(multiple(packed, HEAD_BYTES, FRONTIER_HEADS_MAX, "heads"))
        return cls(_number(n), octets(digest, _HASH, "digest"), uint(part, whole - 1, "part"), whole, heads)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Epoch `n` is sealed: the certificate (certificate.Certificate.encode) of the one that follows it."""

    KIND: ClassVar[int] = 5
    n: int
    raw: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.n, self.raw]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Sealed:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        n, raw = parts(body, 2)
        return cls(_number(n), _blob(raw, CERTIFICATE_BYTES_MAX, "raw"))


Message: TypeAlias = Word | Have | Ask | Part | Sealed
"""The messages of family 4."""

_READERS: Final[dict[int, Callable[[Sequence[Any]], Message]]] = {
    kind.KIND: kind.read for kind in (Word, Have, Ask, Part, Sealed)
}


def encode(message: Message) -> bytes:
    """Return the bytes of a message of family 4."""
    return seal(SEALS, VERSION, message.KIND, message.body())


def decode(envelope: Envelope) -> Message | None:
    """Return a message of family 4, or None for a kind that is unknown here. Raises RemoteError BAD_MESSAGE."""
    reader = _READERS.get(envelope.kind)
    return reader(envelope.body()) if reader is not None else None


def pack_heads(heads: Sequence[Head]) -> bytes:
    """Return heads as feed, size (8 bytes) and root, one after another."""
    return b"".join(head.feed + head.size.to_bytes(8, "big") + head.root for head in heads)


def unpack_heads(packed: bytes) -> tuple[Head, ...]:
    """Do the reverse of `pack_heads`; the length must be a multiple of HEAD_BYTES."""
    rows = (packed[at : at + HEAD_BYTES] for at in range(0, len(packed), HEAD_BYTES))
    return tuple(Head(row[:32], int.from_bytes(row[32:40], "big"), row[40:]) for row in rows)


def _number(value: Any) -> int:
    return uint(value, ROUND_MAX, "n")


def _blob(value: Any, most: int, field: str) -> bytes:
    if type(value) is not bytes or not 0 < len(value) <= most:
        raise bad(field, f"It must be 1 to {most} bytes.")
    return value
