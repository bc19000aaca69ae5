"""Why an entry about a consent, a delegation or a group counts or not: the rule by number, and what decided.

How it works
    The status of the consent is derived as ever; what became of one entry about it is read off it.

What it does not do
    It opens no disclosure, and says nothing of the gate, which looks at the clock and at members as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ledger.consent.delegation import Delegation
from ledger.consent.group import Outcome
from ledger.consent.reminding import REMINDERS_MAX
from ledger.consent.status import Checked, Party, Place, State, Status
from ledger.entry import Entry
from ledger.keys import thumbprint
from ledger.verdict import WHY_MAX, Account, counts, superseded, void, waits

_ENDED = {State.WITHDRAWN: ("C2", "the person has withdrawn it"), State.REVOKED: ("C3", "a party to it has revoked it")}


def explain(
    entry: Entry,
    places: Sequence[Place],
    status: Status | None,
    reach: Callable[[bytes], int],
    party_of: Callable[[bytes], Party],
) -> Account:
    """Say what became of a sound entry about a consent. `status`: of the consent, None where nothing is known of it.

    `places`: where the entry is sound; `reach`, `party_of`: as for `status.resolve`.
    """
    match entry.kind:
        case "consent.withdraw":
            return counts("C2", "a withdrawal counts wherever it is found", entry.id)
        case "consent.refuse":
            return counts("C2", "the person refused; a refusal takes no right from anybody", entry.id)
        case "consent.request":
            return counts("C1", "it asks, and permits nothing", entry.id)
        case "consent.grant":
            return _grant(entry, places, status, reach)
        case _:
            return _party_said(entry, places, status, reach, party_of)


def _grant(entry: Entry, places: Sequence[Place], status: Status | None, reach: Callable[[bytes], int]) -> Account:
    if status is None:
        if any(index < reach(feed) for feed, index in places):
            return waits("C1", "what it says it has seen is not held here")
        return waits("C1", "no feed that counts that far holds it; anybody may register it elsewhere")
    if status.state in _ENDED:
        return superseded(*_ENDED[status.state], *status.decided_by)
    if status.state is State.INCOMPLETE:
        return waits("C5", "others whose signature it needs have not signed, or it was narrowed too often", entry.id)
    return counts("C1", "the person consents", *status.decided_by)


def _party_said(
    entry: Entry,
    places: Sequence[Place],
    status: Status | None,
    reach: Callable[[bytes], int],
    party_of: Callable[[bytes], Party],
) -> Account:
    rule = _RULES.get(entry.kind, "C4")
    if status is None:
        return waits(rule, "the grant that it names is not held, or does not count", entry.payload["grant"])
    if entry.kind == "consent.amend":
        if entry.id in status.amended:
            return counts(rule, "it narrows the consent", entry.id)
        return void(rule, "its signer never had a key of this consent", status.grant)
    within = any(index < reach(feed) for feed, index in places)
    if entry.kind == "consent.sign":
        if entry.kid in status.signed:
            return counts(rule, "a party whose signature the consent needs has signed", entry.id)
        return void(rule, "no signature of this key is asked for, or it has left", status.grant)
    if entry.kind == "consent.rekey":
        if status.contested is not None:
            if entry.kid == status.contested:
                return void(rule, f"its signer handed the consent on to different keys: {_CONTESTED}", status.grant)
            return superseded(rule, f"another key handed the consent on to different keys: {_CONTESTED}", status.grant)
        if within and status.key == thumbprint(entry.payload["key"]):
            return counts(rule, "its key is the one in force", entry.id)
        return superseded(rule, "another key is in force; this one may still narrow and withdraw", status.grant)
    if entry.kind == "consent.revoke" and status.state is State.REVOKED and entry.id in status.decided_by:
        return counts(rule, "a party to the consent ends it", entry.id)
    party = party_of(entry.kid)
    if party not in (status.holder, status.recipient):
        return void(rule, "its signer is neither the holder nor the recipient whom the grant names", status.grant)
    if entry.kind == "consent.revoke":
        return superseded("C2", "the person has withdrawn it herself", *status.decided_by)
    if entry.kind == "consent.evidence":
        word = Checked(entry.payload["evidence"], party, entry.payload["status"])
        if word in status.checked:
            return counts(rule, "it is the newest word of this party on the evidence", entry.id)
        return superseded(rule, "a newer word stands, or the grant names no such evidence", status.grant)
    if entry.payload["entry"] not in status.decided_by:
        return superseded("C4", "it acknowledges what has not the last word any more", *status.decided_by)
    device = party[1] != 0
    if any(index < reach(feed) for feed, index in places if not device or feed == entry.kid):
        return counts("C4", "a party to the consent has seen the decision that stands", entry.id)
    return void("C4", "the feed that it stands in does not count that far")


def explain_reminder(entry: Entry, counting: Sequence[bytes] | None) -> Account:
    """Say what became of a sound reminder. `counting`: those of its request that count, None: it is not held."""
    if counting is None:
        return waits("C11", "the request that it names is not held", entry.payload["request"])
    if entry.id in counting:
        return counts("C11", "whoever asked reminds of a request that is open", entry.id)
    told = f"not by who asked, not while the request was open, or one more than {REMINDERS_MAX}"
    return void("C11", told, *counting)


_CONTESTED: Final = "none decides on it now; each that ever had it may withdraw it, and it can be given anew"
_RULES: Final = {
    "consent.revoke": "C3",
    "consent.sign": "C5",
    "consent.amend": "C6",
    "consent.rekey": "C7",
    "consent.evidence": "C8",
}


def explain_delegation(entry: Entry, told: Delegation | None) -> Account:
    """Say what became of a sound entry about a delegation. `told`: what the ledger says of it, None for nothing."""
    if entry.kind == "delegation.revoke":
        return counts("C9", "a revocation counts wherever it is found", entry.id)
    if told is None:
        return waits("C9", "no feed that counts that far holds it, or what it has seen is not held here")
    if not told.live:
        return superseded("C9", "it was revoked", *told.decided_by)
    return counts(
        "C9", "who gave it lets the delegate consent for her; a link above may have ended all the same", entry.id
    )


def explain_group(entry: Entry, outcome: Outcome | None, *, within: bool) -> Account:
    """Say what became of a sound entry of a group. `outcome`: of the call it is or names, if it is one of a call.

    `within`: whether it stands in a feed that counts that far.
    """
    if entry.kind == "group.refuse":
        return counts("C10", "a refusal counts wherever it is found, for the one who refuses", entry.id)
    if not within:
        return void("C10", "the feed that it stands in does not count that far")
    if entry.kind in {"group.open", "group.admit"}:
        if entry.kid == entry.thing[1]:
            return counts("C10", "the group's own key says so; of several ways to decide the oldest stands", entry.id)
        return void("C10", "it is not signed by the group's own key")
    if outcome is None:
        return waits("C10", "the call, or how its group decides, is not held or does not count")
    if entry.kind == "group.vote" and entry.id not in {*outcome.yes, *outcome.no, *outcome.abstain}:
        return void("C10", "not by a member's key, not the key's oldest vote, or not cast while the call was open")
    if entry.kind == "group.vote":
        return counts("C10", "a member of the group votes", entry.id)
    if outcome.passed:
        return counts("C10", "the votes that are held pass it, once it has closed", *outcome.yes[:WHY_MAX])
    return waits("C10", "the votes that are held do not pass it; it lacks: " + ", ".join(outcome.missing))
