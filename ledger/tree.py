"""A stored feed's Merkle tree: roots and proofs at any size, without hashing the whole feed (RFC 9162 §2.1).

How it works
    Leaf hashes are derived from the leaves' ids; the root over each full block of 256 leaves is kept in a row.
    The root of any range is then folded from block roots and at most two ragged blocks, by RFC 9162's own
    recursion (split at the largest power of two below the size).

What it does not do
    It writes nothing but block roots, and judges no leaf.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger import merkle
from ledger.merkle import Peaks
from ledger.rows import Reader, Writer
from ledger.tables import BLOCK, position, read_leaf


def leaf_hashes(rows: Reader, number: int, start: int, stop: int) -> list[bytes]:
    """Return the leaf hashes of a feed from `start` to `stop`."""
    scan = rows.scan("entries", position(number, start), position(number, stop))
    return [merkle.leaf_hash(read_leaf(row).entry_id) for _, row in scan]


def write_blocks(rows: Writer, number: int, size: int, fresh: Sequence[bytes]) -> None:
    """Write the roots of the blocks that `fresh` leaf hashes, which end at `size`, completed."""
    first = size - len(fresh)
    for block in range(first // BLOCK, size // BLOCK):
        start, stop = block * BLOCK, (block + 1) * BLOCK
        older = leaf_hashes(rows, number, start, min(first, stop)) if start < first else []
        hashes = older + list(fresh[max(start - first, 0) : stop - first])
        rows.put("nodes", position(number, block), merkle.root_of(hashes))


def range_root(rows: Reader, number: int, start: int, stop: int) -> bytes:
    """Return the root over leaves `start` to `stop`, a range whose start is a multiple of its largest power of two."""
    size = stop - start
    if size == BLOCK and start % BLOCK == 0:
        stored = rows.get("nodes", position(number, start // BLOCK))
        if stored is not None:
            return stored
    if size <= BLOCK:
        return merkle.root_of(leaf_hashes(rows, number, start, stop))
    middle = start + (1 << ((size - 1).bit_length() - 1))
    return merkle.node_hash(range_root(rows, number, start, middle), range_root(rows, number, middle, stop))


def root_at(rows: Reader, number: int, size: int) -> bytes:
    """Return the root of the feed's first `size` leaves."""
    return range_root(rows, number, 0, size) if size else merkle.EMPTY_ROOT


def peaks_at(rows: Reader, number: int, size: int) -> Peaks:
    """Return the tree over the feed's first `size` leaves, which more leaves can be appended to."""
    hashes, start = [], 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            hashes.append(range_root(rows, number, start, start + (1 << level)))
            start += 1 << level
    return Peaks(size, tuple(hashes))


def inclusion(rows: Reader, number: int, index: int, size: int) -> list[bytes]:
    """Return the inclusion path of leaf `index` in the tree of `size` (RFC 9162 §2.1.3.1)."""
    return [range_root(rows, number, start, stop) for start, stop in merkle.inclusion_nodes(index, size)]


def consistency(rows: Reader, number: int, first: int, second: int) -> list[bytes]:
    """Return the consistency path between two sizes (RFC 9162 §2.1.4.1)."""
    return [range_root(rows, number, start, stop) for start, stop in merkle.consistency_nodes(first, second)]
