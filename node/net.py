"""The network shell: listens, dials, and runs one encrypted channel a connection. It decides nothing.

How it works
    One listener serves every mesh of the node; the channel's opening tells which mesh is meant. A connection is
    three tasks: one reads bytes into the channel and puts messages into the mesh's engine; one drains the peer's
    outbox through the channel into the socket, unless that is little and the socket takes it at once, in the engine's
    own task; one looks at the clock for both, so that no read and no send needs a deadline of its own. Sealing order
    is sending order, and a blocked writer never stops the reader, so two busy ends cannot lock each other.

    For each mesh a dialer keeps channels to members whose address is known, with exponential back-off and jitter.
    Of two channels between the same nodes, the one that the smaller device id dialed is kept.

What it does not do
    It knows no entries and no rights: whether a peer is a member is the core's answer. Behind NAT a node only dials.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, assert_never

import structlog
import trio

from gossip import events as gossip
from gossip.channel import Channel, Closed, Established, Identity, Limits, Phase, Received, Transmit
from gossip.channel import Effect as ChannelEffect
from node.core import RandomBytes
from node.directory import Card
from node.engine import Outbox
from node.network import Network, TcpStream
from node.peering import MeshRuntime, Peering

CONNECTIONS_MAX: Final = 512
HANDSHAKES_MAX: Final = 64  # connections that have not shown who they are
CONNECTIONS_A_HOST_MAX: Final = 32
READ_BYTES: Final = 262_144
NEIGHBOURS_MAX: Final = 16  # members a node dials; more are reached through gossip
BACKOFF_FIRST_SECONDS: Final = 0.5
BACKOFF_MAX_SECONDS: Final = 60.0
DIALS_IN_VAIN_MAX: Final = 6  # then somebody else is dialed in this member's place, for a while
LOOK_SECONDS: Final = 30.0  # how often members without a channel are looked for, at least
SEND_SECONDS_MAX: Final = 60.0  # for one frame: whoever takes less than a kilobyte a second is gone
DIAL_SECONDS_MAX: Final = 10.0
OTHER_DEVICE: Final = "WRONG_KEY"  # code of a channel that ended since another device than the one dialled answered
STRANGER_SECONDS_MAX: Final = 60.0  # how long a key that is no member may stay
JOIN_SMALL_BYTES: Final = 16_384  # chunks below are joined into one send
SEAL_BYTES: Final = 262_144  # messages sealed at once, before they are sent: the peer opens them meanwhile
BUSY_SECONDS: Final = 1.0  # how soon the clock is looked at again while the engine's inbox is full


class Net:
    """All connections of a node. `run` until cancelled."""

    def __init__(
        self,
        network: Network,
        *,
        random_source: random.Random,
        random_bytes: RandomBytes,
        limits: Limits | None = None,
    ) -> None:
        self._network, self._random, self._random_bytes, self._limits = network, random_source, random_bytes, limits
        self.meshes: dict[bytes, MeshRuntime] = {}
        self.peerings: dict[tuple[bytes, bytes], Peering] = {}
        self.failures: dict[tuple[bytes, bytes], str] = {}
        self.listening: list[str] = []
        self._nursery: trio.Nursery | None = None
        self._handshakes = 0
        self._ended_bytes = (0, 0)
        self._hosts: Counter[str] = Counter()
        self._log = structlog.get_logger("net")

    async def run(
        self, listen: Sequence[str], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen at the given addresses and dial for every mesh, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for address in listen:
                self.listening.append(await nursery.start(self._network.listen, address, self._accept))
            for runtime in self.meshes.values():
                nursery.start_soon(self._dialer, runtime)
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
        if self._nursery is not None:
            self._nursery.start_soon(self._dialer, runtime)

    def review(self, runtime: MeshRuntime) -> None:
        """After membership moved: look for members to dial. (The core ends and promotes channels itself.)"""
        runtime.wake.set()

    def bytes_total(self) -> tuple[int, int]:
        """Return the bytes received and sent over all channels since the start, those that ended included."""
        got, sent = self._ended_bytes
        return (
            got + sum(peering.bytes_in for peering in self.peerings.values()),
            sent + sum(peering.bytes_out for peering in self.peerings.values()),
        )

    # Answering

    async def _accept(self, stream: trio.abc.Stream, host: str) -> None:
        full = len(self.peerings) >= CONNECTIONS_MAX or self._handshakes >= HANDSHAKES_MAX
        if full or self._hosts[host] >= CONNECTIONS_A_HOST_MAX:
            await trio.aclose_forcefully(stream)
            return
        self._hosts[host] += 1
        try:
            hosted: Mapping[bytes, Identity] = {mesh_id: r.identity for mesh_id, r in self.meshes.items()}
            channel = Channel.responder(hosted, self._random_bytes, limits=self._limits)
            await _Connection(self, stream, channel, host, dialed=False).run()
        finally:
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]

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
                for kid in await self._candidates(runtime):
                    if kid not in dialing and len(dialing) < NEIGHBOURS_MAX:
                        dialing.add(kid)
                        nursery.start_soon(keep, kid)
                with trio.move_on_after(LOOK_SECONDS):
                    await runtime.wake.wait()

    async def _candidates(self, runtime: MeshRuntime) -> list[bytes]:
        """Return the members whose address is known, in random order; the newest address card counts."""
        cards: list[Card] = await runtime.engine.read(lambda turn: turn.core.directory.cards(turn.rows))
        core = runtime.engine.core
        runtime.hints.update({card.device: card.addresses for card in cards if card.addresses})
        wanted = [kid for kid in sorted(runtime.hints) if kid != core.device.kid and core.is_member_device(kid)]
        self._random.shuffle(wanted)
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

    async def dial(self, runtime: MeshRuntime, kid: bytes) -> bool:
        """Try a device's addresses once; run the channel to its end. True when one was established.

        Where another device answers, it may have taken this one's place: it is met as a stranger, and shows that.
        """
        found = await self._dial(runtime, kid, kid)
        other = OTHER_DEVICE in self.failures.get((runtime.mesh_id, kid), "")
        return found or (other and await self._dial(runtime, kid, None))

    async def _dial(self, runtime: MeshRuntime, kid: bytes, expected: bytes | None) -> bool:
        for address in runtime.hints.get(kid, ()):
            try:
                with trio.fail_after(DIAL_SECONDS_MAX):
                    stream = await self._network.dial(address)
            except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
                self.failures[runtime.mesh_id, kid] = f"{address}: {error}"
                continue
            channel = Channel.initiator(
                runtime.identity,
                runtime.mesh_id,
                self._random_bytes,
                expected_device_kid=expected,
                expected_static=runtime.statics.get(kid) if expected is not None else None,
                limits=self._limits,
            )
            connection = _Connection(self, stream, channel, address, dialed=True)
            await connection.run()
            if connection.established:
                self.failures.pop((runtime.mesh_id, kid), None)
                return True
            if (runtime.mesh_id, kid) not in self.peerings:
                self.failures[runtime.mesh_id, kid] = f"{address}: {connection.ended}"
            if connection.ended.startswith("IK_REFUSED"):
                runtime.statics.pop(kid, None)
        return False


class _Connection:
    """One stream and its channel, from the first byte to the last."""

    def __init__(self, net: Net, stream: trio.abc.Stream, channel: Channel, address: str, *, dialed: bool) -> None:
        self._net, self._stream, self._channel, self._address = net, stream, channel, address
        self._dialed = dialed
        self._sealed: list[bytes] = []
        self._wake = trio.Event()
        self._idle = False  # the writing task waits for work
        self._outbox = Outbox(self._notify)
        self._runtime: MeshRuntime | None = None
        self._peering: Peering | None = None
        self._stranger_until = float("inf")
        self._sending_since = float("inf")
        self._reading = False  # else the engine's inbox is full: silence is ours then, not the peer's
        self._met = trio.Event()
        self.established = False
        self.ended = ""

    def _notify(self) -> None:
        """Send what is small at once, as far as the system takes it; leave the rest to the writing task."""
        small = 0 < self._outbox.waiting_bytes <= JOIN_SMALL_BYTES and self._channel.phase is Phase.OPEN
        if small and self._idle and not self._sealed and isinstance(self._stream, TcpStream):
            self._seal(self._channel.send(self._outbox.drain()))
            data = b"".join(self._sealed)
            sent = self._stream.send_now(data)
            if self._peering is not None:
                self._peering.bytes_out += sent
            self._sealed = [data[sent:]] if sent < len(data) else []
            if not self._sealed:
                return
        self._wake.set()

    async def run(self) -> None:
        """Converse until the channel or the stream ends; then tell the engine."""
        self._net._handshakes += 1
        counted = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                await self._apply(self._channel.start(_now_ms()))
                nursery.start_soon(self._watch, nursery.cancel_scope)
                while not self.ended:
                    await self._read()
                    if counted and self._channel.phase is Phase.OPEN:
                        self._net._handshakes -= 1
                        counted = False
                self._notify()
        finally:
            self._net._handshakes -= counted
            await self._gone()

    async def _gone(self) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await trio.aclose_forcefully(self._stream)
        runtime, peering = self._runtime, self._peering
        if runtime is None or peering is None:
            return
        peering.gone.set()
        self._net._ended_bytes = (
            self._net._ended_bytes[0] + peering.bytes_in,
            self._net._ended_bytes[1] + peering.bytes_out,
        )
        if runtime.engine.disconnect(peering.kid, self._outbox):
            self._net.peerings.pop((runtime.mesh_id, peering.kid), None)

    async def _read(self) -> None:
        self._reading = True
        try:
            data = await self._stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        self._reading = False
        if data:
            if self._peering is not None:
                self._peering.bytes_in += len(data)
            await self._apply(self._channel.receive(bytes(data), _now_ms()))
        elif not self.ended:
            await self._apply(self._channel.end_of_stream())

    async def _watch(self, scope: trio.CancelScope) -> None:
        """Keep the deadlines of the channel, of a stranger's stay, and of the frame that is being sent."""
        while not self.ended:
            deadline, now = self._channel.deadline_ms, trio.current_time()
            at = deadline / 1_000 if deadline is not None else float("inf")
            if at <= now and not self._reading:
                at = now + BUSY_SECONDS
            at = min(at, self._stranger_until, min(self._sending_since, now) + SEND_SECONDS_MAX)
            with trio.move_on_at(at):
                await self._met.wait()  # deadlines are others from then on; before, they only move away
                self._met = trio.Event()
                continue
            if trio.current_time() >= self._sending_since + SEND_SECONDS_MAX:
                self._cut_off(scope)
                return
            if trio.current_time() >= self._stranger_until:
                self._stranger_until = float("inf")
                if not self._is_member():
                    self._outbox.close("STRANGER_TIMEOUT", "this key is no member; ask again once you were admitted")
            if self._reading:
                await self._apply(self._channel.tick(_now_ms()))

    async def _write(self, scope: trio.CancelScope) -> None:
        """Send what is sealed; seal what waits in the outbox; end with the channel."""
        try:
            while True:
                messages = self._outbox.drain(SEAL_BYTES) if self._channel.phase is Phase.OPEN else []
                if messages:
                    self._seal(self._channel.send(messages))
                if self._sealed:
                    chunks, self._sealed = self._sealed, []
                    await self._send(chunks)
                elif self.ended:
                    scope.cancel()
                    return
                elif self._outbox.closing is not None and self._channel.phase is not Phase.CLOSED:
                    self._seal(self._channel.close(*self._outbox.closing))
                else:
                    self._idle = True
                    await self._wake.wait()
                    self._wake, self._idle = trio.Event(), False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._cut_off(scope)

    def _cut_off(self, scope: trio.CancelScope) -> None:
        self.ended = self.ended or "STREAM_TRUNCATED"
        scope.cancel()

    def _is_member(self) -> bool:
        runtime, peering = self._runtime, self._peering
        return runtime is not None and peering is not None and runtime.engine.core.is_member_device(peering.kid)

    async def _send(self, chunks: Sequence[bytes]) -> None:
        joined = [b"".join(chunks)] if sum(map(len, chunks)) <= JOIN_SMALL_BYTES else chunks
        for chunk in joined:
            self._sending_since = trio.current_time()
            await self._stream.send_all(chunk)
            self._sending_since = float("inf")
            if self._peering is not None:
                self._peering.bytes_out += len(chunk)

    def _seal(self, effects: Sequence[ChannelEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Transmit):
                self._sealed.append(effect.data)
            elif isinstance(effect, Closed):
                self.ended = effect.code

    async def _apply(self, effects: Sequence[ChannelEffect]) -> None:
        for effect in effects:
            match effect:
                case Transmit(data):
                    self._sealed.append(data)
                    self._notify()
                case Established():
                    await self._meet(effect)
                case Received(message):
                    if self._runtime is not None and self._peering is not None:
                        await self._runtime.engine.put(gossip.Message(self._peering.kid, message))
                case Closed(code, message, remote):
                    self.ended = code
                    self._net._log.info("channel ended", code=code, remote=remote, address=self._address)
                    self._notify()
                case _:
                    assert_never(effect)

    async def _meet(self, met: Established) -> None:
        self._met.set()
        runtime, kid = self._net.meshes[met.mesh_id], met.peer_kid
        former = self._net.peerings.get((met.mesh_id, kid))
        own = runtime.engine.core.device.kid
        if former is not None and self._dialed not in (former.dialed, own < kid):
            self._outbox.close("DUPLICATE", "this node is already connected to you")
            return
        self.established = True
        self._runtime = runtime
        self._peering = Peering(kid, self._address, self._dialed, trio.current_time())
        self._net.peerings[met.mesh_id, kid] = self._peering
        runtime.statics[kid] = met.peer_static
        member = runtime.engine.core.is_member_device(kid)
        if not member:
            self._stranger_until = trio.current_time() + STRANGER_SECONDS_MAX
        runtime.engine.connect(kid, self._outbox)
        await runtime.engine.put(gossip.PeerUp(kid, member))


def _now_ms() -> int:
    return round(trio.current_time() * 1_000)  # rounded down, a deadline just reached would not be due yet
