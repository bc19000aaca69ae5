"""Small meshes for tests of the node: cores over stores in memory, and turns on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gossip import events as gossip
from ledger.governance.epoch import Policy
from ledger.keys import SigningKey
from ledger.replica import Replica
from node.admission import Admission
from node.core import Core, Effect, Turn
from simulations.founding import POLICY, Persona, copy_store, core_of, found, persona
from simulations.randomness import Seed
from storage.memory import MemoryStore

T = TypeVar("T")

SEED = Seed(1, "node tests")
NOW = 1_800_000_000
"""Unix seconds at which the meshes of these tests are founded."""


class Site:
    """One node: a core over a store, with the time of its next turn."""

    def __init__(self, who: Persona, store: MemoryStore, *, workers: bool = False) -> None:
        self.who, self.store, self.now_ms = who, store, NOW * 1_000
        with store.read() as rows:
            self.core: Core = core_of(SEED, who, Replica.load(rows))
            self.core.load(rows)
        self.core.workers = workers
        self.core.strangers = Admission()
        self.effects: list[Effect] = []

    @property
    def kid(self) -> bytes:
        """Its device's id."""
        return self.who.device.kid

    def act(self, work: Callable[[Turn], T]) -> T:
        """Run a turn; its effects are in `effects`."""
        with self.store.write() as rows:
            turn = self.core.take(rows, None, self.now_ms)
            value = work(turn)
            self.effects = turn.finish()
        return value

    def tell(self, *events: gossip.Event) -> list[Effect]:
        """Hand events to the core in one turn and return its effects."""

        def work(turn: Turn) -> None:
            for event in events:
                turn.handle(event)

        self.act(work)
        return self.effects

    def sent(self, peer: bytes) -> list[bytes]:
        """Return what the last turn sent to a peer."""
        return [e.data for e in self.effects if isinstance(e, gossip.Send) and e.peer == peer]

    def timers(self) -> dict[str, int]:
        """Return the timers that the last turn set, in unix milliseconds."""
        return {e.name: e.at_ms for e in self.effects if isinstance(e, gossip.SetTimer)}


def people(count: int, first: int = 0) -> list[Persona]:
    """Return personas."""
    return [persona(SEED, number) for number in range(first, first + count)]


def sites(count: int, policy: Policy = POLICY, *, workers: bool = False) -> list[Site]:
    """Return the sites of a mesh of founders."""
    who = people(count)
    _, store = found(SEED, who, policy, NOW)
    return [Site(one, copy_store(store), workers=workers) for one in who]


def newcomer(site: Site, number: int = 50) -> Site:
    """Return a site that holds the genesis of another's mesh alone."""
    store = MemoryStore()
    with store.write() as rows:
        Replica.create(rows, site.core.replica.genesis)
    return Site(persona(SEED, number), store)


def key(number: int) -> SigningKey:
    """Return a key that nobody of the mesh has."""
    return SigningKey.from_seed(SEED.bytes(number, "stranger"))
