"""Whole daemons that govern themselves: one side expels, the other admits, and after healing all say the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from ledger.consent.status import State
from ledger.governance.epoch import Policy
from ledger.governance.expulsion import threshold
from node.core import Core, Turn
from simulations.daemons import Daemon, Daemons, now_ms, run
from simulations.founding import persona
from tests.conftest import PROFILE
from tests.simulations.governing import Standing, cast_vote, propose_expulsion, standing
from tests.simulations.test_daemons import grant_at, invite, state

T = TypeVar("T")

POLICY = Policy(tick_seconds=60, heartbeat_seconds=20, invitations_a_day=1_000, seal_seconds=30)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Watch:
    """Looks on from outside: what must hold at every honest daemon at every moment."""

    mesh: Daemons
    target: int

    def honest(self) -> list[Daemon]:
        """Return every daemon but the one that is expelled."""
        return [daemon for number, daemon in sorted(self.mesh.nodes.items()) if number != self.target]

    def cores(self) -> list[Core]:
        """Return their cores."""
        return [daemon.core for daemon in self.honest()]

    def standings(self) -> list[Standing]:
        """Return what they believe."""
        return [standing(core) for core in self.cores()]

    def check(self) -> None:
        """No honest daemon is halted or sees rivals; whoever knows of the expulsion gossips with its target no more."""
        kid, party = self.mesh.nodes[self.target].kid, self.mesh.nodes[self.target].who.party
        for core in self.cores():
            members = core.replica.members
            assert not members.halted
            assert not members.branches
            if party in members.expelled:
                assert kid not in core.member_peers
                assert not members.speaks(kid)

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds, checking all the while."""

        def look() -> bool:
            self.check()
            return holds()

        return await self.mesh.until(look, seconds)

    def at_one(self) -> bool:
        """Say whether all have one frontier and one epoch."""
        found = [core.replica for core in self.cores()]
        return len({(replica.frontier_digest(), replica.members.epoch) for replica in found}) == 1


async def act(mesh: Daemons, number: int, work: Callable[[Turn], T]) -> T:
    """Run a local act at a daemon."""
    return await mesh.nodes[number].engine.act(work)


def scene(seed: int, count: int) -> str:
    """Seal, part, expel on the left, admit on the right, heal; return the trace."""
    needed = threshold(count - 1)
    assert needed is not None
    target, newcomer = needed, count
    left, right = range(needed + 1), range(needed + 1, count)

    async def body(mesh: Daemons) -> str:
        watch = Watch(mesh, target)
        assert await watch.until(lambda: all(each.n == 1 for each in watch.standings()), 90)
        assert len({each.epoch for each in watch.standings()}) == 1
        party, kid = mesh.nodes[target].who.party, mesh.nodes[target].kid
        mesh.board.partition([left])
        await trio.sleep(1)
        proposal = await act(mesh, 0, lambda turn: propose_expulsion(turn, party))
        assert await watch.until(lambda: mesh.nodes[target].core.replica.size(mesh.nodes[0].kid) > 0, 1)
        await trio.sleep(1)
        for number in range(needed):
            await act(mesh, number, lambda turn: cast_vote(turn, proposal.id))
        learned = [mesh.nodes[number].core for number in left if number != target]
        assert await watch.until(lambda: all(party in standing(core).expelled for core in learned), 5)
        assert mesh.nodes[target].core.replica.members.expelled  # it has heard it too, before its channels ended
        who = persona(mesh.seed, newcomer)
        await mesh.join(newcomer, await invite(mesh, right[-1], who.root.kid))
        consent = await grant_at(mesh, right[0])
        assert await watch.until(lambda: all(standing(core).n == 2 for core in learned), 60)  # enough of them are here
        assert {standing(mesh.nodes[number].core).n for number in right} == {1}
        assert all(party in standing(mesh.nodes[number].core).members for number in right)
        mesh.board.heal()
        assert await watch.until(lambda: watch.at_one() and min(each.n for each in watch.standings()) >= 3, 150)
        for each in watch.standings():
            assert party in each.expelled
            assert each.members == {daemon.who.party for daemon in watch.honest()}
            assert set(each.voters) == {persona(mesh.seed, number).party for number in range(count) if number != target}
        cut = proposal.payload["cut"]
        assert [head[0] for head in cut] == [kid]
        assert {core.replica.members.reach(kid) for core in watch.cores()} == {cut[0][1]}
        assert {await state(daemon, consent) for daemon in watch.honest()} == {State.GRANTED}
        healed = now_ms() // 1_000
        assert await watch.until(lambda: _tick(watch) > healed, 150)
        return mesh.board.trace

    return run(seed, body, count=count, policy=POLICY)


def _tick(watch: Watch) -> int:
    """Return the boundary of the newest tick, if all the honest agree on it: boundary, frontier and state root."""
    ticks = [core.ticker.tick for core in watch.cores()]
    found = {(tick.boundary, tick.frontier, tick.state_root) if tick is not None else None for tick in ticks}
    common = found.pop()
    return common[0] if common is not None and not found else 0


def test_seven_daemons_expel_and_admit_apart_and_agree() -> None:
    command = [sys.executable, "-c", "from tests.simulations.test_governance import scene; print(scene(1, 7))"]
    traces = {
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert traces == {scene(1, 7)}


@pytest.mark.parametrize(
    "count",
    [15, pytest.param(40, marks=pytest.mark.skipif(PROFILE != "nightly", reason="a minute; nightly"))],
)
def test_larger_meshes_expel_and_admit_apart_and_agree(count: int) -> None:
    scene(2, count)
