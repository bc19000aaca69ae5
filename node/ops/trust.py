"""Operations on what an auditor trusts: a policy that says how many members' word is enough.

How it works
    `policy` writes the members of a mesh as they are now into C2SP `tlog-policy` text: each a witness, with the keys
    of its devices, and a quorum of any K of them (proofs/policy.py). The auditor gets it from a member on a channel
    she trusts, compares it with what other members give her, and hands it to `maille proof verify --policy`.

What it does not do
    A policy made here is our word. It does not say whether K is wise: with n witnesses of which f may lie, more than
    (n + f) / 2 are needed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

from ledger.errors import LocalError
from node.exits import usage
from node.naming import member_name
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node


class TrustPolicyArgs(Args, frozen=True):
    """How many members' word is to be enough."""

    quorum: Annotated[int, said("How many of the members must vouch for a state.")]
    logs: Annotated[
        bool, said("List the feeds too, as other C2SP tools need; feeds that come later are then refused.")
    ] = False
    mesh: Annotated[str, said(WHICH)] = ""


class TrustPolicy(Result, frozen=True):
    """A policy."""

    genesis: Annotated[str, said("The mesh's id.")]
    members: Annotated[int, said("How many members it lists.")]
    quorum: Annotated[int, said("How many of them are enough.")]
    sha256: Annotated[str, said("The policy's hash, to compare with others.")]
    policy: Annotated[str, said("The policy, as C2SP tlog-policy text.")]


def _drawn(made: TrustPolicy) -> str:
    return made.policy.removesuffix("\n")


@operation("trust", "policy", permission="read", render=_drawn)
async def trust_policy(node: Node, args: TrustPolicyArgs) -> TrustPolicy:
    """Write a policy (C2SP tlog-policy) under which any K members' word is enough."""
    from proofs.policy import policy_text

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> TrustPolicy:
        members = turn.core.replica.members
        keys: dict[bytes, list[bytes]] = {}
        for feed, device in sorted(members.devices.items()):
            if members.speaks(feed) and members.is_member(device.party):
                keys.setdefault(device.party[0], []).append(device.public)
        listed = [(member_name(members, members.members[kid].party), keys[kid]) for kid in sorted(keys)]
        logs = [public for publics in keys.values() for public in publics] if args.logs else []
        try:
            text = policy_text(mesh.mesh_id, listed, args.quorum, logs=logs)
        except LocalError as error:
            raise usage(error.message, "quorum") from None
        return TrustPolicy(
            mesh.mesh_id.hex(), len(listed), args.quorum, hashlib.sha256(text.encode()).hexdigest(), text
        )

    return await mesh.engine.read(look)
