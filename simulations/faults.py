"""What goes wrong in a run, planned from its scenario: partitions, crashes, churn, and the preset `chaos`.

How it works
    `plan` lays every fault into a mesh's future and returns when the last one is over; from then on the mesh must come
    together again. Who is hit is drawn from the seed, by the fault's place in the list, so that a fault can be taken
    out without moving the others. Both worlds take the same faults (`Mesh`). `storage` says what a crash leaves on the
    disk: `torn` ends the process in the middle of a write, `lost` takes the last commits back as well (a disk that
    lied), after which the node has forgotten what it signed.

    `chaos` takes the ranges of TigerBeetle's VOPR (reference/simulation.md A.1), with steps of 100 ms instead of its
    ticks: it draws the network (`chaotic`), and partitions that begin with up to 3 % and heal with 1 to 10 % a step,
    stable for 10 to 20 seconds at least, over groups, halves or single nodes, one-way or not.

What it does not do
    It judges nothing. It never crashes a node twice at once, and restarts whatever it crashed.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, Protocol, TypeAlias

import msgspec

from ledger.errors import LocalError
from simulations.engine import MS, SECOND
from simulations.randomness import Seed
from simulations.spec import FaultSpec, NetworkSpec, Scenario

STEP_US: Final = 100 * MS
"""One step of `chaos`."""


class Mesh(Protocol):
    """What faults need of a world."""

    @property
    def now_us(self) -> int:
        """The time."""

    def at(self, at_us: int, call: Callable[[], object]) -> None:
        """Call something at a time to come."""

    def partition(self, groups: Iterable[Iterable[int]], *, one_way: bool = False) -> None:
        """Let nothing pass between groups."""

    def heal(self) -> None:
        """Let everything pass."""

    def is_up(self, number: int) -> bool:
        """Say whether a node runs."""

    def crash(self, number: int) -> None:
        """End a node."""

    def restart(self, number: int) -> None:
        """Start a crashed node."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A mesh whose faults are told of as they happen: (time, node or -1 for all, what)."""

    mesh: Mesh
    told: Callable[[int, int, str], object]

    @property
    def now_us(self) -> int:
        """The time."""
        return self.mesh.now_us

    def at(self, at_us: int, call: Callable[[], object]) -> None:
        """Call something at a time to come."""
        self.mesh.at(at_us, call)

    def partition(self, groups: Iterable[Iterable[int]], *, one_way: bool = False) -> None:
        """Cut groups off from each other and from the rest."""
        parts = [sorted(group) for group in groups]
        count = sum(map(len, parts))
        self.told(self.now_us, -1, f"partition: {count} nodes cut off" + (", one way" if one_way else ""))
        self.mesh.partition(parts, one_way=one_way)

    def heal(self) -> None:
        """Let everything pass."""
        self.told(self.now_us, -1, "heal")
        self.mesh.heal()

    def is_up(self, number: int) -> bool:
        """Say whether a node runs."""
        return self.mesh.is_up(number)

    def crash(self, number: int) -> None:
        """End a node."""
        self.told(self.now_us, number, "crash")
        self.mesh.crash(number)

    def restart(self, number: int) -> None:
        """Start a crashed node."""
        self.told(self.now_us, number, "restart")
        self.mesh.restart(number)


def resolved(scenario: Scenario, seed: int) -> Scenario:
    """Return the scenario with the network that its `chaos` draws from the seed, if it has one."""
    if not any(fault.kind == "chaos" for fault in scenario.faults):
        return scenario
    return msgspec.structs.replace(scenario, network=chaotic(scenario.network, Seed(seed, scenario.name)))


def chaotic(network: NetworkSpec, seed: Seed) -> NetworkSpec:
    """Return a network with conditions drawn from VOPR's ranges."""
    draw = seed.stream(-1, "chaos/network").uniform
    return msgspec.structs.replace(
        network,
        latency="exponential",
        low_ms=round(draw(0, 30), 1),
        high_ms=round(draw(30, 100), 1),
        loss=round(draw(0, 0.3), 3),
        replay=round(draw(0, 0.5), 3),
        replay_ms=round(draw(30, 1_000)),
        reorder=draw(0, 1) < 0.5,
        clog=round(draw(0, 0.02), 4),
        clog_ms=round(draw(0, 5_000)),
        capacity=round(draw(2, 20)),
    )


Spoil: TypeAlias = Callable[[int, FaultSpec], None]
"""Ends a node with its disk as the fault says."""


def plan(mesh: Mesh, scenario: Scenario, seed: Seed, spoil: Spoil) -> int:
    """Plan the faults of a scenario from now on, and return when the last one is over, in microseconds."""
    begun, over = mesh.now_us, mesh.now_us
    for place, fault in enumerate(scenario.faults):
        source = seed.stream(-1, f"fault/{place}/{fault.kind}")
        at = begun + round(fault.at * SECOND)
        until = begun + round(fault.until * SECOND) if fault.until else 0
        match fault.kind:
            case "partition":
                groups = groups_of(fault, scenario.nodes, source)
                mesh.at(at, partial(mesh.partition, groups, one_way=fault.one_way))
                over = max(over, _end(mesh, until, mesh.heal) or at)
            case "crash":
                over = max(over, _crashes(mesh, fault, scenario.nodes, source, at, until, spoil))
            case "churn":
                over = max(
                    over, _churn(mesh, fault, scenario.nodes, source, at, until or begun + _end_of(scenario), spoil)
                )
            case "trace":
                over = max(over, _trace(mesh, fault, scenario.nodes, begun))
            case "chaos":
                over = max(over, _chaos(mesh, scenario.nodes, source, at, until or begun + _end_of(scenario)))
    return over


def groups_of(fault: FaultSpec, count: int, source: Random) -> list[list[int]]:
    """Return the groups of a partition; who is in none forms one more."""
    numbers = list(range(count))
    match fault.mode:
        case "named":
            return [list(fault.nodes)]
        case "isolate_single":
            return [[source.choice(numbers)]]
        case "uniform_partition":
            return [[number for number in numbers if source.random() < 0.5]]
        case "uniform_size":
            size = max(1, min(count - 1, round(fault.share * count)))
            return [sorted(source.sample(numbers, size))]


def _end_of(scenario: Scenario) -> int:
    return round(scenario.seconds * SECOND)


def _end(mesh: Mesh, until: int, call: Callable[[], object]) -> int:
    if until:
        mesh.at(until, call)
    return until


def _chosen(fault: FaultSpec, count: int, source: Random) -> Sequence[int]:
    return fault.nodes or sorted(source.sample(range(count), round(fault.share * count)))


def _crash(mesh: Mesh, number: int) -> None:
    if mesh.is_up(number):
        mesh.crash(number)


def _down(mesh: Mesh, number: int, fault: FaultSpec, spoil: Spoil) -> None:
    if mesh.is_up(number):
        if fault.storage == "kept":
            mesh.crash(number)
        else:
            spoil(number, fault)


def _up(mesh: Mesh, number: int) -> None:
    if not mesh.is_up(number):
        mesh.restart(number)


def _crashes(mesh: Mesh, fault: FaultSpec, count: int, source: Random, at: int, until: int, spoil: Spoil) -> int:
    for number in _chosen(fault, count, source):
        mesh.at(at, partial(_down, mesh, number, fault, spoil))
        if until:
            mesh.at(until, partial(_up, mesh, number))
    return until or at


def _churn(mesh: Mesh, fault: FaultSpec, count: int, source: Random, at: int, until: int, spoil: Spoil) -> int:
    """Crash nodes as a Poisson process; each is down for an exponential time, and back by the end."""
    if not fault.rate:
        return at
    now, over = float(at), until
    while (now := now + source.expovariate(fault.rate / 60) * SECOND) < until:
        number = source.randrange(count)
        back = min(until, now + source.expovariate(1.0) * fault.down * SECOND)
        mesh.at(round(now), partial(_down, mesh, number, fault, spoil))
        mesh.at(round(back), partial(_up, mesh, number))
    for number in range(count):  # whoever came back and crashed again before its first return was due
        mesh.at(over, partial(_up, mesh, number))
    return over


def _trace(mesh: Mesh, fault: FaultSpec, count: int, begun: int) -> int:
    """Crash and restart as a file of `second,node,up|down` says. Raises LocalError BAD_TRACE with the line."""
    over = begun
    try:
        lines = Path(fault.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise LocalError("BAD_TRACE", "faults.file cannot be read; name a CSV file", field="faults.file") from None
    for number, row in enumerate(csv.reader(lines), 1):
        if number == 1 and row[:1] == ["second"]:
            continue
        try:
            second, node, state = float(row[0]), int(row[1]), row[2].strip()
        except (IndexError, ValueError):
            second, node, state = -1.0, -1, ""
        if not (0 <= second < 10**9 and 0 <= node < count and state in ("up", "down")):
            told = f"line {number} is not second,node,up|down with a node below {count}"
            raise LocalError("BAD_TRACE", told, field="faults.file")
        at = begun + round(second * SECOND)
        mesh.at(at, partial(_up if state == "up" else _crash, mesh, node))
        over = max(over, at)
    return over


def _chaos(mesh: Mesh, count: int, source: Random, at: int, until: int) -> int:
    """Partition and heal at random until the end."""
    begins, heals = source.uniform(0, 0.03), source.uniform(0.01, 0.1)
    stable = source.randint(100, 200)
    modes = ("uniform_size", "uniform_partition", "isolate_single")
    one_way, cut, since = source.random() < 0.5, False, stable
    for now in range(at, until, STEP_US):
        since += 1
        chance = source.random()
        if since < stable or chance >= (heals if cut else begins):
            continue
        cut, since = not cut, 0
        if cut:
            fault = FaultSpec(kind="partition", mode=source.choice(modes), share=source.uniform(0.1, 0.9))  # type: ignore[arg-type]
            mesh.at(now, partial(mesh.partition, groups_of(fault, count, source), one_way=one_way))
        else:
            mesh.at(now, mesh.heal)
    mesh.at(until, mesh.heal)
    return until
