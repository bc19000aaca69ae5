"""What must still reach other members, beside readings: sealed disclosures, and entries to be registered widely.

| table | key | value |
|---|---|---|
| outgoing | "d", reader's device (32), entry id (32) | the sealed blob |
| outgoing | "g", entry id | [1, entry, in how many feeds of others it shall stand, devices asked] |

How it works
    A row stays until its reader has answered; then it is forgotten. Both keys hold ids that are on the ledger.

What it does not do
    It sends nothing (node.flows.disclosing, node.flows.registering).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from ledger import codec
from ledger.rows import Reader, Writer, distinct, prefix_stop

TABLE: Final = "outgoing"
_DISCLOSE, _SPREAD = b"d", b"g"
_ROW_MAX: Final = 1 << 18
_ID: Final = 32


@dataclass(frozen=True, slots=True)
class Spread:
    """An entry that other members shall register. `wanted`: how many shall; `asked`: devices that were asked."""

    entry_id: bytes
    raw: bytes
    wanted: int
    asked: tuple[bytes, ...]


class DeliveryRows:
    """The rows of this module."""

    def disclose(self, vault: Writer, reader: bytes, entry_id: bytes, blob: bytes) -> None:
        """Keep a sealed blob until its reader (a device id) has it."""
        vault.put(TABLE, _DISCLOSE + reader + entry_id, blob)

    def disclosed(self, vault: Writer, reader: bytes, entry_id: bytes) -> bool:
        """Forget a blob that its reader has; say whether there was one."""
        key = _DISCLOSE + reader + entry_id
        waited = vault.get(TABLE, key) is not None
        vault.delete(TABLE, key)
        return waited

    def blobs(self, vault: Reader, reader: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return (entry id, blob) of what waits for a reader."""
        prefix = _DISCLOSE + reader
        return [(key[-_ID:], blob) for key, blob in vault.scan(TABLE, prefix, prefix_stop(prefix), limit=limit)]

    def waited_for(self, vault: Reader, limit: int) -> list[bytes]:
        """Return readers for whom anything waits, at most so many."""
        return list(islice(distinct(vault, TABLE, _DISCLOSE, _ID), limit))

    def readers(self, vault: Reader, entry_id: bytes) -> list[bytes]:
        """Return the readers that do not have the content of an entry yet."""
        scan = vault.scan(TABLE, _DISCLOSE, prefix_stop(_DISCLOSE))
        return [key[1 : 1 + _ID] for key, _ in scan if key[-_ID:] == entry_id]

    def drop_of(self, vault: Writer, entries: Collection[bytes]) -> int:
        """Forget the blobs of entries whose content was destroyed; return how many there were."""
        scan = vault.scan(TABLE, _DISCLOSE, prefix_stop(_DISCLOSE))
        gone = [key for key, _ in scan if key[-_ID:] in entries]
        for key in gone:
            vault.delete(TABLE, key)
        return len(gone)

    def spread(self, vault: Writer, row: Spread) -> None:
        """Keep an entry until enough members have registered it."""
        if row.wanted <= 0:
            vault.delete(TABLE, _SPREAD + row.entry_id)
        else:
            value = [1, row.raw, row.wanted, list(row.asked)]
            vault.put(TABLE, _SPREAD + row.entry_id, codec.encode(value))

    def spreading(self, vault: Reader, limit: int) -> list[Spread]:
        """Return the entries that not enough members have registered."""
        found = []
        for key, value in vault.scan(TABLE, _SPREAD, prefix_stop(_SPREAD), limit=limit):
            fields: Any = codec.decode(value, max_bytes=_ROW_MAX)
            _, raw, wanted, asked = fields
            found.append(Spread(key[-_ID:], raw, wanted, tuple(asked)))
        return found
