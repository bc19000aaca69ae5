"""Groups and their calls as one node's ledger holds them: finds the entries and their places for `consent.group`.

How it works
    What belongs to a group is found by its kid, what was said of a call by the call's id (index). A permissive entry
    counts within the reach of a feed, and no earlier than all below it in that feed; of several places the earliest
    counts. Refusals and revocations count wherever they are. `Below` reads the ledger as it is held, or below the
    frontier of a tick: what a call came to there stands in the committed map.

What it does not do
    It keeps nothing: the one who asks often does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ledger.consent.group import Outcome, Placed, Rules, members_of, outcome, refused, rules_of
from ledger.consent.status import Fact
from ledger.entry import Entry
from ledger.governance.members import Members
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


@dataclass(frozen=True, slots=True)
class Below:
    """The ledger below each feed's `size`, `members` being what it folds to."""

    held: Held
    rows: Reader
    members: Members
    size: Callable[[bytes], int]

    @classmethod
    def now(cls, held: Held, rows: Reader) -> Below:
        """Return all that is held."""
        return cls(held, rows, held.members, held.size)

    def rules(self, group: bytes) -> Rules | None:
        """Return how a group decides, by its kid; None while the ledger does not say."""
        return rules_of(group, self._placed(self._of_group(group), "group.open"))

    def group(self, group: bytes, at: int) -> dict[bytes, Entry]:
        """Return the delegations that make members of a group at a time, by the kid of who gave them."""
        facts = self._of_group(group)
        joined = list(self._placed(facts, "delegation.give"))
        revoked = (entry for each in joined for entry in self._entries(self.facts(each.entry.id), "delegation.revoke"))
        return members_of(group, joined, self._placed(facts, "group.admit"), revoked, at)

    def called(self, call_id: bytes) -> Called | None:
        """Return what is said of a call; None while it, or the rules of its group, are not there or do not count."""
        facts = self.facts(call_id)
        call = next((each.entry for each in self._placed(facts, "group.call")), None)
        if call is None or call.kid != call.thing[1]:
            return None
        rules = self.rules(call.kid)
        if rules is None:
            return None
        members = self.group(call.kid, call.payload["opens"])
        votes = self._placed(facts, "group.vote")
        return Called(call, rules, members, outcome(call, rules, members, votes))

    def calls(self, group: bytes) -> list[Entry]:
        """Return the calls of a group by its own key, oldest first."""
        found = (each.entry for each in self._placed(self._of_group(group), "group.call"))
        return sorted({entry.id: entry for entry in found if entry.kid == group}.values(), key=lambda e: (e.iat, e.id))

    def refusals(self, call: Entry) -> list[Entry]:
        """Return the refusals of a call, by anybody."""
        return list(self._entries(self.facts(call.id), "group.refuse"))

    def committed(self, call_id: bytes) -> bytes | None:
        """Return what the committed map holds of a call; None where nothing is known of it."""
        found = self.called(call_id)
        if found is None:
            return None
        refusals = {(entry.kid, entry.id) for entry in self.refusals(found.call)}
        return found.outcome.committed(found.rules, refusals)

    def facts(self, ident: bytes) -> tuple[Fact, ...]:
        """Return what is said of a delegation or a call."""
        return facts_of(self.rows, ident, self.held.by_number, self.size)

    def _of_group(self, group: bytes) -> tuple[Fact, ...]:
        return resting_on(self.rows, group, self.held.by_number, self.size)

    def _entries(self, facts: Iterable[Fact], kind: str) -> Iterator[Entry]:
        for fact in facts:
            entry = self.held.entry(self.rows, fact.row.entry_id) if fact.row.kind == kind else None
            if entry is not None:
                yield entry

    def _placed(self, facts: Iterable[Fact], kind: str) -> Iterator[Placed]:
        reach = self.members.reach
        for fact in facts:
            if fact.row.kind == kind:
                places = [(feed, index) for feed, index in fact.places if index < reach(feed)]
                entry = self.held.entry(self.rows, fact.row.entry_id) if places else None
                if entry is not None:
                    yield Placed(entry, min(self.held.leaf(self.rows, feed, index).iat_max for feed, index in places))


def group_rules(held: Held, rows: Reader, group: bytes) -> Rules | None:
    """Return how a group decides, by its kid; None while the ledger does not say."""
    return Below.now(held, rows).rules(group)


def group_members(held: Held, rows: Reader, group: bytes, at: int) -> dict[bytes, Entry]:
    """Return the delegations that make members of a group at a time, by the kid of who gave them."""
    return Below.now(held, rows).group(group, at)


def asking(held: Held, rows: Reader, group: bytes) -> list[bytes]:
    """Return the ids of the delegations that would make members of a group, admitted or not."""
    facts = resting_on(rows, group, held.by_number, held.size)
    return sorted({fact.row.entry_id for fact in facts if fact.row.kind == "delegation.give"})


def calls_of(held: Held, rows: Reader, group: bytes) -> list[Entry]:
    """Return the calls of a group by its own key, oldest first."""
    return Below.now(held, rows).calls(group)


def called(held: Held, rows: Reader, call_id: bytes) -> Called | None:
    """Return what the ledger says of a call; None while it, or the rules of its group, are not held or do not count."""
    return Below.now(held, rows).called(call_id)


def refusals(held: Held, rows: Reader, call: Entry, delegation: Entry) -> tuple[bytes, ...]:
    """Return the refusals of a call by who gave this delegation."""
    return refused(call, delegation, Below.now(held, rows).refusals(call))
