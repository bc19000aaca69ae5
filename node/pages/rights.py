"""A person's rights: ask an organisation, see by when it must answer, and what it answered under its signature.

How it works
    A request is made under one consent, to the holder, the recipient, or everybody who may hold a copy of the same
    points (node.flows.rights). The ledger shows when it was asked, by when an answer is due and who is late; what was
    asked and answered in words went sealed, and stands in the vault here. An answer is an entry that the organisation
    signed: it can be taken away.

What it does not do
    It cannot make anybody answer. Whoever is late is marked, with the way to the authority.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from ledger.consent.kinds import RIGHTS
from ledger.consent.rights import TEXT_MAX, Correction
from ledger.errors import LocalError
from node.exits import not_found
from node.pages.contents import terms_now
from node.pages.dashboard import own_line, read_id
from node.pages.files import attached
from node.pages.owed import RightShown, requests_of
from node.pages.reading import Card, Unstated, card, lines_of
from node.pages.visit import Visit
from node.pages.wording import masked

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

TO: Final = ("recipient", "holder", "everywhere")
_VALUE: Final = re.compile(r"-?[0-9]{1,12}(?:[.,][0-9]{1,6})?")


async def overview(visit: Visit) -> Response:
    """Show what she asked for, and with whom she has which rights."""
    await visit.site.keep_up()

    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        found: dict[str, Card] = {}
        for line in lines_of(turn, visit.own(turn, flows)):
            if line.recipient is None or str(line.recipient) in found:
                continue
            shown = card(turn, flows, line, Unstated(()), visit.lang)
            if shown.said is not None:
                found[str(line.recipient)] = shown
        return {"cards": list(found.values()), "requests": requests_of(turn, flows, visit.who.wallet, visit.lang)}

    return visit.page("rights.html", **await visit.site.read(look))


async def show(visit: Visit) -> Response:
    """Show one request, its deadline and its answer."""
    await visit.site.keep_up()
    found = await visit.site.read(lambda turn, flows: _own(visit, turn, flows))
    return visit.page("right.html", one=found, masked=lambda point: masked(point, visit.lang))


def _own(visit: Visit, turn: Turn, flows: Flows) -> RightShown:
    """Return the request that the address names, if it is hers. Raises LocalError NOT_FOUND."""
    ident = read_id(visit.request.path_params["right"]).hex()
    found = next((one for one in requests_of(turn, flows, visit.who.wallet, visit.lang) if one.id == ident), None)
    if found is None:
        raise not_found("There is no such request.")
    return found


async def answer_cbor(visit: Visit) -> Response:
    """Return the answer as it was signed (COSE_Sign1)."""

    def look(turn: Turn, flows: Flows) -> bytes:
        found = _own(visit, turn, flows)
        entry = turn.core.replica.entry(turn.rows, bytes.fromhex(found.entry)) if found.entry else None
        if entry is None:
            raise not_found("There is no answer yet.")
        return entry.raw

    body = await visit.site.read(look)
    return attached(visit, body, "application/cose", f"answer-{visit.request.path_params['right'][:12]}.cbor")


# Asking


async def form(visit: Visit) -> Response:
    """Show the form with which she asks."""
    return await _form(visit)


async def _form(visit: Visit, status: int = 200, error: str = "") -> Response:
    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        line = own_line(visit, turn, flows)
        shown = card(turn, flows, line, Unstated(()), visit.lang)
        terms = terms_now(turn, flows, line.id)
        points = [(point, masked(point, visit.lang)) for point in (terms.points if terms is not None else ())]
        return {"shown": shown, "points": points}

    found = await visit.site.read(look)
    typed = {name: visit.form.one(name) for name in ("right", "to", "text", "point", "at", "value")}
    return visit.page("right_ask.html", status, error=error, typed=typed, text_max=TEXT_MAX, **found)


async def ask(visit: Visit) -> Response:
    """Ask for a right."""
    right, to, text = visit.form.one("right"), visit.form.one("to"), visit.form.one("text").replace("\r\n", "\n")
    if right not in RIGHTS or to not in TO:
        return await _form(visit, 422, "right" if right not in RIGHTS else "to")
    try:
        corrections = _corrections(visit) if right == "rectification" else []
    except ValueError:
        return await _form(visit, 422, "at")

    def act(turn: Turn, flows: Flows) -> str:
        line = own_line(visit, turn, flows)
        grant = turn.core.replica.grant(turn.rows, line.id)
        if grant is None:
            raise not_found("There is no such consent.")
        with visit.signing(turn, flows) as wallet:
            targets = flows.rights.everywhere(turn, wallet, grant)
            if to != "everywhere":
                party = line.holder if to == "holder" else line.recipient
                if party is None:
                    raise LocalError("NOT_A_PARTY", "this consent has no one recipient", field="to")
                targets = [(grant, party)]
            asked = [flows.rights.ask(turn, wallet, one, right, party, text, corrections) for one, party in targets]
        flows.retry_later(turn)
        return asked[0].id.hex() if len(asked) == 1 else ""

    made = await visit.site.act(act)
    return visit.go(f"/rights/{made}" if made else "/rights")


def _corrections(visit: Visit) -> list[Correction]:
    """Read the value that is wrong, if one is named. Raises ValueError."""
    point, at, value = (visit.form.one(name).strip() for name in ("point", "at", "value"))
    if not at and not value:
        return []
    if value and not _VALUE.fullmatch(value):
        raise ValueError("no number")
    start = datetime.fromisoformat(at).replace(tzinfo=visit.site.settings.zone)
    return [Correction(point, int(start.timestamp()), value.replace(",", ".") or None)]
