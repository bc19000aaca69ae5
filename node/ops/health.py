"""The probe: one question for a supervisor, a load balancer or a script, answered by the exit code.

How it works
    Alive: the node answers. Ready: each of its meshes runs, this node is a member there, follows the governance, and
    has a channel to another member where there is one. It is what /livez and /readyz answer over HTTP.

What it does not do
    It explains nothing: `maille doctor` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from node.exits import OK, REFUSED
from node.operation import Args, Nothing, Result, operation, said

if TYPE_CHECKING:
    from node.daemon import Node
    from node.ops.node import Status

UNREADY: Final = frozenset(
    (
        *("MESH_RESTORED", "GOVERNANCE_DISPUTED", "UPGRADE", "NOT_A_MEMBER", "EXPELLED", "SUSPENDED", "REVOKED"),
        *("NO_PEERS", "CLOCK_BEHIND", "SIGNED_AHEAD"),
    )
)
"""Problems with which a node cannot do its work."""


class HealthArgs(Args, frozen=True):
    """What is asked."""

    live: Annotated[bool, said("Ask only whether the node answers.")] = False


class Health(Result, frozen=True):
    """Whether the node can do its work."""

    live: Annotated[bool, said("Always true: it answered.")]
    ready: Annotated[bool, said("Whether it can do its work.")]
    codes: Annotated[tuple[str, ...], said("Why it is not ready: codes of the problems in `maille node status`.")]


def readiness(status: Status) -> tuple[str, ...]:
    """Return the codes of what keeps a node from its work; empty when it is ready."""
    return tuple(sorted({problem.code for problem in status.problems} & UNREADY))


@operation(None, "health", permission="read", exit_of=lambda found: OK if found.ready else REFUSED)
async def health(node: Node, args: HealthArgs) -> Health:
    """Say whether the node can do its work: exit code 0 if so, 1 if not, 3 when no node answers."""
    from node.ops.node import node_status

    if args.live:
        return Health(True, True, ())
    codes = readiness(await node_status.handler(node, Nothing()))
    return Health(True, not codes, codes)
