"""Run atheris on one parser: `python -m tests.fuzz NAME --runs 1000000`; without a name, list them.

The corpus starts from the parser's seeds and stays in `--corpus FOLDER`, if one is named, for the next run. An input
that breaks the parser is written to `crash-…` in the current folder, by libFuzzer, and the exit code is not 0.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from types import ModuleType


def _instrumented() -> tuple[ModuleType, ModuleType]:
    """Import the parsers with coverage counted in our own packages."""
    import atheris

    with atheris.instrument_imports(
        include=["node", "ledger", "proofs", "gossip", "storage"], enable_loader_override=False
    ):
        from tests.fuzz import parsers, seeds
    return parsers, seeds


def main() -> None:
    """Read the options and hand over to libFuzzer, which ends the process."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    options.add_argument("name", nargs="?", help="which parser")
    options.add_argument("--runs", type=int, default=1_000_000, help="inputs to try (default: 1000000)")
    options.add_argument("--max-bytes", type=int, default=4_096, help="longest input (default: 4096)")
    options.add_argument("--corpus", type=Path, help="folder that keeps the inputs that reached new code")
    given = options.parse_args()
    parsers, seeds = _instrumented()
    if given.name not in parsers.PARSERS:
        print("\n".join(sorted(parsers.PARSERS)))
        sys.exit(2 if given.name else 0)
    import atheris

    from tests.fuzz.check import check

    corpus = given.corpus or Path(tempfile.mkdtemp(prefix="maille-fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds.seeds(given.name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    parser = parsers.PARSERS[given.name]
    atheris.Setup(
        [sys.argv[0], f"-runs={given.runs}", f"-max_len={given.max_bytes}", "-timeout=10", str(corpus)],
        lambda data: check(parser, data),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
