"""Quoalise data, XML and its JSON twin, both ways; the older variant and upstream errors are read.

How it works
    `<data>` has `<meta>` (the device, what it measures, how finely) and `<sensml>`, records of SenML whose base
    fields hold until they are said again:

        <senml bn="urn:dev:prm:12345678901234_consumption/power/active/raw" bt="1583016600" t="0" v="100" bu="W"/>
        <senml t="1800" v="null"/>

    Times are UTC, at the start of the period; "null" is a gap. A period is as long as sampling-interval says: a day
    is one of Paris, from its start to the same hour of the next day. Where the step of a load curve changes, each
    stretch is a `<data>` of its own; read back they are one series, whose granularity is the finest. The JSON twin
    is {"meta": {...}, "records": [{"name", "time", "unit", "value"}]}, or a list of such.
    What is of no real meter says `fictitious="true"` in its measurement. An `<upstream-error>` is an error: it is
    told with the issuer and the code.

What it does not do
    It speaks no XMPP. Prices and remarks (`subtype`, `estimated`, `pricing`) are left out, and said. What meta says
    of the series must agree with its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from ledger.errors import LocalError, MailleError, RemoteError
from node.adapters.adapter import Adapter, Found, Head, LeftOut, Source, refused
from node.adapters.numbers import exact_number, plain
from node.adapters.quoalise_meta import Meta, meta_of, period
from node.adapters.rows import Table
from node.adapters.stamps import exact, in_utc
from node.adapters.strict_json import Fields, documents, encoded
from node.adapters.xml_events import CODE as BAD_XML
from node.adapters.xml_events import MAX_XML_BYTES, Element, elements
from node.readings import MAX_RECORDS, MAX_TIME, Series, Value
from node.series_key import SeriesKey, granularity_seconds, key_from_name

MAX_BYTES: Final = 64 << 20
"""Largest file of JSON, in bytes."""
CODE: Final = "BAD_QUOALISE"
UPSTREAM: Final = "UPSTREAM_ERROR"
NAMESPACES: Final = ("urn:quoalise:0", "urn:ietf:params:xml:ns:senml")
GAPS: Final = frozenset({"null", "None"})
"""What stands for a gap; the second is what the Python client of Quoalise has written."""

_WANTED: Final = frozenset({"meta", "senml", "upstream-error"})
_FIELDS: Final = frozenset({"bn", "bt", "bu", "bv", "n", "t", "u", "v"})
_OLDER: Final = {
    "consumption_load": "consumption/power/active/raw",
    "production_load": "production/power/active/raw",
    "consumption_daily": "consumption/energy/active/daily",
    "production_daily": "production/energy/active/daily",
    "daily_consumption": "consumption/energy/active/daily",
    "daily_production": "production/energy/active/daily",
}
_TOKEN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SECONDS: Final = re.compile(r"-?[0-9]{1,11}(\.0{1,6})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Record:
    """A record: its place in the file, what names it, UTC seconds, its value."""

    place: int
    name: str
    unit: str
    start: int
    value: Value
    meta: Meta


def read_xml(data: bytes, source: Source) -> Iterator[Found]:
    """Yield the series of XML. Raises RemoteError BAD_XML, BAD_QUOALISE (with the line), UPSTREAM_ERROR."""
    table = _Collected(source)
    meta: Meta | None = None
    base: dict[str, str] = {}
    for one in elements(data, source, _WANTED):
        match one.name:
            case "upstream-error":
                raise _upstream(one, source)
            case "meta":
                meta, base = _meta(one, source), {}
                table.remarks += meta.remarks
            case _:
                if meta is None:
                    raise _bad(source, one.line, "meta", "Records come after the meta that says what they are")
                table.add(_senml(one, base, meta, source))
    yield from table.found()


class _Collected:
    """The records of a file, by series."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._records: dict[tuple[str, str, bool], list[_Record]] = {}
        self._count = 0
        self.remarks = 0

    def add(self, record: _Record) -> None:
        """Add one record."""
        self._count += 1
        if self._count > MAX_RECORDS:
            raise _bad(self._source, record.place, "record", f"A file has at most {MAX_RECORDS} records")
        self._records.setdefault((record.name, record.unit, record.meta.fictitious), []).append(record)

    def found(self) -> Iterator[Found]:
        """Yield the series, and what was left out."""
        table = Table(partial(_bad, self._source))
        for (name, unit, fictitious), records in self._records.items():
            steps = {one.meta.granularity for one in records}
            finest = min(steps, key=lambda step: granularity_seconds(step) or 0)
            key = self._key(records[0], name, unit, finest, fictitious)
            if len(steps) > 1 and key.kind != "load_curve":
                raise _bad(self._source, records[0].place, "meta", "Only the step of a load curve changes")
            for one in records:
                one.meta.agree(key, partial(_bad, self._source, one.place))
                duration = 0 if key.is_instant else period(one.start, one.meta.granularity)
                table.add(key, one.place, one.start, duration, one.value)
        yield from table.found()
        if self.remarks:
            yield LeftOut("remarks of the measurement (subtype, estimated, pricing)", self.remarks)

    def _key(self, first: _Record, name: str, unit: str, granularity: str, fictitious: bool) -> SeriesKey:
        point, _, rest = name.partition("_")
        try:
            return key_from_name(
                f"{point}_{_OLDER.get(rest, rest)}", granularity=granularity, unit=unit, fictitious=fictitious
            )
        except MailleError as error:
            raise _bad(self._source, first.place, error.field or "name", error.message) from None


def _senml(one: Element, base: dict[str, str], meta: Meta, source: Source) -> _Record:
    """Read one record of SenML, and the base fields that it sets."""

    def bad(what: str, message: str) -> RemoteError:
        return _bad(source, one.line, what, message)

    said = one.attributes
    if not said.keys() <= _FIELDS or one.children:
        raise bad("senml", "The record has a field that is not known here")
    base |= {name: value for name, value in said.items() if name.startswith("b")}
    name = base.get("bn", "") + said.get("n", "")
    unit = said.get("u") or base.get("bu") or meta.unit
    start = sum(_seconds(text, bad) for text in (base.get("bt"), said.get("t")) if text is not None)
    if not name or not 0 < start < MAX_TIME:
        raise bad("bn, bt", "A record has a name (bn) and a time (bt) after 1970")
    texts = [text for text in (base.get("bv"), said.get("v")) if text is not None]
    return _Record(one.line, name, unit, start, _value(texts, bad), meta)


def _value(texts: list[str], bad: Any) -> Value:
    if not texts:
        raise bad("v", 'A record has a value, or v="null" for a gap')
    if texts[-1] in GAPS:
        return None
    values = [exact_number(text) for text in texts]
    if None in values:
        raise bad("v", "A value is a number")
    return plain(sum((Decimal(value) for value in values if value is not None), Decimal(0)))


def _seconds(text: str, bad: Any) -> int:
    if _SECONDS.fullmatch(text) is None:
        raise bad("bt, t", "A time is a number of whole seconds")
    return int(text.partition(".")[0])


def _meta(one: Element, source: Source) -> Meta:
    return meta_of(_as_map(one), partial(_bad, source, one.line))


def _as_map(one: Element) -> dict[str, Any]:
    """Return an element as the JSON twin has it: its attributes, and its children by name."""
    return {**one.attributes, **{child.name: _as_map(child) for child in one.children}}


def _upstream(one: Element, source: Source) -> RemoteError:
    issuer, code = (one.attributes.get(name, "") for name in ("issuer", "code"))
    named = [text for text in (issuer, code) if _TOKEN.fullmatch(text)]
    told = f"The file is no data but the error of a service behind it ({' '.join(named) or 'which it does not name'})"
    return refused(UPSTREAM, source, f"line {one.line}, upstream-error", told)


def read_json(data: bytes, source: Source) -> Iterator[Found]:
    """Yield the series of the JSON twin. Raises RemoteError BAD_QUOALISE, naming record and field."""
    table = _Collected(source)
    place = 0
    for one in documents(data, source, CODE, MAX_BYTES, _BLOCKS_MAX):
        one.only({"meta", "records"})
        meta = meta_of(one.object("meta").values, one.object("meta").bad)
        table.remarks += meta.remarks
        for record in one.objects("records"):
            place += 1
            table.add(_json_record(record, place, meta))
    yield from table.found()


_BLOCKS_MAX: Final = 10_000


def _json_record(record: Fields, place: int, meta: Meta) -> _Record:
    record.only({"name", "time", "unit", "value"})
    start = record.moment("time", exact)
    if start is None or not 0 < start < MAX_TIME:
        raise record.bad("time", "A record has a time after 1970")
    if "value" not in record.values:
        raise record.bad("value", "A record has a value, or null for a gap")
    return _Record(place, record.text("name"), record.text("unit", meta.unit), start, record.number("value"), meta)


def write_xml(series: Sequence[Series]) -> bytes:
    """Return series as one <quoalise>. Raises LocalError NO_PLACE for periods that no sampling-interval says."""
    found = [f'<?xml version="1.0" encoding="UTF-8"?>\n<quoalise xmlns="{NAMESPACES[0]}">\n']
    for key, meta, records in _blocks(series):
        found += ["<data>\n", _element("meta", meta), f'\n<sensml xmlns="{NAMESPACES[1]}">\n']
        first, head = records[0][0], f' bn={quoteattr(key.name)} bt="{records[0][0]}" bu="{key.unit}"'
        for start, value in records:
            found.append(f'<senml{head} t="{start - first}" v="{_text(value)}"/>\n')
            head = ""
        found.append("</sensml>\n</data>\n")
    return "".join([*found, "</quoalise>\n"]).encode()


def write_json(series: Sequence[Series]) -> bytes:
    """Return series as the JSON twin; a list of such where they are several. Raises as `write_xml` does."""
    blocks = [
        {
            "meta": meta,
            "records": [
                {"name": key.name, "time": in_utc(start), "unit": key.unit, "value": value} for start, value in records
            ],
        }
        for key, meta, records in _blocks(series)
    ]
    return encoded(blocks[0] if len(blocks) == 1 else blocks)


def _blocks(series: Sequence[Series]) -> Iterator[tuple[SeriesKey, dict[str, Any], list[tuple[int, Value]]]]:
    """Yield (key, meta, records) of each stretch of equal steps."""
    for one in series:
        blocks: list[tuple[str, list[tuple[int, Value]]]] = []
        for reading in one:
            step = _step(one.key, reading.start, reading.duration_s)
            if not blocks or blocks[-1][0] != step:
                blocks.append((step, []))
            blocks[-1][1].append((reading.start, reading.value))
        for step, records in blocks:
            yield one.key, Meta.of(one.key, step).as_map(), records


def _step(key: SeriesKey, start: int, duration: int) -> str:
    """Return the sampling-interval of one period. Raises LocalError NO_PLACE."""
    if key.is_instant or period(start, key.granularity) == duration:
        return key.granularity
    if key.kind == "load_curve" and duration % 60 == 0:
        return f"PT{duration // 60}M"
    raise LocalError(
        "NO_PLACE", "A period is not as long as its granularity says; choose another format", field="series"
    )


def _text(value: Value) -> str:
    if value is None:
        return "null"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _element(name: str, value: dict[str, Any]) -> str:
    attributes = "".join(f" {key}={quoteattr(text)}" for key, text in value.items() if isinstance(text, str))
    children = "".join(_element(key, child) for key, child in value.items() if isinstance(child, dict))
    return f"<{name}{attributes}>{children}</{name}>" if children else f"<{name}{attributes}/>"


def _bad(source: Source, place: int, what: str, message: str) -> RemoteError:
    return refused(CODE, source, f"line or record {place}, {what}", message)


def _is_xml(head: Head) -> bool:
    return head.kind == "xml" and not head.tags.isdisjoint({"quoalise", "sensml", "upstream-error"})


def _is_json(head: Head) -> bool:
    return head.kind == "json" and {"meta", "records"} <= head.members


ADAPTERS: Final = (
    Adapter(
        "quoalise-xml",
        "Quoalise (XML)",
        _is_xml,
        read_xml,
        write_xml,
        {"bytes": MAX_XML_BYTES, "records": MAX_RECORDS},
        (BAD_XML, CODE, UPSTREAM),
    ),
    Adapter(
        "quoalise-json",
        "Quoalise, its JSON twin",
        _is_json,
        read_json,
        write_json,
        {"bytes": MAX_BYTES, "records": MAX_RECORDS, "blocks": _BLOCKS_MAX},
        (CODE,),
    ),
)
"""What `node.adapters.registry` lists of this module."""
