"""Operations on data that move: send, request, and the accounts of what passed and what was refused.

How it works
    `send` offers readings to a recipient, `request` asks a holder for them; the gate decides at both ends, pack by
    pack. Both wait for the end, and tell counts. A transfer to someone who is away goes when it comes. Left open, the
    purpose, window and granularity are those of the consent that is found or named.

What it does not do
    It makes no consent. A refusal says why, and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

import trio

from ledger.errors import LocalError
from node.exits import OK, REFUSED, TEMPORARY, usage
from node.naming import find_entry, find_grant, find_party, member_name, moment, seconds_of, unix_of
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import AS_TENANT, OF_TENANT
from node.ops.data_compare import data_compare
from node.ops.data_export import DataExportArgs, data_export
from node.ops.mesh import WHICH
from node.ops.share import held_token
from node.portions import in_portions
from node.saying import Pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.core import Turn
    from node.daemon import Node
    from node.flows.progress import Progress
    from node.mesh import Mesh
    from node.tenants import Tenants
    from node.vaults.receipts import Receipt
    from node.vaults.transfers import Wanted

__all__ = ("DataExportArgs", "data_compare", "data_export")
LOOK_SECONDS: Final = 0.02
Kind = Literal["", "load_curve", "daily", "index", "max_power"]


class FlowArgs(Args, frozen=True):
    """Which data. Name the consent, or what is wanted."""

    consent: Annotated[str, said("The consent's id, or the beginning of it.")] = ""
    point: Annotated[str, said("One point of measurement.")] = ""
    kind: Annotated[Kind, said("The kind of data.")] = ""
    energy: Annotated[Literal["electricity", "gas", "water", "heat"], said("The energy.")] = "electricity"
    direction: Annotated[Literal["consumption", "production"], said("The direction.")] = "consumption"
    granularity: Annotated[str, said("One granularity alone, such as PT30M.")] = ""
    since: Annotated[datetime | None, said("Data from this moment on.")] = None
    until: Annotated[datetime | None, said("Data until this moment.")] = None
    purpose: Annotated[str, said("What for; as the consent says it.")] = ""
    wait: Annotated[str, said("How long to wait for the end: 30s, 2m.")] = "30s"
    as_tenant: Annotated[str, said(AS_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class SendArgs(FlowArgs, frozen=True):
    """Which data, and to whom."""

    recipient: Annotated[str, said("The recipient: its name, did:key, or the beginning of its id.")] = ""


class AskArgs(FlowArgs, frozen=True):
    """Which data, and of whom."""

    holder: Annotated[str, said("The holder: its name, did:key, or the beginning of its id.")] = ""
    token: Annotated[str, said("With a token that was given to us (`maille share list`): its id, or the start.")] = ""


class Transferred(Result, frozen=True):
    """How a transfer went."""

    transfer: Annotated[str, said("The transfer's id; empty when it was refused at once.")]
    consent: Annotated[str, said("The consent it rests on, or the one that came nearest.")]
    state: Annotated[str, said("done, refused, stopped (after a part), or how it waits.")]
    reason: Annotated[str, said("A stable code; empty when all is well.")]
    message: Annotated[str, said("The reason in a sentence.")]
    records: Annotated[int, said("Records that passed for good, gaps included.")]
    gaps: Annotated[int, said("Records among them without a value.")]
    packs: Annotated[int, said("In how many packs.")]


class DataArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class ReceiptsArgs(Args, frozen=True):
    """Which receipts."""

    consent: Annotated[str, said("Those of one consent alone.")] = ""
    as_tenant: Annotated[str, said(OF_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ReceiptRow(Result, frozen=True):
    """One end's account of a transfer."""

    transfer: Annotated[str, said("The transfer's id.")]
    role: Annotated[str, said("sent or received.")]
    consent: Annotated[str, said("The consent it rests on.")]
    other: Annotated[str, said("Who sent or received it.")]
    records: Annotated[int, said("Records, gaps included.")]
    gaps: Annotated[int, said("Records without a value.")]
    since: Annotated[datetime | None, said("Where their window begins.")]
    until: Annotated[datetime | None, said("Where it ends.")]
    began: Annotated[datetime, said("When the first pack passed.")]
    ended: Annotated[datetime, said("When the last one did.")]
    state: Annotated[str, said("How the transfer stands.")]
    reason: Annotated[str, said("Why it stopped.")]
    sha256: Annotated[str, said("The chain of hashes over its packs.")]
    digest: Annotated[str, said("The salted digest that stands, or will stand, on the ledger.")]
    stated_in: Annotated[str, said("Id of the entry that says so; empty until the day's batch.")]


class ReceiptRows(Result, frozen=True):
    """Accounts of transfers."""

    receipts: Annotated[tuple[ReceiptRow, ...], said("Each account.")]


class RefusalRow(Result, frozen=True):
    """Something that was not let through."""

    at: Annotated[datetime, said("When it was refused.")]
    direction: Annotated[str, said("out or in.")]
    by: Annotated[str, said("this node, or the other end.")]
    other: Annotated[str, said("Who the other end is.")]
    consent: Annotated[str, said("The consent that came nearest.")]
    reason: Annotated[str, said("A stable code.")]
    message: Annotated[str, said("The reason in a sentence.")]


class RefusalRows(Result, frozen=True):
    """What was refused."""

    ever: Annotated[int, said("How many there ever were.")]
    refusals: Annotated[tuple[RefusalRow, ...], said("The newest ones, the newest first.")]


class Settled(Result, frozen=True):
    """What was put on the ledger."""

    receipts: Annotated[int, said("How many digests of receipts and acknowledgements.")]


def refusal_words(code: str) -> Pair:
    """Return why a flow was refused or stopped, in a sentence, by the code; empty where the code has none."""
    from ledger.consent.reasons import SENTENCES, Reason

    return SENTENCES[Reason[code]] if code in Reason.__members__ else _SENTENCES.get(code, ("", ""))


_SENTENCES: Final[dict[str, Pair]] = {
    "TENANT_FULL": (
        "The recipient has used the storage that was agreed with its host; it goes on when there is room.",
        "Le destinataire a rempli le stockage convenu avec son hôte ; cela reprend quand il y a de la place.",
    ),
    "NO_READINGS": (
        "The holder has no readings of this kind in the period that the consent covers, or that was asked for.",
        "Le détenteur n’a aucun relevé de ce type dans la période que couvre le consentement, ou la demande.",
    ),
    "BAD_ACK": (
        "The recipient acknowledged what was not sent.",
        "Le destinataire a accusé réception de ce qui n’a pas été envoyé.",
    ),
    "GIVEN_UP": (
        "It could not go for so long that it was given up.",
        "L’envoi est resté impossible si longtemps qu’il a été abandonné.",
    ),
    "NO_ANSWER": (
        "The holder did not answer for so long that the request was given up.",
        "Le détenteur est resté si longtemps sans répondre que la demande a été abandonnée.",
    ),
    "OTHER_TRANSFER": (
        "The packs belong to another transfer or consent.",
        "Les paquets sont d’un autre transfert ou consentement.",
    ),
    "BAD_SENML": ("A pack could not be read.", "Un paquet n’a pas pu être lu."),
    "ENDED_EARLY": (
        "The recipient ended it before all had passed.",
        "Le destinataire y a mis fin avant que tout ne soit passé.",
    ),
}


def _exit(moved: Transferred) -> int:
    if moved.state == "done":
        return OK
    return REFUSED if moved.state in ("refused", "stopped") else TEMPORARY


def _moved(progress: Progress) -> Transferred:
    tally = progress.tally
    grant = progress.grant.hex() if progress.grant else ""
    sentence = refusal_words(progress.reason)[0]
    counts = (tally.count, tally.gaps, tally.packs)
    return Transferred(progress.transfer.hex(), grant, progress.state, progress.reason, sentence, *counts)


def _wanted(turn: Turn, args: FlowArgs, other: str, tenants: Tenants, *, sends: bool) -> Wanted:
    """Return what the arguments say, the parties of a named consent included."""
    from ledger.consent.record import DataKind
    from node.flows.disclosing import parties_of
    from node.vaults.transfers import Wanted

    own, members = tenants.voice(turn, args.as_tenant).party, turn.core.replica.members
    field = "recipient" if sends else "holder"
    grant = None
    parties = None
    if args.consent:
        entry = find_grant(turn, args.consent)
        grant = entry.id
        holder, recipient = parties_of(entry)
        parties = (holder, recipient or ((b"", -1) if sends else own))  # to a class: to us, who ask
        if args.as_tenant and own != parties[not sends]:
            raise LocalError("NOT_A_PARTY", f"this consent is not one of {args.as_tenant!r}", field="consent")
    if other:
        party = find_party(members, other, field, tenants)
        parties = (own, party) if sends else (party, own)
    if parties is None:
        raise usage(f"Name the consent with --consent, or the other end with --{field}.", field)
    return Wanted(
        *parties,
        grant,
        args.point or None,
        DataKind(args.energy, args.direction, args.kind) if args.kind else None,
        args.granularity or None,
        _window(args),
        args.purpose or None,
    )


def _window(args: FlowArgs) -> tuple[int, int] | None:
    if args.since is None and args.until is None:
        return None
    if args.since is None or args.until is None:
        raise usage("A window has two ends: give --since and --until, or neither.", "since")
    return unix_of(args.since), unix_of(args.until)


async def _ended(mesh: Mesh, look: Callable[[Turn], Progress], wait: str) -> Transferred:
    """Look at a transfer until it has ended, or the time is over."""
    progress = await mesh.engine.read(look)
    with trio.move_on_after(seconds_of(wait, "wait")):
        while not progress.ended:
            await trio.sleep(LOOK_SECONDS)
            progress = await mesh.engine.read(look)
    return _moved(progress)


@operation("data", "send", permission="operate", exit_of=_exit)
async def data_send(node: Node, args: SendArgs) -> Transferred:
    """Send readings to a recipient, under a consent, and wait until they are there.

    Exit code 1: refused, with the reason; 75: it waits, and goes when it can.
    """
    from node.flows.progress import REFUSED as NOT_AT_ALL
    from node.flows.progress import Progress, sent
    from node.vaults.transfers import Tally

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> Progress:
        started = flows.sending.begin(turn, _wanted(turn, args, args.recipient, flows.tenants, sends=True))
        flows.retry_later(turn)
        if started.transfer:
            return sent(flows, turn, started.transfer)
        decision = started.decision
        return Progress(b"", decision.consent, NOT_AT_ALL, decision.reason.value, Tally.begin(b""))

    progress = await mesh.engine.act(act)
    if progress.ended:
        return _moved(progress)
    return await _ended(mesh, lambda turn: sent(flows, turn, progress.transfer), args.wait)


@operation("data", "request", permission="operate", exit_of=_exit)
async def data_request(node: Node, args: AskArgs) -> Transferred:
    """Ask a holder for readings, and wait for them, or for the reason why not.

    Exit code 1: refused, with the reason; 75: the holder has not answered yet.
    """
    from node.flows.progress import received

    mesh = node.mesh(args.mesh)
    node.room.require()
    flows = mesh.flows

    def act(turn: Turn) -> bytes:
        wanted = _wanted(turn, args, args.holder, flows.tenants, sends=False)
        if args.token:
            wanted = replace(wanted, token=held_token(flows.sharing.rows.held(turn.vault), args.token))
        transfer = flows.receiving.ask(turn, wanted)
        flows.retry_later(turn)
        return transfer

    transfer = await mesh.engine.act(act)
    return await _ended(mesh, lambda turn: received(flows, turn, transfer), args.wait)


@operation("data", "refusals", permission="read")
async def data_refusals(node: Node, args: DataArgs) -> RefusalRows:
    """List what was not let through, here and at the other ends, with the reasons."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> RefusalRows:
        members = turn.core.replica.members
        rows = [
            RefusalRow(
                moment(one.at),
                "out" if one.outgoing else "in",
                "this node" if one.here else "the other end",
                member_name(members, one.party),
                one.grant.hex() if one.grant is not None else "",
                one.code,
                refusal_words(one.code)[0],
            )
            for one in flows.receipts.refusals(turn.vault)
        ]
        return RefusalRows(flows.receipts.refusals_ever(turn.vault), tuple(rows))

    return await mesh.engine.read(look)


@operation("data", "receipts", permission="read")
async def data_receipts(node: Node, args: ReceiptsArgs) -> ReceiptRows:
    """List the accounts of what was sent and received: who, when, how much, under which consent."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn, start: bytes) -> tuple[list[ReceiptRow], bytes]:
        grant = find_entry(turn.rows, args.consent, "consent") if args.consent else None
        own = flows.tenants.voice(turn, args.as_tenant).party if args.as_tenant else None
        found, following = flows.receipts.portion(turn.vault, start)
        chosen = [one for one in found if grant in (None, one.grant) and own in (None, one.holder, one.recipient)]
        return [_receipt(turn, one) for one in chosen], following

    return ReceiptRows(tuple(sorted(await in_portions(mesh.engine, look), key=lambda row: row.began)))


def _receipt(turn: Turn, one: Receipt) -> ReceiptRow:
    from node.vaults.receipts import HOLDER

    sent_here = one.role == HOLDER
    other = one.recipient if sent_here else one.holder
    tally = one.tally
    since, until = (moment(tally.window[0]), moment(tally.window[1])) if tally.count else (None, None)
    return ReceiptRow(
        one.transfer.hex(),
        "sent" if sent_here else "received",
        one.grant.hex(),
        member_name(turn.core.replica.members, other),
        tally.count,
        tally.gaps,
        since,
        until,
        moment(one.began),
        moment(one.ended),
        one.state,
        one.reason,
        tally.chain.hex(),
        one.digest().hex(),
        one.stated.hex() if one.stated is not None else "",
    )


@operation("data", "settle", permission="operate")
async def data_settle(node: Node, args: DataArgs) -> Settled:
    """Put the digests of closed transfers on the ledger now, and not at the moment of the day that is chosen for it.

    Doing so at once tells all who read the ledger that something has just been transferred.
    """
    mesh = node.mesh(args.mesh)
    return Settled(await mesh.engine.act(mesh.flows.accounts.state))
