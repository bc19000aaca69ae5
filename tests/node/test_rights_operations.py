"""Rights by their operations, on two whole nodes over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ledger.errors import LocalError, MailleError
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import PERIOD, WHAT, pair

POINT = "prm:12345678901234"


@pytest.mark.covers("R73", "R93")
async def test_a_right_is_asked_answered_and_late(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "wallet create", name="anna")
        args = {"recipient": "bob", "point": (POINT,), "granularity": "PT30M", **WHAT, **PERIOD}
        made = await do(ada, "consent grant", wallet="anna", **args)
        asking = {"consent": made.id, "right": "rectification", "wallet": "anna", "text": "It was off."}
        fix = (f"{POINT},2026-01-31T00:00:00Z,1.5", f"{POINT},2026-01-31T00:30:00Z,")
        (asked,) = (await do(ada, "rights ask", correction=fix, **asking)).requests
        assert (asked.right, asked.to, asked.wallet, asked.state, asked.late) == (
            "rectification",
            "bob",
            "anna",
            "open",
            False,
        )
        assert (asked.due - asked.asked).days in (28, 29, 30, 31)
        with trio.fail_after(20):
            while not (await do(bob, "rights list")).requests:
                await trio.sleep(0.05)
        shown = await do(bob, "rights show", id=asked.id[:12])
        assert shown.text == "It was off."
        assert [row.value for row in shown.corrections] == ["1.5", None]
        assert (await do(bob, "rights list", late=True)).requests == ()
        with pytest.raises(LocalError) as mute:
            await do(bob, "rights answer", id=asked.id, outcome="refused")
        assert mute.value.code == "BAD_ANSWER"
        answered = await do(bob, "rights answer", id=asked.id, outcome="done", text="Mended.")
        assert answered.state == "done"
        with trio.fail_after(20):
            while (await do(ada, "rights show", id=asked.id)).answer != "Mended.":
                await trio.sleep(0.05)
        everyone = (await do(ada, "rights ask", everywhere=True, **asking)).requests
        assert {row.to for row in everyone} == {"ada", "bob"}
        for bad in ({"correction": ("nonsense",)}, {"to": "bob", "everywhere": True}, {"consent": "00" * 32}):
            with pytest.raises(MailleError):
                await do(ada, "rights ask", **{**asking, **bad})
