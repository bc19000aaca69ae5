"""Expulsions: worked cases by hand, a second algorithm on random worlds, and the laws they must keep."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.checkpoint import Head
from ledger.governance.ballots import Act, Choice, Rule, Vote, closings, poll
from ledger.governance.ballots import Sealed as Seal
from ledger.governance.expulsion import Cut, Outcome, Resolution, resolve, threshold
from ledger.governance.roster import UNBOUNDED
from ledger.governance.tally import Delegation
from ledger.schema import DAY
from tests.attacks.crowd import STEP, betrayed, cast, crowd, propose, revenge
from tests.attacks.oracle import Oracle
from tests.attacks.scene import NOON, SEALED, START, Scene, digest, feed, party

WORLDS = {"ci": 500, "nightly": 20_000}[os.environ.get("MAILLE_PROFILE", "ci")]
"""Random worlds for each law."""

OUTCOMES = (Outcome.SHORT, Outcome.SURVIVES, Outcome.DEAD, Outcome.CYCLE, Outcome.SEALED)
NAMES = dict(zip(OUTCOMES, ("short", "in", "out", "cycle", "sealed"), strict=True))

randoms = st.randoms(use_true_random=False)


def bounds(scene: Scene, resolution: Resolution) -> dict[str, tuple[int, int]]:
    """Return where both possible feeds of every expelled member are cut."""
    found = {}
    for name in scene.names:
        both = [resolution.bound(party(name), feed(name, device)) for device in range(2)]
        if both[0] is not None and both[1] is not None:
            found[name] = (both[0].size, both[1].size)
    return found


# Worked cases (governance.md §6)


@pytest.mark.parametrize(
    ("others", "needed"),
    [(0, None), (1, None), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (9, 7), (99, 67)],
)
def test_the_threshold(others: int, needed: int | None) -> None:
    assert threshold(others) == needed


def test_a_mesh_of_three_votes_the_third_out() -> None:
    scene = Scene("ann bob cyd")
    removal = scene.expel("cyd")
    scene.vote("ann", removal)
    assert scene.out() == {}
    scene.vote("bob", removal)
    assert scene.out() == {"cyd": START}


@pytest.mark.parametrize("names", ["ann bob", "ann"])
def test_two_cannot_expel_each_other(names: str) -> None:
    scene = Scene(names)
    removal = scene.expel("ann")
    scene.vote(names, removal)
    assert scene.out() == {}
    assert scene.resolve().rulings[removal.id].outcome is Outcome.SHORT
    assert scene.resolve().rulings[removal.id].needs is None


def test_two_voters_expel_a_member_that_is_no_voter() -> None:
    scene = Scene("ann bob tom")
    scene.epoch = scene.seal(1, ["ann", "bob"])
    scene.vote("ann bob", scene.expel("tom"))
    assert scene.out() == {"tom": START}


def test_the_target_and_its_affiliates_have_no_say() -> None:
    scene = Scene("ann bob cyd dan tom", affiliated=["tom dan"])
    removal = scene.expel("tom")
    scene.vote("ann bob dan tom", removal)
    resolution = scene.resolve()
    assert resolution.rulings[removal.id].needs == 3
    assert [resolution.votes[v.id].rule for v in scene.votes] == [*[Rule.COUNTS] * 2, *[Rule.VOTER] * 2]
    scene.vote("cyd", removal)
    assert scene.out() == {"tom": START}


def test_affiliates_are_one_voice() -> None:
    scene = Scene("ann bob cyd dan tom", affiliated=["ann bob"])
    removal = scene.expel("tom")
    scene.vote("ann bob cyd", removal)
    assert scene.out() == {}
    assert scene.resolve().rulings[removal.id].yes == 2
    scene.vote("dan", removal)
    assert scene.out() == {"tom": START}


def test_whoever_holds_every_delegation_cannot_expel_alone() -> None:
    """Delegations are no input of `resolve`: there is no way in which they could count."""
    scene = Scene("ann bob cyd dan tom")
    removal = scene.expel("dan")
    held = [Delegation(digest(name), party(name), party("tom"), feed(name), 0, NOON) for name in ("ann", "bob", "cyd")]
    scene.vote("tom", removal)
    assert len(held) == 3
    assert scene.out() == {}


def test_a_traitor_cannot_undo_its_expulsion_by_a_dead_rival() -> None:
    """Three of five expelled tom; his vote, beyond the cut, was the third of those who would expel ann."""
    scene = Scene("ann bob cyd dan tom")
    removal, rival = scene.expel("tom"), scene.expel("ann", cut=START + 1)
    scene.vote("ann bob cyd", removal)
    scene.vote("dan bob tom", rival)
    resolution = scene.resolve()
    assert scene.out() == {"tom": START}
    assert resolution.rulings[removal.id].outcome is Outcome.SURVIVES
    ruling = resolution.rulings[rival.id]
    assert (ruling.outcome, ruling.yes, ruling.needs) == (Outcome.DEAD, 3, 3)
    assert ruling.why == tuple(sorted((rival.id, removal.id)))
    late = resolution.explain(scene.votes[-1].id)
    assert late is not None
    assert (late.rule, late.why) == ("G4.5", (removal.id,))


def test_expulsions_that_cut_each_other_both_apply() -> None:
    scene = Scene("ann bob cyd tom")
    first, second = scene.expel("tom"), scene.expel("ann")
    scene.vote("ann bob cyd", first)
    scene.vote("tom bob cyd", second)
    resolution = scene.resolve()
    assert {r.outcome for r in resolution.rulings.values()} == {Outcome.CYCLE}
    assert scene.out() == {"ann": START, "tom": START}
    assert set(resolution.rulings[first.id].why) == {first.id, second.id, *(v.id for v in scene.votes[:3])}


def test_a_chain_is_decided_from_its_free_end() -> None:
    """dan's expulsion cuts the vote on which ann's expulsion of bob rested, which cut that on cyd's."""
    scene = Scene("ann bob cyd dan eve fay gus")  # T = 5
    top, middle, low = scene.expel("dan"), scene.expel("bob"), scene.expel("cyd")
    scene.vote("ann bob cyd eve fay", top, at=6)
    scene.vote("ann cyd eve fay", middle, at=7)
    scene.vote("dan", middle, at=START)  # beyond dan's cut
    scene.vote("ann eve fay gus", low, at=8)
    scene.vote("bob", low, at=START)  # beyond bob's, if bob's expulsion stood
    outcomes = [scene.resolve().rulings[p.id].outcome for p in (top, middle, low)]
    assert outcomes == [Outcome.SURVIVES, Outcome.DEAD, Outcome.SURVIVES]


# Cuts


def test_the_smallest_cut_holds_feed_by_feed_and_never_below_what_is_sealed() -> None:
    scene = Scene("ann bob cyd tom")
    for size in (9, 7, 8, 1):
        scene.vote("ann bob cyd", scene.expel("tom", cut=size))
        assert scene.out() == {"tom": max(SEALED, min(p.cut[0].size for p in scene.proposals))}


def test_what_a_cut_does_not_name_is_cut_where_it_is_sealed_or_at_nothing() -> None:
    scene = Scene("ann bob cyd tom")
    removal = scene.expel("tom")
    scene.proposals = [replace(removal, cut=())]
    scene.vote("ann bob cyd", removal)
    resolution = scene.resolve()
    owners = {feed("tom"): party("tom"), feed("tom", 1): party("tom"), feed("ann"): party("ann")}
    found = {f: b.size for f, b in resolution.bounds(owners).items()}
    assert found == {feed("tom"): SEALED, feed("tom", 1): 0}


def test_an_expulsion_ends_one_incarnation() -> None:
    scene = Scene("ann bob cyd tom")
    scene.vote("ann bob cyd", scene.expel("tom"))
    assert scene.resolve().bound(party("tom", 2), feed("tom", 2)) is None


def test_a_sealed_cut_stays_when_the_frontier_goes_on() -> None:
    scene = Scene("ann bob cyd tom")
    removal = scene.expel("tom")
    scene.vote("ann bob cyd", removal)
    owners = {feed("tom"): party("tom")}
    scene.settled = scene.resolve().settle(owners)
    scene.floor = {feed(name): 40 for name in scene.names} | {feed("tom", 1): 40}
    resolution = scene.resolve()
    assert bounds(scene, resolution) == {"tom": (START, 0)}
    assert resolution.rulings[removal.id].outcome is Outcome.SEALED
    assert resolution.settle(owners) == scene.settled
    scene.vote("ann bob cyd", scene.expel("tom", cut=0))  # a late rival cannot cut what is sealed
    assert bounds(scene, scene.resolve()) == {"tom": (START, 0)}


def test_a_sealed_expulsion_is_not_resolved_again() -> None:
    scene = Scene("ann bob cyd tom")
    removal = scene.expel("tom", cut=SEALED)
    scene.vote("ann bob cyd", removal)
    scene.settled = {party("tom"): Cut({feed("tom"): 8}, (removal.id,), sealed=True)}
    assert scene.out() == {"tom": 8}


def test_a_sealed_expulsion_cuts_later_ballots() -> None:
    scene = Scene("ann bob cyd tom")
    scene.settled = {party("tom"): Cut({feed("tom"): 11}, (b"sealed",), sealed=True)}
    late = scene.expel("ann")
    scene.vote("bob cyd", late)
    scene.vote("tom", late, at=11)
    ruling = scene.resolve().rulings[late.id]
    assert ruling.outcome is Outcome.DEAD
    assert b"sealed" in ruling.why
    scene.votes.pop()
    scene.vote("tom", late, at=10)
    assert set(scene.out()) == {"ann", "tom"}


# Explanations


def test_every_entry_is_explained_by_a_numbered_rule() -> None:
    scene = Scene("ann bob cyd tom")
    removal, bad = scene.expel("tom"), scene.expel("tom", salt=1)
    scene.proposals[-1] = replace(bad, deadline=NOON)
    scene.vote("ann bob cyd tom", removal)
    resolution = scene.resolve()
    words = {ident: resolution.explain(ident) for ident in (removal.id, bad.id, *(v.id for v in scene.votes))}
    assert [each.rule for each in words.values() if each] == ["G4.7", "G4", "G4", "G4", "G4", "G4.1"]
    assert words[removal.id] is not None
    assert set(words[removal.id].why) == {removal.id, *(v.id for v in scene.votes[:3])}  # type: ignore[union-attr]
    assert resolution.explain(b"another entry") is None


def test_a_proposal_of_another_kind_is_no_expulsion() -> None:
    scene = Scene("ann bob cyd tom")
    other = scene.propose(Act.POLICY)
    scene.vote("ann bob cyd", other)
    assert scene.resolve().rulings == {}
    assert scene.out() == {}


# Laws


@settings(max_examples=WORLDS)
@given(rng=randoms)
def test_a_second_algorithm_agrees(rng: Random) -> None:
    scene = crowd(rng)
    resolution = scene.resolve()
    oracle = Oracle(scene.proposals, scene.votes, scene.electorates, scene.facts(), scene.settled)
    assert {ident: NAMES[ruling.outcome] for ident, ruling in resolution.rulings.items()} == oracle.verdicts
    for name in scene.names:
        for device in range(2):
            bound = resolution.bound(party(name), feed(name, device))
            expected = oracle.bound(party(name), feed(name, device))
            assert (None if bound is None else bound.size) == expected


@settings(max_examples=WORLDS)
@given(rng=randoms)
def test_order_and_repetition_change_nothing(rng: Random) -> None:
    scene = crowd(rng)
    before = scene.resolve()
    rng.shuffle(scene.proposals)
    scene.votes += scene.votes[::3]
    rng.shuffle(scene.votes)
    facts = scene.facts()
    again = resolve(
        poll(iter(scene.proposals), iter(scene.votes), dict(reversed(scene.electorates.items())), facts),
        scene.settled,
    )
    assert again == before
    assert list(again.expelled) == list(before.expelled)


@settings(max_examples=WORLDS)
@given(rng=randoms)
def test_traitors_beyond_their_cuts_change_nothing_that_an_honest_quorum_did(rng: Random) -> None:
    scene, honest, traitors = betrayed(rng)
    before = scene.resolve()
    assert set(bounds(scene, before)) == set(traitors)
    revenge(scene, rng, scene.names, traitors, before)
    after = scene.resolve()
    assert after.expelled == before.expelled
    assert all(after.rulings[ident].applies == ruling.applies for ident, ruling in before.rulings.items())
    assert not set(honest) & set(bounds(scene, after))


@pytest.mark.covers("R13")
@settings(max_examples=WORLDS)
@given(rng=randoms)
def test_traitors_anywhere_save_nobody_and_expel_no_honest_member(rng: Random) -> None:
    """Backdated below their cuts as well, and with forks: they may only add to what is taken from themselves."""
    scene, _, traitors = betrayed(rng)
    before = bounds(scene, scene.resolve())
    revenge(scene, rng, scene.names, traitors, None)
    for vote in [v for v in scene.votes if v.voter in {party(t) for t in traitors}][::4]:
        scene.votes.append(replace(vote, id=digest("twin", vote.id), choice=Choice.NO))
    after = bounds(scene, scene.resolve())
    assert set(after) == set(traitors)
    assert all(after[name] <= before[name] for name in traitors)


@pytest.mark.covers("R13")
@settings(max_examples=WORLDS)
@given(rng=randoms)
def test_as_many_as_the_threshold_win_whoever_they_are(rng: Random) -> None:
    n = rng.randint(3, 10)
    scene = Scene(" ".join(f"m{k}" for k in range(n)))
    needed = threshold(n - 1)
    assert needed is not None
    colluders = rng.sample(scene.names[1:], needed)
    theirs = propose(scene, rng, "m0", scene.epoch, {0: 3 * STEP})
    scene.proposals[0] = theirs = replace(theirs, deadline=NOON + DAY)
    for name in colluders:
        cast(scene, rng, name, 0, odd=False)
    assert scene.out() == {"m0": 3 * STEP}
    for target in rng.sample(scene.names[1:], 2):  # the target and the rest are too few to answer
        number = len(scene.proposals)
        propose(scene, rng, target, scene.epoch, {0: 0})
        scene.proposals[-1] = replace(scene.proposals[-1], deadline=NOON + DAY)
        for name in set(scene.names) - set(colluders) - {target}:
            cast(scene, rng, name, number, odd=False)
    assert scene.out() == {"m0": 3 * STEP}
    scene.votes.remove(next(v for v in scene.votes if v.proposal == theirs.id))
    assert scene.out() == {}


@settings(max_examples=WORLDS)
@given(rng=randoms)
def test_an_expelled_member_can_only_shrink_what_is_permitted(rng: Random) -> None:
    """ledger.md §6. What it adds stands at new places beyond its cut: one place twice would be a fork, not an entry."""
    scene = crowd(rng)
    before = scene.resolve()
    expelled = [name for name in scene.names if party(name) in before.expelled]
    if not expelled:
        return
    name = expelled[rng.randrange(len(expelled))]
    last = len(scene.chains[party(name)]) - 1  # an earlier feed is whole in the closure of its heir
    bound = before.bound(party(name), feed(name, last))
    assert bound is not None
    for target in scene.names[: rng.randint(0, 2)]:
        propose(scene, rng, target, next(iter(scene.electorates)))
    start = bound.size + STEP * rng.randrange(4)
    taken = {vote.index for vote in scene.votes if vote.feed == feed(name, last)}
    free = (index for index in range(start, 2**16) if index not in taken)
    for proposal in scene.proposals:
        if rng.randrange(4):
            index = next(free)
            ident = digest("more", proposal.id, index)
            scene.votes.append(Vote(ident, proposal.id, party(name), feed(name, last), index, Choice.YES, NOON))
    after = scene.resolve()
    applied = {ident for ident, ruling in before.rulings.items() if ruling.applies}
    assert applied <= {ident for ident, ruling in after.rulings.items() if ruling.applies}
    least, most = bounds(scene, after), bounds(scene, before)
    assert most.keys() <= least.keys()
    assert all(least[who] <= most[who] for who in most)


def test_worlds_are_not_dull() -> None:
    """The laws above are worth something: every outcome and every rule is met within a few hundred worlds."""
    outcomes, rules = set(), set()
    for seed in range(400):
        resolution = crowd(Random(seed)).resolve()
        outcomes |= {ruling.outcome for ruling in resolution.rulings.values()}
        outcomes |= {Outcome.UNSOUND} if resolution.faults else set()
        rules |= {judged.rule for judged in resolution.votes.values()}
    assert outcomes == set(Outcome)
    assert rules == set(Rule)


def test_forty_voters_and_as_many_expulsions() -> None:
    """A large world is resolved as the small ones are: everyone against everyone is one cycle, and all apply."""
    names = [f"m{k}" for k in range(40)]
    scene = Scene(" ".join(names))
    for number, target in enumerate(names):
        proposal = replace(scene.expel(target, cut=SEALED), cut=(Head(feed(target), SEALED, bytes(32)),))
        for name in names:
            if name != target:
                scene.vote(name, proposal, at=SEALED + number)
    resolution = scene.resolve()
    assert {ruling.outcome for ruling in resolution.rulings.values()} == {Outcome.CYCLE}
    assert bounds(scene, resolution) == dict.fromkeys(names, (SEALED, 0))


def test_a_closed_proposal_keeps_the_votes_that_its_seal_saw() -> None:
    scene = Scene("ann bob cyd tom")
    removal = scene.expel("tom")
    early, closing = Seal(b"1", NOON + DAY, {}), Seal(b"2", NOON + 15 * DAY, {feed("ann"): 11, feed("bob"): 11})
    later = Seal(b"3", NOON + 16 * DAY, {feed(n): 99 for n in scene.names})
    assert closings([removal], [later, closing, early]) == {removal.id: closing}
    assert closings([removal], [early]) == {}
    scene.vote("ann bob cyd", removal)
    assert scene.out() == {"tom": START}
    scene.closed = {removal.id: closing}
    resolution = scene.resolve()
    assert resolution.expelled == {}
    assert resolution.votes[scene.votes[-1].id].rule is Rule.OPEN
    assert resolution.votes[scene.votes[-1].id].why == (b"2",)
    assert scene.chains[party("cyd")] == ((feed("cyd"), UNBOUNDED),)
