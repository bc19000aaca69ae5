"""imports: rows a second of an Enedis export, from the file's bytes through the control socket into the store, durable.

How it works
    A load curve of ten-minute steps in the portal's layout (UTF-8 with a mark, stamps with their offset, two values in
    a thousand empty) is handed to a whole node by the client, as `maille readings import` does: base64 over the
    control socket, recognised by its content, read in a thread, kept in the sealed vault in one transaction, synced.
    Each round has another point, so every record is new. Client and node share this process: the processor time is
    that of both.
    The limit is the standard library's csv.reader over the same bytes, which gives cells and understands none.

What it does not do
    It reads one layout; `--profile` prints where the time of one import went.
"""

from __future__ import annotations

import argparse
import cProfile
import csv
import io
import pstats
import random
import resource
import sys
import time
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from node.adapters import enedis_csv
from simulations.sandbox import sandbox
from tests.benchmarks import measure
from tests.benchmarks.measure import Result

REACH: Final = 200_000.0
STEP: Final = 600
BEGUN: Final = 978_303_600  # 1 January 2001 in Paris
HEAD: Final = (
    "\ufeffIdentifiant PRM;Type de donnees;Date de debut;Date de fin;Grandeur physique;Grandeur metier;Etape metier;"
    "Unite;Pas en minutes\n"
    "{:014};Courbe de charge;01/01/2001;01/01/2022;Energie active;Consommation;Comptage Brut;W;10\n"
    "Horodate;Valeur\n"
)


def rows(count: int) -> str:
    """Return the rows of a file: stamps of Paris with their offset, and values of which some are empty."""
    chance, paris = random.Random(1), ZoneInfo("Europe/Paris")
    stamps = (datetime.fromtimestamp(BEGUN + STEP * (n + 1), paris).isoformat() for n in range(count))
    return "".join(f"{stamp};{'' if chance.random() < 0.002 else chance.randrange(9_000)}\n" for stamp in stamps)


def spent() -> float:
    """Return the processor time of this process, user and system, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def bench(options: argparse.Namespace) -> Result:
    """Measure the import of a long Enedis load curve."""
    measure.progress(f"writing {options.rows} rows")
    body = rows(options.rows)
    files = [(HEAD.format(number) + body).encode() for number in range(options.rounds)]
    limits, figures, processor, parsing = [], [], [], []
    with sandbox("holder") as mesh:
        for number, data in enumerate(files):
            measure.progress(f"round {number + 1} of {options.rounds}")
            text = data.decode("utf-8-sig")
            limits.append(measure.timed(lambda text=text: sum(map(len, csv.reader(io.StringIO(text), delimiter=";")))))  # type: ignore[misc]
            parsing.append(measure.timed(lambda data=data: enedis_csv.parse(data)))  # type: ignore[misc]
            client, begun, used = mesh.client("holder"), time.perf_counter(), spent()
            imported = client.import_readings(data)
            figures.append(time.perf_counter() - begun)
            processor.append(spent() - used)
            assert imported.new == options.rows, imported
    if options.profile:
        profile(files[0])
    figure, limit = options.rows / min(figures), options.rows / min(limits)
    return Result(
        name="imports",
        what=f"an Enedis load curve of {options.rows} rows, {len(files[0]) / 2**20:.1f} MiB, into the store of a node",
        figure=figure,
        unit="rows/s",
        limit=limit,
        limit_is="csv.reader over the same bytes",
        ratio=figure / limit,
        reach=f"{REACH:,.0f} rows/s",
        aim="the limit",
        met=figure >= REACH if options.rows >= 100_000 else None,
        peers={},
        method=f"the quickest of {options.rounds} rounds of each, one after the other",
        details={
            "rows_a_second_of_processor_time": options.rows / min(processor),
            "processor_seconds": min(processor),
            "rows_a_second_parsed_alone": options.rows / min(parsing),
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        },
    )


def profile(data: bytes) -> None:
    """Print on standard error where the time of parsing goes."""
    profiler = cProfile.Profile()
    profiler.runcall(enedis_csv.parse, data)
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(15)


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print where the time of parsing goes")


if __name__ == "__main__":
    measure.main(bench, describe)
