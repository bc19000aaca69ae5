"""The request screen and the answer: choose, see what the receipt will say, confirm.

How it works
    Two steps, for yes and for no alike: the screen with one switch a purpose and granularity, none ticked; then a page
    that says what will be given or refused, with one button. What is confirmed are requests by their ids, whose terms
    cannot change, and only those that still wait for this person.

What it does not do
    It demands no reason for a refusal, and offers none to pick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from ledger.errors import LocalError
from node.exits import not_found
from node.pages import asking
from node.pages.asking import ASKS_MAX, Ask, Given
from node.pages.visit import Visit

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

REASON_MAX: Final = 500


async def _pending(visit: Visit) -> list[Ask]:
    await visit.site.keep_up()
    return await visit.site.read(lambda turn, flows: _waiting(visit, turn, flows))


def _waiting(visit: Visit, turn: Turn, flows: Flows) -> list[Ask]:
    site = visit.site
    return asking.pending(turn, flows, site.following, site.inbox, visit.own(turn, flows), visit.lang)


async def _of_asker(visit: Visit) -> list[Ask]:
    """Return what waits from the organisation that the address names. Raises LocalError NOT_FOUND."""
    wanted = visit.request.path_params["asker"]
    found = [ask for ask in await _pending(visit) if ask.asker.id == wanted][:ASKS_MAX]
    if not found:
        raise not_found("This request was answered, or has expired.")
    return found


async def requests(visit: Visit) -> Response:
    """List the organisations whose requests wait."""
    return visit.page("requests.html", asks=await _pending(visit))


async def show(visit: Visit) -> Response:
    """Show what one organisation asks for."""
    asks = await _of_asker(visit)
    return _screen(visit, asks)


def _screen(
    visit: Visit, asks: list[Ask], status: int = 200, error: str = "", chosen: set[str] | None = None
) -> Response:
    choices = sorted({days for ask in asks for days in asking.shorter(ask, visit.now)})
    return visit.page(
        "request.html", status, asks=asks, asker=asks[0].asker, error=error, chosen=chosen or set(), choices=choices
    )


async def choose(visit: Visit) -> Response:
    """Show what was chosen, and ask to confirm it."""
    asks = await _of_asker(visit)
    decision, on = visit.form.one("decision"), set(visit.form.all("allow"))
    given = [ask for ask in asks if ask.id.hex() in on] if decision in ("allow", "part") else []
    if decision not in ("allow", "part", "refuse"):
        return _screen(visit, asks, 422, "none", on)
    if decision != "refuse" and not given:
        return _screen(visit, asks, 422, "none", on)
    if decision == "allow" and len(given) < len(asks):
        return _screen(visit, asks, 422, "some", on)
    refused = [ask for ask in asks if ask not in given]
    days = _days(visit, asks)
    return visit.page("confirm.html", asker=asks[0].asker, given=given, refused=refused, days=days, reason="")


def _days(visit: Visit, asks: list[Ask]) -> int:
    told = visit.form.one("days")
    allowed = {days for ask in asks for days in asking.shorter(ask, visit.now)}
    return int(told) if told.isdecimal() and len(told) < 6 and int(told) in allowed else 0


async def confirm(visit: Visit) -> Response:
    """Show again what is to be confirmed."""
    asks, give, refuse = await _of_asker(visit), set(visit.form.all("give")), set(visit.form.all("refuse"))
    given, refused = ([ask for ask in asks if ask.id.hex() in chosen] for chosen in (give, refuse))
    reason, days = visit.form.one("reason"), _days(visit, asks)
    return visit.page("confirm.html", asker=asks[0].asker, given=given, refused=refused, days=days, reason=reason)


async def answer(visit: Visit) -> Response:
    """Give and refuse what was confirmed, in one transaction. Refusals go first: what is given then waits its time."""
    await visit.site.keep_up()
    give, refuse = set(visit.form.all("give")), set(visit.form.all("refuse"))
    reason = visit.form.one("reason").strip()
    if len(reason) > REASON_MAX or not reason.isprintable():
        raise LocalError("REASON_LONG", "a reason is one line of at most 500 characters")

    def act(turn: Turn, flows: Flows) -> tuple[list[Given], list[Ask]]:
        wanted = visit.request.path_params["asker"]
        asks = {ask.id.hex(): ask for ask in _waiting(visit, turn, flows) if ask.asker.id == wanted}
        if not give | refuse or give & refuse or not (give | refuse) <= set(asks):
            raise not_found("This request was answered, or has expired.")
        chosen = [asks[one] for one in sorted(give)]
        limits = {ask.id: asking.shorter(ask, turn.now) for ask in chosen}
        days = int(told) if (told := visit.form.one("days")).isdecimal() and len(told) < 6 else 0
        with visit.signing(turn, flows):
            for one in sorted(refuse):
                kid = asking.refuse(turn, flows, visit.who, asks[one], reason)
                if visit.custody == "own":
                    visit.site.people.refused(turn.vault, visit.who, asks[one].id, kid)
            given = [asking.allow(turn, flows, visit.who, ask, days if days in limits[ask.id] else 0) for ask in chosen]
        return given, [asks[one] for one in sorted(refuse)]

    given, refused = await visit.site.act(act)
    return visit.page("answered.html", given=given, refused=refused)
