"""Who keeps a person's keys: the words of her wallet, a wallet of her own, and keys that she takes away.

How it works
    A wallet that was made here is its seed, which 24 words write down. The words are shown until the person has typed
    some of them, and never after. With them she may take the keys away: the seed is erased here, and each act from then
    on asks for the words, uses them within one transaction and keeps nothing. She may give the keys back. Somebody who
    has a wallet from elsewhere brings it by its words, while the account has given no consent yet.

    Each page says who has the keys. Words come in the body of a form alone, and no answer is kept by a browser.

What it does not do
    It cannot make a host forget what it knew: the page says so. Whoever wants no host to see her words even for a
    moment runs a node of her own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from ledger.errors import LocalError, MailleError
from node.pages.account import check_passphrase
from node.pages.asking import refusal_of
from node.pages.limits import LOGIN_NAME
from node.pages.visit import Visit
from node.seed_words import WORDS, seed_of_words, words_of_seed
from node.vaults.people import plain_login

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows
    from node.pages.settings import Language

CHECKED_WORDS: Final = 3
"""Words that a person types to show that she has written them down."""
_LIST: Final[dict[Language, str]] = {"en": "english", "fr": "french"}
_NAMES_MAX: Final = 100


async def show(visit: Visit) -> Response:
    """Say who keeps the keys, and what she can change about it."""
    return await _keys(visit)


async def _keys(visit: Visit, status: int = 200, error: MailleError | None = None, done: str = "") -> Response:
    own = await visit.site.read(visit.own)
    return visit.page("keys.html", status, error=error, done=done, given=len(own.consents))


def _only(visit: Visit, *allowed: str) -> None:
    """Refuse an act that does not fit who has the keys now. Raises LocalError KEYS_ELSEWHERE."""
    if visit.custody not in allowed:
        raise LocalError("KEYS_ELSEWHERE", "this was done already, or does not fit who has the keys now")


# The words


def _seed(visit: Visit, turn: Turn, flows: Flows) -> bytes:
    return flows.wallets.get(turn.vault, visit.who.wallet).wallet.seed


async def words(visit: Visit) -> Response:
    """Show the words of the wallet, after the passphrase."""
    _only(visit, "host")
    try:
        await check_passphrase(visit)
    except MailleError as error:
        return await _keys(visit, 422, error)
    seed = await visit.site.read(lambda turn, flows: _seed(visit, turn, flows))
    return visit.page("words.html", words=words_of_seed(seed, _LIST[visit.lang]).split())


def _places(visit: Visit) -> list[int]:
    """Return which words are asked for: the same for the whole session, others in the next."""
    drawn = bytes.fromhex(visit.site.sessions.sign("words", visit.cookie))
    return sorted(list(dict.fromkeys(byte % WORDS for byte in drawn))[:CHECKED_WORDS])


async def check(visit: Visit) -> Response:
    """Ask for some of the words."""
    _only(visit, "host")
    return visit.page("words_check.html", places=_places(visit), error=None)


async def checked(visit: Visit) -> Response:
    """Note that she has her words, if those that she typed are right."""
    _only(visit, "host")
    _may_guess(visit)
    places = _places(visit)
    typed = [" ".join(visit.form.one(f"word-{place}").casefold().split()) for place in places]
    seed = await visit.site.read(lambda turn, flows: _seed(visit, turn, flows))
    lists = [words_of_seed(seed, language).split() for language in _LIST.values()]
    if not any([_plain(book[place]) for place in places] == [_plain(word) for word in typed] for book in lists):
        error = LocalError("WORDS_WRONG", "these are not the words at these places", field=f"word-{places[0]}")
        return visit.page("words_check.html", 422, places=places, error=error)
    people, person = visit.site.people, replace(visit.who, own_keys=True)
    await visit.site.act(lambda turn, _: people.put(turn.vault, person))
    visit.person, visit.custody = person, "both"
    return await _keys(visit, done="words")


def _plain(word: str) -> str:
    import unicodedata

    return "".join(one for one in unicodedata.normalize("NFKD", word) if not unicodedata.combining(one))


def _may_guess(visit: Visit) -> None:
    if not visit.may(LOGIN_NAME, f"words {plain_login(visit.who.name)}"):
        raise LocalError("TOO_OFTEN", "too many tries with the words of one wallet")


# Taking the keys away, and giving them back


async def take(visit: Visit) -> Response:
    """Erase the keys here, after she typed all of her words."""
    _only(visit, "both")
    _may_guess(visit)
    site = visit.site
    await site.keep_up()

    def act(turn: Turn, flows: Flows) -> None:
        if seed_of_words(visit.form.one("words")) != _seed(visit, turn, flows):
            raise LocalError("NOT_THIS_WALLET", "these words are of another wallet", field="words")
        own = visit.own(turn, flows)
        for request in site.inbox.of(turn, flows, site.following, own.points):
            refusal = refusal_of(turn, request, own)
            if refusal is not None:
                site.people.refused(turn.vault, visit.who, request, refusal.kid)
        flows.wallets.take_away(turn.vault, visit.who.wallet)

    try:
        await site.act(act)
    except MailleError as error:
        return await _keys(visit, 422, error)
    visit.custody = "own"
    return await _keys(visit, done="taken")


async def give_back(visit: Visit) -> Response:
    """Keep the keys here again."""
    _only(visit, "own")
    _may_guess(visit)

    def act(turn: Turn, flows: Flows) -> None:
        flows.wallets.bring_back(turn.vault, visit.who.wallet, seed_of_words(visit.form.one("words")))

    try:
        await visit.site.act(act)
    except MailleError as error:
        return await _keys(visit, 422, error)
    visit.custody = "both"
    return await _keys(visit, done="back")


# A wallet from elsewhere


async def bring(visit: Visit) -> Response:
    """Take in a wallet by its words, in place of one that has given nothing yet; keep it only if she says so."""
    _only(visit, "host", "both")
    _may_guess(visit)
    keep, people, person = visit.form.one("keep") == "yes", visit.site.people, replace(visit.who, own_keys=True)

    def act(turn: Turn, flows: Flows) -> None:
        seed, rows = seed_of_words(visit.form.one("words")), flows.wallets
        if visit.own(turn, flows).consents:
            raise LocalError("WALLET_IN_USE", "the wallet of this account has given consents", field="words")
        if any(hosted.wallet.seed == seed for hosted in rows.listing(turn.vault)):
            raise LocalError("WALLET_IN_USE", "this wallet is kept here already", field="words")
        rows.rename(turn.vault, person.wallet, _free_name(turn, flows, person.wallet))
        flows.life.import_wallet(turn, person.wallet, seed)
        flows.points.know(turn, person.wallet)
        people.put(turn.vault, person)
        if not keep:
            rows.take_away(turn.vault, person.wallet)

    try:
        await visit.site.act(act)
    except MailleError as error:
        return await _keys(visit, 422, error)
    visit.person, visit.custody = person, "both" if keep else "own"
    return await _keys(visit, done="brought")


def _free_name(turn: Turn, flows: Flows, name: str) -> str:
    """Return a name for a wallet that is not used any more."""
    names = (f"{name[:80]} (before {number})" for number in range(1, _NAMES_MAX))
    return next(one for one in names if flows.wallets.find(turn.vault, one) is None)
