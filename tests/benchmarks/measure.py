"""What every benchmark shares: the result's shape, how it is printed, the machine, children, and a folder to work in.

How it works
    A benchmark is a function from its options to a `Result`. `main` reads the options, runs it and prints either one
    JSON object (`--json`) or a few lines for people. Shared machines are noisy, so a benchmark alternates limit and
    figure within one run and takes the best of several rounds of each; `Result.method` says what it did.
    Progress goes to standard error, and only to a terminal. Nothing that is printed names a path of the machine.

What it does not do
    It asserts nothing: a figure that misses its reach is printed like any other, with `met` false.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
PIPE: Final = subprocess.PIPE
DIRECTORY_VARIABLE: Final = "MAILLE_BENCHMARKS_DIR"
"""Environment variable: where stores and generated corpora are kept; by default under the system's temporary folder."""


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark's outcome. `figure` and `limit` are in `unit`; `ratio` is what `reach` and `aim` are held against.

    `met`: None where the reach speaks of a size that this run did not have. `details`: whatever else was measured.
    """

    name: str
    what: str
    figure: float
    unit: str
    limit: float
    limit_is: str
    ratio: float
    reach: str
    aim: str
    met: bool | None
    peers: dict[str, str]
    method: str
    details: dict[str, Any] = field(default_factory=dict)

    def as_object(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        names = self.__dataclass_fields__
        return {name: _rounded(getattr(self, name)) for name in names} | {"machine": machine()}

    def as_text(self) -> str:
        """Return a few lines for people."""
        met = {True: "met", False: "missed", None: "not judged at this size"}[self.met]
        lines = [
            f"{self.name}: {self.what}",
            f"  figure  {_rounded(self.figure):,} {self.unit}",
            f"  limit   {_rounded(self.limit):,} {self.unit} ({self.limit_is})",
            f"  ratio   {_rounded(self.ratio)}",
            f"  reach   {self.reach}; aim {self.aim}: {met}",
            *(f"  peer    {peer}: {told}" for peer, told in self.peers.items()),
            f"  method  {self.method}",
            *(f"  {name}: {json.dumps(_rounded(value))}" for name, value in self.details.items()),
            f"  machine {', '.join(str(value) for value in machine().values())}",
        ]
        return "\n".join(lines)


def _rounded(value: Any) -> Any:
    """Return the value with floats cut to four significant digits, or to whole numbers above 1 000."""
    match value:
        case float():
            return round(value) if abs(value) >= 1_000 else float(f"{value:.4g}")
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list() | tuple():
            return [_rounded(item) for item in value]
        case _:
            return value


def machine() -> dict[str, Any]:
    """Return the processor's model, how many cores may be used, the Python version and the system."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}",
    }


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main(
    measure: Callable[[argparse.Namespace], Result],
    describe: Callable[[argparse.ArgumentParser], None],
    arguments: Sequence[str] | None = None,
) -> None:
    """Read the options, run the benchmark, print its result."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    describe(parser)
    options = parser.parse_args(arguments)
    result = measure(options)
    print(json.dumps(result.as_object()) if options.json else result.as_text())


def progress(told: str) -> None:
    """Say on a terminal's standard error what is going on."""
    if sys.stderr.isatty():
        print(f"  … {told}", file=sys.stderr, flush=True)


def kept() -> Path:
    """Return the folder where generated corpora and stores stay between runs."""
    named = os.environ.get(DIRECTORY_VARIABLE)
    path = Path(named) if named else Path(tempfile.gettempdir()) / f"maille-benchmarks-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextmanager
def workspace() -> Iterator[Path]:
    """Yield an empty folder on the same disk as what is kept; it is removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="run-", dir=kept()))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def forget_caches() -> None:
    """Empty the caches of the ledger's pure functions, so that no round profits from the one before."""
    # `type`, not `isinstance`: the latter asks a weak proxy for the class of what it stood for, which may be gone
    for found in gc.get_objects():
        if type(found) is functools._lru_cache_wrapper and str(found.__module__).startswith("ledger"):
            found.cache_clear()


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds the work took."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p99 and the count of some durations, in milliseconds."""
    ordered = sorted(seconds)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"p50_ms": statistics.median(ordered) * 1_000, "p99_ms": late * 1_000, "count": len(ordered)}


def child(module: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start `python -m tests.benchmarks.MODULE ARGUMENTS` with its standard output as a pipe of lines."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


def anonymous_bytes(process: int | None = None) -> int | None:
    """Return a process's RssAnon in bytes (memory that no file backs), or None where the system does not tell.

    `process`: its id; by default this process.
    """
    status = Path(f"/proc/{process or 'self'}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1_024
    return None
