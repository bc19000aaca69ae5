"""Green Button: ESPI XML (NAESB REQ.21) in an Atom feed, both ways.

How it works
    A feed has entries: UsagePoint (a meter), MeterReading (a series), ReadingType (what it measures), IntervalBlock
    (its readings, Unix seconds at the start, whole numbers times a power of ten). Entries know one another by links.
    Read: mean power in W and energy in Wh of steps below a day are load curves in W (a Wh in half an hour is 2 W);
    energy of a day and longer, volumes of gas (m3) and water (m3, l) are totals; bulk quantities are registers.
    ESPI has no reading without a value. A gap is a reading that lacks inside the interval of its block; a jump lies
    between blocks. So each stretch of equal steps is written as blocks of its own, and read back the same. Instants
    without a value (of a register) are left out.
    Feeds of others name no point of ours: whoever imports names it. In ours, the title of a UsagePoint is the point,
    that of a MeterReading the series' name, and categories under urn:maille: say unit, granularity and that readings
    are fictitious.

What it does not do
    It reads no costs, no summaries and no currents or voltages: those series are left out, and said; unknown units
    of energy are refused. It asks no server and checks no certificate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from ledger.errors import RemoteError
from node.adapters.adapter import Adapter, Found, Head, LeftOut, Source, refused
from node.adapters.green_button_types import CODE, ReadingType, scaled
from node.adapters.green_button_writing import write
from node.adapters.numbers import whole_number
from node.adapters.rows import Table
from node.adapters.xml_events import CODE as BAD_XML
from node.adapters.xml_events import MAX_XML_BYTES, Element, elements
from node.readings import MAX_DURATION, MAX_RECORDS, MAX_TIME
from node.series_key import SeriesKey

__all__ = ("ADAPTERS", "read", "write")
ENTRY_ELEMENTS_MAX: Final = 200_000
"""Elements of one entry: some 50 000 readings."""
BLOCK_GAPS_MAX: Final = 50_000
"""Records without a value that the interval of one block stands for."""
CONTENTS: Final = frozenset(
    {
        *("UsagePoint", "MeterReading", "ReadingType", "IntervalBlock", "LocalTimeParameters"),
        *("ElectricPowerUsageSummary", "UsageSummary", "ElectricPowerQualitySummary", "ApplicationInformation"),
    }
)
"""What an entry may hold; the last four, and the time parameters, are not read: seconds are UTC."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """An Atom entry: where it stands, its links, its title, its categories, its content."""

    line: int
    own: str
    up: str
    related: frozenset[str]
    title: str
    categories: dict[str, str]
    content: Element

    def leads_to(self, other: _Entry) -> bool:
        """Say whether this entry's links name another, or the collection that it is in."""
        return other.own in self.related or other.up in self.related


@dataclass(frozen=True, slots=True)
class _Block:
    """The readings of one IntervalBlock: (line, start, seconds, value), and its interval, if it says one."""

    entry: _Entry
    interval: tuple[int, int] | None
    readings: list[tuple[int, int, int, int]]


@dataclass(slots=True)
class _Feed:
    """The entries of a feed, by what they hold."""

    points: list[_Entry] = field(default_factory=list)
    series: list[_Entry] = field(default_factory=list)
    types: list[_Entry] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)
    summaries: int = 0


def read(data: bytes, source: Source) -> Iterator[Found]:
    """Yield the series of a feed. Raises RemoteError BAD_XML, BAD_GREEN_BUTTON, naming the line."""
    feed = _Feed()
    for element in elements(data, source, frozenset({"entry"}), ENTRY_ELEMENTS_MAX):
        _sort(_entry(element, source), feed, source)
    if not feed.series:
        raise _bad(source, 1, "MeterReading", "The feed has no meter reading")
    table = Table(partial(_bad, source))
    other: dict[str, int] = {}
    for one in feed.series:
        blocks = [block for block in feed.blocks if one.leads_to(block.entry)]
        type_ = ReadingType.of(_only(one, feed.types, "ReadingType", source).content, partial(_bad, source))
        if type_.not_kept:
            other[type_.not_kept] = other.get(type_.not_kept, 0) + sum(len(block.readings) for block in blocks)
            continue
        key = _key(one, type_, feed, source)
        for block in blocks:
            _add(table, key, type_, block, source)
    if any(not any(one.leads_to(block.entry) for one in feed.series) for block in feed.blocks):
        raise _bad(source, 1, "IntervalBlock", "A block belongs to no meter reading of this feed")
    yield from table.found()
    if feed.summaries:
        other["summaries"] = feed.summaries
    for what, records in other.items():
        yield LeftOut(what, records)


def _entry(element: Element, source: Source) -> _Entry:
    """Read an Atom entry."""
    links = [(child.attributes.get("rel"), child.attributes.get("href", "")) for child in element.children]
    own = [href for rel, href in links if rel == "self" and href]
    content = element.child("content")
    if len(own) != 1 or content is None or len(content.children) != 1:
        raise _bad(source, element.line, "entry", "An entry has one link to itself, and one thing as its content")
    categories = {
        child.attributes.get("scheme", ""): child.attributes.get("term", "")
        for child in element.children
        if child.name == "category"
    }
    up = next((href for rel, href in links if rel == "up"), "")
    related = frozenset(href for rel, href in links if rel == "related" and href)
    return _Entry(element.line, own[0], up, related, element.said("title") or "", categories, content.children[0])


def _sort(entry: _Entry, feed: _Feed, source: Source) -> None:
    match entry.content.name:
        case "UsagePoint":
            feed.points.append(entry)
        case "MeterReading":
            feed.series.append(entry)
        case "ReadingType":
            feed.types.append(entry)
        case "IntervalBlock":
            feed.blocks.append(_block(entry, source))
        case name if name not in CONTENTS:
            raise _bad(source, entry.line, "content", "An entry holds what is not known here")
        case name if "Summary" in name:
            feed.summaries += 1
        case _:
            pass


def _block(entry: _Entry, source: Source) -> _Block:
    """Read the readings of a block."""
    interval = None
    readings = []
    for child in entry.content.children:
        match child.name:
            case "interval":
                interval = _interval(child, source)
            case "IntervalReading":
                start, duration = _interval(child.child("timePeriod"), source, child.line)
                value = whole_number(child.said("value"))
                if value is None:
                    raise _bad(source, child.line, "value", "A reading has a whole number as its value")
                readings.append((child.line, start, duration, value))
            case _:
                raise _bad(source, child.line, "IntervalBlock", "A block holds what is not known here")
    return _Block(entry, interval, sorted(readings, key=lambda one: one[1]))


def _interval(element: Element | None, source: Source, line: int = 0) -> tuple[int, int]:
    """Return (start, seconds)."""
    start = whole_number(element.said("start")) if element is not None else None
    duration = whole_number(element.said("duration")) if element is not None else None
    if start is None or duration is None or not 0 <= start < MAX_TIME or not 0 <= duration < MAX_TIME:
        at = element.line if element is not None else line
        raise _bad(source, at, "start, duration", "A period has a start and a duration in seconds")
    return start, duration


def _only(one: _Entry, others: list[_Entry], what: str, source: Source) -> _Entry:
    """Return the one entry among others that a series' links name."""
    found = [other for other in others if other.own in one.related]
    if len(found) != 1:
        raise _bad(source, one.line, what, f"A meter reading has a link to one {what} of its feed")
    return found[0]


def _key(one: _Entry, type_: ReadingType, feed: _Feed, source: Source) -> SeriesKey:
    """Return which series a meter reading is: as our own categories say, else by its type and the point named."""
    owners = [point for point in feed.points if point.leads_to(one)]
    if len(owners) != 1:
        raise _bad(source, one.line, "UsagePoint", "A meter reading belongs to one usage point of its feed")
    bad = partial(_bad, source, one.line)
    if one.title.startswith("urn:dev:"):
        return type_.own_key(one.title, one.categories, bad)
    if not source.point:
        raise bad("UsagePoint", "The feed names no point; say which one it is (--point)")
    return type_.key(source.point, bad)


def _add(table: Table, key: SeriesKey, type_: ReadingType, block: _Block, source: Source) -> None:
    """Add the readings of a block, and a gap wherever one lacks inside its interval."""
    line = block.entry.line
    step = block.readings[0][2] if block.readings else type_.interval_length
    at = block.interval[0] if block.interval is not None else None
    for place, start, duration, value in block.readings:
        if not key.is_instant and not 0 < duration <= MAX_DURATION:
            raise _bad(source, place, "duration", "A period lasts from a second to a year")
        if at is not None and not key.is_instant:
            _gaps(table, key, place, at, start, step, source)
        at = start + duration
        exact = scaled(key, type_, value, duration)
        if exact is None:
            raise _bad(source, place, "value", "The value has no exact decimal in the unit of its series")
        table.add(key, place, start, 0 if key.is_instant else duration, exact)
    if block.interval is not None and not key.is_instant:
        end = sum(block.interval)
        _gaps(table, key, line, at if block.readings and at is not None else block.interval[0], end, step, source)


def _gaps(table: Table, key: SeriesKey, place: int, start: int, stop: int, step: int, source: Source) -> None:
    """Add records without a value from `start` to `stop`: of the step, if it fits, else one as long as can be."""
    if stop <= start:
        return
    if step <= 0 or (stop - start) % step:
        step = min(stop - start, MAX_DURATION)
    if (stop - start) // step > BLOCK_GAPS_MAX:
        told = f"The interval of the block stands for more than {BLOCK_GAPS_MAX} steps without a reading"
        raise _bad(source, place, "interval", told)
    for at in range(start, stop, step):
        table.add(key, place, at, min(step, stop - at), None)


def _bad(source: Source, place: int, what: str, message: str) -> RemoteError:
    return refused(CODE, source, f"line {place}, {what}", message)


def _is_ours(head: Head) -> bool:
    return head.kind == "xml" and head.root in {"feed", "entry"} and not head.tags.isdisjoint(CONTENTS)


ADAPTERS: Final = (
    Adapter(
        "green-button",
        "Green Button (ESPI XML)",
        _is_ours,
        read,
        write,
        {
            "bytes": MAX_XML_BYTES,
            "records": MAX_RECORDS,
            "elements of an entry": ENTRY_ELEMENTS_MAX,
            "gaps of a block": BLOCK_GAPS_MAX,
        },
        (BAD_XML, CODE),
    ),
)
"""What `node.adapters.registry` lists of this module."""
