"""A person's account: who keeps her keys, her passphrase, her rights.

How it works
    Changing the passphrase asks for the old one, and ends every other session of hers.

What it does not do
    It cannot take the keys out of the host's hands: a wallet made here was known here. The page says so. It shows no
    seed words, and answers no request for a right: it says with whom she has which.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from ledger.errors import LocalError, MailleError
from node.pages.limits import LOGIN_NAME
from node.pages.passphrase import CHARACTERS_MIN, check_new
from node.pages.reading import Unstated, card, lines_of
from node.pages.visit import Visit
from node.pages.wording import masked
from node.vaults.people import plain_login

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows


async def show(visit: Visit) -> Response:
    """Show the account."""
    return _account(visit)


def _account(visit: Visit, status: int = 200, error: MailleError | None = None, *, changed: bool = False) -> Response:
    points = [masked(point, visit.lang) for point in visit.who.points]
    return visit.page("account.html", status, points=points, error=error, changed=changed, shortest=CHARACTERS_MIN)


async def _check_passphrase(visit: Visit) -> None:
    """Hold the passphrase in the form to the account's. Raises LocalError PASSPHRASE_WRONG, TOO_OFTEN."""
    if not visit.may(LOGIN_NAME, plain_login(visit.who.name)):
        raise LocalError("TOO_OFTEN", "too many tries with one name")
    if not await visit.site.passphrases.fits(visit.who.hashed, visit.form.one("current")):
        raise LocalError("PASSPHRASE_WRONG", "this is not your passphrase", field="current")


async def passphrase(visit: Visit) -> Response:
    """Change the passphrase; every other session of hers ends."""
    chosen = visit.form.one("passphrase")
    try:
        await _check_passphrase(visit)
        check_new(chosen, visit.form.one("again"), visit.who.name)
    except MailleError as error:
        return _account(visit, 422, error)
    hashed, people = await visit.site.passphrases.make(chosen), visit.site.people
    changed = replace(visit.who, hashed=hashed)
    await visit.site.act(lambda turn, _: people.put(turn.vault, changed))
    visit.site.sessions.end_all(plain_login(changed.name), visit.cookie)
    return _account(visit, changed=True)


# Rights


async def rights(visit: Visit) -> Response:
    """Say with whom she has which rights, and how to use them."""
    await visit.site.keep_up()

    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for line in lines_of(turn, visit.wallet(turn, flows)):
            shown = card(turn, flows, visit.site.following, line, Unstated(()), visit.lang)
            if shown.said is not None:
                found.setdefault(shown.organisation, shown)
        return {"cards": list(found.values())}

    return visit.page("rights.html", **await visit.site.read(look))
