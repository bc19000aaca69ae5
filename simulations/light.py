"""The light world: a plugin's protocol at every node, over the exact engine; ten thousand nodes on a laptop.

How it works
    Each node is one object of a protocol (simulations.protocol) with its own stream of randomness. What it returns is
    carried out: sent over the network's paths, set as timers, noted as delivered with the number of hops. Nodes can
    crash and restart, channels between neighbours can be cut, as in the world of real nodes.

What it does not do
    There is no ledger, no membership and no encryption. It judges nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

from ledger.errors import LocalError
from simulations.cuts import cut
from simulations.engine import Engine, Handler, Network, mark_of
from simulations.protocol import (
    Deliver,
    Event,
    NodeProtocol,
    PeerDown,
    PeerUp,
    Publish,
    Received,
    Send,
    SetTimer,
    Started,
    TimerFired,
)
from simulations.randomness import Seed

HEADER_BYTES: Final = 64
"""What a message costs on the wire besides its payload."""


class Arrival(NamedTuple):
    """A payload came to a node for the first time. `hops`: 0 at its publisher."""

    at_us: int
    node: int
    payload: bytes
    hops: int


class LightWorld:
    """Nodes of one protocol. `overlay`: the neighbours of each node, both ways."""

    def __init__(
        self,
        seed: Seed | int,
        protocol: type[NodeProtocol],
        overlay: Sequence[Sequence[int]],
        network: Network,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.seed = seed if isinstance(seed, Seed) else Seed(seed)
        self.overlay = [tuple(sorted(peers)) for peers in overlay]
        self.counts: Counter[str] = Counter()
        self.arrivals: list[Arrival] = []
        self.published: dict[bytes, tuple[int, int]] = {}  # payload -> (time, publisher)
        self.engine = Engine(network, counts=self.counts)
        self.down: set[int] = set()
        self._cut: frozenset[tuple[int, int]] = frozenset()
        self._kind, self._options = protocol, dict(options or {})
        self._timers: list[dict[str, int]] = [{} for _ in self.overlay]  # name -> which of its plans counts
        self._planned = 0
        self._rngs = [self.seed.stream(number, "protocol") for number in range(len(self.overlay))]
        self._handles: list[Callable[[Event, int, Random], Iterable[object]]] = []
        self._handlers: list[Handler] = [self._handler(number) for number in range(len(self.overlay))]
        for number in range(len(self.overlay)):
            self._handles.append(self._begin(number))
        for number in range(len(self.overlay)):
            self._give(number, Started())

    @property
    def now_us(self) -> int:
        """The time, microseconds since the run began."""
        return self.engine.now_us

    @property
    def trace(self) -> str:
        """SHA-256 over all that happened so far, in hexadecimal."""
        return self.engine.trace

    def _begin(self, number: int) -> Callable[[Event, int, Random], Iterable[object]]:
        return self._kind(number, self.overlay[number], self._options).handle

    def _handler(self, number: int) -> Handler:
        """Return what takes an event to a node. What comes while it is down, or from beyond a cut, is lost.

        This runs for every message, most of which are repetitions that a protocol answers with nothing.
        """
        handles, down, engine = self._handles, self.down, self.engine
        rng, carry_out = self._rngs[number], self._carry_out

        def take(source: int, value: Any) -> None:
            if type(value) is Received:
                if (down and number in down) or (self._cut and (source, number) in self._cut):
                    self.counts["swallowed"] += 1
                    return
                effects = handles[number](value, engine.now_us, rng)
                if effects:
                    carry_out(number, effects, value[2])
                return
            name, plan = value
            if self._timers[number].get(name) == plan:  # else it was replaced, or set by an earlier life
                del self._timers[number][name]
                self._give(number, TimerFired(name))

        return take

    def _give(self, number: int, event: Event) -> None:
        effects = self._handles[number](event, self.engine.now_us, self._rngs[number])
        self._carry_out(number, effects, 0)

    def _carry_out(self, number: int, effects: Iterable[object], hops: int) -> None:
        """Do what a node asks for. `hops`: how often what it just received had been sent."""
        engine = self.engine
        for effect in effects:
            if isinstance(effect, Send):
                targets, payload, control = effect
                size = len(payload) + HEADER_BYTES
                message = Received(number, payload, hops + 1)
                engine.send(number, targets, self._handlers, message, size, mark_of(payload))
                self.counts["control" if control else "payloads"] += len(targets)
            elif isinstance(effect, Deliver):
                self.arrivals.append(Arrival(engine.now_us, number, effect.payload, hops))
            elif isinstance(effect, SetTimer):
                self._planned += 1
                self._timers[number][effect.name] = self._planned
                value = (effect.name, self._planned)
                at = engine.now_us + effect.after_us
                engine.push(at, self._handlers[number], number, -1, value, mark_of(effect.name.encode()))
            else:
                told = f"the light world knows Send, SetTimer and Deliver, not {type(effect).__name__}"
                raise LocalError("UNKNOWN_EFFECT", told)

    # What a scenario does

    def publish(self, number: int, payload: bytes) -> bool:
        """Have a node publish something now. False: it is down."""
        if number in self.down:
            return False
        self.published[payload] = (self.now_us, number)
        self._give(number, Publish(payload))
        return True

    def at(self, at_us: int, call: Callable[[], object]) -> None:
        """Call something at a time to come."""
        self.engine.at(at_us, call)

    def run_for(self, duration_us: int) -> None:
        """Run for so long."""
        self.engine.run_to(self.engine.now_us + duration_us)

    def crash(self, number: int) -> None:
        """End a node: what it knew is lost, and its neighbours notice at once."""
        self.down.add(number)
        self._timers[number].clear()
        for peer in self.overlay[number]:
            if peer not in self.down:
                self._give(peer, PeerDown(number))

    def restart(self, number: int) -> None:
        """Begin a crashed node anew."""
        self.down.discard(number)
        self._handles[number] = self._begin(number)
        self._give(number, Started())
        for peer in self.overlay[number]:
            if peer not in self.down:
                self._give(peer, PeerUp(number))

    def is_up(self, number: int) -> bool:
        """Say whether a node is running."""
        return number not in self.down

    def hears(self, number: int, source: int) -> bool:
        """Say whether a node would take what comes from another one now: it runs, and nothing lies between."""
        return number not in self.down and (source, number) not in self._cut

    def partition(self, groups: Iterable[Iterable[int]], *, one_way: bool = False) -> None:
        """Let nothing pass between groups (nodes in no group form one more). `one_way`: from the first group only."""
        ways = ((a, b) for a, peers in enumerate(self.overlay) for b in peers)
        self._cut = frozenset(filter(cut(groups, one_way=one_way), ways))

    def heal(self) -> None:
        """Let everything pass again."""
        self._cut = frozenset()
