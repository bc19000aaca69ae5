"""The records of a SenML pack (RFC 8428), once parsed from JSON or CBOR, as series; and their labels.

How it works
    A reader goes through the records in order and keeps the base fields in force. A record that says more
    than a time and a value is read by itself; a stretch of records that say no more is read as two columns at
    once. Each record lands in the series that its name, unit, granularity and fictitious mark make together.

What it does not do
    It parses no bytes: `node.adapters.senml` does, and explains the labels of ours.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from itertools import compress, repeat
from operator import is_, ne
from types import NoneType
from typing import Any, Final

from ledger.errors import LocalError, RemoteError
from node.readings import Series, Value
from node.series_key import SeriesKey, granularity_seconds, key_from_name

LABELS: Final = {
    **{"bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6},
    **{"n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6, "ut": 7, "vd": 8},
}
"""RFC 8428 §6, table 6: label in JSON -> label in CBOR."""
BVER, BN, BT, BU, BV, BS, N, U, V, VS, VB, S, T, UT, VD = LABELS.values()
INTERVAL, DURATION, FICTITIOUS = "bq:sampling-interval", "bq:duration", "bq:fictitious"
GAP: Final = "null"
_VERSION: Final = 10  # RFC 8428 §4.4
_TIME_LIMIT: Final = 1 << 40
_INT64: Final = 1 << 63
_PIECES: Final = 2  # fields of a record that says nothing but a time and a value
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow])
_QUANTITY: Final = {
    "load_curve": ("power", "mean"),
    "daily": ("energy", "sum"),
    "index": ("energy", "none"),
    "max_power": ("power", "max"),
}


def series_of(records: Any) -> list[Series]:
    """Return the series of parsed records whose labels are those of CBOR, in order of appearance.

    Raises RemoteError: BAD_SENML (its field names the record, from 1), BAD_SERIES_NAME, BAD_SERIES_KEY.
    """
    if not isinstance(records, list) or not records or set(map(type, records)) != {dict}:
        raise bad("pack", "A pack is a list of at least one record, each a map")
    reader = _Reader()
    others = list(compress(range(len(records)), map(ne, map(len, records), repeat(_PIECES))))
    at = 0
    for index in [*others, len(records)]:
        stretch = records[at:index]
        if stretch and not reader.many(at + 1, stretch):
            for number, record in enumerate(stretch, at + 1):
                reader.one(number, record)
        if index < len(records):
            reader.one(index + 1, records[index])
        at = index + 1
    return reader.series()


def description(key: SeriesKey) -> tuple[str, str, str]:
    """Return Quoalise's quantity, direction and aggregation of a series."""
    quantity, aggregation = _QUANTITY[key.kind]
    direction = "production" if key.direction == "injection" else key.direction
    return ("volume" if key.energy == "water" else quantity), direction, aggregation


@dataclass(slots=True)
class _Columns:
    """What has been read of one series."""

    key: SeriesKey
    record: int
    starts: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def series(self) -> Series:
        """Check the columns and make the series."""
        try:
            if set(map(type, self.values)) <= {int, NoneType}:
                gaps = bytes(map(is_, self.values, repeat(None)))
                numbers = array("q", self._filled(gaps))
                columns = (array("q", self.starts), array("i", self.durations), numbers)
                series = Series(self.key, *columns, gaps)
                fault = series.fault()
                if fault is None:
                    return series
                raise LocalError("BAD_SERIES", fault[1], field=f"record {fault[0]}")
            return Series.from_columns(self.key, self.starts, self.durations, list(map(_exact, self.values)))
        except OverflowError:
            raise bad(f"record {self.record}", "A number does not fit in 64 bits") from None
        except LocalError as error:
            where = f"series that opens with record {self.record}, {error.field}"
            raise bad(where, error.message) from error

    def _filled(self, gaps: bytes) -> list[int]:
        """Return the values, with 0 where there is none: the mask says so."""
        if 1 in gaps:
            for index in compress(range(len(gaps)), gaps):
                self.values[index] = 0
        return self.values


class _Reader:
    """The base fields in force while the records of a pack are read in order."""

    __slots__ = ("_base", "_columns", "_current", "_shift")

    def __init__(self) -> None:
        self._base: dict[int | str, Any] = {}
        self._columns: dict[SeriesKey, _Columns] = {}
        self._current: _Columns | None = None
        self._shift: int | Decimal = 0

    def series(self) -> list[Series]:
        """Return what was read."""
        return [columns.series() for columns in self._columns.values()]

    def one(self, number: int, record: dict[int | str, Any]) -> None:
        """Read record `number` (from 1), whatever its fields."""
        self._check_labels(number, record)
        base = {label: value for label, value in record.items() if _is_base(label)}
        if base or self._current is None or N in record or U in record:
            self._base |= base
            self._current = self._open(number, record)
            self._shift = _number(number, self._base.get(BV, 0))
        if V in record:
            value: Any = _number(number, record[V])
            if self._shift:
                value = _sum(number, self._shift, value)
        elif record.get(VS) == GAP:
            value = None
        else:
            raise bad(f"record {number}", f'A reading has a number "v", or "vs": "{GAP}" for a gap')
        self._append([_seconds(number, record.get(T, 0))], [value], self._duration(number))
        if N in record or U in record:
            self._current = None  # they held for this record only

    def many(self, number: int, records: list[dict[int | str, Any]]) -> bool:
        """Read records that are only a time and a value, `number` being the first; False if some are more."""
        if self._current is None or self._shift:
            return False
        times = list(map(dict.get, records, repeat(T)))
        values = list(map(dict.get, records, repeat(V)))
        if set(map(type, times)) != {int} or not set(map(type, values)) <= {int, float, Decimal, type(None)}:
            return False
        if None in values:
            empty = compress(records, map(is_, values, repeat(None)))
            if not all(record.get(VS) == GAP for record in empty):
                return False
        self._append(times, values, self._duration(number))
        return True

    def _append(self, times: list[Any], values: list[Any], duration: int) -> None:
        columns = self._current
        if columns is None:
            raise LocalError("NO_SERIES", "No record has opened a series")
        start = _seconds(columns.record, self._base.get(BT, 0))
        columns.starts += map(start.__add__, times)
        columns.durations += repeat(duration, len(times))
        columns.values += values

    def _duration(self, number: int) -> int:
        """Return the seconds of a period: as the pack says, else as its granularity says."""
        if DURATION in self._base:
            return _seconds(number, self._base[DURATION])
        key = self._current.key if self._current else None
        return 0 if key is None or key.is_instant else granularity_seconds(key.granularity) or 0

    def _open(self, number: int, record: dict[int | str, Any]) -> _Columns:
        base = self._base
        name, unit = base.get(BN, ""), record.get(U, base.get(BU))
        name = name + record.get(N, "") if isinstance(name, str) and isinstance(record.get(N, ""), str) else None
        interval, fictitious = base.get(INTERVAL), base.get(FICTITIOUS, False)
        if not isinstance(name, str) or not isinstance(unit, str) or not isinstance(fictitious, bool):
            raise bad(f"record {number}", "A name and a unit are text, bq:fictitious is true or false")
        if not isinstance(interval, str):
            raise bad(f"record {number}", f'The record that opens a series says its "{INTERVAL}", such as "PT30M"')
        key = key_from_name(name, granularity=interval, unit=unit, fictitious=fictitious)
        for label, truth in zip(("quantity", "direction", "aggregation"), description(key), strict=True):
            if base.get(f"bq:{label}", truth) != truth:
                raise bad(f"record {number}", f'"bq:{label}" contradicts the name of the series')
        return self._columns.setdefault(key, _Columns(key, number))

    @staticmethod
    def _check_labels(number: int, record: dict[int | str, Any]) -> None:
        """Refuse what must be understood, or would change the meaning, and is not."""
        for label, value in record.items():
            if label in {BS, S, VB, VD}:
                raise bad(f"record {number}", "Sums, booleans and data are not readings of a meter")
            if label == BVER and (type(value) is not int or value > _VERSION):
                raise bad(f"record {number}", f"This version of SenML is not known; {_VERSION} is")
            if isinstance(label, str) and label.endswith("_"):
                raise bad(f"record {number}", "A label that must be understood (it ends in _) is not known here")
        if V in record and VS in record:
            raise bad(f"record {number}", "A record has one value")


def _is_base(label: int | str) -> bool:
    return label in {BN, BT, BU, BV} or (isinstance(label, str) and label.startswith("b"))


def _number(number: int, value: Any) -> int | Decimal:
    if type(value) not in {int, float, Decimal}:
        raise bad(f"record {number}", "A value is a number")
    exact = _exact(value)
    if isinstance(exact, Decimal) and not exact.is_finite():
        raise bad(f"record {number}", "A value is a finite number")
    if isinstance(exact, int) and not -_INT64 <= exact < _INT64:
        raise bad(f"record {number}", "A value does not fit in 64 bits")
    return exact if exact is not None else 0


def _sum(number: int, base: int | Decimal, value: int | Decimal) -> int | Decimal:
    try:
        return _EXACT.add(Decimal(base), Decimal(value))
    except DecimalException:
        raise bad(f"record {number}", "The sum of the base value and the value has too many digits") from None


def _seconds(number: int, value: Any) -> int:
    """Return a time or a duration as whole seconds."""
    match value:
        case bool():
            pass
        case int() if abs(value) < _TIME_LIMIT:
            return value
        case float() if abs(value) < _TIME_LIMIT and value.is_integer():
            return int(value)
        case Decimal() if value.is_finite() and value.adjusted() < 12 and value == value.to_integral_value():
            return int(value)
    raise bad(f"record {number}", "A time is a number of whole seconds")


def _exact(value: int | float | Decimal | None) -> Value:
    return Decimal(repr(value)) if isinstance(value, float) else value


def bad(where: str, message: str) -> RemoteError:
    """Return the error for a pack, or a record of it."""
    return RemoteError("BAD_SENML", f"{message}. Nothing was read.", field=where)
