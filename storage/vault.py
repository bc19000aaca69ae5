"""The vault: personal data, apart from the ledger and sealed at rest (`consent.md` §5).

| table | key -> value (sealed) |
|---|---|
| `disclosures` | entry id -> the values and salts behind its digests |
| `readings` | series name, time -> a chunk of values (never one a row: each row is sealed by itself) |
| `receipts` `pseudonyms` `outgoing` `incoming` `wallets` | documented by the modules that own them (node/vaults) |
| `releases` `computations` | likewise |
| `rowkeys` (private) | length of table name, table name, row key -> the row's data key, wrapped |
| `vault` (private) | `blind` -> the secret of `blind`, sealed; opening it shows that the key is right |

How it works
    The vault is a `Store` of its own (its own LMDB environment, or the in-memory twin). Each put draws a new
    32-byte data key and seals the value with it: XChaCha20-Poly1305 (libsodium), a random 24-byte nonce in
    front, table and key as associated data, so a row moved elsewhere does not open. The data key is wrapped
    in the same way by the vault key, which the caller keeps and never stores here.

What erasing does, and what it does not
    `erase` deletes the row and its wrapped data key in one durable commit. From then on no read finds it. On
    the disk, LMDB frees the pages but does not overwrite them: until they are reused, or `compact` rewrites
    the file, the old bytes lie in free pages, and whoever has the disk *and* the vault key can read them.
    Copies made earlier (backups, `before-schema-N.mdb`, file system snapshots, the disk's own spare blocks)
    keep them too. `rekey` ends that: it wraps the remaining data keys with a new vault key, so that once the
    old key is destroyed every stale wrapped key is noise, wherever a copy lies. The price: older backups of
    the vault open no more. An erasure duty is met by `erase`, then `rekey`, then destroying the old key.

What it does not do
    Row keys, sizes and counts are not hidden. Put no personal data in a key: name a series or a person by
    `blind`. It keeps no key and asks for no passphrase (`node/keystore.py`). It does not wipe memory: Python
    leaves copies of keys and values behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from hashlib import blake2b
from types import TracebackType
from typing import Final

from nacl import bindings
from nacl.exceptions import CryptoError

from ledger.errors import LocalError
from ledger.rows import Reader, Writer
from storage.store import Store, transaction_over, unknown_table

DISCLOSURES: Final = "disclosures"
"""Entry id -> disclosures."""
READINGS: Final = "readings"
"""Series and time -> chunk of readings."""
RECEIPTS: Final = "receipts"
"""Full receipts and acknowledgements of transfers."""
PSEUDONYMS: Final = "pseudonyms"
"""Correspondence of names and points with what a recipient calls them."""
OUTGOING: Final = "outgoing"
"""Transfers being sent."""
INCOMING: Final = "incoming"
"""Transfers being received."""
WALLETS: Final = "wallets"
"""Wallets held here for people."""

RELEASES: Final = "releases"
"""Aggregates that were published, with whose readings are in them."""
COMPUTATIONS: Final = "computations"
"""Descriptions and modules of computations that consents name."""

ROWS: Final = (DISCLOSURES, READINGS, RECEIPTS, PSEUDONYMS, OUTGOING, INCOMING, WALLETS, RELEASES, COMPUTATIONS)
"""The tables that callers see."""
ROWKEYS: Final = "rowkeys"
FACTS: Final = "vault"
VAULT_TABLES: Final = (*ROWS, ROWKEYS, FACTS)
"""The tables to open the vault's store with."""

KEY_BYTES: Final = 32
"""Length of the vault key and of each data key."""
NONCE_BYTES: Final = 24
"""Length of a nonce."""
SEAL_BYTES: Final = NONCE_BYTES + 16
"""What sealing adds to a value: nonce and tag, in bytes. The wrapped data key takes 72 bytes more."""
BLIND_BYTES: Final = 16
"""Length of a blinded name."""

_BLIND: Final = b"blind"


def _seal(key: bytes, value: bytes, label: bytes, nonce: bytes) -> bytes:
    return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(value, label, nonce, key)


def _unseal(key: bytes, sealed: bytes, label: bytes) -> bytes | None:
    nonce, box = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    if len(box) < SEAL_BYTES - NONCE_BYTES:
        return None
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(box, label, nonce, key)
    except CryptoError:
        return None


def _place(table: str, key: bytes) -> bytes:
    """Return one unambiguous name for a row: the length of the table's name, the name, the key."""
    name = table.encode()
    return bytes((len(name),)) + name + key


def _damaged(table: str) -> LocalError:
    return LocalError(
        "VAULT_CORRUPT",
        f"A row of {table!r} does not open: it was changed or moved on the disk.",
        field=table,
    )


class VaultReader:
    """A snapshot of the vault: `ledger.rows.Reader` over plain values.

    Raises VAULT_CORRUPT for a row that does not open, UNKNOWN_TABLE, and what the store raises.
    """

    __slots__ = ("_context", "_key", "_rows")

    def __init__(self, context: AbstractContextManager[Reader], key: bytes) -> None:
        self._context = context
        self._key = key
        self._rows: Reader | None = None

    def __enter__(self) -> VaultReader:
        """Take the snapshot."""
        self._rows = self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the snapshot go."""
        self._rows = None
        self._context.__exit__(kind, error, trace)

    def _reader(self, table: str) -> Reader:
        if self._rows is None:
            raise transaction_over()
        if table not in ROWS:
            raise unknown_table(table)
        return self._rows

    def _open(self, rows: Reader, table: str, key: bytes, sealed: bytes) -> bytes:
        place = _place(table, key)
        wrapped = rows.get(ROWKEYS, place)
        data_key = None if wrapped is None else _unseal(self._key, wrapped, b"key" + place)
        value = None if data_key is None else _unseal(data_key, sealed, b"row" + place)
        if value is None:
            raise _damaged(table)
        return value

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the value at `key`, or None (never there, or erased)."""
        rows = self._reader(table)
        sealed = rows.get(table, key)
        return None if sealed is None else self._open(rows, table, key, sealed)

    def scan(
        self,
        table: str,
        start: bytes,
        stop: bytes | None = None,
        *,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows of a range; see `ledger.rows.Reader.scan`."""
        rows = self._reader(table)
        found = rows.scan(table, start, stop, limit=limit, reverse=reverse)
        return ((key, self._open(rows, table, key, sealed)) for key, sealed in found)

    def last(self, table: str, prefix: bytes) -> tuple[bytes, bytes] | None:
        """Return the row with the greatest key that begins with `prefix`, or None."""
        rows = self._reader(table)
        row = rows.last(table, prefix)
        return None if row is None else (row[0], self._open(rows, table, *row))

    def count(self, table: str) -> int:
        """Return how many rows the table has."""
        return self._reader(table).count(table)


class VaultWriter(VaultReader):
    """The one transaction of the vault: `ledger.rows.Writer` over plain values, with `erase`."""

    __slots__ = ("_random", "_write", "_writer")

    def __init__(
        self, context: AbstractContextManager[Writer], key: bytes, random_bytes: Callable[[int], bytes]
    ) -> None:
        super().__init__(context, key)
        self._write = context
        self._random = random_bytes
        self._writer: Writer | None = None

    def __enter__(self) -> VaultWriter:
        """Begin."""
        self._rows = self._writer = self._write.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit and sync, or undo everything."""
        self._writer = None
        super().__exit__(kind, error, trace)

    def _open_writer(self, table: str) -> Writer:
        if self._writer is None:
            raise transaction_over()
        if table not in ROWS:
            raise unknown_table(table)
        return self._writer

    def put(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:
        """Seal and write a row with a fresh data key; see `ledger.rows.Writer.put`.

        Raises BAD_KEY also when the key with its table's name is too long for `rowkeys`.
        """
        rows = self._open_writer(table)
        place = _place(table, key)
        data_key = self._random(KEY_BYTES)
        if key:  # an empty key is refused by the second put
            rows.put(ROWKEYS, place, _seal(self._key, data_key, b"key" + place, self._random(NONCE_BYTES)))
        rows.put(table, key, _seal(data_key, value, b"row" + place, self._random(NONCE_BYTES)), append=append)

    def erase(self, table: str, key: bytes) -> None:
        """Delete a row and its data key; see the module for what that leaves on the disk."""
        rows = self._open_writer(table)
        rows.delete(table, key)
        rows.delete(ROWKEYS, _place(table, key))

    def delete(self, table: str, key: bytes) -> None:
        """Do what `erase` does: in the vault there is no weaker way to remove a row."""
        self.erase(table, key)


class Vault:
    """Sealed rows over a store that was opened with `VAULT_TABLES`.

    `key`: the 32-byte vault key. `random_bytes(n)`: secret random bytes, for data keys and nonces.
    Raises VAULT_KEY if the store was sealed with another key; on first use it writes one private row.
    """

    def __init__(self, store: Store, key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        _require_key(key)
        self._store = store
        self._key = key
        self._random = random_bytes
        self._blind = self._open_blind()

    def _open_blind(self) -> bytes:
        with self._store.read() as rows:
            sealed = rows.get(FACTS, _BLIND)
        if sealed is None:
            secret = self._random(KEY_BYTES)
            with self._store.write() as writer:
                writer.put(FACTS, _BLIND, _seal(self._key, secret, _BLIND, self._random(NONCE_BYTES)))
            return secret
        opened = _unseal(self._key, sealed, _BLIND)
        if opened is None:
            raise LocalError("VAULT_KEY", "The vault does not open with this key; give the key it was sealed with.")
        return opened

    def read(self) -> VaultReader:
        """Return a snapshot, for a with-block."""
        return VaultReader(self._store.read(), self._key)

    def write(self) -> VaultWriter:
        """Return the one transaction, for a with-block."""
        return VaultWriter(self._store.write(), self._key, self._random)

    def blind(self, name: bytes) -> bytes:
        """Return 16 bytes that stand for `name` in a row key: always the same in this vault, telling nothing.

        Keyed BLAKE2b with a secret of this vault; `rekey` does not change it.
        """
        return blake2b(name, digest_size=BLIND_BYTES, key=self._blind).digest()

    def rekey(self, key: bytes) -> None:
        """Wrap every data key with a new vault key, in one transaction; the values are not touched.

        The caller stores the new key *beside* the old one first and destroys the old one after: after a crash
        in between, whichever opens the vault is the right one. Costs about 10 µs and 72 bytes a row.
        """
        _require_key(key)
        with self._store.write() as rows:
            for place, wrapped in rows.scan(ROWKEYS, b""):
                data_key = _unseal(self._key, wrapped, b"key" + place)
                if data_key is None:
                    raise _damaged(ROWKEYS)
                rows.put(ROWKEYS, place, _seal(key, data_key, b"key" + place, self._random(NONCE_BYTES)))
            rows.put(FACTS, _BLIND, _seal(key, self._blind, _BLIND, self._random(NONCE_BYTES)))
        self._key = key

    def compact(self) -> int:
        """Rewrite the store without free pages, where erased rows may lie; return the bytes gained."""
        return self._store.compact()

    def size_bytes(self) -> int:
        """Return how many bytes the vault takes."""
        return self._store.size_bytes()

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def _require_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise LocalError("VAULT_KEY", f"A vault key has {KEY_BYTES} bytes; this one has {len(key)}.", field="key")
