"""Consents for the benchmarks: many real grants in a store on disk, every tenth withdrawn, each for its own point.

How it works
    Two founders with a link; wallets follow from numbers. Disclosures are real, and are handed back.

What it does not do
    These consents rest on nothing: those on chains of delegations are the gate's (gate).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from ledger.consent.disclosure import Disclosures
from ledger.consent.wallet import Wallet, make_grant, make_withdrawal
from ledger.entry import Entry
from ledger.governance.epoch import Policy
from ledger.merkle import leaf_hash
from ledger.replica import Replica
from storage.disk import DiskStore
from tests.benchmarks import measure
from tests.benchmarks.corpus import BEGUN, Feed, Mesh
from tests.ledger.consent.cases import NOTICE, TERMS

DAY: Final = 86_400
NOW: Final = BEGUN + 30 * DAY
BATCH: Final = 1_000

Grants = list[tuple[Entry, Disclosures]]


def point(number: int) -> str:
    """Return the point of consent `number`."""
    return f"prm:{number:014}"


def granted(path: Path, mesh: Mesh, count: int) -> Grants:
    """Make a store with `count` grants, every tenth of them withdrawn; return the grants with their disclosures."""
    store = DiskStore(path)
    with store.write() as rows:
        replica = Replica.create(rows, mesh.genesis)
        for run, entries in mesh.founding():
            replica.ingest(rows, run, NOW, entries)
    feed, grants = mesh.feeds[0], list[tuple[Entry, Disclosures]]()
    for first in range(0, count, BATCH):
        if first % 10_000 == 0:
            measure.progress(f"signed {first} of {count} consents")
        batch = [grant_of(mesh, feed, number) for number in range(first, min(first + BATCH, count))]
        withdrawn = [_withdraw(mesh, feed, first + place, batch[place][0]) for place in range(0, len(batch), 10)]
        for signed in ([grant for grant, _ in batch], withdrawn):
            for entry in signed:
                feed.tree.append(leaf_hash(entry.id))
            with store.write() as rows:
                replica.ingest(rows, feed.close(mesh.genesis.mesh_id, signed, NOW), NOW, signed)
        grants += batch
    store.close()
    return grants


def grant_of(mesh: Mesh, feed: Feed, number: int) -> tuple[Entry, Disclosures]:
    """Sign grant `number`, as a wallet does."""
    return make_grant(
        _wallet(number),
        replace(TERMS, points=(point(number),)),
        holder=mesh.parties[0],
        recipient=mesh.parties[1],
        valid_until=(NOW // DAY + 200) * DAY,
        notice=NOTICE,
        request=None,
        head=feed.shown(),
        closure_iat=NOW,
        now=NOW,
        mesh_id=mesh.genesis.mesh_id,
        policy=Policy(),
        random_bytes=mesh.random.randbytes,
    )


def _withdraw(mesh: Mesh, feed: Feed, number: int, grant: Entry) -> Entry:
    draw = mesh.random.randbytes
    return make_withdrawal(_wallet(number), grant, head=feed.shown(), closure_iat=0, now=NOW, random_bytes=draw)


def _wallet(number: int) -> Wallet:
    return Wallet(number.to_bytes(32, "big"))
