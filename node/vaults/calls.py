"""Calls of groups whose wallets are kept here, to be carried out when they have passed: rows of the table `wallets`.

| key | value |
|---|---|
| "c", call (32) | [1, the group's wallet, the holder of its members' data] |

How it works
    A row stands from the call on, and goes when there is nothing left to do under it.

What it does not do
    It counts no votes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.governance.members import Party
from ledger.rows import Reader, Writer, prefix_stop
from node.vaults.wallets import TABLE

_CALL: Final = b"c"


@dataclass(frozen=True, slots=True)
class Pending:
    """A call to be carried out. `wallet`: of the group; `holder`: who holds the members' data."""

    call: bytes
    wallet: str
    holder: Party


class CallRows:
    """The rows of this module."""

    def put(self, vault: Writer, row: Pending) -> None:
        """Keep a call."""
        vault.put(TABLE, _CALL + row.call, codec.encode([1, row.wallet, list(row.holder)]))

    def drop(self, vault: Writer, call: bytes) -> None:
        """Forget a call."""
        vault.delete(TABLE, _CALL + call)

    def listing(self, vault: Reader) -> Iterator[Pending]:
        """Yield every call that is to be carried out."""
        for key, value in vault.scan(TABLE, _CALL, prefix_stop(_CALL)):
            fields: Any = codec.decode(value)
            _, wallet, holder = fields
            yield Pending(key[len(_CALL) :], wallet, (holder[0], holder[1]))
