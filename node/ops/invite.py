"""Operations on invitations: tickets, made here, used once, for a limited time.

How it works
    A ticket is text (also shown as a QR code). Bound to the invitee's did:key, it admits her at once; an open one
    opens a request, which is approved after comparing fingerprints (`requests`). Only its hash is kept here.

What it does not do
    A ticket cannot be shown again: make another.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

from ledger.errors import LocalError
from ledger.governance.certificate import quorum
from ledger.governance.rules import endorsements_for_voter
from node.exits import not_found, usage
from node.naming import moment, root_kid, seconds_of
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH
from node.saying import Pair, Value, english

if TYPE_CHECKING:
    from node.admission import Admission
    from node.core import Core, Turn
    from node.daemon import Node
    from node.mesh import Mesh

TTL_SECONDS_MAX = 30 * 86_400


class InviteArgs(Args, frozen=True):
    """Whom to invite, and for how long."""

    mesh: Annotated[str, said(WHICH)] = ""
    to: Annotated[str, said("The invitee's did:key (`maille key show`): she is admitted at once.")] = ""
    open: Annotated[bool, said("For whoever has the ticket: opens a request that you approve.")] = False
    ttl: Annotated[str, said("How long it is good: 90s, 30m, 24h, 7d.")] = "24h"
    qr: Annotated[bool, said("Show it as a QR code too.")] = False


class TicketMade(Result, frozen=True):
    """A new ticket."""

    id: Annotated[str, said("Names the ticket in `invite list` and `invite revoke`.")]
    ticket: Annotated[str, said("The ticket. Whoever has it can use it once.")]
    expires: Annotated[datetime, said("Until when.")]
    to: Annotated[str, said("The did:key it is bound to, or empty.")]
    addresses: Annotated[tuple[str, ...], said("Where the invitee will find this node.")]
    qr: Annotated[str, said("The QR code, drawn in text, if asked for.")] = ""
    hint: Annotated[str, said("What letting somebody in changes for sealing, where the voters are few; or empty.")] = ""


class TicketRow(Result, frozen=True):
    """A ticket that was made here."""

    id: Annotated[str, said("Names it in `invite revoke`.")]
    state: Annotated[str, said("open, used or expired.")]
    expires: Annotated[datetime, said("Until when it is good.")]
    bound_to: Annotated[str, said("The id of the root key it was made for, or empty.")]
    used_by: Annotated[str, said("The id of the root key that used it, or empty.")]


class Tickets(Result, frozen=True):
    """The tickets of a mesh."""

    tickets: Annotated[tuple[TicketRow, ...], said("Each ticket that is kept.")]


class TicketsArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class RevokeArgs(Args, frozen=True):
    """Which ticket."""

    id: Annotated[str, said("The ticket's id, or its beginning.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class Revoked(Result, frozen=True):
    """What was revoked."""

    id: Annotated[str, said("The ticket's id.")]


def admission(mesh: Mesh) -> Admission:
    """Return the door of a mesh."""
    from node.admission import Admission

    if not isinstance(mesh.core.strangers, Admission):
        raise LocalError("NO_DOOR", "This mesh takes in nobody.")
    return mesh.core.strangers


ONE_MORE: Final[Pair] = (
    "Whoever you let in gets a vote with one of the next seals. Of {voters} voters {quorum} must be there to seal: "
    "with one away nothing is sealed, until you have {enough} voters.",
    "Qui vous faites entrer reçoit un vote avec l’un des prochains sceaux. Sur {voters} votants, {quorum} doivent être "
    "là pour sceller : si l’un manque, rien n’est scellé, jusqu’à ce que vous soyez {enough} votants.",
)
"""What one more voter asks of sealing, where the voters are few."""


def one_more(core: Core) -> Mapping[str, Value] | None:
    """Return the values of `ONE_MORE` where our letting somebody in makes a voter of her alone; else None.

    Letting in counts as endorsing, and among so few voters one endorsement is enough for a vote at the next seal
    (../shared/governance.md §1).
    """
    now = core.replica.chain.newest.voters
    if core.party not in now or endorsements_for_voter(len(now)) > 1:
        return None
    voters = len(now) + 1
    enough = next(n for n in range(voters, voters + 4) if quorum(n) < n)
    return {"voters": voters, "quorum": quorum(voters), "enough": enough}


def _drawn(text: str) -> str:
    import segno

    drawn = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, compact=True)
    return drawn.getvalue()


@operation("invite", "create", permission="operate", render=lambda m: f"{m.qr}\n{m.ticket}" if m.qr else m.ticket)
async def invite_create(node: Node, args: InviteArgs) -> TicketMade:
    """Make a ticket with which one node can join. It goes to standard output alone, so that it can be sent on."""
    if bool(args.to) == args.open:
        raise usage("Say whom to invite with --to DID, or --open for whoever has the ticket.")
    ttl = seconds_of(args.ttl, "ttl")
    if ttl > TTL_SECONDS_MAX:
        raise usage(f"A ticket is good for at most {TTL_SECONDS_MAX // 86_400} days.", "ttl")
    mesh = node.mesh(args.mesh)
    door, bound_to = admission(mesh), root_kid(args.to) if args.to else None
    if not mesh.core.replica.members.is_member(mesh.core.party):
        raise LocalError("NOT_A_MEMBER", "This node is no member of the mesh yet; it cannot invite.")
    addresses = node.addresses
    ticket = await mesh.engine.act(lambda turn: door.invite(turn, addresses, ttl_seconds=ttl, bound_to=bound_to))
    digest = hashlib.sha256(ticket.secret).hexdigest()
    text = ticket.text()
    shown = _drawn(text) if args.qr else ""
    few = one_more(mesh.core)
    hint = english(ONE_MORE, few) if few is not None else ""
    return TicketMade(digest[:16], text, moment(ticket.expires), args.to, ticket.addresses, shown, hint)


@operation("invite", "list", permission="read")
async def invite_list(node: Node, args: TicketsArgs) -> Tickets:
    """List the tickets made here: open, used, expired."""
    mesh = node.mesh(args.mesh)
    door = admission(mesh)

    def look(turn: Turn) -> Tickets:
        rows = []
        for row in door.tickets(turn.rows):
            state = "used" if row.used_by else "expired" if row.expires < turn.now else "open"
            rows.append(
                TicketRow(row.digest.hex()[:16], state, moment(row.expires), row.bound_to.hex(), row.used_by.hex())
            )
        return Tickets(tuple(sorted(rows, key=lambda row: row.expires)))

    return await mesh.engine.read(look)


@operation("invite", "revoke", permission="operate")
async def invite_revoke(node: Node, args: RevokeArgs) -> Revoked:
    """Revoke a ticket that was not used yet."""
    mesh = node.mesh(args.mesh)
    door = admission(mesh)

    def revoke(turn: Turn) -> Revoked:
        found = [row.digest for row in door.tickets(turn.rows) if args.id and row.digest.hex().startswith(args.id)]
        if len(found) != 1:
            raise not_found(f"No ticket, or more than one, begins with {args.id!r}; see `maille invite list`.", "id")
        door.revoke(turn, found[0])
        return Revoked(found[0].hex()[:16])

    return await mesh.engine.act(revoke)
