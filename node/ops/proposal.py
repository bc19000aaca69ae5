"""Operations on ballots: what is proposed, how it stands, and how to propose (rules: `policy propose`).

How it works
    A proposal is an entry that names the epoch whose voters decide on it. Expulsions, suspensions and admissions take
    effect as soon as enough voters have agreed, the rest with the next seal. `vote cast` votes.

What it does not do
    No proposal votes for itself: its author votes like everybody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta

from ledger.errors import LocalError
from ledger.governance.ballots import Act, Choice, Judged, Proposal, Rule
from ledger.governance.members import Party
from node.exits import usage
from node.naming import device_owner, find_member, member_name, moment
from node.operation import Args, Result, operation, said
from node.ops.link import MEMBER
from node.ops.mesh import WHICH
from node.saying import Pair, Value, beside, english, french

if TYPE_CHECKING:
    from ledger.entry import Entry
    from ledger.governance.voting import Count
    from node.core import Turn
    from node.daemon import Node
    from node.governing import Scene

DAYS = "How many days the ballot is open, from the newest epoch on. Default: as long as the rules allow."
REASON = "Why. All will read it; it may name evidence, such as the entry of a probe's result."


class ProposalRow(Result, frozen=True, dict=True):
    """A proposal and how it stands. It keeps what it needs in French too (node/saying.py)."""

    id: Annotated[str, said("Its id, by which votes name it.")]
    act: Annotated[str, said("expel, suspend, admit, policy, charter or evaluator.")]
    about: Annotated[str, said("Whom or what it is about.")]
    proposer: Annotated[str, said("Who proposed it.")]
    state: Annotated[str, said("open, passed (in effect, or at the next seal), or failed.")]
    yes: Annotated[int, said("How many voices say yes.")]
    of: Annotated[int, said("How many there are.")]
    needs: Annotated[str, said("What it takes to pass.")]
    deadline: Annotated[datetime, said("The first seal at or after this time closes it.")]
    epoch: Annotated[int, said("The epoch whose voters decide; -1 where it is too old to be known.")]
    reason: Annotated[str, said("What its author says.")] = ""


class ProposalRows(Result, frozen=True):
    """Proposals."""

    proposals: Annotated[tuple[ProposalRow, ...], said("Each proposal.")]


class VoteRow(Result, frozen=True):
    """A vote on it."""

    voter: Annotated[str, said("Who voted.")]
    choice: Annotated[str, said("yes, no or abstain.")]
    rule: Annotated[str, said("G4 where it counts, else the number of the rule that voids it.")]
    entry: Annotated[str, said("Id of the vote, for `maille explain`.")]


class ProposalShown(Result, frozen=True):
    """A proposal, its votes, and what it says."""

    proposal: Annotated[ProposalRow, said("Its row in `proposal list`.")]
    payload: Annotated[dict[str, Any], said("What it says; byte strings in hexadecimal.")]
    votes: Annotated[tuple[VoteRow, ...], said("Each vote that is held.")]
    carried: Annotated[tuple[VoteRow, ...], said("What delegations and defaults say for those who did not vote.")]


class BallotsArgs(Args, frozen=True):
    """Which mesh, and whether all."""

    mesh: Annotated[str, said(WHICH)] = ""
    all: Annotated[bool, said("Those that a seal has closed too.")] = False


class ProposalArgs(Args, frozen=True):
    """Which proposal."""

    id: Annotated[str, said("Its id, or the beginning of it.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class SuspendArgs(Args, frozen=True):
    """Whom, and why."""

    member: Annotated[str, said(MEMBER, positional=True)]
    reason: Annotated[Annotated[str, Meta(max_length=500)], said(REASON)]
    days: Annotated[Annotated[int, Meta(ge=0, le=90)], said(DAYS)] = 0
    mesh: Annotated[str, said(WHICH)] = ""


class ExpelArgs(Args, frozen=True):
    """Whom, why, and where its feeds are cut."""

    member: Annotated[str, said(MEMBER, positional=True)]
    reason: Annotated[Annotated[str, Meta(max_length=500)], said(REASON)]
    cut: Annotated[
        tuple[str, ...],
        said("FEED:SIZE: how many entries of that feed of its count. Default: as many as are held here now."),
    ] = ()
    days: Annotated[Annotated[int, Meta(ge=0, le=90)], said(DAYS)] = 0
    mesh: Annotated[str, said(WHICH)] = ""


class AdmitArgs(Args, frozen=True):
    """Whose application."""

    application: Annotated[
        str, said("A request that waits here, or an application in the ledger: id, name or did:key.", positional=True)
    ]
    reason: Annotated[Annotated[str, Meta(max_length=500)], said(REASON)] = ""
    days: Annotated[Annotated[int, Meta(ge=0, le=90)], said(DAYS)] = 0
    mesh: Annotated[str, said(WHICH)] = ""


class CharterArgs(Args, frozen=True):
    """Which version."""

    version: Annotated[str, said("The adopted version of the charter, or the beginning of it.", positional=True)]
    reason: Annotated[Annotated[str, Meta(max_length=500)], said(REASON)] = ""
    days: Annotated[Annotated[int, Meta(ge=0, le=90)], said(DAYS)] = 0
    mesh: Annotated[str, said(WHICH)] = ""


class EvaluatorArgs(Args, frozen=True):
    """Which version."""

    version: Annotated[Annotated[int, Meta(ge=1)], said("The version by which nodes shall fold.", positional=True)]
    reason: Annotated[Annotated[str, Meta(max_length=500)], said(REASON)] = ""
    days: Annotated[Annotated[int, Meta(ge=0, le=90)], said(DAYS)] = 0
    mesh: Annotated[str, said(WHICH)] = ""


# How a proposal stands


def proposal_row(scene: Scene, ident: bytes) -> ProposalRow:
    """Return a proposal's row; it is one that counts or counted."""
    result = scene.base.results.get(ident)
    proposal = result.proposal if result is not None else scene.base.proposals[ident]
    count = scene.folded.count if result is None else scene.closed_by(result.seal)
    entry = scene.entry(ident)
    yes, of, (needs, places), passed = _standing(count, proposal)
    if result is not None:
        passed, yes, of = result.passed, result.yes, result.of
    known = scene.base.known.get(proposal.epoch)
    row = ProposalRow(
        ident.hex(),
        proposal.act.value,
        _about(scene, proposal, entry),
        device_owner(scene.members, entry.kid) if entry is not None else "",
        ("passed" if passed else "failed") if result is not None else "passed" if passed else "open",
        yes,
        of,
        english(needs, places),
        moment(proposal.deadline),
        known[0] if known is not None else -1,
        entry.payload.get("reason", "") if entry is not None else "",
    )
    return beside(row, needs=french(needs, places))


_NEEDS: Final[dict[str, Pair]] = {
    "": ("", ""),
    "of": ("{needs} of {others}", "{needs} sur {others}"),
    "nobody": ("nobody can be expelled: sever the link", "personne ne peut être exclu : coupez le lien"),
    "at least": ("at least {needs}", "au moins {needs}"),
    "more": ("more than {needs}", "plus de {needs}"),
}


def _standing(count: Count | None, proposal: Proposal) -> tuple[int, int, tuple[Pair, dict[str, Value]], bool]:
    """Return voices that say yes, of how many, what it takes, and whether that is met."""
    ruling = count.resolution.rulings.get(proposal.id) if count is not None else None
    if count is not None and ruling is not None:
        others = len(count.poll.electorate(proposal).others(proposal.target))
        needs = _NEEDS["nobody" if ruling.needs is None else "of"]
        return ruling.yes, others, (needs, {"needs": ruling.needs, "others": others}), ruling.applies
    tally = count.tallies.get(proposal.id) if count is not None else None
    if tally is None:
        return 0, 0, (_NEEDS[""], {}), False
    needs = _NEEDS["at least" if proposal.act is Act.SUSPEND else "more"]
    return tally.yes, tally.of, (needs, {"needs": tally.needs}), tally.passed


def _about(scene: Scene, proposal: Proposal, entry: Entry | None) -> str:
    payload = entry.payload if entry is not None else {}
    match proposal.act:
        case Act.EXPEL | Act.SUSPEND:
            return member_name(scene.members, proposal.target or (b"", 0))
        case Act.ADMIT:
            application = scene.entry(proposal.subject or b"")
            name = application.payload.get("name", "") if application is not None else ""
            return name or f"application {(proposal.subject or b'').hex()[:12]}"
        case Act.CHARTER:
            return f"charter {(proposal.subject or b'').hex()[:12]}"
        case Act.EVALUATOR:
            return f"evaluator {payload.get('evaluator_version', '')}"
        case Act.POLICY:
            from ledger.governance.rules import Rules
            from node.rules_text import said_in_words

            rules = Rules.decode(payload["rules"])
            return f"frame {rules.frame}: {said_in_words(rules.admission)}"


def _votes(scene: Scene, judged: Iterable[Judged]) -> tuple[VoteRow, ...]:
    rows = [
        VoteRow(
            member_name(scene.members, each.vote.voter), each.vote.choice.value, each.rule.value, each.vote.id.hex()
        )
        for each in judged
    ]
    return tuple(sorted(rows, key=lambda row: (row.rule != Rule.COUNTS.value, row.voter)))


def _drawn(shown: ProposalShown) -> str:
    from node.cli.render import lines, table

    found = lines(shown.proposal)
    for title, rows in (("votes", shown.votes), ("by delegation or default", shown.carried)):
        if rows:
            found += ["", title, *table(rows)]
    return "\n".join(found)


@operation("proposal", "list", permission="read")
async def proposal_list(node: Node, args: BallotsArgs) -> ProposalRows:
    """List the open proposals and how they stand."""
    from node.governing import Scene

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> ProposalRows:
        scene = Scene(turn)
        found = [*scene.base.proposals, *(scene.base.results if args.all else ())]
        rows = [proposal_row(scene, ident) for ident in found]
        return ProposalRows(tuple(sorted(rows, key=lambda row: (row.deadline, row.id))))

    return await mesh.engine.read(look)


@operation("proposal", "show", permission="read", render=_drawn)
async def proposal_show(node: Node, args: ProposalArgs) -> ProposalShown:
    """Show a proposal: what it says, who voted, whether each vote counts."""
    from node.governing import Scene
    from node.ops.entry import plain

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> ProposalShown:
        scene = Scene(turn)
        ident = scene.proposal(args.id)
        result, entry = scene.base.results.get(ident), scene.entry(ident)
        count = scene.folded.count if result is None else scene.closed_by(result.seal)
        tally = count.tallies.get(ident) if count is not None else None
        judged: Iterable[Judged] = tally.votes if tally is not None else ()
        if count is not None and tally is None:
            judged = [each for each in count.resolution.votes.values() if each.vote.proposal == ident]
        carried = [
            VoteRow(member_name(scene.members, each.voter), each.choice.value, Rule.COUNTS.value, each.why[0].hex())
            for each in (tally.carried if tally is not None else ())
        ]
        payload = plain(dict(entry.payload)) if entry is not None else {}
        return ProposalShown(proposal_row(scene, ident), payload, _votes(scene, judged), tuple(carried))

    return await mesh.engine.read(look)


# Proposing


async def _propose(node: Node, args: Any, act: Act, fields: Any) -> ProposalRow:
    """Open a ballot. `fields(scene)`: its payload beside act, deadline and reason."""
    from node.governing import Scene, check_voter, propose

    mesh = node.mesh(args.mesh)

    def say(turn: Turn) -> ProposalRow:
        check_voter(Scene(turn))
        payload = fields(Scene(turn))
        entry = propose(Scene(turn), act, args.days, args.reason, **payload)
        return proposal_row(Scene(turn), entry.id)

    return await mesh.engine.act(say)


def _target(scene: Scene, text: str) -> Party:
    member = find_member(scene.members, text)
    if member.party == scene.turn.core.party:
        raise LocalError("TARGET_SELF", "A member that wants to go leaves: `maille mesh leave`.", field="member")
    if member.state not in ("member", "suspended"):
        raise LocalError("NOT_A_MEMBER", f"{member.name or 'It'} is no member now ({member.state}).", field="member")
    return member.party


@operation("proposal", "expel", permission="operate")
async def proposal_expel(node: Node, args: ExpelArgs) -> ProposalRow:
    """Propose to expel a member. It is out, everywhere, as soon as two thirds of the other voters agree.

    Its feeds are cut: what it said up to there stays, what it says beyond has no effect. The cut is as much as this
    node holds of them now, unless told otherwise; never below what a seal covers.
    """

    def fields(scene: Scene) -> dict[str, Any]:
        party = _target(scene, args.member)
        others = [voter for voter in scene.tip.voters if voter[0] != party[0]]
        if len(others) < 2:
            told = "With fewer than two other voters nobody is expelled; sever the link instead: `maille link sever`."
            raise LocalError("TOO_FEW_VOTERS", told, field="member")
        return {"target": list(party), "cut": _cut(scene, party, args.cut)}

    return await _propose(node, args, Act.EXPEL, fields)


def _cut(scene: Scene, party: Party, wanted: tuple[str, ...]) -> list[list[Any]]:
    """Return the heads at which a party's feeds are cut. Raises LocalError USAGE, CUT_SEALED, CUT_BEYOND."""
    feeds = sorted(feed for feed, owner in scene.base.reaches.owners.items() if owner == party)
    sizes = {feed: scene.replica.size(feed) for feed in feeds}
    for text in wanted:
        name, _, size = text.partition(":")
        found = [feed for feed in feeds if name and feed.hex().startswith(name.lower())]
        if len(found) != 1 or not size.isdecimal():
            raise usage(f"{text!r} is no FEED:SIZE of this member; `maille member show` lists its feeds.", "cut")
        if int(size) > sizes[found[0]]:
            told = f"This node holds {sizes[found[0]]} entries of that feed; a cut cannot lie beyond."
            raise LocalError("CUT_BEYOND", told, field="cut")
        if int(size) < scene.tip.floor(found[0]):
            told = f"A seal covers {scene.tip.floor(found[0])} entries of that feed, and is never taken back."
            raise LocalError("CUT_SEALED", told, field="cut")
        sizes[found[0]] = int(size)
    heads = [scene.replica.head_at(scene.turn.rows, feed, size) for feed, size in sizes.items()]
    return [[head.feed, head.size, head.root] for head in heads if head is not None]


@operation("proposal", "suspend", permission="operate")
async def proposal_suspend(node: Node, args: SuspendArgs) -> ProposalRow:
    """Propose to suspend a member for a while: no data, no voice. It lapses by itself."""
    return await _propose(node, args, Act.SUSPEND, lambda scene: {"target": list(_target(scene, args.member))})


@operation("proposal", "admit", permission="operate")
async def proposal_admit(node: Node, args: AdmitArgs) -> ProposalRow:
    """Propose to admit an applicant, where the rules let a ballot admit."""

    def fields(scene: Scene) -> dict[str, Any]:
        from node.ops.member import registered

        return {"application": registered(scene, node.mesh(args.mesh), args.application).id}

    return await _propose(node, args, Act.ADMIT, fields)


@operation("proposal", "charter", permission="operate")
async def proposal_charter(node: Node, args: CharterArgs) -> ProposalRow:
    """Propose an adopted version of the charter as that of the mesh.

    Which version applicants must accept is among the rules: `policy propose --frame --charter` changes that.
    """
    from node.documents import find_version

    def fields(scene: Scene) -> dict[str, Any]:
        return {"charter": find_version(scene.turn, args.version, "version")}

    return await _propose(node, args, Act.CHARTER, fields)


@operation("proposal", "evaluator", permission="operate")
async def proposal_evaluator(node: Node, args: EvaluatorArgs) -> ProposalRow:
    """Propose the version of the rules by which all nodes fold. A node without it permits nothing until upgraded."""

    def fields(scene: Scene) -> dict[str, Any]:
        if args.version <= scene.tip.evaluator:
            raise usage(f"The mesh works by evaluator {scene.tip.evaluator}; it only goes up.", "version")
        return {"evaluator_version": args.version}

    return await _propose(node, args, Act.EVALUATOR, fields)


def own_vote(scene: Scene, ident: bytes) -> Choice | None:
    """Return what this node has voted on a proposal, or None."""
    party = scene.turn.core.party
    votes = [vote for vote in scene.base.votes.values() if (vote.proposal, vote.voter) == (ident, party)]
    return votes[0].choice if votes else None
