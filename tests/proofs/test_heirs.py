"""Seals by successors: a voter that lost its device goes on with one that its root key certified; a bundle shows it."""

from __future__ import annotations

import pytest

import ledger.governance.register
import proofs.steps
from ledger.entry import Entry
from ledger.replica import Replica
from proofs import reading
from proofs.policy import MemberQuorum
from proofs.reasons import Reason
from tests.proofs.both import verify
from tests.proofs.mesh import Mesh
from tests.proofs.negatives_members import departed, inherited


@pytest.mark.parametrize("times", [1, 2, 8])
def test_a_seal_signed_by_a_successor_is_shown(times: int) -> None:
    mesh, grant = inherited(times)
    bundle = mesh.prove(grant, witnesses=3)
    made = reading.decode(bundle)
    assert [len(step.heirs) for step in made.epochs] == [0, 1]
    assert sum(b"predecessor" in item.raw for item in made.entries) == times
    report = verify(bundle, mesh.trust(policy=MemberQuorum(3)), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()


def test_a_line_of_successors_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ledger.governance.register, proofs.steps):  # a mesh of whoever takes longer lines
        monkeypatch.setattr(module, "HEIRS_MAX", 9)
    mesh, grant = inherited(9)
    report = verify(mesh.prove(grant, witnesses=3), mesh.trust(policy=MemberQuorum(3)), mesh.now)
    assert report.reason is Reason.BAD_EPOCH, report.as_text()


def test_a_pinned_epoch_spares_the_successors_before_it() -> None:
    mesh, grant = inherited()
    pinned = mesh.replica.chain.newest.reference
    bundle = mesh.prove(grant, epoch=pinned, witnesses=3)
    assert not any(b"predecessor" in item.raw for item in reading.decode(bundle).entries)
    report = verify(bundle, mesh.trust(policy=MemberQuorum(3), epoch=pinned), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()


def test_a_certificate_of_a_successor_that_did_not_sign_serves_nothing() -> None:
    mesh, grant = inherited()
    made = reading.decode(mesh.prove(grant, witnesses=3))
    kinds = [Entry.parse(item.raw).kind for item in made.entries]
    assert kinds.count("device.certify") == 1


def test_a_voter_may_leave_by_the_word_of_its_successor() -> None:
    mesh, grant, _ = departed()
    bundle = mesh.prove(grant)
    assert any(b"member.leave" in item.raw for item in reading.decode(bundle).entries)
    report = verify(bundle, mesh.trust(), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()


def test_a_seal_rests_on_a_successor_whose_certificate_is_early_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mesh = Mesh(31)
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    with monkeypatch.context() as lax:  # Aube's node lets pass what others hold to have no effect
        lax.setattr(Replica, "closure_iat", lambda *_: 0)
        mesh.now -= 1
        mesh.succeed(mesh.b, mesh.a)
        mesh.now += 1
    mesh.seal(mesh.a, mesh.b, mesh.c)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.c)
    bundle = mesh.prove(grant)
    assert [len(step.heirs) for step in reading.decode(bundle).epochs] == [0, 1]
    report = verify(bundle, mesh.trust(), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()
