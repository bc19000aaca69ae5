"""Withdrawing: one consent, what passes it on, or all of one organisation, in two steps, as giving is; who confirmed.

How it works
    The second page asks each second for a fragment of itself (htmx), in a polite live region, until holder and
    recipient have acknowledged the withdrawal; without scripts, reloading shows the same. A consent that ended already
    is shown as such.

What it does not do
    It asks for no reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from ledger.consent.status import Party
from node.exits import not_found
from node.flows.disclosing import parties_of
from node.pages.contents import terms_of
from node.pages.dashboard import own_line, read_party
from node.pages.naming import Names, names
from node.pages.onward import Onward, onward_of
from node.pages.reading import Card, Line, Unstated, card, confirmations, lines_of
from node.pages.visit import Visit
from node.pages.waiting import line_of_waiting, rows_of, soon

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

ALL_MAX: Final = 500
"""Consents withdrawn in one act."""
LIVELY_SECONDS: Final = 60
"""For so long after a withdrawal the count is asked for each second; then each ten."""
EXPECTED_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class Count:
    """Who has confirmed. `confirmed`, `total`: of holders and recipients over all consents; names of those missing."""

    confirmed: int
    total: int
    names: tuple[str, ...]
    missing: tuple[str, ...]
    consents: int
    at: int

    @property
    def done(self) -> bool:
        """Whether all have confirmed."""
        return self.confirmed == self.total


def count_of(turn: Turn, lines: list[Line], called: Callable[[Line], Names]) -> Count:
    """Return who has confirmed the end of these consents. `called`: how the parties of one are named."""
    known: dict[str, None] = {}
    missing: dict[str, None] = {}
    confirmed, total, at = 0, 0, 0
    for line in lines:
        said, not_said = confirmations(turn, line.id, called(line))
        confirmed, total = confirmed + len(said), total + len(said) + len(not_said)
        known.update(dict.fromkeys(said))
        missing.update(dict.fromkeys(not_said))
        status = turn.core.replica.consent(turn.rows, line.id)
        entry = turn.core.replica.entry(turn.rows, status.decided_by[0]) if status is not None else None
        at = max(at, entry.iat if entry is not None else 0)
    done = tuple(name for name in known if name not in missing)
    return Count(confirmed, total, done, tuple(missing), len(lines), at)


def _called(visit: Visit, turn: Turn, flows: Flows) -> Callable[[Line], Names]:
    return lambda line: names(turn, visit.lang, terms_of(turn, flows, line.id))


async def confirm(visit: Visit) -> Response:
    """Say what a withdrawal does, and ask to confirm it."""
    await visit.site.keep_up()

    def look(turn: Turn, flows: Flows) -> Card:
        line = own_line(visit, turn, flows)
        return card(turn, flows, line, Unstated(()), visit.lang)

    shown = await visit.site.read(look)
    if not shown.line.current:
        return visit.go(f"/consents/{shown.line.id.hex()}")
    return visit.page("withdraw.html", cards=[shown], all_of="", back=f"/consents/{shown.line.id.hex()}")


async def withdraw(visit: Visit) -> Response:
    """Withdraw a consent."""

    def act(turn: Turn, flows: Flows) -> str:
        line = own_line(visit, turn, flows)
        if line.current:
            _withdraw(turn, flows, visit, [line])
        return line.id.hex()

    return visit.go(f"/consents/{await visit.site.act(act)}/ended")


def _withdraw(turn: Turn, flows: Flows, visit: Visit, lines: list[Line]) -> None:
    with visit.signing(turn, flows) as wallet:
        for line in lines:
            grant = flows.spreading.grant(turn, line.id)
            if grant is None:
                raise not_found("There is no such consent.")
            flows.acts.end(turn, grant, wallet)
    flows.retry_later(turn)


async def ended(visit: Visit) -> Response:
    """Show that a consent was withdrawn, and who has confirmed it."""
    return await _ended(visit, "ended.html")


async def ended_live(visit: Visit) -> Response:
    """Return the count alone."""
    return await _ended(visit, "confirmed.html")


async def _ended(visit: Visit, template: str) -> Response:
    def look(turn: Turn, flows: Flows) -> tuple[Card, Count]:
        line = own_line(visit, turn, flows)
        shown = card(turn, flows, line, Unstated(()), visit.lang)
        return shown, count_of(turn, [line], _called(visit, turn, flows))

    shown, count = await visit.site.read(look)
    if shown.line.state != "withdrawn":
        return visit.go(f"/consents/{shown.line.id.hex()}")
    live = f"/consents/{shown.line.id.hex()}/ended/live"
    return visit.page(template, shown=shown, organisation=shown.organisation, **live_values(visit, count, live))


def live_values(visit: Visit, count: Count, live: str) -> dict[str, Any]:
    """Return what the fragment with the count needs. `live`: where it is."""
    every = "1s" if visit.now - count.at < LIVELY_SECONDS else "10s"
    return {"count": count, "live": live, "every": every, "expected": EXPECTED_SECONDS}


# What passes it on, alone


def _further(visit: Visit, turn: Turn, flows: Flows) -> tuple[Line, Onward]:
    """Return her consent, and the one that passes on from it which the address names, if she can stop it alone."""
    line, told = own_line(visit, turn, flows), visit.request.path_params["onward"]
    for one in onward_of(turn, flows, line, visit.lang):
        if one.line.id.hex() == told and one.stoppable:
            return line, one
    raise not_found("There is nothing to stop.")


async def confirm_stop(visit: Visit) -> Response:
    """Say what stopping the passing on to one organisation does, and ask to confirm it."""
    await visit.site.keep_up()

    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        line, one = _further(visit, turn, flows)
        return {"shown": card(turn, flows, line, Unstated(()), visit.lang), "one": one}

    return visit.page("stop.html", **await visit.site.read(look))


async def stop(visit: Visit) -> Response:
    """End a consent that passes on what came under hers; hers goes on."""

    def act(turn: Turn, flows: Flows) -> str:
        line, one = _further(visit, turn, flows)
        with visit.signing(turn, flows) as wallet:
            flows.acts.withdraw(turn, one.entry, wallet)
        flows.retry_later(turn)
        return line.id.hex()

    return visit.go(f"/consents/{await visit.site.act(act)}#onward")


# All of one organisation


def _of_party(visit: Visit, turn: Turn, flows: Flows) -> tuple[Party, list[Line]]:
    party = read_party(visit.request.path_params["party"])
    lines = [line for line in lines_of(turn, visit.own(turn, flows)) if line.recipient == party]
    if not lines:
        raise not_found("There is no such organisation.")
    return party, lines


async def confirm_all(visit: Visit) -> Response:
    """Say what withdrawing everything from one organisation does, and ask to confirm it."""
    await visit.site.keep_up()

    def look(turn: Turn, flows: Flows) -> list[Card]:
        _, lines = _of_party(visit, turn, flows)
        chosen = [line for line in lines if line.current][:ALL_MAX]
        cards = [card(turn, flows, line, Unstated(()), visit.lang) for line in chosen]
        return cards + [one.card for one in soon(visit, turn, flows, lines[0].recipient)]

    cards = await visit.site.read(look)
    if not cards:
        return visit.go("/consents")
    return visit.page("withdraw.html", cards=cards, all_of=visit.request.path_params["party"], back="/consents")


async def withdraw_all(visit: Visit) -> Response:
    """Withdraw all consents to one organisation."""

    def act(turn: Turn, flows: Flows) -> bool:
        party, lines = _of_party(visit, turn, flows)
        current = [line for line in lines if line.current][:ALL_MAX]
        waits = [line_of_waiting(row) for row in rows_of(visit, turn, flows) if parties_of(row.grant)[1] == party]
        _withdraw(turn, flows, visit, [*waits, *current])
        return bool(current)

    published = await visit.site.act(act)
    return visit.go(f"/organisations/{visit.request.path_params['party']}/ended" if published else "/taken-back")


async def all_ended(visit: Visit) -> Response:
    """Show who has confirmed."""
    return await _all_ended(visit, "ended.html")


async def all_ended_live(visit: Visit) -> Response:
    """Return the count alone."""
    return await _all_ended(visit, "confirmed.html")


async def _all_ended(visit: Visit, template: str) -> Response:
    def look(turn: Turn, flows: Flows) -> tuple[Card, Count]:
        _, lines = _of_party(visit, turn, flows)
        withdrawn = [line for line in lines if line.state == "withdrawn"][:ALL_MAX]
        if not withdrawn:
            raise not_found("There is no such consent.")
        shown = card(turn, flows, withdrawn[0], Unstated(()), visit.lang)
        return shown, count_of(turn, withdrawn, _called(visit, turn, flows))

    shown, count = await visit.site.read(look)
    live = f"/organisations/{visit.request.path_params['party']}/ended/live"
    return visit.page(template, shown=None, organisation=shown.organisation, **live_values(visit, count, live))
