"""A second way to find what expulsions come to: by trying every subset. It shares no code with `ledger.governance`.

How it works
    Each vote is held to the conditions of governance.md §4 one by one, by looking at all others. Then, over every
    subset S of the certified proposals, F(S) = {p : T voices of p have a vote that no member of S cuts}. F turns
    larger sets into smaller ones, so G(S) = F(F(S)) keeps their order. By Knaster and Tarski the least fixed point of
    G is the meet of all S with G(S) ⊆ S, and the greatest is the join of all S with S ⊆ G(S). The first survive, those
    outside the second are dead, and the second are what applies.

What it does not do
    It is slow (2^n subsets), and explains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from ledger.governance.ballots import Act, Choice, Electorate, Facts, Proposal, Vote
from ledger.governance.expulsion import Cut
from ledger.governance.roster import Party

DAY = 86_400


class Oracle:
    """The verdicts on a world, by proposal: "in", "cycle", "out", "short", "sealed"; nothing for an unsound one."""

    def __init__(
        self,
        proposals: Iterable[Proposal],
        votes: Iterable[Vote],
        electorates: Mapping[bytes, Electorate],
        facts: Facts,
        settled: Mapping[Party, Cut],
    ) -> None:
        self.votes = list({vote.id: vote for vote in votes}.values())
        self.electorates, self.facts, self.settled = electorates, facts, settled
        self.proposals = {p.id: p for p in proposals if p.act is Act.EXPEL and self._sound(p)}
        self.yes = {
            p.id: [v for v in self.votes if v.choice is Choice.YES and v.proposal == p.id and self.counts(v, p)]
            for p in self.proposals.values()
        }
        sealed = {ident for cut in settled.values() for ident in cut.why} & self.proposals.keys()
        self.certified = [i for i, p in self.proposals.items() if self._enough(p, self.yes[i]) and i not in sealed]
        least, greatest = self._fixed_points()
        self.verdicts = dict.fromkeys(self.proposals, "short") | dict.fromkeys(self.certified, "out")
        self.verdicts |= dict.fromkeys(greatest, "cycle") | dict.fromkeys(least, "in") | dict.fromkeys(sealed, "sealed")
        self.applied = frozenset(greatest)

    def _sound(self, p: Proposal) -> bool:
        electorate = self.electorates.get(p.epoch)
        if electorate is None or p.target is None:
            return False
        feeds = [head.feed for head in p.cut]
        days = (p.deadline - electorate.as_of) / DAY
        return 0 < days <= electorate.rules.ballot_days and len(set(feeds)) == len(feeds)

    def _voice(self, p: Proposal, who: Party) -> bytes:
        return self.electorates[p.epoch].voices.get(who[0], who[0])

    def _place(self, vote: Vote) -> tuple[int, int] | None:
        chain = self.facts.chains.get(vote.voter, ())
        places = [(n, vote.index) for n, (feed, end) in enumerate(chain) if feed == vote.feed and vote.index < end]
        return places[0] if places else None

    def counts(self, vote: Vote, p: Proposal) -> bool:
        """Say whether a vote meets the first four conditions."""
        assert p.target is not None
        place = self._place(vote)
        member = vote.voter in self.electorates[p.epoch].voters
        if place is None or not member or self._voice(p, vote.voter) == self._voice(p, p.target):
            return False
        if vote.as_of >= p.deadline:
            return False
        closing = self.facts.closed.get(p.id)
        if closing is not None and vote.index >= closing.frontier.get(vote.feed, 0):
            return False
        for other in self.votes:
            if other.id == vote.id:
                continue
            if (other.feed, other.index) == (vote.feed, vote.index):
                return False
            if (other.proposal, other.voter) == (vote.proposal, vote.voter):
                before = self._place(other)
                if before is not None and before < place:
                    return False
        floor = self.facts.floor.get(vote.feed, 0)
        mine = [v for v in self.votes if v.feed == vote.feed]
        holds = [a.index for a, b in combinations(mine, 2) if a.index == b.index]
        if vote.feed in self.facts.forks:
            holds.append(self.facts.forks[vote.feed].size)
        return all(vote.index < hold or vote.index < floor for hold in holds)

    def _enough(self, p: Proposal, votes: Iterable[Vote]) -> bool:
        assert p.target is not None
        electorate = self.electorates[p.epoch]
        others = {self._voice(p, who) for who in electorate.voters} - {self._voice(p, p.target)}
        yes = {self._voice(p, vote.voter) for vote in votes}
        return len(others) >= 2 and 3 * len(yes) > 2 * len(others)

    def size(self, q: Proposal, feed: bytes) -> int:
        """Return where a proposal cuts a feed."""
        named = {head.feed: head.size for head in q.cut}
        sealed = self.facts.floor.get(feed, 0)
        return max(named[feed], sealed) if feed in named else sealed

    def _alive(self, vote: Vote, rivals: Iterable[bytes]) -> bool:
        cut = self.settled.get(vote.voter)
        if cut is not None and vote.index >= cut.sizes.get(vote.feed, 0):
            return False
        cutting = [self.proposals[q] for q in rivals if self.proposals[q].target == vote.voter]
        return all(vote.index < self.size(q, vote.feed) for q in cutting)

    def _fixed_points(self) -> tuple[frozenset[bytes], frozenset[bytes]]:
        subsets = [frozenset(s) for n in range(len(self.certified) + 1) for s in combinations(self.certified, n)]
        image = {
            s: frozenset(
                p
                for p in self.certified
                if self._enough(self.proposals[p], [v for v in self.yes[p] if self._alive(v, s - {p})])
            )
            for s in subsets
        }
        twice = {s: image[image[s]] for s in subsets}
        least = frozenset.intersection(*(s for s in subsets if twice[s] <= s))
        greatest = frozenset[bytes]().union(*(s for s in subsets if s <= twice[s]))
        return least, greatest

    def bound(self, who: Party, feed: bytes) -> int | None:
        """Return where a feed of a party is cut in the end; None where the party is in."""
        sizes = [self.size(self.proposals[p], feed) for p in self.applied if self.proposals[p].target == who]
        if who in self.settled:
            sizes.append(self.settled[who].sizes.get(feed, 0))
        return min(sizes) if sizes else None
