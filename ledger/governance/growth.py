"""How membership grows: the reach of every feed, and who is in, from the founders outwards (rules M1 to M3).

How it works
    `read_reaches` reads what only restricts (forks, leaves, retirements, successors' claims) off every statement,
    wherever it stands. With reach fixed, `grow` begins with the founders' own feeds and takes the permissive
    statements of each feed that counts: certificates and applications, then admissions, which make further feeds
    count. Each feed is read once. Whatever the order, the same feeds are reached.

What it does not do
    It does not look at links and tenants (`members`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from ledger import fork, keys
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance.epoch import Genesis
from ledger.governance.roster import UNBOUNDED, Party, View
from ledger.kinds import DAY


@dataclass(slots=True)
class Reaches:
    """What binds each feed, whoever knows of it (M2).

    `owners`, `publics`: party and key of every certified device. `forks`: holds. `ends`: leaves that a leaver's feed
    keeps, its farewell included. `bounds`: by retirement or a successor's claim. `left`: the leave of each leaver.
    """

    owners: dict[bytes, Party] = field(default_factory=dict)
    publics: dict[bytes, bytes] = field(default_factory=dict)
    forks: dict[bytes, int] = field(default_factory=dict)
    ends: dict[bytes, int] = field(default_factory=dict)
    bounds: dict[bytes, int] = field(default_factory=dict)
    left: dict[Party, bytes] = field(default_factory=dict)

    def reach(self, feed: bytes) -> int:
        """Return how far a feed may count at most."""
        return min(table.get(feed, UNBOUNDED) for table in (self.forks, self.ends, self.bounds))

    def heirs_from(self, feed: bytes) -> int:
        """Return the largest final size a successor may claim: beyond a leave or a fork nothing is inherited."""
        return min(self.forks.get(feed, UNBOUNDED), self.ends.get(feed, UNBOUNDED + 1) - 1)


@dataclass(frozen=True, slots=True)
class Found:
    """A party that is in: root public key, name, and the entries that made it so."""

    root: bytes
    name: str
    why: tuple[bytes, ...]


@dataclass(slots=True)
class Growth:
    """Who is in, and which feeds count, in the order in which they were reached (a predecessor before its heirs)."""

    found: dict[Party, Found] = field(default_factory=dict)
    active: dict[bytes, None] = field(default_factory=dict)


def _lower(table: dict[bytes, int], feed: bytes, size: int) -> None:
    table[feed] = min(size, table.get(feed, size))


def read_reaches(by_kind: Mapping[str, list[Registration]]) -> Reaches:
    """Read every bound on every feed's reach. `by_kind`: registrations of sound leaves, each kind in a fixed order."""
    reaches = Reaches()
    certificates = by_kind.get("device.certify", [])
    for registration in certificates:
        entry = registration.entry
        party, feed = (entry.kid, entry.payload["incarnation"]), entry.thing[1]
        reaches.publics[feed] = entry.payload["device"]
        reaches.owners[feed] = min(party, reaches.owners.get(feed, party))  # one device, one incarnation
    for registration in certificates:
        entry = registration.entry
        claim = entry.payload.get("predecessor")
        if claim is not None and claim[0] != entry.thing[1] and _certifies(reaches, entry, claim[0]):
            last = (registration.feed, registration.index) == (claim[0], claim[1])  # a feed may end by naming its heir
            _lower(reaches.bounds, claim[0], claim[1] + last)
    for registration in by_kind.get("fork.proof", []):
        _lower(reaches.forks, registration.entry.thing[1], fork.hold_of(registration.entry.payload))
    for registration in by_kind.get("device.retire", []):
        entry = registration.entry
        final, feed = entry.payload["final"], entry.thing[1]
        if final[0] == feed and reaches.owners.get(feed, (b"", 0))[0] == entry.kid:
            _lower(reaches.bounds, feed, final[1])
    for registration in by_kind.get("member.leave", []):
        leaver = reaches.owners.get(registration.feed)
        if leaver is not None and leaver[0] == registration.entry.thing[1]:
            _lower(reaches.ends, registration.feed, registration.index + 1)
            reaches.left.setdefault(leaver, registration.entry.id)
    return reaches


def _certifies(reaches: Reaches, certificate: Entry, other: bytes) -> bool:
    """Say whether the certificate's device and another are of the party that the certificate names."""
    party = (certificate.kid, certificate.payload["incarnation"])
    return reaches.owners.get(certificate.thing[1]) == party == reaches.owners.get(other)


def grow(genesis: Genesis, by_feed: Mapping[bytes, list[Registration]], reaches: Reaches, view: View) -> Growth:
    """Return who is in. `by_feed`: registrations of sound leaves, each feed's in its order."""
    work = _Work(genesis, by_feed, reaches, view)
    for root, device in sorted(genesis.founders):
        work.found_by_genesis(root, keys.thumbprint(device))
    while work.queue:
        work.read(work.queue.popleft())
    return work.growth


class _Work:
    """The tables of one growth."""

    def __init__(
        self, genesis: Genesis, by_feed: Mapping[bytes, list[Registration]], reaches: Reaches, view: View
    ) -> None:
        self.growth = Growth()
        self.queue: deque[bytes] = deque()
        self._cap = genesis.policy.invitations_a_day
        self._by_feed, self._reaches, self._view = by_feed, reaches, view
        self._firsts: set[tuple[bytes, Party]] = set()  # the feed that a genesis or an admitted application names
        self._certificates: dict[bytes, list[Entry]] = defaultdict(list)  # feed -> those that count
        self._heirs: dict[bytes, set[bytes]] = defaultdict(set)
        self._borne: dict[bytes, list[Registration]] = defaultdict(list)  # by predecessor: in the heir's own feed
        for feed, registrations in by_feed.items():
            for registration in registrations:
                entry = registration.entry
                if entry.kind == "device.certify" and entry.thing[1] == feed and "predecessor" in entry.payload:
                    self._borne[entry.payload["predecessor"][0]].append(registration)
        self._applications: dict[bytes, Entry] = {}
        self._admissions: dict[bytes, list[tuple[Party, Entry]]] = defaultdict(list)  # by application
        self._days: dict[tuple[Party, int], int] = defaultdict(int)  # invitations of a party on a day

    def _inside(self, feed: bytes) -> list[Registration]:
        reach = self._reaches.reach(feed)
        return [registration for registration in self._by_feed.get(feed, []) if registration.index < reach]

    def _counts(self, entry: Entry) -> bool:
        return self._view.holds(entry, self._reaches.forks)

    def found_by_genesis(self, root: bytes, feed: bytes) -> None:
        """Take in a founder who accepted. The first feed bears its own certificate: nothing came before it."""
        kid = keys.thumbprint(root)
        for registration in self._inside(feed):
            entry = registration.entry
            if entry.thing[1] == feed and entry.kind == "device.certify" and self._counts(entry):
                self._certified(entry)
            elif entry.thing[1] == kid and entry.kind == "genesis.accept" and self._counts(entry):
                self.growth.found.setdefault((kid, 1), Found(root, entry.payload.get("name", ""), (entry.id,)))
        if (kid, 1) in self.growth.found:
            self._firsts.add((feed, (kid, 1)))
            self._try(feed)

    def read(self, feed: bytes) -> None:
        """Take the permissive statements of a feed that counts."""
        party = self._reaches.owners[feed]
        for registration in self._inside(feed):
            entry = registration.entry
            match entry.kind:
                case "device.certify" if self._counts(entry):
                    self._certified(entry)
                    self._try(entry.thing[1])
                case "member.apply" if entry.thing[1] == entry.kid and self._counts(entry):
                    self._applications[entry.id] = entry
                    self._admit(entry.id)
                case "member.admit":
                    day = (party, entry.iat // DAY)
                    self._days[day] += 1  # whatever becomes of it: a later arrival never displaces another
                    if self._days[day] <= self._cap and self._counts(entry):
                        self._admissions[entry.payload["application"]].append((party, entry))
                        self._admit(entry.payload["application"])
                case _:
                    pass
        for registration in self._borne[feed]:
            if registration.index < self._reaches.reach(registration.feed) and self._counts(registration.entry):
                self._certified(registration.entry)
        for heir in sorted(self._heirs[feed]):
            self._try(heir)

    def _certified(self, entry: Entry) -> None:
        feed = entry.thing[1]
        self._certificates[feed].append(entry)
        claim = entry.payload.get("predecessor")
        if claim is not None:
            self._heirs[claim[0]].add(feed)

    def _try(self, feed: bytes) -> None:
        """Let a feed count if it is certified, its party is in, and it begins or inherits."""
        owner = self._reaches.owners.get(feed)
        if feed in self.growth.active or owner is None or owner not in self.growth.found:
            return
        for certificate in self._certificates[feed]:
            if (certificate.kid, certificate.payload["incarnation"]) == owner and (
                (feed, owner) in self._firsts or self._inherits(certificate)
            ):
                self.growth.active[feed] = None
                self.queue.append(feed)
                return

    def _inherits(self, certificate: Entry) -> bool:
        claim = certificate.payload.get("predecessor")
        if claim is None or claim[0] not in self.growth.active:
            return False
        return _certifies(self._reaches, certificate, claim[0]) and claim[1] <= self._reaches.heirs_from(claim[0])

    def _admit(self, application_id: bytes) -> None:
        """Take in an applicant as soon as application and admission both count (frame `none`)."""
        application = self._applications.get(application_id)
        if application is None:
            return
        payload = application.payload
        party: Party = (application.kid, payload["incarnation"])
        for inviter, admission in self._admissions[application_id]:
            if (
                admission.thing[1] == application.kid
                and admission.payload["incarnation"] == party[1]
                and tuple(payload["inviter"]) == inviter
                and payload["expires"] >= admission.iat
            ):
                why = (admission.id, application_id)
                self.growth.found.setdefault(party, Found(application.signer, payload.get("name", ""), why))
                self._firsts.add((payload["device"], party))
                self._try(payload["device"])
