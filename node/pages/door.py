"""Coming in and going out: log-in, log-out, the invitation of a new person, another provider's log-in, plain pages.

How it works
    Whoever has an invitation chooses a passphrase, or binds an identity of the OpenID provider; the account and its
    wallet are then made in one transaction, and the invitation ends with it. A wrong name and a wrong passphrase look
    the same and take the same time.

What it does not do
    It makes no invitation: the operator does (`maille pages invite`).
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import Response

from ledger.errors import LocalError, MailleError
from node.exits import not_found
from node.flows.consenting import SEED_BYTES
from node.pages.limits import INVITATION, LOGIN_ADDRESS, LOGIN_NAME
from node.pages.passphrase import CHARACTERS_MIN, check_new
from node.pages.visit import Visit, local_path
from node.vaults.people import Invitation, Person, plain_login

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

CODE_BYTES: Final = 16
"""Of an invitation: nobody guesses 128 bits."""


def code_text(code: bytes) -> str:
    """Return an invitation's code as it stands in a link."""
    return b32encode(code).decode().rstrip("=").lower()


def read_code(text: str) -> bytes:
    """Return the code of a link. Raises LocalError NOT_FOUND."""
    try:
        code = b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError:
        code = b""
    if len(code) != CODE_BYTES or code_text(code) != text:
        raise not_found("This invitation does not exist.")
    return code


async def login(visit: Visit) -> Response:
    """Show the log-in."""
    following = local_path(visit.request.query_params.get("next", "/"))
    if visit.person is not None:
        return visit.go(following)
    return visit.page("login.html", name="", following=following, failed=False)


async def log_in(visit: Visit) -> Response:
    """Log in by name and passphrase."""
    name, passphrase = visit.form.one("name"), visit.form.one("passphrase")
    following = local_path(visit.form.one("following"))
    if not visit.may(LOGIN_ADDRESS):
        raise LocalError("TOO_OFTEN", "too many tries from one address")
    try:
        plain = plain_login(name)
    except LocalError:
        plain = ""
    if plain and not visit.may(LOGIN_NAME, plain):
        raise LocalError("TOO_OFTEN", "too many tries with one name")
    people = visit.site.people
    person = await visit.site.read(lambda turn, _: people.get(turn.vault, plain) if plain else None)
    if not await visit.site.passphrases.fits(person.hashed if person is not None else "", passphrase):
        return visit.page("login.html", 422, name=name[:100], following=following, failed=True)
    visit.site.limits.forget(LOGIN_NAME, plain)
    visit.log_in(plain)
    return visit.go(following)


async def log_out(visit: Visit) -> Response:
    """Log out."""
    visit.log_out()
    return visit.page("goodbye.html")


# Invitations


async def _invitation(visit: Visit) -> tuple[bytes, Invitation]:
    if not visit.may(INVITATION):
        raise LocalError("TOO_OFTEN", "too many tries from one address")
    code, people = read_code(visit.request.path_params["code"]), visit.site.people
    found = await visit.site.read(lambda turn, _: people.invitation(turn.vault, code, turn.now))
    if found is None:
        raise LocalError("INVITATION_OVER", "this invitation was used, has expired, or was never made")
    return code, found


async def invitation(visit: Visit) -> Response:
    """Show an invitation, with the choice of a passphrase."""
    _, found = await _invitation(visit)
    return visit.page("join.html", invitation=found, shortest=CHARACTERS_MIN, error=None)


async def accept(visit: Visit) -> Response:
    """Open the account of an invitation with a passphrase, or give an account a new one."""
    code, found = await _invitation(visit)
    passphrase = visit.form.one("passphrase")
    try:
        check_new(passphrase, visit.form.one("again"), found.name)
    except MailleError as error:
        return visit.page("join.html", 422, invitation=found, shortest=CHARACTERS_MIN, error=error)
    hashed = await visit.site.passphrases.make(passphrase)
    person = await open_account(visit, code, hashed)
    visit.site.sessions.end_all(plain_login(person.name))
    visit.log_in(plain_login(person.name))
    return visit.go("/")


async def open_account(visit: Visit, code: bytes, hashed: str, identity: tuple[str, str] | None = None) -> Person:
    """Use an invitation: make the account, and its wallet where there is none of that name.

    Raises LocalError INVITATION_OVER, IDENTITY_TAKEN.
    """
    people, random_bytes = visit.site.people, visit.site.node.random_bytes

    def act(turn: Turn, flows: Flows) -> Person:
        found = people.invitation(turn.vault, code, turn.now)
        if found is None:
            raise LocalError("INVITATION_OVER", "this invitation was used meanwhile")
        person = people.get(turn.vault, found.name)
        if person is None:
            if flows.wallets.find(turn.vault, found.wallet) is None:
                flows.wallets.create(turn.vault, found.wallet, random_bytes(SEED_BYTES), turn.now)
            person = Person(found.name, found.wallet, "", turn.now, found.points)
        points = tuple(dict.fromkeys((*person.points, *found.points)))
        person = replace(person, points=points, hashed=hashed or person.hashed)
        people.put(turn.vault, person)
        if identity is not None:
            person = people.bind(turn.vault, person, *identity)
        people.used(turn.vault, code)
        return person

    return await visit.site.act(act)


# Another provider


async def oidc_start(visit: Visit) -> Response:
    """Send the browser to the OpenID provider."""
    provider = visit.site.provider
    if provider is None:
        raise not_found("There is no other way to log in here.")
    code = visit.request.query_params.get("invitation", "")
    if code:
        read_code(code)
    return visit.finish(await provider.start(visit.now, code))


async def oidc_callback(visit: Visit) -> Response:
    """Take what the provider answered: log in who is known, open the account of an invitation."""
    provider = visit.site.provider
    if provider is None:
        raise not_found("There is no other way to log in here.")
    issuer, subject, code = await provider.finish(visit.request, visit.now)
    people = visit.site.people
    if code:
        person: Person | None = await open_account(visit, read_code(code), "", (issuer, subject))
    else:
        person = await visit.site.read(lambda turn, _: people.by_identity(turn.vault, issuer, subject))
    if person is None:
        raise LocalError("NO_ACCOUNT", "no account here is bound to this identity")
    visit.log_in(plain_login(person.name))
    # A page and no redirect: a strict cookie is not sent on a chain of redirects that began at another site.
    return provider.forget(visit.page("continue.html"))


# Plain pages


async def accessibility(visit: Visit) -> Response:
    """Show the accessibility statement."""
    return visit.page("accessibility.html")


async def about(visit: Visit) -> Response:
    """Say who keeps the keys, and what that means."""
    return visit.page("about.html")


def link_of(url: str, code: bytes) -> str:
    """Return the link of an invitation."""
    return f"{url}/join/{quote(code_text(code))}"
