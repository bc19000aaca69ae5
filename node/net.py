"""The network shell: listens, dials, and runs one encrypted channel a connection. It decides nothing.

How it works
    One listener serves every mesh of the node; the channel's opening tells which mesh is meant. What is up is in
    `peerings`; node/connection.py runs each connection.

    For each mesh a dialer keeps channels to members whose address is known, with exponential back-off and jitter: to
    some for gossip, and to every one with which data or content is to be exchanged, for that passes through nobody
    else. An address may lead through a member that passes sealed frames on (node/relaying.py): those are dialed last.

What it does not do
    It knows no entries and no rights: whether a peer is a member is the core's answer. Behind NAT a node only dials.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
import trio

from gossip.channel import VERSIONS, Channel, Identity, Limits, Versions
from ledger.errors import LocalError
from node.connection import Connection
from node.core import RandomBytes, Turn
from node.directory import Card
from node.doorway import Doorway
from node.network import Network, is_relay
from node.peering import MeshRuntime, Peering
from node.relaying import CircuitStream, Switch
from node.tables import Relay

NEIGHBOURS_MAX: Final = 16  # members a node dials for gossip; more are reached through these
PARTNERS_MAX: Final = 128  # members dialed besides, since data or content is to pass between them and us
BACKOFF_FIRST_SECONDS: Final = 0.5
BACKOFF_MAX_SECONDS: Final = 60.0
DIALS_IN_VAIN_MAX: Final = 6  # then somebody else is dialed in this member's place, for a while
LOOK_SECONDS: Final = 30.0  # how often members without a channel are looked for, at least
DIAL_SECONDS_MAX: Final = 10.0
OTHER_DEVICE: Final = "WRONG_KEY"  # code of a channel that ended since another device than the one dialled answered


class Net:
    """All connections of a node. `run` until cancelled."""

    def __init__(
        self,
        network: Network,
        *,
        random_source: random.Random,
        random_bytes: RandomBytes,
        limits: Limits | None = None,
        relay: Callable[[], Relay] = Relay,
        versions: Versions = VERSIONS,
    ) -> None:
        """`relay`: the settings of passing on, as they are now. `versions`: of the protocol that are spoken."""
        self._versions = versions
        self._network, self._random, self._random_bytes, self._limits = network, random_source, random_bytes, limits
        self.meshes: dict[bytes, MeshRuntime] = {}
        self.relay = relay
        self.switches: dict[bytes, Switch] = {}
        self.peerings: dict[tuple[bytes, bytes], Peering] = {}
        self.failures: dict[tuple[bytes, bytes], str] = {}
        self.listening: list[str] = []
        self._nursery: trio.Nursery | None = None
        self.ended_bytes = (0, 0)
        self.doorway = Doorway(random_source)
        self.log = structlog.get_logger("net")

    async def run(
        self, listen: Sequence[str], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen at the given addresses and dial for every mesh, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for address in listen:
                self.listening.append(await nursery.start(self._network.listen, address, self._accept))
            for runtime in self.meshes.values():
                self._serve(nursery, runtime)
            task_status.started()
            await trio.sleep_forever()

    async def listen_also(self, addresses: Sequence[str]) -> None:
        """Listen at further addresses. Raises OSError at the first that cannot be had; those before it are kept."""
        if self._nursery is not None:
            for address in addresses:
                self.listening.append(await self._nursery.start(self._network.listen, address, self._accept))

    def add_mesh(self, runtime: MeshRuntime) -> None:
        """Serve one more mesh, from now on."""
        self.meshes[runtime.mesh_id] = runtime
        self.switches[runtime.mesh_id] = Switch(runtime, self)
        if self._nursery is not None:
            self._serve(self._nursery, runtime)

    def relay_addresses(self, mesh_id: bytes) -> tuple[str, ...]:
        """Return what our address card in a mesh says of the members that pass on to us."""
        switch = self.switches.get(mesh_id)
        return switch.addresses() if switch is not None else ()

    def _serve(self, nursery: trio.Nursery, runtime: MeshRuntime) -> None:
        nursery.start_soon(self._dialer, runtime)
        nursery.start_soon(self.switches[runtime.mesh_id].run)

    def review(self, runtime: MeshRuntime) -> None:
        """After membership moved: look for members to dial. (The core ends and promotes channels itself.)"""
        runtime.wake.set()

    def bytes_total(self) -> tuple[int, int]:
        """Return the bytes received and sent over all channels since the start, those that ended included."""
        got, sent = self.ended_bytes
        return (
            got + sum(peering.bytes_in for peering in self.peerings.values()),
            sent + sum(peering.bytes_out for peering in self.peerings.values()),
        )

    # Answering

    def called(self, stream: trio.abc.Stream, host: str) -> None:
        """Answer on a stream that a relay brought."""
        if self._nursery is not None:
            self._nursery.start_soon(self._accept, stream, host)

    async def _accept(self, stream: trio.abc.Stream, host: str) -> None:
        if not self.doorway.enter(host):
            await trio.aclose_forcefully(stream)
            return
        try:
            hosted: Mapping[bytes, Identity] = {mesh_id: r.identity for mesh_id, r in self.meshes.items()}
            channel = Channel.responder(hosted, self._random_bytes, limits=self._limits, versions=self._versions)
            await Connection(self, stream, channel, host, dialed=False).run()
        finally:
            self.doorway.leave(host)

    # Dialing

    async def _dialer(self, runtime: MeshRuntime) -> None:
        dialing: set[bytes] = set()

        async def keep(kid: bytes) -> None:
            try:
                await self._keep_dialing(runtime, kid)
            finally:
                dialing.discard(kid)

        async with trio.open_nursery() as nursery:
            while True:
                runtime.wake = trio.Event()
                for kid in await self._known(runtime):
                    partner = kid in runtime.partners
                    most = PARTNERS_MAX if partner else NEIGHBOURS_MAX
                    if kid not in dialing and sum((one in runtime.partners) == partner for one in dialing) < most:
                        dialing.add(kid)
                        nursery.start_soon(keep, kid)
                with trio.move_on_after(LOOK_SECONDS):
                    await runtime.wake.wait()

    async def _known(self, runtime: MeshRuntime) -> list[bytes]:
        """Return the candidates; none while the ledger cannot be read. They are looked at again soon."""
        try:
            return await self._candidates(runtime)
        except LocalError as error:  # a full or failing disk ends no node: what is connected goes on
            self.log.error("nobody dialed", code=error.code, reason=error.message)
            return []

    async def _candidates(self, runtime: MeshRuntime) -> list[bytes]:
        """Return the members whose address is known, in random order; the newest address card counts."""
        cards, runtime.partners = await runtime.engine.read(_told)
        core = runtime.engine.core
        runtime.hints.update({card.device: card.addresses for card in cards if card.addresses})
        wanted = [
            kid
            for kid in sorted({*runtime.hints, *runtime.near})
            if kid != core.device.kid and core.is_member_device(kid)
        ]
        self._random.shuffle(wanted)
        relays = self.switches[runtime.mesh_id].relays()
        wanted.sort(key=lambda kid: core.replica.members.party_of(kid)[0] not in relays)
        return wanted

    async def _keep_dialing(self, runtime: MeshRuntime, kid: bytes) -> None:
        """Keep a channel to a member, until it is none or has been dialed in vain too often."""
        backoff, vain = BACKOFF_FIRST_SECONDS, 0
        while runtime.engine.core.is_member_device(kid) and vain < DIALS_IN_VAIN_MAX:
            peering = self.peerings.get((runtime.mesh_id, kid))
            if peering is not None:
                await peering.gone.wait()
                backoff, vain = BACKOFF_FIRST_SECONDS, 0
            elif await self.dial(runtime, kid):
                backoff, vain = BACKOFF_FIRST_SECONDS, 0
            else:
                backoff, vain = min(backoff * 2, BACKOFF_MAX_SECONDS), vain + 1
            if (runtime.mesh_id, kid) not in self.peerings:
                await trio.sleep(backoff * self._random.uniform(0.5, 1.5))

    def dial_soon(self, runtime: MeshRuntime, kid: bytes) -> None:
        """Dial a device beside whatever else goes on."""
        if self._nursery is not None:
            self._nursery.start_soon(self.dial, runtime, kid)

    async def dial(self, runtime: MeshRuntime, kid: bytes) -> bool:
        """Try a device's addresses once; run the channel to its end. True when one was established.

        Where another device answers, it may have taken this one's place: it is met as a stranger, and shows that.
        """
        found = await self._dial(runtime, kid, kid)
        other = OTHER_DEVICE in self.failures.get((runtime.mesh_id, kid), "")
        return found or (other and await self._dial(runtime, kid, None))

    async def meet(self, runtime: MeshRuntime, address: str) -> None:
        """Dial an address where some member is said to be, until the channel ends; the handshake shows who is there.

        Where it is a member's device, the address is dialed again later.
        """
        try:
            with trio.fail_after(DIAL_SECONDS_MAX):
                stream = await self._network.dial(address)
        except (OSError, trio.TooSlowError, trio.BrokenResourceError):
            return
        channel = Channel.initiator(runtime.identity, runtime.mesh_id, self._random_bytes, limits=self._limits)
        connection = Connection(self, stream, channel, address, dialed=True)
        await connection.run()
        kid = connection.met
        if kid is not None and runtime.engine.core.is_member_device(kid):
            runtime.near[kid] = address
            runtime.wake.set()

    async def _converse(
        self, runtime: MeshRuntime, kid: bytes, address: str, expected: bytes | None
    ) -> tuple[Connection, trio.abc.Stream]:
        """Dial an address and run the channel to its end; return it with its stream. Raises what dialing does.

        Whoever refuses our version and names one that we speak too is dialed again with that. Nobody signed the
        refusal, but the handshake shows what the peer speaks, and ends where somebody on the way has lied.
        """
        version: int | None = None
        while True:
            with trio.fail_after(DIAL_SECONDS_MAX):
                stream = await self._open(runtime, address, kid)
            channel = Channel.initiator(
                runtime.identity,
                runtime.mesh_id,
                self._random_bytes,
                expected_device_kid=expected,
                expected_static=runtime.statics.get(kid) if expected is not None else None,
                versions=self._versions,
                protocol_version=version,
                limits=self._limits,
            )
            connection = Connection(self, stream, channel, address, dialed=True)
            await connection.run()
            common = self._versions.common(connection.spoken) if connection.spoken is not None else None
            if common is None or version is not None:
                return connection, stream
            version = common

    async def _dial(self, runtime: MeshRuntime, kid: bytes, expected: bytes | None) -> bool:
        near = [runtime.near.pop(kid)] if kid in runtime.near else []
        for address in (*near, *sorted(runtime.hints.get(kid, ()), key=is_relay)):
            try:
                connection, stream = await self._converse(runtime, kid, address, expected)
            except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
                self.failures[runtime.mesh_id, kid] = f"{address}: {error}"
                continue
            if connection.established:
                self.failures.pop((runtime.mesh_id, kid), None)
                runtime.near.update({kid: address} if address in near else {})
                return True
            if (runtime.mesh_id, kid) not in self.peerings:
                told = stream.refusal if isinstance(stream, CircuitStream) else ""
                self.failures[runtime.mesh_id, kid] = f"{address}: {told or connection.ended}"
            if connection.ended.startswith("IK_REFUSED"):
                runtime.statics.pop(kid, None)
        return False

    async def _open(self, runtime: MeshRuntime, address: str, kid: bytes) -> trio.abc.Stream:
        if is_relay(address):
            return await self.switches[runtime.mesh_id].dial(address, kid)
        return await self._network.dial(address)


def _told(turn: Turn) -> tuple[list[Card], frozenset[bytes]]:
    """Return the address cards, and the devices that data or content is to go to."""
    core = turn.core
    return core.directory.cards(turn.rows), core.data.partners(turn) if core.data is not None else frozenset()
