"""The messages of gossip (family 1, version 1): what nodes say to each other about feeds.

How it works
    Each message is a frozen dataclass that knows its KIND, gives its body with `body`, and is read by `read` from a
    peer's values, which checks every type and bound. gossip/README.md is the wire specification.

What it does not do
    It checks no signature and no size against a ledger: a message that is well formed may still be a lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from gossip.messages import GOSSIP, VERSION, Envelope, a_list, bad, multiple, octets, parts, seal, uint
from gossip.reconcile import ITEM_BYTES, MAX_KEY_BYTES, MAX_SYMBOLS, MIN_KEY_BYTES, SYMBOL_BYTES
from ledger import codec
from ledger.feed import FEED_LEAVES_MAX, RUN_LEAVES_MAX, Run, SignedHead

RUNS_MAX: Final = 4_096
"""Runs in one message."""
PATH_HASHES_MAX: Final = 128
"""Hashes of a run's consistency path."""
HEADS_MAX: Final = 512
"""Signed heads in one message."""
WANTS_MAX: Final = 4_096
"""Feeds in one Want or Got."""
ITEMS_MAX: Final = 8_192
"""Feed heads in one message of a plain list."""
BRANCH_LEAVES_MAX: Final = 8_192
"""Leaf hashes in one message."""
MARKS_MAX: Final = 16_384
"""Feeds in one Marks."""
ID_MAX: Final = (1 << 32) - 1
"""The largest number of an exchange, batch or page."""


_HASH: Final = 32
_SIGNATURE: Final = 64
_TIME_MAX: Final = (1 << 63) - 1
_MARK_BYTES: Final = _HASH + 8 + 8


@dataclass(frozen=True, slots=True)
class Runs:
    """Leaves, as pushed (token 0) or asked for. A token above 0 is answered with `Got` once all is dealt with."""

    KIND: ClassVar[int] = 1
    token: int
    runs: tuple[Run, ...]

    def body(self) -> list[Any]:
        """Return the values after the header: the leaves stand as they are, with no more than a CBOR head each."""
        return [self.token, [_run_list(run) for run in self.runs]]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Runs:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        token, runs = parts(body, 2)
        return cls(uint(token, ID_MAX, "token"), tuple(_read_run(r) for r in a_list(runs, RUNS_MAX, "runs")))


@dataclass(frozen=True, slots=True)
class Heads:
    """Signed heads: an announcement of leaves, or a heartbeat. Which of the two, the receiver sees by its own."""

    KIND: ClassVar[int] = 2
    heads: tuple[tuple[bytes, SignedHead], ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [[[feed, *head.as_list()] for feed, head in self.heads]]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Heads:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        (heads,) = parts(body, 1)
        return cls(tuple(_read_head(parts(head, 5)) for head in a_list(heads, HEADS_MAX, "heads")))


@dataclass(frozen=True, slots=True)
class Want:
    """Send me these feeds, each from that leaf on. Where nothing lies beyond, the answer is the feed's head."""

    KIND: ClassVar[int] = 3
    items: tuple[tuple[bytes, int], ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [[list(item) for item in self.items]]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Want:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        (items,) = parts(body, 1)
        return cls(_places(items))


@dataclass(frozen=True, slots=True)
class Got:
    """The batch `token` is dealt with, and this is what I now hold of its feeds: send the next."""

    KIND: ClassVar[int] = 4
    token: int
    items: tuple[tuple[bytes, int], ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.token, [list(item) for item in self.items]]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Got:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        token, items = parts(body, 2)
        return cls(uint(token, ID_MAX, "token"), _places(items))


@dataclass(frozen=True, slots=True)
class Summary:
    """Opens an exchange: the digest and number of my heads; the digest of when we two were last equal, or b"";
    the last tick boundary that I passed (unix seconds, 0 for none) and the digest of my marks for it, or b"".
    """

    KIND: ClassVar[int] = 5
    exchange: int
    digest: bytes
    count: int
    base: bytes
    boundary: int
    marks: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.exchange, self.digest, self.count, self.base, self.boundary, self.marks]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Summary:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        exchange, digest, count, base, boundary, marks = parts(body, 6)
        return cls(
            uint(exchange, ID_MAX, "exchange"),
            octets(digest, _HASH, "digest"),
            uint(count, _TIME_MAX, "count"),
            octets(base, _HASH, "base") if base != b"" else b"",
            uint(boundary, _TIME_MAX, "boundary"),
            octets(marks, _HASH, "marks") if marks != b"" else b"",
        )


@dataclass(frozen=True, slots=True)
class Same:
    """Answers a Summary: our digests are equal."""

    KIND: ClassVar[int] = 6
    exchange: int

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.exchange]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Same:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        (exchange,) = parts(body, 1)
        return cls(uint(exchange, ID_MAX, "exchange"))


@dataclass(frozen=True, slots=True)
class Symbols:
    """Answers a Summary: coded symbols of my heads from index `start` on, under `key` (gossip.reconcile)."""

    KIND: ClassVar[int] = 7
    exchange: int
    key: bytes
    start: int
    symbols: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.exchange, self.key, self.start, self.symbols]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Symbols:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        exchange, key, start, symbols = parts(body, 4)
        if type(key) is not bytes or not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
            raise bad("key", f"A key has {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes.")
        whole = multiple(symbols, SYMBOL_BYTES, MAX_SYMBOLS, "symbols")
        return cls(uint(exchange, ID_MAX, "exchange"), key, uint(start, MAX_SYMBOLS, "start"), whole)


@dataclass(frozen=True, slots=True)
class More:
    """I have `start` symbols, and they are not enough. 0: send the heads themselves."""

    KIND: ClassVar[int] = 8
    exchange: int
    start: int

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.exchange, self.start]

    @classmethod
    def read(cls, body: Sequence[Any]) -> More:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        exchange, start = parts(body, 2)
        return cls(uint(exchange, ID_MAX, "exchange"), uint(start, MAX_SYMBOLS, "start"))


@dataclass(frozen=True, slots=True)
class Listed:
    """Answers a Summary: page `page` of my heads, items of 72 bytes one after the other, all in order of feed.

    `since_base`: only the heads that changed since the base that the Summary named.
    """

    KIND: ClassVar[int] = 9
    exchange: int
    page: int
    last: bool
    since_base: bool
    items: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.exchange, self.page, self.last, self.since_base, self.items]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Listed:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        exchange, page, last, since_base, items = parts(body, 5)
        if type(last) is not bool or type(since_base) is not bool:
            raise bad("last", "It must be true or false.")
        whole = multiple(items, ITEM_BYTES, ITEMS_MAX, "items")
        return cls(uint(exchange, ID_MAX, "exchange"), uint(page, ID_MAX, "page"), last, since_base, whole)


@dataclass(frozen=True, slots=True)
class Branch:
    """Send me the leaf hashes of a feed from `start` to `stop` (excluded): our roots differ."""

    KIND: ClassVar[int] = 10
    feed: bytes
    start: int
    stop: int

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.feed, self.start, self.stop]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Branch:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        feed, start, stop = parts(body, 3)
        read = cls(octets(feed, _HASH, "feed"), _index(start), _index(stop))
        if not read.start < read.stop <= read.start + BRANCH_LEAVES_MAX:
            raise bad("stop", f"Ask for 1 to {BRANCH_LEAVES_MAX} leaf hashes.")
        return read


@dataclass(frozen=True, slots=True)
class Leaves:
    """Answers a Branch: leaf hashes of a feed from `start` on, 32 bytes each; none where they are not held."""

    KIND: ClassVar[int] = 11
    feed: bytes
    start: int
    hashes: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.feed, self.start, self.hashes]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Leaves:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        feed, start, hashes = parts(body, 3)
        whole = multiple(hashes, _HASH, BRANCH_LEAVES_MAX, "hashes")
        return cls(octets(feed, _HASH, "feed"), _index(start), whole)


@dataclass(frozen=True, slots=True)
class Tick:
    """Somebody asks for a tick at `boundary` (unix seconds), beside those that the policy fixes."""

    KIND: ClassVar[int] = 12
    boundary: int

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.boundary]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Tick:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        (boundary,) = parts(body, 1)
        return cls(uint(boundary, _TIME_MAX, "boundary"))


@dataclass(frozen=True, slots=True)
class Marks:
    """The newest checkpoint that I know of each feed up to `boundary`: (feed, size, time). `reply`: say yours."""

    KIND: ClassVar[int] = 13
    boundary: int
    reply: bool
    items: tuple[tuple[bytes, int, int], ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        packed = (feed + size.to_bytes(8, "big") + time.to_bytes(8, "big") for feed, size, time in self.items)
        return [self.boundary, self.reply, b"".join(packed)]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Marks:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        boundary, reply, items = parts(body, 3)
        if type(reply) is not bool:
            raise bad("reply", "It must be true or false.")
        packed = multiple(items, _MARK_BYTES, MARKS_MAX, "items")
        rows = (packed[at : at + _MARK_BYTES] for at in range(0, len(packed), _MARK_BYTES))
        read = ((row[:32], int.from_bytes(row[32:40], "big"), int.from_bytes(row[40:], "big")) for row in rows)
        return cls(uint(boundary, _TIME_MAX, "boundary"), reply, tuple(read))


Message: TypeAlias = (
    Runs | Heads | Want | Got | Summary | Same | Symbols | More | Listed | Branch | Leaves | Tick | Marks
)
"""The messages of family 1."""

_READERS: Final[dict[int, Callable[[Sequence[Any]], Message]]] = {
    kind.KIND: kind.read
    for kind in (Runs, Heads, Want, Got, Summary, Same, Symbols, More, Listed, Branch, Leaves, Tick, Marks)
}


def encode(message: Message) -> bytes:
    """Return the bytes of a message of family 1."""
    return seal(GOSSIP, VERSION, message.KIND, message.body())


def decode(envelope: Envelope) -> Message | None:
    """Return a message of family 1, or None for a kind that is unknown here. Raises RemoteError BAD_MESSAGE."""
    reader = _READERS.get(envelope.kind)
    return reader(envelope.body()) if reader is not None else None


def _index(value: Any) -> int:
    return uint(value, FEED_LEAVES_MAX, "index")


def _places(value: Any) -> tuple[tuple[bytes, int], ...]:
    items = (parts(item, 2) for item in a_list(value, WANTS_MAX, "items"))
    return tuple((octets(feed, _HASH, "feed"), _index(index)) for feed, index in items)


def _read_head(value: Sequence[Any]) -> tuple[bytes, SignedHead]:
    feed, size, root, time, signature = value
    read = octets(root, _HASH, "root"), uint(time, _TIME_MAX, "time"), octets(signature, _SIGNATURE, "signature")
    return octets(feed, _HASH, "feed"), SignedHead(_index(size), *read)


def _run_list(run: Run) -> list[Any]:
    return [run.feed, *run.head.as_list(), run.start, b"".join(run.path), list(run.raws)]


def _read_run(value: Any) -> Run:
    listed = parts(value, 8)
    feed, head = _read_head(listed[:5])
    path = multiple(listed[6], _HASH, PATH_HASHES_MAX, "path")
    raws = a_list(listed[7], RUN_LEAVES_MAX, "leaves")
    if not raws or not all(type(raw) is bytes and 0 < len(raw) <= codec.MAX_BYTES for raw in raws):
        raise bad("leaves", f"A run has leaves, each a byte string of at most {codec.MAX_BYTES} bytes.")
    start = _index(listed[5])
    if start + len(raws) > head.size:
        raise bad("size", "A run ends beyond its own checkpoint.")
    hashes = tuple(path[at : at + _HASH] for at in range(0, len(path), _HASH))
    return Run(feed, start, tuple(raws), head, hashes)
