"""The verdict table of ledger.md §7 on a small mesh."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from ledger.checkpoint import origin, vkey
from ledger.errors import LocalError
from ledger.keys import SigningKey
from ledger.schema import DAY
from proofs import reading
from proofs.policy import LogPolicy, MemberQuorum, parse_policy
from proofs.report import Indication, Level, Outcome, Reason, Report
from proofs.verify import Trust
from tests.proofs.both import verify
from tests.proofs.mesh import MAX_AGE, START, Mesh, Party


def status_of(report: Report, name: str) -> Outcome:
    """Return the outcome of one row."""
    return next(check.status for check in report.checks if check.id == name)


def check_verdict(report: Report, indication: Indication, reason: Reason) -> None:
    """Hold a report to a verdict, its reason and the exit code that goes with it."""
    assert (report.indication, report.reason) == (indication, reason), report.as_text()
    assert report.exit_code == {"TOTAL-PASSED": 0, "TOTAL-FAILED": 1, "INDETERMINATE": 3}[indication.value]


def passed(report: Report) -> None:
    """Hold a report to a plain pass."""
    check_verdict(report, Indication.PASSED, Reason.ACTIVE)


@cache
def granted() -> tuple[Mesh, bytes]:
    """A consent granted and attested by both founders, and its bundle."""
    mesh = Mesh()
    grant = mesh.grant()
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return mesh, mesh.prove(grant)


def ended_after(*, gap: int = 30, revoked: bool = False) -> tuple[Mesh, bytes, int]:
    """A consent that ends `gap` seconds after the first tick; returns the bundle with both ticks, and the first."""
    mesh = Mesh()
    grant = mesh.grant()
    mesh.now += 5
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.now += gap
    if revoked:
        mesh.revoke(grant, mesh.b)
    else:
        mesh.withdraw(grant, mesh.c, seen=mesh.a)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    return mesh, mesh.prove(grant, first=first), first


# Passing.


@pytest.mark.covers("R20", "R100")
def test_a_consent_that_stands_passes() -> None:
    mesh, bundle = granted()
    report = verify(bundle, mesh.trust(), mesh.now)
    passed(report)
    assert report.level is Level.SELF
    assert report.claims["disclosed"]["purpose"] == "Advice on shifting consumption"
    assert report.claims["status"] == {"state": "GRANTED", "as_of": START + 5}
    assert len(report.claims["ticks"][0]["witnesses"]) == 2
    assert {check.status for check in report.checks if check.id not in ("transfers", "epoch")} == {Outcome.PASSED}


@pytest.mark.covers("R100")
def test_chosen_fields_alone_are_shown() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    report = verify(mesh.prove(grant, fields=["pii_type", "purpose"]), mesh.trust(), mesh.now)
    passed(report)
    assert set(report.claims["disclosed"]) == {"purpose", "pii_type"}
    assert "points" in report.claims["withheld"]
    assert status_of(report, "content.points") is Outcome.NOT_LOOKED


def test_an_admitted_member_is_a_witness_by_its_admission() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.b, mesh.c)
    bundle = mesh.prove(grant)
    passed(verify(bundle, mesh.trust(), mesh.now))


def test_a_witness_may_have_been_let_in_by_one_who_was_let_in() -> None:
    mesh = Mesh()
    newcomer = Party("Dune", mesh.random)
    mesh.invite(mesh.c, newcomer)
    mesh.sign(mesh.c)
    grant = mesh.grant()
    mesh.tick(mesh.b, newcomer)
    bundle = mesh.prove(grant)
    passed(verify(bundle, mesh.trust(), mesh.now))
    assert sum(b"member.admit" in item.raw for item in reading.decode(bundle).entries) == 2


def test_without_its_admission_nobody_is_a_witness() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.b, mesh.c)
    bundle = reading.decode(mesh.prove(grant))
    kinds = [b"member.admit", b"member.apply"]
    kept = [at for at, item in enumerate(bundle.entries) if not any(kind in item.raw for kind in kinds)]
    assert len(bundle.entries) - len(kept) == 2
    shorn = replace(bundle, entries=tuple(bundle.entries[at] for at in kept))
    report = verify(shorn.encode(), mesh.trust(), mesh.now)
    check_verdict(report, Indication.INDETERMINATE, Reason.INSUFFICIENT_WITNESSES)


def test_a_proof_far_in_the_past_passes_once_the_consent_ran_to_its_end() -> None:
    mesh = Mesh()
    grant = mesh.grant(days=1)
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.now = START + 2 * DAY
    mesh.sign(mesh.a, mesh.b)
    mesh.tick(mesh.a, mesh.b)
    bundle = mesh.prove(grant, first=first)
    passed(verify(bundle, mesh.trust(at=first), mesh.now + 1_000 * DAY))
    late = verify(bundle, mesh.trust(at=mesh.now), mesh.now)
    check_verdict(late, Indication.FAILED, Reason.EXPIRED)
    assert "2027-01-16T00:00:00Z" in late.message  # both times are told
    assert "2027-01-17T08:00:01Z" in late.message


# Ends.


@pytest.mark.parametrize("revoked", [False, True])
def test_an_end_after_the_time_asked_for_is_later(revoked: bool) -> None:
    mesh, bundle, first = ended_after(revoked=revoked)
    report = verify(bundle, mesh.trust(at=first), mesh.now)
    check_verdict(report, Indication.PASSED, Reason.WITHDRAWN_LATER)
    assert report.claims["ended"]["state"] == ("REVOKED" if revoked else "WITHDRAWN")
    assert first < report.claims["ended"]["not_before"] <= report.claims["ended"]["not_after"] <= mesh.now


@pytest.mark.parametrize("revoked", [False, True])
def test_an_end_before_the_time_asked_for_refutes(revoked: bool) -> None:
    mesh, bundle, _ = ended_after(revoked=revoked)
    check_verdict(verify(bundle, mesh.trust(), mesh.now), Indication.FAILED, Reason.REVOKED)


def test_an_end_that_one_tick_knows_already_refutes() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.withdraw(grant, mesh.b)
    mesh.tick(mesh.a, mesh.b)
    report = verify(mesh.prove(grant), mesh.trust(), mesh.now)
    check_verdict(report, Indication.FAILED, Reason.REVOKED)
    assert status_of(report, "content") is Outcome.PASSED


def test_an_end_beside_the_time_asked_for_leaves_a_doubt() -> None:
    mesh, bundle, first = ended_after()
    report = verify(bundle, mesh.trust(at=first + 10), mesh.now)
    check_verdict(report, Indication.INDETERMINATE, Reason.CONCURRENT_WITHDRAWAL)


def test_an_end_that_saw_only_an_old_head_leaves_a_doubt() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    first = mesh.tick(mesh.b, mesh.c).boundary
    mesh.now += 30
    mesh.withdraw(grant, mesh.c, seen=mesh.a)  # Aube's head is older than the tick
    mesh.tick(mesh.b, mesh.c)
    report = verify(mesh.prove(grant, first=first), mesh.trust(at=first), mesh.now)
    check_verdict(report, Indication.INDETERMINATE, Reason.CONCURRENT_WITHDRAWAL)


def test_revoked_and_then_withdrawn_is_no_step_back() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.revoke(grant, mesh.b)
    first = mesh.tick(mesh.a, mesh.b).boundary
    mesh.now += 5
    mesh.withdraw(grant, mesh.c)
    mesh.tick(mesh.a, mesh.b)
    report = verify(mesh.prove(grant, first=first), mesh.trust(), mesh.now)
    check_verdict(report, Indication.FAILED, Reason.REVOKED)


# Doubts.


def test_too_few_witnesses() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a)
    report = verify(mesh.prove(grant, witnesses=1), mesh.trust(), mesh.now)
    check_verdict(report, Indication.INDETERMINATE, Reason.INSUFFICIENT_WITNESSES)
    assert status_of(report, "active") is Outcome.NOT_LOOKED
    assert "status" not in report.claims


def test_a_newest_tick_that_is_too_old() -> None:
    mesh, bundle = granted()
    later = START + 5 + MAX_AGE
    passed(verify(bundle, mesh.trust(), later))
    stale = verify(bundle, mesh.trust(), later + 1)
    check_verdict(stale, Indication.INDETERMINATE, Reason.TRY_LATER)
    asked = verify(bundle, mesh.trust(at=START + 6), later + 1)  # the rest stands
    check_verdict(asked, Indication.INDETERMINATE, Reason.TRY_LATER)
    assert status_of(asked, "active") is Outcome.PASSED


def test_a_time_that_no_tick_covers() -> None:
    mesh, bundle = granted()
    before = verify(bundle, mesh.trust(at=START), mesh.now)
    check_verdict(before, Indication.INDETERMINATE, Reason.NO_POE)
    after = verify(bundle, mesh.trust(at=START + 20, max_age=10), START + 20)
    check_verdict(after, Indication.INDETERMINATE, Reason.OUT_OF_BOUNDS)


def test_erased_disclosures_leave_signature_and_status() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    report = verify(mesh.prove(grant, erased=True), mesh.trust(), mesh.now)
    check_verdict(report, Indication.INDETERMINATE, Reason.CONTENT_ERASED)
    assert status_of(report, "content") is Outcome.ERASED
    assert status_of(report, "grant") is status_of(report, "active") is status_of(report, "status") is Outcome.PASSED


def test_a_withheld_purpose_is_named() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    report = verify(mesh.prove(grant, fields=["points", "pii_type"]), mesh.trust(), mesh.now)
    check_verdict(report, Indication.INDETERMINATE, Reason.CONTENT_WITHHELD)
    assert "purpose" in report.message


def test_a_time_ahead_of_the_clock() -> None:
    mesh, bundle = granted()
    report = verify(bundle, mesh.trust(), START - 1_000)
    check_verdict(report, Indication.INDETERMINATE, Reason.TIME_IN_FUTURE)


def test_a_tenant_is_not_shown_to_be_one() -> None:
    mesh = Mesh()
    tenant = SigningKey.from_seed(bytes(32))
    grant = mesh.grant(recipient=[tenant.kid, 0])
    mesh.tick(mesh.a, mesh.b)
    report = verify(mesh.prove(grant), mesh.trust(), mesh.now)
    check_verdict(report, Indication.INDETERMINATE, Reason.MEMBERSHIP_NOT_SHOWN)


def test_a_grant_that_rests_on_another_entry() -> None:
    mesh = Mesh()
    grant = mesh.grant(delegation=bytes(32))
    mesh.tick(mesh.a, mesh.b)
    report = verify(mesh.prove(grant), mesh.trust(), mesh.now)
    check_verdict(report, Indication.INDETERMINATE, Reason.NOT_CARRIED)
    assert report.level is Level.DELEGATED


# Refutations.


def test_another_mesh() -> None:
    mesh, bundle = granted()
    report = verify(bundle, replace(mesh.trust(), genesis=bytes(32)), mesh.now)
    check_verdict(report, Indication.FAILED, Reason.WRONG_MESH)
    assert mesh.genesis.mesh_id.hex() in report.message
    assert not report.claims


def test_an_incomplete_grant_was_not_active() -> None:
    mesh = Mesh()
    grant = mesh.grant(required_parties=[mesh.c.root.public])
    mesh.tick(mesh.a, mesh.b)
    check_verdict(verify(mesh.prove(grant), mesh.trust(), mesh.now), Indication.FAILED, Reason.NOT_ACTIVE)


@pytest.mark.parametrize(
    ("access", "reason"), [((START + DAY, None), Reason.NOT_ACTIVE), ((START - DAY, START - 5), Reason.EXPIRED)]
)
def test_the_period_of_access_counts_where_it_is_disclosed(access: tuple[int, int | None], reason: Reason) -> None:
    mesh = Mesh()
    grant = mesh.grant(access=access)
    mesh.tick(mesh.a, mesh.b)
    check_verdict(verify(mesh.prove(grant), mesh.trust(), mesh.now), Indication.FAILED, reason)


def test_a_party_that_left_was_no_member() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.log(mesh.b, mesh.govern(mesh.b.device, "member.leave", ("member", mesh.b.root.kid), {}))
    mesh.sign(mesh.b)
    mesh.tick(mesh.a, mesh.c)
    check_verdict(verify(mesh.prove(grant), mesh.trust(), mesh.now), Indication.FAILED, Reason.NOT_MEMBER)


@pytest.mark.parametrize(
    ("policy", "extra"),
    [
        ({"forbidden_purposes": ("advice on  shifting consumption",)}, {}),
        ({"consent_days_max": 10}, {}),
        ({}, {"notice": {"sha256": bytes(32), "dated": START + 60}}),
    ],
)
def test_the_founding_policy_rules(policy: dict[str, Any], extra: dict[str, Any]) -> None:
    mesh = Mesh(**policy)
    grant = mesh.grant(**extra)
    mesh.tick(mesh.a, mesh.b)
    check_verdict(verify(mesh.prove(grant), mesh.trust(), mesh.now), Indication.FAILED, Reason.AGAINST_POLICY)


# Policies.


def written(mesh: Mesh, witnesses: dict[str, Party], tail: str, logs: tuple[Party, ...] = ()) -> LogPolicy:
    """Return a policy over devices of the mesh."""

    def key(party: Party) -> str:
        return vkey(origin(mesh.genesis.mesh_id, party.device.kid), party.device.public)

    lines = [f"log {key(party)}" for party in logs]
    lines += [f"witness {name} {key(party)}" for name, party in witnesses.items()]
    return parse_policy("\n".join([*lines, tail, ""]))


def test_a_written_policy() -> None:
    mesh, bundle = granted()
    both = {"A": mesh.a, "B": mesh.b, "C": mesh.c}
    accepted = written(mesh, both, "group two 2 A B C\nquorum two", logs=(mesh.a,))
    report = verify(bundle, mesh.trust(policy=accepted), mesh.now)
    passed(report)
    assert accepted.sha256.hex()[:16] in report.trust["policy"]
    for policy, reason in (
        (written(mesh, both, "quorum C"), Reason.INSUFFICIENT_WITNESSES),
        (written(mesh, both, "group three all A B C\nquorum three"), Reason.INSUFFICIENT_WITNESSES),
        (written(mesh, both, "quorum A", logs=(mesh.b,)), Reason.INSUFFICIENT_WITNESSES),
        (written(mesh, {}, "quorum none"), Reason.NO_POE),
        (written(Mesh(seed=2), {"A": Mesh(seed=2).a}, "quorum A"), Reason.INSUFFICIENT_WITNESSES),
    ):
        check_verdict(verify(bundle, mesh.trust(policy=policy), mesh.now), Indication.INDETERMINATE, reason)


def test_two_devices_of_one_member_are_one_witness() -> None:
    mesh, bundle = granted()
    check_verdict(
        verify(bundle, mesh.trust(policy=MemberQuorum(3)), mesh.now),
        Indication.INDETERMINATE,
        Reason.INSUFFICIENT_WITNESSES,
    )


def test_trust_that_cannot_be() -> None:
    for genesis, at, max_age in ((b"short", None, 0), (bytes(32), -1, 0), (bytes(32), None, -1)):
        with pytest.raises(LocalError, match="pin a genesis"):
            Trust(genesis, MemberQuorum(1), at, max_age)
    with pytest.raises(LocalError, match="1 to 256 members"):
        MemberQuorum(0)
