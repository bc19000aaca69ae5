"""Pages about who is there: the map, members, applications, peers and why, links.

How it works
    Each page asks the operations of the same names. An application is answered on a page of its own, which shows the
    fingerprint to compare: that page is the step of confirmation.

What it does not do
    It expels and suspends nobody: a proposal does, by `maille proposal`.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ledger.errors import LocalError
from node.console.desk import Look
from node.console.drawing import draw
from node.exits import not_found
from node.ops.link import LinksArgs, link_list
from node.ops.member import MemberArgs, MembersArgs, member_list, member_show
from node.ops.peers import PeersArgs, WhyArgs, peers_list, peers_why
from node.ops.requests import (
    RequestArgs,
    RequestRow,
    RequestsArgs,
    hinted,
    requests_approve,
    requests_deny,
    requests_list,
)

ROWS: Final = 100
"""Members, peers or links on one page."""


async def mesh_map(look: Look) -> Response:
    """Show the map of the mesh, and the same as a table."""
    name = look.mesh.name
    members = (await look.run(member_list, MembersArgs(mesh=name))).members
    links = (await look.run(link_list, LinksArgs(name, all=True))).links
    return look.page("map.html", drawing=draw(members, links), links=links)


async def members(look: Look) -> Response:
    """List the members, and the applications that wait."""
    name = look.mesh.name
    rows = (await look.run(member_list, MembersArgs(mesh=name))).members
    waiting = (await look.run(requests_list, RequestsArgs(name))).requests
    pages = max(1, -(-len(rows) // ROWS))
    number = look.number("page", pages)
    shown = rows[(number - 1) * ROWS : number * ROWS]
    return look.page("members.html", rows=shown, waiting=waiting, number=number, pages=pages)


async def member(look: Look) -> Response:
    """Show one member: its standing, its devices, and why there is a channel or none."""
    name, ident = look.mesh.name, look.request.path_params["member"]
    shown = await look.run(member_show, MemberArgs(ident, name))
    why = await look.run(peers_why, WhyArgs(ident, name))
    return look.page("member.html", shown=shown, why=why)


async def peers(look: Look) -> Response:
    """List the devices of the others, with the reason where there is no channel."""
    rows = (await look.run(peers_list, PeersArgs(look.mesh.name))).peers
    pages = max(1, -(-len(rows) // ROWS))
    number = look.number("page", pages)
    return look.page("peers.html", rows=rows[(number - 1) * ROWS : number * ROWS], number=number, pages=pages)


async def links(look: Look) -> Response:
    """List the links: ours, or all."""
    every = look.request.query_params.get("all") == "1"
    rows = (await look.run(link_list, LinksArgs(look.mesh.name, all=every))).links
    pages = max(1, -(-len(rows) // ROWS))
    number = look.number("page", pages)
    shown = rows[(number - 1) * ROWS : number * ROWS]
    return look.page("links.html", rows=shown, every=every, number=number, pages=pages)


async def _application(look: Look) -> RequestRow:
    ident = look.request.path_params["application"]
    rows = (await look.run(requests_list, RequestsArgs(look.mesh.name))).requests
    found: RequestRow | None = next((row for row in rows if row.id == ident), None)
    if found is None:
        raise not_found("This application does not wait here: it was answered.", "id")
    return found


async def application(look: Look) -> Response:
    """Show an application with its fingerprint, and what letting it in changes for sealing, to answer it."""
    return look.page("application.html", row=hinted(await _application(look), look.mesh.core))


async def answer(look: Look) -> Response:
    """Admit an applicant, or turn it away."""
    row = await _application(look)
    choice = look.form.one("answer")
    if choice not in ("approve", "deny"):
        raise LocalError("FORM_MALFORMED", "The form says neither approve nor deny.")
    operation = requests_approve if choice == "approve" else requests_deny
    await look.run(operation, RequestArgs(row.id, look.mesh.name))
    return look.page("answered_application.html", row=row, choice=choice)
