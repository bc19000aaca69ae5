"""Why any entry that is held counts or not: finds its leaves, and asks the rules of its kind.

How it works
    A void leaf is judged again, and so keeps its reason. A sound one is explained by the rules of governance
    (`governance.explain`) or of consents (`consent.explain`); of all other kinds it is said whether the feed they
    stand in counts that far. Of an entry that stands in several places, the place where it counts the most speaks.

What it does not do
    It changes nothing, and reads no personal data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ledger.consent import explain as consents
from ledger.consent.reminding import reminders
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import Registration
from ledger.governance.explain import Ledger, explain
from ledger.groups import called
from ledger.held import Held
from ledger.index import facts_of
from ledger.judge import SOUND, judge
from ledger.kinds import KINDS, is_governance
from ledger.rows import Reader
from ledger.verdict import Account, counts, void, void_leaf, waits
from ledger.view import HeldView


def explain_entry(held: Held, rows: Reader, entry_id: bytes) -> Account:
    """Say what became of an entry, and why. Raises LocalError NO_SUCH_ENTRY where it is not held."""
    places = [(held.feed_of(number), index) for number, index in held.places(rows, entry_id)]
    if not places:
        raise LocalError("NO_SUCH_ENTRY", f"no entry {entry_id.hex()[:16]} is held here")
    accounts, sound = [], []
    for feed, index in places:
        leaf = held.leaf(rows, feed, index)
        if leaf.void:
            accounts.append(_void(held, rows, leaf.raw, feed, index))
        else:
            sound.append(Registration(Entry.kept(leaf.raw, leaf.entry_id), feed, index))
    if sound:
        accounts += _sound(held, rows, sound)
    return max(accounts, key=lambda each: each.rank)


def request_reminders(held: Held, rows: Reader, request: bytes) -> tuple[bytes, ...] | None:
    """Return the reminders of a request that count, the oldest first (C11); None while the request is not held."""
    asked = held.entry(rows, request)
    if asked is None or asked.kind != "consent.request":
        return None
    facts = [fact for fact in facts_of(rows, request, held.by_number, held.size) if fact.row.kind == "consent.remind"]
    within = (fact for fact in facts if any(index < held.members.reach(feed) for feed, index in fact.places))
    said = (held.entry(rows, fact.row.entry_id) for fact in within)
    return reminders(asked, (entry for entry in said if entry is not None), held.members.party_of)


def _void(held: Held, rows: Reader, raw: bytes, feed: bytes, index: int) -> Account:
    """Judge a void leaf again."""
    try:
        entry = Entry.decode(raw)
    except RemoteError as error:
        return void_leaf(error.code, error.message)
    head = held.head_at(rows, feed, index)
    iat_max = held.held_iat(rows, head) if head is not None else None
    code = judge(entry, held.mesh_id, feed, index, head.root if head is not None else b"", iat_max or 0)
    return void_leaf(code) if code != SOUND else void("F0", "it was judged void, by rules that this program has not")


def _sound(held: Held, rows: Reader, places: Sequence[Registration]) -> list[Account]:
    entry, members = places[0].entry, held.members
    if is_governance(entry.kind):
        ledger = Ledger(held.genesis, held.registrations, held.chain, HeldView(held, rows))
        return [explain(ledger, place) for place in places]
    if entry.kind.startswith("consent.") and entry.kind in KINDS:
        if entry.kind == "consent.remind":
            return [consents.explain_reminder(entry, request_reminders(held, rows, entry.payload["request"]))]
        grant = entry.id if entry.kind == "consent.grant" else entry.payload.get("grant", b"")
        status = held.consent(rows, grant) if entry.kind != "consent.withdraw" else None
        where = [(place.feed, place.index) for place in places]
        return [consents.explain(entry, where, status, members.reach, members.party_of)]
    if entry.thing[0] == "delegation" and entry.kind in KINDS:
        ident = entry.id if entry.kind == "delegation.give" else hashlib.sha256(entry.payload["links"][0]).digest()
        return [consents.explain_delegation(entry, held.delegations.now(held, rows, ident))]
    if entry.thing[0] == "group" and entry.kind in KINDS:
        call = entry.payload.get("call", entry.id)
        found = called(held, rows, call) if entry.kind not in {"group.open", "group.admit"} else None
        within = any(place.index < members.reach(place.feed) for place in places)
        return [consents.explain_group(entry, found.outcome if found is not None else None, within=within)]
    if entry.kind not in KINDS:
        return [waits("M8", "this program does not know its kind; it is kept and passed on")]
    if KINDS[entry.kind].restrictive or any(place.index < members.reach(place.feed) for place in places):
        return [counts("M2", "the feed that it stands in counts that far", entry.id)]
    if not any(place.feed in members.devices for place in places):
        return [waits("M1", "no certificate held here says whose device wrote it")]
    return [void("M2", "the feed that it stands in does not count that far")]
