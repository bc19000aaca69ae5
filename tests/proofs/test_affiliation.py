"""Affiliated members are one witness where any members are enough, as far as the bundle shows who is affiliated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.governance.rules import Rules
from proofs import reading
from proofs.bundle import RULES_TYPE
from proofs.policy import MemberQuorum
from proofs.reasons import Reason
from tests.proofs.both import verify
from tests.proofs.mesh import Mesh
from tests.proofs.negatives_members import affiliated, allied


def test_affiliates_of_the_genesis_count_once() -> None:
    mesh, grant = affiliated()
    report = verify(mesh.prove(grant, witnesses=2), mesh.trust(policy=MemberQuorum(1)), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()
    bundle = mesh.prove(grant, witnesses=3)
    report = verify(bundle, mesh.trust(policy=MemberQuorum(2)), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()
    row = next(check for check in report.checks if check.id == "witnesses.1")
    assert "3 member(s), 1 of them affiliated to another" in row.evidence
    assert len(report.claims["ticks"][0]["witnesses"]) == 3, "all that attested are told"
    report = verify(bundle, mesh.trust(policy=MemberQuorum(3)), mesh.now)
    assert report.reason is Reason.INSUFFICIENT_WITNESSES, report.as_text()


def test_the_maker_takes_witnesses_that_are_not_affiliated_first() -> None:
    mesh, grant = affiliated()
    report = verify(mesh.prove(grant), mesh.trust(), mesh.now)  # two, of three who attested
    assert report.reason is Reason.ACTIVE, report.as_text()


def test_rules_that_were_voted_since_go_with_the_bundle() -> None:
    mesh, grant = allied()
    made = reading.decode(mesh.prove(grant, witnesses=2))
    assert [each.media_type for each in made.attachments] == [RULES_TYPE]
    report = verify(made.encode(), mesh.trust(), mesh.now)
    assert report.reason is Reason.ACTIVE, "Aube and Cime are not affiliated"
    assert report.as_json()["not_shown"][-1] == "affiliations of witnesses that the rules of epoch 2 do not declare"
    report = verify(mesh.prove(grant, witnesses=3), mesh.trust(policy=MemberQuorum(3)), mesh.now)
    assert report.reason is Reason.INSUFFICIENT_WITNESSES, report.as_text()


@pytest.mark.parametrize("kept", [None, "withheld"])
def test_affiliations_that_are_not_carried_are_told_not_to_be_shown(kept: str | None) -> None:
    mesh, grant = allied()
    made = reading.decode(mesh.prove(grant, witnesses=3))
    listed = () if kept is None else tuple(replace(each, content=None) for each in made.attachments)
    report = verify(replace(made, attachments=listed).encode(), mesh.trust(policy=MemberQuorum(3)), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()
    told = report.as_json()["not_shown"][-1]
    assert told.startswith("affiliations of witnesses that the genesis does not declare")
    assert "epoch 2" in told
    assert told in report.as_text()


def test_what_a_ballot_dissolved_binds_no_more() -> None:
    mesh, grant = affiliated(dissolved=True)
    report = verify(mesh.prove(grant, witnesses=3), mesh.trust(policy=MemberQuorum(3)), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()


def test_without_epochs_the_genesis_alone_is_known() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    told = verify(mesh.prove(grant), mesh.trust(), mesh.now).as_json()["not_shown"]
    assert told[-1] == "affiliations of witnesses that the genesis does not declare: rules since may do so"
    assert Rules() == mesh.replica.genesis.rules
