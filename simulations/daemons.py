"""Whole daemons in one process and in virtual time: engines and nets as in production, over memory streams.

How it works
    `run` starts trio with a MockClock that jumps over idle time, and with the scheduler's own dice seeded, so a run
    is a function of its seed. trio offers that to Hypothesis alone: the two private names it takes are asserted to
    exist. Each daemon has its own nursery, so that it can be killed alone; its store outlives it.

What it does not do
    It has no discs and no worker processes: they have their own tests. Threads would break virtual time.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import structlog
import trio
import trio.testing

from ledger.errors import LocalError
from ledger.governance.epoch import Genesis, Policy
from ledger.replica import Replica
from node.admission import Admission
from node.core import Core, SealFamily
from node.engine import Engine
from node.joining import Outcome, apply
from node.net import Net
from node.peering import MeshRuntime
from node.tickets import Ticket
from simulations.founding import POLICY, Persona, copy_store, core_of, found, persona
from simulations.links import WAN, Delay
from simulations.memory_network import Host, Switchboard
from simulations.randomness import Seed
from storage.memory import MemoryStore

T = TypeVar("T")
Hints: TypeAlias = Mapping[bytes, tuple[str, ...]]
"""Device id -> addresses, as tickets or the operator tell them."""

START_SECONDS: Final = 1_800_000_000
"""Unix time at which every run begins, as in simulations.world."""


@dataclass(slots=True)
class Daemon:
    """One whole node. `scope` ends it."""

    number: int
    who: Persona
    store: MemoryStore
    core: Core
    engine: Engine
    net: Net
    runtime: MeshRuntime
    scope: trio.CancelScope
    ended: trio.Event

    @property
    def kid(self) -> bytes:
        """Its device's id, which is its feed's."""
        return self.who.device.kid


class Daemons:
    """The daemons of one run."""

    def __init__(
        self,
        seed: Seed,
        nursery: trio.Nursery,
        policy: Policy,
        delay: Delay,
        sealing: Callable[[Core], SealFamily] | None = None,
    ) -> None:
        self.seed, self.policy, self.sealing = seed, policy, sealing
        self.board = Switchboard(seed, delay)
        self.nodes: dict[int, Daemon] = {}
        self._nursery = nursery
        self._lives: dict[int, int] = {}
        self._dead: dict[int, Daemon] = {}

    async def found(self, count: int) -> None:
        """Found a mesh of `count` members; each knows the addresses of all."""
        people = [persona(self.seed, number) for number in range(count)]
        genesis, store = found(self.seed, people, self.policy, START_SECONDS)
        hints: Hints = {who.device.kid: (address(who.number),) for who in people}
        for who in people:
            await self.start(who, genesis, copy_store(store), hints)

    async def start(self, who: Persona, genesis: Genesis, store: MemoryStore, hints: Hints) -> Daemon:
        """Start one daemon over its store. `hints`: where others listen; they may gossip with it at once."""
        life = self._lives[who.number] = self._lives.get(who.number, -1) + 1
        core = core_of(self.seed, who, Replica(genesis), life)
        core.strangers = Admission()
        if self.sealing is not None:
            core.sealing = self.sealing(core)
        core.vouched |= hints.keys() - {who.device.kid}
        net = Net(
            Host(self.board, who.number),
            random_source=self.seed.stream(who.number, f"net/{life}"),
            random_bytes=self.seed.stream(who.number, f"channel/{life}").randbytes,
        )

        def moved() -> None:
            net.review(runtime)

        engine = Engine(core, store, None, now_ms, on_membership=moved)
        runtime = MeshRuntime("simulated", engine, who.identity, hints=dict(hints))
        net.add_mesh(runtime)
        daemon = Daemon(who.number, who, store, core, engine, net, runtime, trio.CancelScope(), trio.Event())
        self.nodes[who.number] = daemon
        await self._nursery.start(self._life, daemon)
        await engine.act(lambda turn: core.directory.announce(turn, [address(who.number)]))
        return daemon

    async def _life(self, daemon: Daemon, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            with daemon.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(daemon.engine.run)
                    await daemon.engine.started.wait()
                    await nursery.start(daemon.net.run, [address(daemon.number)])
                    task_status.started()
        finally:
            daemon.ended.set()

    async def kill(self, number: int) -> None:
        """End a daemon at once; its store is as of the last turn."""
        daemon = self.nodes.pop(number)
        daemon.scope.cancel()
        await daemon.ended.wait()
        self._dead[number] = daemon

    async def restart(self, number: int) -> Daemon:
        """Start a killed daemon over its store."""
        dead = self._dead.pop(number)
        return await self.start(dead.who, dead.core.replica.genesis, dead.store, dict(dead.runtime.hints))

    async def knock(self, number: int, ticket: Ticket) -> Outcome:
        """Apply for membership as node `number`, by a ticket, over the network."""
        who = persona(self.seed, number)
        return await apply(
            Host(self.board, number),
            ticket,
            who.identity,
            who.root,
            name="",
            incarnation=1,
            now=now_ms() // 1_000,
            random_bytes=self.seed.stream(number, "knock").randbytes,
        )

    async def join(self, number: int, ticket: Ticket) -> Daemon:
        """Apply by a ticket, and start with the genesis alone. Raises LocalError with the answer's code if refused."""
        outcome = await self.knock(number, ticket)
        if outcome.code != "ADMITTED":
            raise LocalError(outcome.code, "the member did not admit this node")
        store = MemoryStore()
        with store.write() as rows:
            Replica.create(rows, outcome.genesis)
        return await self.start(persona(self.seed, number), outcome.genesis, store, {ticket.device: ticket.addresses})

    # What came of it

    def frontiers(self) -> set[bytes]:
        """Return the frontier digests of all daemons."""
        return {daemon.core.replica.frontier_digest() for daemon in self.nodes.values()}

    def ticks(self) -> list[tuple[int, bytes, bytes] | None]:
        """Return each daemon's newest tick: (boundary, frontier digest, state root)."""
        found = (daemon.core.ticker.tick for _, daemon in sorted(self.nodes.items()))
        return [(tick.boundary, tick.frontier, tick.state_root) if tick is not None else None for tick in found]

    def agree(self) -> bool:
        """Say whether all daemons have one frontier."""
        return len(self.frontiers()) == 1

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds, asking every 100 ms of virtual time, at most so long."""
        with trio.move_on_after(seconds):
            while not holds():
                await trio.sleep(0.1)
        return holds()


def address(number: int) -> str:
    """Return where a daemon listens."""
    return f"n{number}:7000"


def now_ms() -> int:
    """Return the time of a run, unix milliseconds."""
    return START_SECONDS * 1_000 + round(trio.current_time() * 1_000)


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seed the dice of trio's scheduler inside the block. Raises LocalError TRIO_CHANGED if trio hides them now."""
    inner: Any = vars(trio)["_core"]._run
    if not hasattr(inner, "_ALLOW_DETERMINISTIC_SCHEDULING") or not hasattr(getattr(inner, "_r", None), "seed"):
        raise LocalError("TRIO_CHANGED", "this trio has no seedable scheduler; pin trio to the tested range")
    before = inner._ALLOW_DETERMINISTIC_SCHEDULING
    inner._ALLOW_DETERMINISTIC_SCHEDULING = True
    inner._r.seed(seed)
    try:
        yield
    finally:
        inner._ALLOW_DETERMINISTIC_SCHEDULING = before


@contextmanager
def quiet() -> Iterator[None]:
    """Log errors alone inside the block."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)


def run(
    seed: Seed | int,
    body: Callable[[Daemons], Awaitable[T]],
    *,
    count: int,
    policy: Policy = POLICY,
    delay: Delay = WAN.delay,
    sealing: Callable[[Core], SealFamily] | None = None,
) -> T:
    """Found a mesh of `count` daemons, run `body` in virtual time, end all, and return what it returned.

    `sealing`: makes what seals epochs at a node, in place of what a real node has.
    """
    named = seed if isinstance(seed, Seed) else Seed(seed)

    async def main() -> T:
        async with trio.open_nursery() as nursery:
            daemons = Daemons(named, nursery, policy, delay, sealing)
            await daemons.found(count)
            value = await body(daemons)
            nursery.cancel_scope.cancel()
        return value

    with deterministic(named.seed), quiet():
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
