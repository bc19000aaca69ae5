"""Operations on peers: the devices this node talks to, and why it does not.

How it works
    A peer is a member's device. The network knows the channels that are up and how the last attempt to dial failed;
    the ledger knows who is a member; address cards say where a device was last reachable.

What it does not do
    A peer without a channel is no less a member: liveness never changes membership.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import trio

from node.naming import device_owner, find_member, moment
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.mesh import Mesh

_OUT: Final = {
    "left": "It left the mesh; nobody talks to it any more.",
    "expelled": "It was expelled; members have ended their channels to it.",
}


class PeersArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class PeerRow(Result, frozen=True):
    """A device of another member."""

    member: Annotated[str, said("Whose device it is.")]
    device: Annotated[str, said("The device's id, which is also its feed.")]
    state: Annotated[str, said("connected, or unreachable with the reason in `why`.")]
    address: Annotated[str, said("Where the channel leads, or where the device was last announced.")]
    dialed: Annotated[bool, said("Whether we dialed, and not it.")]
    since_seconds: Annotated[int, said("How long the channel is up.")]
    bytes_in: Annotated[int, said("Received over this channel.")]
    bytes_out: Annotated[int, said("Sent over this channel.")]
    head_time: Annotated[datetime | None, said("The time of its newest checkpoint that we hold.")]
    why: Annotated[str, said("Why there is no channel, as far as it is known.")]


class Peers(Result, frozen=True):
    """The peers in a mesh."""

    peers: Annotated[tuple[PeerRow, ...], said("Each device of the other members.")]


class WhyArgs(Args, frozen=True):
    """Which member."""

    member: Annotated[str, said("Its name, did:key, or the beginning of its id.", positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class Why(Result, frozen=True):
    """Why a member is connected or not, and what to do."""

    member: Annotated[str, said("Its name.")]
    state: Annotated[str, said("connected, unreachable, or why it is out: left, expelled.")]
    reason: Annotated[str, said("In a sentence.")]
    advice: Annotated[str, said("What to do about it.")]
    peers: Annotated[tuple[PeerRow, ...], said("Its devices.")]


def peer_rows(node: Node, mesh: Mesh, turn: Turn) -> list[PeerRow]:
    """Return a row for each device of the other members, connected ones first."""
    members = mesh.core.replica.members
    rows = []
    for device in members.devices.values():
        if device.party == mesh.core.party or not mesh.core.is_member_device(device.feed):
            continue
        peering = node.net.peerings.get((mesh.mesh_id, device.feed))
        card = turn.core.directory.card(turn.rows, device.feed)
        head = mesh.core.replica.signed_head(device.feed)
        known = peering.address if peering else ", ".join(card.addresses if card else ())
        why = "" if peering else node.net.failures.get((mesh.mesh_id, device.feed), "")
        if not peering and not why:
            why = "not dialed yet" if known else "no address is known; it has to dial us"
        rows.append(
            PeerRow(
                device_owner(members, device.feed),
                device.feed.hex(),
                "connected" if peering else "unreachable",
                known,
                bool(peering and peering.dialed),
                round(trio.current_time() - peering.since) if peering else 0,
                peering.bytes_in if peering else 0,
                peering.bytes_out if peering else 0,
                moment(head.time) if head else None,
                why,
            )
        )
    return sorted(rows, key=lambda row: (row.state, row.member))


@operation("peers", "list", permission="read")
async def peers_list(node: Node, args: PeersArgs) -> Peers:
    """List the other members' devices: connected or not, and why not."""
    mesh = node.mesh(args.mesh)
    return Peers(tuple(await mesh.engine.read(lambda turn: peer_rows(node, mesh, turn))))


@operation("peers", "why", permission="read")
async def peers_why(node: Node, args: WhyArgs) -> Why:
    """Say why a member is not connected, and what can be done."""
    mesh = node.mesh(args.mesh)
    member = find_member(mesh.core.replica.members, args.member)
    rows = await mesh.engine.read(lambda turn: peer_rows(node, mesh, turn))
    own = tuple(row for row in rows if row.device in {feed.hex() for feed in member.feeds})
    if member.party == mesh.core.party:
        return Why(member.name, "connected", "This is the node itself.", "Nothing.", own)
    if member.state in _OUT:
        return Why(member.name, member.state, _OUT[member.state], "If it should be in, invite it anew.", own)
    if any(row.state == "connected" for row in own):
        return Why(member.name, "connected", "A channel is up.", "Nothing.", own)
    reasons = "; ".join(row.why for row in own) or "none of its devices is known"
    advice = "Ask its operator whether the node runs; see its `listen` and `advertise` in config.toml, and firewalls."
    return Why(member.name, "unreachable", f"No channel: {reasons}.", advice, own)
