"""What a consent's value says beside its state; who else may end it: required parties, keys it was handed to."""

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
        {"contested": bytes(32)},
        {"contested": bytes(32), "host": [bytes(32), 1]},
    ],
)
def test_what_narrows_nothing_stands_in_nobodys_way(more: dict[str, Any]) -> None:
    forge = Forge()
    forge.consent.append(more)
    report = forge.verify()
    assert report.reason is Reason.ACTIVE, report.as_text()


@pytest.mark.parametrize("paper", [False, True])
def test_that_a_consent_was_handed_on_twice_is_told(paper: bool) -> None:
    forge = with_grant(**({"transcribed": True, "evidence": [bytes(32)]} if paper else {}))
    forge.consent.append({"contested": forge.grant.kid})
    row = next(check for check in forge.verify().checks if check.id == "grant")
    assert f"key {forge.grant.kid.hex()[:16]} handed it on to different keys, so none decides on it now" in row.evidence
    plain = with_grant()
    assert all("handed it on" not in check.evidence for check in plain.verify().checks)


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
    for signer, reason in ((party, Reason.REVOKED), (stranger, Reason.BAD_STATE_PROOF)):
        forge = with_grant(required_parties=[party.public])
        payload = {"grant": forge.grant.id, "reason_code": "contract_ended"}
        revocation = forge.entry(signer, "consent.revoke", forge.grant.thing, payload)
        report = ended(forge, 4, revocation).verify()
        assert report.reason is reason, report.as_text()


# Withdrawals by other keys than the grant's


def withdrawn(forge: Forge, by: SigningKey, *via: bytes) -> Reason:
    """Withdraw by a key, with what is carried to make it hers; return the verdict's reason."""
    payload = {"grant": forge.grant.raw, "via": list(via)}
    raw = forge.entry(by, "consent.withdraw", forge.grant.thing, payload)
    return ended(forge, 3, raw).verify().reason


def person(forge: Forge) -> SigningKey:
    """Return the key that signed the forge's grant: the first that its mesh drew for it."""
    key = forge.mesh.subject
    assert key.kid == forge.grant.kid
    return key


def handed(forge: Forge, by: SigningKey, to: SigningKey, *, grant: bytes | None = None) -> bytes:
    """Hand the consent on to another key."""
    payload = {"grant": grant or forge.grant.id, "key": to.public, "withdraw_key": to.public}
    return forge.entry(by, "consent.rekey", forge.grant.thing, payload)


def given(forge: Forge, by: SigningKey, to: SigningKey, *, parent: bytes | None = None) -> bytes:
    """Delegate to a key."""
    payload = {
        "delegate": to.public,
        "withdraw_key": by.public,
        "role": "delegate",
        "valid_until": forge.grant.payload["valid_until"],
        "depth": 2,
        "slots": bytes(256),
        **({} if parent is None else {"parent": parent}),
    }
    return forge.entry(by, "delegation.give", ("delegation", bytes(16)), payload)


def key(number: int) -> SigningKey:
    """Return a key of somebody else."""
    return SigningKey.from_seed(bytes([number]) * 32)


def test_whom_a_consent_was_handed_to_may_withdraw_it() -> None:
    forge = Forge()
    first = handed(forge, person(forge), key(1))
    assert withdrawn(forge, key(1), first) is Reason.REVOKED
    forge = Forge()
    first, second = handed(forge, person(forge), key(1)), handed(forge, key(1), key(2))
    assert withdrawn(forge, key(2), first, second) is Reason.REVOKED


@pytest.mark.parametrize("by", [1, 2, 3])
def test_of_a_consent_that_was_handed_on_twice_each_branch_withdraws_and_a_stranger_does_not(by: int) -> None:
    forge = Forge()
    forge.consent.append({"contested": person(forge).kid})
    branches = {1: [handed(forge, person(forge), key(1))], 2: [handed(forge, person(forge), key(2))]}
    found = withdrawn(forge, key(by), *branches.get(by, branches[1]))
    assert found is (Reason.REVOKED if by in branches else Reason.BAD_SIGNATURE)


def test_who_was_handed_nothing_may_not() -> None:
    forge = Forge()
    for by, via in (
        (key(2), [handed(forge, person(forge), key(1))]),
        (key(2), [handed(forge, key(1), key(2))]),  # by one who did not have it
        (key(1), [handed(forge, person(forge), key(1), grant=bytes(32))]),
        (person(forge), [forge.certify(forge.mesh.b)]),  # what is carried must be of use
    ):
        assert withdrawn(Forge(), by, *via) is Reason.BAD_SIGNATURE


def test_who_gave_the_delegation_under_which_a_consent_stands_may_withdraw_it() -> None:
    forge = Forge()
    above = given(forge, key(1), key(2))
    below = given(forge, key(2), key(3), parent=Entry.parse(above).id)
    for by, via, reason in (
        (key(2), [below], Reason.REVOKED),
        (key(1), [below, above], Reason.REVOKED),
        (key(1), [below], Reason.BAD_SIGNATURE),
        (key(1), [above, below], Reason.BAD_SIGNATURE),
    ):
        stands = with_grant(delegation=Entry.parse(below).id)
        found = withdrawn(stands, by, *via)
        assert found is reason, (found, reason)
