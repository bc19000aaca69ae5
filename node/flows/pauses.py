"""Pauses between tries: each transfer waits longer from one try to the next, until something has changed for it.

How it works
    After its n-th try a transfer waits PAUSE_FIRST_MS * 2**n, at most PAUSE_MAX_MS, less a part of at most half that
    its id and n pick: transfers that began together do not stay together, and no source of randomness is needed.
    `anew` says that the situation has changed (the peer came back, content came): the pauses begin again, and a try
    may be made at once. What the other end says can bring that about, so it counts once in ANEW_MS: whoever says it
    again and again is served at that rate, and else by the pauses.

What it does not do
    It tries nothing, and keeps nothing: after a restart the first try is due.
"""

from __future__ import annotations

import hashlib
from typing import Final

PAUSE_FIRST_MS: Final = 2_000
"""The longest pause after the first try, milliseconds."""
PAUSE_MAX_MS: Final = 60_000
"""The longest pause after any try, milliseconds."""
ANEW_MS: Final = 30_000
"""Once in so many milliseconds a change counts for one transfer."""
KNOWN_MAX: Final = 20_000
"""Transfers whose pauses are kept; beyond, the oldest are forgotten, and try as if for the first time."""


class Pauses:
    """See the module. Names are bytes, such as ids of transfers; times are unix milliseconds."""

    def __init__(self) -> None:
        self._tried: dict[bytes, tuple[int, int]] = {}  # name -> (tries, when the next is due)
        self._anew: dict[bytes, int] = {}  # name -> when a change last counted

    def due(self, name: bytes, now_ms: int) -> bool:
        """Say whether a try may be made now. A pause that lies further ahead was begun by a clock that is set back."""
        return not now_ms < self._tried.get(name, (0, 0))[1] <= now_ms + PAUSE_MAX_MS

    def tried(self, name: bytes, now_ms: int) -> None:
        """Take notice of a try: the next is due after its pause."""
        tries, _ = self._tried.pop(name, (0, 0))
        _make_room(self._tried)
        self._tried[name] = (tries + 1, now_ms + pause_ms(name, tries))

    def anew(self, name: bytes, now_ms: int) -> bool:
        """Begin again, since the situation has changed; False when that counted less than ANEW_MS ago."""
        if 0 <= now_ms - self._anew.get(name, now_ms - ANEW_MS) < ANEW_MS:
            return False
        self._anew.pop(name, None)
        _make_room(self._anew)
        self._anew[name] = now_ms
        self._tried.pop(name, None)
        return True

    def moved(self, name: bytes) -> None:
        """Begin again, since the transfer has moved on."""
        self._tried.pop(name, None)

    def forget(self, name: bytes) -> None:
        """Forget a transfer that has ended."""
        self._tried.pop(name, None)
        self._anew.pop(name, None)


def pause_ms(name: bytes, tries: int) -> int:
    """Return how long to wait after a try, milliseconds; `tries`: how many were made before it."""
    longest = min(PAUSE_FIRST_MS << min(tries, 32), PAUSE_MAX_MS)
    drawn = int.from_bytes(hashlib.sha256(name + tries.to_bytes(8, "big")).digest()[:8], "big")
    return longest - drawn % (longest // 2 + 1)


def _make_room(known: dict[bytes, int] | dict[bytes, tuple[int, int]]) -> None:
    if len(known) >= KNOWN_MAX:
        del known[next(iter(known))]
