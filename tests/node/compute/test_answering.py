"""Results on request, on whole nodes over real sockets: computed by the holder when its recipient asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import LocalError
from node.compute.answering import answer
from node.compute.operations import reviewed
from node.flows.computing import WAITING_PARTY_MAX, Work
from node.flows.wire import Ask
from node.vaults.transfers import Wanted
from tests.node.flows.test_results import SUM, scene
from tests.node.flows.world import SHORT
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import exit_code, pair

WHAT = {"recipient": "bob", "kind": "load_curve", "purpose": "Advice on insulation", "contact": "dpo@city.example"}


async def granted(ada: Any, computation: str) -> Any:
    """Have a node hold a home's readings; return a consent for the results of a computation over six days."""
    mesh = ada.mesh()
    await mesh.engine.act(lambda turn: mesh.flows.series.add(turn.vault, SHORT))
    start = datetime.fromtimestamp(SHORT.starts[0], UTC).replace(hour=0, minute=0) + timedelta(days=2)
    period = {"data_from": start, "data_until": start + timedelta(days=6)}
    await do(ada, "wallet create", name="anna")
    what = {"point": (SHORT.key.point,), "computation": computation, **WHAT, **period}
    return await do(ada, "consent grant", wallet="anna", **what)


async def test_a_recipient_asks_for_results_and_gets_them_and_nothing_else(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        sums = await do(ada, "compute define", operation="sum", step="P1D")
        grant = await granted(ada, sums.computation)
        mesh = bob.mesh()
        from tests.node.nodes import until

        def known() -> bool:
            with mesh.store.read() as rows:
                return mesh.core.replica.consent(rows, bytes.fromhex(grant.id)) is not None

        await until(known)
        asked = await do(bob, "compute request", consent=grant.id)
        assert (asked.state, asked.reason, asked.records) == ("done", "", 6)
        assert exit_code("compute request", asked) == 0
        got = (await do(bob, "compute results", consent=grant.id)).results
        assert {one.sender for one in got} == {"ada"}
        assert len(got) == 6
        with pytest.raises(LocalError):
            await do(bob, "data export", consent=grant.id)  # no reading has arrived
        readings = await do(bob, "data request", consent=grant.id)
        assert (readings.state, readings.reason) == ("refused", "COMPUTATION_ONLY")
        await do(ada, "compute forget", computation=sums.computation)
        unknown = await do(bob, "compute request", consent=grant.id)
        assert (unknown.state, unknown.reason) == ("refused", "NO_SUCH_COMPUTATION")
        await do(ada, "consent withdraw", id=grant.id)
        ended = await do(bob, "compute request", consent=grant.id)
        assert (ended.state, ended.reason) == ("refused", "WITHDRAWN")


def test_requests_wait_bounded_and_once_and_are_judged_again_when_computed() -> None:
    world, grant = scene()
    flows = world.holder.flows
    world.holder.act(lambda turn: flows.computations.add(turn.vault, SUM, b""))
    wanted = world.wanted(grant=grant.id, computation=SUM.hash)
    asks = [Ask(bytes([number]) * 16, wanted) for number in range(WAITING_PARTY_MAX + 2)]
    for ask in (*asks, asks[0]):
        world.recipient.say(world.holder, ask)
    world.pump()
    assert world.holder.codes().count("RESULT_ASKED") == WAITING_PARTY_MAX
    work = world.holder.look(flows.computing.next)
    assert work is not None
    assert work.transfer == asks[0].transfer
    results, code = answer(work)
    assert (len(results), code) == (1, "")
    world.withdraw(grant)
    world.pump()
    world.holder.act(lambda turn: flows.sending.computed(turn, work.transfer, work.wanted, results, code))
    world.pump()
    assert world.recipient.received(work.transfer) is None  # withdrawn meanwhile: nothing has left
    assert world.holder.look(flows.computing.next) is None


@pytest.mark.covers("system:OPAL")
def test_a_request_for_another_computation_is_refused() -> None:
    world, grant = scene()
    other = reviewed("mean", {}, "")
    wanted = Wanted(world.holder.party, world.recipient.party, grant.id, computation=other.hash)
    transfer = world.recipient.act(lambda turn: world.recipient.flows.receiving.ask(turn, wanted))
    world.pump()
    row = world.recipient.received(transfer)
    assert row is not None
    assert row.reason == "OTHER_COMPUTATION"


def test_what_fails_is_a_code() -> None:
    world, grant = scene()
    scope = world.holder.look(
        lambda turn: world.holder.flows.door.judge(turn, world.wanted(grant=grant.id, computation=SUM.hash)).scope
    )
    assert scope is not None
    wanted = world.wanted(grant=grant.id, computation=SUM.hash)
    assert answer(Work(b"t" * 16, wanted, SUM, b"", (), scope)) == ([], "NO_READINGS")
