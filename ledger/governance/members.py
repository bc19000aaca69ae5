"""Who is in: the fold of governance entries into devices, members, links and hosted tenants (frame `none`).

How it works
    `fold(genesis, registrations, view)` is a pure function of the *set* of registrations below a frontier. It
    runs in four passes, none of which depends on order:
      M1 devices: a device's feed counts once a counting certificate of its member's root key names it, and it is the
         founder's first, the one an admitted application names, or the successor of a feed that counts, within what
         that one's fork or leave allows. A founder's first feed and a successor's may bear their own certificate.
      M2 reach: how far a feed counts: the smallest of proven forks, retirements, successors' claims and the
         member's own leave. Permissive entries beyond the reach are void; restrictive ones still count.
      M3 members: founders who accepted, then whoever a member admitted inside its reach by a matching
         application, at most `invitations_a_day` a UTC day by the inviter's own dates, in feed order.
      M4 links and tenants: an edge is up when each end's newest statement, in its own feed order, is positive and
         none beyond its reach is restrictive. Tenants: host and tenant both signed, the tenant's highest serial
         names the host.
    A permissive entry counts only in a feed that counts, within its reach, and where the heads in its `seen` are held
    as it names them (`view.holds`). M2 is read off restrictive statements alone, wherever they stand, so M1 and M3 can
    grow from the founders outwards over a fixed reach, without going in circles. `governance/growth.py` does that.

What it does not do
    There are no ballots, expulsions or seals yet: an expulsion's cut will join M2 as one more bound on reach, an
    epoch's policy will replace the predicate of M3, and `Members.epoch` will move. Until seals fix a floor, a root
    key can shorten its member's own past (by a retirement or a successor's claim), and a device of a leaver that is
    no successor of the leaving one goes on counting: its member could as well not have left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ledger import keys
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance.epoch import Genesis
from ledger.governance.growth import Growth, Reaches, grow, read_reaches
from ledger.governance.roster import (
    UNBOUNDED,
    Device,
    Member,
    Members,
    Party,
    Tenancy,
    View,
    edge,
    link_id,
    possession_message,
)
from ledger.kinds import KINDS

__all__ = (
    "UNBOUNDED",
    "Device",
    "Member",
    "Members",
    "Party",
    "Tenancy",
    "View",
    "edge",
    "fold",
    "link_id",
    "possession_message",
)

_POSITIVE: Final = frozenset({"link.offer", "link.accept"})


@dataclass(frozen=True, slots=True)
class _Fold:
    """The working tables of one fold."""

    by_kind: Mapping[str, list[Registration]]
    devices: Mapping[bytes, Device]
    counts: Callable[[Registration], bool]


def fold(genesis: Genesis, registrations: Iterable[Registration], view: View) -> Members:
    """Fold the governance entries below the view's frontier. `registrations`: of sound leaves, in any order."""
    by_kind: dict[str, list[Registration]] = defaultdict(list)
    by_feed: dict[bytes, list[Registration]] = defaultdict(list)
    unique = {(r.feed, r.index): r for r in registrations if r.index < view.size(r.feed)}
    for _, registration in sorted(unique.items()):
        by_kind[registration.entry.kind].append(registration)
        by_feed[registration.feed].append(registration)
    reaches = read_reaches(by_kind)
    growth = grow(genesis, by_feed, reaches, view)
    founders = {(keys.thumbprint(root), 1) for root, _ in genesis.founders}
    members = _members(growth, reaches, founders)
    listed = [*growth.active, *(feed for feed in reaches.owners if feed not in growth.active)]
    devices = {
        feed: Device(
            feed, reaches.publics[feed], reaches.owners[feed], reaches.reach(feed) if feed in growth.active else 0
        )
        for feed in listed
        if reaches.owners[feed][0] in members
    }

    def counts(registration: Registration) -> bool:
        device = devices.get(registration.feed)
        inside = device is not None and registration.index < device.reach
        return inside and view.holds(registration.entry, reaches.forks)

    table = _Fold(by_kind, devices, counts)
    return Members(
        epoch=genesis.mesh_id,
        devices=devices,
        members=members,
        links=_links(table, members),
        tenants=_tenants(table, members),
        voters=tuple(sorted(m.party for m in members.values() if m.voter and m.state == "member")),
        forks=reaches.forks,
        feeds=_taken_in(by_kind, founders),
    )


def _members(growth: Growth, reaches: Reaches, founders: set[Party]) -> dict[bytes, Member]:
    feeds: dict[Party, list[bytes]] = defaultdict(list)
    for feed in sorted(growth.active):
        feeds[reaches.owners[feed]].append(feed)
    members: dict[bytes, Member] = {}
    for party, found in sorted(growth.found.items()):  # a higher incarnation replaces a lower one
        left = reaches.left.get(party)
        state, decided = ("member", found.why) if left is None else ("left", (*found.why, left))
        members[party[0]] = Member(
            party, found.root, found.name, state, party in founders, tuple(feeds[party]), decided
        )
    return members


def _taken_in(by_kind: Mapping[str, list[Registration]], founders: set[Party]) -> dict[bytes, bytes]:
    """Return the device keys of every party that was ever admitted: a set that only grows, whatever else is held."""
    applications = {r.entry.id: (r.entry.kid, r.entry.payload["incarnation"]) for r in by_kind["member.apply"]}
    admitted = {applications.get(r.entry.payload["application"]) for r in by_kind["member.admit"]}
    feeds: dict[bytes, bytes] = {}
    for registration in by_kind["device.certify"]:
        entry = registration.entry
        party = (entry.kid, entry.payload["incarnation"])
        if party in founders or party in admitted:
            feeds[entry.thing[1]] = entry.payload["device"]
    return feeds


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
            if entry.kind in _POSITIVE and not table.counts(registration):
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
                if kind == "tenant.host" and registration.feed != entry.kid:
                    continue  # a device permits in its own feed alone, where its reach binds it
                hosts[(tenant, signer.party)] = kind  # by kind order an unhosting is final for this host
    tenancies: dict[bytes, Tenancy] = {}
    for tenant, entry in own.items():
        host = tuple(entry.payload["host"])
        if entry.kind == "tenant.host" and hosts.get((tenant, host)) == "tenant.host" and _is(members, host):
            tenancies[tenant] = Tenancy(tenant, host, entry.payload["terms"])
    return tenancies
