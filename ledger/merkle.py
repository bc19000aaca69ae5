"""Merkle trees of RFC 9162 §2.1 with SHA-256: roots, growth without the leaves, and both kinds of proof.

How it works
    A leaf is SHA-256(0x00 ‖ data), an inner node SHA-256(0x01 ‖ left ‖ right). A tree of n leaves is cut at
    the largest power of two below n, so it is a row of perfect subtrees, one per 1-bit of n: its *peaks*.
    The peaks alone are enough to append and to know the root (`Peaks`; `PeaksBuilder` for many leaves).
    Every hash of a proof is the root of a range of leaves. `inclusion_nodes` and `consistency_nodes` name
    these ranges, and `range_root` puts a range together from stored perfect subtrees: a store that keeps the
    root of every 256 leaves need not hash them again.

What it does not do
    It stores nothing, and does not know what a leaf means. A root does not bind the tree's size: who signs a
    root signs the size beside it. Indexes and sizes count leaves; index 0 is the first leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from ledger.errors import LocalError, RemoteError

HASH_BYTES: Final = 32
"""Length of a leaf hash, a node hash and a root, in bytes."""
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without leaves."""
MAX_SIZE: Final = (1 << 63) - 1
"""The most leaves that an encoded tree or a proof may speak of."""

Range: TypeAlias = tuple[int, int]
"""Leaves from the first index up to, and without, the second."""
Fetch: TypeAlias = Callable[[int, int], bytes]
"""`fetch(level, index)`: the root over the 2^level leaves from leaf index·2^level on, a perfect subtree."""

_SIZE_BYTES: Final = 8


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf that holds `data`: SHA-256(0x00 ‖ data), 32 bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Peaks:
    """A tree known by its perfect subtrees only (a compact range). `Peaks()` is the empty tree.

    `size`: number of leaves. `hashes`: the subtrees' roots, the largest (leftmost) first; one per 1-bit of
    `size`. Make one with `append`, `extend` or `decode`: the constructor does not check that the two agree.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> Peaks:
        """Return the tree with one more leaf, given by its 32-byte leaf hash."""
        size, peaks = self.size, self.hashes
        if not size & 1:
            return Peaks(size + 1, (*peaks, leaf))
        kept = len(peaks)
        while size & 1:
            kept -= 1
            leaf = sha256(b"\x01" + peaks[kept] + leaf).digest()
            size >>= 1
        return Peaks(self.size + 1, (*peaks[:kept], leaf))

    def extend(self, leaves: Iterable[bytes]) -> Peaks:
        """Return the tree with more leaves, given by their 32-byte leaf hashes in order."""
        builder = PeaksBuilder(self)
        builder.extend(leaves)
        return builder.snapshot()

    def root(self) -> bytes:
        """Return the root (32 bytes); `EMPTY_ROOT` for the empty tree."""
        return _fold(self.hashes)

    def encode(self) -> bytes:
        """Return the size in 8 bytes, big-endian, and then the hashes."""
        return self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.hashes)

    @classmethod
    def decode(cls, data: bytes) -> Peaks:
        """Return what `encode` wrote. Raises RemoteError BAD_PEAKS for any other bytes."""
        size = int.from_bytes(data[:_SIZE_BYTES], "big")
        if len(data) != _SIZE_BYTES + HASH_BYTES * size.bit_count() or size > MAX_SIZE:
            raise RemoteError("BAD_PEAKS", "The length of the bytes does not fit the tree size in front of them.")
        hashes = tuple(data[at : at + HASH_BYTES] for at in range(_SIZE_BYTES, len(data), HASH_BYTES))
        return cls(size, hashes)


class PeaksBuilder:
    """A tree that grows in place; `Peaks` with the speed of a list. `size` is the number of leaves."""

    __slots__ = ("_hashes", "size")

    def __init__(self, start: Peaks | None = None) -> None:
        """Begin with `start`, or with the empty tree."""
        self.size = start.size if start else 0
        self._hashes = list(start.hashes) if start else []

    def append(self, leaf: bytes) -> None:
        """Add one leaf, given by its 32-byte leaf hash."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaves, given by their 32-byte leaf hashes in order."""
        peaks, size = self._hashes, self.size
        for leaf in leaves:
            node, bits = leaf, size
            while bits & 1:
                node = sha256(b"\x01" + peaks.pop() + node).digest()
                bits >>= 1
            peaks.append(node)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """Return the root of the tree as it is now (32 bytes)."""
        return _fold(self._hashes)

    def snapshot(self) -> Peaks:
        """Return the tree as it is now, as a value."""
        return Peaks(self.size, tuple(self._hashes))


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; `EMPTY_ROOT` if there are none (RFC 9162 §2.1.1)."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        # Pairs join level by level; a last node without a partner rises as it is, which is the RFC's cut.
        lone = row[-1:] if len(row) & 1 else []
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]
        row += lone
    return row[0]


def inclusion_nodes(index: int, size: int) -> list[Range]:
    """Return the ranges of leaves whose roots are the inclusion path of leaf `index` in a tree of `size`.

    In the order of the path: from the leaf's neighbour up (RFC 9162 §2.1.3.1).
    Raises LocalError BAD_RANGE unless 0 ≤ index < size.
    """
    if not 0 <= index < size:
        raise LocalError("BAD_RANGE", f"There is no leaf {index} in a tree of {size} leaves.", field="index")
    nodes = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _cut(stop - start)
        if index < middle:
            nodes.append((middle, stop))
            stop = middle
        else:
            nodes.append((start, middle))
            start = middle
    nodes.reverse()
    return nodes


def consistency_nodes(first: int, second: int) -> list[Range]:
    """Return the ranges of leaves whose roots prove that a tree of `second` leaves extends one of `first`.

    In the order of the path (RFC 9162 §2.1.4.1); empty if the sizes are equal.
    Raises LocalError BAD_RANGE unless 0 < first ≤ second.
    """
    if not 0 < first <= second:
        raise LocalError("BAD_RANGE", f"No proof leads from a tree of {first} leaves to one of {second}.")
    nodes = []
    start, stop = 0, second
    while stop != first:
        middle = start + _cut(stop - start)
        if first <= middle:
            nodes.append((middle, stop))
            stop = middle
        else:
            nodes.append((start, middle))
            start = middle
    if start:  # else what is left is the whole old tree, whose root the verifier holds
        nodes.append((start, stop))
    nodes.reverse()
    return nodes


def range_root(fetch: Fetch, start: int, stop: int) -> bytes:
    """Return the root over the leaves [start, stop), put together from stored perfect subtrees.

    `start` must be a multiple of the smallest power of two ≥ stop - start, as in every range named above;
    `fetch` is asked once per 1-bit of the range's length. Raises LocalError BAD_RANGE for any other range.
    """
    length = stop - start
    if start < 0 or length < 1 or start % (1 << (length - 1).bit_length()):
        raise LocalError("BAD_RANGE", f"The leaves {start} to {stop} are no subtree.")
    peaks = []
    for level in range(length.bit_length() - 1, -1, -1):
        if length >> level & 1:
            peaks.append(fetch(level, start >> level))
            start += 1 << level
    return _fold(peaks)


def inclusion_path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the inclusion path of leaf `index` in the tree over `hashes`. Raises LocalError BAD_RANGE."""
    return [root_of(hashes[start:stop]) for start, stop in inclusion_nodes(index, len(hashes))]


def consistency_path(hashes: Sequence[bytes], first: int, second: int) -> list[bytes]:
    """Return the proof that the first `second` of `hashes` extend the first `first`.

    Raises LocalError BAD_RANGE unless 0 < first ≤ second ≤ len(hashes).
    """
    if second > len(hashes):
        raise LocalError("BAD_RANGE", f"There are {len(hashes)} leaves, not {second}.", field="second")
    return [root_of(hashes[start:stop]) for start, stop in consistency_nodes(first, second)]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root that `path` leads to from leaf hash `leaf` at `index` in a tree of `size` leaves.

    RFC 9162 §2.1.3.2. It proves something only if that root, and that size, come from elsewhere.
    Raises RemoteError BAD_INCLUSION if index, size and path do not fit each other, or a hash is not 32 bytes.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise RemoteError("BAD_INCLUSION", f"There is no leaf {index} in a tree of {size} leaves.", field="index")
    # Up to where leaf and last leaf share a node, each level has a sibling; above, only left siblings.
    inner = (index ^ (size - 1)).bit_length()
    if len(path) != inner + (index >> inner).bit_count():
        raise RemoteError("BAD_INCLUSION", f"The path has {len(path)} hashes, which does not fit.", field="path")
    if len(leaf) != HASH_BYTES or not _are_hashes(path):
        raise RemoteError("BAD_INCLUSION", f"A hash does not have {HASH_BYTES} bytes.", field="path")
    node = leaf
    for level, sibling in enumerate(path):
        if level < inner and not index >> level & 1:
            node = node_hash(node, sibling)
        else:
            node = node_hash(sibling, node)
    return node


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Say whether `path` proves that leaf hash `leaf` is at `index` in the tree (size, root)."""
    try:
        return root_from_inclusion(leaf, index, size, path) == root
    except RemoteError:
        return False


def verify_consistency(size1: int, root1: bytes, size2: int, root2: bytes, path: Sequence[bytes]) -> bool:
    """Say whether `path` proves that the tree (size2, root2) extends the tree (size1, root1).

    RFC 9162 §2.1.4.2. Nothing is proven from the empty tree: size1 = 0 is refused. Equal sizes need equal
    roots and an empty path.
    """
    if not 0 < size1 <= size2 <= MAX_SIZE:
        return False
    if size1 == size2:
        return not path and root1 == root2
    if not _are_hashes((root1, root2, *path)):
        return False
    # The old tree's last perfect subtree is where both trees begin to differ; skip the levels inside it.
    skipped = (size1 & -size1).bit_length() - 1
    node, last = (size1 - 1) >> skipped, (size2 - 1) >> skipped
    siblings = path if node else (root1, *path)
    if not siblings:
        return False
    old = new = siblings[0]
    for sibling in siblings[1:]:
        if not last:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return not last and old == root1 and new == root2


def _cut(size: int) -> int:
    """Return the largest power of two below `size` (at least 2): where RFC 9162 cuts a tree."""
    return 1 << ((size - 1).bit_length() - 1)


def _fold(peaks: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees, largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in peaks[-2::-1]:
        root = sha256(b"\x01" + peak + root).digest()
    return root


def _are_hashes(values: Iterable[bytes]) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
