"""Who votes, and how ballots run over epochs: endorsement, pace, silence, suspension, delegation, deadlines, caps."""

from __future__ import annotations

import pytest

from ledger.entry import Entry
from ledger.governance.ballots import Rule
from ledger.governance.epoch import Policy
from ledger.governance.rules import Rules
from ledger.governance.voting import OPEN_A_VOTER_MAX
from tests.ledger.fold_cases import prove_fork
from tests.ledger.governance.honest import Cached
from tests.worlds import Member, octets

CHARTER = octets("charter")


def application(world: Cached, member: Member) -> bytes:
    """Return the id of a member's application."""
    found = [r.entry for r in world.registrations() if r.entry.kind == "member.apply"]
    return next(e.id for e in found if (e.kid, e.payload["incarnation"]) == member.party)


def endorse(world: Cached, guest: Member, *members: Member) -> None:
    """Let members endorse another."""
    for member in members:
        world.sponsor(member, application(world, guest), guest)


def charter(world: Cached, by: int = 0, text: object = "text") -> Entry:
    """Propose a charter."""
    return world.propose(world.members[by], "charter", charter=octets(text))


# Voters


@pytest.mark.parametrize(("founders", "needed"), [(1, 1), (2, 1), (3, 2), (5, 2), (6, 3), (9, 4)])
def test_a_seal_adds_a_voter_with_endorsements_from_a_third_and_one(founders: int, needed: int) -> None:
    for count in (needed - 1, needed):
        world = Cached(founders=founders)
        if count == 0:
            continue  # whoever invites is one
        guest = world.join(world.members[0])
        endorse(world, guest, *world.members[1:count])
        world.seal()
        members = world.governed()
        assert members.is_member(guest.party)
        assert (guest.party in members.voters) is (count >= needed)


def test_a_seal_adds_at_most_a_third_of_the_voters_a_day_the_oldest_members_first() -> None:
    world = Cached(founders=6)
    guests = [world.join(world.members[0]) for _ in range(4)]
    world.seal()
    for guest in reversed(guests):
        endorse(world, guest, *world.members[1:3])
    world.seal()
    voters = set(world.governed().voters)
    assert len(voters) == 8
    world.seal()
    assert set(world.governed().voters) == voters, "no more that day"
    world.seal(hours=24)
    assert set(world.governed().voters) >= {guest.party for guest in guests}


def test_endorsements_by_members_without_a_vote_and_by_the_suspended_make_no_voter() -> None:
    world = Cached()
    first, second = world.join(world.members[0]), world.join(world.members[0])
    world.seal()
    endorse(world, second, first)
    world.seal()
    assert second.party not in world.governed().voters
    bob = world.members[1]
    world.vote(world.members[2:4], world.propose(world.members[0], "suspend", target=list(bob.party)))
    endorse(world, second, bob)
    world.seal()
    assert second.party not in world.governed().voters
    endorse(world, second, world.members[2])
    world.seal()
    assert second.party in world.governed().voters


def test_leave_and_expulsion_take_the_vote_with_the_next_seal() -> None:
    world = Cached(founders=6)
    *others, bob, carol = world.members
    world.write(bob.scribe, "member.leave", ("member", bob.root.kid), {})
    world.vote(others, world.expel(others[0], carol))
    assert {bob.party, carol.party} <= set(world.tip().voters)
    assert set(world.governed().voters) == {m.party for m in others}
    after = world.seal()
    assert set(after.voters) == {m.party for m in others}
    assert after.context.size == 4


def test_a_seal_moves_silent_voters_and_they_stay_members_and_may_vote_again() -> None:
    world = Cached()
    *others, dave = world.members
    after = world.seal(silent=[dave.party], by=others)
    assert set(after.voters) == {m.party for m in others}
    members = world.governed()
    assert members.is_member(dave.party)
    assert dave.party not in members.voters
    world.vote([dave], proposal := charter(world))
    assert world.tip().history[proposal.epoch or b""].electorate.voters.keys() == {m.party for m in others}
    assert not world.seal(hours=200).results[proposal.id].passed


def test_a_later_incarnation_takes_the_place_of_the_earlier_one_and_not_its_vote() -> None:
    world = Cached()
    alice, bob, *_ = world.members
    again = world.join(alice, incarnation=2, again=bob)
    world.seal()
    members = world.governed()
    assert members.is_member(again.party)
    assert set(members.voters) == {m.party for m in world.members if m not in (bob, again)}
    endorse(world, again, world.members[2])
    world.seal()
    assert again.party in world.governed().voters


def test_a_mesh_of_one_whose_member_comes_back_can_still_seal() -> None:
    world = Cached(founders=1)
    guest = world.join(world.members[0])
    again = world.join(guest, incarnation=2, again=world.members[0])
    assert world.seal().voters
    assert world.governed().is_member(again.party)


# Ballots over epochs


def test_a_ballot_keeps_electorate_threshold_and_votes_over_seals() -> None:
    world = Cached()
    proposal = world.expel(world.members[0], world.members[3])
    after = world.tip()
    for voter in world.members[:3]:
        assert not world.governed().expelled
        world.vote([voter], proposal)
        after = world.seal(hours=20)
    assert set(world.governed().expelled) == {world.members[3].party}
    assert after.results[proposal.id].passed
    assert (after.results[proposal.id].yes, after.results[proposal.id].of) == (3, 3)


def test_members_who_became_voters_later_have_no_voice_on_an_older_proposal() -> None:
    world = Cached()
    proposal = charter(world)
    guest = world.join(world.members[0])
    endorse(world, guest, world.members[1])
    world.seal()
    world.vote([guest, *world.members[:2]], proposal)
    assert world.seal().charter is None
    world.vote([world.members[2]], proposal)
    assert world.seal().charter == octets("text")


@pytest.mark.parametrize("late", ["closed", "epoch", "unsealed"])
def test_g4_2_no_vote_counts_after_the_seal_of_the_deadline(late: str) -> None:
    """`epoch`: it names the closing seal; `unsealed`: it was made in time, and the closing seal was made without it."""
    world = Cached()
    proposal = world.propose(world.members[0], "admit", application=octets("nobody"), days=2)
    world.vote(world.members[:2], proposal)
    heads = world.frontier()
    first = world.epoch
    if late == "unsealed":
        world.vote([world.members[2]], proposal)
    world.seal(hours=72, frontier=heads)
    if late == "closed":
        world.epoch = first
        world.vote([world.members[2]], proposal)
    elif late == "epoch":
        world.vote([world.members[2]], proposal)
    after = world.seal()
    assert after.results[proposal.id].yes == 2
    assert not after.results[proposal.id].passed


def test_a_proposal_that_shows_up_after_the_seal_of_its_deadline_is_over() -> None:
    world = Cached()
    heads, first = world.frontier(), world.epoch
    proposal = world.expel(world.members[0], world.members[3], days=1)
    world.vote(world.members[:3], proposal)
    world.seal(frontier=heads, hours=48)
    assert not world.governed().expelled
    world.epoch = first
    world.vote(world.members[:3], proposal)
    assert not world.governed().expelled


@pytest.mark.parametrize("days", [-1, 15])
def test_a_deadline_lies_within_the_days_of_the_rules(days: int) -> None:
    world = Cached()
    world.vote(world.members[:3], world.expel(world.members[0], world.members[3], days=days))
    assert not world.governed().expelled


def test_only_voters_of_the_epoch_that_it_names_propose() -> None:
    world = Cached()
    guest = world.join(world.members[0])
    proposal = world.expel(guest, world.members[3])
    world.vote(world.members[:3], proposal)
    assert not world.governed().expelled


def test_a_voter_has_so_many_proposals_open_and_an_old_device_takes_no_place() -> None:
    world = Cached()
    alice, bob, *_ = world.members
    old = alice.scribe
    world.succeed(alice, bob.scribe)
    proposals = [charter(world, text=n) for n in range(OPEN_A_VOTER_MAX + 1)]
    assert set(world.tip().proposals) == set()
    after = world.seal()
    assert set(after.proposals) == {p.id for p in proposals[:-1]}
    alice.scribes.append(old)
    for n in range(OPEN_A_VOTER_MAX):
        charter(world, text=("old", n))
    alice.scribes.pop()
    assert set(world.seal().proposals) == {p.id for p in proposals[:-1]}
    world.seal(hours=200)
    last = charter(world, text="last")
    assert set(world.seal().proposals) == {last.id}


def test_what_an_old_device_proposes_late_displaces_nothing_that_is_open() -> None:
    world = Cached()
    alice, bob, carol, dave = world.members
    old = alice.scribe
    world.succeed(alice, bob.scribe)
    removal = world.expel(alice, dave)
    world.vote((alice, bob, carol), removal)
    assert dave.party in world.governed().expelled
    alice.scribes.append(old)
    for n in range(OPEN_A_VOTER_MAX):
        charter(world, text=("old", n))
    assert dave.party in world.governed().expelled


def test_a_permissive_ballot_falls_with_its_proposers_cut_and_an_expulsion_does_not() -> None:
    world = Cached(founders=5)
    *others, tom = world.members
    cut = len(tom.scribe.raws)
    text, removal = charter(world, by=4), world.expel(tom, others[3])
    world.vote(others[:3], text)
    world.vote([*others[:3], tom], removal)
    world.vote(others, world.expel(others[0], tom, cut=cut))
    assert set(world.governed().expelled) == {tom.party, others[3].party}, "three others made it their own"
    assert world.seal().charter is None


def test_what_is_proposed_beyond_a_fork_opens_nothing() -> None:
    world = Cached()
    alice, bob, carol, dave = world.members
    hold = len(alice.scribe.raws)
    world.vote((alice, bob, carol), world.expel(alice, dave))
    assert world.governed().expelled
    prove_fork(world, bob.scribe, alice.scribe, hold)
    assert not world.governed().expelled


# Suspension


def test_a_suspension_takes_effect_at_once_and_lapses_by_itself() -> None:
    world = Cached()
    alice, bob, _, dave = world.members
    world.vote((alice,), proposal := world.propose(alice, "suspend", target=list(dave.party)))
    assert world.governed().is_member(dave.party)
    world.vote((bob,), proposal)
    members = world.governed()
    assert members.members[dave.root.kid].state == "suspended"
    assert not members.is_member(dave.party)
    assert members.belongs(dave.party)
    assert not world.governed().is_member(world.join(dave).party)
    world.seal(hours=10 * 24)
    assert not world.governed().is_member(dave.party)
    world.seal(hours=5 * 24)
    assert world.governed().is_member(dave.party)


def test_a_suspension_needs_more_than_a_third_whatever_the_rules_say() -> None:
    rules = Rules(suspenders=1)
    world = Cached(founders=7, policy=Policy(rules=rules.encode()))
    proposal = world.propose(world.members[0], "suspend", target=list(world.members[6].party))
    world.vote(world.members[:2], proposal)
    assert world.governed().is_member(world.members[6].party)
    world.vote(world.members[2:3], proposal)
    assert not world.governed().is_member(world.members[6].party)


# Delegations and defaults


def delegate(world: Cached, member: Member, to: Member | None) -> None:
    """Let a member delegate its vote, or take it back."""
    payload = {"to": None if to is None else list(to.party)}
    world.write(member.scribe, "vote.delegate", ("member", member.root.kid), payload)


def test_a_delegation_below_the_epoch_counts_and_a_direct_vote_overrides_it() -> None:
    for direct in (None, "no"):
        world = Cached()
        alice, bob, carol, _ = world.members
        delegate(world, bob, alice)
        delegate(world, carol, bob)
        early = charter(world, text="early")
        world.vote([alice], early)
        assert world.seal().charter is None, "made under an epoch that does not hold the delegations"
        proposal = charter(world, text="late")
        world.vote([alice], proposal)
        if direct is not None:
            world.vote([carol], proposal, direct)
        assert world.seal().charter == (octets("late") if direct is None else None)


def test_a_delegation_that_is_taken_back_is_over_at_once() -> None:
    world = Cached()
    alice, bob, carol, _ = world.members
    delegate(world, bob, alice)
    delegate(world, carol, alice)
    world.seal()
    world.vote([alice], charter(world))
    delegate(world, carol, None)
    assert world.seal().charter is None


def test_a_default_speaks_at_the_close_alone() -> None:
    world = Cached()
    alice, bob, carol, _ = world.members
    for member in (bob, carol):
        world.write(member.scribe, "vote.default", ("member", member.root.kid), {"choice": "yes"})
    world.seal()
    proposal = charter(world)
    world.vote([alice], proposal)
    assert world.seal().charter is None
    after = world.seal(hours=7 * 24)
    assert after.results[proposal.id].passed
    assert after.charter == octets("text")


def test_a_delegate_who_holds_every_delegation_cannot_expel_suspend_or_seal_alone() -> None:
    world = Cached()
    alice, *others, dave = world.members
    for member in others:
        delegate(world, member, alice)
    world.seal()
    world.vote([alice], world.expel(alice, dave))
    world.vote([alice], world.propose(alice, "suspend", target=list(dave.party)))
    assert world.governed().is_member(dave.party)
    n = world.tip().n
    world.seal(by=[alice])
    assert world.tip().n == n


def test_a_forked_delegate_and_a_forked_delegator_carry_nothing() -> None:
    for forked in (0, 1):
        world = Cached()
        alice, bob, carol, dave = world.members
        delegate(world, bob, alice)
        delegate(world, carol, alice)
        world.seal()
        proposal = charter(world)
        world.vote([alice], proposal)
        guilty = (alice, bob)[forked]
        prove_fork(world, dave.scribe, guilty.scribe, len(guilty.scribe.raws) - 1)
        assert world.seal().charter is None


# Which votes count, end to end


def test_g4_3_and_g4_5_the_first_vote_counts_and_none_beyond_a_cut() -> None:
    world = Cached(founders=5)
    alice, bob, carol, dave, tom = world.members
    removal = world.expel(alice, dave)
    world.vote([tom], removal, "no")
    world.vote([tom, alice, bob], removal)
    assert not world.governed().expelled
    count = world.chain().open(world.tip(), world.view()).count
    rules = [each.rule for each in count.resolution.votes.values() if each.vote.voter == tom.party]
    assert sorted(rule.value for rule in rules) == [Rule.COUNTS.value, Rule.FIRST.value]
    world.vote([carol], removal)
    assert dave.party in world.governed().expelled
