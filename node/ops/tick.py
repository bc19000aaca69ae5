"""The operation `tick run`: have the whole mesh agree on one state now, and not at the next boundary.

How it works
    A boundary a second ahead is proposed. Every member marks it with its checkpoint, and when it has passed each
    computes the same frontier and the same state root, and attests it.

What it does not do
    It waits for our own state root and for as many attestations as the policy's quorum; a member that is away
    attests when it comes back.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import trio

from ledger.errors import LocalError
from ledger.ticks import attestations
from node.naming import device_owner, moment, seconds_of
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node

AHEAD_SECONDS: Final = 1
LOOK_SECONDS: Final = 0.05


class TickArgs(Args, frozen=True):
    """Which mesh, and how long to wait."""

    mesh: Annotated[str, said(WHICH)] = ""
    wait: Annotated[str, said("How long to wait for it: 30s, 2m.")] = "30s"


class Ticked(Result, frozen=True):
    """The tick."""

    boundary: Annotated[datetime, said("The moment whose state was agreed on.")]
    state_root: Annotated[str, said("Hash of the committed state at that moment.")]
    frontier: Annotated[str, said("Digest of every feed's head at that moment.")]
    attested_by: Annotated[tuple[str, ...], said("Who attested exactly this state so far.")]


def _look(turn: Turn) -> Ticked | None:
    tick = turn.core.ticker.tick
    if tick is None:
        return None
    replica = turn.core.replica
    names = sorted(device_owner(replica.members, feed) for feed in attestations(turn.rows, replica, tick))
    return Ticked(moment(tick.boundary), tick.state_root.hex(), tick.frontier.hex(), tuple(names))


@operation("tick", "run", permission="operate")
async def tick_run(node: Node, args: TickArgs) -> Ticked:
    """Ask for a tick now, and wait until its state is computed and attested."""
    mesh = node.mesh(args.mesh)
    seconds = seconds_of(args.wait, "wait")
    quorum = mesh.core.policy.attestation_quorum

    def ask(turn: Turn) -> int:
        if not turn.core.replica.members.is_member(turn.core.party):
            raise LocalError("NOT_A_MEMBER", "This node is no member of the mesh; it cannot ask for a tick.")
        boundary = turn.now + AHEAD_SECONDS
        turn.ask_tick(boundary)
        return boundary

    boundary = await mesh.engine.act(ask)
    found: Ticked | None = None
    with trio.move_on_after(seconds):
        while found is None or found.boundary < moment(boundary) or len(found.attested_by) < quorum:
            await trio.sleep(LOOK_SECONDS)
            found = await mesh.engine.read(_look)
        return found
    told = f"The tick was not attested by {quorum} within {seconds} s; see `maille peers list`, then run it again."
    raise LocalError("TEMPORARY", told)
