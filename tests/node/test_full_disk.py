"""What runs beside the engine on a full disk waits, and ends no node (the engine: hostile/test_machine.py)."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import trio

from ledger.errors import LocalError
from node import daemon
from node.daemon import Node
from node.hooks import Deliverer
from node.mesh import Mesh
from tests.node.nodes import do, make_home, running

FULL = LocalError("DISK_FULL", "no room")


class Hooks(Deliverer):
    """Hooks of which each fails to be noted, in a task of its own."""

    rounds = 0

    async def _round(self) -> float:
        self.rounds += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._fail)
        return 0

    async def _fail(self) -> None:
        raise FULL


async def test_hooks_wait(tmp_path: Path) -> None:
    async with running(make_home(tmp_path, "Alba")) as node:
        await do(node, "mesh create", name="m")
        hooks = Hooks(node.mesh(), node.clock, Random(1), private=lambda: False)
        with trio.move_on_after(0.05) as scope:
            await hooks.run()
        assert scope.cancelled_caught
        assert hooks.rounds == 1


class Announcing(Node):
    """A node whose disk takes its address at the third try."""

    tries = 0

    async def announce(self, mesh: Mesh) -> None:
        """Fail twice."""
        self.tries += 1
        if 1 < self.tries < 4:  # the first is that of its founding
            raise FULL
        await super().announce(mesh)


async def test_an_address_is_announced_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "ANNOUNCE_SECONDS", 0)
    async with running(make_home(tmp_path, "Alba"), kind=Announcing) as node:
        assert isinstance(node, Announcing)
        await do(node, "mesh create", name="m")
        node.tries = 1
        node._membership_moved(node.mesh())
        with trio.fail_after(20):
            while node.tries < 4:
                await trio.sleep(0.01)
