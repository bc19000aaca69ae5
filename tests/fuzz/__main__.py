"""Run atheris on parsers: `python -m tests.fuzz NAME --runs 1000000`, or `--all --seconds 5`; without one, list them.

The corpus starts from the parser's seeds and stays in `--corpus FOLDER`, if one is named, for the next run. An input
that breaks the parser is written to `crash-NAME-…` in the current folder, by libFuzzer, and the exit code is not 0.

How it works
    libFuzzer ends its process. The parsers are imported once, with coverage counted in our own packages, and each is
    searched in a fork of this process, `--jobs` at a time. What a search says is shown when it has found something.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from types import ModuleType

LAYERS = ("node", "ledger", "proofs", "gossip", "storage", "simulations")


def _instrumented() -> tuple[ModuleType, ModuleType]:
    """Import the parsers with coverage counted in our own packages."""
    import atheris

    quiet = redirect_stderr(io.StringIO())  # a line for every module
    with quiet, atheris.instrument_imports(include=list(LAYERS), enable_loader_override=False):
        from tests.fuzz import parsers, seeds
    return parsers, seeds


def _search(name: str, given: argparse.Namespace, corpus: Path, parsers: ModuleType, seeds: ModuleType) -> None:
    """Hand over to libFuzzer, which ends the process."""
    import atheris

    from tests.fuzz.check import check

    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds.seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-runs={given.runs}"] if given.seconds is None else [f"-max_total_time={given.seconds}"]
    told = [
        *limits,
        f"-max_len={given.max_bytes}",
        f"-artifact_prefix=crash-{name}-",
        "-timeout=10",
        f"-seed={given.seed}",
    ]
    parser = parsers.PARSERS[name]
    atheris.Setup([sys.argv[0], *told, str(corpus)], lambda data: check(parser, data))
    atheris.Fuzz()


def _forked(name: str, given: argparse.Namespace, corpus: Path, log: Path, *modules: ModuleType) -> int:
    """Search in a fork of this process, which writes to `log`; return its id."""
    child = os.fork()
    if child:
        return child
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    _search(name, given, corpus, *modules)
    os._exit(0)  # libFuzzer does not come back


def _ended(running: dict[int, str], most: int) -> Iterator[tuple[str, int]]:
    """Wait until at most so many run; yield what ended, with its exit code."""
    while len(running) > most:
        child, status = os.wait()
        yield running.pop(child), os.waitstatus_to_exitcode(status)


def _runs(log: Path) -> str:
    """Return what libFuzzer said last of how many inputs it tried."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith(("#", "Done"))]
    return lines[-1][:100] if lines else "said nothing"


def _all(given: argparse.Namespace, names: list[str], *modules: ModuleType) -> int:
    """Search all, and return how many were broken."""
    broken: list[str] = []
    running: dict[int, str] = {}
    scratch = Path(tempfile.mkdtemp(prefix="maille-fuzz-"))  # removed here: a fork would remove it when it ends

    def tell(ended: Iterator[tuple[str, int]]) -> None:
        for name, code in ended:
            print(f"{'BROKEN' if code else 'sound '} {name}: {_runs(scratch / f'{name}.log')}", flush=True)
            if code:
                broken.append(name)
                print((scratch / f"{name}.log").read_text(errors="replace")[-6_000:], flush=True)
            shutil.rmtree(scratch / name, ignore_errors=True)

    for name in names:
        tell(_ended(running, given.jobs - 1))
        corpus = (given.corpus or scratch) / name
        running[_forked(name, given, corpus, scratch / f"{name}.log", *modules)] = name
    tell(_ended(running, 0))
    shutil.rmtree(scratch, ignore_errors=True)
    print(f"{len(names)} parsers, {len(broken)} broken: {', '.join(broken) or 'none'}")
    return len(broken)


def main() -> None:
    """Read the options and search."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    options.add_argument("name", nargs="*", help="which parsers")
    options.add_argument("--all", action="store_true", help="every parser of the table")
    options.add_argument("--runs", type=int, default=1_000_000, help="inputs to try of each (default: 1000000)")
    options.add_argument("--seconds", type=int, help="try for so long, in place of --runs")
    options.add_argument(
        "--seed", type=int, default=0, help="equal seeds try the same inputs (default: another each time)"
    )
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="parsers at a time")
    options.add_argument("--max-bytes", type=int, default=4_096, help="longest input (default: 4096)")
    options.add_argument("--corpus", type=Path, help="folder that keeps the inputs that reached new code")
    given = options.parse_args()
    modules = _instrumented()
    known = modules[0].PARSERS
    names = sorted(known) if given.all else given.name
    if not names or not set(names) <= set(known):
        print("\n".join(sorted(known)))
        sys.exit(2 if names else 0)
    sys.exit(1 if _all(given, names, *modules) else 0)


if __name__ == "__main__":
    main()
