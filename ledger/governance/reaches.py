"""How far each feed counts: what only restricts, wherever it stands (rule M2 of `members`).

How it works
    `read` takes certificates, fork proofs, evidence of double seal votes, retirements and leaves, and lowers the
    bounds they name. Nothing ever raises a bound, so their order does not matter. No fork, retirement or successor's
    claim reaches below the sealed frontier (`floor`): what a quorum has sealed is never taken back.

What it does not do
    It does not say whether a feed counts at all (`growth`), and knows no expulsion: `Reaches.cuts` is filled from the
    ballots (`expulsion.Resolution.bounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ledger import fork
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance.roster import UNBOUNDED, Party


@dataclass(frozen=True, slots=True)
class Claim:
    """A party's word that one of its devices takes over from another, which ends with so many leaves."""

    party: Party
    heir: bytes
    predecessor: bytes
    size: int
    ends: int  # its size, and one more where the predecessor's own last leaf names the heir


@dataclass(slots=True)
class Reaches:
    """What binds each feed, whoever knows of it (M2).

    `owners`, `publics`: party and key of every certified device. `forks`: holds. `ends`: leaves that a leaver's feed
    keeps, its farewell included. `bounds`: by retirement or a successor's claim. `cuts`: of expelled parties' feeds.
    `left`: the leave of each leaver. `heirs`: claimed successors of a feed, each (size, feed). `proofs`: the feed that
    each fork proof is about. `claims`: of successors whose predecessor's own certificate is not held yet.
    """

    owners: dict[bytes, Party] = field(default_factory=dict)
    publics: dict[bytes, bytes] = field(default_factory=dict)
    forks: dict[bytes, int] = field(default_factory=dict)
    ends: dict[bytes, int] = field(default_factory=dict)
    bounds: dict[bytes, int] = field(default_factory=dict)
    cuts: dict[bytes, int] = field(default_factory=dict)
    left: dict[Party, bytes] = field(default_factory=dict)
    heirs: dict[bytes, frozenset[tuple[int, bytes]]] = field(default_factory=dict)
    proofs: dict[bytes, bytes] = field(default_factory=dict)
    claims: dict[bytes, Claim] = field(default_factory=dict)

    def copy(self) -> Reaches:
        """Return tables that can change without changing these."""
        return Reaches(*(dict(getattr(self, name)) for name in self.__dataclass_fields__))

    def reach(self, feed: bytes) -> int:
        """Return how far a feed may count at most."""
        return min(self.writes(feed), self.cuts.get(feed, UNBOUNDED))

    def writes(self, feed: bytes) -> int:
        """Return how far a feed's changes to documents may count at most: no cut binds them (governance.md §5)."""
        fork, end = self.forks.get(feed, UNBOUNDED), self.ends.get(feed, UNBOUNDED)
        return min(fork, end, self.bounds.get(feed, UNBOUNDED))

    def heirs_from(self, feed: bytes) -> int:
        """Return the largest final size a successor may claim: beyond a fork or cut nothing is inherited.

        What a leaver's feed was has no heir at all, else its root key could go on as if nobody had left.
        """
        return -1 if feed in self.ends else min(self.forks.get(feed, UNBOUNDED), self.cuts.get(feed, UNBOUNDED))

    def certifies(self, certificate: Entry, other: bytes) -> bool:
        """Say whether the certificate's device and another are of the party that the certificate names."""
        party = (certificate.kid, certificate.payload["incarnation"])
        return self.owners.get(certificate.thing[1]) == party == self.owners.get(other)

    def chain(self, first: bytes) -> tuple[tuple[bytes, int], ...]:
        """Return a party's governing feeds from its first on, each with the size at which it stops to speak.

        A feed that said farewell has no heir, and none may claim more than its predecessor's fork leaves. Cuts are
        asked elsewhere, for they rest on the votes that this says who may give.
        """
        chain: dict[bytes, int] = {}
        feed: bytes | None = first
        while feed is not None and feed not in chain:
            end = self.ends.get(feed, UNBOUNDED)
            chain[feed] = min(self.bounds.get(feed, UNBOUNDED), end)
            claim, heir = min(self.heirs.get(feed, ()), default=(0, None))
            feed = heir if claim <= self.forks.get(feed, UNBOUNDED) and end == UNBOUNDED else None
        return tuple(chain.items())


Convicted = Callable[[Entry], bytes | None]
"""Returns the feed of the voter that a `seal.evidence` convicts, b"" where it shows nothing, None where not yet."""


def _lower(table: dict[bytes, int], feed: bytes, size: int) -> None:
    table[feed] = min(size, table.get(feed, size))


def read(
    reaches: Reaches,
    by_kind: Mapping[str, list[Registration]],
    floor: Callable[[bytes], int],
    convicted: Convicted,
    voices: Mapping[bytes, Party],
) -> Iterable[Registration]:
    """Lower every bound that these statements name; yield those that need not be looked at again.

    `by_kind`: registrations of sound leaves, each kind in a fixed order. `floor`: sealed size of a feed. `voices`: the
    feeds through which the epoch's voters speak: nobody else may claim one, or two voters would have one key.
    """
    certificates = [
        each
        for each in by_kind.get("device.certify", [])
        if voices.get(each.entry.thing[1], (each.entry.kid, each.entry.payload["incarnation"]))
        == (each.entry.kid, each.entry.payload["incarnation"])
    ]
    for registration in certificates:
        entry = registration.entry
        party, feed = (entry.kid, entry.payload["incarnation"]), entry.thing[1]
        reaches.publics[feed] = entry.payload["device"]
        if not floor(feed):  # one device, one incarnation; once a seal holds leaves of it, nobody else may claim it
            reaches.owners[feed] = min(party, reaches.owners.get(feed, party))
        reaches.owners.setdefault(feed, party)
    for registration in certificates:
        entry = registration.entry
        claim = entry.payload.get("predecessor")
        if claim is not None and claim[0] != entry.thing[1]:
            last = (registration.feed, registration.index) == (claim[0], claim[1])  # a feed may end by naming its heir
            party = (entry.kid, entry.payload["incarnation"])
            reaches.claims[entry.id] = Claim(party, entry.thing[1], claim[0], claim[1], claim[1] + last)
    for ident, each in list(reaches.claims.items()) if certificates else ():
        if reaches.owners.get(each.heir) == each.party == reaches.owners.get(each.predecessor):
            _lower(reaches.bounds, each.predecessor, max(each.ends, floor(each.predecessor)))
            heirs = reaches.heirs.get(each.predecessor, frozenset())
            reaches.heirs[each.predecessor] = heirs | {(each.size, each.heir)}
            del reaches.claims[ident]
    for registration in by_kind.get("fork.proof", []):
        feed = registration.entry.thing[1]
        reaches.proofs[registration.entry.id] = feed
        _lower(reaches.forks, feed, max(fork.hold_of(registration.entry.payload), floor(feed)))
        yield registration
    for registration in by_kind.get("seal.evidence", []):
        guilty = convicted(registration.entry)
        if guilty:
            reaches.proofs[registration.entry.id] = guilty
            _lower(reaches.forks, guilty, floor(guilty))
        if guilty is not None:  # else each fold would verify anew what shows nothing
            yield registration
    for registration in by_kind.get("device.retire", []):
        entry = registration.entry
        final, feed = entry.payload["final"], entry.thing[1]
        if final[0] == feed and reaches.owners.get(feed, (b"", 0))[0] == entry.kid:
            _lower(reaches.bounds, feed, max(final[1], floor(feed)))
            yield registration
    for registration in by_kind.get("member.leave", []):
        leaver = reaches.owners.get(registration.feed)
        if leaver is not None and leaver[0] == registration.entry.thing[1]:
            _lower(reaches.ends, registration.feed, registration.index + 1)
            reaches.left.setdefault(leaver, registration.entry.id)
            yield registration
