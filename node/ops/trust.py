"""Operations on trust: the card that a member hands an auditor, and policies that say whose word is enough.

How it works
    The card holds the mesh's genesis, its newest epoch, and a quorum policy as C2SP `tlog-policy` text over the devices
    of the voters. `maille proof verify --card` takes it. Its fingerprint is twenty characters, to be read out.
    `policy` writes such text over all members as they are now, each with the keys of its devices (proofs/policy.py):
    for `maille proof verify --policy`, and for other tools that read cosigned checkpoints.

What it does not do
    A card proves nothing by itself: it is as good as the channel by which its fingerprint was compared. A policy made
    here is our word, and does not say whether K is wise: with n witnesses of which f may lie, K > (n + f) / 2.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from ledger.errors import LocalError
from node.exits import usage
from node.naming import member_name, moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node


class TrustExportArgs(Args, frozen=True):
    """Which mesh, and how many witnesses the policy asks for."""

    mesh: Annotated[str, said(WHICH)] = ""
    witnesses: Annotated[
        int, said("How many voters must have attested. Default: more than (n + f) / 2 of n, f being a third at most.")
    ] = 0


class TrustCard(Result, frozen=True):
    """A trust card."""

    mesh: Annotated[str, said("The mesh's name.")]
    genesis: Annotated[str, said("The mesh's id.")]
    epoch: Annotated[str, said("The newest epoch's hash.")]
    number: Annotated[int, said("The newest epoch's number.")]
    as_of: Annotated[datetime, said("Its time.")]
    witnesses: Annotated[int, said("How many of the voters must have attested.")]
    voters: Annotated[int, said("How many voters there are.")]
    fingerprint: Annotated[str, said("What two people compare by telephone.")]
    card: Annotated[str, said("The card, as JSON text; empty when --to took it.", content=True)]


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


@operation("trust", "export", permission="read")
async def trust_export(node: Node, args: TrustExportArgs) -> TrustCard:
    """Write the card for an auditor: genesis, newest epoch, a quorum policy over the voters' devices, a fingerprint."""
    from proofs.policy import policy_text
    from proofs.trust import Card

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> TrustCard:
        replica = turn.core.replica
        newest, mesh_id = replica.chain.newest, replica.mesh_id
        publics = [public for _, public in newest.context.voters]
        enough = args.witnesses or (len(publics) + (len(publics) - 1) // 3) // 2 + 1
        if not 1 <= enough <= len(publics):
            raise usage(f"There are {len(publics)} voters.", "witnesses")
        text = policy_text(mesh_id, [("voter", [public]) for public in publics], enough)
        name = replica.genesis.name
        card = Card(name, mesh_id, newest.reference, newest.n, newest.as_of, text)
        told = (card.genesis.hex(), card.epoch.hex(), newest.n, moment(newest.as_of), enough, len(publics))
        return TrustCard(name, *told, card.fingerprint(), card.encode())

    return await mesh.engine.read(look)


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
