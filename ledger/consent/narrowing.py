"""What a consent says once it was narrowed: the terms that its grant and its amendments allow together.

How it works
    `together` takes of two terms what both allow, field by field, as the gate does of what it compiles from them
    (ledger.consent.scope.narrowed); the order of amendments does not matter, but where neither of two granularities
    covers the other. `is_left` says whether they allow anything together. Where they do not, `together` gives terms
    that say that sending is switched off, since terms without points or windows cannot be written.

What it does not do
    It decides nothing: the gate compiles grant and amendments itself.
"""

from __future__ import annotations

from dataclasses import replace

from ledger.consent.granularity import covers, parse_duration
from ledger.consent.record import OnwardSharing, Stages, Terms, Window


def is_left(terms: Terms, other: Terms) -> bool:
    """Say whether two terms have anything in common: purpose, kind of data, a point, a time of data and of access."""
    same = terms.purpose == other.purpose and terms.pii_type == other.pii_type
    return same and bool(_points(terms, other) and _windows(terms, other) and _access(terms, other))


def together(terms: Terms, other: Terms) -> Terms:
    """Return what both allow. `other`: an amendment of a consent with these terms."""
    points, windows = _points(terms, other), _windows(terms, other)
    stages = Stages(
        terms.stages.local and other.stages.local,
        terms.stages.upload and other.stages.upload,
        terms.stages.transmit and other.stages.transmit and is_left(terms, other),
    )
    sharing = _sharing(terms.onward_sharing, other.onward_sharing)
    chain = tuple(one for one in terms.processors if one in other.processors)
    return replace(
        terms,
        points=points or terms.points,
        data_period=windows or terms.data_period,
        access_period=_access(terms, other) or terms.access_period,
        granularity=_coarser(terms.granularity, other.granularity),
        retention=_shorter(terms.retention, other.retention),
        processors=chain if chain and chain[0].role == "processor" else (),  # sub-processors work for one
        recipients=terms.recipients if sharing.mode != "none" else terms.recipients[:1],
        onward_sharing=sharing,
        stages=stages,
        freshness=other.freshness or terms.freshness,
        computation=other.computation or terms.computation,
    )


def _points(terms: Terms, other: Terms) -> tuple[str, ...]:
    return tuple(point for point in terms.points if point in other.points)


def _windows(terms: Terms, other: Terms) -> tuple[Window, ...]:
    pairs = (
        (max(first, begin), min(last, end)) for first, last in terms.data_period for begin, end in other.data_period
    )
    return tuple(window for window in pairs if window[0] < window[1])


def _access(terms: Terms, other: Terms) -> tuple[int, int | None] | None:
    begin = max(terms.access_period[0], other.access_period[0])
    ends = [end for end in (terms.access_period[1], other.access_period[1]) if end is not None]
    return (begin, min(ends, default=None)) if all(begin < end for end in ends) else None


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
