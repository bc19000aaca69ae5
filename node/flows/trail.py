"""Who received what, when, under which consent: the person's view of what became of her data (consent.md §4).

How it works
    `Stated.uses_of` reads what a holder has stated on the ledger of transfers under one consent, by the index's rows
    `RECEIPT`; leaves read lately are remembered, since one leaf states a day's transfers under many grants. `trail`
    goes through consents and all that were passed on from them, and puts beside each transfer what this node's own
    accounts tell of it; what has passed and is not stated yet is told from the accounts alone.

What it does not do
    It believes no receipt but that of the holder whom the consent names. How much passed is known only where an account
    of it is: on the ledger stands a salted digest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.consent.status import Party
from ledger.entry import Entry
from ledger.rows import prefix_stop
from ledger.tables import RECEIPT, read_position
from node.flows.disclosing import parties_of
from node.flows.passing import descendants
from node.vaults.receipts import HOLDER, RECIPIENT, Receipt, ReceiptRows

if TYPE_CHECKING:
    from node.core import Turn

STATED_MAX: Final = 1_000
"""Leaves with receipts that are remembered, of up to 256 transfers each."""


@dataclass(frozen=True, slots=True)
class Use:
    """One transfer under a consent, as its holder states it. `at`: the date of the statement, unix seconds."""

    at: int
    transfer: bytes
    signer: bytes


@dataclass(slots=True)
class Stated:
    """What holders have stated. See the module; one for each mesh."""

    _known: dict[bytes, dict[bytes, list[Use]]] = field(default_factory=dict)
    """Place of a leaf -> grant -> transfers stated there."""

    def uses_of(self, turn: Turn, grant: bytes, holder: Party) -> list[Use]:
        """Return what the holder states of a consent's use, oldest first, each transfer once."""
        party_of, prefix = turn.core.replica.members.party_of, RECEIPT + grant
        stated = [
            use
            for key, _ in turn.rows.scan("things", prefix, prefix_stop(prefix))
            for use in self._at(turn, key[len(prefix) :]).get(grant, ())
        ]
        found: dict[bytes, Use] = {}
        for use in sorted(stated, key=lambda one: (one.at, one.transfer)):
            if party_of(use.signer) == holder:
                found.setdefault(use.transfer, use)
        return list(found.values())

    def _at(self, turn: Turn, place: bytes) -> dict[bytes, list[Use]]:
        """Return what a leaf with receipts states, by grant."""
        known = self._known.get(place)
        if known is None:
            number, index = read_position(place)
            entry = turn.core.replica.leaf_entry(turn.rows, turn.core.replica.feed_of(number), index)
            known = {}
            for transfer, grant, *_ in entry.payload["receipts"]:
                known.setdefault(grant, []).append(Use(entry.iat, transfer, entry.kid))
            if len(self._known) >= STATED_MAX:
                del self._known[next(iter(self._known))]
            self._known[place] = known
        return known


@dataclass(frozen=True, slots=True)
class Passed:
    """One transfer of a person's data. `grant`: the consent it rests on, her own or one that passes on from it.

    `at`: when it ended, as an account here says, else when it was stated; unix seconds. `account`: this node's, or
    None. `stated`: whether its holder has said so on the ledger.
    """

    at: int
    grant: Entry
    transfer: bytes
    account: Receipt | None
    stated: bool

    @property
    def parties(self) -> tuple[Party, Party | None]:
        """Holder and recipient; None for one of a class, where no account tells which."""
        if self.account is not None:
            return self.account.holder, self.account.recipient
        return parties_of(self.grant)


def trail(turn: Turn, stated: Stated, receipts: ReceiptRows, grants: Iterable[Entry]) -> list[Passed]:
    """Return what passed under these consents, and under all that pass on from them, the oldest first."""
    accounts: dict[bytes, dict[bytes, Receipt]] = defaultdict(dict)
    for role in (RECIPIENT, HOLDER):  # where both ends are here, the holder's is told
        for account in receipts.listing(turn.vault, role):
            if account.tally.count:
                accounts[account.grant][account.transfer] = account
    found: dict[bytes, Passed] = {}
    for own in grants:
        for grant in (own, *descendants(turn, own.id)):
            known = accounts.get(grant.id, {})
            for use in stated.uses_of(turn, grant.id, parties_of(grant)[0]):
                held = known.get(use.transfer)
                at = use.at if held is None else held.ended
                found.setdefault(use.transfer, Passed(at, grant, use.transfer, held, stated=True))
            for transfer, held in known.items():
                found.setdefault(transfer, Passed(held.ended, grant, transfer, held, stated=False))
    return sorted(found.values(), key=lambda one: (one.at, one.transfer))
