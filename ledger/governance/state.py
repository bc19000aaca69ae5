"""What stands at an epoch: the tables that a fold begins from (governance.md §2).

How it works
    A sealed frontier is never taken back, so what the entries below it mean can be kept as tables, and a fold only has
    to look at what lies beyond: `members.advance` copies a `Base`, adds the entries of the open epoch, and returns the
    result; `sealing.compose` turns such a result into the next `Base`. Statements below the frontier that could not
    count yet (a head they name is not held, an applicant is not in) wait in `pending` and are looked at again. Of each
    feed so many do (`waiting.park`); the rest is `parked`, and has its turn at a seal when some of the others are
    done with.
    Values inside the tables are never changed in place: a copy is shallow.

What it does not do
    It decides nothing, and holds nothing of consents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from ledger import keys
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance.ballots import Electorate, Proposal, Vote
from ledger.governance.certificate import EpochContext
from ledger.governance.epoch import Genesis
from ledger.governance.expulsion import Cut
from ledger.governance.policy import Credential
from ledger.governance.reaches import Reaches
from ledger.governance.roster import Party
from ledger.governance.rules import Rules
from ledger.governance.tally import Standing

Place = tuple[int, int]  # (a device's rank among its member's, index in its feed)


@dataclass(frozen=True, slots=True)
class Found:
    """A party that is in: root public key, name, first device, and the entries that made it so.

    `since`: number of the epoch under which it came in. `application`: entry id, b"" for a founder. `serials`:
    of the credentials that its admission rests on.
    """

    root: bytes
    name: str
    first: bytes
    why: tuple[bytes, ...]
    since: int = 0
    application: bytes = b""
    college: str = ""
    serials: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Instant:
    """An epoch as later entries refer to it: who decides under it, and whose keys seal the next one."""

    electorate: Electorate
    context: EpochContext


@dataclass(frozen=True, slots=True)
class Result:
    """How a ballot ended. `seal`: number of the epoch that closed it. `yes`, `of`: voices; `passed`: it took effect."""

    proposal: Proposal
    seal: int
    yes: int
    of: int
    passed: bool


@dataclass(slots=True)
class Base:
    """The tables at epoch `n`; also, while the next epoch is open, the result of a fold over them.

    `reference`, `as_of` (unix seconds), `evaluator`, `rules`, `charter`: of the epoch. `frontier`: sealed heads.
    `voters`: each with its college; `governing`: the feed through which each speaks. `resting`: members whose vote
    rests, as an affiliate has their group's. `added`: (as_of, how many) voters of the last day. `active`: feeds that
    count, each with its rank. `days`: places of a party's invitations on a day.
    `links`: the newest statement of each end; `stopped`: what an end let go beyond its reach. `known`: number and
    governance time of every epoch; `history`: those that a ballot may still name. `ages`: by feed, (index, n) where
    an entry first named epoch n. `admitted`: parties that anybody ever admitted, and so are taken in.
    """

    n: int
    reference: bytes
    as_of: int
    evaluator: int
    rules: Rules
    voters: dict[Party, str]
    governing: dict[Party, bytes]
    known: dict[bytes, tuple[int, int]]
    history: dict[bytes, Instant]
    charter: bytes | None = None
    frontier: dict[bytes, Head] = field(default_factory=dict)
    resting: frozenset[Party] = frozenset()
    added: tuple[tuple[int, int], ...] = ()
    reaches: Reaches = field(default_factory=Reaches)
    found: dict[Party, Found] = field(default_factory=dict)
    active: dict[bytes, int] = field(default_factory=dict)
    certificates: dict[bytes, tuple[Entry, ...]] = field(default_factory=dict)
    applications: dict[bytes, Entry] = field(default_factory=dict)
    endorsements: dict[bytes, tuple[tuple[Party, Entry], ...]] = field(default_factory=dict)
    credentials: dict[bytes, tuple[Credential, ...]] = field(default_factory=dict)
    days: dict[tuple[Party, int], frozenset[tuple[bytes, int]]] = field(default_factory=dict)
    links: dict[tuple[Party, Party], Mapping[Party, tuple[Place, str]]] = field(default_factory=dict)
    stopped: dict[tuple[Party, Party], str] = field(default_factory=dict)
    tenants: dict[bytes, Entry] = field(default_factory=dict)
    hosts: dict[tuple[bytes, Party], Entry] = field(default_factory=dict)
    proposals: dict[bytes, Proposal] = field(default_factory=dict)
    contents: dict[bytes, Entry] = field(default_factory=dict)  # the entries of those proposals
    votes: dict[bytes, Vote] = field(default_factory=dict)
    standing: dict[bytes, Standing] = field(default_factory=dict)
    results: dict[bytes, Result] = field(default_factory=dict)
    cuts: dict[Party, Cut] = field(default_factory=dict)
    suspended: dict[Party, tuple[int, bytes]] = field(default_factory=dict)  # until which time, by which proposal
    ages: dict[bytes, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    admitted: frozenset[Party] = frozenset()
    applied: dict[bytes, Party] = field(default_factory=dict)
    named: frozenset[bytes] = frozenset()
    pending: tuple[Registration, ...] = ()
    parked: tuple[Registration, ...] = ()

    def copy(self) -> Base:
        """Return tables that can change without changing these."""
        other = replace(self, reaches=self.reaches.copy())
        for each in fields(self):
            if isinstance(table := getattr(self, each.name), dict):
                setattr(other, each.name, dict(table))
        return other

    def floor(self, feed: bytes) -> int:
        """Return how many leaves of a feed are sealed."""
        head = self.frontier.get(feed)
        return head.size if head is not None else 0

    def floors(self) -> dict[bytes, int]:
        """Return the sealed size of every feed."""
        return {feed: head.size for feed, head in self.frontier.items()}

    @property
    def context(self) -> EpochContext:
        """Whose keys seal the next epoch."""
        return self.history[self.reference].context


def first_base(genesis: Genesis) -> Base:
    """Return epoch 0: nothing is sealed, and the founders decide, with their first devices (`Genesis.voters`)."""
    mesh_id, as_of = genesis.mesh_id, genesis.entry.iat
    devices = genesis.voters
    voters: dict[Party, str] = {(kid, 1): "" for kid in devices}
    founders = frozenset((keys.thumbprint(root), 1) for root, _ in genesis.founders)
    context = EpochContext.of(mesh_id, mesh_id, 0, as_of, devices)
    return Base(
        n=0,
        reference=mesh_id,
        as_of=as_of,
        evaluator=genesis.evaluator_version,
        rules=genesis.rules,
        voters=voters,
        governing={party: keys.thumbprint(devices[party[0]]) for party in voters},
        resting=founders.difference(voters),
        known={mesh_id: (0, as_of)},
        history={mesh_id: Instant(Electorate.of(mesh_id, as_of, voters, {}, genesis.rules), context)},
    )
