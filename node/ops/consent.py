"""Operations on consents: ask, give, refuse, look, withdraw, revoke.

How it works
    A consent is given from a wallet kept here (`wallet create`), by options or by a file of terms (TOML or JSON, the
    fields of node/flows/offers.py; options win). What the person reads is printed first, in plain words; with
    --preview nothing else happens. Together with the consent comes its withdrawal slip, which works at any member
    and without the wallet. Holder and recipient get the content sealed, and acknowledge by themselves.

What it does not do
    It changes no consent: another one is given instead. A reason for a refusal may be given and is never asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from ledger.errors import LocalError
from node.exits import usage
from node.naming import find_entry, find_grant, find_member, moment
from node.operation import Args, Result, operation, said
from node.ops.consent_line import PUBLISHES, WAITS, ConsentLine, line_of, wait_in_words, waiting
from node.ops.consent_terms import AS_TENANT, MEMBER, OF_TENANT, FormalTerms, Terms, formalities_of, names_of, offer_of
from node.ops.consent_trail import consent_trail
from node.ops.mesh import WHICH
from node.portions import in_portions

if TYPE_CHECKING:
    from ledger.governance.members import Party
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows

__all__ = ("consent_trail",)
CONSENT = "The consent's id, or the beginning of it."
Text = Annotated[str, Meta(max_length=500)]


class GrantArgs(FormalTerms, frozen=True):
    """Who consents, and to what."""

    wallet: Annotated[str, said("The wallet kept here that consents.")] = ""
    request: Annotated[str, said("The request that is answered: its id, or the beginning of it.")] = ""
    preview: Annotated[bool, said("Print what would be consented to, and do nothing.")] = False
    lang: Annotated[Literal["en", "fr"], said("The language of what is printed.")] = "en"


class AskConsentArgs(Terms, frozen=True):
    """What is asked for, and of whom."""

    to: Annotated[str, said(f"The member that keeps the person's wallet: {MEMBER}. Default: the holder.")] = ""
    open_days: Annotated[int, said("For how many days the request is open.")] = 30
    as_tenant: Annotated[str, said(AS_TENANT)] = ""


class ConsentArgs(Args, frozen=True):
    """Which consent."""

    id: Annotated[str, said(CONSENT, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""
    lang: Annotated[Literal["en", "fr"], said("The language of what is printed.")] = "en"
    as_tenant: Annotated[str, said(OF_TENANT)] = ""


class RefuseArgs(Args, frozen=True):
    """Which request is refused, and by whom."""

    id: Annotated[str, said("The request's id, or the beginning of it.", positional=True)]
    wallet: Annotated[str, said("The wallet kept here that refuses.")]
    reason: Annotated[Text, said("A reason, if she wants to give one; all will read it.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class WithdrawArgs(Args, frozen=True):
    """Which consent, and by what right."""

    id: Annotated[str, said(f"{CONSENT} Not needed with a slip.", positional=True)] = ""
    slip: Annotated[str, said("The code of the withdrawal slip, as printed; dashes and spaces do not matter.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class RevokeConsentArgs(Args, frozen=True):
    """Which consent, and why."""

    id: Annotated[str, said(CONSENT, positional=True)]
    why: Annotated[
        str, said("subject_request, purpose_ended, contract_ended, moved_out, source_refused, error, legal_duty.")
    ]
    reason: Annotated[Text, said("A word on it; all will read it.")] = ""
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ListArgs(Args, frozen=True):
    """Which consents."""

    mesh: Annotated[str, said(WHICH)] = ""
    wallet: Annotated[str, said("Those of one wallet alone.")] = ""
    requests: Annotated[bool, said("Requests in place of consents.")] = False
    as_tenant: Annotated[str, said(OF_TENANT)] = ""


class Granted(Result, frozen=True):
    """A consent that was given, or would be."""

    id: Annotated[str, said("The consent's id; empty in a preview.")]
    words: Annotated[tuple[str, ...], said("What she consents to, sentence by sentence.")]
    slip: Annotated[str, said("The code with which she withdraws; keep it on paper.")]
    slip_lines: Annotated[tuple[str, ...], said("The withdrawal slip, to print.")]
    valid_until: Annotated[datetime, said("When it ends by itself.")]
    custody: Annotated[str, said("Who holds the keys of the wallet.")]
    publishes: Annotated[datetime | None, said(PUBLISHES)] = None
    waits: Annotated[str, said(WAITS)] = ""


class Requested(Result, frozen=True):
    """A request that was made."""

    id: Annotated[str, said("The request's id.")]
    words: Annotated[tuple[str, ...], said("What is asked for, sentence by sentence.")]
    expires: Annotated[datetime, said("Until when it is open.")]


class Stated(Result, frozen=True):
    """What was said about a consent."""

    id: Annotated[str, said("The consent, or the request.")]
    entry: Annotated[str, said("Id of the entry that says so; empty for a consent that was never published.")]
    state: Annotated[str, said("How it stands now; never_published: it was still waiting, and nobody heard of it.")]
    reaches: Annotated[int, said("In how many other members' feeds it is to stand too.")] = 0


class ConsentLines(Result, frozen=True):
    """Consents, or requests."""

    consents: Annotated[tuple[ConsentLine, ...], said("Each one whose content is known here.")]


class ConsentShown(Result, frozen=True):
    """A consent with all its words."""

    line: Annotated[ConsentLine, said("How it stands.")]
    words: Annotated[tuple[str, ...], said("What it says, sentence by sentence.")]
    decided_by: Annotated[tuple[str, ...], said("Ids of the entries that made it so.")]
    notice: Annotated[str, said("The notice as it was shown, where it was made here: proofs attach it.")]
    contested: Annotated[str, said("What it means where it was handed on twice, to different keys; else empty.")] = ""
    waits: Annotated[str, said(WAITS)] = ""


@operation("consent", "request", permission="operate")
async def consent_request(node: Node, args: AskConsentArgs) -> Requested:
    """Ask a person for a consent, as the holder or the recipient of her data, or for a tenant that is one."""
    flows = (mesh := node.mesh(args.mesh)).flows

    def act(turn: Turn) -> Requested:
        voice = flows.tenants.voice(turn, args.as_tenant)
        offer = offer_of(turn, args, None, flows.tenants, voice.party)
        names = names_of(turn, offer)
        to = find_member(turn.core.replica.members, args.to, "to").party if args.to else offer.holder
        notice = flows.acts.notice(turn, offer, names)
        entry = flows.acts.request(turn, offer, notice, voice=voice, days=args.open_days, to=to)
        flows.retry_later(turn)
        return Requested(entry.id.hex(), tuple(flows.acts.words(turn, offer, names)), moment(entry.payload["expires"]))

    return await mesh.engine.act(act)


def _granted(made: Granted) -> str:
    told = [f"consent {made.id}"] if made.id else []
    return "\n".join([*made.words, "", *made.slip_lines, *told, *([made.waits] if made.waits else [])])


@operation("consent", "grant", permission="operate", render=_granted)
async def consent_grant(node: Node, args: GrantArgs) -> Granted:
    """Give a consent from a wallet kept here. What it says is printed, and its withdrawal slip.

    With --request a pending request is answered; else say what is consented to by options, or by --terms FILE. A
    wallet's first consent is published at once; one soon after another waits some minutes, as it says then.
    """
    from ledger.consent.grant import Notice, day_before
    from node.flows.consenting import Offer
    from node.vaults.wallets import CUSTODY

    flows = (mesh := node.mesh(args.mesh)).flows
    if not args.wallet and not args.preview:
        raise usage("Say whose consent it is with --wallet; `maille wallet list` shows them.", "wallet")

    def act(turn: Turn) -> Granted:
        request, base = None, None
        if args.request:
            request = flows.acts.open_request(turn, find_entry(turn.rows, args.request, "request"))
            payload = request.entry.payload
            parties = ((payload["holder"][0], payload["holder"][1]), (payload["recipient"][0], payload["recipient"][1]))
            base = Offer(*parties, request.terms, payload["valid_until"], Notice.read(payload["notice"]))
        offer = offer_of(turn, args, base, flows.tenants)
        names = names_of(turn, offer)
        words = tuple(flows.acts.words(turn, offer, names, args.lang))
        until = moment(day_before(offer.valid_until))
        if args.preview:
            return Granted("", words, "", (), until, CUSTODY)
        formal = formalities_of(turn, args)
        notice = flows.acts.notice(turn, offer, names)
        grant, slip = flows.acts.grant(turn, args.wallet, offer, notice, request, formal)
        if formal.paper is not None:
            flows.letters.keep(turn, grant, formal.paper.value())
        flows.retry_later(turn)
        waits = flows.spreading.waiting(turn, grant.id)
        by, told = moment(waits.by) if waits is not None else None, wait_in_words(waits, args.lang)
        return Granted(grant.id.hex(), words, slip.code(), tuple(slip.lines(args.lang)), until, CUSTODY, by, told)

    return await (mesh.engine.read(act) if args.preview else mesh.engine.act(act))


@operation("consent", "refuse", permission="operate")
async def consent_refuse(node: Node, args: RefuseArgs) -> Stated:
    """Refuse a request, from a wallet kept here."""
    from node.flows.registering import others_to_ask

    flows = (mesh := node.mesh(args.mesh)).flows

    def act(turn: Turn) -> Stated:
        request = flows.acts.open_request(turn, find_entry(turn.rows, args.id))
        entry = flows.acts.refuse(turn, args.wallet, request, args.reason or None)
        return Stated(request.entry.id.hex(), entry.id.hex(), "answered", others_to_ask(turn))

    return await mesh.engine.act(act)


# Ending


@operation("consent", "withdraw", permission="operate", confirm="Withdraw this consent? That cannot be undone.")
async def consent_withdraw(node: Node, args: WithdrawArgs) -> Stated:
    """Withdraw a consent: from the wallet kept here that gave it, or at any member with the withdrawal slip.

    One that waits to be published never is: nobody has heard of it.
    """
    from ledger.consent.slip import parse_slip
    from node.flows.registering import others_to_ask

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    if bool(args.id) == bool(args.slip):
        raise usage("Name the consent by its id, or give its slip's code with --slip.", "id")

    def act(turn: Turn) -> Stated:
        if args.slip:
            slip = parse_slip(args.slip)
            grant = flows.acts.find_by_slip(turn, slip)
            entry = flows.acts.end(turn, grant, slip)
        else:
            waits = waiting(turn, args.id)
            grant = find_grant(turn, args.id, "id") if waits is None else waits.grant
            entry = flows.acts.end(turn, grant, flows.acts.wallet_of(turn, grant))
        if entry is None:
            return Stated(grant.id.hex(), "", "never_published")
        return Stated(grant.id.hex(), entry.id.hex(), "withdrawn", others_to_ask(turn))

    return await mesh.engine.act(act)


@operation("consent", "revoke", permission="operate", confirm="Revoke this consent? That cannot be undone.")
async def consent_revoke(node: Node, args: RevokeConsentArgs) -> Stated:
    """Revoke a consent as its holder or recipient; the person withdraws instead."""

    flows = (mesh := node.mesh(args.mesh)).flows

    def act(turn: Turn) -> Stated:
        grant = find_grant(turn, args.id, "id")
        voice = flows.tenants.voice(turn, args.as_tenant)
        entry = flows.acts.revoke(turn, grant, voice, args.why, args.reason)
        return Stated(grant.id.hex(), entry.id.hex(), "revoked")

    return await mesh.engine.act(act)


# Looking


@operation("consent", "list", permission="read")
async def consent_list(node: Node, args: ListArgs) -> ConsentLines:
    """List the consents whose content is known here, or with --requests the requests."""
    from node.vaults.consents import GRANT, REQUEST

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn, start: bytes) -> tuple[list[ConsentLine], bytes]:
        rows, following = flows.consents.portion(turn.vault, REQUEST if args.requests else GRANT, start)
        own = flows.tenants.voice(turn, args.as_tenant).party if args.as_tenant else None
        if not (args.requests or start or args.as_tenant):  # a tenant hears of what waits when all do
            held = (flows.consents.get(turn.vault, one.grant.id) for one in flows.spreading.all_waiting(turn))
            rows += [row for row in held if row is not None]
        chosen = (row for row in rows if not args.wallet or row.wallet == args.wallet)
        lines = [line_of(turn, flows, row, own) for row in chosen]
        return [line for line in lines if line is not None], following

    found = await in_portions(mesh.engine, look)
    return ConsentLines(tuple(sorted(found, key=lambda line: (line.granted, line.id))))


@operation("consent", "show", permission="read")
async def consent_show(node: Node, args: ConsentArgs) -> ConsentShown:
    """Show a consent or a request: how it stands, and all that it says."""

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> ConsentShown:
        own = flows.tenants.voice(turn, args.as_tenant).party if args.as_tenant else None
        waits = None if args.as_tenant else waiting(turn, args.id)
        ident = find_entry(turn.rows, args.id) if waits is None else waits.grant.id
        return _shown(turn, flows, ident, args.lang, own)

    return await mesh.engine.read(look)


def _shown(turn: Turn, flows: Flows, entry_id: bytes, lang: str, own: Party | None) -> ConsentShown:
    from ledger.consent.words import Parties, in_words
    from node.flows.offers import terms_in_language
    from node.flows.standing import contested_in_words

    row = flows.consents.get(turn.vault, entry_id)
    line = line_of(turn, flows, row, own) if row is not None else None
    if row is None or line is None:
        raise LocalError("NOT_FOUND", "the content of this consent is not known here, or was erased", field="id")
    status = turn.core.replica.consent(turn.rows, entry_id)
    decided = tuple(one.hex() for one in status.decided_by) if status is not None else ()
    computed = flows.acts.computation_in_words(turn, row.disclosures.terms(), lang)
    parties = Parties(line.holder, line.recipient, int(line.valid_until.timestamp()), computed)
    entry = flows.spreading.grant(turn, entry_id) or turn.core.replica.entry(turn.rows, entry_id)
    notice = flows.consents.notice(turn.vault, entry.payload["notice"]["sha256"]) if entry is not None else None
    words = tuple(in_words(terms_in_language(row.disclosures.terms(), lang), parties, lang))
    waits = wait_in_words(flows.spreading.waiting(turn, entry_id), lang)
    return ConsentShown(line, words, decided, (notice or b"").decode(), contested_in_words(status, lang), waits)
