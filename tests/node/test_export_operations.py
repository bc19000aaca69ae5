"""`proof export` on two whole nodes: every format of a consent under which data flowed, and what is refused."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

from ledger import codec
from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from proofs import reading
from tests.node.nodes import do, make_home, running
from tests.node.test_checkpoint_operations import verified_lines
from tests.node.test_data_operations import PERIOD, WHAT, pair, until_acknowledged


async def consented(ada: Any, bob: Any) -> str:
    """Let data flow from ada to bob under a consent, and attest it; return the grant's id."""
    await pair(ada, bob)
    await do(ada, "readings generate", seed=7, days=3)
    (series,) = (await do(ada, "readings list")).series
    await do(ada, "wallet create", name="anna")
    args = {"recipient": "bob", "point": (series.point,), "granularity": series.granularity, **WHAT, **PERIOD}
    made = await do(ada, "consent grant", wallet="anna", **args)
    assert (await do(ada, "data send", consent=made.id)).state == "done"
    await until_acknowledged(ada)
    assert (await do(ada, "data settle")).receipts == 1
    with trio.fail_after(20):
        while True:
            await do(ada, "tick run")
            shown = await do(ada, "checkpoint show", feed="ada")
            if shown.cosigned and shown.signed > datetime.fromtimestamp(0, UTC):
                return str(made.id)
            await trio.sleep(0.05)


async def export(node: Any, **args: Any) -> Any:
    """Run `proof export`."""
    return await do(node, "proof export", **args)


async def exported_together(ada: Any, grant: str) -> None:
    """Export a period and a conduct: a file of all transfers, else an archive, else a refusal that says what works."""
    period = (await do(ada, "proof period", since=datetime.now(UTC) - timedelta(days=1))).proof
    conduct = (await do(ada, "proof conduct", member="ada", consent=(grant,))).proof
    for bundle in (period, conduct):
        flows = await export(ada, bundle=bundle, as_="prov")
        assert (flows.consent, flows.items) == ("", 1)
        assert sum(one["type"] == "prov:Activity" for one in json.loads(flows.content)["@graph"]) == 1
        entries = {Entry.parse(item.raw).id for item in reading.decode(bundle).entries}
        for form in ("cose-receipt", "tlog-proof"):
            made = await export(ada, bundle=bundle, as_=form)
            assert (made.media_type, made.items) == ("application/zip", len(entries))
            named = {bytes.fromhex(found) for found in re.findall("[0-9a-f]{64}", " ".join(unpacked(made.content)))}
            assert named == entries
    for text in unpacked((await export(ada, bundle=period, as_="tlog-proof")).content).values():
        Checkpoint.parse(text.decode().partition("\n\n")[2])
    for form in ("iso27560", "kantara", "odrl"):
        made = await export(ada, bundle=period, as_=form)
        assert [name.partition(".")[0] for name in unpacked(made.content)] == [grant]
        with pytest.raises(LocalError, match="cose-receipt, tlog-proof, prov work for it"):
            await export(ada, bundle=conduct, as_=form)
    again = await export(ada, bundle=period, as_="iso27560")
    assert again.content == (await export(ada, bundle=period, as_="iso27560")).content


def unpacked(data: bytes) -> dict[str, bytes]:
    """Return the files of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.covers("R50")
async def test_a_consent_is_exported_in_every_format(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        grant = await consented(ada, bob)
        text = (await export(ada, consent=grant, as_="tlog-proof")).content.decode()
        note = text.partition("\n\n")[2]
        Checkpoint.parse(note)
        policy = await do(ada, "trust policy", quorum=2, logs=True)
        names = verified_lines(note, policy.policy)
        assert len(names) == 2

        made = await export(bob, consent=grant, as_="cose-receipt")
        _, unprotected, _, _ = codec.decode_sign1(made.content)
        assert isinstance(unprotected, dict)
        assert list(unprotected) == [394]

        record = json.loads((await export(ada, consent=grant, as_="iso27560")).content)
        assert record["pii_processing"]["purposes"][0]["purpose"] == WHAT["purpose"]
        receipt = json.loads((await export(ada, consent=grant, as_="kantara")).content)
        assert receipt["consentReceiptID"] == record["record_id"]
        flows = json.loads((await export(ada, consent=grant, as_="prov")).content)
        assert sum(one["type"] == "prov:Activity" for one in flows["@graph"]) == 1

        few = await do(ada, "proof make", consent=grant, field=("purpose", "pii_type"))
        agreement = await export(bob, bundle=few.proof, as_="odrl")
        assert (agreement.consent, agreement.verdict) == (grant, "TOTAL-PASSED")
        assert agreement.media_type == "application/ld+json"
        shown = json.loads(agreement.content)
        assert shown["dpv:hasPurpose"]["rdfs:label"] == WHAT["purpose"]
        assert "dct:identifier" not in shown["dpv:hasPersonalData"], "the point was not disclosed"
        with pytest.raises(LocalError, match="EXPORT_WITHHELD"):
            await export(bob, bundle=few.proof, as_="kantara")

        await exported_together(ada, grant)
        changed = few.proof[:-1] + bytes((few.proof[-1] ^ 1,))
        with pytest.raises(RemoteError, match="This proof is refused"):
            await export(bob, bundle=changed, as_="odrl")
        for wrong in ({}, {"consent": grant, "bundle": few.proof}):
            with pytest.raises(LocalError, match="Name a grant, or a proof"):
                await export(ada, **wrong)
