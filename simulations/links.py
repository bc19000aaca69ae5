"""What a link between two simulated nodes does to messages: delay, loss, repetition, clogs, reordering.

How it works
    A `Link` is a value; each direction of each pair of nodes has a `Path` of its own, with its own randomness, which
    says when a message arrives: never (lost), once, or more than once. Delays are drawn in whole microseconds. Unless
    `reorder` is set, a message never overtakes an earlier one of its path. An `Uplink` is what a node's paths share:
    bytes leave one after another, so what waits behind a long message is late.

What it does not do
    It cuts nothing: partitions are the world's. It knows no routes: a path is end to end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, TypeAlias

Delay: TypeAlias = Callable[[Random], int]
"""Draws the delay of one message, in microseconds."""


def constant(ms: float) -> Delay:
    """Return a delay that is always the same, in milliseconds."""
    always = round(ms * 1_000)
    return lambda _: always


def uniform(low_ms: float, high_ms: float) -> Delay:
    """Return a delay drawn evenly between two bounds, in milliseconds."""
    low = round(low_ms * 1_000)
    choices = round(high_ms * 1_000) - low + 1

    def draw(source: Random) -> int:
        # faster than randint, and even enough: a bias of one part in 2^53 over a few thousand microseconds
        return low + int(source.random() * choices)

    return draw


def exponential(least_ms: float, mean_ms: float) -> Delay:
    """Return a delay of at least so much, and beyond it exponential with this mean, in milliseconds."""
    least, mean = round(least_ms * 1_000), mean_ms * 1_000
    return lambda source: least + int(source.expovariate(1.0) * mean)


def lognormal(median_ms: float, sigma: float) -> Delay:
    """Return a delay whose logarithm is normal around the median; `sigma` 0.1 is a jitter of about 10 %."""
    median = median_ms * 1_000
    return lambda source: int(median * source.lognormvariate(0.0, sigma))


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a link. `loss`, `duplication` and `clog` are probabilities of each message.

    A repeated message comes after another delay and an exponential one of mean `replay_ms`. A clogged link holds back
    everything for an exponential time of mean `clog_ms`. Beyond `capacity` messages on their way (0: no limit) the next
    are lost.
    """

    delay: Delay
    loss: float = 0.0
    duplication: float = 0.0
    reorder: bool = False
    replay_ms: float = 0.0
    clog: float = 0.0
    clog_ms: float = 0.0
    capacity: int = 0


LAN: Final = Link(uniform(1, 5))
"""One building: 1 to 5 ms."""
WAN: Final = Link(uniform(10, 50))
"""One country: 10 to 50 ms, the usual of `reference/anchors.md` §4."""


class Uplink:
    """What one node can send. `bytes_per_second` after a first `burst_bytes` at once."""

    __slots__ = ("_burst_us", "_free_us", "_us_per_byte")

    def __init__(self, bytes_per_second: float, burst_bytes: int = 0) -> None:
        self._us_per_byte = 1_000_000 / bytes_per_second
        self._burst_us = burst_bytes * self._us_per_byte
        self._free_us = 0.0

    def leaves_at(self, now_us: int, size: int) -> int:
        """Return when the last byte of a message leaves that is sent now. `size` in bytes."""
        self._free_us = max(self._free_us, float(now_us)) + size * self._us_per_byte
        return max(now_us, round(self._free_us - self._burst_us))


class Path:
    """One direction between two nodes, as it goes on. `plain`: it only delays, so `draw` is all that is needed."""

    __slots__ = ("_clogged_us", "_counts", "_in_flight", "_link", "_random", "_uplink", "draw", "last", "plain", "way")

    def __init__(
        self, link: Link, random: Random, uplink: Uplink | None = None, counts: Counter[str] | None = None
    ) -> None:
        """`counts`: where what is lost and repeated is counted."""
        self._link, self._random, self._uplink = link, random, uplink
        self._counts: Counter[str] = Counter() if counts is None else counts
        self._clogged_us = 0
        self._in_flight: list[int] = []  # when what is on its way arrives; kept where there is a capacity
        self.last = 0  # when the last message arrives, microseconds
        self.way = 0  # what the engine calls it
        self.plain = not (link.loss or link.duplication or link.reorder or link.clog or link.capacity or uplink)
        self.draw: Callable[[], int] = partial(link.delay, random)

    def arrivals(self, now_us: int, size: int) -> Sequence[int]:
        """Return when a message that is sent now arrives, in microseconds; nothing: it is lost."""
        link, random = self._link, self._random
        leaves = now_us if self._uplink is None else self._uplink.leaves_at(now_us, size)
        if (link.loss and random.random() < link.loss) or (link.capacity and self._is_full(now_us)):
            self._counts["lost"] += 1
            return ()
        if link.clog and random.random() < link.clog:
            self._clogged_us = max(self._clogged_us, leaves) + int(random.expovariate(1.0) * link.clog_ms * 1_000)
            self._counts["clogs"] += 1
        at = max(leaves, self._clogged_us) + link.delay(random)
        if not link.reorder:
            at = self.last = max(at, self.last)
        if link.capacity:
            self._in_flight.append(at)
        if not (link.duplication and random.random() < link.duplication):
            return (at,)
        self._counts["duplicated"] += 1
        again = at + link.delay(random)
        if link.replay_ms:
            again += int(random.expovariate(1.0) * link.replay_ms * 1_000)
        return at, again

    def _is_full(self, now_us: int) -> bool:
        self._in_flight = [at for at in self._in_flight if at > now_us]
        return len(self._in_flight) >= self._link.capacity
