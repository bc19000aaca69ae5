"""Ticks: moving the committed maps step by step gives what computing them from nothing gives, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger import codec, fork
from ledger.checkpoint import Head
from ledger.consent.status import State
from ledger.errors import RemoteError
from ledger.merkle import EMPTY_ROOT
from ledger.tables import MOVE_KEY
from ledger.ticks import Tick, Ticker, attestations, attested, contradictions, cuts_below, heads_at, prune_heads
from tests.strategies import Act, acts, build, deliver
from tests.worlds import LATER, NOW, Member, Node, World, deliver_all, key, octets

Step = tuple[list[int], int]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.lists(st.integers(0, 10**4), max_size=8), st.integers(-3, 90)), min_size=1, max_size=6
)
"""Pieces that arrive, then a tick so many seconds after the world began."""


def maps_of(node: Node) -> list[tuple[bytes, bytes]]:
    """Return every row of the committed maps."""
    with node.store.read() as rows:
        return list(rows.scan("maps", b""))


@given(drawn=acts, schedule=steps)
def test_incremental_moves_equal_a_rebuild_byte_for_byte(drawn: Sequence[Act], schedule: Sequence[Step]) -> None:
    world = build(drawn)
    node = Node(world.genesis)
    ticker = Ticker(node.replica)
    for arriving, seconds in [*schedule, ([], 10**6)]:
        deliver(node, world, arriving, whole=seconds == 10**6)
        with node.store.write() as rows:
            for scribe in world.scribes():
                for head in scribe.heads:
                    if head.size <= node.replica.size(scribe.feed) and node.replica.feed_key(scribe.feed):
                        node.replica.observe(rows, scribe.feed, head, LATER)
            moved = ticker.move(rows, NOW + seconds)
        incremental = maps_of(node)
        with node.store.write() as rows:
            fresh = Ticker(node.replica)
            assert fresh.rebuild(rows, NOW + seconds) == moved
        assert maps_of(node) == incremental


@given(
    drawn=acts,
    schedule=steps,
    leaves=st.integers(1, 4),
    buckets=st.integers(1, 3),
    crashes=st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_a_move_in_steps_across_crashes_and_late_leaves_equals_a_rebuild(
    drawn: Sequence[Act], schedule: Sequence[Step], leaves: int, buckets: int, crashes: Sequence[bool]
) -> None:
    world = build(drawn)
    node = Node(world.genesis)
    ticker, turn = Ticker(node.replica), 0
    for arriving, seconds in [*schedule, ([], 10**6)]:
        deliver(node, world, arriving, whole=seconds == 10**6)
        with node.store.write() as rows:
            ticker.begin(rows, NOW + seconds)
            before, tick = ticker.tick, ticker.step(rows, leaves, buckets)
        while tick is None:
            assert ticker.moving is not None
            assert ticker.tick == before
            turn += 1
            if crashes[turn % len(crashes)]:
                ticker = Ticker(node.replica)
                with node.store.read() as rows_again:
                    ticker.load(rows_again)
            deliver(node, world, [turn * 7])  # what comes meanwhile is for the next tick
            with node.store.write() as rows:
                tick = ticker.step(rows, leaves, buckets)
        assert (ticker.moving, ticker.tick) == (None, tick)
        stepwise = maps_of(node)
        with node.store.write() as rows:
            assert rows.get("meta", MOVE_KEY) is None
            assert Ticker(node.replica).rebuild_at(rows, tick) == tick
        assert maps_of(node) == stepwise


def node_of(world: World) -> tuple[Node, Ticker]:
    """Return a node that holds all of a world, and its maps."""
    node = Node(world.genesis)
    deliver_all(node, world.scribes(), world.now + 100)
    return node, Ticker(node.replica)


def move(node: Node, ticker: Ticker, boundary: int) -> Tick:
    """Move the maps in a transaction of their own."""
    with node.store.write() as rows:
        assert ticker.ready(rows, boundary)
        return ticker.move(rows, boundary)


def test_a_frontier_is_the_newest_checkpoint_of_each_feed_up_to_the_boundary() -> None:
    world = World("ticks")
    alice, bob = (member.scribe for member in world.members)
    heads = [alice.sign(NOW + 100, 1), alice.sign(NOW + 200, 2), alice.sign(NOW + 200, 3), alice.sign(NOW + 300, 3)]
    late = bob.sign(NOW + 250)
    node = Node(world.genesis)
    assert node.ingest(alice.run(0, 3, heads[-1])) == ""
    assert node.ingest(bob.run(0, 2, late)) == ""
    for head in heads:
        node.observe(alice.feed, head)
    expected = [(99, {}), (100, heads[0]), (199, heads[0]), (200, heads[2]), (299, heads[2]), (300, heads[3])]
    for seconds, newest in expected:
        with node.store.read() as rows:
            found = heads_at(node.replica, rows, NOW + seconds)
        assert found.get(alice.feed, {}) == newest
        assert (bob.feed in found) == (seconds >= 250)


@given(drawn=acts, seconds=st.integers(0, 60))
def test_pruned_checkpoints_are_those_that_no_later_tick_needs(drawn: Sequence[Act], seconds: int) -> None:
    world = build(drawn)
    node = Node(world.genesis)
    deliver(node, world, [])
    boundaries = [NOW + seconds, NOW + seconds + 1, NOW + seconds + 30, LATER]
    with node.store.write() as rows:
        before = [heads_at(node.replica, rows, boundary) for boundary in boundaries]
        count = rows.count("heads")
        prune_heads(node.replica, rows, boundaries[0])
        assert [heads_at(node.replica, rows, boundary) for boundary in boundaries] == before
        assert rows.count("heads") <= count
        for feed in node.replica.feeds:
            older = [key for key, _ in rows.scan("heads", feed, feed + (boundaries[0] + 1).to_bytes(8, "big"))]
            assert len(older) <= 1


@given(drawn=acts, seconds=st.integers(0, 90))
def test_a_tick_survives_its_row_and_a_reload(drawn: Sequence[Act], seconds: int) -> None:
    world = build(drawn)
    node, ticker = node_of(world)
    tick = move(node, ticker, NOW + seconds)
    assert Tick.decode(tick.encode()) == tick
    loaded = Ticker(node.replica)
    with node.store.read() as rows:
        loaded.load(rows)
    assert loaded.tick == tick
    assert loaded.members.root() == tick.members
    assert loaded.consents.root() == tick.consents
    with node.store.write() as rows:
        assert Ticker(node.replica).rebuild_at(rows, tick) == tick


def test_a_rolled_back_move_and_a_load_leave_the_maps_as_they_were() -> None:
    world = build([("grant", 0, 1, 0), ("join", 0, 0, 0)])
    node, ticker = node_of(world)
    tick = move(node, ticker, world.now)
    alice, bob = world.members[:2]
    alice.scribe.add(world.grant(alice.party, bob.party, [alice.scribe.head()]).grant.raw)
    deliver_all(node, world.scribes(), world.now + 200)
    before = maps_of(node)

    def fail(rows: Any) -> None:
        ticker.move(rows, LATER)
        raise RemoteError("TEST", "the transaction is rolled back")

    assert node.take(fail) == "TEST"
    assert maps_of(node) == before
    with node.store.read() as rows:
        ticker.load(rows)
        assert (ticker.tick, ticker.members.root(), ticker.consents.root()) == (tick, tick.members, tick.consents)


def test_a_late_checkpoint_changes_what_a_boundary_is_and_not_the_tick_that_stood() -> None:
    world = World("late")
    alice = world.members[0].scribe
    early = alice.sign(NOW + 50, 2)
    node, ticker = node_of(world)
    tick = move(node, ticker, NOW + 60)
    assert tick.heads == {}
    assert node.observe(alice.feed, early) == ""
    with node.store.write() as rows:
        assert Ticker(node.replica).rebuild_at(rows, tick) == tick
        assert Ticker(node.replica).rebuild(rows, NOW + 60).heads == {alice.feed: early}


def test_the_maps_hold_every_members_standing_and_every_consent_spoken_of() -> None:
    world = World("maps")
    alice, bob = world.members
    consents = [world.grant(alice.party, bob.party, [alice.scribe.head()]) for _ in range(3)]
    alice.scribe.add(*(consent.grant.raw for consent in consents[:2]))
    bob.scribe.add(*(world.withdrawal(consent, [alice.scribe.head()]).raw for consent in consents[1:]))
    carol = world.join(alice)
    world.write(bob.scribe, "member.leave", ("member", bob.root.kid), {})
    node, ticker = node_of(world)
    tick = move(node, ticker, LATER)
    assert tick.members[0] == 3
    assert tick.consents[0] == 3
    with node.store.read() as rows:
        standing = {m.root.kid: ticker.members.value(rows, m.root.kid) for m in world.members}
        assert standing[alice.root.kid] == codec.encode([1, True, True, [alice.scribe.feed]])
        assert standing[bob.root.kid] == codec.encode([1, False, True, [bob.scribe.feed]])
        assert standing[carol.root.kid] == codec.encode([1, True, False, [carol.scribe.feed]])
        for consent in consents:
            status = node.replica.consent(rows, consent.grant.id)
            assert status is not None
            assert ticker.consents.value(rows, consent.grant.id) == status.committed()


def test_attestations_of_one_tick_are_found_by_device() -> None:
    world = World("attest")
    alice, bob = world.members
    node, ticker = node_of(world)
    tick = move(node, ticker, LATER)
    payload = {"boundary": LATER, "frontier": tick.frontier, "state_root": tick.state_root}
    thing = ("tick", LATER.to_bytes(8, "big"))
    world.write(alice.scribe, "state.attestation", thing, payload)
    world.write(alice.scribe, "state.attestation", thing, payload)
    world.write(bob.scribe, "state.attestation", thing, {**payload, "state_root": octets("another")})
    deliver_all(node, world.scribes(), LATER + 60)
    with node.store.read() as rows:
        found, others = attestations(rows, node.replica, tick), contradictions(rows, node.replica, tick)
    assert found == {alice.scribe.feed: (alice.scribe.feed, len(alice.scribe.raws) - 2)}
    assert others == (bob.scribe.feed,)
    elsewhere = {**payload, "frontier": octets("another"), "state_root": octets("another")}
    assert not tick.is_contradicted(payload)
    assert not tick.is_contradicted(elsewhere)
    assert tick.is_contradicted({**payload, "state_root": octets("another")})


def test_a_tick_is_attested_by_members_who_computed_it_and_by_no_lie_about_another() -> None:
    world = World("attested", founders=4)
    alice, bob, carol, dave = world.members
    node, ticker = node_of(world)
    ticks = [move(node, ticker, LATER - 600), move(node, ticker, LATER)]

    def attest(member: Member, boundary: int, tick: Tick, **lie: bytes) -> None:
        payload = {"boundary": boundary, "frontier": tick.frontier, "state_root": tick.state_root, **lie}
        world.write(member.scribe, "state.attestation", ("tick", boundary.to_bytes(8, "big")), payload)

    def found(need: int) -> Tick | None:
        deliver_all(node, world.scribes(), LATER + 60)
        with node.store.read() as rows:
            return attested(rows, node.replica, ticker.newest(rows, 16), need)

    for member in (alice, bob):
        attest(member, LATER - 600, ticks[0])
    assert found(3) is None
    assert found(2) == ticks[0]
    attest(dave, LATER + 10**6, ticks[1], frontier=octets("a frontier of nothing"))  # a time to come
    attest(dave, LATER, ticks[1], state_root=octets("another state"))
    attest(dave, LATER, ticks[1], frontier=octets("another frontier"))
    attest(carol, LATER, ticks[1])
    world.succeed(carol, carol.scribe)
    attest(carol, LATER, ticks[1])  # by its successor
    assert found(2) == ticks[0]  # two devices of one member are one
    assert found(1) == ticks[1]
    attest(alice, LATER, ticks[1])
    assert found(2) == ticks[1]


def test_a_proven_fork_cuts_the_frontier_and_what_stood_beyond_it_is_gone() -> None:
    world = World("cut")
    alice, bob = world.members
    consent = world.grant(alice.party, bob.party, [alice.scribe.head()])
    bob.scribe.add(b"below", consent.grant.raw)
    node, ticker = node_of(world)
    first = move(node, ticker, world.now + 100)
    assert (first.cuts, first.consents[0]) == ({}, 1)
    twin = bob.scribe.branch(3)
    twin.add(b"other")
    head, other = bob.scribe.heads[-1], twin.sign(world.now)
    payload = fork.prove_branches(bob.scribe.device.public, head, bob.scribe.leaves, other, twin.leaves)
    world.write(alice.scribe, "fork.proof", ("feed", bob.scribe.feed), payload)
    deliver_all(node, world.scribes(), world.now + 200)
    with node.store.read() as rows:
        heads = heads_at(node.replica, rows, LATER)
        assert cuts_below(node.replica, rows, heads) == {bob.scribe.feed: (3, twin.branch(3).head().root)}
    second = move(node, ticker, LATER)
    assert second.sizes[bob.scribe.feed] == 3
    assert second.consents[0] == 0
    assert Tick.decode(second.encode()) == second
    with node.store.write() as rows:
        assert Ticker(node.replica).rebuild_at(rows, second) == second


def test_a_grant_that_waited_for_a_head_enters_the_map_with_it() -> None:
    world = World("waiting")
    alice, bob = world.members
    bob.scribe.add(b"a leaf")
    consent = world.grant(alice.party, bob.party, [bob.scribe.head()])
    alice.scribe.add(consent.grant.raw)
    for scribe, time in ((alice.scribe, 100), (bob.scribe, 200)):
        scribe.sign(NOW + time)
    node = Node(world.genesis)
    for scribe in (alice.scribe, bob.scribe):
        assert node.ingest(scribe.run(0, len(scribe.raws), scribe.heads[-1])) == ""
    ticker = Ticker(node.replica)
    assert move(node, ticker, NOW + 150).consents[0] == 0
    assert move(node, ticker, NOW + 250).consents[0] == 1
    assert move(node, ticker, NOW + 150).consents[0] == 0


def test_a_revocation_enters_the_map_when_its_signer_becomes_a_partys_device() -> None:
    world = World("party")
    alice, bob = world.members
    heir = key("party", "heir")
    consent = world.grant(alice.party, bob.party, [alice.scribe.head()])
    payload = {"grant": consent.grant.id, "reason_code": "error"}
    start = Head(heir.kid, 0, EMPTY_ROOT)
    revocation = world.sign(heir, "consent.revoke", consent.grant.thing, payload, seen=[start])
    alice.scribe.add(consent.grant.raw, revocation.raw)
    alice.scribe.sign(NOW + 100)
    bob.scribe.sign(NOW + 100)
    bob.scribe.add(world.certificate(bob, heir, bob.scribe.head()).raw)
    bob.scribe.sign(NOW + 200)
    node = Node(world.genesis)
    for scribe in (alice.scribe, bob.scribe):
        assert node.ingest(scribe.run(0, len(scribe.raws), scribe.heads[-1])) == ""
        assert node.observe(scribe.feed, scribe.heads[0]) == ""
    ticker = Ticker(node.replica)
    for seconds, state in ((150, State.GRANTED), (250, State.REVOKED), (150, State.GRANTED)):
        move(node, ticker, NOW + seconds)
        with node.store.read() as rows:
            value = codec.decode(ticker.consents.value(rows, consent.grant.id) or b"")
        assert isinstance(value, list)
        assert value[0] == state


def test_a_grant_leaves_the_map_when_its_feed_counts_less_far() -> None:
    world = World("retired")
    alice, bob = world.members
    consent = world.grant(alice.party, bob.party, [alice.scribe.head()])
    bob.scribe.add(consent.grant.raw)
    node, ticker = node_of(world)
    assert move(node, ticker, world.now + 100).consents[0] == 1
    final = {"final": [bob.scribe.feed, 2, octets("root")]}
    seen = (alice.scribe.head(),)
    alice.scribe.add(world.sign(bob.root, "device.retire", ("device", bob.scribe.feed), final, seen=seen).raw)
    deliver_all(node, world.scribes(), world.now + 200)
    assert move(node, ticker, LATER).consents[0] == 0


def test_a_revocation_enters_the_map_though_its_feed_never_counts() -> None:
    """A leaver's heir permits nothing, and may still revoke what its member is party to."""
    world = World("leaver")
    alice, bob = world.members
    consent = world.grant(alice.party, bob.party, [alice.scribe.head()])
    alice.scribe.add(consent.grant.raw)
    world.write(bob.scribe, "member.leave", ("member", bob.root.kid), {})
    alice.scribe.sign(NOW + 100)
    old = bob.scribe
    heir = world.succeed(bob, alice.scribe)
    payload = {"grant": consent.grant.id, "reason_code": "error"}
    world.write(heir, "consent.revoke", consent.grant.thing, payload)
    old.sign(NOW + 100)
    heir.sign(NOW + 100)
    alice.scribe.sign(NOW + 200)
    node = Node(world.genesis)
    for scribe in (alice.scribe, old, heir):
        assert node.ingest(scribe.run(0, len(scribe.raws), scribe.heads[-1])) == ""
    assert node.observe(alice.scribe.feed, alice.scribe.heads[0]) == ""
    ticker = Ticker(node.replica)
    for seconds, state in ((150, State.GRANTED), (250, State.REVOKED)):
        move(node, ticker, NOW + seconds)
        with node.store.read() as rows:
            value = codec.decode(ticker.consents.value(rows, consent.grant.id) or b"")
        assert isinstance(value, list)
        assert value[0] == state


def test_a_grant_that_names_another_branch_enters_the_map_with_the_proof() -> None:
    world = World("branches")
    alice, bob = world.members
    bob.scribe.add(b"shared", b"ours")
    twin = bob.scribe.branch(3)
    twin.add(b"theirs", b"and more than we ever hold")
    consent = world.grant(alice.party, bob.party, [twin.head()])
    alice.scribe.add(consent.grant.raw)
    node, ticker = node_of(world)
    assert move(node, ticker, world.now + 100).consents[0] == 0
    head, other = bob.scribe.heads[-1], twin.sign(world.now)
    payload = fork.prove_branches(bob.scribe.device.public, head, bob.scribe.leaves, other, twin.leaves)
    world.write(alice.scribe, "fork.proof", ("feed", bob.scribe.feed), payload)
    deliver_all(node, world.scribes(), world.now + 200)
    assert move(node, ticker, LATER).consents[0] == 1
