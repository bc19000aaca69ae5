"""Rows for the tests of audits: one consent that allows one transfer, and how to change either."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from ledger.governance.members import Party
from ledger.schema import DAY
from node.audit.auditing import audit
from node.audit.findings import Access, Report
from node.audit.rows import Account, Adoption, Amendment, Consent, End, Frame, Proven, Question, Rows, Series, Statement
from tests.ledger.consent.cases import HOLDER, MESH, NOTICE, NOW, OTHER, POINT, RECIPIENT, TERMS

__all__ = ("DAY", "HOLDER", "NOTICE", "NOW", "OTHER", "POINT", "RECIPIENT", "TERMS")

LATER = NOW + 20 * DAY
"""When the audit is made."""
STALE = 600
FRAME = Frame(MESH, LATER, (RECIPIENT,), ((HOLDER, "grid"), (RECIPIENT, "city"), (OTHER, "mallory")), STALE, 1_096)
GRANT = b"g" * 32
WINDOW = (TERMS.data_period[0][0], TERMS.data_period[1][1])
SERIES = Series(POINT, ("electricity", "consumption", "load_curve"), "PT30M")
WHOLE = Question(NOW - 100 * DAY, LATER + 1)


def ident(name: str, size: int = 32) -> bytes:
    """Return an id made from a name."""
    return hashlib.sha256(name.encode()).digest()[:size]


def consent(**changes: Any) -> Consent:
    """Return a consent that stands, with changes."""
    made = Consent(
        GRANT, ident("record", 16), HOLDER, RECIPIENT, NOW - 3_600, NOW + 100 * DAY, "granted", NOTICE, terms=TERMS
    )
    return replace(made, **changes)


def account(name: str = "one", role: Any = "recipient", at: int = NOW, **changes: Any) -> Account:
    """Return our own account of a transfer that the consent allows."""
    series = (SERIES,) if role == "recipient" else ()
    made = Account(
        role,
        ident(name, 16),
        GRANT,
        HOLDER,
        RECIPIENT,
        at,
        at + 10,
        960,
        3,
        WINDOW,
        ident(f"{role} {name}"),
        held=role == "recipient",
        series=series,
    )
    return replace(made, **changes)


def statement(name: str = "one", role: Any = "holder", at: int = NOW + DAY, **changes: Any) -> Statement:
    """Return what the ledger says of a transfer."""
    signer: Party = HOLDER if role == "holder" else RECIPIENT
    grant = GRANT if role == "holder" else None
    made = Statement(
        role, ident(name, 16), grant, ident(f"{role} {name}"), ident(f"entry {role} {name}"), signer, at, NOW - 300
    )
    return replace(made, **changes)


def end(kind: Any = "withdrawn", at: int = NOW + DAY, **changes: Any) -> End:
    """Return the end of a consent that was registered within the hour it claims, and that both parties know of."""
    made = End(
        ident(f"{kind} {at}"),
        kind,
        (ident("wallet"), 0),
        at - at % 3_600,
        at,
        ((HOLDER, at + 5), (RECIPIENT, at + 7)),
    )
    return replace(made, **changes)


def amendment(at: int = NOW + DAY, until: int | None = None, **terms: Any) -> Amendment:
    """Return what narrows the consent to these terms from a minute after it is dated."""
    return Amendment(ident(f"amendment {at}"), at, at + 60, until, replace(TERMS, **terms))


def ended(*ends: End, **changes: Any) -> Consent:
    """Return the consent after it was ended, by both acknowledged."""
    state = "withdrawn" if any(one.kind == "withdrawn" for one in ends) else "revoked"
    return consent(state=state, ends=ends, acknowledged=(HOLDER, RECIPIENT), **changes)


def proven(name: str = "one", **changes: Any) -> Proven:
    """Return the fault that a probe proves."""
    made = Proven(ident("probe"), "WITHDRAWN", HOLDER, HOLDER, OTHER, GRANT, ident(name, 16), NOW)
    return replace(made, **changes)


def adoption(**changes: Any) -> Adoption:
    """Return another version of the notice's document."""
    made = Adoption(b"d" * 16, (ident("heads"),), ident("text"), NOW + DAY, ident("adopt"))
    return replace(made, **changes)


def report(question: Question = WHOLE, frame: Frame = FRAME, **rows: Any) -> Report:
    """Audit rows; one consent unless told."""
    rows.setdefault("consents", (consent(),))
    return audit(Rows(frame, **rows), question)


def only(found: Report) -> Access:
    """Return the one transfer of a report, whatever is said of it."""
    (access,) = (*found.without_consent, *found.undecided, *found.consented)
    return access


def said(**rows: Any) -> tuple[str, str]:
    """Return what is said of the one transfer: verdict and code."""
    access = only(report(**rows))
    return access.verdict.value, access.code
