"""Operations on the rules of a mesh: what they are, and a ballot that would change them.

How it works
    Rules are one value that a ballot replaces whole (ledger/governance/rules.py). `propose` begins with those in
    force and changes what its options name; or it takes them all from a file, in the form that `show --json` prints.

What it does not do
    Nothing changes before voters have agreed and a seal has closed the ballot. The pace of ticks is the genesis' own.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from ledger.governance.ballots import Act
from ledger.governance.rules import Rules
from node.exits import usage
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH
from node.ops.proposal import DAYS, REASON, ProposalRow, proposal_row
from node.rules_text import form_of, framed, revoking, rules_of, said_in_words

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node

Frame = Literal["", "none", "weak", "strong"]
FRAME = "A ready frame: none (a member's acceptance), weak (and a charter's), strong (a credential)."


class PolicyArgs(Args, frozen=True):
    """Which mesh, and when."""

    epoch: Annotated[str, said("As of this epoch: its number, or the beginning of its reference.")] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class RulesShown(Result, frozen=True):
    """The rules in force."""

    epoch: Annotated[int, said("Number of the epoch.")]
    frame: Annotated[str, said("none, weak or strong.")]
    who_gets_in: Annotated[str, said("What an applicant needs, in words.")]
    charter: Annotated[str, said("The charter's adopted version, if there is one.")]
    evaluator: Annotated[int, said("The version of the rules by which every node folds.")]
    voters: Annotated[int, said("How many voters decide.")]
    rules: Annotated[dict[str, Any], said("All settings, in the form that `policy propose --file` takes.")]


class ProposeArgs(Args, frozen=True):
    """The rules to vote on."""

    file: Annotated[str | None, said("All rules, as `policy show --json` prints them under rules.", content=True)] = (
        None
    )
    frame: Annotated[Frame, said(FRAME)] = ""
    charter: Annotated[str, said("The adopted version of the charter that members accept, or the beginning of it.")] = (
        ""
    )
    authority: Annotated[tuple[str, ...], said("The did:key of an authority whose credentials let in.")] = ()
    sponsors: Annotated[
        Annotated[int, Meta(ge=0, le=1_000)], said("How many members must endorse, instead of one's acceptance.")
    ] = 0
    revoke: Annotated[tuple[str, ...], said("The serial of a credential to revoke, in hexadecimal.")] = ()
    invitations_a_day: Annotated[Annotated[int, Meta(ge=0)], said("How many each may let in a day.")] = 0
    ballot_days: Annotated[Annotated[int, Meta(ge=0)], said("How long later ballots are open.")] = 0
    forbid: Annotated[tuple[str, ...], said("A purpose for which nobody may ask for data from then on.")] = ()
    days: Annotated[Annotated[int, Meta(ge=0, le=90)], said(DAYS)] = 0
    reason: Annotated[Annotated[str, Meta(max_length=500)], said(REASON)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


def _drawn(shown: RulesShown) -> str:
    from node.cli.render import lines

    plain = [line for line in lines(shown) if not line.startswith("rules ")]
    return "\n".join([*plain, "", json.dumps(shown.rules, indent=2, ensure_ascii=False)])


@operation("policy", "show", permission="read", render=_drawn)
async def policy_show(node: Node, args: PolicyArgs) -> RulesShown:
    """Show the rules of a mesh: who gets in, who decides, what is forbidden."""
    from node.governing import Scene

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> RulesShown:
        base = Scene(turn).epoch(args.epoch)
        charter = base.charter.hex() if base.charter is not None else ""
        words = said_in_words(base.rules.admission)
        return RulesShown(
            base.n, base.rules.frame, words, charter, base.evaluator, len(base.voters), form_of(base.rules)
        )

    return await mesh.engine.read(look)


@operation("policy", "propose", permission="operate")
async def policy_propose(node: Node, args: ProposeArgs) -> ProposalRow:
    """Open a ballot on other rules. They are in force from the seal that closes it, if voters agree."""
    from node.documents import find_version
    from node.governing import Scene, propose

    mesh = node.mesh(args.mesh)

    def say(turn: Turn) -> ProposalRow:
        scene = Scene(turn)
        rules = _wanted(args, scene.tip.rules, find_version(turn, args.charter).hex() if args.charter else "")
        if rules == scene.tip.rules:
            raise usage("These are the rules in force; say what to change, with --frame, --file or another option.")
        entry = propose(scene, Act.POLICY, args.days, args.reason, rules=rules.encode())
        return proposal_row(Scene(turn), entry.id)

    return await mesh.engine.act(say)


def _wanted(args: ProposeArgs, now: Rules, charter: str) -> Rules:
    """Return the rules that a proposal asks for; `charter`: the version that it names, whole."""
    options = (args.frame, args.charter, args.authority, args.sponsors, args.revoke)
    if args.file is not None:
        if any(options) or args.invitations_a_day or args.ballot_days or args.forbid:
            raise usage("Give all rules with --file, or changes with the other options.", "file")
        return rules_of(args.file)
    rules = now
    if args.frame:
        kept = ("invitations_a_day", "forbidden_purposes", "colleges", "affiliations", "shares", "ballot_days")
        settings = {name: getattr(now, name) for name in (*kept, "suspenders", "suspension_days")}
        rules = framed(args.frame, charter, args.authority, args.sponsors, settings)
    elif args.charter or args.authority or args.sponsors:
        raise usage("Who gets in is set with a frame; give --frame too, or all rules with --file.", "frame")
    if args.revoke:
        try:
            serials = tuple(map(bytes.fromhex, args.revoke))
        except ValueError:
            raise usage("A serial is given in hexadecimal digits.", "revoke") from None
        rules = replace(rules, admission=revoking(rules.admission, serials))
    if args.invitations_a_day:
        rules = replace(rules, invitations_a_day=args.invitations_a_day)
    if args.ballot_days:
        rules = replace(rules, ballot_days=args.ballot_days)
    if args.forbid:
        rules = replace(rules, forbidden_purposes=(*rules.forbidden_purposes, *args.forbid))
    return rules
