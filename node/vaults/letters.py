"""What goes sealed with an entry and must be kept to open it: identities, facts, shares, records, rights.

| table | key | value |
|---|---|---|
| receipts | "b", entry id (32) | [1, kind, the sealed value, the wallet kept here that said so, or ""] |
| receipts | "B", blind(kind, wallet), entry id | empty: what a wallet kept here said |

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
from node.vaults import Blind

TABLE: Final = "receipts"
_LETTER: Final = b"b"
_WALLET: Final = b"B"
ROW_MAX: Final = 1 << 17


class LetterRows:
    """The rows of this module. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

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
        if wallet:
            vault.put(TABLE, self._of(kind, wallet) + entry, b"\x00")

    def erase(self, vault: Writer, entry: bytes) -> None:
        """Destroy the value that belongs to an entry."""
        found = vault.get(TABLE, _LETTER + entry)
        if found is not None:
            kind, _, wallet = _read(found)
            vault.delete(TABLE, self._of(kind, wallet) + entry)
        vault.delete(TABLE, _LETTER + entry)

    def of_wallet(self, vault: Reader, kind: str, wallet: str) -> list[bytes]:
        """Return the entries of one kind that a wallet kept here made; nobody else's rows are read."""
        prefix = self._of(kind, wallet)
        return [key[len(prefix) :] for key, _ in vault.scan(TABLE, prefix, prefix_stop(prefix))]

    def listing(self, vault: Reader, kind: str) -> Iterator[tuple[bytes, Any]]:
        """Yield (entry, value) of one kind, by entry id."""
        for key, data in vault.scan(TABLE, _LETTER, prefix_stop(_LETTER)):
            of, value, _ = _read(data)
            if of == kind:
                yield key[1:], value

    def _of(self, kind: str, wallet: str) -> bytes:
        return _WALLET + self._blind(b"letter" + codec.encode([kind, wallet]))


def _read(data: bytes) -> tuple[str, Any, str]:
    fields: Any = codec.decode(data, max_bytes=ROW_MAX)
    _, kind, value, *wallet = fields  # rows of the first form have none
    return kind, value, wallet[0] if wallet else ""
