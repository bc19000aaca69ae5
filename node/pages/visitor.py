"""One request of a browser, whoever serves it: its cookie and session, its language, its form, and its answers.

How it works
    `Front` is what all requests share: settings, sessions, limits, templates. A `Visitor` lives for one request. The
    citizen pages (`visit`) and the operator pages (node/console) add whom they know.

What it does not do
    It knows nobody: a session names somebody, and says no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from node.pages.forms import Form
from node.pages.guard import client_address
from node.pages.limits import Limit, Limits, network_of
from node.pages.rendering import Renderer
from node.pages.sessions import SESSION_SECONDS, Sessions, is_cookie
from node.pages.settings import Language, Served

if TYPE_CHECKING:
    from node.daemon import Node

LANGUAGE_COOKIE: Final = "maille-language"
YEAR: Final = 365 * 86_400


class Front(Protocol):
    """What all requests share. `cookie`: the name of the one that holds the session."""

    @property
    def node(self) -> Node:
        """Who serves."""
        ...

    @property
    def settings(self) -> Served:
        """Where and how."""
        ...

    @property
    def cookie(self) -> str:
        """The name of the cookie of a session: pages on two ports of one host share their cookies."""
        ...

    @property
    def limits(self) -> Limits:
        """How often somebody may try."""
        ...

    @property
    def renderer(self) -> Renderer:
        """The templates."""
        ...

    @property
    def sessions(self) -> Sessions:
        """Who is logged in."""
        ...


class Visitor:
    """See the module. `form`: of a POST whose origin and token were checked."""

    def __init__(self, front: Front, request: Request) -> None:
        self.front, self.request = front, request
        self.now = front.node.now
        told = request.cookies.get(front.cookie, "")
        self.cookie = told if is_cookie(told) else front.sessions.new_cookie()
        self._set_cookie = self.cookie != told
        self.session = front.sessions.find(self.cookie, self.now)
        self.form = Form(())
        self.lang = self._language()
        self.address = client_address(request.scope, front.settings.trusted_proxies)

    def _language(self) -> Language:
        languages = self.front.settings.languages
        told = self.request.cookies.get(LANGUAGE_COOKIE)
        accepted = self.request.headers.get("accept-language", "")
        wanted = [told or "", *(part.strip()[:2].lower() for part in accepted.split(","))]
        return next((lang for text in wanted for lang in languages if text == lang), languages[0])

    def log_in(self, name: str) -> None:
        """Begin a session under a new cookie."""
        self.front.sessions.end(self.cookie)
        self.cookie = self.front.sessions.begin(name, self.now)
        self._set_cookie = True

    def log_out(self) -> None:
        """End the session; the next page has a new cookie."""
        self.front.sessions.end(self.cookie)
        self.session = None
        self.cookie = self.front.sessions.new_cookie()
        self._set_cookie = True

    def may(self, limit: Limit, who: str | None = None) -> bool:
        """Take one try of a limit, by the address where no name is given."""
        return self.front.limits.take(limit, network_of(self.address) if who is None else who, self.now)

    # Answers

    def known(self) -> dict[str, Any]:
        """Return what every template of these pages is given besides."""
        return {}

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """Return a page."""
        return self.finish(HTMLResponse(self.render(template, **values), status))

    def render(self, template: str, /, **values: Any) -> str:
        """Return a template's text."""
        path = self.request.url.path
        query = self.request.url.query
        here = path if self.request.method == "GET" else "/"
        return self.front.renderer.page(
            template,
            self.lang,
            self.now,
            host=self.front.node.config.name,
            languages=self.front.settings.languages,
            token=self.front.sessions.form_token(self.cookie),
            path=path,
            here=quote(f"{here}?{query}" if query and here == path else here, safe=""),
            **{**self.known(), **values},
        )

    def go(self, path: str) -> Response:
        """Send the browser to another of our pages."""
        return self.finish(RedirectResponse(path, 303))

    def finish(self, response: Response) -> Response:
        """Give an answer its cookie."""
        if self._set_cookie:
            name = self.front.cookie
            response.set_cookie(name, self.cookie, SESSION_SECONDS, secure=True, httponly=True, samesite="strict")
        return response


def local_path(text: str) -> str:
    """Return a path of ours that a link names, or "/" for anything else."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text if plain and len(text) <= 500 else "/"
