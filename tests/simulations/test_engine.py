"""The engine: one order of events, whatever their number; paths that lose, repeat, queue and clog; the same trace."""

from __future__ import annotations

import heapq
from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from simulations.engine import MS, SECOND, Engine, mark_of
from simulations.links import LAN, Link, Path, Uplink, constant, exponential, lognormal, uniform
from simulations.randomness import Seed


class Everywhere:
    """A network of one link."""

    def __init__(self, link: Link, seed: int = 1) -> None:
        self.link, self.seed, self.counts = link, Seed(seed), Counter[str]()

    def path(self, source: int, target: int) -> Path:
        return Path(self.link, self.seed.stream(source, f"link/{target}"), counts=self.counts)


def ignore(_: int, __: Any) -> None:
    """Do nothing with a message."""


def test_a_bad_link_is_another_run() -> None:
    def run(link: Link) -> str:
        engine = Engine(Everywhere(link))
        for number in range(20):
            engine.send(number, (number + 1, number + 2), [ignore] * 22, b"x", 10, 5)
        engine.run_to(SECOND)
        return engine.trace

    assert run(LAN) == run(LAN)
    assert run(LAN) != run(Link(uniform(1, 6)))


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 3_000)), max_size=60), st.lists(st.integers(0, 9_000)))
def test_events_happen_in_the_order_of_one_heap(plan: list[tuple[int, int]], stops: list[int]) -> None:
    """Each planned event plans one more when it happens; the engine may be stopped anywhere in between."""
    expected: list[tuple[int, str]] = []
    heap = [(at, made, f"{made}", then) for made, (at, then) in enumerate(plan)]
    heapq.heapify(heap)
    made = len(plan)
    while heap:
        at, _, name, then = heapq.heappop(heap)
        expected.append((at, name))
        if then:
            heapq.heappush(heap, (at + then, made, f"{name}+", 0))
            made += 1
    engine, happened = Engine(Everywhere(LAN)), list[tuple[int, str]]()

    def happen(name: str, then: int, _: int, __: Any) -> None:
        happened.append((engine.now_us, name))
        if then:
            engine.push(engine.now_us + then, partial(happen, name + "+", 0), 0, -1, None)

    for number, (at, then) in enumerate(plan):
        engine.push(at, partial(happen, f"{number}", then), 0, -1, None)
    for stop in sorted(stops):
        engine.run_to(stop)
        assert all(at <= stop for at, _ in happened)
    engine.run_to(20_000)
    assert happened == expected
    assert not engine.waiting


def test_what_fails_is_over_and_what_follows_still_happens() -> None:
    engine, happened = Engine(Everywhere(LAN)), list[int]()

    def fail() -> None:
        raise LocalError("DISK_FULL", "no space")

    engine.at(5, fail)
    engine.at(6, lambda: happened.append(engine.now_us))
    with pytest.raises(LocalError):
        engine.run_to(10)
    engine.run_to(10)
    assert happened == [6]
    engine.at(11, lambda: engine.run_to(20))
    with pytest.raises(LocalError, match="may not run the engine"):
        engine.run_to(12)


def test_a_path_keeps_its_order_unless_it_reorders() -> None:
    for reorder in (False, True):
        path = Path(Link(uniform(1, 50), duplication=0.0, loss=1e-9, reorder=reorder), Random(1))
        got = [path.arrivals(now, 100)[0] for now in range(0, 5_000, 10)]
        assert (got == sorted(got)) != reorder


def test_loss_repetition_and_clogs_have_their_rates() -> None:
    counts: Counter[str] = Counter()
    path = Path(
        Link(constant(10), loss=0.2, duplication=0.1, replay_ms=100, clog=0.01, clog_ms=5), Random(2), None, counts
    )
    got = [path.arrivals(now * 100 * MS, 1) for now in range(10_000)]
    assert counts["lost"] == sum(not each for each in got)
    assert counts["duplicated"] == sum(len(each) == 2 for each in got)
    assert abs(counts["lost"] / 10_000 - 0.2) < 0.02
    assert abs(counts["duplicated"] / 8_000 - 0.1) < 0.02
    assert counts["clogs"] > 50
    replays = [each[1] - each[0] for each in got if len(each) == 2]
    assert 80 * MS < sum(replays) / len(replays) < 140 * MS


def test_a_full_path_loses_what_comes_next() -> None:
    path = Path(Link(constant(10), capacity=2), Random(1))
    assert [len(path.arrivals(now, 1)) for now in (0, 1, 2, 9_999, 10_000, 10_000, 10_001)] == [1, 1, 0, 0, 1, 0, 1]


def test_an_uplink_sends_one_byte_after_another() -> None:
    uplink = Uplink(1_000_000)  # a byte a microsecond
    assert [uplink.leaves_at(0, 100) for _ in range(3)] == [100, 200, 300]
    assert uplink.leaves_at(1_000, 100) == 1_100
    burst = Uplink(1_000_000, burst_bytes=250)
    assert [burst.leaves_at(0, 100) for _ in range(4)] == [0, 0, 50, 150]
    link = Path(Link(constant(1)), Random(1), Uplink(1_000_000))
    assert not link.plain
    assert link.arrivals(0, 500) == (1_500,)


def test_delays_are_what_their_names_say() -> None:
    source = Random(3)
    drawn = sorted(lognormal(20, 0.5)(source) for _ in range(4_001))
    assert 19 * MS < drawn[2_000] < 21 * MS
    drawn = [exponential(5, 30)(source) for _ in range(8_000)]
    assert min(drawn) >= 5 * MS
    assert 34 * MS < sum(drawn) / 8_000 < 36 * MS


def test_a_mark_stands_for_bytes() -> None:
    assert mark_of(b"a") == mark_of(b"a")
    assert mark_of(b"a") != mark_of(b"b")
    assert 0 <= mark_of(b"a") < 1 << 63
