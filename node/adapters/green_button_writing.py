"""Writes series as a Green Button feed; `node.adapters.green_button` says what stands where.

How it works
    Ids are derived from what they name, so the same series give the same feed. Each stretch of equal steps is written
    in blocks of at most BLOCK_RECORDS readings; a record without a value is not there, and its block's interval says
    that it lacks.

What it does not do
    Values beyond the 48 bits of ESPI, or finer than its powers of ten, are refused. It sets no time of writing:
    `updated` is when the last reading ends, so that the same readings make the same bytes.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from ledger.errors import LocalError
from node.adapters.green_button_types import BEHAVIOUR, CATEGORY, COMMODITIES, FLOWS, SERVICES, UNITS
from node.adapters.stamps import in_utc
from node.readings import Series
from node.series_key import SeriesKey, granularity_seconds

BLOCK_RECORDS: Final = 4_096
"""Records in one IntervalBlock."""
ATOM: Final = "http://www.w3.org/2005/Atom"
ESPI: Final = "http://naesb.org/espi"
_ROOT: Final = "RetailCustomer/1/UsagePoint"
_POWERS: Final = (0, -1, -2, -3, -6, -9, -12)
_INT48: Final = 1 << 47
_PHASE: Final = 769
_TIME_ATTRIBUTES: Final = {"P1D": 11, "P1M": 13}
_PARIS: Final = {"dstEndRule": "AE0E3000", "dstOffset": "3600", "dstStartRule": "3E0E2000", "tzOffset": "3600"}
"""Last Sunday of October, 3 h; an hour; last Sunday of March, 2 h; an hour ahead of UTC."""


def write(series: Sequence[Series]) -> bytes:
    """Return series as a feed. Raises LocalError NO_PLACE for values that ESPI cannot hold."""
    points = list(dict.fromkeys(one.key.point for one in series))
    updated = in_utc(max((one.stop for one in series), default=0))
    fictitious = any(one.key.fictitious for one in series)
    title = "Fictitious readings, of no real meter" if fictitious else "Readings"
    parts = [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="{ATOM}">\n<id>{_id("feed", *points)}</id>\n',
        f"<title>{title}</title>\n<updated>{updated}</updated>\n",
    ]
    for number, point in enumerate(points, 1):
        parts += _point(number, point, [one for one in series if one.key.point == point])
    return "".join([*parts, "</feed>\n"]).encode()


def _point(number: int, point: str, series: list[Series]) -> Iterator[str]:
    """Yield the entries of one meter."""
    own = f"{_ROOT}/{number}"
    kind = SERVICES[series[0].key.energy]
    content = f'<UsagePoint xmlns="{ESPI}"><ServiceCategory><kind>{kind}</kind></ServiceCategory></UsagePoint>'
    yield _entry(own, _ROOT, [f"{own}/MeterReading", "LocalTimeParameters/1"], point, content)
    if number == 1:
        rules = "".join(f"<{name}>{value}</{name}>" for name, value in _PARIS.items())
        content = f'<LocalTimeParameters xmlns="{ESPI}">{rules}</LocalTimeParameters>'
        yield _entry("LocalTimeParameters/1", "LocalTimeParameters", [], "Paris", content)
    for place, one in enumerate(series, 1):
        reading, type_ = f"{own}/MeterReading/{place}", f"ReadingType/{number}.{place}"
        categories = {"unit": one.key.unit, "granularity": one.key.granularity}
        categories |= {"fictitious": "true"} if one.key.fictitious else {}
        links = [f"{reading}/IntervalBlock", type_]
        yield _entry(reading, f"{own}/MeterReading", links, one.key.name, f'<MeterReading xmlns="{ESPI}"/>', categories)
        shift, power = _power(one)
        yield _entry(type_, "ReadingType", [], one.key.kind, _type(one.key, power))
        for count, block in enumerate(_blocks(one, shift), 1):
            yield _entry(f"{reading}/IntervalBlock/{count}", f"{reading}/IntervalBlock", [], "", block)


def _power(series: Series) -> tuple[int, int]:
    """Return by what the whole numbers of a series are multiplied, and the power of ten of the result."""
    wanted = series.exponent + UNITS[series.key.unit][1]
    power = 3 if wanted == 3 else next((one for one in _POWERS if one <= wanted), None)
    shift = 10 ** (wanted - power) if power is not None else 0
    if power is None or any(abs(mantissa) * shift >= _INT48 for mantissa in series.mantissas):
        raise LocalError("NO_PLACE", "A value does not fit in a reading of ESPI; choose another format", field="value")
    return shift, power


def _type(key: SeriesKey, power: int) -> str:
    accumulation, qualifier, kind = BEHAVIOUR[key.kind]
    fields = {
        "accumulationBehaviour": accumulation,
        "commodity": COMMODITIES[key.energy],
        "dataQualifier": qualifier,
        "flowDirection": FLOWS[key.direction],
        "intervalLength": granularity_seconds(key.granularity) or 0,
        "kind": kind if key.unit not in {"m3", "l"} else 0,
        "phase": _PHASE if key.energy == "electricity" else 0,
        "powerOfTenMultiplier": power,
        "timeAttribute": _TIME_ATTRIBUTES.get(key.granularity, 0),
        "uom": UNITS[key.unit][0],
    }
    return f'<ReadingType xmlns="{ESPI}">{"".join(f"<{n}>{v}</{n}>" for n, v in fields.items())}</ReadingType>'


def _blocks(series: Series, shift: int) -> Iterator[str]:
    """Yield the blocks of a series."""
    first = 0
    runs = [(0, len(series))] if series.key.is_instant else []
    for _, _, count in [] if series.key.is_instant else series.runs():
        runs.append((first, first + count))
        first += count
    for begin, end in runs:
        for at in range(begin, end, BLOCK_RECORDS):
            last = min(at + BLOCK_RECORDS, end)
            start, stop = series.starts[at], series.starts[last - 1] + series.durations[last - 1]
            readings = "".join(
                f"<IntervalReading>{_period('timePeriod', series.starts[i], series.durations[i])}"
                f"<value>{series.mantissas[i] * shift}</value></IntervalReading>\n"
                for i in range(at, last)
                if not series.gaps[i]
            )
            interval = _period("interval", start, stop - start)
            yield f'<IntervalBlock xmlns="{ESPI}">{interval}\n{readings}</IntervalBlock>'


def _period(name: str, start: int, duration: int) -> str:
    return f"<{name}><duration>{duration}</duration><start>{start}</start></{name}>"


def _entry(
    own: str, up: str, related: list[str], title: str, content: str, categories: dict[str, str] | None = None
) -> str:
    links = f'<link rel="self" href={quoteattr(own)}/><link rel="up" href={quoteattr(up)}/>'
    links += "".join(f'<link rel="related" href={quoteattr(one)}/>' for one in related)
    marks = "".join(
        f'<category scheme="{CATEGORY}{name}" term={quoteattr(term)}/>' for name, term in (categories or {}).items()
    )
    said = f"<title>{escape(title)}</title>"
    return f"<entry><id>{_id(own, title)}</id>{links}{marks}{said}<content>{content}</content></entry>\n"


def _id(*names: str) -> str:
    return f"urn:uuid:{uuid.UUID(bytes=hashlib.sha256(' '.join(names).encode()).digest()[:16], version=4)}"
