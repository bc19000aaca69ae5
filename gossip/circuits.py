"""A relay's circuits, without I/O: whose pieces go where, and how much one member may cost.

How it works
    `handle` takes a peer's message and returns what to send to whom. A piece goes on at once, if its sender kept to the
    window; nothing is stored here. Every byte passed on is charged to the member who opened the circuit. While a
    member is in debt, credits to its circuits wait (so the ends pause, and no piece is ever held), and it opens no
    more. `tick` pays out waiting credits and ends what was too long or too silent.

    The relay learns devices, sizes and times. What passes is an ordinary channel between the ends: whatever a relay
    drops, changes, reorders or repeats ends that channel, and nothing else.

What it does not do
    It knows no members: the driver hands it only what members sent on direct channels, and says whose device each is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from gossip.relay import WINDOW_BYTES, Call, Credit, End, Open, Piece, RelayMessage

MESSAGE_COST: Final = 64
"""What a message costs beside its bytes."""
IDLE_MS_MAX: Final = 120_000
"""A circuit on which nothing passes for so long is ended: living channels say something every 15 s."""
TICK_MS: Final = 100
"""How often `tick` is due while there are circuits."""

Out: TypeAlias = tuple[bytes, RelayMessage]
"""To which device, what."""
Place: TypeAlias = tuple[bytes, int]
"""A channel by its peer's device id, and the number of a circuit on it."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What a relay gives: circuits at once, of one member, bytes a second of one member, milliseconds of a circuit."""

    circuits: int
    circuits_a_member: int
    bytes_a_second: int
    circuit_ms: int


class Numbers:
    """Numbers of circuits that we choose: even or odd by which device id is smaller, each once. `own`: ours, now."""

    def __init__(self, own: Callable[[], bytes]) -> None:
        self._own, self._next = own, 0

    def take(self, peer: bytes) -> int:
        """Return a number that is new on every channel."""
        self._next += 2
        return self._next + (self._own() > peer)

    def theirs(self, peer: bytes, number: int) -> bool:
        """Say whether a number is one that the peer may choose."""
        return number % 2 == (peer > self._own())


@dataclass(slots=True)
class _Budget:
    """What one member may still cost, in bytes; below zero it is in debt."""

    left: float
    at_ms: int

    def charge(self, size: int, now_ms: int, rate: int) -> bool:
        """Take in what time gave, at most a second's worth; charge; say whether the member is not in debt."""
        self.left = min(float(rate), self.left + max(0, now_ms - self.at_ms) * rate / 1_000) - size
        self.at_ms = now_ms
        return self.left >= 0


@dataclass(slots=True)
class _Circuit:
    """`ends`: caller and callee. By direction (0: from the caller): bytes on their way, credits that wait."""

    ends: tuple[Place, Place]
    member: bytes
    opened_ms: int
    heard_ms: int
    flight: list[int] = field(default_factory=lambda: [0, 0])
    owed: list[int] = field(default_factory=lambda: [0, 0])


class Circuits:
    """The circuits that pass through us. `limits`: as they are now; None: we do not serve."""

    def __init__(self, numbers: Numbers, limits: Callable[[], RelayLimits | None]) -> None:
        self._numbers, self._limits = numbers, limits
        self._places: dict[Place, tuple[_Circuit, int]] = {}
        self._budgets: dict[bytes, _Budget] = {}
        self.passed = 0  # bytes, since the start

    def __len__(self) -> int:
        """How many circuits there are."""
        return len(self._places) // 2

    def holds(self, peer: bytes, number: int) -> bool:
        """Say whether a circuit of ours has this number on the channel to a peer."""
        return (peer, number) in self._places

    def _all(self) -> Iterable[_Circuit]:
        return [circuit for circuit, side in self._places.values() if side == 0]

    def handle(self, peer: bytes, member: bytes, message: RelayMessage, reach: bool, now_ms: int) -> list[Out]:
        """Act on a message of a member's device. `member`: whose it is. `reach`: whether an Open's device has a
        direct channel to us, as a member.
        """
        match message:
            case Open():
                return self._open(peer, member, message, reach, now_ms)
            case Piece(number, data):
                return self._piece((peer, number), data, now_ms)
            case Credit(number, size):
                return self._credit((peer, number), size, now_ms)
            case End(number, code):
                found = self._places.get((peer, number))
                return [self._close(found[0], code)[1 - found[1]]] if found is not None else []
            case Call():
                return []  # the driver's
            case _:
                assert_never(message)

    def _open(self, peer: bytes, member: bytes, message: Open, reach: bool, now_ms: int) -> list[Out]:
        limits = self._limits()
        if limits is None:
            return [(peer, End(message.circuit, "NO_RELAY"))]
        solvent = self._charge(member, MESSAGE_COST, now_ms, limits)
        taken = self.holds(peer, message.circuit) or not self._numbers.theirs(peer, message.circuit)
        if taken or message.device == peer:
            return [(peer, End(message.circuit, "BAD_CIRCUIT"))]
        own = sum(circuit.member == member for circuit in self._all())
        if not solvent or own >= limits.circuits_a_member or len(self) >= limits.circuits:
            return [(peer, End(message.circuit, "RELAY_BUSY"))]
        if not reach:
            return [(peer, End(message.circuit, "NOT_HERE"))]
        callee = (message.device, self._numbers.take(message.device))
        circuit = _Circuit(((peer, message.circuit), callee), member, now_ms, now_ms)
        for side, place in enumerate(circuit.ends):
            self._places[place] = (circuit, side)
        return [(message.device, Call(callee[1], peer))]

    def _piece(self, place: Place, data: bytes, now_ms: int) -> list[Out]:
        found, limits = self._places.get(place), self._limits()
        if found is None:
            return []  # it has ended, and the end is on its way
        circuit, side = found
        if limits is None:
            return self._close(circuit, "NO_RELAY")
        circuit.flight[side] += len(data)
        if circuit.flight[side] > WINDOW_BYTES:
            return self._close(circuit, "FLOODED")
        circuit.heard_ms = now_ms
        self.passed += len(data)
        self._charge(circuit.member, MESSAGE_COST + len(data), now_ms, limits)
        device, number = circuit.ends[1 - side]
        return [(device, Piece(number, data))]

    def _credit(self, place: Place, size: int, now_ms: int) -> list[Out]:
        found, limits = self._places.get(place), self._limits()
        if found is None or limits is None:
            return []
        circuit, side = found
        other = 1 - side  # whose pieces were taken out
        if circuit.owed[other] + size > circuit.flight[other]:
            return self._close(circuit, "BAD_CREDIT")
        circuit.owed[other] += size
        solvent = self._charge(circuit.member, MESSAGE_COST, now_ms, limits)
        return self._pay(circuit) if solvent else []

    def _pay(self, circuit: _Circuit) -> list[Out]:
        """Tell the senders what they may send again."""
        out: list[Out] = []
        for side, owed in enumerate(circuit.owed):
            if owed:
                circuit.flight[side] -= owed
                circuit.owed[side] = 0
                device, number = circuit.ends[side]
                out.append((device, Credit(number, owed)))
        return out

    def _charge(self, member: bytes, size: int, now_ms: int, limits: RelayLimits) -> bool:
        budget = self._budgets.setdefault(member, _Budget(float(limits.bytes_a_second), now_ms))
        return budget.charge(size, now_ms, limits.bytes_a_second)

    def tick(self, now_ms: int) -> list[Out]:
        """Look at the clock: pay out credits that wait, end circuits that were too long or too silent."""
        out, limits = list[Out](), self._limits()
        for circuit in self._all():
            if limits is None:
                out += self._close(circuit, "NO_RELAY")
            elif now_ms - circuit.opened_ms >= limits.circuit_ms:
                out += self._close(circuit, "TIME_UP")
            elif now_ms - circuit.heard_ms >= IDLE_MS_MAX:
                out += self._close(circuit, "IDLE")
            elif self._charge(circuit.member, 0, now_ms, limits):
                out += self._pay(circuit)
        for member, budget in list(self._budgets.items()):
            if limits is None or budget.left >= limits.bytes_a_second:
                del self._budgets[member]
        return out

    def gone(self, peer: bytes) -> list[Out]:
        """A peer's channel ended: so do its circuits. What is to be said to the peer itself is left out."""
        circuits = {id(found): found for (device, _), (found, _) in self._places.items() if device == peer}
        out = [each for circuit in circuits.values() for each in self._close(circuit, "GONE")]
        return [(device, message) for device, message in out if device != peer]

    def _close(self, circuit: _Circuit, code: str) -> list[Out]:
        """Forget a circuit; return what to tell caller and callee."""
        for place in circuit.ends:
            del self._places[place]
        return [(device, End(number, code)) for device, number in circuit.ends]
