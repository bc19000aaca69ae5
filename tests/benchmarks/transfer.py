"""transfer: SenML records a second from one node's vault to another's, over TCP on loopback, durable at both ends.

How it works
    Two whole nodes in one process, each with its own store on disk, joined in a mesh with a link. A person consents to
    a load curve, which the holder sends: each pack is cut from the sealed store, let out by the gate, kept, signed,
    sent through the encrypted channel, opened, verified, held against the gate again, kept sealed and acknowledged
    once it is synced. The time is that of `data send`, from the command to the receipt.
    The limit is cbor2 alone on the same records in packs of the same size: encoded once and decoded once. Both nodes
    share one thread, so the processor time is that of both ends, as the limit's is.

What it does not do
    Import, joining and consent are not in the time. Packs pass in memory of one machine: no line is measured.
"""

from __future__ import annotations

import argparse
import resource
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cbor2
import trio

from node.adapters import enedis_csv, senml
from node.readings import Series
from node.vaults.series import CHUNK_RECORDS
from simulations.daemons import quiet
from tests.benchmarks import measure
from tests.benchmarks.imports import HEAD, rows
from tests.benchmarks.measure import Result
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import pair

REACH: Final = 0.4
TERMS: Final[dict[str, Any]] = {
    "kind": "load_curve",
    "purpose": "a measurement",
    "contact": "dpo@city.example",
    "data_from": datetime(1990, 1, 1, tzinfo=UTC),
    "data_until": datetime(2090, 1, 1, tzinfo=UTC),
}


def spent() -> float:
    """Return the processor time of this process, user and system, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def alone(curve: Series) -> tuple[float, float]:
    """Return how long cbor2 takes to encode and decode the records, in seconds of the clock and of the processor."""
    records = [cbor2.loads(senml.encode_cbor(chunk)) for chunk in curve.chunks(CHUNK_RECORDS)]
    begun, used = time.perf_counter(), spent()
    packs = [cbor2.dumps(pack) for pack in records]
    for pack in packs:
        cbor2.loads(pack)
    return time.perf_counter() - begun, spent() - used


async def sent(folder: Path, data: bytes, curve: Series) -> tuple[float, float]:
    """Return how long the transfer takes, in seconds of the clock and of the processor."""
    homes = [make_home(folder / name, name) for name in ("ada", "bob")]
    async with running(homes[0]) as ada, running(homes[1]) as bob:
        await pair(ada, bob)
        await do(ada, "readings import", file=data)
        await do(ada, "wallet create", name="anna")
        terms = {"recipient": "bob", "point": (curve.key.point,), "granularity": curve.key.granularity, **TERMS}
        consent = await do(ada, "consent grant", wallet="anna", **terms)
        begun, used = time.perf_counter(), spent()
        done = await do(ada, "data send", consent=consent.id)
        took = time.perf_counter() - begun, spent() - used
        assert (done.state, done.records) == ("done", len(curve)), done
    return took


def bench(options: argparse.Namespace) -> Result:
    """Measure the transfer of a long load curve between two nodes."""
    measure.progress(f"writing {options.records} records")
    data = (HEAD.format(1) + rows(options.records)).encode()
    (curve,) = enedis_csv.parse(data)
    limits, figures = [], []
    with quiet(), measure.workspace() as folder:
        for number in range(options.rounds):
            measure.progress(f"round {number + 1} of {options.rounds}")
            limits.append(alone(curve))
            figures.append(trio.run(sent, folder / str(number), data, curve))
    limit, figure = (options.records / min(took for took, _ in times) for times in (limits, figures))
    by_processor = min(used for _, used in limits) / min(used for _, used in figures)
    return Result(
        name="transfer",
        what=f"{options.records} SenML records from vault to vault, two nodes on loopback, durable at both ends",
        figure=figure,
        unit="records/s",
        limit=limit,
        limit_is="cbor2 encoding and decoding the same records",
        ratio=figure / limit,
        reach=f"{REACH}",
        aim="0.8",
        met=figure / limit >= REACH if options.records >= 100_000 else None,
        peers={},
        method=f"the quickest of {options.rounds} rounds of each, one after the other",
        details={
            "ratio_of_processor_time": by_processor,
            "records_a_second_of_processor_time": options.records / min(used for _, used in figures),
            "ratios_by_round": [one[0] / other[0] for one, other in zip(limits, figures, strict=True)],
        },
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)


if __name__ == "__main__":
    measure.main(bench, describe)
