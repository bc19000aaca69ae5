"""Whole nodes for the benchmarks: engine and network over a store, in one process or in several.

How it works
    A `Node` is a founder of a benchmark mesh whose store holds at least the founding. `run` serves its engine and its
    network in a nursery. `Watched` wraps a store and a `Heard` sits where the data family would: together they tell
    the moment at which an entry was accepted *and* its transaction had ended, durable on a store on disk.

What it does not do
    It has no control socket and no daemon: see node/daemon for those. A vault is the caller's to give.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
import trio

from gossip.handshake import Identity
from gossip.messages import Envelope
from ledger.entry import Entry
from ledger.governance.members import Party
from ledger.replica import Replica
from ledger.rows import Reader, Writer
from node.core import Core
from node.engine import Engine
from node.net import Net
from node.network import Tcp
from node.peering import MeshRuntime
from node.turn import Turn
from node.workers import WorkerPool
from storage.store import Store
from storage.vault import Vault
from tests.benchmarks.corpus import LATER, Mesh

LOOPBACK: Final = "127.0.0.1:0"


class Heard:
    """Notes which entries a turn accepted; stands where the family of data transfers would."""

    def __init__(self) -> None:
        self.fresh: list[bytes] = []
        self.at: dict[bytes, float] = {}
        self.count = 0
        self.moved = trio.Event()
        self.on_durable: Callable[[Sequence[bytes]], None] = lambda _: None

    def handle(self, turn: Turn, peer: bytes, envelope: Envelope) -> None:
        """Ignore."""

    def peer_up(self, turn: Turn, peer: bytes) -> None:
        """Ignore."""

    def peer_down(self, turn: Turn, peer: bytes) -> None:
        """Ignore."""

    def timer(self, turn: Turn, name: str) -> None:
        """Ignore."""

    def partners(self, turn: Turn) -> frozenset[bytes]:  # noqa: ARG002 - as DataFamily says
        """Want nobody."""
        return frozenset()

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:  # noqa: ARG002 - as DataFamily says
        """Note entries of the open turn."""
        self.fresh += [entry.id for entry in entries]

    def committed(self) -> None:
        """The turn's transaction has ended: what it accepted is durable from now on."""
        if self.fresh:
            now = time.monotonic()
            self.at.update((entry_id, now) for entry_id in self.fresh)
            self.count += len(self.fresh)
            self.on_durable(self.fresh)
            self.fresh.clear()
            self.moved.set()
            self.moved = trio.Event()


class _Watching:
    """One transaction of a `Watched` store."""

    __slots__ = ("_heard", "_inner")

    def __init__(self, inner: AbstractContextManager[Writer], heard: Heard) -> None:
        self._inner, self._heard = inner, heard

    def __enter__(self) -> Writer:
        return self._inner.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._inner.__exit__(kind, error, trace)
        self._heard.committed()


@dataclass(slots=True)
class Watched:
    """A store that tells when a transaction has ended."""

    inner: Store
    heard: Heard

    def read(self) -> Any:
        """Return a snapshot."""
        return self.inner.read()

    def write(self) -> _Watching:
        """Return the one transaction, and tell after its end."""
        return _Watching(self.inner.write(), self.heard)

    def compact(self) -> int:
        """Pass on."""
        return self.inner.compact()

    def size_bytes(self) -> int:
        """Pass on."""
        return self.inner.size_bytes()

    def map_used_ratio(self) -> float:
        """Pass on."""
        return self.inner.map_used_ratio()

    def close(self) -> None:
        """Pass on."""
        self.inner.close()


@dataclass(slots=True)
class Node:
    """One running founder."""

    engine: Engine
    net: Net
    runtime: MeshRuntime
    heard: Heard
    address: str = ""
    hints: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict)

    @property
    def kid(self) -> bytes:
        """The device's id."""
        return self.engine.core.device.kid

    async def start(self, nursery: trio.Nursery) -> None:
        """Run the engine and listen, until the nursery is cancelled."""
        nursery.start_soon(self.engine.run)
        await self.engine.started.wait()
        await nursery.start(self.net.run, [LOOPBACK])
        self.address = self.net.listening[0]

    def know(self, others: Mapping[bytes, str]) -> None:
        """Learn the addresses of others and dial those whose device id is larger than ours."""
        for kid, address in others.items():
            if self.kid < kid:
                self.runtime.hints[kid] = (address,)
        self.look()

    def look(self) -> None:
        """Have the dialer look at what it knows now."""
        self.net.review(self.runtime)

    async def connected(self, count: int) -> None:
        """Wait until so many channels are up."""
        while len(self.net.peerings) < count:
            await trio.sleep(0.01)


def hush() -> None:
    """Drop the log lines of engines and networks in this process: its standard output carries results."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def founded(store: Store, mesh: Mesh) -> None:
    """Make a store hold the genesis and every founder's first entries."""
    with store.write() as rows:
        replica = Replica.create(rows, mesh.genesis)
        for run, entries in mesh.founding():
            replica.ingest(rows, run, LATER, entries)


def node(store: Store, mesh: Mesh, place: int, *, pool: WorkerPool | None = None, vault: Vault | None = None) -> Node:
    """Return founder `place` of a mesh over its store. Its clock begins at LATER and then goes as clocks do."""
    device = mesh.devices[place]
    source = random.Random(1_000 + place)
    core = _core(store, mesh, place, source, workers=pool is not None)
    heard = Heard()
    core.data = heard
    begun = time.monotonic()

    def clock() -> int:
        return int((LATER + time.monotonic() - begun) * 1_000)

    engine = Engine(core, Watched(store, heard), vault, clock, verifier=pool)
    net = Net(Tcp(), random_source=source, random_bytes=source.randbytes)
    runtime = MeshRuntime("benchmark", engine, Identity(device, source.randbytes(32)))
    net.add_mesh(runtime)
    return Node(engine, net, runtime, heard)


def _core(store: Store, mesh: Mesh, place: int, source: random.Random, *, workers: bool) -> Core:
    with store.read() as rows:
        replica = _loaded(rows)
    party: Party = mesh.parties[place]
    return Core(
        replica, mesh.devices[place], party, random_source=source, random_bytes=source.randbytes, workers=workers
    )


def _loaded(rows: Reader) -> Replica:
    return Replica.load(rows)
