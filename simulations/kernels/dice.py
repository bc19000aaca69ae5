"""Compiling kernels, and their randomness: SplitMix64 over one word of state that the caller owns.

How it works
    `compiled` is numba's njit with a cache on disc where a directory for it can be written, and without one elsewhere.
    Every wrapper hands its kernel the same types of arguments, so that each kernel is compiled once. A `Dice` is an
    array of one uint64; `dice(seed, purpose)` derives it from names alone (simulations.randomness), and a kernel that
    gets equal dice does equal things on every machine.

What it does not do
    It is no source of secrets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from simulations.randomness import Seed

F = TypeVar("F", bound=Callable[..., Any])
Dice: TypeAlias = npt.NDArray[np.uint64]
Ints: TypeAlias = npt.NDArray[np.int64]
Nodes: TypeAlias = npt.NDArray[np.int64]
"""Numbers of nodes; -1 where there is none."""
Floats: TypeAlias = npt.NDArray[np.float64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(0xBF58476D1CE4E5B9)
_TWO = np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)


def compiled(function: F) -> F:
    """Compile a kernel when it is first called; keep the machine code on disc where that is possible."""
    _forget_older(function)
    try:
        made: F = numba.njit(function, cache=True, nogil=True)
    except RuntimeError:  # there is no directory that can be written
        made = numba.njit(function, nogil=True)
    return made


def _forget_older(function: Callable[..., Any]) -> None:
    """Drop what numba kept of a kernel before any file of this folder changed: it looks at the kernel's own alone."""
    code = function.__code__
    path = Path(code.co_filename)
    with suppress(OSError):
        changed = max(source.stat().st_mtime for source in Path(__file__).parent.glob("*.py"))
        for index in (path.parent / "__pycache__").glob(f"{path.stem}.{code.co_name}-*.nbi"):
            if index.stat().st_mtime < changed:
                index.unlink()


def dice(seed: int, purpose: str) -> Dice:
    """Return the dice of one purpose of a run."""
    return np.frombuffer(Seed(seed, "kernels").bytes(-1, purpose)[:8], dtype=np.uint64).copy()


@compiled
def draw(state: Dice) -> np.uint64:
    """Return 64 random bits (SplitMix64: Steele, Lea, Flood 2014)."""
    state[0] += _STEP
    word = state[0]
    word = (word ^ (word >> np.uint64(30))) * _ONE
    word = (word ^ (word >> np.uint64(27))) * _TWO
    mixed: np.uint64 = word ^ (word >> np.uint64(31))
    return mixed


@compiled
def below(state: Dice, stop: int) -> int:
    """Return a whole number from 0 to before `stop` (< 2^32), with a bias of at most stop / 2^32."""
    return np.int64(((draw(state) >> _HALF) * np.uint64(stop)) >> _HALF)  # type: ignore[return-value]


@compiled
def unit(state: Dice) -> float:
    """Return a number from 0 to before 1."""
    return np.float64(draw(state) >> np.uint64(11)) * 1.1102230246251565e-16


@compiled
def poisson(state: Dice, mean: float) -> int:
    """Return a Poisson number of a small mean (Knuth's product of uniforms)."""
    limit, product, found = math.exp(-mean), unit(state), 0
    while product > limit:
        product *= unit(state)
        found += 1
    return found
