"""Each check of the verifier is held by a negative: a verifier that says yes there turns the suite red.

Every mutant is made, always; by day one bundle that notices it is enough, at night it is counted how many let a
negative pass. A mutant that nothing notices fails the test, unless `SPARE` says why its check can be met by nothing
else than what another check refuses.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

import pytest

from proofs.reasons import Reason
from proofs.report import Check
from proofs.verify import verify
from tests.proofs import negatives_members as members
from tests.proofs.golden import FOLDER, SUFFIX, trusted
from tests.proofs.mutants import FOLDER as MODULES
from tests.proofs.mutants import Site, mutant, sites
from tests.proofs.negatives import Made
from tests.proofs.test_golden_bundles import VERDICTS
from tests.proofs.test_negatives import CATALOGUE, HONEST, made

NIGHTLY = os.environ.get("MAILLE_PROFILE") == "nightly"
SITES = list(sites())
PASSED_AT_LEAST = 100
"""Mutants, of all, under which some negative not only gets another code but passes."""

_ELSEWHERE = "what it refuses is refused again by a later check, with the same code"
SPARE: Final = {
    ("reading", "if len(value) != 13:"): f"{_ELSEWHERE}: the pattern that follows takes 13 alone",
    ("reading", "if selection is None:"): f"{_ELSEWHERE}: what it is about fits no selection",
    ("evidence", "if not (finding or flow or entry.kind in ENDINGS or entry.kind in _SERVING):"): (
        f"{_ELSEWHERE}: an entry that no check asks for is not used"
    ),
    ("chains", 'return Reason.NOT_CARRIED, "in whose name it was signed, an entry says that is not carried"'): (
        "the row of the missing delegation says it again, with the same code"
    ),
    ("evidence", 'if entry.thing[1] != feed or not keys.verify(device, message, entry.payload["possession"]): [1]'): (
        f"{_ELSEWHERE}: a key is looked up under its own id, and nothing proves it"
    ),
    ("conduct", "if head is None or evidence.checkpoint_of(at).head != head: [1]"): "no checkpoint has no head",
    ("conduct", 'if error.code not in ("NOT_SERVED", "NO_FAULT"):'): "of a known member `judge` raises nothing else",
    ("presentation", "if not 0 < len(audience) <= TEXT_MAX or len(nonce) > NONCE_BYTES_MAX:"): (
        "it stops a presenter, not an auditor: test_extras holds it"
    ),
}
"""Checks whose mutant no negative notices, and why."""


Case = tuple[Made, Reason]
"""A bundle with all that is brought to it, and the one code that is right."""


def accused(**how: bool) -> Made:
    """Return a bundle of what a member knew when it served or sent."""
    case = members.Accused(**how)
    return case.bundle(transfers=not how.get("probed", True)), case.mesh.trust(), case.mesh.now


@cache
def cases() -> list[Case]:
    """Return the catalogue, and bundles that nobody bent: a verifier that refuses what is sound is noticed too."""
    listed = [(made(case), case.reason) for case in CATALOGUE]
    honest = [make() for make in HONEST]
    honest += [accused(**how) for how in ({}, {"late": True}, {"probed": False}, {"acknowledges": False})]
    honest += [accused(acknowledges=False, revoked=True)]
    listed += [(each, verify(*each).reason) for each in honest]
    for name, brought in sorted(VERDICTS.items()):
        golden = ((FOLDER / f"{name}{SUFFIX}").read_bytes(), trusted(brought), brought["now"])
        listed.append((golden, Reason[brought["reason"]]))
    return listed


@cache
def rows() -> list[tuple[Check, ...]]:
    """Return the rows that the verifier gives of each case."""
    return [verify(*each).checks for each, _ in cases()]


LIKELY: Final = {
    **dict.fromkeys(("state", "frontiers", "conduct"), Reason.BAD_STATE_PROOF),
    **{"epochs": Reason.BAD_EPOCH, "transfers": Reason.TRANSFER_MISMATCH},
}
"""The code that a module refuses with, mostly: cases with that code, or one named at the site, are tried first."""


def tried(site: Site) -> list[tuple[Case, tuple[Check, ...]]]:
    """Return the cases with their rows, the likely ones first."""
    named = "\n".join((MODULES / f"{site[0]}.py").read_text().splitlines()[site[1] - 1 : site[1] + 4])
    likely = {reason for reason in Reason if f"Reason.{reason.name}" in named} or {
        LIKELY.get(site[0], Reason.MALFORMED)
    }
    return sorted(zip(cases(), rows(), strict=True), key=lambda each: each[0][1] not in likely)


def outcome(site: Site, *, hasty: bool) -> str:
    """Return "passes" where a negative passes the mutant, "noticed" where one is judged otherwise or breaks it, or "".

    `hasty`: the first that notices is enough.
    """
    judged, found = mutant(site), ""
    for (bundle, reason), told in tried(site):
        try:
            report = judged(*bundle)
        except Exception:  # a verifier that raises has turned the suite red
            found = "noticed"
        else:
            if report.exit_code == 0 and reason.indication.exit_code != 0:
                return "passes"
            same = report.checks == told if reason.indication.exit_code == 0 else report.reason is reason
            found = found if same else "noticed"
        if found and hasty:
            break
    return found


@pytest.mark.parametrize(("site", "line"), SITES, ids=lambda each: each if isinstance(each, str) else each[0])
def test_a_mutant_is_noticed(site: Site, line: str) -> None:
    told = f"proofs/{site[0]}.py, line {site[1]}, always says yes: {line}"
    noticed = outcome(site, hasty=not NIGHTLY)
    spare = SPARE.get((site[0], line)) or SPARE.get((site[0], line.rpartition(" [")[0]))
    if spare is not None:
        assert not noticed, f"a case holds this check now, so it is none to spare: {told}"
        pytest.skip(spare)
    assert noticed, f"nothing notices that {told}"


def test_the_verifier_itself_is_no_mutant() -> None:
    assert all(verify(*each).reason is reason for each, reason in cases())
    assert len(SITES) > 160
    spare = {(module, line) for (module, *_), line in SITES}
    assert set(SPARE) <= spare, "what is spared is there"


@pytest.mark.skipif(not NIGHTLY, reason="by day the first case that notices a mutant is enough")
def test_most_mutants_let_a_negative_pass() -> None:
    assert sum(outcome(site, hasty=False) == "passes" for site, _ in SITES) >= PASSED_AT_LEAST
