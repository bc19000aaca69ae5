"""One consent as a verified bundle shows it: the claims of a report, taken apart for the exports.

How it works
    `Shown.of` takes the claims of `report.Report.claims` (or of one of its `consents`) and the hash of the bundle. What
    was withheld or erased is not there, and an export that needs it says which fields to disclose.

What it does not do
    It verifies nothing: the claims of a refused bundle are empty, and `of` refuses those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ledger.consent.record import DATE_MAX
from ledger.errors import LocalError

COLLECTION: Final = "entry on a ledger, signed by the person's own key for this consent"
NOT_THERE: Final = "disclose more with `maille proof make --field`, or take another format"


@dataclass(frozen=True, slots=True)
class Shown:
    """The claims about one consent: `values` are the disclosed ones, `bundle` the hash of the file that proves them."""

    mesh: str
    bundle: str
    claims: Mapping[str, Any]
    values: Mapping[str, Any]

    @classmethod
    def of(cls, claims: Mapping[str, Any], mesh: str, bundle: str) -> Shown:
        """Take the claims about one consent. Raises LocalError EXPORT_NOTHING where there are none."""
        if "grant" not in claims:
            raise LocalError("EXPORT_NOTHING", "this proof shows no consent; nothing of it can be exported")
        return cls(mesh, bundle, claims, claims.get("disclosed", {}))

    def need(self, *names: str) -> None:
        """Raise LocalError EXPORT_WITHHELD when fields that a format demands are not disclosed.

        EXPORT_NOT_JUDGED where the grant alone does not say what was consented to, and by whom: it rests on another
        entry, or amendments narrow it. The formats have no place for that.
        """
        rests = "amended" in self.claims or "rests_on" in self.claims
        if rests or self.claims.get("level") is None:
            told = "it rests on other entries, or was narrowed; no record of the grant alone would be true"
            raise LocalError("EXPORT_NOT_JUDGED", f"this proof does not show what the consent covers: {told}")
        missing = [name for name in names if name not in self.values]
        if missing:
            told = f"this format needs fields that the proof does not disclose ({', '.join(missing)}); {NOT_THERE}"
            raise LocalError("EXPORT_WITHHELD", told)

    @property
    def grant(self) -> str:
        """The grant as a URN."""
        return f"urn:maille:entry:{self.claims['grant']}"

    @property
    def record(self) -> str:
        """The record's id: 128 random bits, written as a UUID."""
        digits = self.claims["record_id"]
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    @property
    def collection(self) -> str:
        """How the consent was collected, in words."""
        papers = self.claims.get("papers")
        if papers:
            return f"signed paper, transcribed to an entry on a ledger (SHA-256 {', '.join(papers)})"
        return COLLECTION

    @property
    def notice(self) -> str:
        """The notice that the person was shown, as a URN of its hash."""
        return f"urn:sha256:{self.claims['notice_sha256']}"

    @property
    def state(self) -> str:
        """GRANTED, INCOMPLETE, WITHDRAWN or REVOKED as of the newest tick; "" where the bundle does not show it."""
        found = self.claims.get("ended") or self.claims.get("status") or {}
        return str(found.get("state", ""))


def party_id(party: Mapping[str, Any]) -> str:
    """Return a party of a consent as a URN: a member's incarnation, a tenant, or a class of parties."""
    if "class" in party:
        return f"urn:maille:class:{party['class']}"
    return f"urn:maille:party:{party['key']}:{party['incarnation']}"


def actor_id(actor: Mapping[str, Any], fallback: str) -> str:
    """Return an actor of the terms as a URN; `fallback` where it is not known to the mesh."""
    party = actor.get("party")
    return f"urn:maille:party:{party[0]}:{party[1]}" if party else fallback


def utc(seconds: int) -> str:
    """Return unix seconds as xsd:dateTime; what lies after the year 9999, as the end of that year."""
    return datetime.fromtimestamp(min(seconds, DATE_MAX), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
