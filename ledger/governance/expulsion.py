"""Expulsions, resolved together: who is out, and where their feeds are cut (governance.md §4).

How it works
    An expulsion that T other voters signed ends one incarnation of its target and cuts its feeds; votes of the target
    beyond the cut are void, and may have been what other expulsions rest on. `resolve` finds what stands, as a pure
    function of the set of proposals, votes and seals:
      G4.6 P: a proposal is certified when T voices say yes by votes that pass G4.1 to G4.4, cuts ignored;
      G4.7 IN: it has T live votes even if every rival that is not out cuts: it survives;
      G4.8 OUT: it has fewer than T live votes when those that are in cut: it was already dead;
      G4.9 what remains undecided is a cycle, and applies: each cost T signatures, so no lone traitor can buy one;
      G4.10 what a seal holds is decided, and cuts whatever comes after.
    IN and OUT feed each other until nothing moves. Fewer rivals mean more live votes, so neither set ever gives back
    a proposal, and the order of the steps does not matter. In other words: with F(K) = {p : |live(p, K)| ≥ T}, what
    applies is the greatest fixed point of F∘F, and IN the least.
    T = ⌊2m/3⌋ + 1 of the m voices other than the target's; with fewer than two there is no expulsion, only severing.
    A cut is never below the sealed frontier. A feed that a proposal does not name is cut where it was sealed, else at
    0, so a device certified afterwards brings nothing. Of several cuts of one target the smallest holds, feed by feed.
    `Resolution.bounds` gives the membership fold one more bound on the reach of each feed, from which the rest follows
    in its own order: admissions, then links, then consents.

What it does not do
    It changes no electorate: who votes was sealed with the epoch, so admissions that fall with a cut take no vote with
    them. It does not judge restrictive entries beyond a cut, nor close channels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ledger.governance.ballots import Act, Bound, Choice, Judged, Poll, Proposal, Rule, Vote
from ledger.governance.roster import Party


class Outcome(Enum):
    """Why an expulsion applies or does not: the numbers of the module's rules."""

    UNSOUND = "G4"
    SHORT = "G4.6"
    SURVIVES = "G4.7"
    DEAD = "G4.8"
    CYCLE = "G4.9"
    SEALED = "G4.10"


WORDS: Final = {
    Outcome.UNSOUND: "the proposal has no effect",
    Outcome.SHORT: "too few of the other voters said yes",
    Outcome.SURVIVES: "enough votes stand whatever any rival cuts",
    Outcome.DEAD: "expulsions that stand cut too many of its votes",
    Outcome.CYCLE: "it and its rivals cut each other's votes: all of them apply",
    Outcome.SEALED: "a seal holds the expulsion",
    Rule.COUNTS: "the vote counts",
    Rule.VOTER: "the signer is no voter on this proposal, or does not speak through this feed",
    Rule.OPEN: "a seal closed the proposal before this vote",
    Rule.FIRST: "the voter had voted on the proposal before",
    Rule.FORK: "it lies beyond a proven fork of the voter's feed",
    Rule.CUT: "it lies beyond the cut of the expelled voter",
}


@dataclass(frozen=True, slots=True)
class Cut:
    """How far an expelled party's feeds count, by feed. `why`: the ids of the expulsions.

    `sealed`: a seal holds it. It is final and complete: feeds that it does not list are cut at 0, and do not grow with
    the frontier, which goes on over their void leaves.
    """

    sizes: Mapping[bytes, int]
    why: tuple[bytes, ...]
    sealed: bool = False

    def size(self, feed: bytes, floor: Mapping[bytes, int]) -> int:
        """Return where a feed of the party is cut. `floor`: sealed sizes."""
        return self.sizes.get(feed, 0 if self.sealed else floor.get(feed, 0))


@dataclass(frozen=True, slots=True)
class Ruling:
    """What became of a proposal. `yes`: voices before cuts; `needs`: T (None where nobody can be expelled).

    `why`: the ids of the entries that decided: the proposal's live votes where it applies, with its rivals in a cycle;
    the expulsions that cut its votes where it is dead; all its votes where they are too few.
    """

    proposal: Proposal
    outcome: Outcome
    yes: int
    needs: int | None
    why: tuple[bytes, ...]

    @property
    def applies(self) -> bool:
        """Say whether the target is out by this proposal."""
        return self.outcome in (Outcome.SURVIVES, Outcome.CYCLE, Outcome.SEALED)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on an entry: the number of the rule, a sentence, and the entries that decided."""

    rule: str
    words: str
    why: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the expulsions come to. `rulings`: by proposal; `votes`: on expulsions, by vote, with G4.5 applied.

    `expelled`: every party that is out, sealed before or not, with its cut. `floor`: sealed sizes.
    """

    rulings: Mapping[bytes, Ruling]
    votes: Mapping[bytes, Judged]
    expelled: Mapping[Party, Cut]
    floor: Mapping[bytes, int] = field(default_factory=dict)
    faults: Mapping[bytes, str] = field(default_factory=dict)

    def bound(self, party: Party, feed: bytes) -> Bound | None:
        """Return how far a feed of a party counts, or None where the party is not expelled."""
        cut = self.expelled.get(party)
        return None if cut is None else Bound(cut.size(feed, self.floor), cut.why)

    def bounds(self, owners: Mapping[bytes, Party]) -> dict[bytes, Bound]:
        """Return the bound on every feed of every expelled party. `owners`: of all feeds, whenever certified."""
        out = sorted((feed, party) for feed, party in owners.items() if party in self.expelled)
        found = ((feed, self.bound(party, feed)) for feed, party in out)
        return {feed: bound for feed, bound in found if bound is not None}

    def settle(self, owners: Mapping[bytes, Party]) -> dict[Party, Cut]:
        """Return the cuts as the next seal keeps them, and as `resolve` takes them back. `owners`: of all feeds."""
        sizes: dict[Party, dict[bytes, int]] = {party: dict(cut.sizes) for party, cut in self.expelled.items()}
        for feed, party in sorted((feed, party) for feed, party in owners.items() if party in sizes):
            sizes[party][feed] = self.expelled[party].size(feed, self.floor)
        return {party: Cut(sizes[party], cut.why, sealed=True) for party, cut in self.expelled.items()}

    def explain(self, ident: bytes) -> Explanation | None:
        """Return the verdict on a proposal of expulsion or a vote on one; None for any other entry."""
        if ident in self.faults:
            return Explanation(Outcome.UNSOUND.value, self.faults[ident], (ident,))
        if ruling := self.rulings.get(ident):
            words = f"{WORDS[ruling.outcome]} ({ruling.yes} said yes, {ruling.needs or 'nothing'} would do)"
            return Explanation(ruling.outcome.value, words, ruling.why)
        if judged := self.votes.get(ident):
            return Explanation(judged.rule.value, WORDS[judged.rule], judged.why)
        return None


def threshold(others: int) -> int | None:
    """Return T for a target with so many other voices; None where they are fewer than two."""
    return 2 * others // 3 + 1 if others >= 2 else None


def cut_size(proposal: Proposal, feed: bytes, floor: Mapping[bytes, int]) -> int:
    """Return where a proposal cuts a feed of its target: never below what is sealed."""
    named = next((head.size for head in proposal.cut if head.feed == feed), 0)
    return max(named, floor.get(feed, 0))


@dataclass(frozen=True, slots=True)
class _Case:
    """A certified expulsion: T, and for each yes vote its voice and the rivals that cut it."""

    proposal: Proposal
    needs: int
    votes: tuple[tuple[bytes, Vote, frozenset[bytes]], ...]

    def live(self, rivals: frozenset[bytes]) -> bool:
        """Say whether T voices keep a vote when these rivals cut."""
        return len({voice for voice, _, cutters in self.votes if cutters.isdisjoint(rivals)}) >= self.needs


def resolve(ballot: Poll, settled: Mapping[Party, Cut] | None = None) -> Resolution:
    """Resolve every expulsion of a poll. `settled`: the cuts that a seal holds (`Resolution.settle`)."""
    settled = settled or {}
    rulings: dict[bytes, Ruling] = {}
    certified: dict[Party, list[Proposal]] = defaultdict(list)
    for ident, proposal in ballot.proposals.items():
        if proposal.act is Act.EXPEL and proposal.target is not None:
            rulings[ident] = ruling = _certify(ballot, proposal, settled.get(proposal.target))
            if ruling.outcome is Outcome.CYCLE:
                certified[proposal.target].append(proposal)
    cases = {
        proposal.id: _case(ballot, rulings[proposal.id], certified, settled)
        for proposals in certified.values()
        for proposal in proposals
    }
    standing, dead = _fixpoint(cases)
    for ident, case in cases.items():
        rulings[ident] = _rule(rulings[ident], case, standing, dead, settled)
    return _resolution(ballot, settled, rulings)


def _certify(ballot: Poll, proposal: Proposal, sealed: Cut | None) -> Ruling:
    """Rule by G4.6 and G4.10; what is certified and not yet decided is taken for a cycle."""
    electorate = ballot.electorate(proposal)
    yes = [each for each in ballot.judged[proposal.id] if each.vote.choice is Choice.YES]
    voices = len({electorate.voice(each.vote.voter) for each in yes if each.rule is Rule.COUNTS})
    needs = threshold(len(electorate.others(proposal.target)))
    outcome = Outcome.SHORT if needs is None or voices < needs else Outcome.CYCLE
    if sealed is not None and proposal.id in sealed.why:
        outcome = Outcome.SEALED
    return Ruling(proposal, outcome, voices, needs, tuple(sorted({proposal.id, *(each.vote.id for each in yes)})))


def _case(
    ballot: Poll, ruling: Ruling, certified: Mapping[Party, list[Proposal]], settled: Mapping[Party, Cut]
) -> _Case:
    proposal, floor = ruling.proposal, ballot.facts.floor
    electorate = ballot.electorate(proposal)
    votes = tuple(
        (electorate.voice(each.vote.voter), each.vote, _cutters(each.vote, certified, settled, floor) - {proposal.id})
        for each in ballot.judged[proposal.id]
        if each.rule is Rule.COUNTS and each.vote.choice is Choice.YES
    )
    return _Case(proposal, ruling.needs or 0, votes)


_SEALED: Final = b""
"""Stands among the rivals for any expulsion that a seal holds: it always cuts."""


def _cutters(
    vote: Vote,
    certified: Mapping[Party, list[Proposal]],
    settled: Mapping[Party, Cut],
    floor: Mapping[bytes, int],
) -> frozenset[bytes]:
    """Return which rivals cut this vote."""
    cutters = {q.id for q in certified.get(vote.voter, ()) if vote.index >= cut_size(q, vote.feed, floor)}
    sealed = settled.get(vote.voter)
    if sealed is not None and vote.index >= sealed.size(vote.feed, floor):
        cutters.add(_SEALED)
    return frozenset(cutters)


def _fixpoint(cases: Mapping[bytes, _Case]) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Return the proposals that are in, and those that are out; `_SEALED` is in from the start."""
    inside, outside = {_SEALED}, set[bytes]()
    undecided = set(cases)
    while undecided:
        rivals = frozenset(cases.keys() - outside) | {_SEALED}
        found = {ident for ident in undecided if cases[ident].live(rivals)}
        inside |= found
        lost = {ident for ident in undecided - found if not cases[ident].live(frozenset(inside))}
        outside |= lost
        if not found and not lost:
            break
        undecided -= found | lost
    return frozenset(inside), frozenset(outside)


def _rule(
    before: Ruling, case: _Case, standing: frozenset[bytes], dead: frozenset[bytes], settled: Mapping[Party, Cut]
) -> Ruling:
    ident = case.proposal.id
    why = {ident}
    if ident in dead:
        outcome = Outcome.DEAD
        for _, vote, cutters in case.votes:
            why |= cutters & standing
            why.update(settled[vote.voter].why if _SEALED in cutters else ())
    elif ident in standing:
        outcome = Outcome.SURVIVES
        why |= {vote.id for _, vote, cutters in case.votes if cutters <= dead}
    else:
        outcome = Outcome.CYCLE
        why |= {vote.id for _, vote, cutters in case.votes if cutters.isdisjoint(standing)}
        why.update(cutter for _, _, cutters in case.votes for cutter in cutters - dead)
    return Ruling(case.proposal, outcome, before.yes, before.needs, tuple(sorted(why - {_SEALED})))


def _resolution(ballot: Poll, settled: Mapping[Party, Cut], rulings: Mapping[bytes, Ruling]) -> Resolution:
    floor = ballot.facts.floor
    by_target: dict[Party, list[Proposal]] = defaultdict(list)
    for ruling in rulings.values():
        if ruling.applies and ruling.outcome is not Outcome.SEALED and ruling.proposal.target is not None:
            by_target[ruling.proposal.target].append(ruling.proposal)
    expelled = dict(settled)
    for party, proposals in by_target.items():
        named = {head.feed for proposal in proposals for head in proposal.cut}
        sizes = {feed: min(cut_size(proposal, feed, floor) for proposal in proposals) for feed in named}
        why = {proposal.id for proposal in proposals}
        if sealed := settled.get(party):
            sizes = {feed: min(size, sizes.get(feed, floor.get(feed, 0))) for feed, size in sealed.sizes.items()}
            why.update(sealed.why)
        expelled[party] = Cut(dict(sorted(sizes.items())), tuple(sorted(why)), sealed=sealed is not None)
    resolution = Resolution(rulings, {}, dict(sorted(expelled.items())), floor, ballot.faults)
    votes = {each.vote.id: _under(each, resolution) for ident in rulings for each in ballot.judged[ident]}
    return Resolution(rulings, votes, resolution.expelled, floor, ballot.faults)


def _under(judged: Judged, resolution: Resolution) -> Judged:
    bound = resolution.bound(judged.vote.voter, judged.vote.feed)
    if judged.rule is Rule.COUNTS and bound is not None and judged.vote.index >= bound.size:
        return Judged(judged.vote, Rule.CUT, bound.why)
    return judged
