"""A stored feed's tree: the same roots and proofs as over all its leaves, at any size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import merkle, tree
from ledger.errors import LocalError
from ledger.tables import BLOCK, leaf_row, position
from storage.memory import MemoryStore
from tests.worlds import octets

SIZE = 3 * BLOCK + 40
IDS = [octets("leaf", i) for i in range(SIZE)]
LEAVES = [merkle.leaf_hash(ident) for ident in IDS]
NUMBER = 7


def stored(pieces: list[int]) -> MemoryStore:
    """Store the feed in pieces that end at these sizes."""
    store = MemoryStore()
    with store.write() as rows:
        start = 0
        for stop in [*sorted(pieces), SIZE]:
            for index in range(start, stop):
                rows.put("entries", position(NUMBER, index), leaf_row(0, 0, IDS[index], b""))
            tree.write_blocks(rows, NUMBER, stop, LEAVES[start:stop])
            start = stop
    return store


WHOLE = stored([])


@settings(max_examples=20)
@given(st.lists(st.integers(0, SIZE), max_size=6))
def test_blocks_do_not_depend_on_the_pieces(pieces: list[int]) -> None:
    with stored(pieces).read() as rows, WHOLE.read() as whole:
        assert list(rows.scan("nodes", b"")) == list(whole.scan("nodes", b""))
        assert rows.count("nodes") == SIZE // BLOCK


@given(st.integers(0, SIZE))
def test_root_and_peaks_at_any_size(size: int) -> None:
    with WHOLE.read() as rows:
        assert tree.root_at(rows, NUMBER, size) == merkle.root_of(LEAVES[:size])
        peaks = tree.peaks_at(rows, NUMBER, size)
        assert peaks.extend(LEAVES[size:]).root() == merkle.root_of(LEAVES)


@given(st.data())
def test_paths_at_any_size(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE))
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    with WHOLE.read() as rows:
        assert tree.inclusion(rows, NUMBER, index, size) == merkle.inclusion_path(LEAVES[:size], index)
        assert tree.consistency(rows, NUMBER, first, size) == merkle.consistency_path(LEAVES, first, size)


def test_a_missing_block_is_said_so() -> None:
    store = stored([])
    with store.write() as rows:
        rows.delete("nodes", position(NUMBER, 1))
    with store.read() as rows:
        assert tree.root_at(rows, NUMBER, BLOCK) == merkle.root_of(LEAVES[:BLOCK])
        with pytest.raises(LocalError, match="STORE_CORRUPT"):
            tree.root_at(rows, NUMBER, SIZE)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 5), (BLOCK - 1, BLOCK + 1), (SIZE - 1, SIZE + 9)])
def test_leaf_hashes_of_a_range(start: int, stop: int) -> None:
    with WHOLE.read() as rows:
        assert tree.leaf_hashes(rows, NUMBER, start, stop) == LEAVES[start:stop]
        assert tree.leaf_hashes(rows, NUMBER + 1, start, stop) == []
