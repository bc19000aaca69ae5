"""Reports: stable codes and keys, the same facts in JSON and in text, and verdicts that follow from the rows."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

from proofs.reasons import table
from proofs.report import FORMAT, NOT_SHOWN, Check, Indication, Outcome, Reason, Report, not_shown, utc
from proofs.verify import STEPS, verify
from tests.proofs.test_verify import granted

CODES = """
ACTIVE WITHDRAWN_LATER SHOWN MALFORMED WRONG_MESH BAD_SIGNATURE BAD_INCLUSION BAD_STATE_PROOF BAD_EPOCH
UNREFERENCED_ITEM DISCLOSURE_MISMATCH TRANSFER_MISMATCH REVOKED EXPIRED NOT_ACTIVE NOT_MEMBER AGAINST_POLICY
BEYOND_CONSENT WRONG_AUDIENCE DELEGATION_NOT_YOURS DELEGATION_TOO_DEEP DELEGATION_WIDER DELEGATION_EXPIRED
DELEGATION_REVOKED PARENT_OTHER SHARING_FORBIDDEN PARENT_WIDER CALL_OTHER CALL_WIDER CALL_OPEN QUORUM_SHORT
MAJORITY_SHORT CRITICAL_MASS_SHORT CALL_REFUSED NOTHING_LEFT INSUFFICIENT_WITNESSES EPOCH_NOT_PINNED NO_POE TRY_LATER
OUT_OF_BOUNDS CONCURRENT_WITHDRAWAL CONTENT_ERASED CONTENT_WITHHELD NOT_CARRIED DELEGATION_HIDDEN DELEGATION_UNPROVEN
DELEGATION_NOT_SHOWN PARENT_HIDDEN CALL_HIDDEN CALL_NOT_SHOWN AMENDMENT_HIDDEN NO_PAPER NOT_ACKNOWLEDGED
ACCOUNTS_DIFFER MEMBERSHIP_NOT_SHOWN NOT_PRESENTED TIME_IN_FUTURE UNSUPPORTED
"""

TRUSTED = "genesis epoch policy at max_age_seconds audience time_stamps now"
KEYS = "format trust bundle verdict reason message advice exit_code level claims checks not_shown"


def report(*reasons: Reason | None) -> Report:
    """Return a report whose rows have these reasons."""
    rows = [
        Check(f"row.{at}", Outcome.FAILED if reason else Outcome.PASSED, "a question", "an answer", 5, reason)
        for at, reason in enumerate(reasons)
    ]
    return Report({"genesis": "00"}, {"bytes": 1, "sha256": "00"}, tuple(rows))


def test_the_codes_are_those_of_the_documentation() -> None:
    assert [reason.name for reason in Reason] == CODES.split()
    readme = (Path(__file__).resolve().parents[2] / "proofs" / "README.md").read_text()
    assert table() in readme
    assert all(reason.meaning.endswith(".") and reason.advice.endswith(".") for reason in Reason)


def test_the_first_row_that_refutes_decides_then_the_first_doubt() -> None:
    assert report(None, None).reason is Reason.ACTIVE
    assert report(None, Reason.TRY_LATER, Reason.NO_POE).reason is Reason.TRY_LATER
    mixed = report(Reason.TRY_LATER, Reason.EXPIRED, Reason.REVOKED)
    assert (mixed.reason, mixed.indication, mixed.exit_code) == (Reason.EXPIRED, Indication.FAILED, 1)
    assert "row.1: an answer" in mixed.message


def test_json_has_a_stable_shape() -> None:
    mesh, bundle = granted()
    value = json.loads(json.dumps(verify(bundle, mesh.trust(at=mesh.now), mesh.now).as_json()))
    assert list(value) == KEYS.split()
    assert value["format"] == FORMAT
    assert value["verdict"] == "TOTAL-PASSED"
    assert list(value["trust"]) == TRUSTED.split()
    assert {tuple(check) for check in value["checks"]} == {("id", "status", "what", "evidence", "time", "reason")}
    assert len({check["id"] for check in value["checks"]}) == len(value["checks"])
    assert value["not_shown"][:-1] == not_shown("consent")
    assert value["not_shown"][-1].startswith("affiliations of witnesses")
    assert value["not_shown"][: len(NOT_SHOWN)] == list(NOT_SHOWN)
    refused = verify(b"", mesh.trust(), mesh.now).as_json()
    assert list(refused) == KEYS.split()
    assert refused["claims"] == {}
    assert [check["status"] for check in refused["checks"]] == ["failed"] + ["not-looked"] * (len(STEPS) - 1)


def test_text_says_what_was_trusted_first_and_what_is_not_shown_last() -> None:
    mesh, bundle = granted()
    made = verify(bundle, mesh.trust(), mesh.now)
    text = made.as_text()
    assert text.index("Trusted") < text.index(mesh.genesis.mesh_id.hex()) < text.index("TOTAL-PASSED ACTIVE")
    assert text.index("TOTAL-PASSED") < text.index("passed     container") < text.index("Not shown by this proof")
    assert all(words in text for words in NOT_SHOWN)
    assert all(f"{check.id}: " in text for check in made.checks)


def test_times_are_utc() -> None:
    assert utc(0) == "1970-01-01T00:00:00Z"
    assert utc(2**40) == f"{2**40} s after 1970"


def test_people_read_times_as_dates_and_levels_as_words() -> None:
    mesh, bundle = granted()
    text = verify(bundle, mesh.trust(at=mesh.now), mesh.now).as_text()
    rows = {line.split()[1]: after.strip() for line, after in pairwise(text.splitlines()) if " content." in line}
    assert re.fullmatch(r"\S+Z to \S+Z", rows["content.data_period:"])
    assert re.fullmatch(r"\S+Z to (its end|\S+Z)", rows["content.access_period:"])
    assert "Assurance level: S (the person's own key signed)" in text
