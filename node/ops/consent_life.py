"""Operations on consents that were given: narrow, sign with others and leave, hand on, pass on; remind; evidence.

How it works
    Each is one signed entry. What narrows is sealed to holder and recipient, like the consent itself.

What it does not do
    It widens nothing: that is a new consent, which supersedes the old one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from ledger.consent.grant import read_party
from ledger.consent.kinds import EVIDENCE_STATES, REVOCATION_REASONS
from ledger.consent.record import Actor
from ledger.errors import LocalError
from ledger.schema import DAY, TIME_MAX
from node.exits import usage
from node.naming import find_entry, find_grant, find_member, find_party, member_name, moment
from node.operation import Args, Result, operation, said
from node.ops.consent import CONSENT, Stated, Text
from node.ops.consent_line import WAITS, wait_in_words
from node.ops.consent_terms import AS_TENANT, MEMBER, names_of
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.record import Terms
    from node.core import Turn
    from node.daemon import Node


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


class LeaveConsentArgs(Args, frozen=True):
    """Which consent, and who leaves it."""

    id: Annotated[str, said(CONSENT, positional=True)]
    wallet: Annotated[str, said("The wallet kept here that had to sign it.")]
    why: Annotated[str, said(f"{', '.join(REVOCATION_REASONS)}.")] = "subject_request"
    reason: Annotated[Text, said("A word on it; all will read it.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class TakeOnArgs(Args, frozen=True):
    """Which consent, and whose keys it shall get."""

    id: Annotated[str, said(CONSENT, positional=True)]
    wallet: Annotated[str, said("The wallet kept here that shall have it.")] = ""
    seed: Annotated[
        str, said("Or the 24 words of a wallet that is kept nowhere: a file, or the words themselves.", content=True)
    ] = ""
    host: Annotated[
        str, said(f"Who will keep the keys: {MEMBER}. Default: this node for its wallets, else nobody.")
    ] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class TakeOn(Result, frozen=True):
    """Keys for a consent."""

    heir: Annotated[str, said("Give this text to whoever hands it on: `maille consent rekey --heir`. It is no secret.")]
    host: Annotated[str, said("Who will keep the keys; empty: nobody but the person.")]


class RekeyArgs(Args, frozen=True):
    """Which consent, and to whom it is handed on."""

    id: Annotated[str, said(CONSENT, positional=True)]
    to: Annotated[str, said("The wallet kept here whose keys it gets.")] = ""
    heir: Annotated[str, said("Or the text of `maille consent take-on`: a file, or the text itself.", content=True)] = (
        ""
    )
    host: Annotated[str, said(f"Who keeps them from now on: {MEMBER}. Default: as the text says.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class PassOnArgs(Args, frozen=True):
    """What is passed on, to whom, and how much of it."""

    id: Annotated[str, said("The consent under which the data came, or the beginning of its id.", positional=True)]
    recipient: Annotated[str, said(f"Who receives them now: {MEMBER}.")]
    contact: Annotated[str, said("Where the person uses her rights there: an address or a telephone number.")]
    point: Annotated[tuple[str, ...], said("Only these points of measurement. Default: all of them.")] = ()
    granularity: Annotated[str, said("Only steps as coarse as this, such as P1D. Default: as received.")] = ""
    days: Annotated[Annotated[int, Meta(ge=0, le=3_653)], said("It ends after so many days. 0: with the other.")] = 0
    depth: Annotated[Annotated[int, Meta(ge=0, le=8)], said("How many steps further it may go from there.")] = 0
    wallet: Annotated[bool, said("The person passes it on, from her wallet kept here, and not its recipient.")] = False
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class PassedOn(Result, frozen=True):
    """A consent that passes data on."""

    id: Annotated[str, said("Its id.")]
    words: Annotated[tuple[str, ...], said("What it says, sentence by sentence.")]
    valid_until: Annotated[datetime, said("When it ends by itself; with the one above it in any case.")]
    waits: Annotated[str, said(WAITS)] = ""


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


@operation("consent", "leave", permission="operate", confirm="Leave this consent? That cannot be undone.")
async def consent_leave(node: Node, args: LeaveConsentArgs) -> Stated:
    """Leave a consent that a wallet kept here had to sign: its signature counts no more.

    Where all must sign, the consent ends at once; where some of them suffice, when too few are left. Who gave it
    withdraws it, and its holder and recipient revoke it.
    """
    from node.flows.registering import others_to_ask

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> Stated:
        grant = find_grant(turn, args.id, "id")
        entry = flows.life.leave(turn, grant, args.wallet, args.why, args.reason)
        status = turn.core.replica.consent(turn.rows, grant.id)
        state = status.state.name.lower() if status is not None else "unregistered"
        return Stated(grant.id.hex(), entry.id.hex(), state, others_to_ask(turn))

    return await mesh.engine.act(act)


@operation("consent", "take-on", permission="operate")
async def consent_take_on(node: Node, args: TakeOnArgs) -> TakeOn:
    """Make the text with which a consent is handed on to a wallet kept here, or to a person's own words.

    The words are used once and kept nowhere.
    """
    from ledger.consent.heir import heir_of
    from ledger.consent.wallet import Wallet
    from node.seed_words import seed_of_words

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    if bool(args.wallet) == bool(args.seed):
        raise usage("Say either --wallet or --seed.", "wallet")
    own = Wallet(seed_of_words(args.seed)) if args.seed else None

    def look(turn: Turn) -> TakeOn:
        members, grant = turn.core.replica.members, find_grant(turn, args.id, "id")
        wallet = flows.life.wallet(turn, args.wallet) if own is None else own
        host = find_member(members, args.host, "host").party if args.host else turn.core.party if args.wallet else None
        heir = heir_of(wallet, grant, host)
        return TakeOn(heir.code(), member_name(members, host) if host is not None else "")

    return await mesh.engine.read(look)


@operation("consent", "rekey", permission="operate")
async def consent_rekey(node: Node, args: RekeyArgs) -> Stated:
    """Hand a consent on to the keys of another wallet, here or elsewhere: nobody is asked for consent again."""
    from ledger.consent.heir import parse_heir

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    if bool(args.to) == bool(args.heir):
        raise usage("Say either --to, for a wallet kept here, or --heir, for one from elsewhere.", "to")
    to = parse_heir(args.heir) if args.heir else args.to

    def act(turn: Turn) -> Stated:
        grant = find_grant(turn, args.id, "id")
        host = find_member(turn.core.replica.members, args.host, "host").party if args.host else None
        entry = flows.life.rekey(turn, grant, to, host)
        flows.retry_later(turn)
        return Stated(grant.id.hex(), entry.id.hex(), "handed on")

    return await mesh.engine.act(act)


@operation("consent", "pass-on", permission="operate")
async def consent_pass_on(node: Node, args: PassOnArgs) -> PassedOn:
    """Pass on what came under a consent that allows it: a consent of its own, which ends with the one above it."""
    from node.flows.consenting import Offer

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> PassedOn:
        parent = find_grant(turn, args.id, "id")
        above = flows.life.content(turn, parent.id).terms()
        recipient = find_party(turn.core.replica.members, args.recipient, "recipient", flows.tenants)
        name = flows.tenants.name_of(recipient[0]) or member_name(turn.core.replica.members, recipient)
        terms = _passed_on(above, Actor(name, "recipient", args.contact, recipient), args)
        until = min(parent.payload["valid_until"], turn.now + args.days * DAY if args.days else TIME_MAX)
        offer = Offer(read_party(parent.payload["recipient"]), recipient, terms, until)
        names = names_of(turn, offer)
        notice = flows.acts.notice(turn, offer, names)
        by = None if args.wallet else flows.tenants.voice(turn, args.as_tenant)
        entry = flows.passing.pass_on(turn, parent, terms, recipient, notice, until=until, by=by)
        flows.retry_later(turn)
        words = tuple(flows.acts.words(turn, offer, names))
        waits = wait_in_words(flows.spreading.waiting(turn, entry.id), "en")
        return PassedOn(entry.id.hex(), words, moment(entry.payload["valid_until"]), waits)

    return await mesh.engine.act(act)


def _passed_on(above: Terms, to: Actor, args: PassOnArgs) -> Terms:
    """Return the terms of a child: its parent's, but for who receives now and what the person is told of them."""
    from ledger.consent.record import OnwardSharing, Rights

    how = f"write to {args.contact}"
    return replace(
        above,
        points=args.point or above.points,
        granularity=args.granularity or above.granularity,
        controllers=(replace(to, role="controller"),),
        recipients=(to,),
        processors=(),
        onward_sharing=OnwardSharing("depth", args.depth) if args.depth else OnwardSharing(),
        storage="at the recipient",
        rights=Rights(how, how, how, how, how),
        dpo_contact=args.contact,
    )


@operation("consent", "remind", permission="operate")
async def consent_remind(node: Node, args: RemindArgs) -> Stated:
    """Remind a person of a request that is still open; three times at most, more would not count (C11)."""
    from ledger.consent.reminding import REMINDERS_MAX
    from ledger.explained import request_reminders
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
        before = len(request_reminders(replica, turn.rows, request.id) or ())
        if before >= REMINDERS_MAX:
            raise LocalError("TOO_MANY_REMINDERS", f"she was reminded {REMINDERS_MAX} times already", field="id")
        entry = state(turn, voice, "consent.remind", request.thing, {"request": request.id})
        return Stated(request.id.hex(), entry.id.hex(), f"reminded {before + 1} times")

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
