"""Records of processing: what went in, what was done, what came out; kept by whoever did it (consent.md §4, R96).

How it works
    A record names its inputs by hash (packs received, files), the operation in words, and its outputs by hash, with the
    consents that it rests on. On the ledger stands a salted digest of it, as of receipts: nobody learns from the ledger
    what was done. Chained by their hashes, records show how a result came about, as PROV-O does.

What it does not do
    It cannot know that nothing else was done: it holds what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.consent.disclosure import slot_digest
from ledger.errors import LocalError, RemoteError

ID_BYTES: Final = 16
SALT_BYTES: Final = 16
HASHES_MAX: Final = 256
"""Inputs, outputs or consents of one record."""
TEXT_MAX: Final = 500
_HASH: Final = 32
_SLOT: Final = "processing.record"


@dataclass(frozen=True, slots=True)
class Record:
    """One step. `consents`: grants it rests on; `inputs`, `outputs`: SHA-256 of data; `at`: unix seconds."""

    id: bytes
    salt: bytes
    at: int
    operation: str
    consents: tuple[bytes, ...]
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]

    def value(self) -> list[Any]:
        """Return it as a CBOR value."""
        return [self.id, self.salt, *self._account()]

    def _account(self) -> list[Any]:
        return [self.at, self.operation, list(self.consents), list(self.inputs), list(self.outputs)]

    def digest(self) -> bytes:
        """Return the salted digest that stands on the ledger (made as a slot's is)."""
        return slot_digest(self.salt, [self.id, *self._account()], _SLOT)

    def fault(self) -> str:
        """Return what is wrong with it, or ""."""
        if not self.operation.strip() or len(self.operation) > TEXT_MAX:
            return f"say what was done, in at most {TEXT_MAX} characters"
        for hashes in (self.consents, self.inputs, self.outputs):
            if len(hashes) > HASHES_MAX or any(len(one) != _HASH for one in hashes):
                return f"a record names at most {HASHES_MAX} hashes of 32 bytes of a sort"
        return "" if self.inputs or self.outputs else "a record names what went in or what came out"

    @classmethod
    def read(cls, value: Any) -> Record:
        """Read what `value` wrote. Raises RemoteError BAD_RECORD."""
        match value:
            case [bytes(ident), bytes(salt), int(at), str(operation), list(consents), list(inputs), list(outputs)] if (
                len(ident) == ID_BYTES and len(salt) == SALT_BYTES and _are_bytes(consents, inputs, outputs)
            ):
                made = cls(ident, salt, at, operation, tuple(consents), tuple(inputs), tuple(outputs))
            case _:
                raise RemoteError("BAD_RECORD", "a record is [id, salt, at, operation, consents, inputs, outputs]")
        fault = made.fault()
        if fault:
            raise RemoteError("BAD_RECORD", fault)
        return made


def _are_bytes(*lists: Sequence[Any]) -> bool:
    return all(type(one) is bytes for each in lists for one in each)


def payload(records: Iterable[Record]) -> dict[str, Any]:
    """Return the payload of a `processing.record`. Raises LocalError BAD_RECORD."""
    rows = []
    for record in records:
        fault = record.fault()
        if fault:
            raise LocalError("BAD_RECORD", fault, field="operation")
        rows.append([record.id, record.digest()])
    return {"records": rows}
