"""One node of the exact world: who it is, its store, its core while it runs, and what it holds.

How it works
    The store outlives the core: a crash drops the core, a restart builds another over the same store. `life` counts
    them, so that events addressed to an earlier life find nobody.

What it does not do
    It runs no turn and sends nothing: the world does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ledger.entry import Entry
from ledger.errors import LocalError
from node.core import Core
from simulations.founding import Persona
from storage.store import Store
from storage.vault import Vault


class Behaviour(Protocol):
    """How a node that does not act as it should deviates; its core is a real one (simulations.adversaries)."""

    def sends(self, target: int, message: bytes) -> bool:
        """Say whether it sends what its core wants to send."""

    def hears(self, source: int, message: bytes) -> bool:
        """Say whether its core is told what came."""


@dataclass(slots=True)
class Node:
    """One simulated node. `core` is None while it is down; `life` counts its restarts.

    `vault`: where data and wallets are kept, at a node that data flow to or from.
    """

    number: int
    who: Persona
    store: Store
    skew_us: int
    core: Core | None = None
    life: int = 0
    timers: dict[str, int] = field(default_factory=dict)
    vouched: set[bytes] = field(default_factory=set)
    vault: Vault | None = None

    @property
    def kid(self) -> bytes:
        """Its device's id, which is its feed's."""
        return self.who.device.kid

    @property
    def running(self) -> Core:
        """Its core. Raises LocalError NODE_DOWN."""
        if self.core is None:
            raise LocalError("NODE_DOWN", f"node {self.number} is down; restart it first")
        return self.core

    def entries(self, kind: str) -> list[Entry]:
        """Return the sound entries of a kind that it holds, feed after feed. Raises LocalError NODE_DOWN."""
        replica = self.running.replica
        with self.store.read() as rows:
            leaves = [
                replica.leaf(rows, feed, index)
                for feed in replica.feeds
                for index in range(replica.position(feed).size)
            ]
        found = [Entry.parse(leaf.raw) for leaf in leaves if not leaf.void]
        return [entry for entry in found if entry.kind == kind]
