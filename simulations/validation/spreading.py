"""V1 to V5: how many rounds a rumour takes on the complete graph, by push, by pull, by both, with fanout and failures.

How it works
    The mean of many runs of kernels/rounds is held against the expectation of the Markov chain (theory), and where a
    paper gives bounds or an asymptotic form, against those too.

What it does not do
    It knows no network: edges and delays come in with V10.
"""

from __future__ import annotations

import math

from simulations.kernels.rounds import rounds
from simulations.validation.checks import Check, Experiment, at_least, at_most, near
from simulations.validation.theory import expected_rounds

RUNS = 400
SIZES = (256, 1_024, 4_096, 16_384, 65_536)
QUICK_SIZES = (256, 1_024, 4_096)


def _sizes(quick: bool) -> tuple[int, ...]:
    return QUICK_SIZES if quick else SIZES


def push(seed: int, quick: bool) -> list[Check]:
    """V1."""
    found = []
    for count in _sizes(quick):
        mean = float(rounds(count, pushes=1, runs=RUNS, seed=seed, purpose=f"V1 {count}").mean())
        found.append(near(f"n={count}", expected_rounds(count, pushes=1), mean, 0.35))
        # Doerr and Künnemann 2014, the theorem's two bounds
        found.append(at_least(f"n={count}, lower bound", math.floor(math.log2(count)) + math.log(count) - 1.116, mean))
        found.append(at_most(f"n={count}, upper bound", math.ceil(math.log2(count)) + math.log(count) + 2.765, mean))
    return found


def pull(seed: int, quick: bool) -> list[Check]:
    """V2."""
    return [
        near(
            f"n={count}",
            expected_rounds(count, pulls=1),
            rounds(count, pulls=1, runs=RUNS, seed=seed, purpose=f"V2 {count}").mean(),
            0.3,
        )
        for count in _sizes(quick)
    ]


def push_pull(seed: int, quick: bool) -> list[Check]:
    """V3."""
    found = []
    for count in _sizes(quick):
        mean = float(rounds(count, pushes=1, pulls=1, runs=RUNS, seed=seed, purpose=f"V3 {count}").mean())
        found.append(near(f"n={count}", expected_rounds(count, pushes=1, pulls=1), mean, 0.15))
        karp = math.log(count, 3) + math.log2(math.log(count))
        found.append(near(f"n={count}, log3 n + log2 ln n", karp, mean, 0.25))
    return found


def fanout(seed: int, quick: bool) -> list[Check]:  # noqa: ARG001 (cheap enough to be run whole)
    """V4."""
    found, count = [], 1_024
    for calls in (2, 3, 4, 6, 8):
        mean = float(rounds(count, pushes=calls, runs=RUNS, seed=seed, purpose=f"V4 {calls}").mean())
        found.append(near(f"f={calls}", expected_rounds(count, pushes=calls), mean, 0.2))
        offset = mean - math.log(count, calls + 1) - math.log(count) / calls
        found.append(near(f"f={calls}, beyond log_(f+1) n + ln n / f", 1.05, offset, 0.45))
    return found


def failing(seed: int, quick: bool) -> list[Check]:
    """V5."""
    found = []
    for count in (1_000,) if quick else (1_000, 10_000):
        for success in (0.9, 0.7, 0.5):
            purpose = f"V5 {count} {success}"
            mean = float(rounds(count, pushes=1, success=success, runs=RUNS, seed=seed, purpose=purpose).mean())
            found.append(near(f"n={count} p={success}", expected_rounds(count, pushes=1, success=success), mean, 0.7))
    return found


EXPERIMENTS = (
    Experiment("V1", "Push, complete graph", "Pittel 1987; Doerr and Künnemann 2014", push),
    Experiment("V2", "Pull, complete graph", "Markov chain of the informed; Panagiotou and Reisser 2021", pull),
    Experiment("V3", "Push-pull, complete graph", "Karp et al. 2000", push_pull),
    Experiment("V4", "Push with a fanout", "Markov chain of the informed; log_(f+1) n + ln n / f", fanout),
    Experiment("V5", "Push with failing calls", "Doerr and Kostrygin 2017", failing),
)
"""The rows of this module."""
