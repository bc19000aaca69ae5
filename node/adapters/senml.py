"""SenML packs (RFC 8428), JSON and CBOR, both ways, with the metadata of Quoalise.

How it works
    A pack is a list of records. Each series opens with a record that carries its base fields: `bn` (the
    series' Quoalise name), `bt` (UTC seconds of its first start), `bu` (unit), and these labels of our own,
    which begin with "b" because, like all base fields, they hold until they are said again (RFC 8428 §12.2):
        bq:sampling-interval  granularity, "PT30M"       bq:duration     seconds of a record's period; 0:
        instant
        bq:quantity           power | energy | volume    bq:aggregation  mean | sum | max | none
        bq:direction          as in the name             bq:fictitious   true: made up, of no real meter
    Every other record is `t` and a value; where the step changes, `bq:duration` is said again. Times are
    those of the *start* of the period. Readers that do not know these labels skip them, as the RFC wants.
    A gap is `"vs": "null"`, as Quoalise writes `v="null"`. SenML has no null. `vb: false` reads as 0 in many
    languages; a label that ends in "_" would oblige a reader to refuse the whole pack over one missing
    half-hour. A text in a series of numbers is valid SenML, and no reader can take it for a zero.
    Whole numbers stay whole numbers. Other decimals are doubles in CBOR while 15 digits hold them, which a
    double gives back exactly, else decimal fractions (tag 4, RFC 8428 §6). In JSON the digits stand as they
    are. Records are written as joined pieces of bytes, each made once and remembered, and read as columns.

What it does not do
    It reads no sums (`s`, `bs`), no data or boolean values, and no name that is not a meter's series: it
    refuses them. It does not sign, and does not chunk (`Series.chunks`). Of our own labels, `bq:quantity`,
    `bq:direction` and `bq:aggregation` are for other readers: read here, they must agree with the name.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, DecimalException
from itertools import pairwise, repeat
from operator import add, sub
from typing import Any, Final, NoReturn

import cbor2

from ledger.errors import LocalError
from node.adapters.adapter import Adapter, Found, Head, Parsed, Source
from node.adapters.senml_records import (
    BN,
    BT,
    BU,
    DURATION,
    FICTITIOUS,
    GAP,
    INTERVAL,
    LABELS,
    VS,
    T,
    V,
    bad,
    description,
    series_of,
)
from node.readings import MAX_RECORDS, Series

MAX_CBOR_BYTES: Final = 1 << 20
"""Largest CBOR pack, in bytes: what one message of a transfer may carry."""
MAX_JSON_BYTES: Final = 64 << 20
"""Largest JSON pack, in bytes: a whole file."""

_SAFE_DIGITS: Final = 15  # decimal digits that a double always gives back
_REMEMBERED: Final = 65_536  # pieces kept in each table


def digest(pack: bytes) -> bytes:
    """Return the SHA-256 of a pack, taken as the bytes it is: what a receipt is about."""
    return hashlib.sha256(pack).digest()


def encode_cbor(series: Series) -> bytes:
    """Return one series as a CBOR pack. Raises LocalError EMPTY_PACK: a pack has at least one record."""
    pieces = _pieces(series, _CBOR_TIMES, _cbor_values(series.exponent), _CBOR_GAP)
    for index, duration in _new_durations(series):
        pieces[2 * index] = b"\xa3" + _CBOR_DURATION + cbor2.dumps(duration) + pieces[2 * index][1:]
    opening = b"".join(cbor2.dumps(part) for pair in _opening(series).items() for part in pair)
    pieces[0] = bytes([0xA0 + len(_opening(series)) + 2]) + opening + pieces[0][1:]
    head = cbor2.dumps(len(series))
    return bytes([0x80 | head[0]]) + head[1:] + b"".join(pieces)  # major type 4 in place of 0: an array


def encode_json(series: Iterable[Series]) -> bytes:
    """Return series, one after another, as one JSON pack, a record a line. Raises LocalError EMPTY_PACK."""
    lines: list[bytes] = []
    for one in series:
        pieces = _pieces(one, _JSON_TIMES, _json_values(one.exponent), _JSON_GAP)
        for index, duration in _new_durations(one):
            pieces[2 * index] = b'{"%s":%d,' % (DURATION.encode(), duration) + pieces[2 * index][1:]
        names = {number: label for label, number in LABELS.items()}
        opening = {names[k] if isinstance(k, int) else k: v for k, v in _opening(one).items()}
        pieces[0] = json.dumps(opening, separators=(",", ":")).encode()[:-1] + b"," + pieces[0][1:]
        lines += map(add, pieces[0::2], pieces[1::2])
    if not lines:
        raise _empty()
    return b"[\n" + b",\n".join(lines) + b"\n]\n"


def decode_cbor(pack: bytes) -> list[Series]:
    """Read a CBOR pack: its series, in order of appearance.

    Raises RemoteError: BAD_SENML (its field names the record, from 1), BAD_SERIES_NAME, BAD_SERIES_KEY.
    """
    if len(pack) > MAX_CBOR_BYTES:
        raise bad("pack", f"A CBOR pack has at most {MAX_CBOR_BYTES} bytes; send it in pieces")
    stream = io.BytesIO(pack)
    try:
        records = cbor2.load(stream, max_depth=8, allow_duplicate_keys=False, semantic_decoders=_ONLY_NUMBERS)
    except (cbor2.CBORError, ValueError, OverflowError, MemoryError, DecimalException):
        raise bad("pack", "The pack is not CBOR with unique labels and numbers as its only tags") from None
    if stream.tell() != len(pack):
        raise bad("pack", "Bytes follow the pack")
    return series_of(records)


def decode_json(data: bytes) -> list[Series]:
    """Read a JSON pack: its series, in order of appearance. Raises as `decode_cbor` does."""
    if len(data) > MAX_JSON_BYTES:
        raise bad("pack", f"A JSON pack has at most {MAX_JSON_BYTES} bytes")
    if data.count(b"{") > MAX_RECORDS:  # before any record is built
        raise bad("pack", f"A pack has at most {MAX_RECORDS} records")
    try:
        records = json.loads(
            data.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_relabel
        )
    except (ValueError, RecursionError, DecimalException):
        raise bad("pack", "The pack is not JSON in UTF-8 with unique labels and finite numbers") from None
    return series_of(records)


class _Remembered(dict[int, bytes]):
    """Number -> its piece of a pack; a full table starts again."""

    def __init__(self, make: Callable[[int], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: int) -> bytes:
        if len(self) >= _REMEMBERED:
            self.clear()
        piece = self[number] = self._make(number)
        return piece


class _OnlyNumbers(dict[int, Callable[..., NoReturn]]):
    """What cbor2 asks for every tag: big numbers and decimal fractions are its own affair, the rest is refused."""

    def __missing__(self, tag: int) -> Callable[..., NoReturn]:
        if tag in {2, 3, 4}:
            raise KeyError(tag)
        return _refuse


def _refuse(*_: object) -> NoReturn:
    raise ValueError


def _relabel(pairs: list[tuple[str, Any]]) -> dict[int | str, Any]:
    record: dict[int | str, Any] = {LABELS.get(label, label): value for label, value in pairs}
    if len(record) != len(pairs):
        raise ValueError
    return record


def _cbor_values(exponent: int) -> _Remembered:
    if exponent == 0:
        return _CBOR_WHOLE

    def make(mantissa: int) -> bytes:
        whole, rest = divmod(mantissa, int(10**-exponent))
        if not rest:
            return _CBOR_V + cbor2.dumps(whole)
        value = Decimal(mantissa).scaleb(exponent).normalize()
        return _CBOR_V + cbor2.dumps(float(value) if len(value.as_tuple().digits) <= _SAFE_DIGITS else value)

    return _Remembered(make)


def _json_values(exponent: int) -> _Remembered:
    def make(mantissa: int) -> bytes:
        value = Decimal(mantissa).scaleb(exponent).normalize()
        return b'"v":%s}' % format(value, "f").encode()

    return _Remembered(make) if exponent else _JSON_WHOLE


_ONLY_NUMBERS: Final = _OnlyNumbers()
_CBOR_V: Final = cbor2.dumps(V)
_CBOR_GAP: Final = cbor2.dumps(VS) + cbor2.dumps(GAP)
_CBOR_DURATION: Final = cbor2.dumps(DURATION)
_CBOR_TIMES: Final = _Remembered(lambda t: b"\xa2" + cbor2.dumps(T) + cbor2.dumps(t))
_CBOR_WHOLE: Final = _Remembered(lambda v: _CBOR_V + cbor2.dumps(v))
_JSON_GAP: Final = b'"vs":"%s"}' % GAP.encode()
_JSON_TIMES: Final = _Remembered(lambda t: b'{"t":%d,' % t)
_JSON_WHOLE: Final = _Remembered(lambda v: b'"v":%d}' % v)


def _pieces(series: Series, times: _Remembered, values: _Remembered, gap: bytes) -> list[bytes]:
    """Return two pieces a record: the map's head with its time, and its value."""
    if not len(series):
        raise _empty()
    pieces = [b""] * (2 * len(series))
    pieces[0::2] = map(times.__getitem__, map(sub, series.starts, repeat(series.starts[0])))
    pieces[1::2] = map(values.__getitem__, series.mantissas)
    for index in series.gap_indices():
        pieces[2 * index + 1] = gap
    return pieces


def _new_durations(series: Series) -> list[tuple[int, int]]:
    """Return (index, seconds) of each record, but the first, whose duration is not that of the one before."""
    if series.durations.count(series.durations[0]) == len(series):
        return []
    pairs = enumerate(pairwise(series.durations), 1)
    return [(index, duration) for index, (before, duration) in pairs if duration != before]


def _opening(series: Series) -> dict[int | str, Any]:
    """Return the base fields of the record that opens a series."""
    key = series.key
    quantity, direction, aggregation = description(key)
    return {
        BN: key.name,
        BT: series.starts[0],
        BU: key.unit,
        "bq:quantity": quantity,
        "bq:direction": direction,
        "bq:aggregation": aggregation,
        INTERVAL: key.granularity,
        FICTITIOUS: key.fictitious,
        DURATION: series.durations[0],
    }


def _empty() -> LocalError:
    return LocalError("EMPTY_PACK", "A pack has at least one record; there is nothing to send")


def _is_json(head: Head) -> bool:
    return head.kind == "json" and head.text.startswith("[") and not head.members.isdisjoint({"bn", "n"})


def _is_cbor(head: Head) -> bool:
    return head.kind == "binary" and 0x80 <= head.data[0] <= 0x9F  # an array


def _read_json(data: bytes, _: Source) -> Iterator[Found]:
    return map(Parsed, decode_json(data))


def _read_cbor(data: bytes, _: Source) -> Iterator[Found]:
    return map(Parsed, decode_cbor(data))


_CODES: Final = ("BAD_SENML", "BAD_SERIES_NAME", "BAD_SERIES_KEY")
ADAPTERS: Final = (
    Adapter(
        "senml",
        "SenML in JSON (RFC 8428)",
        _is_json,
        _read_json,
        encode_json,
        {"bytes": MAX_JSON_BYTES, "records": MAX_RECORDS},
        _CODES,
    ),
    Adapter("senml-cbor", "SenML in CBOR (RFC 8428)", _is_cbor, _read_cbor, None, {"bytes": MAX_CBOR_BYTES}, _CODES),
)
"""What `node.adapters.registry` lists of this module."""
