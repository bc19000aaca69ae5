"""Erasures: what was received under a consent and is destroyed, in the vault's table `receipts`.

| key | value |
|---|---|
| "e", grant (32), party (36) | `Erasure`: who destroyed what, when, and the salt of the digest on the ledger |

How it works
    The row is what the party said, in full; the ledger has its salted digest alone (`erasure.state`), made as a slot's
    digest is: a count in clear would tell the granularity. The row holds no reading, no point and no period.

What it does not do
    It destroys nothing (node.flows.erasing), and cannot show that no copy was kept elsewhere: nothing can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.disclosure import slot_digest
from ledger.governance.members import Party
from ledger.rows import Reader, Writer, prefix_stop

TABLE: Final = "receipts"
_ERASURE: Final = b"e"
_INCARNATION_BYTES: Final = 4
_NAME: Final = "erasure.state"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What one party destroyed of what it received under one consent. `at`: unix seconds.

    `transfers`, `packs`, `records`: how many. `content`: whether the content of the consent itself went too.
    `entry`: the statement on the ledger; b"" while the work goes on.
    """

    grant: bytes
    party: Party
    at: int
    transfers: int
    packs: int
    records: int
    content: bool
    salt: bytes
    entry: bytes = b""

    def account(self) -> list[Any]:
        """Return what the digest is about."""
        return [self.grant, list(self.party), self.at, self.transfers, self.packs, self.records, self.content]

    def digest(self) -> bytes:
        """Return the salted digest that stands on the ledger."""
        return slot_digest(self.salt, self.account(), _NAME)

    def encode(self) -> bytes:
        """Return the row."""
        return codec.encode([1, *self.account(), self.salt, self.entry])

    @classmethod
    def decode(cls, data: bytes) -> Erasure:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data)
        _, grant, party, *rest = fields
        return cls(grant, (party[0], party[1]), *rest)


class ErasureRows:
    """The rows of this module."""

    def get(self, vault: Reader, grant: bytes, party: Party) -> Erasure | None:
        """Return what a party destroyed under a grant, or None."""
        found = vault.get(TABLE, _key(grant, party))
        return Erasure.decode(found) if found is not None else None

    def content_gone(self, vault: Reader, grant: bytes) -> bool:
        """Say whether a party here destroyed what a consent itself says."""
        prefix = _ERASURE + grant
        found = (Erasure.decode(value) for _, value in vault.scan(TABLE, prefix, prefix_stop(prefix)))
        return any(row.content and row.entry for row in found)

    def put(self, vault: Writer, row: Erasure) -> None:
        """Keep a row."""
        vault.put(TABLE, _key(row.grant, row.party), row.encode())

    def listing(self, vault: Reader) -> Iterator[Erasure]:
        """Yield every row, by grant."""
        return (Erasure.decode(value) for _, value in vault.scan(TABLE, _ERASURE, prefix_stop(_ERASURE)))


def _key(grant: bytes, party: Party) -> bytes:
    return _ERASURE + grant + party[0] + party[1].to_bytes(_INCARNATION_BYTES, "big")
