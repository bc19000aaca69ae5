"""The node: its keys, its meshes, its network, its control API, in one process under one nursery.

How it works
    `Node.run` opens every mesh, takes from what our devices signed the time that it is at least (node/clock.py), and
    starts one engine a mesh, the network, and the control API. It then tells systemd that it is ready. Told to stop
    (node/process.py), it does so in this order: no new request, every channel closed with a code, the tasks ended, the
    stores closed. Nothing needs that order to be safe: what a node has acknowledged is durable, so `kill -9` loses
    nothing of it.

What it does not do
    It decides nothing about a ledger. A mesh that was restored from a backup is not run (node/mesh.py).
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

import structlog
import trio

from gossip.events import PeerUp
from ledger.errors import LocalError
from ledger.governance.epoch import Genesis
from ledger.keys import SigningKey
from node.api import make_app
from node.clock import SteadyClock
from node.compute.answering import Answerer
from node.config import ADDRESSES_MAX, TOKENS_FILE, Config, Home
from node.core import Turn
from node.event_log import EventLog
from node.exits import first_of, not_found
from node.hooks import Deliverer
from node.keyfile import KeyFile
from node.keystore import ROOT, VAULT, Keystore, device_name
from node.mesh import (
    Making,
    Mesh,
    Standing,
    make_mesh,
    open_mesh,
    read_standing,
    rejoining,
    restored,
    write_standing,
)
from node.net import Net
from node.network import Network, Tcp
from node.operations import OPERATIONS
from node.room import Room
from node.tenants import Tenants
from node.tokens import Tokens
from node.workers import WorkerPool

FAREWELL_SECONDS: Final = 0.5
"""How long channels are given to end politely when the node stops."""
REQUEST_SECONDS: Final = 0.5
"""How long running requests are given when the node stops."""
ANNOUNCE_SECONDS: Final = 30
"""After so long an address that could not be announced is announced again."""
_WILDCARDS: Final = ("0.0.0.0:", "[::]:")

RESTORED: Final = "RESTORED"


class Node:
    """A running node. Operations are handed this object (node/ops)."""

    def __init__(
        self,
        home: Home,
        config: Config,
        keys: Keystore,
        *,
        network: Network | None = None,
        clock: Callable[[], int] | None = None,
        random_source: random.Random | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`keys`: unlocked. `network`, `clock` (unix ms) and randomness are injected by test drivers."""
        self.home, self.config, self.keys = home, config, keys
        self.tenants = Tenants(keys.tenants())
        self.room = Room(home, lambda: self.config.storage.quota_bytes)
        self.clock: Callable[[], int] = clock or SteadyClock()
        self.random_bytes = random_bytes
        self.random_source = random_source or random.Random(os.urandom(16))
        self.network: Network = network or Tcp()
        self.net = Net(
            self.network,
            random_source=self.random_source,
            random_bytes=random_bytes,
            relay=lambda: self.config.relay,
        )
        self.meshes: dict[str, Mesh] = {}
        self.tokens = Tokens(home.path / (config.api.tokens if config.api is not None else TOKENS_FILE), random_bytes)
        self.api_address = ""  # of the control API on TCP, once it listens there
        self.metrics_address = ""  # of /metrics on TCP, once it listens there
        self.waiting: dict[str, str] = {}  # meshes that are not run, and why (a code)
        self.version = version("maille")
        self.started_ms = self.clock()
        self.events = EventLog()
        self.stop = trio.Event()
        workers = config.workers if config.workers is not None else max(1, (os.cpu_count() or 2) - 1)
        self._workers = WorkerPool(workers) if workers else None
        self._nursery: trio.Nursery | None = None
        self._log = structlog.get_logger("node")

    # What operations use

    @property
    def now(self) -> int:
        """The time, unix seconds."""
        return self.clock() // 1_000

    def mesh(self, name: str = "") -> Mesh:
        """Return a mesh by its local name or the beginning of its id; without either, the only one.

        Raises LocalError NOT_FOUND, MESH_UNCLEAR, MESH_RESTORED.
        """
        if name in self.waiting:
            told = f"The mesh {name!r} came from a backup and is not run; run `maille device recover {name}` first."
            raise LocalError("MESH_RESTORED", told)
        if name in self.meshes:
            return self.meshes[name]
        found = [mesh for mesh in self.meshes.values() if not name or mesh.mesh_id.hex().startswith(name)]
        if len(found) == 1:
            return found[0]
        if not self.meshes and self.waiting and not name:
            return self.mesh(min(self.waiting))
        if not self.meshes:
            raise not_found("This node is in no mesh yet; make one with `maille mesh create`, or join one.", "mesh")
        known = ", ".join(sorted(self.meshes))
        if found:
            raise LocalError("MESH_UNCLEAR", f"Say which mesh with --mesh; there are {known}.", field="mesh")
        raise not_found(f"There is no mesh {name!r} here; there are {known}.", "mesh")

    def root_key(self, file: bytes | None = None, passphrase: str | None = None) -> SigningKey:
        """Return the root key: from our keys, or from a key file that was moved away.

        Raises LocalError KEY_MISSING, KEY_LOCKED, KEY_WRONG; RemoteError KEY_DAMAGED.
        """
        if file is None:
            return self.keys.signing(ROOT)
        key = KeyFile.decode(file)
        if key.purpose != "root":
            raise LocalError("KEY_WRONG", f"This is a {key.purpose} key; the root key is asked for.", field="root_key")
        return SigningKey.from_seed(key.unlock(passphrase))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others can reach us: as configured, else where we listen, unless that is every interface."""
        if self.config.advertise:
            return self.config.advertise
        return tuple(address for address in self.net.listening if not address.startswith(_WILDCARDS))

    def making(self) -> Making:
        """Return what meshes are made and opened with."""
        return Making(
            self.keys.secret(VAULT),
            self.clock,
            self.random_source,
            self.random_bytes,
            self.tenants,
            probes_a_day=self.config.probes_a_day,
            pending_evidence=self.config.pending_evidence,
            links=self.config.links,
            spread_seconds=self.config.wallets.spread_seconds,
        )

    async def found_mesh(self, name: str, genesis: Genesis, root: SigningKey, device: SigningKey) -> Mesh:
        """Make a mesh of one, with ourselves as founder, and run it. `device`: kept by the caller as its device key."""
        standing = Standing(root.kid.hex(), 1, genesis.mesh_id.hex())
        make_mesh(self.home.mesh(name), standing, genesis, self.making(), (root, device, self.config.name))
        return await self.add_mesh(name)

    async def add_mesh(self, name: str) -> Mesh:
        """Open a mesh that is on disk and run it, from now on."""
        mesh = self._open(name)
        await self._start(mesh)
        self.net.add_mesh(mesh.runtime)
        await self.announce(mesh)
        return mesh

    async def rejoin_mesh(self, mesh: Mesh, standing: Standing) -> None:
        """Go on in a mesh as a new incarnation: its standing is written, and its device's key takes its place.

        What is durable decides: `_open` completes what a crash interrupts.
        """
        write_standing(mesh.path, standing)
        self._take_device(mesh.name, standing)
        identity, connected = self.keys.identity(mesh.name), mesh.engine.connected
        mesh.standing, mesh.runtime.identity = standing, identity
        mesh.vouch()

        def begin(turn: Turn) -> None:
            turn.core.become(identity.device, standing.party)
            turn.start()
            for peer in connected:
                turn.handle(PeerUp(peer, member=False))

        await mesh.engine.act(begin)
        for peer in {*connected, *mesh.engine.connected}:  # some may have come up with the former device meanwhile
            mesh.engine.hang_up(peer, "DEVICE_CHANGED", "this node goes on with another device")
        self.net.review(mesh.runtime)

    def _take_device(self, name: str, standing: Standing) -> None:
        young = device_name(rejoining(name, standing.incarnation))
        if self.keys.has(young):
            self.keys.rename(young, device_name(name))

    # Life

    async def run(self, *, serve: bool = True, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop` is set. `serve`: whether the control API listens on its socket."""
        try:
            if self._workers is None:
                await self._run(serve, task_status)
            else:
                async with self._workers:
                    await self._run(serve, task_status)
        finally:
            for mesh in self.meshes.values():
                mesh.close()

    async def _run(self, serve: bool, task_status: trio.TaskStatus[None]) -> None:
        for name in self.home.mesh_names():
            if restored(self.home.mesh(name)):
                self.waiting[name] = RESTORED
                self._log.warning("mesh not run", mesh=name, code=RESTORED)
            else:
                self._open(name)
        self._check_clock()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for mesh in self.meshes.values():
                await self._start(mesh)
                self.net.add_mesh(mesh.runtime)
            await nursery.start(self._listen)
            for mesh in self.meshes.values():
                await self.announce(mesh)
            if serve:
                await nursery.start(self._serve)
            if self.config.api is not None:
                from node.listening import serve as serve_api

                self.api_address = await nursery.start(serve_api, self, self.config.api)
                self._log.info("control API", address=self.api_address)
            if self.config.discovery.lan:
                from node.nearby import Mdns, Nearby

                nursery.start_soon(Nearby(self.net, Mdns(), lambda: self.now, self.random_bytes).run)
            if self.config.metrics is not None:
                from node.observing import serve as serve_metrics

                self.metrics_address = await nursery.start(serve_metrics, self, self.config.metrics)
            if self.config.pages is not None:
                from node.pages.service import serve as serve_pages

                await nursery.start(serve_pages, self, self.config.pages)
            if self.config.console is not None:
                from node.console.service import serve as serve_console

                await nursery.start(serve_console, self, self.config.console)
            task_status.started()
            self._log.info("ready", meshes=len(self.meshes), listening=list(self.net.listening))
            notify("READY=1")
            await self.stop.wait()
            notify("STOPPING=1")
            self._log.info("stopping")
            await self._farewell()
            nursery.cancel_scope.cancel()

    def _check_clock(self) -> None:
        """Hold the machine's clock against what our devices have signed: that was said before now."""
        signed = max((mesh.signed_at for mesh in self.meshes.values()), default=0)
        if isinstance(self.clock, SteadyClock):
            self.clock.not_before(signed * 1_000)
            if self.clock.behind:
                self.started_ms = self.clock()
                self._log.error("clock behind what was signed", code="CLOCK_BEHIND", by_ms=-self.clock.held_ms)

    @property
    def clock_behind(self) -> bool:
        """Whether the time is later than `now` says, by an unknown span: then data wait (node/clock.py)."""
        return isinstance(self.clock, SteadyClock) and self.clock.behind

    def _open(self, name: str) -> Mesh:
        verifier = self._workers
        self._take_device(name, read_standing(self.home.mesh(name)))
        identity = self.keys.identity(name)
        mesh = open_mesh(
            name,
            self.home.mesh(name),
            identity,
            self.making(),
            verifier=verifier,
            on_membership=self._membership_moved,
        )
        mesh.flows.receiving.full = mesh.flows.releasing.full = lambda: self.room.full
        mesh.flows.door.unsure = lambda: self.clock_behind
        self.meshes[name] = mesh
        return mesh

    def _membership_moved(self, mesh: Mesh) -> None:
        self.net.review(mesh.runtime)
        if self._nursery is not None:  # we may just have become a member ourselves
            self._nursery.start_soon(self._announce_in_time, mesh)

    async def _announce_in_time(self, mesh: Mesh) -> None:
        """Announce where we are, again until the disk keeps it: a full one must not end the node."""
        while True:
            try:
                return await self.announce(mesh)
            except LocalError as error:
                self._log.error("address not announced", code=error.code, reason=error.message)
                await trio.sleep(ANNOUNCE_SECONDS)

    async def _start(self, mesh: Mesh) -> None:
        if self._nursery is None:
            raise LocalError("NODE_STOPPING", "The node is not running.")
        self._nursery.start_soon(mesh.engine.run)
        await mesh.engine.started.wait()
        if await mesh.engine.read(mesh.flows.spreading.all_waiting):
            await mesh.engine.act(mesh.flows.spreading.plan)
        hooks = Deliverer(mesh, self.clock, self.random_source, private=lambda: self.config.webhooks.private)
        self._nursery.start_soon(hooks.run)
        self._nursery.start_soon(Answerer(mesh).run)

    async def _listen(self, task_status: trio.TaskStatus[None]) -> None:
        try:
            await self.net.run(self.config.listen, task_status=task_status)
        except* OSError as group:
            raise _cannot_listen(self.config, group.exceptions[0]) from None

    async def announce(self, mesh: Mesh) -> None:
        """Tell a mesh where we can be reached, if we are a member there."""
        relays = self.net.relay_addresses(mesh.mesh_id)
        addresses = (*self.addresses[: ADDRESSES_MAX - len(relays)], *relays)
        if mesh.core.is_member_device(mesh.core.device.kid):
            await mesh.engine.act(lambda turn: turn.core.directory.announce(turn, addresses))

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        from hypercorn.config import Config as Hypercorn
        from hypercorn.trio import serve

        settings = Hypercorn()
        settings.bind = [f"unix:{self.home.socket}"]
        settings.umask = 0o177  # the socket's mode: 0600
        settings.graceful_timeout = REQUEST_SECONDS
        settings.accesslog = None
        settings.errorlog = None
        app = make_app(self, OPERATIONS, self.version)
        await serve(app, settings, shutdown_trigger=self.stop.wait, task_status=task_status)  # type: ignore[arg-type]

    async def _farewell(self) -> None:
        for mesh in self.meshes.values():
            for peer in mesh.engine.connected:
                mesh.engine.hang_up(peer, "STOPPING", "this node is stopping")
        with trio.move_on_after(FAREWELL_SECONDS):
            while self.net.peerings:
                await trio.sleep(0.01)


def notify(state: str) -> None:
    """Tell systemd about our state, where it asked for that (NOTIFY_SOCKET; sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError as error:
            structlog.get_logger("node").warning("systemd not told", reason=str(error))


def _cannot_listen(config: Config, error: BaseException) -> LocalError:
    where, first = ", ".join(config.listen), first_of(error)
    why = os.strerror(first.errno) if isinstance(first, OSError) and first.errno else str(first)
    told = f"Cannot listen on {where}: {why}. Stop what is there, or choose another address: "
    return LocalError("LISTEN_REFUSED", told + "`maille config set listen '[\"127.0.0.1:8472\"]'`.")
