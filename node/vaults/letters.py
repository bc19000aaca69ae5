"""What goes sealed with an entry and must be kept to open it: identities, facts, shares, records, rights.

| table | key | value |
|---|---|---|
| receipts | "b", entry id (32) | [1, kind, the sealed value, the wallet kept here that said so, or ""] |

How it works
    The value is what a salted digest on the ledger was made of, salt included; `node.flows.letters` holds it to the
    entry before it is kept.

What it does not do
    It knows no kind, and keeps nothing that the ledger does not name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ledger import codec
from ledger.rows import Reader, Writer, prefix_stop

TABLE: Final = "receipts"
_LETTER: Final = b"b"
ROW_MAX: Final = 1 << 17


class LetterRows:
    """The rows of this module."""

    def get(self, vault: Reader, entry: bytes) -> Any | None:
        """Return the value that belongs to an entry, or None."""
        found = vault.get(TABLE, _LETTER + entry)
        return None if found is None else _read(found)[1]

    def wallet(self, vault: Reader, entry: bytes) -> str:
        """Return the wallet kept here that made the entry, or ""."""
        found = vault.get(TABLE, _LETTER + entry)
        return "" if found is None else _read(found)[2]

    def put(self, vault: Writer, entry: bytes, kind: str, value: Any, wallet: str = "") -> None:
        """Keep the value that belongs to an entry, and which wallet made it."""
        vault.put(TABLE, _LETTER + entry, codec.encode([1, kind, value, wallet]))

    def erase(self, vault: Writer, entry: bytes) -> None:
        """Destroy the value that belongs to an entry."""
        vault.delete(TABLE, _LETTER + entry)

    def listing(self, vault: Reader, kind: str) -> Iterator[tuple[bytes, Any]]:
        """Yield (entry, value) of one kind, by entry id."""
        for key, data in vault.scan(TABLE, _LETTER, prefix_stop(_LETTER)):
            of, value, _ = _read(data)
            if of == kind:
                yield key[1:], value


def _read(data: bytes) -> tuple[str, Any, str]:
    fields: Any = codec.decode(data, max_bytes=ROW_MAX)
    _, kind, value, *wallet = fields  # rows of the first form have none
    return kind, value, wallet[0] if wallet else ""
