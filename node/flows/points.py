"""The register of points at the gate: whose data they are, asked for each flow of a point that is registered.

How it works
    `entitled` is what the gate's context is given: it turns the keys that signed a consent into persons and asks the
    point's register for which times of data they may speak. A key is known as someone's when a wallet kept here signed
    with it (disclosing notes it as the grant goes out, `know` what was signed before), or when the operator linked it,
    after an identity or a paper was checked. A point that is not registered is nobody's business here: the gate goes
    on without.

What it does not do
    Only a holder knows who lives behind its points: a recipient has no register, and asks none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.consent.flow import Entitled
from ledger.consent.record import Window
from node.vaults.points import PointRows
from node.vaults.wallets import WalletRows

if TYPE_CHECKING:
    from node.core import Turn


class Points:
    """See the module. One for each mesh."""

    def __init__(self, rows: PointRows, wallets: WalletRows) -> None:
        self.rows, self._wallets = rows, wallets

    def entitled(self, turn: Turn) -> Entitled:
        """Return what the gate asks in this turn."""

        def windows(signers: tuple[bytes, ...], point: str) -> tuple[Window, ...] | None:
            register = self.rows.get(turn.vault, point)
            if register is None:
                return None
            return register.windows({self.rows.person_of(turn.vault, kid) for kid in signers} - {""})

        return windows

    def know(self, turn: Turn, wallet: str) -> int:
        """Remember every key with which a wallet kept here has signed; return how many. Raises LocalError NOT_FOUND."""
        hosted = self._wallets.get(turn.vault, wallet)
        for own in hosted.wallet.consents:
            self.rows.link(turn.vault, hosted.wallet.consent_key(own.record_id).kid, wallet)
        return len(hosted.wallet.consents)
