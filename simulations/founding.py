"""The nodes of a simulation before it begins: their keys, the genesis, and a ledger in which all founders accepted.

How it works
    Every key derives from the run's seed. `found` signs one genesis for all founders, and lets each certify its
    device and accept; the ledger that holds all of it is copied for each node, so that a mesh of hundreds stands at
    once and what is measured is not its bootstrap.

What it does not do
    It starts no node. Nodes that join later come in by entries, as everywhere (`World.join`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gossip.handshake import Identity
from ledger.governance.epoch import Genesis, Policy, make_genesis
from ledger.governance.members import Party
from ledger.keys import SigningKey
from ledger.replica import Replica
from ledger.rows import TABLES
from node.core import Core
from node.mesh import certify
from simulations.randomness import Seed
from storage.memory import MemoryStore
from storage.store import Store

POLICY = Policy(invitations_a_day=1_000)
"""The default rules, except that a simulated mesh may grow within a day."""


@dataclass(frozen=True, slots=True)
class Persona:
    """Who a simulated node is: root key, device key, static channel key."""

    number: int
    root: SigningKey
    device: SigningKey
    static: bytes

    @property
    def party(self) -> Party:
        """The member, in its first incarnation."""
        return self.root.kid, 1

    @property
    def identity(self) -> Identity:
        """The device, as a channel needs it."""
        return Identity(self.device, self.static)


def persona(seed: Seed, number: int) -> Persona:
    """Return the keys of node `number`."""
    root, device = (SigningKey.from_seed(seed.bytes(number, purpose)) for purpose in ("root", "device"))
    return Persona(number, root, device, seed.bytes(number, "static"))


def core_of(seed: Seed, who: Persona, replica: Replica, life: int = 0) -> Core:
    """Build a node's core. `life`: how often it restarted; each life has fresh randomness, as a real one would."""
    return Core(
        replica,
        who.device,
        who.party,
        random_source=seed.stream(who.number, f"gossip/{life}"),
        random_bytes=seed.stream(who.number, f"entries/{life}").randbytes,
        gossip_bytes=seed.stream(who.number, f"reconcile/{life}").randbytes,
    )


def found(seed: Seed, founders: Sequence[Persona], policy: Policy, now: int) -> tuple[Genesis, MemoryStore]:
    """Return the genesis and a ledger in which every founder accepted. `now`: unix seconds."""
    listed = [(who.root.public, who.device.public) for who in founders]
    random16 = seed.bytes(-1, "genesis")[:16]
    genesis = make_genesis(founders[0].root, "simulated", listed, policy, now=now, random16=random16)
    store = MemoryStore()
    with store.write() as rows:
        replica = Replica.create(rows, genesis)
        for who in founders:
            core = core_of(seed, who, replica, life=-1)
            turn = core.take(rows, None, now * 1_000)
            if who is founders[0]:
                turn.register(genesis.entry)
            turn.register(certify(who.root, who.device, replica, rows, 1, now, core.random_bytes))
            turn.state("genesis.accept", ("member", who.root.kid), {})
            turn.finish()
    return genesis, store


def copy_store(store: Store) -> MemoryStore:
    """Return a store with the same rows: a node's copy, or its backup."""
    twin = MemoryStore()
    with store.read() as source, twin.write() as target:
        for table in TABLES:
            for key, value in source.scan(table, b""):
                target.put(table, key, value, append=True)
    return twin
