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

from ledger import fork
from ledger.checkpoint import Head
from ledger.consent.status import State, Status
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.replica import RUN_LEAVES_MAX, ForkSeen, Replica, decode, regression_payload
from ledger.rows import TABLES
from ledger.tables import position
from ledger.ticks import Ticker
from tests.strategies import Act, acts, build, deliver, deliveries
from tests.worlds import LATER, NOW, Consent, Node, Scribe, World, deliver_all, key, octets


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


# Waiting for what an entry has seen


def test_a_grant_counts_as_soon_as_the_head_it_names_is_held() -> None:
    world, alice, bob = grown()
    governance = len(bob.raws)  # held before: what comes later moves no membership
    early = bob.sign(NOW + 9)
    for i in range(3):
        bob.add(b"leaf %d" % i)
    consent = world.grant(world.members[0].party, world.members[1].party, [bob.head()])
    alice.add(consent.grant.raw)
    node = Node(world.genesis)
    assert node.ingest(bob.run(0, governance, early)) == ""
    assert node.ingest(alice.run(0, len(alice.raws), alice.sign(NOW + 10))) == ""
    assert statuses(node, world) == {consent.grant.id: None}
    assert node.ingest(bob.run(0, len(bob.raws), bob.sign(NOW + 10))) == ""
    status = statuses(node, world)[consent.grant.id]
    assert status is not None
    assert status.state is State.GRANTED


def test_a_governance_entry_counts_as_soon_as_the_head_it_names_is_held() -> None:
    world = World("waiting")
    alice, bob = world.members
    early = bob.scribe.sign(NOW + 9)
    bob.scribe.add(b"a leaf that is no entry")
    carol = world.join(alice)
    alice.scribe.raws.pop()
    application = next(r.entry for r in world.registrations() if r.entry.kind == "member.apply")
    scribe = alice.scribe.branch(len(alice.scribe.raws))
    alice.scribes[0] = scribe
    payload = {"application": application.id, "incarnation": 1}
    world.write(scribe, "member.admit", ("member", carol.root.kid), payload, bob.scribe.head())
    node = Node(world.genesis)
    assert node.ingest(bob.scribe.run(0, early.size, early)) == ""
    assert node.ingest(scribe.run(0, len(scribe.raws), scribe.sign(NOW + 10))) == ""
    assert not node.replica.members.is_member(carol.party)
    run = bob.scribe.run(0, len(bob.scribe.raws), bob.scribe.sign(NOW + 10))
    with node.store.write() as rows:
        assert node.replica.ingest(rows, run, LATER).governance
    assert node.replica.members.is_member(carol.party)


def test_a_known_status_changes_with_the_reach_of_the_feed_it_stands_in() -> None:
    world, alice, bob = grown()
    consent = world.grant(world.members[0].party, world.members[1].party, [alice.head()])
    bob.add(consent.grant.raw)
    node = held(world)
    assert statuses(node, world)[consent.grant.id] is not None
    final = {"final": [bob.feed, len(bob.raws) - 1, octets("root")]}
    root = world.members[1].root
    alice.add(world.sign(root, "device.retire", ("device", bob.feed), final, seen=(alice.head(),)).raw)
    assert node.ingest(alice.run(0, len(alice.raws), alice.sign(LATER + 1))) == ""
    assert statuses(node, world)[consent.grant.id] is None


@pytest.mark.parametrize("first", [0, 1])
def test_a_grant_dated_before_what_it_has_seen_never_counts_in_whatever_order(first: int) -> None:
    world, alice, bob = grown()
    consent = world.grant(world.members[0].party, world.members[1].party, [bob.head()], iat=NOW)
    alice.add(consent.grant.raw)
    node = Node(world.genesis)
    scribes = [alice, bob]
    for scribe in (scribes[first], scribes[1 - first]):
        assert node.ingest(scribe.run(0, len(scribe.raws), scribe.sign(NOW + 10))) == ""
    assert statuses(node, world) == {consent.grant.id: None}


# Forks


def forked() -> tuple[World, Scribe, Scribe, Scribe, Consent]:
    """Return a world in which Bob's feed has two branches; a grant stands in one, its withdrawal in the other."""
    world, alice, bob = grown()
    consent = world.grant(world.members[0].party, world.members[1].party, [alice.head()])
    bob.add(b"shared", consent.grant.raw)
    twin = bob.branch(len(bob.raws) - 1)
    twin.add(world.withdrawal(consent, [alice.head()]).raw, b"more", b"and more")
    return world, alice, bob, twin, consent


def test_a_second_branch_is_seen_whether_shorter_or_longer_and_refused() -> None:
    world, alice, bob, twin, _ = forked()
    for ours, theirs in ((bob, twin), (twin, bob)):
        node = Node(world.genesis)
        assert node.ingest(alice.run(0, len(alice.raws), alice.sign(NOW + 10))) == ""
        assert node.ingest(ours.run(0, len(ours.raws), ours.sign(NOW + 10))) == ""
        before = dump(node)
        head = theirs.sign(NOW + 10)
        for start in (0, len(theirs.raws) - 1, 2):
            run = theirs.run(start, len(theirs.raws), head)
            assert node.ingest(run) in {"FEED_FORKED", "FEED_GAP", "BAD_ROOT"}
        with pytest.raises(ForkSeen) as seen, node.store.write() as rows:
            node.replica.ingest(rows, theirs.run(0, len(theirs.raws), head), LATER)
        assert seen.value.theirs == head
        assert regression_payload(node.replica, seen.value) is None
        payload = fork.prove_branches(bob.device.public, seen.value.ours, ours.leaves, head, theirs.leaves)
        assert fork.check(payload, world.mesh_id).size == len(bob.raws) - 1
        assert dump(node) == before


def test_leaves_held_already_under_a_checkpoint_of_another_branch_show_the_fork() -> None:
    world, _, bob, twin, _ = forked()
    node = held(world)
    short = twin.branch(len(bob.raws) - 1)
    short.add(b"x")
    for branch in (short, twin):
        head = branch.sign(LATER)
        assert node.ingest(branch.run(0, 2, head)) == ("FEED_FORKED" if branch is short else "")
    assert node.replica.signed_head(bob.feed) == bob.heads[-1]


def test_a_checkpoint_that_contradicts_held_leaves_is_a_fork_even_at_one_time_and_size() -> None:
    world, _, bob, _, _ = forked()
    node = held(world)
    newest = bob.heads[-1]
    twin = bob.branch(len(bob.raws) - 1)
    twin.add(b"another last leaf")
    for head in (twin.sign(newest.time), twin.sign(NOW)):
        assert node.observe(bob.feed, head) == "FEED_FORKED"


def test_a_smaller_size_at_a_later_time_is_a_fork_whichever_comes_first() -> None:
    world, _, bob = grown()
    smaller, larger, between = bob.sign(NOW + 30, 2), bob.sign(NOW + 20), bob.sign(NOW + 5, 1)
    node = Node(world.genesis)
    assert node.ingest(bob.run(0, 3, larger)) == ""
    assert node.observe(bob.feed, between) == ""
    with pytest.raises(ForkSeen) as seen, node.store.write() as rows:
        node.replica.observe(rows, bob.feed, smaller, LATER)
    payload = regression_payload(node.replica, seen.value)
    assert payload is not None
    assert fork.check(payload, world.mesh_id).size == 2
    node = Node(world.genesis)
    assert node.ingest(bob.run(0, 2, smaller)) == ""
    with node.store.write() as rows:
        accepted = node.replica.ingest(rows, bob.run(2, 3, larger), LATER)
    assert accepted.fault is not None
    assert node.replica.size(bob.feed) == 3
    assert regression_payload(node.replica, accepted.fault) == payload


def test_nodes_with_different_branches_agree_again_once_both_know_the_proof() -> None:
    world, alice, bob, twin, consent = forked()
    nodes = [Node(world.genesis), Node(world.genesis)]
    for node, branch in zip(nodes, (bob, twin), strict=True):
        assert node.ingest(alice.run(0, len(alice.raws), alice.sign(NOW + 40))) == ""
        assert node.ingest(branch.run(0, len(branch.raws), branch.sign(NOW + 40))) == ""
    first, second = nodes
    assert first.replica.frontier_digest() != second.replica.frontier_digest()
    payload = fork.prove_branches(bob.device.public, bob.heads[-1], bob.leaves, twin.heads[-1], twin.leaves)
    world.write(alice, "fork.proof", ("feed", bob.feed), payload, twin.head())
    later = world.grant(world.members[0].party, world.members[0].party, [bob.head()])
    alice.add(later.grant.raw)
    head = alice.sign(NOW + 50)
    for node in nodes:
        assert node.ingest(alice.run(0, len(alice.raws), head)) == ""
        assert node.replica.frontier()[bob.feed].size == len(bob.raws) - 1
        status = statuses(node, world)[later.grant.id]  # it names a branch that one of them lacks
        assert status is not None
        assert status.state is State.GRANTED
    assert first.replica.frontier_digest() == second.replica.frontier_digest()
    assert first.replica.members == second.replica.members
    assert state_root(first, NOW + 60) == state_root(second, NOW + 60)
    assert statuses(first, world)[consent.grant.id] is None
    withdrawn = statuses(second, world)[consent.grant.id]
    assert withdrawn is not None
    assert withdrawn.state is State.WITHDRAWN


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
