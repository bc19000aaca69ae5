"""A whole mesh in one process, for integrators' own tests: real nodes, a network in memory, no ports, no root (R152).

    from simulations.sandbox import sandbox

    def test_our_service() -> None:
        with sandbox("operator", "adviser", "cooperative") as mesh:
            point = mesh.meter("operator", seed=1, days=30)                   # a fictitious household
            anna = mesh.person("anna", at="cooperative")
            consent = anna.grant(holder="operator", recipient="adviser", point=point, purpose="advice")
            with mesh.client("adviser") as node:                              # or AsyncClient(mesh.socket("adviser"))
                node.wait_for(consent)
                assert node.fetch(consent)
            anna.withdraw(consent)                                            # from here on `fetch` raises

    As a pytest fixture: a function that yields inside `with sandbox(...) as mesh`.

How it works
    A thread runs trio with one `node.daemon.Node` for each name, each with its keys, stores and control socket in a
    temporary directory, as in production; only the streams between them are pipes in memory (simulations/
    memory_network.py). The first founds the mesh, the others join by ticket, and links are agreed on between all.
    Clients speak to the sockets, from any thread and event loop. The nodes' clock can be put on (`advance`), nodes can
    be killed and started again, and cut off from one another.

What it does not do
    Keys are not sealed. It measures nothing: all nodes share one processor.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import trio

from ledger.errors import LocalError
from node.client import Client
from node.clock import wall_ms
from node.config import Api, Config, Home, Webhooks
from node.daemon import Node
from node.keystore import Keystore
from node.operation import Operation
from node.operations import find
from node.tables import Wallets
from simulations.daemons import quiet
from simulations.memory_network import Host, Switchboard
from simulations.meters import Meter
from simulations.randomness import Seed

SETTLE_SECONDS_MAX: Final = 20.0
MESH: Final = "sandbox"
PURPOSE: Final = "advice on saving energy"
LOOK_SECONDS: Final = 0.01

T = TypeVar("T")
Kind = Literal["load_curve", "daily"]


class Person:
    """Somebody whose wallet a node of the sandbox keeps."""

    def __init__(self, mesh: Sandbox, name: str, at: str) -> None:
        self._mesh, self.name, self.at = mesh, name, at

    def grant(
        self,
        *,
        holder: str,
        recipient: str,
        point: str,
        kind: Kind = "daily",
        purpose: str = PURPOSE,
        days: int = 365,
    ) -> str:
        """Consent; return the consent's id. It is active once holder and recipient have it (`Client.wait_for`)."""
        made = self._mesh.call(
            self.at,
            "consent grant",
            wallet=self.name,
            holder=holder,
            recipient=recipient,
            point=(point,),
            kind=kind,
            purpose=purpose,
            contact="data@example.org",
            days=days,
        )
        return str(made.id)

    def answer(self, request: str) -> str:
        """Consent to a request as it stands; return the consent's id."""
        self._mesh.until(lambda: any(one.id == request for one in self._requests()), "the request does not arrive")
        return str(self._mesh.call(self.at, "consent grant", wallet=self.name, request=request).id)

    def refuse(self, request: str) -> None:
        """Refuse a request."""
        self._mesh.until(lambda: any(one.id == request for one in self._requests()), "the request does not arrive")
        self._mesh.call(self.at, "consent refuse", wallet=self.name, id=request)

    def withdraw(self, consent: str) -> None:
        """Withdraw a consent; return when every running node knows."""
        self._mesh.call(self.at, "consent withdraw", id=consent)
        self._mesh.settle()

    def _requests(self) -> Any:
        return self._mesh.call(self.at, "consent list", requests=True).consents


class Sandbox:
    """A running mesh. Made by `sandbox`."""

    def __init__(self, names: tuple[str, ...], place: Path, *, api: bool) -> None:
        self.names = names
        self._place, self._api = place, api
        self._board = Switchboard(Seed(1, MESH), lambda _: 0)
        self._ahead_ms = 0
        self._nodes: dict[str, Node] = {}
        self._scopes: dict[str, tuple[trio.CancelScope, trio.Event]] = {}
        self._nursery: trio.Nursery | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    # For the tests of integrators

    def socket(self, name: str) -> Path:
        """Return the control socket of a node: `Client(...)`, `AsyncClient(...)`."""
        return self.home(name).socket

    def home(self, name: str) -> Home:
        """Return the directory of a node."""
        return Home(self._place / str(self.names.index(name)))

    def client(self, name: str) -> Client:
        """Return a blocking client of a node."""
        return Client(self.socket(name))

    def url(self, name: str) -> str:
        """Return where a node's control API listens on TCP, on this machine; needs `sandbox(..., api=True)`."""
        return self._nodes[name].api_address

    def token(self, name: str, permission: str = "operate", **more: Any) -> str:
        """Return a new token for the API on TCP of a node. `more`: as `maille token make` takes it."""
        return str(self.call(name, "token make", name="test", permission=permission, **more).token)

    def call(self, name: str, words: str, /, **values: Any) -> Any:
        """Run any operation in a node: `mesh.call("adviser", "consent list", requests=True)`."""
        row = _operation(words)
        return self.client(name).call(row, row.args(**values))

    def meter(self, name: str, *, seed: int = 1, days: int = 30, kind: Kind = "daily", gaps: int = 0) -> str:
        """Give a node the readings of a fictitious household, up to now; return its point of measurement."""
        meter = Meter(seed)
        start = self.now() - days * 86_400
        self.client(name).import_readings(meter.senml(start, days, kind=kind, gaps=gaps))
        return meter.point

    def person(self, name: str, *, at: str) -> Person:
        """Make somebody whose wallet a node keeps."""
        self.call(at, "wallet create", name=name)
        return Person(self, name, at)

    def now(self) -> int:
        """Return the time of the nodes, unix seconds."""
        return (wall_ms() + self._ahead_ms) // 1_000

    def advance(self, *, days: int = 0, seconds: int = 0) -> None:
        """Put the clock of all nodes on; what is due happens. Consents expire so."""
        self._ahead_ms += (days * 86_400 + seconds) * 1_000
        for node in list(self._nodes.values()):
            self._run(functools.partial(self._wake, node))
        self.settle()

    async def _wake(self, node: Node) -> None:
        for mesh in node.meshes.values():
            await mesh.engine.act(lambda _: None)
            mesh.bell.ring()

    def kill(self, name: str) -> None:
        """End a node at once, as a power cut does; its directory stays."""
        scope, ended = self._scopes.pop(name)

        async def end() -> None:
            scope.cancel()
            await ended.wait()

        self._run(end)
        del self._nodes[name]

    def start(self, name: str) -> None:
        """Start a node that was killed."""
        self._run(lambda: self._begin(name))

    def partition(self, *groups: Iterable[str]) -> None:
        """Let nothing pass between groups of nodes; those in no group form one more."""
        chosen = [[self.names.index(name) for name in group] for group in groups]

        async def cut() -> None:
            self._board.partition(chosen)

        self._run(cut)

    def heal(self) -> None:
        """Let everything pass again."""

        async def mend() -> None:
            self._board.heal()

        self._run(mend)

    def settle(self) -> None:
        """Wait until all running nodes hold the same. Raises LocalError SANDBOX_FAILED."""
        self.until(self._agree, "the nodes do not agree; is one cut off?")

    def until(self, holds: Callable[[], bool], otherwise: str) -> None:
        """Wait until something is so. Raises LocalError SANDBOX_FAILED with a sentence."""
        waited = threading.Event()
        for _ in range(round(SETTLE_SECONDS_MAX / LOOK_SECONDS)):
            if holds():
                return
            waited.wait(LOOK_SECONDS)
        raise LocalError("SANDBOX_FAILED", f"{otherwise} (waited {SETTLE_SECONDS_MAX:g} s)")

    # Inside

    def _agree(self) -> bool:
        nodes = list(self._nodes.values())
        return len({node.mesh(MESH).core.replica.frontier_digest() for node in nodes}) <= 1

    async def serve(self, ready: Future[None]) -> None:
        """Run until cancelled; the body of the sandbox's thread."""
        self._token = trio.lowlevel.current_trio_token()
        self._stop = trio.Event()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for name in self.names:
                    await self._begin(name)
                ready.set_result(None)
                await self._stop.wait()
                nursery.cancel_scope.cancel()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    def stop(self) -> None:
        """End all nodes."""
        if self._token is not None:
            self._token.run_sync_soon(self._stop.set)

    async def _begin(self, name: str) -> None:
        home, number = self.home(name), self.names.index(name)
        if not home.config_file.exists():
            api = Api(listen="127.0.0.1:0") if self._api else None
            listen = (f"n{number}.example:7000",)
            hooks, at_once = Webhooks(private=True), Wallets(spread_seconds=0)  # a trial waits for no person's privacy
            home.create(Config(name, listen, workers=0, api=api, webhooks=hooks, wallets=at_once))
            Keystore.create(home.keys, None, os.urandom)
        keys = Keystore(home.keys, os.urandom)
        keys.unlock(None)
        home.socket.unlink(missing_ok=True)
        network = Host(self._board, number)
        node = Node(home, home.config(), keys, network=network, clock=lambda: wall_ms() + self._ahead_ms)
        scope, ended = trio.CancelScope(), trio.Event()

        async def live(*, task_status: trio.TaskStatus[None]) -> None:
            try:
                with scope:
                    await node.run(task_status=task_status)
            finally:
                ended.set()

        if self._nursery is None:
            raise LocalError("SANDBOX_FAILED", "the sandbox is not running")
        await self._nursery.start(live)
        self._nodes[name], self._scopes[name] = node, (scope, ended)

    def _run(self, act: Callable[[], Awaitable[T]]) -> T:
        """Run something in the sandbox's thread and wait for it."""
        result: Future[T] = Future()

        async def carried() -> None:
            try:
                result.set_result(await act())
            except BaseException as error:
                result.set_exception(error)
                if not isinstance(error, Exception):
                    raise

        if self._token is None or self._nursery is None:
            raise LocalError("SANDBOX_FAILED", "the sandbox is not running")
        self._token.run_sync_soon(self._nursery.start_soon, carried)
        return result.result(SETTLE_SECONDS_MAX)

    def found(self) -> None:
        """Found the mesh, let all in, and agree on links between all."""
        first, others = self.names[0], self.names[1:]
        self.call(first, "mesh create", name=MESH, local_name=MESH, heartbeat_seconds=5, tick_seconds=20)
        for name in others:
            did = str(self._nodes[name].root_key().did)
            ticket = self.call(first, "invite create", to=did).ticket
            self.call(name, "join", ticket=ticket)
        self.until(lambda: all(self._knows_all(name) for name in self.names), "the mesh does not form")
        pairs = [(one, other) for i, one in enumerate(self.names) for other in self.names[i + 1 :]]
        for one, other in pairs:
            self.call(one, "link offer", member=other)
        self.settle()
        for one, other in pairs:
            self.call(other, "link accept", member=one)
        self.settle()

    def _knows_all(self, name: str) -> bool:
        mesh = self._nodes[name].mesh(MESH)
        return len(mesh.core.replica.members.members) == len(self.names) and bool(
            len(self.names) == 1 or mesh.engine.connected
        )


@contextmanager
def sandbox(*names: str, api: bool = False) -> Iterator[Sandbox]:
    """Run a mesh of one node for each name, for a with-block. `api`: each also serves its API on TCP, on a free port.

    Raises LocalError SANDBOX_FAILED, and what a node refuses with when it starts.
    """
    place = Path(tempfile.mkdtemp(prefix="maille-"))
    mesh, ready = Sandbox(names or ("holder", "recipient", "host"), place, api=api), Future[None]()
    try:
        with quiet():
            thread = threading.Thread(target=trio.run, args=(mesh.serve, ready), name="maille sandbox", daemon=True)
            thread.start()
            try:
                ready.result(SETTLE_SECONDS_MAX)
                mesh.found()
                yield mesh
            finally:
                mesh.stop()
                thread.join(SETTLE_SECONDS_MAX)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _operation(words: str) -> Operation:
    noun, _, verb = words.rpartition(" ")
    row = find(noun or None, verb)
    if row is None:
        raise LocalError("NOT_FOUND", f"there is no operation {words!r}")
    return row
