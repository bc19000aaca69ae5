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
from node.saying import Pair, Value, beside, english, french, french_of

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.mesh import Mesh

_WORDS: Final[dict[str, Pair]] = {
    "up": ("", ""),
    "failed": ("{error}", "{error}"),
    "not dialed": ("not dialed yet", "pas encore appelé"),
    "no address": ("no address is known; it has to dial us", "aucune adresse n’est connue ; c’est à lui d’appeler"),
    "no device": ("none of its devices is known", "aucun de ses appareils n’est connu"),
}
"""Why there is no channel to a device."""
_SELF: Final[Pair] = ("This is the node itself.", "C’est ce nœud lui-même.")
_UP: Final[Pair] = ("A channel is up.", "Un canal est ouvert.")
_DOWN: Final[Pair] = ("No channel: {reasons}.", "Aucun canal : {reasons}.")
_OUT: Final[dict[str, Pair]] = {
    "left": (
        "It left the mesh; nobody talks to it any more.",
        "Il a quitté la maille ; plus personne ne lui parle.",
    ),
    "expelled": (
        "It was expelled; members have ended their channels to it.",
        "Il a été exclu ; les membres ont fermé leurs canaux vers lui.",
    ),
}
_NOTHING: Final[Pair] = ("Nothing.", "Rien.")
_INVITE: Final[Pair] = ("If it should be in, invite it anew.", "S’il doit en être, invitez-le à nouveau.")
_ASK: Final[Pair] = (
    "Ask its operator whether the node runs; see its `listen` and `advertise` in config.toml, and firewalls.",
    "Demandez à son opérateur si le nœud tourne ; voyez ses `listen` et `advertise` dans config.toml, et les pare-feu.",
)


class PeersArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class PeerRow(Result, frozen=True, dict=True):
    """A device of another member. It keeps the reason in French too (node/saying.py)."""

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


class Why(Result, frozen=True, dict=True):
    """Why a member is connected or not, and what to do; in French too (node/saying.py)."""

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
        failure = node.net.failures.get((mesh.mesh_id, device.feed), "")
        why = _WORDS["up" if peering else "failed" if failure else "not dialed" if known else "no address"]
        row = PeerRow(
            device_owner(members, device.feed),
            device.feed.hex(),
            "connected" if peering else "unreachable",
            known,
            bool(peering and peering.dialed),
            round(trio.current_time() - peering.since) if peering else 0,
            peering.bytes_in if peering else 0,
            peering.bytes_out if peering else 0,
            moment(head.time) if head else None,
            english(why, {"error": failure}),
        )
        rows.append(beside(row, why=french(why, {"error": failure})))
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
        return _why(member.name, "connected", _SELF, _NOTHING, own)
    if member.state in _OUT:
        return _why(member.name, member.state, _OUT[member.state], _INVITE, own)
    if any(row.state == "connected" for row in own):
        return _why(member.name, "connected", _UP, _NOTHING, own)
    unknown = _WORDS["no device"]
    told = "; ".join(row.why for row in own) or unknown[0]
    others = [found for row in own if (found := french_of(row, "why"))] or [french(unknown, {})]
    return _why(member.name, "unreachable", _DOWN, _ASK, own, reasons=(told, others))


def _why(member: str, state: str, reason: Pair, advice: Pair, rows: tuple[PeerRow, ...], **values: Value) -> Why:
    why = Why(member, state, english(reason, values), english(advice, {}), rows)
    return beside(why, reason=french(reason, values), advice=french(advice, {}))
