"""Who received what, when, under which consent: the person's view of what became of her data (consent.md §4).

How it works
    `Stated.uses_of` reads what a holder has stated on the ledger of transfers under one consent, by the index's rows
    `RECEIPT`; leaves read lately are remembered, since one leaf states a day's transfers under many grants. `trail`
    goes through consents and all that were passed on from them, and puts beside each transfer what this node's own
    accounts tell of it; what has passed and is not stated yet is told from the accounts alone. What was handed over and
    never acknowledged is told as well: how much of it arrived, nobody here knows. It reads what lies under
    these consents, and nobody else's.

What it does not do
    It believes no receipt but that of the holder whom the consent names. How much passed is known only where an account
    of it is: on the ledger stands a salted digest.
"""

from __future__ import annotations

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
from node.vaults.transfers import IncomingRows

if TYPE_CHECKING:
    from node.core import Turn

STATED_MAX: Final = 1_000
"""Leaves with receipts that are remembered, of up to 256 transfers each."""
WAITING_MAX: Final = 1_000
"""Accounts of one consent that wait for the day's batch and are told: this node's sendings under it since the last."""


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

    def tally(self, turn: Turn, grant: bytes, holder: Party) -> tuple[int, int]:
        """Return how many transfers the holder states under a consent, and when it last did; (0, 0) for none.

        Nothing is parsed: a leaf names a grant, 32 bytes that nobody can guess, once for each transfer. The time is the
        largest in the feed up to that leaf. `uses_of` tells exactly, and leaf by leaf.
        """
        replica, prefix = turn.core.replica, RECEIPT + grant
        if not holder[1]:  # of a service, only its own signature tells
            uses = self.uses_of(turn, grant, holder)
            return len(uses), max((use.at for use in uses), default=0)
        count, last = 0, 0
        for key, _ in turn.rows.scan("things", prefix, prefix_stop(prefix)):
            number, index = read_position(key)
            feed = replica.feed_of(number)
            if replica.members.party_of(feed) == holder:
                leaf = replica.leaf(turn.rows, feed, index)
                count, last = count + leaf.raw.count(grant), max(last, leaf.iat_max)
        return count, last

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
    """One transfer of a person's data. `grant`: the consent it rests on: `own`, or one that passes on from `own`.

    `at`: when it ended, as an account here says, else when it was stated; unix seconds. `account`: this node's, or
    None. `stated`: whether its holder has said so on the ledger.
    """

    at: int
    own: Entry
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


def trail(
    turn: Turn, stated: Stated, receipts: ReceiptRows, incoming: IncomingRows, grants: Iterable[Entry]
) -> list[Passed]:
    """Return what passed under these consents, and under all that pass on from them, the oldest first."""
    found: dict[bytes, Passed] = {}
    for own in grants:
        for grant in (own, *descendants(turn, own.id)):
            waiting = receipts.unstated_of(turn.vault, HOLDER, grant.id, WAITING_MAX)
            sent = {account.transfer: account.ended for account in waiting}
            told = {use.transfer: use.at for use in stated.uses_of(turn, grant.id, parties_of(grant)[0])}
            for transfer in dict.fromkeys([*told, *sent, *incoming.under(turn.vault, grant.id)]):
                held = _account(turn, receipts, transfer)
                known = sent | told  # what was handed over and not acknowledged is told, too
                if held is not None or transfer in known:
                    at = held.ended if held is not None else known[transfer]
                    found.setdefault(transfer, Passed(at, own, grant, transfer, held, transfer in told))
    return sorted(found.values(), key=lambda one: (one.at, one.transfer))


def _account(turn: Turn, receipts: ReceiptRows, transfer: bytes) -> Receipt | None:
    """Return this node's account of a transfer that brought anything; where both ends are here, the holder's."""
    for role in (HOLDER, RECIPIENT):
        account = receipts.get(turn.vault, role, transfer)
        if account is not None and account.tally.count:
            return account
    return None
