"""The operation `join`: apply for membership with a ticket, and take the mesh in.

How it works
    The device key is made and kept first, so that an application that was interrupted can be made again with the same
    ticket. Once the member answered ADMITTED or PENDING, the mesh is made on disk with its genesis alone; the ledger
    comes by gossip. A pending one is dialed until its member has approved.

What it does not do
    It does not wait for the ledger: `node status` shows how far it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ledger.errors import LocalError
from node.operation import Args, Result, operation, said
from node.ops.mesh import ROOT_KEY, ROOT_PASSPHRASE

if TYPE_CHECKING:
    from node.daemon import Node


class JoinArgs(Args, frozen=True):
    """The ticket, and what the mesh is called here."""

    ticket: Annotated[str, said("The ticket.", positional=True, content=True)]
    local_name: Annotated[str, said("What the mesh is called on this node. Default: as it calls itself.")] = ""
    root_key: Annotated[bytes | None, said(ROOT_KEY, content=True)] = None
    root_passphrase: Annotated[str | None, said(ROOT_PASSPHRASE, secret=True, beside="root_key")] = None


class Joined(Result, frozen=True):
    """What the member answered."""

    name: Annotated[str, said("The mesh's name here.")]
    mesh_id: Annotated[str, said("Its id.")]
    title: Annotated[str, said("What it is called for all.")]
    answer: Annotated[str, said("ADMITTED, or PENDING until a member has compared fingerprints and approved.")]
    fingerprint: Annotated[str, said("Of our root key: what that member will ask for.")]


@operation(None, "join", permission="admin")
async def join(node: Node, args: JoinArgs) -> Joined:
    """Join a mesh with a ticket: given as text, in a file, or on standard input (-)."""
    from gossip.handshake import Identity
    from node.admission import ADMITTED, PENDING
    from node.config import check_name
    from node.joining import apply
    from node.keystore import STATIC, device_name
    from node.mesh import Standing, local_name, make_mesh
    from node.ops.key import fingerprint
    from node.tickets import Ticket

    ticket = Ticket.parse(args.ticket)
    for mesh in node.meshes.values():
        if mesh.mesh_id == ticket.mesh_id:
            raise LocalError("MESH_EXISTS", f"This node has the mesh already, as {mesh.name!r}.", field="ticket")
    if args.local_name and node.home.mesh(check_name(args.local_name, "local_name")).exists():
        raise LocalError("MESH_EXISTS", f"There is a mesh {args.local_name!r} here.", field="local_name")
    root = node.root_key(args.root_key, args.root_passphrase)
    young = f"joining-{ticket.mesh_id.hex()[:16]}"
    device = node.keys.signing(device_name(young)) if node.keys.has(device_name(young)) else node.keys.new_device(young)
    outcome = await apply(
        node.network,
        ticket,
        Identity(device, node.keys.secret(STATIC)),
        root,
        name=node.config.name,
        incarnation=1,
        now=node.now,
        random_bytes=node.random_bytes,
    )
    if outcome.code not in (ADMITTED, PENDING):
        raise LocalError(outcome.code, "The member refused the application; ask who gave you the ticket.")
    name = args.local_name or local_name(outcome.genesis.name, lambda n: n in node.meshes or node.home.mesh(n).exists())
    node.keys.rename(device_name(young), device_name(name))
    standing = Standing(root.kid.hex(), 1, ticket.mesh_id.hex(), ticket.device.hex(), ticket.addresses)
    make_mesh(node.home.mesh(name), standing, outcome.genesis, node.making(), None)
    await node.add_mesh(name)
    return Joined(name, ticket.mesh_id.hex(), outcome.genesis.name, outcome.code, fingerprint(root.public))
