"""Forks: two histories of one feed are found, wherever they part, and both are delivered for the proof."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from gossip import swarm as gossip
from gossip import vocabulary
from gossip.branches import BRANCH_MAX, INQUIRED_MS, Branches
from gossip.messages import Envelope
from gossip.peers import Limits, Peer, Peers
from gossip.vocabulary import Heads, Leaves
from ledger.feed import SignedHead
from ledger.merkle import inclusion_path, root_from_inclusion, root_of
from tests.gossip.ledgers import MemoryLedger, bodies, feed_id, signature
from tests.gossip.worlds import World

FEED = feed_id("forked")


def forked(common: int, first: int, second: int, nodes: int = 2) -> World:
    """Return a world in which node 0 and the others hold two branches of one feed that part at `common`."""
    world = World(nodes)
    for node in world.nodes:
        more = first if node.name == 0 else second
        node.ledger.publish(FEED, bodies("f", 0, common) + bodies(f"{node.name > 0}", common, more), 100)
        for other in world.nodes:
            other.ledger.known.add(FEED)
    return world


def found(world: World) -> list[tuple[int, gossip.ForkCandidate]]:
    return [(node.name, fork) for node in world.nodes for fork in node.forks]


@pytest.mark.parametrize(
    ("common", "first", "second"),
    [(0, 1, 1), (3, 5, 5), (3, 9, 5), (3, 5, 9), (2, 900, 900), (700, 701, 3_000), (5, 10_000, 9_000)],
)
def test_a_fork_is_found_and_both_branches_are_there(common: int, first: int, second: int) -> None:
    world = forked(common, first, second)
    world.join(0, 1)
    assert world.run(60_000, lambda: bool(found(world)))
    name, fork = found(world)[0]
    theirs = fork.their_leaf_hashes
    ours = world.nodes[name].ledger.leaf_hashes(FEED, 0, 10**6)
    assert len(theirs) == fork.theirs.size
    assert root_of(theirs) == fork.theirs.root
    assert next(at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b) == common
    path = inclusion_path(theirs, common)
    assert root_from_inclusion(theirs[common], common, len(theirs), path) == fork.theirs.root


def test_a_known_fork_is_not_told_again_and_does_not_stop_the_rest() -> None:
    world = forked(3, 5, 5, 4)
    world.mesh()
    world.run(60_000)
    for node in world.nodes:
        node.publish(bodies(node.name, 0, 3))
    world.run(120_000)
    assert all(node.ledger.size(other.kid) == 3 for node in world.nodes for other in world.nodes)
    told = [(name, fork.theirs.root) for name, fork in found(world)]
    assert told
    assert len(told) == len(set(told))


def test_an_equal_size_is_not_taken_for_an_equal_feed() -> None:
    world = forked(3, 5, 5)
    world.join(0, 1)
    world.run(1_000)
    assert {name for name, _ in found(world)} <= {0, 1}
    assert found(world)


def test_a_second_face_in_a_heartbeat_is_looked_into() -> None:
    world = forked(3, 5, 5)
    head = world.nodes[1].ledger.signed_head(FEED)
    assert head is not None
    world.nodes[0].peers.add(world.nodes[1].kid)
    world.nodes[1].peers.add(world.nodes[0].kid)
    world.nodes[0].swarm.handle(gossip.PeerUp(world.nodes[1].kid, True), world.now_ms)
    world.nodes[1].swarm.handle(gossip.PeerUp(world.nodes[0].kid, True), world.now_ms)
    world.send(world.nodes[1], world.nodes[0].kid, vocabulary.encode(Heads(((FEED, head),))))
    assert world.run(200, lambda: bool(world.nodes[0].forks))


def liar(size: int = 5) -> tuple[World, bytes, SignedHead]:
    """Return a world whose node 0 was told a head of FEED that no leaves give, by a peer outside the world."""
    world = World(1)
    node, peer = world.nodes[0], feed_id("liar")
    node.ledger.publish(FEED, bodies("f", 0, size), 100)
    node.peers.add(peer)
    node.tell(gossip.PeerUp(peer, True))
    head = SignedHead(size, bytes(32), 200, signature(FEED, size, bytes(32), 200))
    node.tell(gossip.Message(peer, vocabulary.encode(Heads(((FEED, head),)))))
    return world, peer, head


def test_hashes_that_do_not_give_the_root_end_the_channel() -> None:
    world, peer, _ = liar()
    world.nodes[0].tell(gossip.Message(peer, vocabulary.encode(Leaves(FEED, 0, bytes(5 * 32)))))
    assert world.nodes[0].closed == [(peer, "BAD_BRANCH")]
    assert not world.nodes[0].forks


@pytest.mark.parametrize("answer", [(0, 0), (0, 6), (1, 4), (4, 2)])
def test_hashes_that_do_not_fit_end_the_inquiry(answer: tuple[int, int]) -> None:
    world, peer, _ = liar()
    start, count = answer
    world.nodes[0].tell(gossip.Message(peer, vocabulary.encode(Leaves(FEED, start, bytes(count * 32)))))
    assert world.nodes[0].swarm.counters["leaves_unfit"] == 1
    assert not world.nodes[0].closed


def test_one_feed_is_not_inquired_into_again_and_again() -> None:
    world, peer, head = liar()
    asked = world.messages[(1, 10)]
    for _ in range(9):
        world.nodes[0].tell(gossip.Message(peer, vocabulary.encode(Heads(((FEED, head),)))))
    assert world.messages[(1, 10)] == asked == 1


class Counting(MemoryLedger):
    """A ledger that counts how often a feed is read from its beginning."""

    whole = 0

    def leaf_hashes(self, feed: bytes, start: int, stop: int) -> Sequence[bytes]:
        self.whole += start == 0
        return super().leaf_hashes(feed, start, stop)


def inquirer(*feeds: bytes, size: int = 9_000) -> tuple[Branches, Counting, Peer]:
    """Return a node's branches with feeds of so many leaves, and a peer."""
    ledger, peers = Counting(), Peers(feed_id("own"), Limits(), Random(1), Random(2).randbytes)
    for feed in feeds:
        ledger.publish(feed, bodies("f", 0, size), 100)
    return Branches(ledger, peers), ledger, peers.up(feed_id("liar"), member=True, now_ms=0)


def asked(effects: Sequence[gossip.Effect]) -> vocabulary.Branch | None:
    """Return the question among effects."""
    told = [vocabulary.decode(Envelope.open(effect.data)) for effect in effects if isinstance(effect, gossip.Send)]
    return next((each for each in told if isinstance(each, vocabulary.Branch)), None)


def test_a_liar_has_us_hash_a_long_feed_once_and_not_with_every_page() -> None:
    """It shows a root of nothing, and pages that begin as ours do, so that each may be where the branches part."""
    branches, ledger, peer = inquirer(FEED)
    ours = MemoryLedger.leaf_hashes(ledger, FEED, 0, 9_000)
    effects = branches.suspect(peer, FEED, SignedHead(9_000, bytes(32), 200, bytes(64)), 0)
    pages = 0
    while (page := asked(effects)) is not None:
        hashes = ours[page.start] + bytes(32 * (page.stop - page.start - 1))
        effects = branches.on_leaves(peer, Leaves(FEED, page.start, hashes))
        pages += 1
    assert pages > 3
    assert [effect.code for effect in effects if isinstance(effect, gossip.Disconnect)] == ["BAD_BRANCH"]
    assert ledger.whole == 2  # the first page that fits, and all of it


@pytest.mark.parametrize("answer", ["unfit", "agrees"])
def test_a_peer_whose_branch_is_none_is_left_alone_for_a_while(answer: str) -> None:
    other = feed_id("other")
    branches, ledger, peer = inquirer(FEED, other, size=5)
    ours = ledger.leaf_hashes(FEED, 0, 5)
    head = SignedHead(5, root_of(list(ours)), 200, bytes(64))
    assert asked(branches.suspect(peer, FEED, head, 1_000))
    told = ours if answer == "agrees" else ours[:4]
    assert branches.on_leaves(peer, Leaves(FEED, 0 if answer == "agrees" else 1, b"".join(told))) == []
    lie = SignedHead(5, bytes(32), 200, bytes(64))
    assert branches.suspect(peer, other, lie, 1_000 + INQUIRED_MS - 1) == []
    assert asked(branches.suspect(peer, other, lie, 1_000 + INQUIRED_MS))


def test_branches_too_long_are_counted() -> None:
    world, peer, _ = liar()
    node = world.nodes[0]
    huge = SignedHead(BRANCH_MAX + 1, bytes(32), 200, bytes(64))
    assert node.swarm._branches.suspect(node.swarm._peers.get(peer), FEED, huge, world.now_ms + 10**6) == []  # type: ignore[arg-type]
    assert node.swarm.counters["branch_too_long"] == 1
