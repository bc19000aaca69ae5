"""Groups and their calls as one node's ledger holds them: finds the entries and their places for `consent.group`.

How it works
    What belongs to a group is found by its kid, what was said of a call by the call's id (index). A permissive entry
    counts within the reach of a feed, and no earlier than all below it in that feed; of several places the earliest
    counts. Refusals and revocations count wherever they are.

What it does not do
    It keeps nothing: the one who asks often does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.consent.group import Outcome, Placed, Rules, members_of, outcome, refused, rules_of
from ledger.consent.status import Fact
from ledger.entry import Entry
from ledger.held import Held
from ledger.index import facts_of, resting_on
from ledger.rows import Reader


@dataclass(frozen=True, slots=True)
class Called:
    """A call as the ledger has it: its group's rules, who may vote (by kid), and what the votes come to so far."""

    call: Entry
    rules: Rules
    members: dict[bytes, Entry]
    outcome: Outcome


def group_rules(held: Held, rows: Reader, group: bytes) -> Rules | None:
    """Return how a group decides, by its kid; None while the ledger does not say."""
    return rules_of(group, _placed(held, rows, _of_group(held, rows, group), "group.open"))


def group_members(held: Held, rows: Reader, group: bytes, at: int) -> dict[bytes, Entry]:
    """Return the delegations that make members of a group at a time, by the kid of who gave them."""
    facts = _of_group(held, rows, group)
    joined = list(_placed(held, rows, facts, "delegation.give"))
    revoked = (
        entry
        for each in joined
        for entry in _entries(held, rows, facts_of(rows, each.entry.id, held.by_number, held.size), "delegation.revoke")
    )
    return members_of(group, joined, _placed(held, rows, facts, "group.admit"), revoked, at)


def asking(held: Held, rows: Reader, group: bytes) -> list[bytes]:
    """Return the ids of the delegations that would make members of a group, admitted or not."""
    facts = _of_group(held, rows, group)
    return sorted({fact.row.entry_id for fact in facts if fact.row.kind == "delegation.give"})


def calls_of(held: Held, rows: Reader, group: bytes) -> list[Entry]:
    """Return the calls of a group by its own key, oldest first."""
    found = (each.entry for each in _placed(held, rows, _of_group(held, rows, group), "group.call"))
    return sorted({entry.id: entry for entry in found if entry.kid == group}.values(), key=lambda e: (e.iat, e.id))


def called(held: Held, rows: Reader, call_id: bytes) -> Called | None:
    """Return what the ledger says of a call; None while it, or the rules of its group, are not held or do not count."""
    facts = facts_of(rows, call_id, held.by_number, held.size)
    call = next((each.entry for each in _placed(held, rows, facts, "group.call")), None)
    if call is None or call.kid != call.thing[1]:
        return None
    rules = group_rules(held, rows, call.kid)
    if rules is None:
        return None
    members = group_members(held, rows, call.kid, call.payload["opens"])
    votes = _placed(held, rows, facts, "group.vote")
    return Called(call, rules, members, outcome(call, rules, members, votes))


def refusals(held: Held, rows: Reader, call: Entry, delegation: Entry) -> tuple[bytes, ...]:
    """Return the refusals of a call by who gave this delegation."""
    facts = facts_of(rows, call.id, held.by_number, held.size)
    return refused(call, delegation, _entries(held, rows, facts, "group.refuse"))


def _of_group(held: Held, rows: Reader, group: bytes) -> tuple[Fact, ...]:
    return resting_on(rows, group, held.by_number, held.size)


def _entries(held: Held, rows: Reader, facts: Iterable[Fact], kind: str) -> Iterator[Entry]:
    for fact in facts:
        entry = held.entry(rows, fact.row.entry_id) if fact.row.kind == kind else None
        if entry is not None:
            yield entry


def _placed(held: Held, rows: Reader, facts: Iterable[Fact], kind: str) -> Iterator[Placed]:
    reach = held.members.reach
    for fact in facts:
        if fact.row.kind == kind:
            places = [(feed, index) for feed, index in fact.places if index < reach(feed)]
            entry = held.entry(rows, fact.row.entry_id) if places else None
            if entry is not None:
                yield Placed(entry, min(held.leaf(rows, feed, index).iat_max for feed, index in places))
