"""Exports are what they say they are: implementations that are not ours read and verify them.

The first test that needs it builds an environment with these packages. Without a package index the tests are skipped,
and say so; `pytest -m "not oracle"` leaves them out. The schemas of consent receipts are written here from the tables
of mandatory fields in Kantara 1.1 and ISO/IEC TS 27560: neither publishes one that may be copied.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.checkpoint import origin, vkey
from ledger.keys import SigningKey, did_key
from proofs.exports import odrl, prov, records
from proofs.exports.receipts import LABEL_TREE_SIZE, cose_receipt, transparent_statement
from proofs.exports.tlog import tlog_proof
from tests.proofs.exported import Scene

pytestmark = pytest.mark.oracle

PACKAGES = ("scitt-cose==0.5.0", "aics-tlog==0.2.1", "rdflib==7.6.0", "pyld==3.3.0", "jsonschema==4.26.0")
SCENE = Scene()
Ask = Callable[..., dict[str, Any]]

TEXT = {"type": "string", "minLength": 1}
ANY_TEXT = {"type": "string"}
WHEN = {"type": "string", "format": "date-time", "pattern": "Z$"}
KANTARA = {
    "type": "object",
    "required": [
        *("version", "jurisdiction", "consentTimestamp", "collectionMethod", "consentReceiptID", "piiPrincipalId"),
        *("piiControllers", "policyUrl", "services", "sensitive", "spiCat"),
    ],
    "additionalProperties": False,
    "properties": {
        "version": {"const": "KI-CR-v1.1.0"},
        "jurisdiction": TEXT,
        "consentTimestamp": {"type": "integer", "minimum": 0},
        "collectionMethod": TEXT,
        "consentReceiptID": {"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36},
        "publicKey": TEXT,
        "language": TEXT,
        "piiPrincipalId": TEXT,
        "piiControllers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["piiController", "contact", "address", "email", "phone"],
                "properties": {"piiController": TEXT, "contact": ANY_TEXT, "address": {"type": "object"}},
            },
        },
        "policyUrl": {"type": "string", "format": "uri", "minLength": 1},
        "services": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["service", "purposes"],
                "properties": {
                    "service": TEXT,
                    "purposes": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "required": [
                                *("purpose", "purposeCategory", "consentType", "piiCategory"),
                                *("primaryPurpose", "termination", "thirdPartyDisclosure"),
                            ],
                            "properties": {
                                "purposeCategory": {"type": "array", "items": TEXT, "minItems": 1},
                                "consentType": {"enum": ["EXPLICIT", "IMPLICIT"]},
                                "piiCategory": {"type": "array", "items": TEXT, "minItems": 1},
                                "primaryPurpose": {"type": "boolean"},
                                "termination": TEXT,
                                "thirdPartyDisclosure": {"type": "boolean"},
                            },
                            "if": {"properties": {"thirdPartyDisclosure": {"const": True}}},
                            "then": {"required": ["thirdPartyName"]},
                        },
                    },
                },
            },
        },
        "sensitive": {"type": "boolean"},
        "spiCat": {"type": "array", "items": TEXT},
    },
}
RECORD = {
    "type": "object",
    "required": ["schema_version", "record_id", "pii_principal_id", "pii_processing", "party_identification", "event"],
    "properties": {
        "schema_version": TEXT,
        "record_id": {"type": "string", "minLength": 36},
        "pii_principal_id": TEXT,
        "pii_processing": {
            "type": "object",
            "required": ["privacy_notice", "purposes"],
            "properties": {
                "purposes": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": [
                            *("purpose", "pii_information", "pii_controllers", "storage_locations", "retention_period"),
                            *("jurisdiction", "recipient_third_parties", "withdrawal_method", "validity_duration"),
                        ],
                        "properties": {
                            "pii_information": {"items": {"required": ["pii_type"]}},
                            "validity_duration": {"properties": {"from": WHEN, "until": WHEN}},
                        },
                    },
                }
            },
        },
        "party_identification": {
            "type": "array",
            "minItems": 1,
            "items": {"required": ["party_id", "party_name", "party_role", "party_contact"]},
        },
        "event": {
            "type": "array",
            "minItems": 1,
            "items": {"required": ["event_type", "event_state"], "properties": {"event_time": WHEN}},
        },
    },
}


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Return a way to ask the other implementations, in an environment made for them."""
    folder = tmp_path_factory.mktemp("exports")
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    # aics-tlog asks for Python 3.12 and runs on 3.11.
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--ignore-requires-python"]
    installed = subprocess.run([*pip, *PACKAGES], check=False, capture_output=True, text=True)
    if installed.returncode:
        reason = (installed.stderr.strip() or "pip failed").splitlines()[-1]
        pytest.skip(f"needs {', '.join(PACKAGES)}, which pip cannot install here: {reason}")
    script = Path(__file__).with_name("exports_oracle.py")
    with subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        to, of = process.stdin, process.stdout

        def put(kind: str, **question: Any) -> dict[str, Any]:
            to.write(json.dumps({"ask": kind, **question}) + "\n")
            to.flush()
            answer: dict[str, Any] = json.loads(of.readline())
            return answer

        yield put


def pem(key: SigningKey) -> str:
    """Return a public key as others take it."""
    public = Ed25519PublicKey.from_public_bytes(key.public)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_receipt_verifies_there_and_a_changed_one_does_not(ask: Ask) -> None:
    owner, witness, _ = SCENE.devices()
    for key in (owner, witness):
        told = (SCENE.mesh_id, SCENE.entry.id, SCENE.head, SCENE.index, SCENE.path, SCENE.mesh.now)
        receipt = cose_receipt(key, *told)
        found = ask("receipt", receipt=receipt.hex(), entry=SCENE.entry.id.hex(), pem=pem(key))
        assert found["ok"], found
        assert (found["size"], found["index"]) == (SCENE.head.size, SCENE.index)
        assert found["extra"][str(LABEL_TREE_SIZE)] == SCENE.head.size
        assert (found["issuer"], found["iat"]) == (did_key(key.public), SCENE.mesh.now)
        assert found["subject"] == origin(SCENE.mesh_id, SCENE.feed)
        for at in range(0, len(receipt), 7):
            other = receipt[:at] + bytes((receipt[at] ^ 1,)) + receipt[at + 1 :]
            answer = ask("receipt", receipt=other.hex(), entry=SCENE.entry.id.hex(), pem=pem(key))
            # the size in the proof is not what is signed; ours beside it is
            same_root = answer.get("ok") and answer["extra"][str(LABEL_TREE_SIZE)] != answer["size"]
            assert not answer.get("ok") or same_root, at
        assert not ask("receipt", receipt=receipt.hex(), entry=bytes(32).hex(), pem=pem(key))["ok"]


def test_a_transparent_statement_gives_its_receipts_back(ask: Ask) -> None:
    told = (SCENE.mesh_id, SCENE.entry.id, SCENE.head, SCENE.index, SCENE.path, SCENE.mesh.now)
    receipts = [cose_receipt(key, *told) for key in SCENE.devices()[:2]]
    statement = transparent_statement(SCENE.entry.raw, receipts)
    assert ask("receipts", statement=statement.hex()) == {"receipts": [one.hex() for one in receipts]}


def test_a_tlog_proof_verifies_there_under_every_key_and_no_other(ask: Ask) -> None:
    proof = tlog_proof(SCENE.entry.raw, SCENE.entry.id, SCENE.index, SCENE.path, SCENE.note())
    keys = [vkey(origin(SCENE.mesh_id, key.kid), key.public) for key in SCENE.devices()]
    stranger = SigningKey.from_seed(bytes(31) + b"\x01")
    other = vkey(origin(SCENE.mesh_id, SCENE.feed), stranger.public)
    found = ask("tlog", proof=proof, vkeys=[*keys, other])
    assert found["inside"], found
    assert found["names"] == [origin(SCENE.mesh_id, key.kid) for key in SCENE.devices()]
    assert (found["origin"], found["size"]) == (origin(SCENE.mesh_id, SCENE.feed), SCENE.head.size)
    assert found["record"] == SCENE.entry.id.hex()
    moved = proof.replace(f"index {SCENE.index}", f"index {SCENE.index + 1}")
    assert not ask("tlog", proof=moved, vkeys=keys)["inside"]
    resized = proof.replace(f"\n{SCENE.head.size}\n", f"\n{SCENE.head.size + 1}\n")
    assert ask("tlog", proof=resized, vkeys=keys)["names"] == []


@pytest.mark.covers("system:Kantara CR / ISO 27560")
def test_receipts_of_consent_fit_their_schemas_and_the_schemas_can_fail(ask: Ask) -> None:
    shown = SCENE.shown()
    for schema, value, needed in (
        (KANTARA, records.kantara(shown), "piiControllers"),
        (RECORD, records.iso27560(shown), "party_identification"),
    ):
        assert ask("schema", schema=schema, value=value) == {"faults": []}
        less = {name: each for name, each in value.items() if name != needed}
        assert ask("schema", schema=schema, value=less)["faults"]


def test_json_ld_is_the_same_graph_to_two_readers_and_knows_its_vocabularies(ask: Ask) -> None:
    shown = SCENE.shown()
    grant, principal = shown.grant, shown.claims["principal"]
    agreement = ask("jsonld", value=odrl.odrl(shown))
    assert agreement["same"], agreement
    assert agreement["unknown"] == []
    triples = {tuple(triple) for triple in agreement["triples"]}
    assert (grant, "http://www.w3.org/ns/odrl/2/assigner", principal) in triples
    assert (grant, "https://w3id.org/dpv#hasConsentStatus", "https://w3id.org/dpv#ConsentGiven") in triples
    flows = ask("jsonld", value=prov.prov(shown))
    assert flows["same"], flows
    assert flows["unknown"] == []
    transfer = f"urn:maille:transfer:{shown.claims['transfers'][0]['id']}"
    plans = {o for _, p, o in flows["triples"] if p == "http://www.w3.org/ns/prov#hadPlan"}
    assert plans == {grant}
    assert [transfer, "http://www.w3.org/ns/prov#used", f"{transfer}#sent"] in flows["triples"]


def test_a_vocabulary_that_is_misspelt_is_found(ask: Ask) -> None:
    value = prov.prov(SCENE.shown())
    value["@graph"][0]["type"] = "prov:Agnet"
    assert ask("jsonld", value=value)["unknown"] == ["http://www.w3.org/ns/prov#Agnet"]
