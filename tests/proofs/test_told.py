"""What a report says is no more than what the bundle shows: whose key it was, by whose word, in which letters."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.disclosure import Disclosures, slot_digest
from ledger.consent.record import SLOTS
from ledger.errors import RemoteError
from ledger.governance.rules import Rules
from ledger.keys import did_key
from proofs import reading
from proofs.make import Chosen, Extras, make_conduct
from proofs.policy import MemberQuorum
from proofs.presentation import present
from proofs.reasons import Reason
from proofs.report import Level, Outcome
from proofs.trust import Card
from proofs.values import in_a_line
from tests.proofs import findings as scenes
from tests.proofs.both import verify
from tests.proofs.forge import Forge
from tests.proofs.mesh import Mesh
from tests.proofs.negatives_rests import told
from tests.proofs.rests import Chains, line, passed_on
from tests.proofs.test_flows import Case
from tests.proofs.test_selections import views


def passed_on_by(key: str, *, transcribed: bool = False) -> tuple[Chains, bytes]:
    """Let one who consented in Mia's place, by a delegation or from a paper, pass the data on with the same key."""
    mesh = Chains()
    (given,) = line(mesh, ("mia", "noa"))
    rests: dict[str, Any] = {"transcribed": True, "evidence": [bytes(32)]} if transcribed else {"delegation": given.id}
    parent = mesh.consent(key, **({} if key == "mia" else rests))
    child = mesh.consent(key, passed_on(), holder=mesh.b, recipient=mesh.c, parent=parent.entry.id)
    data, trust, now = told(mesh, child)
    report = verify(data, trust, now)
    assert report.reason is Reason.ACTIVE, report.as_text()
    return mesh, data


@pytest.mark.parametrize(
    ("key", "transcribed", "level", "above"),
    [("mia", False, "S", "S"), ("noa", False, "D", "D"), ("noa", True, "D", "E")],
)
def test_what_goes_on_by_anothers_key_is_not_the_persons_own(
    key: str, transcribed: bool, level: str, above: str
) -> None:
    mesh, data = passed_on_by(key, transcribed=transcribed)
    report = verify(data, mesh.trust(), mesh.now)
    assert report.level is Level(level), report.as_text()
    assert report.claims["parents"][0]["level"] == above
    shown = verify(present(data, mesh.key(key), "cnil.example", b"", mesh.now), mesh.trust(), mesh.now)
    assert shown.claims["presented"]["by"].startswith("the person" if level == "S" else "who signed")


def test_without_a_nonce_a_presentation_is_for_any_occasion() -> None:
    mesh = Mesh()
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    data = present(mesh.prove(grant), mesh.a.device, "cnil.example", b"nonce", mesh.now)
    for nonce, is_told in ((None, True), (b"nonce", False)):
        report = verify(data, mesh.trust(audience="cnil.example", nonce=nonce), mesh.now)
        row = next(check for check in report.checks if check.id == "presentation")
        assert ("another occasion" in row.evidence) is is_told
        assert report.reason is Reason.ACTIVE


# By whose word


def test_what_only_another_says_of_a_member_is_not_its_own_signature() -> None:
    mesh = Mesh()
    mesh.seal(mesh.a, mesh.b)
    silent = scenes.result(mesh, mesh.b, {"outcome": "served"})
    served = scenes.answered(mesh, mesh.b, scenes.IMPOSSIBLE.grant(), challenge=scenes.IMPOSSIBLE)
    report = verify(scenes.conduct(mesh, mesh.b, [silent, served]), mesh.trust(), mesh.now)
    assert report.reason is Reason.SHOWN, report.as_text()
    rows = {check.evidence: check.what for check in report.checks if check.id.startswith("finding.")}
    (alone,) = (what for evidence, what in rows.items() if "alone" in evidence)
    (own,) = (what for evidence, what in rows.items() if "alone" not in evidence)
    assert "somebody else" in alone
    assert did_key(silent.signer) in next(evidence for evidence in rows if "alone" in evidence)
    assert own.startswith("what the member's own signatures show")
    assert sorted(each["signed_by_member"] for each in report.claims["findings"]) == [False, True]


@pytest.mark.parametrize("member", ["a", "b", "c"])
def test_a_transfer_between_others_tells_nothing_of_a_member(member: str) -> None:
    case = Case()
    mesh = case.mesh
    mesh.withdraw(case.grant, mesh.c)
    ended = mesh.tick(mesh.a, mesh.b, mesh.c)
    mesh.now += 20
    moved = mesh.move(case.grant, ended.frontier)
    mesh.now += 10
    mesh.tick(mesh.a, mesh.b, mesh.c)
    finding = scenes.result(mesh, getattr(mesh, member), {"outcome": "silent"})
    chosen = [Chosen(case.grant.entry.id, case.grant.disclosures)]
    with mesh.store.read() as rows:
        ticks = views(mesh, rows, [case.first.boundary, ended.boundary])
        about, extras = (getattr(mesh, member).root.kid, 1), Extras(transfers=[moved])
        data = make_conduct(rows, mesh.replica, ticks, about, [finding.id], chosen, extras)
    report = verify(data, mesh.trust(), mesh.now)
    assert report.reason is Reason.SHOWN, report.as_text()
    row = next(check for check in report.checks if check.id == "consent.1.transfer.1")
    assert row.what == ("finding about others, not about this member: REVOKED" if member == "c" else "finding: REVOKED")


@pytest.mark.parametrize(("invited", "sealed"), [(True, False), (False, False), (True, True)])
def test_invited_witnesses_are_told_to_be_perhaps_one_with_their_inviter(invited: bool, sealed: bool) -> None:
    mesh = Mesh()
    grant = mesh.grant()
    if sealed:
        mesh.seal(mesh.a, mesh.b)  # Cime votes
        mesh.now += 5
    mesh.tick(mesh.b, mesh.c if invited else mesh.a)
    report = verify(mesh.prove(grant, witnesses=2), mesh.trust(policy=MemberQuorum(2)), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()
    lines = [line_ for line_ in report.as_json()["not_shown"] if "by invitation" in line_]
    assert len(lines) == (invited and not sealed)
    assert all(line_ in report.as_text() and "that 1 who attested" in line_ for line_ in lines)


@pytest.mark.parametrize("forbidden", [(), ("Marketing",)])
def test_a_purpose_that_is_not_disclosed_is_not_held_against_those_that_are_forbidden(
    forbidden: tuple[str, ...],
) -> None:
    mesh = Mesh(forbidden_purposes=forbidden)
    grant = mesh.grant()
    mesh.tick(mesh.a, mesh.b)
    for how, is_open in (({"erased": True}, False), ({"fields": ["purpose", "pii_type"]}, False), ({}, True)):
        report = verify(mesh.prove(grant, **how), mesh.trust(), mesh.now)
        row = next(check for check in report.checks if check.id == "rules")
        assert (row.status is Outcome.PASSED) is (is_open or not forbidden), report.as_text()
        assert row.reason is None


def test_a_chain_that_ends_early_is_told_to_show_nothing_of_later_epochs() -> None:
    mesh = Mesh(42)
    grant = mesh.grant()
    first = mesh.seal(mesh.a, mesh.b)
    mesh.resolve(Rules(forbidden_purposes=("dpv:ServiceProvision",)), mesh.a, mesh.b)
    newest = mesh.seal(mesh.a, mesh.b, mesh.c)
    mesh.now += 5
    mesh.tick(mesh.a, mesh.b)
    made = reading.decode(mesh.prove(grant))
    assert verify(made.encode(), mesh.trust(), mesh.now).reason is Reason.AGAINST_POLICY
    shorter = replace(made, epochs=made.epochs[:1], attachments=()).encode()
    report = verify(shorter, mesh.trust(), mesh.now)
    assert report.reason is Reason.ACTIVE, report.as_text()
    assert any("later epoch" in words and "changed the rules" in words for words in report.as_json()["not_shown"])
    assert verify(shorter, mesh.trust(epoch=newest), mesh.now).reason is Reason.EPOCH_NOT_PINNED
    assert verify(made.encode(), mesh.trust(epoch=first), mesh.now).reason is Reason.AGAINST_POLICY


# In which letters

STEERING = "\x1b[2J\r\nTOTAL-PASSED ACTIVE \u202e\u2028\x9b"


def test_no_text_of_a_bundle_steers_a_terminal() -> None:
    forge = Forge()
    fields = dict(forge.disclosures.fields)
    salt, rights = fields["rights"]
    fields["rights"] = (salt, {**rights, STEERING: [STEERING]})  # names that a shape does not know may pass
    fields["purpose"] = (fields["purpose"][0], STEERING)  # what is out of shape is printed nevertheless
    forge.disclosures = Disclosures(fields)
    slots = bytearray(forge.grant.payload["slots"])
    for name, (opens, value) in fields.items():
        slots[32 * SLOTS[name] : 32 * SLOTS[name] + 32] = slot_digest(opens, value, name)
    forge.grant = forge.mesh.grant(slots=bytes(slots)).entry
    forge.leaves[0] = forge.carried[0] = forge.grant.raw
    forge.consent[1], forge.consent[3] = forge.grant.thing[1], [forge.grant.id]
    report = forge.verify()
    assert report.reason is Reason.MALFORMED, report.as_text()
    assert "content" in report.message
    text = report.as_text()
    assert not [letter for letter in text if letter != "\n" and not letter.isprintable()]
    assert not [row for row in text.splitlines() if row.startswith("TOTAL-PASSED")]
    assert report.claims["disclosed"]["purpose"] == STEERING, "JSON holds what was signed"
    assert in_a_line("\u00a0é ☀") == "\u00a0é ☀"


@pytest.mark.parametrize("name", ["", "x" * 201, "loop\x1b[8m", "loop\n", "loop\u202e"])
def test_a_card_of_a_mesh_with_no_plain_name_is_refused(name: str) -> None:
    text = json.loads(Card("loop", bytes(32), bytes(32), 0, 0, "").encode())
    assert Card.decode(json.dumps(text)).mesh == "loop"
    with pytest.raises(RemoteError, match="no name"):
        Card.decode(json.dumps({**text, "mesh": name}))
