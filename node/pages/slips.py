"""Withdrawing by paper: anybody who holds a slip withdraws its consent, without an account.

How it works
    The code is typed, pasted, or comes with the link of the slip's QR code. Looking never withdraws: the page says
    which consent it is, by what the ledger shows anybody, and one button ends it. What has been withdrawn is shown
    under a link that this process signed, so that nobody walks through the consents of others.

What it does not do
    It shows nothing of the content: who finds a slip learns no purpose and no meter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from starlette.responses import Response

from ledger.consent.slip import Slip, parse_slip
from ledger.errors import LocalError, MailleError
from node.exits import not_found
from node.pages.dashboard import read_id
from node.pages.ending import Count, count_of, live_values
from node.pages.limits import SLIP
from node.pages.naming import names
from node.pages.reading import Line, line_of
from node.pages.visit import Visit
from node.pages.waiting import WAITING, line_of_waiting

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

CODE_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class Found:
    """The consent of a slip, by its clear fields."""

    line: Line
    holder: str
    recipient: str


def qr(text: str) -> Markup:
    """Return a QR code as an inline image that needs no style."""
    import segno

    drawn = segno.make(text, error="m", micro=False)
    return Markup(drawn.svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr"))


def slip_link(url: str, slip: Slip) -> str:
    """Return what the QR code of a slip holds: the page of withdrawals, with the code filled in."""
    return f"{url}/withdraw?code={slip.code()}"


async def ask(visit: Visit) -> Response:
    """Ask for the code."""
    code = visit.request.query_params.get("code", "")[:CODE_MAX]
    return visit.page("slip_ask.html", code=code, error=None)


def _find(visit: Visit, turn: Turn, flows: Flows, code: str) -> tuple[Slip, Found]:
    slip = parse_slip(code)
    grant = flows.acts.find_by_slip(turn, slip)
    waits = flows.spreading.waiting(turn, grant.id)
    line = line_of(turn, grant.id) if waits is None else line_of_waiting(waits)
    if line is None:
        raise not_found("This consent is not known here.")
    return slip, Found(line, *names(turn, visit.lang).ends(line.holder, line.recipient))


def _check_often(visit: Visit) -> None:
    if not visit.may(SLIP):
        raise LocalError("TOO_OFTEN", "too many slips from one address")


async def check(visit: Visit) -> Response:
    """Show the consent of a code, and ask to confirm."""
    _check_often(visit)
    code = visit.form.one("code")[:CODE_MAX]
    try:
        slip, found = await visit.site.read(lambda turn, flows: _find(visit, turn, flows, code))
    except MailleError as error:
        return visit.page("slip_ask.html", 422, code=code, error=error)
    if found.line.state == "withdrawn":
        return visit.go(_done(visit, found.line))
    return visit.page("slip_confirm.html", code=slip.code(), found=found)


def _done(visit: Visit, line: Line) -> str:
    ident = line.id.hex()
    return f"/withdrawn/{ident}/{visit.site.sessions.sign('withdrawn', ident)}"


async def withdraw(visit: Visit) -> Response:
    """Withdraw by the code."""
    _check_often(visit)
    code = visit.form.one("code")[:CODE_MAX]

    def act(turn: Turn, flows: Flows) -> Line:
        slip, found = _find(visit, turn, flows, code)
        if found.line.state != "withdrawn":
            grant = flows.spreading.grant(turn, found.line.id)
            if grant is None:
                raise not_found("This consent is not known here.")
            flows.acts.end(turn, grant, slip)
            flows.retry_later(turn)
        return found.line

    try:
        line = await visit.site.act(act)
    except MailleError as error:
        return visit.page("slip_ask.html", 422, code=code, error=error)
    return visit.go("/taken-back" if line.state == WAITING else _done(visit, line))


async def withdrawn(visit: Visit) -> Response:
    """Show that it was withdrawn, and who has confirmed."""
    return await _withdrawn(visit, "ended.html")


async def withdrawn_live(visit: Visit) -> Response:
    """Return the count alone."""
    return await _withdrawn(visit, "confirmed.html")


async def _withdrawn(visit: Visit, template: str) -> Response:
    told, signature = visit.request.path_params["consent"], visit.request.path_params["signature"]
    ident = read_id(told)
    if not visit.site.sessions.is_signed("withdrawn", told, signature):
        return visit.go("/withdraw")  # the link of another day: the slip itself still works

    def look(turn: Turn, flows: Flows) -> tuple[str, Count]:  # noqa: ARG001 (as every look)
        line = line_of(turn, ident)
        if line is None:
            raise not_found("This consent is not known here.")
        called = names(turn, visit.lang)
        return called.ends(line.holder, line.recipient)[1], count_of(turn, [line], lambda _: called)

    organisation, count = await visit.site.read(look)
    live = f"/withdrawn/{told}/{signature}/live"
    return visit.page(template, shown=None, organisation=organisation, **live_values(visit, count, live))
