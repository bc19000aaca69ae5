"""Requests for rights and their answers, with what they say, in the vault's table `receipts`.

| key | value |
|---|---|
| "q", entry id (32) | [1, wallet, salt, details]: a request made or received here |
| "n", entry id | the same of an answer; wallet is "" |

How it works
    On the ledger stands who asks whom for which right under which consent, and a salted digest; here is the rest.

What it does not do
    It knows no deadline (ledger.consent.rights) and signs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.rights import Details
from ledger.rows import Reader, Writer, prefix_stop

TABLE: Final = "receipts"
REQUEST: Final = b"q"
ANSWER: Final = b"n"
_ROW_MAX: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class RightsRow:
    """The sealed half of a request or an answer. `wallet`: kept here, that asked; "" when it came from elsewhere."""

    role: bytes
    entry: bytes
    wallet: str
    details: Details

    def encode(self) -> bytes:
        """Return the row."""
        return codec.encode([1, self.wallet, self.details.salt, self.details.value()])

    @classmethod
    def decode(cls, key: bytes, data: bytes) -> RightsRow:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data, max_bytes=_ROW_MAX)
        _, wallet, salt, value = fields
        return cls(key[:1], key[1:], wallet, Details.read(salt, value))


class RightsRows:
    """The rows of this module."""

    def get(self, vault: Reader, role: bytes, entry: bytes) -> RightsRow | None:
        """Return the sealed half of a request or an answer, or None."""
        found = vault.get(TABLE, role + entry)
        return RightsRow.decode(role + entry, found) if found is not None else None

    def put(self, vault: Writer, row: RightsRow) -> None:
        """Keep a row."""
        vault.put(TABLE, row.role + row.entry, row.encode())

    def requests(self, vault: Reader) -> Iterator[RightsRow]:
        """Yield the requests made or received here, by entry id."""
        return (RightsRow.decode(key, value) for key, value in vault.scan(TABLE, REQUEST, prefix_stop(REQUEST)))
