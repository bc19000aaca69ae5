"""Why an entry about a consent counts or not: the rule of `status` by number, and the entries that decided.

How it works
    The status of the consent is derived as ever; what became of one entry about it is read off it.

What it does not do
    It opens no disclosure, and says nothing of the gate, which looks at the clock and at members as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.consent.status import Party, Place, State, Status
from ledger.entry import Entry
from ledger.verdict import Account, counts, superseded, void, waits

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
        return waits("C5", "it needs others to sign, and no kind of entry by which they could is known yet", entry.id)
    return counts("C1", "the person consents", *status.decided_by)


def _party_said(
    entry: Entry,
    places: Sequence[Place],
    status: Status | None,
    reach: Callable[[bytes], int],
    party_of: Callable[[bytes], Party],
) -> Account:
    rule = "C3" if entry.kind == "consent.revoke" else "C4"
    if status is None:
        return waits(rule, "the grant that it names is not held, or does not count", entry.payload["grant"])
    if party_of(entry.kid) not in (status.holder, status.recipient):
        return void(rule, "its signer is neither the holder nor the recipient whom the grant names", status.grant)
    if entry.kind == "consent.revoke":
        if status.state is State.WITHDRAWN:
            return superseded("C2", "the person has withdrawn it herself", *status.decided_by)
        return counts("C3", "a party to the consent ends it", entry.id)
    if entry.payload["entry"] not in status.decided_by:
        return superseded("C4", "it acknowledges what has not the last word any more", *status.decided_by)
    device = party_of(entry.kid)[1] != 0
    if any(index < reach(feed) for feed, index in places if not device or feed == entry.kid):
        return counts("C4", "a party to the consent has seen the decision that stands", entry.id)
    return void("C4", "the feed that it stands in does not count that far")
