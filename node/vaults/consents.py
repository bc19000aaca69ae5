"""Opened disclosures of consents and requests, and the index by which the gate finds them: table `disclosures`.

| key | value |
|---|---|
| entry id (32) | the disclosures (Disclosures.encode) of a grant or a request |
| "m", entry id | [1, kind, wallet's name or "", received (unix seconds)] |
| "i", blind(recipient, point, kind of data) | grant ids, 32 bytes each, newest last, at most INDEX_MAX |
| "h", blind(holder, recipient) | likewise, at most PAIR_MAX: what explains a refusal |
| "n", SHA-256 | the text of a notice that was made here |
| "t", blind(tenant), grant id | a zero byte: the grants that name a tenant, which may move to another host |

How it works
    The index answers "which consents may cover this flow?" with one read. What it names is only a candidate: the
    gate judges each, and the ledger's word on it is asked for anew each time.

What it does not do
    It opens no seal and judges nothing. A full index forgets the oldest: more than INDEX_MAX consents of one
    recipient for one point and one kind are renewals of one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.disclosure import Disclosures
from ledger.consent.record import DataKind
from ledger.errors import RemoteError
from ledger.governance.members import Party
from ledger.rows import Reader, Writer, portion, prefix_stop
from node.vaults import Blind

TABLE: Final = "disclosures"
INDEX_MAX: Final = 256  # grants under one key of the index
PORTION: Final = 64  # rows read before others have their turn
IDS_PORTION: Final = 1_024  # the same, where their content is not
PAIR_MAX: Final = 64  # grants between one holder and one recipient that explain refusals
GRANT: Final = "grant"
REQUEST: Final = "request"
ANYBODY: Final[Party] = (b"", 1)
"""Stands in the index for a class of recipients: which parties are of it, the gate says."""
_MEMO: Final = b"m"
_INDEX: Final = b"i"
_PAIR: Final = b"h"
_TENANT: Final = b"t"
_NOTICE: Final = b"n"
_ID: Final = 32


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """The opened content of a grant or a request. `kind`: GRANT or REQUEST; `wallet`: of whom it is, if hosted here."""

    entry_id: bytes
    kind: str
    wallet: str
    received: int
    disclosures: Disclosures


def wallet_of(vault: Reader, entry_id: bytes) -> str:
    """Return the name of the wallet under which the content of a grant is kept here, or ""."""
    memo = vault.get(TABLE, _MEMO + entry_id)
    return _fields(memo)[1] if memo is not None else ""


class ConsentRows:
    """The rows of this module. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

    def get(self, vault: Reader, entry_id: bytes) -> ConsentRow | None:
        """Return what is held of a grant or request, or None (never there, or erased)."""
        memo = vault.get(TABLE, _MEMO + entry_id)
        return self._row(vault, entry_id, _fields(memo)) if memo is not None else None

    def holds(self, vault: Reader, entry_id: bytes) -> bool:
        """Say whether the content of a grant or request is held."""
        return vault.get(TABLE, _MEMO + entry_id) is not None

    def keep_notice(self, vault: Writer, sha256: bytes, text: bytes) -> None:
        """Keep the text of a notice that was made here."""
        vault.put(TABLE, _NOTICE + sha256, text)

    def notice(self, vault: Reader, sha256: bytes) -> bytes | None:
        """Return the text of a notice that was made here, or None."""
        return vault.get(TABLE, _NOTICE + sha256)

    def forget_notice(self, vault: Writer, sha256: bytes) -> None:
        """Destroy the text of a notice."""
        vault.delete(TABLE, _NOTICE + sha256)

    def listing(self, vault: Reader, kind: str | None = None) -> Iterator[ConsentRow]:
        """Yield everything held, or the grants or the requests alone, by entry id."""
        return self._read(vault, vault.scan(TABLE, _MEMO, prefix_stop(_MEMO)), kind)

    def portion(self, vault: Reader, kind: str, start: bytes) -> tuple[list[ConsentRow], bytes]:
        """Return what `listing` would, PORTION rows of it, and where the next portion begins (b"": the end)."""
        found, following = portion(vault, TABLE, _MEMO, start, PORTION)
        return list(self._read(vault, found, kind)), following

    def ids(self, vault: Reader, kind: str, start: bytes) -> tuple[list[bytes], bytes]:
        """Return the entry ids of what `listing` would yield, in portions of IDS_PORTION rows, as `portion` does."""
        found, following = portion(vault, TABLE, _MEMO, start, IDS_PORTION)
        return [key[1:] for key, memo in found if len(key) == 1 + _ID and _fields(memo)[0] == kind], following

    def _read(self, vault: Reader, memos: Iterable[tuple[bytes, bytes]], kind: str | None) -> Iterator[ConsentRow]:
        for key, memo in memos:
            if len(key) == 1 + _ID:  # an entry id may begin with the same letter
                fields = _fields(memo)
                row = self._row(vault, key[1:], fields) if kind in (None, fields[0]) else None
                if row is not None:
                    yield row

    def _row(self, vault: Reader, entry_id: bytes, fields: tuple[str, str, int]) -> ConsentRow | None:
        held = vault.get(TABLE, entry_id)
        return None if held is None else ConsentRow(entry_id, *fields, Disclosures.decode(held))

    def put(self, vault: Writer, row: ConsentRow, holder: Party, recipient: Party | None) -> None:
        """Keep a row; index a grant, to one recipient or to a class (None). The caller has held it to its slots."""
        vault.put(TABLE, row.entry_id, row.disclosures.encode())
        vault.put(TABLE, _MEMO + row.entry_id, codec.encode([1, row.kind, row.wallet, row.received]))
        if row.kind == GRANT:
            to = ANYBODY if recipient is None else recipient
            for key, most in self._keys(row.disclosures, holder, to):
                ids = [one for one in _ids(vault.get(TABLE, key)) if one != row.entry_id]
                vault.put(TABLE, key, b"".join([*ids, row.entry_id][-most:]))
            for key in self._tenants(row.entry_id, holder, to):
                vault.put(TABLE, key, b"\x00")

    def erase(self, vault: Writer, entry_id: bytes, holder: Party, recipient: Party | None) -> bool:
        """Destroy the content of a grant or request; False when there was none."""
        row = self.get(vault, entry_id)
        if row is None:
            return False
        vault.delete(TABLE, entry_id)
        vault.delete(TABLE, _MEMO + entry_id)
        if row.kind == GRANT:
            to = ANYBODY if recipient is None else recipient
            for key, _ in self._keys(row.disclosures, holder, to):
                ids = [one for one in _ids(vault.get(TABLE, key)) if one != entry_id]
                if ids:
                    vault.put(TABLE, key, b"".join(ids))
                else:
                    vault.delete(TABLE, key)
            for key in self._tenants(entry_id, holder, to):
                vault.delete(TABLE, key)
        return True

    def of_tenant(self, vault: Reader, tenant: Party) -> list[bytes]:
        """Return the grants whose content is held and which name a tenant as holder or recipient."""
        prefix = self._tenant(tenant)
        return [key[-_ID:] for key, _ in vault.scan(TABLE, prefix, prefix_stop(prefix))]

    def _tenants(self, grant: bytes, *parties: Party) -> list[bytes]:
        return [self._tenant(party) + grant for party in parties if party[1] == 0]

    def _tenant(self, tenant: Party) -> bytes:
        return _TENANT + self._blind(b"tenant" + tenant[0])

    def covering(self, vault: Reader, recipient: Party, point: str, kind: DataKind) -> list[bytes]:
        """Return the grants to a recipient, or to a class, that name this point and kind of data."""
        found = (_ids(vault.get(TABLE, self._index(to, point, kind))) for to in (recipient, ANYBODY))
        return [grant for several in found for grant in several]

    def between(self, vault: Reader, holder: Party, recipient: Party) -> list[bytes]:
        """Return the newest grants from a holder to a recipient, or to a class."""
        found = (_ids(vault.get(TABLE, self._pair(holder, to))) for to in (recipient, ANYBODY))
        return [grant for several in found for grant in several]

    def _keys(self, disclosures: Disclosures, holder: Party, recipient: Party) -> list[tuple[bytes, int]]:
        keys = [(self._pair(holder, recipient), PAIR_MAX)]
        try:
            terms = disclosures.terms()
        except RemoteError:
            return keys  # the gate says why such a consent opens nothing
        if terms.pii_type is not None:
            keys += [(self._index(recipient, point, terms.pii_type), INDEX_MAX) for point in terms.points]
        return keys

    def _index(self, recipient: Party, point: str, kind: DataKind) -> bytes:
        return _INDEX + self._blind(b"consent" + codec.encode([list(recipient), point, list(kind)]))

    def _pair(self, holder: Party, recipient: Party) -> bytes:
        return _PAIR + self._blind(b"pair" + codec.encode([list(holder), list(recipient)]))


def _ids(data: bytes | None) -> list[bytes]:
    return [data[at : at + _ID] for at in range(0, len(data), _ID)] if data else []


def _fields(memo: bytes) -> tuple[str, str, int]:
    """Return kind, wallet and time of arrival."""
    fields: Any = codec.decode(memo)
    _, kind, wallet, received = fields
    return kind, wallet, received
