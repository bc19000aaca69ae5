"""How often somebody may try: token buckets by what is tried and by whom, bounded in memory.

How it works
    A bucket holds `most` tries and fills again evenly over `seconds`. Buckets that are full again are forgotten; when
    there are too many, the oldest go. Addresses are counted by their network (IPv6: /64), since one subscriber has all
    of it.

What it does not do
    It reads no clock and refuses nothing by itself.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

BUCKETS_MAX: Final = 50_000


@dataclass(frozen=True, slots=True)
class Limit:
    """So many tries, which come back evenly over so many seconds."""

    most: int
    seconds: int


LOGIN_NAME: Final = Limit(8, 900)
"""Tries with one login name."""
LOGIN_ADDRESS: Final = Limit(40, 900)
"""Tries from one address: many people may share it."""
SLIP: Final = Limit(30, 600)
"""Slips from one address. A code has 256 bits: this spares the processor, it guards nothing."""
INVITATION: Final = Limit(20, 600)
POST: Final = Limit(120, 60)
"""Forms of any kind from one address."""


class Limits:
    """See the module."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[Limit, str], tuple[float, int]] = OrderedDict()

    def take(self, limit: Limit, who: str, now: int) -> bool:
        """Take one try; False when there is none left."""
        key = (limit, who)
        left, at = self._buckets.pop(key, (float(limit.most), now))
        left = min(float(limit.most), left + max(0, now - at) * limit.most / limit.seconds)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        while len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        return allowed

    def forget(self, limit: Limit, who: str) -> None:
        """Fill a bucket again: the try succeeded."""
        self._buckets.pop((limit, who), None)


def network_of(address: str) -> str:
    """Return what stands for an address in a bucket."""
    try:
        found = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped is not None else found.packed[:8].hex()
    return str(found)
