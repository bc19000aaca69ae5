"""A person's consents that wait to be published (node.flows.spreading): until when, and taking one back.

How it works
    What waits is not on the ledger, so it has pages of its own: a list above her consents, and one page each, where one
    button takes it back. Nobody heard of it then, so there is nobody to confirm it. Once it is published, its page is
    that of every consent.

What it does not do
    It publishes nothing sooner: that is what the waiting is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from ledger.consent.status import Party
from node.flows.disclosing import parties_of
from node.pages.reading import Card, Line, Unstated, card
from node.pages.visit import Visit
from node.vaults.waiting import Waiting

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

WAITING = "waiting"
"""The state of its line."""


@dataclass(frozen=True, slots=True)
class Soon:
    """A consent that waits. `by`: by when it will be published, unix seconds."""

    card: Card
    by: int


def rows_of(visit: Visit, turn: Turn, flows: Flows) -> list[Waiting]:
    """Return what waits of a person's, the soonest first."""
    rows, wallet = flows.spreading.all_waiting(turn), visit.who.wallet
    return sorted((row for row in rows if row.wallet == wallet), key=lambda row: row.due_ms)


def named(visit: Visit, turn: Turn, flows: Flows) -> Waiting | None:
    """Return the consent that the address names, if it is hers and waits."""
    told = visit.request.path_params["consent"]
    return next((row for row in rows_of(visit, turn, flows) if row.grant.id.hex() == told), None)


def line_of_waiting(row: Waiting) -> Line:
    """Return what waits by its clear fields."""
    return Line(row.grant.id, WAITING, *parties_of(row.grant), row.grant.iat, row.grant.payload["valid_until"])


def soon(visit: Visit, turn: Turn, flows: Flows, to: Party | None = None) -> list[Soon]:
    """Return what waits of a person's as the pages show it; `to`: of one recipient alone."""
    rows = [row for row in rows_of(visit, turn, flows) if to is None or parties_of(row.grant)[1] == to]
    return [_shown(visit, turn, flows, row) for row in rows]


def _shown(visit: Visit, turn: Turn, flows: Flows, row: Waiting) -> Soon:
    return Soon(card(turn, flows, line_of_waiting(row), Unstated(()), visit.lang), row.by)


async def show(visit: Visit) -> Response:
    """Show a consent that waits, with the button that takes it back."""

    def look(turn: Turn, flows: Flows) -> Soon | None:
        row = named(visit, turn, flows)
        return None if row is None else _shown(visit, turn, flows, row)

    found = await visit.site.read(look)
    if found is None:
        return visit.go(f"/consents/{visit.request.path_params['consent']}")
    return visit.page("waiting.html", soon=found)


async def take_back(visit: Visit) -> Response:
    """Take a consent back that waits; one that was published meanwhile is withdrawn on its own page."""

    def act(turn: Turn, flows: Flows) -> bool:
        row = named(visit, turn, flows)
        if row is not None:
            with visit.signing(turn, flows) as wallet:
                flows.acts.end(turn, row.grant, wallet)
        return row is not None

    done = await visit.site.act(act)
    return visit.go("/taken-back" if done else f"/consents/{visit.request.path_params['consent']}/withdraw")


async def taken_back(visit: Visit) -> Response:
    """Say that it was never published."""
    return visit.page("taken_back.html")
