"""Ballots other than expulsions: majorities, colleges, suspensions, delegations, defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import pytest

from ledger.errors import LocalError
from ledger.governance.ballots import Act, Bound, Choice, Proposal, Rule, Sealed
from ledger.governance.roster import Party
from ledger.governance.rules import College, Rules
from ledger.governance.tally import Default, Delegation, Standing, Tally, suspended_until, suspension_threshold, tally
from ledger.schema import DAY
from tests.attacks.scene import NOON, SEALED, START, Scene, digest, feed, party

NO_CUTS: Mapping[bytes, Bound] = {}


def delegate(name: str, to: str | None, at: int = 1, as_of: int = NOON) -> Delegation:
    """Return a delegation; below the frontier unless `at` says otherwise."""
    whom = None if to is None else party(to)
    return Delegation(digest("delegation", name, to, at), party(name), whom, feed(name), at, as_of)


def default(name: str, choice: Choice | None, at: int = 2) -> Default:
    """Return a default; below the frontier unless `at` says otherwise."""
    return Default(digest("default", name, choice, at), party(name), choice, feed(name), at, NOON)


def count(
    scene: Scene, proposal: Proposal, standing: list[Standing] | None = None, cuts: Mapping[bytes, Bound] = NO_CUTS
) -> Tally:
    """Tally in every order of the standing instructions, which must not matter."""
    found = [tally(scene.poll(), proposal.id, cuts, order) for order in permutations(standing or [])]
    assert all(each == found[0] for each in found)
    return found[0]


def close(scene: Scene, proposal: Proposal) -> None:
    """Close the ballot with a seal that saw all there is."""
    scene.closed[proposal.id] = Sealed(b"seal", proposal.deadline, {feed(name): 99 for name in scene.names})


@pytest.fixture
def scene() -> Scene:
    return Scene("ann bob cyd dan")


def test_a_majority_of_the_whole_electorate(scene: Scene) -> None:
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann bob", proposal)
    scene.vote("cyd", proposal, Choice.NO)
    half = count(scene, proposal)
    assert (half.support, half.passed, half.yes, half.of) == (Fraction(1, 2), False, 2, 4)
    scene.vote("dan", proposal)
    assert count(scene, proposal).passed


def test_the_rules_ask_for_more() -> None:
    scene = Scene("ann bob cyd dan", rules=Rules(shares=(("policy", (3, 4)),)))
    policy, charter = scene.propose(Act.POLICY), scene.propose(Act.CHARTER)
    for proposal in (policy, charter):
        scene.vote("ann bob cyd", proposal)
    assert not count(scene, policy).passed
    assert count(scene, charter).passed


def test_cut_votes_do_not_pass_a_ballot(scene: Scene) -> None:
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann bob cyd", proposal)
    after = count(scene, proposal, cuts={feed("cyd"): Bound(START, (b"expulsion",))})
    assert not after.passed
    assert [each.why for each in after.votes if each.rule is Rule.CUT] == [(b"expulsion",)]


def test_affiliates_are_one_voice() -> None:
    scene = Scene("ann bob cyd dan eve", affiliated=["ann bob cyd"])
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann bob cyd", proposal)
    assert count(scene, proposal).support == Fraction(1, 3)


# Colleges


def _colleges(seats: dict[str, str], affiliated: list[str] | None = None) -> Scene:
    colleges = (College("producers", 30), College("users", 50), College("town", 20))
    scene = Scene(" ".join(seats), rules=Rules(colleges=colleges), affiliated=affiliated or ())
    electorate = scene.electorates[scene.epoch]
    voters: dict[Party, str] = {party(name): college for name, college in seats.items()}
    scene.electorates[scene.epoch] = replace(electorate, voters=voters)
    return scene


@pytest.mark.covers("R138")
def test_a_college_shares_its_weight_among_its_voices() -> None:
    scene = _colleges({"ann": "producers", "bob": "users", "cyd": "users", "dan": "town", "eve": ""})
    proposal = scene.propose(Act.POLICY)
    scene.vote("ann eve", proposal)
    assert count(scene, proposal).support == Fraction(30, 100)
    scene.vote("bob", proposal)
    assert count(scene, proposal).support == Fraction(55, 100)
    assert count(scene, proposal).passed


def test_an_empty_college_does_not_block() -> None:
    scene = _colleges({"ann": "producers", "bob": "users"})
    proposal = scene.propose(Act.POLICY)
    scene.vote("bob", proposal)
    assert count(scene, proposal).support == Fraction(50, 80)


def test_affiliates_sit_in_one_college_only() -> None:
    scene = _colleges({"ann": "producers", "bob": "users", "cyd": "users", "dan": "town"}, ["ann dan"])
    proposal = scene.propose(Act.POLICY)
    scene.vote("ann dan", proposal)
    seat = 30 if party("ann") < party("dan") else 20
    assert count(scene, proposal).support == Fraction(seat, seat + 50)


def test_colleges_without_voters_decide_nothing() -> None:
    scene = _colleges({"ann": "", "bob": ""})
    proposal = scene.propose(Act.POLICY)
    scene.vote("ann bob", proposal)
    assert not count(scene, proposal).passed


# Suspension


@pytest.mark.parametrize(("others", "asked", "needed"), [(2, 2, 2), (3, 1, 2), (6, 2, 3), (9, 2, 4), (9, 6, 6)])
def test_a_suspension_needs_more_than_the_traitors_a_mesh_bears(others: int, asked: int, needed: int) -> None:
    assert suspension_threshold(others, asked) == needed


def test_a_suspension_counts_direct_votes_of_the_others() -> None:
    scene = Scene("ann bob cyd dan eve fay gus")
    proposal = scene.propose(Act.SUSPEND, target="gus")
    standing: list[Standing] = [delegate(name, "ann") for name in ("cyd", "dan", "eve")]
    scene.vote("ann bob gus", proposal)
    before = count(scene, proposal, standing)
    assert (before.yes, before.of, before.passed, before.carried) == (2, 6, False, ())
    scene.vote("cyd", proposal)
    assert count(scene, proposal).passed
    assert suspended_until(scene.electorates[proposal.epoch]) == NOON + 14 * DAY


# Delegations


@pytest.mark.covers("R140")
def test_a_delegation_carries_a_vote_and_a_direct_vote_overrides(scene: Scene) -> None:
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann", proposal)
    standing: list[Standing] = [delegate("bob", "ann"), delegate("cyd", "bob")]
    carried = count(scene, proposal, standing)
    assert carried.passed
    assert {each.voter for each in carried.carried} == {party("bob"), party("cyd")}
    whys = {each.voter: each.why for each in carried.carried}
    assert whys[party("cyd")] == (standing[1].id, standing[0].id, scene.votes[0].id)
    scene.vote("bob", proposal, Choice.NO)
    assert count(scene, proposal, standing).yes == 1  # cyd follows bob, who says no


def test_only_delegations_below_the_frontier_count(scene: Scene) -> None:
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann", proposal)
    assert count(scene, proposal, [delegate("bob", "ann", at=SEALED - 1)]).yes == 2
    assert count(scene, proposal, [delegate("bob", "ann", at=SEALED)]).yes == 1


def test_a_newer_instruction_ends_the_older_wherever_it_stands(scene: Scene) -> None:
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann", proposal)
    old = delegate("bob", "ann")
    assert count(scene, proposal, [old, delegate("bob", None, at=START)]).yes == 1
    assert count(scene, proposal, [old, delegate("bob", "cyd", at=START)]).yes == 1
    assert count(scene, proposal, [delegate("bob", None, at=0), old]).yes == 2


def test_nothing_changes_once_a_ballot_is_closed(scene: Scene) -> None:
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann", proposal)
    old = delegate("bob", "ann")
    late = delegate("bob", None, at=START, as_of=proposal.deadline)
    assert count(scene, proposal, [old, late]).yes == 2
    scene.closed[proposal.id] = Sealed(b"seal", proposal.deadline, {feed(name): 11 for name in scene.names})
    backdated = delegate("bob", None, at=11)
    after = count(scene, proposal, [old, backdated])
    assert (after.yes, after.closed) == (2, True)


def test_circles_and_strangers_carry_nothing(scene: Scene) -> None:
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann", proposal)
    circle: list[Standing] = [delegate("bob", "cyd"), delegate("cyd", "bob"), delegate("dan", "nobody")]
    assert count(scene, proposal, circle).yes == 1
    assert count(scene, proposal, [delegate("nobody", "ann")]).yes == 1
    again = replace(delegate("bob", "ann"), to=party("ann", 2))
    assert count(scene, proposal, [again]).yes == 1


def test_a_cut_or_forked_member_has_its_direct_votes_only(scene: Scene) -> None:
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann", proposal)
    standing: list[Standing] = [delegate("bob", "ann"), delegate("cyd", "bob"), default("bob", Choice.YES)]
    close(scene, proposal)
    assert count(scene, proposal, standing).yes == 3
    assert count(scene, proposal, standing, {feed("bob"): Bound(START, ())}).yes == 1
    scene.forks[feed("bob")] = Bound(START, (b"proof",))
    assert count(scene, proposal, standing).yes == 1
    scene.vote("bob", proposal, at=START - 1)
    assert count(scene, proposal, standing).yes == 3


# Defaults


@pytest.mark.covers("R140")
def test_a_default_speaks_at_the_close_where_nothing_else_did(scene: Scene) -> None:
    proposal = scene.propose(Act.ADMIT)
    scene.vote("ann", proposal)
    scene.vote("dan", proposal, Choice.NO)
    standing: list[Standing] = [
        default("bob", Choice.YES),
        default("dan", Choice.YES),
        default("cyd", Choice.YES),
        delegate("cyd", "dan"),
    ]
    assert count(scene, proposal, standing).yes == 1
    close(scene, proposal)
    after = count(scene, proposal, standing)
    assert after.yes == 2
    assert {each.voter: each.choice for each in after.carried} == {party("bob"): Choice.YES, party("cyd"): Choice.NO}
    assert count(scene, proposal, [*standing, default("bob", None, at=START)]).yes == 1


# Misuse


def test_what_is_no_ballot_is_refused(scene: Scene) -> None:
    with pytest.raises(LocalError, match="BALLOT_UNKNOWN"):
        tally(scene.poll(), b"unknown", NO_CUTS)
    proposal = scene.expel("dan")
    with pytest.raises(LocalError, match="BALLOT_ACT"):
        tally(scene.poll(), proposal.id, NO_CUTS)
