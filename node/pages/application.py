"""The routes of the citizen pages, and what happens before and after each page.

How it works
    Each row of `ROUTES` names a path, its methods and a function of one visit. Before it runs: the account of the
    session is loaded; a POST must come from a page of ours (origin, and the token of its form) and within the limits;
    a page for people who are logged in sends others to the log-in. An error becomes a page in plain words: what
    happened, what to do.

What it does not do
    No page is shown for an error that says more than its code's sentence: details go to the log, without form values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ledger.errors import LocalError, MailleError
from node.pages import (
    account,
    answering,
    dashboard,
    door,
    ending,
    files,
    handing,
    keys,
    leaving,
    narrowing,
    rights,
    slips,
    waiting,
    watching,
)
from node.pages.guard import Guard
from node.pages.serving import check_form, plain
from node.pages.visit import Site, Visit

Page = Callable[[Visit], Awaitable[Response]]
_STATUS: Final = {
    "NOT_FOUND": 404,
    "FORM_TOO_LARGE": 413,
    "FORM_MALFORMED": 400,
    "FORM_FOREIGN": 403,
    "FORM_OLD": 403,
    "TOO_OFTEN": 429,
    "BUSY": 503,
    "LOGIN_NEEDED": 401,
    "NO_MESH": 503,
}
WORDS_WRONG: Final = frozenset({"BAD_WORDS", "NOT_THIS_WALLET"})
"""What is wrong with the words that should sign."""


@dataclass(frozen=True, slots=True)
class Row:
    """One route. `login`: only for people who are logged in.

    `again`: of a form that is signed by words, the page that has the form: it is shown anew when the words are wrong.
    """

    path: str
    page: Page
    post: bool = False
    login: bool = True
    again: Page | None = None


ROUTES: Final = (
    Row("/", dashboard.home, login=False),
    Row("/login", door.login, login=False),
    Row("/login", door.log_in, post=True, login=False),
    Row("/logout", door.log_out, post=True, login=False),
    Row("/join/{code}", door.invitation, login=False),
    Row("/join/{code}", door.accept, post=True, login=False),
    Row("/oidc/start", door.oidc_start, login=False),
    Row("/oidc/callback", door.oidc_callback, login=False),
    Row("/requests", answering.requests),
    Row("/requests/{asker}", answering.show),
    Row("/requests/{asker}", answering.choose, post=True),
    Row("/requests/{asker}/answer", answering.answer, post=True, again=answering.confirm),
    Row("/consents", dashboard.consents),
    Row("/consents/{consent}", dashboard.consent),
    Row("/consents/{consent}/withdraw", ending.confirm),
    Row("/consents/{consent}/withdraw", ending.withdraw, post=True, again=ending.confirm),
    Row("/consents/{consent}/ended", ending.ended),
    Row("/consents/{consent}/ended/live", ending.ended_live),
    Row("/consents/{consent}/receipt", files.receipt),
    Row("/consents/{consent}/receipt.json", files.receipt_json),
    Row("/consents/{consent}/receipt.cbor", files.receipt_cbor),
    Row("/consents/{consent}/slip", files.slip),
    Row("/consents/{consent}/slip", files.slip_by_words, post=True, again=files.slip),
    Row("/consents/{consent}/narrow", narrowing.form),
    Row("/consents/{consent}/narrow", narrowing.choose, post=True),
    Row("/consents/{consent}/narrow/confirm", narrowing.narrow, post=True, again=narrowing.choose),
    Row("/consents/{consent}/hand-on", handing.form),
    Row("/consents/{consent}/hand-on", handing.choose, post=True),
    Row("/consents/{consent}/hand-on/confirm", handing.hand_on, post=True, again=handing.choose),
    Row("/consents/{consent}/onward/{onward}/stop", ending.confirm_stop),
    Row("/consents/{consent}/onward/{onward}/stop", ending.stop, post=True, again=ending.confirm_stop),
    Row("/waiting/{consent}", waiting.show),
    Row("/waiting/{consent}", waiting.take_back, post=True, again=waiting.show),
    Row("/taken-back", waiting.taken_back, login=False),
    Row("/signed", leaving.overview),
    Row("/signed/{consent}", leaving.show),
    Row("/signed/{consent}", leaving.leave, post=True, again=leaving.show),
    Row("/take-over", handing.ask),
    Row("/take-over", handing.take_over, post=True, again=handing.ask),
    Row("/organisations/{party}/withdraw", ending.confirm_all),
    Row("/organisations/{party}/withdraw", ending.withdraw_all, post=True, again=ending.confirm_all),
    Row("/organisations/{party}/ended", ending.all_ended),
    Row("/organisations/{party}/ended/live", ending.all_ended_live),
    Row("/trail", dashboard.trail),
    Row("/alarms", watching.alarms),
    Row("/rights", rights.overview),
    Row("/rights/ask/{consent}", rights.form),
    Row("/rights/ask/{consent}", rights.ask, post=True, again=rights.form),
    Row("/rights/{right}", rights.show),
    Row("/rights/{right}/answer.cbor", rights.answer_cbor),
    Row("/account", account.show),
    Row("/account/passphrase", account.passphrase, post=True),
    Row("/account/keys", keys.show),
    Row("/account/keys/words", keys.words, post=True),
    Row("/account/keys/check", keys.check),
    Row("/account/keys/check", keys.checked, post=True),
    Row("/account/keys/take", keys.take, post=True),
    Row("/account/keys/back", keys.give_back, post=True),
    Row("/account/keys/bring", keys.bring, post=True),
    Row("/withdraw", slips.ask, login=False),
    Row("/withdraw", slips.check, post=True, login=False),
    Row("/withdraw/confirm", slips.withdraw, post=True, login=False),
    Row("/withdrawn/{consent}/{signature}", slips.withdrawn, login=False),
    Row("/withdrawn/{consent}/{signature}/live", slips.withdrawn_live, login=False),
    Row("/accessibility", door.accessibility, login=False),
    Row("/about", door.about, login=False),
)


def make_pages(site: Site) -> ASGIApp:
    """Return the ASGI application of the pages."""
    routes = [Route(row.path, _endpoint(site, row), methods=["POST"] if row.post else ["GET"]) for row in ROUTES]
    routes += plain(site)

    async def not_found(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        visit = Visit(site, request)
        return visit.page("error.html", status, code="METHOD" if status == 405 else "NOT_FOUND")

    return Guard(Starlette(routes=routes, exception_handlers={404: not_found, 405: not_found}), site.settings)


def _endpoint(site: Site, row: Row) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        visit = Visit(site, request)
        try:
            if row.post:
                await check_form(visit)
            _check_mesh(site)
            await visit.load_person()
            if row.login and visit.person is None:
                return visit.go(f"/login?next={quote(request.url.path if not row.post else '/', safe='')}")
            return await _page(row, visit)
        except MailleError as error:
            return refused(visit, error)
        except Exception:
            structlog.get_logger("pages").exception("page failed", route=row.path)
            return visit.page("error.html", 500, code="INTERNAL")

    return serve


async def _page(row: Row, visit: Visit) -> Response:
    """Return the page of a route; the form again, with its fault marked, where the words that should sign are wrong."""
    try:
        return await row.page(visit)
    except MailleError as error:
        if row.again is None or error.code not in WORDS_WRONG:
            raise
        visit.fault = error
        return await row.again(visit)


def refused(visit: Visit, error: MailleError) -> Response:
    """Return the page of an error."""
    structlog.get_logger("pages").info("page refused", code=error.code)
    return visit.page("error.html", _STATUS.get(error.code, 409), code=error.code)


def _check_mesh(site: Site) -> None:
    try:
        _ = site.mesh
    except LocalError:
        raise LocalError("NO_MESH", "this node is in no mesh yet") from None
