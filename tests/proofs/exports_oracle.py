"""Implementations that are not ours, behind one line of JSON in and one out: receipts, notes, JSON-LD, schemas.

How it works
    It runs in an environment of its own and imports nothing of this project. `ask` names the question:
    `receipt` (scitt-cose: a COSE receipt of an entry), `receipts` (scitt-cose: those attached to a statement),
    `tlog` (aics-tlog: a tlog-proof under verifier keys; the few lines around the note are split here, after the
    specification), `jsonld` (pyld and rdflib: whether both read the same graph, and its triples),
    `schema` (jsonschema: the faults of a value). Bytes travel as hex.

What it does not do
    It judges nothing: the tests do.
"""

import json
import sys
from base64 import b64decode
from hashlib import sha256
from importlib import import_module
from typing import Any


def there(name: str) -> Any:
    """Return a module that stands in this environment alone."""
    return import_module(name)


def receipt(asked: dict[str, Any]) -> dict[str, Any]:
    """Verify a COSE receipt."""
    found = there("scitt_cose.receipt").verify_receipt(
        bytes.fromhex(asked["receipt"]), leaf_entry_hex=asked["entry"], log_public_key_pem=asked["pem"]
    )
    others = found.protected_header_ext.items()
    return {
        "ok": found.ok,
        "size": found.tree_size,
        "index": found.leaf_index,
        "issuer": found.issuer,
        "subject": found.subject,
        "iat": found.iat,
        "extra": {str(label): value.hex() if isinstance(value, bytes) else value for label, value in others},
        "errors": found.errors,
    }


def receipts(asked: dict[str, Any]) -> dict[str, Any]:
    """Take the receipts off a statement."""
    found = there("scitt_cose.statement").extract_receipts(bytes.fromhex(asked["statement"]))
    return {"receipts": [one.hex() for one in found]}


def tlog(asked: dict[str, Any]) -> dict[str, Any]:
    """Verify a tlog-proof: who signed the note, and whether the record is in the tree."""
    note_tools = there("aics_tlog")
    head, _, note_text = asked["proof"].partition("\n\n")
    lines = head.split("\n")
    assert lines.pop(0) == "c2sp.org/tlog-proof@v1"
    extra = b64decode(lines.pop(0).removeprefix("extra "), validate=True) if lines[0].startswith("extra ") else b""
    index = int(lines.pop(0).removeprefix("index "))
    path = [b64decode(line, validate=True) for line in lines]
    note = note_tools.parse_note(note_text)
    point = note_tools.parse_checkpoint(note.text)
    names = []
    for key in map(note_tools.parse_vkey, asked["vkeys"]):
        for line in note.signatures:
            told = key.name, key.public_key, point.origin, point.size, point.root
            same = (line.name, line.key_id) == (key.name, key.key_id)
            if same and note_tools.verify_cosignature(line.signature, *told):
                names.append(key.name)
    record = sha256(extra).digest() if extra else bytes.fromhex(asked["record"])
    inside = note_tools.verify_leaf_inclusion(record, index, point.size, path, point.root)
    return {"inside": inside, "origin": point.origin, "size": point.size, "names": names, "record": record.hex()}


def jsonld(asked: dict[str, Any]) -> dict[str, Any]:
    """Read JSON-LD twice; name the terms of ODRL and PROV that rdflib's closed vocabularies do not know."""
    rdflib, namespace = there("rdflib"), there("rdflib.namespace")
    quads = there("pyld.jsonld").normalize(asked["value"], {"format": "application/n-quads"})
    theirs = rdflib.Graph().parse(data=quads, format="nt")
    ours = rdflib.Graph().parse(data=json.dumps(asked["value"]), format="json-ld")
    unknown = []
    for term in {str(part) for triple in ours for part in triple}:
        for space in (namespace.ODRL2, namespace.PROV):
            if term.startswith(str(space)) and rdflib.URIRef(term) not in space:
                unknown.append(term)
    rows = [[str(part) for part in triple] for triple in sorted(ours)]
    return {"same": there("rdflib.compare").isomorphic(ours, theirs), "triples": rows, "unknown": sorted(unknown)}


def schema(asked: dict[str, Any]) -> dict[str, Any]:
    """Hold a value to a JSON schema."""
    library = there("jsonschema")
    checker = library.Draft202012Validator(asked["schema"], format_checker=library.FormatChecker())
    return {"faults": [f"{error.json_path}: {error.message}" for error in checker.iter_errors(asked["value"])]}


KINDS = {"receipt": receipt, "receipts": receipts, "tlog": tlog, "jsonld": jsonld, "schema": schema}

if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = KINDS[asked["ask"]](asked)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
