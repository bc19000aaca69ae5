"""The exact discrete-event engine under every simulated world: time, what is on its way, and the trace.

How it works
    Time is whole microseconds. An event has a time and a place in the order in which events were made; events at the
    same time keep that order, so a run is one sequence and no other. What is on its way lies in bins of about a
    millisecond; a heap of bins says which is next, and a bin is sorted when its time comes. That is the same order as
    one heap of events gives, at two thirds of the cost. `send` asks the network for the path between two nodes and
    lays the message at the times at which it arrives; `push` is for timers, `at` for whatever a world plans.

    `trace` is SHA-256 over (time, target, source, mark) of every event that happened, in order. A mark is a number
    that stands for the event's content (`mark_of`), so equal traces mean that the same bytes went the same ways.

What it does not do
    It knows no protocol, no node and no fault: worlds do (simulations.world, simulations.light). It draws no
    randomness of its own. Work takes no time.
"""

from __future__ import annotations

import hashlib
import heapq
import sys
from array import array
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final, Protocol, TypeAlias

from ledger.errors import LocalError
from simulations.links import Path

MS: Final = 1_000
SECOND: Final = 1_000_000
Handler: TypeAlias = Callable[[int, Any], object]
"""What happens at a node when an event comes: given its source (-1: nobody) and its value."""

_BIN_BITS: Final = 10
_TRACE_NUMBERS: Final = 1 << 15
_Event: TypeAlias = tuple[int, int, Handler, int, int, int, Any]  # time, order, handler, way, source, mark, value
_TRACED: Final = itemgetter(0, 3, 5)  # time, way, mark


class Network(Protocol):
    """Says what lies between two nodes."""

    def path(self, source: int, target: int) -> Path:
        """Return the path from one node to another; asked once for each, unless paths are forgotten."""


class Engine:
    """Events in order. `network`: the paths; `counts`: what is counted, shared with the world."""

    def __init__(self, network: Network, *, start_us: int = 0, counts: Counter[str] | None = None) -> None:
        self.network = network
        self.now_us = start_us
        self.counts: Counter[str] = Counter() if counts is None else counts
        self.watch: Callable[[int, int, int, Any], object] | None = None  # (time, target, source, value), before it is
        # told of each message that is not lost: when it leaves, its source, target and mark, and when it comes
        self.laid: Callable[[int, int, int, int, int], object] | None = None
        self.survived: tuple[
            type[BaseException], ...
        ] = ()  # what ends an event and not the run: a node that dies in it
        self._paths: defaultdict[int, dict[int, Path]] = defaultdict(dict)
        self._bins: dict[int, list[_Event]] = {}
        self._next: list[int] = []  # heap of the bins' numbers
        self._open = -1  # the bin that is being worked off
        self._made = 0
        self._hash = hashlib.sha256()
        self._traced: array[int] = array("q")

    def forget_paths(self) -> None:
        """Ask the network anew for every path from now on."""
        self._paths.clear()

    def push(self, at_us: int, handler: Handler, target: int, source: int, value: Any, mark: int = 0) -> None:
        """Let something happen at a node at a time that is not past."""
        self._made += 1
        self._lay((max(at_us, self.now_us), self._made, handler, _way(target, source), source, mark, value))

    def at(self, at_us: int, call: Callable[[], object]) -> None:
        """Call something at a time to come, as an event like others."""
        self.push(at_us, _call, -1, -1, call)

    def send(
        self, source: int, targets: Iterable[int], handlers: Sequence[Handler], value: Any, size: int, mark: int
    ) -> None:
        """Send one value to some nodes. `handlers`: what takes it, by the number of the target. `size` in bytes."""
        paths, now, made = self._paths[source], self.now_us, self._made
        sent, bins, opened, lay, laid = 0, self._bins, self._open, self._lay, self.laid
        for target in targets:
            sent += 1
            path = paths.get(target)
            if path is None:
                path = paths[target] = self.network.path(source, target)
                path.way = _way(target, source)
            if not path.plain:
                for at in path.arrivals(now, size):
                    made += 1
                    if laid is not None:
                        laid(now, source, target, mark, at)
                    lay((at, made, handlers[target], path.way, source, mark, value))
                continue
            at = now + path.draw()
            if at < path.last:
                at = path.last
            else:
                path.last = at
            made += 1
            if laid is not None:
                laid(now, source, target, mark, at)
            event = (at, made, handlers[target], path.way, source, mark, value)
            found = bins.get(at >> _BIN_BITS)  # `_lay`, without the call: this line runs for every message
            if found is not None and at >> _BIN_BITS != opened:
                found.append(event)
            else:
                lay(event)
        self._made = made
        counts = self.counts
        counts["sent"] += sent
        counts["bytes"] += sent * size

    def _lay(self, event: _Event) -> None:
        number = event[0] >> _BIN_BITS
        found = self._bins.get(number)
        if found is None:
            self._bins[number] = [event]
            heapq.heappush(self._next, number)
        elif number == self._open:
            insort(found, event)  # always beyond the event that is happening: it is later, or was made later
        else:
            found.append(event)

    def run_to(self, end_us: int) -> None:
        """Let everything happen up to a time. An exception leaves what has not happened in place."""
        if self._open >= 0:
            raise LocalError("ENGINE_RUNNING", "an event may not run the engine; plan another event instead")
        while self._next and self._next[0] <= end_us >> _BIN_BITS:
            number = self._next[0]
            self._work_off(number, end_us)
            if number in self._bins:
                break  # the rest of it comes later
        self.now_us = max(self.now_us, end_us)

    def _work_off(self, number: int, end_us: int) -> None:
        """Let the events of the first bin happen up to a time; drop the bin when it is empty."""
        events = self._bins[number]
        events.sort()
        self._open = number
        watch, survived, done = self.watch, self.survived, 0
        try:
            for at, _, handler, way, source, _, value in events:
                if at > end_us:
                    break
                done += 1
                self.now_us = at
                if watch is not None:
                    watch(at, (way >> 32) - 1, source, value)
                try:
                    handler(source, value)
                except survived:
                    self.counts["cut_short"] += 1
        finally:
            self._open = -1
            self._traced.extend(chain.from_iterable(map(_TRACED, islice(events, done))))
            del events[:done]
            if not events:
                del self._bins[number]
                heapq.heappop(self._next)
            if len(self._traced) > _TRACE_NUMBERS:
                self._digest()

    def _digest(self) -> None:
        if sys.byteorder == "big":
            self._traced.byteswap()
        self._hash.update(self._traced.tobytes())
        del self._traced[:]

    @property
    def waiting(self) -> bool:
        """Whether anything is to happen yet."""
        return bool(self._next)

    @property
    def trace(self) -> str:
        """SHA-256 over all that happened so far, in hexadecimal."""
        self._digest()
        return self._hash.hexdigest()


def _way(target: int, source: int) -> int:
    """Return one number for both, as it stands in the trace."""
    return (target + 1) << 32 | (source + 1)


def _call(_: int, value: Callable[[], object]) -> None:
    value()


@lru_cache(1 << 14)
def mark_of(data: bytes) -> int:
    """Return the number that stands for some bytes in the trace: the first 63 bits of their SHA-256."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") >> 1
