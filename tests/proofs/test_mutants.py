"""Each check of the verifier is held by a negative: a verifier that says yes there turns the suite red.

At night every mutant is made, by day each eighth. A mutant that no negative notices fails the test, unless `SPARE` says
why its check can be met by nothing else than what another check refuses.
"""

from __future__ import annotations

import os
from functools import cache

import pytest

from proofs.verify import verify
from tests.proofs.mutants import Site, mutant, sites
from tests.proofs.negatives import Made, Negative
from tests.proofs.test_negatives import CATALOGUE

NIGHTLY = os.environ.get("MAILLE_PROFILE") == "nightly"
SITES = list(sites())
CHOSEN = SITES if NIGHTLY else SITES[::8]
PASSED_AT_LEAST = 80
"""Mutants, of all, under which some negative not only gets another code but passes."""

_ELSEWHERE = "what it refuses is refused again by a later check, with the same code"
_NO_BUNDLE = "open: no bundle with seal.evidence, a probe's result, or a class of recipients is made in these tests"
SPARE = {
    ("reading", "if len(value) != 13:"): _ELSEWHERE,
    ("reading", "if selection is None:"): _ELSEWHERE,
    ("evidence", "if not (finding or flow or entry.kind in ENDINGS or entry.kind in _SERVING):"): _ELSEWHERE,
    (
        "epochs",
        "if len(devices) != len(step.voters):",
    ): "the digest of the voters is certified: only a quorum could lie",
    ("transfers", "if len(recipient) != 2:"): _NO_BUNDLE,
    ("conduct", "if place is None or (listed[place].kid, listed[place].incarnation) != party:"): _NO_BUNDLE,
    ("conduct", "if entry.thing[1] != party[0]:"): _NO_BUNDLE,
    ("conduct", "if evidence.keyed(signed.device).party != party:"): _NO_BUNDLE,
    ("conduct", "if step is None:"): _NO_BUNDLE,
    ("conduct", 'if error.code not in ("NOT_SERVED", "NO_FAULT"):'): _NO_BUNDLE,
    ("presentation", "if not 0 < len(audience) <= TEXT_MAX or len(nonce) > NONCE_BYTES_MAX:"): "it stops the presenter",
    ("consents", """note.failed("content", CONTENT, Reason.MALFORMED, f"out of shape: {', '.join(wrong)}")"""): (
        "held by test_forgery.test_a_signed_value_out_of_shape_is_refused"
    ),
    ("consents", 'self.note.failed("status", STATUS, Reason.REVOKED, words, ended.by)'): (
        "open: it needs a withdrawal that others cosigned long before the newest tick"
    ),
    ("flows", 'return Reason.REVOKED, f"{bracket}, {said}", ended.by'): (
        "open: it needs a withdrawal that others cosigned long before the tick that the receipt names"
    ),
}
"""Checks whose mutant no negative notices, and why."""


@cache
def cases() -> list[tuple[Negative, Made]]:
    """Return the catalogue, made once."""
    return [(case, case.make()) for case in CATALOGUE]


def outcome(site: Site) -> str:
    """Return "passes" where a negative passes the mutant, "noticed" where one gets another code or breaks it, or ""."""
    judged, found = mutant(site), ""
    for case, made in cases():
        try:
            report = judged(*made)
        except Exception:  # a verifier that raises has turned the suite red
            found = "noticed"
            continue
        if report.exit_code == 0:
            return "passes"
        if report.reason is not case.reason:
            found = "noticed"
    return found


@pytest.mark.parametrize(("site", "line"), CHOSEN, ids=lambda each: each if isinstance(each, str) else each[0])
def test_a_mutant_is_noticed(site: Site, line: str) -> None:
    if (site[0], line) in SPARE:
        pytest.skip(SPARE[site[0], line])
    assert outcome(site), f"no negative notices that proofs/{site[0]}.py, line {site[1]}, always says yes: {line}"


def test_the_verifier_itself_is_no_mutant() -> None:
    assert all(verify(*made).reason is case.reason for case, made in cases())
    assert len(SITES) > 100
    spare = {(module, line) for (module, _, _), line in SITES}
    assert set(SPARE) <= spare, "what is spared is there"


@pytest.mark.skipif(not NIGHTLY, reason="all mutants are made at night")
def test_most_mutants_let_a_negative_pass() -> None:
    assert sum(outcome(site) == "passes" for site, _ in SITES) >= PASSED_AT_LEAST
