"""One consent, or request, as operations list it; also while it waits to be published (node.flows.spreading).

How it works
    `line_of` reads the clear fields from the ledger, and the rest from the vault. A consent that waits is found by its
    id as any other, and shown with the time by which it is published.

What it does not do
    It has no operation of its own (node/ops/consent.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

from node.naming import find_waiting, member_name, moment
from node.operation import Result, said

if TYPE_CHECKING:
    from ledger.entry import Entry
    from ledger.governance.members import Party
    from node.core import Turn
    from node.flows.family import Flows
    from node.vaults.consents import ConsentRow
    from node.vaults.waiting import Waiting

STATES = (
    "active, expired, withdrawn, revoked, parent_ended (one above it has ended), incomplete, unregistered or waiting"
)
PUBLISHES: Final = "By when it is published, where it waits (`[wallets] spread_seconds`): nobody hears of it before."
WAITS: Final = "What it means that it waits, in words; else empty."
_WAIT: Final = {
    "en": "It will be published by %s UTC, apart from this wallet's others, so that their times do not tell that they "
    "are one person's. Until then nobody hears of it and nothing flows; withdrawn before, it is never published.",
    "fr": "Il sera publié au plus tard à %s UTC, à part des autres de ce portefeuille, pour que leurs heures ne disent "
    "pas qu’ils sont d’une même personne. D’ici là personne ne le connaît et rien n’est envoyé ; retiré avant, il "
    "n’est jamais publié.",
}


class ConsentLine(Result, frozen=True):
    """A consent, or a request."""

    id: Annotated[str, said("Its id.")]
    state: Annotated[str, said(f"{STATES}, or of a request pending, refused or expired.")]
    holder: Annotated[str, said("Who holds the data.")]
    recipient: Annotated[str, said("Who receives them.")]
    purpose: Annotated[str, said("What for.")]
    kind: Annotated[str, said("Which kind of data.")]
    granularity: Annotated[str, said("The finest step.")]
    points: Annotated[int, said("How many points of measurement.")]
    granted: Annotated[datetime, said("When it was given, to the hour, or asked for.", coarse=True)]
    valid_until: Annotated[datetime, said("When it ends by itself.")]
    acknowledged_by: Annotated[tuple[str, ...], said("Who has acknowledged the newest decision on it.")]
    unacknowledged_by: Annotated[tuple[str, ...], said("Who has not.")]
    wallet: Annotated[str, said("The wallet kept here that it is from.")]
    request: Annotated[str, said("The request that it answers.")] = ""
    roles: Annotated[tuple[str, ...], said("Who is who in the reference model of EU 2023/1162.")] = ()
    publishes: Annotated[datetime | None, said(PUBLISHES)] = None


def waiting(turn: Turn, text: str) -> Waiting | None:
    """Return the one grant that waits and whose id begins with `text`; None where that is none, or several."""
    found = find_waiting(turn, text)
    return found[0] if len(found) == 1 else None


def wait_in_words(waits: Waiting | None, lang: str) -> str:
    """Return what it means that a grant waits; "" for one that does not."""
    return "" if waits is None else _WAIT[lang] % f"{moment(waits.by):%H:%M}"


def line_of(turn: Turn, flows: Flows, row: ConsentRow, own: Party | None) -> ConsentLine | None:
    """Return a consent or a request as a line; None for one that is not known, or not `own`'s where that is given."""
    from node.flows.disclosing import parties_of
    from node.vaults.consents import REQUEST

    replica = turn.core.replica
    members = replica.members
    waits = flows.spreading.waiting(turn, row.entry_id)
    entry = replica.entry(turn.rows, row.entry_id) if waits is None else waits.grant
    if entry is None:
        return None
    terms = row.disclosures.terms()
    holder, recipient = parties_of(entry)
    if own not in (None, holder, recipient):
        return None
    status = replica.consent(turn.rows, row.entry_id) if row.kind != REQUEST else None
    said_by = status.acknowledged if status is not None else ()
    parties = [party for party in (holder, recipient) if party is not None]
    missing = [party for party in dict.fromkeys(parties) if party not in said_by] if row.kind != REQUEST else []
    return ConsentLine(
        row.entry_id.hex(),
        _state(turn, entry, row) if waits is None else "waiting",
        member_name(members, holder),
        member_name(members, recipient) if recipient is not None else "a class of recipients",
        terms.purpose,
        "/".join(terms.pii_type) if terms.pii_type is not None else "",
        terms.granularity or "",
        len(terms.points),
        moment(entry.iat),
        moment(entry.payload["valid_until"]),
        tuple(member_name(members, party) for party in said_by),
        tuple(member_name(members, party) for party in missing),
        row.wallet,
        entry.payload["request"].hex() if entry.payload.get("request") and row.kind != REQUEST else "",
        _roles(turn, entry, holder, recipient),
        None if waits is None else moment(waits.by),
    )


def _roles(turn: Turn, entry: Entry, holder: Party, recipient: Party | None) -> tuple[str, ...]:
    """Return who holds, who may have, and whose ledger first took in the permission, in the words of EU 2023/1162."""
    from ledger.index import facts_of

    replica = turn.core.replica
    facts = facts_of(turn.rows, entry.id, replica.by_number, replica.size)
    places = [place for fact in facts if fact.row.entry_id == entry.id for place in fact.places]
    first = min(((replica.leaf(turn.rows, *place).iat_max, place) for place in places), default=None)
    found = [("metered data administrator", holder), ("eligible party", recipient)]
    found.append(("permission administrator", replica.members.party_of(first[1][0]) if first else None))
    return tuple(f"{role}: {member_name(replica.members, party)}" for role, party in found if party is not None)


def _state(turn: Turn, entry: Entry, row: ConsentRow) -> str:
    from node.flows.standing import standing_of
    from node.vaults.consents import REQUEST

    if row.kind == REQUEST:
        return _request_state(turn, entry)
    status = turn.core.replica.consent(turn.rows, entry.id)
    return "unregistered" if status is None else standing_of(turn, status)[0]


def _request_state(turn: Turn, request: Entry) -> str:
    from ledger.index import facts_of

    replica = turn.core.replica
    facts = facts_of(turn.rows, request.id, replica.by_number, replica.size)
    if any(fact.row.kind == "consent.refuse" for fact in facts):
        return "refused"
    if turn.now > request.payload["expires"]:
        return "expired"
    return "pending"
