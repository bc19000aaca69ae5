"""What a node costs that does nothing, and how long an operator waits: an idle mesh, `maille doctor`, a stop.

How it works
    `--nodes` real daemons found a mesh over loopback and are left alone for `--seconds`. Memory is what is resident at
    the end; processor time is what the process used meanwhile, in parts of the time that passed, so that a loaded
    machine does not change it. Then `maille doctor` is run against one, and each is told to stop by SIGTERM.

What it does not do
    It states nothing: tests/benchmarks/soak does.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from typing import Final

from tests.benchmarks import measure
from tests.benchmarks.measure import Result
from tests.benchmarks.startup import COMMAND
from tests.benchmarks.town import Daemon, Town

RSS_MB: Final = 80.0
CPU_PART: Final = 0.01
STOP_SECONDS: Final = 2.0
DOCTOR_SECONDS: Final = 2.0


def doctor(daemon: Daemon) -> tuple[float, float]:
    """Run `maille doctor` in a process; return the seconds that passed, and its processor time."""
    command = [sys.executable, "-c", COMMAND, "doctor", "--data-dir", str(daemon.home.path)]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=measure.ROOT, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(options: argparse.Namespace) -> Result:
    """Measure."""
    with measure.workspace() as folder, Town(folder, options.nodes) as town:
        time.sleep(options.settle)
        begun, before = time.monotonic(), [daemon.cpu_seconds() for daemon in town.daemons]
        time.sleep(options.seconds)
        lasted = time.monotonic() - begun
        used = [now.cpu_seconds() - then for now, then in zip(town.daemons, before, strict=True)]
        rss = [daemon.rss_bytes() / 1e6 for daemon in town.daemons]
        passed, cpu = doctor(town.daemons[0])
        stops = [daemon.stop() for daemon in town.daemons]
    parts = [one / lasted for one in used]
    worst = max(rss)
    found = worst < RSS_MB and max(parts) < CPU_PART and max(stops) < STOP_SECONDS and passed < DOCTOR_SECONDS
    return Result(
        name="operating",
        what=f"an idle mesh of {options.nodes} daemons for {lasted:.0f} s, then `maille doctor`, then SIGTERM",
        figure=worst,
        unit="MB",
        limit=RSS_MB,
        limit_is="the resident memory that an idle node may have",
        ratio=worst / RSS_MB,
        reach=f"{RSS_MB:.0f} MB, {CPU_PART:.0%} of a processor, stop and doctor in {STOP_SECONDS:.0f} s",
        aim="the same",
        met=found if options.nodes >= 10 else None,
        peers={},
        method="the worst node of all; resident memory of /proc, processor time of /proc",
        details={
            "rss_mb": rss,
            "cpu_percent": [100 * part for part in parts],
            "stop_seconds": stops,
            "doctor_seconds": passed,
            "doctor_cpu_seconds": cpu,
        },
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--settle", type=float, default=20.0, help="seconds before it is measured")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long")


if __name__ == "__main__":
    measure.main(run, describe)
