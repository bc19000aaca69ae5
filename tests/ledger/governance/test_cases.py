"""The worked cases of governance.md §6, and what becomes of members that fork, leave or come back: signed entries."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from ledger.checkpoint import Head
from ledger.consent.status import State
from ledger.governance.chain import fold
from ledger.governance.members import UNBOUNDED
from ledger.merkle import EMPTY_ROOT
from tests.ledger.fold_cases import prove_fork, rights
from tests.ledger.governance.honest import Cached
from tests.ledger.replica_cases import state_root
from tests.worlds import LATER, Member, Node, Scribe, deliver_all, key, octets


def ousted(founders: int = 4, *, sealed: bool = False, before: Callable[[Cached], None] | None = None) -> Cached:
    """Return a mesh that has expelled its last founder, cut where its feed ended."""
    world = Cached(founders=founders)
    if before is not None:
        before(world)
    *others, tom = world.members
    world.vote(others, world.expel(others[0], tom))
    if sealed:
        world.epochs.append(world.seal().reference)
    return world


def out(world: Cached) -> set[str]:
    """Return who is out, by number."""
    places = {member.party: f"m{n}" for n, member in enumerate(world.members)}
    return {places[party] for party in world.governed().expelled}


# §6


def test_case_a_mesh_of_one_seals_alone_and_of_two_both_and_neither_expels() -> None:
    one, two = Cached(founders=1), Cached(founders=2)
    for world in (one, two):
        assert world.seal().n == 1
        assert world.governed().n == 1
        world.vote(world.members, world.expel(world.members[0], world.members[-1]))
        assert out(world) == set()
    two.seal(by=two.members[:1])
    assert two.governed().n == 1, "one of two is no quorum"


def test_case_three_and_after_two_vote_the_third_out_the_two() -> None:
    world = Cached(founders=3)
    world.seal(by=world.members[:2])
    assert world.governed().n == 0, "all three"
    world.epoch = world.mesh_id
    world.vote(world.members[:2], world.expel(*world.members[1:]))
    assert out(world) == {"m2"}
    world.seal(by=world.members[:2])
    members = world.governed()
    assert (members.n, len(members.voters)) == (1, 2)


def test_case_six_with_two_expelled_needs_four_of_four() -> None:
    world = Cached(founders=6)
    *others, tim, tom = world.members
    for traitor in (tim, tom):
        world.vote([*others, tim] if traitor is tom else others, world.expel(others[0], traitor))
    assert out(world) == {"m4", "m5"}
    world.seal(by=others[:3])
    assert world.governed().n == 0
    world.epoch = world.mesh_id
    world.seal(by=others)
    assert set(world.governed().voters) == {member.party for member in others}


def test_case_more_expelled_than_one_seal_may_remove_lose_their_votes_seal_by_seal_and_their_rights_at_once() -> None:
    """Seven voters turn on each other until five are out: a seal removes fewer than half, and no cut moves up."""
    world = Cached(founders=7)
    first, *_ = world.members
    targets = world.members[2:]
    proposals = [world.expel(first, target) for target in targets]
    for proposal, target in zip(proposals, targets, strict=True):
        world.vote([member for member in world.members if member is not target], proposal)
    assert out(world) == {"m2", "m3", "m4", "m5", "m6"}
    reach = {target.scribe.feed: world.governed().reach(target.scribe.feed) for target in targets}
    after = world.seal()
    assert len(after.voters) == 4
    for target in targets:
        world.link("link.offer", target, first)
    assert out(world) == {"m2", "m3", "m4", "m5", "m6"}
    after = world.seal(hours=24 * 15)
    members = world.governed()
    assert {feed: members.reach(feed) for feed in reach} == reach
    assert len(after.voters) == 3
    assert set(members.voters) == {member.party for member in world.members[:2]}


def test_case_a_host_hides_a_withdrawal_is_cut_below_it_an_epoch_seals_and_it_appears() -> None:
    world = Cached()
    *others, tom = world.members
    consent = world.grant(tom.party, others[0].party, [others[1].scribe.head()])
    others[1].scribe.add(consent.grant.raw)
    shown = Head(tom.scribe.feed, len(tom.scribe.raws) + 3, octets("an unpublished head"))
    withdrawal = world.withdrawal(consent, [shown])
    world.vote(others, world.expel(others[0], tom))
    world.seal()
    tom.scribe.add(withdrawal.raw)
    node = Node(world.genesis)
    deliver_all(node, world.scribes())
    with node.store.read() as rows:
        status = node.replica.consent(rows, consent.grant.id)
    assert status is not None
    assert status.state is State.WITHDRAWN


def test_case_two_branches_reach_nodes_in_different_order_and_the_smallest_hold_wins() -> None:
    world = Cached()
    alice, bob, _, dave = world.members
    for _ in range(4):
        world.link("link.offer", dave, alice)
    proofs = [prove_fork(world, by.scribe, dave.scribe, size) for by, size in ((alice, 5), (bob, 3), (alice, 4))]
    entries = world.registrations()
    kept = [r for r in entries if r.entry.kind != "fork.proof"]
    shown = [r for r in entries if r.entry.kind == "fork.proof"]
    assert {r.entry.id for r in shown} == {proof.id for proof in proofs}
    for order in permutations(shown):
        members = fold(world.genesis, [*order, *kept], world.view())
        assert members.forks == {dave.scribe.feed: 3}
    nodes = [Node(world.genesis), Node(world.genesis)]
    deliver_all(nodes[0], world.scribes())
    deliver_all(nodes[1], list(reversed(world.scribes())))
    assert len({node.replica.frontier_digest() for node in nodes}) == 1
    assert len({state_root(node, LATER) for node in nodes}) == 1


@pytest.mark.parametrize("sealed", [False, True])
def test_case_a_root_key_certifies_a_fresh_device_after_the_cut(sealed: bool) -> None:
    world = ousted(sealed=sealed)
    tom, friend = world.members[-1], world.members[0]
    before = rights(world.governed())
    device = key("fresh")
    for predecessor in (None, tom.scribe.head(), Head(tom.scribe.feed, 1, octets("root"))):
        certificate = world.certificate(tom, device, predecessor)
        for registrar in (friend.scribe, tom.scribe):
            registrar.add(certificate.raw)
    tom.scribes.append(Scribe(device, world.mesh_id))
    world.vote([tom], world.expel(tom, friend))
    guest = world.join(tom)
    members = world.governed()
    assert members.reach(device.kid) == 0
    assert rights(members) == before
    assert not members.is_member(guest.party)
    assert out(world) == {"m3"}


def test_case_a_readmitted_member_finds_no_old_right() -> None:
    def link(world: Cached) -> None:
        world.link("link.offer", world.members[0], world.members[-1])
        world.link("link.accept", world.members[-1], world.members[0])

    world = ousted(before=link)
    alice, tom = world.members[0], world.members[-1]
    world.seal()
    again = world.join(alice, incarnation=2, again=tom)
    members = world.governed()
    assert members.is_member(again.party)
    assert not members.is_member(tom.party)
    assert not members.link_up(alice.party, again.party)
    assert not members.link_up(alice.party, tom.party)
    assert members.reach(tom.scribe.feed) < UNBOUNDED
    assert again.party not in members.voters
    world.seal()
    assert world.governed().links == {}


# A member that forked, left, or lost its device


def repair(world: Cached, member: Member, inviter: Member, proof: bytes, number: int = 2) -> Member:
    """Let a member whose feed forked ask for a new incarnation by its root key."""
    again = Member(member.root, (member.root.kid, number))
    device = key(world.label, "repaired", member.root.kid, number)
    payload = {"incarnation": number, "inviter": list(inviter.party), "device": device.kid, "expires": LATER}
    thing, start = ("member", member.root.kid), Head(device.kid, 0, EMPTY_ROOT)
    entry = world.sign(member.root, "member.repair", thing, {**payload, "fork": proof}, seen=(start,))
    inviter.scribe.add(entry.raw, world.certificate(again, device).raw)
    world.admission(inviter.scribe, entry)
    again.scribes.append(Scribe(device, world.mesh_id))
    world.members.append(again)
    return again


def test_repair_after_a_proven_fork_is_a_new_incarnation_admitted_by_policy() -> None:
    world = Cached()
    alice, bob, carol, dave = world.members
    world.link("link.offer", dave, alice)
    early = repair(world, dave, alice, octets("no proof"))
    assert not world.governed().is_member(early.party)
    proof = prove_fork(world, bob.scribe, dave.scribe, len(dave.scribe.raws) - 1)
    world.members.remove(early)
    stranger = repair(world, carol, alice, proof.id)
    assert not world.governed().is_member(stranger.party), "it was not carol's feed"
    again = repair(world, dave, alice, proof.id)
    members = world.governed()
    assert members.is_member(again.party)
    assert members.speaks(again.scribe.feed)
    assert not members.speaks(dave.scribe.feed)
    after = world.seal(by=[alice, bob, carol])
    assert dave.party not in after.voters
    assert again.party not in after.voters


def test_succession_moves_the_voice_and_a_leaver_gets_no_other() -> None:
    world = Cached()
    alice, bob, _, dave = world.members
    old = dave.scribe
    heir = world.succeed(dave, alice.scribe)
    proposal = world.propose(alice, "charter", charter=octets("text"))
    world.vote([dave, alice, bob], proposal)
    assert world.governed().speaks(heir.feed)
    assert not world.governed().speaks(old.feed)
    assert world.seal().charter == octets("text")
    assert world.tip().governing[dave.party] == heir.feed
    world.write(heir, "member.leave", ("member", dave.root.kid), {})
    world.succeed(dave, alice.scribe, claim=1)
    late = world.propose(alice, "charter", charter=octets("late"))
    world.vote([dave, alice, bob], late)
    assert world.seal().charter == octets("text"), "two of four: the leaver's heir has no voice"


def test_late_entries_are_judged_by_the_new_epoch_and_older_than_what_was_seen_is_void() -> None:
    world = Cached()
    alice, bob, *_ = world.members
    first = world.epoch
    world.seal()
    world.epoch = first
    world.link("link.offer", bob, alice)
    assert world.governed().links, "bob had seen no seal: late, and judged by the new epoch"
    world.epoch = world.tip().reference
    world.link("link.offer", alice, bob)
    world.epoch = first
    world.link("link.accept", alice, world.members[2])
    assert len(world.governed().links) == 1, "M7: alice had named a later epoch"
