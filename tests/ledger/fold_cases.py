"""What the tests of the membership fold share: small worlds, narrow views, proven forks, and what a fold permits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger import fork
from ledger.entry import Entry
from ledger.governance.members import Members
from tests.worlds import Everything, Member, Scribe, World, octets


class Blind(Everything):
    """A view that does not hold what some entries have seen."""

    def __init__(self, *unheld: Entry) -> None:
        self._unheld = {entry.id for entry in unheld}

    def holds(self, entry: Entry, _forks: Mapping[bytes, int]) -> bool:
        """Say whether an entry's `seen` is held."""
        return entry.id not in self._unheld


class Below(Everything):
    """A view of the first leaves of each feed."""

    def __init__(self, **sizes: int) -> None:
        self._sizes = {bytes.fromhex(feed): size for feed, size in sizes.items()}

    def size(self, feed: bytes) -> int:
        """Return the extent of a feed."""
        return self._sizes.get(feed, 2**40)


def world(**options: Any) -> tuple[World, Member, Member]:
    """Return a world with its two founders."""
    made = World("members", **options)
    alice, bob = made.members
    return made, alice, bob


def rights(members: Members) -> set[object]:
    """Return what a fold permits."""
    found: set[object] = {member.party for member in members.members.values() if member.state == "member"}
    found |= {("link", pair) for pair, how in members.links.items() if how == "up"}
    found |= {("host", tenancy.tenant, tenancy.host) for tenancy in members.tenants.values()}
    return found


def prove_fork(made: World, witness: Scribe, forked: Scribe, size: int) -> Entry:
    """Let a witness prove that a feed forked at `size`."""
    twin = forked.branch(size)
    twin.add(octets("other branch"))
    ours, theirs = forked.sign(made.now), twin.sign(made.now)
    payload = fork.prove_branches(forked.device.public, ours, forked.leaves, theirs, twin.leaves)
    return made.write(witness, "fork.proof", ("feed", forked.feed), payload)
