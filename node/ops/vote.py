"""Operations on votes: cast one, or leave it to somebody, or say what counts where one says nothing.

How it works
    The first vote on a proposal counts, in the order of our feed. Delegations and defaults are standing instructions:
    they count for the ballots of epochs that have sealed them, never on expulsions, suspensions and seals, and any
    vote of one's own overrides them.

What it does not do
    A vote is never taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from ledger.errors import LocalError
from node.exits import usage
from node.naming import find_member, member_name
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH
from node.ops.proposal import ProposalRow, own_vote, proposal_row

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node

Said = Literal["yes", "no", "abstain"]


class CastArgs(Args, frozen=True):
    """On what, and what."""

    proposal: Annotated[str, said("The proposal's id, or the beginning of it.", positional=True)]
    choice: Annotated[Said, said("yes, no or abstain.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class Cast(Result, frozen=True):
    """The vote, and how the proposal stands with it."""

    entry: Annotated[str, said("Id of the vote.")]
    proposal: Annotated[ProposalRow, said("The proposal.")]


class DelegateArgs(Args, frozen=True):
    """To whom."""

    member: Annotated[
        str, said("The voter to follow: its name, did:key, or the beginning of its id.", positional=True)
    ] = ""
    revoke: Annotated[bool, said("Follow nobody any more.")] = False
    mesh: Annotated[str, said(WHICH)] = ""


class DefaultArgs(Args, frozen=True):
    """What counts at the deadline."""

    choice: Annotated[Literal["", "yes", "no", "abstain"], said("yes, no or abstain.", positional=True)] = ""
    revoke: Annotated[bool, said("Nothing counts any more where we say nothing.")] = False
    mesh: Annotated[str, said(WHICH)] = ""


class Instructed(Result, frozen=True):
    """A standing instruction."""

    entry: Annotated[str, said("Id of the entry.")]
    told: Annotated[str, said("What it says.")]


@operation("vote", "cast", permission="operate")
async def vote_cast(node: Node, args: CastArgs) -> Cast:
    """Vote on a proposal: once, and for good."""
    from node.governing import Scene, check_voice

    mesh = node.mesh(args.mesh)

    def say(turn: Turn) -> Cast:
        scene = Scene(turn)
        check_voice(scene)
        ident, party = scene.proposal(args.proposal), turn.core.party
        if ident in scene.base.results:
            raise LocalError("BALLOT_CLOSED", "A seal has closed this ballot.", field="proposal")
        proposal = scene.base.proposals[ident]
        if party == proposal.target:
            raise LocalError("VOTE_OWN_CASE", "Nobody votes on its own expulsion or suspension.", field="proposal")
        if party not in scene.base.history[proposal.epoch].electorate.voters:
            n = scene.base.known[proposal.epoch][0]
            told = f"The voters of epoch {n} decide on this proposal; this node was none of them."
            raise LocalError("NOT_IN_ELECTORATE", told, field="proposal")
        before = own_vote(scene, ident)
        if before is not None:
            told = f"This node has voted on it already ({before.value}); the first vote counts."
            raise LocalError("ALREADY_VOTED", told, field="proposal")
        entry = turn.state("vote", ("ballot", ident), {"choice": args.choice})
        return Cast(entry.id.hex(), proposal_row(Scene(turn), ident))

    return await mesh.engine.act(say)


@operation("vote", "delegate", permission="operate")
async def vote_delegate(node: Node, args: DelegateArgs) -> Instructed:
    """Count as another voter votes, wherever we do not vote ourselves: from the next seal on, until revoked."""
    from node.governing import Scene, check_voice

    if bool(args.member) == args.revoke:
        raise usage("Name whom to follow, or --revoke.", "member")
    mesh = node.mesh(args.mesh)

    def say(turn: Turn) -> Instructed:
        scene = Scene(turn)
        check_voice(scene)
        to = find_member(scene.members, args.member).party if args.member else None
        if to == turn.core.party:
            raise LocalError("TARGET_SELF", "A member follows itself without saying so.", field="member")
        if to is not None and to not in scene.tip.voters:
            raise LocalError("NOT_A_VOTER", "This member has no vote; nothing would follow from it.", field="member")
        payload = {"to": None if to is None else list(to)}
        entry = turn.state("vote.delegate", ("member", turn.core.party[0]), payload)
        told = "nobody is followed any more" if to is None else f"{member_name(scene.members, to)} is followed"
        return Instructed(entry.id.hex(), told)

    return await mesh.engine.act(say)


@operation("vote", "default", permission="operate")
async def vote_default(node: Node, args: DefaultArgs) -> Instructed:
    """Say what counts at the deadline where we have not voted: from the next seal on, until revoked."""
    from node.governing import Scene, check_voice

    if bool(args.choice) == args.revoke:
        raise usage("Say yes, no or abstain, or --revoke.", "choice")
    mesh = node.mesh(args.mesh)

    def say(turn: Turn) -> Instructed:
        scene = Scene(turn)
        check_voice(scene)
        entry = turn.state("vote.default", ("member", turn.core.party[0]), {"choice": args.choice or None})
        told = f"{args.choice} where this node says nothing" if args.choice else "nothing where this node says nothing"
        if turn.core.party not in scene.tip.voters:
            told += ", once it is a voter; it is none now"
        return Instructed(entry.id.hex(), told)

    return await mesh.engine.act(say)
