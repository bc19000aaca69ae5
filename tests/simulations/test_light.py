"""The light world: what protocols promise, what faults do to them, and that plugins need no change of maille."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

import pytest

from ledger.errors import LocalError
from simulations.engine import SECOND
from simulations.light import LightWorld
from simulations.links import WAN, Link, constant
from simulations.protocol import (
    Deliver,
    Effect,
    Event,
    PeerDown,
    PeerUp,
    Publish,
    Received,
    Send,
    SetTimer,
    TimerFired,
    load,
)
from tests.simulations.test_engine import Everywhere

RING = [[(i - 1) % 12, (i + 1) % 12] for i in range(12)]
FULL = [[j for j in range(20) if j != i] for i in range(20)]


class Telephone:
    """A plugin: each tells the next one. It remembers which channels it was told of."""

    def __init__(self, node: int, peers: Sequence[int], options: Mapping[str, Any]) -> None:
        self.next = [peer for peer in peers if peer == (node + 1) % 12]
        self.word = options.get("word", b"")
        self.told: list[Event] = []

    def handle(self, event: Event, now: int, rng: Random) -> Iterable[Effect]:  # noqa: ARG002 (the interface has it)
        match event:
            case Publish(payload) | Received(payload=payload):
                return Deliver(payload), Send(self.next, payload) if self.word in payload else Deliver(b"!")
            case PeerDown() | PeerUp():
                self.told.append(event)
        return ()


class Alarm:
    """A plugin that puts its alarm off each time it hears something, and notes when it rings."""

    def __init__(self, node: int, peers: Sequence[int], options: Mapping[str, Any]) -> None:  # noqa: ARG002 (the interface has it)
        self.rang: list[int] = []

    def handle(self, event: Event, now: int, rng: Random) -> Iterable[Effect]:  # noqa: ARG002 (the interface has it)
        if isinstance(event, TimerFired):
            self.rang.append(now)
            return ()
        return (SetTimer("alarm", 3 * SECOND),)


class Shouting(Telephone):
    """A plugin with an effect that nobody knows."""

    def handle(self, event: Event, now: int, rng: Random) -> Iterable[Any]:
        return ("shout",) if isinstance(event, Publish) else super().handle(event, now, rng)


def test_a_flood_reaches_all_by_the_shortest_way_and_counts() -> None:
    world = LightWorld(1, load("flood"), RING, Everywhere(Link(constant(10))))
    world.at(0, lambda: world.publish(3, b"hello"))
    world.run_for(SECOND)
    hops = {arrival.node: (arrival.hops, arrival.at_us) for arrival in world.arrivals}
    assert hops == {n: (min((n - 3) % 12, (3 - n) % 12), 10_000 * min((n - 3) % 12, (3 - n) % 12)) for n in range(12)}
    assert world.counts["payloads"] == 2 * 12 - 12 + 1  # 2E - n + 1
    assert world.counts["sent"] == world.counts["payloads"]


def test_a_rumor_dies_and_push_pull_reaches_everybody() -> None:
    reached = {}
    for name in ("rumor", "push-pull"):
        world = LightWorld(2, load(name), FULL, Everywhere(WAN), {"fanout": 1, "interval_ms": 100})
        world.at(0, lambda world=world: world.publish(0, b"news"))  # type: ignore[misc]
        world.run_for(10 * SECOND)
        reached[name] = len({arrival.node for arrival in world.arrivals})
        assert len(world.arrivals) == reached[name]
    assert reached["rumor"] < 20
    assert reached["push-pull"] == 20


def test_a_seed_is_a_run_and_another_seed_another() -> None:
    traces: Counter[str] = Counter()
    for seed in (1, 1, 2):
        world = LightWorld(seed, load("rumor"), FULL, Everywhere(WAN, seed))
        world.publish(0, b"news")
        world.run_for(SECOND)
        traces[world.trace] += 1
    assert sorted(traces.values()) == [1, 2]


def test_what_is_cut_off_hears_nothing_and_a_crash_forgets() -> None:
    world = LightWorld(1, load("flood"), RING, Everywhere(Link(constant(10))))
    world.partition([range(6)])
    world.publish(0, b"one")
    world.run_for(SECOND)
    assert {arrival.node for arrival in world.arrivals} == set(range(6))
    world.heal()
    world.crash(3)
    assert not world.publish(3, b"none")
    world.publish(0, b"two")
    world.run_for(SECOND)
    assert {arrival.node for arrival in world.arrivals if arrival.payload == b"two"} == set(range(12)) - {3}
    world.restart(3)
    world.partition([[0]], one_way=True)
    world.publish(0, b"three")
    world.publish(1, b"four")
    world.run_for(SECOND)
    assert [arrival.node for arrival in world.arrivals if arrival.payload == b"three"] == [0]
    assert len([arrival for arrival in world.arrivals if arrival.payload == b"four"]) == 12


def test_a_plugin_is_named_and_nothing_else() -> None:
    world = LightWorld(1, load(f"{__name__}:Telephone"), RING, Everywhere(WAN), {"word": b"a"})
    world.publish(0, b"a")
    world.crash(5)
    world.run_for(SECOND)
    assert [arrival.node for arrival in world.arrivals] == [0, 1, 2, 3, 4]
    world.restart(5)
    told = world._handles[4].__self__.told  # type: ignore[attr-defined]
    assert told == [PeerDown(5), PeerUp(5)]


@pytest.mark.parametrize("name", ["none", "no.such.module:Class", f"{__name__}:Nothing", f"{__name__}:RING", ":"])
def test_a_name_that_names_no_protocol_is_a_plain_error(name: str) -> None:
    with pytest.raises(LocalError) as caught:
        load(name)
    assert caught.value.code == "NO_PROTOCOL"


def test_a_timer_of_the_same_name_is_replaced_and_does_not_outlive_its_node() -> None:
    world = LightWorld(1, Alarm, [[], []], Everywhere(WAN))
    world.run_for(SECOND)
    world.publish(0, b"snooze")  # one second in: it rings at four, not at three
    world.run_for(10 * SECOND)
    assert [ring.__self__.rang for ring in world._handles] == [[4 * SECOND], [3 * SECOND]]  # type: ignore[attr-defined]
    world.publish(0, b"once more")
    world.crash(0)
    world.restart(0)
    world.run_for(10 * SECOND)
    assert world._handles[0].__self__.rang == [14 * SECOND]  # type: ignore[attr-defined]


def test_an_unknown_effect_is_refused() -> None:
    world = LightWorld(1, Shouting, RING, Everywhere(WAN))
    with pytest.raises(LocalError, match="not str"):
        world.publish(0, b"a")
