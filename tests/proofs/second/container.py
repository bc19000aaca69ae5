"""The container of README.md ("The bytes, version 1"): from bytes to items whose hashes are looked up.

How it works
    Each item has a parser; parsers of lists and rows are made of others. `_Table` hands out hashes by number and
    remembers which were named.

What it does not do
    It checks nothing but form.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from tests.proofs.second import cbor
from tests.proofs.second.entries import Head, Refused, need
from tests.proofs.second.shapes import BOUND, SLOT, TIME

_BIG: Final = 2**63 - 1
_32: Final = 2**32 - 1
Item = Callable[[Any], Any]


class Logged(NamedTuple):
    """An entry and its place."""

    raw: bytes
    under: int
    at: int
    path: list[bytes]


class Cosigned(NamedTuple):
    """Another device's cosignature."""

    feed: bytes
    time: int
    signature: bytes


class Checkpoint(NamedTuple):
    """A signed head."""

    feed: bytes
    size: int
    root: bytes
    time: int
    signature: bytes
    others: list[Cosigned]

    @property
    def head(self) -> Head:
        """What is signed."""
        return self.feed, self.size, self.root


class Place(NamedTuple):
    """Where a value stands in a map."""

    value: bytes
    at: int
    size: int
    path: list[bytes]
    top: list[bytes]


class Attestation(NamedTuple):
    """The small form of an attestation."""

    feed: bytes
    iat: int
    cti: bytes
    seen: list[Head]
    signature: bytes


class Tick(NamedTuple):
    """A tick as it is carried."""

    boundary: int
    frontier: list[Head]
    members: tuple[int, bytes]
    consents: tuple[int, bytes]
    evaluator: int
    grants: list[tuple[int, Place]]
    people: list[tuple[bytes, Place]]
    attestations: list[Attestation]


class Voter(NamedTuple):
    """A voter of an epoch."""

    kid: bytes
    incarnation: int
    key: bytes
    college: str


class Step(NamedTuple):
    """A step of the epoch chain."""

    epoch: bytes | None
    certificate: bytes | None
    voters: list[Voter]
    heirs: list[tuple[int, int]]


class Statement(NamedTuple):
    """One end's word on a transfer: [entry, position, account]."""

    entry: int
    position: int
    account: list[Any] | None


class Bundle(NamedTuple):
    """The whole file. `bare`: its bytes without the presentation, where it has one."""

    selection: str
    genesis: bytes
    entries: list[Logged]
    checkpoints: list[Checkpoint]
    ticks: list[Tick]
    disclosed: list[tuple[int, list[Any]]]
    epochs: list[Step]
    transfers: list[tuple[Statement, Statement | None]]
    presentation: list[Any] | None
    stamps: list[Any]
    attachments: list[Any]
    about: list[Any] | None
    bounds: list[tuple[int, list[Any]]]
    bare: bytes


def _ensure(holds: object, words: str) -> None:
    need(holds, "MALFORMED", words)


def _uint(most: int) -> Item:
    def read(value: Any) -> int:
        _ensure(type(value) is int and 0 <= value <= most, f"a number up to {most}")
        return int(value)

    return read


def _octets(low: int, high: int | None = None) -> Item:
    def read(value: Any) -> bytes:
        _ensure(type(value) is bytes and low <= len(value) <= (low if high is None else high), "a byte string")
        return bytes(value)

    return read


def _text(low: int) -> Item:
    def read(value: Any) -> str:
        _ensure(type(value) is str and low <= len(value) <= 500, "a text")
        return str(value)

    return read


def _list(item: Item, low: int, high: int, order: Callable[[Any], Any] | None = None) -> Item:
    def read(value: Any) -> list[Any]:
        _ensure(type(value) is list and low <= len(value) <= high, f"a list of {low} to {high}")
        items = [item(each) for each in value]
        if order is not None:
            _ensure(all(order(one) < order(other) for one, other in pairwise(items)), "items ascend, each once")
        return items

    return read


def _row(make: Callable[..., Any], *items: Item) -> Item:
    def read(value: Any) -> Any:
        _ensure(type(value) is list and len(value) == len(items), f"a list of {len(items)}")
        return make(*(item(each) for item, each in zip(items, value, strict=True)))

    return read


def _optional(item: Item) -> Item:
    return lambda value: None if value is None else item(value)


def _pair(*values: Any) -> tuple[Any, ...]:
    return values


def _row_of(*values: Any) -> list[Any]:
    return list(values)


def _field(value: Any) -> str:
    _ensure(type(value) is str and value in SLOT, "a field of schema 1")
    return str(value)


def _bound(value: Any) -> str:
    _ensure(type(value) is str and value in BOUND, "a bound of schema 1")
    return str(value)


_PARTY: Final = _row(_row_of, _octets(32), _uint(_32))
_ACCOUNT: Final = _row(
    _row_of,
    *(_octets(16), _octets(16), _octets(32), _PARTY, _PARTY, _optional(_octets(32)), _list(_octets(32), 0, 64)),
    *(_octets(32), _uint(2**53), _uint(2**53), _row(_row_of, _uint(TIME), _uint(TIME)), _uint(TIME), _uint(TIME)),
)
_PRESENTATION: Final = _row(_row_of, _text(0), _octets(0, 64), _uint(TIME), _octets(32), _octets(64))
_STAMP: Final = _row(_row_of, _uint(2), _uint(_32), _octets(1, 16_384))
_TYPES: Final = (
    *("text/plain", "text/markdown", "text/html", "application/pdf", "image/png", "image/jpeg"),
    *("application/octet-stream", "application/vnd.maille.rules+cbor"),
)


def _type(value: Any) -> str:
    _ensure(type(value) is str and value in _TYPES, "a media type")
    return str(value)


_ATTACHMENT: Final = _row(_row_of, _octets(32), _type, _optional(_octets(0, 1 << 20)))


class _Table:
    """The hash table, and the parsers that use it."""

    def __init__(self, raw: bytes) -> None:
        _ensure(len(raw) % 32 == 0 and len(raw) <= 16_384 * 32, "the table of hashes")
        self.hashes = [raw[at : at + 32] for at in range(0, len(raw), 32)]
        _ensure(all(one < other for one, other in pairwise(self.hashes)), "hashes ascend")
        self.named: set[int] = set()
        self.path = _list(self.hash, 0, 63)
        self.head = _row(_pair, self.hash, _uint(_BIG), self.hash)
        self.place = _row(Place, _octets(0, 65_536), _uint(_32), _uint(_32), self.path, self.path)
        self.map = _row(_pair, _uint(_BIG), self.hash)

    def hash(self, value: Any) -> bytes:
        at = _uint(len(self.hashes) - 1)(value)
        self.named.add(at)
        return self.hashes[at]

    def checkpoints(self, value: Any) -> list[Checkpoint]:
        other = _row(Cosigned, self.hash, _uint(TIME), _octets(64))
        others = _list(other, 0, 64, lambda each: each.feed)
        signed = _row(Checkpoint, self.hash, _uint(_BIG), self.hash, _uint(TIME), _octets(64), others)
        read: list[Checkpoint] = _list(signed, 1, 512, lambda each: each.head)(value)
        return read

    def entries(self, value: Any, checkpoints: int) -> list[Logged]:
        logged = _row(Logged, _octets(0, 1 << 20), _uint(checkpoints - 1), _uint(_BIG), self.path)
        read: list[Logged] = _list(logged, 1, 1_024)(value)
        return read

    def tick(self, entries: int) -> Item:
        grant = _row(_pair, _uint(entries - 1), self.place)
        person = _row(_pair, self.hash, self.place)
        seen = _list(self.head, 1, 8)
        attestation = _row(Attestation, self.hash, _uint(TIME - 1), _octets(16), seen, _octets(64))
        parts = [_uint(TIME), _list(self.head, 1, 4_096, lambda head: head[0]), self.map, self.map, _uint(_32)]
        parts += [_list(grant, 0, 256, lambda each: each[0]), _list(person, 0, 256, lambda each: each[0])]
        parts += [_list(attestation, 0, 64, lambda each: each.feed)]

        def read(value: Any) -> Tick:
            _ensure(type(value) is dict and value.keys() == set(range(1, 9)), "a tick has the keys 1 to 8")
            return Tick(*(part(value[at]) for at, part in enumerate(parts, 1)))

        return read

    def epoch(self, entries: int) -> Item:
        voter = _row(Voter, self.hash, _uint(_32), _octets(32), _text(0))
        voters = _list(voter, 1, 512, lambda each: (each.kid, each.incarnation))
        heirs = _list(_row(_pair, _uint(511), _uint(entries - 1)), 1, 512, lambda each: each[0])
        raw = _optional(_octets(0, 1 << 20))

        def read(value: Any) -> Step:
            _ensure(type(value) is list and len(value) in (3, 4), "a step")
            step = Step(raw(value[0]), raw(value[1]), voters(value[2]), heirs(value[3]) if len(value) > 3 else [])
            _ensure((step.epoch is None) != (step.certificate is None), "an epoch or a certificate")
            _ensure(not step.heirs or step.epoch is None, "nobody signed a bare epoch")
            return step

        return read


def read_bundle(data: bytes) -> Bundle:
    """Read a file. Raises Refused MALFORMED, UNREFERENCED_ITEM."""
    try:
        value = cbor.read(data, 1 << 20)
    except cbor.BadBytes as fault:
        raise Refused("MALFORMED", str(fault)) from None
    _ensure(type(value) is dict and set(range(1, 8)) <= value.keys() <= set(range(1, 16)), "the keys of a bundle")
    selection = value[2]
    _ensure(type(value[1]) is int and value[1] == 1 and type(selection) is str, "version and selection")
    _ensure(selection in ("consent", "conduct", "period"), "selection")
    table = _Table(_octets(0, 1 << 20)(value[3]))
    checkpoints = table.checkpoints(value[6])
    entries = table.entries(value[5], len(checkpoints))
    least = 0 if selection == "conduct" else 1
    ticks = _list(table.tick(len(entries)), least, 32, lambda tick: tick.boundary)(value[7])
    entry = _uint(len(entries) - 1)
    shown = _list(_row(_row_of, _octets(16), lambda v: v, _field), 1, len(SLOT), lambda each: SLOT[each[2]])
    statement = _row(Statement, entry, _uint(_32), _optional(_ACCOUNT))

    def part(key: int, item: Item, most: int, order: Callable[[Any], Any] | None = None) -> list[Any]:
        read: list[Any] = _list(item, 1, most, order)(value[key]) if key in value else []
        return read

    disclosed = part(8, _row(_pair, entry, shown), 256, lambda each: each[0])
    epochs = part(9, table.epoch(len(entries)), 256)
    _ensure(all(step.epoch is None for step in epochs[1:]), "a bare epoch comes first")
    by_receipt: Callable[[Any], Any] = lambda each: (each[0].entry, each[0].position)  # noqa: E731
    transfers = part(10, _row(_pair, statement, _optional(statement)), 512, by_receipt)
    stamps = part(12, _STAMP, 32, lambda each: (each[0], each[1]))
    counts = (len(ticks), len(checkpoints), len(entries))
    _ensure(all(number < counts[what] for what, number, _ in stamps), "a time stamp names an item")
    attachments = part(13, _ATTACHMENT, 32, lambda each: each[0])
    presentation = _PRESENTATION(value[11]) if 11 in value else None
    bounded = _list(_row(_row_of, _octets(16), lambda v: v, _bound), 1, len(BOUND), lambda each: BOUND[each[2]])
    bounds = part(15, _row(_pair, entry, bounded), 256, lambda each: each[0])
    about = _about(selection, value)
    need(len(table.named) == len(table.hashes), "UNREFERENCED_ITEM", "an idle hash")
    bare = cbor.write({key: held for key, held in value.items() if key != 11}) if presentation is not None else b""
    listed = (disclosed, epochs, transfers, presentation, stamps, attachments, about, bounds, bare)
    return Bundle(selection, _octets(0, 1 << 20)(value[4]), entries, checkpoints, ticks, *listed)


def _about(selection: str, value: dict[int, Any]) -> list[Any] | None:
    if selection == "consent":
        _ensure(14 not in value, "a consent is about nobody else")
        return None
    item = _PARTY if selection == "conduct" else _row(_row_of, _uint(TIME), _uint(TIME))
    about: list[Any] = item(value.get(14))
    _ensure(selection == "conduct" or about[0] <= about[1], "a period")
    return about
