"""One transfer held against one consent: the verdict and its code (`matching` puts the two together).

How it works
    The first rule that fails gives the code; where it cannot be told, the verdict is UNDECIDED:

    | without consent when                                                             | code                     |
    |----------------------------------------------------------------------------------|--------------------------|
    | a probe proves it (ledger.consent.fault)                                         | its own                  |
    | no such consent is on the ledger held here, or it does not count there           | UNREGISTERED, INCOMPLETE |
    | it names another holder or recipient than the consent                            | OTHER_HOLDER, …          |
    | it passed at or after the consent's end, or before its beginning                 | EXPIRED, NOT_YET         |
    | it passed after whoever took part had signed that it knew of the end, or after   |                          |
    | the end was registered and the mesh's bound of staleness had passed              | WITHDRAWN, REVOKED       |
    | the terms forbid it: point, kind, step, period, stage, result only, not informed | OTHER_…, as the gate's   |
    | it passed after an amendment was registered and that bound, which forbids it     | the same                 |

    A transfer between the moment that a withdrawal claims and that bound is undecided (CONCURRENT_WITHDRAWAL), as it
    is for the verifier of a proof; one between the moment that an amendment claims and that bound is so too, where the
    amendment forbids it (CONCURRENT_AMENDMENT). Others' transfers are salted digests: when
    they were is known between two bounds, what passed is not, so the best said of them is CLEAR.

What it does not do
    It reads nothing. The policy's forbidden purposes are not held against the past: they may be younger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ledger.consent.grant import missing_information
from ledger.consent.granularity import covers, parse_duration
from ledger.consent.record import Terms
from ledger.feed import AHEAD_SECONDS_MAX
from ledger.governance.members import Party
from node.audit.findings import Verdict
from node.audit.rows import Account, Amendment, Consent, End, Frame, Proven, Statement

CLEAR_FIELDS: Final = "CLEAR_FIELDS"
CONCURRENT: Final = "CONCURRENT_WITHDRAWAL"
AMENDED: Final = "CONCURRENT_AMENDMENT"
MISSING: Final = "DISCLOSURE_MISSING"
TIME_UNKNOWN: Final = "TIME_UNKNOWN"
_ENDED: Final = {"withdrawn": "WITHDRAWN", "revoked": "REVOKED"}

Judged = tuple[Verdict, str]
_WORST: Final = (Verdict.WITHOUT, Verdict.UNDECIDED, Verdict.CLEAR, Verdict.CONSENTED)


@dataclass(slots=True)
class Gathered:
    """All that names one transfer. `strangers`: statements about it by parties that have no part in it."""

    accounts: list[Account]
    statements: list[Statement]
    proven: list[Proven]
    strangers: list[Statement]


@dataclass(frozen=True, slots=True)
class Span:
    """When a transfer was: not before `low` (None: not known), not after `high`. `exact`: by the account's clock."""

    low: int | None
    high: int
    exact: bool


def grant_of(one: Gathered) -> bytes | None:
    """Return the consent that a transfer names: by our own account first, then a probe's, then the holder's word."""
    named: Iterable[Account | Proven | Statement] = (*one.accounts, *one.proven, *one.statements)
    return next((row.grant for row in named if row.grant is not None), None)


def span_of(one: Gathered) -> Span:
    """Return when a transfer was, as far as it is known."""
    if one.accounts:
        return Span(min(row.began for row in one.accounts), max(row.ended for row in one.accounts), True)
    if one.proven:
        return Span(one.proven[0].at, one.proven[0].at, True)
    known = [row.since for row in one.statements if row.since is not None]
    return Span(max(known) if known else None, min(row.dated for row in one.statements), False)


def judge(consent: Consent | None, one: Gathered, span: Span, frame: Frame) -> Judged:
    """Return the verdict on one transfer, and its code. The table in this module's docstring is the rule."""
    if one.proven:
        return Verdict.WITHOUT, one.proven[0].wrong
    if consent is None and grant_of(one) is None:
        return Verdict.UNDECIDED, "NO_RECEIPT"  # an acknowledgement alone names no consent
    if consent is None or not consent.state:
        return Verdict.WITHOUT, "UNREGISTERED"
    wrong = _other_party(consent, one)
    if wrong is not None:
        return wrong
    if consent.state == "incomplete":
        return Verdict.WITHOUT, "INCOMPLETE"
    untimely = _timely(consent, one, span, frame)
    if untimely is not None:
        return untimely
    said = [_content(consent, one), *_narrowed(consent, one, span, frame)]
    return min(said, key=lambda each: _WORST.index(each[0]))


def _narrowed(consent: Consent, one: Gathered, span: Span, frame: Frame) -> Iterator[Judged]:
    """Yield what is to be said by each amendment that may have been known: nothing by one that allows the transfer."""
    late = span.high if span.exact else span.low
    for each in consent.amendments:
        if span.high < each.claimed:
            continue
        wrong, is_sure = _against(consent, each, one, span)
        if wrong == MISSING:
            yield Verdict.CLEAR, wrong
        elif wrong and is_sure and late is not None and late > each.registered + frame.staleness:
            yield Verdict.WITHOUT, wrong
        elif wrong:
            yield Verdict.UNDECIDED, AMENDED


def _against(consent: Consent, amendment: Amendment, one: Gathered, span: Span) -> tuple[str, bool]:
    """Return what of a transfer an amendment does not cover, or "", and whether that is sure of its time."""
    terms, late = amendment.terms, span.high if span.exact else span.low
    begins, until = terms.access_period if terms is not None else (0, None)
    end = min((each for each in (amendment.valid_until, until) if each is not None), default=None)
    if end is not None and span.high >= end:
        return "EXPIRED", late is not None and late >= end
    if span.high < begins or (span.exact and span.low is not None and span.low < begins):
        return "NOT_YET", True
    if terms is None:
        return MISSING, True
    granted = consent.terms
    if granted is not None and (granted.purpose, granted.pii_type) != (terms.purpose, terms.pii_type):
        return "BAD_TERMS", True  # nothing is left
    return _not_covered(terms, one), True


def _other_party(consent: Consent, one: Gathered) -> Judged | None:
    holders = {row.holder for row in one.accounts} | {row.signer for row in one.statements if row.role == "holder"}
    recipients = {row.recipient for row in one.accounts}
    if holders - {consent.holder}:
        return Verdict.WITHOUT, "OTHER_HOLDER"
    if consent.recipient is None:
        return Verdict.UNDECIDED, "CLASS_RECIPIENT"
    return (Verdict.WITHOUT, "OTHER_RECIPIENT") if recipients - {consent.recipient} else None


def _timely(consent: Consent, one: Gathered, span: Span, frame: Frame) -> Judged | None:
    """Return why it was not in time, or cannot be told; None where it was."""
    terms = consent.terms
    begins, until = terms.access_period if terms is not None else (0, None)
    ends = consent.valid_until if until is None else min(consent.valid_until, until)
    begins = max(begins, consent.granted - AHEAD_SECONDS_MAX)  # nobody takes in what is dated further ahead
    if span.high < begins or (span.exact and span.low is not None and span.low < begins):
        return Verdict.WITHOUT, "NOT_YET"
    late = span.high if span.exact else span.low
    if late is not None and late >= ends:
        return Verdict.WITHOUT, "EXPIRED"
    unclear = TIME_UNKNOWN if span.high >= ends else ""
    speakers = {row.holder if row.role == "holder" else row.recipient for row in one.accounts}
    speakers = speakers or {row.signer for row in one.statements}
    for end in consent.ends:
        bound = _known(end, speakers, frame.staleness)
        if late is not None and late > bound:
            return Verdict.WITHOUT, _ENDED[end.kind]
        if span.high >= end.claimed:
            unclear = unclear or (CONCURRENT if span.exact else TIME_UNKNOWN)
    return (Verdict.UNDECIDED, unclear) if unclear else None


def _known(end: End, speakers: set[Party], staleness: int) -> int:
    """Return when whoever took part knew of an end: by its own feed, or else because everyone had to."""
    told = [at for party, at in end.told if party in speakers]
    return min((*told, end.registered + staleness))


def _content(consent: Consent, one: Gathered) -> Judged:
    terms = consent.terms
    if terms is None:
        return Verdict.CLEAR, MISSING
    informed = missing_information(
        terms, valid_until=consent.valid_until, notice=consent.notice, granted_at=consent.granted
    )
    if informed:
        return Verdict.WITHOUT, "NOT_INFORMED"
    if consent.chained:
        return Verdict.UNDECIDED, "CHAINED"
    wrong = _not_covered(terms, one)
    if wrong:
        return Verdict.WITHOUT, wrong
    return (Verdict.CONSENTED, "ALLOWED") if one.accounts else (Verdict.CLEAR, CLEAR_FIELDS)


def _not_covered(terms: Terms, one: Gathered) -> str:
    """Return what of a transfer terms do not cover, or ""."""
    if terms.computation is not None and any(account.series for account in one.accounts):  # readings, no result
        return "COMPUTATION_ONLY"
    if not terms.stages.transmit:
        return "STAGE_OFF"
    return next((wrong for account in one.accounts if (wrong := _beyond(terms, account))), "")


def _beyond(terms: Terms, account: Account) -> str:
    """Return what of a transfer the terms do not cover, or "". A window may span a hole between granted ones."""
    for series in account.series:
        if series.point not in terms.points:
            return "OTHER_POINT"
        if series.kind != terms.pii_type:
            return "OTHER_KIND"
        if not _as_coarse(terms.granularity, series.granularity):
            return "OTHER_GRANULARITY"
    first, last = account.window[0], account.window[1] - 1
    for edge in (first, last):
        if not any(start <= edge < stop for start, stop in terms.data_period):
            return "OTHER_PERIOD"
    return ""


@lru_cache(maxsize=1_024)
def _as_coarse(granted: str | None, came: str) -> bool:
    if granted == (came or None):
        return True
    return bool(granted and came) and covers(parse_duration(granted or ""), parse_duration(came))
