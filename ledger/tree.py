"""A stored feed's Merkle tree: roots and proofs at any size, without hashing the whole feed (RFC 9162 §2.1).

How it works
    Leaf hashes are derived from the leaves' ids; the root over each full block of 256 leaves is kept in a row.
    `_fetch` gives the root of any perfect subtree from them, and `merkle` folds those into roots and proofs.

What it does not do
    It writes nothing but block roots, and judges no leaf.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger import merkle
from ledger.errors import LocalError
from ledger.merkle import Fetch, Peaks
from ledger.rows import Reader, Writer
from ledger.tables import BLOCK, leaf_id, position


def leaf_hashes(rows: Reader, number: int, start: int, stop: int) -> list[bytes]:
    """Return the leaf hashes of a feed from `start` to `stop`."""
    scan = rows.scan("entries", position(number, start), position(number, stop))
    return [merkle.leaf_hash(leaf_id(row)) for _, row in scan]


def write_blocks(rows: Writer, number: int, size: int, fresh: Sequence[bytes]) -> None:
    """Write the roots of the blocks that `fresh` leaf hashes, which end at `size`, completed."""
    first = size - len(fresh)
    for block in range(first // BLOCK, size // BLOCK):
        start, stop = block * BLOCK, (block + 1) * BLOCK
        older = leaf_hashes(rows, number, start, min(first, stop)) if start < first else []
        hashes = older + list(fresh[max(start - first, 0) : stop - first])
        rows.put("nodes", position(number, block), merkle.root_of(hashes))


def _fetch(rows: Reader, number: int, stop: int) -> Fetch:
    """Return what gives the roots of a feed's perfect subtrees below `stop`; a ragged block is read once.

    Raises LocalError STORE_CORRUPT where a block's root is missing.
    """
    ragged: dict[int, list[bytes]] = {}

    def fetch(level: int, index: int) -> bytes:
        start, size = index << level, 1 << level
        block, at = divmod(start, BLOCK)
        if size >= BLOCK:
            last = block + size // BLOCK
            roots = [root for _, root in rows.scan("nodes", position(number, block), position(number, last))]
            if len(roots) != size // BLOCK:
                told = f"roots of the feed's blocks {block} to {last - 1} are missing; restore it"
                raise LocalError("STORE_CORRUPT", told)
            return merkle.root_of(roots)
        if block not in ragged:
            ragged[block] = leaf_hashes(rows, number, start - at, min(start - at + BLOCK, stop))
        return merkle.root_of(ragged[block][at : at + size])

    return fetch


def root_at(rows: Reader, number: int, size: int) -> bytes:
    """Return the root of the feed's first `size` leaves."""
    return peaks_at(rows, number, size).root()


def peaks_at(rows: Reader, number: int, size: int) -> Peaks:
    """Return the tree over the feed's first `size` leaves, which more leaves can be appended to."""
    fetch = _fetch(rows, number, size)
    levels = (level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1)
    return Peaks(size, tuple(fetch(level, (size >> level) - 1) for level in levels))


def inclusion(rows: Reader, number: int, index: int, size: int) -> list[bytes]:
    """Return the inclusion path of leaf `index` in the tree of `size` (RFC 9162 §2.1.3.1)."""
    fetch = _fetch(rows, number, size)
    return [merkle.range_root(fetch, start, stop) for start, stop in merkle.inclusion_nodes(index, size)]


def consistency(rows: Reader, number: int, first: int, second: int) -> list[bytes]:
    """Return the consistency path between two sizes (RFC 9162 §2.1.4.1)."""
    fetch = _fetch(rows, number, second)
    return [merkle.range_root(fetch, start, stop) for start, stop in merkle.consistency_nodes(first, second)]
