"""The two committed maps, `members` and `consents`: what a tick's state root binds (ledger.md §5).

How it works
    key = SHA-256(id), value = deterministic CBOR. The key's first 12 bits choose one of 4 096 buckets; a bucket is
    an RFC 9162 tree over its leaves (key ‖ value) sorted by key; above it stands an RFC 9162 tree over the
    buckets' (size, root). An update therefore touches one bucket and the top. Presence of a key is two inclusion
    paths; absence is two adjacent leaves of the bucket, or its emptiness.

    Rows hold each leaf's hash beside its value, so that a bucket is re-hashed from its inner nodes up.

What it does not do
    It decides no value and keeps no history: the maps stand at one frontier, moved by ticks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ledger import merkle
from ledger.rows import Reader, Writer

MEMBERS: Final = b"m"
CONSENTS: Final = b"c"
BUCKETS: Final = 4_096
_EMPTY_TOP: Final = merkle.leaf_hash((0).to_bytes(4, "big") + merkle.EMPTY_ROOT)


def map_key(ident: bytes) -> bytes:
    """Return the 32-byte key under which a thing stands."""
    return hashlib.sha256(ident).digest()


def leaf_of(key: bytes, value: bytes) -> bytes:
    """Return the hash of one leaf."""
    return merkle.leaf_hash(key + value)


def top_leaf(size: int, root: bytes) -> bytes:
    """Return the hash of one bucket in the tree above the buckets."""
    return merkle.leaf_hash(size.to_bytes(4, "big") + root)


def state_root(members: tuple[int, bytes], consents: tuple[int, bytes], evaluator_version: int) -> bytes:
    """Hash both maps' (size, root) and the evaluator version. Sizes count: a root alone does not bind its size."""
    return hashlib.sha256(
        b"".join(
            (
                members[0].to_bytes(8, "big"),
                members[1],
                consents[0].to_bytes(8, "big"),
                consents[1],
                evaluator_version.to_bytes(4, "big"),
            )
        )
    ).digest()


@dataclass(frozen=True, slots=True)
class MapProof:
    """What shows a key's presence or absence under a map's (size, root).

    `leaves`: (index in bucket, key, value, path) of the leaf itself, or of its one or two neighbours; none when
    the bucket is empty. `bucket_size`, `bucket_root`, `top_path`: the bucket's place in the tree above.
    """

    bucket_size: int
    bucket_root: bytes
    top_path: tuple[bytes, ...]
    leaves: tuple[tuple[int, bytes, bytes, tuple[bytes, ...]], ...]


class CommittedMap:
    """One map on the rows of a store; the buckets' (size, root) are kept in memory (4 096 × about 100 bytes)."""

    def __init__(self, name: bytes) -> None:
        """`name`: MEMBERS or CONSENTS."""
        self._name = name
        self._tops = [_EMPTY_TOP] * BUCKETS
        self._sizes = [0] * BUCKETS
        self._levels: list[list[bytes]] = []
        """The tree above the buckets, from its leaves up, once something was proven; empty after a change."""

    def copy(self) -> CommittedMap:
        """Return a map that can move without moving this one (over rows of its own)."""
        other = CommittedMap(self._name)
        other._tops, other._sizes = list(self._tops), list(self._sizes)
        return other

    def load(self, rows: Reader) -> None:
        """Read the buckets' sizes and roots."""
        self._tops, self._sizes, self._levels = [_EMPTY_TOP] * BUCKETS, [0] * BUCKETS, []
        start = self._name
        while True:
            found = next(rows.scan("maps", start, self._name + b"\xff", limit=1), None)
            if found is None:
                return
            key, value = found
            if len(key) == 3:
                bucket = int.from_bytes(key[1:3], "big")
                self._sizes[bucket] = int.from_bytes(value[:4], "big")
                self._tops[bucket] = merkle.leaf_hash(value)
            start = key[:1] + (int.from_bytes(key[1:3], "big") + 1).to_bytes(2, "big")

    @property
    def size(self) -> int:
        """How many keys the map holds."""
        return sum(self._sizes)

    def root(self) -> tuple[int, bytes]:
        """Return (size, root) of the whole map."""
        return self.size, merkle.root_of(self._tops)

    def _tree(self) -> list[list[bytes]]:
        if not self._levels:
            self._levels.append(self._tops)
            while len(row := self._levels[-1]) > 1:
                self._levels.append([merkle.node_hash(*pair) for pair in zip(row[::2], row[1::2], strict=True)])
        return self._levels

    def value(self, rows: Reader, ident: bytes) -> bytes | None:
        """Return the committed value of a thing, or None."""
        row = rows.get("maps", self._row_key(map_key(ident)))
        return row[32:] if row is not None else None

    def update(self, rows: Writer, values: Mapping[bytes, bytes | None]) -> None:
        """Set the values of things by id; None removes. Each touched bucket is re-hashed once."""
        self.rehash(rows, self.stage(rows, values))

    def stage(self, rows: Writer, values: Mapping[bytes, bytes | None]) -> int:
        """Set values without hashing anything anew; return the touched buckets, a bit each, for `rehash`."""
        touched = 0
        for ident, value in values.items():
            key = map_key(ident)
            row_key = self._row_key(key)
            if value is None:
                rows.delete("maps", row_key)
            else:
                rows.put("maps", row_key, leaf_of(key, value) + value)
            touched |= 1 << _bucket(key)
        return touched

    def rehash(self, rows: Writer, buckets: int, most: int = BUCKETS) -> int:
        """Hash buckets anew (a bit each), at most so many; return those that are left."""
        while buckets and most:
            bucket = buckets.bit_length() - 1
            self._rehash(rows, bucket)
            buckets ^= 1 << bucket
            most -= 1
        return buckets

    def _rehash(self, rows: Writer, bucket: int) -> None:
        hashes = [row[:32] for _, row in self._leaves(rows, bucket)]
        head = len(hashes).to_bytes(4, "big") + merkle.root_of(hashes)
        bucket_key = self._name + bucket.to_bytes(2, "big")
        if hashes:
            rows.put("maps", bucket_key, head)
        else:
            rows.delete("maps", bucket_key)
        self._sizes[bucket] = len(hashes)
        self._tops[bucket] = merkle.leaf_hash(head)
        self._levels = []

    def prove(self, rows: Reader, ident: bytes) -> tuple[bytes | None, MapProof]:
        """Return (value or None, proof) for a thing."""
        key = map_key(ident)
        bucket = _bucket(key)
        leaves = [(row_key[3:], row) for row_key, row in self._leaves(rows, bucket)]
        hashes = [row[:32] for _, row in leaves]
        at = next((i for i, (leaf_key, _) in enumerate(leaves) if leaf_key >= key), len(leaves))
        found = at < len(leaves) and leaves[at][0] == key
        shown = [at] if found else [i for i in (at - 1, at) if 0 <= i < len(leaves)]
        proof = MapProof(
            len(leaves),
            merkle.root_of(hashes),
            tuple(level[(bucket >> height) ^ 1] for height, level in enumerate(self._tree()[:-1])),
            tuple((i, leaves[i][0], leaves[i][1][32:], tuple(merkle.inclusion_path(hashes, i))) for i in shown),
        )
        return (leaves[at][1][32:] if found else None), proof

    def _row_key(self, key: bytes) -> bytes:
        return self._name + _bucket(key).to_bytes(2, "big") + key

    def _leaves(self, rows: Reader, bucket: int) -> Iterable[tuple[bytes, bytes]]:
        prefix = self._name + bucket.to_bytes(2, "big")
        after = self._name + (bucket + 1).to_bytes(2, "big")
        return rows.scan("maps", prefix + b"\x00", after)  # behind the bucket's own row


def _bucket(key: bytes) -> int:
    return int.from_bytes(key[:2], "big") >> 4


def verify_value(ident: bytes, value: bytes | None, proof: MapProof, root: bytes) -> bool:
    """Say whether a proof shows that a thing has this value (None: is absent) under a map's root.

    The map's size needs no argument: the tree above always has 4 096 leaves, each binding its bucket's size.
    """
    key = map_key(ident)
    bucket = _bucket(key)
    if not 0 <= proof.bucket_size < 2**32 or len(proof.bucket_root) != 32:
        return False
    top = top_leaf(proof.bucket_size, proof.bucket_root)
    if not merkle.verify_inclusion(top, bucket, BUCKETS, proof.top_path, root):
        return False
    for index, leaf_key, leaf_value, path in proof.leaves:
        leaf = leaf_of(leaf_key, leaf_value)
        if len(leaf_key) != 32:
            return False  # else key and value could be cut elsewhere, and a neighbour's key made to sort anywhere
        if not merkle.verify_inclusion(leaf, index, proof.bucket_size, path, proof.bucket_root):
            return False
    if value is not None:
        return len(proof.leaves) == 1 and proof.leaves[0][1] == key and proof.leaves[0][2] == value
    return _shows_absence(key, proof)


def _shows_absence(key: bytes, proof: MapProof) -> bool:
    if proof.bucket_size == 0:
        return not proof.leaves and proof.bucket_root == merkle.EMPTY_ROOT
    places = [(index, leaf_key) for index, leaf_key, _, _ in proof.leaves]
    match places:
        case [(index, leaf_key)]:
            at_start = index == 0 and key < leaf_key
            at_end = index == proof.bucket_size - 1 and leaf_key < key
            return at_start or at_end
        case [(left, left_key), (right, right_key)]:
            return right == left + 1 and left_key < key < right_key
        case _:
            return False
