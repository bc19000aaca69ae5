"""Records of other systems by their operations: evidence that opens nothing, and ours in their forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import trio

from node.adapters.adapter import Source
from node.adapters.consents import formats, sge_proxy
from node.ops import consent_records
from tests.node.adapters.consents.test_data_connect_access import SERVICE
from tests.node.adapters.consents.test_data_connect_access import file as services
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import PERIOD, WHAT, pair
from tests.node.test_life_operations import refused

POINT = "prm:16401220101758"


@pytest.mark.covers("R50")
async def test_a_foreign_record_is_evidence_and_opens_nothing(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "wallet create", name="anna")
        made = await do(ada, "consent import", file=services(SERVICE), as_="data-connect", name="services.json")
        assert (made.status, made.format, made.name) == ("evidence", "data-connect", "services.json")
        assert [(one.standing, one.points) for one in made.records] == [("given", (POINT,))]
        assert (await do(ada, "consent list")).consents == ()
        again = await do(ada, "consent import", file=services(SERVICE), as_="data-connect")
        assert again.id == made.id
        listed = await do(ada, "consent imported", id=made.id[:12])
        assert listed.files == (made,)
        asked = await do(ada, "data send", recipient="bob", point=POINT, kind="load_curve", purpose=WHAT["purpose"])
        assert (asked.state, asked.records) == ("refused", 0)

        args: dict[str, Any] = {"recipient": "bob", "point": (POINT,), "granularity": "PT30M", **WHAT, **PERIOD}
        await refused("USAGE", ada, "consent grant", wallet="anna", evidence=made.id, paper=b"x", **args)
        await refused("NOT_FOUND", ada, "consent grant", wallet="anna", evidence="ff" * 32, **args)
        grant = await do(ada, "consent grant", wallet="anna", evidence=made.id[:12], **args)
        mesh = ada.mesh()
        entry = await mesh.engine.read(lambda turn: turn.core.replica.grant(turn.rows, bytes.fromhex(grant.id)))
        assert entry is not None
        assert entry.payload["transcribed"] is True
        assert entry.payload["evidence"] == [bytes.fromhex(made.id)]
        sent = await do(ada, "data send", consent=grant.id)
        assert (sent.state, sent.reason) == ("refused", "EVIDENCE_PENDING")
        await do(ada, "consent evidence", id=grant.id, evidence=made.id[:12], status="checked_ok")
        with trio.fail_after(10):
            while (await do(ada, "data send", consent=grant.id)).reason == "EVIDENCE_PENDING":
                await trio.sleep(0.05)


def test_each_format_is_offered_where_it_is_read_or_written() -> None:
    assert set(get_args(consent_records.Readable)) == {one.name for one in formats.FORMATS if one.read}
    assert set(get_args(consent_records.Writable)) == {one.name for one in formats.FORMATS if one.write}


async def test_what_is_no_record_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        await refused("BAD_DROIT_ACCES", ada, "consent import", file=b"{}", as_="droit-acces")
        await refused("BAD_SGE_PROXY", ada, "consent import", file=b"", as_="sge-proxy")
        assert (await do(ada, "consent imported")).files == ()


@pytest.mark.covers("R50", "R70")
async def test_a_consent_of_ours_is_exported_as_it_stands(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "wallet create", name="anna")
        await do(ada, "readings generate", seed=7, days=3)
        args: dict[str, Any] = {"recipient": "bob", "point": ("prm:00000000000007",), "granularity": "PT30M"}
        grant = await do(ada, "consent grant", wallet="anna", **args, **WHAT, **PERIOD)
        assert (await do(ada, "data send", consent=grant.id)).state == "done"

        request = json.loads((await do(ada, "consent export", id=grant.id, as_="eddie")).file)
        assert (request["status"], request["connectionId"]) == ("ACCEPTED", "bob")
        message = json.loads((await do(ada, "consent export", id=grant.id, as_="odrl")).file)
        assert message["agreement"]["assigner"] == "ada"
        details = ("name=Durand", "jid=bob@xmpp.example", "issuer=female")
        exported = await do(ada, "consent export", id=grant.id, as_="sge-proxy", detail=details)
        assert exported.media_type == "application/zip"
        tables = sge_proxy.read_tables(exported.file, Source())
        assert [call.webservice for call in tables.calls] == ["electricity/consumption/load_curve"]
        await refused("DETAIL_MISSING", ada, "consent export", id=grant.id, as_="solid-acl")
        await refused("NO_PLACE", ada, "consent export", id=grant.id, as_="droit-acces")
        await refused("USAGE", ada, "consent export", id=grant.id, as_="eddie", detail=("nonsense",))

        await do(ada, "consent amend", id=grant.id, granularity="P1D")
        await refused("EXPORT_AMENDED", ada, "consent export", id=grant.id, as_="eddie")
        other = await do(ada, "consent grant", wallet="anna", **args, **WHAT, **PERIOD)
        await do(ada, "consent revoke", id=other.id, why="moved_out", reason="gone")
        message = json.loads((await do(ada, "consent export", id=other.id, as_="odrl")).file)
        assert (message["state"], message["reason"]) == ("TERMINATED", ["moved_out, gone"])
        request = json.loads((await do(ada, "consent export", id=other.id, as_="eddie")).file)
        assert [step["status"] for step in request["history"]][-2:] == ["ACCEPTED", "TERMINATED"]


@pytest.mark.covers("system:Warp 10", "system:PRIDE")
async def test_a_share_is_told_as_fields_of_a_warp_10_token(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "wallet create", name="anna")
        await do(ada, "readings generate", seed=7, days=3)
        point = "prm:00000000000007"
        args: dict[str, Any] = {"recipient": "bob", "point": (point,), "granularity": "PT30M"}
        grant = await do(ada, "consent grant", wallet="anna", **args, **WHAT, **PERIOD)
        share = await do(ada, "share make", consent=grant.id, lasts="2h", point=(point,), granularity="P1D")
        exported = await do(ada, "share export", token=share.token[:8])
        token = json.loads(exported.file)
        assert (token["tokenType"], token["appName"]) == ("READ", "bob")
        assert token["labels"] == {
            "energy": "electricity",
            "direction": "consumption",
            "kind": "load_curve",
            "point": f"~^({point})$",
            "granularity": "P1D",
        }
        assert token["expiryTimestamp"] == int(share.expires.timestamp() * 1000)
        assert json.loads((await do(ada, "share export", token=share.token, application="x")).file)["appName"] == "x"
        await refused("NOT_FOUND", ada, "share export", token="ffff")
