"""Operations on delegations: let somebody consent in one's name, within bounds; grant under one; end it.

How it works
    Whoever shall act shows the key of her wallet (`delegation key`). Bounds that are not named allow anything; the end
    is always named. What was granted under a delegation ends with it.

What it does not do
    It judges no grant but by its end: the gate holds each to the bounds of every link.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from ledger.errors import LocalError
from ledger.schema import DAY
from node.naming import find_entry, find_member, find_party, moment
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import MEMBER, Terms, names_of, offer_of
from node.ops.mesh import WHICH
from node.portions import in_portions

if TYPE_CHECKING:
    from ledger.consent.bounds import Bounds
    from ledger.entry import Entry
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows

ID = "The delegation's id, or the beginning of it."
Role = Literal["delegate", "mandate", "guardian", "carer", "contract_carrier", "adviser", "group", "custodian"]


class BoundArgs(Args, frozen=True):
    """What a delegate may grant. Left out: anything."""

    point: Annotated[tuple[str, ...], said("Only these points of measurement.")] = ()
    purpose: Annotated[tuple[str, ...], said("Only for these purposes, or categories of purposes.")] = ()
    recipient: Annotated[tuple[str, ...], said(f"Only to these recipients: {MEMBER}.")] = ()
    granularity: Annotated[str, said("Only steps as coarse as this.")] = ""
    sharing_depth: Annotated[int, said("How many steps the data may be passed on; -1: any.")] = 0
    days: Annotated[int, said("For how many days.")] = 365
    tell: Annotated[tuple[str, ...], said(f"Whose nodes are told the bounds: the delegate's: {MEMBER}.")] = ()
    mesh: Annotated[str, said(WHICH)] = ""


class GiveArgs(BoundArgs, frozen=True):
    """Who lets whom consent, within what."""

    wallet: Annotated[str, said("The wallet kept here whose owner delegates.")] = ""
    to: Annotated[str, said("The delegate's key, did:key:…, as `delegation key` shows it.")] = ""
    role: Annotated[Role, said("In which role.")] = "delegate"
    depth: Annotated[int, said("How many further links may follow.")] = 0
    under: Annotated[str, said("The delegation that this one is a link below, if it is one.")] = ""
    evidence: Annotated[tuple[str, ...], said("Salted digests of what proves a guardian's or carer's authority.")] = ()


class DelegateKeyArgs(Args, frozen=True):
    """Whose key."""

    wallet: Annotated[str, said("A wallet kept here.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class DelegationArgs(Args, frozen=True):
    """Which delegation."""

    id: Annotated[str, said(ID, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class EndArgs(DelegationArgs, frozen=True):
    """Which delegation, and why."""

    reason: Annotated[str, said("A reason, if one is given; all will read it.")] = ""


class DelegationsArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class UnderArgs(Terms, frozen=True):
    """What is granted, and under what."""

    wallet: Annotated[str, said("The wallet kept here that acts for the person.")] = ""
    under: Annotated[str, said(f"{ID} Needed, but for a consent that one passes on by --parent alone.")] = ""
    parent: Annotated[str, said("The consent that is passed on, where it is one.")] = ""
    call: Annotated[str, said("The group's call that was passed, where it is one.")] = ""


class DelegateKey(Result, frozen=True):
    """A key to delegate to."""

    key: Annotated[str, said("The key, as did:key.")]


class DelegationRow(Result, frozen=True):
    """A delegation."""

    id: Annotated[str, said("Its id.")]
    role: Annotated[str, said("In which role.")]
    delegate: Annotated[str, said("Whose key may consent, as did:key.")]
    state: Annotated[str, said("live, revoked, expired or unregistered.")]
    valid_until: Annotated[datetime, said("When it ends by itself.")]
    depth: Annotated[int, said("How many further links may follow.")]
    under: Annotated[str, said("The delegation above, if there is one.")]
    bounds: Annotated[str, said("What the delegate may grant; empty where it is not known here.")]


class DelegationRows(Result, frozen=True):
    """Delegations."""

    delegations: Annotated[tuple[DelegationRow, ...], said("Each one whose bounds are known here.")]


class GrantedUnder(Result, frozen=True):
    """A consent that was given for somebody."""

    id: Annotated[str, said("The consent's id.")]
    words: Annotated[tuple[str, ...], said("What was consented to, sentence by sentence.")]


def bounds_of(turn: Turn, flows: Flows, args: BoundArgs) -> Bounds:
    """Return the bounds that the arguments name."""
    from ledger.consent.bounds import Bounds

    members = turn.core.replica.members
    return Bounds(
        points=frozenset(args.point) or None,
        purposes=frozenset(args.purpose) or None,
        recipients=frozenset(find_party(members, name, "recipient", flows.tenants) for name in args.recipient) or None,
        granularity=args.granularity or None,
        sharing_depth=None if args.sharing_depth < 0 else args.sharing_depth,
    )


def find_delegation(turn: Turn, text: str) -> Entry:
    """Return a delegation by its id. Raises LocalError NOT_FOUND."""
    entry = turn.core.replica.entry(turn.rows, find_entry(turn.rows, text))
    if entry is None or entry.kind != "delegation.give":
        raise LocalError("NOT_FOUND", "this entry is no delegation; `maille delegation list` shows them", field="id")
    return entry


def row_of(turn: Turn, flows: Flows, entry: Entry) -> DelegationRow:
    """Return a delegation for a person."""
    from ledger.keys import did_key

    payload, replica = entry.payload, turn.core.replica
    told = replica.delegations.now(replica, turn.rows, entry.id)
    state = "unregistered" if told is None else "live" if told.live else "revoked"
    row = flows.consents.get(turn.vault, entry.id)
    words = []
    if row is not None:
        words = [f"{name}: {value}" for name, value in row.disclosures.bounds().values().items() if value is not None]
    return DelegationRow(
        entry.id.hex(),
        payload["role"],
        did_key(payload["delegate"]),
        "expired" if state == "live" and payload["valid_until"] <= turn.now else state,
        moment(payload["valid_until"]),
        payload["depth"],
        payload["parent"].hex() if "parent" in payload else "",
        "; ".join(words),
    )


@operation("delegation", "key", permission="operate")
async def delegation_key(node: Node, args: DelegateKeyArgs) -> DelegateKey:
    """Show the key by which a wallet acts for others: they delegate to it. A group's key is shown alike."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    return await mesh.engine.read(lambda turn: DelegateKey(flows.life.wallet(turn, args.wallet).delegate_key().did))


@operation("delegation", "give", permission="operate")
async def delegation_give(node: Node, args: GiveArgs) -> DelegationRow:
    """Let somebody's key consent for the owner of a wallet kept here, within bounds."""
    from ledger.keys import public_from_did_key

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> DelegationRow:
        members = turn.core.replica.members
        parent = None
        if args.under:
            above = find_delegation(turn, args.under)
            parent = (above, flows.life.content(turn, above.id).bounds())
        entry = flows.life.delegate(
            turn,
            args.wallet,
            public_from_did_key(args.to),
            args.role,
            bounds_of(turn, flows, args),
            to=[find_member(members, name, "tell").party for name in args.tell],
            valid_until=turn.now + args.days * DAY,
            depth=args.depth,
            parent=parent,
            evidence=[bytes.fromhex(each) for each in args.evidence],
        )
        flows.retry_later(turn)
        return row_of(turn, flows, entry)

    return await mesh.engine.act(act)


@operation("delegation", "revoke", permission="operate", confirm="End this delegation? That cannot be undone.")
async def delegation_revoke(node: Node, args: EndArgs) -> DelegationRow:
    """End a delegation: as who gave it, as anybody above, or as the delegate. What rests on it ends too."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> DelegationRow:
        entry = find_delegation(turn, args.id)
        flows.life.revoke(turn, entry, args.reason or None)
        return row_of(turn, flows, entry)

    return await mesh.engine.act(act)


@operation("delegation", "list", permission="read")
async def delegation_list(node: Node, args: DelegationsArgs) -> DelegationRows:
    """List the delegations whose bounds are known here."""
    from node.flows.compiling import RESTED_ON

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn, start: bytes) -> tuple[list[DelegationRow], bytes]:
        ids, following = flows.consents.ids(turn.vault, RESTED_ON, start)
        held = [turn.core.replica.entry(turn.rows, ident) for ident in ids]
        given = [entry for entry in held if entry is not None and entry.kind == "delegation.give"]
        return [row_of(turn, flows, entry) for entry in given], following

    return DelegationRows(tuple(await in_portions(mesh.engine, look)))


@operation("delegation", "show", permission="read")
async def delegation_show(node: Node, args: DelegationArgs) -> DelegationRow:
    """Show a delegation."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    return await mesh.engine.read(lambda turn: row_of(turn, flows, find_delegation(turn, args.id)))


@operation("delegation", "grant", permission="operate")
async def delegation_grant(node: Node, args: UnderArgs) -> GrantedUnder:
    """Consent for somebody, under her delegation. Without --days, it ends no later than what it rests on."""
    from ledger.consent.wallet import Rests

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> GrantedUnder:
        under = find_delegation(turn, args.under).id if args.under else None
        parent = find_entry(turn.rows, args.parent, "parent") if args.parent else None
        rests = Rests(under, parent, find_entry(turn.rows, args.call, "call") if args.call else None)
        offer = offer_of(turn, args, None, flows.tenants)
        if args.days is None:
            offer = replace(offer, valid_until=min(offer.valid_until, flows.life.rests_until(turn, rests)))
        names = names_of(turn, offer)
        entry = flows.life.grant(turn, args.wallet, offer, flows.acts.notice(turn, offer, names), rests)
        flows.retry_later(turn)
        return GrantedUnder(entry.id.hex(), tuple(flows.acts.words(turn, offer, names)))

    return await mesh.engine.act(act)
