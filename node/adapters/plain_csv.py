"""Writes series as plain CSV (RFC 4180), for people and spreadsheets.

How it works
    UTF-8, CRLF, commas, one header line, then one line a record:
        series,start,duration_s,value,unit,fictitious
        urn:dev:prm:12345678901234_consumption/power/active/raw,2021-01-07T13:00:00Z,1800,1061,W,false
    `start` is the UTC start of the period, `duration_s` its length (0: an instant). A gap has an empty value.
    A decimal has a point. No cell needs quotes: names, units and numbers hold neither commas nor quotes nor
    line ends, and no cell begins with "=", "+" or "@", which spreadsheets would run. Under pseudonyms, the point in
    a series' name is replaced by an id: urn:maille:4f…_consumption/power/active/raw.

What it does not do
    It reads nothing back: SenML (`node.adapters.senml`) is the form that travels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from node.adapters.adapter import Adapter
from node.readings import Series

HEADER: Final = "series,start,duration_s,value,unit,fictitious"
"""The header line."""

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


def to_csv(series: Iterable[Series], pseudonyms: Mapping[str, str] | None = None) -> bytes:
    """Return the records of all series, one after another, in the form above. `pseudonyms`: point -> id, of each."""
    lines = [HEADER]
    for one in series:
        ending = f"{one.key.unit},{'true' if one.key.fictitious else 'false'}"
        values = ["" if value is None else format(value, "f" if one.exponent else "") for value in one.values()]
        name = one.key.name
        if pseudonyms is not None:
            name = f"urn:maille:{pseudonyms[one.key.point]}_{name.partition('_')[2]}"
        lines += [
            f"{name},{stamp},{duration},{value},{ending}"
            for stamp, duration, value in zip(_stamps(one), one.durations, values, strict=True)
        ]
    return ("\r\n".join(lines) + "\r\n").encode()


def _stamps(series: Series) -> list[str]:
    days: dict[int, str] = {}
    stamps = []
    for start in series.starts:
        day, second = divmod(start, 86_400)
        if day not in days:
            days[day] = date.fromordinal(_EPOCH_DAY + day).isoformat()
        stamps.append(f"{days[day]}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z")
    return stamps


ADAPTERS: Final = (Adapter("csv", "Plain CSV (RFC 4180) for people and spreadsheets", write=to_csv),)
"""What `node.adapters.registry` lists of this module."""
