"""Passing sealed frames on, in trio: a node that serves as a relay, and one that reaches others through one.

How it works
    A node that nobody can dial says in its address card `relay:MEMBER`, and keeps a channel to that member. Whoever
    wants to reach it has a channel to that member too, and opens a circuit there (gossip/circuits.py). To either end
    a circuit is a stream, over which the ordinary channel is run, with its handshake and its keys: what the relay
    does to it can only end it. A `Switch` has both sides of that for one mesh.

    Circuits run over direct channels between members alone; when such a channel ends, as for whoever is put out, they
    end. A node takes calls only from relays that its settings name.

What it does not do
    It decides nothing about who is a member, and stores no piece: an end that does not read is not sent to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from gossip.circuits import TICK_MS, Circuits, Numbers, Out, Place, RelayLimits
from gossip.relay import PIECE_BYTES_MAX, WINDOW_BYTES, Call, Credit, End, Open, Piece, RelayMessage, decode, encode
from ledger.errors import LocalError, RemoteError
from node.naming import find_member
from node.network import RELAY_PREFIX, is_relay
from node.peering import MeshRuntime, Peering

if TYPE_CHECKING:
    from node.net import Net

STREAMS_MAX: Final = 64
"""Circuits that end here, of one mesh."""
REACH_SECONDS: Final = 0.1
"""How often a relay that is being dialed is looked for."""
CREDIT_BYTES: Final = WINDOW_BYTES // 4
"""So much is taken out before the sender is told, unless nothing else waits."""


class CircuitStream(trio.abc.Stream):
    """One end of a circuit. `say`: sends a message to the relay; `forget`: called once when it is over."""

    def __init__(self, number: int, say: Callable[[RelayMessage], None], forget: Callable[[], None]) -> None:
        self._number, self._say, self._forget = number, say, forget
        self._room = WINDOW_BYTES  # what may be sent
        self._buffer = bytearray()
        self._taken = 0  # out of the buffer, and the sender does not know
        self._moved = trio.Event()
        self._closed = False
        self.ended = ""

    def take(self, message: RelayMessage) -> None:
        """Take in what the relay says of this circuit; whatever breaks the window ends it."""
        match message:
            case Piece(_, data) if len(self._buffer) + self._taken + len(data) <= WINDOW_BYTES:
                self._buffer += data
            case Credit(_, size):
                self._room = min(WINDOW_BYTES, self._room + size)
            case End(_, code):
                self.end(code)
            case _:
                self._say(End(self._number, "FLOODED"))
                self.end("FLOODED")
        self._wake()

    @property
    def refusal(self) -> str:
        """Why the relay or the other end ended the circuit, or ""."""
        return "" if self.ended == "CLOSED" else self.ended

    def end(self, code: str) -> None:
        """The circuit is over: what came before is still read."""
        if not self.ended:
            self.ended = code
            self._forget()
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, as far as the window goes at once. Raises BrokenResourceError, ClosedResourceError."""
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while rest:
            await self.wait_send_all_might_not_block()
            size = min(len(rest), self._room, PIECE_BYTES_MAX)
            self._room -= size
            self._say(Piece(self._number, bytes(rest[:size])))
            rest = rest[size:]

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until something may be sent. Raises as `send_all`."""
        while not self._room and not self.ended and not self._closed:
            await self._moved.wait()
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed here")
        if self.ended:
            raise trio.BrokenResourceError(f"the circuit ended: {self.ended}")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come, at most `max_bytes`; b"" when the circuit has ended. Raises ClosedResourceError."""
        await trio.lowlevel.checkpoint()
        while not self._buffer and not self.ended and not self._closed:
            await self._moved.wait()
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed here")
        size = min(len(self._buffer), max_bytes or WINDOW_BYTES)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._taken += size
        if self._taken and not self.ended and (self._taken >= CREDIT_BYTES or not self._buffer):
            self._say(Credit(self._number, self._taken))
            self._taken = 0
        return data

    async def aclose(self) -> None:
        """End the circuit."""
        if not self._closed:
            self._closed = True
            if not self.ended:
                self._say(End(self._number, "CLOSED"))
            self.end("CLOSED")
        await trio.lowlevel.checkpoint()


class Switch:
    """Relaying in one mesh: circuits that pass through us, and those that end here."""

    def __init__(self, runtime: MeshRuntime, net: Net) -> None:
        self._runtime, self._net = runtime, net
        self._numbers = Numbers(lambda: runtime.engine.core.device.kid)
        self.circuits = Circuits(self._numbers, self._limits)
        self._streams: dict[Place, CircuitStream] = {}
        self._reaching: set[bytes] = set()
        self._opened = trio.Event()

    def _limits(self) -> RelayLimits | None:
        told = self._net.relay()
        if not told.serve:
            return None
        return RelayLimits(told.circuits, told.circuits_a_member, told.bytes_a_second, told.seconds * 1_000)

    async def run(self) -> None:
        """Look at the clock for the circuits that pass through us, until cancelled."""
        while True:
            if not len(self.circuits):
                await self._opened.wait()
            await trio.sleep(TICK_MS / 1_000)
            self._send(self.circuits.tick(_now_ms()))

    # Who

    def relays(self) -> set[bytes]:
        """Return the ids of the members through which we are reached, as far as they are known here."""
        found = set()
        for name in self._net.relay().use:
            with suppress(LocalError):
                found.add(find_member(self._runtime.engine.core.replica.members, name).party[0])
        return found

    def addresses(self) -> tuple[str, ...]:
        """Return what our address card says of relays."""
        return tuple(RELAY_PREFIX + member.hex() for member in sorted(self.relays()))

    def _direct(self, device: bytes) -> Peering | None:
        """Return the direct channel to a member's device, or None."""
        peering = self._net.peerings.get((self._runtime.mesh_id, device))
        member = self._runtime.engine.core.is_member_device(device)
        return peering if peering is not None and member and not peering.relayed else None

    def _member_of(self, device: bytes) -> bytes:
        return self._runtime.engine.core.replica.members.party_of(device)[0]

    # What comes

    def handle(self, peering: Peering, data: bytes) -> None:
        """Act on a message of family 6 that came over a channel; a stranger's, or over a circuit, is dropped."""
        kid = peering.kid
        if self._direct(kid) is not peering:
            return
        try:
            message = decode(data)
        except RemoteError as error:
            peering.outbox.close(error.code, error.message)
            return
        match message:
            case None:
                return
            case Call():
                self._called(peering, message)
            case Open():
                reach = self._direct(message.device) is not None and (kid, message.circuit) not in self._streams
                self._send(self.circuits.handle(kid, self._member_of(kid), message, reach, _now_ms()))
                self._opened.set()
                self._opened = trio.Event()
            case Piece() | Credit() | End():
                if self.circuits.holds(kid, message.circuit):
                    self._send(self.circuits.handle(kid, self._member_of(kid), message, False, _now_ms()))
                elif (stream := self._streams.get((kid, message.circuit))) is not None:
                    stream.take(message)

    def _called(self, peering: Peering, call: Call) -> None:
        place = (peering.kid, call.circuit)
        known = place in self._streams or self.circuits.holds(*place)
        if known or not self._numbers.theirs(*place) or self._member_of(peering.kid) not in self.relays():
            self._send([(peering.kid, End(call.circuit, "BAD_CIRCUIT"))])
        elif len(self._streams) >= STREAMS_MAX:
            self._send([(peering.kid, End(call.circuit, "BUSY"))])
        else:
            self._net.called(self._stream(place), RELAY_PREFIX + peering.kid.hex())

    def gone(self, device: bytes) -> None:
        """A channel to a device ended: so do its circuits."""
        self._send(self.circuits.gone(device))
        for (relay, _), stream in list(self._streams.items()):
            if relay == device:
                stream.end("GONE")

    # What goes

    def _stream(self, place: Place) -> CircuitStream:
        def say(message: RelayMessage) -> None:
            self._send([(place[0], message)])

        def forget() -> None:
            self._streams.pop(place, None)

        stream = self._streams[place] = CircuitStream(place[1], say, forget)
        return stream

    def _send(self, out: Iterable[Out]) -> None:
        filled = {}
        for device, message in out:
            peering = self._direct(device)
            if peering is None:
                continue
            if not peering.outbox.put(encode(message)):
                peering.outbox.close("SLOW_PEER", "too much waits for this peer")
            filled[device] = peering
        for peering in filled.values():
            peering.outbox.flush()

    async def dial(self, address: str, device: bytes) -> trio.abc.Stream:
        """Open a circuit to a device through the member that `address` names. Raises OSError."""
        try:
            member = bytes.fromhex(address.removeprefix(RELAY_PREFIX))
        except ValueError:
            raise OSError(f"{address!r} names no member") from None
        if len(self._streams) >= STREAMS_MAX:
            raise OSError(f"{STREAMS_MAX} circuits end here already")
        relay = await self._reach(member)
        place = (relay, self._numbers.take(relay))
        stream = self._stream(place)
        self._send([(relay, Open(place[1], device))])
        return stream

    async def _reach(self, member: bytes) -> bytes:
        """Return a device of the relay to which we have a direct channel; dial it where we have none."""
        core = self._runtime.engine.core
        if member == core.party[0]:
            raise OSError("we are that relay, and the device has no channel to us")
        known = sorted(kid for kid in {*core.member_peers, *self._runtime.hints} if self._member_of(kid) == member)
        begun = set[bytes]()
        try:
            while (found := next((kid for kid in known if self._direct(kid) is not None), None)) is None:
                for kid in known:
                    if kid not in self._reaching and not all(map(is_relay, self._runtime.hints.get(kid, ()))):
                        self._reaching.add(kid)
                        begun.add(kid)
                        self._net.dial_soon(self._runtime, kid)
                if not begun:
                    raise OSError("there is no channel to the relay")
                await trio.sleep(REACH_SECONDS)
        finally:
            self._reaching -= begun
        return found


def _now_ms() -> int:
    return round(trio.current_time() * 1_000)
