"""Which votes count: each of the five conditions alone, their order, and sound proposals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.checkpoint import Head
from ledger.governance.ballots import (
    AT_ONCE,
    CUT_FEEDS_MAX,
    Act,
    Bound,
    Choice,
    Electorate,
    Proposal,
    Rule,
    Sealed,
    fault,
    under_cuts,
)
from ledger.governance.rules import Rules
from ledger.schema import DAY
from tests.attacks.scene import NOON, SEALED, START, Scene, digest, feed, party

Why = tuple[bytes, ...]


def verdicts(scene: Scene, proposal: Proposal) -> list[tuple[Rule, Why]]:
    """Return the rule and the reasons for every vote on a proposal, in the order of casting."""
    judged = {each.vote.id: each for each in scene.poll().judged[proposal.id]}
    return [(judged[v.id].rule, judged[v.id].why) for v in scene.votes if v.proposal == proposal.id]


@pytest.fixture
def scene() -> Scene:
    return Scene("ann bob cyd tom")


# G4.1


def test_a_vote_counts_for_itself(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.vote("ann", proposal)
    assert verdicts(scene, proposal) == [(Rule.COUNTS, (scene.votes[0].id,))]


def test_the_electorate_is_that_of_the_epoch_named(scene: Scene) -> None:
    scene.epoch = scene.seal(1, ["ann", "bob", "tom"])
    proposal = scene.expel("tom")
    scene.vote("cyd", proposal)
    assert verdicts(scene, proposal) == [(Rule.VOTER, (proposal.id,))]


def test_another_incarnation_is_no_voter(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.vote("ann", proposal)
    scene.votes = [replace(scene.votes[0], voter=party("ann", 2))]
    scene.chains[party("ann", 2)] = scene.chains[party("ann")]
    assert verdicts(scene, proposal)[0][0] is Rule.VOTER


def test_a_voter_speaks_through_its_governing_feed(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.follow("ann", START)
    scene.vote("ann", proposal, at=START)  # its first feed ended there
    scene.vote("bob", proposal, device=1)  # not certified
    scene.vote("ann", proposal, at=0, device=1)
    assert [rule for rule, _ in verdicts(scene, proposal)] == [Rule.VOTER, Rule.VOTER, Rule.COUNTS]


def test_a_target_has_no_say_on_expulsion_and_suspension_and_has_one_elsewhere(scene: Scene) -> None:
    for proposal in (scene.expel("tom"), scene.propose(Act.SUSPEND, target="tom"), scene.propose(Act.POLICY)):
        scene.vote("tom", proposal)
        expected = Rule.COUNTS if proposal.act is Act.POLICY else Rule.VOTER
        assert [rule for rule, _ in verdicts(scene, proposal)] == [expected]


# G4.2


def test_a_vote_whose_closure_holds_the_closing_seal_is_late(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.vote("ann", proposal, as_of=proposal.deadline - 1)
    scene.vote("bob", proposal, as_of=proposal.deadline)
    assert verdicts(scene, proposal)[1] == (Rule.OPEN, (proposal.id,))
    scene.closed[proposal.id] = Sealed(b"seal", proposal.deadline, {feed("ann"): START + 1, feed("bob"): 99})
    assert verdicts(scene, proposal) == [(Rule.COUNTS, (scene.votes[0].id,)), (Rule.OPEN, (b"seal",))]


def test_a_closing_seal_made_without_the_vote_leaves_it_out(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.vote("ann", proposal)
    scene.closed[proposal.id] = Sealed(b"seal", proposal.deadline, {feed("ann"): START})
    assert verdicts(scene, proposal) == [(Rule.OPEN, (b"seal",))]


# G4.3


def test_the_first_vote_is_the_vote(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.vote("ann", proposal, Choice.ABSTAIN)
    scene.vote("ann", proposal, Choice.YES)
    assert verdicts(scene, proposal)[1] == (Rule.FIRST, (scene.votes[0].id,))
    scene.votes.reverse()
    assert verdicts(scene, proposal)[0] == (Rule.FIRST, (scene.votes[1].id,))


def test_the_first_feed_of_a_voter_comes_first(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.follow("ann", START + 5)
    scene.vote("ann", proposal, at=0, device=1)
    scene.vote("ann", proposal)
    assert [rule for rule, _ in verdicts(scene, proposal)] == [Rule.FIRST, Rule.COUNTS]


def test_a_fork_does_not_bring_a_second_vote_to_light(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.follow("ann", START + 5)
    scene.vote("ann", proposal)
    scene.vote("ann", proposal, at=0, device=1)
    scene.forks[feed("ann")] = Bound(START, (b"proof",))
    assert verdicts(scene, proposal) == [(Rule.FORK, (b"proof",)), (Rule.FIRST, (scene.votes[0].id,))]


# G4.4


def test_votes_beyond_a_fork_are_void_and_sealed_ones_stay(scene: Scene) -> None:
    proposal, other = scene.expel("tom"), scene.expel("bob")
    scene.vote("ann", proposal, at=SEALED - 1)
    scene.vote("ann", other, at=SEALED)
    scene.forks[feed("ann")] = Bound(0, (b"proof",))
    assert verdicts(scene, proposal)[0][0] is Rule.COUNTS
    assert verdicts(scene, other) == [(Rule.FORK, (b"proof",))]


def test_two_votes_at_one_place_prove_a_fork(scene: Scene) -> None:
    proposal, other, after = scene.expel("tom"), scene.expel("bob"), scene.expel("cyd")
    scene.vote("ann", proposal, at=12)
    scene.vote("ann", other, at=12)
    scene.vote("ann", after, at=13)
    both = tuple(sorted(vote.id for vote in scene.votes[:2]))
    for each in (proposal, other, after):
        assert verdicts(scene, each) == [(Rule.FORK, both)]
    assert scene.poll().forks == {feed("ann"): Bound(12, both)}
    scene.forks[feed("ann")] = Bound(11, (b"proof",))
    assert verdicts(scene, after) == [(Rule.FORK, (b"proof",))]


def test_two_votes_at_one_place_are_void_even_where_it_is_sealed(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.vote("ann", proposal, at=SEALED - 1)
    scene.vote("ann", proposal, Choice.NO, at=SEALED - 1)
    assert [rule for rule, _ in verdicts(scene, proposal)] == [Rule.FORK, Rule.FORK]


# G4.5


def test_votes_beyond_a_cut_are_void(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.vote("ann bob", proposal, at=12)
    judged = scene.poll().judged[proposal.id]
    for size, rule in ((12, Rule.CUT), (13, Rule.COUNTS)):
        held = {each.vote.voter: each for each in under_cuts(judged, {feed("ann"): Bound(size, (b"expulsion",))})}
        assert held[party("ann")].rule is rule
        assert held[party("bob")].rule is Rule.COUNTS
    assert under_cuts(judged, {feed("ann"): Bound(0, (b"e",)), feed("bob"): Bound(0, (b"e",))})[0].why == (b"e",)


def test_a_cut_gives_no_reason_to_a_vote_that_fell_before(scene: Scene) -> None:
    proposal = scene.expel("tom")
    scene.vote("tom", proposal)
    judged = scene.poll().judged[proposal.id]
    assert under_cuts(judged, {feed("tom"): Bound(0, (b"expulsion",))}) == judged


# Sound proposals


def _head(place: int) -> Head:
    return Head(digest(place), 0, bytes(32))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epoch": bytes(32)}, "epoch"),
        ({"deadline": NOON}, "deadline"),
        ({"deadline": NOON + 14 * DAY + 1}, "deadline"),
        ({"target": None}, "target"),
        ({"act": Act.POLICY}, "target"),
        ({"act": Act.SUSPEND}, "cut"),
        ({"cut": (_head(1), _head(1))}, "once"),
        ({"cut": tuple(map(_head, range(CUT_FEEDS_MAX + 1)))}, "feeds"),
    ],
)
def test_an_unsound_proposal_has_no_effect(scene: Scene, change: dict[str, object], words: str) -> None:
    sound = scene.expel("tom")
    assert fault(sound, scene.electorates) is None
    bad = replace(sound, **change)  # type: ignore[arg-type]
    scene.proposals = [bad]
    scene.vote("ann bob cyd", bad)
    poll = scene.poll()
    assert words in poll.faults[bad.id]
    assert bad.id not in poll.judged
    assert scene.out() == {}


def test_the_rules_of_the_epoch_bound_the_deadline() -> None:
    scene = Scene("ann bob cyd tom", rules=Rules(ballot_days=3))
    assert "3 days" in (fault(scene.expel("tom"), scene.electorates) or "")


def test_an_electorate_joins_declared_and_proven_affiliation() -> None:
    a, b, c, d = (party(name)[0] for name in "abcd")
    rules = Rules(affiliations=((a, b),))
    voters = {party(name): "" for name in "abcd"}
    electorate = Electorate.of(bytes(32), NOON, voters, {}, rules, [[b, c]])
    assert {electorate.voice(party(name)) for name in "abc"} == {min(a, b, c)}
    assert electorate.others(party("a")) == {d}
    assert len(electorate.others(None)) == 2


def test_what_takes_effect_at_once() -> None:
    assert {act for act in Act if act not in AT_ONCE} == {Act.POLICY, Act.CHARTER, Act.EVALUATOR}
