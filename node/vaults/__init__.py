"""What stands in the rows of the vault: one module for each group of tables, and nothing else writes them.

How it works
    Row keys are in clear on the disk, so every key that would name a person, a point or a party is blinded
    (`Blind`, which is `storage.vault.Vault.blind`); ids of entries and of transfers stand as they are, since the
    first are on the ledger and the second are random. Values are sealed by the vault; here they are deterministic
    CBOR (ledger.codec) lists whose layout each module states.

What it does not do
    No transactions, no decisions: rows come with the turn, and the gate stands before whoever calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Blind: TypeAlias = Callable[[bytes], bytes]
"""Name -> 16 bytes that stand for it in a row key."""
