"""Operations on links: over which edges of the mesh data may flow.

How it works
    A link is up when each of its two ends said yes, and until one says no. An offer waits for the other end's
    acceptance; two offers that cross are as good. Every word is an entry in the ledger.

What it does not do
    Links permit data, not gossip: severing one never delays a withdrawal (design.md §5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from ledger.errors import LocalError
from ledger.governance.members import edge, link_id
from node.naming import find_member, member_name
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node

MEMBER = "The other member: its name, did:key, or the beginning of its id."


class LinkArgs(Args, frozen=True):
    """With whom."""

    member: Annotated[str, said(MEMBER, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""
    reason: Annotated[Annotated[str, Meta(max_length=500)], said("A word to the other end; all will read it.")] = ""


class AcceptArgs(Args, frozen=True):
    """Whose offer."""

    member: Annotated[str, said(MEMBER, positional=True)]
    mesh: Annotated[str, said(WHICH)] = ""


class LinksArgs(Args, frozen=True):
    """Which mesh, and whether all of it."""

    mesh: Annotated[str, said(WHICH)] = ""
    all: Annotated[bool, said("Links of others too.")] = False


class LinkRow(Result, frozen=True):
    """A link."""

    one: Annotated[str, said("One end.")]
    other: Annotated[str, said("The other end.")]
    state: Annotated[str, said("up, offered, refused or severed.")]
    one_id: Annotated[str, said("Id of the one end's root key.")]
    other_id: Annotated[str, said("Id of the other end's root key.")]


class Links(Result, frozen=True):
    """The links of a mesh."""

    links: Annotated[tuple[LinkRow, ...], said("Each link.")]


class LinkStated(Result, frozen=True):
    """What was said, and how the link stands now."""

    member: Annotated[str, said("The other end.")]
    state: Annotated[str, said("How the link stands: up, offered, refused, severed, or none.")]
    entry: Annotated[str, said("Id of the entry that says so; empty if nothing had to be said.")]


Word = Literal["link.offer", "link.accept", "link.refuse", "link.sever"]


async def _state(node: Node, args: LinkArgs | AcceptArgs, word: Word) -> LinkStated:
    mesh = node.mesh(args.mesh)

    def say(turn: Turn) -> LinkStated:
        replica, own = turn.core.replica, turn.core.party
        other = find_member(replica.members, args.member)
        if other.party == own:
            raise LocalError("LINK_TO_SELF", "A node needs no link to itself.", field="member")
        if not replica.members.is_member(own) or other.state != "member":
            raise LocalError("NOT_A_MEMBER", "A link joins two members; one of these is none now.", field="member")
        before = replica.members.links.get(edge(own, other.party), "none")
        _check(word, before)
        if before == "up" and word in ("link.offer", "link.accept"):
            return LinkStated(member_name(replica.members, other.party), before, "")
        payload: dict[str, Any] = {"from": list(own), "to": list(other.party)}
        if isinstance(args, LinkArgs) and args.reason:
            payload["reason"] = args.reason
        entry = turn.state(word, ("link", link_id(own, other.party)), payload)
        after = replica.members.links.get(edge(own, other.party), "none")
        return LinkStated(member_name(replica.members, other.party), after, entry.id.hex())

    return await mesh.engine.act(say)


def _check(word: Word, before: str) -> None:
    if word in ("link.accept", "link.refuse") and before == "none":
        raise LocalError("NO_OFFER", "There is no offer to answer; offer a link with `maille link offer`.")
    if word == "link.sever" and before == "none":
        raise LocalError("NO_LINK", "There is no link to sever.")


@operation("link", "offer", permission="operate")
async def link_offer(node: Node, args: LinkArgs) -> LinkStated:
    """Offer a link to a member. Data may flow once it accepts."""
    return await _state(node, args, "link.offer")


@operation("link", "accept", permission="operate")
async def link_accept(node: Node, args: AcceptArgs) -> LinkStated:
    """Accept a member's offer."""
    return await _state(node, args, "link.accept")


@operation("link", "refuse", permission="operate")
async def link_refuse(node: Node, args: LinkArgs) -> LinkStated:
    """Refuse a member's offer. It may offer again."""
    return await _state(node, args, "link.refuse")


@operation("link", "sever", permission="operate")
async def link_sever(node: Node, args: LinkArgs) -> LinkStated:
    """Sever a link: no more data over it, in either direction. The members stay members."""
    return await _state(node, args, "link.sever")


@operation("link", "list", permission="read")
async def link_list(node: Node, args: LinksArgs) -> Links:
    """List our links and how they stand."""
    mesh = node.mesh(args.mesh)
    members, own = mesh.core.replica.members, mesh.core.party
    rows = [
        LinkRow(member_name(members, one), member_name(members, other), state, one[0].hex(), other[0].hex())
        for (one, other), state in sorted(members.links.items())
        if args.all or own in (one, other)
    ]
    return Links(tuple(rows))
