"""Operations on meshes: make one, list them, look at one, leave one.

How it works
    A new mesh is a mesh of one: its founder's device key is made, the genesis signed with the root key, and the first
    entries registered, before the mesh is there at all (node/mesh.py).

What it does not do
    Joining is `join`, inviting is `invite`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from ledger.errors import LocalError
from ledger.governance.epoch import Policy, make_genesis
from node.naming import moment
from node.operation import Args, Nothing, Result, operation, said

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node

ROOT_KEY = "The root key's file, if it was moved away from this node."
ROOT_PASSPHRASE = "Passphrase of that root key."
WHICH = "Which mesh: its name here, or the beginning of its id. Not needed if there is one."


class CreateArgs(Args, frozen=True):
    """The new mesh and its policy, which its founders choose and which no vote exists yet to change."""

    name: Annotated[str, said("What the mesh is called, for all.", positional=True)]
    local_name: Annotated[str, said("What it is called on this node: small letters, digits, hyphens.")] = ""
    tick_seconds: Annotated[int, said("Seconds between two ticks, at which all compute one state.")] = 300
    heartbeat_seconds: Annotated[int, said("Seconds between two signs of life of each member.")] = 60
    max_staleness_seconds: Annotated[int, said("How old a gate's knowledge may be before it refuses.")] = 600
    consent_days_max: Annotated[int, said("The longest a consent may last, in days.")] = 1_096
    invitations_a_day: Annotated[int, said("How many members each may admit in a day.")] = 10
    attestation_quorum: Annotated[int, said("How many members' attestations a proof carries.")] = 1
    forbidden_purposes: Annotated[tuple[str, ...], said("A purpose for which nobody may ask for data.")] = ()
    root_key: Annotated[bytes | None, said(ROOT_KEY, content=True)] = None
    root_passphrase: Annotated[str | None, said(ROOT_PASSPHRASE, secret=True, beside="root_key")] = None


class MeshRow(Result, frozen=True):
    """A mesh of this node."""

    name: Annotated[str, said("Its name here.")]
    mesh_id: Annotated[str, said("Its id: the hash of its genesis.")]
    title: Annotated[str, said("What it is called for all.")]
    state: Annotated[str, said("Ours in it: member, joining, left, or restored (from a backup; not run).")]
    members: Annotated[int, said("How many members it has, as far as we know.")] = 0
    connected: Annotated[int, said("To how many members' devices a channel is up.")] = 0


class Meshes(Result, frozen=True):
    """The meshes of this node."""

    meshes: Annotated[tuple[MeshRow, ...], said("Each mesh.")]


class MeshArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH, positional=True)] = ""


class PolicyRow(Result, frozen=True):
    """The policy in force."""

    frame: Annotated[str, said("How it is governed: none, weak, strong.")]
    tick_seconds: Annotated[int, said("Seconds between two ticks.")]
    heartbeat_seconds: Annotated[int, said("Seconds between two signs of life.")]
    max_staleness_seconds: Annotated[int, said("How old a gate's knowledge may be.")]
    consent_days_max: Annotated[int, said("The longest a consent may last, in days.")]
    invitations_a_day: Annotated[int, said("How many members each may admit in a day.")]
    attestation_quorum: Annotated[int, said("How many attestations a proof carries.")]
    forbidden_purposes: Annotated[tuple[str, ...], said("Purposes for which nobody may ask for data.")]


class MeshShown(Result, frozen=True):
    """One mesh."""

    mesh: Annotated[MeshRow, said("Its row in `mesh list`.")]
    founded: Annotated[datetime, said("When its genesis was signed.")]
    own_id: Annotated[str, said("Our id in it: the root key's id in hexadecimal.")]
    incarnation: Annotated[int, said("Which of our memberships this is; counts from 1.")]
    device: Annotated[str, said("Our device, which is also our feed.")]
    policy: Annotated[PolicyRow, said("The policy in force.")]
    path: Annotated[str, said("Where it is on disk.")]


class LeaveArgs(Args, frozen=True):
    """Which mesh, and why."""

    mesh: Annotated[str, said(WHICH, positional=True)] = ""
    reason: Annotated[Annotated[str, Meta(max_length=500)], said("A word to the others; all will read it.")] = ""


class Left(Result, frozen=True):
    """The mesh that was left."""

    name: Annotated[str, said("Its name here. What it holds stays on disk.")]
    entry: Annotated[str, said("Id of the entry by which we left.")]


def mesh_row(node: Node, name: str) -> MeshRow:
    """Return the row of one running mesh."""
    mesh = node.meshes[name]
    members = mesh.core.replica.members
    own = members.members.get(mesh.core.party[0])
    listed = [member for member in members.members.values() if member.state == "member"]
    connected = [kid for kid in mesh.engine.connected if mesh.core.is_member_device(kid)]
    genesis = mesh.core.replica.genesis
    state = own.state if own is not None and own.party == mesh.core.party else "joining"
    return MeshRow(name, mesh.mesh_id.hex(), genesis.name, state, len(listed), len(connected))


@operation("mesh", "create", permission="admin")
async def mesh_create(node: Node, args: CreateArgs) -> MeshRow:
    """Make a mesh, with this node as its only member. Others are then invited."""
    from node.config import check_name
    from node.keystore import device_name
    from node.mesh import local_name

    root = node.root_key(args.root_key, args.root_passphrase)
    name = args.local_name or local_name(args.name, lambda n: n in node.meshes or node.keys.has(device_name(n)))
    check_name(name, "local_name")
    if node.home.mesh(name).exists():
        raise LocalError("MESH_EXISTS", f"There is a mesh {name!r} here; choose another --local-name.")
    names = [field for field in Policy.__dataclass_fields__ if hasattr(args, field)]
    policy = Policy(**{field: getattr(args, field) for field in names})
    node.keys.remove(device_name(name))  # left by a making that did not end
    device = node.keys.new_device(name)
    random16 = node.random_bytes(16)
    founders = [(root.public, device.public)]
    genesis = make_genesis(root, args.name, founders, policy, now=node.now, random16=random16)
    await node.found_mesh(name, genesis, root, device)
    return mesh_row(node, name)


@operation("mesh", "list", permission="read")
async def mesh_list(node: Node, args: Nothing) -> Meshes:  # noqa: ARG001 - an operation without arguments
    """List the meshes of this node."""
    rows = [mesh_row(node, name) for name in sorted(node.meshes)]
    rows += [MeshRow(name, "", "", code.lower()) for name, code in sorted(node.waiting.items())]
    return Meshes(tuple(rows))


@operation("mesh", "show", permission="read")
async def mesh_show(node: Node, args: MeshArgs) -> MeshShown:
    """Show a mesh: what it is, its policy, who we are in it."""
    mesh = node.mesh(args.mesh)
    genesis, (kid, incarnation) = mesh.core.replica.genesis, mesh.core.party
    values = {name: getattr(genesis.policy, name) for name in PolicyRow.__struct_fields__}
    return MeshShown(
        mesh_row(node, mesh.name),
        moment(genesis.entry.iat),
        kid.hex(),
        incarnation,
        mesh.core.device.kid.hex(),
        PolicyRow(**values),
        str(mesh.path),
    )


@operation("mesh", "leave", permission="admin", confirm="Leave the mesh? All its links end, and data stops flowing.")
async def mesh_leave(node: Node, args: LeaveArgs) -> Left:
    """Leave a mesh. Every member will know; consents that name us end their effect.

    Coming back, with `maille join` and another ticket, is a new membership: nothing of this one revives.
    """
    mesh = node.mesh(args.mesh)

    def leave(turn: Turn) -> str:
        if not turn.core.replica.members.is_member(turn.core.party):
            raise LocalError("NOT_A_MEMBER", "This node is no member of the mesh; there is nothing to leave.")
        if turn.core.sealing is not None:
            turn.core.sealing.check_leave(turn)
        payload = {"reason": args.reason} if args.reason else {}
        return turn.state("member.leave", ("member", turn.core.party[0]), payload).id.hex()

    return Left(mesh.name, await mesh.engine.act(leave))
