"""Anti-entropy: whatever differs is found and exchanged, in few round trips and few bytes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip import swarm as gossip
from gossip import vocabulary
from gossip.antientropy import MEET_MS
from gossip.messages import Envelope
from gossip.reconcile import Encoder
from gossip.vocabulary import Listed, Same, Summary, Symbols
from tests.gossip.ledgers import MemoryLedger, bodies, feed_id
from tests.gossip.worlds import World

LATENCY_MS = 50
ROUND_TRIP_MS = 2 * LATENCY_MS
SUMMARY, SAME, SYMBOLS, MORE, LISTED = (1, 5), (1, 6), (1, 7), (1, 8), (1, 9)


def filled(world: World, feeds: int, leaves: int, size: int = 200) -> list[bytes]:
    """Give all nodes the same feeds, which belong to none of them."""
    names = [feed_id(f"feed {at}") for at in range(feeds)]
    for node in world.nodes:
        node.ledger.known |= set(names)
        for at, name in enumerate(names):
            if leaves:
                node.ledger.publish(name, bodies(at, 0, leaves, size), 100)
    return names


@pytest.mark.covers("R21")
def test_equal_frontiers_cost_one_comparison() -> None:
    world = World(2, latency_ms=LATENCY_MS)
    filled(world, 100, 3)
    world.join(0, 1)
    world.run(500)
    assert set(world.messages) == {SUMMARY, SAME}
    assert world.sent[SUMMARY] + world.sent[SAME] <= 2 * 90 + 10
    assert sum(node.ingested for node in world.nodes) == 0


@pytest.mark.covers("R21")
@pytest.mark.parametrize("behind", [0, 1], ids=["the asker pulls", "the asker pushes"])
def test_delta_costs_less_than_8_kb_and_two_round_trips(behind: int) -> None:
    world = World(2, latency_ms=LATENCY_MS)
    names = filled(world, 100, 1_000)
    asker = min(world.nodes, key=lambda node: node.kid)  # of two that ask at once
    other = world.nodes[1 - asker.name]
    for name in names[::10]:
        (other, asker)[behind].ledger.publish(name, bodies(name.hex(), 0, 10), 200)
    began = world.now_ms
    world.join(0, 1)
    assert world.run(2_000, world.equal)
    took = world.now_ms - began
    world.run(ROUND_TRIP_MS)  # what follows counts too
    beyond = sum(world.sent.values()) - 100 * 200
    assert beyond <= 8_000
    assert took <= 2 * ROUND_TRIP_MS
    assert world.messages[SYMBOLS] == 1


@pytest.mark.parametrize("behind", [0, 1], ids=["the asker pulls", "the asker pushes"])
def test_since_they_were_equal_a_delta_costs_a_fraction(behind: int) -> None:
    world = World(2, latency_ms=LATENCY_MS)
    names = filled(world, 100, 20)
    world.join(0, 1)
    world.run(30_000)  # equal, and both know it
    world.cut(world.nodes[0].kid, world.nodes[1].kid)
    asker = min(world.nodes, key=lambda node: node.kid)
    changed = (world.nodes[1 - asker.name], asker)[behind]
    for name in names[::10]:
        run = changed.ledger.publish(name, bodies(name.hex(), 0, 10), 200)
        changed.tell(gossip.Accepted(run, None))
    world.sent.clear()
    world.messages.clear()
    began = world.now_ms
    world.join(0, 1)
    assert world.run(2_000, world.equal)
    assert world.now_ms - began <= 2 * ROUND_TRIP_MS
    assert sum(world.sent.values()) - 100 * 200 <= 3_500
    assert world.messages[SYMBOLS] == 0
    assert world.messages[LISTED] == 1


@pytest.mark.parametrize(("feeds", "leaves"), [(1, 3_000), (40, 200), (300, 5)])
def test_a_fresh_node_pulls_everything_for_little_more_than_the_leaves(feeds: int, leaves: int) -> None:
    world = World(2, latency_ms=LATENCY_MS)
    names = filled(world, feeds, 0)
    for at, name in enumerate(names):
        world.nodes[0].ledger.publish(name, bodies(at, 0, leaves, 480), 100)
    began = world.now_ms
    world.join(1, 0)
    assert world.run(60_000, world.equal)
    took = world.now_ms - began
    entries = feeds * leaves * 480
    run_heads = 200 * feeds + 72 * feeds  # a head for each feed, and its place in the list
    assert sum(world.sent.values()) <= 1.02 * entries + run_heads + 2_000
    windows = -(-entries // (4 * 256 * 1024))
    assert took <= (2 + windows) * ROUND_TRIP_MS


def test_large_differences_end_in_a_list() -> None:
    world = World(2)
    names = filled(world, 400, 1, 60)
    for at, name in enumerate(names):
        world.nodes[at % 2].ledger.publish(name, bodies(f"more {at}", 0, 1, 60), 200)
    world.join(0, 1)
    assert world.run(2_000, world.equal)
    assert world.messages[SYMBOLS] >= 2
    assert world.messages[MORE] == world.messages[SYMBOLS]
    assert world.messages[LISTED] == 1


@pytest.mark.covers("R8")
def test_partition_and_heal() -> None:
    world = World(15, 3)
    world.mesh()
    world.run(1_000)
    world.split(range(6))
    for node in world.nodes:
        node.publish(bodies(node.name, 0, 20))
    world.run(30_000)
    assert not world.equal()
    for left in range(6):
        for right in range(6, 15):
            world.join(left, right)
    assert world.run(3_000, world.equal)


def test_lost_pushes_are_repaired_by_the_steady_exchange() -> None:
    world = World(4, 5)
    world.mesh()
    world.run(1_000)
    world.loss = 1.0
    for node in world.nodes:
        node.publish(bodies(node.name, 0, 2))
    world.run(1_000)
    world.loss = 0.0
    assert world.run(60_000, world.equal)


def test_every_neighbour_is_met_within_ten_minutes() -> None:
    world = World(120, 7, latency_ms=1)
    for other in range(1, 120):
        world.join(0, other)
    began = world.now_ms
    world.run(MEET_MS + 60_000)
    middle = world.nodes[0].swarm._peers
    assert all(peer.exchanged_ms >= began + 60_000 for peer in middle.members)


def test_feeds_of_new_members_come_with_the_change_of_membership() -> None:
    world = World(2)
    stranger = feed_id("not yet known")
    world.nodes[0].ledger.publish(stranger, bodies("s", 0, 3), 100)
    world.join(0, 1)
    world.run(2_000)
    assert world.nodes[1].ledger.size(stranger) == 0
    world.nodes[1].ledger.known.add(stranger)
    world.nodes[1].tell(gossip.MembersChanged())
    assert world.run(100, world.equal)


def test_a_frontier_that_shrank_does_not_leave_the_base_in_the_way() -> None:
    world = World(2, latency_ms=LATENCY_MS)
    names = filled(world, 100, 5)
    world.join(0, 1)
    world.run(30_000)
    # Behind gossip's back one side comes to hold more: no change is in its log.
    world.nodes[0].ledger.publish(names[0], bodies("x", 0, 1), 200)
    assert world.run(40_000, world.equal)


def open_pair() -> tuple[gossip.Swarm, bytes, bytes, int]:
    """Return a swarm with one peer, whose device id is larger, and an exchange open."""
    own, peer = sorted((feed_id(0), feed_id(1)))
    ledger = MemoryLedger({feed_id(at) for at in range(9)})
    for at in range(9):
        ledger.publish(feed_id(at), bodies(at, 0, 2), 100)
    swarm = gossip.Swarm(ledger, own=own, rng=Random(1), random_bytes=bytes)
    (opened,) = swarm.handle(gossip.PeerUp(peer, True), 0)
    assert isinstance(opened, gossip.Send)
    said = vocabulary.decode(Envelope.open(opened.data))
    assert isinstance(said, Summary)
    return swarm, own, peer, said.exchange


@given(st.integers(0, 2**32), st.lists(st.integers(1, 200), min_size=1, max_size=4))
def test_garbage_for_symbols_is_answered_by_a_request_for_more_and_does_nothing(seed: int, counts: list[int]) -> None:
    swarm, _, peer, exchange = open_pair()
    rng, at = Random(seed), 0
    for count in counts:
        data = vocabulary.encode(Symbols(exchange, bytes(16), at, rng.randbytes(81 * count)))
        at += count
        (effect,) = swarm.handle(gossip.Message(peer, data), 10)
        assert isinstance(effect, gossip.Send)
        more = vocabulary.decode(Envelope.open(effect.data))
        assert more in {vocabulary.More(exchange, at), vocabulary.More(exchange, 0)}
        if more == vocabulary.More(exchange, 0):
            break


def test_symbols_that_no_set_can_have_end_in_a_request_for_the_list() -> None:
    swarm, _, peer, exchange = open_pair()
    ledger = swarm._view
    items = [feed + head.size.to_bytes(8, "big") + head.root for feed, head in ledger.signed_heads().items()]
    sound = Encoder(items[1:], bytes(16)).symbols(0, 1)  # all but one of ours ...
    twisted = sound[:80] + bytes((len(items) + 1,))  # ... and yet it counts one more
    effects = swarm.handle(gossip.Message(peer, vocabulary.encode(Symbols(exchange, bytes(16), 0, twisted))), 10)
    assert effects == [gossip.Send(peer, vocabulary.encode(vocabulary.More(exchange, 0)))]
    again = swarm.handle(gossip.Message(peer, vocabulary.encode(Symbols(exchange, bytes(16), 0, sound))), 10)
    assert again == []  # after a refusal, a list or nothing


def test_answers_that_nobody_asked_for_do_nothing() -> None:
    swarm, _, peer, exchange = open_pair()
    for message in (
        Same(exchange + 1),
        Symbols(exchange + 1, bytes(16), 0, bytes(81)),
        Listed(exchange + 1, 0, True, False, bytes(72)),
        Symbols(exchange, bytes(16), 64, bytes(81)),
        Listed(exchange, 0, True, False, b""),
    ):
        assert swarm.handle(gossip.Message(peer, vocabulary.encode(message)), 10) == []
    assert swarm.counters == {"answer_unasked": 4, "answer_unfit": 1}


def test_of_two_that_ask_at_once_the_smaller_goes_on() -> None:
    world = World(2)
    filled(world, 3, 1)
    world.join(0, 1)
    world.run(500)
    assert (world.messages[SUMMARY], world.messages[SAME]) == (2, 1)
