"""Faults: they begin and end when they should, on both worlds; disks fail as told; chaos stays within its ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from simulations.crashing import Crash, CrashingStore
from simulations.engine import SECOND
from simulations.faults import chaotic, groups_of, plan, resolved
from simulations.mesh_run import MeshRun
from simulations.randomness import Seed
from simulations.runs import run_one
from simulations.spec import FaultSpec, LoadSpec, NetworkSpec, Scenario, load
from storage.memory import MemoryStore
from tests.conftest import PROFILE


class Rehearsal:
    """A mesh that notes what is planned for it. Calls are made in order by `play`."""

    def __init__(self) -> None:
        self.now_us = 0
        self.calls: list[tuple[int, Callable[[], object]]] = []
        self.down: set[int] = set()
        self.told: list[tuple[float, str, Any]] = []

    def at(self, at_us: int, call: Callable[[], object]) -> None:
        self.calls.append((at_us, call))

    def play(self) -> None:
        for at_us, call in sorted(self.calls, key=lambda each: each[0]):
            self.now_us = at_us
            call()

    def partition(self, groups: Iterable[Iterable[int]], *, one_way: bool = False) -> None:
        self.told.append((self.now_us / SECOND, "cut one way" if one_way else "cut", [list(each) for each in groups]))

    def heal(self) -> None:
        self.told.append((self.now_us / SECOND, "heal", None))

    def is_up(self, number: int) -> bool:
        return number not in self.down

    def crash(self, number: int) -> None:
        assert number not in self.down
        self.down.add(number)
        self.told.append((self.now_us / SECOND, "crash", number))

    def restart(self, number: int) -> None:
        self.down.remove(number)
        self.told.append((self.now_us / SECOND, "restart", number))

    def spoil(self, number: int, fault: FaultSpec) -> None:
        self.crash(number)
        self.told[-1] = (self.now_us / SECOND, fault.storage, number)


def rehearsed(*faults: FaultSpec, nodes: int = 10) -> tuple[Rehearsal, float]:
    mesh = Rehearsal()
    over = plan(mesh, Scenario(name="r", nodes=nodes, seconds=100, faults=faults), Seed(1), mesh.spoil)
    mesh.play()
    return mesh, over / SECOND


def test_faults_begin_and_end_when_they_are_told_to() -> None:
    partition = FaultSpec(kind="partition", at=10, until=20, mode="named", nodes=(1, 2), one_way=True)
    crash = FaultSpec(kind="crash", at=5, until=30, nodes=(3,), storage="torn")
    mesh, over = rehearsed(partition, crash)
    assert over == 30
    assert mesh.told == [(5, "torn", 3), (10, "cut one way", [[1, 2]]), (20, "heal", None), (30, "restart", 3)]


def test_a_trace_is_followed_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "churn.csv"
    path.write_text("second,node,state\n1,2,down\n2.5,2,down\n3,2,up\n4,2,up\n")
    mesh, over = rehearsed(FaultSpec(kind="trace", file=str(path)))
    assert mesh.told == [(1, "crash", 2), (3, "restart", 2)]
    assert over == 4
    for bad in ("1,2,sideways", "1,10,down", "x,1,up", "1", "-1,1,up"):
        path.write_text(bad)
        with pytest.raises(LocalError, match="line 1"):
            rehearsed(FaultSpec(kind="trace", file=str(path)))
    with pytest.raises(LocalError, match="cannot be read"):
        rehearsed(FaultSpec(kind="trace", file=str(tmp_path / "none.csv")))


@given(st.integers(0, 1_000), st.sampled_from(["churn", "chaos"]))
def test_whatever_goes_down_comes_up_and_whatever_is_cut_heals(seed: int, kind: str) -> None:
    mesh = Rehearsal()
    fault = FaultSpec(kind=kind, at=5, until=95, rate=40, down=20)  # type: ignore[arg-type]
    over = plan(mesh, Scenario(name="r", nodes=6, seconds=100, faults=(fault,)), Seed(seed), mesh.spoil)
    mesh.play()
    assert over == 95 * SECOND
    assert not mesh.down
    assert all(5 <= at <= 95 for at, _, _ in mesh.told)
    kinds = [what for _, what, _ in mesh.told if "cut" in what or what == "heal"]
    assert kind == "churn" or kinds[-1] == "heal"
    assert kind == "chaos" or mesh.told


@given(st.integers(0, 10_000))
def test_chaos_stays_within_its_ranges(seed: int) -> None:
    """TigerBeetle's VOPR, as `reference/simulation.md` A.1 has them."""
    found = chaotic(NetworkSpec(), Seed(seed))
    assert 0 <= found.low_ms <= 30 <= found.high_ms <= 100
    assert 0 <= found.loss <= 0.3
    assert 0 <= found.replay <= 0.5
    assert 0 <= found.clog <= 0.02
    assert 0 <= found.clog_ms <= 5_000
    assert 2 <= found.capacity <= 20
    assert chaotic(NetworkSpec(), Seed(seed)) == found


def test_chaos_is_drawn_by_the_seed_and_only_where_it_is_asked_for() -> None:
    scenario = load("chaos")
    assert resolved(scenario, 1).network != resolved(scenario, 2).network
    assert resolved(load("baseline"), 1) == load("baseline")


def test_groups_are_of_their_mode() -> None:
    source = Random(1)
    assert groups_of(FaultSpec(kind="partition", mode="named", nodes=(4,)), 9, source) == [[4]]
    assert len(groups_of(FaultSpec(kind="partition", mode="isolate_single"), 9, source)[0]) == 1
    assert len(groups_of(FaultSpec(kind="partition", share=0.3), 10, source)[0]) == 3
    assert len(groups_of(FaultSpec(kind="partition", share=1.0), 10, source)[0]) == 9
    assert 0 < len(groups_of(FaultSpec(kind="partition", mode="uniform_partition"), 40, source)[0]) < 40


def test_a_disk_that_lied_forgets_its_last_commits_and_no_others() -> None:
    inner = MemoryStore()
    store = CrashingStore(inner, remember=2)
    for number in range(4):
        with store.write() as rows:
            rows.put("meta", b"number", bytes([number]))
            rows.put("entries", bytes([number]), b"x")
    with store.write() as rows:
        rows.delete("entries", b"\x00")
    assert store.lose(1) == 1
    with store.read() as rows:
        assert rows.count("entries") == 4
    assert store.lose(5) == 1
    with store.read() as rows:
        assert rows.get("meta", b"number") == b"\x02"
        assert rows.count("entries") == 3
    store.arm(0)
    with pytest.raises(Crash), store.write() as rows:
        rows.put("meta", b"number", b"9")
    with pytest.raises(Crash):
        store.read().__enter__()
    store.revive()
    with store.read() as rows:
        assert rows.get("meta", b"number") == b"\x02"


@pytest.mark.parametrize("storage", ["torn", "lost"])
def test_meshes_outlive_disks_that_fail(storage: str) -> None:
    fault = FaultSpec(kind="crash", at=10, until=15, nodes=(3, 5), storage=storage, lost=2)  # type: ignore[arg-type]
    run = MeshRun(Scenario(name="d", nodes=6, seconds=25, load=LoadSpec(count=12), faults=(fault,)), 1)
    run.run()
    assert not run.watchman.violations
    assert run.honest == set(range(6)) - ({3, 5} if storage == "lost" else set())
    assert (run.world.counts["commits_lost"] > 0) == (storage == "lost")
    assert (run.world.counts["cut_short"] > 0) == (storage == "torn")
    assert len(run.world.alive()) == 6


@pytest.mark.parametrize("number", range({"ci": 1, "nightly": 40}[PROFILE]))
def test_chaos_breaks_nothing(number: int, request: pytest.FixtureRequest) -> None:
    """Another seed each time, as the header says; `maille sim shrink chaos --seed N` makes a failure small."""
    seed = int(request.config.getoption("hypothesis_seed")) + number
    summary = run_one(load("chaos"), seed)
    assert summary["ok"], f"seed {seed}, commit {summary['commit']}: {summary['violations']}"
    assert summary["counts"]["lost"] > 0
