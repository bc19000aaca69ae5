"""The bundle: one `.mailleproof` file as bytes and as values (ledger.md §7; the bytes are specified in README.md).

How it works
    A bundle is a deterministic CBOR map. Every 32-byte hash (feed, root, path node, key id) stands once, in a
    sorted table, and is named by its index: paths of one tree share most of their nodes. Lists have one order
    each, so equal contents are equal bytes. `Bundle.decode` checks shapes, orders, counts and the hash table, and
    resolves every index; `encode` is its inverse. Nothing is derived twice: a tick's state root and frontier
    digest, a leaf's key, a key id of a signature line are all computed by whoever reads.

What it does not do
    It verifies nothing: no signature, no path (verify). It gathers nothing (make). A key that version 1 does not
    know is refused, since an item that nobody checks must not travel; later versions add keys, and keep these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, NoReturn

from ledger import codec, merkle
from ledger.checkpoint import Checkpoint, Head, cosignature, origin
from ledger.consent.record import SLOTS
from ledger.errors import RemoteError
from ledger.maps import MapProof, map_key

VERSION: Final = 1
SELECTION: Final = "consent"
"""What the bundle is about: one consent."""
BUNDLE_BYTES_MAX: Final = 1 << 20
HASHES_MAX: Final = 16_384
"""Hashes in the table; half a mebibyte."""
ENTRIES_MAX: Final = 256
CHECKPOINTS_MAX: Final = 256
TICKS_MAX: Final = 2
FEEDS_MAX: Final = 4_096
"""Feeds in one frontier."""
MEMBERS_MAX: Final = 128
"""Member proofs under one tick."""
ATTESTATIONS_MAX: Final = 64
PATH_MAX: Final = 63
VALUE_BYTES_MAX: Final = 16_384
"""The largest value of a committed map."""
SALT_BYTES: Final = 16

_HASH: Final = merkle.HASH_BYTES
_UINT32: Final = 2**32 - 1
_TIME: Final = 2**40


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry (`raw`) and where it is logged: leaf `index` under the bundle's checkpoint number `checkpoint`."""

    raw: bytes
    checkpoint: int
    index: int
    path: tuple[bytes, ...]

    @property
    def id(self) -> bytes:
        """The entry's id: SHA-256 of its bytes."""
        return sha256(self.raw).digest()


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A feed's head with its owner's cosignature/v1: unix seconds and 64 bytes."""

    head: Head
    time: int
    signature: bytes

    def note(self, mesh_id: bytes, public: bytes) -> str:
        """Return it as the C2SP signed note it stands for. `public`: the device key of the feed."""
        line = cosignature(mesh_id, self.head.feed, public, self.time, self.signature)
        return Checkpoint(origin(mesh_id, self.head.feed), self.head.size, self.head.root, (line,)).text()


@dataclass(frozen=True, slots=True)
class Presence:
    """That a committed map holds `value`: leaf `index` of a bucket of `bucket_size`, and both inclusion paths."""

    value: bytes
    index: int
    bucket_size: int
    bucket_path: tuple[bytes, ...]
    top_path: tuple[bytes, ...]

    def proof(self, ident: bytes) -> MapProof:
        """Return the proof that the thing `ident` has this value. Raises RemoteError BAD_INCLUSION."""
        key = map_key(ident)
        leaf = merkle.leaf_hash(key + self.value)
        root = merkle.root_from_inclusion(leaf, self.index, self.bucket_size, self.bucket_path)
        return MapProof(self.bucket_size, root, self.top_path, ((self.index, key, self.value, self.bucket_path),))


@dataclass(frozen=True, slots=True)
class TickProof:
    """One tick: its boundary (unix seconds) and frontier, both maps' (size, root), and what is proven below it.

    `consent`: the grant's place in the consent map. `members`: (root key id, place in the member map), by key id.
    `attestations`: numbers of entries in `Bundle.entries`.
    """

    boundary: int
    frontier: tuple[Head, ...]
    member_map: tuple[int, bytes]
    consent_map: tuple[int, bytes]
    evaluator_version: int
    consent: Presence
    members: tuple[tuple[bytes, Presence], ...]
    attestations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A whole bundle. `entries`: the grant, then all others by id. `disclosures`: (salt, value, field) or None."""

    genesis: bytes
    entries: tuple[Logged, ...]
    checkpoints: tuple[SignedCheckpoint, ...]
    ticks: tuple[TickProof, ...]
    disclosures: tuple[tuple[bytes, Any, str], ...] | None

    def encode(self) -> bytes:
        """Return the file's bytes. What `make` did not put in order is refused by `decode`, not here."""
        table = sorted(set(self._hashes()))
        number = {value: at for at, value in enumerate(table)}

        def path(nodes: tuple[bytes, ...]) -> list[int]:
            return [number[node] for node in nodes]

        def place(held: Presence) -> list[Any]:
            return [held.value, held.index, held.bucket_size, path(held.bucket_path), path(held.top_path)]

        ticks = [
            {
                1: tick.boundary,
                2: [[number[head.feed], head.size, number[head.root]] for head in tick.frontier],
                3: [tick.member_map[0], number[tick.member_map[1]]],
                4: [tick.consent_map[0], number[tick.consent_map[1]]],
                5: tick.evaluator_version,
                6: place(tick.consent),
                7: [[number[kid], place(held)] for kid, held in tick.members],
                8: list(tick.attestations),
            }
            for tick in self.ticks
        ]
        value: dict[int, Any] = {
            1: VERSION,
            2: SELECTION,
            3: b"".join(table),
            4: self.genesis,
            5: [[item.raw, item.checkpoint, item.index, path(item.path)] for item in self.entries],
            6: [[number[c.head.feed], c.head.size, number[c.head.root], c.time, c.signature] for c in self.checkpoints],
            7: ticks,
        }
        if self.disclosures is not None:
            value[8] = [list(disclosure) for disclosure in self.disclosures]
        return codec.encode(value)

    def _hashes(self) -> Iterator[bytes]:
        """Yield every hash that goes by number, as often as it stands somewhere."""
        for item in self.entries:
            yield from item.path
        for checkpoint in self.checkpoints:
            yield from (checkpoint.head.feed, checkpoint.head.root)
        for tick in self.ticks:
            yield from (tick.member_map[1], tick.consent_map[1])
            for head in tick.frontier:
                yield from (head.feed, head.root)
            for held in (tick.consent, *(held for _, held in tick.members)):
                yield from (*held.bucket_path, *held.top_path)
            yield from (kid for kid, _ in tick.members)

    @classmethod
    def decode(cls, data: bytes) -> Bundle:
        """Read a file's bytes. Raises RemoteError BUNDLE_MALFORMED, BUNDLE_UNREFERENCED (an unnamed hash), CBOR_*."""
        return _Reading(codec.decode(data, max_bytes=BUNDLE_BYTES_MAX)).bundle()


class _Reading:
    """One pass over the decoded map: resolves hashes by number and remembers which were named."""

    def __init__(self, value: Any) -> None:
        match value:
            case {1: int(version)} if type(version) is int and version != VERSION:
                _bad("version", f"this is version {version}; only {VERSION} is known here, get a newer verifier")
            case {1: 1, 2: "consent", 3: bytes(table), 4: bytes(), 5: list(), 6: list(), 7: list()}:
                pass
            case _:
                _bad(
                    "bundle", "a bundle is a map of version 1, selection, hashes, genesis, entries, checkpoints, ticks"
                )
        if type(value[1]) is not int or value.keys() - {8} != {1, 2, 3, 4, 5, 6, 7}:
            _bad("bundle", "it holds a key that version 1 does not know")
        self._value = value
        if len(table) % _HASH or len(table) > HASHES_MAX * _HASH:
            _bad("hashes", f"the table is at most {HASHES_MAX} hashes of {_HASH} bytes")
        self._table = [table[at : at + _HASH] for at in range(0, len(table), _HASH)]
        _ascending("hashes", self._table)
        self._named = bytearray(len(self._table))

    def bundle(self) -> Bundle:
        value = self._value
        checkpoints = self._list("checkpoints", value[6], 1, CHECKPOINTS_MAX, self._checkpoint)
        _ascending("checkpoints", [(c.head.feed, c.head.size, c.head.root) for c in checkpoints])
        self._checkpoints = len(checkpoints)
        entries = self._list("entries", value[5], 1, ENTRIES_MAX, self._logged)
        _ascending("entries", [item.id for item in entries[1:]])
        self._entries = len(entries)
        ticks = self._list("ticks", value[7], 1, TICKS_MAX, self._tick)
        _ascending("ticks", [tick.boundary for tick in ticks])
        disclosures = None
        if 8 in value:
            disclosures = self._list("disclosures", value[8], 1, len(SLOTS), _disclosure)
            _ascending("disclosures", [SLOTS[name] for _, _, name in disclosures])
        if not all(self._named):
            raise RemoteError("BUNDLE_UNREFERENCED", "no item names this hash", field=f"hashes {self._named.index(0)}")
        return Bundle(value[4], entries, checkpoints, ticks, disclosures)

    def _list(self, field: str, value: Any, low: int, high: int, read: Callable[[Any], Any]) -> tuple[Any, ...]:
        if type(value) is not list or not low <= len(value) <= high:
            _bad(field, f"it is a list of {low} to {high}")
        return tuple(read(item) for item in value)

    def _hash(self, number: Any) -> bytes:
        at = _uint("hashes", number, len(self._table) - 1)
        self._named[at] = 1
        return self._table[at]

    def _path(self, value: Any) -> tuple[bytes, ...]:
        return self._list("path", value, 0, PATH_MAX, self._hash)

    def _head(self, feed: Any, size: Any, root: Any) -> Head:
        return Head(self._hash(feed), _uint("size", size, merkle.MAX_SIZE), self._hash(root))

    def _checkpoint(self, value: Any) -> SignedCheckpoint:
        match value:
            case [feed, size, root, time, bytes(signature)] if len(signature) == 64:
                return SignedCheckpoint(self._head(feed, size, root), _uint("time", time, _TIME), signature)
            case _:
                return _bad("checkpoints", "a checkpoint is [feed, size, root, time, signature]")

    def _logged(self, value: Any) -> Logged:
        match value:
            case [bytes(raw), checkpoint, index, path]:
                at = _uint("checkpoint", checkpoint, self._checkpoints - 1)
                return Logged(raw, at, _uint("index", index, merkle.MAX_SIZE), self._path(path))
            case _:
                return _bad("entries", "an entry is [bytes, checkpoint, index, path]")

    def _presence(self, value: Any) -> Presence:
        match value:
            case [bytes(held), index, size, bucket, top] if len(held) <= VALUE_BYTES_MAX:
                count = _uint("bucket size", size, _UINT32)
                return Presence(held, _uint("index", index, _UINT32), count, self._path(bucket), self._path(top))
            case _:
                return _bad("state", "a place in a map is [value, index, bucket size, bucket path, top path]")

    def _member(self, value: Any) -> tuple[bytes, Presence]:
        match value:
            case [kid, place]:
                return self._hash(kid), self._presence(place)
            case _:
                return _bad("members", "a member proof is [key id, place]")

    def _map_head(self, value: Any) -> tuple[int, bytes]:
        match value:
            case [size, root]:
                return _uint("map size", size, merkle.MAX_SIZE), self._hash(root)
            case _:
                return _bad("maps", "a map is [size, root]")

    def _frontier_head(self, value: Any) -> Head:
        match value:
            case [feed, size, root]:
                return self._head(feed, size, root)
            case _:
                return _bad("frontier", "a head is [feed, size, root]")

    def _tick(self, value: Any) -> TickProof:
        if type(value) is not dict or value.keys() != set(range(1, 9)):
            _bad("ticks", "a tick is a map with the keys 1 to 8")
        frontier = self._list("frontier", value[2], 1, FEEDS_MAX, self._frontier_head)
        _ascending("frontier", [head.feed for head in frontier])
        members = self._list("members", value[7], 0, MEMBERS_MAX, self._member)
        _ascending("members", [kid for kid, _ in members])

        def entry(number: Any) -> int:
            return _uint("attestations", number, self._entries - 1)

        attestations = self._list("attestations", value[8], 0, ATTESTATIONS_MAX, entry)
        _ascending("attestations", list(attestations))
        return TickProof(
            _uint("boundary", value[1], _TIME),
            frontier,
            self._map_head(value[3]),
            self._map_head(value[4]),
            _uint("evaluator version", value[5], _UINT32),
            self._presence(value[6]),
            members,
            attestations,
        )


def _disclosure(value: Any) -> tuple[bytes, Any, str]:
    match value:
        case [bytes(salt), shown, str(name)] if len(salt) == SALT_BYTES and name in SLOTS:
            return salt, shown, name
        case _:
            return _bad("disclosures", f"a disclosure is [salt of {SALT_BYTES} bytes, value, a field of schema 1]")


def _uint(field: str, value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        _bad(field, f"it is a whole number from 0 to {most}")
    return int(value)


def _ascending(field: str, keys: list[Any]) -> None:
    """Refuse a list whose keys do not rise: one order, and nothing twice."""
    if any(one >= other for one, other in pairwise(keys)):
        _bad(field, "they must stand in ascending order, each once")


def _bad(field: str, message: str) -> NoReturn:
    raise RemoteError("BUNDLE_MALFORMED", f"{message}; ask for the proof again", field=field)
