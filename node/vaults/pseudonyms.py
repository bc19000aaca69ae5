"""What recipients call points: a random id for each point and recipient, in the vault's table `pseudonyms`.

| key | value |
|---|---|
| "p", blind(recipient), blind(point) | [1, point, pseudonym (16), when it was drawn] |

How it works
    An id is 16 random bytes, drawn when a point is first named to a recipient and then kept: never a hash of the
    point, since there are few enough points to try them all. Two recipients get two ids, so they cannot join what they
    have by them. The table leads back to the points; it never leaves the vault. `erase` ends it for one recipient:
    from then on nobody can find the point by the id, and the next export draws new ones.

What it does not do
    It makes nothing anonymous: readings are called pseudonymised, and a load curve can be recognised without a table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger import codec
from ledger.governance.members import Party
from ledger.rows import Reader, Writer, prefix_stop
from node.vaults import Blind

TABLE: Final = "pseudonyms"
ID_BYTES: Final = 16
_PSEUDONYM: Final = b"p"


class PseudonymRows:
    """The rows of this module. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

    def _prefix(self, recipient: Party) -> bytes:
        return _PSEUDONYM + self._blind(b"pseudonyms of" + codec.encode(list(recipient)))

    def draw(
        self, vault: Writer, recipient: Party, point: str, random_bytes: Callable[[int], bytes], now: int
    ) -> bytes:
        """Return what a recipient calls a point; drawn and kept when it is the first time."""
        key = self._prefix(recipient) + self._blind(b"pseudonym" + point.encode())
        found = vault.get(TABLE, key)
        if found is not None:
            return _read(found)[1]
        drawn = random_bytes(ID_BYTES)
        vault.put(TABLE, key, codec.encode([1, point, drawn, now]))
        return drawn

    def listing(self, vault: Reader, recipient: Party) -> list[tuple[str, bytes, int]]:
        """Return (point, pseudonym, when it was drawn) of one recipient, by point."""
        prefix = self._prefix(recipient)
        return sorted(_read(value) for _, value in vault.scan(TABLE, prefix, prefix_stop(prefix)))

    def erase(self, vault: Writer, recipient: Party) -> int:
        """Forget what a recipient calls points; return how many there were."""
        prefix = self._prefix(recipient)
        keys = [key for key, _ in vault.scan(TABLE, prefix, prefix_stop(prefix))]
        for key in keys:
            vault.delete(TABLE, key)
        return len(keys)


def _read(data: bytes) -> tuple[str, bytes, int]:
    fields: Any = codec.decode(data)
    _, point, drawn, at = fields
    return point, drawn, at
