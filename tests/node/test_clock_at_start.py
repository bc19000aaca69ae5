"""A node that is started with a clock behind what it has signed: it dates nothing earlier, moves no data, says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node.clock import SteadyClock, running_ms, wall_ms
from node.daemon import Node
from tests.node.nodes import do, make_home, running, until

DAY_MS = 86_400_000


class Machine:
    """A machine whose clock is off by `off` ms, and vouched for or not."""

    def __init__(self, off: int, *, synchronised: bool = False) -> None:
        self.off, self.synchronised = off, synchronised

    def kind(self) -> type[Node]:
        """Return nodes that run on this machine."""
        machine = self

        class Here(Node):
            def __init__(self, *args: Any, **more: Any) -> None:
                clock = SteadyClock(lambda: wall_ms() + machine.off, running_ms, lambda: machine.synchronised)
                super().__init__(*args, clock=clock, **more)

        return Here


async def codes(node: Node) -> set[str]:
    """Return the codes of the problems that status tells, and check that the doctor has a reason for each."""
    found = (await do(node, "node status")).problems
    assert {one.code for one in found} <= {one.code for one in (await do(node, "node examine")).findings}
    return {one.code for one in found}


async def test_a_node_whose_clock_is_behind_goes_on_from_what_it_signed(tmp_path: Path) -> None:
    home = make_home(tmp_path, "Alba")
    async with running(home) as node:
        await do(node, "mesh create", name="m")
        signed = node.mesh().signed_at
    machine = Machine(-400 * DAY_MS)
    async with running(home, kind=machine.kind()) as node:
        assert node.now >= signed
        assert "CLOCK_BEHIND" in await codes(node)
        health = await do(node, "health")
        assert not health.ready
        assert "CLOCK_BEHIND" in health.codes
        assert node.mesh().flows.door.unsure()
        mesh = node.mesh()
        entry = await mesh.engine.act(
            lambda turn: turn.state(
                "state.attestation",
                ("tick", bytes(8)),
                {"boundary": 0, "frontier": bytes(32), "state_root": bytes(32)},
            )
        )
        assert entry.iat >= signed
        assert mesh.signed_at - signed < 60  # what is signed is dated near, not ahead
        machine.off = 9 * DAY_MS  # set by hand
        assert "CLOCK_BEHIND" not in await codes(node)
        assert not mesh.flows.door.unsure()
        assert abs(node.clock() - wall_ms() - 9 * DAY_MS) < 60_000


@pytest.mark.parametrize("synchronised", [True, False])
async def test_a_node_that_has_signed_ahead_says_so_once_its_clock_is_right(tmp_path: Path, synchronised: bool) -> None:
    home = make_home(tmp_path, "Alba")
    async with running(home, kind=Machine(3 * DAY_MS).kind()) as node:
        await do(node, "mesh create", name="m")
        assert not {"CLOCK_BEHIND", "SIGNED_AHEAD"} & await codes(node)
    async with running(home, kind=Machine(0, synchronised=synchronised).kind()) as node:
        await until(lambda: node.mesh().signed_at > 0)
        assert ("SIGNED_AHEAD" if synchronised else "CLOCK_BEHIND") in await codes(node)
