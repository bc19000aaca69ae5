"""The roster: what the governance entries below a frontier mean, as values (members, devices, links, tenants).

How it works
    `members.fold` makes a `Members`; everything else asks it. A party is (key id, incarnation); a tenant has
    incarnation 0. Where two certified seals contradict each other (governance.md §4, Rivals), `meet` keeps what
    every branch permits, and nothing else.

What it does not do
    It derives nothing: the rules are in `members` and the modules it names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from ledger import codec
from ledger.entry import Entry

Party = tuple[bytes, int]  # (key id, incarnation); a tenant has incarnation 0

UNBOUNDED: Final = 2**62  # the reach of a feed that nothing bounds

_POSSESSION: Final = b"maille-device-possession-v1"
_STATES: Final = ("member", "suspended", "revoked", "left", "expelled")  # of a member; later ones take more away


class View(Protocol):
    """The frontier the fold looks through."""

    def size(self, feed: bytes) -> int:
        """Return how many leaves of the feed lie below the frontier."""

    def holds(self, entry: Entry, forks: Mapping[bytes, int]) -> bool:
        """Say whether every head in the entry's `seen` is held below the frontier, and not dated after the entry.

        `forks`: feeds with a proven fork and the size at which each is held.
        """

    def root(self, feed: bytes, size: int) -> bytes | None:
        """Return the feed's root at a size; None where so much of it does not lie below the frontier."""

    def below(self, sizes: Mapping[bytes, int]) -> View:
        """Return the view of a frontier inside this one: these sizes, and no leaf of any other feed."""


@dataclass(frozen=True, slots=True)
class Device:
    """A certified feed: its key, whose it is, and how far it counts (UNBOUNDED, or a number of leaves; maybe 0).

    `writes`: how far its changes to documents do. The cut of an expulsion does not bind them (governance.md §5).
    """

    feed: bytes
    public: bytes
    party: Party
    reach: int
    writes: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member's current incarnation. `voter`: it is one under the epoch. `decided_by`: the entries that made it so.

    `state`: "member", "suspended" (until a governance time), "left", "expelled" or "revoked" (its credential was).
    """

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
    """What the governance entries below a frontier mean. `links`: pairs of parties, smaller first.

    `epoch`, `n`, `as_of`: the newest epoch: reference, number and governance time (unix seconds). `voters`: those of it
    that are members. `expelled`: parties that are out, with the proposals that decided. `halted`: why nothing may be
    permitted here until people act, or "". `branches`: the epochs of rival seals, where there are any.
    """

    epoch: bytes
    devices: Mapping[bytes, Device] = field(default_factory=dict)
    members: Mapping[bytes, Member] = field(default_factory=dict)  # by root key id
    links: Mapping[tuple[Party, Party], str] = field(default_factory=dict)  # "up", "offered", "refused", "severed"
    tenants: Mapping[bytes, Tenancy] = field(default_factory=dict)  # by tenant key id
    voters: tuple[Party, ...] = ()
    forks: Mapping[bytes, int] = field(default_factory=dict)  # feeds with a proven fork: the size each is held at
    feeds: Mapping[bytes, bytes] = field(default_factory=dict)  # device keys of all ever admitted: feeds taken in
    n: int = 0
    as_of: int = 0
    expelled: Mapping[Party, tuple[bytes, ...]] = field(default_factory=dict)
    halted: str = ""
    branches: tuple[bytes, ...] = ()
    forbidden_purposes: tuple[str, ...] = ()

    def is_member(self, party: Party) -> bool:
        """Say whether the party is a member in this very incarnation."""
        member = self.members.get(party[0])
        return member is not None and member.party == party and member.state == "member"

    def known(self, party: Party) -> Party:
        """Return the party by the bytes that the roster holds of it, if it is a member; else as it is."""
        member = self.members.get(party[0])
        return member.party if member is not None and member.party == party else party

    def belongs(self, party: Party) -> bool:
        """Say whether the party is of the mesh: a member, or one that is suspended and still hears what is said."""
        member = self.members.get(party[0])
        return member is not None and member.party == party and member.state in ("member", "suspended")

    def link_up(self, one: Party, other: Party) -> bool:
        """Say whether data may flow along the edge. A member needs no link to itself."""
        return not self.halted and (one == other or self.links.get(edge(one, other)) == "up")

    def speaks(self, feed: bytes) -> bool:
        """Say whether a device acts for a member now: certified, not retired, succeeded, forked, left or expelled."""
        device = self.devices.get(feed)
        return device is not None and device.reach == UNBOUNDED and self.belongs(device.party)

    def party_of(self, kid: bytes) -> Party:
        """Return whom a signing key speaks for: a device's member, or itself as a tenant."""
        device = self.devices.get(kid)
        return device.party if device is not None else (kid, 0)

    def reach(self, feed: bytes) -> int:
        """Return how far a feed counts for what permits; 0 for an uncertified feed."""
        device = self.devices.get(feed)
        return device.reach if device is not None else 0

    def writes(self, feed: bytes) -> int:
        """Return how far a feed's changes to documents count; 0 for an uncertified feed."""
        device = self.devices.get(feed)
        return device.writes if device is not None else 0


def meet(one: Members, other: Members) -> Members:
    """Return what both of two branches permit, and nothing else (governance.md §4: edges valid in every branch)."""
    devices = {
        feed: replace(
            device,
            reach=min(device.reach, there.reach) if device.party == there.party else 0,
            writes=min(device.writes, there.writes) if device.party == there.party else 0,
        )
        for feed, device in one.devices.items()
        if (there := other.devices.get(feed)) is not None
    }
    members = {}
    for kid, member in one.members.items():
        beside = other.members.get(kid)
        if beside is None or beside.party != member.party:
            continue
        state = max(member.state, beside.state, key=_STATES.index)
        members[kid] = replace(member, state=state, voter=member.voter and beside.voter)
    links = {pair: state for pair, state in one.links.items() if other.links.get(pair) == state}
    tenants = {kid: held for kid, held in one.tenants.items() if other.tenants.get(kid) == held}
    forks = {**one.forks, **other.forks}
    return replace(
        one,
        devices=devices,
        members=members,
        links=links,
        tenants=tenants,
        voters=tuple(party for party in one.voters if party in other.voters),
        forks={feed: min(one.forks.get(feed, hold), other.forks.get(feed, hold)) for feed, hold in forks.items()},
        feeds={**one.feeds, **other.feeds},
        expelled={**one.expelled, **other.expelled},
        halted=one.halted or other.halted,
        branches=tuple(sorted({*one.branches, *other.branches, one.epoch, other.epoch})),
        forbidden_purposes=tuple(sorted({*one.forbidden_purposes, *other.forbidden_purposes})),
    )


def edge(one: Party, other: Party) -> tuple[Party, Party]:
    """Return the undirected edge between two parties."""
    return (one, other) if one <= other else (other, one)


def link_id(one: Party, other: Party) -> bytes:
    """Return the 32-byte id under which entries speak of an edge."""
    return hashlib.sha256(codec.encode([list(party) for party in edge(one, other)])).digest()


def possession_message(mesh_id: bytes, root_kid: bytes, incarnation: int) -> bytes:
    """Return what a device key signs to show that it agrees to act for a member."""
    return b"".join((_POSSESSION, mesh_id, root_kid, incarnation.to_bytes(4, "big")))
