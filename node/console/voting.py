"""Pages of proposals: how each stands, who voted, and our vote, with a step of confirmation.

How it works
    The choice is made on the proposal's page, shown again with what it means, and cast from there by
    `vote cast`: a vote is never taken back.

What it does not do
    It opens no ballot: `maille proposal` does.
"""

from __future__ import annotations

from typing import Final, get_args

from starlette.responses import Response

from ledger.errors import LocalError
from node.console.desk import Look
from node.core import Turn
from node.ops.proposal import BallotsArgs, ProposalArgs, own_vote, proposal_list, proposal_show
from node.ops.vote import CastArgs, Said, vote_cast

ROWS: Final = 50
CHOICES: Final[tuple[Said, ...]] = get_args(Said)


async def proposals(look: Look) -> Response:
    """List the open proposals, or all."""
    every = look.request.query_params.get("all") == "1"
    rows = (await look.run(proposal_list, BallotsArgs(look.mesh.name, all=every))).proposals
    pages = max(1, -(-len(rows) // ROWS))
    number = look.number("page", pages)
    shown = rows[(number - 1) * ROWS : number * ROWS]
    return look.page("proposals.html", rows=shown, every=every, number=number, pages=pages)


async def _own_vote(look: Look, ident: str) -> str:
    from node.governing import Scene

    def find(turn: Turn) -> str:
        found = own_vote(Scene(turn), bytes.fromhex(ident))
        return found.value if found is not None else ""

    return await look.mesh.engine.read(find)


async def proposal(look: Look) -> Response:
    """Show a proposal, its votes, and the form for ours."""
    ident = look.request.path_params["proposal"]
    shown = await look.run(proposal_show, ProposalArgs(ident, look.mesh.name))
    own = await _own_vote(look, shown.proposal.id)
    return look.page("proposal.html", shown=shown, own=own, choices=CHOICES, missing=False)


async def confirm(look: Look) -> Response:
    """Show what is about to be cast."""
    ident, choice = look.request.path_params["proposal"], look.request.query_params.get("choice", "")
    shown = await look.run(proposal_show, ProposalArgs(ident, look.mesh.name))
    if choice not in CHOICES:
        own = await _own_vote(look, shown.proposal.id)
        return look.page("proposal.html", 422, shown=shown, own=own, choices=CHOICES, missing=True)
    return look.page("vote.html", shown=shown, choice=choice)


async def cast(look: Look) -> Response:
    """Cast our vote."""
    ident, told = look.request.path_params["proposal"], look.form.one("choice")
    choice = next((one for one in CHOICES if one == told), None)
    if choice is None:
        raise LocalError("FORM_MALFORMED", "The form says neither yes, no nor abstain.")
    made = await look.run(vote_cast, CastArgs(ident, choice, look.mesh.name))
    return look.page("voted.html", made=made, choice=choice)
