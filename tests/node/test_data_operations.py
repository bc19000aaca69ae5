"""Wallets, consents, readings and data by their operations, on two whole nodes over real sockets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import LocalError, MailleError
from node.operation import Operation
from node.operations import find
from tests.node.nodes import do, make_home, running, until
from tests.shared import shared

CURVE = "data/enedis/hdm_c5_load_curve.csv"
PERIOD = {"data_from": datetime(2010, 1, 1, tzinfo=UTC), "data_until": datetime(2030, 1, 1, tzinfo=UTC)}
WHAT = {"kind": "load_curve", "purpose": "Advice on insulation", "contact": "dpo@city.example"}


async def pair(ada: Any, bob: Any) -> None:
    """Make a mesh of two nodes with a link between them."""
    await do(ada, "mesh create", name="street")
    ticket = await do(ada, "invite create", to=ada_key(bob))
    assert (await do(bob, "join", ticket=ticket.ticket)).answer == "ADMITTED"
    await until(lambda: bool(ada.mesh().engine.connected) and bool(bob.mesh().engine.connected))
    await do(ada, "link offer", member="bob")
    await until(lambda: "offered" in bob.mesh().core.replica.members.links.values())
    await do(bob, "link accept", member="ada")
    await until(lambda: "up" in ada.mesh().core.replica.members.links.values())


def ada_key(node: Any) -> str:
    """Return the did:key of a node's root key."""
    return str(node.root_key().did)


def exit_code(words: str, result: Any) -> int:
    """Return the exit code with which the command would end."""
    noun, _, verb = words.rpartition(" ")
    row = find(noun, verb)
    assert isinstance(row, Operation)
    return row.exit_of(result)


@pytest.mark.covers("R78", "R98", "system:Linky / Gazpar")
async def test_the_real_file_flows_under_a_consent_until_she_withdraws(tmp_path: Path) -> None:
    data = shared(CURVE).read_bytes()
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        imported = await do(ada, "readings import", file=data)
        assert (imported.new, imported.same) == (17_866, 0)
        again = await do(ada, "readings import", file=data)
        assert (again.new, again.same) == (0, 17_866)
        (series,) = (await do(ada, "readings list")).series
        assert (series.count, series.gaps, series.jumps) == (17_866, 14, 3)

        assert "kept by this node" in (await do(ada, "wallet create", name="anna")).custody
        args = {"recipient": "bob", "point": (series.point,), "granularity": series.granularity, **WHAT, **PERIOD}
        seen = await do(ada, "consent grant", preview=True, **args)
        assert (seen.id, seen.slip) == ("", "")
        assert any("Advice on insulation" in sentence for sentence in seen.words)
        made = await do(ada, "consent grant", wallet="anna", **args)
        assert made.words == seen.words

        sent = await do(ada, "data send", consent=made.id)
        assert (sent.state, sent.reason, sent.records, sent.gaps) == ("done", "", 17_866, 14)
        assert exit_code("data send", sent) == 0
        exported = await do(bob, "data export", consent=made.id, format="senml")
        assert exported.records == 17_866
        assert sum("v" in record for record in json.loads(exported.file)) == 17_852
        assert (await do(bob, "data export", consent=made.id)).file == (
            await do(ada, "readings export", point=series.point)
        ).file

        for wanted, reason in (({"kind": "daily"}, "OTHER_KIND"), ({"point": "prm:99999999999999"}, "OTHER_POINT")):
            refused = await do(bob, "data request", holder="ada", **wanted)
            assert (refused.state, refused.reason, refused.records) == ("refused", reason, 0)
            assert refused.message
            assert exit_code("data request", refused) == 1
        both = await do(ada, "consent list")
        await until_acknowledged(ada)
        assert both.consents[0].state == "active"

        withdrawn = await do(bob, "consent withdraw", slip=made.slip)
        assert withdrawn.id == made.id
        await until(lambda: state_of(ada, made.id) == "WITHDRAWN")
        stopped = await do(ada, "data send", consent=made.id)
        assert (stopped.state, stopped.reason) == ("refused", "WITHDRAWN")
        asked = await do(bob, "data request", consent=made.id)
        assert (asked.state, asked.reason) == ("refused", "WITHDRAWN")
        shown = await do(ada, "consent show", id=made.id[:12], lang="fr")
        assert shown.line.state == "withdrawn"
        assert any("Advice on insulation" in sentence for sentence in shown.words)
        assert any("chez le membre qui garde votre portefeuille" in sentence for sentence in shown.words)
        french = (await do(ada, "consent grant", preview=True, lang="fr", **args)).words
        assert not any("at the member" in sentence or "write to" in sentence for sentence in french)

        assert (await do(bob, "data refusals")).ever == 3
        (receipt,) = [row for row in (await do(ada, "data receipts")).receipts if row.state == "done"]
        (ack,) = (await do(bob, "data receipts", consent=made.id)).receipts
        assert (receipt.role, ack.role) == ("sent", "received")
        assert (receipt.records, receipt.sha256) == (ack.records, ack.sha256)
        assert (await do(ada, "data settle")).receipts == 1
        assert (await do(ada, "data settle")).receipts == 0
        (receipt,) = [row for row in (await do(ada, "data receipts")).receipts if row.state == "done"]
        assert receipt.stated_in


def state_of(node: Any, grant: str) -> str:
    """Return the state of a consent in a node's ledger."""
    mesh = node.mesh()
    with mesh.store.read() as rows:
        status = mesh.core.replica.consent(rows, bytes.fromhex(grant))
    return status.state.name if status is not None else ""


async def until_acknowledged(node: Any) -> None:
    """Wait until both parties have acknowledged every consent of a node."""
    import trio

    with trio.fail_after(10):
        while any(line.unacknowledged_by for line in (await do(node, "consent list")).consents):
            await trio.sleep(0.02)


@pytest.mark.covers("R61")
async def test_a_request_is_answered_or_refused(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "readings generate", seed=7, days=3)
        (series,) = (await do(ada, "readings list")).series
        assert series.fictitious
        await do(ada, "wallet create", name="anna")
        asks = [await do(bob, "consent request", holder="ada", point=(series.point,), **WHAT) for _ in range(2)]

        async def pending() -> list[Any]:
            return [one for one in (await do(ada, "consent list", requests=True)).consents if one.state == "pending"]

        import trio

        with trio.fail_after(10):
            while len(await pending()) < 2:
                await trio.sleep(0.02)
        refused = await do(ada, "consent refuse", id=asks[0].id, wallet="anna")
        assert refused.reaches == 1
        assert [one.id for one in await pending()] == [asks[1].id]
        with pytest.raises(MailleError) as caught:
            await do(ada, "consent grant", wallet="anna", request=asks[1].id, purpose="something else")
        assert caught.value.code == "USAGE"
        made = await do(ada, "consent grant", wallet="anna", request=asks[1].id, days=100)
        assert made.words != asks[1].words
        await until(lambda: state_of(bob, made.id) == "GRANTED")
        got = await do(bob, "data request", consent=made.id)
        assert (got.state, got.records) == ("done", 144)


async def test_what_is_missing_is_named(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "wallet create", name="anna")
        for values, field in (
            ({"kind": "daily"}, "purpose, point, contact"),
            ({"purpose": "x", "contact": "y", "point": (f"prm:{1:014}",)}, "kind"),
            ({"kind": "daily", "purpose": "x", "contact": "y", "point": ("12",)}, "point"),
            ({"terms": b'{"purpose": "x", "contact": "y"}', "kind": "daily"}, "points"),  # a file's own names
            ({"terms": b'{"purpose": "x", "colour": "red"}'}, "colour"),
        ):
            with pytest.raises(LocalError) as caught:
                await do(ada, "consent grant", wallet="anna", recipient="bob", **values)
            assert caught.value.field == field
        for words, values in (
            ("consent withdraw", {}),
            ("data send", {}),
            ("data export", {}),
            ("readings export", {}),
            ("consent grant", {"recipient": "bob"}),
        ):
            with pytest.raises(MailleError) as missing:
                await do(ada, words, **values)
            assert missing.value.code == "USAGE"
        with pytest.raises(LocalError) as unknown:
            await do(ada, "consent show", id="abcd1234")
        assert unknown.value.code == "NOT_FOUND"
