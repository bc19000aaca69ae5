"""maps: moving the committed maps after new consents, in a map that holds many.

How it works
    A map on a store on disk holds as many consents as asked for, each with a value as long as a real one. Then new ones
    are set, as a tick sets them, and the root is computed; each round sets others. The limit is the hashing alone: the
    leaves of every bucket that is touched, hashed up to its root, and the tree above, from memory.

What it does not do
    It derives no value: what a tick costs besides is the fold's and the statuses' (assembly, fold).
"""

from __future__ import annotations

import argparse
import random
from functools import partial
from typing import Final

from ledger import codec, merkle
from ledger.maps import BUCKETS, CONSENTS, CommittedMap, map_key, top_leaf
from ledger.rows import Writer
from storage.disk import DiskStore
from tests.benchmarks import measure
from tests.benchmarks.measure import Result

REACH_MS: Final = 50.0
BATCH: Final = 10_000


def value_of(draw: random.Random, ident: bytes) -> bytes:
    """Return a value as long as that of a granted consent."""
    return codec.encode([1, draw.randbytes(16), 1_830_000_000, [ident], []])


def hashing(ids: list[bytes], fresh: list[bytes], value: bytes) -> float:
    """Return the seconds that hashing alone takes: of the buckets that fresh ids touch, and the tree above."""
    buckets: dict[int, list[tuple[bytes, bytes]]] = {}
    for ident in ids:
        key = map_key(ident)
        buckets.setdefault(int.from_bytes(key[:2], "big") >> 4, []).append((key, merkle.leaf_hash(key + value)))
    touched = {int.from_bytes(map_key(ident)[:2], "big") >> 4 for ident in fresh}
    tops = [top_leaf(0, merkle.EMPTY_ROOT)] * BUCKETS
    held = [[leaf for _, leaf in sorted(buckets.get(bucket, []))] for bucket in touched]

    def work() -> None:
        for ident in fresh:
            merkle.leaf_hash(map_key(ident) + value)
        for bucket, leaves in zip(touched, held, strict=True):
            tops[bucket] = top_leaf(len(leaves), merkle.root_of(leaves))
        merkle.root_of(tops)

    return measure.timed(work)


def move(held: CommittedMap, rows: Writer, values: dict[bytes, bytes | None]) -> tuple[int, bytes]:
    """Set values and return the map's root, as a tick does."""
    held.update(rows, values)
    return held.root()


def bench(options: argparse.Namespace) -> Result:
    """Measure the move of a committed map to a root after new consents."""
    draw = random.Random(5)
    ids = [draw.randbytes(32) for _ in range(options.consents)]
    with measure.workspace() as folder:
        store = DiskStore(folder / "store")
        held = CommittedMap(CONSENTS)
        for first in range(0, len(ids), BATCH):
            measure.progress(f"set {first} of {len(ids)}")
            with store.write() as rows:
                held.update(rows, {ident: value_of(draw, ident) for ident in ids[first : first + BATCH]})
        rounds: list[tuple[float, float]] = []
        commits: list[float] = []
        for _ in range(options.rounds):
            fresh = [draw.randbytes(32) for _ in range(options.new)]
            values: dict[bytes, bytes | None] = {ident: value_of(draw, ident) for ident in fresh}
            with store.write() as rows:
                spent = measure.timed(partial(move, held, rows, values))
            ids += fresh
            rounds.append((hashing(ids, fresh, value_of(draw, ids[0])), spent))
            commits.append(spent)
        store.close()
    best, least = min(r for _, r in rounds) * 1_000, min(r for r, _ in rounds) * 1_000
    return Result(
        name="maps",
        what=f"the root of a committed map after {options.new} new consents among {options.consents}",
        figure=best,
        unit="ms",
        limit=least,
        limit_is="the hashing alone, from memory",
        ratio=best / least,
        reach=f"{REACH_MS} ms",
        aim=f"{REACH_MS} ms",
        met=best <= REACH_MS if options.consents >= 100_000 and options.new >= 1_000 else None,
        peers={},
        method=f"best of {options.rounds} rounds, limit and figure in turns; without the commit to disk",
        details={"all_rounds_ms": [round(spent * 1_000, 1) for spent in commits]},
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--consents", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=15)


if __name__ == "__main__":
    measure.main(bench, describe)
