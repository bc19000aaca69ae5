"""The other two selections: a member's conduct, and a period; and time stamps by an authority of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ledger import fork, merkle
from ledger.checkpoint import Head, sign_head
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.feed import SignedHead
from ledger.ticks import Ticker
from proofs import reading
from proofs.bundle import Selection
from proofs.make import Chosen, Extras, Moved, make_conduct, make_period
from proofs.past import View, view_at
from proofs.reasons import Reason
from proofs.report import not_shown
from tests.proofs.both import verify
from tests.proofs.mesh import START, Grant, Mesh, Party, ticker_boundary
from tests.proofs.test_flows import Case


def views(mesh: Mesh, rows: Any, boundaries: Sequence[int]) -> list[View]:
    """Return the ticks at these boundaries, and the newest."""
    ticker = Ticker(mesh.replica)
    ticker.load(rows)
    return [view_at(rows, mesh.replica, at) for at in (*boundaries, ticker_boundary(ticker))]


def period(mesh: Mesh, grants: Sequence[Grant], moved: Sequence[Moved], boundaries: Sequence[int] = ()) -> bytes:
    """Make the bundle of a period."""
    chosen = [Chosen(grant.entry.id, grant.disclosures) for grant in grants]
    with mesh.store.read() as rows:
        ticks = views(mesh, rows, boundaries)
        return make_period(mesh.replica, ticks, chosen, (START, mesh.now), Extras(transfers=moved))


def two_consents() -> tuple[Mesh, bytes]:
    """Two consents, one of them withdrawn in time, and a transfer under each."""
    mesh = Mesh()
    one, other = mesh.grant(), mesh.grant()
    first = mesh.tick(mesh.a, mesh.b)
    mesh.now += 60
    moved = [mesh.move(one, first.frontier), mesh.move(other, first.frontier)]
    mesh.now += 10
    second = mesh.tick(mesh.a, mesh.b)
    mesh.now += 30
    mesh.grant()
    mesh.withdraw(other, mesh.c, seen=mesh.a)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return mesh, period(mesh, [one, other], moved, [first.boundary, second.boundary])


@pytest.mark.covers("R77", "R100")
def test_a_period_shows_each_consent_and_each_transfer() -> None:
    mesh, bundle = two_consents()
    report = verify(bundle, mesh.trust(), mesh.now)
    assert report.reason is Reason.SHOWN, report.as_text()
    assert report.level is None
    assert [told["level"] for told in report.claims["consents"]] == ["S", "S"]
    assert sorted(told["status"]["state"] for told in report.claims["consents"]) == ["GRANTED", "WITHDRAWN"]
    assert all(told["transfers"][0]["covered"] for told in report.claims["consents"])
    assert report.as_json()["not_shown"][:-1] == not_shown("period")
    assert {check.id for check in report.checks} >= {"consent.1.transfer.1", "consent.2.transfer.1.ack"}


def test_a_period_with_a_transfer_after_the_end_fails() -> None:
    case = Case()
    mesh = case.mesh
    mesh.withdraw(case.grant, mesh.c)
    ended = mesh.tick(mesh.a, mesh.b)
    mesh.now += 20
    moved = mesh.move(case.grant, ended.frontier)
    mesh.now += 10
    mesh.tick(mesh.a, mesh.b)
    boundaries = [case.first.boundary, ended.boundary]
    bundle = period(mesh, [case.grant], [moved], boundaries)
    report = verify(bundle, mesh.trust(), mesh.now)
    assert report.reason is Reason.REVOKED, report.as_text()
    chosen = [Chosen(case.grant.entry.id, case.grant.disclosures)]
    with mesh.store.read() as rows:
        party, extras = (mesh.a.root.kid, 1), Extras(transfers=[moved])
        conduct = make_conduct(rows, mesh.replica, views(mesh, rows, boundaries), party, [], chosen, extras)
    report = verify(conduct, mesh.trust(), mesh.now)
    assert report.reason is Reason.SHOWN, report.as_text()  # the same is a finding there
    row = next(check for check in report.checks if check.id == "consent.1.transfer.1")
    assert row.what == "finding: REVOKED"
    assert report.claims["consents"][0]["transfers"][0]["covered"] is False


def forked(mesh: Mesh, party: Party) -> Entry:
    """Let Aube prove that a party's feed showed two faces."""
    feed, size = party.device.kid, 2
    with mesh.store.read() as rows:
        leaves = [merkle.leaf_hash(mesh.replica.leaf(rows, feed, at).entry_id) for at in range(size)]
    faces = []
    for last in (leaves[-1], bytes(32)):
        branch = [*leaves[:-1], last]
        head = Head(feed, size, merkle.root_of(branch))
        signature = sign_head(party.device, mesh.replica.mesh_id, head, mesh.now, feed)
        faces.append((SignedHead(size, head.root, mesh.now, signature), branch))
    (one, first), (two, second) = faces
    payload = fork.prove_branches(party.device.public, one, first, two, second)
    entry = mesh.govern(mesh.a.device, "fork.proof", ("feed", feed), payload)
    mesh.log(mesh.a, entry)
    mesh.sign(mesh.a)
    return entry


def conduct_of(mesh: Mesh, party: Party, finding: Entry) -> bytes:
    """Make the bundle of one finding, without any tick."""
    with mesh.store.read() as rows:
        return make_conduct(rows, mesh.replica, [], (party.root.kid, 1), [finding.id], [], Extras())


def test_a_fork_convicts_without_any_tick() -> None:
    mesh = Mesh()
    finding = forked(mesh, mesh.b)
    bundle = conduct_of(mesh, mesh.b, finding)
    made = reading.decode(bundle)
    assert made.selection is Selection.CONDUCT
    assert not made.ticks
    report = verify(bundle, mesh.trust(), mesh.now)
    assert report.reason is Reason.SHOWN, report.as_text()
    assert "two faces" in report.claims["findings"][0]["words"]
    accused = replace(made, about=(mesh.a.root.kid, 1))
    report = verify(accused.encode(), mesh.trust(), mesh.now)
    assert report.reason is Reason.BAD_STATE_PROOF, report.as_text()
    with mesh.store.read() as rows, pytest.raises(LocalError, match="no finding"):
        make_conduct(rows, mesh.replica, [], (mesh.b.root.kid, 1), [mesh.genesis.mesh_id], [], Extras())


def test_findings_travel_in_no_other_selection() -> None:
    mesh = Mesh()
    made = reading.decode(conduct_of(mesh, mesh.b, forked(mesh, mesh.b)))
    other = replace(made, selection=Selection.PERIOD, about=(0, 1))
    assert verify(other.encode(), mesh.trust(), mesh.now).reason is Reason.MALFORMED


@pytest.mark.parametrize("about", [None, (bytes(32), 1), (5, 4)])
def test_what_a_bundle_is_about_fits_its_selection(about: Any) -> None:
    mesh, bundle = two_consents()
    made = replace(reading.decode(bundle), about=about)
    assert verify(made.encode(), mesh.trust(), mesh.now).reason is Reason.MALFORMED
