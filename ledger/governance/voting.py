"""From entries to ballots: the proposals, votes and standing instructions of an open epoch (governance.md §4).

How it works
    `take` reads them into the tables of a `Base`, where they stay until a seal closes the ballot. `count` holds a poll
    over all that is open: expulsions are resolved together, other ballots tallied under the cuts that result. Who votes
    was sealed with the epoch that a proposal names, so counting needs no knowledge of who else is in.

What it does not do
    It gives no ballot an effect: `members` does for what acts at once, `sealing` for the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.feed import Registration
from ledger.governance.ballots import Act, Bound, Choice, Facts, Poll, Proposal, Sealed, Vote, closings, fault, poll
from ledger.governance.expulsion import Resolution, resolve
from ledger.governance.growth import Counts
from ledger.governance.roster import UNBOUNDED, Party
from ledger.governance.rules import Rules
from ledger.governance.state import Base
from ledger.governance.tally import Default, Delegation, Tally, tally

KINDS: Final = frozenset({"proposal", "vote", "vote.delegate", "vote.default"})
OPEN_A_VOTER_MAX: Final = 8  # proposals that one voter may have open: the rest has no effect
_SUBJECT: Final = {"admit": "application", "charter": "charter", "policy": "rules", "evaluator": "evaluator_version"}


@dataclass(frozen=True, slots=True)
class Count:
    """Where every open ballot stands. `tallies`: of all but expulsions, by proposal."""

    poll: Poll
    resolution: Resolution
    tallies: Mapping[bytes, Tally]

    def passed(self, act: Act) -> list[Tally]:
        """Return the ballots of an act that have passed, the best supported first, then by id."""
        found = [each for each in self.tallies.values() if each.proposal.act is act and each.passed]
        return sorted(found, key=lambda each: (-each.support, each.proposal.id))

    def winner(self, act: Act) -> Tally | None:
        """Return the best supported ballot that has passed. Two with the same support wait: no id breaks a tie."""
        match self.passed(act):
            case [first, second, *_] if first.support == second.support:
                return None
            case [first, *_]:
                return first
        return None


def take(base: Base, statements: Iterable[Registration], held: Counts) -> set[tuple[bytes, int]]:
    """Add what is said in ballots; return the (feed, index) of those that need no second look.

    `statements`: proposals first, else in a fixed order. `held`: whether epoch and `seen` of a statement are held and
    fit; its feed's reach is a question of the poll's.
    """
    done, opened = set(), _opened(base)
    for registration in _in_turn(base, statements):
        owner = base.reaches.owners.get(registration.feed)
        if owner is not None and held(registration):
            if registration.entry.kind == "proposal":
                taken = opened[owner] >= OPEN_A_VOTER_MAX or _take(base, registration, owner)
                opened[owner] += registration.entry.id in base.contents
            else:
                taken = _take(base, registration, owner)
            if taken:
                done.add((registration.feed, registration.index))
    return done


def _in_turn(base: Base, statements: Iterable[Registration]) -> list[Registration]:
    """Put each member's proposals in the order it spoke: what an old feed says after its heir took over comes last."""
    proposals: list[Registration] = []
    others: list[Registration] = []
    for each in statements:
        (proposals if each.entry.kind == "proposal" else others).append(each)
    chains: dict[Party, dict[bytes, tuple[int, int]]] = {}

    def turn(each: Registration) -> tuple[bool, int, bytes, int]:
        owner = base.reaches.owners.get(each.feed, (b"", 0))
        if owner not in chains:
            listed = _chain(base, owner)
            chains[owner] = {feed: (rank, until) for rank, (feed, until) in enumerate(listed)}
        rank, until = chains[owner].get(each.feed, (len(chains[owner]), 0))
        return each.index >= until, rank, each.feed, each.index

    return [*sorted(proposals, key=turn), *others]


def _take(base: Base, registration: Registration, owner: Party) -> bool:
    entry, feed, index = registration.entry, registration.feed, registration.index
    as_of = base.known[entry.epoch or b""][1]
    match entry.kind:
        case "proposal":
            proposal = read_proposal(entry)
            if proposal is not None and refusal(base, proposal, owner) is None:
                base.proposals[entry.id], base.contents[entry.id] = proposal, entry
        case "vote":
            if entry.thing[1] not in base.proposals and entry.thing[1] not in base.results:
                return False
            if entry.thing[1] in base.proposals:
                choice = Choice(entry.payload["choice"])
                base.votes[entry.id] = Vote(entry.id, entry.thing[1], owner, feed, index, choice, as_of)
        case "vote.delegate" if entry.thing[1] == owner[0]:
            to = entry.payload["to"]
            target: Party | None = None if to is None else (to[0], to[1])
            base.standing[entry.id] = Delegation(entry.id, owner, target, feed, index, as_of)
        case "vote.default" if entry.thing[1] == owner[0]:
            said = entry.payload["choice"]
            choice_or_none = None if said is None else Choice(said)
            base.standing[entry.id] = Default(entry.id, owner, choice_or_none, feed, index, as_of)
        case _:
            pass
    return True


def refusal(base: Base, proposal: Proposal, proposer: Party) -> str | None:
    """Say why a proposal is not taken: its own fault, its proposer is no voter of its epoch or has too many open."""
    electorates = {proposal.epoch: base.history[proposal.epoch].electorate} if proposal.epoch in base.history else {}
    found = fault(proposal, electorates)
    if found is None and proposer not in electorates[proposal.epoch].voters:
        return "its proposer is no voter of the epoch that it names"
    if found is None and proposal.deadline <= base.as_of:
        return "a seal of its deadline or later was made without it"
    if found is None and _opened(base)[proposer] >= OPEN_A_VOTER_MAX:
        return f"its proposer has {OPEN_A_VOTER_MAX} proposals open already"
    return found


def _opened(base: Base) -> Counter[Party]:
    """Return how many proposals each party has open."""
    return Counter(owner for each in base.contents.values() if (owner := base.reaches.owners.get(each.kid)))


def read_proposal(entry: Entry) -> Proposal | None:
    """Read a proposal; None where it lacks what its act needs, or carries rules that are none."""
    payload = entry.payload
    act = Act(payload["act"])
    subject = payload.get(_SUBJECT.get(payload["act"], ""))
    if (payload["act"] in _SUBJECT) != (subject is not None):
        return None
    if act is Act.POLICY:
        try:
            Rules.decode(payload["rules"])
        except RemoteError:
            return None
    target = payload.get("target")
    return Proposal(
        entry.id,
        entry.epoch or b"",
        act,
        payload["deadline"],
        None if target is None else (target[0], target[1]),
        tuple(Head(feed, size, root) for feed, size, root in payload.get("cut", ())),
        subject if type(subject) is bytes else None,
    )


def count(base: Base, closing: Sealed | None = None, acts: Collection[Act] = frozenset(Act)) -> Count:
    """Hold the poll over all open ballots. `closing`: the seal that is being made, which closes what is due.

    `acts`: only ballots on these. Those on expulsions do not look at others, nor at each other those that are none.
    """
    open_ = [each for each in base.proposals.values() if each.act in acts]
    votes = [each for each in base.votes.values() if base.proposals[each.proposal].act in acts]
    electorates = {each.epoch: base.history[each.epoch].electorate for each in open_ if each.epoch in base.history}
    parties = {party for electorate in electorates.values() for party in electorate.voters}
    facts = Facts(
        chains={party: chain for party in parties if (chain := _chain(base, party))},
        forks={feed: Bound(hold, ()) for feed, hold in base.reaches.forks.items()},
        floor=base.floors() if open_ else {},
        closed=closings(open_, [closing] if closing is not None else []),
    )
    heard = [each for each in open_ if _place(base, each) < _fork(base, each)]
    ballot = poll(heard, votes, electorates, facts)
    resolution = resolve(ballot, base.cuts)
    cuts = resolution.bounds(base.reaches.owners)
    standing = tuple(base.standing.values())
    tallies = {
        ident: tally(ballot, ident, cuts, standing)
        for ident, proposal in ballot.proposals.items()
        if proposal.act is Act.SUSPEND or (proposal.act is not Act.EXPEL and not _is_void(base, proposal, cuts))
    }
    return Count(ballot, resolution, tallies)


def _place(base: Base, proposal: Proposal) -> int:
    """Return the leaf at which a proposal stands: its own signature fixes it (rule F2 of `judge`)."""
    entry = base.contents[proposal.id]
    return next((head.size for head in entry.seen if head.feed == entry.kid), 0)


def _fork(base: Base, proposal: Proposal) -> int:
    """Return the hold of the proposer's feed: nobody can be asked to hold what it says beyond."""
    return base.reaches.forks.get(base.contents[proposal.id].kid, UNBOUNDED)


def _is_void(base: Base, proposal: Proposal, cuts: Mapping[bytes, Bound]) -> bool:
    """Say whether a proposal that may permit something stands where its proposer had lost the right.

    One that expels or suspends stands wherever it is: T others have made it their own.
    """
    feed, place, reaches = base.contents[proposal.id].kid, _place(base, proposal), base.reaches
    ends = [table.get(feed, UNBOUNDED) for table in (reaches.ends, reaches.bounds)]
    return place >= min(*ends, cuts[feed].size if feed in cuts else UNBOUNDED)


def _chain(base: Base, party: Party) -> tuple[tuple[bytes, int], ...]:
    """Return the feeds through which a party speaks, first to last, each with where it stops."""
    found = base.found.get(party)
    first = found.first if found is not None else base.governing.get(party)
    if first is None or base.reaches.owners.get(first, party) != party:  # an applicant may name another's device
        return ()
    return base.reaches.chain(first)
