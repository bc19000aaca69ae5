"""The auditor of a scenario: bundles of the nodes, verified offline by somebody who knows the mesh's id alone.

How it works
    For every flow that was allowed she is given the proof of its consent, made for the moment of the flow, with the
    transfers made under it: it must pass. For every flow that was refused she is given the proof of each consent that
    the two ends have had for one another, and must come to a denial by what the bundle proves: its verdict at that
    moment, or the disclosed terms, which she holds against what was asked for.

What it does not do
    A proof shows consents. Where a flow was refused for want of a link, of membership, of a delegation or of fresh
    knowledge, and no consent tells, she says so: she has found no transfer, and that is all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger.consent.granularity import covers, parse_duration
from proofs.policy import MemberQuorum
from proofs.report import Report
from proofs.trust import Trust
from proofs.verify import verify
from simulations.scenario import Flow

AGE_SECONDS_MAX: Final = 86_400 * 400
"""How old the newest tick before the moment asked for may be: the play makes ticks where they matter."""
ENDED: Final = frozenset({"REVOKED", "EXPIRED", "NOT_ACTIVE", "NOT_MEMBER", "AGAINST_POLICY", "BEYOND_CONSENT"})
"""Reasons of a verification by which a consent allowed nothing at the moment asked for."""

UNSHOWN: Final = frozenset({"MEMBERSHIP_NOT_SHOWN"})
"""Reasons by which the evidence holds and the auditor is told what this kind of bundle cannot show: no fault."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for; empty fields were left open. `window`: unix seconds."""

    point: str = ""
    kind: str = ""
    granularity: str = ""
    purpose: str = ""
    window: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A consent that was given: its id, and between whom, by the names of the story."""

    id: str
    holder: str
    recipient: str
    by: str
    number: int


@dataclass(frozen=True, slots=True)
class Flown:
    """A flow that was tried at a moment (unix seconds), and the consent it rests on, if one."""

    number: int
    words: str
    step: Flow
    at: int
    consent: str
    asked: Asked


@dataclass(frozen=True, slots=True)
class Verified:
    """What the auditor says of one flow. `clear`: whether the bundles bear out what happened."""

    clear: bool
    verdict: str
    reason: str
    words: str


def audit(bundle: bytes, mesh_id: bytes, members: int, at: int, now: int) -> Report:
    """Verify a bundle for a moment. `members`: how many attestations are enough; times in unix seconds."""
    return verify(bundle, Trust(mesh_id, MemberQuorum(members), at, AGE_SECONDS_MAX), now)


def allowed(report: Report) -> Verified:
    """Judge the proof of a flow that was allowed."""
    told = report.indication.value, report.reason.name
    shown = [row for row in report.checks if row.id.startswith("transfer") and row.status.value == "passed"]
    if report.reason.name in UNSHOWN:
        return Verified(True, *told, report.message)
    if report.exit_code != 0:
        return Verified(False, *told, report.message)
    return Verified(True, *told, f"the consent was active then; {len(shown)} checks of its transfers pass")


def refused(reports: list[Report], asked: Asked) -> Verified:
    """Judge the proofs of the consents that might have allowed a flow which was refused."""
    denials = [denial(report, asked) for report in reports]
    if not reports:
        return Verified(True, "NOTHING-TO-SHOW", "NO_CONSENT", "no consent between the two is known to any of them")
    report = reports[-1]
    if all(denials):
        told = " and ".join(dict.fromkeys(denials))
        return Verified(True, report.indication.value, report.reason.name, f"no consent shown covers it: {told}")
    return Verified(True, "NOTHING-TO-SHOW", report.reason.name, "no bundle tells why; no transfer is shown")


def denial(report: Report, asked: Asked) -> str:
    """Return why a verified consent does not allow what was asked; "" where it does not say."""
    if report.reason.name in ENDED:
        return report.reason.name
    terms: Mapping[str, Any] = report.claims.get("disclosed", {})
    if not terms or report.claims.get("principal") is None:
        return ""
    if asked.point and asked.point not in terms.get("points", ()):
        return "OTHER_POINT"
    if asked.kind and asked.kind != "/".join(terms.get("pii_type", ())):
        return "OTHER_KIND"
    if asked.purpose and asked.purpose != terms.get("purpose"):
        return "OTHER_PURPOSE"
    finest = terms.get("granularity")
    if asked.granularity and finest and not covers(parse_duration(finest), parse_duration(asked.granularity)):
        return "OTHER_GRANULARITY"
    if terms.get("computation"):
        return "COMPUTATION_ONLY"
    if asked.window is not None:
        begin, end = asked.window
        if not any(start <= begin and end <= stop for start, stop in terms.get("data_period", ())):
            return "OTHER_PERIOD"
    return ""
