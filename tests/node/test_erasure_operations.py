"""The duty to delete by its operations, on two whole nodes: nothing is due, it becomes due, it goes, both ends know."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from ledger.errors import LocalError, MailleError
from ledger.schema import DAY
from node.adapters import household
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import WHAT, pair

CURVE = household.load_curve(1, 1_750_000_000 - 1_750_000_000 % DAY, 10, gaps=3)
PERIOD = {"data_from": datetime(2010, 1, 1, tzinfo=UTC), "data_until": datetime(2030, 1, 1, tzinfo=UTC)}
SOON = b'retention = "PT1S"\n'


async def moved(ada: Any, bob: Any) -> str:
    """Have readings move from ada to bob under a consent that lets bob keep them for a second; return its id."""
    await pair(ada, bob)
    await ada.mesh().engine.act(lambda turn: ada.mesh().flows.series.add(turn.vault, CURVE))
    await do(ada, "wallet create", name="anna")
    args = {"recipient": "bob", "point": (CURVE.key.point,), "granularity": "PT30M", **WHAT, **PERIOD}
    made = await do(ada, "consent grant", wallet="anna", terms=SOON, **args)
    assert (await do(ada, "data send", consent=made.id)).state == "done"
    return str(made.id)


async def rows(node: Any, words: str, name: str, wanted: int) -> Any:
    """Ask until so many rows are there."""
    with trio.fail_after(20):
        while len(found := getattr(await do(node, words), name)) != wanted:
            await trio.sleep(0.05)
    return found


@pytest.mark.covers("R144")
async def test_data_become_due_are_destroyed_and_both_ends_know(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        consent = await moved(ada, bob)
        assert (await do(bob, "erasure due")).overdue == ()
        with pytest.raises(MailleError) as refused:
            await do(bob, "erasure run")
        assert refused.value.code == "USAGE"
        await do(ada, "consent withdraw", id=consent)
        (due,) = await rows(bob, "erasure due", "overdue", 1)
        assert (due.consent, due.recipient, due.records, due.days) == (consent, "bob", len(CURVE), 0)
        (made,) = (await do(bob, "erasure run", due=True)).erasures
        assert (made.consent, made.party, made.transfers, made.records) == (consent, "bob", 1, len(CURVE))
        assert (await do(bob, "erasure due")).overdue == ()
        with pytest.raises(LocalError) as gone:
            await do(bob, "data export", consent=consent)
        assert gone.value.code == "NOT_FOUND"
        with trio.fail_after(20):
            while (await do(bob, "erasure list")).erasures[0].acknowledged != ("ada",):
                await trio.sleep(0.05)
        with pytest.raises(LocalError) as nothing:
            await do(bob, "erasure run", consent=consent)
        assert nothing.value.code == "NOTHING_TO_ERASE"
        assert (await do(bob, "erasure run", consent=consent, content=True)).erasures[0].content
