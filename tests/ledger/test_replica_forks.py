"""The replica: waiting for what an entry has seen, and feeds that show two faces."""

from __future__ import annotations

import pytest

from ledger import fork
from ledger.consent.status import State
from ledger.replica import ForkSeen, regression_payload
from tests.ledger.replica_cases import dump, grown, held, state_root, statuses
from tests.worlds import LATER, NOW, Consent, Node, Scribe, World, octets

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
