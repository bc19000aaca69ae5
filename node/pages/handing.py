"""Handing a consent on to other keys, and taking one over: one page for each of the two people.

How it works
    Whoever takes a consent over types its number and is given a text: the public keys that her wallet has for this one
    consent, with this member as the host of her pages. Whoever has the consent pastes the text; the next page says who
    will decide, and one button signs (ledger.md, consent.rekey). Nobody is asked for consent again, and data go on.
    Both pages show one check number, which the two compare by voice: so nobody puts another text in between.

    A wallet whose keys lie here lists the consent by itself. Whoever has her keys alone types the number again, with
    her words, once it was handed on. Either of the two may be at another member, and without pages there: the pages
    say what to ask its operator for.

What it does not do
    It carries the text to nobody, and takes nothing back: only the new keys hand on again.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from ledger.consent.heir import CODE_MAX, Heir, heir_of, parse_heir
from ledger.entry import Entry
from ledger.errors import LocalError
from node.exits import not_found
from node.flows.custody import in_force
from node.pages.dashboard import HEX, own_line
from node.pages.naming import names
from node.pages.reading import CONTESTED, CURRENT, Card, Line, Unstated, card, line_of
from node.pages.visit import Visit

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

NUMBER_DIGITS: Final = 64
NUMBER_MAX: Final = 200
"""Longest number that is shown again, in characters."""
_CHECK_DIGITS: Final = 16


def check_number(heir: Heir) -> str:
    """Return what two people compare by voice: 16 decimal digits, some 53 bits of SHA-256 over the text."""
    digits = str(int.from_bytes(sha256(heir.code().encode()).digest(), "big"))[-_CHECK_DIGITS:]
    return " ".join(digits[at : at + 4] for at in range(0, _CHECK_DIGITS, 4))


# Handing on


def _hers(visit: Visit, turn: Turn, flows: Flows) -> tuple[Line, Entry]:
    """Return her consent, if it is hers to hand on. Raises LocalError NOT_FOUND, CONTESTED."""
    line = own_line(visit, turn, flows)
    grant = turn.core.replica.grant(turn.rows, line.id)
    if line.state == CONTESTED:
        raise LocalError("CONTESTED", "this consent was handed on twice; nobody hands it on any more", field="id")
    if not line.current or grant is None:
        raise not_found("This consent has ended, or other keys decide on it.")
    return line, grant


def _read_heir(visit: Visit, turn: Turn, grant: Entry) -> Heir:
    """Read the text in the form. Raises LocalError BAD_HEIR, OTHER_CONSENT, UNKNOWN_HOST."""
    heir = parse_heir(visit.form.one("heir"))
    if heir.grant != grant.id:
        raise LocalError("OTHER_CONSENT", "this text was made for another consent", field="heir")
    if heir.host is not None and not turn.core.replica.members.is_member(heir.host):
        raise LocalError("UNKNOWN_HOST", "the host that the text names is no member", field="heir")
    return heir


async def form(visit: Visit) -> Response:
    """Say how a consent is handed on, and ask for the text of whoever takes it over."""
    await visit.site.keep_up()
    return await _form(visit)


async def _form(visit: Visit, error: LocalError | None = None) -> Response:
    def look(turn: Turn, flows: Flows) -> Card:
        return card(turn, flows, _hers(visit, turn, flows)[0], Unstated(()), visit.lang)

    shown, heir = await visit.site.read(look), visit.form.one("heir")[:CODE_MAX]
    return visit.page("hand_on.html", 200 if error is None else 422, shown=shown, heir=heir, error=error)


async def choose(visit: Visit) -> Response:
    """Show to whom it would be handed on, and ask to confirm it."""

    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        line, grant = _hers(visit, turn, flows)
        heir = _read_heir(visit, turn, grant)
        at = "" if heir.host is None else names(turn, visit.lang).of(heir.host)
        shown = card(turn, flows, line, Unstated(()), visit.lang)
        return {"shown": shown, "heir": heir.code(), "at": at, "check": check_number(heir)}

    try:
        found = await visit.site.read(look)
    except LocalError as error:
        if error.field != "heir":
            raise
        return await _form(visit, error)
    return visit.page("hand_on_confirm.html", **found)


async def hand_on(visit: Visit) -> Response:
    """Hand the consent on as confirmed."""

    def act(turn: Turn, flows: Flows) -> str:
        line, grant = _hers(visit, turn, flows)
        heir = _read_heir(visit, turn, grant)
        with visit.signing(turn, flows) as wallet:
            _only_by(turn, flows, grant, wallet)
            flows.life.rekey(turn, grant, heir, None)
        flows.retry_later(turn)
        return line.id.hex()

    return visit.go(f"/consents/{await visit.site.act(act)}")


def _only_by(turn: Turn, flows: Flows, grant: Entry, wallet: str) -> None:
    """Refuse to sign with another wallet kept here than this one. Raises LocalError NOT_YOUR_CONSENT."""
    held = in_force(turn, flows.wallets, grant)
    if held is None or held[0].name != wallet:
        raise LocalError("NOT_YOUR_CONSENT", "other keys than this wallet's are in force", field="id")


# Taking over


@dataclass(frozen=True, slots=True)
class Taken:
    """A text for whoever hands a consent on, and what the ledger shows anybody of that consent."""

    heir: Heir
    line: Line
    ends: tuple[str, str]


async def ask(visit: Visit) -> Response:
    """Ask for the number of the consent that shall be taken over."""
    return _ask(visit)


def _ask(visit: Visit, error: LocalError | None = None) -> Response:
    number = visit.form.one("number") or visit.request.query_params.get("number", "")
    return visit.page("take_over.html", 200 if error is None else 422, number=number[:NUMBER_MAX], error=error)


async def take_over(visit: Visit) -> Response:
    """Show the text for whoever hands the consent on; of one that was handed on already, the consent."""
    await visit.site.keep_up()

    def act(turn: Turn, flows: Flows) -> Taken | str:
        line, grant = _open(turn, visit.form.one("number"))
        own = visit.own(turn, flows)
        status = turn.core.replica.consent(turn.rows, line.id)
        contested = status is not None and status.contested is not None
        if line.id in own.grants and (status is None or contested or not own.handed_on(status)):
            return line.id.hex()
        if contested:
            raise LocalError("CONTESTED", "this consent was handed on twice; nobody takes it over", field="number")
        with visit.signing(turn, flows) as wallet:
            held = in_force(turn, flows.wallets, grant)
            if held is not None and held[0].name == wallet:
                if not flows.consents.holds(turn.vault, line.id):
                    raise LocalError("CONTENT_COMES", "what the consent says has not come yet", field="number")
                flows.life.take_on(turn, grant)
                return line.id.hex()
            heir = heir_of(flows.life.wallet(turn, wallet), grant, turn.core.party)
        return Taken(heir, line, names(turn, visit.lang).ends(line.holder, line.recipient))

    try:
        found = await visit.site.act(act)
    except LocalError as error:
        if error.field != "number":
            raise
        return _ask(visit, error)
    if isinstance(found, str):
        return visit.go(f"/consents/{found}")
    return visit.page("take_over_text.html", taken=found, text=found.heir.code(), check=check_number(found.heir))


def _open(turn: Turn, number: str) -> tuple[Line, Entry]:
    """Return the consent of a number that somebody typed. Raises LocalError BAD_NUMBER, UNKNOWN_NUMBER, HAS_ENDED."""
    digits = "".join(number.split()).lower()
    if len(digits) != NUMBER_DIGITS or not set(digits) <= HEX:
        raise LocalError("BAD_NUMBER", f"a consent's number has {NUMBER_DIGITS} digits", field="number")
    line, grant = line_of(turn, bytes.fromhex(digits)), turn.core.replica.grant(turn.rows, bytes.fromhex(digits))
    if line is None or grant is None:
        raise LocalError("UNKNOWN_NUMBER", "no consent of this number is known here", field="number")
    if line.state not in CURRENT:
        raise LocalError("HAS_ENDED", "this consent has ended", field="number")
    return line, grant
