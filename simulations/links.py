"""What a link between two simulated nodes does to messages: delay, loss, duplication.

How it works
    A `Link` is a value; each direction of each pair of nodes has its own and its own randomness. Delays are drawn
    in whole microseconds. Unless `reorder` is set, a message never overtakes an earlier one of its link.

What it does not do
    It knows no bandwidth and no queue, and cuts nothing: partitions are the world's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

Delay: TypeAlias = Callable[[Random], int]
"""Draws the delay of one message, in microseconds."""


def uniform(low_ms: float, high_ms: float) -> Delay:
    """Return a delay drawn evenly between two bounds, in milliseconds."""
    low, high = round(low_ms * 1_000), round(high_ms * 1_000)

    def draw(source: Random) -> int:
        # faster than randint, and even enough: a bias of one part in 2^53 over a few thousand microseconds
        return low + int(source.random() * (high - low + 1))

    return draw


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a link. `loss` and `duplication` are probabilities of each message."""

    delay: Delay
    loss: float = 0.0
    duplication: float = 0.0
    reorder: bool = False


LAN = Link(uniform(1, 5))
"""One building: 1 to 5 ms."""
WAN = Link(uniform(10, 50))
"""One country: 10 to 50 ms, the usual of `reference/anchors.md` §4."""
