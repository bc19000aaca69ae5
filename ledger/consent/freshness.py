"""Freshness: how recently a node has heard from enough of the mesh to know that a consent still stands (consent.md §3).

How it works
    `freshness` counts checkpoints whose whole prefix is held here. Two measures:
      quorum: of more than half the voters' feeds, our own included. A withdrawal that is registered in at least half
        of them is known here, since two such sets share a feed; one that is registered in fewer may not be.
      home: of each of the one or two feeds that the grant names. A withdrawal made there is known here within the
        bound under any partition, at the price of stopping while they are silent, or until she names another host
        for her keys (`consent.rekey`): from then on it is that host's feed, and the quorum beside it; the quorum is
        asked for beside the last home, too, where somebody handed the consent on twice.

What it does not do
    It reads no clock and no store. It bounds partitions, not a home that hides what it holds (ledger.md §4 does).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

AHEAD_MAX: Final = 120  # seconds: a checkpoint dated further ahead of our clock counts for nothing


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh the frontier is. `as_of`: unix seconds up to which enough feeds have spoken; None if too few have.

    `have` of the `need`ed feeds are within the bound. While nothing changes it is fresh until `as_of` + the bound.
    """

    fresh: bool
    have: int
    need: int
    as_of: int | None


def freshness(
    home: Collection[bytes],
    own_feed: bytes,
    voters: Collection[bytes],
    newest: Mapping[bytes, int],
    *,
    now: int,
    max_staleness: int,
) -> Freshness:
    """Measure freshness (consent.md §3). `newest`: feed -> time of its newest checkpoint whose whole prefix is held.

    `home` empty: more than half of the `voters`' feeds, own feed included, within `max_staleness` seconds.
    Otherwise: every feed of `home`. The own feed is always fresh. No voters at all is not fresh.
    """
    feeds = set(home or voters)
    need = len(feeds) if home else len(feeds) // 2 + 1
    spoken = [now if feed == own_feed else newest[feed] for feed in feeds if feed in newest or feed == own_feed]
    times = sorted((min(time, now) for time in spoken if time <= now + AHEAD_MAX), reverse=True)
    have = sum(now - time <= max_staleness for time in times)
    return Freshness(have >= need, have, need, times[need - 1] if len(times) >= need else None)
