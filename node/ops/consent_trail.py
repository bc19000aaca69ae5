"""The operation `consent trail`: who received what, when, under which consent.

How it works
    It is the view that the citizen pages show a person, for whoever keeps her wallet: of one consent, of a wallet's
    consents, or of all whose content is known here; with what was passed on from them (node.flows.trail).

    Access in an emergency is a consent's too, given before, whose legal basis says so: its transfers are marked urgent.

What it does not do
    It shows no readings. Of transfers between others it tells what their holders stated, which says nothing of amounts.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from ledger.errors import LocalError
from node.naming import find_grant, member_name, moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH
from node.portions import in_portions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.entry import Entry
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows
    from node.flows.trail import Passed


PORTION: Final = 500
"""Consents whose trail is read before others have their turn."""
URGENT: Final = "vital_interests"
"""The legal basis of what may be looked at in an emergency; a consent names it with its purpose."""


class TrailArgs(Args, frozen=True):
    """Of which consents."""

    id: Annotated[str, said("One consent: its id, or the beginning of it.", positional=True)] = ""
    wallet: Annotated[str, said("The consents of this wallet kept here alone.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class TrailStep(Result, frozen=True):
    """One transfer of a person's data."""

    at: Annotated[datetime, said("When it ended, as far as known here; else when its holder stated it.")]
    consent: Annotated[str, said("The consent that it rests on.")]
    passed_on_from: Annotated[str, said("The consent above that one; empty for the person's own.")]
    holder: Annotated[str, said("Who sent.")]
    recipient: Annotated[str, said("Who received.")]
    purpose: Annotated[str, said("What for; empty where it is not known here.")]
    kind: Annotated[str, said("Which kind of data; empty where it is not known here.")]
    records: Annotated[int | None, said("How many records; null where no account of it is here.")]
    since: Annotated[datetime | None, said("Where what passed begins; null where it is not known here.")]
    until: Annotated[datetime | None, said("Where it ends.")]
    transfer: Annotated[str, said("The transfer's id.")]
    urgent: Annotated[bool, said("Whether it went to protect somebody's vital interests: look at it twice.")]
    stated: Annotated[bool, said("Whether the holder has said so on the ledger.")]


class Trail(Result, frozen=True):
    """What became of a person's data."""

    consents: Annotated[int, said("How many consents were looked at.")]
    steps: Annotated[tuple[TrailStep, ...], said("Each transfer, the oldest first.")]


@operation("consent", "trail", permission="read")
async def consent_trail(node: Node, args: TrailArgs) -> Trail:
    """Show who received what, when, under which consent, with what was passed on from there."""
    from node.flows.trail import trail

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def listed(turn: Turn, start: bytes) -> tuple[list[Entry], bytes]:
        ids, following = _ids(turn, flows, args.wallet, start)
        found = (turn.core.replica.grant(turn.rows, ident) for ident in ids)
        return [grant for grant in found if grant is not None], following

    def look(turn: Turn, grants: Sequence[Entry]) -> list[TrailStep]:
        steps = trail(turn, flows.stated, flows.receipts, flows.incoming, grants)
        return [_step(turn, flows, one) for one in steps]

    if args.id:
        grants = [await mesh.engine.read(lambda turn: find_grant(turn, args.id, "id"))]
    else:
        every = await in_portions(mesh.engine, listed)
        ids = {grant.id for grant in every}  # one that passes on is told under the one above it, if that is here too
        grants = [grant for grant in every if grant.payload.get("parent") not in ids]
    found: dict[str, TrailStep] = {}
    for first in range(0, len(grants), PORTION):
        steps = await mesh.engine.read(partial(look, grants=grants[first : first + PORTION]))
        found = {step.transfer: step for step in steps} | found
    return Trail(len(grants), tuple(sorted(found.values(), key=lambda step: (step.at, step.transfer))))


def _ids(turn: Turn, flows: Flows, wallet: str, start: bytes) -> tuple[list[bytes], bytes]:
    from node.vaults.consents import GRANT

    if not wallet:
        return flows.consents.ids(turn.vault, GRANT, start)
    return [own.grant_id for own in flows.wallets.get(turn.vault, wallet).wallet.consents], b""


def _step(turn: Turn, flows: Flows, one: Passed) -> TrailStep:
    members, tally = turn.core.replica.members, one.account.tally if one.account is not None else None
    holder, recipient = one.parties
    row = flows.consents.get(turn.vault, one.grant.id)
    purpose, kind, urgent = "", "", False
    if row is not None:
        try:
            terms = row.disclosures.terms()
        except LocalError:
            terms = None
        if terms is not None:
            purpose, kind = terms.purpose, "/".join(terms.pii_type or ())
            urgent = terms.legal_basis == URGENT
    parent = one.grant.payload.get("parent")
    return TrailStep(
        moment(one.at),
        one.grant.id.hex(),
        parent.hex() if parent is not None else "",
        member_name(members, holder),
        member_name(members, recipient) if recipient is not None else "one of a class of recipients",
        purpose,
        kind,
        tally.count if tally is not None else None,
        moment(tally.window[0]) if tally is not None else None,
        moment(tally.window[1]) if tally is not None else None,
        one.transfer.hex(),
        urgent,
        one.stated,
    )
