"""Who votes: affiliated members have one vote in seals, whoever of them casts it (rules V1 to V4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.governance.certificate import quorum
from ledger.governance.epoch import Policy
from ledger.governance.policy import voice
from ledger.governance.rules import Rules, first_of_each, new_voters_max, voices
from ledger.governance.seats import governing
from ledger.governance.state import Base
from ledger.merkle import PeaksBuilder
from tests.conftest import PROFILE
from tests.ledger.governance.honest import Cached
from tests.ledger.governance.test_turmoil import BEYOND, check_oracle, check_order, check_replicas
from tests.ledger.governance.test_voters import application, endorse
from tests.ledger.governance.turmoil import Drawn, build, worlds
from tests.worlds import Member, key, octets

WORLDS = {"ci": 25, "nightly": 5_000}[PROFILE]


def allied(*groups: Iterable[Member]) -> Rules:
    """Return rules that declare groups of members."""
    return Rules(affiliations=tuple(tuple(member.root.kid for member in group) for group in groups))


def founded(*groups: str, founders: int = 5) -> Cached:
    """Found a mesh whose genesis declares groups of founders, by number."""
    kids = [key(0, "root", number).kid for number in range(founders)]
    rules = Rules(affiliations=tuple(tuple(kids[int(number)] for number in group) for group in groups))
    return Cached(founders=founders, policy=Policy(rules=rules.encode()))


def by_key(members: Iterable[Member]) -> list[Member]:
    """Put members in the order of their key ids."""
    return sorted(members, key=lambda member: member.root.kid)


def propose(world: Cached, rules: Rules) -> None:
    """Let all voters of the newest epoch agree on rules; the next seal puts them in force."""
    voters = [member for member in world.members if member.party in world.tip().voters]
    world.vote(voters, world.propose(voters[0], "policy", rules=rules.encode()))


def declare(world: Cached, *groups: Iterable[Member], **options: Any) -> Base:
    """Declare groups by ballot, and seal."""
    propose(world, allied(*groups))
    return world.seal(**options)


def parties(members: Iterable[Member]) -> set[tuple[bytes, int]]:
    """Return the parties of members."""
    return {member.party for member in members}


def leave(world: Cached, member: Member) -> None:
    """Let a member leave."""
    world.write(member.scribe, "member.leave", ("member", member.root.kid), {})


def organised(*, others: int = 2) -> tuple[Cached, list[Member], list[Member]]:
    """Return a mesh in which a ballot made three of the founders one group: by key id; and who else there is."""
    world = Cached(founders=3 + others)
    group, rest = by_key(world.members[:3]), world.members[3:]
    after = declare(world, group)
    assert set(after.voters) == parties([group[0], *rest])
    assert after.resting == parties(group[1:])
    return world, group, rest


# One vote a group


@pytest.mark.parametrize("declared", [False, True])
def test_four_affiliated_nodes_of_five_seal_alone_only_where_nobody_declared_them(declared: bool) -> None:
    world = founded("0123") if declared else Cached(founders=5)
    organisation, n = by_key(world.members[:4]), world.tip().n
    world.seal(by=organisation[:1] if declared else organisation)
    assert world.tip().n == (n if declared else n + 1)
    assert world.tip().context.size == (2 if declared else 5)


def test_three_affiliated_nodes_of_five_weigh_one_in_seals() -> None:
    world, group, others = organised()
    assert world.tip().context.size == 3
    for signers in (group[:1], others, [group[0], others[0]]):
        world.seal(by=signers)
        assert world.tip().n == 1
    world.seal(by=[group[0], *others])
    assert world.tip().n == 2
    assert [m.party in world.governed().voters for m in group] == [True, False, False]
    assert all(world.governed().is_member(m.party) for m in group), "they stay members"


def test_the_electorate_before_agrees_on_the_seal_that_puts_votes_to_rest() -> None:
    world = Cached(founders=5)
    propose(world, allied(world.members[:3]))
    seal, before, after, _ = world.compose()
    assert (seal.left, seal.expelled, seal.silent) == ((), (), ())
    assert seal.quorum(before.context.size) == quorum(5) == 4
    assert after.context.size == 3


def test_who_votes_for_a_group_goes_on_when_others_join_it() -> None:
    world = Cached(founders=5)
    first, *more = by_key(world.members)
    declare(world, more[-2:])
    after = declare(world, [first, *more[-2:]])
    assert first.party in after.voters, "of two voters the first"
    declare(world, more[-2:])
    assert more[-2].party in world.seal(hours=25).voters, "its own group again"
    world, group, others = organised()
    assert set(declare(world, [*group, world.join(others[0])]).voters) == parties([group[0], *others])


def test_a_vote_stays_with_the_node_that_lives_not_with_the_smallest_key() -> None:
    world = Cached(founders=5)
    dead, alive, *_ = by_key(world.members)
    world.seal()
    voters = [m for m in world.members if m is not dead]
    proposal = world.propose(alive, "policy", rules=allied([dead, alive]).encode())
    world.vote(voters, proposal)
    assert set(world.seal(by=voters).voters) == parties(voters)
    assert world.tip().resting == {dead.party}


def test_a_vote_does_not_stay_with_a_suspended_node() -> None:
    world = Cached(founders=5)
    first, second, *others = by_key(world.members)
    world.vote(others[:2], world.propose(others[2], "suspend", target=list(first.party)))
    assert set(declare(world, [first, second]).voters) == parties([second, *others])


def test_a_ballot_that_was_open_keeps_its_voices() -> None:
    world = Cached(founders=5)
    first, second, *others = by_key(world.members)
    text = world.propose(others[0], "charter", charter=octets("text"))
    declare(world, [first, second])
    world.vote([second, others[0]], text)
    assert world.seal().charter is None
    world.vote([first], text)
    assert world.seal().charter == octets("text"), "three of five, as when it was opened"


# Genesis


def test_founders_that_the_genesis_declares_have_one_vote_from_the_start() -> None:
    world = founded("012")
    group = by_key(world.members[:3])
    base = world.tip()
    assert base.n == 0
    assert set(base.voters) == parties([group[0], *world.members[3:]])
    assert base.resting == parties(group[1:])
    assert [kid for kid, _ in base.context.voters] == sorted(world.genesis.voters) == sorted(p[0] for p in base.voters)
    assert all(world.governed().is_member(m.party) for m in group), "founders are members all the same"
    after = world.seal()
    assert set(after.voters) == set(base.voters)
    assert after.resting == base.resting


def test_a_mesh_of_one_group_seals_by_one_node_and_by_the_next_when_it_is_silent() -> None:
    world = founded("012", founders=3)
    first, second, third = by_key(world.members)
    assert set(world.seal(by=[first]).voters) == {first.party}
    assert set(world.seal(by=[first], silent=[first.party]).voters) == {second.party}
    assert set(world.seal(by=[second]).voters) == {second.party}
    assert world.tip().resting == {third.party}


def test_the_last_voter_of_all_cannot_seal_its_own_leave() -> None:
    world = founded("01", founders=2)
    first, _ = by_key(world.members)
    world.seal(by=[first])
    leave(world, first)
    with pytest.raises(AssertionError, match="no seal"):
        world.compose()


def test_a_founder_that_has_not_accepted_takes_nobodys_place_until_it_does() -> None:
    world = founded("01")
    first, second = by_key(world.members[:2])
    second.scribe.raws.clear()
    second.scribe.tree = PeaksBuilder()
    if world.members[0] is second:  # the genesis itself stands in the first founder's feed
        second.scribe.add(world.genesis.entry.raw)
    leave(world, first)
    assert set(world.seal().voters) == parties(world.members[2:])
    assert world.tip().resting == {second.party}
    second.scribe.add(world.certificate(second, second.scribe.device).raw)
    world.write(second.scribe, "genesis.accept", ("member", second.root.kid), {})
    assert set(world.seal().voters) == parties([second, *world.members[2:]])


# Who takes the place


def test_when_the_voter_of_a_group_leaves_the_next_takes_its_place_at_once() -> None:
    world, group, others = organised()
    guest = world.join(others[0])
    endorse(world, guest, others[1])
    world.seal(hours=25)
    leave(world, group[0])
    after = world.seal()
    assert after.added, "the day's place is taken, and it needs none"
    assert set(after.voters) == parties([group[1], *others, guest])
    assert after.resting == parties(group[2:])


def test_when_the_voter_of_a_group_is_silent_the_next_takes_its_place_and_it_has_none_to_come_back_to() -> None:
    world, group, others = organised()
    after = world.seal(silent=[group[0].party])
    assert set(after.voters) == parties([group[1], *others])
    assert after.resting == parties(group[2:])
    assert set(world.seal(hours=200).voters) == set(after.voters)
    after = declare(world, hours=25)
    assert set(after.voters) == parties([*group[1:], *others]), "only the vote that rested comes back"


def test_when_the_voter_of_a_group_is_expelled_the_next_takes_its_place() -> None:
    world, group, others = organised(others=4)
    world.vote(others, world.expel(others[0], group[0]))
    seal, before, after, _ = world.compose()
    assert [before.context.voters[place][0] for place in seal.expelled] == [group[0].root.kid]
    assert set(after.voters) == parties([group[1], *others])
    assert after.resting == parties(group[2:])


def test_a_whole_group_is_expelled_by_one_seal() -> None:
    """Those whose vote rests have no say, and are no voters that the bound on expulsions would count."""
    world, group, others = organised(others=3)
    for member in group:
        proposal = world.expel(others[0], member)
        world.vote([*group, *others], proposal)
        count = world.chain().open(world.tip(), world.view()).count
        assert count.resolution.rulings[proposal.id].yes == len(others) == 3
    seal, _, after, _ = world.compose()
    assert len(seal.expelled) == 1
    assert set(after.voters) == parties(others)
    assert not after.resting


def test_a_seal_that_declares_a_group_and_expels_its_first_leaves_the_vote_to_the_next() -> None:
    world = Cached(founders=7)
    first, second, *others = by_key(world.members)
    world.vote(others, world.expel(others[0], first))
    after = declare(world, [first, second], others[:2])
    assert set(after.voters) == parties([second, others[0], *others[2:]])
    assert after.resting == {others[1].party}


def test_an_expelled_voter_that_a_later_seal_removes_rests_no_vote() -> None:
    """Five voters, of whom one seal expels two: the third goes with the next, and its group has one vote meanwhile."""
    world = Cached(founders=5)
    everyone = by_key(world.members)
    targets, honest = everyone[:3], everyone[3:]
    proposals = [world.expel(honest[0], target) for target in targets]
    for target, proposal in zip(targets, proposals, strict=True):
        world.vote([m for m in targets if m is not target], proposal)
    declaring = world.propose(honest[0], "policy", rules=allied(targets[1:], honest).encode())
    world.vote(targets[:1], declaring)
    world.seal()  # no cut takes these votes away any more
    for proposal in proposals:
        world.vote(honest, proposal)
    assert set(world.governed().expelled) == parties(targets)
    world.vote(honest, declaring)
    seal, _, after, _ = world.compose()
    assert len(seal.expelled) == 2
    assert set(after.voters) == parties([targets[2], honest[0]])
    assert after.resting == {honest[1].party}


def test_a_later_incarnation_leaves_the_vote_to_an_affiliate() -> None:
    world, group, others = organised()
    again = world.join(others[0], incarnation=2, again=group[0])
    after = world.seal()
    assert set(after.voters) == parties([group[1], *others])
    assert after.resting == parties(group[2:])
    endorse(world, again, others[1])
    assert again.party not in world.seal(hours=25).voters


# Growth, and undoing


def test_growth_adds_no_affiliate_of_a_voter() -> None:
    world = Cached(founders=4)
    alice, *others = world.members
    guest = world.join(alice)
    declare(world, [alice, guest])
    endorse(world, guest, *others)
    assert guest.party not in world.seal(hours=25).voters
    assert guest.party not in world.tip().resting, "it never had a vote"
    leave(world, alice)
    assert guest.party in world.seal(hours=25).voters, "endorsed, and nobody votes for the group any more"


def test_growth_adds_one_of_two_affiliates() -> None:
    world = Cached(founders=6)
    guests = [world.join(world.members[0]) for _ in range(2)]
    after = declare(world, guests)
    assert not set(after.voters) & parties(guests)
    for guest in guests:
        endorse(world, guest, *world.members[1:4])
    for _ in range(3):
        assert len(set(world.seal(hours=25).voters) & parties(guests)) == 1
    assert application(world, guests[0])


def test_what_a_ballot_undoes_comes_back_at_the_pace_of_growth() -> None:
    world = Cached(founders=8)
    group = by_key(world.members)[:7]
    assert len(declare(world, group).voters) == 2
    sizes = [len(declare(world, hours=25).voters)] + [len(world.seal(hours=25).voters) for _ in range(6)]
    assert sizes == [3, 4, 5, 6, 8, 8, 8]
    assert not world.tip().resting
    assert world.seal().added == () or len(world.tip().voters) == 8


def test_declaring_and_undoing_again_and_again_stops_no_seal_and_loses_no_vote() -> None:
    world = Cached(founders=4)
    for _ in range(3):
        assert len(declare(world, world.members[:2], world.members[2:]).voters) == 2
        assert len(declare(world, hours=25).voters) == 3
    assert len(world.seal(hours=25).voters) == 4


# Laws


def check_seats(world: Cached) -> None:
    """Hold every epoch of a world's branches to the laws of votes."""
    view, chain = world.view(), world.chain()
    for tip in chain.tips(view):
        line = chain.line(tip, view)
        for base in line:
            groups = voices(base.rules.affiliations)
            assert len(first_of_each(base.voters, groups)) == len(base.voters) == base.context.size >= 1
            assert base.resting.isdisjoint(base.voters)
            assert base.resting.isdisjoint(base.reaches.left)
            assert base.resting.isdisjoint(base.cuts)
        suspends = any(r.entry.payload.get("act") == "suspend" for r in world.registrations())
        for before, after in pairwise(line):
            assert len(after.voters) <= len(before.voters) + new_voters_max(len(before.voters))
            assert after.resting - before.resting <= set(before.voters)
            groups = voices(after.rules.affiliations)
            lost = first_of_each(before.voters, groups).keys() - first_of_each(after.voters, groups).keys()
            speaking = (party for party in after.resting if governing(before, after, party) is not None)
            assert suspends or lost.isdisjoint(voice(party, groups) for party in speaking)


GROUPED = ("affiliate", "affiliate", "affiliate", "leave", "seal", "join", "sponsor")


def grouped(*without: str) -> st.SearchStrategy[list[Drawn]]:
    """Return the strategy of worlds in which affiliates are declared and undone time and again."""
    small = st.integers(0, 13)
    acts = st.lists(st.tuples(st.sampled_from(GROUPED), small, small, small), max_size=8)
    return st.tuples(acts, worlds(*without, most=8), acts).map(lambda drawn: [*drawn[0], *drawn[1], *drawn[2]])


@settings(max_examples=WORLDS)
@given(drawn=grouped("double"), random=st.randoms(use_true_random=False))
def test_no_group_ever_has_two_voters_whatever_happens_and_in_whatever_order(
    drawn: Sequence[Drawn], random: Any
) -> None:
    check_seats(build(drawn, founders=2 + random.randrange(5)))
    check_order(drawn, random)


@settings(max_examples=WORLDS)
@given(drawn=grouped(*BEYOND), random=st.randoms(use_true_random=False))
def test_an_independent_model_gives_the_same_votes(drawn: Sequence[Drawn], random: Any) -> None:
    check_oracle(drawn, random)


@settings(max_examples=WORLDS)
@given(drawn=grouped("double"), random=st.randoms(use_true_random=False))
def test_two_nodes_derive_the_same_voters(drawn: Sequence[Drawn], random: Any) -> None:
    check_replicas(drawn, random)
