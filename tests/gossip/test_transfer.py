"""Transfers: windows hold, nothing is asked twice, and who does not deliver is passed over."""

from __future__ import annotations

from random import Random

import pytest

from gossip import swarm as gossip
from gossip import vocabulary
from gossip.messages import Envelope
from gossip.peers import WINDOW_BATCHES, WINDOW_BATCHES_MAX
from gossip.transfer import BATCH_BYTES, FLIGHT_MS, WANT_MS, WANTS_TIMER
from gossip.vocabulary import Got, Heads, Runs, Want
from ledger.feed import Run
from tests.gossip.ledgers import MemoryLedger, bodies, feed_id, signed
from tests.gossip.worlds import START_MS, World

NOW = START_MS
FEED = feed_id("feed")
ONE, TWO = feed_id("one"), feed_id("two")


def swarm_with(ledger: MemoryLedger) -> gossip.Swarm:
    swarm = gossip.Swarm(ledger, own=bytes(32), rng=Random(1), random_bytes=bytes)
    for peer in (ONE, TWO):
        swarm.handle(gossip.PeerUp(peer, True), NOW)
    return swarm


def say(swarm: gossip.Swarm, peer: bytes, message: vocabulary.Message, now_ms: int = NOW) -> list[gossip.Effect]:
    return swarm.handle(gossip.Message(peer, vocabulary.encode(message)), now_ms)


def said(effects: list[gossip.Effect]) -> list[tuple[bytes, vocabulary.Message | None]]:
    return [
        (effect.peer, vocabulary.decode(Envelope.open(effect.data)))
        for effect in effects
        if isinstance(effect, gossip.Send)
    ]


def longer(leaves: int) -> tuple[MemoryLedger, MemoryLedger]:
    """Return an empty ledger that knows FEED, and its owner's."""
    owner = MemoryLedger()
    owner.publish(FEED, bodies("f", 0, leaves), 100)
    return MemoryLedger({FEED}), owner


def test_the_sender_keeps_a_window_and_no_more() -> None:
    ledger = MemoryLedger()
    ledger.publish(FEED, bodies("f", 0, 600, 10_000), 100)
    swarm = swarm_with(ledger)
    sent = said(say(swarm, ONE, Want(((FEED, 0),))))
    assert len(sent) == WINDOW_BATCHES
    at = 0
    for token, (_, message) in enumerate(sent, 1):
        assert isinstance(message, Runs)
        (run,) = message.runs
        assert (message.token, run.start) == (token, at)
        assert sum(map(len, run.raws)) <= BATCH_BYTES
        assert (run.path != ()) == (run.stop < 600)
        at = run.stop
    assert said(say(swarm, ONE, Want(((feed_id("none"), 0),)))) == []
    ((_, message),) = said(say(swarm, ONE, Got(1, ((FEED, 26),)), NOW + 2_000))
    assert isinstance(message, Runs)
    assert message.runs[0].start == at
    assert say(swarm, ONE, Got(1, ((FEED, 26),))) == []  # a token counts once


def test_the_window_widens_for_a_peer_that_answers_quickly_and_narrows_again() -> None:
    ledger = MemoryLedger()
    ledger.publish(FEED, bodies("f", 0, 4_000, 10_000), 100)
    swarm = swarm_with(ledger)
    on_the_way = len(said(say(swarm, ONE, Want(((FEED, 0),)))))
    widths = []
    for token in range(1, 60):
        at = NOW + max(token - 30, 0) * 2_000  # quick at first, then one every two seconds
        on_the_way += len(said(say(swarm, ONE, Got(token, ((FEED, 26 * token),)), at))) - 1
        widths.append(on_the_way)
    assert widths[0] == WINDOW_BATCHES + 1
    assert max(widths) == WINDOW_BATCHES_MAX
    assert widths[-1] == WINDOW_BATCHES


def test_small_runs_share_a_message_and_long_feeds_take_turns() -> None:
    ledger = MemoryLedger()
    for at in range(50):
        ledger.publish(feed_id(at), bodies(at, 0, 2), 100)
    for name in ("long", "longer"):
        ledger.publish(feed_id(name), bodies(name, 0, 60, 10_000), 100)
    swarm = swarm_with(ledger)
    wants = [*((feed_id(at), 0) for at in range(50)), (feed_id("long"), 0), (feed_id("longer"), 0)]
    sent = [message for _, message in said(say(swarm, ONE, Want(tuple(wants)))) if isinstance(message, Runs)]
    assert [run.feed for run in sent[0].runs[:51]] == [feed for feed, _ in wants[:51]]
    assert [{run.feed for run in batch.runs} for batch in sent[1:3]] == [{feed_id("long"), feed_id("longer")}] * 2


def test_a_feed_that_does_not_move_is_left_alone() -> None:
    ledger = MemoryLedger()
    ledger.publish(FEED, bodies("f", 0, 600, 10_000), 100)
    swarm = swarm_with(ledger)
    say(swarm, ONE, Want(((FEED, 0),)))
    assert say(swarm, ONE, Got(1, ((FEED, 0),))) == []
    assert say(swarm, ONE, Got(2, ((FEED, 0),))) == []


def test_batches_that_nobody_acknowledges_are_forgotten() -> None:
    ledger = MemoryLedger()
    ledger.publish(FEED, bodies("f", 0, 600, 10_000), 100)
    swarm = swarm_with(ledger)
    say(swarm, ONE, Want(((FEED, 0),)))
    swarm.handle(gossip.TimerFired("exchange"), NOW + 31_000)
    assert swarm.counters["window_stalled"] == 1
    assert len(said(say(swarm, ONE, Want(((FEED, 0),)), NOW + 31_000))) == WINDOW_BATCHES


def test_the_receiver_grants_the_next_batch_when_all_of_it_is_dealt_with() -> None:
    ledger, owner = longer(4)
    other = owner.publish(feed_id("other"), bodies("o", 0, 1), 100)
    ledger.known.add(other.feed)
    swarm = swarm_with(ledger)
    run = owner.run(FEED, 0, 10**6)
    assert run is not None
    effects = say(swarm, ONE, Runs(7, (run, other)))
    assert [type(effect) for effect in effects] == [gossip.Ingest, gossip.Ingest]
    ledger.ingest(run)
    assert not [m for _, m in said(swarm.handle(gossip.Accepted(run, ONE), NOW)) if isinstance(m, Got)]
    granted = said(swarm.handle(gossip.Refused(ONE, other.feed, "DATED_AHEAD"), NOW))
    assert granted == [(ONE, Got(7, tuple(sorted(((FEED, 4), (other.feed, 0))))))]


def test_what_is_held_already_is_granted_at_once() -> None:
    _, owner = longer(4)
    swarm = swarm_with(owner)
    run = owner.run(FEED, 0, 10**6)
    assert run is not None
    assert said(say(swarm, ONE, Runs(7, (run,)))) == [(ONE, Got(7, ((FEED, 4),)))]


def test_pieces_in_line_are_handed_to_the_engine_before_the_first_is_stored() -> None:
    ledger, owner = longer(30)
    swarm = swarm_with(ledger)
    pieces = []
    at = 0
    while at < 30:
        run = owner.run(FEED, at, 1_000)
        assert run is not None
        pieces.append(run)
        at = run.stop
    for token, run in enumerate(pieces, 1):
        assert gossip.Ingest(ONE, run) in say(swarm, ONE, Runs(token, (run,)))
    assert say(swarm, TWO, Heads(((FEED, pieces[0].head),))) == []  # all of it is on its way already
    for run in pieces:
        ledger.ingest(run)
        swarm.handle(gossip.Accepted(run, ONE), NOW)
    assert ledger.size(FEED) == 30


def test_a_feed_is_asked_of_one_peer_at_a_time() -> None:
    ledger, owner = longer(9)
    head = owner.signed_head(FEED)
    assert head is not None
    swarm = swarm_with(ledger)
    assert said(say(swarm, ONE, Heads(((FEED, head),)))) == [(ONE, Want(((FEED, 0),)))]
    assert say(swarm, TWO, Heads(((FEED, head),))) == []


@pytest.mark.parametrize("how", ["late", "down", "refused"])
def test_another_peer_is_asked_when_the_first_does_not_deliver(how: str) -> None:
    ledger, owner = longer(9)
    head = owner.signed_head(FEED)
    assert head is not None
    swarm = swarm_with(ledger)
    say(swarm, ONE, Heads(((FEED, head),)))
    say(swarm, TWO, Heads(((FEED, head),)))
    if how == "late":
        effects = swarm.handle(gossip.TimerFired(WANTS_TIMER), NOW + WANT_MS - 1)
        assert said(effects) == []
        effects = swarm.handle(gossip.TimerFired(WANTS_TIMER), NOW + WANT_MS)
    elif how == "down":
        effects = swarm.handle(gossip.PeerDown(ONE), NOW)
    else:
        bad = Run(FEED, 0, (b"x",), signed(FEED, [bytes(32)], 9))
        assert gossip.Ingest(ONE, bad) in say(swarm, ONE, Runs(1, (bad,)))
        effects = swarm.handle(gossip.Refused(ONE, FEED, "BAD_CHECKPOINT_SIGNATURE"), NOW)
    assert (TWO, Want(((FEED, 0),))) in said(effects)


def test_answers_out_of_order_leave_nothing_behind() -> None:
    ledger, owner = longer(4)
    swarm = swarm_with(ledger)
    first = owner.run(FEED, 0, 500)
    assert first is not None
    rest = owner.run(FEED, first.stop, 10**6)
    assert rest is not None
    say(swarm, ONE, Runs(1, (first,)))
    say(swarm, ONE, Runs(2, (rest,)))
    effects = swarm.handle(gossip.Refused(ONE, FEED, "FEED_GAP"), NOW)  # of the second, which overtook the first
    ledger.ingest(first)
    effects += swarm.handle(gossip.Accepted(first, ONE), NOW)
    assert {m.token for _, m in said(effects) if isinstance(m, Got)} == {1, 2}
    assert swarm._transfer.expected(FEED) == ledger.size(FEED)


def test_a_run_that_the_engine_forgets_is_forgotten() -> None:
    ledger, owner = longer(4)
    swarm = swarm_with(ledger)
    run = owner.run(FEED, 0, 10**6)
    assert run is not None
    say(swarm, ONE, Runs(1, (run,)))
    effects = swarm.handle(gossip.TimerFired("exchange"), NOW + FLIGHT_MS + 1)
    assert (ONE, Got(1, ((FEED, 0),))) in said(effects)
    assert swarm._transfer.expected(FEED) == 0


def test_many_feeds_proceed_together_with_a_slow_engine() -> None:
    world = World(2, latency_ms=20)
    world.engine_ms = 30
    names = [feed_id(f"feed {at}") for at in range(30)]
    world.nodes[1].ledger.known |= set(names)
    for at, name in enumerate(names):
        world.nodes[0].ledger.publish(name, bodies(at, 0, 100, 500), 100)
    world.join(0, 1)
    assert world.run(5_000, world.equal)
    assert world.nodes[1].ingested <= 30 + 30  # a piece more for a feed that a batch ends in
