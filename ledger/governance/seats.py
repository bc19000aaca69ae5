"""Who votes under the next epoch (governance.md §1, §2, §4).

How it works
    Votes move slowly, and only with a seal:
      V1 a voter loses its vote by leaving, by expulsion, after 30 days without a heartbeat, or to a later incarnation;
      V2 affiliates have one vote: of each group that the next epoch's rules declare one member has it. Who has it keeps
         it; where several had one, the first does, and the votes of the others rest. They stay members, and are counted
         in the very seal that does so, as silent voters are. First comes who is neither suspended nor out, then whose
         feed this seal moves, for a dead node must not stand for a living one, then the smallest key id;
      V3 where the member that votes for a group loses its vote by V1, the first of those whose vote rests, and that can
         speak, takes its place in the same seal: no vote is added, so no pace bounds it, and an organisation that gives
         up one of its nodes is not silenced;
      V4 a member gets a vote when floor(n/3) + 1 voters endorse it, or when its own rests and nobody votes for its
         group any more (the affiliation was undone). It was endorsed when it first got it, or is a founder, whom nobody
         could endorse now for want of an application. At most max(1, floor(n/3)) members a day, the oldest first, and
         none that is affiliated with who votes.
    Expulsion too leaves a group its vote, for it ends one member: whoever means the organisation expels each of its
    members, and may do so in one go, as those whose vote rests have no voice on it and fill no place among the voters
    that one seal may expel.

What it bounds, and what it does not
    No group ever has two voters, so none seals alone by the number of its nodes. A group that is declared falsely puts
    votes of rivals to rest: it is a ballot on the rules, which takes a majority or the share that the rules ask for
    ("policy"), and a majority that undoes it gives them back, at the pace of V4. Each group keeps a vote, so no ballot
    takes the last one, and none stops a seal: the voters of the epoch before agree on it. But fewer voters bear fewer
    that are away: two groups seal only while both of their voters are there.

What it does not do
    It does not say who is silent, who is out, or what the rules are: `sealing` hands that in. Groups that evidence
    alone would show are none here: no kind of entry states such evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ledger.governance.ballots import Sealed
from ledger.governance.certificate import VOTERS_MAX
from ledger.governance.growth import endorses
from ledger.governance.members import Folded
from ledger.governance.policy import voice
from ledger.governance.roster import UNBOUNDED, Party
from ledger.governance.rules import Rules, endorsements_for_voter, first_of_each, new_voters_max, voices
from ledger.governance.state import Base
from ledger.schema import DAY


@dataclass(frozen=True, slots=True)
class Seats:
    """Who votes, each with its college; whose vote rests; and how many got one when, as `Base.added` keeps it."""

    voters: dict[Party, str]
    resting: frozenset[Party]
    added: tuple[tuple[int, int], ...]


def seats(before: Base, folded: Folded, gone: Collection[Party], closing: Sealed, rules: Rules) -> Seats:
    """Return who votes under the epoch that a seal makes: a pure function of what was folded below its frontier.

    `gone`: voters that it removes, and those that are silent. `closing`: the seal. `rules`: of the next epoch. No
    voters at all where nobody is left.
    """
    return _Seating(before, folded, gone, closing, rules).result()


def governing(before: Base, work: Base, party: Party) -> bytes | None:
    """Return the feed through which a party speaks from now on; None when none does."""
    found = work.found.get(party)
    if found is None:
        return before.governing.get(party)
    feed, until = work.reaches.chain(found.first)[-1]
    speaks = until == UNBOUNDED and feed in work.active and work.reaches.owners[feed] == party
    return feed if speaks else before.governing.get(party)


class _Seating:
    """The steps from the voters of an epoch to those of the next."""

    def __init__(self, before: Base, folded: Folded, gone: Collection[Party], closing: Sealed, rules: Rules) -> None:
        self._before, self._folded, self._work = before, folded, folded.base
        self._gone, self._closing = frozenset(gone), closing
        self._groups = voices(rules.affiliations)
        self._newest = dict(sorted(folded.base.found))  # a later incarnation takes the place, not the vote

    def result(self) -> Seats:
        before, work, as_of = self._before, self._work, self._closing.as_of
        kept = sorted((party for party in before.voters if party not in self._gone), key=self._rank)
        current = [party for party in kept if self._is_newest(party)]
        seated = first_of_each(current, self._groups)
        resting = {party for party in before.resting.union(current) if self._may_rest(party)}
        lost = {voice(party, self._groups) for party in before.voters} - seated.keys()
        heirs = [p for p in sorted(resting, key=self._rank) if voice(p, self._groups) in lost and self._speaks(p)]
        seated |= first_of_each(heirs, self._groups)
        seated = seated or first_of_each(kept, self._groups)  # else a mesh of one whose member came back never seals
        recent = tuple(each for each in before.added if each[0] > as_of - DAY)
        room = new_voters_max(len(before.voters)) - sum(count for _, count in recent)
        grown = first_of_each(self._candidates(resting), self._groups)
        fresh = [each for each in grown if each not in seated][: max(0, min(room, VOTERS_MAX - len(seated)))]
        seated |= {each: grown[each] for each in fresh}
        voters = sorted(seated.values())
        return Seats(
            {party: work.found[party].college if party in work.found else before.voters[party] for party in voters},
            frozenset(resting.difference(voters)),
            (*recent, (as_of, len(fresh))) if fresh else recent,
        )

    def _rank(self, party: Party) -> tuple[bool, bool, Party]:
        """Return by what the first of affiliates is found: the others' votes rest."""
        feed = governing(self._before, self._work, party) or b""
        moved = self._closing.frontier.get(feed, 0) > self._before.floor(feed)
        return self._is_out(party), not moved, party

    def _is_out(self, party: Party) -> bool:
        return self._has_ended(party) or party in self._work.suspended

    def _has_ended(self, party: Party) -> bool:
        return party in self._work.reaches.left or party in self._folded.count.resolution.expelled

    def _is_newest(self, party: Party) -> bool:
        return self._newest.get(party[0], party[1]) == party[1]

    def _may_rest(self, party: Party) -> bool:
        """Say whether a vote that rests may be given back one day."""
        return self._is_newest(party) and not self._has_ended(party)

    def _speaks(self, party: Party) -> bool:
        """Say whether a party can vote from now on: a founder that never accepted, say, cannot."""
        return not self._is_out(party) and governing(self._before, self._work, party) is not None

    def _candidates(self, resting: Collection[Party]) -> Iterable[Party]:
        """Return the members that may get a vote, and whose feed still speaks, the oldest first."""
        before, work = self._before, self._work
        found = [
            (each.since, party)
            for party, each in work.found.items()
            if party not in before.voters
            and (party in resting or self._is_endorsed(party, each.application))
            and self._speaks(party)
        ]
        return [party for _, party in sorted(found)]

    def _is_endorsed(self, party: Party, application: bytes) -> bool:
        """Say whether enough voters endorse a member: a third and one. Each has a voice of its own (V2)."""
        before = self._before
        enough, endorsements = endorsements_for_voter(len(before.voters)), self._work.endorsements.get(application, ())
        if len(endorsements) < enough:
            return False
        told = {by for by, entry in endorsements if by in before.voters and endorses(entry, by, party)}
        return len(told) >= enough
