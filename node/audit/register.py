"""The register of processing activities (GDPR art. 30), made from the consents this node holds.

How it works
    Consents in force at any time of the period whose terms say the same of controllers, processors, purpose, legal
    basis, data, recipients, retention, storage and jurisdiction are one line, with how many there are, for how many
    points, and what passed under them. The chain controller, processor, sub-processor stands in its order. Where the
    terms name a storage or jurisdiction abroad, the line says so in their own words.

What it does not do
    Processing that rests on no consent of this mesh is not here: whoever keeps a register adds it. Security measures
    that are not of this software are the controller's to describe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from ledger.consent.record import Actor, OnwardSharing, Terms
from node.audit.duties import end_of, in_force
from node.audit.findings import Access, Activity
from node.audit.rows import Consent, Question, Rows

SEPARATOR: Final = " → "

Key = tuple[object, ...]


def register(rows: Rows, question: Question, consents: Sequence[Consent], moved: Iterable[Access]) -> list[Activity]:
    """Return the lines of the register, by controller and purpose. `moved`: transfers that the question is about."""
    groups: dict[Key, list[tuple[Consent, Terms]]] = defaultdict(list)
    for consent in consents:
        terms = consent.terms
        began = terms is not None and terms.access_period[0] < question.until
        if terms is not None and consent.state and began and end_of(consent) > question.since:
            groups[_key(terms)].append((consent, terms))
    passed: dict[str, list[int]] = defaultdict(list)
    for access in moved:
        passed[access.consent].append(access.records or 0)
    at = min(question.until - 1, rows.frame.now)
    lines = [_activity(found, passed, at) for found in groups.values()]
    return sorted(lines, key=lambda line: (line.controllers, line.purpose, line.data, line.granularity, line.example))


def _key(terms: Terms) -> Key:
    return (
        *(terms.controllers, terms.processors, terms.recipients, terms.onward_sharing, terms.purpose),
        *(terms.purpose_category, terms.legal_basis, terms.pii_type, terms.granularity, terms.retention),
        *(terms.storage, terms.jurisdiction, terms.dpo_contact, terms.authority),
    )


def _activity(found: list[tuple[Consent, Terms]], passed: dict[str, list[int]], at: int) -> Activity:
    found = sorted(found, key=lambda pair: pair[0].id)
    terms = found[0][1]
    records = [counts for consent, _ in found for counts in passed.get(consent.id.hex(), ())]
    example = found[0][0].id.hex()
    return Activity(
        tuple(map(_named, terms.controllers)),
        tuple(map(_named, terms.processors)),
        terms.purpose,
        terms.purpose_category,
        terms.legal_basis,
        tuple(sorted({one.principal_role for _, one in found})),
        "/".join(terms.pii_type) if terms.pii_type is not None else "",
        terms.granularity or "",
        tuple(map(_named, terms.recipients)),
        _onward(terms.onward_sharing),
        terms.retention,
        terms.storage,
        terms.jurisdiction,
        (terms.dpo_contact,),
        terms.authority,
        len(found),
        sum(in_force(consent, at) for consent, _ in found),
        len({point for _, one in found for point in one.points}),
        len(records),
        sum(records),
        example,
        f"maille consent show {example}",
    )


def _named(actor: Actor) -> str:
    return f"{actor.name} ({actor.contact})" if actor.contact else actor.name


def _onward(sharing: OnwardSharing) -> str:
    listed = ", ".join(map(_named, sharing.listed))
    parts = [f"depth {sharing.depth}" if sharing.mode == "depth" else sharing.mode, listed]
    parts += ["aggregates only" if sharing.aggregate_only else "", sharing.source_contract]
    return "; ".join(part for part in parts if part)
