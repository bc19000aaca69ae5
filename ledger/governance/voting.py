"""From entries to ballots: the proposals, votes and standing instructions of an open epoch (governance.md §4).

How it works
    `take` reads them into the tables of a `Base`, where they stay until a seal closes the ballot. `count` holds a poll
    over all that is open: expulsions are resolved together, other ballots tallied under the cuts that result. Who votes
    was sealed with the epoch that a proposal names, so counting needs no knowledge of who else is in.

What it does not do
    It gives no ballot an effect: `members` does for what acts at once, `sealing` for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.feed import Registration
from ledger.governance.ballots import Act, Bound, Choice, Facts, Poll, Proposal, Sealed, Vote, closings, fault, poll
from ledger.governance.expulsion import Resolution, resolve
from ledger.governance.growth import Counts
from ledger.governance.roster import Party
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


def take(base: Base, statements: Iterable[Registration], held: Counts) -> set[tuple[bytes, int]]:
    """Add what is said in ballots; return the (feed, index) of those that need no second look.

    `statements`: proposals first, else in a fixed order. `held`: whether epoch and `seen` of a statement are held and
    fit; its feed's reach is a question of the poll's.
    """
    done = set()
    for registration in statements:
        owner = base.reaches.owners.get(registration.feed)
        if owner is not None and held(registration) and _take(base, registration, owner):
            done.add((registration.feed, registration.index))
    return done


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
    opened = sum(base.reaches.owners.get(each.kid) == proposer for each in base.contents.values())
    if found is None and opened >= OPEN_A_VOTER_MAX:
        return f"its proposer has {OPEN_A_VOTER_MAX} proposals open already"
    return found


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


def count(base: Base, closing: Sealed | None = None) -> Count:
    """Hold the poll over all open ballots. `closing`: the seal that is being made, which closes what is due."""
    electorates = {
        proposal.epoch: base.history[proposal.epoch].electorate
        for proposal in base.proposals.values()
        if proposal.epoch in base.history
    }
    parties = {party for electorate in electorates.values() for party in electorate.voters}
    facts = Facts(
        chains={party: base.reaches.chain(first) for party in parties if (first := _first(base, party)) is not None},
        forks={feed: Bound(hold, ()) for feed, hold in base.reaches.forks.items()},
        floor=base.floors() if base.proposals else {},
        closed=closings(base.proposals.values(), [closing] if closing is not None else []),
    )
    ballot = poll(base.proposals.values(), base.votes.values(), electorates, facts)
    resolution = resolve(ballot, base.cuts)
    cuts = resolution.bounds(base.reaches.owners)
    standing = tuple(base.standing.values())
    tallies = {
        ident: tally(ballot, ident, cuts, standing)
        for ident, proposal in ballot.proposals.items()
        if proposal.act is not Act.EXPEL
    }
    return Count(ballot, resolution, tallies)


def _first(base: Base, party: Party) -> bytes | None:
    found = base.found.get(party)
    return found.first if found is not None else base.governing.get(party)
