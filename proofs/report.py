"""What a verification says: one row for each check, a verdict, a stable reason, and what it cannot say.

How it works
    `Reason` is the one list of codes: each carries the verdict it leads to, what it means and what to do, and is
    shared by the verifier, its JSON, the documentation and the tests. A `Report` echoes what was trusted first,
    then the verdict, then the checks in the order in which they were made. The verdict follows from the rows: the
    first row that refutes decides, else the first that leaves a doubt; verdicts are those of ETSI EN 319 102-1.

What it does not do
    It checks nothing and knows no clock. It is never a bare yes: `exit_code` is 0 for TOTAL-PASSED alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

FORMAT: Final = "maille-report/1"
_YEAR_9999: Final = 253_402_300_799


class Indication(Enum):
    """The verdicts of ETSI EN 319 102-1."""

    PASSED = "TOTAL-PASSED"
    FAILED = "TOTAL-FAILED"
    INDETERMINATE = "INDETERMINATE"


class Outcome(Enum):
    """What became of one check. `ERASED`: there is nothing left to look at, by right."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_LOOKED = "not-looked"
    ERASED = "erased"


class Level(Enum):
    """Who consented, as far as it is shown. Levels are reported, and never merged."""

    SELF = "S"
    DELEGATED = "D"
    EVIDENCE = "E"


_P, _F, _I = Indication.PASSED, Indication.FAILED, Indication.INDETERMINATE


class Reason(Enum):
    """A stable code; its value is (verdict, what it means, what to do)."""

    ACTIVE = (_P, "The consent was active at the time asked for and is not withdrawn.", "Nothing.")
    WITHDRAWN_LATER = (
        _P,
        "The consent was active at the time asked for, and was withdrawn or revoked after it.",
        "Treat it as ended from the withdrawal on.",
    )
    MALFORMED = (_F, "The bytes are not a proof bundle, or one of its items is not well formed.", "Ask for it again.")
    WRONG_MESH = (
        _F,
        "The bundle, or an item of it, belongs to another mesh than the pinned genesis.",
        "Compare the genesis hash with the mesh's operators by another channel.",
    )
    BAD_SIGNATURE = (_F, "A signature does not match what it signs.", "Refuse the bundle; ask its maker for another.")
    BAD_INCLUSION = (_F, "An entry is not under the checkpoint that is said to hold it.", "Refuse the bundle.")
    BAD_STATE_PROOF = (_F, "The frontier, a map or an attestation does not fit the others.", "Refuse the bundle.")
    UNREFERENCED_ITEM = (_F, "An item serves no check.", "Refuse the bundle: nothing unchecked may travel in it.")
    DISCLOSURE_MISMATCH = (
        _F,
        "A disclosed value is not what the person signed.",
        "Refuse it, and ask the person or the holder for the true one.",
    )
    REVOKED = (_F, "The consent was withdrawn or revoked before the time asked for.", "Stop using the data.")
    EXPIRED = (_F, "The time asked for is not before the end of the consent.", "Ask the person for a new consent.")
    NOT_ACTIVE = (_F, "The consent had no effect at the time asked for.", "Ask for the missing signatures, or wait.")
    NOT_MEMBER = (_F, "The holder or the recipient was not a member at the time asked for.", "Stop the transfer.")
    AGAINST_POLICY = (_F, "The mesh's founding policy forbids such a consent.", "Ask the person for another one.")
    INSUFFICIENT_WITNESSES = (
        _I,
        "Too few of the witnesses that you trust attested this state.",
        "Have more members attest (maille tick), or ask for a bundle with their attestations.",
    )
    NO_POE = (
        _I,
        "Nothing proves that the consent existed at the time asked for.",
        "Ask for a bundle with a tick at or before that time, and a policy with at least one witness.",
    )
    TRY_LATER = (
        _I,
        "The newest tick is older than the age you allow, so nothing is shown of the time since.",
        "Ask for a bundle with a newer tick (maille tick).",
    )
    OUT_OF_BOUNDS = (
        _I,
        "No tick of the bundle lies close enough before the time asked for.",
        "Ask for a bundle with a tick nearer to that time, or allow a greater age.",
    )
    CONCURRENT_WITHDRAWAL = (
        _I,
        "The consent was withdrawn or revoked, and it cannot be shown to be after the time asked for.",
        "Treat the consent as ended unless other evidence orders the two.",
    )
    CONTENT_ERASED = (
        _I,
        "What was consented to has been erased; signature and status still stand.",
        "Ask those who may lawfully still hold the disclosures.",
    )
    CONTENT_WITHHELD = (
        _I,
        "The purpose or the kind of data is not disclosed.",
        "Ask for a bundle that discloses at least purpose and pii_type.",
    )
    MEMBERSHIP_NOT_SHOWN = (
        _I,
        "A party is a tenant or a class of recipients, whose standing this bundle cannot show.",
        "Ask for evidence of who hosted the tenant.",
    )
    TIME_IN_FUTURE = (_I, "A time in the bundle lies ahead of your clock.", "Check your clock, then verify again.")
    UNSUPPORTED = (_I, "The consent rests on an entry that this version cannot judge.", "Use a newer verifier.")

    @property
    def indication(self) -> Indication:
        """The verdict that it leads to."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """What it means, in a sentence."""
        return self.value[1]

    @property
    def advice(self) -> str:
        """What to do, in a sentence."""
        return self.value[2]


NOT_SHOWN: Final = (
    "that no withdrawal exists outside the newest tick",
    "that no copy of the data travelled outside the ledger",
    "that data were deleted",
    "that the consent was freely given",
    "who holds a key",
    "that the witnesses are honest: of n witnesses of which f lie, more than (n + f) / 2 must agree",
    "that a member which attested had not been cut off in a later epoch",
)
"""What no bundle can show; printed with every verdict."""


@dataclass(frozen=True, slots=True)
class Check:
    """One row. `id`: stable; `what`: the question; `evidence`: what answers it; `time`: unix seconds, if it has one.

    `reason` is there exactly when the row stands in the way of TOTAL-PASSED.
    """

    id: str
    status: Outcome
    what: str
    evidence: str = ""
    time: int | None = None
    reason: Reason | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {
            "id": self.id,
            "status": self.status.value,
            "what": self.what,
            "evidence": self.evidence,
            "time": self.time,
            "reason": self.reason.name if self.reason else None,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The answer. `trust`: the inputs, echoed; `claims`: what the checks bear out, empty for a refused bundle.

    `passed_as` names the reason of a TOTAL-PASSED. `claims` holds personal data: never log it.
    """

    trust: Mapping[str, Any]
    bundle: Mapping[str, Any]
    checks: tuple[Check, ...]
    passed_as: Reason = Reason.ACTIVE
    level: Level | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)

    def _headline(self) -> tuple[Reason, str]:
        for wanted in (Indication.FAILED, Indication.INDETERMINATE):
            for check in self.checks:
                if check.reason is not None and check.reason.indication is wanted:
                    return check.reason, f"{check.reason.meaning} {check.id}: {check.evidence}".rstrip(": ")
        return self.passed_as, self.passed_as.meaning

    @property
    def reason(self) -> Reason:
        """The code in the headline."""
        return self._headline()[0]

    @property
    def indication(self) -> Indication:
        """The verdict."""
        return self.reason.indication

    @property
    def message(self) -> str:
        """The headline in words: what the reason means, and which check found what."""
        return self._headline()[1]

    @property
    def exit_code(self) -> int:
        """0 TOTAL-PASSED, 1 TOTAL-FAILED, 3 INDETERMINATE (2 is left to wrong usage)."""
        return {_P: 0, _F: 1, _I: 3}[self.indication]

    def as_json(self) -> dict[str, Any]:
        """Return the report as values for JSON, trust first; keys are never renamed within `FORMAT`."""
        return {
            "format": FORMAT,
            "trust": dict(self.trust),
            "bundle": dict(self.bundle),
            "verdict": self.indication.value,
            "reason": self.reason.name,
            "message": self.message,
            "advice": self.reason.advice,
            "exit_code": self.exit_code,
            "level": self.level.value if self.level else None,
            "claims": dict(self.claims),
            "checks": [check.as_json() for check in self.checks],
            "not_shown": list(NOT_SHOWN),
        }

    def as_text(self) -> str:
        """Return the report for people, in the same order as the JSON."""
        lines = ["Trusted, because you said so:"]
        lines += [f"  {name}: {_shown(name, value)}" for name, value in self.trust.items()]
        lines += [f"Bundle: {self.bundle['bytes']} bytes, SHA-256 {self.bundle['sha256']}", ""]
        lines += [f"{self.indication.value} {self.reason.name}", f"  {self.message}", f"  {self.reason.advice}"]
        if self.level is not None:
            lines.append(f"  Assurance level: {self.level.value}")
        lines.append("")
        for check in self.checks:
            at = f" [{utc(check.time)}]" if check.time is not None else ""
            lines.append(f"  {check.status.value:<10} {check.id}: {check.what}{at}")
            if check.evidence:
                lines.append(f"             {check.evidence}")
        lines += ["", "Not shown by this proof:", *(f"  - {words}" for words in NOT_SHOWN)]
        return "\n".join(lines) + "\n"


def utc(time: int) -> str:
    """Return unix seconds as people read them, in UTC."""
    if not 0 <= time <= _YEAR_9999:
        return f"{time} s after 1970"
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "none"
    return f"{utc(value)} ({value})" if name in ("at", "now") else str(value)
