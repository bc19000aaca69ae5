"""Operations on epochs: what the voters have sealed, and which branch is followed where two seals contradict.

How it works
    Epochs are sealed by the nodes themselves; nobody starts it. Where two certified seals follow one epoch, some voters
    signed twice, and only what both branches permit holds, until operators choose: `choose` pins an epoch here.

What it does not do
    Choosing decides for this node alone: people agree outside, then each chooses.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from ledger.errors import LocalError
from node.naming import PREFIX_DIGITS_MIN, member_name, moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.governance.members import Members
    from ledger.governance.state import Base
    from node.core import Turn
    from node.daemon import Node
    from node.governing import Scene

SHOWN = 20
SILENT_SECONDS_MIN = 3_600
SILENT_BEATS = 10
"""A voter is called silent after so many missed heartbeats, and no sooner than an hour."""


class EpochsArgs(Args, frozen=True):
    """Which mesh, and how many."""

    last: Annotated[int, said("How many, the newest.")] = SHOWN
    mesh: Annotated[str, said(WHICH)] = ""


class EpochArgs(Args, frozen=True):
    """Which epoch."""

    epoch: Annotated[
        str, said("Its number, or the beginning of its reference. Default: the newest.", positional=True)
    ] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class ChooseArgs(Args, frozen=True):
    """Which branch."""

    epoch: Annotated[
        str,
        said("The reference, or the beginning of it, of an epoch that only the wanted branch has.", positional=True),
    ]
    mesh: Annotated[str, said(WHICH)] = ""


class EpochRow(Result, frozen=True):
    """An epoch."""

    n: Annotated[int, said("Its number; 0 is the genesis.")]
    reference: Annotated[str, said("By which entries name it.")]
    as_of: Annotated[datetime, said("Its governance time.")]
    voters: Annotated[int, said("How many voters it has.")]
    members: Annotated[int, said("How many parties had come in by then, those who left since included.")]
    open: Annotated[int, said("How many proposals were open.")]
    pinned: Annotated[bool, said("Whether this node's operator vouches for it.")]


class Epochs(Result, frozen=True):
    """The epochs of a mesh."""

    epochs: Annotated[tuple[EpochRow, ...], said("Each epoch, the newest last.")]
    branches: Annotated[tuple[EpochRow, ...], said("The ends of rival branches; empty unless governance has forked.")]


class SealingRow(Result, frozen=True):
    """Where the agreement on the next epoch stands."""

    code: Annotated[str, said("Where it stands, such as IDLE, PACE, SEALING, NO_QUORUM, DISAGREES, DECIDED.")]
    reason: Annotated[str, said("The same in a sentence.")]
    round: Annotated[int, said("Round of the agreement, where one is open.")]
    heard: Annotated[tuple[str, ...], said("The voters heard in this round.")]
    silent: Annotated[tuple[str, ...], said("The voters not heard in this round, where one is open.")]
    needed: Annotated[int, said("How many voters must agree.")]
    next_at: Annotated[datetime, said("When a seal may be due.")]


class EpochShown(Result, frozen=True):
    """One epoch."""

    epoch: Annotated[EpochRow, said("Its row in `epoch list`.")]
    frame: Annotated[str, said("The frame of its rules.")]
    charter: Annotated[str, said("The charter's adopted version, if there is one.")]
    evaluator: Annotated[int, said("The version of the rules by which every node folds.")]
    voters: Annotated[tuple[str, ...], said("Who votes under it.")]
    proposals: Annotated[tuple[str, ...], said("Ids of the proposals that were open.")]
    closed: Annotated[tuple[str, ...], said("Ids of the proposals that its seal closed.")]
    expelled: Annotated[tuple[str, ...], said("Whom its seal put out.")]
    feeds: Annotated[int, said("How many feeds its frontier covers.")]
    sealing: Annotated[
        SealingRow | None, said("Where the agreement on the next one stands; of the newest epoch alone.")
    ]


class Chosen(Result, frozen=True):
    """The branch that is followed."""

    epoch: Annotated[EpochRow, said("The newest epoch of it.")]


class Governed(Result, frozen=True):
    """How a mesh is governed, as this node sees it."""

    n: Annotated[int, said("Number of the newest epoch.")]
    as_of: Annotated[datetime, said("Its governance time.")]
    voters: Annotated[int, said("How many voters it has.")]
    voter: Annotated[bool, said("Whether this node is one.")]
    open: Annotated[int, said("How many proposals are open.")]
    silent: Annotated[tuple[str, ...], said("Voters of whom no sign of life came for long. Nothing follows by itself.")]
    expelled: Annotated[tuple[str, ...], said("Voters whom the newest seal put out.")]
    provable: Annotated[int, said("How many voters a rival of the newest seal would convict, at least.")]
    branches: Annotated[tuple[str, ...], said("Rival branches; only what all of them permit holds.")]
    halted: Annotated[str, said("Why this node permits nothing, if so.")]
    sealing: Annotated[SealingRow | None, said("Where the agreement on the next epoch stands.")]


def governed(turn: Turn) -> Governed:
    """Return how the mesh of a turn is governed."""
    from ledger.governance.certificate import least_double_voters

    core = turn.core
    replica, members, tip = core.replica, core.replica.members, core.replica.chain.newest
    patience = max(SILENT_SECONDS_MIN, SILENT_BEATS * core.policy.heartbeat_seconds)
    silent = []
    for party, feed in tip.governing.items():
        head = replica.signed_head(feed)
        if feed != core.device.kid and (head is None or head.time < turn.now - patience):
            silent.append(member_name(members, party))
    before = next((ref for ref, (n, _) in tip.known.items() if n == tip.n - 1), b"")
    sightings = replica.registrations.after(before)
    seal = next((each.seal for each in sightings if each.seal.epoch.reference() == tip.reference), None)
    expelled: tuple[str, ...] = ()
    provable = (len(tip.voters) - 1) // 3 + 1
    if seal is not None and before in tip.history:
        context = tip.history[before].context
        expelled = tuple(_name(members, context.voters[place][0]) for place in seal.expelled)
        provable = least_double_voters(context.size, seal, seal)
    return Governed(
        tip.n,
        moment(tip.as_of),
        len(tip.voters),
        core.party in tip.voters,
        len(tip.proposals),
        tuple(sorted(silent)),
        expelled,
        provable,
        tuple(reference.hex() for reference in members.branches),
        members.halted,
        sealing_row(turn),
    )


def epoch_row(scene: Scene, base: Base) -> EpochRow:
    """Return an epoch's row."""
    return EpochRow(
        base.n,
        base.reference.hex(),
        moment(base.as_of),
        len(base.voters),
        len(base.found),
        len(base.proposals),
        base.reference in scene.chain.pins,
    )


def sealing_row(turn: Turn) -> SealingRow | None:
    """Return where the agreement on the next epoch stands; None where this node takes no part."""
    from node.sealing import Sealer

    sealer, members = turn.core.sealing, turn.core.replica.members
    if not isinstance(sealer, Sealer):
        return None
    found = sealer.status(turn)
    voters = [kid for kid, _ in turn.core.replica.chain.newest.context.voters]
    named = {kid: _name(members, kid) for kid in voters}
    heard = tuple(named[kid] for kid in found.spoken if kid in named)
    silent = tuple(named[kid] for kid in voters if kid not in found.spoken) if found.open else ()
    return SealingRow(found.code, found.reason, found.round, heard, silent, found.needed, moment(found.next_at))


def _name(members: Members, kid: bytes) -> str:
    member = members.members.get(kid)
    return member_name(members, member.party) if member is not None else kid.hex()[:12]


@operation("epoch", "list", permission="read")
async def epoch_list(node: Node, args: EpochsArgs) -> Epochs:
    """List the epochs that voters have sealed, and the ends of rival branches."""
    from node.governing import Scene

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> Epochs:
        scene = Scene(turn)
        rows = [epoch_row(scene, base) for base in scene.chain.line(scene.tip, scene.view, scene.tip.n - args.last + 1)]
        tips = scene.chain.tips(scene.view) if scene.members.branches else []
        return Epochs(tuple(rows), tuple(epoch_row(scene, tip) for tip in tips))

    return await mesh.engine.read(look)


@operation("epoch", "show", permission="read")
async def epoch_show(node: Node, args: EpochArgs) -> EpochShown:
    """Show an epoch: its voters, rules and ballots; of the newest, also where the agreement on the next stands."""
    from node.governing import Scene

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> EpochShown:
        scene = Scene(turn)
        base = scene.epoch(args.epoch)
        out = [party for party in base.cuts if party in base.found]
        before = scene.chain.line(scene.tip, scene.view, max(0, base.n - 1))[0]
        return EpochShown(
            epoch_row(scene, base),
            base.rules.frame,
            base.charter.hex() if base.charter is not None else "",
            base.evaluator,
            tuple(member_name(scene.members, party) for party in base.voters),
            tuple(ident.hex() for ident in base.proposals),
            tuple(ident.hex() for ident, result in base.results.items() if result.seal == base.n),
            tuple(member_name(scene.members, party) for party in out if party not in before.cuts or before is base),
            len(base.frontier),
            sealing_row(turn) if base is scene.tip else None,
        )

    return await mesh.engine.read(look)


@operation(
    "epoch",
    "choose",
    permission="admin",
    confirm="Follow this branch alone? Others must choose the same, or the mesh splits.",
)
async def epoch_choose(node: Node, args: ChooseArgs) -> Chosen:
    """Choose a branch after rival seals: this node follows the one that has this epoch, from now on."""
    from node.governing import Scene

    mesh = node.mesh(args.mesh)

    def choose(turn: Turn) -> Chosen:
        scene = Scene(turn)
        known = {ref for tip in scene.chain.tips(scene.view) for ref in tip.known}
        digits = args.epoch.lower() if len(args.epoch) >= PREFIX_DIGITS_MIN else "-"
        found = [reference for reference in known if reference.hex().startswith(digits)]
        if len(found) != 1:
            told = (
                f"No epoch, or more than one, has a reference that begins with {args.epoch!r}; see `maille epoch list`."
            )
            raise LocalError("EPOCH_UNKNOWN", told, field="epoch")
        turn.vouch(found[0])
        after = Scene(turn)
        return Chosen(epoch_row(after, after.tip))

    return await mesh.engine.act(choose)
