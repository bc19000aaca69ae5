"""The operation `maille demo`: the main job, end to end, on this machine.

How it works
    The play is in `node/demo.py`; this module gives it its command and the schema of its result.

What it does not do
    It touches no node but its own, which it makes and ends.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from node.operation import Args, Local, Result, local_operation, said


class DemoArgs(Args, frozen=True):
    """How the demo is played."""

    nodes: Annotated[int, said("How many nodes, at least 3.")] = 5
    readings: Annotated[str | None, said("An Enedis export to carry. Default: a fictitious home.", path=True)] = None
    keep: Annotated[str | None, said("An empty directory to leave the nodes in. Default: none is left.", path=True)] = (
        None
    )


class Refused(msgspec.Struct, frozen=True):
    """A flow that the gate refused."""

    step: Annotated[str, said("What was tried.")]
    reason: Annotated[str, said("The gate's stable code.")]


class Judged(msgspec.Struct, frozen=True):
    """What the verifier said of a proof."""

    verdict: Annotated[str, said("TOTAL-PASSED, TOTAL-FAILED or INDETERMINATE.")]
    reason: Annotated[str, said("Stable code of the reason.")]


class Played(Result, frozen=True):
    """What the demo counted."""

    nodes: Annotated[int, said("Node processes.")]
    records_imported: Annotated[int, said("Values the holder imported of the kind consented to; gaps apart.")]
    gaps_imported: Annotated[int, said("Rows of the source without a value.")]
    absences_imported: Annotated[int, said("Places where rows are absent in the source.")]
    records_sent: Annotated[int, said("Values the holder sent.")]
    records_received: Annotated[int, said("Values the recipient stored.")]
    gaps_preserved: Annotated[int, said("Gaps it stored as gaps: neither zero nor dropped.")]
    refusals: Annotated[tuple[Refused, ...], said("Each flow that was refused.")]
    withdrawal_to_refusal_ms: Annotated[float, said("From the citizen's act until both ends refuse, in milliseconds.")]
    crash_recovered: Annotated[bool, said("Whether the killed node caught up.")]
    state_roots_equal: Annotated[bool, said("Whether all nodes ended with one state root.")]
    proof: Annotated[Judged, said("The proof, verified offline.")]
    tampered_proof: Annotated[Judged, said("The same with one byte changed.")]
    charter_heads_equal: Annotated[bool, said("Whether all nodes show the charter that three wrote at once.")]
    expelled: Annotated[bool, said("Whether every other node holds the member that turned for expelled.")]
    expelled_channels_closed: Annotated[bool, said("Whether all of them closed their channels to it.")]
    revenge_changed_state: Annotated[bool, said("Whether the expelled member's own proposal changed anything.")]
    mesh_id: Annotated[str, said("The mesh's id: what an auditor pins.")]
    proof_at: Annotated[datetime, said("The time that the proof is asked about: the consent was active.")]
    seconds: Annotated[float, said("How long it took.")]


@local_operation(None, "demo", permission="read", render=lambda _: "")
def demo(local: Local, args: DemoArgs) -> Played:
    """Play the main job end to end: a mesh, a consent, data, a withdrawal, a proof.

    Real processes, sockets and encryption on this machine, in a directory that is thrown away.
    """
    from node.demo import run

    readings = Path(args.readings) if args.readings else None
    told = run(args.nodes, readings, Path(args.keep) if args.keep else None, local.tell)
    return msgspec.convert(told, Played)
