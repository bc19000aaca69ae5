"""audit: seconds from a node's own vault and ledger to the report of a whole period, with many transfers in it.

How it works
    A holder keeps the receipts of as many transfers as asked for, under consents to one recipient, in stores on disk:
    the vault sealed as a node seals it, the digests on the ledger in entries of 256, and half of them acknowledged.
    One transfer in a thousand came after the withdrawal of its consent. The figure is what `maille audit run` does:
    read page by page as the control API does (JSON), match, and write the JSON report and the page. The limit reads
    the same pages and does nothing with them.

What it does not do
    The socket between command and node is left out; pages are encoded and decoded as they are for it. No packs are
    kept, as a holder keeps none. `processor_s` is the time of our own process alone, which a busy machine stretches.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ledger.consent.disclosure import Disclosures
from ledger.entry import Entry, sign_entry
from ledger.keys import SigningKey
from ledger.merkle import leaf_hash
from ledger.replica import Replica
from node.audit.auditing import audit
from node.audit.findings import Report, as_json
from node.audit.gathering import collect, page, write
from node.audit.page import as_html
from node.audit.rows import Question, Rows
from node.core import Core, Turn
from node.flows.family import Flows
from node.vaults.consents import ConsentRow
from node.vaults.receipts import HOLDER, Receipt
from node.vaults.transfers import Tally
from storage.disk import DiskStore
from storage.vault import VAULT_TABLES, Vault
from tests.benchmarks import measure
from tests.benchmarks.consents import DAY, NOW, Grants, granted
from tests.benchmarks.corpus import Feed, Mesh
from tests.benchmarks.measure import Result
from tests.ledger.consent.cases import TERMS

REACH_SECONDS: Final = 30.0
REACH_TRANSFERS: Final = 100_000
BATCH: Final = 256
KEY: Final = b"v" * 32
LATE_EVERY: Final = 1_000
"""One transfer in so many came after the withdrawal."""


class Site:
    """A holder's node on disk: its stores, and the core that a turn needs."""

    def __init__(self, folder: Path, mesh: Mesh) -> None:
        self.mesh = mesh
        self.draw = random.Random(11).randbytes
        self.store = DiskStore(folder / "store")
        self.vault_store = DiskStore(folder / "vault", VAULT_TABLES)
        self.vault = Vault(self.vault_store, KEY, self.draw)
        with self.store.read() as rows:
            replica = Replica.load(rows)
        self.core = Core(
            replica, mesh.devices[0], mesh.parties[0], random_source=random.Random(12), random_bytes=self.draw
        )
        self.flows = Flows(self.vault.blind, random.Random(13))

    def look(self, act: Callable[[Turn], Any]) -> Any:
        """Read in a snapshot, as the engine does."""
        with self.vault.read() as vault, self.store.read() as rows:
            return act(self.core.take(rows, vault, (NOW + 2 * DAY) * 1_000))  # type: ignore[arg-type]

    def fill(self, grants: Grants, count: int) -> None:
        """Keep consents and receipts, and put the digests on the ledger."""
        with self.vault.write() as vault:
            for grant, told in grants:
                self._know(vault, grant, told)
        for first in range(0, count, BATCH):
            if first % (BATCH * 40) == 0:
                measure.progress(f"kept {first} of {count} receipts")
            batch = [self._receipt(grants, number) for number in range(first, min(first + BATCH, count))]
            entries = self._stated(batch)
            with self.vault.write() as vault:
                for receipt in batch:
                    self.flows.receipts.put(vault, replace(receipt, stated=entries[0].id))

    def _know(self, vault: Any, grant: Entry, told: Disclosures) -> None:
        row = ConsentRow(grant.id, "grant", "", NOW, told)
        self.flows.consents.put(vault, row, self.mesh.parties[0], self.mesh.parties[1])

    def _receipt(self, grants: Grants, number: int) -> Receipt:
        """Return a receipt under a consent that stands, or now and then under one that was withdrawn before."""
        place = number % len(grants)
        late = number % LATE_EVERY == 0
        place = place // 10 * 10 if late else place + (place % 10 == 0)
        grant = grants[min(place, len(grants) - 1)][0]
        at = NOW + DAY + number % 3_600
        transfer, window = self.draw(16), TERMS.data_period[0]
        tally = Tally(2, 480, 3, window, self.draw(32))
        holder, recipient = self.mesh.parties[:2]
        salt = self.draw(16)
        return Receipt(HOLDER, transfer, grant.id, holder, recipient, None, (), tally, at, at, "done", "", salt)

    def _stated(self, batch: Sequence[Receipt]) -> list[Entry]:
        receipts = [[one.transfer, one.grant, one.digest(), None] for one in batch]
        acks = [[one.transfer, self.draw(32)] for one in batch[::2]]
        made = []
        for number, kind, said in (
            (0, "transfer.receipt", {"receipts": receipts}),
            (1, "transfer.ack", {"acks": acks}),
        ):
            made.append(self._state(self.mesh.feeds[number], self.mesh.devices[number], kind, said))
        return made

    def _state(self, feed: Feed, device: SigningKey, kind: str, said: dict[str, Any]) -> Entry:
        replica = self.core.replica
        thing, at = ("transfers", device.kid), NOW + DAY + 7_200
        seen, mesh_id = (replica.position(device.kid),), replica.mesh_id
        entry = sign_entry(device, kind, thing, said, iat=at, cti=self.draw(16), seen=seen, mesh_id=mesh_id)
        feed.tree.append(leaf_hash(entry.id))
        with self.store.write() as rows:
            replica.ingest(rows, feed.close(replica.mesh_id, [entry], at), at, [entry])
        return entry

    def close(self) -> None:
        """Close the stores."""
        self.vault.close()
        self.store.close()


def gathered(site: Site, told: Callable[[str, float], None]) -> Rows:
    """Read all rows as the command does, telling how long each page kept the node."""

    def ask(what: Any, cursor: str) -> tuple[bytes, str]:
        begun = time.perf_counter()
        rows, following = site.look(lambda turn: page(turn, site.flows, what, cursor, 0, NOW + 10 * DAY))
        data = write(rows)
        told(what, time.perf_counter() - begun)
        return data, following

    return collect(ask, lambda count: measure.progress(f"{count} rows read") if count % 50_000 < 500 else None)


def bench(options: argparse.Namespace) -> Result:
    """Measure the audit of many transfers."""
    mesh, count = Mesh(2, 7), options.transfers
    with measure.workspace() as folder:
        grants = granted(folder / "store", mesh, options.consents)
        site = Site(folder, mesh)
        site.fill(grants, count)
        rounds: list[tuple[float, float]] = []
        pages: list[float] = []
        parts: dict[str, float] = {}
        report: Report | None = None
        for _ in range(options.rounds):
            pages.clear()
            limit, report = _once(site, pages, parts)
            rest = sum(took for name, took in parts.items() if name != "processor_s")
            rounds.append((limit, limit + rest))
        site.close()
    assert report is not None
    assert report.counts.transfers == count
    limit, figure = min(one for one, _ in rounds), min(one for _, one in rounds)
    counts = report.counts
    return Result(
        name="audit",
        what=f"audit of {count} transfers under {options.consents} consents, {counts.without_consent} of them without "
        "a consent, as JSON and as a page",
        figure=figure,
        unit="s",
        limit=limit,
        limit_is="the same pages read, nothing done with them",
        ratio=figure / limit,
        reach=f"{REACH_SECONDS:g} s for {REACH_TRANSFERS} transfers",
        aim=f"{REACH_SECONDS:g} s",
        met=figure <= REACH_SECONDS if count >= REACH_TRANSFERS else None,
        peers={},
        method=f"best of {options.rounds} rounds; stores on disk, the vault sealed",
        details={**parts, "pages": measure.quantiles(pages), "transfers_a_second": count / figure},
    )


def _once(site: Site, pages: list[float], parts: dict[str, float]) -> tuple[float, Report]:
    """Audit once; return how long the reading took, and the report. `parts`: gets how long the rest took."""
    begun, used = time.perf_counter(), time.process_time()
    rows = gathered(site, lambda _, took: pages.append(took))
    limit = time.perf_counter() - begun
    begun = time.perf_counter()
    report = audit(rows, Question(0, NOW + 10 * DAY), _tell)
    parts["matched_s"] = time.perf_counter() - begun
    parts["json_s"] = measure.timed(lambda: as_json(report))
    parts["html_s"] = measure.timed(lambda: as_html(report, "fr"))
    parts["processor_s"] = time.process_time() - used
    return limit, report


def _tell(done: int, total: int) -> None:
    if done % 10_000 == 0:
        measure.progress(f"{done} of {total} transfers matched")


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--transfers", type=int, default=REACH_TRANSFERS)
    parser.add_argument("--consents", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)


if __name__ == "__main__":
    measure.main(bench, describe)
