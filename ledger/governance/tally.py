"""The tally of every ballot but expulsions, with delegations and defaults (governance.md §4).

How it works
    A ballot passes when more than its share of the whole electorate says yes (of its colleges' weights, where there
    are colleges): nothing but a cut, a fork or a revoked delegation can undo that. Delegations and defaults are
    standing instructions: they count only below the frontier of the proposal's epoch, and any newer instruction of
    the same sort ends the older, wherever it stands, until the ballot is closed. A direct vote overrides both, and a
    delegation that leads to a vote overrides a default, which speaks at the close alone. A member with a cut or
    forked feed has its direct votes only; so has everybody on a suspension.

What it does not do
    It does not decide expulsions (`expulsion`), and does not say what a passed proposal does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from ledger.errors import LocalError
from ledger.governance.ballots import Act, Bound, Choice, Electorate, Judged, Poll, Proposal, Rule, Vote, under_cuts
from ledger.governance.roster import Party
from ledger.schema import DAY

DELEGATION_STEPS_MAX: Final = 16  # from a voter to who votes for it: a longer way leads nowhere


@dataclass(frozen=True, slots=True)
class Delegation:
    """A voter's standing instruction to count as another votes; `to` None revokes it. Places as in `Vote`."""

    id: bytes
    voter: Party
    to: Party | None
    feed: bytes
    index: int
    as_of: int


@dataclass(frozen=True, slots=True)
class Default:
    """What a voter says where it has said nothing by the deadline; `choice` None revokes it."""

    id: bytes
    voter: Party
    choice: Choice | None
    feed: bytes
    index: int
    as_of: int


Standing: TypeAlias = Delegation | Default


@dataclass(frozen=True, slots=True)
class Carried:
    """A voter that did not vote itself: what counts for it, and the standing instructions and vote it comes from."""

    voter: Party
    choice: Choice
    why: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """Where a ballot stands. `yes`, `of`: voices. `support`: part of the electorate, by weight, that says yes.

    `needs`: what support must exceed, or (suspension) reach. `closed`: a seal has closed it, and nothing changes any
    more.
    """

    proposal: Proposal
    yes: int
    of: int
    support: Fraction
    needs: Fraction
    passed: bool
    closed: bool
    votes: tuple[Judged, ...]
    carried: tuple[Carried, ...]


def suspension_threshold(others: int, suspenders: int) -> int:
    """Return how many voices suspend: what the rules ask, and more than the traitors that a mesh must bear."""
    return max(suspenders, others // 3 + 1)


def suspended_until(electorate: Electorate) -> int:
    """Return the governance time (unix seconds) at which a suspension under this electorate lapses."""
    return electorate.as_of + electorate.rules.suspension_days * DAY


def tally(ballot: Poll, proposal_id: bytes, cuts: Mapping[bytes, Bound], standing: Iterable[Standing] = ()) -> Tally:
    """Count a ballot that is no expulsion. `cuts`: as for `under_cuts`; `standing`: every instruction, in any order.

    Raises LocalError BALLOT_UNKNOWN (no sound proposal) or BALLOT_ACT (an expulsion: `expulsion.resolve` decides).
    """
    proposal = ballot.proposals.get(proposal_id)
    if proposal is None:
        raise LocalError("BALLOT_UNKNOWN", "no proposal with an effect has this id", field="proposal")
    if proposal.act is Act.EXPEL:
        raise LocalError("BALLOT_ACT", "expulsions are resolved together, not one by one", field="proposal")
    electorate, others = ballot.electorate(proposal), ballot.electorate(proposal).others(proposal.target)
    votes = under_cuts(ballot.judged[proposal_id], cuts)
    direct = {each.vote.voter: each.vote for each in votes if each.rule is Rule.COUNTS}
    carried: tuple[Carried, ...] = ()
    if proposal.act is not Act.SUSPEND:
        carried = tuple(_carry(ballot, proposal, direct, cuts, standing))
    said = [(vote.voter, vote.choice) for vote in direct.values()] + [(each.voter, each.choice) for each in carried]
    yes = frozenset(electorate.voice(voter) for voter, choice in said if choice is Choice.YES)
    closed = proposal_id in ballot.facts.closed
    if proposal.act is Act.SUSPEND:
        support = Fraction(len(yes), max(1, len(others)))
        needs = Fraction(suspension_threshold(len(others), electorate.rules.suspenders), max(1, len(others)))
        passed = support >= needs
    else:
        support, needs = _support(electorate, yes), Fraction(*electorate.rules.share(proposal.act.value))
        passed = support > needs
    return Tally(proposal, len(yes), len(others), support, needs, passed, closed, votes, carried)


def _support(electorate: Electorate, yes: frozenset[bytes]) -> Fraction:
    """Return the part that says yes: of all voices, or of the weights of the colleges that have any voice."""
    weights = {college.name: college.weight for college in electorate.rules.colleges}
    if not weights:
        return Fraction(len(yes), max(1, len(electorate.others(None))))
    seats: dict[bytes, str] = {}  # a voice sits once: in the college of its first voter that has one
    for voter, college in sorted(electorate.voters.items()):
        if college in weights:
            seats.setdefault(electorate.voice(voter), college)
    sizes = {name: sum(college == name for college in seats.values()) for name in weights}
    total = sum(weight for name, weight in weights.items() if sizes[name])
    won = sum((Fraction(weights[seats[each]], sizes[seats[each]]) for each in yes if each in seats), Fraction(0))
    return won / total if total else Fraction(0)


def _carry(
    ballot: Poll,
    proposal: Proposal,
    direct: Mapping[Party, Vote],
    cuts: Mapping[bytes, Bound],
    standing: Iterable[Standing],
) -> Iterable[Carried]:
    electorate, facts = ballot.electorate(proposal), ballot.facts
    if not direct and proposal.id not in facts.closed:
        return  # nobody is followed, and no default speaks yet
    bound = {*ballot.forks, *cuts}
    free = {voter for voter in electorate.voters if bound.isdisjoint(feed for feed, _ in facts.chains.get(voter, ()))}
    closing = facts.closed.get(proposal.id)
    newest: dict[tuple[Party, type], tuple[tuple[int, int], bytes, Standing]] = {}
    for each in standing:
        place = facts.place(each)
        late = each.as_of >= proposal.deadline or (
            closing is not None and each.index >= closing.frontier.get(each.feed, 0)
        )
        if place is not None and not late:
            key = (each.voter, type(each))
            newest[key] = max(newest.get(key, (place, each.id, each)), (place, each.id, each), key=lambda n: n[:2])
    before = {key: each for key, (_, _, each) in newest.items() if each.index < electorate.frontier.get(each.feed, 0)}
    for voter in sorted(free - direct.keys()):
        why: list[bytes] = []
        passed, at = {voter}, voter
        choice: Choice | None = None
        while isinstance(step := before.get((at, Delegation)), Delegation) and step.to is not None:
            if len(why) >= DELEGATION_STEPS_MAX:
                break
            why.append(step.id)
            at = step.to
            if at in direct:
                choice = direct[at].choice
                why.append(direct[at].id)
            if at in direct or at in passed or at not in free:  # it ends, runs in a circle, or leads nowhere
                break
            passed.add(at)
        default = before.get((voter, Default))
        if choice is None and closing is not None and isinstance(default, Default):
            choice, why = default.choice, [default.id]
        if choice is not None:
            yield Carried(voter, choice, tuple(why))
