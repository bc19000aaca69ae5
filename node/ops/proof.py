"""Operations on proofs: make files that an outsider verifies anywhere, offline, and verify such files.

How it works
    `make` asks the running node for a grant, its disclosures, what it rests on, its transfers and the evidence at the
    newest tick; `conduct` for what a member's own signatures show of it; `period` for the transfers of a time
    (proofs/make.py). `verify`, `inspect` and `explain` need no node, no network and no keys: the auditor brings the
    genesis hash and says how many members' word is enough (proofs/verify.py).

Exit codes of `proof verify`
    0 the proof holds; 1 it does not; 3 it cannot be decided with what is there. For no other command does 3 mean this.
    Of several files the worst counts: 1, then 3, then 0.

What it does not do
    A proof shows what the ledger says of a consent, and nothing of what a recipient did with the data.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from ledger.errors import LocalError, RemoteError
from node.exits import not_found, usage
from node.naming import find_entry, find_member, unix_of
from node.operation import Args, Local, Result, local_operation, operation, said
from node.ops.export import proof_export
from node.ops.mesh import WHICH
from node.ops.proof_verify import proof_verify
from node.portions import in_portions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.consent.disclosure import Disclosures
    from node.core import Turn
    from node.daemon import Node
    from node.mesh import Mesh
    from node.vaults.receipts import Receipt
    from proofs.make import Chosen, Extras

__all__ = (
    "proof_conduct",
    "proof_explain",
    "proof_export",
    "proof_inspect",
    "proof_make",
    "proof_period",
    "proof_verify",
)

NEWEST = "newest"
EPOCH = (
    "The epoch that the auditor has pinned, which spares the chain before it: its reference, the beginning of it, or "
    "newest."
)

UNSTATED_MAX = 1_000
"""Transfers not stated yet that are looked at, of each role."""

NOTICE = "A document that a grant names by its hash, its notice or a scanned mandate, to go with it; once for each."


class MakeArgs(Args, frozen=True):
    """Which consent, and what of it to disclose."""

    consent: Annotated[str, said("The grant's id, or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""
    field: Annotated[
        tuple[str, ...], said("A field to disclose, such as purpose; without any, all that are known.")
    ] = ()
    at: Annotated[
        datetime | None, said("Show the state at the newest tick before this moment, and what has been since.")
    ] = None
    none: Annotated[bool, said("Disclose no field: the proof then shows that there is a consent, not to what.")] = False
    transfers: Annotated[bool, said("Show what flowed under it: receipts, acknowledgements, our accounts.")] = False
    epoch: Annotated[str, said(EPOCH)] = ""
    notice: Annotated[tuple[bytes, ...], said(NOTICE, content=True)] = ()
    audience: Annotated[str, said("For whom it is made: it is signed for them, and is no use to others.")] = ""
    nonce: Annotated[str, said("What the audience gave us to sign, in hexadecimal.")] = ""


class ConductArgs(Args, frozen=True):
    """Whose conduct."""

    member: Annotated[str, said("The member: its name, its id or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""
    consent: Annotated[tuple[str, ...], said("A consent under which it sent or received: with its transfers.")] = ()
    notice: Annotated[tuple[bytes, ...], said(NOTICE, content=True)] = ()
    audience: Annotated[str, said("For whom it is made.")] = ""
    nonce: Annotated[str, said("What the audience gave us to sign, in hexadecimal.")] = ""


class PeriodArgs(Args, frozen=True):
    """Which time."""

    since: Annotated[datetime, said("From when on: 2026-11-01T00:00:00Z.")]
    until: Annotated[datetime | None, said("Until when. Default: now.")] = None
    mesh: Annotated[str, said(WHICH)] = ""
    field: Annotated[tuple[str, ...], said("A field to disclose of each consent; without any, all known.")] = ()
    epoch: Annotated[str, said(EPOCH)] = ""
    notice: Annotated[tuple[bytes, ...], said(NOTICE, content=True)] = ()
    audience: Annotated[str, said("For whom it is made.")] = ""
    nonce: Annotated[str, said("What the audience gave us to sign, in hexadecimal.")] = ""


class ProofMade(Result, frozen=True):
    """A proof."""

    consent: Annotated[str, said("The grant's id; empty where it is not about one consent.")]
    genesis: Annotated[str, said("The mesh's id, which the auditor must know from elsewhere.")]
    size: Annotated[int, said("The proof's size.")]
    sha256: Annotated[str, said("The proof's hash.")]
    disclosed: Annotated[tuple[str, ...], said("The fields it discloses.")]
    proof: Annotated[bytes, said("The file; base64 in JSON, empty when --to took it.", content=True)]
    transfers: Annotated[int, said("The transfers it shows.")] = 0
    consents: Annotated[int, said("The consents it shows.")] = 0
    verify: Annotated[str, said("What the auditor runs.")] = ""
    hint: Annotated[
        str, said("What flowed and is not stated on the ledger yet, so that it is not in it; or empty.")
    ] = ""


class InspectArgs(Args, frozen=True):
    """The proof."""

    proof: Annotated[bytes, said("The proof.", positional=True, content=True)]


class Inspected(Result, frozen=True):
    """What a proof says of itself, unverified."""

    warning: Annotated[str, said("Nothing of this was verified.")]
    size: Annotated[int, said("Its size.")]
    sha256: Annotated[str, said("Its hash.")]
    genesis: Annotated[str, said("The mesh it says it belongs to.")]
    entries: Annotated[tuple[str, ...], said("The entries it carries, by kind.")]
    ticks: Annotated[int, said("The ticks it rests on.")]
    disclosed: Annotated[tuple[str, ...], said("The fields it discloses.")]
    selection: Annotated[str, said("What it is about: consent, conduct or period.")] = ""
    epochs: Annotated[int, said("The steps of its epoch chain.")] = 0
    transfers: Annotated[int, said("The transfers it shows.")] = 0
    audience: Annotated[str, said("For whom it says it is signed.")] = ""


class ExplainArgs(Args, frozen=True):
    """Which code."""

    code: Annotated[str, said("The code of a reason, such as TRY_LATER. Default: all.", positional=True)] = ""


class ReasonRow(Result, frozen=True):
    """A reason that a verification may give."""

    code: Annotated[str, said("Stable code.")]
    verdict: Annotated[str, said("The verdict that it leads to.")]
    exit: Annotated[int, said("The exit code.")]
    meaning: Annotated[str, said("What it means.")]
    advice: Annotated[str, said("What to do.")]


class Reasons(Result, frozen=True):
    """Reasons."""

    reasons: Annotated[tuple[ReasonRow, ...], said("Each reason.")]


@operation("proof", "make", permission="operate")
async def proof_make(node: Node, args: MakeArgs) -> ProofMade:
    """Make the proof of one consent at the newest tick (`maille tick run` makes a newer one).

    With --at it shows the consent as it stood then, and beside it what the newest tick says: a withdrawal since.
    With --transfers it also shows what flowed under it, as far as receipts have been stated on the ledger: once a day,
    or now by `maille data settle`. What it rests on goes in by itself: delegations, the call of a group, the consent
    that it passes on, with what is compared.
    """
    from node import proving
    from proofs.make import make
    from proofs.past import View

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> ProofMade:
        grant_id = find_entry(turn.rows, args.consent, "consent")
        chosen = _chosen(turn, mesh, grant_id, args.field, none=args.none)
        newest, first = View(turn.rows, mesh.core.ticker), None
        if args.at is not None:
            first = newest.ticker.remembered(turn.rows, _seconds(args.at) or 0)
            if first is None:
                told = "no tick before that moment is remembered here; ask a member that has run for longer"
                raise LocalError("NOT_FOUND", told, field="at")
        stated = proving.accounts(turn, mesh.flows, [grant_id]) if args.transfers else []
        ticks = proving.views(turn, newest, stated, first)
        extras = _extras(turn, mesh, stated, args.epoch, args.notice)
        head, *between = ticks
        newer = between.pop() if between else None
        fixed = (grant_id, chosen.disclosures, chosen.fields)
        replica, at = mesh.core.replica, head.ticker
        proof = make(head.rows, replica, at, *fixed, newer=newer, between=between, extras=extras)
        made = _made(turn, proof, args.audience, args.nonce, grant_id)
        later = _unstated(turn, mesh, grant_id) if args.transfers else ""
        return msgspec.structs.replace(made, hint=later)

    return await mesh.engine.read(look)


@operation("proof", "conduct", permission="operate")
async def proof_conduct(node: Node, args: ConductArgs) -> ProofMade:
    """Make the file that shows what a member did, for a regulator or a court.

    It holds what the member's own signatures prove against it: forks of its feed, seals that it signed twice, probes
    that it served without consent, with the clear fields of the consents that they were about; and, for each --consent,
    what it was given to, and the transfers that the member made or received. Where a consent has ended, the member's
    acknowledgement shows since when it knew.
    """
    from node import proving
    from proofs.make import Chosen, make_conduct
    from proofs.past import View

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> ProofMade:
        member = find_member(mesh.core.replica.members, args.member).party
        grants = [find_entry(turn.rows, consent, "consent") for consent in args.consent]
        stated = proving.accounts(turn, mesh.flows, dict.fromkeys(grants))
        found = proving.findings(turn, member)
        if not found and not grants:
            raise not_found("Nothing that the ledger holds shows a fault of this member; name a --consent.", "member")
        ticks = proving.views(turn, View(turn.rows, mesh.core.ticker), stated)
        chosen = [_chosen(turn, mesh, grant, (), none=False) for grant in grants]
        chosen += [Chosen(grant, None) for grant in proving.grants_of(turn, found) if grant not in grants]
        extras = _extras(turn, mesh, stated, "", args.notice)
        proof = make_conduct(turn.rows, mesh.core.replica, ticks, member, found, chosen, extras)
        return _made(turn, proof, args.audience, args.nonce)

    return await mesh.engine.read(look)


@operation("proof", "period", permission="operate")
async def proof_period(node: Node, args: PeriodArgs) -> ProofMade:
    """Make the file that shows the transfers of a time, with the consents under which they were made.

    It shows what this node sent or received and has stated on the ledger; the others' accounts stay closed.
    """
    from node import proving
    from proofs.make import make_period
    from proofs.past import View

    mesh = node.mesh(args.mesh)
    since, until = _seconds(args.since) or 0, _seconds(args.until)

    def among(turn: Turn, start: bytes) -> tuple[list[Receipt], bytes]:
        found, following = mesh.flows.receipts.portion(turn.vault, start)
        return [one for one in found if since <= one.ended <= (until or turn.now)], following

    stated = proving.in_order(await in_portions(mesh.engine, among))
    if not stated:
        raise not_found("No transfer of that time has been stated on the ledger by this node.", "since")

    def look(turn: Turn) -> ProofMade:
        grants = sorted({one.grant for one in stated})
        chosen = [_chosen(turn, mesh, grant, args.field, none=False) for grant in grants]
        ticks = proving.views(turn, View(turn.rows, mesh.core.ticker), stated)
        extras = _extras(turn, mesh, stated, args.epoch, args.notice)
        proof = make_period(mesh.core.replica, ticks, chosen, (since, until or turn.now), extras)
        return _made(turn, proof, args.audience, args.nonce)

    return await mesh.engine.read(look)


def _unstated(turn: Turn, mesh: Mesh, grant: bytes) -> str:
    """Say how many transfers under a consent this node has not stated on the ledger yet; or nothing."""
    from node.vaults.receipts import HOLDER, RECIPIENT

    queues = [mesh.flows.receipts.unstated(turn.vault, role, UNSTATED_MAX) for role in (HOLDER, RECIPIENT)]
    count = len({one.transfer for queue in queues for one in queue if one.grant == grant})
    if not count:
        return ""
    what = "1 transfer is" if count == 1 else f"{count} transfers are"
    return f"{what} not shown yet: receipts are stated once a day; `maille data settle` does it now, then run a tick."


def _chosen(turn: Turn, mesh: Mesh, grant_id: bytes, fields: Sequence[str], *, none: bool) -> Chosen:
    from proofs.make import Chosen

    return Chosen(grant_id, None if none else _content(turn, mesh, grant_id), tuple(fields) or None)


def _content(turn: Turn, mesh: Mesh, ident: bytes) -> Disclosures | None:
    """Return what opens a grant, an amendment, a delegation or a call, where it is held here."""
    held = mesh.flows.consents.get(turn.vault, ident)
    return held.disclosures if held is not None else None


def _extras(turn: Turn, mesh: Mesh, stated: Sequence[Any], epoch: str, documents: Sequence[bytes]) -> Extras:
    from node import proving
    from proofs.bundle import Attachment
    from proofs.make import Extras

    chain, pinned = turn.core.replica.chain, None
    if epoch == NEWEST:
        pinned = chain.newest.reference
    elif epoch:
        found = [reference for reference in chain.newest.known if reference.hex().startswith(epoch.lower())]
        if len(found) != 1:
            raise not_found(
                f"No epoch, or more than one, is called {epoch!r}; `maille epoch list` shows them.", "epoch"
            )
        pinned = found[0]
    named = {hashlib.sha256(each).digest(): each for each in documents}
    attached = tuple(Attachment(digest, _media_type(each), each) for digest, each in named.items())
    moved = proving.moved(turn, stated)
    contents = partial(_content, turn, mesh)
    return Extras(None, pinned, moved, lambda head: proving.cosigned(turn, head), attached, contents)


def _media_type(document: bytes) -> str:
    """Return what a document that goes with a proof is: a scan, a text, or some bytes."""
    if document.startswith(b"%PDF-"):
        return "application/pdf"
    try:
        document.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/markdown"


def _made(turn: Turn, proof: bytes, audience: str, nonce: str, grant: bytes = b"") -> ProofMade:
    """Sign the bundle for its audience, if there is one, and tell what it is."""
    from ledger.entry import Entry
    from proofs import reading
    from proofs.presentation import present

    if audience:
        try:
            challenge = bytes.fromhex(nonce)
        except ValueError:
            raise usage("A nonce is given in hexadecimal.", "nonce") from None
        proof = present(proof, turn.core.device, audience, challenge, turn.now)
    elif nonce:
        raise usage("A nonce goes with an audience.", "nonce")
    bundle, genesis = reading.decode(proof), turn.core.replica.mesh_id.hex()
    shown = tuple(sorted({name for _, listed in bundle.disclosures for _, _, name in listed}))
    consents = sum(Entry.parse(item.raw).kind == "consent.grant" for item in bundle.entries)
    command = f"maille proof verify FILE --genesis {genesis}"
    if (least := turn.core.policy.attestation_quorum) > 1:
        command += f" --members {least}"
    if bundle.epochs and bundle.epochs[0].epoch is not None:
        command += f" --epoch {hashlib.sha256(bundle.epochs[0].epoch).hexdigest()}"
    told = (genesis, len(proof), hashlib.sha256(proof).hexdigest(), shown, proof)
    return ProofMade(grant.hex(), *told, len(bundle.transfers), consents, command)


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else unix_of(at)


@local_operation("proof", "inspect", permission="read")
def proof_inspect(local: Local, args: InspectArgs) -> Inspected:  # noqa: ARG001 - a proof needs no surroundings
    """Show what is in a proof, without verifying anything."""
    from ledger.entry import Entry
    from proofs import reading

    bundle = reading.decode(args.proof)
    kinds = []
    for logged in bundle.entries:
        try:
            kinds.append(Entry.parse(logged.raw).kind)
        except RemoteError as error:
            kinds.append(f"not well formed ({error.code})")
    genesis = hashlib.sha256(bundle.genesis).hexdigest()
    shown = tuple(name for _, listed in bundle.disclosures for _, _, name in listed)
    digest = hashlib.sha256(args.proof).hexdigest()
    told = "Nothing of this was verified; `maille proof verify` does that."
    more = (bundle.selection.value, len(bundle.epochs), len(bundle.transfers))
    audience = bundle.presentation.audience if bundle.presentation is not None else ""
    return Inspected(told, len(args.proof), digest, genesis, tuple(kinds), len(bundle.ticks), shown, *more, audience)


def _explained(reasons: Reasons) -> str:
    lines = []
    for row in reasons.reasons:
        lines += [f"{row.code}  {row.verdict}, exit {row.exit}", f"  {row.meaning}", f"  {row.advice}", ""]
    return "\n".join(lines)


@local_operation("proof", "explain", permission="read", render=_explained)
def proof_explain(local: Local, args: ExplainArgs) -> Reasons:  # noqa: ARG001 - codes need no surroundings
    """Explain the code of a reason: which verdict it leads to, what it means, what to do."""
    from proofs.reasons import Reason

    wanted = args.code.strip().upper()
    found = [reason for reason in Reason if not wanted or reason.name == wanted]
    if not found:
        raise not_found(f"No reason is called {args.code}; `maille proof explain` shows all.", "code")
    rows = [
        ReasonRow(each.name, each.indication.value, each.indication.exit_code, each.meaning, each.advice)
        for each in found
    ]
    return Reasons(tuple(rows))
