"""Roles that lists print, and access in an emergency: for holders alone, and marked in the person's trail."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.node.flows.world import SHORT
from tests.node.nodes import do, make_home, running, until
from tests.node.test_data_operations import PERIOD, WHAT, pair


async def hold(node: Any) -> None:
    """Put a short series into a node's vault."""
    mesh = node.mesh()
    await mesh.engine.act(lambda turn: mesh.flows.series.add(turn.vault, SHORT))


@pytest.mark.covers("system:EU 2023/1162")
async def test_consent_list_prints_the_roles_of_the_reference_model(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(bob, "wallet create", name="anna")
        args = {"holder": "ada", "recipient": "bob", "point": (SHORT.key.point,), **WHAT, **PERIOD}
        made = await do(bob, "consent grant", wallet="anna", **args)
        for node in (ada, bob):
            await until(partial(knows, node, made.id))
        (line,) = (await do(bob, "consent list")).consents
        assert line.roles == (
            "metered data administrator: ada",
            "eligible party: bob",
            "permission administrator: bob",
        )


@pytest.mark.covers("R87", "system:DMP")
async def test_urgent_access_is_for_holders_and_is_marked(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await hold(ada)
        await do(ada, "wallet create", name="anna")
        args = {"point": (SHORT.key.point,), **WHAT, **PERIOD, "purpose": "Saving her life"}
        urgent = b'legal_basis = "vital_interests"\n'
        made = await do(ada, "consent grant", wallet="anna", recipient="class:holders", terms=urgent, **args)
        await until(lambda: status_of(bob, made.id) is not None)
        asked = {"holder": "ada", "point": SHORT.key.point, "kind": "load_curve"}
        refused = await do(bob, "data request", **asked)
        assert (refused.state, refused.records) == ("refused", 0)  # bob holds nobody's data
        assert refused.reason == "NOT_IN_CLASS"
        assert (await do(ada, "consent trail", wallet="anna")).steps == ()

        await do(bob, "wallet create", name="bea")
        own = {"holder": "bob", "recipient": "ada", "point": (SHORT.key.point,), **WHAT, **PERIOD}
        hers = await do(bob, "consent grant", wallet="bea", **own)
        await until(lambda: status_of(ada, hers.id) is not None)
        got = await do(bob, "data request", **asked)
        assert got.state == "done"
        plain = await do(ada, "consent grant", wallet="anna", recipient="bob", **args)
        assert (await do(ada, "data send", consent=plain.id, recipient="bob")).state == "done"
        steps = (await do(ada, "consent trail", wallet="anna")).steps
        told = {step.consent: (step.recipient, step.urgent, step.purpose) for step in steps}
        assert told[made.id] == ("bob", True, "Saving her life")
        assert told[plain.id] == ("bob", False, "Saving her life")


def knows(node: Any, grant: str) -> bool:
    """Say whether a node's ledger has a consent."""
    return status_of(node, grant) is not None


def status_of(node: Any, grant: str) -> Any:
    """Return what a node's ledger says of a consent, or None."""
    mesh = node.mesh()
    with mesh.store.read() as rows:
        return mesh.core.replica.consent(rows, bytes.fromhex(grant))


@pytest.mark.covers("system:MyData / MyData operators")
async def test_a_node_describes_itself_in_nine_functions(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await hold(ada)
        await do(ada, "wallet create", name="anna")
        args = {"recipient": "bob", "point": (SHORT.key.point,), **WHAT, **PERIOD}
        made = await do(ada, "consent grant", wallet="anna", **args)
        assert (await do(ada, "data send", consent=made.id)).state == "done"
        await do(ada, "consent withdraw", id=made.id)
        found = await do(ada, "mesh describe", consent=made.id)
        assert len({row.function for row in found.functions}) == 9
        counts = {row.function: row.count for row in found.functions}
        told = ("identity management", "permission management", "service management", "personal data transfer")
        assert [counts[name] for name in told] == [1, 1, 1, 1]
        assert counts["governance support"] == 2
        assert counts["logging and accountability"] >= len(found.chain)
        assert [found.chain[0].status, found.chain[0].prev_record_id] == ["consent.grant", ""]
        assert "consent.withdraw" in [one.status for one in found.chain]
        mesh = ada.mesh()
        with mesh.store.read() as rows:
            entries = [mesh.core.replica.entry(rows, bytes.fromhex(one.record_id)) for one in found.chain]
        hashes = [sha256(entry.raw).hexdigest() for entry in entries if entry is not None]
        assert [one.prev_record_id for one in found.chain[1:]] == hashes[:-1]
