"""What a verification says: one row for each check, a verdict, a stable reason, and what it cannot say.

How it works
    A `Report` echoes what was trusted first, then the verdict, then the checks in the order in which they were made.
    The verdict follows from the rows: the first row that refutes decides, else the first that leaves a doubt. The codes
    are in `reasons`.

What it does not do
    It checks nothing and knows no clock. It is never a bare yes: `exit_code` is 0 for TOTAL-PASSED alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from proofs.bundle import Selection
from proofs.reasons import Indication, Reason

__all__ = ("NOT_SHOWN", "Check", "Indication", "Level", "Outcome", "Reason", "Recorder", "Report", "not_shown", "utc")

FORMAT: Final = "maille-report/1"
_YEAR_9999: Final = 253_402_300_799


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


_LEVELS: Final = {
    Level.SELF: "the person's own key signed",
    Level.DELEGATED: "another key signed: a delegate's, a group's, or the holder's who passes on",
    Level.EVIDENCE: "transcribed from a paper, or from another system's record",
}

NOT_SHOWN: Final = (
    "that no withdrawal exists outside the newest tick",
    "that no copy of the data travelled outside the ledger",
    "that data were deleted",
    "that the consent was freely given",
    "who holds a key",
    "that the witnesses are honest: of n witnesses of which f lie, more than (n + f) / 2 must agree",
    "that no later epoch than those carried cut off a member which attested, or changed the rules",
)
"""What no bundle can show; printed with every verdict."""
_NOT_SHOWN_OF: Final = {
    Selection.CONSENT: ("that no other transfer was made under the consent",),
    Selection.CONDUCT: ("that the member did nothing else, good or bad",),
    Selection.PERIOD: (
        "that no other consent was given and no other transfer made in the period",
        "that somebody asked about this period: its bounds are its maker's word, which only a presenter signs",
    ),
}


def not_shown(selection: str | None, own: Sequence[str] = ()) -> list[str]:
    """Return what a bundle of this selection cannot show. `selection`: its value; None for a file that is no bundle.

    `own`: what this very bundle does not show.
    """
    of_all = next((words for each, words in _NOT_SHOWN_OF.items() if each.value == selection), ())
    return [*NOT_SHOWN, *of_all, *own]


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


@dataclass(slots=True)
class Recorder:
    """The rows of a verification while it goes on, and what they bear out. `prefix`: before every id that is noted.

    `unshown`: what this bundle does not show, beside what none can.
    """

    rows: list[Check] = field(default_factory=list)
    passed_as: Reason = Reason.ACTIVE
    claims: dict[str, Any] = field(default_factory=dict)
    prefix: str = ""
    unshown: list[str] = field(default_factory=list)

    def passed(self, name: str, what: str, evidence: str = "", time: int | None = None) -> None:
        """Note a check that passed."""
        self.rows.append(Check(self.prefix + name, Outcome.PASSED, what, evidence, time))

    def failed(self, name: str, what: str, reason: Reason, evidence: str, time: int | None = None) -> None:
        """Note a check that failed."""
        self.rows.append(Check(self.prefix + name, Outcome.FAILED, what, evidence, time, reason))

    def skipped(self, name: str, what: str, evidence: str = "", reason: Reason | None = None) -> None:
        """Note what was not looked at; `reason`: where that leaves a doubt."""
        self.rows.append(Check(self.prefix + name, Outcome.NOT_LOOKED, what, evidence, None, reason))

    def erased(self, name: str, what: str, reason: Reason, evidence: str) -> None:
        """Note what is erased."""
        self.rows.append(Check(self.prefix + name, Outcome.ERASED, what, evidence, None, reason))


@dataclass(frozen=True, slots=True)
class Report:
    """The answer. `trust`: the inputs, echoed; `claims`: what the checks bear out, empty for a refused bundle.

    `passed_as` names the reason of a TOTAL-PASSED. `level`: of the one consent; None where there are several, each with
    its own in `claims`. `claims` holds personal data: never log it. `unshown`: what this very bundle does not show.
    """

    trust: Mapping[str, Any]
    bundle: Mapping[str, Any]
    checks: tuple[Check, ...]
    passed_as: Reason = Reason.ACTIVE
    level: Level | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    unshown: tuple[str, ...] = ()

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
        return self.indication.exit_code

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
            "not_shown": not_shown(self.bundle.get("selection"), self.unshown),
        }

    def as_text(self) -> str:
        """Return the report for people, in the same order as the JSON."""
        lines = ["Trusted, because you said so:"]
        lines += [f"  {name}: {_shown(name, value)}" for name, value in self.trust.items()]
        lines += [f"Bundle: {self.bundle['bytes']} bytes, SHA-256 {self.bundle['sha256']}", ""]
        lines += [f"{self.indication.value} {self.reason.name}", f"  {self.message}", f"  {self.reason.advice}"]
        if self.level is not None:
            lines.append(f"  Assurance level: {self.level.value} ({_LEVELS[self.level]})")
        lines.append("")
        for check in self.checks:
            at = f" [{utc(check.time)}]" if check.time is not None else ""
            lines.append(f"  {check.status.value:<10} {check.id}: {check.what}{at}")
            if check.evidence:
                lines.append(f"             {check.evidence}")
        told = not_shown(self.bundle.get("selection"), self.unshown)
        lines += ["", "Not shown by this proof:", *(f"  - {words}" for words in told)]
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
