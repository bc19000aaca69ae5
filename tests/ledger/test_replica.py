"""The replica: order, duplication and batching of arrivals mean nothing, and what is refused changes nothing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Head
from ledger.consent.status import State
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.replica import RUN_LEAVES_MAX, Replica, decode
from ledger.tables import position
from ledger.verify import verify_ledger
from tests.ledger.replica_cases import dump, grown, held, memory, state_root, statuses
from tests.strategies import Act, acts, build, deliver, deliveries
from tests.worlds import LATER, NOW, Node, Scribe, World, key, octets


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


# Laws


@given(drawn=acts, delivery=deliveries)
def test_memory_after_a_rollback_and_a_reload_is_what_the_rows_say(
    drawn: Sequence[Act], delivery: Sequence[int]
) -> None:
    world = build(drawn)
    node = Node(world.genesis)
    deliver(node, world, delivery, whole=False)
    before, rows_before = memory(node), dump(node)

    def all_and_fail(rows: Any) -> None:
        for scribe in world.scribes():
            with contextlib.suppress(RemoteError):
                node.replica.ingest(rows, scribe.run(0, len(scribe.raws), scribe.heads[-1]), LATER)
        raise RemoteError("TEST", "the transaction is rolled back")

    assert node.take(all_and_fail) == "TEST"
    assert dump(node) == rows_before
    with node.store.read() as rows:
        node.replica.reload(rows)
        assert memory(node) == before
        loaded = Node(world.genesis)
        loaded.replica = Replica.load(rows)
        assert memory(loaded) == before
    deliver(node, world, delivery)
    other = Node(world.genesis)
    deliver(other, world, delivery)
    assert node.replica.members == other.replica.members


@given(drawn=acts, feed=st.integers(0, 9), chosen=st.integers(0, 9), by=st.booleans())
def test_a_withdrawal_wins_however_late_and_wherever_it_is(
    drawn: Sequence[Act], feed: int, chosen: int, by: bool
) -> None:
    world = build([("grant", 0, 1, 0), *drawn])
    node = Node(world.genesis)
    deliver(node, world, [])
    consent = world.consents[chosen % len(world.consents)]
    scribe = [s for s in world.scribes() if s.raws][feed % len([s for s in world.scribes() if s.raws])]
    unknown = Head(octets("unpublished"), 5, octets("root"))
    signer = consent.subject if by else consent.withdraw
    scribe.add(world.withdrawal(consent, [unknown], by=signer).raw)
    if node.ingest(scribe.run(0, len(scribe.raws), scribe.sign(world.now + 1))) == "UNKNOWN_FEED":
        return
    status = statuses(node, world)[consent.grant.id]
    assert status is not None
    assert status.state is State.WITHDRAWN
    scribe.add(consent.grant.raw)
    node.ingest(scribe.run(0, len(scribe.raws), scribe.sign(world.now + 2)))
    assert statuses(node, world)[consent.grant.id] == status


@given(drawn=acts)
def test_governance_heads_are_few_start_with_ones_own_and_their_closure_covers_the_rest(drawn: Sequence[Act]) -> None:
    world = build(drawn)
    node = Node(world.genesis)
    deliver(node, world, [])
    for scribe in world.scribes():
        heads = node.replica.governance_heads(scribe.feed)
        assert 1 <= len(heads) <= 8
        assert heads[0] == node.replica.position(scribe.feed)
        assert len({head.feed for head in heads}) == len(heads)
        named = {head.feed for head in heads}
        for registration in node.replica.registrations:
            covered = registration.feed in named or any(
                head.feed == registration.feed and head.size > registration.index
                for other in node.replica.registrations
                if other.feed != registration.feed
                for head in other.entry.seen
            )
            assert covered


@given(bytes_max=st.integers(1, 4_000), leaves=st.integers(0, 40))
def test_a_feed_travels_in_pieces_each_of_them_proven(bytes_max: int, leaves: int) -> None:
    world, alice, _ = grown()
    for i in range(leaves):
        alice.add(b"leaf %d" % i * 10)
    sender, receiver = held(world), Node(world.genesis)
    pieces = 0
    with sender.store.read() as rows:
        while (run := sender.replica.run(rows, alice.feed, receiver.replica.size(alice.feed), bytes_max)) is not None:
            assert receiver.ingest(run) == ""
            pieces += 1
    assert receiver.replica.position(alice.feed) == sender.replica.position(alice.feed) == alice.head()
    assert receiver.replica.signed_head(alice.feed) == sender.replica.signed_head(alice.feed)
    assert pieces >= len(alice.raws) * 20 // (bytes_max + 2_000)


# Refusals


def test_what_is_refused_changes_nothing() -> None:
    world, alice, bob = grown()
    head = alice.sign(NOW + 10)
    run = alice.run(0, len(alice.raws), head)
    stranger = Scribe(key("stranger"), world.mesh_id)
    stranger.add(b"x")
    other = bytes(64)
    too_long = Scribe(alice.device, world.mesh_id)
    too_long.add(*(b"%d" % i for i in range(RUN_LEAVES_MAX + 1)))
    ahead = alice.branch(1)
    entry = world.sign(
        alice.device, "member.leave", ("member", octets("m")), {}, seen=(ahead.head(),), iat=LATER + 1_000
    )
    ahead.add(entry.raw)
    cases = [
        ("UNKNOWN_FEED", stranger.run(0, 1, stranger.sign(NOW))),
        ("FEED_GAP", alice.run(1, 3, head)),
        ("RUN_TOO_LONG", too_long.run(0, RUN_LEAVES_MAX + 1, too_long.sign(NOW))),
        ("BAD_ROOT", replace(run, raws=run.raws[:-1])),
        ("BAD_ROOT", replace(run, raws=(*run.raws[:-1], run.raws[-1] + b"\x00"))),
        ("BAD_ROOT", replace(run, raws=(*run.raws, b"more"))),
        ("BAD_ROOT", replace(run, raws=run.raws[::-1])),
        ("BAD_CHECKPOINT_SIGNATURE", replace(run, raws=run.raws[::-1], head=replace(head, signature=other))),
        ("BAD_ROOT", replace(run, path=(octets("path"),))),
        ("BAD_ROOT", replace(alice.run(0, 2, head), path=())),
        ("BAD_ROOT", replace(run, raws=())),
        ("BAD_CHECKPOINT_SIGNATURE", replace(run, head=replace(head, signature=other))),
        ("BAD_CHECKPOINT_SIGNATURE", replace(run, head=replace(head, time=head.time + 1))),
        ("DATED_AHEAD", alice.run(0, len(alice.raws), alice.sign(LATER + 121))),
        ("DATED_AHEAD", ahead.run(0, 2, ahead.sign(NOW + 1))),
    ]
    node = Node(world.genesis)
    before = dump(node), memory(node)
    for code, bad in cases:
        assert node.ingest(bad) == code
        assert (dump(node), memory(node)) == before, code
    assert node.ingest(run) == ""
    before = dump(node), memory(node)
    assert node.observe(bob.feed, bob.sign(NOW)) == "FEED_GAP"
    assert node.observe(stranger.feed, stranger.heads[0]) == "UNKNOWN_FEED"
    assert node.observe(alice.feed, alice.sign(LATER + 121)) == "DATED_AHEAD"
    assert node.observe(alice.feed, replace(head, time=NOW + 11)) == "BAD_CHECKPOINT_SIGNATURE"
    assert (dump(node), memory(node)) == before


def test_what_is_held_already_is_taken_again_and_changes_nothing() -> None:
    world, alice, _ = grown()
    old = alice.sign(NOW + 10, 2)
    newest = alice.sign(NOW + 20)
    node = Node(world.genesis)
    assert node.ingest(alice.run(0, 2, old)) == ""
    assert node.ingest(alice.run(0, len(alice.raws), newest)) == ""
    before = dump(node), memory(node)
    for run in (alice.run(0, 2, old), alice.run(0, 2, newest), alice.run(1, 3, newest), alice.run(2, 2, newest)):
        assert node.ingest(run) == ""
        assert (dump(node), memory(node)) == before
    for head in (old, newest):
        with node.store.write() as rows:
            assert not node.replica.observe(rows, alice.feed, head, LATER)
    assert (dump(node), memory(node)) == before


def test_workers_verdicts_are_taken_as_they_are_given() -> None:
    world, alice, _ = grown()
    run = alice.run(0, len(alice.raws), alice.sign(NOW + 10))
    one, other = Node(world.genesis), Node(world.genesis)
    assert one.ingest(run) == ""
    assert other.take(lambda rows: other.replica.ingest(rows, run, LATER, [decode(raw) for raw in run.raws])) == ""
    assert dump(one) == dump(other)


# Own statements


def test_own_statements_are_judged_before_anything_is_written() -> None:
    world, alice, bob = grown()
    node = held(world)
    device, feed = alice.device, alice.feed
    thing = ("tick", bytes(8))
    payload = {"boundary": 0, "frontier": bytes(32), "state_root": bytes(32)}
    here = node.replica.position(feed)
    iat = world.now + 10

    def attest(seen: tuple[Head, ...], time: int) -> Entry:
        return world.sign(device, "state.attestation", thing, payload, seen=seen, iat=time)

    mine = attest((here,), iat)
    grant = world.grant(world.members[0].party, world.members[1].party, [bob.head()], iat=NOW).grant
    cases = [
        ("VOID_WRONG_POSITION", [attest((Head(feed, 0, here.root),), iat)]),
        ("VOID_WRONG_POSITION", [mine, mine]),
        ("VOID_BACKDATED", [attest((here,), NOW)]),
        ("VOID_BACKDATED", [grant]),
        ("VOID_NOT_SELF_REGISTERED", [world.sign(bob.device, "state.attestation", thing, payload, seen=(here,))]),
        ("DATED_AHEAD", [attest((here,), iat + 1_000)]),
    ]
    before = dump(node), memory(node)
    for code, entries in cases:
        with pytest.raises(LocalError) as caught, node.store.write() as rows:
            node.replica.append(rows, device.public, entries, now=iat)
        assert caught.value.code == code
        assert (dump(node), memory(node)) == before
    alice.add(mine.raw)
    second = attest((alice.head(),), iat)
    alice.add(second.raw)
    with node.store.write() as rows:
        accepted = node.replica.append(rows, device.public, [mine, second], now=iat)
        head = node.replica.sign_feed(rows, alice.device, iat)
    assert accepted.entries == (mine, second)
    assert node.replica.position(feed) == alice.head()
    assert (head.size, head.root) == (len(alice.raws), alice.head().root)


def test_a_clock_that_steps_back_never_signs_an_earlier_time() -> None:
    world, alice, _ = grown()
    node = held(world)
    with node.store.write() as rows:
        times = [node.replica.sign_feed(rows, alice.device, now).time for now in (LATER + 5, LATER, LATER + 6)]
    assert times == [LATER + 5, LATER + 5, LATER + 6]
    assert node.observe(alice.feed, node.replica.signed_head(alice.feed) or alice.heads[0]) == ""


def test_a_new_device_signs_an_empty_feed() -> None:
    world, _, _ = grown()
    node, device = held(world), key("fresh device")
    with node.store.write() as rows:
        head = node.replica.sign_feed(rows, device, NOW)
    assert (head.size, node.replica.position(device.kid).size) == (0, 0)


# Reading


def test_bytes_that_nobody_signed_are_never_an_entry() -> None:
    world, alice, _ = grown()
    consent = world.grant(world.members[0].party, world.members[1].party, [alice.head()])
    raw = consent.grant.raw
    forged = raw[:-1] + bytes((raw[-1] ^ 1,))
    alice.add(forged, raw)
    garbage = world.sign(key("x"), "consent.withdraw", consent.grant.thing, {"grant": b"garbage"}, seen=(alice.head(),))
    alice.add(garbage.raw)
    node = held(world)
    ids = [hashlib.sha256(data).digest() for data in (forged, raw, b"garbage", b"absent")]
    with node.store.read() as rows:
        assert node.replica.entry(rows, ids[0]) is None
        assert node.replica.entry(rows, ids[1]) == consent.grant
        assert node.replica.entry(rows, ids[3]) is None
        assert node.replica.grant(rows, ids[1]) == consent.grant
        assert node.replica.grant(rows, ids[2]) is None
        assert node.replica.consent(rows, ids[2]) is None


def test_an_entry_in_two_feeds_has_one_body_and_two_places() -> None:
    world, alice, bob = grown()
    consent = world.grant(world.members[0].party, world.members[1].party, [alice.head()])
    alice.add(consent.grant.raw)
    bob.add(consent.grant.raw)
    node = held(world)
    with node.store.read() as rows:
        places = node.replica.places(rows, consent.grant.id)
        assert len(places) == 2
        stored = [rows.get("entries", position(*place)) or b"" for place in places]
        assert len(stored[1]) < 100 < len(stored[0])
        for scribe in (alice, bob):
            assert node.replica.leaf(rows, scribe.feed, len(scribe.raws) - 1).raw == consent.grant.raw


def test_what_a_feed_repeats_is_listed_once_a_feed() -> None:
    """Else a run of tiny leaves, all the same, would be written again with each of them."""
    world, alice, bob = grown()
    grant = world.grant(world.members[0].party, world.members[1].party, [alice.head()]).grant
    for scribe in (alice, bob):
        scribe.add(*[b"j"] * 300, *[grant.raw] * 3, b"j")
    node = held(world)
    with node.store.read() as rows:
        for raw in (b"j", grant.raw):
            places = node.replica.places(rows, hashlib.sha256(raw).digest())
            first = {(node.replica.number(scribe.feed), scribe.raws.index(raw)) for scribe in (alice, bob)}
            assert len(places) == 2
            assert set(places) == first
        for scribe in (alice, bob):
            bodies = node.replica.leaves(rows, scribe.feed, 0, 1 << 20)
            assert list(bodies) == scribe.raws
        assert verify_ledger(rows, lambda *_: None).faults == ()


def test_what_is_not_there_is_said_with_a_code() -> None:
    world, alice, bob = grown()
    node = held(world)
    with node.store.write() as rows:
        with pytest.raises(LocalError, match="NO_SUCH_LEAF"):
            node.replica.leaf(rows, alice.feed, 999)
        with pytest.raises(LocalError, match="UNKNOWN_FEED"):
            node.replica.number(octets("feed"))
        with pytest.raises(LocalError, match="MESH_EXISTS"):
            Replica.create(rows, World("another").genesis)
        assert node.replica.run(rows, octets("feed"), 0, 1_000) is None
        assert node.replica.run(rows, bob.feed, len(bob.raws), 1_000) is None
        rows.delete("meta", b"mesh")
        with pytest.raises(LocalError, match="NO_MESH"):
            Replica.load(rows)
