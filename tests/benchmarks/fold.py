"""fold: 10 000 governance entries with 100 voters, from scratch and entry by entry; and what a certificate weighs.

How it works
    `assembly` signs the entries once: a mesh that admits a thousand members, links, ballots of every sort, delegations,
    and a seal as soon as a hundred entries wait. From scratch: a new register and chain over all of them. Incremental:
    each entry is added and all is folded again, as a replica does for a run of one leaf, and the time of every one is
    kept. What the signatures of certificates take is told beside and taken out. Limit: reading (decoding) the same
    entries without their signatures, which every node has to do. Restart: the same number of entries under ten times
    as many epochs, as a start folds them, with the signatures of certificates and without. The worst open epoch has no
    quorum: nothing is ever sealed and all the entries lie open; they come in runs of a hundred, one fold each, and the
    last hundred one by one. Whatever the way, the members must be the same in the end.

What it does not do
    No rows and no network: `startup` and `ingest` measure those. No forks: each costs a fold of the open epoch.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger import keys
from ledger.errors import RemoteError
from ledger.feed import Registration
from ledger.governance.chain import Chain
from ledger.governance.members import Members
from ledger.governance.register import Register
from node.collector import calm
from tests.benchmarks import measure
from tests.benchmarks.assembly import Grown, Made, Shape, kept
from tests.benchmarks.measure import Result

SCRATCH_SECONDS: Final = 1.0
ENTRY_SECONDS: Final = 0.001
CERTIFICATE_BYTES: Final = 8_192
RUN: Final = 100


@dataclass(slots=True)
class Verifying:
    """Takes the place of `keys.verify`, and adds up how long it took: in a fold only certificates ask for it."""

    verify: Callable[[bytes, bytes, bytes], bool]
    seconds: float = 0.0

    def __call__(self, public: bytes, message: bytes, signature: bytes) -> bool:
        """Verify a signature."""
        begun = time.process_time()
        try:
            return self.verify(public, message, signature)
        finally:
            self.seconds += time.process_time() - begun


def scratch(
    made: Made, registrations: Sequence[Registration], verifying: Verifying, trusted: frozenset[bytes] = frozenset()
) -> tuple[float, Members, Chain]:
    """Fold everything at once; return the seconds without verifying, and what it means."""
    view = Grown(made.roots)
    for registration in registrations:
        view.sizes[registration.feed] = registration.index + 1
    known, begun = verifying.seconds, time.process_time()
    chain = Chain(made.genesis, Register(registrations))
    chain.trust(trusted)
    members = chain.live(view)
    return time.process_time() - begun - verifying.seconds + known, members, chain


@dataclass(slots=True)
class Growing:
    """A register, a chain and a view that grow, as a replica's do."""

    made: Made
    verifying: Verifying

    def run(self, registrations: Sequence[Registration], runs: Sequence[int]) -> tuple[list[float], Members]:
        """Take entries in runs of these sizes, one fold a run; return each fold's seconds without verifying."""
        register, view = Register(), Grown(self.made.roots)
        chain, took, place = Chain(self.made.genesis, register), list[float](), 0
        members = chain.live(view)
        gc.collect()
        for size in runs:
            known = self.verifying.seconds
            begun = time.process_time()
            for registration in registrations[place : place + size]:
                view.sizes[registration.feed] = registration.index + 1
                register.add(registration)
            members = chain.live(view)
            took.append(time.process_time() - begun - self.verifying.seconds + known)
            place += size
        return took, members


def bench(options: argparse.Namespace) -> Result:
    """Measure the fold of governance entries from scratch, incrementally, and without a quorum."""
    verifying = Verifying(keys.verify)
    keys.verify = verifying
    made = kept(Shape(options.entries, options.voters, options.cadence))
    calm()  # Python's collector, set as a node sets it
    limits, folds = list[float](), list[float]()
    registrations = list[Registration]()
    for number in range(options.rounds):
        measure.progress(f"round {number + 1} of {options.rounds}, from scratch")
        measure.forget_caches()
        begun = time.process_time()
        registrations = made.registrations()
        limits.append(time.process_time() - begun)
        took, _, _ = scratch(made, registrations, verifying)
        folds.append(took)
    verified = verifying.seconds / options.rounds
    _, whole, chain = scratch(made, registrations, verifying)
    best, base = min(folds), chain.newest
    details = {
        "scratch": {"seconds": best, "met": best < SCRATCH_SECONDS},
        "incremental": _incremental(made, registrations, whole, verifying),
        "mesh": {
            "members": len(base.found),
            "voters": len(base.voters),
            "epochs": base.n,
            "ballots": len(base.results),
        },
        "certificate": _weighed(registrations, verified),
        **({} if options.no_restart else {"restart": _restart(options, verifying)}),
        **({} if options.no_worst else {"no_quorum": _worst(options, verifying)}),
    }
    met = all(details[part]["met"] for part in ("scratch", "incremental", "certificate"))
    return Result(
        name="fold",
        what=f"{len(registrations)} governance entries of {len(base.found)} members, {options.voters} voters, "
        f"{base.n} epochs: folded from scratch",
        figure=best,
        unit="s",
        limit=min(limits),
        limit_is="decoding the same entries",
        ratio=best / min(limits),
        reach="< 1 s from scratch, < 1 ms an entry, certificate <= 8 kB",
        aim="the same",
        met=met if options.entries >= 10_000 and options.voters >= 100 else None,
        peers={"localfirst/auth": "6.5 s to load 1 000 members (signatures included)"},
        method=f"seconds of the processor; best of {options.rounds} rounds from scratch, caches empty; one pass entry "
        "by entry; the signatures of certificates apart",
        details=details,
    )


def _incremental(
    made: Made, registrations: Sequence[Registration], whole: Members, verifying: Verifying
) -> dict[str, Any]:
    """Measure a fold after each entry, and hold the last to the fold from scratch."""
    measure.progress("entry by entry")
    steps, members = Growing(made, verifying).run(registrations, [1] * len(registrations))
    _hold(members, whole)
    mean = sum(steps) / len(steps)
    return {
        "mean_ms": mean * 1_000,
        "max_ms": max(steps) * 1_000,
        "met": mean < ENTRY_SECONDS,
        **measure.quantiles(steps),
    }


def _weighed(registrations: Sequence[Registration], seconds: float) -> dict[str, Any]:
    """Say what certificates weigh, and what it takes to verify one. `seconds`: for all of them."""
    found = [r.entry.payload["certificate"] for r in registrations if r.entry.kind == "seal.certificate"]
    most = max(map(len, found), default=0)
    return {"bytes_max": most, "verified_ms": seconds / max(1, len(found)) * 1_000, "met": most <= CERTIFICATE_BYTES}


def _restart(options: argparse.Namespace, verifying: Verifying) -> dict[str, Any]:
    """Measure the fold of a start over ten times as many epochs, its certificates trusted (`vouched`) or not."""
    measure.progress("many epochs, from scratch")
    made = kept(Shape(options.entries, options.voters, max(3, options.cadence // 10)))
    registrations = made.registrations()
    known = verifying.seconds
    took, _, chain = scratch(made, registrations, verifying)
    certificates = frozenset(chain.verified())
    verified = verifying.seconds - known
    trusting, _, _ = scratch(made, registrations, verifying, certificates)
    return {"epochs": chain.newest.n, "fold_s": min(took, trusting), "signatures_s": verified, "trusted_s": trusting}


def _hold(members: Members, whole: Members) -> None:
    if members != whole:
        raise RemoteError("FOLD_DIFFERS", "step by step gives other members than from scratch: this is a bug")


def _worst(options: argparse.Namespace, verifying: Verifying) -> dict[str, Any]:
    """Measure an epoch that stays open: no quorum ever seals anything."""
    made = kept(Shape(options.entries, options.voters, 0))
    registrations = made.registrations()
    measure.progress("no quorum, from scratch")
    whole, expected, _ = scratch(made, registrations, verifying)
    measure.progress("no quorum, in runs")
    count, alone = len(registrations), min(RUN, len(registrations))
    runs = [min(RUN, count - alone - first) for first in range(0, count - alone, RUN)]
    steps, members = Growing(made, verifying).run(registrations, [*runs, *[1] * alone])
    _hold(members, expected)
    in_runs, one_by_one = steps[: len(runs)], steps[len(runs) :]
    return {
        "scratch_s": whole,
        "in_runs_of_100_ms_an_entry": sum(in_runs) / (count - alone) * 1_000,
        "longest_run_ms": max(in_runs, default=0.0) * 1_000,
        "one_by_one_at_the_end": {"mean_ms": sum(one_by_one) / alone * 1_000, **measure.quantiles(one_by_one)},
    }


def describe(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options."""
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--voters", type=int, default=100)
    parser.add_argument("--cadence", type=int, default=100, help="entries a seal")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-restart", action="store_true", help="leave out the start over many epochs")
    parser.add_argument("--no-worst", action="store_true", help="leave out the epoch that is never sealed")


if __name__ == "__main__":
    measure.main(bench, describe)
