"""ingest: entries a second verified, folded and made durable, beside the raw rate of verifying the same entries.

How it works
    In one process: for each run of 1 000 leaves, first `crypto_sign_open` over its entries (the limit), then one
    transaction that ingests it into a replica on a store on disk (the figure): both feel the same noise. With workers:
    rounds of the limit alternate with rounds in which a `WorkerPool` verifies while the main process ingests, run
    after run, as the engine does. Every round starts with an empty store and empty caches. The quietest round counts,
    with its own limit.

What it does not do
    No network: see `sync`. The founding of the mesh is ingested before the clock starts.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import trio
from nacl.bindings import crypto_sign_open

from ledger import codec
from ledger.entry import Entry
from ledger.feed import Run
from ledger.replica import Replica
from node.engine import VERIFYING_MAX
from node.events import Verified, Verify
from node.workers import WorkerPool
from storage.disk import DiskStore
from tests.benchmarks import measure
from tests.benchmarks.corpus import LATER, Mesh, Shape, kept_runs
from tests.benchmarks.measure import Result

Signed = list[tuple[bytes, bytes]]


def signed(raws: Iterable[bytes]) -> Signed:
    """Return (signature and signed message, public key) of each entry: what libsodium is given."""
    listed = []
    for raw in raws:
        protected, _, payload, signature = codec.decode_sign1(raw)
        assert isinstance(signature, bytes)
        listed.append((signature + codec.encode(["Signature1", protected, b"", payload]), Entry.parse(raw).signer))
    return listed


def verify(batch: Signed) -> None:
    """Verify signatures and nothing else: the limit."""
    for message, public in batch:
        crypto_sign_open(message, public)


def opened(path: Path, mesh: Mesh, founding: list[Run]) -> tuple[DiskStore, Replica]:
    """Return a new store whose replica holds the founding of the mesh."""
    store = DiskStore(path)
    with store.write() as rows:
        replica = Replica.create(rows, mesh.genesis)
        for run in founding:
            replica.ingest(rows, run, LATER)
    return store, replica


@dataclass(slots=True)
class Round:
    """Seconds of verifying alone and of ingesting, by the clock and of the processor."""

    limit: float = 0.0
    figure: float = 0.0
    limit_cpu: float = 0.0
    figure_cpu: float = 0.0


def alone(path: Path, mesh: Mesh, founding: list[Run], runs: list[Run], raw: list[Signed]) -> Round:
    """Verify alone and ingest every run, batch by batch in turns, in this process."""
    measure.forget_caches()
    store, replica = opened(path, mesh, founding)
    took = Round()
    for run, batch in zip(runs, raw, strict=True):
        begun, begun_cpu = time.perf_counter(), time.process_time()
        verify(batch)
        between, between_cpu = time.perf_counter(), time.process_time()
        with store.write() as rows:
            replica.ingest(rows, run, LATER)
        took.figure += time.perf_counter() - between
        took.figure_cpu += time.process_time() - between_cpu
        took.limit += between - begun
        took.limit_cpu += between_cpu - begun_cpu
    store.close()
    return took


def pooled(path: Path, mesh: Mesh, founding: list[Run], runs: list[Run], workers: int) -> float:
    """Return the seconds of ingesting every run while worker processes verify the next ones."""
    measure.forget_caches()
    store, replica = opened(path, mesh, founding)

    async def flow() -> float:
        async with WorkerPool(workers) as pool:
            async with trio.open_nursery() as nursery:
                for run in founding:
                    nursery.start_soon(pool.verify, Verify(b"", run))  # all processes have started
            begun = time.perf_counter()
            done: dict[int, Verified] = {}
            moved = trio.Event()

            async def verifier(place: int) -> None:
                nonlocal moved
                done[place] = await pool.verify(Verify(b"", runs[place]))
                moved.set()
                moved = trio.Event()

            async with trio.open_nursery() as nursery:
                for place in range(min(VERIFYING_MAX, len(runs))):
                    nursery.start_soon(verifier, place)
                    await trio.lowlevel.checkpoint()  # in order, as the engine does
                for place in range(len(runs)):
                    while place not in done:
                        await moved.wait()
                    verified = done.pop(place)
                    if place + VERIFYING_MAX < len(runs):
                        nursery.start_soon(verifier, place + VERIFYING_MAX)
                        await trio.lowlevel.checkpoint()  # it is on its way before this process is busy
                    with store.write() as rows:
                        replica.ingest(rows, verified.run, LATER, verified.decoded)
            return time.perf_counter() - begun

    seconds = trio.run(flow)
    store.close()
    return seconds


def bench(options: argparse.Namespace) -> Result:
    """Measure ingestion in one process and with worker processes."""
    shape = Shape(options.entries, options.feeds, options.signers, options.batch)
    mesh, founding, runs = kept_runs(shape)
    raw = [signed(run.raws) for run in runs]
    rounds: list[Round] = []
    beside: list[tuple[float, float]] = []
    with measure.workspace() as folder:
        for number in range(options.rounds):
            measure.progress(f"round {number + 1} of {options.rounds}, one process")
            rounds.append(alone(folder / f"alone-{number}", mesh, founding, runs, raw))
            measure.progress(f"round {number + 1} of {options.rounds}, {options.workers} workers")
            plain = sum(measure.timed(lambda batch=batch: verify(batch)) for batch in raw)  # type: ignore[misc]
            beside.append((plain, pooled(folder / f"pooled-{number}", mesh, founding, runs, options.workers)))
    count = shape.entries
    quietest, beside_it = min(rounds, key=lambda took: took.limit + took.figure), min(beside, key=sum)
    limit, figure, with_workers = count / quietest.limit, count / quietest.figure, count / beside_it[1]
    ratio, ratio_workers = figure / limit, beside_it[0] / beside_it[1]
    mean = sum(len(body) for run in runs for body in run.raws) / count
    return Result(
        name="ingest",
        what=f"{count} entries of {shape.signers} signers verified, folded and durable, {shape.batch} a transaction",
        figure=figure,
        unit="entries/s",
        limit=limit,
        limit_is="crypto_sign_open alone on the same entries, one thread",
        ratio=ratio,
        reach="0.45 in one process, 0.75 with worker processes on 2 cores",
        aim="0.6 and 1.0",
        met=ratio >= 0.45 and ratio_workers >= 0.75,
        peers={"hypercore 11.37.1": "14 200/s, no signature an entry", "ssb-db2 8.1.0": "11 000/s"},
        method=f"the quietest of {options.rounds} rounds of each, with its own limit; alone, both alternate by batch",
        details={
            "entry_bytes_mean": mean,
            "with_workers": {
                "workers": options.workers,
                "figure": with_workers,
                "limit": count / beside_it[0],
                "ratio": ratio_workers,
            },
            "met_one_process": ratio >= 0.45,
            "met_with_workers": ratio_workers >= 0.75,
            "ratios_by_round": [took.limit / took.figure for took in rounds],
            "ratios_by_round_of_processor_time": [took.limit_cpu / took.figure_cpu for took in rounds],
            "ratios_by_round_with_workers": [verifying / ingesting for verifying, ingesting in beside],
        },
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--feeds", type=int, default=10)
    parser.add_argument("--signers", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=1_000, help="leaves in a run, and in a transaction")
    workers = max(1, (os.cpu_count() or 2) - 1)
    parser.add_argument("--workers", type=int, default=workers, help="as many as a node starts by itself, by default")
    parser.add_argument("--rounds", type=int, default=3)


if __name__ == "__main__":
    measure.main(bench, describe)
