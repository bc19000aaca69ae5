"""What the ledger says of delegations, remembered while nothing that it follows from has moved.

How it works
    `Delegations.now` derives the standing of one (consent.delegation) from the facts that name it, and keeps it;
    `delegation_below` does so for a frontier, keeping nothing. Whoever holds the ledger clears the memory when
    membership moves, and forgets a delegation that an entry names.

What it does not do
    A standing that waits for heads which are not held here is not kept: any batch may complete it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ledger.consent.delegation import Delegation, resolve
from ledger.consent.standing import carried_delegation
from ledger.consent.status import Fact, Place
from ledger.entry import Entry
from ledger.governance.members import Members
from ledger.index import facts_of
from ledger.rows import Reader

if TYPE_CHECKING:
    from ledger.held import Held

CACHE_MAX: Final = 100_000


class Delegations:
    """See the module."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Delegation | None] = {}

    def clear(self) -> None:
        """Membership has moved, or the ledger was read anew: remember nothing."""
        self._kept.clear()

    def forget(self, ident: bytes) -> None:
        """An entry came that names this delegation."""
        self._kept.pop(ident, None)

    def now(self, held: Held, rows: Reader, ident: bytes) -> Delegation | None:
        """Return what the ledger says of a delegation, or None when it says nothing."""
        if ident in self._kept:
            return self._kept[ident]
        missing: set[tuple[bytes, int]] = set()
        found = delegation_below(held, rows, ident, held.members, held.size, missing)
        if not missing:
            if len(self._kept) >= CACHE_MAX:
                self._kept.pop(next(iter(self._kept)))
            self._kept[ident] = found
        return found


def delegation_below(
    held: Held,
    rows: Reader,
    ident: bytes,
    members: Members,
    size: Callable[[bytes], int],
    missing: set[tuple[bytes, int]] | None = None,
) -> Delegation | None:
    """Return what the entries below each feed's `size` say of a delegation, `members` being what they fold to."""
    facts = facts_of(rows, ident, held.by_number, size)
    give = _given(held, rows, facts)

    def counts(entry: Entry, places: Sequence[Place]) -> bool:
        inside = any(index < members.reach(feed) for feed, index in places)
        return inside and held.resolves(rows, entry, size, members.forks, missing)

    return None if give is None else resolve(give, facts, members.reach, members.party_of, counts)


def _given(held: Held, rows: Reader, facts: Iterable[Fact]) -> Entry | None:
    """Return the delegation that facts are about, from a leaf of its own or from a revocation that carries it."""
    for fact in facts:
        if fact.row.kind in {"delegation.give", "delegation.revoke"}:
            entry = held.entry(rows, fact.row.entry_id)
            if entry is not None:
                return carried_delegation(entry) if entry.kind == "delegation.revoke" else entry
    return None
