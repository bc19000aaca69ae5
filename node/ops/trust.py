"""Operations on trust: the card that a member hands an auditor, who compares its fingerprint by telephone.

How it works
    The card holds the mesh's genesis, its newest epoch, and a quorum policy as C2SP `tlog-policy` text over the devices
    of the voters. `maille proof verify --card` takes it. Its fingerprint is twenty characters, to be read out.

What it does not do
    A card proves nothing by itself: it is as good as the channel by which its fingerprint was compared.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from node.exits import usage
from node.naming import moment
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


@operation("trust", "export", permission="read")
async def trust_export(node: Node, args: TrustExportArgs) -> TrustCard:
    """Write the card for an auditor: genesis, newest epoch, a quorum policy over the voters' devices, a fingerprint."""
    from ledger.checkpoint import origin, vkey
    from ledger.keys import thumbprint
    from proofs.trust import Card

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> TrustCard:
        replica = turn.core.replica
        newest, mesh_id = replica.chain.newest, replica.mesh_id
        publics = [public for _, public in newest.context.voters]
        enough = args.witnesses or (len(publics) + (len(publics) - 1) // 3) // 2 + 1
        if not 1 <= enough <= len(publics):
            raise usage(f"There are {len(publics)} voters.", "witnesses")
        lines = [
            f"witness {at} {vkey(origin(mesh_id, thumbprint(public)), public)}" for at, public in enumerate(publics, 1)
        ]
        named = " ".join(str(at) for at in range(1, len(publics) + 1))
        text = "\n".join([*lines, f"group voters {enough} {named}", "quorum voters", ""])
        name = replica.genesis.name
        card = Card(name, mesh_id, newest.reference, newest.n, newest.as_of, text)
        told = (card.genesis.hex(), card.epoch.hex(), newest.n, moment(newest.as_of), enough, len(publics))
        return TrustCard(name, *told, card.fingerprint(), card.encode())

    return await mesh.engine.read(look)
