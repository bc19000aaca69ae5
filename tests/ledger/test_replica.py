"""The replica: order, duplication and batching of arrivals mean nothing, and what is refused changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.status import Status
from ledger.ticks import Ticker
from tests.strategies import Act, acts, build, deliver, deliveries
from tests.worlds import LATER, Node, World


def statuses(node: Node, world: World) -> dict[bytes, Status | None]:
    """Return what a node says of every consent of a world."""
    with node.store.read() as rows:
        return {c.grant.id: node.replica.consent(rows, c.grant.id) for c in world.consents}


def state_root(node: Node, boundary: int) -> bytes:
    """Return the state root at a boundary, computed from nothing."""
    with node.store.write() as rows:
        ticker = Ticker(node.replica)
        return ticker.rebuild(rows, boundary).state_root


@given(drawn=acts, one=deliveries, other=deliveries, time=st.integers(0, 60))
def test_order_duplication_and_batching_do_not_matter(
    drawn: Sequence[Act], one: Sequence[int], other: Sequence[int], time: int
) -> None:
    world = build(drawn)
    nodes = [Node(world.genesis), Node(world.genesis)]
    for node, delivery in zip(nodes, (one, other), strict=True):
        deliver(node, world, delivery)
    first, second = nodes
    assert first.replica.frontier_digest() == second.replica.frontier_digest()
    assert first.replica.members == second.replica.members
    assert statuses(first, world) == statuses(second, world)
    for boundary in (world.now - time, LATER):
        assert state_root(first, boundary) == state_root(second, boundary)
