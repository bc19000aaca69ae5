"""RFC 3161 time stamps by an authority of our own: they bound an entry from above, for an auditor who trusts it."""

from __future__ import annotations

from hashlib import sha256

import pytest

from ledger.errors import LocalError, RemoteError
from node.stamping import judge_of
from proofs import reading
from proofs.reasons import Reason
from proofs.report import Outcome
from proofs.stamps import stampable, with_stamps
from tests.proofs.authority import Authority
from tests.proofs.mesh import START
from tests.proofs.test_flows import Case

pytest.importorskip("rfc3161_client", reason="needs the extra `timestamp`: pip install 'maille[timestamp]'")


def test_a_judge_takes_what_its_authority_stamped_and_nothing_else() -> None:
    authority, other = Authority("here", START), Authority("elsewhere", START)
    judge, digest = judge_of(authority.pem()), sha256(b"what").digest()
    assert judge(authority.stamp(digest, START + 5), digest) == START + 5
    for token, covered in (
        (authority.stamp(digest, START), sha256(b"else").digest()),
        (other.stamp(digest, START), digest),
        (authority.stamp(digest, START)[:-1], digest),
        (authority.stamp(digest, START, algorithm="2.16.840.1.101.3.4.2.6"), digest),
        (b"\x30\x00", digest),
        (b"", digest),
    ):
        with pytest.raises(RemoteError, match="BAD_STAMP"):
            judge(token, covered)
    with pytest.raises(LocalError, match="PEM"):
        judge_of(b"no certificate")


def test_a_time_stamp_shows_that_a_receipt_was_there_before_the_withdrawal() -> None:
    authority = Authority("here", START)
    judge = judge_of(authority.pem())
    case = Case()
    mesh = case.mesh
    moved = case.move()
    known = mesh.now + 5
    mesh.now += 30
    mesh.grant()
    mesh.withdraw(case.grant, mesh.c, seen=mesh.a)
    bundle = case.prove(moved)
    assert case.verify(bundle).reason is Reason.CONCURRENT_WITHDRAWAL
    entries = reading.decode(bundle).entries
    receipt = next(at for at, item in enumerate(entries) if item.id == moved.receipt)
    what, number, digest = next(each for each in stampable(bundle) if each[:2] == (2, receipt))
    stamped = with_stamps(bundle, [(what, number, authority.stamp(digest, known))])
    report = case.verify(stamped, stamps=judge)
    assert report.reason is Reason.WITHDRAWN_LATER, report.as_text()
    unjudged = case.verify(stamped)
    assert unjudged.reason is Reason.CONCURRENT_WITHDRAWAL
    row = next(check for check in unjudged.checks if check.id.startswith("stamp."))
    assert row.status is Outcome.NOT_LOOKED
    wrong = with_stamps(bundle, [(what, number, authority.stamp(sha256(b"").digest(), known))])
    assert case.verify(wrong, stamps=judge).reason is Reason.BAD_SIGNATURE
    foreign = case.verify(stamped, stamps=judge_of(Authority("elsewhere", START).pem()))
    assert foreign.exit_code == 1


def test_every_tick_and_entry_can_be_stamped() -> None:
    authority = Authority("here", START)
    case = Case()
    bundle = case.prove(case.move())
    stamped = with_stamps(bundle, [(w, n, authority.stamp(d, START + 100)) for w, n, d in stampable(bundle)][:32])
    report = case.verify(stamped, stamps=judge_of(authority.pem()))
    assert report.reason is Reason.ACTIVE, report.as_text()
    assert {check.status for check in report.checks if check.id.startswith("stamp.")} == {Outcome.PASSED}
    with pytest.raises(RemoteError, match="not there"):
        with_stamps(bundle, [(2, 999, b"token")])
