"""The stage of a scenario: whole nodes as in production, in one process, in virtual time, over memory streams.

How it works
    Each party with a node gets a directory, keys and a `node.daemon.Node` with its own stores; only the streams between
    nodes are pipes in memory (simulations/memory_network.py), and time is trio's MockClock, which jumps over idle time.
    Operations are those of the command line, called where the control API would call them. Days pass by a clock that
    is put on, as in simulations/sandbox.py, and not by living through every heartbeat.

What it does not do
    It judges nothing: simulations/scenario_play.py does. No control API listens, and keys are not sealed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing

from ledger.errors import LocalError, MailleError
from ledger.keys import did_key
from node.adapters import senml
from node.config import Config, Home
from node.daemon import Node
from node.keyfile import KeyFile
from node.keystore import Keystore, tenant_name
from node.operation import Operation
from node.operations import find
from node.tables import Wallets
from simulations.daemons import now_ms
from simulations.links import LAN
from simulations.memory_network import Host, Switchboard
from simulations.meters import Meter
from simulations.randomness import Seed
from simulations.scenario import Party, Scenario

MESH: Final = "story"
POLICY: Final = {
    "tick_seconds": 86_400,
    "heartbeat_seconds": 60,
    "seal_seconds": 5,
    "invitations_a_day": 1_000,
}
"""How meshes of scenarios are paced: ticks on demand, seals within seconds."""
SETTLE_SECONDS: Final = 90
LOOK_SECONDS: Final = 0.25
DAY_MS: Final = 86_400_000
THREADED: Final = frozenset({"aggregate release", "compute run", "compute send", "backup create"})
"""Operations that compute in a thread, of which virtual time knows nothing."""
THREAD_SECONDS: Final = 0.02
"""For so long (real) nothing may happen before virtual time goes on, while one of them runs."""


class Stage:
    """Everything that runs in one play."""

    def __init__(self, scenario: Scenario, place: Path, seed: Seed, clock: trio.testing.MockClock) -> None:
        self.scenario, self.place = scenario, place
        self.parties = {party.name: party for party in scenario.party}
        self.nodes: dict[str, Node] = {}
        self.keys: dict[str, bytes] = {}  # files of keys that people carry: of moral bodies and services
        self.dids: dict[str, str] = {}  # of all who have had a key
        self._seed, self._clock = seed, clock
        self._board = Switchboard(seed, LAN.delay)
        self._numbers = {party.name: number for number, party in enumerate(scenario.party)}
        self._scopes: dict[str, tuple[trio.CancelScope, trio.Event]] = {}
        self._lives: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._ahead_ms = 0
        self._nursery: trio.Nursery

    # Time

    def now_ms(self) -> int:
        """Return the time of all nodes, unix milliseconds."""
        return now_ms() + self._ahead_ms

    @property
    def now(self) -> int:
        """The time of all nodes, unix seconds."""
        return self.now_ms() // 1_000

    async def pass_time(self, days: int, seconds: int) -> None:
        """Put the clock on, have what is due happen, and wait until nodes have heard of one another."""
        self._ahead_ms += days * DAY_MS
        for node in list(self.nodes.values()):
            for mesh in node.meshes.values():
                await mesh.engine.act(lambda _: None)
                mesh.bell.ring()
        await trio.sleep(seconds + int(POLICY["heartbeat_seconds"]) + 2)
        await self.settle()

    # Nodes

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run for a with-block; all nodes end with it."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            yield
            nursery.cancel_scope.cancel()

    def address(self, name: str) -> str:
        """Return where a party's node listens."""
        return f"n{self._numbers[name]}:7000"

    async def start(self, name: str) -> Node:
        """Start a party's node: a new one, or the one that was stopped."""
        life = self._lives[name] = self._lives.get(name, -1) + 1
        number, home = self._numbers[name], Home(self.place / str(self._numbers[name]))

        def draw(what: str) -> Callable[[int], bytes]:
            return self._seed.stream(number, f"{what}/{life}").randbytes

        if not home.config_file.exists():
            at_once = Wallets(spread_seconds=0)  # a scenario says itself when each consent is given
            home.create(Config(name, (self.address(name),), workers=0, log_level="error", wallets=at_once))
            Keystore.create(home.keys, None, draw("made"))
        keys = Keystore(home.keys, draw("keys"))
        keys.unlock(None)
        node = Node(
            home,
            home.config(),
            keys,
            network=Host(self._board, number),
            clock=self.now_ms,
            random_source=self._seed.stream(number, f"choices/{life}"),
            random_bytes=draw("bytes"),
        )
        scope, ended = trio.CancelScope(), trio.Event()

        async def live(*, task_status: trio.TaskStatus[None]) -> None:
            try:
                with scope:
                    await node.run(serve=False, task_status=task_status)
            finally:
                ended.set()

        await self._nursery.start(live)
        self.nodes[name], self._scopes[name] = node, (scope, ended)
        self.dids[name] = node.root_key().did
        return node

    async def stop(self, name: str) -> None:
        """Switch a node off at once; its directory stays."""
        scope, ended = self._scopes.pop(name)
        scope.cancel()
        await ended.wait()
        del self.nodes[name]

    def partition(self, groups: Iterable[Iterable[str]]) -> None:
        """Let nothing pass between groups of nodes; those in no group form one more."""
        listed = [list(group) for group in groups]
        self._groups = {name: at for at, group in enumerate(listed) for name in group}
        self._board.partition([[self._numbers[name] for name in group] for group in listed])

    def heal(self) -> None:
        """Let everything pass again."""
        self._groups = {}
        self._board.heal()

    # Operations

    async def do(self, name: str, words: str, /, **values: Any) -> Any:
        """Run an operation at a party's node. Raises as it does, and LocalError NODE_STOPPED."""
        if name not in self.nodes:
            raise LocalError("NODE_STOPPED", f"the node of {name} does not run")
        row, node = operation_of(words), self.nodes[name]
        args = row.args(**values)
        if row.local:
            raise LocalError("NOT_HERE", f"`{words}` runs in the command's own process, not at a node")
        if "mesh" in row.args.__struct_fields__ and not values.get("mesh") and len(node.meshes) > 1:
            args = row.args(**values | {"mesh": MESH})
        if words not in THREADED:
            return await row.handler(node, args)
        self._clock.autojump_threshold = THREAD_SECONDS
        try:
            return await row.handler(node, args)
        finally:
            self._clock.autojump_threshold = 0

    def agree(self) -> bool:
        """Say whether all running members that can reach one another hold the same entries."""
        found: dict[int, set[bytes]] = {}
        for name, node in self.nodes.items():
            for mesh in node.meshes.values():
                if mesh.core.replica.members.is_member(mesh.core.party):
                    found.setdefault(self._groups.get(name, -1), set()).add(mesh.core.replica.frontier_digest())
        return all(len(digests) == 1 for digests in found.values())

    async def until(self, holds: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> bool:
        """Wait until something is so, for a while at most; say whether it is."""
        with trio.move_on_after(seconds):
            while not holds():
                await trio.sleep(LOOK_SECONDS)
        return holds()

    async def settle(self) -> bool:
        """Wait until the running members agree, and a moment for what follows from that."""
        await trio.sleep(LOOK_SECONDS)
        return await self.until(self.agree)

    def member_of(self, name: str) -> bool:
        """Say whether a party's node is a member of the mesh, as it knows itself."""
        node = self.nodes.get(name)
        return node is not None and any(
            mesh.core.replica.members.is_member(mesh.core.party) for mesh in node.meshes.values()
        )

    # Before the first step

    async def found(self) -> None:
        """Start the nodes, found the mesh, let the members in, link them, and hand out readings, wallets and keys."""
        here = [party for party in self.scenario.party if party.has_node]
        for party in here:
            await self.start(party.name)
        for number, party in enumerate(self.scenario.party):
            if party.kind == "moral body":
                secret, draw = self._seed.bytes(number, "authority"), self._seed.stream(number, "authority").randbytes
                file = KeyFile.make("authority", secret, None, draw)
                self.keys[party.name], self.dids[party.name] = file.encode(), did_key(file.public)
        await self._found_mesh([party for party in here if not party.later])
        for one, other in self.scenario.links:
            await self.link(one, other)
        for party in self.scenario.party:
            await self._equip(party)
        await self.settle()

    async def _found_mesh(self, members: list[Party]) -> None:
        names = [party.name for party in members]
        founders = list(self.scenario.mesh.founders) or names[:1]
        first, others = founders[0], founders[1:]
        prepared = [(await self.do(name, "mesh prepare", name=MESH)).founder for name in others]
        enough = {"attestation_quorum": min(self.scenario.auditor, len(names))}
        options: dict[str, Any] = {**POLICY, **enough, **self.scenario.mesh.options}
        if self.scenario.mesh.strong:
            options |= {"frame": "strong", "authority": (self.did(self.scenario.mesh.strong),)}
        for key, value in options.items():
            options[key] = tuple(value) if isinstance(value, list) else value
        await self.do(first, "mesh create", name=MESH, local_name=MESH, founder=tuple(prepared), **options)
        for name in [*others, *(name for name in names if name not in founders)]:
            await self.join(name, first)
            if self.scenario.mesh.strong and name not in founders:
                await self.credential(name, first)
        if not await self.until(lambda: all(map(self.member_of, names)) and self.agree()):
            raise LocalError("SCENARIO_FAILED", "the mesh does not form")
        if others:
            await self.until(lambda: all(self._sealed(name) for name in names))

    def _sealed(self, name: str) -> bool:
        return self.nodes[name].mesh().core.replica.chain.newest.n > 0

    async def join(self, name: str, via: str, **more: Any) -> Any:
        """Let a node join by a ticket of another; return the member's answer."""
        ticket = await self.do(via, "invite create", to=self.did(name))
        return await self.do(name, "join", ticket=ticket.ticket, **more)

    async def credential(self, name: str, at: str) -> None:
        """Have the moral body sign a credential for a node that has applied."""
        file, who = self.keys[self.scenario.mesh.strong], self.did(name)
        applied = f"{name} did not apply"
        await self._repeat(lambda: self.do(at, "member credential", who=who, authority_key=file), applied)

    async def _repeat(self, act: Callable[[], Any], otherwise: str) -> Any:
        for _ in range(round(SETTLE_SECONDS / LOOK_SECONDS)):
            try:
                return await act()
            except MailleError:
                await trio.sleep(LOOK_SECONDS)
        raise LocalError("SCENARIO_FAILED", otherwise)

    async def link(self, one: str, other: str) -> None:
        """Have two nodes agree on a link."""
        await self.do(one, "link offer", member=other)
        await self._repeat(lambda: self.do(other, "link accept", member=one), f"{other} hears of no offer of {one}")
        await self.settle()

    async def _equip(self, party: Party) -> None:
        if party.kind == "person" and not party.later:
            await self.do(party.at or party.name, "wallet create", name=party.name)
        if party.kind == "service":
            self.dids[party.name] = (await self.do(party.at, "tenant init", name=party.name)).did
            self.keys[party.name] = self.nodes[party.at].keys.file(tenant_name(party.name)).encode()
            await self.do(party.at, "tenant host", tenant=party.name)
        for each in party.readings:
            start = self.now - each.days * 86_400
            files = [Meter(seed).series(start, each.days, kind=each.kind) for seed in seeds_of(each.seeds)]
            await self.do(party.name, "readings import", file=senml.encode_json(files))

    def did(self, name: str) -> str:
        """Return the key of a party as did:key. Raises LocalError NOT_FOUND."""
        if name not in self.dids:
            raise LocalError("NOT_FOUND", f"{name} has no key yet")
        return self.dids[name]


def seeds_of(seeds: tuple[int, ...]) -> range:
    """Return the seeds from the first to the last."""
    return range(seeds[0], seeds[-1] + 1)


def operation_of(words: str) -> Operation:
    """Return an operation by what one types. Raises LocalError NOT_FOUND."""
    noun, _, verb = words.rpartition(" ")
    row = find(noun or None, verb)
    if row is None:
        raise LocalError("NOT_FOUND", f"there is no operation `maille {words}`")
    return row
