"""The questions about what was added to a consent: amendments that narrow it, signatures that it requires.

How it works
    A tick's state names amendments and the keys that have signed. Each that it names must be carried, and an amendment
    opened in the fields that the grant discloses, as far as amendments can narrow them. What they leave is told.

What it does not do
    It holds no transfer to what is left (flows), nor the end of a consent to an earlier one (the state says it).
"""

from __future__ import annotations

from typing import Any, Final

from ledger.consent.status import State
from proofs.consents import ConsentAudit
from proofs.reasons import Reason
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
    contents = {ident: audit.evidence.contents.get(carried.get(ident, -1), {}) for ident in named}
    audit.claims["amended"] = [ident.hex() for ident in named]
    audit.claims["amendments"] = [
        {"entry": ident.hex(), "disclosed": {name: plain_value(value) for name, value in told.items()}}
        for ident, told in contents.items()
    ]
    hidden = sorted({name for told in contents.values() for name in NARROWED if name in shown and name not in told})
    gone = [name for ident in audit.value(tick).amended for name in nothing_left(shown, contents.get(ident, {}))]
    words = f"{len(named)} amendment(s) narrow it"
    doubt: tuple[Reason, str] | None = None
    if any(ident not in carried for ident in named):
        doubt = Reason.NOT_CARRIED, f"{words}, not all of them are carried"
    elif gone:
        doubt = Reason.NOTHING_LEFT, f"{words}; nothing is left of {', '.join(gone)}"
    elif hidden:
        doubt = Reason.AMENDMENT_HIDDEN, f"{words}; not disclosed of them: {', '.join(hidden)}"
    audit.row("amended", AMENDED, doubt, words)


def audit_signed(audit: ConsentAudit, tick: TickEvidence) -> None:
    """Ask for the signatures that the grant requires beside the person's, where the consent stands by them."""
    required, needed = signatures_needed(audit.grant)
    value = audit.value(tick)
    if not required or value.state is not State.GRANTED:
        return
    own = (each for each in audit.evidence.entries if each.kind == "consent.sign")
    carried = {each.kid for each in own if each.payload["grant"] == audit.grant.id}
    audit.claims["signed_by"] = [kid.hex() for kid in value.signed]
    missing = [kid.hex()[:16] for kid in value.signed if kid not in carried]
    words = f"{len(value.signed)} of {len(required)} have signed, {needed} suffice"
    doubt = (Reason.NOT_CARRIED, f"{words}; the signature is not carried of {', '.join(missing)}")
    audit.row("signed", SIGNED, doubt if missing else None, words)
