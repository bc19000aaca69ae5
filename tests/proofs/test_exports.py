"""Exports for other systems: what they say, what they refuse to say, and that nothing withheld slips in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger import codec, merkle
from ledger.checkpoint import Checkpoint, Head, parse_origin
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.keys import verify as verify_signature
from proofs.exports import odrl, prov, records
from proofs.exports.receipts import LABEL_TREE_SIZE, cose_receipt, transparent_statement
from proofs.exports.shown import Shown
from proofs.exports.tlog import VERSION_LINE, tlog_proof
from tests.proofs.both import verify
from tests.proofs.exported import Scene
from tests.proofs.forge import Forge
from tests.proofs.mesh import Mesh

SCENE = Scene()
WITHHELD = ("points", "purpose", "retention", "withdrawal_method", "controllers")


def receipt(**other: Any) -> bytes:
    """Return a receipt of the scene's grant by the feed's owner."""
    told = {"head": SCENE.head, "index": SCENE.index, "path": SCENE.path, **other}
    return cose_receipt(SCENE.devices()[0], SCENE.mesh_id, SCENE.entry.id, now=SCENE.mesh.now, **told)


def test_a_receipt_signs_the_root_and_the_size_beside_it() -> None:
    parts: Any = codec.decode_sign1(receipt())
    protected, unprotected, payload, signature = parts
    assert payload is None
    header: Any = codec.decode(protected)
    assert (header[395], header[LABEL_TREE_SIZE], header[4]) == (1, SCENE.head.size, SCENE.feed)
    assert parse_origin(header[15][2]) == (SCENE.mesh_id, SCENE.feed)
    signed = codec.encode(["Signature1", protected, b"", SCENE.head.root])
    assert verify_signature(SCENE.devices()[0].public, signed, signature)
    (proof,) = unprotected[396][-1]
    shown: Any = codec.decode(proof)
    size, index, path = shown
    assert merkle.verify_inclusion(merkle.leaf_hash(SCENE.entry.id), index, size, path, SCENE.head.root)


def test_no_receipt_is_made_of_what_is_not_there() -> None:
    for other in ({"index": SCENE.index + 1}, {"path": SCENE.path[:-1]}, {"head": Head(SCENE.feed, 1, bytes(32))}):
        with pytest.raises(LocalError, match="BAD_RECEIPT"):
            receipt(**other)
        note = Checkpoint("maille", 1, bytes(32)) if "head" in other else SCENE.note()
        told: Any = {"index": SCENE.index, "path": SCENE.path, **other}
        with pytest.raises(LocalError, match="BAD_PROOF"):
            tlog_proof(SCENE.entry.raw, SCENE.entry.id, told["index"], told["path"], note)


def test_a_receipt_is_no_entry_and_an_entry_with_receipts_is_none_to_the_ledger() -> None:
    with pytest.raises(RemoteError):
        Entry.decode(receipt())
    statement = transparent_statement(SCENE.entry.raw, [receipt()])
    with pytest.raises(RemoteError):
        Entry.decode(statement)
    with pytest.raises(RemoteError, match="BAD_STATEMENT"):
        transparent_statement(statement, [receipt()])
    with pytest.raises(RemoteError, match="BAD_STATEMENT"):
        transparent_statement(b"\x00", [])
    parts = list(codec.decode_sign1(statement))
    parts[1] = {}
    assert codec.encode_sign1(parts) == SCENE.entry.raw


def test_a_tlog_proof_is_the_text_that_c2sp_describes() -> None:
    note = SCENE.note()
    text = tlog_proof(SCENE.entry.raw, SCENE.entry.id, SCENE.index, SCENE.path, note)
    head, _, rest = text.partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == VERSION_LINE
    assert lines[1].startswith("extra ")
    assert lines[2] == f"index {SCENE.index}"
    assert len(lines) == 3 + len(SCENE.path)
    assert Checkpoint.parse(rest) == note
    assert "extra" not in tlog_proof(b"", SCENE.entry.id, SCENE.index, SCENE.path, note)


def every(shown: Shown) -> list[dict[str, Any]]:
    """Return the exports that do without what is withheld."""
    return [odrl.odrl(shown), prov.prov(shown)]


def test_records_say_what_was_disclosed_and_name_their_proof() -> None:
    shown = SCENE.shown()
    record, receipt_ = records.iso27560(shown), records.kantara(shown)
    (purpose,) = record["pii_processing"]["purposes"]
    assert purpose["purpose"] == "Advice on shifting consumption"
    assert purpose["pii_information"][0]["pii_attribute_id"] == ["prm:12345678901234"]
    assert record["proof"]["entry"] == f"urn:maille:entry:{SCENE.entry.id.hex()}"
    assert record["proof"]["bundle_sha256"] == shown.bundle
    assert [event["event_state"] for event in record["event"]] == ["given"]
    assert receipt_["version"] == "KI-CR-v1.1.0"
    assert receipt_["consentTimestamp"] == SCENE.entry.iat
    assert receipt_["consentReceiptID"] == record["record_id"]
    assert "12345678901234" not in json.dumps(receipt_), "Kantara has no field for a point"
    for value in (record, receipt_, *every(shown)):
        assert json.loads(json.dumps(value)) == value


def test_what_is_withheld_is_in_no_export_and_is_asked_for_where_it_is_needed() -> None:
    full = SCENE.shown()
    kept = [name for name in full.values if name not in WITHHELD]
    shown = SCENE.shown(fields=kept)
    with pytest.raises(LocalError, match=r"purpose, controllers, retention"):
        records.iso27560(shown)
    with pytest.raises(LocalError, match=r"EXPORT_WITHHELD"):
        records.kantara(shown)
    texts = json.dumps(every(shown))
    for name in WITHHELD:
        value = full.values[name]
        for secret in [value] if isinstance(value, str) else [str(one) for one in value if isinstance(one, str)]:
            assert secret not in texts, name
    assert "Advice on shifting" in json.dumps(every(full))


def test_an_erased_consent_has_an_agreement_without_content() -> None:
    shown = SCENE.shown(erased=True)
    assert not shown.values
    found = odrl.odrl(shown)
    assert "dpv:hasPurpose" not in found
    assert found["dpv:hasConsentStatus"] == {"id": "dpv:ConsentGiven"}
    with pytest.raises(LocalError, match="EXPORT_WITHHELD"):
        records.kantara(shown)


@pytest.mark.covers("system:IDS / Eclipse Dataspace")
def test_a_withdrawal_is_told_in_the_words_of_each_format() -> None:
    scene = Scene()
    scene.mesh.now += 60
    scene.mesh.withdraw(scene.grant, scene.mesh.b)
    scene.mesh.now += 60
    scene.mesh.tick(scene.mesh.a, scene.mesh.b)
    shown = scene.shown()
    assert shown.state == "WITHDRAWN"
    assert [event["event_state"] for event in records.iso27560(shown)["event"]] == ["given", "withdrawn"]
    assert odrl.odrl(shown)["dpv:hasConsentStatus"] == {"id": "dpv:ConsentWithdrawn"}


def test_provenance_needs_a_transfer_and_a_consent() -> None:
    with pytest.raises(LocalError, match="EXPORT_NOTHING"):
        Shown.of({}, "", "")
    bare = {name: value for name, value in SCENE.shown().claims.items() if name != "transfers"}
    with pytest.raises(LocalError, match="--transfers"):
        prov.prov(Shown.of(bare, "", ""))


@pytest.mark.parametrize("make", [records.iso27560, records.kantara])
def test_a_transcribed_paper_is_not_said_to_be_signed_on_the_ledger(make: Any) -> None:
    mesh = Mesh()
    grant = mesh.grant(transcribed=True, evidence=[b"\x01" * 32])
    mesh.tick(mesh.a, mesh.b)
    report = verify(mesh.prove(grant), mesh.trust(), mesh.now)
    shown = Shown.of(report.claims, "00", report.bundle["sha256"])
    text = json.dumps(make(shown))
    assert f"signed paper, transcribed to an entry on a ledger (SHA-256 {'01' * 32})" in text
    assert "the person's own key" not in text


def test_no_record_is_made_of_what_is_not_judged() -> None:
    mesh = Mesh()
    grant = mesh.grant(delegation=bytes(32))
    mesh.tick(mesh.a, mesh.b)
    forge = Forge()
    forge.consent.append({"amended": [bytes(32)]})
    for report in (verify(mesh.prove(grant), mesh.trust(), mesh.now), forge.verify()):
        shown = Shown.of(report.claims, "00", report.bundle["sha256"])
        for make in (records.iso27560, records.kantara, odrl.odrl):
            with pytest.raises(LocalError, match="EXPORT_NOT_JUDGED"):
                make(shown)
