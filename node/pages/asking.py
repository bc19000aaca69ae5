"""Requests that wait for a person's answer: which are hers, what they say, and her answer to each.

How it works
    A request is shown to whoever has all of its points of measurement on her account, as the operator checked them. All
    open requests of one organisation stand on one screen, each with its own switch; each is answered by itself, with a
    grant or a refusal signed by her wallet. The only narrowing that a person can make here is of the duration.

What it does not do
    It ticks nothing beforehand, and takes no answer to a request that was not on her screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from ledger.consent.grant import Notice
from ledger.consent.slip import Slip
from ledger.consent.status import Party
from ledger.consent.wallet import OpenRequest
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.index import facts_of
from ledger.keys import did_key
from ledger.schema import DAY
from node.flows.consenting import Offer
from node.flows.disclosing import parties_of
from node.pages.contents import said_of, terms_of
from node.pages.following import Following
from node.pages.naming import Names, names
from node.pages.own import Own
from node.pages.settings import Language
from node.pages.wording import Facets
from node.vaults.people import Person

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

SHORTER_DAYS: Final = (30, 91, 182, 365)
"""Durations that a person may choose instead of the one asked for, where they are shorter."""
ASKS_MAX: Final = 50
"""Requests on one screen; the others follow when these are answered."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as the person can check it. `verified`: names of members who let it in, where the ledger says so."""

    party: Party
    name: str
    fingerprint: str
    state: str
    contact: str

    @property
    def id(self) -> str:
        """Its place in links."""
        return f"{self.party[0].hex()}.{self.party[1]}"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that waits. `until`: last day it would be valid; `expires`: until when it may be answered."""

    id: bytes
    asker: Asker
    holder: str
    recipient: str
    said: Facets
    until: int
    expires: int
    asked: int


@dataclass(frozen=True, slots=True)
class Given:
    """One request that was answered with yes. `by`: when it will be published, unix seconds; 0: it is."""

    ask: Ask
    grant: Entry
    slip: Slip
    by: int


class Inbox:
    """Remembers until when each request is open and about which points it is, so that only a person's own are opened.

    In memory alone, and keyed hashes in place of points. One for each mesh.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[bytes, tuple[int, frozenset[bytes]]] = {}

    def of(self, turn: Turn, flows: Flows, following: Following, points: Sequence[str]) -> list[bytes]:
        """Return the open requests about none but these points."""
        own = frozenset(map(self._hash, points))
        found = []
        for request_id in list(following.requests):
            known = self._known.get(request_id) or self._look(turn, flows, request_id)
            if known is None:
                continue
            if turn.now > known[0]:
                del following.requests[request_id]
                self._known.pop(request_id, None)
            elif known[1] <= own:
                found.append(request_id)
        return found

    def _look(self, turn: Turn, flows: Flows, request_id: bytes) -> tuple[int, frozenset[bytes]] | None:
        request = turn.core.replica.entry(turn.rows, request_id)
        terms = terms_of(turn, flows, request_id) if request is not None else None
        if request is None or terms is None:
            return None  # its content may still come
        expires = min(request.payload["expires"], request.payload["valid_until"] - 1)
        known = self._known[request_id] = (expires, frozenset(map(self._hash, terms.points)))
        return known

    def _hash(self, point: str) -> bytes:
        return blake2b(point.encode(), digest_size=16, key=self._secret).digest()


def pending(
    turn: Turn,
    flows: Flows,
    following: Following,
    inbox: Inbox,
    own: Own,
    lang: Language,
) -> list[Ask]:
    """Return what waits for this person's answer, by organisation, oldest first."""
    found = []
    waiting = (row.grant for row in flows.spreading.all_waiting(turn))
    answered = {grant.payload.get("request") for grant in waiting if grant.id in own.grants}
    for request_id in inbox.of(turn, flows, following, own.points):
        if request_id in answered:
            continue
        ask = _ask(turn, flows, following, request_id, own, lang)
        if ask is not None:
            found.append(ask)
    return sorted(found, key=lambda ask: (ask.asker.name, ask.asked, ask.id))


def _ask(
    turn: Turn,
    flows: Flows,
    following: Following,
    request_id: bytes,
    own: Own,
    lang: Language,
) -> Ask | None:
    if own.grants.intersection(following.answers.get(request_id, ())) or not flows.consents.holds(
        turn.vault, request_id
    ):
        return None
    request = turn.core.replica.entry(turn.rows, request_id)
    if request is None or turn.now > request.payload["expires"] or turn.now >= request.payload["valid_until"]:
        return None
    terms = terms_of(turn, flows, request_id)
    if terms is None or not set(terms.points) <= set(own.points) or refusal_of(turn, request_id, own) is not None:
        return None
    holder, recipient = parties_of(request)
    called = names(turn, lang, terms)
    ends = called.ends(holder, recipient)
    until = request.payload["valid_until"]
    contact = next((actor.contact for actor in terms.controllers if actor.contact), terms.dpo_contact)
    said = said_of(turn, flows, terms, (*ends, until), lang)
    asker = _asker(turn, request, called, contact)
    return Ask(request_id, asker, *ends, said, until, request.payload["expires"], request.iat)


def _asker(turn: Turn, request: Entry, called: Names, contact: str) -> Asker:
    members = turn.core.replica.members
    party = members.party_of(request.kid)
    member = members.members.get(party[0])
    public = member.root_public if member is not None else request.signer
    state = member.state if member is not None else ("tenant" if party[1] == 0 else "")
    return Asker(party, called.of(party), did_key(public), state, contact)


def refusal_of(turn: Turn, request_id: bytes, own: Own) -> Entry | None:
    """Return this person's own refusal of a request, or None."""
    replica = turn.core.replica
    facts = facts_of(turn.rows, request_id, replica.by_number, replica.size)
    refusals = [fact.row for fact in facts if fact.row.kind == "consent.refuse"]
    if not refusals:
        return None
    kid = own.refusal_kid(request_id)
    found = next((row for row in refusals if row.kid == kid), None)
    return None if found is None else replica.entry(turn.rows, found.entry_id)


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that the person refused."""

    organisation: str
    purpose: str
    at: int


def refused(
    turn: Turn, flows: Flows, following: Following, inbox: Inbox, own: Own, lang: Language
) -> Iterator[Refused]:
    """Yield the requests that this person refused, until they would have expired."""
    for request_id in inbox.of(turn, flows, following, own.points):
        refusal = refusal_of(turn, request_id, own)
        request = turn.core.replica.entry(turn.rows, request_id) if refusal is not None else None
        if refusal is None or request is None:
            continue
        terms = terms_of(turn, flows, request_id)
        holder, recipient = parties_of(request)
        name = names(turn, lang, terms).ends(holder, recipient)[1]
        yield Refused(name, terms.purpose if terms is not None else "", refusal.iat)


# Answering


def shorter(ask: Ask, now: int) -> list[int]:
    """Return the durations, in days, that are shorter than the one asked for."""
    return [days for days in SHORTER_DAYS if now + (days + 1) * DAY < ask.until]


def allow(turn: Turn, flows: Flows, person: Person, ask: Ask, days: int = 0) -> Given:
    """Grant one request, for `days` at most where that is not 0. Raises LocalError as the wallet does."""
    request: OpenRequest = flows.acts.open_request(turn, ask.id)
    payload = request.entry.payload
    holder, recipient = parties_of(request.entry)
    if recipient is None:
        raise LocalError("CLASS_RECIPIENT", "a request for a class of recipients cannot be answered here yet")
    until = payload["valid_until"]
    if days:
        until = min(until, turn.now + days * DAY)
    offer = Offer(holder, recipient, request.terms, until, Notice.read(payload["notice"]))
    assert offer.notice is not None  # it was given
    grant, slip = flows.acts.grant(turn, person.wallet, offer, offer.notice, request)
    flows.retry_later(turn)
    waits = flows.spreading.waiting(turn, grant.id)
    return Given(replace(ask, until=grant.payload["valid_until"]), grant, slip, 0 if waits is None else waits.by)


def refuse(turn: Turn, flows: Flows, person: Person, ask: Ask, reason: str = "") -> bytes:
    """Refuse one request; return the id of the key that signed."""
    refusal = flows.acts.refuse(turn, person.wallet, flows.acts.open_request(turn, ask.id), reason or None)
    flows.retry_later(turn)
    return refusal.kid
