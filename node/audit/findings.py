"""What an audit says: one report of frozen findings, ready to be written as JSON, a table or a page.

How it works
    Ids are hexadecimal, times aware datetimes in UTC, reasons stable codes; `words` puts them into sentences. `proof`
    is the command that makes, or shows, the evidence of a line. `schema` describes the JSON.

What it does not do
    It decides nothing. It holds points and purposes where this node's own vault does: keep it as you keep the vault.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from ledger.consent.record import DATE_MAX

VERSION: Final = 1
"""Of the report. A field may be added within a version, none goes away or changes its meaning."""


class Verdict(Enum):
    """What is said of one transfer."""

    WITHOUT = "without-consent"
    UNDECIDED = "undecided"
    CLEAR = "consented-by-clear-fields"  # the ledger allows it; what passed, or the terms, are not known here
    CONSENTED = "consented"


@dataclass(frozen=True, slots=True)
class Who:
    """A party: its name here, its key's id, its incarnation (0: a tenant)."""

    name: str
    id: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Access:
    """One transfer, and what it is held to. Whatever is None or empty is not known here.

    `code`: why. It happened between `began`, where that is known, and `ended`. `seen`: where it is known from:
    sent-here, received-here, receipt (the holder's digest on the ledger), acknowledgement (the recipient's), probe.
    `notes`: further codes. `statements`: entries that state it.
    """

    verdict: Verdict
    code: str
    transfer: str
    consent: str
    holder: Who | None
    recipient: Who | None
    began: datetime | None
    ended: datetime
    seen: tuple[str, ...]
    records: int | None
    gaps: int | None
    data_from: datetime | None
    data_until: datetime | None
    purpose: str
    points: tuple[str, ...]
    kind: str
    granularity: str
    notes: tuple[str, ...]
    statements: tuple[str, ...]
    proof: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """Data received under a consent that are still here past their time. `due`: None when no retention is known."""

    code: str
    consent: str
    holder: Who
    recipient: Who
    purpose: str
    points: tuple[str, ...]
    retention: str
    ended: datetime
    due: datetime | None
    days: int
    transfers: int
    records: int
    proof: str


@dataclass(frozen=True, slots=True)
class OldNotice:
    """A notice on which a consent in force rests, and that does not carry it any more. `since`: since when."""

    code: str
    consent: str
    holder: Who
    recipient: Who | None
    purpose: str
    notice: str
    dated: datetime
    document: str
    newer: str
    since: datetime
    proof: str


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """An end of a consent that a party has not acknowledged. `waiting`: seconds since the end was on the ledger."""

    kind: str
    consent: str
    entry: str
    party: Who
    since: datetime
    waiting: int
    proof: str


@dataclass(frozen=True, slots=True)
class Activity:
    """A line of the register of processing (GDPR art. 30): consents that say the same, together.

    `storage`, `jurisdiction`: in the terms' own words; what they say of transfers abroad stands there. `unread`: how
    many of the consents were narrowed in a way that is not known here.
    """

    controllers: tuple[str, ...]
    processors: tuple[str, ...]
    purpose: str
    category: str
    legal_basis: str
    subjects: tuple[str, ...]
    data: str
    granularity: str
    recipients: tuple[str, ...]
    onward: str
    retention: str
    storage: str
    jurisdiction: str
    dpo: tuple[str, ...]
    authority: str
    consents: int
    in_force: int
    points: int
    transfers: int
    records: int
    example: str
    proof: str
    unread: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was looked at.

    `unreadable`: consents whose terms are not known here; `left_out`: transfers under such consents, where the question
    is about a point or a purpose and so cannot be answered for them.
    """

    transfers: int
    without_consent: int
    undecided: int
    clear: int
    consented: int
    consents: int
    unreadable: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Report:
    """An audit. `without_consent` stands first, here and wherever it is written."""

    version: int
    mesh: str
    made: datetime
    since: datetime
    until: datetime
    asked: tuple[tuple[str, str], ...]
    counts: Counts
    without_consent: tuple[Access, ...]
    overdue: tuple[Overdue, ...]
    notices: tuple[OldNotice, ...]
    unacknowledged: tuple[Unacknowledged, ...]
    undecided: tuple[Access, ...]
    consented: tuple[Access, ...]
    register: tuple[Activity, ...]
    not_shown: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether no access without consent was found."""
        return not self.without_consent


def moment(seconds: int) -> datetime:
    """Return unix seconds as a time in UTC; what lies after the year 9999, as the end of that year."""
    return datetime.fromtimestamp(min(seconds, DATE_MAX), UTC)


def schema() -> dict[str, Any]:
    """Return the JSON schema of a report as `as_json` writes it."""
    import msgspec

    return msgspec.json.schema(Report)


def as_json(report: Report) -> bytes:
    """Return the report as JSON."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def read_json(data: bytes) -> Report:
    """Read what `as_json` wrote. Raises msgspec.ValidationError."""
    import msgspec

    return msgspec.json.decode(data, type=Report)
