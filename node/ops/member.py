"""Operations on the members of a mesh: who is in, as of any epoch, and since which entries.

How it works
    It shows what the fold of the governance entries says (ledger/governance/members.py): the registry is a view of the
    ledger, and the ledger has all its past. What lets somebody in, or back, is in `member_acts`.

What it does not do
    Nobody is expelled here: `proposal expel` opens the ballot.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from ledger.governance.members import Member
from ledger.governance.roster import UNBOUNDED
from ledger.keys import did_key
from node.naming import find_member, member_name
from node.operation import Args, Result, operation, said
from node.ops.device import DeviceRow, device_row
from node.ops.link import MEMBER
from node.ops.member_acts import member_credential, member_repair, member_sponsor, registered
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.governance.members import Members
    from ledger.governance.state import Base
    from node.core import Turn
    from node.daemon import Node
    from node.governing import Scene
    from node.mesh import Mesh

__all__ = ("member_credential", "member_repair", "member_row", "member_sponsor", "registered")

EPOCH = "As of this epoch: its number, or the beginning of its reference. Default: now."


class MembersArgs(Args, frozen=True):
    """Which mesh, and when."""

    epoch: Annotated[str, said(EPOCH)] = ""
    applicants: Annotated[bool, said("Those too whose application is in the ledger, and does not let them in yet.")] = (
        False
    )
    mesh: Annotated[str, said(WHICH)] = ""


class MemberRow(Result, frozen=True):
    """A member of the mesh."""

    name: Annotated[str, said("As it calls itself.")]
    id: Annotated[str, said("The id of its root key.")]
    did: Annotated[str, said("The did:key of its root key.")]
    incarnation: Annotated[int, said("Which of its memberships this is.")]
    state: Annotated[str, said("member, suspended, left, expelled, revoked (its credential was), or applicant.")]
    founder: Annotated[bool, said("Whether it founded the mesh.")]
    own: Annotated[bool, said("Whether it is this node.")]
    connected: Annotated[bool, said("Whether a channel to one of its devices is up.")]
    devices: Annotated[tuple[str, ...], said("Its devices, which are its feeds.")]
    decided_by: Annotated[tuple[str, ...], said("Ids of the entries that made it so.")]
    voter: Annotated[bool, said("Whether it votes.")] = False


class MemberRows(Result, frozen=True):
    """The members of a mesh."""

    members: Annotated[tuple[MemberRow, ...], said("Each member, also those who left.")]
    epoch: Annotated[int, said("Number of the epoch: of the one that was asked for, else of the newest.")] = 0


class MemberArgs(Args, frozen=True):
    """Which member."""

    member: Annotated[str, said(MEMBER, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class MemberShown(Result, frozen=True):
    """All that the ledger says of a member."""

    member: Annotated[MemberRow, said("Its row in `member list`.")]
    since: Annotated[int, said("Number of the epoch under which it came in.")]
    college: Annotated[str, said("The college that it votes in, if any.")]
    application: Annotated[str, said("Id of its application; empty for a founder.")]
    endorsed_by: Annotated[tuple[str, ...], said("Who endorses it: what makes a member a voter.")]
    to_vote: Annotated[int, said("How many voters must endorse it, before a seal gives it a vote.")]
    serials: Annotated[tuple[str, ...], said("Serials of the credentials that let it in.")]
    devices: Annotated[tuple[DeviceRow, ...], said("Its devices.")]


class ExportArgs(Args, frozen=True):
    """When."""

    epoch: Annotated[str, said(EPOCH)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class AllowList(Result, frozen=True):
    """The members as a file."""

    members: Annotated[int, said("How many members it lists.")]
    file: Annotated[str, said("The allow-list: JSON.", content=True)]


def member_row(mesh: Mesh, member: Member) -> MemberRow:
    """Return the row of a member."""
    # A channel of the expelled is a stranger's: it may ask for admission, and is no connection to a member.
    connected = {kid for kid in mesh.engine.connected if mesh.core.is_member_device(kid)} & set(member.feeds)
    founders = {root for root, _ in mesh.core.replica.genesis.founders}
    return MemberRow(
        member.name,
        member.party[0].hex(),
        did_key(member.root_public),
        member.party[1],
        member.state,
        member.root_public in founders and member.party[1] == 1,
        member.party == mesh.core.party,
        bool(connected),
        tuple(feed.hex() for feed in member.feeds),
        tuple(entry.hex() for entry in member.decided_by),
        member.voter,
    )


def _line(row: MemberRow) -> str:
    marked = (("this node", row.own), ("founder", row.founder), ("voter", row.voter), ("connected", row.connected))
    marks = ", ".join(word for word, on in marked if on)
    return f"{row.name or 'unnamed':<20} {row.state:<9} {row.id[:12]}  {row.did}{f' ({marks})' if marks else ''}"


def _applicants(scene: Scene) -> list[MemberRow]:
    from node.governing import applications

    return [
        MemberRow(
            entry.payload.get("name", ""),
            entry.kid.hex(),
            did_key(entry.signer),
            entry.payload["incarnation"],
            "applicant",
            founder=False,
            own=entry.kid == scene.turn.core.party[0],
            connected=False,
            devices=(entry.payload["device"].hex(),),
            decided_by=(entry.id.hex(), *(i.hex() for i in scene.folded.growth.verdicts[entry.id].ids)),
        )
        for entry in applications(scene)
    ]


def _as_of(scene: Scene, text: str) -> tuple[Members, Base]:
    base = scene.epoch(text)
    return (scene.members_at(base) if text else scene.members), base


@operation(
    "member", "list", permission="read", render=lambda found: "\n".join(map(_line, found.members)) or "No member yet."
)
async def member_list(node: Node, args: MembersArgs) -> MemberRows:
    """List the members of a mesh and those who are out again, now or as of any epoch."""
    from node.governing import Scene

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> MemberRows:
        scene = Scene(turn)
        members, base = _as_of(scene, args.epoch)
        rows = [member_row(mesh, member) for _, member in sorted(members.members.items())]
        return MemberRows((*rows, *(_applicants(scene) if args.applicants else ())), base.n)

    return await mesh.engine.read(look)


@operation("member", "show", permission="read")
async def member_show(node: Node, args: MemberArgs) -> MemberShown:
    """Show a member: since when, by whose word, its devices, and what it lacks for a vote."""
    from ledger.governance.rules import endorsements_for_voter
    from node.governing import Scene

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> MemberShown:
        scene = Scene(turn)
        member = find_member(scene.members, args.member)
        found = scene.base.found[member.party]
        endorsers = {by for by, _ in scene.base.endorsements.get(found.application, ())}
        devices = [each for each in scene.members.devices.values() if each.party == member.party]
        return MemberShown(
            member_row(mesh, member),
            found.since,
            found.college,
            found.application.hex(),
            tuple(sorted(member_name(scene.members, by) for by in endorsers)),
            endorsements_for_voter(len(scene.tip.voters)),
            tuple(serial.hex() for serial in found.serials),
            tuple(device_row(mesh, device) for device in devices),
        )

    return await mesh.engine.read(look)


@operation("member", "export", permission="read")
async def member_export(node: Node, args: ExportArgs) -> AllowList:
    """Write the members as an allow-list (JSON), now or as of any epoch: for systems that want a registry."""
    from node.governing import Scene

    mesh = node.mesh(args.mesh)

    def look(turn: Turn) -> AllowList:
        members, base = _as_of(Scene(turn), args.epoch)
        listed = [_exported(members, member) for _, member in sorted(members.members.items())]
        epoch = {"n": base.n, "reference": base.reference.hex(), "as_of": base.as_of}
        form = {"mesh": mesh.mesh_id.hex(), "epoch": epoch, "members": listed}
        return AllowList(len(listed), json.dumps(form, indent=2, ensure_ascii=False) + "\n")

    return await mesh.engine.read(look)


def _exported(members: Members, member: Member) -> dict[str, Any]:
    """Return one member as an allow-list has it: `counts` null where a device's feed counts without end."""
    devices = [
        {
            "did": did_key(device.public),
            "speaks": members.speaks(device.feed),
            "counts": None if device.reach == UNBOUNDED else device.reach,
        }
        for device in members.devices.values()
        if device.party == member.party
    ]
    return {
        "did": did_key(member.root_public),
        "name": member.name,
        "incarnation": member.party[1],
        "state": member.state,
        "voter": member.voter,
        "devices": devices,
        "decided_by": [entry.hex() for entry in member.decided_by],
    }
