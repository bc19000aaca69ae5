"""Row f: transfers under a consent, with acknowledgements: covered or not, and each fault by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ledger.schema import DAY
from proofs import reading
from proofs.bundle import Bundle, TransferProof
from proofs.make import Moved
from proofs.reasons import Reason
from proofs.report import Outcome, Report
from tests.proofs.both import verify
from tests.proofs.mesh import START, Grant, Mesh


def row(report: Report, name: str) -> tuple[Outcome, Reason | None]:
    """Return the outcome and the reason of one row."""
    check = next(check for check in report.checks if check.id == name)
    return check.status, check.reason


class Case:
    """A consent, its tick, and a transfer that names the tick; `prove` ticks once more and makes the bundle."""

    def __init__(self, **policy: Any) -> None:
        self.mesh = Mesh(**policy)
        self.grant: Grant = self.mesh.grant()
        self.first = self.mesh.tick(self.mesh.a, self.mesh.b)
        self.mesh.now += 60

    def move(self, **other: Any) -> Moved:
        """Transfer now."""
        return self.mesh.move(self.grant, self.first.frontier, **other)

    def prove(self, *moved: Moved, gap: int = 60, **extra: Any) -> bytes:
        """Tick, and prove the consent at the first tick with these transfers."""
        self.mesh.now += gap
        self.mesh.tick(self.mesh.a, self.mesh.b)
        return self.mesh.prove(self.grant, first=self.first.boundary, transfers=moved, **extra)

    def verify(self, bundle: bytes, **trust: Any) -> Report:
        """Verify for the time of the first tick."""
        return verify(bundle, self.mesh.trust(at=self.first.boundary, **trust), self.mesh.now)


def test_a_transfer_under_an_active_consent_passes() -> None:
    case = Case()
    report = case.verify(case.prove(case.move(), case.move()))
    assert report.reason is Reason.ACTIVE, report.as_text()
    assert all(row(report, f"transfer.{n}{part}") == (Outcome.PASSED, None) for n in (1, 2) for part in ("", ".ack"))
    assert [told["covered"] for told in report.claims["transfers"]] == [True, True]
    assert report.claims["transfers"][0]["records"] == 48
    assert row(report, "transfer.1.window")[0] is Outcome.PASSED


def test_a_transfer_without_acknowledgement_leaves_a_doubt() -> None:
    case = Case()
    report = case.verify(case.prove(case.move(acked=False)))
    assert report.reason is Reason.NOT_ACKNOWLEDGED, report.as_text()
    assert row(report, "transfer.1")[0] is Outcome.PASSED


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"count": 47}, Reason.ACCOUNTS_DIFFER),
        ({"window": (START - 200 * DAY, START - 100 * DAY)}, Reason.BEYOND_CONSENT),
        ({"ended": START + 100 * DAY}, Reason.EXPIRED),
        ({"ended": START - 1}, Reason.NO_POE),
    ],
)
def test_what_an_account_gets_wrong(other: dict[str, Any], reason: Reason) -> None:
    case = Case()
    report = case.verify(case.prove(case.move(**other)))
    assert report.reason is reason, report.as_text()


def test_a_transfer_long_after_its_tick_is_out_of_bounds_and_tells_both_times() -> None:
    case = Case()
    case.mesh.now += 600
    report = case.verify(case.prove(case.move()))
    assert report.reason is Reason.OUT_OF_BOUNDS, report.as_text()
    assert "2027-01-15T08:00:00Z" in report.message
    assert "2027-01-15T08:10:51Z" in report.message


def test_a_transfer_after_the_withdrawal_is_revoked() -> None:
    case = Case()
    case.mesh.withdraw(case.grant, case.mesh.c)
    ended = case.mesh.tick(case.mesh.a, case.mesh.b)
    case.mesh.now += 20
    moved = case.mesh.move(case.grant, ended.frontier)
    report = case.verify(case.prove(moved, between=[ended.boundary]))
    assert report.reason is Reason.REVOKED, report.as_text()
    assert row(report, "active") == (Outcome.PASSED, None)


@pytest.mark.parametrize("known", [True, False])
def test_a_withdrawal_is_later_only_than_what_was_known_before(known: bool) -> None:
    case = Case()
    moved = case.move()
    between = []
    if known:
        case.mesh.now += 10
        between = [case.mesh.tick(case.mesh.a, case.mesh.b).boundary]
    case.mesh.now += 30
    case.mesh.grant()  # something new that the withdrawal has seen
    case.mesh.withdraw(case.grant, case.mesh.c, seen=case.mesh.a)
    report = case.verify(case.prove(moved, between=between))
    expected = Reason.WITHDRAWN_LATER if known else Reason.CONCURRENT_WITHDRAWAL
    assert report.reason is expected, report.as_text()


def test_withheld_accounts_are_told_apart_from_missing_ones() -> None:
    case = Case()
    moved = case.move()
    report = case.verify(case.prove(replace(moved, sent=None)))
    assert row(report, "transfer.1") == (Outcome.NOT_LOOKED, Reason.CONTENT_WITHHELD)
    assert report.exit_code == 3
    report = case.verify(case.prove(replace(moved, received=None)))
    assert report.reason is Reason.ACTIVE
    assert row(report, "transfer.1.ack")[0] is Outcome.PASSED


def test_a_receipt_below_no_tick_is_left_out() -> None:
    case = Case()
    bundle = case.prove()
    moved = case.move()
    later = case.mesh.prove(case.grant, first=case.first.boundary, transfers=[moved])
    assert reading.decode(later).transfers == ()
    assert reading.decode(bundle).transfers == ()


def opened(made: Bundle, **account: Any) -> Bundle:
    """Return the bundle with the holder's account changed."""
    (transfer,) = made.transfers
    assert transfer.receipt.account is not None
    receipt = replace(transfer.receipt, account=replace(transfer.receipt.account, **account))
    return replace(made, transfers=(replace(transfer, receipt=receipt),))


def turned(made: Bundle) -> Bundle:
    """Return the bundle with receipt and acknowledgement in each other's place."""
    (transfer,) = made.transfers
    assert transfer.ack is not None
    return replace(made, transfers=(TransferProof(transfer.ack, transfer.receipt),))


def elsewhere(made: Bundle) -> Bundle:
    """Return the bundle with the other row of the batch named."""
    (transfer,) = made.transfers
    return replace(made, transfers=(replace(transfer, receipt=replace(transfer.receipt, position=0)),))


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (lambda made: opened(made, count=49), Reason.DISCLOSURE_MISMATCH),
        (lambda made: opened(made, salt=bytes(16)), Reason.DISCLOSURE_MISMATCH),
        (turned, Reason.TRANSFER_MISMATCH),
        (elsewhere, Reason.TRANSFER_MISMATCH),
        (lambda made: replace(made, transfers=()), Reason.UNREFERENCED_ITEM),
        (lambda made: replace(made, transfers=(replace(made.transfers[0], ack=None),)), Reason.UNREFERENCED_ITEM),
    ],
)
def test_a_changed_transfer_is_refused(bend: Callable[[Bundle], Bundle], reason: Reason) -> None:
    case = Case()
    made = reading.decode(case.prove(case.move()))
    report = case.verify(bend(made).encode())
    assert report.reason is reason, report.as_text()


@pytest.mark.parametrize("name", ["holder", "recipient", "grant", "transfer", "frontier"])
def test_an_account_of_something_else_is_refused(name: str) -> None:
    case = Case()
    other: Any = {"holder": (bytes(32), 1), "recipient": (bytes(32), 1), "transfer": bytes(16)}.get(name, bytes(32))
    report = case.verify(case.prove(case.move(**{name: other})))
    assert report.reason is Reason.TRANSFER_MISMATCH, report.as_text()


def test_a_receipt_that_another_member_signed_is_refused() -> None:
    case = Case()
    mesh = case.mesh
    mesh.a, mesh.c = mesh.c, mesh.a  # Cime writes what Aube should
    moved = case.move(holder=(mesh.c.root.kid, 1))
    mesh.a, mesh.c = mesh.c, mesh.a
    report = case.verify(case.prove(moved))
    assert report.reason is Reason.TRANSFER_MISMATCH, report.as_text()
