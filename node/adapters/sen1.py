"""Messages of the SEN1 proof of concept (2019), as its proxies sent them over XMPP: read, never written.

How it works
    One `<Sen1Message>` (or several, in any envelope) has a user, the name of a datum, its unit, its type, where it
    comes from and where it goes, and `<Sen1Data>`, a value at a moment. A moment is ISO 8601, "2019-05-06 14:30:00" by
    the clock of Paris, or with an offset. Units become kinds of series: W is mean power, Wh and kWh are registers
    unless the datum is of a day, m3 and l of water likewise. Power is a mean over the step that shows between
    moments; one moment alone has none, and is refused.
    A message is for one application, its applicationDst. This node takes those that name it: `destinations`. What is
    for another is refused with that reason, as its proxies should have done.
    Whoever imports says which point it is.

What it does not do
    It has no inbox and no outbox: what was sent while a peer was away comes exactly once by the transfers of this
    node. Texts, dates and booleans are no readings, and refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Final

from ledger.errors import LocalError, RemoteError
from node.adapters.adapter import Adapter, Found, Head, Source, refused
from node.adapters.enedis_time import DAY, NoTimeError, resolve
from node.adapters.numbers import exact_number
from node.adapters.rows import Table
from node.adapters.stamps import clock_of, exact
from node.adapters.xml_events import CODE as BAD_XML
from node.adapters.xml_events import MAX_XML_BYTES, Element, elements
from node.readings import MAX_RECORDS, Value
from node.series_key import SeriesKey

CODE: Final = "BAD_SEN1"
OTHER_DESTINATION: Final = "SEN1_OTHER_DESTINATION"
MESSAGE_ELEMENTS_MAX: Final = 100_000
"""Elements of one message: some 33 000 values."""
DESTINATIONS: Final = frozenset({"maille", ""})
"""The applicationDst of messages that are taken: ours, or none."""
NUMERIC: Final = frozenset({"dt_numeric", "dt_integer"})
_FIELDS: Final = frozenset(
    {
        *("username", "name", "metaname", "metavalue", "unite", "type", "applicationSrc", "applicationDst"),
        "Sen1Datas",
    }
)
_UNITS: Final = {
    "W": ("electricity", "load_curve", "W"),
    "VA": ("electricity", "max_power", "VA"),
    "Wh": ("electricity", "index", "Wh"),
    "kWh": ("electricity", "index", "kWh"),
    "m3": ("water", "index", "m3"),
    "m³": ("water", "index", "m3"),
    "l": ("water", "index", "l"),
    "L": ("water", "index", "l"),
}


def read(data: bytes, source: Source) -> Iterator[Found]:
    """Yield the series of the messages. Raises RemoteError BAD_XML, BAD_SEN1, SEN1_OTHER_DESTINATION, with the line."""
    table = Table(partial(_bad, source))
    messages = 0
    for message in elements(data, source, frozenset({"Sen1Message"}), MESSAGE_ELEMENTS_MAX):
        messages += 1
        _check(message, source)
        _read(message, source, table)
    if not messages:
        raise _bad(source, 1, "Sen1Message", "There is no message in the file")
    yield from table.found()


def _check(message: Element, source: Source) -> None:
    """Refuse a message that is not for us, or not of numbers."""
    if {child.name for child in message.children} - _FIELDS:
        raise _bad(source, message.line, "Sen1Message", "The message has a field that is not known here")
    if (message.said("applicationDst") or "") not in DESTINATIONS:
        told = "The message is for another application; ask its sender to name maille, or leave applicationDst empty"
        raise refused(OTHER_DESTINATION, source, f"line {message.line}, applicationDst", told)
    if (message.said("type") or "") not in NUMERIC:
        raise _bad(source, message.line, "type", f"Only messages of {' and '.join(sorted(NUMERIC))} are readings")


def _read(message: Element, source: Source, table: Table) -> None:
    """Read the values of a message."""
    held = message.child("Sen1Datas")
    rows = held.children if held is not None else []
    if not rows or any(row.name != "Sen1Data" for row in rows):
        raise _bad(source, message.line, "Sen1Datas", "A message has at least one Sen1Data, and nothing else in them")
    times = _times(rows, source)
    placed = sorted(zip(times, rows, strict=True), key=lambda one: one[0])
    steps = [after - before for before, after in pairwise(sorted(set(times)))]
    key = _key(message, min(steps, default=0), source)
    for at, row in placed:
        duration = 0 if key.is_instant else min(steps)
        table.add(key, row.line, at, duration, _value(row, source))


def _times(rows: list[Element], source: Source) -> list[int]:
    """Return the moments of values, in the order of the message."""
    texts = [row.said("timestamp") or "" for row in rows]
    try:
        if all(text.endswith("Z") or "+" in text for text in texts):
            return [exact(text) for text in texts]
        return resolve([clock_of(text) for text in texts], [0] * len(texts))
    except NoTimeError as error:
        raise _bad(source, rows[error.index].line, "timestamp", error.message) from None
    except (ValueError, OverflowError) as error:
        told = f"A moment was expected in each value, all with an offset or none: {error}"
        raise _bad(source, rows[0].line, "timestamp", told) from None


def _key(message: Element, step: int, source: Source) -> SeriesKey:
    bad = partial(_bad, source, message.line)
    unit = message.said("unite") or ""
    if unit not in _UNITS:
        raise bad("unite", f"A unit is one of {', '.join(_UNITS)}")
    if not source.point:
        raise bad("name", "The message names no point; say which one it is (--point)")
    energy, kind, own = _UNITS[unit]
    granularity = "P1D"
    if kind == "load_curve":
        if step < 60 or step % 60 or step > DAY:
            raise bad("timestamp", "Mean power needs moments that are whole minutes apart, at most a day")
        granularity = f"PT{step // 60}M"
    if source.point.startswith("pce:"):
        energy = "gas"
    register = ""
    if kind == "index" and energy == "electricity":
        register = "EAI T" if source.direction == "injection" else "EAS T"
    try:
        return SeriesKey(source.point, energy, source.direction, kind, granularity, own, register)
    except LocalError as error:
        raise bad(error.field or "unite", error.message) from None


def _value(row: Element, source: Source) -> Value:
    text = row.said("value")
    if text is None:
        raise _bad(source, row.line, "value", "A Sen1Data has a value, which may be empty for a gap")
    value = exact_number(text) if text else None
    if text and value is None:
        raise _bad(source, row.line, "value", "A value is a number")
    return value


def _bad(source: Source, place: int, what: str, message: str) -> RemoteError:
    return refused(CODE, source, f"line {place}, {what}", message)


def _is_ours(head: Head) -> bool:
    return head.kind == "xml" and "Sen1Message" in head.tags


ADAPTERS: Final = (
    Adapter(
        "sen1",
        "Messages of the SEN1 proof of concept (XML)",
        _is_ours,
        read,
        None,
        {"bytes": MAX_XML_BYTES, "records": MAX_RECORDS, "elements of a message": MESSAGE_ELEMENTS_MAX},
        (BAD_XML, CODE, OTHER_DESTINATION),
    ),
)
"""What `node.adapters.registry` lists of this module."""
