"""Receipts and refusals: who sent what to whom, under which consent, and what was not let through (`receipts`).

| key | value |
|---|---|
| "r", transfer (16) | the holder's receipt (`Receipt`) |
| "a", transfer | the recipient's acknowledgement (`Receipt`) |
| "l", role (1), transfer | empty: closed, and not stated on the ledger yet |
| "u", role, grant (32), transfer | the same, by the consent it rests on |
| "L", role, transfer | empty: stated, and not found on the ledger since |
| "x", number (8) | a refusal (`Refusal`), the newest REFUSALS_MAX |
| "X" | how many refusals there ever were |

How it works
    The row is written with the first pack and again with each one, so that it is whole after a crash at any moment.
    When the transfer ends it is closed, and waits for the day's batch: the ledger gets a salted digest alone
    (`digest`), made as a slot's digest is, since counts and windows in clear would tell the granularity. The vault is
    durable before the ledger is: after a crash or on a full disk it may say "stated" of what no ledger holds. So what
    was stated is looked for once more before the next batch, and what is not there goes into that one (`confirm`).

What it does not do
    It signs nothing, and shows nothing to peers. Refusals name no point and no person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger import codec
from ledger.consent.disclosure import slot_digest
from ledger.governance.members import Party
from ledger.rows import Reader, Writer, portion, prefix_stop
from node.vaults.transfers import TRANSFER_BYTES, Tally

TABLE: Final = "receipts"
REFUSALS_MAX: Final = 1_000
"""Refusals kept; older ones are only counted."""
PORTION: Final = 512
"""Accounts read before others have their turn."""
HOLDER: Final = b"r"
RECIPIENT: Final = b"a"
_UNSTATED: Final = b"l"
_UNSTATED_OF: Final = b"u"
_UNCONFIRMED: Final = b"L"
_REFUSAL: Final = b"x"
_COUNT: Final = b"X"
_DIGEST_NAME: Final = {HOLDER: "transfer.receipt", RECIPIENT: "transfer.ack"}
_ROW_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Receipt:
    """One end's account of one transfer.

    `role`: HOLDER or RECIPIENT. `frontier`: digest of the newest attested tick it rests on, None if there was none;
    `entries`: what decided the consent's state then. `began`, `ended`: of the first and the last pack, unix seconds.
    `state`: "sending" or "receiving" while open, else "done" or "stopped", with the reason. `stated`: id of the
    entry that put the digest on the ledger.
    """

    role: bytes
    transfer: bytes
    grant: bytes
    holder: Party
    recipient: Party
    frontier: bytes | None
    entries: tuple[bytes, ...]
    tally: Tally
    began: int
    ended: int
    state: str
    reason: str
    salt: bytes
    stated: bytes | None = None

    def account(self) -> list[Any]:
        """Return what the digest is about: all but the state, the salt, and where the digest is stated."""
        who = [self.transfer, self.grant, list(self.holder), list(self.recipient)]
        rests = [self.frontier, list(self.entries)]
        what = [self.tally.chain, self.tally.count, self.tally.gaps, list(self.tally.window)]
        return [*who, *rests, *what, self.began, self.ended]

    def digest(self) -> bytes:
        """Return the salted digest that stands on the ledger."""
        return slot_digest(self.salt, self.account(), _DIGEST_NAME[self.role])

    def encode(self) -> bytes:
        """Return the row."""
        who = [1, self.role, self.transfer, self.grant, list(self.holder), list(self.recipient)]
        what = [self.frontier, list(self.entries), self.tally.value(), self.began, self.ended]
        return codec.encode([*who, *what, self.state, self.reason, self.salt, self.stated])

    @classmethod
    def decode(cls, data: bytes) -> Receipt:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data, max_bytes=_ROW_MAX)
        _, role, transfer, grant, holder, recipient, frontier, entries, tally, *rest = fields
        parties = ((holder[0], holder[1]), (recipient[0], recipient[1]))
        return cls(role, transfer, grant, *parties, frontier, tuple(entries), Tally.read(tally), *rest)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that was not let through. `here`: this node's gate refused it, else the other end's."""

    at: int
    here: bool
    outgoing: bool
    party: Party
    grant: bytes | None
    code: str

    def encode(self) -> bytes:
        """Return the row."""
        return codec.encode([1, self.at, self.here, self.outgoing, list(self.party), self.grant, self.code])

    @classmethod
    def decode(cls, data: bytes) -> Refusal:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data)
        _, at, here, outgoing, party, grant, code = fields
        return cls(at, here, outgoing, (party[0], party[1]), grant, code)


class ReceiptRows:
    """The rows of this module."""

    def get(self, vault: Reader, role: bytes, transfer: bytes) -> Receipt | None:
        """Return one end's account of a transfer, or None."""
        found = vault.get(TABLE, role + transfer)
        return Receipt.decode(found) if found is not None else None

    def put(self, vault: Writer, receipt: Receipt) -> None:
        """Keep an account as it stands."""
        vault.put(TABLE, receipt.role + receipt.transfer, receipt.encode())

    def close(self, vault: Writer, receipt: Receipt) -> None:
        """Keep an account that is final, and queue its digest for the ledger."""
        self.put(vault, receipt)
        vault.put(TABLE, _UNSTATED + receipt.role + receipt.transfer, b"\x00")
        vault.put(TABLE, _of_grant(receipt), b"\x00")

    def listing(self, vault: Reader, role: bytes) -> Iterator[Receipt]:
        """Yield the accounts of one role, by transfer id."""
        return (Receipt.decode(value) for _, value in vault.scan(TABLE, role, prefix_stop(role)))

    def portion(self, vault: Reader, start: bytes, limit: int = PORTION) -> tuple[list[Receipt], bytes]:
        """Return at most `limit` accounts, the recipient's first, and where the next portion begins (b"": the end)."""
        role = HOLDER if start[:1] == HOLDER else RECIPIENT
        found, following = portion(vault, TABLE, role, start, limit)
        return [Receipt.decode(value) for _, value in found], following or (HOLDER if role == RECIPIENT else b"")

    def find(self, vault: Reader, role: bytes, prefix: bytes) -> Receipt | None:
        """Return the first account of a transfer whose id begins so, or None."""
        found = next(vault.scan(TABLE, role + prefix, prefix_stop(role + prefix), limit=1), None)
        return Receipt.decode(found[1]) if found is not None else None

    def unstated(self, vault: Reader, role: bytes, limit: int) -> list[Receipt]:
        """Return closed accounts of one role whose digest is not on the ledger."""
        return self._indexed(vault, role, _UNSTATED + role, limit)

    def unstated_of(self, vault: Reader, role: bytes, grant: bytes, limit: int) -> list[Receipt]:
        """Return closed accounts of one role under one consent whose digest is not on the ledger."""
        return self._indexed(vault, role, _UNSTATED_OF + role + grant, limit)

    def _indexed(self, vault: Reader, role: bytes, prefix: bytes, limit: int) -> list[Receipt]:
        """Return the accounts whose transfers stand at the end of keys with a prefix."""
        keys = [key for key, _ in vault.scan(TABLE, prefix, prefix_stop(prefix), limit=limit)]
        found = (self.get(vault, role, key[-TRANSFER_BYTES:]) for key in keys)
        return [receipt for receipt in found if receipt is not None]

    def stated(self, vault: Writer, receipt: Receipt) -> None:
        """Keep an account whose digest has been stated."""
        self.put(vault, receipt)
        vault.delete(TABLE, _UNSTATED + receipt.role + receipt.transfer)
        vault.delete(TABLE, _of_grant(receipt))
        vault.put(TABLE, _UNCONFIRMED + receipt.role + receipt.transfer, b"\x00")

    def confirm(self, vault: Writer, is_held: Callable[[bytes], bool]) -> None:
        """Queue again what was stated in an entry that the ledger does not hold. `is_held`: by the entry's id."""
        for key in [key for key, _ in vault.scan(TABLE, _UNCONFIRMED, prefix_stop(_UNCONFIRMED))]:
            vault.delete(TABLE, key)
            receipt = self.get(vault, key[1:2], key[2:])
            if receipt is not None and receipt.stated is not None and not is_held(receipt.stated):
                self.close(vault, replace(receipt, stated=None))

    def refuse(self, vault: Writer, refusal: Refusal) -> None:
        """Count a refusal and keep it; the oldest is forgotten."""
        number = self.refusals_ever(vault)
        vault.put(TABLE, _REFUSAL + number.to_bytes(8, "big"), refusal.encode())
        vault.put(TABLE, _COUNT, codec.encode(number + 1))
        if number >= REFUSALS_MAX:
            vault.delete(TABLE, _REFUSAL + (number - REFUSALS_MAX).to_bytes(8, "big"))

    def refusals(self, vault: Reader, limit: int = REFUSALS_MAX) -> list[Refusal]:
        """Return the newest refusals, newest first."""
        scan = vault.scan(TABLE, _REFUSAL, prefix_stop(_REFUSAL), limit=limit, reverse=True)
        return [Refusal.decode(value) for _, value in scan]

    def refusals_ever(self, vault: Reader) -> int:
        """Return how many refusals there ever were."""
        found = vault.get(TABLE, _COUNT)
        count: Any = codec.decode(found) if found is not None else 0
        return int(count)


def _of_grant(receipt: Receipt) -> bytes:
    return _UNSTATED_OF + receipt.role + receipt.grant + receipt.transfer
