"""The questions about what was added to a consent: amendments that narrow it, signatures that it requires.

How it works
    A tick's state names amendments and the keys that have signed. Each that it names must be carried, and an amendment
    opened in the fields that the grant discloses, as far as amendments can narrow them. What they leave is told.

What it does not do
    It holds no transfer to what is left (flows), nor the end of a consent to an earlier one (the state says it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ledger.consent.status import State
from proofs.consents import ConsentAudit
from proofs.reasons import Reason
from proofs.report import utc
from proofs.state import TickEvidence, signatures_needed
from proofs.values import plain_value
from proofs.within import NARROWED, nothing_left

AMENDED: Final = "what amendments narrow is opened, and leaves something"
SIGNED: Final = "the others whose signature the grant requires have signed"


def audit_amended(audit: ConsentAudit, tick: TickEvidence, shown: dict[str, Any]) -> None:
    """Ask whether what amendments left is known, and is something by the tick that speaks."""
    named = audit.value(audit.ticks[-1]).amended
    if not named:
        return
    carried = {entry.id: at for at, entry in enumerate(audit.evidence.entries) if entry.kind == "consent.amend"}
    contents = {ident: audit.evidence.contents.get(carried[ident], {}) for ident in named if ident in carried}
    audit.claims["amended"] = [ident.hex() for ident in named]
    audit.claims["amendments"] = [
        {"entry": ident.hex(), "disclosed": {name: plain_value(value) for name, value in told.items()}}
        for ident, told in contents.items()
    ]
    counted = len(audit.value(tick).amended)
    words = f"{len(named)} amendment(s) narrow it, {counted} of them as of {utc(tick.boundary)}"
    audit.row("amended", AMENDED, _left(audit, tick, shown, contents), words)


def _left(
    audit: ConsentAudit, tick: TickEvidence, shown: dict[str, Any], contents: dict[bytes, dict[str, Any]]
) -> tuple[Reason, str] | None:
    """Return why what amendments left is not known, or nothing. `contents`: of those that are carried."""
    if len(contents) < len(audit.value(audit.ticks[-1]).amended):
        return Reason.NOT_CARRIED, "not all amendments are carried"
    gone = [name for ident in audit.value(tick).amended for name in nothing_left(shown, contents.get(ident, {}))]
    if gone:
        return Reason.NOTHING_LEFT, f"nothing is left of {', '.join(gone)}"
    hidden = sorted({name for told in contents.values() for name in NARROWED if name in shown and name not in told})
    if hidden:
        return Reason.AMENDMENT_HIDDEN, f"not disclosed of the amendments: {', '.join(hidden)}"
    return None


def audit_signed(audit: ConsentAudit, tick: TickEvidence) -> None:
    """Ask for the signatures that the grant requires beside the person's, where the consent stands by them."""
    required, needed = signatures_needed(audit.grant)
    value = audit.value(tick)
    if not required or value.state is not State.GRANTED:
        return
    audit.claims["signed_by"] = [kid.hex() for kid in value.signed]
    words = f"{len(value.signed)} of {len(required)} have signed, {needed} suffice"
    audit.row("signed", SIGNED, _unsigned(audit, value.signed), words)


def _unsigned(audit: ConsentAudit, signed: Sequence[bytes]) -> tuple[Reason, str] | None:
    """Return whose signature is said to be there, and is not carried."""
    own = (each for each in audit.evidence.entries if each.kind == "consent.sign")
    carried = {each.kid for each in own if each.payload["grant"] == audit.grant.id}
    missing = [kid.hex()[:16] for kid in signed if kid not in carried]
    if missing:
        return Reason.NOT_CARRIED, f"the signature is not carried of {', '.join(missing)}"
    return None
