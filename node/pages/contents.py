"""What a consent says now: its own terms, narrowed by every amendment whose content is here.

How it works
    `terms_now` opens the grant and the amendments that count for it, and `together` takes what both of two allow, field
    by field, as the gate does (ledger.consent.resting.content_of). Where nothing is left, nothing may be sent: the
    terms say that sending is switched off.

What it does not do
    It decides nothing: the gate reads the ledger and the vault itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ledger.consent.granularity import covers, parse_duration
from ledger.consent.record import OnwardSharing, Stages, Terms
from ledger.consent.words import Parties
from node.pages.settings import Language
from node.pages.wording import Facets, facets

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows


def terms_of(turn: Turn, flows: Flows, entry_id: bytes) -> Terms | None:
    """Return the terms of a grant or request whose content is here, else None."""
    row = flows.consents.get(turn.vault, entry_id)
    return None if row is None else row.disclosures.terms()


def terms_now(turn: Turn, flows: Flows, grant: bytes) -> Terms | None:
    """Return what a consent says after all amendments; None where its content is not here."""
    terms = terms_of(turn, flows, grant)
    status = turn.core.replica.consent(turn.rows, grant) if terms is not None else None
    for ident in status.amended if status is not None else ():
        other = terms_of(turn, flows, ident)
        if terms is not None and other is not None:
            terms = together(terms, other)
    return terms


def together(terms: Terms, other: Terms) -> Terms:
    """Return what both allow. `other`: an amendment of a consent with these terms."""
    points = tuple(point for point in terms.points if point in other.points)
    windows = tuple(
        (max(first, begin), min(last, end))
        for first, last in terms.data_period
        for begin, end in other.data_period
        if max(first, begin) < min(last, end)
    )
    stages = Stages(
        terms.stages.local and other.stages.local,
        terms.stages.upload and other.stages.upload,
        terms.stages.transmit and other.stages.transmit and bool(points and windows),
    )
    ends = [end for end in (terms.access_period[1], other.access_period[1]) if end is not None]
    return replace(
        terms,
        points=points or terms.points,
        data_period=windows or terms.data_period,
        access_period=(max(terms.access_period[0], other.access_period[0]), min(ends) if ends else None),
        granularity=_coarser(terms.granularity, other.granularity),
        retention=_shorter(terms.retention, other.retention),
        processors=tuple(one for one in terms.processors if one in other.processors),
        onward_sharing=_sharing(terms.onward_sharing, other.onward_sharing),
        stages=stages,
        freshness=other.freshness or terms.freshness,
        computation=other.computation or terms.computation,
    )


def _coarser(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return one
    return other if covers(parse_duration(one), parse_duration(other)) else one


def _shorter(one: str, other: str) -> str:
    return other if covers(parse_duration(other), parse_duration(one)) else one


def _sharing(one: OnwardSharing, other: OnwardSharing) -> OnwardSharing:
    listed = tuple(actor for actor in one.listed if actor in other.listed)
    if other.mode != one.mode or (one.mode == "listed" and not listed):
        return OnwardSharing()
    only = one.aggregate_only or other.aggregate_only
    return replace(one, depth=min(one.depth, other.depth), listed=listed, aggregate_only=only)


def said_of(turn: Turn, flows: Flows, terms: Terms, parties: tuple[str, str, int], lang: Language) -> Facets:
    """Return terms in pieces. `parties`: names of holder and recipient, and when it ends (unix seconds)."""
    return facets(terms, Parties(*parties, flows.acts.computation_in_words(turn, terms, lang)), lang)
