"""The swarm as a whole: everybody converges whatever the network does, and hostile peers are bounded and coded."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip import knock, vocabulary
from gossip import swarm as gossip
from gossip.messages import Envelope, Unsupported, seal
from gossip.peers import WINDOW_BATCHES_MAX
from gossip.vocabulary import Branch, Got, Heads, Leaves, Marks, More, Runs, Summary, Tick, Want
from ledger import codec
from ledger.feed import Run, SignedHead
from tests.gossip.ledgers import MemoryLedger, bodies, feed_id, signed
from tests.gossip.worlds import START_MS, World

NOW = START_MS
MEMBER, STRANGER = feed_id("member"), feed_id("stranger")


def door(limits: gossip.Limits | None = None) -> tuple[gossip.Swarm, MemoryLedger]:
    """Return a swarm with three feeds, and two peers: a member and a stranger."""
    ledger = MemoryLedger()
    for at in range(3):
        ledger.publish(feed_id(at), bodies(at, 0, 4), 100)
    swarm = gossip.Swarm(ledger, own=feed_id(0), rng=Random(1), random_bytes=Random(2).randbytes, limits=limits)
    swarm.handle(gossip.PeerUp(MEMBER, True), NOW)
    swarm.handle(gossip.PeerUp(STRANGER, False), NOW)
    return swarm, ledger


def say(swarm: gossip.Swarm, data: bytes, peer: bytes = MEMBER, now_ms: int = NOW) -> list[gossip.Effect]:
    return swarm.handle(gossip.Message(peer, data), now_ms)


# All converge


@pytest.mark.covers("R97")
@given(
    st.integers(0, 2**32),
    st.integers(2, 7),
    st.floats(0, 0.4),
    st.floats(0, 0.3),
    st.integers(0, 400),
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 30), st.integers(0, 900)), max_size=12),
)
def test_all_converge_whatever_the_network_does(
    seed: int, nodes: int, loss: float, duplication: float, jitter_ms: int, acts: list[tuple[int, int, int]]
) -> None:
    world = World(nodes, seed)
    world.loss, world.duplication, world.jitter_ms = loss, duplication, jitter_ms
    world.engine_ms = seed % 40
    world.mesh()
    for name, leaves, wait_ms in acts:
        node = world.nodes[name % nodes]
        held = node.ledger.size(node.kid)
        node.publish(bodies(node.name, held, held + leaves))
        if wait_ms % 7 == 0:
            node.beat()
        if wait_ms % 11 == 0:
            world.split([node.name])
            world.run(wait_ms)
            for other in range(nodes):
                if other != node.name:
                    world.join(node.name, other)
        world.run(wait_ms)
    world.loss = world.duplication = 0.0
    assert world.run(150_000, world.equal)
    assert not any(node.closed for node in world.nodes)


def test_same_seed_same_effects() -> None:
    def trace(seed: int) -> str:
        world = World(6, seed)
        world.loss, world.jitter_ms = 0.1, 50
        world.mesh()
        for node in world.nodes:
            node.publish(bodies(node.name, 0, 9))
        world.run(20_000)
        return world.trace

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


TRACE = """
from tests.gossip.worlds import World
from tests.gossip.ledgers import bodies
world = World(5, 9)
world.mesh()
for node in world.nodes:
    node.publish(bodies(node.name, 0, 9))
world.run(15_000)
print(world.trace)
"""


def test_same_effects_in_another_process() -> None:
    root = Path(__file__).resolve().parents[2]

    def trace(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", TRACE], cwd=root, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert trace("1") == trace("2")


def test_with_one_honest_neighbour_among_many_liars_a_node_converges() -> None:
    world = World(2, 4)
    world.join(0, 1)
    victim, honest = world.nodes
    liars = [feed_id(f"liar {at}") for at in range(12)]
    victim.ledger.known |= set(liars)
    for liar in liars:
        victim.tell(gossip.PeerUp(liar, True))
    world.run(1_000)
    world.loss = 1.0  # what is pushed is lost
    honest.publish(bodies(1, 0, 5))
    world.run(100)
    world.loss = 0.0
    claim = SignedHead(10**6, bytes(32), 5, bytes(64))
    for liar in liars:
        victim.tell(gossip.Message(liar, vocabulary.encode(Heads(((honest.kid, claim),)))))
    assert world.run(120_000, world.equal)


# Who may say what


def test_a_stranger_may_knock_and_nothing_else() -> None:
    swarm, ledger = door()
    before = ledger.digests
    for message in (Want(((feed_id(0), 0),)), Summary(1, bytes(32), 0, b"", 0, b""), Tick(NOW // 1000)):
        assert say(swarm, vocabulary.encode(message), STRANGER) == []
    assert say(swarm, seal(3, 1, 1, []), STRANGER) == []
    assert swarm.counters == {"not_a_member": 4}
    assert ledger.digests == before
    data = knock.encode(knock.GenesisRequest())
    assert say(swarm, data, STRANGER) == [gossip.Stranger(STRANGER, Envelope.open(data))]
    assert say(swarm, data) == [gossip.Stranger(MEMBER, Envelope.open(data))]


def test_data_passes_unread() -> None:
    swarm, _ = door()
    data = seal(3, 1, 9, [b"opaque"])
    assert say(swarm, data) == [gossip.Data(MEMBER, Envelope.open(data))]


def test_nobody_hears_a_peer_that_is_down() -> None:
    swarm, _ = door()
    swarm.handle(gossip.PeerDown(MEMBER), NOW)
    assert say(swarm, b"anything") == []
    assert swarm.members() == []


@pytest.mark.covers("R18")
def test_unknown_families_and_kinds_are_counted() -> None:
    swarm, _ = door()
    assert say(swarm, seal(9, 1, 1, [])) == []
    assert say(swarm, seal(1, 1, 20, [1])) == []
    assert say(swarm, seal(0, 1, 9, [])) == []
    assert swarm.counters == {"family_unknown": 2, "kind_unknown": 1}


@pytest.mark.parametrize("family", [1, 2, 3])
def test_unknown_versions_are_answered_once(family: int) -> None:
    swarm, _ = door()
    told = Unsupported(family, (1,))
    assert say(swarm, seal(family, 2, 1, [])) == [gossip.Send(MEMBER, told.encode())]
    assert say(swarm, seal(family, 2, 1, [])) == []
    assert say(swarm, told.encode()) == []
    assert swarm.counters == {"version_unknown": 2, f"unsupported_{family}": 1}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "BAD_MESSAGE"),
        (b"\x83\x01\x01", "BAD_MESSAGE"),
        (b"\x84\x01\x01\x0c\x19\x00\x05", "BAD_MESSAGE"),
        (codec.encode([1, 1, 3, [[b"x", 0]]]), "BAD_MESSAGE"),
        (codec.encode([1, 1, 2, [[]] * 513]), "BAD_MESSAGE"),
        (b"\x84\x01\x01\x01" + bytes(1 << 20), "MESSAGE_TOO_LARGE"),
        (b"\x84\x00\x01\x01" + bytes(300), "MESSAGE_TOO_LARGE"),
    ],
)
def test_malformed_messages_end_the_channel(data: bytes, code: str) -> None:
    swarm, _ = door()
    (effect,) = say(swarm, data)
    assert isinstance(effect, gossip.Disconnect)
    assert (effect.peer, effect.code) == (MEMBER, code)


# Floods

SMALL = gossip.Limits(
    messages_rate=10, messages_burst=20, work_rate=1, work_burst=5, dropped_max=30, stranger_dropped_max=10
)


def test_a_flood_is_dropped_then_ends_the_channel() -> None:
    swarm, _ = door(SMALL)
    data = vocabulary.encode(Heads(()))
    effects = [effect for _ in range(20 + 30) for effect in say(swarm, data)]
    assert effects == []
    assert swarm.counters == {"over_rate": 30}
    (effect,) = say(swarm, data)
    assert isinstance(effect, gossip.Disconnect)
    assert effect.code == "RATE_LIMITED"


def test_who_slows_down_is_heard_again() -> None:
    swarm, _ = door(SMALL)
    tick = vocabulary.encode(Tick(NOW // 1000 + 1))
    for _ in range(45):
        say(swarm, vocabulary.encode(Heads(())))
    assert say(swarm, tick) == []
    assert gossip.TickAsked(NOW // 1000 + 1, MEMBER) in say(swarm, tick, now_ms=NOW + 1_000)
    for _ in range(45):
        say(swarm, vocabulary.encode(Heads(())), now_ms=NOW + 20_000)
    assert swarm.handle(gossip.TimerFired("none"), NOW + 20_000) == []
    assert swarm.members() == [MEMBER]


def test_a_stranger_is_slowed_much_earlier() -> None:
    swarm, _ = door(SMALL)
    data = knock.encode(knock.GenesisRequest())
    effects = [effect for _ in range(20 + 11) for effect in say(swarm, data, STRANGER)]
    assert len(effects) == 21
    assert isinstance(effects[-1], gossip.Disconnect)


def test_work_is_bounded_apart_from_messages() -> None:
    swarm, _ = door(SMALL)
    data = vocabulary.encode(Branch(feed_id(0), 0, 4))
    effects = [effect for _ in range(12) for effect in say(swarm, data)]
    assert len(effects) == 5


def test_heads_to_be_verified_are_bounded_apart_from_the_messages_that_hold_them() -> None:
    """The owner of a feed can sign any number, and one message holds hundreds."""
    swarm, ledger = door(replace(SMALL, heads_rate=2, heads_burst=5))
    heads = [signed(feed_id(0), ledger.leaf_hashes(feed_id(0), 0, 4), 1_000 + time) for time in range(9)]
    every = vocabulary.encode(Heads(tuple((feed_id(0), head) for head in heads)))
    asked = [gossip.Observe(MEMBER, feed_id(0), head) for head in heads]
    assert say(swarm, every) == asked[:5]
    assert swarm.counters == {"heads_over_rate": 4}
    assert say(swarm, every, now_ms=NOW + 1_000) == asked[5:7]  # told again; what was verified is known
    other = feed_id("another member")
    swarm.handle(gossip.PeerUp(other, True), NOW + 1_000)
    found = say(swarm, every, other, now_ms=NOW + 1_000)  # another peer has a measure of its own
    assert found == [gossip.Observe(other, feed_id(0), head) for head in heads[7:]]


def test_large_messages_use_up_the_bytes() -> None:
    swarm, _ = door(replace(SMALL, bytes_rate=1_000, bytes_burst=5_000))
    data = seal(3, 1, 1, [bytes(2_000)])
    assert [len(say(swarm, data)) for _ in range(4)] == [1, 1, 0, 0]


# Lies that are well formed

RUN = Run(feed_id(0), 4, (b"x",), signed(feed_id(0), [bytes(32)] * 5, 9))


@pytest.mark.parametrize(
    ("message", "count"),
    [
        (Want(((feed_id(0), 99), (feed_id("none"), 0))), {"want_out_of_range": 2}),
        (Got(7, ((feed_id(0), 9),)), {"got_unasked": 1}),
        (More(5, 0), {"more_unasked": 1}),
        (Leaves(feed_id(0), 0, bytes(32)), {"leaves_unasked": 1}),
        (Tick(NOW // 1000 + 121), {"tick_too_far": 1}),
        (Tick(0), {"tick_too_far": 1}),
        (Marks(300, True, ()), {"marks_other": 1}),
        (Runs(0, (replace(RUN, feed=feed_id("none")),)), {"feed_unknown": 1}),
        (Heads(((feed_id("none"), RUN.head),)), {"feed_unknown": 1}),
    ],
)
def test_lies_are_counted_and_do_nothing(message: vocabulary.Message, count: dict[str, int]) -> None:
    swarm, _ = door()
    assert say(swarm, vocabulary.encode(message)) == []
    assert swarm.counters == count


def test_leaf_hashes_of_a_feed_that_is_not_held_are_none() -> None:
    swarm, _ = door()
    for feed, start in ((feed_id("none"), 0), (feed_id(0), 4)):
        asked = vocabulary.encode(Branch(feed, start, start + 5))
        assert say(swarm, asked) == [gossip.Send(MEMBER, vocabulary.encode(Leaves(feed, start, b"")))]


def test_runs_that_wait_for_the_engine_are_bounded() -> None:
    swarm, _ = door(gossip.Limits(flight_runs=3))
    for at in range(10):
        run = Run(feed_id(0), 4, (b"%d" % at, *[b"x"] * at), signed(feed_id(0), [bytes(32)] * (5 + at), 9))
        say(swarm, vocabulary.encode(Runs(0, (run,))))
    assert swarm.counters["flight_full"] == 7


def test_batches_beyond_the_window_are_dropped() -> None:
    swarm, _ = door()
    effects = []
    for token in range(1, 3 * WINDOW_BATCHES_MAX):
        run = Run(feed_id(0), 3 + token, (b"x",), signed(feed_id(0), [bytes(32)] * (4 + token), 9))
        effects += say(swarm, vocabulary.encode(Runs(token, (run,))))
    assert sum(isinstance(effect, gossip.Ingest) for effect in effects) == 2 * WINDOW_BATCHES_MAX
    assert swarm.counters["batch_unwanted"] == WINDOW_BATCHES_MAX - 1


def test_wrong_signatures_end_the_channel_after_a_few() -> None:
    swarm, _ = door()
    codes = []
    for _ in range(8):
        say(swarm, vocabulary.encode(Runs(0, (RUN,))))
        effects = swarm.handle(gossip.Refused(MEMBER, RUN.feed, "BAD_CHECKPOINT_SIGNATURE"), NOW)
        codes += [effect.code for effect in effects if isinstance(effect, gossip.Disconnect)]
    assert codes == ["BAD_RUNS"]


def test_claims_about_unknown_feeds_take_bounded_memory() -> None:
    swarm, _ = door(gossip.Limits(deferred_feeds=50, known_feeds=50))
    for at in range(20):
        heads = tuple((feed_id(f"{at} {n}"), RUN.head) for n in range(20))
        assert say(swarm, vocabulary.encode(Heads(heads))) == []
    peer = swarm._peers.get(MEMBER)
    assert peer is not None
    assert len(peer.deferred) == 50
    assert len(peer.known) <= 50


@given(st.integers(0, 2**32))
def test_no_message_of_a_member_raises(seed: int) -> None:
    rng = Random(seed)
    swarm, ledger = door()
    feeds = [feed_id(at) for at in range(4)]
    for step in range(60):
        feed, size = rng.choice(feeds), rng.randrange(12)
        head = rng.choice([ledger.signed_head(feeds[0]), signed(feed, [bytes(32)] * size, rng.randrange(300))])
        assert head is not None
        messages: list[vocabulary.Message] = [
            Want(((feed, size),)),
            Got(rng.randrange(3), ((feed, size),)),
            Heads(((feed, head),)),
            Summary(
                rng.randrange(9), rng.randbytes(32), rng.randrange(5000), rng.randbytes(32), 300, rng.randbytes(32)
            ),
            vocabulary.Same(rng.randrange(4)),
            More(rng.randrange(9), rng.randrange(3) * 64),
            vocabulary.Symbols(rng.randrange(3), bytes(16), 0, rng.randbytes(81 * 8)),
            vocabulary.Listed(rng.randrange(3), 0, True, rng.random() < 0.5, rng.randbytes(72 * 3)),
            Branch(feed, size, size + 3),
            Leaves(feed, size, rng.randbytes(32 * rng.randrange(4))),
            Marks(300, True, ((feed, size, size),)),
            Tick(NOW // 1000 + rng.randrange(200)),
        ]
        if head.size > size:
            messages.append(Runs(rng.randrange(3), (Run(feed, size, (b"x",), head),)))
        data = vocabulary.encode(rng.choice(messages))
        for effect in say(swarm, data, now_ms=NOW + step * 200):
            if isinstance(effect, gossip.Ingest):
                code = rng.choice(["BAD_ROOT", "FEED_FORKED", "FEED_GAP", "UNKNOWN_FEED", "DATED_AHEAD"])
                swarm.handle(gossip.Refused(effect.source, effect.run.feed, code), NOW + step * 200)
            elif isinstance(effect, gossip.Observe):
                refused = gossip.HeadRefused(effect.source, effect.feed, effect.head, "FEED_FORKED")
                swarm.handle(refused, NOW + step * 200)
        if step % 10 == 0:
            swarm.handle(gossip.BoundaryPassed(300), NOW)
            for name in ("exchange", "announce", "wants"):
                swarm.handle(gossip.TimerFired(name), NOW + step * 200)
    assert swarm.members() == [MEMBER]
