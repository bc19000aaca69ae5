"""What a member knew: its acknowledgements of the ends of consents go with a bundle about its conduct."""

from __future__ import annotations

import pytest

from proofs.reasons import Reason
from proofs.report import Check, Outcome, Report
from tests.proofs.both import verify
from tests.proofs.negatives_members import Accused


def row(report: Report, name: str) -> Check:
    """Return a row of a report."""
    return next(check for check in report.checks if check.id == name)


@pytest.mark.covers("R47", "R77")
def test_a_probe_after_an_acknowledged_withdrawal_is_a_proven_fault() -> None:
    case = Accused()
    report = verify(case.bundle(), case.mesh.trust(), case.mesh.now)
    assert report.reason is Reason.SHOWN, report.as_text()
    (finding,) = report.claims["findings"]
    assert finding["words"].startswith("WITHDRAWN: It served data after it had signed that it knew")
    told = row(report, "consent.1.acknowledged")
    assert told.status is Outcome.PASSED
    assert told.time == case.acknowledged.iat
    claims = report.claims["consents"][0]["acknowledged"]
    assert claims["entry"] == case.acknowledged.id.hex()
    assert claims["not_before"] <= claims["time"] <= claims["not_after"]
    assert row(report, "consent.1.content").status is Outcome.NOT_LOOKED, "no finding rests on the content"


def test_without_its_acknowledgement_no_fault_is_shown() -> None:
    case = Accused(acknowledges=False)
    report = verify(case.bundle(), case.mesh.trust(), case.mesh.now)
    assert report.reason is Reason.SHOWN, report.as_text()
    assert "no fault is shown" in report.claims["findings"][0]["words"]
    assert row(report, "consent.1.acknowledged").status is Outcome.NOT_LOOKED


def test_what_was_acknowledged_after_the_checkpoint_proves_no_fault() -> None:
    case = Accused(late=True)
    report = verify(case.bundle(), case.mesh.trust(), case.mesh.now)
    assert "no fault is shown" in report.claims["findings"][0]["words"], report.as_text()
    assert row(report, "consent.1.acknowledged").status is Outcome.PASSED


def test_since_when_a_sender_knew_is_told_beside_its_transfers() -> None:
    case = Accused(probed=False)
    bundle = case.bundle(transfers=True)
    report = verify(bundle, case.mesh.trust(), case.mesh.now)
    assert report.reason is Reason.SHOWN, report.as_text()
    assert row(report, "consent.1.transfer.1").what == "finding: REVOKED"
    assert row(report, "consent.1.acknowledged").time == case.acknowledged.iat
    claims = report.claims["consents"][0]["acknowledged"]
    assert claims["time"] <= claims["not_after"] <= case.mesh.now


def test_a_revocation_that_was_only_registered_convicts_nobody() -> None:
    """A node may be brought to register a stranger's word without knowing whose it is (ledger/consent/fault.py)."""
    case = Accused(acknowledges=False, revoked=True)
    report = verify(case.bundle(), case.mesh.trust(), case.mesh.now)
    assert "no fault is shown" in report.claims["findings"][0]["words"], report.as_text()
