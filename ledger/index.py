"""The index of things: which entries name a consent, a document, a tick, a waiting head (rows of the table `things`).

How it works
    `index_rows` gives one small row a thing that a sound leaf names, keyed so that everything about one thing
    lies together. `facts_of` reads what is known of one consent, delegation or call below given sizes, `resting_on` the
    entries that rest on it or belong to a group; `documents` and `document_places` find documents and their entries.

What it does not do
    It judges nothing: a fact is indexed whoever signed it; `consent.status` says what it is worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from ledger.consent.kinds import EVIDENCE_STATES
from ledger.consent.status import VIA_MARK, Fact
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.keys import thumbprint
from ledger.kinds import KINDS
from ledger.rows import Reader, prefix_stop
from ledger.schema import Signer
from ledger.tables import (
    CONSENT,
    DOCUMENT,
    DOCUMENT_BYTES,
    DOCUMENT_KINDS,
    GOVERNANCE,
    NAMED,
    PROBE,
    RECEIPT,
    RESTS,
    SIGNER,
    TICK,
    WAITING,
    FactRow,
    fact_row,
    read_position,
)

_RESTS: Final = ("request", "supersedes", "delegation", "parent", "call")  # fields of a grant that name another entry


def named_consents(entry: Entry) -> list[bytes]:
    """Return the ids of the grants, requests, delegations, calls and facts that an entry names.

    What is asked or given names itself. A request for a right is named by itself and by its answers, and names its
    grant.
    """
    payload: Any = entry.payload
    match entry.kind:
        case "consent.grant" | "consent.request" | "delegation.give" | "group.call" | "fact.attest":
            return [entry.id]
        case "consent.withdraw":
            return [hashlib.sha256(payload["grant"]).digest()]
        case "delegation.revoke":
            return [hashlib.sha256(payload["links"][0]).digest()]
        case "rights.request":
            return [payload["grant"], entry.id]
        case "identity.attest":
            return [entry.thing[1]]  # the kid of the key that is linked
        case kind if kind in _NAMES:
            return [payload[_NAMES[kind]]]
        case _:
            return []


_NAMES: Final = {
    **dict.fromkeys(("consent.refuse", "consent.remind", "rights.answer"), "request"),
    **dict.fromkeys(("consent.acknowledge", "consent.revoke", "erasure.state", "erasure.ack"), "grant"),
    **dict.fromkeys(("consent.sign", "consent.amend", "consent.rekey", "consent.evidence"), "grant"),
    **dict.fromkeys(("group.vote", "group.refuse"), "call"),
    "fact.revoke": "fact",
}
"""Kind -> its field that names what it is about, where there is one."""


def rests_on(entry: Entry) -> set[bytes]:
    """Return what an entry rests on or belongs to: requests, grants, delegations, calls, and groups by their kid."""
    payload: Any = entry.payload
    match entry.kind:
        case "consent.grant":
            return {payload[name] for name in _RESTS if name in payload}
        case "delegation.give":
            return {thumbprint(payload["delegate"])} | ({payload["parent"]} if "parent" in payload else set())
        case "group.open" | "group.admit" | "group.call":
            return {entry.thing[1]}
        case _:
            return set()


def about(entry: Entry) -> bytes:
    """Return what a fact row holds beside its kind, id and signer (`tables.FactRow`)."""
    payload: Any = entry.payload
    match entry.kind:
        case "consent.acknowledge" | "erasure.ack":
            named: bytes = payload["entry"]
            return named
        case "consent.withdraw":
            return VIA_MARK if "via" in payload else b""
        case "consent.amend":
            return payload["valid_until"].to_bytes(8, "big") if "valid_until" in payload else b""
        case "consent.rekey":
            kids = thumbprint(payload["key"]) + thumbprint(payload["withdraw_key"])
            host, incarnation = payload.get("host", (b"", 0))
            return entry.iat.to_bytes(8, "big") + kids + (host + incarnation.to_bytes(4, "big") if host else b"")
        case "consent.evidence":
            state = bytes((EVIDENCE_STATES.index(payload["status"]),))
            checked: bytes = entry.iat.to_bytes(8, "big") + payload["evidence"] + state
            return checked
        case _:
            return b""


def index_rows(registration: Registration, place: bytes, consents: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the rows of the table `things` for a sound leaf, whose position is `place` and which names `consents`."""
    entry = registration.entry
    kind, feed = entry.kind, registration.feed
    found: list[tuple[bytes, bytes]] = []
    if consents:
        fact = fact_row(kind, entry.id, entry.kid, about(entry))
        found = [(CONSENT + consent + place, fact) for consent in consents]
    elif kind == "state.attestation":
        key = TICK + entry.payload["boundary"].to_bytes(8, "big") + place
        found = [(key, entry.payload["frontier"] + entry.payload["state_root"])]
    elif kind == "transfer.receipt":
        receipts = entry.payload["receipts"]
        found = [(RECEIPT + grant + place, b"") for grant in {grant for _, grant, _, _ in receipts}]
        found += [(NAMED + frontier + place, b"") for frontier in {frontier for _, _, _, frontier in receipts} - {None}]
    elif kind in DOCUMENT_KINDS:
        found = [(DOCUMENT + entry.thing[1] + place, DOCUMENT_KINDS[kind])]
    elif kind == "probe.result":
        found = [(PROBE + entry.thing[1] + place, b"")]
    row = KINDS.get(kind)
    if row is not None:
        found += [(RESTS + ident + place, fact_row(kind, entry.id, entry.kid, b"")) for ident in rests_on(entry)]
        if row.governance:
            found.append((GOVERNANCE + place, b""))
        if row.signer is Signer.DEVICE_OR_TENANT and entry.kid != feed:
            found.append((SIGNER + entry.kid + place, b""))
    for head in entry.seen:
        if head.feed != feed and head.size:
            found.append((WAITING + head.feed + head.size.to_bytes(8, "big") + place, b""))
    return found


def facts_of(rows: Reader, consent: bytes, feeds: Sequence[bytes], size: Callable[[bytes], int]) -> tuple[Fact, ...]:
    """Return the facts about one grant or request that lie below each feed's `size`, a place a registration."""
    return _facts(rows, CONSENT + consent, feeds, size)


def resting_on(rows: Reader, ident: bytes, feeds: Sequence[bytes], size: Callable[[bytes], int]) -> tuple[Fact, ...]:
    """Return the entries that rest on a grant, request, delegation or call, or belong to a group."""
    return _facts(rows, RESTS + ident, feeds, size)


def _facts(rows: Reader, prefix: bytes, feeds: Sequence[bytes], size: Callable[[bytes], int]) -> tuple[Fact, ...]:
    found: dict[bytes, tuple[FactRow, list[tuple[bytes, int]]]] = {}
    for key, value in rows.scan("things", prefix, prefix_stop(prefix)):
        number, index = read_position(key)
        feed = feeds[number]
        if index < size(feed):
            row = FactRow.decode(value)
            found.setdefault(row.entry_id, (row, []))[1].append((feed, index))
    return tuple(Fact(row, tuple(places)) for row, places in found.values())


def documents(rows: Reader) -> Iterator[bytes]:
    """Yield the id of every document that some entry is about, in order, whether or not it was ever opened."""
    start, stop = DOCUMENT, prefix_stop(DOCUMENT)
    while (found := next(rows.scan("things", start, stop, limit=1), None)) is not None:
        ident = found[0][len(DOCUMENT) : len(DOCUMENT) + DOCUMENT_BYTES]
        yield ident
        following = prefix_stop(DOCUMENT + ident)
        if following is None:
            return
        start = following


def document_places(rows: Reader, document: bytes, kind: str) -> Iterator[tuple[int, int]]:
    """Yield the (feed number, index) of every entry of one kind about a document."""
    prefix = DOCUMENT + document
    for key, value in rows.scan("things", prefix, prefix_stop(prefix)):
        if value == DOCUMENT_KINDS[kind]:
            yield read_position(key)
