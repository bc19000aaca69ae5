"""Operations that let a member in, or back: endorse, sign a credential, repair after a fork (nouns of `member`).

How it works
    An endorsement is an entry that counts where the rules ask for sponsors, and among those that make a member a
    voter: a seal gives a vote to whom a third of the voters, and one more, endorse. A credential is signed with the
    key of an authority that the rules list, and registered by any member. After a proven fork of our own feed a member
    registers our application for another incarnation (`member.repair`).

What it does not do
    Coming back after having left, or after an expulsion, is `maille join` with another ticket.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.keys import SigningKey
from ledger.schema import DAY
from node.exits import not_found, usage
from node.naming import DID_KEY, find_member, moment, root_kid
from node.operation import Args, Result, operation, said
from node.ops.invite import admission
from node.ops.join import Joined, rejoin
from node.ops.mesh import ROOT_KEY, ROOT_PASSPHRASE, WHICH
from node.stating import statement

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.governing import Scene
    from node.mesh import Mesh

SERIAL_BYTES = 8


class SponsorArgs(Args, frozen=True):
    """Whom to endorse."""

    who: Annotated[
        str,
        said(
            "A request that waits here, an application in the ledger, or a member: id, name or did:key.",
            positional=True,
        ),
    ]
    mesh: Annotated[str, said(WHICH)] = ""


class Endorsed(Result, frozen=True):
    """The endorsement and what it comes to."""

    entry: Annotated[str, said("Id of the entry.")]
    application: Annotated[str, said("Id of the application.")]
    member: Annotated[bool, said("Whether the applicant is a member now.")]
    voter: Annotated[bool, said("Whether it is a voter.")]
    endorsed_by: Annotated[int, said("How many voters endorse it.")]
    to_vote: Annotated[int, said("How many must, before a seal gives it a vote.")]


class CredentialArgs(Args, frozen=True):
    """For whom, by which authority."""

    who: Annotated[
        str, said("The did:key of the holder's root key, or an applicant's or a member's name.", positional=True)
    ]
    authority_key: Annotated[bytes, said("The authority's key file, as `maille key authority` makes it.", content=True)]
    authority_passphrase: Annotated[str | None, said("Its passphrase.", secret=True, beside="authority_key")] = None
    days: Annotated[Annotated[int, Meta(ge=1, le=3_660)], said("How long it is good, from now on.")] = 365
    serial: Annotated[
        str, said("By which it can be revoked: up to 16 bytes in hexadecimal. Default: a random one.")
    ] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class Credited(Result, frozen=True):
    """A credential that was registered."""

    entry: Annotated[str, said("Id of the entry.")]
    authority: Annotated[str, said("The did:key of the authority.")]
    holder: Annotated[str, said("Id of the holder's root key.")]
    serial: Annotated[str, said("By which it can be revoked: `maille policy propose --revoke SERIAL`.")]
    until: Annotated[datetime, said("Until when it is good.")]
    member: Annotated[bool, said("Whether the holder is a member now.")]


class RepairArgs(Args, frozen=True):
    """With whose ticket."""

    ticket: Annotated[str, said("A ticket of a member.", positional=True, content=True)]
    accept_charter: Annotated[str, said("The version of the charter that we accept, if one is asked.")] = ""
    root_key: Annotated[bytes | None, said(ROOT_KEY, content=True)] = None
    root_passphrase: Annotated[str | None, said(ROOT_PASSPHRASE, secret=True, beside="root_key")] = None


def registered(scene: Scene, mesh: Mesh, text: str) -> Entry:
    """Return the application that `text` names, registered: one in the ledger, or a request that waits at our door.

    Raises LocalError NOT_FOUND, NAME_UNCLEAR; RemoteError as the door does.
    """
    door = admission(mesh)
    waiting = door.requests(scene.turn.rows)
    found = [r for r in waiting if text and (r.id.hex().startswith(text.lower()) or text in (r.did, r.name))]
    if len(found) == 1:
        return door.register(scene.turn, found[0].id)
    return scene.application(text)


@operation("member", "sponsor", permission="operate")
async def member_sponsor(node: Node, args: SponsorArgs) -> Endorsed:
    """Endorse an applicant, where the rules ask for sponsors; or a member, so that it becomes a voter."""
    from ledger.governance.rules import endorsements_for_voter
    from node.admission import check_invitations
    from node.governing import Scene, check_voice

    mesh = node.mesh(args.mesh)

    def say(turn: Turn) -> Endorsed:
        scene = Scene(turn)
        check_voice(scene)
        application = _endorsable(scene, mesh, args.who)
        party = (application.kid, application.payload["incarnation"])
        if any(by == turn.core.party for by, _ in scene.base.endorsements.get(application.id, ())):
            raise LocalError("ALREADY_ENDORSED", "This node endorses it already; once is enough.", field="who")
        check_invitations(turn)
        payload = {"application": application.id, "incarnation": party[1]}
        entry = turn.state("member.sponsor", ("member", party[0]), payload)
        after = Scene(turn)
        endorsers = {by for by, _ in after.base.endorsements.get(application.id, ()) if by in after.tip.voters}
        return Endorsed(
            entry.id.hex(),
            application.id.hex(),
            after.members.is_member(party),
            party in after.tip.voters,
            len(endorsers),
            endorsements_for_voter(len(after.tip.voters)),
        )

    return await mesh.engine.act(say)


def _endorsable(scene: Scene, mesh: Mesh, text: str) -> Entry:
    try:
        member = find_member(scene.members, text, "who")
    except LocalError as error:
        if error.code != "NOT_FOUND":
            raise
        return registered(scene, mesh, text)
    if member.state != "member":
        raise LocalError("NOT_A_MEMBER", f"It is no member now ({member.state}).", field="who")
    if member.party == scene.turn.core.party:
        raise LocalError("TARGET_SELF", "Nobody endorses itself.", field="who")
    found = scene.base.applications.get(scene.base.found[member.party].application)
    if found is None:
        told = "It founded the mesh, and never applied: the genesis made it a voter."
        raise LocalError("FOUNDER", told, field="who")
    return found


@operation("member", "credential", permission="operate")
async def member_credential(node: Node, args: CredentialArgs) -> Credited:
    """Sign a credential with an authority's key, and register it. It lets its holder in once it has applied."""
    from ledger.governance.policy import Authority
    from node.governing import Scene, check_voice
    from node.keyfile import KeyFile
    from node.rules_text import leaves

    file = KeyFile.decode(args.authority_key)
    if file.purpose != "authority":
        raise LocalError(
            "KEY_WRONG", f"This is a {file.purpose} key; an authority's is asked for.", field="authority_key"
        )
    authority = SigningKey.from_seed(file.unlock(args.authority_passphrase))
    try:
        serial = bytes.fromhex(args.serial) if args.serial else node.random_bytes(SERIAL_BYTES)
    except ValueError:
        raise usage("A serial is given in hexadecimal digits.", "serial") from None
    mesh = node.mesh(args.mesh)

    def say(turn: Turn) -> Credited:
        scene, replica = Scene(turn), turn.core.replica
        check_voice(scene)
        listed = {key for leaf in leaves(scene.tip.rules.admission) if isinstance(leaf, Authority) for key in leaf.keys}
        if authority.public not in listed:
            told = "The rules list no such authority; `maille policy propose --frame strong --authority` does."
            raise LocalError("AUTHORITY_UNLISTED", told, field="authority_key")
        holder = _holder(scene, mesh, args.who)
        until = turn.now + args.days * DAY
        payload = {"serial": serial, "valid": [scene.tip.as_of, until]}
        entry = turn.register(statement(turn, authority, "member.credential", ("member", holder), payload))
        member = replica.members.members.get(holder)
        inside = member is not None and member.state == "member"
        return Credited(entry.id.hex(), authority.did, holder.hex(), serial.hex(), moment(until), inside)

    return await mesh.engine.act(say)


def _holder(scene: Scene, mesh: Mesh, text: str) -> bytes:
    """Return the root key id of whoever `text` names; an application at our door is registered on the way."""
    try:
        return registered(scene, mesh, text).kid
    except LocalError as error:
        if error.code != "NOT_FOUND":
            raise
    if text.startswith(DID_KEY):
        return root_kid(text)
    return find_member(scene.members, text, "who").party[0]


@operation("member", "repair", permission="admin")
async def member_repair(node: Node, args: RepairArgs) -> Joined:
    """Come back after a proven fork of our own feed: as another incarnation, with a fresh device.

    What the forked device said before the fork stands; links, consents and delegations name the incarnation that
    ended, and are made anew.
    """
    from node.joining import Claim
    from node.rules_text import version_of
    from node.tickets import Ticket

    ticket = Ticket.parse(args.ticket)
    mesh = next((mesh for mesh in node.meshes.values() if mesh.mesh_id == ticket.mesh_id), None)
    if mesh is None:
        raise not_found("This node does not have the ticket's mesh; use `maille join`.", "ticket")
    proof = await mesh.engine.read(_proof)
    if proof is None:
        told = "No fork of our feed is proven here; there is nothing to repair."
        raise LocalError("NOT_FORKED", told)
    charter = version_of(args.accept_charter, "accept_charter") if args.accept_charter else b""
    root = node.root_key(args.root_key, args.root_passphrase)
    return await rejoin(node, mesh, ticket, root, 0, Claim(charter=charter, fork=proof))


def _proof(turn: Turn) -> bytes | None:
    """Return the id of an entry that proves a fork of our device's feed, or None."""
    from node.governing import Scene

    feeds = {f for f, party in Scene(turn).base.reaches.owners.items() if party == turn.core.party}
    return min((i for i, feed in Scene(turn).base.reaches.proofs.items() if feed in feeds), default=None)
