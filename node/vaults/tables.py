"""Tables that are handed to other members, and those that were received: rows of the vault's table `releases`.

| key | value |
|---|---|
| "o", transfer (16) | a table on its way out (`Handed`): which release, to whom, how it stands |
| "i", transfer | a table asked for or received (`Handed`), with its bytes and the holder's signature |
| "w", role, root, incarnation (8) | what was kept by that member's wish alone, as bytes (`charge`) |

How it works
    What has ended stays: it is the account of who got what. What has not is sent, or asked for, again. What a member
    began itself is charged to it, since nobody here has asked for it to be kept.

What it does not do
    It judges nothing (node.aggregates.handing).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.governance.members import Party
from ledger.rows import Reader, Writer, prefix_stop
from node.vaults.releases import ROW_BYTES_MAX, TABLE

OUT: Final = b"o"
IN: Final = b"i"
OPEN: Final = "open"
DONE: Final = "done"
REFUSED: Final = "refused"
_WISH: Final = b"w"


@dataclass(frozen=True, slots=True)
class Handed:
    """One handing over. `role`: OUT or IN; `release`: its id, or the beginning that was asked for.

    `state`: OPEN until the other end has answered, else DONE or REFUSED with `reason`. `data`, `signature`: of what
    was received, with `signed_at` of the holder's clock; empty in OUT. `entry`: where this end's record stands.
    `began` is in seconds; `place`, how long our own feed was then, tells which of one second came first.
    """

    role: bytes
    transfer: bytes
    party: Party
    release: bytes
    began: int
    place: int
    state: str
    reason: str = ""
    data: bytes = b""
    signature: bytes = b""
    signed_at: int = 0
    entry: bytes = b""

    @property
    def order(self) -> tuple[int, int, bytes]:
        """Return what sorts the rows of both roles, the oldest first."""
        return self.began, self.place, self.transfer

    def encode(self) -> bytes:
        """Return the row."""
        who = [1, self.role, self.transfer, list(self.party), self.release, self.began, self.place]
        return codec.encode([*who, self.state, self.reason, self.data, self.signature, self.signed_at, self.entry])

    @classmethod
    def decode(cls, data: bytes) -> Handed:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data, max_bytes=ROW_BYTES_MAX)
        _, role, transfer, party, *rest = fields
        return cls(role, transfer, (party[0], party[1]), *rest)


class TableRows:
    """The rows of this module."""

    def get(self, vault: Reader, role: bytes, transfer: bytes) -> Handed | None:
        """Return one handing over, or None."""
        found = vault.get(TABLE, role + transfer)
        return None if found is None else Handed.decode(found)

    def put(self, vault: Writer, row: Handed) -> None:
        """Keep how one stands."""
        vault.put(TABLE, row.role + row.transfer, row.encode())

    def listing(self, vault: Reader, role: bytes) -> Iterator[Handed]:
        """Yield all of one role, by transfer."""
        return (Handed.decode(value) for _, value in vault.scan(TABLE, role, prefix_stop(role)))

    def charged(self, vault: Reader, role: bytes, party: Party) -> int:
        """Return how many bytes one member has been charged with, for what it began itself."""
        found = vault.get(TABLE, _account(role, party))
        return 0 if found is None else int.from_bytes(found, "big")

    def charge(self, vault: Writer, role: bytes, party: Party, size: int) -> None:
        """Add bytes to what a member is charged with."""
        vault.put(TABLE, _account(role, party), (self.charged(vault, role, party) + size).to_bytes(8, "big"))


def _account(role: bytes, party: Party) -> bytes:
    root, incarnation = party
    return _WISH + role + root + incarnation.to_bytes(8, "big")
