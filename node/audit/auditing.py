"""The audit: rows and a question in, one report out; a pure function that no order of the rows changes.

How it works
    `audit` chooses the consents that the question is about, matches every transfer (`matching`), and adds the duties
    that are open (`duties`) and the register (`register`). Every transfer that the question is about stands in exactly
    one of `without_consent`, `undecided` and `consented`; those it cannot be asked of are counted as left out.

What it does not do
    It reads no store and no clock. What no audit from one node can show is listed in every report (`NOT_SHOWN`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ledger.errors import LocalError
from node.audit import duties
from node.audit.findings import VERSION, Access, Counts, Report, Verdict, moment
from node.audit.matching import Names, Tell, match, only
from node.audit.register import register
from node.audit.rows import Question, Rows

NOT_SHOWN: Final = ("OFF_LEDGER", "OTHERS_HIDDEN", "DELETION_ELSEWHERE", "FREELY_GIVEN", "CONSENT_DATES", "OWN_WORD")
"""What is said at the end of each report; `words` has the sentences."""


def audit(rows: Rows, question: Question, tell: Tell = lambda _done, _total: None) -> Report:
    """Return what is to be said. Raises LocalError BAD_PERIOD for a period that is empty."""
    if question.since >= question.until:
        raise LocalError("BAD_PERIOD", "a period begins before it ends", field="period")
    by_id = {one.id: replace(one, ends=tuple(sorted(one.ends, key=lambda end: end.entry))) for one in rows.consents}
    found: dict[Verdict, list[Access]] = {verdict: [] for verdict in Verdict}
    left_out = 0
    for access in match(rows, question, by_id, tell):
        if access is None:
            left_out += 1
        else:
            found[access.verdict].append(access)
    consents = only(rows, question)
    moved = [access for accesses in found.values() for access in accesses]
    readable = consents if not question.sealed else tuple(one for one in consents if one.terms is not None)
    counts = Counts(
        len(moved),
        len(found[Verdict.WITHOUT]),
        len(found[Verdict.UNDECIDED]),
        len(found[Verdict.CLEAR]),
        len(found[Verdict.CONSENTED]),
        len(readable),
        sum(one.terms is None for one in consents),
        left_out,
    )
    return Report(
        VERSION,
        rows.frame.mesh.hex(),
        moment(rows.frame.now),
        moment(question.since),
        moment(question.until),
        _asked(rows, question),
        counts,
        _in_order(found[Verdict.WITHOUT]),
        tuple(duties.overdue(rows, readable)),
        tuple(duties.old_notices(rows, readable, question.until)),
        tuple(duties.unacknowledged(rows, readable, question.until)),
        _in_order(found[Verdict.UNDECIDED]),
        _in_order(found[Verdict.CONSENTED] + found[Verdict.CLEAR]),
        tuple(register(rows, question, readable, moved)),
        NOT_SHOWN,
    )


def _in_order(found: list[Access]) -> tuple[Access, ...]:
    """Sort findings by time; the transfer's id decides between equals."""
    return tuple(sorted(found, key=lambda one: (one.ended, one.transfer)))


def _asked(rows: Rows, question: Question) -> tuple[tuple[str, str], ...]:
    who = Names(rows.frame).who(question.party) if question.party is not None else None
    named = "" if who is None else who.name or who.id
    asked = (("point", question.point), ("party", named), ("purpose", question.purpose), ("subject", question.subject))
    return tuple((name, value) for name, value in asked if value)
