"""Duties that are open: data past their time, notices that carry no consent any more, ends nobody acknowledged.

How it works
    * Overdue: a consent ended (withdrawn, revoked, expired, or one that it rests on did), the retention its terms allow
      has passed since (the shortest that an amendment leaves), and packs received under it are still here. Where no
      terms are known, no retention is: the day of the end is the due day.
    * Old notices: a consent is in force, and the notice it rests on is dated after it (NOTICE_AFTER_GRANT), has been
      followed by another adopted version of its document (NOTICE_SUPERSEDED), or is older than the longest time that
      the mesh lets a consent stand (NOTICE_TOO_OLD).
    * Unacknowledged: a withdrawal or a revocation is on the ledger, and a party that the consent names has not
      acknowledged it. Whoever revoked need not.

What it does not do
    That data are deleted elsewhere cannot be seen from here. It reads nothing and no clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ledger.consent.granularity import later
from ledger.schema import DAY
from node.audit.findings import OldNotice, Overdue, Unacknowledged, moment
from node.audit.matching import Names, proof_at
from node.audit.rows import Account, Adoption, Consent, End, Rows

RETENTION_PASSED: Final = "RETENTION_PASSED"
RETENTION_UNKNOWN: Final = "RETENTION_UNKNOWN"
AFTER_GRANT: Final = "NOTICE_AFTER_GRANT"
SUPERSEDED: Final = "NOTICE_SUPERSEDED"
TOO_OLD: Final = "NOTICE_TOO_OLD"


def end_of(consent: Consent) -> int:
    """Return when the right to access ended, or will: the earliest end that is sure, by the checkpoint over it.

    What rests on another consent ends with it; an amendment may have brought the end forward.
    """
    content = [consent.terms, *(each.terms for each in consent.amendments)]
    maybe = [terms.access_period[1] for terms in content if terms is not None]
    maybe += [consent.above, *(each.valid_until for each in consent.amendments)]
    ends = [consent.valid_until, *(end.registered for end in consent.ends)]
    return min([*ends, *(end for end in maybe if end is not None)])


def in_force(consent: Consent, at: int) -> bool:
    """Say whether a consent is granted and has not ended at a time (unix seconds)."""
    return consent.state not in ("", "incomplete") and at < end_of(consent)


def overdue(rows: Rows, consents: Sequence[Consent]) -> Iterator[Overdue]:
    """Yield what is still here past its time, longest overdue first."""
    held: dict[bytes, list[Account]] = defaultdict(list)
    for account in rows.accounts:
        if account.held and account.records:
            held[account.grant].append(account)
    names, found = Names(rows.frame), []
    now = rows.frame.now
    for consent in consents:
        accounts = held.get(consent.id)
        ended = end_of(consent)
        if not accounts or ended > now:
            continue
        terms = consent.terms
        told = [each.retention for each in (terms, *(one.terms for one in consent.amendments)) if each is not None]
        retention = min(told, key=lambda text: later(ended, text), default="")
        due = later(ended, retention) if retention else None
        if (ended if due is None else due) > now:
            continue
        finding = Overdue(
            RETENTION_UNKNOWN if due is None else RETENTION_PASSED,
            consent.id.hex(),
            names.who(consent.holder),
            names.who(accounts[0].recipient),
            terms.purpose if terms is not None else "",
            terms.points if terms is not None else (),
            retention,
            moment(ended),
            moment(due) if due is not None else None,
            (now - (ended if due is None else due)) // DAY,
            len({account.transfer for account in accounts}),
            sum(account.records for account in accounts),
            proof_at(consent.id, now, consent.id.hex()[:12]),
        )
        found.append(finding)
    yield from sorted(found, key=lambda one: (-one.days, one.consent))


def old_notices(rows: Rows, consents: Sequence[Consent], until: int) -> Iterator[OldNotice]:
    """Yield the notices that carry consents in force at `until` no more; at most one finding for each consent."""
    adopted: dict[bytes, list[Adoption]] = defaultdict(list)
    for version in sorted(rows.adoptions, key=lambda one: (one.dated, one.entry)):
        adopted[version.document].append(version)
    names = Names(rows.frame)
    at = min(until, rows.frame.now)
    for consent in consents:
        if not in_force(consent, at):
            continue
        found = _fault(consent, adopted, at, rows.frame.days_max)
        if found is None:
            continue
        code, since, newer = found
        notice, terms = consent.notice, consent.terms
        document = notice.document.hex() if notice.document is not None else ""
        yield OldNotice(
            code,
            consent.id.hex(),
            names.who(consent.holder),
            names.who(consent.recipient) if consent.recipient is not None else None,
            terms.purpose if terms is not None else "",
            notice.sha256.hex(),
            moment(notice.dated),
            document,
            newer,
            moment(since),
            f"maille document versions {document}" if newer else f"maille consent show {consent.id.hex()}",
        )


def _fault(
    consent: Consent, adopted: Mapping[bytes, Sequence[Adoption]], at: int, days_max: int
) -> tuple[str, int, str] | None:
    """Return what is wrong with a consent's notice: code, since when, the newer version's entry."""
    notice = consent.notice
    if notice.dated > consent.granted:
        return AFTER_GRANT, consent.granted, ""
    if notice.document is not None:
        for version in adopted.get(notice.document, ()):
            other = set(version.heads) != set(notice.heads) and version.text != notice.sha256
            if other and consent.granted < version.dated <= at:
                return SUPERSEDED, version.dated, version.entry.hex()
    expired = notice.dated + days_max * DAY
    return (TOO_OLD, expired, "") if expired <= at else None


def unacknowledged(rows: Rows, consents: Sequence[Consent], until: int) -> Iterator[Unacknowledged]:
    """Yield the ends before `until` that a party named by the consent has not acknowledged, longest waiting first."""
    names, found = Names(rows.frame), []
    for consent in consents:
        end = _deciding(consent)
        if end is None or end.registered >= until:
            continue
        for party in dict.fromkeys((consent.holder, consent.recipient)):
            if party is None or party in consent.acknowledged or party == end.signer:
                continue
            found.append(
                Unacknowledged(
                    end.kind,
                    consent.id.hex(),
                    end.entry.hex(),
                    names.who(party),
                    moment(end.registered),
                    max(0, rows.frame.now - end.registered),
                    proof_at(consent.id, rows.frame.now, consent.id.hex()[:12]),
                )
            )
    yield from sorted(found, key=lambda one: (-one.waiting, one.consent, one.party.id, one.party.incarnation))


def _deciding(consent: Consent) -> End | None:
    """Return the end that decides: a withdrawal before a revocation, the earliest of its kind."""
    kind = "withdrawn" if consent.state == "withdrawn" else "revoked"
    ends = [end for end in consent.ends if end.kind == kind]
    return min(ends, key=lambda end: (end.registered, end.entry), default=None)
