"""The whole second verifier: bytes and trust in, verdict class and reason code out.

How it works
    `second` reads the container, runs the steps, then asks the auditor's questions; the first reason that refutes
    decides, else the first that leaves a doubt.

What it does not do
    It explains nothing: it is there to agree or not.
"""

from __future__ import annotations

from tests.proofs.second.container import read_bundle
from tests.proofs.second.entries import Refused
from tests.proofs.second.evidence import Evidence
from tests.proofs.second.flows import findings, presenter, transfers
from tests.proofs.second.questions import FAILED, Auditor, Trust


def second(data: bytes, trust: Trust) -> tuple[int, str]:
    """Return the exit code (0 passed, 1 failed, 3 indeterminate) and the reason."""
    try:
        evidence = Evidence(read_bundle(data), trust.genesis)
        flows = transfers(evidence)
        findings(evidence)
        presenter(evidence)
        evidence.unused()
    except Refused as refused:
        return 1, refused.code
    auditor = Auditor(trust, evidence, flows)
    reasons = [reason for _, reason in auditor.rows if reason is not None]
    for reason in reasons:
        if reason in FAILED:
            return 1, reason
    return (3, reasons[0]) if reasons else (0, auditor.passed)
