"""proof: the size of a bundle of one consent, and the time to verify it, in a mesh with many entries and consents.

How it works
    Seven founders, all voters, keep a ledger of as many entries as asked for, of which some are grants, the rest
    acknowledgements. One grant in the middle is real: its disclosures are known. The voters seal an epoch, a tick
    follows, and as many of them attest it as tolerate two liars: k > (7 + 2) / 2. The bundle is made for an auditor
    who has pinned that epoch, and discloses what an auditor asks for first (FIELDS). It is verified again and again in
    this process, all caches of the ledger's pure functions emptied each time. The limit is libsodium's part alone: as
    many signatures of the same lengths as the bundle holds.

What it does not do
    It starts no process: an interpreter's start takes longer than a verification.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from ledger.consent.disclosure import Disclosures
from ledger.entry import Entry
from ledger.governance.certificate import Certificate, Step, vote_bytes
from ledger.governance.sealing import Terms
from ledger.keys import verify as verify_signature
from ledger.merkle import leaf_hash
from ledger.replica import Replica
from ledger.rows import Reader
from ledger.ticks import Ticker
from ledger.view import HeldView
from proofs import reading
from proofs.bundle import Bundle
from proofs.make import Extras, make
from proofs.policy import MemberQuorum
from proofs.verify import Trust, verify
from storage.disk import DiskStore
from tests.benchmarks import measure
from tests.benchmarks.consents import NOW, grant_of
from tests.benchmarks.corpus import LATER, Consents, Feed, Mesh
from tests.benchmarks.measure import Result

VOTERS: Final = 7
WITNESSES: Final = 5
BATCH: Final = 1_000
REACH_BYTES: Final = 8_192
REACH_MS: Final = 4.0
FIELDS: Final = (
    *("purpose", "purpose_category", "legal_basis", "points", "pii_type", "granularity", "data_period"),
    *("access_period", "controllers", "recipients", "retention"),
)
"""Who may do what with which data, why and for how long; rights, contacts and texts stay with the parties."""


class Ledger:
    """The mesh, its store, and the grant that will be proven."""

    def __init__(self, path: Path, entries: int, consents: int) -> None:
        self.mesh = Mesh(VOTERS, 11)
        self.store = DiskStore(path)
        with self.store.write() as rows:
            self.replica = Replica.create(rows, self.mesh.genesis)
            for run, said in self.mesh.founding():
                self.replica.ingest(rows, run, LATER, said)
        self.grant, self.disclosures = self._fill(entries, consents)

    def _fill(self, entries: int, consents: int) -> tuple[Entry, Disclosures]:
        mesh = self.mesh
        work = Consents(mesh, [(mesh.key(), mesh.key()) for _ in range(500)])
        real, known, made = None, None, 0
        for first in range(0, entries, BATCH):
            measure.progress(f"signed {first} of {entries} entries")
            feed, batch = mesh.feeds[first // BATCH % VOTERS], list[Entry]()
            for at in range(first, min(first + BATCH, entries)):
                if real is None and at >= entries // 2:
                    real, known = grant_of(mesh, feed, at)
                    entry = real
                elif made < consents or not batch:
                    entry, made = work._grant(feed)[0], made + 1
                else:
                    entry = work._acknowledge(feed, real or batch[0])
                work.at += 1
                batch.append(entry)
                feed.tree.append(leaf_hash(entry.id))
            self._ingest(feed, batch, NOW)
        assert real is not None
        assert known is not None
        return real, known

    def _ingest(self, feed: Feed, batch: list[Entry], time: int) -> None:
        run = feed.close(self.mesh.genesis.mesh_id, batch, time)
        with self.store.write() as rows:
            self.replica.ingest(rows, run, time + 10, batch)

    def _say(self, feed: Feed, kind: str, thing: tuple[str, bytes], payload: dict[str, object], time: int) -> None:
        entry = self.mesh.sign(feed.device, kind, thing, payload, time, feed.head())
        feed.tree.append(leaf_hash(entry.id))
        self._ingest(feed, [entry], time)

    def seal(self) -> bytes:
        """Seal what is held by all voters; return the epoch's reference."""
        mesh, chain = self.mesh, self.replica.chain
        before, heads = chain.newest, self.replica.frontier()
        with self.store.read() as rows:
            composed = chain.compose(before, HeldView(self.replica, rows), Terms(heads, NOW + 60))
        assert composed is not None
        seal, after = composed
        by_kid = {root.kid: device for root, device in zip(mesh.roots, mesh.devices, strict=True)}
        said = vote_bytes(before.context, 0, Step.COMMIT, seal.digest(), -1)
        signed = [(place, by_kid[kid].sign(said)) for place, (kid, _) in enumerate(before.context.voters)]
        listed = [[head.feed, head.size, head.root] for head in heads.values()]
        parts = {"digest": seal.epoch.frontier_digest, "part": 0, "parts": 1, "heads": listed}
        self._say(mesh.feeds[0], "seal.frontier", ("epoch", before.reference), parts, NOW + 60)
        payload: dict[str, object] = {"certificate": Certificate(seal, 0, tuple(signed)).encode(VOTERS)}
        self._say(mesh.feeds[0], "seal.certificate", ("epoch", after.reference), payload, NOW + 60)
        assert chain.newest.reference == after.reference
        return after.reference

    def tick(self) -> Ticker:
        """Move the maps, and have the witnesses attest."""
        ticker = Ticker(self.replica)
        measure.progress("moving the committed maps")
        with self.store.write() as rows:
            tick = ticker.move(rows, NOW + 120)
        told = {"boundary": tick.boundary, "frontier": tick.frontier, "state_root": tick.state_root}
        for feed in self.mesh.feeds[:WITNESSES]:
            thing = ("tick", tick.boundary.to_bytes(8, "big"))
            self._say(feed, "state.attestation", thing, dict(told), NOW + 125)
        return ticker


def bundle_of(ledger: Ledger, rows: Reader, ticker: Ticker, epoch: bytes, fields: tuple[str, ...] | None) -> bytes:
    """Make the bundle."""
    extras = Extras(WITNESSES, epoch)
    return make(rows, ledger.replica, ticker, ledger.grant.id, ledger.disclosures, fields, extras=extras)


def signatures(made: Bundle) -> list[tuple[bytes, bytes, bytes]]:
    """Return (key, message, signature) of as many signatures as a verifier checks, of the lengths that they have."""
    entries = [Entry.parse(raw) for raw in (made.genesis, *(item.raw for item in made.entries))]
    found = [(entry.signer, entry.raw[:-64], entry.signature) for entry in entries]
    for _ in made.ticks[0].attestations:
        found.append((found[-1][0], bytes(450), bytes(64)))
    for _ in made.checkpoints:
        found.append((found[-1][0], bytes(230), bytes(64)))
    return found


def bench(options: argparse.Namespace) -> Result:
    """Measure a bundle's size and the time to verify it."""
    with measure.workspace() as folder:
        ledger = Ledger(folder / "store", options.entries, options.consents)
        epoch = ledger.seal()
        ticker = ledger.tick()
        with ledger.store.read() as rows:
            data = bundle_of(ledger, rows, ticker, epoch, FIELDS)
            whole = bundle_of(ledger, rows, ticker, epoch, None)
        ledger.store.close()
    trust = Trust(ledger.mesh.genesis.mesh_id, MemberQuorum(WITNESSES), None, 600, epoch)
    report = verify(data, trust, NOW + 130)
    assert report.exit_code == 0, report.as_text()
    signed = signatures(reading.decode(data))

    def limit() -> None:
        for key, message, signature in signed:
            verify_signature(key, message, signature)

    def figure() -> None:
        verify(data, trust, NOW + 130)

    rounds: list[tuple[float, float]] = []
    for _ in range(options.rounds):
        measure.forget_caches()
        least = measure.timed(limit)
        measure.forget_caches()
        rounds.append((least, measure.timed(figure)))
    best, least = min(r for _, r in rounds) * 1_000, min(r for r, _ in rounds) * 1_000
    return Result(
        name="proof",
        what=f"verifying a bundle of one consent, {VOTERS} voters, recent epoch pinned, {options.entries} entries and "
        f"{options.consents} consents",
        figure=best,
        unit="ms",
        limit=least,
        limit_is=f"the {len(signed)} signatures alone",
        ratio=best / least,
        reach=f"{REACH_MS} ms and {REACH_BYTES} bytes",
        aim=f"{REACH_MS} ms and {REACH_BYTES} bytes",
        met=best <= REACH_MS and len(data) <= REACH_BYTES if options.entries >= 50_000 else None,
        peers={},
        method=f"best of {options.rounds} rounds, limit and figure in turns, caches emptied before each",
        details={"bytes": len(data), "bytes_with_every_field": len(whole), "fields": len(FIELDS)},
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--entries", type=int, default=50_000)
    parser.add_argument("--consents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=30)


if __name__ == "__main__":
    measure.main(bench, describe)
