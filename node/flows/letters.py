"""Statements whose content is sealed: an identity, a fact, a table of shares, a record of processing, a right asked.

How it works
    Each is an entry with a salted digest, and a value that opens it. Whoever states it keeps the value in the vault and
    sends it sealed to the parties it names; a party that receives one holds it to the entry first (`CHECKS`), and keeps
    nothing else. `read` gives it back as what it is. One that waits for a device which was replaced is sealed anew for
    its successor (node.flows.disclosing).

What it does not do
    It believes nobody: that a value opens its entry says nothing of whether the entry is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from ledger import codec
from ledger.consent import facts, identity
from ledger.consent.allocation import Shares
from ledger.consent.disclosure import SEALED_MAX, open_bytes, slot_digest
from ledger.consent.processing import Record
from ledger.consent.rights import Details
from ledger.entry import Entry
from ledger.errors import MailleError, RemoteError
from ledger.governance.members import Party
from node.flows.disclosing import Disclosing
from node.vaults.letters import LetterRows

if TYPE_CHECKING:
    from node.core import Turn

SALT_BYTES: Final = 16


def _identity(entry: Entry, value: Any) -> bool:
    match value:
        case [bytes(salt), dict(fields)] if len(salt) == SALT_BYTES:
            return bool(identity.digest(fields, salt) == entry.payload["digest"])
        case _:
            return False


def _fact(entry: Entry, value: Any) -> bool:
    digests = [slot_digest(salt, field, name) for name, (salt, field) in zip(facts.FIELDS, value, strict=True)]
    return b"".join(digests) == entry.payload["slots"] and all(len(salt) == SALT_BYTES for salt, _ in value)


def _shares(entry: Entry, value: Any) -> bool:
    salt, table = value
    return bool(Shares.read(table).digest(salt) == entry.payload["digest"])


def _records(entry: Entry, value: Any) -> bool:
    found = [Record.read(row) for row in value]
    return [[one.id, one.digest()] for one in found] == [list(row) for row in entry.payload["records"]]


def _rights(entry: Entry, value: Any) -> bool:
    salt, details = value
    Details.read(salt, details).check(entry.payload)
    return True


CHECKS: Final[dict[str, Callable[[Entry, Any], bool]]] = {
    "identity.attest": _identity,
    "fact.attest": _fact,
    "allocation.state": _shares,
    "processing.record": _records,
    "rights.request": _rights,
    "rights.answer": _rights,
}
"""Kind -> whether a value opens an entry of it. A value of another shape may make it raise TypeError or ValueError."""


class Letters:
    """See the module. One for each mesh."""

    def __init__(self, rows: LetterRows, disclosing: Disclosing) -> None:
        self.rows, self._disclosing = rows, disclosing
        self.guards: dict[str, Callable[[Turn, Entry], None]] = {}
        """Kind -> what else is asked of an entry before its value is taken in. Raises RemoteError."""
        disclosing.plain = self._plain
        for kind in ("identity.attest", "fact.attest", "allocation.state", "rights.request", "rights.answer"):
            disclosing.takers[kind] = self._take

    def keep(self, turn: Turn, entry: Entry, value: Any, to: Iterable[Party] = (), *, wallet: str = "") -> None:
        """Keep the value that opens our own entry, and send it to those parties. `wallet`: kept here, that says so."""
        self.rows.put(turn.vault, entry.id, entry.kind, value, wallet)
        self._disclosing.tell_bytes(turn, entry, codec.encode(value), to)

    def _plain(self, turn: Turn, entry: Entry) -> bytes | None:
        """Return what was sealed for an entry of a kind that has letters, or None where it is not known here."""
        value = self.rows.get(turn.vault, entry.id) if entry.kind in CHECKS else None
        return codec.encode(value) if value is not None else None

    def _take(self, turn: Turn, entry: Entry, blob: bytes) -> None:
        """Keep a value that was sent here. Raises RemoteError for what does not open the entry."""
        if entry.kind in self.guards:
            self.guards[entry.kind](turn, entry)
        if self.rows.get(turn.vault, entry.id) is not None:
            return
        value: Any = codec.decode(open_bytes(blob, entry, turn.core.device), max_bytes=SEALED_MAX)
        try:
            opens = CHECKS[entry.kind](entry, value)
        except (MailleError, TypeError, ValueError, KeyError):
            opens = False
        if not opens:
            raise RemoteError("DISCLOSURE_MISMATCH", "what was sent does not open the entry it came with")
        self.rows.put(turn.vault, entry.id, entry.kind, value)
        turn.note("LETTER_KEPT", entry=entry.id.hex(), kind=entry.kind)

    def read(self, turn: Turn, entry: bytes) -> Any | None:
        """Return the value that opens an entry, or None where it is not known here."""
        return self.rows.get(turn.vault, entry)
