"""Series as lines of Warp 10's input format (GTS), both ways.

How it works
    A line is a moment in microseconds, a place (never given here), a class, labels, a value:

        1600000000000000// consumption%2Fpower%2Factive%2Fraw{duration_s=1800,fictitious=false,...,unit=W} 1061

    The class is the name of the series without its point, percent-encoded. Labels: `point`, `unit`, `granularity`,
    `duration_s` (of the period that begins at the moment; 0: an instant), `fictitious`. A line that begins with "="
    has the class and labels of the line before. A series of Warp 10 has one type, so a gap cannot stand among
    numbers: it is a line of the class with ".gap" behind, whose value is T. Decimals make the whole series doubles.

What it does not do
    Places that are given are left out, and said. Strings, and classes that name no series of a meter, are refused. It
    opens no connection; `node.adapters.warp10_token` says what a token of Warp 10 for our consents looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import quote, unquote

from ledger.errors import MailleError, RemoteError
from node.adapters.adapter import Adapter, Found, Head, LeftOut, Source, refused
from node.adapters.numbers import exact_number
from node.adapters.rows import Table
from node.readings import MAX_RECORDS, MAX_TIME, Series, Value
from node.series_key import SeriesKey, key_from_name

MAX_BYTES: Final = 64 << 20
"""Largest file, in bytes."""
MAX_LINE_CHARS: Final = 2_048
"""Characters in one line."""
MICROSECONDS: Final = 1_000_000
"""Units of Warp 10's clock in a second, as it is set unless somebody changed it."""
CODE: Final = "BAD_WARP10"
GAP: Final = ".gap"
LABELS: Final = ("duration_s", "fictitious", "granularity", "point", "unit")
"""The labels of a line, as they are sorted."""

_LINE: Final = re.compile(
    r"(=?)(-?[0-9]{1,19})?/([^/ ]*)/([^/ ]*) (?:([^{} ]{1,400})\{([^{}]{0,1000})\} )?(\S{1,64})", re.ASCII
)
_SERIES_MAX: Final = 4_096


def write(series: Sequence[Series]) -> bytes:
    """Return series as lines, one after another."""
    found: list[str] = []
    for one in series:
        key = one.key
        gtc = quote(key.name.removeprefix(f"urn:dev:{key.point}_"), safe="")
        fictitious = "true" if key.fictitious else "false"
        for reading in one:
            values = (str(reading.duration_s), fictitious, key.granularity, quote(key.point, safe=""), key.unit)
            labels = ",".join(f"{name}={value}" for name, value in zip(LABELS, values, strict=True))
            text, suffix = _text(reading.value, decimal=bool(one.exponent))
            found.append(f"{reading.start * MICROSECONDS}// {gtc}{suffix}{{{labels}}} {text}\n")
    return "".join(found).encode()


def _text(value: Value, *, decimal: bool) -> tuple[str, str]:
    """Return a value as text, and what stands behind the class."""
    if value is None:
        return "T", GAP
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    return (f"{text}.0" if decimal and "." not in text else text), ""


def read(data: bytes, source: Source) -> Iterator[Found]:
    """Yield the series of a file. Raises RemoteError BAD_WARP10, naming the line."""
    if len(data) > MAX_BYTES:
        raise refused(CODE, source, "file", f"The file has more than {MAX_BYTES} bytes")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise refused(CODE, source, "file", "Lines of Warp 10 are percent-encoded ASCII") from None
    table = Table(lambda place, what, message: _bad(source, place, what, message))
    keys: set[SeriesKey] = set()
    gts: tuple[SeriesKey, int, bool] | None = None
    places = 0
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip("\r\t ")
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped) if len(stripped) <= MAX_LINE_CHARS else None
        if match is None:
            raise _bad(source, number, "line", "A line is MOMENT/LAT:LON/ELEV class{labels} value")
        again, moment, place, elevation, gtc, labels, value = match.groups()
        if gtc is not None:
            gts = _gts(source, number, gtc, labels)
        if gts is None or bool(again) == (gtc is not None):
            raise _bad(
                source, number, "class", "A line names its class and labels, or begins with = after one that did"
            )
        places += bool(place or elevation)
        key, duration, is_gap = gts
        keys.add(key)
        if len(keys) > _SERIES_MAX:
            raise _bad(source, number, "labels", f"The file has more than {_SERIES_MAX} series")
        table.add(key, number, _start(source, number, moment), duration, _value(source, number, value, is_gap))
    yield from table.found()
    if places:
        yield LeftOut("places of measurement", places)


def _gts(source: Source, number: int, gtc: str, labels: str) -> tuple[SeriesKey, int, bool]:
    """Return the series, the duration of its records in seconds, and whether they are gaps."""
    pairs = [pair.split("=", 1) for pair in labels.split(",")]
    if any(len(pair) != 2 for pair in pairs) or sorted(pair[0] for pair in pairs) != list(LABELS):
        raise _bad(source, number, "labels", f"The labels {', '.join(LABELS)} were expected, each once")
    label = {name: unquote(value) for name, value in pairs}
    duration = label["duration_s"]
    if label["fictitious"] not in {"true", "false"} or not re.fullmatch(r"[0-9]{1,9}", duration, re.ASCII):
        raise _bad(source, number, "labels", "fictitious is true or false, duration_s a number of seconds")
    name = f"urn:dev:{label['point']}_{unquote(gtc.removesuffix(GAP))}"
    try:
        key = key_from_name(
            name, granularity=label["granularity"], unit=label["unit"], fictitious=label["fictitious"] == "true"
        )
    except MailleError as error:
        raise _bad(source, number, "class and labels", error.message) from None
    return key, int(duration), gtc.endswith(GAP)


def _start(source: Source, number: int, moment: str | None) -> int:
    whole, rest = divmod(int(moment or "0"), MICROSECONDS)
    if moment is None or rest or not 0 <= whole < MAX_TIME:
        raise _bad(source, number, "moment", "A moment is a number of microseconds that makes whole seconds")
    return whole


def _value(source: Source, number: int, text: str, is_gap: bool) -> Value:
    if is_gap:
        if text != "T":
            raise _bad(source, number, "value", "A gap has the value T")
        return None
    value = exact_number(text)
    if value is None:
        raise _bad(source, number, "value", "A value is a number")
    return value


def _bad(source: Source, number: int, what: str, message: str) -> RemoteError:
    return refused(CODE, source, f"line {number}, {what}", message)


def _is_ours(head: Head) -> bool:
    first = next((line for line in head.text.splitlines() if line and not line.startswith("#")), "")
    return head.kind == "text" and re.match(r"-?[0-9]*/[^/ ]*/[^/ ]* [^{} ]+\{", first) is not None


ADAPTERS: Final = (
    Adapter(
        "warp10",
        "Warp 10 input format (GTS)",
        _is_ours,
        read,
        write,
        {"bytes": MAX_BYTES, "records": MAX_RECORDS, "series": _SERIES_MAX},
        (CODE,),
    ),
)
"""What `node.adapters.registry` lists of this module."""
