"""A stage for expulsions: named members, one feed each, whose statements are plain values.

How it works
    A `Scene` has an epoch with voters, and a clock of places: what a member says next stands at the next index of its
    feed, unless told otherwise. Ids are hashes of what is said. A traitor may say anything at any place.

What it does not do
    It signs nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from ledger.checkpoint import Head
from ledger.governance.ballots import Act, Bound, Choice, Electorate, Facts, Poll, Proposal, Sealed, Vote, poll
from ledger.governance.expulsion import Cut, Resolution, resolve
from ledger.governance.roster import UNBOUNDED, Party
from ledger.governance.rules import Rules
from ledger.schema import DAY

NOON = 1_700_000_000
START = 10
"""Size of every feed when a scene begins; the first five leaves are sealed."""
SEALED = 5


def digest(*parts: object) -> bytes:
    """Return 32 bytes that follow from the parts."""
    return sha256(repr(parts).encode()).digest()


def party(name: str, incarnation: int = 1) -> Party:
    """Return the member of this name."""
    return digest("member", name), incarnation


def feed(name: str, device: int = 0) -> bytes:
    """Return a device's feed of the member of this name."""
    return digest("feed", name, device)


class Scene:
    """Members, and what they have said."""

    def __init__(self, names: str, *, rules: Rules | None = None, affiliated: Iterable[str] = ()) -> None:
        self.names = names.split()
        self.rules = rules or Rules()
        self.proposals: list[Proposal] = []
        self.votes: list[Vote] = []
        self.sizes = dict.fromkeys(self.names, START)
        self.chains: dict[Party, tuple[tuple[bytes, int], ...]] = {
            party(name): ((feed(name), UNBOUNDED),) for name in self.names
        }
        self.floor = {feed(name): SEALED for name in self.names}
        self.forks: dict[bytes, Bound] = {}
        self.closed: dict[bytes, Sealed] = {}
        self.settled: Mapping[Party, Cut] = {}
        self.electorates: dict[bytes, Electorate] = {}
        groups = [[party(name)[0] for name in group.split()] for group in affiliated]
        self.epoch = self.seal(0, self.names, groups)

    def seal(self, n: int, names: Iterable[str], groups: Iterable[list[bytes]] = ()) -> bytes:
        """Add an epoch: `n` days after the first, with these voters and what is sealed now."""
        reference = digest("epoch", n)
        voters = {party(name): "" for name in names}
        self.electorates[reference] = Electorate.of(
            reference, NOON + n * DAY, voters, dict(self.floor), self.rules, groups
        )
        return reference

    def follow(self, name: str, size: int) -> None:
        """Let a second device of a member take over where the first has this size."""
        self.chains[party(name)] = ((feed(name), size), (feed(name, 1), UNBOUNDED))

    def _next(self, name: str, at: int | None) -> int:
        if at is not None:
            return at
        self.sizes[name] += 1
        return self.sizes[name] - 1

    def expel(self, target: str, *, cut: int | None = None, epoch: bytes | None = None, salt: object = 0) -> Proposal:
        """Propose to expel, cut where the target's feed ends now unless told otherwise."""
        size = self.sizes[target] if cut is None else cut
        epoch = epoch or self.epoch
        ident = digest("expel", target, size, epoch, salt, len(self.proposals))
        heads = (Head(feed(target), size, bytes(32)),)
        deadline = self.electorates[epoch].as_of + 14 * DAY
        proposal = Proposal(ident, epoch, Act.EXPEL, deadline, party(target), heads)
        self.proposals.append(proposal)
        return proposal

    def propose(self, act: Act, *, salt: object = 0, target: str | None = None) -> Proposal:
        """Propose anything else."""
        deadline = self.electorates[self.epoch].as_of + 14 * DAY
        named = None if target is None else party(target)
        proposal = Proposal(digest(act, salt), self.epoch, act, deadline, named)
        self.proposals.append(proposal)
        return proposal

    def vote(
        self,
        names: str,
        proposal: Proposal,
        choice: Choice = Choice.YES,
        *,
        at: int | None = None,
        device: int = 0,
        as_of: int = NOON,
        salt: object = 0,
    ) -> None:
        """Let members vote, each at the end of its feed or at the place named."""
        for name in names.split():
            index = self._next(name, at)
            ident = digest("vote", name, proposal.id, choice, index, device, as_of, salt)
            self.votes.append(Vote(ident, proposal.id, party(name), feed(name, device), index, choice, as_of))

    def facts(self) -> Facts:
        """Return what is known of feeds and seals."""
        return Facts(self.chains, self.forks, self.floor, self.closed)

    def poll(self) -> Poll:
        """Hold every vote to the rules but cuts."""
        return poll(self.proposals, self.votes, self.electorates, self.facts())

    def resolve(self) -> Resolution:
        """Resolve the expulsions."""
        return resolve(self.poll(), self.settled)

    def out(self) -> dict[str, int]:
        """Return who is out, and where its first feed is cut."""
        resolution = self.resolve()
        found = {name: resolution.bound(party(name), feed(name)) for name in self.names}
        return {name: bound.size for name, bound in found.items() if bound is not None}
