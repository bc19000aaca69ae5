"""The questions about one transfer, a row each: under an active consent, within it, acknowledged alike?

How it works
    A transfer claims its time: T is when its last pack went. The tick that the receipt names speaks for T; where the
    bundle does not carry that one, the newest tick not after T. An end of the consent is provably after the transfer
    only if its lower bound lies above the *upper* bound of the receipt: by when the auditor's witnesses had it. It is
    provably before if its upper bound lies more than Δ before T. Everything between is concurrent.

What it does not do
    It does not show that the data were read, or that no others were sent.
"""

from __future__ import annotations

from typing import Any, Final

from ledger.consent.status import State
from proofs.brackets import not_after
from proofs.bundle import Account
from proofs.consents import ConsentAudit
from proofs.reasons import Reason
from proofs.report import utc
from proofs.state import TickEvidence
from proofs.transfers import Transfer
from proofs.values import party

COVERED: Final = "the transfer was made while the consent stood"
WITHIN: Final = "the data are of a time that the consent covers"
ACKNOWLEDGED: Final = "the recipient acknowledged the same transfer"

Doubt = tuple[Reason, str]
"""Why a transfer is not covered, and in which words."""


def audit_transfer(audit: ConsentAudit, transfer: Transfer, number: int, shown: dict[str, Any]) -> dict[str, Any]:
    """Ask the questions about one transfer; return the claims. `number`: from 1; `shown`: disclosed values."""
    note, name, sent = audit.note, f"transfer.{number}", transfer.sent
    claims: dict[str, Any] = {"id": transfer.ident.hex(), "acknowledged": transfer.ack is not None}
    if sent is None:
        note.skipped(name, COVERED, "the holder's account is withheld", Reason.CONTENT_WITHHELD)
    else:
        claims.update(_account(sent))
        doubt, words, time = _covered(audit, transfer, sent, shown)
        claims["covered"] = None if doubt and doubt.indication.exit_code == 3 else doubt is None
        if doubt is None:
            note.passed(name, COVERED, words, time)
        else:
            note.failed(name, COVERED, doubt, words, time)
        _within(audit, name, sent, shown)
    _acknowledged(audit, name, transfer)
    return claims


def _account(sent: Account) -> dict[str, Any]:
    return {
        "holder": party(list(sent.holder)),
        "recipient": party(list(sent.recipient)),
        "records": sent.count,
        "gaps": sent.gaps,
        "window": list(sent.window),
        "began": sent.began,
        "ended": sent.ended,
        "chain": sent.chain.hex(),
    }


def _speaking(audit: ConsentAudit, transfer: Transfer, at: int) -> TickEvidence | None:
    """Return the tick that speaks for a transfer of time `at`."""
    before = [tick for tick in audit.ticks if tick.boundary <= at]
    named = [tick for tick in before if tick.digest == transfer.frontier]
    return next(reversed(named or before), None)


def _covered(
    audit: ConsentAudit, transfer: Transfer, sent: Account, shown: dict[str, Any]
) -> tuple[Reason | None, str, int]:
    """Return (why the transfer is not covered, or None; the words; a time)."""
    at, max_age = sent.ended, audit.trust.max_age
    tick = _speaking(audit, transfer, at)
    said = f"the transfer is of {utc(at)}"
    if tick is None:
        first = audit.ticks[0].boundary
        return Reason.NO_POE, f"{said}, the first tick that shows the consent of {utc(first)}", first
    begins, end = audit.period(tick, shown, at)
    boundary, consent = tick.boundary, audit.value(tick)
    if consent.ended:
        return Reason.REVOKED, f"{consent.state.name} as of {utc(boundary)}, {said}", boundary
    if consent.state is State.INCOMPLETE:
        return Reason.NOT_ACTIVE, f"signatures were still missing as of {utc(boundary)}, {said}", boundary
    if at >= end:
        return Reason.EXPIRED, f"the consent ended {utc(end)}, {said}", end
    if sent.began < begins:
        return Reason.NOT_ACTIVE, f"the consent begins {utc(begins)}, the transfer began {utc(sent.began)}", begins
    if at - boundary > max_age:
        words = f"the tick is of {utc(boundary)}, {said}, {at - boundary} s later; allowed are {max_age} s"
        return Reason.OUT_OF_BOUNDS, words, boundary
    ended = audit.ended()
    if ended is not None:
        bracket = f"{ended.state.name} between {utc(ended.after)} and {utc(ended.by)}"
        if ended.by < at - max_age:
            return Reason.REVOKED, f"{bracket}, {said}", ended.by
        upper = not_after(audit.evidence, transfer.receipt, audit.trust.policy, audit.stamped)
        if upper is None or ended.after <= upper:
            known = "never shown" if upper is None else f"shown by {utc(upper)}"
            return Reason.CONCURRENT_WITHDRAWAL, f"{bracket}, {said}, its receipt {known}", ended.after
    named = "the tick it names" if tick.digest == transfer.frontier else "an earlier tick than it names"
    return None, f"{said}, {named} is of {utc(boundary)}, {at - boundary} s before", boundary


def _within(audit: ConsentAudit, name: str, sent: Account, shown: dict[str, Any]) -> None:
    name = f"{name}.window"
    windows = shown.get("data_period")
    if windows is None:
        audit.note.skipped(name, WITHIN, "the period of the data is withheld")
        return
    start, stop = sent.window
    told = f"data from {utc(start)} to {utc(stop)}"
    first, last = min(one[0] for one in windows), max(one[1] for one in windows)
    if not sent.count or (first <= start and stop <= last):
        audit.note.passed(name, WITHIN, told)
    else:
        words = f"{told}; the consent covers {utc(first)} to {utc(last)}"
        audit.note.failed(name, WITHIN, Reason.BEYOND_CONSENT, words)


def _acknowledged(audit: ConsentAudit, name: str, transfer: Transfer) -> None:
    note, name, sent, received = audit.note, f"{name}.ack", transfer.sent, transfer.received
    if transfer.ack is None:
        note.skipped(name, ACKNOWLEDGED, "no acknowledgement is carried", Reason.NOT_ACKNOWLEDGED)
        return
    iat = audit.evidence.entries[transfer.ack].iat
    if received is None or sent is None:
        note.passed(name, "the recipient acknowledged the transfer", "an account is withheld, so none is compared", iat)
        return
    mine, theirs = ((one.chain, one.count, one.gaps, one.window) for one in (sent, received))
    if mine == theirs:
        note.passed(name, ACKNOWLEDGED, f"{sent.count} records, chain {sent.chain.hex()[:16]}", iat)
    else:
        words = f"the holder sent {sent.count} records, the recipient says {received.count}"
        note.failed(name, ACKNOWLEDGED, Reason.ACCOUNTS_DIFFER, words, iat)
