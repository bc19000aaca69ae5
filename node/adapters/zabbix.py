"""Series as lines for `zabbix_sender --with-timestamps`, for whoever watches buildings with Zabbix.

How it works
    A line is a host, a key, a clock and a value, with spaces between:

        prm:12345678901234 consumption.power.active.raw[W,PT30M] 1600000000 1061

    The host is the point, the key the name of the series with its unit and step, the clock the UTC start of the
    period. What is of no real meter has a key that begins with "fictitious.".

What it does not do
    It writes no gap: Zabbix has no value that is none, and a zero would be a lie. It sends nothing, and reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from node.adapters.adapter import Adapter
from node.readings import Series
from node.series_key import SeriesKey


def write(series: Sequence[Series]) -> bytes:
    """Return series as lines, one after another; records without a value are not there."""
    found = []
    for one in series:
        head = f"{one.key.point} {item_key(one.key)}"
        for start, value in zip(one.starts, one.values(), strict=True):
            if value is not None:
                text = format(value, "f") if isinstance(value, Decimal) else str(value)
                found.append(f"{head} {start} {text}\n")
    return "".join(found).encode()


def item_key(key: SeriesKey) -> str:
    """Return the key of an item: letters, digits, dots, hyphens, and parameters in brackets, as Zabbix wants it."""
    name = key.name.removeprefix(f"urn:dev:{key.point}_").replace("/", ".")
    return f"{'fictitious.' if key.fictitious else ''}{name}[{key.unit},{key.granularity}]"


ADAPTERS: Final = (Adapter("zabbix", "Lines for zabbix_sender --with-timestamps", write=write),)
"""What `node.adapters.registry` lists of this module."""
