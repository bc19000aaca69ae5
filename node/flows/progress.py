"""How a transfer stands, told the same way at both ends: for whoever waits for it, or looks at it later.

How it works
    What is under way is in the rows of transfers; what has ended, in the receipts and in what was received.

What it does not do
    It changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.errors import LocalError
from node.vaults.receipts import HOLDER
from node.vaults.transfers import ASKED, DONE, STOPPED, Tally

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

REFUSED: Final = "refused"
ENDED: Final = frozenset({DONE, STOPPED, REFUSED})


@dataclass(frozen=True, slots=True)
class Progress:
    """How a transfer stands.

    `state`: waiting, sending, stopping, asked or receiving; then done, stopped (after a part) or refused (nothing
    passed). `reason`: a code, "" while nothing is in the way. `tally`: what has passed for good.
    """

    transfer: bytes
    grant: bytes | None
    state: str
    reason: str
    tally: Tally

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED


def sent(flows: Flows, turn: Turn, transfer: bytes) -> Progress:
    """Return how a transfer stands that this node sends. Raises LocalError NOT_FOUND."""
    row = flows.outgoing.get(turn.vault, transfer)
    if row is not None:
        return Progress(transfer, row.grant, row.state, row.reason, row.acked)
    account = flows.receipts.get(turn.vault, HOLDER, transfer)
    if account is None:
        raise LocalError("NOT_FOUND", "no transfer with this id was sent from here", field="transfer")
    return Progress(transfer, account.grant, _ended(account.state, account.tally), account.reason, account.tally)


def received(flows: Flows, turn: Turn, transfer: bytes) -> Progress:
    """Return how a transfer stands that this node receives. Raises LocalError NOT_FOUND."""
    row = flows.incoming.get(turn.vault, transfer)
    if row is None:
        raise LocalError("NOT_FOUND", "no transfer with this id was asked for or received here", field="transfer")
    grant = row.grant or row.wanted.grant
    return Progress(transfer, grant, _ended(row.state, row.tally), row.reason, row.tally)


def _ended(state: str, tally: Tally) -> str:
    return REFUSED if state == STOPPED and not tally.count else state


def waits(progress: Progress) -> bool:
    """Say whether a transfer waits for somebody else, who may be away."""
    return not progress.ended and (progress.state == ASKED or bool(progress.reason))
