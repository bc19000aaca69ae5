"""The operation `join`: apply for membership with a ticket, and take the mesh in.

How it works
    The device key is made and kept first, so that an application that was interrupted can be made again with the same
    ticket. Once the member answered ADMITTED or PENDING, the mesh is made on disk with its genesis alone; the ledger
    comes by gossip. A pending one is dialed until its member has approved.

    A mesh that this node has left is joined anew with another ticket: as a new incarnation, with a fresh device. What
    it held stays; links, consents and hosting name the incarnation that has ended, and none of them revives. The same
    command asks again where an application still waits, or was denied.

What it does not do
    It does not wait for the ledger: `node status` shows how far it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from ledger.errors import LocalError
from node.operation import Args, Result, operation, said
from node.ops.mesh import ROOT_KEY, ROOT_PASSPHRASE

if TYPE_CHECKING:
    from ledger.keys import SigningKey
    from node.daemon import Node
    from node.joining import Claim, Outcome
    from node.mesh import Mesh
    from node.tickets import Ticket


VISITS_MAX: Final = 5
"""How often an application is tried while other channels of the same device take its place."""
_REFUSED: Final = {
    "TICKET_EXPIRED": "This ticket has expired; ask for another.",
    "TICKET_NOT_YOURS": "This ticket was made for another node's key: send the member yours (`maille key show root`), "
    "and ask for a ticket of your own.",
    "TICKET_UNKNOWN": "The member did not make this ticket, or has revoked it; ask for another.",
    "TICKET_USED": "Another node came in with this ticket, which lets one in; ask for a ticket of your own.",
}
"""Code of a refusal by the member -> what it means here."""


class JoinArgs(Args, frozen=True):
    """The ticket, and what the mesh is called here."""

    ticket: Annotated[str, said("The ticket.", positional=True, content=True)]
    local_name: Annotated[str, said("What the mesh is called on this node. Default: as it calls itself.")] = ""
    incarnation: Annotated[
        Annotated[int, Meta(ge=0, le=2**31)],
        said("Which membership of this root key it will be, where this node does not know. Default: as known, else 1."),
    ] = 0
    accept_charter: Annotated[
        str, said("The version of the charter that we have read and accept, where the rules ask for one.")
    ] = ""
    college: Annotated[Annotated[str, Meta(max_length=100)], said("The college we vote in, where there are any.")] = ""
    root_key: Annotated[bytes | None, said(ROOT_KEY, content=True)] = None
    root_passphrase: Annotated[str | None, said(ROOT_PASSPHRASE, secret=True, beside="root_key")] = None


class Joined(Result, frozen=True):
    """What the member answered."""

    name: Annotated[str, said("The mesh's name here.")]
    mesh_id: Annotated[str, said("Its id.")]
    title: Annotated[str, said("What it is called for all.")]
    answer: Annotated[
        str,
        said("ADMITTED; PENDING until the rules hold for us (a member approves, others endorse); FOUNDER: accepted."),
    ]
    fingerprint: Annotated[str, said("Of our root key: what that member will ask for.")]


@operation(None, "join", permission="admin")
async def join(node: Node, args: JoinArgs) -> Joined:
    """Join a mesh with a ticket: given as text, in a file, or on standard input (-). Also one that was left."""
    from node.config import check_name
    from node.joining import FOUNDER, Claim
    from node.keystore import device_name
    from node.mesh import Standing, local_name, make_mesh
    from node.rules_text import version_of
    from node.tickets import Ticket

    ticket = Ticket.parse(args.ticket)
    root = node.root_key(args.root_key, args.root_passphrase)
    charter = version_of(args.accept_charter, "accept_charter") if args.accept_charter else b""
    claim = Claim(charter, args.college)
    held = next((mesh for mesh in node.meshes.values() if mesh.mesh_id == ticket.mesh_id), None)
    if held is not None:
        return await rejoin(node, held, ticket, root, args.incarnation, claim)
    if args.local_name and node.home.mesh(check_name(args.local_name, "local_name")).exists():
        raise LocalError("MESH_EXISTS", f"There is a mesh {args.local_name!r} here.", field="local_name")
    young, incarnation = f"joining-{ticket.mesh_id.hex()[:16]}", args.incarnation or 1
    outcome = await _apply(node, ticket, root, young, incarnation, claim)
    if outcome.code == FOUNDER:
        return await _accept(node, ticket, root, outcome, young, args.local_name)
    name = args.local_name or local_name(outcome.genesis.name, lambda n: n in node.meshes or node.home.mesh(n).exists())
    node.keys.rename(device_name(young), device_name(name))
    standing = Standing(root.kid.hex(), incarnation, ticket.mesh_id.hex(), ticket.device.hex(), ticket.addresses)
    make_mesh(node.home.mesh(name), standing, outcome.genesis, node.making(), None)
    await node.add_mesh(name)
    await _pin(node, name, outcome)
    return _joined(name, outcome, root)


async def _pin(node: Node, name: str, outcome: Outcome) -> None:
    """Follow the branch that whoever invited us follows, should there ever be rivals."""
    mesh = node.meshes[name]
    if outcome.epoch != mesh.mesh_id:
        await mesh.engine.act(lambda turn: turn.vouch(outcome.epoch))


async def _accept(
    node: Node, ticket: Ticket, root: SigningKey, outcome: Outcome, young: str, local_name_asked: str
) -> Joined:
    """Take our place among the founders: with the device that `mesh prepare` made and the genesis lists."""
    from node.keystore import device_name
    from node.mesh import Standing, local_name, make_mesh
    from node.ops.mesh import PREPARED

    genesis = outcome.genesis
    node.keys.remove(device_name(young))
    listed = dict(genesis.founders)[root.public]
    prefix = device_name(PREPARED)
    prepared = [key for key in node.keys.names() if key.startswith(prefix)]
    found = [key for key in prepared if node.keys.signing(key).public == listed]
    if not found:
        told = (
            "The genesis lists us as a founder, with a device that this node has not: `maille mesh prepare` made it "
            "elsewhere, or it was lost. If we were a member before, come back with --incarnation 2, or what is next."
        )
        raise LocalError("KEY_MISSING", told, field="ticket")
    device = node.keys.signing(found[0])
    asked = local_name_asked or found[0].removeprefix(prefix)
    name = local_name(asked, lambda n: n in node.meshes or node.home.mesh(n).exists())
    standing = Standing(root.kid.hex(), 1, ticket.mesh_id.hex(), ticket.device.hex(), ticket.addresses)
    node.keys.rename(found[0], device_name(name))
    founding = (root, device, node.config.name)
    make_mesh(node.home.mesh(name), standing, genesis, node.making(), founding)
    await node.add_mesh(name)
    await _pin(node, name, outcome)
    return _joined(name, outcome, root)


async def rejoin(node: Node, mesh: Mesh, ticket: Ticket, root: SigningKey, asked: int, claim: Claim) -> Joined:
    """Join a mesh that is here already: anew after having left it, or once more where the application waits.

    With a claim that names a fork: as another incarnation, though the one that forked is still a member.
    """
    from node.mesh import Standing, rejoining

    own = mesh.core.replica.members.members.get(root.kid)
    if root.kid != mesh.core.party[0]:
        raise LocalError("KEY_WRONG", "This is not the root key with which the mesh was joined.", field="root_key")
    member = own is not None and own.state == "member" and own.party[1] >= mesh.core.party[1]
    if member and not claim.fork and asked <= mesh.core.party[1]:
        told = (
            f"This node has the mesh already, as {mesh.name!r}. If it was expelled and has not heard of it, come back"
        )
        raise LocalError("MESH_EXISTS", f"{told} with --incarnation {mesh.core.party[1] + 1}.", field="ticket")
    if own is not None and own.party[1] >= mesh.core.party[1]:
        incarnation = max(asked, own.party[1] + 1)
        young = rejoining(mesh.name, incarnation)
    else:
        incarnation, young = mesh.core.party[1], mesh.name
    outcome = await _apply(node, ticket, root, young, incarnation, claim)
    standing = Standing(root.kid.hex(), incarnation, ticket.mesh_id.hex(), ticket.device.hex(), ticket.addresses)
    await node.rejoin_mesh(mesh, standing)
    return _joined(mesh.name, outcome, root)


async def _apply(
    node: Node, ticket: Ticket, root: SigningKey, device_of: str, incarnation: int, claim: Claim
) -> Outcome:
    """Apply with the device key of that name, which is made if it is not there. Raises LocalError for a refusal."""
    from gossip.handshake import Identity
    from node.admission import ADMITTED, PENDING
    from node.joining import FOUNDER, apply
    from node.keystore import STATIC, device_name

    held = node.keys.has(device_name(device_of))
    device = node.keys.signing(device_name(device_of)) if held else node.keys.new_device(device_of)

    async def visit() -> Outcome:
        return await apply(
            node.network,
            ticket,
            Identity(device, node.keys.secret(STATIC)),
            root,
            name=node.config.name,
            incarnation=incarnation,
            now=node.now,
            random_bytes=node.random_bytes,
            claim=claim,
        )

    for _ in range(VISITS_MAX - 1):
        try:
            outcome = await visit()
            break
        except LocalError as error:  # where the device is in use, the node's own channel may cross ours
            if error.code not in ("REPLACED", "DUPLICATE"):
                raise
    else:
        outcome = await visit()
    if outcome.code in (ADMITTED, PENDING, FOUNDER):
        return outcome
    told = _REFUSED.get(outcome.code, "The member refused the application; ask who gave you the ticket.")
    if outcome.code == "APPLICATION_WRONG":
        told += " If this root key was a member before, apply with --incarnation 2, or the number that comes next."
    raise LocalError(outcome.code, told)


def _joined(name: str, outcome: Outcome, root: SigningKey) -> Joined:
    from node.ops.key import fingerprint

    genesis = outcome.genesis
    return Joined(name, genesis.mesh_id.hex(), genesis.name, outcome.code, fingerprint(root.public))
