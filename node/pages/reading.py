"""What the pages show of a person's consents: cards, details and timelines, read in one snapshot.

How it works
    The wallet names the grants; the ledger says how each stands; the vault has what it says. Sorting and counting need
    clear fields alone, so content is opened only for what is on the page. Uses come from the holders' receipts on the
    ledger, and from this node's own accounts where it was an end of the transfer.

What it does not do
    It changes nothing, and shows a person nothing but what her own wallet signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from ledger.consent.grant import read_party
from ledger.consent.status import Party, State, Status
from ledger.entry import Entry
from ledger.index import facts_of
from ledger.keys import thumbprint
from ledger.schema import DAY
from node.flows.custody import had_by, rekeys_of
from node.flows.disclosing import parties_of
from node.pages.contents import said_of, terms_now, terms_of
from node.pages.naming import Names, names
from node.pages.own import Own
from node.pages.settings import Language
from node.pages.wording import Facets
from node.vaults.receipts import HOLDER, RECIPIENT

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

PAGE: Final = 25
"""Cards on one page."""
SOON_DAYS: Final = 30
VERY_SOON_DAYS: Final = 7
TIMELINE_MAX: Final = 200
"""Steps shown of one consent; of more, the newest uses."""
UNSTATED_MAX: Final = 200
"""Accounts of one consent that wait for the day's batch and are shown, of either end."""
ACTIVE: Final = "active"
HANDED_ON: Final = "handed_on"
CONTESTED: Final = "contested"
CURRENT: Final = frozenset({ACTIVE, "incomplete", "unregistered", CONTESTED})
"""States under the tab of current consents."""


@dataclass(frozen=True, slots=True)
class Line:
    """One consent by its clear fields.

    `state`: active, incomplete, unregistered, expired, withdrawn, revoked, handed_on (to somebody else's keys), or
    contested (handed on twice, to different keys: none decides on it, and it goes on as granted).
    """

    id: bytes
    state: str
    holder: Party
    recipient: Party | None
    granted: int
    until: int

    @property
    def current(self) -> bool:
        """Whether it belongs under the tab of current consents."""
        return self.state in CURRENT

    def days_left(self, now: int) -> int:
        """Return the days until it ends by itself."""
        return (self.until - now) // DAY


@dataclass(frozen=True, slots=True)
class Card:
    """One consent as the dashboard shows it. `said`: None where its content was erased. `last`: 0: never used."""

    line: Line
    organisation: str
    holder: str
    said: Facets | None
    last: int
    uses: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a timeline. `what`: asked, given, used, acknowledged, withdrawn, revoked, onward, … `who`: its party.

    `by`: who passed on, of steps that begin with "onward" (node.pages.onward).
    """

    at: int
    what: str
    who: str = ""
    records: int | None = None
    entry: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Detail:
    """One consent with all that its page shows. `confirmed`, `missing`: who has acknowledged what stands; who not."""

    card: Card
    steps: tuple[Step, ...]
    confirmed: tuple[str, ...]
    missing: tuple[str, ...]
    grant: Entry


def lines_of(turn: Turn, own: Own) -> list[Line]:
    """Return a person's consents as they stand, newest first."""
    found = [line for one in own.consents if (line := line_of(turn, one.grant_id, own)) is not None]
    return sorted(found, key=lambda line: (-line.granted, line.id))


def line_of(turn: Turn, grant_id: bytes, own: Own | None = None) -> Line | None:
    """Return a consent by its clear fields; None where nothing is known of it. `own`: whose it is."""
    status = turn.core.replica.consent(turn.rows, grant_id)
    if status is not None:
        state, until = _state(status, turn.now), status.valid_until
        if state in CURRENT and own is not None and status.contested is not None:
            state = CONTESTED
        elif state in CURRENT and own is not None and own.handed_on(status):
            state = HANDED_ON
        return Line(grant_id, state, status.holder, status.recipient, status.granted_at, until)
    grant = turn.core.replica.entry(turn.rows, grant_id)
    if grant is None:
        return None
    holder, recipient = parties_of(grant)
    return Line(grant_id, "unregistered", holder, recipient, grant.iat, grant.payload["valid_until"])


def _state(status: Status, now: int) -> str:
    if status.state is not State.GRANTED:
        return status.state.name.lower()
    return ACTIVE if now < status.valid_until else "expired"


@dataclass(frozen=True, slots=True)
class Unstated:
    """Transfers under a consent that this node knows and the ledger does not yet: (grant, ended)."""

    rows: tuple[tuple[bytes, int, bytes], ...]


def unstated(turn: Turn, flows: Flows, lines: Iterable[Line]) -> Unstated:
    """Return this node's own accounts under these consents that wait for the day's batch."""
    found = {}
    for line, role in product(lines, (RECIPIENT, HOLDER)):
        for receipt in flows.receipts.unstated_of(turn.vault, role, line.id, UNSTATED_MAX):
            if receipt.tally.count:
                found[receipt.transfer] = (receipt.grant, receipt.ended, receipt.transfer)
    return Unstated(tuple(found.values()))


def card(turn: Turn, flows: Flows, line: Line, waiting: Unstated, lang: Language) -> Card:
    """Return a consent as the dashboard shows it."""
    count, last = flows.stated.tally(turn, line.id, line.holder)
    fresh = {transfer: ended for grant, ended, transfer in waiting.rows if grant == line.id}
    if fresh:
        for use in flows.stated.uses_of(turn, line.id, line.holder):
            fresh.pop(use.transfer, None)
    last = max([last, *fresh.values()])
    terms = terms_now(turn, flows, line.id)
    holder, recipient = names(turn, lang, terms).ends(line.holder, line.recipient)
    said = None if terms is None else said_of(turn, flows, terms, (holder, recipient, line.until), lang)
    return Card(line, recipient, holder, said, last, count + len(fresh))


def detail(turn: Turn, flows: Flows, line: Line, lang: Language, more: Sequence[Step] = ()) -> Detail | None:
    """Return one consent with its timeline, and `more` steps in it; None where its grant is not known here."""
    grant = turn.core.replica.grant(turn.rows, line.id)
    if grant is None:
        return None
    waiting = unstated(turn, flows, [line])
    shown = card(turn, flows, line, waiting, lang)
    called = names(turn, lang, terms_of(turn, flows, line.id))
    confirmed, missing = confirmations(turn, line.id, called)
    steps = [*_ledger_steps(turn, grant, called), *_uses(turn, flows, shown, waiting), *more]
    return Detail(shown, tuple(in_order(steps)[-TIMELINE_MAX:]), confirmed, missing, grant)


_RANK: Final = {"asked": 0, "given": 1, "allowed": 1, "acknowledged": 2, "end_acknowledged": 5, "erased": 6}
"""Which of the steps of one second came first; what is not here is 3."""
_ENDS: Final = frozenset({"withdrawn", "revoked"})
"""Steps of rank 4: what they end came before, and who confirms the end comes after."""


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Return steps by time, causes before effects.

    A person's acts are dated back to the hour (ledger.consent.wallet), so a yes may bear the second of the request that
    it answers, or an earlier one: it stands after the request all the same. No time that is shown is changed.
    """
    asked = max((step.at for step in steps if step.what == "asked"), default=0)

    def place(step: Step) -> tuple[int, int]:
        rank = 4 if step.what in _ENDS else _RANK.get(step.what, 3)
        return (max(step.at, asked), rank) if step.what in ("given", "allowed") else (step.at, rank)

    return sorted(steps, key=place)


def confirmations(turn: Turn, grant_id: bytes, called: Names) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who has acknowledged the decision that stands, and who has not: holder and recipient, by name."""
    status = turn.core.replica.consent(turn.rows, grant_id)
    if status is None:
        return (), ()
    parties = dict.fromkeys(party for party in (status.holder, status.recipient) if party is not None)
    said = [called.of(party) for party in parties if party in status.acknowledged]
    missing = [called.of(party) for party in parties if party not in status.acknowledged]
    return tuple(said), tuple(missing)


_STEPS: Final = {
    "consent.acknowledge": "acknowledged",
    "consent.withdraw": "withdrawn",
    "consent.revoke": "revoked",
    "consent.sign": "signed",
    "consent.amend": "amended",
    "consent.rekey": "rekeyed",
    "consent.evidence": "evidence",
    "erasure.state": "erased",
}


_BY_KEY: Final = ("consent.amend", "consent.rekey")
"""Steps that only a key counts for which the consent ever had: anybody may write them, and no node obeys the others."""


def _ledger_steps(turn: Turn, grant: Entry, called: Names) -> list[Step]:
    replica = turn.core.replica
    members = replica.members
    keys = had_by(turn, grant)
    steps = [Step(grant.iat, "given" if len(keys) == 1 else "allowed", entry=grant.id.hex())]
    request = replica.entry(turn.rows, grant.payload["request"]) if "request" in grant.payload else None
    if request is not None:
        asker = called.of(members.party_of(request.kid))
        steps.append(Step(request.iat, "asked", asker, entry=request.id.hex()))
    for fact in facts_of(turn.rows, grant.id, replica.by_number, replica.size):
        what = _STEPS.get(fact.row.kind)
        entry = replica.entry(turn.rows, fact.row.entry_id) if what is not None else None
        if entry is None or what is None or (entry.kind in _BY_KEY and entry.kid not in keys):
            continue
        if what == "acknowledged" and fact.row.about != grant.id:
            what = "end_acknowledged"
        own = entry.kind in ("consent.withdraw", "consent.amend", "consent.rekey", "consent.sign")
        who = "" if own else called.of(members.party_of(entry.kid))
        if "host" in entry.payload:
            what, who = "rekeyed_at", called.of(read_party(entry.payload["host"]))
        if own or what == "evidence" or _is_party(members.party_of(entry.kid), grant):
            steps.append(Step(entry.iat, what, who, entry=entry.id.hex()))
    return steps


def _is_party(party: Party, grant: Entry) -> bool:
    return party in parties_of(grant)


def _uses(turn: Turn, flows: Flows, shown: Card, waiting: Unstated) -> list[Step]:
    line = shown.line
    found: dict[bytes, int] = {use.transfer: use.at for use in flows.stated.uses_of(turn, line.id, line.holder)}
    for _, ended, transfer in waiting.rows:
        found.setdefault(transfer, ended)
    steps = []
    for transfer, at in sorted(found.items(), key=lambda one: one[1])[-TIMELINE_MAX:]:
        account = flows.receipts.get(turn.vault, HOLDER, transfer) or flows.receipts.get(
            turn.vault, RECIPIENT, transfer
        )
        records = account.tally.count if account is not None else None
        steps.append(
            Step(at if account is None else account.ended, "used", shown.organisation, records, transfer.hex())
        )
    return steps


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the person should know when she comes.

    `kind`: contested (handed on twice), handed_on (to other keys than hers), taken_over (other keys had it before),
    revoked (by a party), week or month (it ends within that).
    """

    kind: str
    card: Card


def notices(turn: Turn, flows: Flows, lines: Sequence[Line], lang: Language, most: int = 8) -> list[Notice]:
    """Return what is to be told: what others did or may do by now first, then what ends within 7 and 30 days."""
    chosen = [(CONTESTED, one) for one in lines if one.state == CONTESTED]
    chosen += [(HANDED_ON, one) for one in lines if one.state == HANDED_ON and _rekeyed_lately(turn, one)]
    chosen += [("revoked", one) for one in lines if one.state == "revoked" and _lately(turn, one)]
    chosen += [("taken_over", one) for one in lines if one.current and _rekeyed_lately(turn, one)]
    soon = sorted((one for one in lines if one.state == ACTIVE and one.days_left(turn.now) < SOON_DAYS), key=_until)
    chosen += [("week" if one.days_left(turn.now) < VERY_SOON_DAYS else "month", one) for one in soon]
    waiting = Unstated(())
    return [Notice(kind, card(turn, flows, line, waiting, lang)) for kind, line in chosen[:most]]


def _until(line: Line) -> int:
    return line.until


def _lately(turn: Turn, line: Line) -> bool:
    status = turn.core.replica.consent(turn.rows, line.id)
    entry = turn.core.replica.entry(turn.rows, status.decided_by[0]) if status is not None else None
    return entry is not None and entry.iat > turn.now - SOON_DAYS * DAY


def _rekeyed_lately(turn: Turn, line: Line) -> bool:
    """Say whether the key in force of a consent came lately: whoever had it before handed it on to that key."""
    rekeys = rekeys_of(turn, line.id)
    if not rekeys:
        return False  # as of nearly all: nothing else is read of them
    grant, status = turn.core.replica.grant(turn.rows, line.id), turn.core.replica.consent(turn.rows, line.id)
    if grant is None or status is None or status.contested is not None:
        return False
    key, keys = status.key or grant.kid, had_by(turn, grant)
    came = (one.iat for one in rekeys if one.kid in keys and thumbprint(one.payload["key"]) == key)
    return max(came, default=0) > turn.now - SOON_DAYS * DAY
