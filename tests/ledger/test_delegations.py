"""Delegations on a node's ledger and in the committed map: whatever came first, from scratch as step by step."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.kinds import BOUND_COUNT
from ledger.delegations import delegation_below
from ledger.entry import Entry
from ledger.groups import asking
from ledger.keys import thumbprint
from ledger.schema import DAY
from tests.worlds import LATER, NOW, Node, World, deliver_all, key, octets


def give(world: World, number: int, parent: Entry | None = None) -> Entry:
    """Return a delegation by person `number` to the next one."""
    payload: dict[str, Any] = {
        "delegate": key("person", number + 1).public,
        "withdraw_key": key("slip", number).public,
        "role": "delegate",
        "valid_until": (NOW // DAY + 300) * DAY,
        "depth": 2 - number,
        "slots": octets("bounds", number, size=32 * BOUND_COUNT),
    }
    if parent is not None:
        payload["parent"] = parent.id
    thing = ("delegation", octets("delegation", number, size=16))
    return world.sign(key("person", number), "delegation.give", thing, payload, seen=[world.members[0].scribe.head()])


def revoke(world: World, by: int, *links: Entry) -> Entry:
    """Return a revocation of the first of these."""
    payload = {"links": [link.raw for link in links]}
    head = world.members[0].scribe.head()
    return world.sign(key("person", by), "delegation.revoke", links[0].thing, payload, seen=[head])


def scene(order: list[int], feeds: list[int]) -> tuple[World, Entry, Entry, Node]:
    """Write a chain of two and a revocation from above, in an order, to either feed; return what a node makes of it."""
    world = World("delegations")
    first = give(world, 0)
    second = give(world, 1, first)
    entries = [first, second, revoke(world, 0, second, first), revoke(world, 5, first)]
    for place in order:
        world.members[feeds[place]].scribe.add(entries[place].raw)
    node = Node(world.genesis)
    deliver_all(node, [member.scribe for member in world.members])
    return world, first, second, node


@given(st.permutations(range(4)), st.lists(st.integers(0, 1), min_size=4, max_size=4))
def test_a_revocation_from_above_counts_in_any_order_and_a_forged_one_never(order: list[int], feeds: list[int]) -> None:
    _, first, second, node = scene(order, feeds)
    replica = node.replica
    with node.store.read() as rows:
        above, below = (replica.delegations.now(replica, rows, each.id) for each in (first, second))
        assert asking(replica, rows, thumbprint(first.payload["delegate"])) == [first.id]
        assert replica.delegations.now(replica, rows, octets("none")) is None
        assert delegation_below(replica, rows, first.id, replica.members, lambda _: 0) is None
    assert above is not None
    assert above.live
    assert below is not None
    assert not below.live
    assert below.committed() != above.committed()


@given(st.permutations(range(3)), st.lists(st.integers(0, 1), min_size=4, max_size=4))
def test_a_revocation_alone_ends_what_was_never_registered(order: list[int], feeds: list[int]) -> None:
    kept = [place for place in order if place != 1]
    _, _, second, node = scene(kept, feeds)
    with node.store.read() as rows:
        told = node.replica.delegations.now(node.replica, rows, second.id)
    assert told is not None
    assert not told.live
    assert told.valid_until < LATER * 2
