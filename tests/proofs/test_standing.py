"""What a consent's value says beside its state, and who else may end it: required parties."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.entry import Entry
from ledger.keys import SigningKey
from proofs.reasons import Reason
from tests.proofs.forge import Forge


def with_grant(**fields: Any) -> Forge:
    """Return a forge whose grant says more."""
    forge = Forge()
    grant = forge.mesh.grant(**fields)
    forge.grant, forge.disclosures, forge.withdraw_key = grant.entry, grant.disclosures, grant.withdraw
    forge.leaves[0] = forge.carried[0] = grant.entry.raw
    forge.consent = [1, forge.grant.thing[1], forge.grant.payload["valid_until"], [forge.grant.id], []]
    return forge


def ended(forge: Forge, state: int, raw: bytes) -> Forge:
    """Let an entry end the consent."""
    forge.carry(raw)
    forge.consent[0], forge.consent[3] = state, [Entry.parse(raw).id]
    return forge


@pytest.mark.parametrize(
    "more",
    [
        {"signed": [bytes(32)]},
        {"key": bytes(32), "host": [bytes(32), 1]},
        {"checked": [[bytes(32), bytes(32), 1, 1]]},
    ],
)
def test_what_narrows_nothing_stands_in_nobodys_way(more: dict[str, Any]) -> None:
    forge = Forge()
    forge.consent.append(more)
    report = forge.verify()
    assert report.reason is Reason.ACTIVE, report.as_text()


def test_words_on_a_paper_are_told() -> None:
    paper = b"\x01" * 32
    forge = with_grant(transcribed=True, evidence=[paper])
    forge.consent.append({"checked": [[paper, *forge.grant.payload["holder"], 1]]})
    report = forge.verify()
    assert report.reason is Reason.ACTIVE, report.as_text()
    row = next(check for check in report.checks if check.id == "grant")
    assert f"the holder says checked_ok of {paper.hex()[:16]}" in row.evidence


def test_a_required_party_may_end_a_consent_and_a_stranger_may_not() -> None:
    party, stranger = (SigningKey.from_seed(bytes([number]) * 32) for number in (1, 2))
    for key, reason in ((party, Reason.REVOKED), (stranger, Reason.BAD_STATE_PROOF)):
        forge = with_grant(required_parties=[party.public])
        payload = {"grant": forge.grant.id, "reason_code": "contract_ended"}
        revocation = forge.entry(key, "consent.revoke", forge.grant.thing, payload)
        report = ended(forge, 4, revocation).verify()
        assert report.reason is reason, report.as_text()
