"""The storage that was agreed with a tenant, as data come in for it (R31).

How it works
    The terms of a hosting may name `storage_bytes` (ledger/kinds.py, tenant.host). What counts is the packs that this
    node keeps for the tenant, as they came. They are counted once, then added up; before a pack is refused they are
    counted again, since an erasure may have made room. A pack that does not fit is refused for now, and waits at its
    holder: nothing is lost, and nothing that was kept goes.

What it does not do
    It does not count what the tenant has stated on the ledger: entries are never refused for want of room. How often a
    tenant may speak is held by node/tenants.py; what hosting costs is said in words, and no software collects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.governance.members import Party
from node.vaults.transfers import IncomingRows

if TYPE_CHECKING:
    from node.core import Turn

TENANT_FULL: Final = "TENANT_FULL"
"""The code with which packs are refused while a tenant has used what was agreed."""


class Stored:
    """See the module. One for each mesh."""

    def __init__(self, rows: IncomingRows) -> None:
        self._rows = rows
        self._bytes: dict[Party, int] = {}

    def used(self, turn: Turn, party: Party) -> int:
        """Return how many bytes of packs this node keeps for a party."""
        mine = (row for row in self._rows.listing(turn.vault) if row.wanted.recipient == party)
        return sum(len(pack) for row in mine for pack in self._rows.packs(turn.vault, row.transfer))

    def full(self, turn: Turn, party: Party, more: int) -> bool:
        """Say whether `more` bytes would be more than was agreed with a tenant; False for whoever agreed to nothing."""
        tenancy = turn.core.replica.members.tenants.get(party[0]) if party[1] == 0 else None
        limit = tenancy.terms.get("storage_bytes") if tenancy is not None else None
        if limit is None:
            return False
        if party not in self._bytes or self._bytes[party] + more > limit:
            self._bytes[party] = self.used(turn, party)
        if self._bytes[party] + more > limit:
            return True
        self._bytes[party] += more
        return False
