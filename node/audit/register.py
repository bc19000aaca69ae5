"""The register of processing activities (GDPR art. 30), made from the consents this node holds.

How it works
    Consents in force at any time of the period whose terms say the same of controllers, processors, purpose, legal
    basis, data, recipients, retention, storage and jurisdiction are one line, with how many there are, for how many
    points, and what passed under them. The chain controller, processor, sub-processor stands in its order. Where the
    terms name a storage or jurisdiction abroad, the line says so in their own words.

    The terms are those in force, amendments included (ledger.consent.narrowing). A consent that was narrowed within the
    period is in two lines where they differ, and what passed is in the one of its time.

What it does not do
    Processing that rests on no consent of this mesh is not here: whoever keeps a register adds it. Security measures
    that are not of this software are the controller's to describe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ledger.consent.narrowing import is_left, together
from ledger.consent.record import Actor, OnwardSharing, Terms
from node.audit.duties import end_of, in_force
from node.audit.findings import Access, Activity
from node.audit.matching import has_terms
from node.audit.rows import Consent, Question, Rows

SEPARATOR: Final = " → "

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What a consent says for a time of the period, [since, until) in unix seconds, and how much passed under it.

    `unread`: whether it was narrowed in a way that is not known here. `records`: of each transfer.
    """

    consent: Consent
    since: int
    until: int
    terms: Terms
    unread: bool
    records: tuple[int, ...] = ()


def register(rows: Rows, question: Question, consents: Sequence[Consent], moved: Iterable[Access]) -> list[Activity]:
    """Return the lines of the register, by controller and purpose. `moved`: transfers that the question is about."""
    groups: dict[Key, list[Part]] = defaultdict(list)
    passed: dict[str, list[Access]] = defaultdict(list)
    for access in moved:
        passed[access.consent].append(access)
    for consent in consents:
        if consent.state:
            for part in _parts(consent, question, passed[consent.id.hex()]):
                groups[_key(part.terms)].append(part)
    at = min(question.until - 1, rows.frame.now)
    groups_in_order = sorted(groups.values(), key=lambda found: (found[0].since, found[0].consent.id))
    lines = [_activity(found, at) for found in groups_in_order]
    return sorted(lines, key=lambda line: (line.controllers, line.purpose, line.data, line.granularity, line.example))


def _parts(consent: Consent, question: Question, moved: Iterable[Access]) -> list[Part]:
    """Return what a consent says in the period, one time after another; what nothing is left of is not there."""
    terms, since, end, unread = consent.terms, 0, end_of(consent), False
    found: list[Part] = []
    for each in (*sorted(consent.amendments, key=lambda one: (one.registered, one.entry)), None):
        if terms is None:
            break
        until = end if each is None else min(each.registered, end)
        began = terms.access_period[0] < question.until and since < min(until, question.until)
        if began and until > question.since and has_terms(question, terms):
            found.append(Part(consent, since, until, terms, unread))
        if each is not None:
            since, unread = each.registered, unread or each.terms is None
            if each.terms is not None:
                terms = together(terms, each.terms) if is_left(terms, each.terms) else None
    return _with_records(found, moved)


def _with_records(found: list[Part], moved: Iterable[Access]) -> list[Part]:
    """Return the parts with what passed in each: by the time when it ended."""
    records: list[list[int]] = [[] for _ in found]
    for access in moved if found else ():
        begun = sum(part.since <= access.ended.timestamp() for part in found)
        records[max(0, begun - 1)].append(access.records or 0)
    return [replace(part, records=tuple(passed)) for part, passed in zip(found, records, strict=True)]


def _key(terms: Terms) -> Key:
    return (
        *(terms.controllers, terms.processors, terms.recipients, terms.onward_sharing, terms.purpose),
        *(terms.purpose_category, terms.legal_basis, terms.pii_type, terms.granularity, terms.retention),
        *(terms.storage, terms.jurisdiction, terms.dpo_contact, terms.authority),
    )


def _activity(found: list[Part], at: int) -> Activity:
    found = sorted(found, key=lambda part: (part.consent.id, part.since))
    terms = found[0].terms
    records = [counts for part in found for counts in part.records]
    example = found[0].consent.id.hex()
    return Activity(
        tuple(map(_named, terms.controllers)),
        tuple(map(_named, terms.processors)),
        terms.purpose,
        terms.purpose_category,
        terms.legal_basis,
        tuple(sorted({part.terms.principal_role for part in found})),
        "/".join(terms.pii_type) if terms.pii_type is not None else "",
        terms.granularity or "",
        tuple(map(_named, terms.recipients)),
        _onward(terms.onward_sharing),
        terms.retention,
        terms.storage,
        terms.jurisdiction,
        (terms.dpo_contact,),
        terms.authority,
        len({part.consent.id for part in found}),
        sum(in_force(part.consent, at) and part.since <= at < part.until for part in found),
        len({point for part in found for point in part.terms.points}),
        len(records),
        sum(records),
        example,
        f"maille consent show {example}",
        len({part.consent.id for part in found if part.unread}),
    )


def _named(actor: Actor) -> str:
    return f"{actor.name} ({actor.contact})" if actor.contact else actor.name


def _onward(sharing: OnwardSharing) -> str:
    listed = ", ".join(map(_named, sharing.listed))
    parts = [f"depth {sharing.depth}" if sharing.mode == "depth" else sharing.mode, listed]
    parts += ["aggregates only" if sharing.aggregate_only else "", sharing.source_contract]
    return "; ".join(part for part in parts if part)
