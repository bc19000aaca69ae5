"""Open duties: each is found when it is there, and not when it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.grant import Notice
from tests.node.audit import cases
from tests.node.audit.cases import DAY, HOLDER, LATER, NOTICE, NOW, RECIPIENT, TERMS

SHORT = replace(TERMS, retention="P10D")
DOCUMENT = replace(NOTICE, document=b"d" * 16, heads=(b"1" * 32,))


def overdue(*accounts: Any, **consent: Any) -> list[tuple[str, int]]:
    """Return codes and days of what is overdue under a consent that expired 15 days before the audit."""
    changes = {"valid_until": LATER - 15 * DAY, "terms": SHORT} | consent
    found = cases.report(consents=(cases.consent(**changes),), accounts=accounts or (cases.account(),))
    return [(one.code, one.days) for one in found.overdue]


@pytest.mark.covers("R144", "system:CNIL + 2012/2015 texts + compliance pack")
def test_data_past_their_retention_are_overdue() -> None:
    assert overdue() == [("RETENTION_PASSED", 5)]
    assert overdue(valid_until=LATER - 10 * DAY) == [("RETENTION_PASSED", 0)]
    assert overdue(valid_until=LATER - 10 * DAY + 1) == []
    assert overdue(terms=TERMS) == []
    assert overdue(cases.account(held=False)) == []
    assert overdue(cases.account(records=0)) == []
    assert overdue(cases.account(role="holder")) == []


def test_a_withdrawal_begins_the_retention() -> None:
    gone = {"valid_until": LATER + DAY, "state": "withdrawn", "ends": (cases.end(at=LATER - 11 * DAY),)}
    assert overdue(**gone) == [("RETENTION_PASSED", 1)]
    assert overdue(**gone | {"ends": (cases.end(at=LATER - 9 * DAY),)}) == []


def test_an_amendment_brings_the_end_forward_and_shortens_the_retention() -> None:
    stands: dict[str, Any] = {"valid_until": LATER + DAY}
    assert overdue(**stands) == []
    assert overdue(**stands, amendments=(cases.amendment(until=LATER - 15 * DAY),)) == [("RETENTION_PASSED", 5)]
    over = cases.amendment(access_period=(0, LATER - 15 * DAY), retention="P3D")
    assert overdue(**stands, amendments=(over,)) == [("RETENTION_PASSED", 12)]


def test_without_terms_no_retention_is_known() -> None:
    assert overdue(terms=None) == [("RETENTION_UNKNOWN", 15)]
    assert overdue(terms=None, valid_until=LATER + DAY) == []


def test_what_is_overdue_is_counted() -> None:
    accounts = (cases.account(), cases.account("two", at=NOW - 200 * DAY))
    found = cases.report(
        consents=(cases.consent(valid_until=LATER - 15 * DAY, terms=SHORT),),
        accounts=accounts,
    )
    (one,) = found.overdue
    assert (one.transfers, one.records) == (2, 1_920), "data from before the period are still here"
    assert found.counts.transfers == 1


def notices(notice: Notice, *versions: Any, **consent: Any) -> list[str]:
    """Return what is found of the notice of one consent."""
    found = cases.report(consents=(cases.consent(notice=notice, **consent),), adoptions=versions)
    return [one.code for one in found.notices]


def test_a_notice_that_stands_is_not_listed() -> None:
    assert notices(NOTICE) == []
    same = cases.adoption(heads=DOCUMENT.heads)
    assert notices(DOCUMENT, same) == []
    assert notices(DOCUMENT, cases.adoption(text=DOCUMENT.sha256)) == []
    assert notices(DOCUMENT, cases.adoption(document=b"e" * 16)) == []
    assert notices(DOCUMENT, cases.adoption(dated=NOW - 3_600)) == [], "it was there before the consent"
    assert notices(DOCUMENT, cases.adoption(dated=LATER + 1)) == []


def test_notices_that_carry_no_consent_are_listed() -> None:
    assert notices(DOCUMENT, cases.adoption()) == ["NOTICE_SUPERSEDED"]
    assert notices(replace(NOTICE, dated=NOW)) == ["NOTICE_AFTER_GRANT"]
    bound = LATER - 1_096 * DAY
    assert notices(replace(NOTICE, dated=bound)) == ["NOTICE_TOO_OLD"]
    assert notices(replace(NOTICE, dated=bound + 1)) == []


@pytest.mark.parametrize(
    "ended", [{"valid_until": LATER}, {"state": ""}, {"state": "withdrawn", "ends": (cases.end(),)}]
)
def test_of_a_consent_that_is_over_no_notice_is_listed(ended: dict[str, Any]) -> None:
    assert notices(DOCUMENT, cases.adoption(), **ended) == []


def open_ends(*ends: Any, acknowledged: tuple[Any, ...] = (), **asked: Any) -> list[tuple[str, str, int]]:
    """Return the ends of one consent that are not acknowledged."""
    consent = replace(cases.ended(*ends), acknowledged=acknowledged)
    found = cases.report(replace(cases.WHOLE, **asked), consents=(consent,))
    return [(one.kind, one.party.name, one.waiting) for one in found.unacknowledged]


def test_unacknowledged_withdrawals_are_listed_with_how_long() -> None:
    waiting = LATER - NOW - DAY
    both = [("withdrawn", "city", waiting), ("withdrawn", "grid", waiting)]
    assert sorted(open_ends(cases.end())) == both
    assert open_ends(cases.end(), acknowledged=(HOLDER,)) == both[:1]
    assert open_ends(cases.end(), acknowledged=(HOLDER, RECIPIENT)) == []
    assert open_ends(cases.end(), until=NOW + DAY) == []
    assert len(open_ends(cases.end(), until=NOW + DAY + 1)) == 2


def test_whoever_revokes_need_not_acknowledge() -> None:
    assert [party for _, party, _ in open_ends(cases.end("revoked", signer=HOLDER))] == ["city"]


def test_a_withdrawal_decides_before_a_revocation() -> None:
    found = open_ends(cases.end("revoked", NOW), cases.end("withdrawn", NOW + DAY))
    assert {kind for kind, _, _ in found} == {"withdrawn"}
