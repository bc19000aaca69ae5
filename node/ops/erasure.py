"""Operations of the duty to delete: what is due, destroying it, and what was destroyed.

How it works
    `due` finds, as an audit does, data received under consents that have ended longer ago than their retention.
    `run` destroys what was received under one consent, or all that is due, in portions, and states it on the ledger.

What it does not do
    It deletes nothing by itself: other duties, such as keeping what a bill rests on, may stand against it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from node.exits import usage
from node.naming import find_grant, member_name, moment
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import AS_TENANT
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.audit.findings import Overdue
    from node.core import Turn
    from node.daemon import Node
    from node.mesh import Mesh
    from node.vaults.erasures import Erasure


class EraseArgs(Args, frozen=True):
    """What to destroy."""

    consent: Annotated[str, said("What was received under this consent: its id, or the beginning of it.")] = ""
    due: Annotated[bool, said("Instead: all that is due, see `maille erasure due`.")] = False
    content: Annotated[bool, said("What the consent itself says, too; it must have ended.")] = False
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ErasureArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class ErasureRow(Result, frozen=True):
    """What was destroyed under one consent."""

    consent: Annotated[str, said("The consent's id.")]
    party: Annotated[str, said("Who destroyed it.")]
    at: Annotated[datetime, said("When the last of it was destroyed.")]
    transfers: Annotated[int, said("Of how many transfers.")]
    packs: Annotated[int, said("In how many packs.")]
    records: Annotated[int, said("How many records they held, gaps included.")]
    content: Annotated[bool, said("Whether what the consent says was destroyed as well.")]
    entry: Annotated[str, said("The statement on the ledger.")]
    acknowledged: Annotated[tuple[str, ...], said("Who has acknowledged it.")]


class ErasureRows(Result, frozen=True):
    """What was destroyed."""

    erasures: Annotated[tuple[ErasureRow, ...], said("Each consent under which anything was.")]


class DueRow(Result, frozen=True):
    """Data that are here past their time."""

    consent: Annotated[str, said("The consent's id.")]
    recipient: Annotated[str, said("Who received them.")]
    purpose: Annotated[str, said("What for.")]
    ended: Annotated[datetime, said("When the consent ended.")]
    due: Annotated[datetime | None, said("When they were to be deleted; null when no retention is known.")]
    days: Annotated[int, said("For so many days they have been overdue.")]
    records: Annotated[int, said("How many records.")]


class DueRows(Result, frozen=True):
    """What is due."""

    overdue: Annotated[tuple[DueRow, ...], said("Each consent, the longest overdue first.")]


@operation("erasure", "run", permission="operate", confirm="Destroy these data for good?")
async def erasure_run(node: Node, args: EraseArgs) -> ErasureRows:
    """Destroy what was received under a consent, and state it: the receipts and the proofs stay valid.

    The disk may hold old copies of erased rows until it uses the space again, and so do older backups.
    """
    mesh = node.mesh(args.mesh)
    if bool(args.consent) == args.due:
        raise usage("Name a consent with --consent, or say --due.", "consent")
    if args.consent:
        grants = [args.consent]
    else:
        grants = [one.consent for one in await _overdue(mesh)]
    made = [await _erase(mesh, grant, args) for grant in grants]
    return await mesh.engine.read(lambda turn: ErasureRows(tuple(_row(mesh, turn, one) for one in made)))


async def _erase(mesh: Mesh, consent: str, args: EraseArgs) -> Erasure:
    flows = mesh.flows

    def act(turn: Turn) -> Erasure:
        grant = find_grant(turn, consent)
        return flows.erasing.erase(turn, grant, flows.tenants.voice(turn, args.as_tenant), content=args.content)

    row = await mesh.engine.act(act)
    while not row.entry:
        row = await mesh.engine.act(act)
    return row


@operation("erasure", "list", permission="read")
async def erasure_list(node: Node, args: ErasureArgs) -> ErasureRows:
    """List what was destroyed here, and who has acknowledged it."""
    mesh = node.mesh(args.mesh)
    rows = mesh.flows.erasures

    def look(turn: Turn) -> ErasureRows:
        return ErasureRows(tuple(_row(mesh, turn, one) for one in rows.listing(turn.vault)))

    return await mesh.engine.read(look)


def _row(mesh: Mesh, turn: Turn, one: Erasure) -> ErasureRow:
    members = turn.core.replica.members
    return ErasureRow(
        one.grant.hex(),
        member_name(members, one.party),
        moment(one.at),
        one.transfers,
        one.packs,
        one.records,
        one.content,
        one.entry.hex(),
        tuple(member_name(members, party) for party in mesh.flows.erasing.acknowledged(turn, one)),
    )


@operation("erasure", "due", permission="read")
async def erasure_due(node: Node, args: ErasureArgs) -> DueRows:
    """List data that are here although their consent has ended and the time to keep them has passed."""
    found = await _overdue(node.mesh(args.mesh))
    return DueRows(
        tuple(
            DueRow(one.consent, one.recipient.name, one.purpose, one.ended, one.due, one.days, one.records)
            for one in found
        )
    )


async def _overdue(mesh: Mesh) -> list[Overdue]:
    from node.audit import duties
    from node.audit.gathering import page
    from node.audit.matching import only
    from node.audit.rows import Account, Consent, Question, Rows

    def looking(what: str, cursor: str) -> Callable[[Turn], tuple[Rows, str]]:
        return lambda turn: page(turn, mesh.flows, what, cursor, 0, turn.now + 1)  # type: ignore[arg-type]

    frame = (await mesh.engine.read(looking("frame", "")))[0].frame
    consents: list[Consent] = []
    accounts: list[Account] = []
    for what in ("consents", "accounts"):
        cursor = ""
        while True:
            rows, cursor = await mesh.engine.read(looking(what, cursor))
            consents.extend(rows.consents)
            accounts.extend(rows.accounts)
            if not cursor:
                break
    rows = Rows(frame, consents=tuple(consents), accounts=tuple(accounts))
    return list(duties.overdue(rows, only(rows, Question(0, frame.now + 1))))
