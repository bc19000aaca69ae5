"""Operations on a person's rights: ask, answer, and see who is late.

How it works
    `ask` is for the node that keeps the person's wallet; `answer` for the holder or recipient who was asked. What is
    asked and answered in words goes sealed between the two; the ledger shows who owes whom an answer, and by when.

What it does not do
    It reminds nobody by mail. `maille rights list --late` is what an authority would look at first.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from node.exits import usage
from node.naming import find_entry, find_grant, find_party, member_name, moment, unix_of
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import AS_TENANT, MEMBER
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.rights import Correction
    from node.core import Turn
    from node.daemon import Node
    from node.flows.rights import Asked
    from node.tenants import Tenants

Right = Literal["access", "rectification", "objection", "erasure", "portability"]
Outcome = Literal["done", "partly", "refused", "extended"]


class AskRightArgs(Args, frozen=True):
    """What is asked."""

    consent: Annotated[str, said("Under which consent: its id, or the beginning of it.", positional=True)]
    right: Annotated[Right, said("access, rectification, objection, erasure or portability.")]
    wallet: Annotated[str, said("The wallet kept here that gave the consent.")]
    to: Annotated[str, said(f"Who shall answer, the holder or the recipient: {MEMBER}. Default: the recipient.")] = ""
    everywhere: Annotated[bool, said("Ask everyone who may hold a copy of these points, each by a request.")] = False
    text: Annotated[str, said("In her own words: a file, or the text itself.", content=True)] = ""
    correction: Annotated[
        tuple[str, ...], said("For rectification: POINT,START,VALUE, such as prm:…,2026-01-31T00:00:00Z,1.5.")
    ] = ()
    mesh: Annotated[str, said(WHICH)] = ""


class AnswerRightArgs(Args, frozen=True):
    """What is answered."""

    id: Annotated[str, said("The request's id, or the beginning of it.", positional=True)]
    outcome: Annotated[Outcome, said("done, partly, refused, or extended (two more months, within the first).")]
    text: Annotated[str, said("What was done, or why not: a file, or the text itself.", content=True)] = ""
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class RightsListArgs(Args, frozen=True):
    """Which requests."""

    late: Annotated[bool, said("Only those that are late.")] = False
    wallet: Annotated[str, said("Only those of a wallet kept here.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class RightArgs(Args, frozen=True):
    """Which request."""

    id: Annotated[str, said("The request's id, or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class RightRow(Result, frozen=True):
    """One request and how it stands."""

    id: Annotated[str, said("The request's id.")]
    consent: Annotated[str, said("The consent that it is about.")]
    right: Annotated[str, said("Which right.")]
    to: Annotated[str, said("Who owes an answer.")]
    wallet: Annotated[str, said("The wallet kept here that asked; empty when it came from elsewhere.")]
    asked: Annotated[datetime, said("When it was asked, to the hour.")]
    due: Annotated[datetime, said("By when it must be answered.")]
    state: Annotated[str, said("open, extended, done, partly or refused.")]
    late: Annotated[bool, said("Whether it was not answered in time.")]


class RightRows(Result, frozen=True):
    """Requests."""

    requests: Annotated[tuple[RightRow, ...], said("Each request, the oldest first.")]


class CorrectionRow(Result, frozen=True):
    """One value that is wrong."""

    point: Annotated[str, said("The point of measurement.")]
    start: Annotated[datetime, said("Where its period begins.")]
    value: Annotated[str | None, said("What is right; null: there was no value.")]


class RightShown(Result, frozen=True):
    """One request in full."""

    request: Annotated[RightRow, said("The request and how it stands.")]
    text: Annotated[str, said("What the person says.")]
    corrections: Annotated[tuple[CorrectionRow, ...], said("The values that are wrong.")]
    answer: Annotated[str, said("What was answered, where that is known here.")]


@operation("rights", "ask", permission="operate")
async def rights_ask(node: Node, args: AskRightArgs) -> RightRows:
    """Ask for a right of the person whose wallet is kept here: access, rectification, objection, erasure, portability.

    An answer is due within a month, or three if it is extended in the first.
    """
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    corrections = [_correction(text) for text in args.correction]
    if args.everywhere and args.to:
        raise usage("Say either --to or --everywhere.", "to")

    def act(turn: Turn) -> RightRows:
        grant = find_grant(turn, args.consent)
        if args.everywhere:
            targets = flows.rights.everywhere(turn, args.wallet, grant)
        else:
            name = args.to or _default(grant.payload["recipient"])
            targets = [(grant, find_party(turn.core.replica.members, name, "to", flows.tenants))]
        entries = [
            flows.rights.ask(turn, args.wallet, one, args.right, party, args.text, corrections)
            for one, party in targets
        ]
        return RightRows(tuple(_row(turn, flows.rights.find(turn, one.id), flows.tenants) for one in entries))

    return await mesh.engine.act(act)


def _default(recipient: list[object]) -> str:
    if len(recipient) == 2 and isinstance(recipient[0], bytes):
        return recipient[0].hex()
    raise usage("The consent is for a class of recipients: say who shall answer with --to.", "to")


def _correction(text: str) -> Correction:
    from ledger.consent.rights import Correction

    parts = text.split(",")
    try:
        point, start, value = parts
        at = datetime.fromisoformat(start)
    except ValueError:
        raise usage(f"{text!r} is no correction; write POINT,START,VALUE.", "correction") from None
    return Correction(point, unix_of(at), value or None)


@operation("rights", "answer", permission="operate")
async def rights_answer(node: Node, args: AnswerRightArgs) -> RightRow:
    """Answer a request that is addressed to this node, or to a tenant it hosts.

    "done" to an objection revokes the consent; "done" to a demand for erasure is refused while the data are here.
    """
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> RightRow:
        request = find_entry(turn.rows, args.id)
        flows.rights.answer(turn, request, flows.tenants.voice(turn, args.as_tenant), args.outcome, args.text)
        return _row(turn, flows.rights.find(turn, request), flows.tenants)

    return await mesh.engine.act(act)


@operation("rights", "list", permission="read")
async def rights_list(node: Node, args: RightsListArgs) -> RightRows:
    """List the requests that were made or received here, and who is late."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> RightRows:
        found = flows.rights.listing(turn, args.wallet)
        rows = (_row(turn, one, flows.tenants) for one in found if one.standing.late or not args.late)
        return RightRows(tuple(rows))

    return await mesh.engine.read(look)


@operation("rights", "show", permission="read")
async def rights_show(node: Node, args: RightArgs) -> RightShown:
    """Show a request and its answer, in the words of both."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> RightShown:
        one = flows.rights.find(turn, find_entry(turn.rows, args.id))
        details = one.row.details
        rows = tuple(CorrectionRow(each.point, moment(each.start), each.value) for each in details.corrections)
        answer = one.answer.details.text if one.answer is not None else ""
        return RightShown(_row(turn, one, flows.tenants), details.text, rows, answer)

    return await mesh.engine.read(look)


def _row(turn: Turn, one: Asked, tenants: Tenants) -> RightRow:
    return RightRow(
        one.entry.id.hex(),
        one.entry.payload["grant"].hex(),
        one.entry.payload["right"],
        tenants.name_of(one.to[0]) or member_name(turn.core.replica.members, one.to),
        one.row.wallet,
        moment(one.asked),
        moment(one.standing.due),
        one.standing.state,
        one.standing.late,
    )
