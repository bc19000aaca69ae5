"""Identities, facts, shares and records of processing by their operations, on two whole nodes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from ledger.errors import LocalError, MailleError
from node.operations import find
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import PERIOD, WHAT, pair
from tests.node.test_erasure_operations import CURVE

POINT = CURVE.key.point
KIND = "allocation.state"
NONCE = "00112233445566778899aabbccddeeff"
COUNTER = "Counter of the town hall"


async def consented(ada: Any, bob: Any) -> str:
    """Have anna, whose wallet is at ada's, consent to something for bob."""
    await pair(ada, bob)
    await do(ada, "wallet create", name="anna")
    args = {"recipient": "bob", "point": (POINT,), "granularity": "PT30M", **WHAT, **PERIOD}
    return str((await do(ada, "consent grant", wallet="anna", **args)).id)


async def known(node: Any, words: str, name: str) -> Any:
    """Ask until something is there."""
    with trio.fail_after(20):
        while not (found := getattr(await do(node, words), name)):
            await trio.sleep(0.05)
    return found


def verify(**values: Any) -> Any:
    """Run the check that needs no node."""
    row = find("fact", "verify")
    assert row is not None
    return row.handler(None, row.args(**values))


@pytest.mark.covers("R149", "R150", "system:France Connect")
async def test_an_identity_is_attested_and_read_where_it_may_be(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        consent = await consented(ada, bob)
        fields = {"family_name": "MARTIN", "birthdate": "1980-02-29"}
        said = {"consent": consent, "issuer": "franceconnect", "level": "substantial", "to": ("ada",)}
        await known(bob, "consent list", "consents")
        made = await do(bob, "identity attest", fields=json.dumps(fields).encode(), **said)
        (there,) = await known(ada, "identity list", "identities")
        assert (there.id, there.by, there.level, there.fields) == (made.id, "bob", "substantial", fields)
        assert (await do(ada, "identity list", consent=consent)).identities == (there,)
        for bad in (b"[]", b'{"nick": "a"}', b"\xff"):
            with pytest.raises(MailleError):
                await do(bob, "identity attest", fields=bad, **said)


@pytest.mark.covers("R83", "R84")
async def test_a_fact_is_attested_shown_checked_and_revoked(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        consent = await consented(ada, bob)
        await known(bob, "consent list", "consents")
        made = await do(bob, "fact attest", consent=consent, statement="lives in Lyon", basis="a bill", to="ada")
        (there,) = await known(ada, "fact list", "facts")
        assert (there.statement, there.value, there.by, there.revoked) == ("lives in Lyon", "yes", "bob", False)
        asked = {"audience": COUNTER, "nonce": NONCE}
        shown = await do(ada, "fact show", id=made.id, wallet="anna", **asked)
        assert shown.opened == ("statement", "value")
        held = verify(file=shown.file, issuer=(there.issuer,), **asked)
        assert (held.holds, held.fields) == (True, {"statement": "lives in Lyon", "value": "yes"})
        for change in ({"nonce": "00" * 16}, {"audience": "the baker"}, {"issuer": (str(ada.root_key().did),)}):
            refused = verify(**{"file": shown.file, "issuer": (there.issuer,), **asked, **change})
            assert not refused.holds
            assert refused.code
        with pytest.raises(LocalError) as stranger:
            await do(ada, "fact revoke", id=made.id)
        assert stranger.value.code == "NOT_A_PARTY"
        assert (await do(bob, "fact revoke", id=made.id)).revoked
        with trio.fail_after(20):
            while not (await do(ada, "fact list")).facts[0].revoked:
                await trio.sleep(0.05)


@pytest.mark.covers("R64")
async def test_shares_are_stated_and_each_day_has_its_version(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        thirds = json.dumps({f"prm:{number:014}": "1/3" for number in range(3)}).encode()
        day = datetime(2026, 1, 1, tzinfo=UTC)
        first = await do(ada, "allocation state", shares=thirds, effective=day, to=("bob",))
        assert (first.version, set(first.shares.values())) == (1, {"1/3"})
        halves = json.dumps({"prm:00000000000000": "1/2", "prm:00000000000001": "0.5"}).encode()
        later = datetime(2026, 7, 1, tzinfo=UTC)
        await do(ada, "allocation state", shares=halves, effective=later, loop=first.loop, to=("bob",))
        asked = {"loop": first.loop, "organiser": "ada"}
        rows = bob.mesh().flows.letters.rows
        with trio.fail_after(20):
            while await bob.mesh().engine.read(lambda turn: len(list(rows.listing(turn.vault, KIND)))) < 2:
                await trio.sleep(0.05)
        now = await do(bob, "allocation show", **asked)
        assert now.version == 2
        assert set(now.shares.values()) == {"1/2"}
        spring = await do(bob, "allocation show", at=datetime(2026, 3, 1, tzinfo=UTC), **asked)
        assert (spring.version, len(spring.shares)) == (1, 3)
        with pytest.raises(LocalError) as early:
            await do(bob, "allocation show", at=datetime(2025, 3, 1, tzinfo=UTC), **asked)
        assert early.value.code == "NOT_FOUND"
        for bad in (b'{"a": "1/2"}', b'{"a": "x"}', b"[]", b'{"a": "1/0"}'):
            with pytest.raises(MailleError):
                await do(ada, "allocation state", shares=bad, effective=day)


@pytest.mark.covers("R96")
async def test_processing_is_recorded_and_exported(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        consent = await consented(ada, bob)
        await ada.mesh().engine.act(lambda turn: ada.mesh().flows.series.add(turn.vault, CURVE))
        sent = await do(ada, "data send", consent=consent)
        result = tmp_path / "report.csv"
        result.write_text("1;2")
        args = {"what": "monthly sums", "consent": (consent,), "transfer": (sent.transfer,), "output": (str(result),)}
        made = await do(bob, "processing record", **args)
        (row,) = (await do(bob, "processing list", consent=consent)).records
        assert row == made
        (receipt,) = (await do(bob, "data receipts")).receipts
        assert row.inputs == (receipt.sha256,)
        document = json.loads((await do(bob, "processing export")).file)
        (used,), (generated,) = document["used"].values(), document["wasGeneratedBy"].values()
        assert used["prov:activity"] == generated["prov:activity"]
        assert set(document["entity"]) == {used["prov:entity"], generated["prov:entity"]}
        for change in ({"transfer": ("ff" * 8,)}, {"input": (str(tmp_path / "none"),)}, {"what": " "}):
            with pytest.raises(MailleError):
                await do(bob, "processing record", **{**args, **change})
