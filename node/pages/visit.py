"""One request of a citizen's browser: who asks, and what she may read and do (`visitor` has the rest).

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
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ledger.errors import LocalError, MailleError
from node.keyfile import Cost
from node.pages.asking import Inbox
from node.pages.following import Following
from node.pages.limits import Limits
from node.pages.own import Custody, Own, custody_of, look
from node.pages.passphrase import COST, Passphrases
from node.pages.rendering import Renderer
from node.pages.sessions import COOKIE, Sessions
from node.pages.settings import Pages
from node.pages.visitor import LANGUAGE_COOKIE, YEAR, Visitor, local_path
from node.seed_words import seed_of_words, unknown_words
from node.vaults.people import PeopleRows, Person

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows
    from node.mesh import Mesh
    from node.pages.oidc import Provider
    from node.pages.watching import Watch

__all__ = ("LANGUAGE_COOKIE", "YEAR", "Site", "Visit", "local_path")
T = TypeVar("T")


@dataclass(slots=True)
class Site:
    """What all visits share. `cost`: of new passphrase hashes."""

    node: Node
    settings: Pages
    cost: Cost = COST
    limits: Limits = field(default_factory=Limits)
    renderer: Renderer = field(init=False)
    sessions: Sessions = field(init=False)
    passphrases: Passphrases = field(init=False)
    inbox: Inbox = field(init=False)
    following: Following = field(default_factory=Following)
    provider: Provider | None = None
    watch: Watch | None = None
    cookie: str = COOKIE

    def __post_init__(self) -> None:
        """Make what needs randomness or settings."""
        self.renderer = Renderer(zone=self.settings.zone)
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


@dataclass(frozen=True, slots=True)
class WordsFault:
    """What is wrong with words that were typed. `places`: of those in no list, from 1; `count`: how many there are."""

    code: str
    typed: str
    places: tuple[int, ...]
    count: int


class Visit(Visitor):
    """See the module. `person`: who is logged in, or None. `fault`: of the words in the form, which is shown anew."""

    def __init__(self, site: Site, request: Request) -> None:
        super().__init__(site, request)
        self.site = site
        self.person: Person | None = None
        self.custody: Custody = "host"
        self.fault: MailleError | None = None

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """Return a page; one with a fault in it is no success."""
        return super().page(template, 422 if self.fault is not None and status == 200 else status, **values)

    def known(self) -> dict[str, Any]:
        """Return what every template is given besides."""
        settings = self.site.settings
        return {
            "person": self.person,
            "custody": self.custody,
            "fault": self._fault(),
            "contact": settings.contact,
            "site_url": settings.url,
            "login_with": settings.oidc.name if settings.oidc is not None else "",
        }

    def _fault(self) -> WordsFault | None:
        if self.fault is None:
            return None
        typed = self.form.one("words")
        return WordsFault(self.fault.code, typed, tuple(unknown_words(typed)), len(typed.split()))

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

    def log_out(self) -> None:
        """End the session; the next page has a new cookie, and nobody's name."""
        super().log_out()
        self.person = None

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
