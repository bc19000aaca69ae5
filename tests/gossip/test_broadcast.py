"""Push: what is stored reaches all at once, costs little twice, and never what was not stored."""

from __future__ import annotations

import pytest

from gossip import swarm as gossip
from gossip import vocabulary
from gossip.broadcast import ANNOUNCE_MS, PUSH_BYTES, SMALL_MESH
from gossip.peers import EAGER
from gossip.vocabulary import Runs
from ledger.feed import Run
from tests.gossip.ledgers import bodies, feed_id
from tests.gossip.worlds import World

RUNS, HEADS, WANT = (1, 1), (1, 2), (1, 3)


def quiet(world: World) -> World:
    """Let the first exchanges pass and forget what they cost."""
    world.run(500)
    world.sent.clear()
    world.messages.clear()
    return world


@pytest.mark.covers("R97")
def test_a_push_reaches_ten_nodes_in_two_hops() -> None:
    world = World(10, latency_ms=10)
    world.mesh()
    quiet(world)
    began = world.now_ms
    world.nodes[3].publish(bodies("a", 0, 1))
    assert world.run(1_000, world.equal)
    assert world.now_ms - began <= 20
    assert world.messages[RUNS] <= 10 * EAGER
    assert all(node.ingested == 1 for node in world.nodes if node.name != 3)


def test_one_push_to_a_neighbour_at_most_and_never_back() -> None:
    world = World(3)
    world.mesh()
    quiet(world)
    world.nodes[0].publish(bodies("a", 0, 1))
    world.run(ANNOUNCE_MS - 50)
    assert world.messages[RUNS] <= 2 + 2  # to both, and each of these to the other while it did not know
    assert not world.messages[HEADS]


def test_the_others_hear_of_it_a_little_later() -> None:
    world = World(SMALL_MESH + 2, latency_ms=1)
    for other in range(1, SMALL_MESH + 2):
        world.join(0, other)  # a star: only the middle can tell
    quiet(world)
    world.nodes[0].publish(bodies("a", 0, 1))
    world.run(50)
    reached = [node for node in world.nodes if node.ledger.size(feed_id(0))]
    assert len(reached) == 1 + EAGER
    assert world.run(ANNOUNCE_MS, world.equal)


def test_in_a_small_mesh_the_author_pushes_to_all_and_nobody_repeats_it() -> None:
    world = World(8, latency_ms=1)
    world.mesh()
    for node in world.nodes:
        node.publish(bodies(f"{node}", 0, 1))
    assert world.run(30_000, world.equal)
    quiet(world)
    world.messages.clear()
    world.nodes[0].publish(bodies("a", 1, 2))
    assert world.run(ANNOUNCE_MS - 50, world.equal)
    assert world.messages[RUNS] == 7


def test_who_is_not_connected_to_the_author_hears_of_it_all_the_same() -> None:
    world = World(5, latency_ms=1)
    world.mesh()
    for node in world.nodes:
        node.publish(bodies(f"{node}", 0, 1))
    assert world.run(30_000, world.equal)
    world.cut(feed_id(0), feed_id(4))
    quiet(world)
    world.nodes[0].publish(bodies("a", 1, 2))
    assert world.run(ANNOUNCE_MS + 50, world.equal)


def test_long_runs_are_announced_and_fetched() -> None:
    world = World(2)
    world.mesh()
    quiet(world)
    world.nodes[0].publish(bodies("a", 0, 1, PUSH_BYTES + 1))
    assert world.run(100, world.equal)
    assert (world.messages[HEADS], world.messages[WANT], world.messages[RUNS]) == (1, 1, 1)


def test_a_gap_is_asked_for() -> None:
    world = World(2)
    world.mesh()
    quiet(world)
    world.loss = 1.0
    world.nodes[0].publish(bodies("a", 0, 3))
    world.loss = 0.0
    world.nodes[0].publish(bodies("a", 3, 5))
    assert world.run(200, world.equal)
    assert world.nodes[1].ledger.size(feed_id(0)) == 5


def test_only_what_was_accepted_is_passed_on() -> None:
    world = World(3)
    world.join(0, 1)
    world.join(1, 2)
    quiet(world)
    run = world.nodes[0].ledger.publish(feed_id(0), bodies("a", 0, 1), 5)
    world.nodes[0].tell(gossip.Accepted(Run(run.feed, 0, (b"other",), run.head), None))
    world.run(100)
    assert world.nodes[1].swarm.counters["refused_BAD_ROOT"] == 1
    assert world.nodes[2].ingested == 0


def test_what_is_held_costs_no_ingest() -> None:
    world = World(2)
    world.mesh()
    quiet(world)
    run = world.nodes[0].ledger.publish(feed_id(0), bodies("a", 0, 1), 5)
    for _ in range(5):
        world.run(20)
        world.nodes[1].swarm.handle(gossip.PeerUp(feed_id(0), True), world.now_ms)  # forgets what was pushed
        world.nodes[0].swarm.handle(gossip.PeerUp(feed_id(1), True), world.now_ms)
        world.nodes[0].tell(gossip.Accepted(run, None))
    world.run(20)
    assert world.nodes[1].ingested == 1
    assert world.nodes[1].swarm.counters["run_held"] == 4


def test_heartbeats_reach_all_within_a_second() -> None:
    world = World(8)
    world.mesh()
    for node in world.nodes:
        node.publish(bodies(node.name, 0, 1))
    quiet(world)
    world.run(2_000)
    heads = {node.kid: node.beat() for node in world.nodes}
    world.run(1_000)
    for node in world.nodes:
        assert node.ledger.signed_heads() == heads


def test_old_heartbeats_are_not_passed_on() -> None:
    world = World(3)
    world.mesh()
    world.nodes[0].publish(bodies("a", 0, 1))
    world.run(1_000)
    old = world.nodes[0].ledger.signed_head(feed_id(0))
    assert old is not None
    world.nodes[0].beat()
    world.run(1_000)
    world.messages.clear()
    world.nodes[0].tell(gossip.HeadAccepted(feed_id(0), old, feed_id(1)))
    world.run(300)
    assert not world.messages[HEADS]


def test_a_push_heard_before_counts_again_unless_its_leaves_are_held() -> None:
    world = World(3)
    world.join(0, 1)
    world.join(1, 2)
    quiet(world)
    owner, node = world.nodes[0], world.nodes[1]
    node.ledger.known.discard(owner.kid)
    run = owner.ledger.publish(owner.kid, bodies("a", 0, 1), 5)
    push = vocabulary.encode(Runs(0, (run,)))
    node.tell(gossip.Message(owner.kid, push))
    assert node.ingested == 0
    node.ledger.known.add(owner.kid)
    node.tell(gossip.Message(owner.kid, push))
    node.tell(gossip.Message(world.nodes[2].kid, push))
    node.tell(gossip.Message(feed_id("nobody"), push))
    world.run(10)
    assert node.ingested == 1
    node.tell(gossip.Message(world.nodes[2].kid, push))
    assert node.ingested == 1
    assert node.swarm.counters["run_held"] == 2
