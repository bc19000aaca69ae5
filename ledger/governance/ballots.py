"""Ballots: proposals, votes, and which votes count (governance.md §4).

How it works
    A proposal names an epoch and keeps that epoch's voters and rules until the first seal with `as_of` at or after its
    deadline. `poll` holds every vote to the rules, each with a number:
      G4.1 the voter is in the electorate, speaks through one of its governing feeds, and is not the target itself;
      G4.2 the vote's closure holds no seal that closed the proposal, and no such seal was made without the vote;
      G4.3 it is the voter's first on the proposal, in feed order;
      G4.4 it is not beyond a proven fork of the voter (two votes at one place of a feed prove one);
      G4.5 it is not beyond an effective cut of the voter.
    The first four are judged without any cut. The fifth needs the expulsions resolved (`expulsion`), which rest on
    the first four alone; `under_cuts` applies it. Affiliated voters have one voice, which says yes when one of them
    does. That keeps the count monotone: a vote that is cut never adds one.

What it does not do
    It reads no entries, seals or clocks: all are values handed in, and time is the `as_of` of seals. It does not say
    whether a proposal passes: `expulsion.resolve` and `tally.tally` do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from ledger.checkpoint import Head
from ledger.governance.policy import voice
from ledger.governance.roster import Party
from ledger.governance.rules import Rules, voices
from ledger.schema import DAY

CUT_FEEDS_MAX: Final = 64  # feeds that one proposal may name


class Act(Enum):
    """What a proposal would do."""

    EXPEL = "expel"
    SUSPEND = "suspend"
    ADMIT = "admit"
    POLICY = "policy"
    CHARTER = "charter"
    EVALUATOR = "evaluator"


AT_ONCE: Final = frozenset({Act.EXPEL, Act.SUSPEND, Act.ADMIT})
"""Acts that take effect as soon as they pass; the others at the next seal."""


class Choice(Enum):
    """What a vote says. Abstaining is a vote: it is the voter's first."""

    YES = "yes"
    NO = "no"
    ABSTAIN = "abstain"


class Rule(Enum):
    """Why a vote counts or does not: the numbers of the module's rules."""

    COUNTS = "G4"
    VOTER = "G4.1"
    OPEN = "G4.2"
    FIRST = "G4.3"
    FORK = "G4.4"
    CUT = "G4.5"


@dataclass(frozen=True, slots=True)
class Bound:
    """How many leaves of a feed count, and the entries that say so."""

    size: int
    why: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """An objectively valid `proposal` entry.

    `epoch`: reference of the epoch it names, which is the newest in its closure. `target`: the party that an expulsion
    or suspension is about. `subject`: the id of what else is decided (application, rules, charter, version).
    `deadline`: governance time, unix seconds. `cut`: of an expulsion, at most one head a feed.
    """

    id: bytes
    epoch: bytes
    act: Act
    deadline: int
    target: Party | None = None
    cut: tuple[Head, ...] = ()
    subject: bytes | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """An objectively valid `vote` entry at its place. `as_of`: of the newest seal in its closure, unix seconds."""

    id: bytes
    proposal: bytes
    voter: Party
    feed: bytes
    index: int
    choice: Choice
    as_of: int


class Placed(Protocol):
    """What a voter said at a place of a feed."""

    @property
    def voter(self) -> Party:
        """Who speaks."""

    @property
    def feed(self) -> bytes:
        """Where."""

    @property
    def index(self) -> int:
        """At which leaf."""


@dataclass(frozen=True, slots=True)
class Electorate:
    """Who decides under an epoch. `voters`: each with its college's name ("" where it has none).

    `as_of`: the epoch's governance time. `frontier`: sealed size of each feed. `rules`: those of the epoch.
    `voices`: of affiliated voters (`rules.voices`).
    """

    epoch: bytes
    as_of: int
    voters: Mapping[Party, str]
    frontier: Mapping[bytes, int] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    voices: Mapping[bytes, bytes] = field(default_factory=dict)
    everyone: frozenset[bytes] = field(init=False, repr=False, compare=False)  # every voice

    def __post_init__(self) -> None:
        """Gather the voices: they are asked for with every ballot."""
        object.__setattr__(self, "everyone", frozenset(map(self.voice, self.voters)))

    @classmethod
    def of(
        cls,
        epoch: bytes,
        as_of: int,
        voters: Mapping[Party, str],
        frontier: Mapping[bytes, int],
        rules: Rules,
        proven: Iterable[Collection[bytes]] = (),
    ) -> Electorate:
        """Make the electorate of an epoch; `proven`: groups of members whose affiliation evidence shows."""
        return cls(epoch, as_of, voters, frontier, rules, voices((*rules.affiliations, *proven)))

    def voice(self, party: Party) -> bytes:
        """Return under whose key id the party votes."""
        return voice(party, self.voices)

    def others(self, target: Party | None) -> frozenset[bytes]:
        """Return every voice but the target's."""
        return self.everyone if target is None else self.everyone - {self.voice(target)}


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a ballot needs of a certified seal: entry id of its certificate, `as_of`, sealed size of each feed."""

    id: bytes
    as_of: int
    frontier: Mapping[bytes, int]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of feeds and seals, whatever the proposal.

    `chains`: each party's governing feeds, first to last, each with the size at which the next took over (UNBOUNDED
    for the last). `forks`: holds. `floor`: sealed sizes by the newest seal. `closed`: the seal that closed a proposal.
    """

    chains: Mapping[Party, tuple[tuple[bytes, int], ...]]
    forks: Mapping[bytes, Bound] = field(default_factory=dict)
    floor: Mapping[bytes, int] = field(default_factory=dict)
    closed: Mapping[bytes, Sealed] = field(default_factory=dict)

    def place(self, said: Placed) -> tuple[int, int] | None:
        """Return (feed's place in the voter's chain, index), or None where the voter does not speak through it."""
        for rank, (feed, until) in enumerate(self.chains.get(said.voter, ())):
            if feed == said.feed:
                return (rank, said.index) if said.index < until else None
        return None


@dataclass(frozen=True, slots=True)
class Judged:
    """A vote, the rule that decided on it, and the entries it rests on."""

    vote: Vote
    rule: Rule
    why: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Poll:
    """Proposals and votes, held to G4.1 to G4.4. `faults`: why a proposal has no effect at all, by its id.

    `judged`: the votes on each sound proposal, by voter and place. `forks`: holds, none below what is sealed, and those
    that the votes themselves prove.
    """

    proposals: Mapping[bytes, Proposal]
    faults: Mapping[bytes, str]
    judged: Mapping[bytes, tuple[Judged, ...]]
    electorates: Mapping[bytes, Electorate]
    facts: Facts
    forks: Mapping[bytes, Bound]

    def electorate(self, proposal: Proposal) -> Electorate:
        """Return who decides on a sound proposal."""
        return self.electorates[proposal.epoch]


def closings(proposals: Iterable[Proposal], seals: Iterable[Sealed]) -> dict[bytes, Sealed]:
    """Return the seal that closed each proposal: the first with `as_of` at or after the deadline."""
    ordered = sorted(seals, key=lambda seal: seal.as_of)
    found = ((each.id, next((s for s in ordered if s.as_of >= each.deadline), None)) for each in proposals)
    return {ident: seal for ident, seal in found if seal is not None}


def fault(proposal: Proposal, electorates: Mapping[bytes, Electorate]) -> str | None:
    """Say why a proposal has no effect whatever the votes, or None."""
    electorate = electorates.get(proposal.epoch)
    if electorate is None:
        return "it names an epoch that is not sealed here"
    if not electorate.as_of < proposal.deadline <= electorate.as_of + electorate.rules.ballot_days * DAY:
        return f"its deadline is not within {electorate.rules.ballot_days} days of its epoch"
    if (proposal.act in (Act.EXPEL, Act.SUSPEND)) != (proposal.target is not None):
        return "expulsions and suspensions, and they alone, name a target"
    if proposal.cut and proposal.act is not Act.EXPEL:
        return "only an expulsion carries a cut"
    if len({head.feed for head in proposal.cut}) < len(proposal.cut) or len(proposal.cut) > CUT_FEEDS_MAX:
        return f"a cut names at most {CUT_FEEDS_MAX} feeds, each once"
    return None


def poll(
    proposals: Iterable[Proposal], votes: Iterable[Vote], electorates: Mapping[bytes, Electorate], facts: Facts
) -> Poll:
    """Hold every vote to G4.1 to G4.4: a pure function of the sets. `electorates`: by epoch reference."""
    known = {each.id: each for each in proposals}
    faults = {ident: why for ident, each in known.items() if (why := fault(each, electorates))}
    sound = {ident: known[ident] for ident in sorted(known) if ident not in faults}
    unique = {each.id: each for each in votes}
    forks, twins = _forks(unique.values(), facts)
    on: dict[bytes, list[Vote]] = defaultdict(list)
    for vote in unique.values():
        on[vote.proposal].append(vote)
    judged = {
        ident: tuple(_judge(proposal, electorates[proposal.epoch], on[ident], facts, forks, twins))
        for ident, proposal in sound.items()
    }
    return Poll(sound, faults, judged, electorates, facts, forks)


def _forks(votes: Iterable[Vote], facts: Facts) -> tuple[dict[bytes, Bound], dict[bytes, tuple[bytes, ...]]]:
    """Return every hold, none below what is sealed, and the votes that share their place with another."""
    votes = list(votes)
    places: dict[tuple[bytes, int], list[bytes]] = defaultdict(list)
    if len({(vote.feed, vote.index) for vote in votes}) < len(votes):
        for vote in votes:
            places[vote.feed, vote.index].append(vote.id)
    holds = dict(facts.forks)
    twins: dict[bytes, tuple[bytes, ...]] = {}
    for (feed, index), ids in sorted(places.items()):
        if len(ids) > 1:
            both = Bound(index, tuple(sorted(ids)))
            holds[feed] = min(both, holds.get(feed, both), key=lambda bound: bound.size)
            twins.update(dict.fromkeys(ids, both.why))
    return {feed: Bound(max(b.size, facts.floor.get(feed, 0)), b.why) for feed, b in holds.items()}, twins


def _judge(
    proposal: Proposal,
    electorate: Electorate,
    votes: Iterable[Vote],
    facts: Facts,
    forks: Mapping[bytes, Bound],
    twins: Mapping[bytes, tuple[bytes, ...]],
) -> Iterable[Judged]:
    others = electorate.others(proposal.target)
    closing = facts.closed.get(proposal.id)
    placed = [(vote.voter, facts.place(vote) or (-1, vote.index), vote.id, vote) for vote in votes]
    firsts: dict[Party, tuple[tuple[int, int], bytes]] = {}
    for voter, place, ident, vote in sorted(placed, key=lambda each: each[:3]):
        is_target = proposal.target is not None and electorate.voice(voter) not in others
        if place[0] < 0 or voter not in electorate.voters or is_target:
            yield Judged(vote, Rule.VOTER, (proposal.id,))
            continue
        first = firsts.setdefault(voter, (place, ident))
        hold = forks.get(vote.feed)
        if vote.as_of >= proposal.deadline:
            yield Judged(vote, Rule.OPEN, (proposal.id if closing is None else closing.id,))
        elif closing is not None and vote.index >= closing.frontier.get(vote.feed, 0):
            yield Judged(vote, Rule.OPEN, (closing.id,))
        elif ident in twins:
            yield Judged(vote, Rule.FORK, twins[ident])
        elif first[0] != place:
            yield Judged(vote, Rule.FIRST, (first[1],))
        elif hold is not None and vote.index >= hold.size:
            yield Judged(vote, Rule.FORK, hold.why)
        else:
            yield Judged(vote, Rule.COUNTS, (ident,))


def under_cuts(judged: Iterable[Judged], cuts: Mapping[bytes, Bound]) -> tuple[Judged, ...]:
    """Apply G4.5. `cuts`: the effective cut of every feed of every expelled party (`Resolution.bounds`)."""
    held = []
    for each in judged:
        cut = cuts.get(each.vote.feed)
        beyond = each.rule is Rule.COUNTS and cut is not None and each.vote.index >= cut.size
        held.append(Judged(each.vote, Rule.CUT, cut.why) if beyond and cut is not None else each)
    return tuple(held)
