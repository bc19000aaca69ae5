"""Operations on records of consent of other systems: import them as evidence, list them, export ours in their form.

How it works
    An imported file is evidence, kept in the vault: its hash with a salt, and what it says in normal form. It gives
    nobody any right. A grant that a person gives afterwards may rest on it (`consent grant --evidence`): it stands as
    transcribed, and the holder of the data must find the evidence good (`consent evidence`) before anything flows.
    An export says what is known here of a consent of ours, as far as the format has a place for it.

What it does not do
    It makes no entry of the ledger: there, the evidence is named by the grant that rests on it, with its salted digest.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal
from uuid import UUID

from ledger.errors import LocalError
from node.exits import usage
from node.naming import find_grant, member_name, moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.disclosure import Evidence
    from ledger.entry import Entry
    from node.adapters.consents.record import Foreign, Ours
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows
    from node.vaults.foreign import Imported

Readable = Literal[
    "droit-acces",
    "data-connect",
    "sge-declaration",
    "sge-proxy",
    "eddie",
    "odrl",
    "cozy-sharing",
    "quoalise-authorize",
]
Writable = Literal[
    "droit-acces", "sge-declaration", "sge-proxy", "eddie", "odrl", "cozy-sharing", "solid-acl", "solid-data-grant"
]
MEDIA_TYPES: Final = {"sge-declaration": "application/xml", "sge-proxy": "application/octet-stream"}
"""Media type of what is imported, where it is not JSON."""


class ConsentImportArgs(Args, frozen=True):
    """Which file, and of which system."""

    file: Annotated[bytes, said("The file.", positional=True, content=True)]
    as_: Annotated[Readable, said("The system that wrote it.")]
    name: Annotated[str, said("What to call the file: for you and for errors.")] = "file"
    mesh: Annotated[str, said(WHICH)] = ""


class ConsentImportedArgs(Args, frozen=True):
    """Which evidence."""

    id: Annotated[str, said("The evidence's id, or the beginning of it. Default: all.", positional=True)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ConsentExportArgs(Args, frozen=True):
    """Which consent, and in which form."""

    id: Annotated[str, said("The consent's id, or the beginning of it.", positional=True)]
    as_: Annotated[Writable, said("The system that reads it.")]
    detail: Annotated[
        tuple[str, ...],
        said("What the format needs and the ledger does not know, as NAME=VALUE: name, email and others."),
    ] = ()
    mesh: Annotated[str, said(WHICH)] = ""


class ForeignRow(Result, frozen=True):
    """One record of another system."""

    reference: Annotated[str, said("Its id there.")]
    system: Annotated[str, said("The system.")]
    state: Annotated[str, said("Its state, in that system's word.")]
    standing: Annotated[str, said("requested, given, refused, withdrawn, revoked, expired, invalid or unknown.")]
    proof: Annotated[str, said("What that system says of its proof: pending, checked_ok, checked_ko or nothing.")]
    points: Annotated[tuple[str, ...], said("Points of measurement.")]
    kinds: Annotated[tuple[str, ...], said("Kinds of data.")]
    granularity: Annotated[str, said("The finest step, where it is said.")]
    valid_from: Annotated[datetime | None, said("From when on, where it is said.")]
    valid_until: Annotated[datetime | None, said("Until when, where it is said.")]
    purpose: Annotated[str, said("What for, where it is said.")]
    subject: Annotated[str, said("Who agreed, as that system calls them.")]
    recipient: Annotated[str, said("Who receives the data, as that system calls them.")]
    reason: Annotated[str, said("Why it ended, where it is said.")]
    lacks: Annotated[tuple[str, ...], said("What a grant must say and this record does not: ask the person.")]


class ForeignFile(Result, frozen=True):
    """One file of foreign records: evidence, and no consent."""

    id: Annotated[str, said("The evidence's salted digest, as a grant would name it.")]
    name: Annotated[str, said("What the file was called.")]
    format: Annotated[str, said("The system that wrote it.")]
    sha256: Annotated[str, said("The file's SHA-256.")]
    imported: Annotated[datetime, said("When it was imported.")]
    status: Annotated[str, said("evidence: it gives nobody any right.")]
    records: Annotated[tuple[ForeignRow, ...], said("What it says.")]


class ForeignFiles(Result, frozen=True):
    """Files of foreign records."""

    files: Annotated[tuple[ForeignFile, ...], said("Each file.")]


class ConsentExported(Result, frozen=True):
    """A consent in another system's form."""

    id: Annotated[str, said("The consent.")]
    format: Annotated[str, said("The format.")]
    media_type: Annotated[str, said("Its media type.")]
    file: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]


@operation("consent", "import", permission="operate")
async def consent_import(node: Node, args: ConsentImportArgs) -> ForeignFile:
    """Import another system's records of consent as evidence. They are no consents here, and open nothing.

    droit-acces: GRDF ADICT. data-connect: subscribed services, tokens, notices. sge-declaration: the accord declared to
    Enedis SGE. sge-proxy: sge-tiers-proxy, CSV in a zip or SQLite. eddie, odrl, cozy-sharing: JSON.
    quoalise-authorize: what a client asks for.
    """
    from hashlib import sha256

    import trio

    from ledger.consent.disclosure import SALT_BYTES, Evidence
    from node.adapters.adapter import Source
    from node.adapters.consents import formats
    from node.vaults.foreign import ForeignRows, Imported

    source = Source(args.name)
    records = await trio.to_thread.run_sync(formats.read, args.file, source, args.as_)
    mesh = node.mesh(args.mesh)
    digest, media_type = sha256(args.file).digest(), MEDIA_TYPES.get(args.as_, "application/json")

    def act(turn: Turn) -> ForeignFile:
        rows = ForeignRows()
        held = next((one for one in rows.listing(turn.vault) if one.evidence.sha256 == digest), None)
        if held is None:
            salt = turn.core.random_bytes(SALT_BYTES)
            evidence = Evidence(f"record:{args.as_}", digest, media_type, turn.now, salt)
            held = Imported(evidence, args.as_, args.name, tuple(records))
            rows.put(turn.vault, held)
        return _file(held)

    return await mesh.engine.act(act)


@operation("consent", "imported", permission="read")
async def consent_imported(node: Node, args: ConsentImportedArgs) -> ForeignFiles:
    """List the records of other systems that are kept here as evidence."""
    from node.vaults.foreign import ForeignRows

    def look(turn: Turn) -> ForeignFiles:
        found = ForeignRows().listing(turn.vault)
        return ForeignFiles(tuple(_file(one) for one in found if one.id.hex().startswith(args.id.lower())))

    return await node.mesh(args.mesh).engine.read(look)


@operation("consent", "export", permission="read")
async def consent_export(node: Node, args: ConsentExportArgs) -> ConsentExported:
    """Export a consent whose content is known here in another system's form, as far as that has a place for it.

    For what proves it, and for consent receipts, see `maille proof export`.
    """
    from node.adapters.consents import formats

    details = tuple(_detail(text) for text in args.detail)
    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> ConsentExported:
        grant = find_grant(turn, args.id, "id")
        data = formats.write(_ours(turn, mesh.flows, grant, details), args.as_)
        return ConsentExported(grant.id.hex(), args.as_, formats.find(args.as_).media_type, data)

    return await mesh.engine.read(look)


def imported_evidence(turn: Turn, text: str) -> Evidence:
    """Return the evidence that an id, or the beginning of it, names. Raises LocalError NOT_FOUND, NAME_UNCLEAR."""
    from node.vaults.foreign import ForeignRows

    found = [one for one in ForeignRows().listing(turn.vault) if one.id.hex().startswith(text.lower())]
    if not found:
        raise LocalError("NOT_FOUND", "there is no such evidence; `maille consent imported` shows it", field="evidence")
    if len(found) > 1:
        raise LocalError("NAME_UNCLEAR", "several pieces of evidence begin so; write more of the id", field="evidence")
    return found[0].evidence


def _detail(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not value:
        raise usage("A detail is NAME=VALUE, such as name=Durand.", "detail")
    return name, value


def _file(one: Imported) -> ForeignFile:
    evidence = one.evidence
    rows = tuple(map(_row, one.records))
    return ForeignFile(
        one.id.hex(), one.file, one.form, evidence.sha256.hex(), moment(evidence.captured_at), "evidence", rows
    )


def _row(one: Foreign) -> ForeignRow:
    return ForeignRow(
        one.reference,
        one.system,
        one.state,
        one.standing.value,
        one.proof,
        one.points,
        one.kinds,
        one.granularity,
        moment(one.valid_from) if one.valid_from is not None else None,
        moment(one.valid_until) if one.valid_until is not None else None,
        one.purpose,
        one.subject,
        one.recipient,
        one.reason,
        one.lacks,
    )


def _ours(turn: Turn, flows: Flows, grant: Entry, details: tuple[tuple[str, str], ...]) -> Ours:
    """Return what is known here of a consent. Raises LocalError NOT_FOUND where its content is not."""
    from ledger.consent.status import State
    from ledger.keys import did_key
    from node.adapters.consents.record import Ours, Standing
    from node.flows.disclosing import parties_of
    from node.flows.trail import trail
    from node.vaults.receipts import HOLDER

    replica = turn.core.replica
    row, status = flows.consents.get(turn.vault, grant.id), replica.consent(turn.rows, grant.id)
    if row is None or status is None:
        raise LocalError("NOT_FOUND", "the content of this consent is not known here, or was erased", field="id")
    if status.amended:
        told = "this consent was narrowed since; an export of what was granted would say more than holds"
        raise LocalError("EXPORT_AMENDED", f"{told}. Give a new consent, and export that.", field="id")
    standings = {
        State.GRANTED: Standing.GIVEN if turn.now < status.valid_until else Standing.EXPIRED,
        State.INCOMPLETE: Standing.REQUESTED,
        State.WITHDRAWN: Standing.WITHDRAWN,
        State.REVOKED: Standing.REVOKED,
    }
    ended = status.state in (State.WITHDRAWN, State.REVOKED)
    ending = replica.entry(turn.rows, status.decided_by[0]) if ended else None
    reasons = (ending.payload.get("reason_code"), ending.payload.get("reason")) if ending is not None else ()
    holder, recipient = parties_of(grant)
    terms = row.disclosures.terms()
    series = "/".join(terms.pii_type) if terms.pii_type is not None else ""
    passed = trail(turn, flows.stated, flows.receipts, flows.incoming, [grant])
    accounts = [one.account for one in passed if one.account is not None]
    calls = [one for one in accounts if one.role == HOLDER and one.grant == grant.id]
    return Ours(
        grant=grant.id.hex(),
        record=str(UUID(bytes=status.record_id)),
        terms=terms,
        holder=member_name(replica.members, holder),
        recipient=member_name(replica.members, recipient) if recipient is not None else "a class of recipients",
        principal=did_key(grant.signer),
        granted_at=grant.iat,
        valid_until=status.valid_until,
        standing=standings[status.state],
        ended_at=ending.iat if ending is not None else None,
        reason=", ".join(text for text in reasons if text),
        details=details,
        calls=tuple((one.ended, one.tally.count, series, "OK") for one in calls),
    )
