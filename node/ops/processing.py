"""Operations on records of processing: what went in, what was done, what came out.

How it works
    `record` hashes the files that are named, or takes transfers by their chain of hashes, keeps the record in the vault
    and puts its salted digest on the ledger. `export` writes the records as PROV-JSON (W3C), so that other tools draw
    how a result came about.

What it does not do
    It does not watch what programs do: whoever processes says so.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ledger.errors import LocalError
from node.exits import usage
from node.naming import find_entry, moment
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import AS_TENANT
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.processing import Record
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows


class RecordArgs(Args, frozen=True):
    """What was done."""

    what: Annotated[str, said("What was done, in words.", positional=True)]
    consent: Annotated[tuple[str, ...], said("A consent that it rests on: its id, or the beginning of it.")] = ()
    transfer: Annotated[tuple[str, ...], said("A transfer that went in: its id.")] = ()
    input: Annotated[tuple[str, ...], said("A file that went in; its hash is kept.", path=True)] = ()
    output: Annotated[tuple[str, ...], said("A file that came out; its hash is kept.", path=True)] = ()
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ProcessingArgs(Args, frozen=True):
    """Which mesh."""

    consent: Annotated[str, said("Records that rest on one consent alone.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ProcessingRow(Result, frozen=True):
    """One record."""

    id: Annotated[str, said("The record's id.")]
    at: Annotated[datetime, said("When it was recorded.")]
    what: Annotated[str, said("What was done.")]
    consents: Annotated[tuple[str, ...], said("The consents that it rests on.")]
    inputs: Annotated[tuple[str, ...], said("SHA-256 of what went in.")]
    outputs: Annotated[tuple[str, ...], said("SHA-256 of what came out.")]
    entry: Annotated[str, said("The entry that holds its digest.")]


class ProcessingRows(Result, frozen=True):
    """Records."""

    records: Annotated[tuple[ProcessingRow, ...], said("Each record, the oldest first.")]


class ProcessingFile(Result, frozen=True):
    """Records in a format of others."""

    records: Annotated[int, said("How many records.")]
    file: Annotated[bytes, said("PROV-JSON; base64 in JSON, empty when --to took it.", content=True)]


@operation("processing", "record", permission="operate")
async def processing_record(node: Node, args: RecordArgs) -> ProcessingRow:
    """Record a step of processing. The ledger shows that there was one, and nothing of it."""
    from ledger.consent.processing import ID_BYTES, SALT_BYTES, Record, payload
    from node.tenants import state

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    read = tuple(_hash(name, "input") for name in args.input)
    written = tuple(_hash(name, "output") for name in args.output)

    def act(turn: Turn) -> ProcessingRow:
        voice = flows.tenants.voice(turn, args.as_tenant)
        consents = tuple(find_entry(turn.rows, text, "consent") for text in args.consent)
        inputs = (*(_chain(turn, flows, text) for text in args.transfer), *read)
        draw = turn.core.random_bytes
        record = Record(draw(ID_BYTES), draw(SALT_BYTES), turn.now, args.what, consents, inputs, written)
        thing = ("transfers", (voice.key or turn.core.device).kid)
        entry = state(turn, voice, "processing.record", thing, payload([record]))
        flows.letters.keep(turn, entry, [record.value()])
        return _row(record, entry.id)

    return await mesh.engine.act(act)


def _hash(name: str, field: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError) as error:  # a name with a NUL is no OSError
        raise usage(f"{name} cannot be read: {error}.", field) from None


def _chain(turn: Turn, flows: Flows, text: str) -> bytes:
    """Return the chain of hashes over the packs of a transfer that is known here."""
    from node.vaults.receipts import HOLDER, RECIPIENT

    even = text.lower()[: len(text) // 2 * 2]
    for role in (RECIPIENT, HOLDER) if re.fullmatch("[0-9a-f]{8,32}", text.lower()) else ():
        receipt = flows.receipts.find(turn.vault, role, bytes.fromhex(even))
        if receipt is not None and receipt.transfer.hex().startswith(text.lower()):
            return receipt.tally.chain
    told = f"no transfer {text!r} is known here; `maille data receipts` shows them"
    raise LocalError("NOT_FOUND", told, field="transfer")


@operation("processing", "list", permission="read")
async def processing_list(node: Node, args: ProcessingArgs) -> ProcessingRows:
    """List what was recorded here."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    return await mesh.engine.read(lambda turn: ProcessingRows(tuple(_rows(turn, flows, args.consent))))


def _rows(turn: Turn, flows: Flows, consent: str) -> list[ProcessingRow]:
    from ledger.consent.processing import Record

    grant = find_entry(turn.rows, consent, "consent").hex() if consent else ""
    letters = flows.letters.rows.listing(turn.vault, "processing.record")
    found = [_row(Record.read(one), entry) for entry, value in letters for one in value]
    return sorted((row for row in found if not grant or grant in row.consents), key=lambda row: (row.at, row.id))


def _row(record: Record, entry: bytes) -> ProcessingRow:
    def hexed(hashes: tuple[bytes, ...]) -> tuple[str, ...]:
        return tuple(one.hex() for one in hashes)

    named = (hexed(record.consents), hexed(record.inputs), hexed(record.outputs))
    return ProcessingRow(record.id.hex(), moment(record.at), record.operation, *named, entry.hex())


@operation("processing", "export", permission="read")
async def processing_export(node: Node, args: ProcessingArgs) -> ProcessingFile:
    """Export the records as PROV-JSON: entities are data by their hashes, activities are the steps."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    rows = await mesh.engine.read(lambda turn: _rows(turn, flows, args.consent))
    return ProcessingFile(len(rows), json.dumps(prov(rows), indent=1, ensure_ascii=False).encode())


def prov(rows: list[ProcessingRow]) -> dict[str, Any]:
    """Return records as a PROV-JSON document (W3C member submission of 2013)."""
    entities: dict[str, Any] = {f"maille:sha256-{one}": {} for row in rows for one in (*row.inputs, *row.outputs)}
    activities = {f"maille:step-{row.id}": {"prov:label": row.what, "prov:endTime": row.at.isoformat()} for row in rows}
    used = {
        f"_:u{number}-{place}": {"prov:activity": f"maille:step-{row.id}", "prov:entity": f"maille:sha256-{one}"}
        for number, row in enumerate(rows)
        for place, one in enumerate(row.inputs)
    }
    generated = {
        f"_:g{number}-{place}": {"prov:entity": f"maille:sha256-{one}", "prov:activity": f"maille:step-{row.id}"}
        for number, row in enumerate(rows)
        for place, one in enumerate(row.outputs)
    }
    prefix = {"maille": "urn:maille:"}
    return {"prefix": prefix, "entity": entities, "activity": activities, "used": used, "wasGeneratedBy": generated}
