"""Tables that go to other members by their operations, on whole nodes over real sockets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from node.operations import find
from tests.node.flows.test_releasing import release
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import pair


async def test_a_table_is_sent_and_asked_for(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        published = release()
        mesh = ada.mesh()
        await mesh.engine.act(lambda turn: mesh.flows.releases.add(turn.vault, published))
        sent = await do(ada, "aggregate send", release=published.id.hex()[:8], recipient="bob")
        assert (sent.direction, sent.party, sent.state, sent.reason) == ("sent", "bob", "done", "")
        (came,) = (await do(bob, "aggregate tables")).tables
        assert (came.transfer, came.direction, came.name, came.state) == (
            sent.transfer,
            "received",
            "our street",
            "done",
        )
        assert came.entry != sent.entry
        here, there = (
            (await do(ada, "aggregate export", release=sent.release)).file,
            (await do(bob, "aggregate received", transfer=sent.transfer)).file,
        )
        assert here == there
        asked = await do(bob, "aggregate request", table="our street", holder="ada")
        assert (asked.state, asked.reason) == ("done", "")
        lines = (replace(published.figures[0], value="120.5"), *published.figures[1:])
        newer = replace(published, id=b"n" * 16, figures=lines)
        await mesh.engine.act(lambda turn: mesh.flows.releases.add(turn.vault, newer))
        again = await do(bob, "aggregate request", table=newer.id.hex(), holder="ada")
        assert (sent.differences, asked.differences, again.state, again.differences) == (0, 0, "done", 1)
        assert [one.differences for one in (await do(bob, "aggregate tables")).tables] == [0, 0, 1]
        none = await do(bob, "aggregate request", table="no such", holder="ada")
        assert (none.state, none.reason) == ("refused", "NO_SUCH_TABLE")
        assert find("aggregate", "request").exit_of(none) == 1  # type: ignore[union-attr]
        steps = (await do(bob, "processing list")).records
        assert {step.what for step in steps} == {"table received"}
