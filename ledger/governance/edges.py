"""Links between members, and the tenants they host (rule M4 of `members`).

How it works
    An edge is up when each end's newest statement, in its own feed order, is positive and none beyond its reach is
    restrictive. Tenants: host and tenant both signed; the tenant's statement with the highest serial names the host.
    `take` adds the statements of an open epoch to the tables of a `Base`; `links` and `tenants` read them.

What it does not do
    It does not say who is a member: `take` is given who counts, and the readers are given who is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance.growth import Counts
from ledger.governance.roster import Party, Tenancy, edge, link_id
from ledger.governance.state import Base

IsMember = Callable[[Party], bool]

POSITIVE: Final = frozenset({"link.offer", "link.accept"})
"""Kinds by which an end of a link says yes."""
LINKS: Final = frozenset({*POSITIVE, "link.refuse", "link.sever"})
TENANTS: Final = frozenset({"tenant.host", "tenant.unhost"})


def take(base: Base, statements: Iterable[Registration], counts: Counts) -> set[tuple[bytes, int]]:
    """Add statements about links and tenants; return the (feed, index) of those that need no second look."""
    done = set()
    for registration in statements:
        about = _take_link if registration.entry.kind in LINKS else _take_tenant
        if about(base, registration, counts):
            done.add((registration.feed, registration.index))
    return done


def _take_link(base: Base, registration: Registration, counts: Counts) -> bool:
    entry, feed = registration.entry, registration.feed
    owner = base.reaches.owners.get(feed)
    source: Party = tuple(entry.payload["from"])
    target: Party = tuple(entry.payload["to"])
    if owner is None:
        return False
    if owner != source or entry.thing[1] != link_id(source, target) or source == target:
        return True
    pair = edge(source, target)
    reach = base.reaches.reach(feed) if feed in base.active else 0
    if registration.index < reach:
        if entry.kind in POSITIVE and not counts(registration):
            return False
        ends = base.links.get(pair, {})
        place = (base.active[feed], registration.index)
        if source not in ends or ends[source][0] < place:
            base.links[pair] = {**ends, source: (place, entry.kind)}
        return True
    if entry.kind not in POSITIVE:  # beyond its reach an end may still let go, and nothing else
        base.stopped[pair] = min(
            entry.kind, base.stopped.get(pair, entry.kind), key=("link.sever", "link.refuse").index
        )
    return feed in base.active  # else it may come to count: its member may not be in yet


def _take_tenant(base: Base, registration: Registration, counts: Counts) -> bool:
    entry, feed = registration.entry, registration.feed
    kind, tenant, host = entry.kind, entry.thing[1], tuple(entry.payload["host"])
    if kind == "tenant.host" and not counts(registration):
        return False
    owner = base.reaches.owners.get(entry.kid)
    if entry.kid == tenant:
        best = base.tenants.get(tenant)
        if best is None or _rank(best) < _rank(entry):
            base.tenants[tenant] = entry
    elif owner is not None and owner == host:
        said = base.hosts.get((tenant, owner))
        if said is not None and said.kind == "tenant.unhost":
            return True  # final for this host
        if kind == "tenant.unhost" or (feed == entry.kid and (said is None or _rank(said) < _rank(entry))):
            base.hosts[(tenant, owner)] = entry  # a device permits in its own feed alone, where its reach binds it
    elif owner is None:
        return False
    return True


def _rank(entry: Entry) -> tuple[int, bool, bytes]:
    """Return what orders a tenant's own statements: the serial; a restrictive one wins a tie; then the id."""
    return entry.payload["serial"], entry.kind == "tenant.unhost", entry.id


def links(base: Base, is_member: IsMember) -> dict[tuple[Party, Party], str]:
    """Return the state of every edge between members: "up", "offered", "refused" or "severed"."""
    return {pair: state(base, pair) for pair in {**base.links, **base.stopped} if all(map(is_member, pair))}


def state(base: Base, pair: tuple[Party, Party]) -> str:
    """Return the state of an edge of which anything was said."""
    kinds = {kind for _, kind in base.links.get(pair, {}).values()}
    if pair in base.stopped:
        kinds.add(base.stopped[pair])
    if "link.sever" in kinds:
        return "severed"
    if "link.refuse" in kinds:
        return "refused"
    return "up" if len(base.links.get(pair, ())) == 2 else "offered"


def tenants(base: Base, is_member: IsMember) -> dict[bytes, Tenancy]:
    """Return the tenants that a member hosts, on the terms that both sides signed."""
    found = {}
    for tenant, entry in base.tenants.items():
        host: Party = tuple(entry.payload["host"])
        said, terms = base.hosts.get((tenant, host)), entry.payload.get("terms")
        agreed = said is not None and said.kind == entry.kind == "tenant.host" and said.payload["terms"] == terms
        if agreed and is_member(host):
            found[tenant] = Tenancy(tenant, host, entry.payload["terms"])
    return found
