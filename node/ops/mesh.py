"""Operations on meshes: make one, list them, look at one, leave one.

How it works
    A new mesh is a mesh of one: its founder's device key is made, the genesis signed with the root key, and the first
    entries registered, before the mesh is there at all (node/mesh.py).

What it does not do
    Joining is `join`, inviting is `invite`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from ledger.errors import LocalError
from ledger.governance.epoch import Policy, make_genesis
from ledger.keys import public_from_did_key
from node.exits import usage
from node.naming import moment
from node.operation import Args, Nothing, Result, operation, said
from node.ops.mesh_describe import mesh_describe

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node

__all__ = ("mesh_describe",)
ROOT_KEY = "The root key's file, if it was moved away from this node."
ROOT_PASSPHRASE = "Passphrase of that root key."
WHICH = "Which mesh: its name here, or the beginning of its id. Not needed if there is one."
FOUNDER = "Another founder, as its `mesh prepare` prints it: ROOT-DID:DEVICE-DID."

PREPARED = "founding-"
"""Stands before the name under which a device key waits for a mesh that others found with us."""


class CreateArgs(Args, frozen=True):
    """The new mesh: its founders, its rules (which votes may change later), its pace (which stays)."""

    name: Annotated[str, said("What the mesh is called, for all.", positional=True)]
    local_name: Annotated[str, said("What it is called on this node: small letters, digits, hyphens.")] = ""
    tick_seconds: Annotated[int, said("Seconds between two ticks, at which all compute one state.")] = 300
    heartbeat_seconds: Annotated[int, said("Seconds between two signs of life of each member.")] = 60
    max_staleness_seconds: Annotated[int, said("How old a gate's knowledge may be before it refuses.")] = 600
    consent_days_max: Annotated[int, said("The longest a consent may last, in days.")] = 1_096
    invitations_a_day: Annotated[int, said("How many members each may admit in a day.")] = 10
    attestation_quorum: Annotated[int, said("How many members' attestations a proof carries.")] = 1
    forbidden_purposes: Annotated[tuple[str, ...], said("A purpose for which nobody may ask for data.")] = ()
    seal_seconds: Annotated[int | None, said("At most one seal in so many seconds; ten minutes if not given.")] = None
    founder: Annotated[tuple[str, ...], said(FOUNDER)] = ()
    frame: Annotated[
        Literal["none", "weak", "strong"],
        said("Who gets in: none (a member's acceptance), weak (a charter too), strong (by credential)."),
    ] = "none"
    charter: Annotated[str, said("The version of the charter that members accept, 64 hexadecimal digits.")] = ""
    authority: Annotated[tuple[str, ...], said("The did:key of an authority whose credentials let in.")] = ()
    sponsors: Annotated[int, said("How many members must endorse, instead of one's acceptance.")] = 0
    rules: Annotated[str | None, said("All rules, as `policy show --json` prints them.", content=True)] = None
    root_key: Annotated[bytes | None, said(ROOT_KEY, content=True)] = None
    root_passphrase: Annotated[str | None, said(ROOT_PASSPHRASE, secret=True, beside="root_key")] = None


class PrepareArgs(Args, frozen=True):
    """For which mesh."""

    name: Annotated[str, said("What the mesh will be called on this node.", positional=True)]
    root_key: Annotated[bytes | None, said(ROOT_KEY, content=True)] = None
    root_passphrase: Annotated[str | None, said(ROOT_PASSPHRASE, secret=True, beside="root_key")] = None


class Prepared(Result, frozen=True):
    """What the founder who makes the mesh needs of us."""

    founder: Annotated[str, said("For its `mesh create --founder`: ROOT-DID:DEVICE-DID.")]
    fingerprint: Annotated[str, said("Of our root key, to compare by voice.")]


class RefoundArgs(Args, frozen=True):
    """From which mesh, and with whom."""

    mesh: Annotated[str, said("The mesh that is lost: its name here, or the beginning of its id.", positional=True)]
    name: Annotated[str, said("What the new mesh is called, for all.", positional=True)]
    founder: Annotated[tuple[str, ...], said(FOUNDER)] = ()
    local_name: Annotated[str, said("What it is called on this node: small letters, digits, hyphens.")] = ""
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
    seal_seconds: Annotated[int | None, said("At most one seal in so many seconds; ten minutes if not given.")] = None


class MeshShown(Result, frozen=True):
    """One mesh."""

    mesh: Annotated[MeshRow, said("Its row in `mesh list`.")]
    founded: Annotated[datetime, said("When its genesis was signed.")]
    own_id: Annotated[str, said("Our id in it: the root key's id in hexadecimal.")]
    incarnation: Annotated[int, said("Which of our memberships this is; counts from 1.")]
    device: Annotated[str, said("Our device, which is also our feed.")]
    policy: Annotated[PolicyRow, said("The policy in force.")]
    path: Annotated[str, said("Where it is on disk.")]
    parent: Annotated[str, said("Id of the mesh that it was founded anew from, if any.")] = ""


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


def _founder(text: str) -> tuple[bytes, bytes]:
    """Read ROOT-DID:DEVICE-DID. Raises LocalError USAGE; RemoteError BAD_DID_KEY."""
    found = re.fullmatch(r"(did:key:z[1-9A-Za-z]+)[:,](did:key:z[1-9A-Za-z]+)", text.strip())
    if not found:
        raise usage(f"{text[:80]!r} is no founder; its own `maille mesh prepare` prints what to write here.", "founder")
    return public_from_did_key(found[1]), public_from_did_key(found[2])


def _policy(args: CreateArgs) -> Policy:
    """Return the policy of a genesis. Raises LocalError USAGE, BAD_POLICY."""
    from dataclasses import replace

    from node.rules_text import framed, rules_of

    names = [field for field in Policy.__dataclass_fields__ if hasattr(args, field) and field not in ("rules", "frame")]
    policy = Policy(**{field: getattr(args, field) for field in names})
    settings = {"invitations_a_day": args.invitations_a_day, "forbidden_purposes": args.forbidden_purposes}
    if args.rules is not None:
        if args.frame != "none" or args.charter or args.authority or args.sponsors:
            raise usage("Give all rules with --rules, or a frame with its options.", "rules")
        rules = rules_of(args.rules)
    elif args.frame == "none" and not (args.charter or args.authority or args.sponsors):
        return policy
    else:
        rules = framed(args.frame, args.charter, args.authority, args.sponsors, settings)
    return replace(policy, frame=rules.frame, rules=rules.encode(), forbidden_purposes=rules.forbidden_purposes)


async def _create(node: Node, args: CreateArgs | RefoundArgs, policy: Policy, parent: bytes | None = None) -> MeshRow:
    from node.config import check_name
    from node.keystore import device_name
    from node.mesh import local_name

    others = [_founder(text) for text in args.founder]
    root = node.root_key(args.root_key, args.root_passphrase)
    name = args.local_name or local_name(args.name, lambda n: n in node.meshes or node.keys.has(device_name(n)))
    check_name(name, "local_name")
    if node.home.mesh(name).exists():
        raise LocalError("MESH_EXISTS", f"There is a mesh {name!r} here; choose another --local-name.")
    node.keys.remove(device_name(name))  # left by a making that did not end
    device = node.keys.new_device(name)
    random16 = node.random_bytes(16)
    founders = [(root.public, device.public), *others]
    genesis = make_genesis(root, args.name, founders, policy, now=node.now, random16=random16, parent=parent)
    await node.found_mesh(name, genesis, root, device)
    return mesh_row(node, name)


@operation("mesh", "create", permission="admin")
async def mesh_create(node: Node, args: CreateArgs) -> MeshRow:
    """Make a mesh, with this node as its founder, or with others at once. More are then invited.

    Other founders run `maille mesh prepare` first; what it prints goes to --founder. They come in with `maille join`
    and any ticket of this mesh, and need nobody's acceptance.
    """
    return await _create(node, args, _policy(args))


@operation("mesh", "prepare", permission="admin", render=lambda found: found.founder)
async def mesh_prepare(node: Node, args: PrepareArgs) -> Prepared:
    """Make our device key for a mesh that somebody else founds with us, and print what that founder needs."""
    from node.config import check_name
    from node.keystore import device_name
    from node.ops.key import fingerprint

    root = node.root_key(args.root_key, args.root_passphrase)
    young = PREPARED + check_name(args.name, "name")
    held = node.keys.has(device_name(young))
    device = node.keys.signing(device_name(young)) if held else node.keys.new_device(young)
    return Prepared(f"{root.did}:{device.did}", fingerprint(root.public))


@operation(
    "mesh", "refound", permission="admin", confirm="Found a new mesh from this one? Everybody must join it anew."
)
async def mesh_refound(node: Node, args: RefoundArgs) -> MeshRow:
    """Found a mesh anew after too many voters were lost: its genesis names the old one as its parent.

    The rules in force and the pace are taken over; the founders are ourselves and whom --founder names. Members and
    consents of the old mesh are not carried over: members join, and people consent again.
    """
    from dataclasses import replace

    old = node.mesh(args.mesh)
    replica = old.core.replica
    rules = replica.chain.newest.rules
    policy = replace(
        replica.genesis.policy,
        frame=rules.frame,
        rules=rules.encode(),
        invitations_a_day=rules.invitations_a_day,
        forbidden_purposes=rules.forbidden_purposes,
    )
    return await _create(node, args, policy, old.mesh_id)


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
    rules = mesh.core.replica.chain.newest.rules
    values = {name: getattr(mesh.core.policy, name) for name in PolicyRow.__struct_fields__}
    values.update(frame=rules.frame, invitations_a_day=rules.invitations_a_day)
    return MeshShown(
        mesh_row(node, mesh.name),
        moment(genesis.entry.iat),
        kid.hex(),
        incarnation,
        mesh.core.device.kid.hex(),
        PolicyRow(**values),
        str(mesh.path),
        genesis.entry.payload.get("parent", b"").hex(),
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
