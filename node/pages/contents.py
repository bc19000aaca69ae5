"""What a consent says now: its own terms, narrowed by every amendment whose content is here.

How it works
    `terms_now` opens the grant and the amendments that count for it, and takes what all allow
    (ledger.consent.narrowing). Where nothing is left, the terms say that sending is switched off.

What it does not do
    It decides nothing: the gate reads the ledger and the vault itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.consent.narrowing import together
from ledger.consent.record import Terms
from ledger.consent.words import Parties
from node.pages.settings import Language
from node.pages.wording import Facets, facets

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows


def terms_of(turn: Turn, flows: Flows, entry_id: bytes) -> Terms | None:
    """Return the terms of a grant or request whose content is here, else None."""
    row = flows.consents.get(turn.vault, entry_id)
    return None if row is None else row.disclosures.terms()


def terms_now(turn: Turn, flows: Flows, grant: bytes) -> Terms | None:
    """Return what a consent says after all amendments; None where its content is not here."""
    terms = terms_of(turn, flows, grant)
    status = turn.core.replica.consent(turn.rows, grant) if terms is not None else None
    for ident in status.amended if status is not None else ():
        other = terms_of(turn, flows, ident)
        if terms is not None and other is not None:
            terms = together(terms, other)
    return terms


def said_of(turn: Turn, flows: Flows, terms: Terms, parties: tuple[str, str, int], lang: Language) -> Facets:
    """Return terms in pieces. `parties`: names of holder and recipient, and when it ends (unix seconds)."""
    return facets(terms, Parties(*parties, flows.acts.computation_in_words(turn, terms, lang)), lang)
