"""Cosignatures, presentations, attachments: what they add, and that none of them slips in unchecked."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from ledger.checkpoint import Head, sign_head
from ledger.errors import LocalError
from proofs import reading
from proofs.bundle import Attachment, Bundle, Cosigned
from proofs.make import Chosen, Extras, make_period
from proofs.policy import MemberQuorum
from proofs.presentation import present
from proofs.reasons import Reason
from proofs.report import Level, Outcome, Report
from tests.proofs.both import verify
from tests.proofs.mesh import START, Grant, Mesh, Party
from tests.proofs.test_flows import Case
from tests.proofs.test_selections import views


def signed_by(mesh: Mesh, party: Party, head: Head, time: int) -> Cosigned:
    """Return a party's cosignature of a head."""
    device = party.device
    return Cosigned(device.kid, time, sign_head(device, mesh.replica.mesh_id, head, time, device.kid))


def test_cosignatures_bound_a_receipt_from_above() -> None:
    """What the witnesses of the tick knew no sooner than the withdrawal, cosigners had known before."""
    for parties, reason in ((0, Reason.CONCURRENT_WITHDRAWAL), (1, Reason.WITHDRAWN_LATER)):
        case = Case()
        mesh = case.mesh
        moved, known = case.move(), mesh.now + 5
        mesh.now += 10
        second = mesh.tick(mesh.a, mesh.b)
        held = second.heads[mesh.a.device.kid]
        target = Head(mesh.a.device.kid, held.size, held.root)
        mesh.withdraw(case.grant, mesh.c, seen=mesh.a)  # it has seen Aube's head of this very second
        cosigned = [signed_by(mesh, party, target, known) for party in [mesh.b][:parties]]

        def cosignatures(head: Head, target: Head = target, cosigned: list[Cosigned] = cosigned) -> list[Cosigned]:
            return cosigned if head == target else []

        bundle = case.prove(moved, between=[second.boundary], cosignatures=cosignatures)
        report = case.verify(bundle, policy=MemberQuorum(1))
        assert report.reason is reason, report.as_text()


def with_cosignature(made: Bundle, cosigned: Cosigned) -> Bundle:
    """Return the bundle with one cosignature on its first checkpoint."""
    first, *rest = made.checkpoints
    return replace(made, checkpoints=(replace(first, cosigned=(cosigned,)), *rest))


def test_a_cosignature_that_is_none_is_refused() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    made = reading.decode(mesh.prove(grant))
    head = made.checkpoints[0].head
    owner, other = (mesh.a, mesh.b) if head.feed == mesh.a.device.kid else (mesh.b, mesh.a)

    def signed(party: Party, time: int) -> Cosigned:
        return Cosigned(
            party.device.kid, time, sign_head(party.device, mesh.replica.mesh_id, head, time, party.device.kid)
        )

    good = signed(other, mesh.now)
    assert verify(with_cosignature(made, good).encode(), mesh.trust(), mesh.now).exit_code == 0
    for bad in (
        replace(good, time=good.time - 1),
        signed(owner, mesh.now),
        signed(Party("Ombre", mesh.random), mesh.now),
    ):
        report = verify(with_cosignature(made, bad).encode(), mesh.trust(), mesh.now)
        assert report.reason is Reason.BAD_SIGNATURE, report.as_text()


# Presentations


def presented() -> tuple[Mesh, Grant, bytes]:
    """Return a mesh and a bundle that Aube presents to a regulator."""
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    return mesh, grant, present(mesh.prove(grant), mesh.a.device, "cnil.example", b"nonce", mesh.now)


def row_of(report: Report) -> Outcome | None:
    """Return what became of the row about the presentation."""
    return next((check.status for check in report.checks if check.id == "presentation"), None)


def test_a_presentation_is_for_one_audience_and_one_nonce() -> None:
    mesh, grant, bundle = presented()
    for audience, nonce, reason in (
        (None, None, Reason.ACTIVE),
        ("cnil.example", None, Reason.ACTIVE),
        ("cnil.example", b"nonce", Reason.ACTIVE),
        ("cnil.example", b"other", Reason.WRONG_AUDIENCE),
        ("court.example", None, Reason.WRONG_AUDIENCE),
    ):
        report = verify(bundle, mesh.trust(audience=audience, nonce=nonce), mesh.now)
        assert report.reason is reason, report.as_text()
        assert report.claims["presented"]["by"] == f"member {mesh.a.root.kid.hex()}"
    report = verify(mesh.prove(grant), mesh.trust(audience="cnil.example"), mesh.now)
    assert report.reason is Reason.NOT_PRESENTED
    assert row_of(verify(mesh.prove(grant), mesh.trust(), mesh.now)) is None


def test_a_presentation_covers_the_whole_bundle() -> None:
    mesh, _, bundle = presented()
    made = reading.decode(bundle)
    assert made.presentation is not None
    ((grant, listed),) = made.disclosures
    narrower = replace(made, disclosures=((grant, listed[:-1]),))
    later = replace(made, presentation=replace(made.presentation, time=mesh.now + 1))
    for changed in (narrower, later):
        assert verify(changed.encode(), mesh.trust(), mesh.now).reason is Reason.BAD_SIGNATURE
    again = present(narrower.encode(), mesh.c.root, "court.example", b"", mesh.now)
    report = verify(again, mesh.trust(audience="court.example"), mesh.now)
    assert report.exit_code == 0
    assert report.claims["presented"]["by"].startswith("an unknown key, did:key:")
    with pytest.raises(LocalError, match="audience"):
        present(bundle, mesh.a.device, "", b"", mesh.now)


# Attachments


def test_attachments_are_withheld_or_included_and_named() -> None:
    notice = "Ce que nous faisons de vos données.".encode()
    digest = sha256(notice).digest()
    mesh = Mesh()
    grant = mesh.grant(notice={"sha256": digest, "dated": mesh.now})
    mesh.tick(mesh.a, mesh.b)
    for content in (None, notice):
        bundle = mesh.prove(grant, attachments=[Attachment(digest, "text/markdown", content)])
        report = verify(bundle, mesh.trust(), mesh.now)
        assert report.reason is Reason.ACTIVE, report.as_text()
        status = Outcome.PASSED if content else Outcome.NOT_LOOKED
        assert next(check.status for check in report.checks if check.id == "attachment.1") is status
    other = mesh.prove(grant, attachments=[Attachment(digest, "text/markdown", notice + b".")])
    assert verify(other, mesh.trust(), mesh.now).reason is Reason.DISCLOSURE_MISMATCH
    with pytest.raises(LocalError, match="NOT_NAMED"):
        mesh.prove(grant, attachments=[Attachment(bytes(32), "text/markdown", None)])
    stray = replace(reading.decode(mesh.prove(grant)), attachments=(Attachment(bytes(32), "text/markdown", None),))
    assert verify(stray.encode(), mesh.trust(), mesh.now).reason is Reason.UNREFERENCED_ITEM


def test_each_consent_of_a_period_has_its_documents() -> None:
    texts = [b"the first notice", b"the second notice", b"%PDF- a scanned mandate"]
    digests = [sha256(text).digest() for text in texts]
    mesh = Mesh()
    grants = [mesh.grant(notice={"sha256": digest, "dated": mesh.now}, evidence=digests[2:]) for digest in digests[:2]]
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 60
    moved = [mesh.move(grant, first.frontier) for grant in grants]
    mesh.now += 10
    mesh.tick(mesh.a, mesh.b)
    attached = [Attachment(digest, "text/markdown", text) for digest, text in zip(digests, texts, strict=True)]
    chosen = [Chosen(grant.entry.id, grant.disclosures) for grant in grants]
    with mesh.store.read() as rows:
        extras = Extras(transfers=moved, attachments=attached)
        bundle = make_period(mesh.replica, views(mesh, rows, [first.boundary]), chosen, (START, mesh.now), extras)
    report = verify(bundle, mesh.trust(), mesh.now)
    assert report.reason is Reason.SHOWN, report.as_text()
    rows_of = {check.id: check.status for check in report.checks}
    assert all(rows_of[f"attachment.{number}"] is Outcome.PASSED for number in (1, 2, 3))


def test_the_rules_in_force_decide_where_they_are_carried() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.seal(mesh.a, mesh.b)
    mesh.tick(mesh.a, mesh.b)
    rules = mesh.genesis.rules.encode()
    attached = Attachment(sha256(rules).digest(), "application/vnd.maille.rules+cbor", rules)
    report = verify(mesh.prove(grant, attachments=[attached]), mesh.trust(policy=MemberQuorum(2)), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()


# Assurance levels


@pytest.mark.parametrize("carried", [True, False])
def test_a_transcribed_paper_is_evidence_only(carried: bool) -> None:
    scan = b"%PDF- a signed mandate"
    digest = sha256(scan).digest()
    mesh = Mesh()
    grant = mesh.grant(transcribed=True, evidence=[digest])
    mesh.tick(mesh.a, mesh.b)
    attached = [Attachment(digest, "application/pdf", scan if carried else None)]
    report = verify(mesh.prove(grant, attachments=attached), mesh.trust(), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()
    assert report.level is Level.EVIDENCE
    row = next(check for check in report.checks if check.id == "grant")
    assert row.what.startswith("a signed paper was transcribed")
    assert f"{digest.hex()} ({'carried' if carried else 'not carried'})" in row.evidence
    assert "that the person signed the paper from which a consent was transcribed" in report.as_json()["not_shown"]
    assert "Assurance level: E" in report.as_text()
