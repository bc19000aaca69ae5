"""Ticks: moving the committed maps step by step gives what computing them from nothing gives, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ledger.ticks import Ticker
from tests.strategies import Act, acts, build, deliver
from tests.worlds import LATER, NOW, Node

Step = tuple[list[int], int]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.lists(st.integers(0, 10**4), max_size=8), st.integers(-3, 90)), min_size=1, max_size=6
)
"""Pieces that arrive, then a tick so many seconds after the world began."""


def maps_of(node: Node) -> list[tuple[bytes, bytes]]:
    """Return every row of the committed maps."""
    with node.store.read() as rows:
        return list(rows.scan("maps", b""))


@given(drawn=acts, schedule=steps)
def test_incremental_moves_equal_a_rebuild_byte_for_byte(drawn: Sequence[Act], schedule: Sequence[Step]) -> None:
    world = build(drawn)
    node = Node(world.genesis)
    ticker = Ticker(node.replica)
    for arriving, seconds in [*schedule, ([], 10**6)]:
        deliver(node, world, arriving, whole=seconds == 10**6)
        with node.store.write() as rows:
            for scribe in world.scribes():
                for head in scribe.heads:
                    if head.size <= node.replica.size(scribe.feed) and node.replica.feed_key(scribe.feed):
                        node.replica.observe(rows, scribe.feed, head, LATER)
            moved = ticker.move(rows, NOW + seconds)
        incremental = maps_of(node)
        with node.store.write() as rows:
            fresh = Ticker(node.replica)
            assert fresh.rebuild(rows, NOW + seconds) == moved
        assert maps_of(node) == incremental
