"""The newest events of the running node, kept in memory for whoever asks: the log without a log file.

How it works
    Every line that the log writes also goes here, with a number; the newest KEPT stay. Who has seen number N asks for
    what is behind N, and may wait. `counts` are since the start, for the metrics.

What it does not do
    Nothing survives the process: keep the log itself for that (systemd's journal). It holds what the log may hold, so
    no personal data.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import trio

KEPT: Final = 1_000
"""Events."""
COUNTED_MAX: Final = 512
"""Names of events that are counted; further ones are counted as "other"."""
_OWN: Final = ("event", "level", "ts")


@dataclass(frozen=True, slots=True)
class Happened:
    """One event. `at`: RFC 3339, as it is logged. `fields`: what the log says beside it."""

    number: int
    at: str
    level: str
    event: str
    fields: Mapping[str, str]


class EventLog:
    """The events of one process. `note` may be called from any thread; waiting is for trio tasks of one run."""

    def __init__(self) -> None:
        self._kept: deque[Happened] = deque(maxlen=KEPT)
        self._last = 0
        self._rung = trio.Event()
        self.counts: Counter[tuple[str, str]] = Counter()

    @property
    def last(self) -> int:
        """The number of the newest event; 0 before the first."""
        return self._last

    def note(self, _logger: Any, _method: str, told: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Take an event in, and hand it on unchanged (a processor of structlog)."""
        name, level = str(told.get("event", "")), str(told.get("level", ""))
        fields = {key: str(value) for key, value in told.items() if key not in _OWN}
        self._last += 1
        self._kept.append(Happened(self._last, str(told.get("ts", "")), level, name, fields))
        known = (name, level) in self.counts or len(self.counts) < COUNTED_MAX
        self.counts[(name if known else "other", level)] += 1
        if trio.lowlevel.in_trio_run():  # of a thread's event, who waits hears with the next one
            rung, self._rung = self._rung, trio.Event()
            rung.set()
        return told

    def after(self, number: int) -> list[Happened]:
        """Return the kept events behind a number, the oldest first."""
        return [event for event in self._kept if event.number > number]

    async def wait(self, number: int) -> None:
        """Wait until there is an event behind a number."""
        while self._last <= number:
            await self._rung.wait()
