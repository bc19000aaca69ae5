"""Operations on the members of a mesh: who is in, and since which entries.

How it works
    It shows what the fold of the governance entries says (ledger/governance/members.py).

What it does not do
    Nobody is admitted or expelled here: `requests approve` admits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ledger.governance.members import Member
from ledger.keys import did_key
from node.operation import Args, Result, operation, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.daemon import Node
    from node.mesh import Mesh


class MembersArgs(Args, frozen=True):
    """Which mesh."""

    mesh: Annotated[str, said(WHICH)] = ""


class MemberRow(Result, frozen=True):
    """A member of the mesh."""

    name: Annotated[str, said("As it calls itself.")]
    id: Annotated[str, said("The id of its root key.")]
    did: Annotated[str, said("The did:key of its root key.")]
    incarnation: Annotated[int, said("Which of its memberships this is.")]
    state: Annotated[str, said("member or left.")]
    founder: Annotated[bool, said("Whether it founded the mesh.")]
    own: Annotated[bool, said("Whether it is this node.")]
    connected: Annotated[bool, said("Whether a channel to one of its devices is up.")]
    devices: Annotated[tuple[str, ...], said("Its devices, which are its feeds.")]
    decided_by: Annotated[tuple[str, ...], said("Ids of the entries that made it so.")]


class MemberRows(Result, frozen=True):
    """The members of a mesh."""

    members: Annotated[tuple[MemberRow, ...], said("Each member, also those who left.")]


def member_row(mesh: Mesh, member: Member) -> MemberRow:
    """Return the row of a member."""
    connected = set(mesh.engine.connected) & set(member.feeds)
    return MemberRow(
        member.name,
        member.party[0].hex(),
        did_key(member.root_public),
        member.party[1],
        member.state,
        member.voter,
        member.party == mesh.core.party,
        bool(connected),
        tuple(feed.hex() for feed in member.feeds),
        tuple(entry.hex() for entry in member.decided_by),
    )


def _line(row: MemberRow) -> str:
    marks = [
        word for word, on in (("this node", row.own), ("founder", row.founder), ("connected", row.connected)) if on
    ]
    said_marks = f" ({', '.join(marks)})" if marks else ""
    return f"{row.name or 'unnamed':<20} {row.state:<7} {row.id[:12]}  {row.did}{said_marks}"


@operation(
    "member", "list", permission="read", render=lambda found: "\n".join(map(_line, found.members)) or "No member yet."
)
async def member_list(node: Node, args: MembersArgs) -> MemberRows:
    """List the members of a mesh, and those who left it."""
    mesh = node.mesh(args.mesh)
    members = mesh.core.replica.members.members
    return MemberRows(tuple(member_row(mesh, member) for _, member in sorted(members.items())))
