"""Ticks: asked for once everywhere, and the marks of a boundary come to agree."""

from __future__ import annotations

import pytest

from gossip import swarm as gossip
from gossip import vocabulary
from gossip.vocabulary import Marks, Tick
from ledger.errors import LocalError
from tests.gossip.ledgers import bodies, feed_id
from tests.gossip.worlds import World


def sizes_at(world: World, boundary: int) -> list[dict[bytes, tuple[int, bytes]]]:
    return [
        {feed: (head.size, head.root) for feed, head in node.ledger.heads_at(boundary).items()} for node in world.nodes
    ]


def test_a_tick_is_flooded_once() -> None:
    world = World(8)
    for at in range(7):
        world.join(at, at + 1)
    boundary = world.now_ms // 1000 + 10
    world.nodes[0].carry_out(world.nodes[0].swarm.tick(boundary, world.now_ms))
    world.nodes[0].carry_out(world.nodes[0].swarm.tick(boundary, world.now_ms))
    world.run(500)
    assert [node.ticks for node in world.nodes] == [[], *[[boundary]] * 7]
    assert world.messages[(1, 12)] == 7


@pytest.mark.parametrize("offset", [-121, 121])
def test_a_tick_far_from_now_is_refused(offset: int) -> None:
    world = World(2)
    world.join(0, 1)
    boundary = world.now_ms // 1000 + offset
    with pytest.raises(LocalError) as caught:
        world.nodes[0].swarm.tick(boundary, world.now_ms)
    assert caught.value.code == "TICK_TOO_FAR"
    world.nodes[1].tell(gossip.Message(world.nodes[0].kid, vocabulary.encode(Tick(boundary))))
    assert world.nodes[1].ticks == []


def test_too_many_ticks_are_dropped() -> None:
    world = World(2)
    world.join(0, 1)
    for after in range(30):
        tick = Tick(world.now_ms // 1000 + after)
        world.nodes[1].tell(gossip.Message(world.nodes[0].kid, vocabulary.encode(tick)))
    assert len(world.nodes[1].ticks) == 8
    assert world.nodes[1].swarm.counters["tick_too_many"] == 22


def test_marks_come_to_agree_although_a_later_checkpoint_overtook() -> None:
    world = World(3)
    world.mesh()
    owner = world.nodes[0]
    owner.publish(bodies(0, 0, 2))
    world.run(3_000)
    world.loss = 1.0  # the checkpoint of size 4 before the boundary reaches nobody
    owner.publish(bodies(0, 2, 4))
    world.run(1_000)
    boundary = world.now_ms // 1000
    world.run(2_000)
    world.loss = 0.0
    owner.publish(bodies(0, 4, 5))
    world.run(200)
    assert world.equal()
    before = sizes_at(world, boundary)
    assert before[0] != before[1]
    for node in world.nodes:
        node.tell(gossip.BoundaryPassed(boundary))
    world.run(40_000)
    after = sizes_at(world, boundary)
    assert after == [before[0]] * 3


def test_marks_that_agree_are_not_exchanged() -> None:
    world = World(3)
    world.mesh()
    for node in world.nodes:
        node.publish(bodies(node.name, 0, 2))
    world.run(2_000)
    for node in world.nodes:
        node.beat()
        node.tell(gossip.BoundaryPassed(world.now_ms // 1000))
    world.run(60_000)
    assert world.messages[(1, 13)] == 0


def test_marks_of_another_boundary_are_left_alone() -> None:
    world = World(2)
    world.join(0, 1)
    node = world.nodes[1]
    node.publish(bodies(1, 0, 1))
    for boundary in (0, 5):
        node.tell(gossip.Message(world.nodes[0].kid, vocabulary.encode(Marks(boundary, True, ((feed_id(0), 9, 9),)))))
    assert node.swarm.counters["marks_other"] == 2
    assert world.messages[(1, 13)] == 0
