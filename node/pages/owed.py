"""What a person asked for by right, and how each request stands: who owes her an answer, and who is late.

How it works
    The requests of her wallet, as node.flows.rights knows them, in the words of a page.

What it does not do
    It asks for nothing (`rights` does).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.consent.rights import Correction
from ledger.consent.status import Party
from node.naming import member_name

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows
    from node.flows.rights import Asked


@dataclass(frozen=True, slots=True)
class RightShown:
    """One request. `answered`: when its answer was signed, 0: not yet; `answer`: its words, as far as they came."""

    id: str
    right: str
    to: str
    consent: str
    asked: int
    due: int
    state: str
    late: bool
    text: str
    corrections: tuple[Correction, ...]
    answer: str
    answered: int
    entry: str

    @property
    def open(self) -> bool:
        """Whether an answer is still owed."""
        return self.state in ("open", "extended")


def requests_of(turn: Turn, flows: Flows, wallet: str) -> list[RightShown]:
    """Return what a wallet asked for: what is owed first, then the newest."""
    own = (_shown(turn, flows, one) for one in flows.rights.listing(turn) if one.row.wallet == wallet)
    return sorted(own, key=lambda one: (not one.open, one.due if one.open else -one.asked, one.id))


def _shown(turn: Turn, flows: Flows, one: Asked) -> RightShown:
    stands = one.standing
    answer = turn.core.replica.entry(turn.rows, stands.answer) if stands.answer is not None else None
    return RightShown(
        one.entry.id.hex(),
        one.entry.payload["right"],
        _name(turn, flows, one.to),
        one.entry.payload["grant"].hex(),
        one.asked,
        stands.due,
        stands.state,
        stands.late,
        one.row.details.text,
        one.row.details.corrections,
        one.answer.details.text if one.answer is not None else "",
        answer.iat if answer is not None else 0,
        answer.id.hex() if answer is not None else "",
    )


def _name(turn: Turn, flows: Flows, party: Party) -> str:
    return flows.tenants.name_of(party[0]) or member_name(turn.core.replica.members, party)
