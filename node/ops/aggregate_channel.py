"""Operations on tables that go to other members: hand one over, ask for one, list what went and what came.

How it works
    A table leaves by the aggregate door alone, and only after it was published here. Its recipient holds it to its own
    thresholds and keeps it with the holder's signature; what an earlier table of that holder would tell together with
    it is counted. Both ends keep a record; the ledger shows a digest of each.

What it does not do
    It publishes nothing (`aggregate release`), and asks nobody to compute.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

import trio

from node.exits import OK, REFUSED, TEMPORARY, not_found
from node.naming import find_member, member_name, moment, seconds_of
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import MEMBER
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.governance.members import Party
    from node.core import Turn
    from node.daemon import Node
    from node.mesh import Mesh
    from node.vaults.tables import Handed, TableRows

LOOK_SECONDS: Final = 0.02
WAIT = "How long to wait for the other end: 30s, 2m."


class SendTableArgs(Args, frozen=True):
    """Which table, and to whom."""

    release: Annotated[str, said("Its id, or the beginning of it.", positional=True)]
    recipient: Annotated[str, said(f"Who receives it: {MEMBER}.")]
    wait: Annotated[str, said(WAIT)] = "30s"
    mesh: Annotated[str, said(WHICH)] = ""


class AskTableArgs(Args, frozen=True):
    """Which table, and of whom."""

    table: Annotated[str, said("Its id or its name, as its holder published it.", positional=True)]
    holder: Annotated[str, said(f"Who published it: {MEMBER}.")]
    wait: Annotated[str, said(WAIT)] = "30s"
    mesh: Annotated[str, said(WHICH)] = ""


class TablesArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class TableFileArgs(Args, frozen=True):
    """Which table that was received, and in which form."""

    transfer: Annotated[str, said("The transfer's id, or the beginning of it.", positional=True)]
    format: Annotated[Literal["csv", "json"], said("The format.")] = "csv"
    mesh: Annotated[str, said(WHICH)] = ""


class TableRow(Result, frozen=True):
    """One table that went or came."""

    transfer: Annotated[str, said("The transfer's id: that of both records.")]
    direction: Annotated[str, said("sent or received.")]
    party: Annotated[str, said("To whom it went, or from whom it came.")]
    release: Annotated[str, said("The release's id; while it is only asked for, what was asked.")]
    name: Annotated[str, said("Its name, where it is known.")]
    state: Annotated[str, said("open, done or refused.")]
    reason: Annotated[str, said("A stable code, where it was refused.")]
    at: Annotated[datetime, said("When it was begun.")]
    entry: Annotated[str, said("The entry that holds the digest of this end's record.")]
    differences: Annotated[
        int,
        said("Received: lines that tell of a few people, together with an earlier table of that holder. Take care."),
    ] = 0


class TableList(Result, frozen=True):
    """Tables that went or came."""

    tables: Annotated[tuple[TableRow, ...], said("Each table, the oldest first.")]


class TableFile(Result, frozen=True):
    """A table that was received, as a file."""

    label: Annotated[str, said("What it is called; never anonymous.")]
    meaning: Annotated[str, said("What the label means.")]
    file: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]


def _exit(row: TableRow) -> int:
    return {"done": OK, "refused": REFUSED}.get(row.state, TEMPORARY)


def _compared(turn: Turn, rows: TableRows) -> dict[bytes, int]:
    """Return of each table that was received how it differs from earlier ones of its holder."""
    from node.aggregates.handing import Table, differences
    from node.vaults.tables import IN

    by_holder: dict[Party, list[Handed]] = {}
    for row in sorted(rows.listing(turn.vault, IN), key=lambda row: row.order):
        if row.data:
            by_holder.setdefault(row.party, []).append(row)
    found: dict[bytes, int] = {}
    for held in by_holder.values():
        counts = differences(Table.decode(row.data) for row in held)
        found |= {row.transfer: count for row, count in zip(held, counts, strict=True)}
    return found


def _row(turn: Turn, one: Handed, differences: int) -> TableRow:
    from node.aggregates.handing import Table
    from node.vaults.tables import OUT

    out = one.role == OUT
    release = one.release.hex() if out or one.data else one.release.decode()
    name = Table.decode(one.data).name if one.data else ""
    who = member_name(turn.core.replica.members, one.party)
    how = (one.state, one.reason, moment(one.began), one.entry.hex())
    return TableRow(one.transfer.hex(), "sent" if out else "received", who, release, name, *how, differences)


async def _ended(mesh: Mesh, begun: Handed, wait: str) -> TableRow:
    """Look at a table until its other end has answered, or the time is over."""

    def look(turn: Turn) -> Handed:
        return mesh.flows.releasing.rows.get(turn.vault, begun.role, begun.transfer) or begun

    found = await mesh.engine.read(look)
    with trio.move_on_after(seconds_of(wait, "wait")):
        while found.state == "open":
            await trio.sleep(LOOK_SECONDS)
            found = await mesh.engine.read(look)
    rows = mesh.flows.releasing.rows
    return await mesh.engine.read(lambda turn: _row(turn, found, _compared(turn, rows).get(found.transfer, 0)))


@operation("aggregate", "send", permission="operate", exit_of=_exit)
async def aggregate_send(node: Node, args: SendTableArgs) -> TableRow:
    """Hand a published table to another member. Exit code 1: refused, with the reason; 75: it goes when it can."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> Handed:
        recipient = find_member(turn.core.replica.members, args.recipient, "recipient").party
        row = flows.releasing.offer(turn, flows.releases.find(turn.vault, args.release), recipient)
        flows.retry_later(turn)
        return row

    return await _ended(mesh, await mesh.engine.act(act), args.wait)


@operation("aggregate", "request", permission="operate", exit_of=_exit)
async def aggregate_request(node: Node, args: AskTableArgs) -> TableRow:
    """Ask a member for a table that it has published. Exit code 1: refused; 75: no answer yet."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> Handed:
        holder = find_member(turn.core.replica.members, args.holder, "holder").party
        row = flows.releasing.ask(turn, holder, args.table)
        flows.retry_later(turn)
        return row

    return await _ended(mesh, await mesh.engine.act(act), args.wait)


@operation("aggregate", "tables", permission="read")
async def aggregate_tables(node: Node, args: TablesArgs) -> TableList:
    """List the tables that went to other members, and those that came."""
    from node.vaults.tables import IN, OUT

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> TableList:
        rows = mesh.flows.releasing.rows
        found = [row for role in (OUT, IN) for row in rows.listing(turn.vault, role)]
        found.sort(key=lambda row: row.order)
        compared = _compared(turn, rows)
        return TableList(tuple(_row(turn, row, compared.get(row.transfer, 0)) for row in found))

    return await mesh.engine.read(look)


@operation("aggregate", "received", permission="read")
async def aggregate_received(node: Node, args: TableFileArgs) -> TableFile:
    """Export a table that was received, as CSV or JSON, with its label, the thresholds and their sources."""
    from node.aggregates.handing import Table
    from node.aggregates.release import table_to_csv, table_to_json
    from node.labels import MEANINGS, Level
    from node.vaults.tables import IN

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> Table:
        rows = mesh.flows.releasing.rows.listing(turn.vault, IN)
        found = [row for row in rows if row.data and row.transfer.hex().startswith(args.transfer.lower())]
        if len(found) != 1:
            raise not_found("No one table received has this transfer; `aggregate tables` shows them.", "transfer")
        return Table.decode(found[0].data)

    table = await mesh.engine.read(look)
    data = table_to_csv(table) if args.format == "csv" else table_to_json(table)
    return TableFile(Level.AGGREGATED.value, MEANINGS[Level.AGGREGATED], data)
