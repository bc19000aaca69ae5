"""Proofs by their operations: transfers, audiences, cards, folders of proofs; between two whole nodes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import LocalError
from node import exits
from node.cli.app import run
from node.operations import find
from proofs import reading
from proofs.reasons import Reason
from proofs.trust import Card
from tests.node.flows.world import SHORT
from tests.node.nodes import do, make_home, running, until
from tests.node.test_data_operations import CURVE, PERIOD, WHAT, pair
from tests.shared import shared


def verified(files: list[Path], **options: Any) -> Any:
    """Verify files as the command does, in this process."""
    row = find("proof", "verify")
    assert row is not None
    args = row.args(proof=tuple(map(str, files)), **options)
    return row.handler(None, args)


async def test_a_consent_with_its_transfers_is_proven_to_an_auditor(tmp_path: Path) -> None:
    data = shared(CURVE).read_bytes()
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "readings import", file=data)
        (series,) = (await do(ada, "readings list")).series
        await do(ada, "wallet create", name="anna")
        args = {"recipient": "bob", "point": (series.point,), "granularity": series.granularity, **WHAT, **PERIOD}
        made = await do(ada, "consent grant", wallet="anna", **args)
        assert (await do(ada, "data send", consent=made.id)).state == "done"
        await do(ada, "tick run")
        early = await do(ada, "proof make", consent=made.id, transfers=True)
        assert early.transfers == 0
        assert "1 transfer is not" in early.hint
        assert "`maille data settle`" in early.hint
        assert not (await do(ada, "proof make", consent=made.id)).hint
        assert (await do(ada, "data settle")).receipts == 1
        assert (await do(bob, "data settle")).receipts == 1
        await until(lambda: held(ada, bob))
        await do(ada, "tick run")

        proof = await do(ada, "proof make", consent=made.id, transfers=True, audience="cnil.example", nonce="0102")
        assert (proof.transfers, proof.consents, proof.hint) == (1, 1, "")
        assert "--members" not in proof.verify
        bundle = reading.decode(proof.proof)
        (transfer,) = bundle.transfers
        assert transfer.ack is not None
        assert transfer.receipt.account is not None
        assert transfer.receipt.account.count == 17_866

        card = await do(ada, "trust export")
        assert Card.decode(card.card).fingerprint() == card.fingerprint
        file = tmp_path / "consent.mailleproof"
        file.write_bytes(proof.proof)
        verdict = verified([file], genesis=card.genesis, audience="cnil.example", nonce="0102")
        rows = {row.name: row.outcome for row in verdict.checks}
        assert rows["transfer.1.ack"] == rows["transfer.1.window"] == rows["presentation"] == "passed"
        assert rows["active"] == "passed"
        assert verified([file], genesis=card.genesis, audience="court.example").reason == "WRONG_AUDIENCE"
        with pytest.raises(LocalError, match="leave out --members"):  # the card's quorum would silently stand for it
            verified([file], card=card.card, members=2)

        day = datetime.now(UTC) - timedelta(days=1)
        period = await do(bob, "proof period", since=day)
        assert (period.transfers, period.consents) == (1, 1)
        (tmp_path / "period.mailleproof").write_bytes(period.proof)
        both = verified([tmp_path], genesis=card.genesis)
        assert len(both.files) == 2
        conduct = await do(bob, "proof conduct", member="ada", consent=(made.id,))
        told = verified([written(tmp_path / "conduct", conduct.proof)], genesis=card.genesis)
        assert told.report["bundle"]["selection"] == "conduct"
        with pytest.raises(LocalError, match="Nothing that the ledger holds"):
            await do(bob, "proof conduct", member="ada")
        with pytest.raises(LocalError, match="NOT_NAMED"):
            await do(ada, "proof make", consent=made.id, notice=(b"another text",))
        with pytest.raises(LocalError, match="hexadecimal"):
            await do(ada, "proof make", consent=made.id, audience="cnil.example", nonce="none")


async def test_a_seal_by_a_replaced_device_is_proven_to_an_auditor(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        founder = (await do(bob, "mesh prepare", name="coop")).founder
        await do(ada, "mesh create", name="coop", founder=(founder,), seal_seconds=1, attestation_quorum=2)
        ticket = await do(ada, "invite create", open=True)
        assert (await do(bob, "join", ticket=ticket.ticket)).answer == "FOUNDER"
        await until(lambda: all(len(each.mesh().core.replica.members.members) == 2 for each in (ada, bob)))
        old = ada.mesh().core.device.kid
        await do(ada, "device certify")
        await until(lambda: ended(ada, old))
        await do(ada, "readings generate", seed=7, days=3)
        (series,) = (await do(ada, "readings list")).series
        await do(ada, "wallet create", name="anna")
        args = {"recipient": "bob", "point": (series.point,), "granularity": series.granularity, **WHAT, **PERIOD}
        made = await do(ada, "consent grant", wallet="anna", **args)
        await do(ada, "tick run")
        proof = await do(ada, "proof make", consent=made.id)
        assert " --members 2" in proof.verify
        assert any(step.heirs for step in reading.decode(proof.proof).epochs)
        verdict = verified([written(tmp_path / "consent", proof.proof)], genesis=proof.genesis)
        rows = {row.name: row.outcome for row in verdict.checks}
        assert rows["epochs"] == rows["epoch"] == rows["witnesses.1"] == rows["active"] == "passed", rows


def ended(node: Any, device: bytes) -> bool:
    """Say whether an epoch is sealed in which a device governs for nobody, and two others do."""
    governing = set(node.mesh().core.replica.chain.newest.governing.values())
    return device not in governing and len(governing) == 2


def written(path: Path, data: bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(data)
    return path


def held(here: Any, there: Any) -> bool:
    """Say whether a node holds all that another one has stated."""
    device = there.mesh().core.device.kid
    return bool(here.mesh().core.replica.position(device) == there.mesh().core.replica.position(device))


@pytest.mark.parametrize("code", ["try_later", "ACTIVE"])
def test_a_code_is_explained(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["proof", "explain", code]) == exits.OK
    told = capsys.readouterr().out
    assert Reason[code.upper()].meaning in told
    assert run(["proof", "explain", "NO_SUCH_CODE"]) == exits.NOT_FOUND


def test_several_files_end_in_the_worst_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["proof", "verify", str(tmp_path), "--genesis", "00" * 32]) == exits.NOT_FOUND
    for name in ("a", "b"):
        (tmp_path / f"{name}.mailleproof").write_bytes(b"no proof")
    capsys.readouterr()
    assert run(["proof", "verify", str(tmp_path), "--genesis", "00" * 32]) == exits.REFUSED
    assert capsys.readouterr().out.count("TOTAL-FAILED") == 3  # a line each, and the report of the worst
    assert run(["proof", "verify", str(tmp_path)]) == exits.USAGE


async def test_a_narrowed_consent_under_a_delegation_is_proven_to_an_auditor(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "readings generate", seed=7, days=3)
        (series,) = (await do(ada, "readings list")).series
        for name in ("mother", "daughter"):
            await do(ada, "wallet create", name=name)
        key = (await do(ada, "delegation key", wallet="daughter")).key
        given = await do(ada, "delegation give", wallet="mother", to=key, point=(series.point,))
        args = {"recipient": "bob", "granularity": series.granularity, "point": (series.point,), **WHAT, **PERIOD}
        made = await do(ada, "delegation grant", wallet="daughter", under=given.id, **args)
        await do(ada, "consent amend", id=made.id, granularity="P1D")
        await do(ada, "tick run")
        proof = await do(ada, "proof make", consent=made.id)
        verdict = verified([written(tmp_path / "consent", proof.proof)], genesis=proof.genesis)
        rows = {row.name: row.outcome for row in verdict.checks}
        wanted = ("delegation.1", "delegation.1.active", "amended", "active")
        assert {rows[name] for name in wanted} == {"passed"}, verdict.reason
        assert (verdict.verdict, verdict.report["level"], proof.consents) == ("TOTAL-PASSED", "D", 1)
        await do(ada, "delegation revoke", id=given.id)
        await do(ada, "tick run")
        ended = await do(ada, "proof make", consent=made.id)
        told = verified([written(tmp_path / "ended", ended.proof)], genesis=proof.genesis)
        assert told.reason == "DELEGATION_REVOKED"


async def test_a_consent_that_passes_data_on_is_proven_with_the_one_above(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        mesh = ada.mesh()
        await mesh.engine.act(lambda turn: mesh.flows.series.add(turn.vault, SHORT))
        await do(ada, "wallet create", name="anna")
        sharing = json.dumps({"onward_sharing": {"mode": "depth", "depth": 1}}).encode()
        args = {"recipient": "bob", "point": (SHORT.key.point,), "granularity": "PT30M", "terms": sharing}
        made = await do(ada, "consent grant", wallet="anna", **args, **WHAT, **PERIOD)
        assert (await do(ada, "data send", consent=made.id)).state == "done"
        passed = await do(bob, "consent pass-on", id=made.id, recipient="ada", contact="dpo@ada.example")
        await until(lambda: held(ada, bob))
        await do(ada, "tick run")
        await do(bob, "tick run")
        proof = await do(bob, "proof make", consent=passed.id)
        verdict = verified([written(tmp_path / "passed", proof.proof)], genesis=proof.genesis)
        rows = {row.name: row.outcome for row in verdict.checks}
        assert {rows[name] for name in ("parent", "parent.1.active", "parent.1.content")} == {"passed"}, verdict.reason
        assert (verdict.verdict, proof.consents) == ("TOTAL-PASSED", 2)
