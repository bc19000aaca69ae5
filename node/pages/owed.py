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
from node.pages.contents import terms_of
from node.pages.naming import names
from node.pages.settings import Language

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


def requests_of(turn: Turn, flows: Flows, wallet: str, lang: Language) -> list[RightShown]:
    """Return what a wallet asked for: what is owed first, then the newest."""
    own = (_shown(turn, flows, one, lang) for one in flows.rights.listing(turn, wallet))
    return sorted(own, key=lambda one: (not one.open, one.due if one.open else -one.asked, one.id))


def _shown(turn: Turn, flows: Flows, one: Asked, lang: Language) -> RightShown:
    stands = one.standing
    answer = turn.core.replica.entry(turn.rows, stands.answer) if stands.answer is not None else None
    return RightShown(
        one.entry.id.hex(),
        one.entry.payload["right"],
        names(turn, lang, terms_of(turn, flows, one.entry.payload["grant"])).of(one.to),
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
