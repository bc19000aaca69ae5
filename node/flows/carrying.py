"""Carries out the calls of groups by themselves, once they are over and have passed (consent.md §2).

How it works
    Whoever calls keeps the call (`node.vaults.calls`). When it is over, and each hour after that, each member who has
    not refused gets her consent signed (living.carry), once: votes that were registered in time may reach this node
    late, and so may a member's bounds. After AFTER_DAYS, or with the end of what was asked, it is given up.

What it does not do
    It signs nothing that `group carry` would not: a call that has not passed is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.errors import LocalError
from ledger.schema import DAY
from node.flows.living import Living
from node.vaults.calls import CallRows

if TYPE_CHECKING:
    from node.core import Turn

TIMER: Final = "data:calls"
AGAIN_SECONDS: Final = 3_600
AFTER_DAYS: Final = 30
"""Days after its close for which a call is looked at again."""


class Carrying:
    """See the module. One for each mesh."""

    def __init__(self, rows: CallRows, life: Living) -> None:
        self._rows, self._life = rows, life

    def plan(self, turn: Turn) -> None:
        """Ask for a timer at the next moment at which a call may be carried out."""
        due = [self._due(turn, row.call) for row in self._rows.listing(turn.vault)]
        if due:
            turn.timer(TIMER, min(due) * 1_000)

    def _due(self, turn: Turn, call: bytes) -> int:
        entry = turn.core.replica.entry(turn.rows, call)
        closes = entry.payload["closes"] + 1 if entry is not None else 0
        return max(closes, turn.now + AGAIN_SECONDS) if closes <= turn.now else closes

    def carry(self, turn: Turn) -> int:
        """Carry out what is over and has passed; return how many consents were signed."""
        made = 0
        for row in list(self._rows.listing(turn.vault)):
            call = turn.core.replica.entry(turn.rows, row.call)
            ends = min(call.payload["valid_until"], call.payload["closes"] + AFTER_DAYS * DAY) if call else 0
            if call is None or turn.now > ends:
                self._rows.drop(turn.vault, row.call)
            elif turn.now > call.payload["closes"]:
                try:
                    signed = self._life.carry(turn, row.wallet, call, row.holder)
                except LocalError as error:  # it has not passed, or its wallet or content is here no more
                    turn.note("CALL_NOT_CARRIED", call=row.call.hex(), code=error.code)
                else:
                    made += len(signed)
                    if signed:
                        turn.note("CALL_CARRIED", call=row.call.hex(), consents=len(signed))
        return made
