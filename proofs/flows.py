"""The questions about one transfer, a row each: under an active consent, within it, acknowledged alike?

How it works
    A transfer claims its time: T is when its last pack went. The tick that the receipt names speaks for T; where the
    bundle does not carry that one, the newest tick not after T. An end of the consent is provably after the transfer
    only if its lower bound lies above the *upper* bound of the receipt: by when the auditor's witnesses had it. It is
    provably before if its upper bound lies more than Δ before T. Everything between is concurrent. The same holds for
    the end of anything that the consent rests on (chains). Holder and recipient were members by the tick that speaks.

What it does not do
    It does not show that the data were read, or that no others were sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ledger.feed import AHEAD_SECONDS_MAX
from proofs.brackets import not_after
from proofs.bundle import Account
from proofs.chains import all_ends, doubt
from proofs.consents import ConsentAudit, Ended
from proofs.reasons import Reason
from proofs.report import utc
from proofs.state import TickEvidence
from proofs.transfers import Transfer
from proofs.values import party
from proofs.within import hull

COVERED: Final = "the transfer was made while the consent stood"
WITHIN: Final = "the data are of a time that the consent covers"
ACKNOWLEDGED: Final = "the recipient acknowledged the same transfer"

UNCOMPARED: Final = "whether holder and recipient give the same account of a transfer whose accounts are not both open"


def audit_transfers(audit: ConsentAudit, transfers: Sequence[Transfer], shown: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask the questions about each transfer under a consent; return the claims. `shown`: disclosed values."""
    ends = tuple(all_ends(audit))
    return [_transfer(audit, each, number, shown, ends) for number, each in enumerate(transfers, 1)]


def _transfer(
    audit: ConsentAudit, transfer: Transfer, number: int, shown: dict[str, Any], ends: Sequence[Ended]
) -> dict[str, Any]:
    """Ask the questions about one transfer; return the claims. `ends`: of the consent, and of what it rests on."""
    note, name, sent = audit.note, f"transfer.{number}", transfer.sent
    claims: dict[str, Any] = {"id": transfer.ident.hex(), "acknowledged": transfer.ack is not None}
    if sent is None:
        note.skipped(name, COVERED, "the holder's account is withheld", Reason.CONTENT_WITHHELD)
    else:
        claims.update(_account(sent))
        reason, words, time = _covered(audit, transfer, sent, shown, ends)
        claims["covered"] = None if reason and reason.indication.exit_code == 3 else reason is None
        if reason is None:
            note.passed(name, COVERED, words, time)
        else:
            note.failed(name, COVERED, reason, words, time)
        _within(audit, name, transfer, sent, shown)
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
    audit: ConsentAudit, transfer: Transfer, sent: Account, shown: dict[str, Any], ends: Sequence[Ended]
) -> tuple[Reason | None, str, int]:
    """Return (why the transfer is not covered, or None; the words; a time)."""
    at, max_age = sent.ended, audit.trust.max_age
    began = min(sent.began, at)
    tick = _speaking(audit, transfer, at)
    said = f"the transfer is of {utc(at)}"
    if tick is None:
        first = audit.ticks[0].boundary
        return Reason.NO_POE, f"{said}, the first tick that shows the consent of {utc(first)}", first
    boundary = tick.boundary
    why = audit.why_not(tick, shown, began, at)
    if why is not None:
        return why
    if at - boundary > max_age:
        words = f"the tick is of {utc(boundary)}, {said}, {at - boundary} s later; allowed are {max_age} s"
        return Reason.OUT_OF_BOUNDS, words, boundary
    if at > audit.now + AHEAD_SECONDS_MAX:
        return Reason.TIME_IN_FUTURE, f"{said}, which is ahead of the clock, {utc(audit.now)}", at
    for name in ("holder", "recipient"):
        outsider = audit.outsider(name, tick)
        if outsider is not None:
            return outsider[0], f"{said}; the {name}: {outsider[1]}", boundary
    why = doubt(audit, tick, began, at)
    if why is not None:
        return why
    for ended in ends:
        told = f"{ended.state} between {utc(ended.after)} and {utc(ended.by)}"
        if ended.by < at - max_age:
            return ended.reason, f"{told}, {said}", ended.by
        upper = not_after(audit.evidence, transfer.receipt, audit.trust.policy, audit.stamped)
        if upper is None or ended.after <= upper:
            known = "never shown" if upper is None else f"shown by {utc(upper)}"
            return Reason.CONCURRENT_WITHDRAWAL, f"{told}, {said}, its receipt {known}", ended.after
    named = "the tick it names" if tick.digest == transfer.frontier else "an earlier tick than it names"
    return None, f"{said}, {named} is of {utc(boundary)}, {at - boundary} s before", boundary


def _within(audit: ConsentAudit, name: str, transfer: Transfer, sent: Account, shown: dict[str, Any]) -> None:
    """Hold the window of the data to the windows of the consent, as far as amendments known then leave them."""
    name = f"{name}.window"
    if "data_period" not in shown:
        audit.note.skipped(name, WITHIN, "the period of the data is withheld")
        return
    tick = _speaking(audit, transfer, sent.ended)
    narrowing = [] if tick is None else audit.narrowing(tick)
    hulls = [hull(each["data_period"]) for each in (shown, *narrowing) if "data_period" in each]
    start, stop = sent.window
    told = f"data from {utc(start)} to {utc(stop)}"
    first, last = max(one for one, _ in hulls), min(one for _, one in hulls)
    if not sent.count or first <= start <= stop <= last:
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
        whose = "the recipient's" if sent is not None else "the holder's" if received is not None else "either"
        words = (
            f"{whose} account is withheld: whether both are alike (else {Reason.ACCOUNTS_DIFFER.name}) is not looked at"
        )
        note.passed(name, "the recipient acknowledged the transfer; what arrived, it does not say here", words, iat)
        if UNCOMPARED not in note.unshown:
            note.unshown.append(UNCOMPARED)
        return
    mine, theirs = ((one.chain, one.count, one.gaps, one.window) for one in (sent, received))
    if mine == theirs:
        note.passed(name, ACKNOWLEDGED, f"{sent.count} records, chain {sent.chain.hex()[:16]}", iat)
    else:
        words = f"the holder sent {sent.count} records, the recipient says {received.count}"
        note.failed(name, ACKNOWLEDGED, Reason.ACCOUNTS_DIFFER, words, iat)
