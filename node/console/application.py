"""The routes of the operator pages, and what happens before and after each page.

How it works
    Each row of `ROUTES` names a path, a function of one look, and the permission it takes. Before it runs: the token of
    the session is looked up; a POST must come from a page of ours and within the limits; who is not logged in is sent
    to the log-in. An error becomes a page: what happened, in the operation's own sentence.

What it does not do
    No page is shown for a fault of ours that says more than its code: the log does.
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
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ledger.errors import LocalError, MailleError
from node.console import checking, door, members, overview, records, voting
from node.console.desk import Desk, Look
from node.console.upload import UPLOAD_BYTES_MAX
from node.exits import STATUS, exit_of
from node.operation import Permission
from node.pages.forms import read_form
from node.pages.guard import Guard
from node.pages.serving import Reader, check_form, plain

Page = Callable[[Look], Awaitable[Response]]
_STATUS: Final = {
    "FORM_TOO_LARGE": 413,
    "FORM_MALFORMED": 400,
    "FORM_FOREIGN": 403,
    "FORM_OLD": 403,
    "NOT_PERMITTED": 403,
    "TOO_OFTEN": 429,
    "BUSY": 503,
    "LOGIN_NEEDED": 401,
    "NO_MESH": 503,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One route. `needs`: the permission of the token; None: nobody need be logged in. `read`: reads its form."""

    path: str
    page: Page
    post: bool = False
    needs: Permission | None = "read"
    read: Reader = read_form


ROUTES: Final = (
    Row("/", overview.home),
    Row("/login", door.login, needs=None),
    Row("/login", door.log_in, post=True, needs=None),
    Row("/logout", door.log_out, post=True, needs=None),
    Row("/map", members.mesh_map),
    Row("/members", members.members),
    Row("/members/{member}", members.member),
    Row("/applications/{application}", members.application, needs="operate"),
    Row("/applications/{application}", members.answer, post=True, needs="operate"),
    Row("/peers", members.peers),
    Row("/links", members.links),
    Row("/proposals", voting.proposals),
    Row("/proposals/{proposal}", voting.proposal),
    Row("/proposals/{proposal}/vote", voting.confirm, needs="operate"),
    Row("/proposals/{proposal}/vote", voting.cast, post=True, needs="operate"),
    Row("/ledger", records.ledger),
    Row("/consents", records.consents_page),
    Row("/transfers", records.transfers),
    Row("/alerts", overview.alerts),
    Row("/audits", checking.audits),
    Row("/audits", checking.start_audit, post=True, needs="operate"),
    Row("/audits/{number}", checking.audit),
    Row("/audits/{number}/report", checking.audit_report, needs="operate"),
    Row(checking.PROOF_PATH, checking.proof),
    Row(checking.PROOF_PATH, checking.verify, post=True, read=checking.read_form),
    Row("/live", door.live),
    Row("/accessibility", door.accessibility, needs=None),
)


def make_console(desk: Desk) -> ASGIApp:
    """Return the ASGI application of the operator pages."""
    routes = [Route(row.path, _endpoint(desk, row), methods=["POST"] if row.post else ["GET"]) for row in ROUTES]

    async def not_found(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        look = Look(desk, request)
        return look.page("console_error.html", status, code="METHOD" if status == 405 else "NOT_FOUND", told="")

    app = Starlette(routes=[*routes, *plain(desk)], exception_handlers={404: not_found, 405: not_found})
    return Guard(app, desk.settings, {checking.PROOF_PATH: UPLOAD_BYTES_MAX})


def _endpoint(desk: Desk, row: Row) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        look = Look(desk, request)
        try:
            if row.needs is not None and look.token is None:  # before anything is read: a file may be large
                if row.page is door.live:
                    return PlainTextResponse("Log in first.\n", 401)
                query = f"?{request.url.query}" if request.url.query else ""
                return look.go(f"/login?next={quote(request.url.path + query if not row.post else '/', safe='')}")
            if row.post:
                await check_form(look, row.read)
            if row.needs is not None and not look.may_do(row.needs):
                raise LocalError("NOT_PERMITTED", f"This needs a token with the permission {row.needs!r}.")
            return await row.page(look)
        except MailleError as error:
            structlog.get_logger("console").debug("page refused", code=error.code)
            status = _STATUS.get(error.code) or STATUS[exit_of(error.code)]
            return look.page("console_error.html", status, code=error.code, told=error.message)
        except Exception:
            structlog.get_logger("console").exception("page failed", route=row.path)
            return look.page("console_error.html", 500, code="INTERNAL", told="")

    return serve
