"""The time of a running node: the machine's, unless that jumps and nobody vouches for the jump.

How it works
    A node signs what time it is: a heartbeat dated years ahead would be refused by everybody until those years are
    over, and a clock set back would bring expired consents to life and stop every timer. So the machine's clock is
    held against one that only runs (it counts a suspended machine's sleep too). Small steps are taken over. A step
    beyond STEP_MS_MAX is taken over when the kernel says that its clock is synchronised (adjtimex(2), which NTP sets);
    else the node's time runs on as before, and `held_ms` tells how far away the machine's clock is.

    At its start a node knows no time but the machine's, and what its devices have signed: the truth lies after that
    (`not_before`). A machine's clock that lies before it, unvouched, is behind: a battery is empty, or the machine
    began in 1970. The node's time then runs on from what was signed: nothing is dated before what was said already, no
    ended consent comes to life again by years. But by how much the truth is later, nobody here knows, so data wait
    (`behind`; node/daemon.py), while withdrawals and all else go on. As soon as the machine's clock passes that
    moment, or is vouched for, it is believed. To stop instead would keep a machine that learns the time a minute later
    from coming up, and withdrawals from being taken.

What it does not do
    It keeps nothing itself, and asks no time server. Where a device has signed ahead of the time, by a clock that was
    wrong then, it cannot tell which of the two is; `maille status` names both (CLOCK_BEHIND, SIGNED_AHEAD).
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Final

STEP_MS_MAX: Final = 60_000
"""A step of the machine's clock that is taken over unasked: half of what others bear with (ledger.feed)."""
_UNSYNCHRONISED: Final = 5  # TIME_ERROR, of <sys/timex.h>
_TIMEX_BYTES: Final = 512  # more than any struct timex has; all zero, it asks and sets nothing


def wall_ms() -> int:
    """Return the machine's time, unix milliseconds."""
    return time.time_ns() // 1_000_000


def running_ms() -> int:
    """Return milliseconds since some moment, by a clock that nobody sets and that runs while the machine sleeps."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def is_synchronised() -> bool:
    """Say whether the kernel calls its clock synchronised; False where it cannot be asked."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return False
    return 0 <= int(state) < _UNSYNCHRONISED


class SteadyClock:
    """Call it for the time, unix milliseconds. The three sources are the machine's; tests bring their own."""

    def __init__(
        self,
        wall: Callable[[], int] = wall_ms,
        running: Callable[[], int] = running_ms,
        synchronised: Callable[[], bool] = is_synchronised,
    ) -> None:
        self._wall, self._running, self._synchronised = wall, running, synchronised
        self._at, self._ran = wall(), running()
        self.held_ms = 0
        """How far the machine's clock is ahead (negative: behind) while its step is not taken over."""
        self.behind = False
        """Whether the time is later than this says, by an unknown span: it began at what was signed last."""

    def not_before(self, at_ms: int) -> None:
        """Go on from `at_ms`, unix milliseconds, if the machine's clock is behind it, and nobody vouches for that one.

        For a node's start: then nothing is known of the time that passed since.
        """
        if at_ms - self() > STEP_MS_MAX and not self._synchronised():
            self._at, self._ran, self.behind = at_ms, self._running(), True
            self.held_ms = self._wall() - at_ms

    def __call__(self) -> int:
        """Return the time."""
        wall, ran = self._wall(), self._running()
        steady = self._at + ran - self._ran
        step = wall - steady
        caught_up = self.behind and step >= 0  # as a node that is restarted would believe it
        if abs(step) > STEP_MS_MAX and not caught_up and not self._synchronised():
            self.held_ms = step
            return steady
        self._at, self._ran, self.held_ms, self.behind = wall, ran, 0, False
        return wall
