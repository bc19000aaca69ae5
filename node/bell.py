"""A bell: wakes every task that waits for the next time something happens."""

from __future__ import annotations

import trio


class Bell:
    """Rings for all who listen. Listen before you look, and what happens in between is not missed."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def listen(self) -> trio.Event:
        """Return the event that the next ring sets."""
        return self._event

    def ring(self) -> None:
        """Wake who listens."""
        self._event.set()
        self._event = trio.Event()
