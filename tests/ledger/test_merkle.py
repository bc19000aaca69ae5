"""Merkle trees against the recursive text of RFC 9162 §2.1, the vectors of others, and tampered proofs."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError, RemoteError
from ledger.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    Peaks,
    PeaksBuilder,
    consistency_nodes,
    consistency_path,
    inclusion_nodes,
    inclusion_path,
    leaf_hash,
    node_hash,
    range_root,
    root_from_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.shared import shared

LEAVES = [leaf_hash(index.to_bytes(4, "big")) for index in range(600)]
SIZES = st.integers(1, 70) | st.sampled_from([127, 128, 129, 255, 256, 257, 511, 512, 513, 600])
OTHER = leaf_hash(b"another")


def split(size: int) -> int:
    """Return k of RFC 9162: the largest power of two smaller than `size`."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 §2.1.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    cut = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:cut]) + mth(leaves[cut:])).digest()


def path_model(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162 §2.1.3.1."""
    if len(leaves) == 1:
        return []
    cut = split(len(leaves))
    if index < cut:
        return [*path_model(index, leaves[:cut]), mth(leaves[cut:])]
    return [*path_model(index - cut, leaves[cut:]), mth(leaves[:cut])]


def proof_model(first: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """PROOF, which is SUBPROOF with b = true, of RFC 9162 §2.1.4.1."""
    if first == len(leaves):
        return [] if whole else [mth(leaves)]
    cut = split(len(leaves))
    if first <= cut:
        return [*proof_model(first, leaves[:cut], whole), mth(leaves[cut:])]
    return [*proof_model(first - cut, leaves[cut:], False), mth(leaves[:cut])]


def stored(level: int, index: int) -> bytes:
    """Answer as a store of subtrees would."""
    leaves = LEAVES[index << level : (index + 1) << level]
    assert len(leaves) == 1 << level
    return mth(leaves)


def test_hashes() -> None:
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT == root_of([]) == Peaks().root() == PeaksBuilder().root()
    assert leaf_hash(b"abc") == hashlib.sha256(b"\x00abc").digest()
    assert node_hash(b"a" * 32, b"b" * 32) == hashlib.sha256(b"\x01" + b"a" * 32 + b"b" * 32).digest()


def test_vectors() -> None:
    cases: list[dict[str, Any]] = json.loads(shared("vectors/rfc9162_merkle.json").read_text())["cases"]

    def decoded(case: dict[str, Any], name: str) -> bytes:
        return base64.b64decode(case[name] or "")

    for case in cases:
        path = [base64.b64decode(part) for part in case["proof"] or []]
        if "leafIdx" in case:
            verdict = verify_inclusion(
                decoded(case, "leafHash"), case["leafIdx"], case["treeSize"], path, decoded(case, "root")
            )
        else:
            verdict = verify_consistency(
                case["size1"], decoded(case, "root1"), case["size2"], decoded(case, "root2"), path
            )
        assert verdict is not case["wantErr"], case["name"]
    assert len(cases) == 98
    assert sum(not case["wantErr"] for case in cases) == 5


@given(SIZES)
def test_roots(size: int) -> None:
    leaves = LEAVES[:size]
    root = mth(leaves)
    assert root_of(leaves) == root
    assert Peaks().extend(leaves).root() == root
    peaks = Peaks()
    builder = PeaksBuilder()
    for leaf in leaves:
        peaks = peaks.append(leaf)
        builder.append(leaf)
    assert peaks == Peaks().extend(leaves) == builder.snapshot()
    assert (peaks.size, peaks.root(), builder.root(), builder.size) == (size, root, root, size)


@given(SIZES, st.integers(0, 600))
def test_growth_in_two_steps(size: int, first: int) -> None:
    start = Peaks().extend(LEAVES[: min(first, size)])
    before = start.encode()
    assert start.extend(LEAVES[start.size : size]) == Peaks().extend(LEAVES[:size])
    assert start.encode() == before


@given(st.integers(0, 600))
def test_peaks_as_bytes(size: int) -> None:
    peaks = Peaks().extend(LEAVES[:size])
    data = peaks.encode()
    assert len(data) == 8 + 32 * size.bit_count()
    assert Peaks.decode(data) == peaks
    for wrong in (data + b"\x00", data[:-1], data + bytes(32), data[:7]):
        with pytest.raises(RemoteError, match="BAD_PEAKS"):
            Peaks.decode(wrong)


def test_peaks_of_no_possible_size() -> None:
    Peaks.decode(MAX_SIZE.to_bytes(8, "big") + bytes(63 * 32))
    with pytest.raises(RemoteError, match="BAD_PEAKS"):
        Peaks.decode((MAX_SIZE + 1).to_bytes(8, "big") + bytes(32))


@given(st.data(), SIZES)
def test_inclusion(data: st.DataObject, size: int) -> None:
    leaves = LEAVES[:size]
    root = mth(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(leaves, index)
    assert path == path_model(index, leaves)
    assert path == [range_root(stored, start, stop) for start, stop in inclusion_nodes(index, size)]
    assert root_from_inclusion(leaves[index], index, size, path) == root
    assert verify_inclusion(leaves[index], index, size, path, root)


def spoiled(draw: st.DataObject, path: list[bytes]) -> list[bytes]:
    """Return a path that is not `path`."""
    at = draw.draw(st.integers(0, len(path)))
    changes = [[*path[:at], OTHER, *path[at:]]]
    if path:
        at = draw.draw(st.integers(0, len(path) - 1))
        flipped = bytearray(path[at])
        flipped[draw.draw(st.integers(0, 31))] ^= 1 << draw.draw(st.integers(0, 7))
        changes += [
            path[:at] + path[at + 1 :],
            [*path[:at], bytes(flipped), *path[at + 1 :]],
            [*path[:at], path[at][:-1], *path[at + 1 :]],
            [*path[:at], path[at] + b"\x00", *path[at + 1 :]],
        ]
    if path != path[::-1]:
        changes.append(path[::-1])
    return draw.draw(st.sampled_from(changes))


@given(st.data(), SIZES)
def test_spoiled_inclusion(data: st.DataObject, size: int) -> None:
    leaves = LEAVES[:size]
    root = mth(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = path_model(index, leaves)
    assert not verify_inclusion(leaves[index], index, size, spoiled(data, path), root)
    assert not verify_inclusion(OTHER, index, size, path, root)
    assert not verify_inclusion(leaves[index], index, size, path, OTHER)
    assert not verify_inclusion(leaves[index][:-1], index, size, path, root)
    other = data.draw(st.integers(-2, size + 2).filter(lambda value: value != index))
    assert not verify_inclusion(leaves[index], other, size, path, root)
    # Sizes that share the path's shape give the same root: the size is bound by what signs the root.
    assert not verify_inclusion(leaves[index], index, index, path, root)
    assert not verify_inclusion(leaves[index], index, MAX_SIZE + 1, path, root)


def test_shapes_that_no_inclusion_has() -> None:
    for index, size, length in ((0, 0, 0), (1, 1, 0), (-1, 1, 0), (0, 1, 1), (0, 2, 0), (4, 5, 3), (0, MAX_SIZE, 62)):
        with pytest.raises(RemoteError, match="BAD_INCLUSION"):
            root_from_inclusion(OTHER, index, size, [OTHER] * length)
    assert len(root_from_inclusion(OTHER, 0, MAX_SIZE, [OTHER] * 63)) == 32


@given(st.data(), SIZES)
def test_consistency(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(1, second))
    path = consistency_path(LEAVES, first, second)
    assert path == proof_model(first, LEAVES[:second])
    assert path == [range_root(stored, start, stop) for start, stop in consistency_nodes(first, second)]
    assert verify_consistency(first, mth(LEAVES[:first]), second, mth(LEAVES[:second]), path)


@given(st.data(), SIZES)
def test_spoiled_consistency(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(1, second))
    root1, root2 = mth(LEAVES[:first]), mth(LEAVES[:second])
    path = proof_model(first, LEAVES[:second])
    assert not verify_consistency(first, root1, second, root2, spoiled(data, path))
    assert not verify_consistency(first, OTHER, second, root2, path)
    assert not verify_consistency(first, root1, second, OTHER, path)
    assert not verify_consistency(0, EMPTY_ROOT, second, root2, path)
    assert not verify_consistency(0, EMPTY_ROOT, second, root2, [])
    assert not verify_consistency(first, root1[:-1], second, root2, path)
    assert not verify_consistency(-first, root1, second, root2, path)
    if first != second:
        assert not verify_consistency(second, root2, first, root1, path)
        assert not verify_consistency(first, root1, second, root2, [])


@given(st.data(), st.integers(2, 200))
def test_roots_made_to_fit_a_longer_path(data: st.DataObject, second: int) -> None:
    """Sizes fix the path's length: one more step is refused even under roots that it leads to."""
    first = data.draw(st.integers(1, second - 1))
    root1, root2 = node_hash(OTHER, mth(LEAVES[:first])), node_hash(OTHER, mth(LEAVES[:second]))
    path = [*proof_model(first, LEAVES[:second]), OTHER]
    if first & (first - 1) == 0:  # then the path does not begin with a node of the old tree, but with its root
        path = [mth(LEAVES[:first]), *path]
    assert not verify_consistency(first, root1, second, root2, path)
    assert not verify_inclusion(LEAVES[first], first, second, [*path_model(first, LEAVES[:second]), OTHER], root2)


@given(st.data(), st.integers(2, 200))
def test_no_proof_across_a_fork(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(1, second - 1))
    forked = LEAVES[:second]
    forked[data.draw(st.integers(0, first - 1))] = OTHER
    honest, liar = LEAVES[:second], forked
    for path in (proof_model(first, honest), proof_model(first, liar)):
        assert not verify_consistency(first, mth(honest[:first]), second, mth(liar), path)


@given(st.binary(max_size=100), st.integers(-5, 2**70), st.integers(-5, 2**70), st.lists(st.binary(max_size=40)))
def test_verdicts_never_raise(some: bytes, one: int, two: int, path: list[bytes]) -> None:
    assert verify_inclusion(some, one, two, path, OTHER) is False
    assert verify_consistency(one, OTHER, two, some, path) is False


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (1, 0), (-2, 0), (1, 3), (2, 5), (3, 5), (4, 9)])
def test_ranges_that_are_no_subtree(start: int, stop: int) -> None:
    with pytest.raises(LocalError, match="BAD_RANGE"):
        range_root(stored, start, stop)


def test_paths_that_cannot_be() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(LocalError, match="BAD_RANGE"):
            inclusion_path(LEAVES[:size], index)
    for first, second in ((0, 5), (6, 5), (-1, 5), (1, 601)):
        with pytest.raises(LocalError, match="BAD_RANGE"):
            consistency_path(LEAVES, first, second)
