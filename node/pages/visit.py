"""One request of a browser: who asks, in which language, with which form; and the answers it can get.

How it works
    `Site` is what all visits share: the node, its settings, sessions and limits. A `Visit` lives for one request. It
    reads in a snapshot and acts in a transaction of the engine, as operations do, and keeps up with the ledger first
    (`following`).

What it does not do
    It has no page of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ledger.errors import LocalError
from node.keyfile import Cost
from node.pages.asking import Inbox
from node.pages.following import Following
from node.pages.forms import Form
from node.pages.guard import client_address
from node.pages.limits import Limit, Limits, network_of
from node.pages.own import Custody, Own, custody_of, look
from node.pages.passphrase import COST, Passphrases
from node.pages.rendering import Renderer
from node.pages.sessions import COOKIE, SESSION_SECONDS, Sessions, is_cookie
from node.pages.settings import Language, Pages
from node.seed_words import seed_of_words
from node.vaults.people import PeopleRows, Person

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows
    from node.mesh import Mesh
    from node.pages.oidc import Provider
    from node.pages.watching import Watch

T = TypeVar("T")
LANGUAGE_COOKIE: Final = "maille-language"
YEAR: Final = 365 * 86_400


@dataclass(slots=True)
class Site:
    """What all visits share. `cost`: of new passphrase hashes."""

    node: Node
    settings: Pages
    cost: Cost = COST
    limits: Limits = field(default_factory=Limits)
    renderer: Renderer = field(default_factory=Renderer)
    sessions: Sessions = field(init=False)
    passphrases: Passphrases = field(init=False)
    inbox: Inbox = field(init=False)
    following: Following = field(default_factory=Following)
    provider: Provider | None = None
    watch: Watch | None = None

    def __post_init__(self) -> None:
        """Make what needs randomness."""
        self.sessions = Sessions(self.node.random_bytes)
        self.passphrases = Passphrases(self.cost)
        self.inbox = Inbox(self.node.random_bytes(32))

    @property
    def mesh(self) -> Mesh:
        """The mesh of the people. Raises LocalError NOT_FOUND while there is none."""
        return self.node.mesh(self.settings.mesh)

    @property
    def people(self) -> PeopleRows:
        """The accounts."""
        return PeopleRows(self.mesh.vault.blind)

    async def read(self, act: Callable[[Turn, Flows], T]) -> T:
        """Read in a snapshot."""
        mesh = self.mesh
        return await mesh.engine.read(lambda turn: act(turn, mesh.flows))

    async def act(self, act: Callable[[Turn, Flows], T]) -> T:
        """Act in a transaction: durable when this returns. Raises what the act raised; then nothing has changed."""
        mesh = self.mesh
        return await mesh.engine.act(lambda turn: act(turn, mesh.flows))

    async def keep_up(self) -> None:
        """Read what the ledger has new."""
        while not await self.read(lambda turn, _: self.following.advance(turn)):
            pass


class Visit:
    """See the module. `person`: who is logged in, or None. `form`: of a POST whose origin and token were checked."""

    def __init__(self, site: Site, request: Request) -> None:
        self.site, self.request = site, request
        self.now = site.node.now
        told = request.cookies.get(COOKIE, "")
        self.cookie = told if is_cookie(told) else site.sessions.new_cookie()
        self._set_cookie = self.cookie != told
        self.session = site.sessions.find(self.cookie, self.now)
        self.person: Person | None = None
        self.custody: Custody = "host"
        self.form = Form(())
        self.lang = self._language()
        self.address = client_address(request.scope, site.settings.trusted_proxies)

    def _language(self) -> Language:
        languages = self.site.settings.languages
        told = self.request.cookies.get(LANGUAGE_COOKIE)
        accepted = self.request.headers.get("accept-language", "")
        wanted = [told or "", *(part.strip()[:2].lower() for part in accepted.split(","))]
        return next((lang for text in wanted for lang in languages if text == lang), languages[0])

    # Who

    @property
    def who(self) -> Person:
        """Who is logged in. Raises LocalError LOGIN_NEEDED."""
        if self.person is None:
            raise LocalError("LOGIN_NEEDED", "log in first")
        return self.person

    async def load_person(self) -> None:
        """Find the account of the session; one that is gone ends the session."""
        if self.session is None:
            return
        name, people = self.session.person, self.site.people

        def find(turn: Turn, flows: Flows) -> tuple[Person | None, Custody]:
            person = people.get(turn.vault, name)
            return person, "host" if person is None else custody_of(turn, flows, person)

        self.person, self.custody = await self.site.read(find)
        if self.person is None:
            self.log_out()

    def log_in(self, name: str) -> None:
        """Begin a session under a new cookie."""
        self.site.sessions.end(self.cookie)
        self.cookie = self.site.sessions.begin(name, self.now)
        self._set_cookie = True

    def log_out(self) -> None:
        """End the session; the next page has a new cookie."""
        self.site.sessions.end(self.cookie)
        self.session, self.person = None, None
        self.cookie = self.site.sessions.new_cookie()
        self._set_cookie = True

    def own(self, turn: Turn, flows: Flows) -> Own:
        """Return what is her own, of who is logged in."""
        return look(turn, flows, self.site.people, self.who)

    @contextmanager
    def signing(self, turn: Turn, flows: Flows) -> Iterator[str]:
        """Give the name of a wallet that can sign in this transaction.

        A wallet that its person took away signs by the words in the form. They are forgotten before the transaction
        ends: the seed is never stored. Raises LocalError BAD_WORDS, NOT_THIS_WALLET.
        """
        name = self.who.wallet
        if flows.wallets.away(turn.vault, name) is None:
            yield name
            return
        flows.wallets.bring_back(turn.vault, name, seed_of_words(self.form.one("words")))
        yield name
        flows.wallets.take_away(turn.vault, name)

    def may(self, limit: Limit, who: str | None = None) -> bool:
        """Take one try of a limit, by the address where no name is given."""
        return self.site.limits.take(limit, network_of(self.address) if who is None else who, self.now)

    # Answers

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """Return a page."""
        return self.finish(HTMLResponse(self.render(template, **values), status))

    def render(self, template: str, /, **values: Any) -> str:
        """Return a template's text."""
        settings = self.site.settings
        path = self.request.url.path
        query = self.request.url.query
        here = path if self.request.method == "GET" else "/"
        return self.site.renderer.page(
            template,
            self.lang,
            self.now,
            person=self.person,
            custody=self.custody,
            host=self.site.node.config.name,
            contact=settings.contact,
            site_url=settings.url,
            languages=settings.languages,
            token=self.site.sessions.form_token(self.cookie),
            path=path,
            here=quote(f"{here}?{query}" if query and here == path else here, safe=""),
            login_with=settings.oidc.name if settings.oidc is not None else "",
            **values,
        )

    def go(self, path: str) -> Response:
        """Send the browser to another of our pages."""
        return self.finish(RedirectResponse(path, 303))

    def finish(self, response: Response) -> Response:
        """Give an answer its cookie."""
        if self._set_cookie:
            response.set_cookie(COOKIE, self.cookie, SESSION_SECONDS, secure=True, httponly=True, samesite="strict")
        return response


def local_path(text: str) -> str:
    """Return a path of ours that a link names, or "/" for anything else."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text if plain and len(text) <= 500 else "/"
