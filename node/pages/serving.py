"""What the citizen pages and the operator pages have in common behind their routes: forms, files, the language.

How it works
    `check_form` lets a POST through that comes from a page of ours: its origin, and the token of its form. `plain`
    are the routes that every site has.

What it does not do
    It knows no page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from ledger.errors import LocalError
from node.pages.forms import Form, origin_fault, read_form
from node.pages.limits import POST
from node.pages.visitor import LANGUAGE_COOKIE, YEAR, Front, Visitor, local_path

Endpoint = Callable[[Request], Awaitable[Response]]
Reader = Callable[[Request], Awaitable[Form]]


async def check_form(visit: Visitor, read: Reader = read_form) -> None:
    """Read the form of a POST. Raises MailleError FORM_FOREIGN, FORM_OLD, TOO_OFTEN, and as `read`."""
    if not visit.may(POST):
        raise LocalError("TOO_OFTEN", "too many forms from one address")
    if origin_fault(visit.request.headers, visit.front.settings.origin):
        raise LocalError("FORM_FOREIGN", "the form was not sent by a page of ours")
    visit.form = await read(visit.request)
    if not visit.front.sessions.is_token(visit.cookie, visit.form.one("token")):
        raise LocalError("FORM_OLD", "the form is of another session")


def plain(front: Front) -> list[Route]:
    """Return the routes of static files, of the choice of a language, and of robots.txt."""
    return [
        Route("/static/{digest}/{name}", _static(front), methods=["GET"]),
        Route("/language/{lang}", _language(front), methods=["GET"]),
        Route("/robots.txt", _robots, methods=["GET"]),
    ]


def _static(front: Front) -> Endpoint:
    async def serve(request: Request) -> Response:
        found = front.renderer.by_path.get(request.url.path)
        if found is None:
            return PlainTextResponse("There is no such file.\n", 404)
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(found.body, 200, headers, found.media_type)

    return serve


def _language(front: Front) -> Endpoint:
    async def change(request: Request) -> Response:
        response = RedirectResponse(local_path(request.query_params.get("next", "/")), 303)
        lang = request.path_params["lang"]
        if lang in front.settings.languages:
            response.set_cookie(LANGUAGE_COOKIE, lang, YEAR, secure=True, httponly=True, samesite="lax")
        return response

    return change


async def _robots(_: Request) -> Response:
    return PlainTextResponse("User-agent: *\nDisallow: /\n")
