"""What a group's call is worth to a consent that was given under it, as the ledger stands now.

How it works
    The gate asks of each link that is a call: is it over, did it pass, and did this person refuse for herself? What the
    votes came to is remembered while nothing was added to the ledger.

What it does not do
    It decides nothing about votes: ledger.consent.group does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.consent.reasons import Reason
from ledger.consent.scope import STANDS, Link, Standing
from ledger.governance.members import Members
from ledger.groups import Called, called, refusals

if TYPE_CHECKING:
    from node.core import Turn

CALLS_MAX: Final = 1_000
"""Calls remembered."""


class Calling:
    """See the module. One for each mesh."""

    def __init__(self) -> None:
        self._size = -1
        self._members: Members | None = None
        self._kept: dict[bytes, Called | None] = {}

    def stands(self, turn: Turn, link: Link) -> Standing | None:
        """Return what the ledger says of a call; None, which denies, where it says nothing."""
        replica = turn.core.replica
        found = self._called(turn, link.entry)
        delegation = replica.entry(turn.rows, link.under) if link.under is not None else None
        if found is None or delegation is None:
            return None
        left = refusals(replica, turn.rows, found.call, delegation)
        if left:
            return Standing(Reason.CALL_REFUSED, left)
        if turn.now <= found.call.payload["closes"]:
            return Standing(Reason.CALL_OPEN)
        return STANDS if found.outcome.passed else Standing(Reason.CALL_NOT_PASSED)

    def _called(self, turn: Turn, call: bytes) -> Called | None:
        replica = turn.core.replica
        size = sum(map(replica.size, replica.by_number))
        if size != self._size or self._members is not replica.members or len(self._kept) >= CALLS_MAX:
            self._size, self._members = size, replica.members
            self._kept.clear()
        if call not in self._kept:
            self._kept[call] = called(replica, turn.rows, call)
        return self._kept[call]
