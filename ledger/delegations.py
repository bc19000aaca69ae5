"""What the ledger says of delegations, remembered while nothing that it follows from has moved.

How it works
    `Delegations.now` derives the standing of one (consent.delegation) from the facts that name it, and keeps it.
    Whoever holds the ledger clears the memory when membership moves, and forgets a delegation that an entry names.

What it does not do
    A standing that waits for heads which are not held here is not kept: any batch may complete it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ledger.consent.delegation import Delegation, resolve
from ledger.consent.status import Place
from ledger.entry import Entry
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
        members = held.members

        def counts(entry: Entry, places: Sequence[Place]) -> bool:
            inside = any(index < members.reach(feed) for feed, index in places)
            return inside and held.resolves(rows, entry, held.size, members.forks, missing)

        give = held.entry(rows, ident)
        found = None
        if give is not None and give.kind == "delegation.give":
            facts = facts_of(rows, ident, held.by_number, held.size)
            found = resolve(give, facts, members.reach, members.party_of, counts)
        if not missing:
            if len(self._kept) >= CACHE_MAX:
                self._kept.pop(next(iter(self._kept)))
            self._kept[ident] = found
        return found
