"""One connection and its encrypted channel, from the first byte to the last.

How it works
    Three tasks: one reads bytes into the channel and puts messages into the mesh's engine; one drains the peer's
    outbox through the channel into the socket, unless that is little and the socket takes it at once, in the engine's
    own task; one looks at the clock for both, so that no read and no send needs a deadline of its own. Sealing order
    is sending order, and a blocked writer never stops the reader, so two busy ends cannot lock each other.

    Of two channels between the same nodes a direct one is kept before a relayed one (node/relaying.py), else the one
    that the smaller device id dialed.

What it does not do
    It listens nowhere and dials nobody: node/net.py does, and keeps what is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, assert_never

import trio

from gossip import events as gossip
from gossip.channel import Channel, Closed, Established, Phase, Received, Transmit, Versions
from gossip.channel import Effect as ChannelEffect
from gossip.relay import is_relayed
from node.doorway import STRANGERS_MAX
from node.engine import Outbox
from node.network import TcpStream, is_relay
from node.peering import MeshRuntime, Peering

if TYPE_CHECKING:
    from node.net import Net

STRANGER_SECONDS_MAX: Final = 60.0  # how long a key that is no member may stay
SEND_SECONDS_MAX: Final = 60.0  # for one frame: whoever takes less than a kilobyte a second is gone
JOIN_SMALL_BYTES: Final = 16_384  # chunks below are joined into one send
SEAL_BYTES: Final = 262_144  # messages sealed at once, before they are sent: the peer opens them meanwhile
BUSY_SECONDS: Final = 1.0  # how soon the clock is looked at again while the engine's inbox is full
READ_BYTES: Final = 262_144


class Connection:
    """One stream and its channel, from the first byte to the last."""

    def __init__(self, net: Net, stream: trio.abc.Stream, channel: Channel, address: str, *, dialed: bool) -> None:
        self._net, self._stream, self._channel, self._address = net, stream, channel, address
        self._dialed, self._relayed = dialed, is_relay(address)
        self._sealed: list[bytes] = []
        self._wake = trio.Event()
        self._idle = False  # the writing task waits for work
        self._outbox = Outbox(self._notify)
        self._runtime: MeshRuntime | None = None
        self._peering: Peering | None = None
        self._stranger = False  # it has one of the places of strangers
        self._stranger_until = float("inf")
        self._sending_since = float("inf")
        self._reading = False  # else the engine's inbox is full: silence is ours then, not the peer's
        self._met = trio.Event()
        self.established = False
        self.ended = ""
        self.spoken: Versions | None = None  # versions of the protocol that the peer named, refusing ours

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

    @property
    def met(self) -> bytes | None:
        """Whose device the other end is, once a channel was established."""
        return self._peering.kid if self._peering is not None else None

    async def run(self) -> None:
        """Converse until the channel or the stream ends; then tell the engine."""
        doorway, scope = self._net.doorway, trio.CancelScope()
        try:
            async with trio.open_nursery() as nursery:
                if not self._dialed:
                    scope = nursery.cancel_scope
                    doorway.prove(self._address, scope)
                nursery.start_soon(self._write, nursery.cancel_scope)
                await self._apply(self._channel.start(_now_ms()))
                nursery.start_soon(self._watch, nursery.cancel_scope)
                while not self.ended:
                    await self._read()
                    if self._channel.phase is Phase.OPEN:
                        doorway.proven(scope)
                self._notify()
        finally:
            doorway.proven(scope)
            doorway.strangers -= self._stranger
            await self._gone()

    async def _gone(self) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await trio.aclose_forcefully(self._stream)
        runtime, peering = self._runtime, self._peering
        if runtime is None or peering is None:
            return
        peering.gone.set()
        self._net.switches[runtime.mesh_id].gone(peering.kid)
        self._net.ended_bytes = (
            self._net.ended_bytes[0] + peering.bytes_in,
            self._net.ended_bytes[1] + peering.bytes_out,
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
                    if self._runtime is None or self._peering is None:
                        continue
                    if is_relayed(message):
                        self._net.switches[self._runtime.mesh_id].handle(self._peering, message)
                    else:
                        await self._runtime.engine.put(gossip.Message(self._peering.kid, message))
                case Closed(code, message, remote, versions):
                    self.ended, self.spoken = code, versions
                    self._net.log.info("channel ended", code=code, remote=remote, address=self._address)
                    self._notify()
                case _:
                    assert_never(effect)

    async def _meet(self, met: Established) -> None:
        self._met.set()
        runtime, kid = self._net.meshes[met.mesh_id], met.peer_kid
        if kid == runtime.engine.core.device.kid:
            self._outbox.close("SELF", "this is the node itself")
            return
        former = self._net.peerings.get((met.mesh_id, kid))
        if former is not None and not self._wins(former, runtime.engine.core.device.kid < kid):
            self._outbox.close("DUPLICATE", "this node is already connected to you")
            return
        member = runtime.engine.core.is_member_device(kid)
        if not member and not self._dialed:
            if self._net.doorway.strangers >= STRANGERS_MAX:
                self._outbox.close("BUSY", "too many strangers are here; knock again later")
                return
            self._stranger, self._net.doorway.strangers = True, self._net.doorway.strangers + 1
        self.established = True
        self._runtime = runtime
        self._peering = Peering(kid, self._address, self._dialed, self._relayed, self._outbox, trio.current_time())
        self._net.peerings[met.mesh_id, kid] = self._peering
        if member:
            runtime.statics[kid] = met.peer_static  # of strangers there is no end
        else:
            self._stranger_until = trio.current_time() + STRANGER_SECONDS_MAX
        runtime.engine.connect(kid, self._outbox)
        await runtime.engine.put(gossip.PeerUp(kid, member))

    def _wins(self, former: Peering, smaller: bool) -> bool:
        """Say whether this channel is kept, and not the former; both ends answer alike. `smaller`: our device id is."""
        if former.relayed != self._relayed:
            return former.relayed
        return self._dialed in (former.dialed, smaller)


def _now_ms() -> int:
    return round(trio.current_time() * 1_000)  # rounded down, a deadline just reached would not be due yet
