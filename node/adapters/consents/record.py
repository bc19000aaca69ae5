"""A foreign record of consent in normal form: what another system says somebody agreed to.

How it works
    `Foreign` has the fields that a grant of ours needs and a foreign record may have. `standing` is our word for the
    state, `state` theirs, verbatim; both are kept, so that nobody has to guess. `lacks` names what the record does not
    say and a grant must: a person is asked for those, nobody makes them up.
    `Ours` is what is known of a consent of ours to whoever writes it in another system's form.

What it does not do
    It judges nothing: that a record says "Active" is a claim of that system, and no permission.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ledger.consent.record import Terms
from ledger.errors import LocalError


class Standing(StrEnum):
    """How a consent stands, in the words that all systems' states are mapped to."""

    REQUESTED = "requested"
    GIVEN = "given"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    EXPIRED = "expired"
    INVALID = "invalid"
    UNKNOWN = "unknown"


DPV: Final = {
    Standing.REQUESTED: "dpv:ConsentRequested",
    Standing.GIVEN: "dpv:ConsentGiven",
    Standing.REFUSED: "dpv:ConsentRefused",
    Standing.WITHDRAWN: "dpv:ConsentWithdrawn",
    Standing.REVOKED: "dpv:ConsentRevoked",
    Standing.EXPIRED: "dpv:ConsentExpired",
    Standing.INVALID: "dpv:ConsentInvalidated",
    Standing.UNKNOWN: "dpv:ConsentUnknown",
}
"""Standing -> its term of the W3C Data Privacy Vocabulary; one to one."""
PROOFS: Final = ("", "pending", "checked_ok", "checked_ko")
"""What is said of the proof of a foreign record; "" where the system knows none."""
NEEDED: Final = ("points", "kinds", "granularity", "recipient", "valid_until", "purpose")
"""What a grant of ours must say, among the fields below."""
RECORDS_MAX: Final = 10_000
"""Records in one file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """One record. `reference`: its id there. `points`: as ours, "prm:…". `kinds`: "electricity/consumption/daily".

    Times are UTC seconds, None where nothing is said. `subject`, `recipient`: as that system calls them.
    """

    system: str
    reference: str
    state: str
    standing: Standing
    proof: str = ""
    points: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    granularity: str = ""
    data_from: int | None = None
    data_until: int | None = None
    valid_from: int | None = None
    valid_until: int | None = None
    purpose: str = ""
    subject: str = ""
    recipient: str = ""
    ended_at: int | None = None
    reason: str = ""

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the record does not say and a grant must."""
        return tuple(name for name in NEEDED if not getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A consent of ours, for writers. `ended_at`: when it was withdrawn or revoked, or None; `details`: what a person
    said beside, for fields that the ledger must not know (a name, an address)."""

    grant: str
    record: str
    terms: Terms
    holder: str
    recipient: str
    principal: str
    granted_at: int
    valid_until: int
    standing: Standing
    proof: str = ""
    ended_at: int | None = None
    reason: str = ""
    details: tuple[tuple[str, str], ...] = ()
    calls: tuple[tuple[int, int, str, str], ...] = ()

    def detail(self, name: str, what: str) -> str:
        """Return what a person said beside. Raises LocalError DETAIL_MISSING where it was not said."""
        found = dict(self.details).get(name, "")
        if not found:
            raise LocalError("DETAIL_MISSING", f"This format needs {what}; say it with --detail {name}=…", field=name)
        return found

    def only_point(self, scheme: str, what: str) -> str:
        """Return the number of the one point of a scheme. Raises LocalError NO_PLACE for others, or several."""
        points = self.terms.points
        if len(points) != 1 or not points[0].startswith(f"{scheme}:"):
            raise no_place(f"It holds consents for one {what} alone")
        return points[0].partition(":")[2]


def no_place(why: str) -> LocalError:
    """Return the error for a consent that a format cannot say."""
    return LocalError("NO_PLACE", f"This consent has no place in this format. {why}.", field="as")
