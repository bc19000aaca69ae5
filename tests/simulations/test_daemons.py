"""Whole daemons in virtual time: they repeat themselves, heal, survive a kill, and agree with the exact world."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from ledger.consent.status import State
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.governance.epoch import Policy
from node.admission import Admission
from node.core import Turn
from node.tickets import Ticket
from simulations.daemons import START_SECONDS, Daemon, Daemons, address, now_ms, run
from simulations.founding import persona
from simulations.links import uniform
from simulations.people import person
from simulations.randomness import Seed
from simulations.world import SECOND, START_US, World

POLICY = Policy(tick_seconds=60, heartbeat_seconds=20, invitations_a_day=1_000)
ROOT = Path(__file__).resolve().parents[2]


async def grant_at(mesh: Daemons, number: int, who: int = 0) -> Entry:
    """Let a person grant at a node."""
    holder, recipient = (mesh.nodes[place].who.party for place in sorted(mesh.nodes)[:2])
    return await mesh.nodes[number].engine.act(lambda turn: person(mesh.seed, who).grant(turn, holder, recipient))


async def state(daemon: Daemon, grant: Entry) -> State | None:
    """Return the state that a daemon holds a consent to be in."""
    found = await daemon.engine.read(lambda turn: turn.core.replica.consent(turn.rows, grant.id))
    return found.state if found is not None else None


async def states(mesh: Daemons, grant: Entry) -> set[State | None]:
    """Return the states that the daemons hold a consent to be in."""
    return {await state(daemon, grant) for daemon in mesh.nodes.values()}


async def invite(mesh: Daemons, number: int, bound_to: bytes | None) -> Ticket:
    """Let a daemon make a ticket."""

    def make(turn: Turn) -> Ticket:
        return Admission().invite(turn, [address(number)], ttl_seconds=3_600, bound_to=bound_to)

    return await mesh.nodes[number].engine.act(make)


def scene(seed: int) -> str:
    """Run a small mesh through a partition, a kill and a newcomer, and return the trace."""

    async def body(mesh: Daemons) -> str:
        await trio.sleep(5)
        await grant_at(mesh, 1)
        mesh.board.partition([[0, 1]])
        await trio.sleep(20)
        await mesh.kill(3)
        mesh.board.heal()
        await mesh.restart(3)
        who = persona(mesh.seed, 9)
        await mesh.join(9, await invite(mesh, 2, who.root.kid))
        await trio.sleep(70)
        return mesh.board.trace

    return run(seed, body, count=4, policy=POLICY)


def test_a_seed_is_a_run() -> None:
    one = scene(1)
    assert one == scene(1)
    assert one != scene(2)


def test_two_processes_with_other_hash_seeds_run_the_same() -> None:
    command = [sys.executable, "-c", "from tests.simulations.test_daemons import scene; print(scene(5))"]
    traces = [
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert traces[0] == traces[1]
    assert traces[0].strip() == scene(5)


def test_a_trio_without_seedable_dice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING")
    with pytest.raises(LocalError, match="pin trio"):
        run(1, lambda _: trio.sleep(0), count=1)


@pytest.mark.covers("R8", "R146")
def test_fifteen_daemons_come_together_after_a_partition() -> None:
    async def body(mesh: Daemons) -> None:
        await trio.sleep(10)
        assert mesh.agree()
        assert all(len(daemon.net.peerings) == 14 for daemon in mesh.nodes.values())
        grant = await grant_at(mesh, 0)
        await trio.sleep(2)
        assert await states(mesh, grant) == {State.GRANTED}
        left, right = range(7), range(7, 15)
        mesh.board.partition([left])
        await mesh.nodes[12].engine.act(lambda turn: person(mesh.seed, 0).withdraw(turn, grant))
        later = await grant_at(mesh, 3, 3)
        await trio.sleep(120)
        assert {await state(mesh.nodes[number], grant) for number in left} == {State.GRANTED}
        assert {await state(mesh.nodes[number], grant) for number in right} == {State.WITHDRAWN}
        assert all(len(mesh.nodes[number].net.peerings) == 6 for number in left)  # the silence was noticed
        mesh.board.heal()
        assert await mesh.until(mesh.agree, 150)
        assert await states(mesh, grant) == {State.WITHDRAWN}
        assert await states(mesh, later) == {State.GRANTED}
        await trio.sleep(80)
        ticks = set(mesh.ticks())
        assert len(ticks) == 1
        assert None not in ticks

    run(3, body, count=15, policy=POLICY)


@pytest.mark.covers("R4", "R12")
def test_a_killed_daemon_catches_up() -> None:
    async def body(mesh: Daemons) -> None:
        await trio.sleep(5)
        kept = await grant_at(mesh, 2, 2)
        await mesh.kill(2)
        missed = await grant_at(mesh, 0)
        await trio.sleep(30)
        await mesh.restart(2)
        assert await mesh.until(mesh.agree, 30)
        assert await states(mesh, kept) == await states(mesh, missed) == {State.GRANTED}

    run(4, body, count=5)


def test_a_tick_on_demand_takes_two_seconds() -> None:
    async def body(mesh: Daemons) -> None:
        await trio.sleep(7.3)
        await grant_at(mesh, 3)
        boundary = now_ms() // 1_000 + 1
        await mesh.nodes[1].engine.act(lambda turn: turn.ask_tick(boundary))
        await trio.sleep(2)
        (tick,) = set(mesh.ticks())
        assert tick is not None
        assert tick[0] == boundary

    run(5, body, count=8)


@pytest.mark.covers("R12", "R14")
def test_a_newcomer_knocks_and_is_one_of_us() -> None:
    async def body(mesh: Daemons) -> None:
        await trio.sleep(3)
        who = persona(mesh.seed, 7)
        await mesh.join(7, await invite(mesh, 1, who.root.kid))
        further = persona(mesh.seed, 8)
        await trio.sleep(5)
        await mesh.join(8, await invite(mesh, 7, further.root.kid))  # invited by one who is no founder
        assert await mesh.until(mesh.agree, 30)
        await trio.sleep(40)
        for daemon in mesh.nodes.values():
            assert len(daemon.core.replica.members.members) == 5
            assert len(daemon.net.peerings) == 4  # address cards have spread
        grant = await grant_at(mesh, 8)
        await trio.sleep(2)
        assert await states(mesh, grant) == {State.GRANTED}

    run(6, body, count=3)


Act = tuple[int, int, Callable[[Turn], object]]
"""At how many seconds, which node, does what."""


def acts(seed: Seed, count: int) -> list[Act]:
    """Return what happens in the scene that both drivers play."""
    parties = [persona(seed, number).party for number in range(count)]
    granted: dict[int, Entry] = {}

    def grant(who: int, turn: Turn) -> None:
        granted[who] = person(seed, who).grant(turn, parties[0], parties[1])

    def withdraw(who: int, turn: Turn) -> None:
        person(seed, who).withdraw(turn, granted[who])

    planned: list[Act] = [(10 + 4 * who, who % count, partial(grant, who)) for who in range(8)]
    planned += [(50 + 4 * who, (who + 3) % count, partial(withdraw, who)) for who in range(3)]
    return planned


def exact(seed: Seed, count: int) -> tuple[set[bytes], list[tuple[int, bytes, bytes] | None]]:
    """Play the scene in the exact world."""
    world = World(seed, policy=POLICY, dials=count)
    world.found(count)
    for at, number, act in acts(seed, count):
        world.at(START_US + at * SECOND, partial(world.act, number, act))
    world.run_for(100 * SECOND)
    return set(world.frontiers()), world.ticks()


def whole(seed: Seed, count: int) -> tuple[set[bytes], list[tuple[int, bytes, bytes] | None]]:
    """Play the scene with whole daemons."""

    async def body(mesh: Daemons) -> tuple[set[bytes], list[tuple[int, bytes, bytes] | None]]:
        for at, number, act in acts(seed, count):
            await trio.sleep_until(at)
            await mesh.nodes[number].engine.act(act)
        await trio.sleep_until(100)
        return mesh.frontiers(), mesh.ticks()

    return run(seed, body, count=count, policy=POLICY)


@pytest.mark.parametrize("count", [5, 7, 10])
def test_both_drivers_come_to_the_same_ledger(count: int) -> None:
    assert START_SECONDS * SECOND == START_US
    frontiers, ticks = exact(Seed(count, "cross-check"), count)
    assert len(frontiers) == len(set(ticks)) == 1
    assert None not in ticks
    assert whole(Seed(count, "cross-check"), count) == (frontiers, ticks)


def test_latency_is_what_the_links_say() -> None:
    async def body(mesh: Daemons) -> float:
        await trio.sleep(5)
        begun = trio.current_time()
        await grant_at(mesh, 0)
        assert await mesh.until(mesh.agree, 5)
        return trio.current_time() - begun

    assert run(8, body, count=5, delay=uniform(300, 300)) == pytest.approx(0.3, abs=0.11)


def test_what_goes_wrong_in_a_daemon_is_not_hidden() -> None:
    async def body(mesh: Daemons) -> None:
        await trio.sleep(1)

        def broken(turn: Turn) -> None:
            raise ZeroDivisionError

        await mesh.nodes[0].engine.act(broken)

    with pytest.raises(BaseExceptionGroup) as caught:
        run(9, body, count=2)
    assert caught.group_contains(ZeroDivisionError)
