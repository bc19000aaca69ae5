"""Who is in: the fold of governance entries into devices, members, links and hosted tenants (frame `none`).

How it works
    `fold(genesis, registrations, view)` is a pure function of the *set* of registrations below a frontier. It
    runs in four passes, none of which depends on order:
      M1 devices: a device is certified by its member's root key, shows possession, and is named by the genesis or
         by an application, or succeeds the governing device of its incarnation. One feed an incarnation governs.
      M2 reach: how far a feed counts: the smallest of proven forks, retirement, a successor's claim and the
         member's own leave. Permissive entries beyond the reach are void; restrictive ones still count.
      M3 members: founders who accepted, then whoever a member admitted inside its reach by a matching
         application, at most `invitations_a_day` a UTC day by the inviter's own dates, in feed order.
      M4 links and tenants: an edge is up when each end's newest statement, in its own feed order, is positive and
         none beyond its reach is restrictive. Tenants: host and tenant both signed, the tenant's highest serial
         names the host.
    A permissive entry counts only where the heads in its `seen` are held as it names them (`view.holds`).

What it does not do
    There are no ballots, expulsions or seals yet: an expulsion's cut will join M2 as one more bound on reach, an
    epoch's policy will replace the predicate of M3 (`_admissible`), and `Members.epoch` will move.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ledger import codec, fork, keys
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.feed import Registration
from ledger.governance.epoch import Genesis
from ledger.kinds import DAY, KINDS

Party = tuple[bytes, int]  # (key id, incarnation); a tenant has incarnation 0

UNBOUNDED: Final = 2**62  # the reach of a feed that nothing bounds

_POSSESSION: Final = b"maille-device-possession-v1"
_POSITIVE: Final = frozenset({"link.offer", "link.accept"})


class View(Protocol):
    """The frontier the fold looks through."""

    def size(self, feed: bytes) -> int:
        """Return how many leaves of the feed lie below the frontier."""

    def holds(self, entry: Entry) -> bool:
        """Say whether every head in the entry's `seen` is held below the frontier as the entry names it."""


@dataclass(frozen=True, slots=True)
class Device:
    """A certified feed: its key, whose it is, and how far it counts (UNBOUNDED, or a number of leaves)."""

    feed: bytes
    public: bytes
    party: Party
    reach: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member's current incarnation. `state`: "member" or "left". `voter`: founders who accepted."""

    party: Party
    root_public: bytes
    name: str
    state: str
    voter: bool
    feeds: tuple[bytes, ...]
    decided_by: tuple[bytes, ...]  # ids of the entries that made it so


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A tenant (key without a node) and the member that hosts it."""

    tenant: bytes
    host: Party
    terms: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Members:
    """What the governance entries below a frontier mean. `links`: pairs of parties, smaller first."""

    epoch: bytes
    devices: Mapping[bytes, Device] = field(default_factory=dict)
    members: Mapping[bytes, Member] = field(default_factory=dict)  # by root key id
    links: Mapping[tuple[Party, Party], str] = field(default_factory=dict)  # "up", "offered", "refused", "severed"
    tenants: Mapping[bytes, Tenancy] = field(default_factory=dict)  # by tenant key id
    voters: tuple[Party, ...] = ()

    def is_member(self, party: Party) -> bool:
        """Say whether the party is a member in this very incarnation."""
        member = self.members.get(party[0])
        return member is not None and member.party == party and member.state == "member"

    def link_up(self, one: Party, other: Party) -> bool:
        """Say whether data may flow along the edge. A member needs no link to itself."""
        return one == other or self.links.get(edge(one, other)) == "up"

    def party_of(self, kid: bytes) -> Party:
        """Return whom a signing key speaks for: a device's member, or itself as a tenant."""
        device = self.devices.get(kid)
        return device.party if device is not None else (kid, 0)

    def reach(self, feed: bytes) -> int:
        """Return how far a feed counts for what permits; 0 for an uncertified feed."""
        device = self.devices.get(feed)
        return device.reach if device is not None else 0


def edge(one: Party, other: Party) -> tuple[Party, Party]:
    """Return the undirected edge between two parties."""
    return (one, other) if one <= other else (other, one)


def link_id(one: Party, other: Party) -> bytes:
    """Return the 32-byte id under which entries speak of an edge."""
    return hashlib.sha256(codec.encode([list(party) for party in edge(one, other)])).digest()


def possession_message(mesh_id: bytes, root_kid: bytes, incarnation: int) -> bytes:
    """Return what a device key signs to show that it agrees to act for a member."""
    return b"".join((_POSSESSION, mesh_id, root_kid, incarnation.to_bytes(4, "big")))


@dataclass(slots=True)
class _Fold:
    """The working tables of one fold."""

    genesis: Genesis
    view: View
    by_kind: dict[str, list[Registration]]
    counts: Callable[[Registration], bool] = lambda _: False
    devices: dict[bytes, Device] = field(default_factory=dict)
    certified: dict[tuple[bytes, int], list[Entry]] = field(default_factory=dict)


def fold(genesis: Genesis, registrations: Iterable[Registration], view: View) -> Members:
    """Fold the governance entries below the view's frontier. Pure: the order of `registrations` is nothing."""
    by_kind: dict[str, list[Registration]] = defaultdict(list)
    unique = {(r.feed, r.index): r for r in registrations if r.index < view.size(r.feed)}
    for _, registration in sorted(unique.items()):
        by_kind[registration.entry.kind].append(registration)
    table = _Fold(genesis, view, by_kind)
    _devices(table)
    table.counts = lambda r: r.feed in table.devices and r.index < table.devices[r.feed].reach and view.holds(r.entry)
    members = _members(table)
    return Members(
        epoch=genesis.mesh_id,
        devices={feed: device for feed, device in table.devices.items() if device.party[0] in members},
        members=members,
        links=_links(table, members),
        tenants=_tenants(table, members),
        voters=tuple(sorted(m.party for m in members.values() if m.voter and m.state == "member")),
    )


# M1 and M2: devices and their reach


def _devices(table: _Fold) -> None:
    mesh_id = table.genesis.mesh_id
    certificates: dict[Party, dict[bytes, Entry]] = defaultdict(dict)
    for registration in table.by_kind["device.certify"]:
        entry = registration.entry
        party = (entry.kid, entry.payload["incarnation"])
        device = entry.payload["device"]
        message = possession_message(mesh_id, *party)
        if entry.thing[1] == keys.thumbprint(device) and _possessed(device, message, entry.payload["possession"]):
            certificates[party].setdefault(entry.thing[1], entry)
    first = {keys.thumbprint(root): keys.thumbprint(device) for root, device in table.genesis.founders}
    firsts: dict[Party, set[bytes]] = defaultdict(set)
    for kid, feed in first.items():
        firsts[(kid, 1)].add(feed)
    for registration in table.by_kind["member.apply"]:
        entry = registration.entry
        firsts[(entry.kid, entry.payload["incarnation"])].add(entry.payload["device"])
    bounds = _bounds(table)
    for party, by_feed in certificates.items():
        _chain(table, party, by_feed, firsts[party], bounds)


def _possessed(device: bytes, message: bytes, signature: bytes) -> bool:
    try:
        keys.check_public_key(device)
    except RemoteError:
        return False
    return keys.verify(device, message, signature)


def _bounds(table: _Fold) -> dict[bytes, int]:
    """Return the bounds on reach that others set: proven forks, retirements, leaves."""
    bounds: dict[bytes, int] = {}

    def bound(feed: bytes, size: int) -> None:
        bounds[feed] = min(size, bounds.get(feed, size))

    for registration in table.by_kind["fork.proof"]:
        try:
            hold = fork.check(registration.entry.payload, table.genesis.mesh_id)
        except RemoteError:
            continue  # a proof that proves nothing is a void entry: it holds nobody
        bound(hold.feed, hold.size)
    for registration in table.by_kind["member.leave"]:
        bound(registration.feed, registration.index + 1)
    return bounds


def _chain(
    table: _Fold, party: Party, by_feed: Mapping[bytes, Entry], firsts: set[bytes], bounds: Mapping[bytes, int]
) -> None:
    """Follow an incarnation's devices from each first to its successors, bounding each by the next one's claim.

    Rival firsts all count, each in its own feed: choosing one would let a member void, long after, what it did
    under the other. Of rival successors the smallest feed id is taken; all are signed by one root key. A
    successor's claim bounds its predecessor; the floor under that claim will be the sealed frontier (epochs).
    """
    retired = {
        r.entry.thing[1]: r.entry.payload["final"][1] for r in table.by_kind["device.retire"] if r.entry.kid == party[0]
    }
    followers: dict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
    for feed, entry in by_feed.items():
        predecessor = entry.payload.get("predecessor")
        if predecessor is not None:
            followers[predecessor[0]].append((feed, predecessor[1]))
    seen: set[bytes] = set()
    for first in sorted(firsts & by_feed.keys()):
        current: bytes | None = first
        while current is not None and current not in seen:
            seen.add(current)
            reach = min(bounds.get(current, UNBOUNDED), retired.get(current, UNBOUNDED))
            successors = sorted(item for item in followers[current] if item[0] not in seen)
            if successors:
                reach = min(reach, *(size for _, size in successors))
            table.devices[current] = Device(current, by_feed[current].payload["device"], party, reach)
            current = successors[0][0] if successors else None


# M3: members


def _members(table: _Fold) -> dict[bytes, Member]:
    accepted: dict[Party, bytes] = {}
    for registration in table.by_kind["genesis.accept"]:
        device = table.devices.get(registration.feed)
        if device is not None and table.counts(registration):
            accepted.setdefault(device.party, registration.entry.id)
    founders = {(keys.thumbprint(root), 1): root for root, _ in table.genesis.founders}
    admits: dict[Party, list[Registration]] = defaultdict(list)
    for registration in table.by_kind["member.admit"]:
        device = table.devices.get(registration.feed)
        if device is not None and table.counts(registration):
            admits[device.party].append(registration)
    applications = {r.entry.id: r.entry for r in table.by_kind["member.apply"]}
    found: dict[Party, tuple[bytes, str, tuple[bytes, ...]]] = {}
    queue: list[tuple[Party, bytes, str, tuple[bytes, ...]]] = [
        (party, root, "", (accepted[party],)) for party, root in sorted(founders.items()) if party in accepted
    ]
    while queue:
        party, root, name, why = queue.pop()
        if party in found:
            continue
        found[party] = (root, name, why)
        for application, admit in _admissible(table, party, admits.get(party, []), applications):
            admitted: Party = (application.kid, application.payload["incarnation"])
            queue.append(
                (admitted, application.signer, application.payload.get("name", ""), (admit.id, application.id))
            )
    return _current(table, found, founders)


def _admissible(
    table: _Fold, inviter: Party, admits: list[Registration], applications: Mapping[bytes, Entry]
) -> list[tuple[Entry, Entry]]:
    """Return the (application, admission) pairs that count: frame `none`, where any member's word is enough."""
    kept: list[tuple[Entry, Entry]] = []
    days: dict[int, int] = defaultdict(int)
    used: set[bytes] = set()
    for registration in admits:
        entry = registration.entry
        application = applications.get(entry.payload["application"])
        if (
            application is None
            or application.id in used
            or entry.thing[1] != application.kid
            or entry.payload["incarnation"] != application.payload["incarnation"]
            or tuple(application.payload["inviter"]) != inviter
            or application.payload["expires"] < entry.iat
        ):
            continue
        day = entry.iat // DAY
        if days[day] >= table.genesis.policy.invitations_a_day:
            continue
        days[day] += 1
        used.add(application.id)
        kept.append((application, entry))
    return kept


def _current(
    table: _Fold, found: Mapping[Party, tuple[bytes, str, tuple[bytes, ...]]], founders: Mapping[Party, bytes]
) -> dict[bytes, Member]:
    feeds: dict[Party, list[bytes]] = defaultdict(list)
    for feed, device in sorted(table.devices.items()):
        feeds[device.party].append(feed)
    left: dict[Party, bytes] = {}
    for registration in table.by_kind["member.leave"]:
        leaver = table.devices.get(registration.feed)
        if leaver is not None:
            left.setdefault(leaver.party, registration.entry.id)
    members: dict[bytes, Member] = {}
    for party, (root, name, why) in sorted(found.items()):  # a higher incarnation replaces a lower one
        state = "left" if party in left else "member"
        decided = (*why, left[party]) if party in left else why
        members[party[0]] = Member(party, root, name, state, party in founders, tuple(feeds[party]), decided)
    return members


# M4: links and tenants


def _links(table: _Fold, members: Mapping[bytes, Member]) -> dict[tuple[Party, Party], str]:
    newest: dict[tuple[Party, Party], dict[Party, str]] = defaultdict(dict)
    stopped: dict[tuple[Party, Party], str] = {}
    kinds = [kind for kind in KINDS if kind.startswith("link.")]
    rank = {feed: place for place, feed in enumerate(table.devices)}  # a member's devices stand first to last
    statements = sorted(
        (r for kind in kinds for r in table.by_kind[kind]), key=lambda r: (rank.get(r.feed, -1), r.index)
    )
    for registration in statements:
        entry, device = registration.entry, table.devices.get(registration.feed)
        source: Party = tuple(entry.payload["from"])
        target: Party = tuple(entry.payload["to"])
        if device is None or device.party != source or entry.thing[1] != link_id(source, target) or source == target:
            continue
        if registration.index < device.reach:
            if entry.kind in _POSITIVE and not table.view.holds(entry):
                continue
            newest[edge(source, target)][source] = entry.kind
        elif entry.kind not in _POSITIVE:  # beyond its reach an end may still let go, and nothing else
            stopped[edge(source, target)] = entry.kind
    links: dict[tuple[Party, Party], str] = {}
    for pair, ends in newest.items():
        links[pair] = _link_state(ends, stopped.get(pair))
    links.update({pair: _link_state({}, kind) for pair, kind in stopped.items() if pair not in links})
    return {pair: s for pair, s in links.items() if all(_is(members, party) for party in pair)}


def _link_state(ends: Mapping[Party, str], stopped: str | None) -> str:
    kinds = {*ends.values()} | ({stopped} if stopped else set())
    if "link.sever" in kinds:
        return "severed"
    if "link.refuse" in kinds:
        return "refused"
    return "up" if len(ends) == 2 else "offered"


def _is(members: Mapping[bytes, Member], party: Party) -> bool:
    member = members.get(party[0])
    return member is not None and member.party == party and member.state == "member"


def _tenants(table: _Fold, members: Mapping[bytes, Member]) -> dict[bytes, Tenancy]:
    own: dict[bytes, Entry] = {}  # the tenant's own statement with the highest serial; restrictive wins a tie
    hosts: dict[tuple[bytes, Party], str] = {}
    for kind in ("tenant.host", "tenant.unhost"):
        for registration in table.by_kind[kind]:
            entry, tenant = registration.entry, registration.entry.thing[1]
            if kind == "tenant.host" and not table.counts(registration):
                continue
            signer = table.devices.get(entry.kid)
            if entry.kid == tenant:
                best = own.get(tenant)
                if best is None or best.payload["serial"] <= entry.payload["serial"]:
                    own[tenant] = entry
            elif signer is not None and signer.party == tuple(entry.payload["host"]):
                hosts[(tenant, signer.party)] = kind  # by kind order an unhosting is final for this host
    tenancies: dict[bytes, Tenancy] = {}
    for tenant, entry in own.items():
        host = tuple(entry.payload["host"])
        if entry.kind == "tenant.host" and hosts.get((tenant, host)) == "tenant.host" and _is(members, host):
            tenancies[tenant] = Tenancy(tenant, host, entry.payload["terms"])
    return tenancies
