"""What the tests of the replica share: nodes that hold a world, and what they say and store."""

from __future__ import annotations

from ledger.consent.status import Status
from ledger.rows import TABLES
from ledger.ticks import Ticker
from tests.worlds import Node, Scribe, World, deliver_all


def statuses(node: Node, world: World) -> dict[bytes, Status | None]:
    """Return what a node says of every consent of a world."""
    with node.store.read() as rows:
        return {c.grant.id: node.replica.consent(rows, c.grant.id) for c in world.consents}


def state_root(node: Node, boundary: int) -> bytes:
    """Return the state root at a boundary, computed from nothing."""
    with node.store.write() as rows:
        ticker = Ticker(node.replica)
        return ticker.rebuild(rows, boundary).state_root


def dump(node: Node) -> list[tuple[str, bytes, bytes]]:
    """Return every row of a node."""
    with node.store.read() as rows:
        return [(table, key, value) for table in TABLES for key, value in rows.scan(table, b"")]


def memory(node: Node) -> tuple[object, ...]:
    """Return what a replica says from memory."""
    replica = node.replica
    feeds = {feed: (row, replica.position(feed), replica.signed_head(feed)) for feed, row in replica.feeds.items()}
    order = [replica.feed_of(number) for number in range(len(feeds))]
    registrations = sorted((r.feed, r.index, r.entry.id) for r in replica.registrations)
    return feeds, order, registrations, replica.members, replica.frontier_digest(), replica.frontier()


def held(world: World) -> Node:
    """Return a node that holds all of a world."""
    node = Node(world.genesis)
    deliver_all(node, world.scribes())
    return node


def grown() -> tuple[World, Scribe, Scribe]:
    """Return a world of two founders, with the feeds of both."""
    world = World("replica")
    alice, bob = world.members
    world.link("link.offer", alice, bob)
    world.link("link.accept", bob, alice)
    return world, alice.scribe, bob.scribe
