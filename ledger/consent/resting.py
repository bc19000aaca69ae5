"""Consents made ready for the gate: content opened, amendments taken in, put together with what they rest on.

How it works
    `prepare` compiles one grant. What never changes is judged here once: disclosures held to their slots, prior
    information, amendments intersected; `chain` has held together what the grant rests on. What the ledger says, which
    changes, is filled in by `Candidate.as_of`.

What it does not do
    It finds no entries and opens no seals (node/flows/door does). It never raises for what disclosures hold: their
    faults become the reason why the gate will deny.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.consent.chain import Chain, opened
from ledger.consent.disclosure import Disclosures
from ledger.consent.grant import Notice, missing_information, read_party, read_recipient
from ledger.consent.reasons import Reason
from ledger.consent.scope import Candidate, Proof, Scope, compile_terms, narrowed, proof_of
from ledger.consent.status import Status
from ledger.entry import Entry

RESTS: Final = ("delegation", "parent", "call")
"""Fields of a grant that name what it rests on."""


def prepare(
    grant: Entry,
    status: Status | None,
    disclosures: Disclosures | None,
    *,
    amendments: Sequence[tuple[Entry, Disclosures | None]] = (),
    rests: Chain | Reason | None = None,
) -> Candidate:
    """Compile a consent for the gate. `grant`: the verified entry; `status`: what the fold says of it.

    `amendments`: those that narrow it, each with its content. `rests`: what it rests on, or why that is wrong; a grant
    that rests on something is denied without it.
    """
    payload = grant.payload
    if rests is None:
        rests = Reason.CHAINED if any(name in payload for name in RESTS) else Chain((), (grant.kid,))
    above = () if isinstance(rests, Reason) else rests.narrowing
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
        content=content_of(grant, disclosures, amendments, above),
        amended=frozenset(entry.id for entry, _ in amendments),
        links=rests if isinstance(rests, Reason) else rests.links,
        signers=(grant.kid,) if isinstance(rests, Reason) else rests.signers,
        proof=proof,
        transcribed=transcribed,
    )


def content_of(
    grant: Entry,
    disclosures: Disclosures | None,
    amendments: Sequence[tuple[Entry, Disclosures | None]] = (),
    above: Sequence[Scope] = (),
) -> Scope | Reason:
    """Return what a grant, its amendments and those of its parents cover together, or why that is not known."""
    terms = opened(grant, disclosures)
    if isinstance(terms, Reason):
        return terms
    valid_until = grant.payload["valid_until"]
    notice = Notice.read(grant.payload["notice"])
    missing = missing_information(terms, valid_until=valid_until, notice=notice, granted_at=grant.iat)
    scope = compile_terms(terms, valid_until, informed=not missing)
    narrowing = list(above)
    for entry, told in amendments:
        also = opened(entry, told)
        if isinstance(also, Reason):
            return also
        narrowing.append(compile_terms(also, entry.payload.get("valid_until", valid_until), informed=True))
    for by in narrowing:
        narrower = narrowed(scope, by)
        if narrower is None:
            return Reason.BAD_TERMS  # an amendment to another purpose or kind of data leaves nothing
        scope = narrower
    return scope
