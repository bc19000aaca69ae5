"""Operations on groups: open one, join it, call a vote on sharing, vote, refuse for oneself, carry out what passed.

How it works
    A group is the delegate key of a wallet kept by some node. People join by a delegation to it, which the group
    admits. A call that passed is carried out, by itself or with `carry`, by one grant for each member; who refuses
    is left out, always. Where a group has colleges, each that voted has its share of yes, weighed.

What it does not do
    It elects nobody: who holds the group's wallet acts for it, within what its members delegated.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from ledger.errors import LocalError
from ledger.schema import DAY
from node.exits import usage
from node.naming import find_entry, find_member, find_party, moment
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import MEMBER, Terms, names_of, offer_of
from node.ops.delegation import BoundArgs, DelegationRow, bounds_of, find_delegation, row_of
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.entry import Entry
    from node.core import Turn
    from node.daemon import Node

WEIGHT_MAX = 1_000
CALL = "The call's id, or the beginning of it."
KEY = "The group's key, did:key:…, as `delegation key` shows it."
OF_MEMBER = "The wallet kept here that joined the group; needed where several did."
OF_GROUP = "The wallet kept here that is the group's."


class GroupOpenArgs(Args, frozen=True):
    """How a group decides."""

    name: Annotated[str, said("What it is called; all will read it.", positional=True)]
    wallet: Annotated[str, said(OF_GROUP)]
    majority: Annotated[int, said("More than this percentage of the votes cast must say yes; 100: all.")] = 50
    quorum: Annotated[int, said("This percentage of the members must vote.")] = 50
    critical_mass: Annotated[int, said("Fewer members than this decide nothing.")] = 1
    college: Annotated[
        tuple[str, ...], said("A college and its weight: tenants=2. With some, each votes for its share.")
    ] = ()
    trustee: Annotated[tuple[str, ...], said("Of a trust: who acts in it. All will read it.")] = ()
    beneficiary: Annotated[tuple[str, ...], said("Of a trust: in whose interest it acts; it must say so.")] = ()
    mesh: Annotated[str, said(WHICH)] = ""


class GroupJoinArgs(BoundArgs, frozen=True):
    """Who joins which group, and what it may decide for her."""

    wallet: Annotated[str, said("The wallet kept here whose owner joins.")] = ""
    group: Annotated[str, said(KEY)] = ""
    college: Annotated[str, said("Her college, where the group has some.")] = ""


class GroupAdmitArgs(Args, frozen=True):
    """Whom a group admits."""

    delegation: Annotated[tuple[str, ...], said("The delegations by which they join.")]
    wallet: Annotated[str, said(OF_GROUP)]
    mesh: Annotated[str, said(WHICH)] = ""


class GroupCallArgs(Terms, frozen=True):
    """What shall be shared, and until when members may vote. Points stand for each member's own."""

    title: Annotated[str, said("The question, in a line; all will read it.")] = ""
    wallet: Annotated[str, said(OF_GROUP)] = ""
    open_days: Annotated[int, said("For how many days members may vote.")] = 14
    tell: Annotated[tuple[str, ...], said(f"Whose nodes are told what is asked: {MEMBER}.")] = ()


class GroupVoteArgs(Args, frozen=True):
    """On which call, and how."""

    id: Annotated[str, said(CALL, positional=True)]
    choice: Annotated[Literal["yes", "no", "abstain"], said("yes, no or abstain.", positional=True)]
    wallet: Annotated[str, said(OF_MEMBER)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class GroupCallIdArgs(Args, frozen=True):
    """Which call."""

    id: Annotated[str, said(CALL, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class GroupLeaveOutArgs(GroupCallIdArgs, frozen=True):
    """Which call, and why."""

    wallet: Annotated[str, said(OF_MEMBER)] = ""
    reason: Annotated[str, said("A reason, if she wants to give one; all will read it.")] = ""


class GroupCarryArgs(GroupCallIdArgs, frozen=True):
    """Which call is carried out."""

    wallet: Annotated[str, said(OF_GROUP)] = ""
    holder: Annotated[str, said(f"Who holds the members' data: {MEMBER}. Default: this node.")] = ""


class GroupArgs(Args, frozen=True):
    """Which group."""

    group: Annotated[str, said(KEY, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class GroupSaid(Result, frozen=True):
    """What was said in a group."""

    entry: Annotated[str, said("Id of the entry that says so.")]
    group: Annotated[str, said("The id of the group's key.")]


class CallRow(Result, frozen=True):
    """A call and how it stands."""

    id: Annotated[str, said("Its id.")]
    title: Annotated[str, said("The question.")]
    state: Annotated[str, said("open, passed, failed or unknown.")]
    opens: Annotated[datetime, said("Since when members vote.")]
    closes: Annotated[datetime, said("Until when.")]
    members: Annotated[int, said("How many may vote.")]
    yes: Annotated[int, said("Votes for it.")]
    no: Annotated[int, said("Votes against it.")]
    abstain: Annotated[int, said("Votes for neither.")]
    missing: Annotated[tuple[str, ...], said("What it lacks: quorum, majority, critical_mass.")]


class CollegeRow(Result, frozen=True):
    """A college of a group."""

    name: Annotated[str, said("What it is called.")]
    weight: Annotated[int, said("What its share of yes weighs.")]
    members: Annotated[int, said("How many members it has now.")]


class GroupShown(Result, frozen=True):
    """A group."""

    name: Annotated[str, said("What it is called; empty where it has not said how it decides.")]
    trustees: Annotated[tuple[str, ...], said("Of a trust: who acts in it.")]
    beneficiaries: Annotated[tuple[str, ...], said("Of a trust: in whose interest.")]
    colleges: Annotated[tuple[CollegeRow, ...], said("Its colleges; none where each person has one vote.")]
    members: Annotated[int, said("How many members it has now.")]
    asking: Annotated[tuple[str, ...], said("Delegations by which people would join, admitted or not.")]
    calls: Annotated[tuple[CallRow, ...], said("What it asked its members.")]


class Carried(Result, frozen=True):
    """What was granted after a call."""

    consents: Annotated[tuple[str, ...], said("Ids of the consents, one for each member.")]


def _said(entry: Entry) -> GroupSaid:
    return GroupSaid(entry.id.hex(), entry.thing[1].hex())


def _call(turn: Turn, text: str) -> Entry:
    entry = turn.core.replica.entry(turn.rows, find_entry(turn.rows, text))
    if entry is None or entry.kind != "group.call":
        raise LocalError("NOT_FOUND", "this entry is no call of a group", field="id")
    return entry


def _row(turn: Turn, call: Entry) -> CallRow:
    from ledger.groups import called

    found, payload = called(turn.core.replica, turn.rows, call.id), call.payload
    state = "unknown"
    if found is not None:
        over = turn.now > payload["closes"]
        state = "open" if not over else "passed" if found.outcome.passed else "failed"
    outcome = found.outcome if found is not None else None
    counts = (
        (len(outcome.electors), len(outcome.yes), len(outcome.no), len(outcome.abstain)) if outcome else (0, 0, 0, 0)
    )
    times = moment(payload["opens"]), moment(payload["closes"])
    return CallRow(call.id.hex(), payload["title"], state, *times, *counts, outcome.missing if outcome else ())


@operation("group", "open", permission="operate")
async def group_open(node: Node, args: GroupOpenArgs) -> GroupSaid:
    """Say how a group decides. The first time counts."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    colleges = list(map(_college, args.college))
    if len({name for name, _ in colleges}) != len(colleges):
        raise usage("Name each college once.", "college")
    if bool(args.trustee) != bool(args.beneficiary):
        told = "A trust names its trustees (--trustee), and in whose interest they act (--beneficiary)."
        raise LocalError("TRUST_WITHOUT_BENEFICIARIES", told, field="beneficiary")
    trust = {"trustees": list(args.trustee), "beneficiaries": list(args.beneficiary)}
    payload = {
        "name": args.name,
        "decides": "colleges" if colleges else "persons",
        **({"colleges": [[name, weight] for name, weight in colleges]} if colleges else {}),
        "majority_percent": args.majority,
        "quorum_percent": args.quorum,
        "critical_mass": args.critical_mass,
        **({"trust": trust} if args.trustee else {}),
    }
    return await mesh.engine.act(lambda turn: _said(flows.life.say(turn, args.wallet, "group.open", payload)))


def _college(text: str) -> tuple[str, int]:
    name, _, weight = text.rpartition("=")
    if not name or not weight.isascii() or not weight.isdigit() or not 1 <= int(weight) <= WEIGHT_MAX:
        raise usage(f"A college is NAME=WEIGHT, the weight from 1 to {WEIGHT_MAX}; this is {text!r}.", "college")
    return name, int(weight)


@operation("group", "join", permission="operate")
async def group_join(node: Node, args: GroupJoinArgs) -> DelegationRow:
    """Join a group: let it decide, within bounds, what is shared. That is itself a consent, and can be ended."""
    from ledger.keys import public_from_did_key

    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> DelegationRow:
        to = [find_member(turn.core.replica.members, name, "tell").party for name in args.tell]
        ends, college = turn.now + args.days * DAY, args.college or None
        key, bounds = public_from_did_key(args.group), bounds_of(turn, flows, args)
        entry = flows.life.delegate(turn, args.wallet, key, "group", bounds, to=to, valid_until=ends, college=college)
        flows.retry_later(turn)
        return row_of(turn, flows, entry)

    return await mesh.engine.act(act)


@operation("group", "admit", permission="operate")
async def group_admit(node: Node, args: GroupAdmitArgs) -> GroupSaid:
    """Admit people as members, each once; the group answers for that."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> GroupSaid:
        ids = [find_delegation(turn, each).id for each in args.delegation]
        return _said(flows.life.say(turn, args.wallet, "group.admit", {"delegations": ids}))

    return await mesh.engine.act(act)


@operation("group", "call", permission="operate")
async def group_call(node: Node, args: GroupCallArgs) -> CallRow:
    """Ask a group's members whether it shall share something; they vote until the call closes."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> CallRow:
        offer = offer_of(turn, args, None, flows.tenants)
        notice = flows.acts.notice(turn, offer, names_of(turn, offer))
        to = [find_member(turn.core.replica.members, name, "tell").party for name in args.tell]
        entry = flows.life.call(turn, args.wallet, offer, notice, args.title or offer.terms.purpose, args.open_days, to)
        flows.retry_later(turn)
        return _row(turn, entry)

    return await mesh.engine.act(act)


@operation("group", "vote", permission="operate")
async def group_vote(node: Node, args: GroupVoteArgs) -> CallRow:
    """Vote on a call, from the wallet kept here that joined the group. The first vote counts."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> CallRow:
        call = _call(turn, args.id)
        flows.life.vote(turn, call, args.choice, args.wallet)
        return _row(turn, call)

    return await mesh.engine.act(act)


@operation("group", "refuse", permission="operate")
async def group_refuse(node: Node, args: GroupLeaveOutArgs) -> GroupSaid:
    """Leave oneself out of what a call decides, before or after: the others are not concerned."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    return await mesh.engine.act(
        lambda turn: _said(flows.life.refuse(turn, _call(turn, args.id), args.reason or None, args.wallet))
    )


@operation("group", "carry", permission="operate")
async def group_carry(node: Node, args: GroupCarryArgs) -> Carried:
    """Carry out a call that passed: one consent for each member, for the points in her bounds. Once each."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> Carried:
        holder = turn.core.party
        if args.holder:
            holder = find_party(turn.core.replica.members, args.holder, "holder", flows.tenants)
        made = flows.life.carry(turn, args.wallet, _call(turn, args.id), holder)
        flows.retry_later(turn)
        return Carried(tuple(entry.id.hex() for entry in made))

    return await mesh.engine.act(act)


@operation("group", "show", permission="read")
async def group_show(node: Node, args: GroupArgs) -> GroupShown:
    """Show a group: its members, who asks to join, its calls."""
    from ledger.groups import asking, calls_of, group_members, group_rules
    from ledger.keys import public_from_did_key, thumbprint

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> GroupShown:
        replica, kid = turn.core.replica, thumbprint(public_from_did_key(args.group))
        rules = group_rules(replica, turn.rows, kid)
        members = group_members(replica, turn.rows, kid, turn.now)
        joining = tuple(ident.hex() for ident in asking(replica, turn.rows, kid))
        calls = tuple(_row(turn, call) for call in calls_of(replica, turn.rows, kid))
        said_by = [entry.payload.get("college") for entry in members.values()]
        weights = rules.colleges if rules is not None else {}
        colleges = tuple(CollegeRow(name, weight, said_by.count(name)) for name, weight in weights.items())
        opened = replica.entry(turn.rows, rules.opened) if rules is not None else None
        trust = opened.payload.get("trust", {}) if opened is not None else {}
        trustees, beneficiaries = tuple(trust.get("trustees", ())), tuple(trust.get("beneficiaries", ()))
        return GroupShown(
            rules.name if rules is not None else "", trustees, beneficiaries, colleges, len(members), joining, calls
        )

    return await mesh.engine.read(look)
