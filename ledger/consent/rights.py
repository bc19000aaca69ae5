"""A person's rights over her data: what she asks for, by when it must be answered, and how it stands.

How it works
    `rights.request` is signed by the key that may dispose of a consent; it names the grant, one right, and the party it
    is addressed to, which the grant must name. Its details are sealed: on the ledger stands one salted digest. That
    party answers with `rights.answer`: done, partly, refused (why, in the sealed details), or extended. An answer is
    due one month after the request, three with an extension that was signed in time (GDPR art. 12(3)); months are those
    of the calendar.

    `standing` is a pure function of the request, its answers and a time, in whatever order the answers came: the first
    final answer counts, by the time it was registered, and an extension only when it came in the first month.

What it does not do
    It cannot make anyone answer: it says who is late. Whether an answer is true is for the person, and for the
    authority that her notice names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger.consent.disclosure import RandomBytes, slot_digest
from ledger.consent.granularity import later
from ledger.consent.kinds import RIGHTS, RIGHTS_OUTCOMES
from ledger.consent.status import Party
from ledger.errors import LocalError, RemoteError

DUE: Final = "P1M"
"""How long there is to answer: one month (GDPR art. 12(3))."""
DUE_EXTENDED: Final = "P3M"
"""With an extension that was signed within that month: two months more."""
SALT_BYTES: Final = 16
TEXT_MAX: Final = 4_000
"""Characters of the details' text."""
CORRECTIONS_MAX: Final = 100
"""Values that one request for rectification names."""
_SLOT: Final = "rights"


@dataclass(frozen=True, slots=True)
class Correction:
    """What is wrong, and what is right: a point, the start of a period (unix seconds), and its true value or none."""

    point: str
    start: int
    value: str | None


@dataclass(frozen=True, slots=True)
class Details:
    """The sealed half of a request or an answer. `salt`: 16 bytes. `corrections`: of a rectification."""

    salt: bytes
    text: str = ""
    corrections: tuple[Correction, ...] = ()

    def __repr__(self) -> str:
        """Show sizes only: a text must not reach a log by accident."""
        return f"Details({len(self.text)} characters, {len(self.corrections)} corrections)"

    def value(self) -> dict[str, Any]:
        """Return what is hidden, as a CBOR map."""
        rows = [[one.point, one.start, one.value] for one in self.corrections]
        return {"text": self.text, "corrections": rows}

    def digest(self) -> bytes:
        """Return the salted digest that stands on the ledger (made as a slot's is)."""
        return slot_digest(self.salt, self.value(), _SLOT)

    def check(self, payload: Mapping[str, Any]) -> None:
        """Hold the details to the entry they belong to. Raises RemoteError DISCLOSURE_MISMATCH."""
        if payload["slots"] != self.digest():
            raise RemoteError("DISCLOSURE_MISMATCH", "these details are not what the entry was made of", field="slots")

    @classmethod
    def read(cls, salt: Any, value: Any) -> Details:
        """Read what `value` wrote. Raises RemoteError DETAILS_MALFORMED."""
        match salt, value:
            case bytes(), {"text": str(text), "corrections": list(rows)} if len(value) == 2 and len(salt) == SALT_BYTES:
                return cls(salt, text, tuple(map(_correction, rows)))._bounded(RemoteError)
            case _:
                raise RemoteError("DETAILS_MALFORMED", 'details are {"text", "corrections"} with a salt of 16 bytes')

    @classmethod
    def make(cls, text: str, corrections: Iterable[Correction], random_bytes: RandomBytes) -> Details:
        """Make details with a fresh salt. Raises LocalError DETAILS_TOO_LARGE."""
        return cls(random_bytes(SALT_BYTES), text, tuple(corrections))._bounded(LocalError)

    def _bounded(self, error: type[LocalError | RemoteError]) -> Details:
        if len(self.text) > TEXT_MAX or len(self.corrections) > CORRECTIONS_MAX:
            told = f"details hold at most {TEXT_MAX} characters and {CORRECTIONS_MAX} corrections; say less"
            raise error("DETAILS_TOO_LARGE", told, field="text")
        return self


def _correction(row: Any) -> Correction:
    match row:
        case [str(point), int(start), str() | None as value] if start >= 0:
            return Correction(point, start, value)
        case _:
            raise RemoteError("DETAILS_MALFORMED", "a correction is [point, start, value or null]", field="corrections")


def request_payload(grant: bytes, right: str, to: Party, details: Details) -> dict[str, Any]:
    """Return the payload of a `rights.request`. Raises LocalError UNKNOWN_RIGHT."""
    if right not in RIGHTS:
        raise LocalError("UNKNOWN_RIGHT", f"the rights are {', '.join(RIGHTS)}", field="right")
    if details.corrections and right != "rectification":
        raise LocalError("UNKNOWN_RIGHT", "only a request for rectification names corrections", field="right")
    return {"grant": grant, "right": right, "to": list(to), "slots": details.digest()}


def answer_payload(request: bytes, outcome: str, details: Details) -> dict[str, Any]:
    """Return the payload of a `rights.answer`. A refusal says why (art. 12(4)). Raises LocalError BAD_ANSWER."""
    if outcome not in RIGHTS_OUTCOMES:
        raise LocalError("BAD_ANSWER", f"an answer is one of {', '.join(RIGHTS_OUTCOMES)}", field="outcome")
    if outcome != "done" and not details.text.strip():
        raise LocalError("BAD_ANSWER", "say why: the person must be told the reasons (GDPR art. 12)", field="text")
    return {"request": request, "outcome": outcome, "slots": details.digest()}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its entry, the party that signed it, when it was registered (unix seconds), what it says."""

    entry: bytes
    by: Party
    at: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a request stands. `state`: open, extended, done, partly or refused. `due`: unix seconds.

    `late`: it is unanswered after `due`, or was answered after it. `answer`: the entry that counts.
    """

    state: str
    due: int
    late: bool
    answer: bytes | None = None


def standing(to: Party, asked: int, answers: Iterable[Answer], now: int) -> Standing:
    """Say how a request stands at `now`. `asked`: when it was registered; only answers of `to` count."""
    due = later(asked, DUE)
    ours = sorted((one for one in answers if one.by == to), key=lambda one: (one.at, one.entry))
    extension = next((one for one in ours if one.outcome == "extended" and one.at <= due), None)
    if extension is not None:
        due = later(asked, DUE_EXTENDED)
    final = next((one for one in ours if one.outcome != "extended"), None)
    if final is not None:
        return Standing(final.outcome, due, final.at > due, final.entry)
    if extension is not None:
        return Standing("extended", due, now > due, extension.entry)
    return Standing("open", due, now > due)
