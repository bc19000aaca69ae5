"""Compacting the stores of a node that is stopped: what may go goes, and the files are rewritten without free pages.

| what goes | why it may |
|---|---|
| cosignatures of heads that others overtook, checkpoints that no later tick needs | they go at each tick, too |
| sealed contents that wait for a reader, of a consent whose content was erased | the duty to delete |
| rows of erased transfers of consents that ended, TRANSFER_DAYS later | receipts and the erasure stay |
| rows of requests that were given up without a pack, as old | nothing came of them |

How it works
    Each store is cleared in one transaction, at whose end the digest of the frontier and the root of the state are
    compared with those before: a difference undoes all. Then the file is copied without free and stale pages and
    renamed into its place, so erased rows lie in no free page any more. A crash leaves the old file or the new one.
    A rehearsal does the same and undoes it; what it says of sizes is an estimate.

What it does not do
    No entry, leaf, receipt or disclosure in force is touched: proofs made before and after are the same. It destroys
    no data that are due: `maille erasure run --due` does, and says so on the ledger. Copies elsewhere are beyond it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger import witnessing
from ledger.consent.status import State
from ledger.errors import LocalError
from ledger.replica import Replica
from ledger.rows import COSIGNED, HEADS, Reader, Writer
from ledger.schema import DAY
from ledger.ticks import Ticker, prune_heads
from node.vaults.deliveries import DeliveryRows
from node.vaults.erasures import ErasureRows
from node.vaults.receipts import RECIPIENT, ReceiptRows
from node.vaults.transfers import STOPPED, Incoming, IncomingRows
from storage.disk import DiskStore
from storage.vault import VAULT_TABLES, Vault

TRANSFER_DAYS: Final = 30
"""Rows of a transfer of which nothing is held any more are kept for so many days."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What one mesh had. Sizes in bytes before and after; rows that went; both roots, in hexadecimal."""

    ledger: tuple[int, int]
    vault: tuple[int, int]
    cosignatures: int
    checkpoints: int
    disclosures: int
    transfers: int
    frontier: str
    state_root: str


class _UndoneError(Exception):
    """Ends the transaction of a rehearsal."""


def compact(path: Path, vault_key: bytes, now: int, *, rehearse: bool = False) -> Cleared:
    """Compact the mesh in `path`, whose node is stopped and locked. `now`: unix seconds.

    Raises LocalError as the stores do (DISK_FULL: a copy needs room beside the file), COMPACTION_REFUSED.
    """
    with _opened(path / "ledger") as store:
        before = store.size_bytes()
        frontier, state_root, pruned, size = _clear_ledger(store, rehearse=rehearse)
        if not rehearse:
            store.compact()
            size = store.size_bytes()
        with _opened(path / "vault", VAULT_TABLES) as vault_store:
            vault_before = vault_store.size_bytes()
            vault = Vault(vault_store, vault_key, os.urandom)
            gone, vault_size = _clear_vault(store, vault_store, vault, now, rehearse=rehearse)
            if not rehearse:
                vault.compact()
                vault_size = vault_store.size_bytes()
    return Cleared((before, size), (vault_before, vault_size), *pruned, *gone, frontier.hex(), state_root.hex())


@contextmanager
def _opened(path: Path, tables: tuple[str, ...] | None = None) -> Iterator[DiskStore]:
    store = DiskStore(path, create=False) if tables is None else DiskStore(path, tables, create=False)
    try:
        yield store
    finally:
        store.close()


def _clear_ledger(store: DiskStore, *, rehearse: bool) -> tuple[bytes, bytes, tuple[int, int], int]:
    """Drop what is superseded; return the roots, how many cosignatures and checkpoints went, the size to expect."""
    found: list[tuple[bytes, bytes, tuple[int, int], int]] = []
    try:
        with store.write() as rows:
            before, counts = _roots(rows), (rows.count(COSIGNED), rows.count(HEADS))
            replica = Replica.load(rows)
            ticker = Ticker(replica)
            ticker.load(rows)
            witnessing.prune(rows)
            if ticker.tick is not None:
                prune_heads(replica, rows, ticker.tick.boundary)
            if _roots(rows) != before:
                told = (
                    "Compacting would have changed the ledger's roots; nothing was changed. Run maille ledger verify."
                )
                raise LocalError("COMPACTION_REFUSED", told)
            gone = (counts[0] - rows.count(COSIGNED), counts[1] - rows.count(HEADS))
            found.append((*before, gone, rows.used_bytes()))
            if rehearse:
                raise _UndoneError
    except _UndoneError:
        pass
    return found[0]


def _roots(rows: Reader) -> tuple[bytes, bytes]:
    """Return the digest of the frontier and the root of the committed state (b"": no tick yet), read anew."""
    replica = Replica.load(rows)
    ticker = Ticker(replica)
    ticker.load(rows)
    return replica.frontier_digest(), ticker.tick.state_root if ticker.tick is not None else b""


def _clear_vault(
    ledger: DiskStore, store: DiskStore, vault: Vault, now: int, *, rehearse: bool
) -> tuple[tuple[int, int], int]:
    """Drop what waits in vain; return how many contents and rows of transfers went, and the size to expect."""
    gone: list[tuple[int, int]] = []
    size = _used(store)
    try:
        with ledger.read() as facts, vault.write() as rows:
            replica = Replica.load(facts)
            erased = [one for one in ErasureRows().listing(rows) if one.entry]
            contents = DeliveryRows().drop_of(rows, {one.grant for one in erased if one.content})
            old = {one.grant for one in erased if one.at + TRANSFER_DAYS * DAY <= now}
            incoming, ended = IncomingRows(), 0
            for row in list(incoming.listing(rows)):
                if _forgettable(replica, facts, rows, row, old, now):
                    incoming.forget(rows, row)
                    ended += 1
            gone.append((contents, ended))
            if rehearse:
                raise _UndoneError
    except _UndoneError:
        pass
    return gone[0], size


def _used(store: DiskStore) -> int:
    with store.read() as rows:
        return rows.used_bytes()


def _forgettable(replica: Replica, facts: Reader, rows: Writer, row: Incoming, erased: set[bytes], now: int) -> bool:
    """Say whether nothing needs the row of a transfer any more; a pack that came again would be refused without it."""
    if next(IncomingRows().packs(rows, row.transfer), None) is not None:
        return False
    if not row.tally.packs:
        return row.state == STOPPED and row.created + TRANSFER_DAYS * DAY <= now
    receipt = ReceiptRows().get(rows, RECIPIENT, row.transfer)
    if row.grant not in erased or (receipt is not None and receipt.stated is None):
        return False
    status = replica.consent(facts, row.grant)
    return status is not None and (status.state is not State.GRANTED or now >= status.valid_until)
