"""The exact world: real cores over stores in memory, and a heap of events in place of sockets and clocks.

How it works
    A node is a `Core` over a `MemoryStore`; one event is one turn in one transaction, as in a node's engine. What a
    turn sends goes over a path of the network and arrives as a later event of simulations.engine, which keeps time
    (whole microseconds, unix), order and trace; timers are events too. A node's clock may be skewed. A channel is only
    its two ends' belief that the other is there: a partition swallows messages, and ends that belief after
    `silence_us`, as the channel's idle deadline does; healing or restarting brings it back after `redial_us`. A crashed
    node loses its memory and keeps its store.

    All randomness comes from streams by name (simulations.randomness). Equal seeds, equal traces, in any process.

What it does not do
    It encrypts nothing (the channel has its own tests and the daemons' driver) and takes no time for work. It judges
    nothing: checks belong to whoever runs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

from gossip import events as gossip
from ledger.errors import LocalError
from ledger.governance.epoch import Genesis, Policy
from ledger.keys import SigningKey
from ledger.replica import Replica
from node.admission import Admission
from node.core import Core, Effect, MembershipMoved, Noted, SealFamily, Turn
from node.joining import application
from simulations.crashing import Crash, CrashingStore
from simulations.cuts import Cut, cut, nothing
from simulations.engine import MS, SECOND, Engine, Handler, Network, mark_of
from simulations.founding import POLICY, Persona, copy_store, core_of, found, persona
from simulations.links import WAN, Link, Path
from simulations.nodes import Behaviour, Node
from simulations.randomness import Seed
from storage.memory import MemoryStore
from storage.store import Store

__all__ = ("DIALS", "MS", "SECOND", "START_US", "World")

T = TypeVar("T")

START_US: Final = 1_800_000_000 * SECOND
"""When a world begins: a multiple of five minutes, in January 2027."""
DIALS: Final = 8
"""Neighbours that each node dials; it has about twice as many channels. (A daemon dials up to 16.)"""

_MESSAGE, _TIMER, _UP, _DOWN = range(4)


class World:
    """A mesh of simulated nodes. Found it, then `run_for`, `act`, `partition`, `heal`, `crash`, `restart`."""

    def __init__(
        self,
        seed: Seed | int,
        *,
        link: Link = WAN,
        network: Network | None = None,
        policy: Policy = POLICY,
        dials: int = DIALS,
        skew_ms: Callable[[int], int] = lambda _: 0,
        silence_us: int = 90 * SECOND,
        redial_us: int = SECOND,
        sealing: Callable[[Core], SealFamily] | None = None,
        equip: Callable[[Node, Core], None] | None = None,
    ) -> None:
        """`network`: what lies between nodes, in place of one `link` between all (and `links`, where a way differs).

        `skew_ms`: how far each node's clock is ahead; `dials`: neighbours each node dials.

        `sealing`: makes what seals epochs at a node, in place of what a real node has.
        `equip`: called with each node and its new core before it starts, to give it more parts.
        """
        self.counts: Counter[str] = Counter()
        self.engine = Engine(network or self, start_us=START_US, counts=self.counts)
        self.engine.survived = (Crash,)
        self.seed = seed if isinstance(seed, Seed) else Seed(seed)
        self.policy, self.dials = policy, dials
        self.silence_us, self.redial_us = silence_us, redial_us
        self.nodes: list[Node] = []
        self.links: dict[tuple[int, int], Link] = {}  # where a direction differs from `link`
        self._link = link
        self.notes: list[tuple[int, int, Noted]] = []  # (time, node, what it noted)
        self.on_send: Callable[[int, int, bytes], None] | None = None  # (source, target, message)
        self.on_deliver: Callable[[int, int, bytes], None] | None = None  # (source, target, message), before it is
        self.behaviours: dict[int, Behaviour] = {}  # nodes that do not act as they should
        self._skew, self._sealing, self._equip = skew_ms, sealing, equip
        self._numbers: dict[bytes, int] = {}
        self._handlers: list[Handler] = []
        self.edges: set[tuple[int, int]] = set()  # who keeps a channel to whom, the smaller number first
        self._up: set[tuple[int, int]] = set()  # (node, peer): node believes that the channel is there
        self._cut: frozenset[tuple[int, int]] = frozenset()  # directions that deliver nothing
        self._severs: Cut = nothing  # which directions the partition that lasts cuts
        self._randoms: dict[tuple[int, int], Random] = {}
        self._genesis: Genesis

    @property
    def now_us(self) -> int:
        """The time, unix microseconds."""
        return self.engine.now_us

    @property
    def link(self) -> Link:
        """What lies between any two nodes that `links` does not name."""
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        self._link = link
        self.engine.forget_paths()

    def path(self, source: int, target: int) -> Path:
        """Return the path of one direction, by `links` and `link` (simulations.engine.Network)."""
        way = (source, target)
        random = self._randoms.setdefault(way, self.seed.stream(source, f"link/{target}"))
        return Path(self.links.get(way, self._link), random, counts=self.counts)

    # Who is there

    def found(self, count: int, neighbours: Sequence[Sequence[int]] | None = None) -> None:
        """Found a mesh of `count` members and start them all, each connected to `neighbours`, or to some others."""
        people = [persona(self.seed, number) for number in range(count)]
        genesis, store = found(self.seed, people, self.policy, self.now_us // SECOND)
        self._genesis = genesis
        for who in people:
            self._add(who, copy_store(store))
        for node in self.nodes:
            self._start(node)
        source = self.seed.stream(-1, "topology")
        for number in range(count):
            if neighbours is not None:
                for other in neighbours[number]:
                    self.connect(number, other)
                continue
            others = [other for other in range(count) if other != number]
            for other in source.sample(others, min(self.dials, len(others))):
                self.connect(number, other)

    def join(self, inviter: int, neighbours: Sequence[int] = ()) -> int:
        """Admit a new node through `inviter`, by entries, and start it with the genesis alone. Returns its number."""
        who = persona(self.seed, len(self.nodes))
        random_bytes = self.seed.stream(who.number, "application").randbytes

        def admit(turn: Turn) -> None:
            door = Admission()
            genesis = turn.core.replica.genesis
            entries = application(who.root, who.device, door.welcome(turn), genesis, "", 1, turn.now, random_bytes)
            door.admit(turn, who.device.kid, *entries)

        self.act(inviter, admit)
        store = MemoryStore()
        with store.write() as rows:
            Replica.create(rows, self._genesis)
        node = self._add(who, store)
        node.vouched.add(self.nodes[inviter].kid)
        self._start(node)
        for peer in (inviter, *neighbours):
            self.connect(node.number, peer)
        return node.number

    def _add(self, who: Persona, store: MemoryStore) -> Node:
        node = Node(who.number, who, store, self._skew(who.number) * MS)
        self.nodes.append(node)
        self._numbers[node.kid] = node.number
        self._handlers.append(partial(self._take, node))
        return node

    def _start(self, node: Node) -> None:
        with node.store.read() as rows:
            core = core_of(self.seed, node.who, Replica(self._genesis), node.life)
            core.load(rows)
        core.strangers = Admission()
        if self._sealing is not None:
            core.sealing = self._sealing(core)
        if self._equip is not None:
            self._equip(node, core)
        core.vouched |= node.vouched
        node.core = core
        self._turn(node, lambda turn: turn.start())

    # Channels

    def connect(self, one: int, other: int) -> None:
        """Let two nodes keep a channel from now on; across a partition, from its end on."""
        self.edges.add((min(one, other), max(one, other)))
        self._cut |= {way for way in ((one, other), (other, one)) if self._severs(way)}
        self._open(one, other, 0)

    def disconnect(self, one: int, other: int) -> None:
        """End a channel for good; both ends are told."""
        self.edges.discard((min(one, other), max(one, other)))
        self._close(one, other)

    def _open(self, one: int, other: int, after_us: int) -> None:
        self._push(self.now_us + after_us, _UP, one, other, None)
        self._push(self.now_us + after_us, _UP, other, one, None)

    def _close(self, one: int, other: int) -> None:
        self._push(self.now_us, _DOWN, one, other, None)
        self._push(self.now_us, _DOWN, other, one, None)

    def _passes(self, one: int, other: int) -> bool:
        return (one, other) not in self._cut and (other, one) not in self._cut

    def _came_up(self, node: Node, peer: int) -> None:
        other, way = self.nodes[peer], (node.number, peer)
        if way in self._up or (min(way), max(way)) not in self.edges or other.core is None or not self._passes(*way):
            return
        self._up.add(way)
        self._turn(node, lambda turn: turn.handle(gossip.PeerUp(other.kid, False)))

    def _went_down(self, node: Node, peer: int, *, silent: bool) -> None:
        if (node.number, peer) not in self._up or (silent and self._passes(node.number, peer)):
            return
        self._up.discard((node.number, peer))
        self._turn(node, lambda turn: turn.handle(gossip.PeerDown(self.nodes[peer].kid)))

    # Faults

    def partition(self, groups: Iterable[Iterable[int]], *, one_way: bool = False) -> None:
        """Let nothing pass between groups (nodes in no group form one more). `one_way`: from the first group only."""
        parts = [list(group) for group in groups]
        ways = [way for edge in sorted(self.edges) for way in (edge, edge[::-1])]
        self._severs = cut(parts, one_way=one_way)
        self._cut = frozenset(filter(self._severs, ways))
        for a, b in filter(cut(parts), ways):
            self._push(self.now_us + self.silence_us, _DOWN, a, b, "silent")

    def heal(self) -> None:
        """Let everything pass again; ends that had given up dial again."""
        self._cut, self._severs = frozenset(), nothing
        for one, other in sorted(self.edges):
            if (one, other) not in self._up or (other, one) not in self._up:
                self._reopen(one, other)

    def _reopen(self, one: int, other: int) -> None:
        """Bring a channel up anew at both ends: the end that never noticed is told too."""
        self._close(one, other)
        self._open(one, other, self.redial_us)

    def crash(self, number: int) -> None:
        """End a node at once: its memory is lost, its store is as of the last turn. Its peers notice at once."""
        node = self.nodes[number]
        if isinstance(node.store, CrashingStore):
            node.store.revive()  # what starts next is another process
        node.core = None
        node.life += 1
        node.timers.clear()
        for one, other in sorted(self._up):
            if one == number:
                self._up.discard((one, other))
            elif other == number:
                self._push(self.now_us, _DOWN, one, other, None)

    def restart(self, number: int, store: Store | None = None) -> None:
        """Start a crashed node over its store, or over `store` (an older copy, say)."""
        node = self.nodes[number]
        if node.core is not None:
            raise LocalError("NODE_UP", f"node {number} is running; crash it first")
        node.store = store or node.store
        self._start(node)
        for one, other in sorted(self.edges):
            if number in {one, other}:
                self._open(one, other, self.redial_us)

    def is_up(self, number: int) -> bool:
        """Say whether a node is running."""
        return self.nodes[number].core is not None

    def replace_device(self, number: int, device: SigningKey) -> None:
        """Let a crashed node go on with another device; some member must hold its certificate (node.mesh.certify)."""
        node = self.nodes[number]
        node.who = replace(node.who, device=device)
        self._numbers[node.kid] = number

    # Time

    def act(self, number: int, work: Callable[[Turn], T]) -> T:
        """Run a local act of a node now, in a turn of its own, and return its value."""
        return self._turn(self.nodes[number], work)

    def at(self, at_us: int, call: Callable[[], object]) -> None:
        """Call something at a time to come, as an event of the world."""
        self.engine.at(at_us, call)

    def run_for(self, duration_us: int, until: Callable[[], bool] | None = None, every_us: int = 100 * MS) -> bool:
        """Run for so long, or until `until` holds; it is asked every `every_us`. False: it never held."""
        end = self.now_us + duration_us
        while until is not None and self.now_us < end:
            if until():
                return True
            self.engine.run_to(min(end, self.now_us + every_us))
        self.engine.run_to(end)
        return until is None or until()

    def _take(self, node: Node, source: int, event: tuple[int, int, Any]) -> None:
        kind, life, value = event
        if node.life != life or node.core is None:
            self.counts["to_the_dead"] += 1
            return
        if kind == _MESSAGE:
            self._deliver(node, source, value)
        elif kind == _TIMER:
            self._fire(node, *value)
        elif kind == _UP:
            self._came_up(node, source)
        else:
            self._went_down(node, source, silent=value == "silent")

    def _deliver(self, node: Node, source: int, message: bytes) -> None:
        if (source, node.number) in self._cut or (node.number, source) not in self._up:
            self.counts["swallowed"] += 1
            return
        behaviour = self.behaviours.get(node.number)
        if behaviour is not None and not behaviour.hears(source, message):
            self.counts["ignored"] += 1
            return
        self.counts["delivered"] += 1
        if self.on_deliver is not None:
            self.on_deliver(source, node.number, message)
        self._turn(node, lambda turn: turn.handle(gossip.Message(self.nodes[source].kid, message)))

    def _fire(self, node: Node, name: str, at_ms: int) -> None:
        if node.timers.get(name) == at_ms:  # else it was replanned since
            del node.timers[name]
            self._turn(node, lambda turn: turn.handle(gossip.TimerFired(name)))

    def _push(self, at_us: int, kind: int, target: int, source: int, value: Any) -> None:
        event = (kind, self.nodes[target].life, value)
        self.engine.push(at_us, self._handlers[target], target, source, event, kind)

    # Turns

    def _turn(self, node: Node, work: Callable[[Turn], T]) -> T:
        core = node.running
        self.counts["turns"] += 1
        try:
            with node.store.write() as rows, nullcontext() if node.vault is None else node.vault.write() as vault:
                turn = core.take(rows, vault, (self.now_us + node.skew_us) // MS)
                value = work(turn)
                effects = turn.finish()
        except Crash:
            self.crash(node.number)
            raise
        except BaseException:
            with node.store.read() as rows:
                core.load(rows)
            raise
        self._carry_out(node, effects)
        return value

    def _carry_out(self, node: Node, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case gossip.Send(peer, data):
                    self._send(node.number, self._numbers[peer], data)
                case gossip.SetTimer(name, at_ms):
                    node.timers[name] = at_ms
                    self._push(max(at_ms * MS - node.skew_us, self.now_us), _TIMER, node.number, -1, (name, at_ms))
                case gossip.Disconnect(peer, code, _):
                    self.counts[f"disconnect_{code}"] += 1
                    self._reopen(node.number, self._numbers[peer])
                case Noted():
                    self.notes.append((self.now_us, node.number, effect))
                case MembershipMoved():
                    pass  # the world says who is connected
                case _:
                    raise LocalError("UNKNOWN_EFFECT", f"the world does not know {type(effect).__name__}")

    def _send(self, source: int, target: int, message: bytes) -> None:
        way = (source, target)
        if way not in self._up:
            return
        behaviour = self.behaviours.get(source)
        if behaviour is not None and not behaviour.sends(target, message):
            self.counts["withheld"] += 1
            return
        if self.on_send is not None:
            self.on_send(source, target, message)
        event = (_MESSAGE, self.nodes[target].life, message)
        self.engine.send(source, (target,), self._handlers, event, len(message), mark_of(message))

    # What came of it

    @property
    def trace(self) -> str:
        """SHA-256 over all that happened so far, in hexadecimal."""
        return self.engine.trace

    def alive(self) -> list[Node]:
        """The nodes that are running."""
        return [node for node in self.nodes if node.core is not None]

    def frontiers(self) -> list[bytes]:
        """Return each running node's frontier digest."""
        return [node.running.replica.frontier_digest() for node in self.alive()]

    def ticks(self) -> list[tuple[int, bytes, bytes] | None]:
        """Return each running node's newest tick: (boundary, frontier digest, state root)."""
        found = (node.running.ticker.tick for node in self.alive())
        return [(tick.boundary, tick.frontier, tick.state_root) if tick is not None else None for tick in found]

    def agree(self) -> bool:
        """Say whether all running nodes have one frontier."""
        return len(set(self.frontiers())) == 1
