"""The index of things: which entries name a consent, a document, a tick, a waiting head (rows of the table `things`).

How it works
    `index_rows` gives one small row a thing that a sound leaf names, keyed so that everything about one thing
    lies together. `facts_of` reads what is known of one consent below given sizes; `documents` and `document_places`
    find documents and their entries.

What it does not do
    It judges nothing: a fact is indexed whoever signed it; `consent.status` says what it is worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from ledger.consent.status import Fact
from ledger.entry import Entry
from ledger.feed import Registration
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
    SIGNER,
    TICK,
    WAITING,
    FactRow,
    fact_row,
    read_position,
)

_ABOUT: Final = ("consent.acknowledge", "erasure.ack")


def named_consents(entry: Entry) -> list[bytes]:
    """Return the ids of the grants, requests and facts that an entry names (a grant names itself).

    A request for a right is named by itself and by its answers, and names its grant.
    """
    payload: Any = entry.payload
    match entry.kind:
        case "consent.grant" | "consent.request":
            return [entry.id]
        case "consent.withdraw":
            return [hashlib.sha256(payload["grant"]).digest()]
        case "consent.refuse":
            return [payload["request"]]
        case "consent.acknowledge" | "consent.revoke" | "erasure.state" | "erasure.ack":
            return [payload["grant"]]
        case "rights.request":
            return [payload["grant"], entry.id]
        case "rights.answer":
            return [payload["request"]]
        case "fact.attest":
            return [entry.id]
        case "fact.revoke":
            return [payload["fact"]]
        case "identity.attest":
            return [entry.thing[1]]  # the kid of the key that is linked
        case _:
            return []


def index_rows(registration: Registration, place: bytes, consents: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the rows of the table `things` for a sound leaf, whose position is `place` and which names `consents`."""
    entry = registration.entry
    kind, feed = entry.kind, registration.feed
    found: list[tuple[bytes, bytes]] = []
    if consents:
        about = entry.payload["entry"] if kind in _ABOUT else b""
        fact = fact_row(kind, entry.id, entry.kid, about)
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
    prefix = CONSENT + consent
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
