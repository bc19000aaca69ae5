"""A person's account: her points, how she logs in, her passphrase.

How it works
    Changing the passphrase asks for the old one, and ends every other session of hers.

What it does not do
    It says who keeps her keys, and leaves it at that (`keys`).
"""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from ledger.errors import LocalError, MailleError
from node.pages.limits import LOGIN_NAME
from node.pages.passphrase import CHARACTERS_MIN, check_new
from node.pages.visit import Visit
from node.pages.wording import masked
from node.vaults.people import plain_login


async def show(visit: Visit) -> Response:
    """Show the account."""
    return await _account(visit)


async def _account(
    visit: Visit, status: int = 200, error: MailleError | None = None, *, changed: bool = False
) -> Response:
    own = await visit.site.read(visit.own)
    points = [masked(point, visit.lang) for point in own.points]
    return visit.page("account.html", status, points=points, error=error, changed=changed, shortest=CHARACTERS_MIN)


async def check_passphrase(visit: Visit) -> None:
    """Hold the passphrase in the form to the account's, if it has one. Raises PASSPHRASE_WRONG, TOO_OFTEN."""
    if not visit.who.hashed:
        return
    if not visit.may(LOGIN_NAME, plain_login(visit.who.name)):
        raise LocalError("TOO_OFTEN", "too many tries with one name")
    if not await visit.site.passphrases.fits(visit.who.hashed, visit.form.one("current")):
        raise LocalError("PASSPHRASE_WRONG", "this is not your passphrase", field="current")


async def passphrase(visit: Visit) -> Response:
    """Change the passphrase; every other session of hers ends."""
    chosen = visit.form.one("passphrase")
    try:
        await check_passphrase(visit)
        check_new(chosen, visit.form.one("again"), visit.who.name)
    except MailleError as error:
        return await _account(visit, 422, error)
    hashed, people = await visit.site.passphrases.make(chosen), visit.site.people
    changed = replace(visit.who, hashed=hashed)
    await visit.site.act(lambda turn, _: people.put(turn.vault, changed))
    visit.site.sessions.end_all(plain_login(changed.name), visit.cookie)
    return await _account(visit, changed=True)
