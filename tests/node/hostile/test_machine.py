"""The machine fails under a running daemon: the disk is full, read-only or broken, the clock jumps."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from ledger.errors import LocalError
from node.clock import SteadyClock
from simulations.daemons import Daemon, Daemons, now_ms
from simulations.people import person
from storage.memory import MemoryReader, MemoryStore, MemoryWriter
from tests.node.hostile.attackers import mesh_of, spread
from tests.node.sites import SEED

HOUR = 3_600
YEAR = 8_760 * HOUR


class Failing(MemoryStore):
    """A store whose commits of rows fail with `code`, each with `chance`. `gathered`: snapshots need room too."""

    def __init__(self) -> None:
        super().__init__()
        self.code = ""
        self.chance = 1.0
        self.random = Random(3)
        self.failed = 0
        self.gathered = False

    def read(self) -> MemoryReader:
        """Return a snapshot."""
        if self.gathered and self.code:
            raise LocalError(self.code, "the disk does not take what was gathered")
        return super().read()

    def write(self) -> MemoryWriter:
        """Return the one transaction."""
        return _FailingWriter(self)


class _FailingWriter(MemoryWriter):
    __slots__ = ("_failing", "_touched")

    def __init__(self, store: Failing) -> None:
        super().__init__(store)
        self._failing, self._touched = store, False

    def put(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:
        self._touched = True
        super().put(table, key, value, append=append)

    def __exit__(self, *told: Any) -> None:
        store = self._failing
        if told[0] is None and store.code and self._touched and store.random.random() < store.chance:
            store.failed += 1
            error = LocalError(store.code, "the disk does not take it")
            super().__exit__(LocalError, error, None)
            raise error
        super().__exit__(*told)


async def on_failing_disk(mesh: Daemons, number: int) -> tuple[Daemon, Failing]:
    """Restart a daemon over a store that can fail."""
    await mesh.kill(number)
    dead, store = mesh._dead[number], Failing()
    with dead.store.read() as source, store.write() as target:
        for table in ("meta", "entries", "ids", "feeds", "heads", "things", "maps", "nodes", "outbox"):
            for key, value in source.scan(table, b""):
                target.put(table, key, value)
    dead.store = store
    return await mesh.restart(number), store


async def stated(daemon: Daemon, number: int) -> bytes:
    """State something; return its id once that is acknowledged."""
    return await daemon.engine.act(lambda turn: person(SEED, number).grant(turn, turn.core.party, turn.core.party).id)


def holds(daemon: Daemon, ident: bytes) -> bool:
    """Say whether a daemon holds an entry."""
    with daemon.store.read() as rows:
        return bool(daemon.core.replica.places(rows, ident))


@pytest.mark.parametrize("code", ["DISK_FULL", "READ_ONLY", "DISK_IO"])
async def test_a_disk_that_takes_nothing_refuses_and_the_node_goes_on_afterwards(
    autojump_clock: MockClock, code: str
) -> None:
    async with mesh_of(4) as mesh:
        one, store = await on_failing_disk(mesh, 0)
        await trio.sleep(10)
        kept = await stated(one, 1)
        store.code = code
        with pytest.raises(LocalError) as caught:
            await stated(one, 1)
        assert caught.value.code == code
        assert await spread(mesh, 1, seconds=5, to=2) <= 1.0
        await trio.sleep(100)
        assert store.failed > 1
        assert await one.engine.read(lambda turn: bool(turn.core.replica.places(turn.rows, kept)))  # it answers
        store.code = ""
        later = await stated(one, 1)
        assert await mesh.until(mesh.agree, 60)
        assert all(holds(daemon, ident) for daemon in mesh.nodes.values() for ident in (kept, later))
        assert not any(daemon.core.replica.members.forks for daemon in mesh.nodes.values())


async def test_a_node_on_a_full_disk_is_asked_dials_and_goes_on(autojump_clock: MockClock) -> None:
    """Even a snapshot needs room: on a real disk of 24 MB, looking for members to dial ended a node."""
    async with mesh_of(4) as mesh:
        one, store = await on_failing_disk(mesh, 0)
        await trio.sleep(10)
        kept = await stated(one, 1)
        store.gathered, store.code = True, "DISK_FULL"
        for peer in one.engine.connected:
            one.engine.hang_up(peer, "TEST", "it must dial again")
        await trio.sleep(200)
        assert await one.engine.read(lambda turn: bool(turn.core.replica.places(turn.rows, kept)))
        with pytest.raises(LocalError, match="DISK_FULL"):
            await stated(one, 1)
        store.code = ""
        later = await stated(one, 1)
        assert await mesh.until(mesh.agree, 60)
        assert all(holds(daemon, ident) for daemon in mesh.nodes.values() for ident in (kept, later))


async def test_a_broken_disk_that_gives_no_snapshot_ends_no_node(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        one, store = await on_failing_disk(mesh, 0)
        await trio.sleep(10)
        store.gathered, store.code = True, "DISK_IO"
        with pytest.raises(LocalError, match="DISK_IO"):
            await one.engine.read(lambda turn: turn.now)
        await trio.sleep(200)
        store.code = ""
        later = await stated(one, 1)
        assert await mesh.until(mesh.agree, 60)
        assert all(holds(daemon, later) for daemon in mesh.nodes.values())


async def test_a_disk_that_fails_now_and_then_loses_nothing_acknowledged(autojump_clock: MockClock) -> None:
    async with mesh_of(4) as mesh:
        one, store = await on_failing_disk(mesh, 0)
        store.code, store.chance = "DISK_IO", 0.3
        acknowledged: list[bytes] = []
        for number in range(14):
            try:
                acknowledged.append(await stated(one, number % 7))
            except LocalError:
                continue
            await stated(mesh.nodes[1], number % 7)
            await trio.sleep(0.7)
        assert store.failed > 2
        assert len(acknowledged) > 2
        await mesh.kill(0)
        store.code = ""
        await mesh.restart(0)
        assert await mesh.until(mesh.agree, 60)
        assert all(holds(daemon, ident) for daemon in mesh.nodes.values() for ident in acknowledged)
        assert not any(daemon.core.replica.members.forks for daemon in mesh.nodes.values())


@pytest.mark.parametrize("jump", [2 * HOUR, -2 * HOUR, 5 * YEAR, -5 * YEAR])
async def test_a_clock_that_jumps_under_a_node_moves_nothing(autojump_clock: MockClock, jump: int) -> None:
    """The node's own time runs on: its heartbeats are taken, its timers fire, its entries arrive."""
    async with mesh_of(4) as mesh:
        one, wrong = mesh.nodes[0], {"by": 0}
        clock = SteadyClock(lambda: now_ms() + wrong["by"] * 1_000, now_ms, lambda: False)
        one.engine._clock = clock
        wrong["by"] = jump
        for _ in range(4):
            await trio.sleep(30)
            assert await spread(mesh, 0, seconds=5, to=1) <= 1.0
            assert await spread(mesh, 1, seconds=5, to=0) <= 1.0
        assert clock.held_ms == jump * 1_000
        head = mesh.nodes[1].core.replica.signed_head(one.kid)
        assert head is not None
        assert abs(head.time - now_ms() // 1_000) <= 60
        wrong["by"] = 0
        assert await mesh.until(mesh.agree, 60)
        assert not any(daemon.core.replica.members.forks for daemon in mesh.nodes.values())


@pytest.mark.parametrize("lag", [2 * HOUR, 5 * YEAR])
async def test_a_clock_set_back_forks_nothing_even_where_it_is_believed(autojump_clock: MockClock, lag: int) -> None:
    """A node that was started in the past: what it signs is never dated before what it signed."""
    async with mesh_of(4) as mesh:
        one, wrong = mesh.nodes[0], {"by": 0}
        one.engine._clock = lambda: now_ms() - wrong["by"] * 1_000
        before = one.core.replica.signed_head(one.kid)
        wrong["by"] = lag
        await trio.sleep(60)
        wrong["by"] = 0
        await trio.sleep(60)
        after = one.core.replica.signed_head(one.kid)
        assert before is not None
        assert after is not None
        assert after.time >= before.time
        assert await mesh.until(mesh.agree, 90)
        assert not any(daemon.core.replica.members.forks for daemon in mesh.nodes.values())
