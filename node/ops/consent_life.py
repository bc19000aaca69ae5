"""Operations on consents that were given: narrow, sign with others, hand on; remind of a request; evidence.

How it works
    Each is one signed entry. What narrows is sealed to holder and recipient, like the consent itself.

What it does not do
    It widens nothing: that is a new consent, which supersedes the old one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from ledger.consent.kinds import EVIDENCE_STATES
from ledger.errors import LocalError
from ledger.schema import DAY
from node.exits import usage
from node.naming import find_entry, find_grant, find_member
from node.operation import Args, operation, said
from node.ops.consent import CONSENT, Stated
from node.ops.consent_terms import AS_TENANT, MEMBER
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.record import Terms
    from node.core import Turn
    from node.daemon import Node

REMINDERS_MAX = 3
"""Reminders of one request; more are not signed."""


class AmendArgs(Args, frozen=True):
    """Which consent, and what is left of it."""

    id: Annotated[str, said(CONSENT, positional=True)]
    point: Annotated[tuple[str, ...], said("Only these points of measurement from now on.")] = ()
    granularity: Annotated[str, said("Only steps as coarse as this, such as P1D or P1M.")] = ""
    days: Annotated[int, said("It ends so many days from now. 0: as before.")] = 0
    no_transmission: Annotated[bool, said("Switch the transmission off.")] = False
    mesh: Annotated[str, said(WHICH)] = ""


class SignArgs(Args, frozen=True):
    """Which consent, and whose signature."""

    id: Annotated[str, said(CONSENT, positional=True)]
    wallet: Annotated[str, said("A wallet kept here that must sign. Default: this node or a tenant kept here.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class RekeyArgs(Args, frozen=True):
    """Which consent, and to whom it is handed on."""

    id: Annotated[str, said(CONSENT, positional=True)]
    to: Annotated[str, said("The wallet kept here whose keys it gets.")]
    host: Annotated[str, said(f"Who keeps them from now on: {MEMBER}.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class RemindArgs(Args, frozen=True):
    """Which request."""

    id: Annotated[str, said("The request's id, or the beginning of it.", positional=True)]
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class EvidenceArgs(Args, frozen=True):
    """Which evidence, and what was found."""

    id: Annotated[str, said("The consent or the delegation that names it.", positional=True)]
    evidence: Annotated[str, said("The evidence's salted digest, or the beginning of it.")]
    status: Annotated[Literal["pending", "checked_ok", "checked_ko"], said(", ".join(EVIDENCE_STATES) + ".")]
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


@operation("consent", "amend", permission="operate", confirm="Narrow this consent? That cannot be undone.")
async def consent_amend(node: Node, args: AmendArgs) -> Stated:
    """Narrow a consent of a wallet kept here: fewer points, coarser steps, an earlier end."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    if not (args.point or args.granularity or args.days or args.no_transmission):
        raise usage("Say what is left of it: --point, --granularity, --days or --no-transmission.", "point")

    def narrow(terms: Terms) -> Terms:
        return replace(
            terms,
            points=args.point or terms.points,
            granularity=args.granularity or terms.granularity,
            stages=replace(terms.stages, transmit=terms.stages.transmit and not args.no_transmission),
        )

    def act(turn: Turn) -> Stated:
        grant = find_grant(turn, args.id, "id")
        entry = flows.life.amend(turn, grant, narrow, turn.now + args.days * DAY if args.days else None)
        flows.retry_later(turn)
        return Stated(grant.id.hex(), entry.id.hex(), "narrowed")

    return await mesh.engine.act(act)


@operation("consent", "sign", permission="operate")
async def consent_sign(node: Node, args: SignArgs) -> Stated:
    """Sign a consent that needs this signature beside the person's."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> Stated:
        grant = find_grant(turn, args.id, "id")
        entry = flows.life.sign(turn, grant, args.wallet)
        status = turn.core.replica.consent(turn.rows, grant.id)
        return Stated(
            grant.id.hex(), entry.id.hex(), status.state.name.lower() if status is not None else "unregistered"
        )

    return await mesh.engine.act(act)


@operation("consent", "rekey", permission="operate")
async def consent_rekey(node: Node, args: RekeyArgs) -> Stated:
    """Hand a consent on to the keys of another wallet: nobody is asked for consent again."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> Stated:
        grant = find_grant(turn, args.id, "id")
        host = find_member(turn.core.replica.members, args.host, "host").party if args.host else None
        entry = flows.life.rekey(turn, grant, args.to, host)
        return Stated(grant.id.hex(), entry.id.hex(), "handed on")

    return await mesh.engine.act(act)


@operation("consent", "remind", permission="operate")
async def consent_remind(node: Node, args: RemindArgs) -> Stated:
    """Remind a person of a request that is still open; three times at most."""
    from ledger.index import facts_of
    from node.tenants import state

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> Stated:
        replica, voice = turn.core.replica, flows.tenants.voice(turn, args.as_tenant)
        request = replica.entry(turn.rows, find_entry(turn.rows, args.id))
        if request is None or request.kind != "consent.request":
            raise LocalError("NOT_FOUND", "this entry is no request", field="id")
        if replica.members.party_of(request.kid) != voice.party:
            raise LocalError("NOT_A_PARTY", "only who asked reminds", field="id")
        said_of = [fact.row.kind for fact in facts_of(turn.rows, request.id, replica.by_number, replica.size)]
        if turn.now > request.payload["expires"] or "consent.refuse" in said_of:
            raise LocalError("REQUEST_EXPIRED", "the request is no longer open; ask for a new one", field="id")
        if said_of.count("consent.remind") >= REMINDERS_MAX:
            raise LocalError("TOO_MANY_REMINDERS", f"she was reminded {REMINDERS_MAX} times already", field="id")
        entry = state(turn, voice, "consent.remind", request.thing, {"request": request.id})
        return Stated(request.id.hex(), entry.id.hex(), f"reminded {said_of.count('consent.remind') + 1} times")

    return await mesh.engine.act(act)


@operation("consent", "evidence", permission="operate")
async def consent_evidence(node: Node, args: EvidenceArgs) -> Stated:
    """Say what was found of the evidence that a consent or a delegation names."""
    from node.tenants import state

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> Stated:
        replica, voice = turn.core.replica, flows.tenants.voice(turn, args.as_tenant)
        about = replica.entry(turn.rows, find_entry(turn.rows, args.id))
        named = about.payload.get("evidence", ()) if about is not None else ()
        digests = [digest for digest in named if digest.hex().startswith(args.evidence.lower())]
        if about is None or len(digests) != 1:
            raise LocalError("NOT_FOUND", "the entry names no such evidence, or several", field="evidence")
        payload = {"grant": about.id, "evidence": digests[0], "status": args.status}
        entry = state(turn, voice, "consent.evidence", ("consent", about.thing[1]), payload)
        return Stated(about.id.hex(), entry.id.hex(), args.status)

    return await mesh.engine.act(act)
