"""The register of points at the gate: whose data they are, asked for each flow of a point that is registered.

How it works
    `entitled` is what the gate's context is given: it turns the keys that signed a consent into persons and asks the
    point's register for which times of data they may speak. A key is known as someone's when a wallet kept here signed
    with it (`entries`, or `know` for what it signed before), or when the operator linked it, after an identity or a
    paper was checked. A point that is not registered is nobody's business here: the gate goes on without.

What it does not do
    Only a holder knows who lives behind its points: a recipient has no register, and asks none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ledger.consent.flow import Entitled
from ledger.consent.record import Window
from ledger.entry import Entry
from node.vaults.consents import ConsentRows
from node.vaults.points import PointRows
from node.vaults.wallets import WalletRows

if TYPE_CHECKING:
    from node.core import Turn


class Points:
    """See the module. One for each mesh."""

    def __init__(self, rows: PointRows, wallets: WalletRows, consents: ConsentRows) -> None:
        self.rows, self._wallets, self._consents = rows, wallets, consents

    def entitled(self, turn: Turn) -> Entitled:
        """Return what the gate asks in this turn."""

        def windows(signers: tuple[bytes, ...], point: str) -> tuple[Window, ...] | None:
            register = self.rows.get(turn.vault, point)
            if register is None:
                return None
            return register.windows({self.rows.person_of(turn.vault, kid) for kid in signers} - {""})

        return windows

    def entries(self, turn: Turn, entries: Sequence[Entry]) -> None:
        """Remember whose key signed a grant that came from a wallet kept here."""
        for entry in entries:
            if entry.kind == "consent.grant":
                wallet = self._consents.wallet_of(turn.vault, entry.id)
                if wallet:
                    self.rows.link(turn.vault, entry.kid, wallet)

    def know(self, turn: Turn, wallet: str) -> int:
        """Remember every key with which a wallet kept here has signed; return how many. Raises LocalError NOT_FOUND."""
        hosted = self._wallets.get(turn.vault, wallet)
        for own in hosted.wallet.consents:
            self.rows.link(turn.vault, hosted.wallet.consent_key(own.record_id).kid, wallet)
        return len(hosted.wallet.consents)
