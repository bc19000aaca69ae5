"""Consents made ready for the gate: content opened, amendments taken in, and the chain they rest on held together.

How it works
    `prepare` compiles one grant. What never changes is judged here once: disclosures held to their slots, prior
    information, amendments intersected. What the ledger says, which changes, is filled in by `Candidate.as_of`.

What it does not do
    It finds no entries and opens no seals (node/flows/door does). It never raises for what disclosures hold: their
    faults become the reason why the gate will deny.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.consent import disclosure
from ledger.consent.disclosure import Disclosures
from ledger.consent.grant import Notice, missing_information, read_party, read_recipient
from ledger.consent.reasons import Reason
from ledger.consent.record import Terms
from ledger.consent.scope import Candidate, Link, Proof, Scope, compile_terms, narrowed, proof_of
from ledger.consent.status import Status
from ledger.entry import Entry
from ledger.errors import RemoteError

RESTS: Final = ("delegation", "parent", "call")
"""Fields of a grant that name what it rests on."""


def prepare(
    grant: Entry,
    status: Status | None,
    disclosures: Disclosures | None,
    *,
    amendments: Sequence[tuple[Entry, Disclosures | None]] = (),
    links: tuple[Link, ...] | Reason | None = None,
    signers: tuple[bytes, ...] = (),
) -> Candidate:
    """Compile a consent for the gate. `grant`: the verified entry; `status`: what the fold says of it.

    `amendments`: those that narrow it, each with its content. `links`: what it rests on, or why that is wrong; a
    grant that rests on something is denied without them. `signers`: key ids it speaks for, where not its own alone.
    """
    payload = grant.payload
    rests = any(name in payload for name in RESTS)
    transcribed = "transcribed" in payload
    proof = Proof.NOT_NEEDED
    if transcribed:
        proof = Proof.PENDING if status is None else proof_of(status)
    return Candidate(
        grant=grant.id,
        holder=read_party(payload["holder"]),
        recipient=read_recipient(payload["recipient"]),
        valid_until=payload["valid_until"],
        granted_at=grant.iat,
        status=status,
        content=content_of(grant, disclosures, amendments),
        amended=frozenset(entry.id for entry, _ in amendments),
        links=(Reason.CHAINED if rests else ()) if links is None else links,
        signers=signers or (grant.kid,),
        proof=proof,
        transcribed=transcribed,
    )


def opened(entry: Entry, disclosures: Disclosures | None) -> Terms | Reason:
    """Return the terms of a grant or an amendment, or why they are not to be had."""
    if disclosures is None:
        return Reason.DISCLOSURE_MISSING
    try:
        disclosure.check(disclosures, entry.payload["slots"])
        return disclosures.terms()
    except RemoteError as error:
        return Reason.DISCLOSURE_MISSING if error.code == "DISCLOSURE_MISSING" else Reason.BAD_TERMS


def content_of(
    grant: Entry, disclosures: Disclosures | None, amendments: Sequence[tuple[Entry, Disclosures | None]] = ()
) -> Scope | Reason:
    """Return what a grant and its amendments cover together, or why that is not known."""
    terms = opened(grant, disclosures)
    if isinstance(terms, Reason):
        return terms
    valid_until = grant.payload["valid_until"]
    notice = Notice.read(grant.payload["notice"])
    missing = missing_information(terms, valid_until=valid_until, notice=notice, granted_at=grant.iat)
    scope = compile_terms(terms, valid_until, informed=not missing)
    for entry, told in amendments:
        also = opened(entry, told)
        if isinstance(also, Reason):
            return also
        ends = entry.payload.get("valid_until", valid_until)
        narrower = narrowed(scope, compile_terms(also, ends, informed=True))
        if narrower is None:
            return Reason.BAD_TERMS  # an amendment to another purpose or kind of data leaves nothing
        scope = narrower
    return scope
