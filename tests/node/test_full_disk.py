"""What runs beside the engine on a full disk waits, and ends no node (the engine: hostile/test_machine.py)."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from ledger.errors import LocalError
from node import daemon
from node.checkup import look
from node.daemon import Node
from node.exits import exit_of
from node.hooks import Deliverer
from node.mesh import Mesh
from node.process import run
from node.room import START_BYTES
from storage.journal import JOURNAL_BYTES, JOURNAL_FILE
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


class Restarted(Node):
    """A node that finds no room to take its journal in."""

    async def run(self, **_: Any) -> None:
        """Be refused."""
        raise FULL


def test_a_start_without_room_says_how_much_it_needs_and_that_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path, "Alba")
    journal = home.mesh("street") / "ledger" / JOURNAL_FILE
    journal.parent.mkdir(parents=True)
    free = (5 << 20) + 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=1 << 40, used=0, free=free))

    def refused() -> str:
        with pytest.raises(LocalError) as caught:
            run(home, lambda: None, Restarted)
        assert exit_of(caught.value.code) == 75
        return caught.value.message

    for left in (None, bytes(JOURNAL_BYTES)):  # no journal, and one that was emptied: a start needs no room for it
        if left is not None:
            journal.write_bytes(left)
        assert refused() == FULL.message
        assert "DISK_FULL" not in {one.code for one in look(home, 0)}
    journal.write_bytes(b"record" + bytes(JOURNAL_BYTES - 6))
    told = refused()
    assert str(journal) in told
    assert f"5 MiB are free on the disk of {home.path}; a start needs up to 32 MiB" in told
    assert "Nothing is lost" in told
    assert told.endswith("Free 27 MiB on that disk, then: maille node run")
    (found,) = [one for one in look(home, 0) if one.code == "DISK_FULL"]
    assert f"{found.message} {found.why} {found.fix}" == told
    assert found.severity == "error"
    free = START_BYTES
    assert "DISK_FULL" not in {one.code for one in look(home, 0)}


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
