"""RFC 3161 time stamps: an authority outside the mesh says by when something existed (extra `timestamp`).

How it works
    A bundle may carry tokens over a tick's frontier, a checkpoint's note or an entry. `stampable` names what can be
    stamped, with the SHA-256 that a request must carry; `with_stamps` puts tokens in. Whether a token is good is the
    auditor's to say (`trust.StampJudge`). A token that she cannot judge counts for nothing, and the report says so.

What it does not do
    It opens no connection: the caller fetches tokens. It reads no token: that needs certificates (node/stamping.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from proofs import reading
from proofs.bundle import Stamp
from proofs.state import digest_of


def stampable(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return (what, number, SHA-256) of the ticks and entries of a bundle. Raises RemoteError as `reading.decode`."""
    bundle = reading.decode(data)
    found = [(0, number, digest_of(tick.frontier)) for number, tick in enumerate(bundle.ticks)]
    return found + [(2, number, item.id) for number, item in enumerate(bundle.entries)]


def with_stamps(data: bytes, stamps: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return the bundle with these time stamps, (what, number, token), instead of any; unsigned for an audience."""
    listed = tuple(Stamp(*each) for each in sorted(stamps))
    made = replace(reading.decode(data), stamps=listed, presentation=None).encode()
    reading.decode(made)
    return made
