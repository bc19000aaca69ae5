"""Home, the two tabs of consents, one consent in detail, and the trail of who received what.

How it works
    Each page reads in one snapshot. The tabs count by clear fields; only the cards of the page that is shown are
    opened. Filters travel in the address, so that pages can be kept and reloaded.

What it does not do
    It changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from ledger.consent.status import Party
from ledger.consent.words import kind_in_words
from node.exits import not_found
from node.flows.trail import Passed
from node.flows.trail import trail as passed
from node.pages import asking
from node.pages.contents import terms_now, terms_of
from node.pages.naming import names
from node.pages.onward import onward_of, passed_on_from, steps_of
from node.pages.owed import requests_of
from node.pages.reading import (
    PAGE,
    Card,
    Line,
    Unstated,
    card,
    detail,
    line_of,
    lines_of,
    notices,
    unstated,
)
from node.pages.settings import Language
from node.pages.visit import Visit
from node.pages.waiting import named, soon

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

TRAIL_PAGE: Final = 50
HEX: Final = frozenset("0123456789abcdef")


async def home(visit: Visit) -> Response:
    """Show what waits for the person, or say what this place is."""
    if visit.person is None:
        return visit.page("welcome.html")
    await visit.site.keep_up()
    site = visit.site

    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        own = visit.own(turn, flows)
        lines = lines_of(turn, own)
        return {
            "asks": asking.pending(turn, flows, site.following, site.inbox, own, visit.lang),
            "notices": notices(turn, flows, lines, visit.lang),
            "current": sum(line.current for line in lines),
            "past": sum(not line.current for line in lines),
            "late": [one for one in requests_of(turn, flows, visit.who.wallet, visit.lang) if one.late and one.open],
            "organisations": len({line.recipient for line in lines if line.current}),
        }

    alarms = await site.watch.of(visit) if site.watch is not None else []
    return visit.page("home.html", alarms=alarms, **await visit.site.read(look))


async def consents(visit: Visit) -> Response:
    """Show the consents of one tab, a page of them."""
    await visit.site.keep_up()
    query, site = visit.request.query_params, visit.site
    tab = "past" if query.get("tab") == "past" else "current"
    wanted = read_party(query.get("organisation", "")) if query.get("organisation") else None
    number = int(query.get("page", "1")) if query.get("page", "1").isdecimal() else 1

    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        own = visit.own(turn, flows)
        lines = lines_of(turn, own)
        tabs = {"current": [one for one in lines if one.current], "past": [one for one in lines if not one.current]}
        shown = [one for one in tabs[tab] if wanted is None or one.recipient == wanted]
        pages = max(1, -(-len(shown) // PAGE))
        at = min(max(1, number), pages)
        chosen_lines = shown[PAGE * (at - 1) : PAGE * at]
        waiting = unstated(turn, flows, chosen_lines)
        cards = [card(turn, flows, line, waiting, visit.lang) for line in chosen_lines]
        refused = []
        if tab == "past" and wanted is None and at == 1:
            refused = list(asking.refused(turn, flows, site.following, site.inbox, own, visit.lang))
        return {
            "cards": cards,
            "refused": refused,
            "signed": bool(flows.wallets.signed(turn.vault, visit.who.wallet)),
            "soon": soon(visit, turn, flows, wanted) if tab == "current" and at == 1 else [],
            "counts": {name: len(found) for name, found in tabs.items()},
            "organisations": _organisations(turn, flows, tabs[tab], visit.lang),
            "pages": pages,
            "number": at,
            "total": len(shown),
        }

    chosen = party_id(wanted) if wanted is not None else ""
    return visit.page("consents.html", tab=tab, chosen=chosen, **await site.read(look))


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation that receives data. `id`: in links."""

    id: str
    name: str
    count: int


def _organisations(turn: Turn, flows: Flows, lines: list[Line], lang: Language) -> list[Organisation]:
    of = dict[Party, list[Line]]()
    for line in lines:
        if line.recipient is not None:
            of.setdefault(line.recipient, []).append(line)
    found = []
    for party, own in of.items():
        terms = None if party[1] else terms_of(turn, flows, own[0].id)  # the ledger names members, and no tenants
        found.append(Organisation(party_id(party), names(turn, lang, terms).of(party), len(own)))
    return sorted(found, key=lambda one: (one.name.casefold(), one.id))


def party_id(party: Party) -> str:
    """Return how a party stands in links."""
    return f"{party[0].hex()}.{party[1]}"


def read_party(text: str) -> Party:
    """Return the party of a link. Raises LocalError NOT_FOUND."""
    kid, _, incarnation = text.partition(".")
    if len(kid) != 64 or not set(kid) <= HEX or not incarnation.isdecimal() or len(incarnation) > 6:
        raise not_found("There is no such organisation.")
    return bytes.fromhex(kid), int(incarnation)


def read_id(text: str) -> bytes:
    """Return the id of a link. Raises LocalError NOT_FOUND."""
    if len(text) != 64 or not set(text) <= HEX:
        raise not_found("There is no such consent.")
    return bytes.fromhex(text)


def own_line(visit: Visit, turn: Turn, flows: Flows) -> Line:
    """Return the consent that the address names, if the person's wallet gave it. Raises LocalError NOT_FOUND."""
    ident = read_id(visit.request.path_params["consent"])
    own = visit.own(turn, flows)
    if ident not in own.grants:
        raise not_found("There is no such consent.")
    line = line_of(turn, ident, own)
    if line is None:
        raise not_found("There is no such consent.")
    return line


async def consent(visit: Visit) -> Response:
    """Show one consent, with what became of the data that were passed on from there."""
    await visit.site.keep_up()

    def look(turn: Turn, flows: Flows) -> dict[str, Any] | None:
        if named(visit, turn, flows) is not None:
            return None
        line = own_line(visit, turn, flows)
        further = onward_of(turn, flows, line, visit.lang)
        found = detail(turn, flows, line, visit.lang, steps_of(turn, flows, line, further, visit.lang))
        if found is None:
            raise not_found("There is no such consent.")
        terms, status = terms_now(turn, flows, line.id), turn.core.replica.consent(turn.rows, line.id)
        return {
            "shown": found,
            "organisation": party_id(line.recipient) if line.recipient is not None else "",
            "further": further,
            "may_pass_on": terms is not None and terms.onward_sharing.mode != "none",
            "unread": status is not None and not all(flows.consents.holds(turn.vault, one) for one in status.amended),
        }

    found = await visit.site.read(look)
    if found is None:
        return visit.go(f"/waiting/{visit.request.path_params['consent']}")
    return visit.page("consent.html", **found)


@dataclass(frozen=True, slots=True)
class Received:
    """One transfer. `to`, `by`: who received and who sent. `data`: what; "" where that is not known here.

    `records`: how many; None where no account of it is here. `under`: her consent that it rests on. `passed_on`: the
    id of the one that passes on what came under hers, or "".
    """

    at: int
    to: str
    by: str
    data: str
    records: int | None
    under: Card
    passed_on: str


async def trail(visit: Visit) -> Response:
    """Show who received what, when, under which consent, with what was passed on to others; newest first."""
    await visit.site.keep_up()
    site = visit.site
    told = visit.request.query_params.get("page", "1")
    number = int(told) if told.isdecimal() else 1

    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        lines = {line.id: line for line in lines_of(turn, visit.own(turn, flows))}
        grants = [grant for ident in lines if (grant := turn.core.replica.grant(turn.rows, ident)) is not None]
        ordered = _fitting(turn, flows, passed(turn, flows.stated, flows.receipts, flows.incoming, grants))[::-1]
        pages = max(1, -(-len(ordered) // TRAIL_PAGE))
        at = min(max(1, number), pages)
        chosen = ordered[TRAIL_PAGE * (at - 1) : TRAIL_PAGE * at]
        waiting = Unstated(())
        cards = {
            ident: card(turn, flows, lines[ident], waiting, visit.lang) for ident in {one.own.id for one in chosen}
        }
        rows = [_received(turn, flows, one, cards[one.own.id], visit.lang) for one in chosen]
        return {"rows": rows, "pages": pages, "number": at, "total": len(ordered)}

    return visit.page("trail.html", **await site.read(look))


def _fitting(turn: Turn, flows: Flows, found: list[Passed]) -> list[Passed]:
    """Return transfers without those under a consent that claims to rest on hers and that no gate would look at."""
    parents = {one.own.id: one.own for one in found if one.grant.id != one.own.id}
    below = {child.id for own in parents.values() for child, _ in passed_on_from(turn, flows, own)}
    return [one for one in found if one.grant.id == one.own.id or one.grant.id in below]


def _received(turn: Turn, flows: Flows, one: Passed, under: Card, lang: Language) -> Received:
    own = terms_now(turn, flows, one.own.id)
    terms = terms_now(turn, flows, one.grant.id) or own  # what is passed on is of the same kind, or no gate lets it go
    by, to = names(turn, lang, terms).ends(*one.parties)
    data = "" if terms is None or terms.pii_type is None else kind_in_words(terms.pii_type, lang)[0]
    records = one.account.tally.count if one.account is not None else None
    passed_on = one.grant.id.hex() if one.grant.id != one.own.id else ""
    return Received(one.at, to, by, data, records, under, passed_on)
