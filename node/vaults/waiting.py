"""Grants that were signed and wait to be published, and when each wallet last acted: in the vault's table `wallets`.

| key | value |
|---|---|
| "q", entry id | [1, grant, wallet's name, when it is due (unix milliseconds)] |
| "a", blind(wallet's name) | [1, when the wallet last acted (unix milliseconds)] |

How it works
    What a waiting grant says stands in `disclosures` from the beginning, as WAITING, which no index of the gate names.

What it does not do
    It draws no times and publishes nothing (node.flows.spreading).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.entry import Entry
from ledger.rows import Reader, Writer, prefix_stop
from node.vaults import Blind

TABLE: Final = "wallets"
WAITING: Final = "waiting"
"""What a grant that waits is kept as (node.vaults.consents.ConsentRow.kind)."""
_WAIT, _ACTED = b"q", b"a"
_ROW_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Waiting:
    """A grant of a wallet kept here that waits. `due_ms`: when it is to be published, unix milliseconds."""

    grant: Entry
    wallet: str
    due_ms: int

    @property
    def by(self) -> int:
        """By when it will be published, unix seconds: the end of the minute in which it is due."""
        return (self.due_ms // 60_000 + 1) * 60


class WaitingRows:
    """The rows of this module. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

    def put(self, vault: Writer, row: Waiting) -> None:
        """Keep a grant until it is published, or until another time than before."""
        vault.put(TABLE, _WAIT + row.grant.id, codec.encode([1, row.grant.raw, row.wallet, row.due_ms]))

    def get(self, vault: Reader, grant: bytes) -> Waiting | None:
        """Return a grant that waits, by its id, or None."""
        found = vault.get(TABLE, _WAIT + grant)
        return None if found is None else _read(grant, found)

    def forget(self, vault: Writer, grant: bytes) -> None:
        """Forget that a grant waits."""
        vault.delete(TABLE, _WAIT + grant)

    def act(self, vault: Writer, wallet: str, now_ms: int) -> None:
        """Remember when a wallet acted."""
        vault.put(TABLE, self._acted(wallet), codec.encode([1, now_ms]))

    def acted(self, vault: Reader, wallet: str) -> int:
        """Return when a wallet last acted, unix milliseconds; 0 for never, as far as is known."""
        found = vault.get(TABLE, self._acted(wallet))
        fields: Any = codec.decode(found) if found is not None else (1, 0)
        return int(fields[1])

    def _acted(self, wallet: str) -> bytes:
        return _ACTED + self._blind(b"acted" + wallet.encode())


def waiting_grants(vault: Reader, prefix: bytes = b"") -> list[Waiting]:
    """Return the grants that wait and whose ids begin so, by id."""
    prefix = _WAIT + prefix
    return [_read(key[1:], value) for key, value in vault.scan(TABLE, prefix, prefix_stop(prefix))]


def _read(grant: bytes, data: bytes) -> Waiting:
    fields: Any = codec.decode(data, max_bytes=_ROW_MAX)
    _, raw, wallet, due_ms = fields
    return Waiting(Entry.kept(raw, grant), wallet, due_ms)
