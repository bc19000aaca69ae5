"""A time series of meter readings as compact columns, and its bytes in the vault.

How it works
    A `Series` holds four columns of equal length: when each period starts (UTC seconds), how long it lasts,
    a 64-bit whole number, and one byte that says whether the meter gave no value there (a gap). The value of
    a record is its whole number times ten to the series' exponent, so a decimal is kept exactly and no float
    ever stands between a file and a recipient. A gap is a record without a value: it is never a zero. Records
    that are absent are absent: nothing is filled in, and `jumps` lists the places.

    The vault's bytes are the deterministic CBOR (ledger.codec) of one list:
        [1, key, exponent, runs, width, values, gaps]
        key     [point, energy, direction, kind, granularity, unit, register, stage, fictitious]
        runs    flat [start, duration, count, ...]: records that follow one another with the same duration
        values  the whole numbers, little-endian with sign, `width` bytes each (the least of 1, 2, 4, 8)
        gaps    flat [index, count, ...] of records without a value (whose whole number is 0)
    The same series always gives the same bytes. A new layout gets a new first number.

What it does not do
    It reads no file and no clock, merges no two series, and judges no consent. Half-hours of a regular curve
    cost 2 bytes each in the vault; nothing is compressed.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from decimal import Decimal
from itertools import compress, islice, pairwise
from operator import add, ge, gt, ne
from typing import Final, TypeAlias

from ledger import codec
from ledger.errors import LocalError, RemoteError
from node.series_key import SeriesKey

MAX_RECORDS: Final = 2_000_000
"""Records in one series."""
MIN_TIME: Final = 1 << 28
"""Earliest start, UTC seconds (July 1978): below it SenML would read a time as relative to now."""
MAX_TIME: Final = 4_102_444_800
"""Latest end, UTC seconds (1 January 2100)."""
MAX_DURATION: Final = 366 * 86_400
"""Longest period of a record, in seconds."""
MIN_EXPONENT: Final = -18
"""Finest decimal: a 64-bit number has no more digits than this."""
MAX_ENCODED_BYTES: Final = 64 << 20
"""Largest encoded series that `decode` takes, in bytes."""
INDEX_DAY_SECONDS: Final = 90_000
"""Two reads of a daily index further apart than this (25 h, the longest day) lack a day between them."""

_VERSION: Final = 1
_MAX_DIGITS: Final = 28  # what Decimal computes with: beyond, it would round
_WIDTHS: Final = {1: "b", 2: "h", 4: "i", 8: "q"}

Value: TypeAlias = "int | Decimal | None"
"""A reading's value: whole numbers are int, others Decimal (exact, no trailing zero), a gap is None."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One record: `start` UTC seconds at the start of its period, `duration_s` (0: an instant), its value."""

    start: int
    duration_s: int
    value: Value


@dataclass(frozen=True, slots=True)
class Jump:
    """Records are absent before record `index`: nothing covers [missing_from, missing_until), UTC seconds.

    `apart_s`: from the end of the record before to the end of this one, as a file of end stamps shows it.
    """

    index: int
    missing_from: int
    missing_until: int
    apart_s: int


@dataclass(frozen=True, slots=True)
class Series:
    """The columns of one series, in order of time, without overlap. Treat them as read-only.

    `starts`: array "q", UTC seconds. `durations`: array "i", seconds, 0 for instants. `mantissas`: array "q";
    the value is mantissa x 10^exponent, -18 <= exponent <= 0. `gaps`: one byte a record, 1 where there is no
    value. The constructor checks nothing: use `from_readings` or `from_columns`, or call `fault` afterwards.
    """

    key: SeriesKey
    starts: array[int]
    durations: array[int]
    mantissas: array[int]
    gaps: bytes
    exponent: int = 0

    @classmethod
    def from_readings(cls, key: SeriesKey, readings: Iterable[Reading]) -> Series:
        """Build a series from records in order. Raises LocalError BAD_SERIES, naming the record."""
        rows = list(readings)
        columns = ([r.start for r in rows], [r.duration_s for r in rows], [r.value for r in rows])
        return cls.from_columns(key, *columns)

    @classmethod
    def from_columns(cls, key: SeriesKey, starts: list[int], durations: list[int], values: list[Value]) -> Series:
        """Build a series from three lists of equal length. Raises LocalError BAD_SERIES naming the record."""
        exponent = min((_exponent(v) for v in values if isinstance(v, Decimal)), default=0)
        if exponent < MIN_EXPONENT:
            raise LocalError("BAD_SERIES", f"A value has more than {-MIN_EXPONENT} decimals", field="value")
        try:
            mantissas = array("q", [_mantissa(v, exponent) for v in values])
            columns = (array("q", starts), array("i", durations), mantissas)
        except OverflowError:
            raise LocalError(
                "BAD_SERIES", "A number does not fit in 64 bits at the precision of its series", field="value"
            ) from None
        series = cls(key, *columns, bytes(v is None for v in values), exponent)
        fault = series.fault()
        if fault:
            raise LocalError("BAD_SERIES", fault[1], field=f"record {fault[0]}")
        return series

    def fault(self) -> tuple[int, str] | None:
        """Return (index, sentence) of the first thing that no series may be, or None."""
        n = len(self.starts)
        if not len(self.durations) == len(self.mantissas) == len(self.gaps) == n:
            return 0, "The columns have different lengths"
        if n > MAX_RECORDS:
            return MAX_RECORDS, f"A series has at most {MAX_RECORDS} records"
        if n == 0:
            return None
        inside = self.starts[0] >= MIN_TIME and self.stop <= MAX_TIME
        if inside and self.durations[0] <= MAX_DURATION and self._is_regular():
            return None
        if not 0 <= min(self.durations) <= max(self.durations) <= MAX_DURATION:
            index = next(i for i, d in enumerate(self.durations) if not 0 <= d <= MAX_DURATION)
            return index, f"A duration lies between 0 and {MAX_DURATION} seconds"
        if self.starts[0] < MIN_TIME or self.stop > MAX_TIME:
            index = 0 if self.starts[0] < MIN_TIME else n - 1
            return index, "A time lies outside July 1978 to 2099"
        for early in compress(range(1, n), map(gt, self._ends(), islice(self.starts, 1, None))):
            return early, "The record starts before the one before it has ended"
        if 0 in self.durations:  # instants do not push the next start forward by themselves
            for early in compress(range(1, n), map(ge, self.starts, islice(self.starts, 1, None))):
                return early, "The record does not come after the one before it"
        return None

    def __len__(self) -> int:
        """Return the number of records, gaps included."""
        return len(self.starts)

    def __iter__(self) -> Iterator[Reading]:
        """Yield the records in order."""
        return map(Reading, self.starts, self.durations, self.values())

    def values(self) -> list[Value]:
        """Return the values in order; a gap is None."""
        values: list[Value]
        if self.exponent:
            values = [_value(m, self.exponent) for m in self.mantissas]
        else:
            values = list(self.mantissas)
        for index in self.gap_indices():
            values[index] = None
        return values

    def gap_indices(self) -> list[int]:
        """Return the places of the records without a value."""
        return list(compress(range(len(self.gaps)), self.gaps)) if 1 in self.gaps else []

    @property
    def gap_count(self) -> int:
        """How many records have no value."""
        return self.gaps.count(1)

    @property
    def stop(self) -> int:
        """When the last period ends, UTC seconds; 0 for an empty series."""
        return self.starts[-1] + self.durations[-1] if self.starts else 0

    def window(self, start: int, stop: int) -> Series:
        """Return the records whose whole period lies in [start, stop), UTC seconds.

        A period that begins inside and ends after `stop` is left out: it would tell of a time not asked for.
        """
        first = bisect_left(self.starts, start)
        last = max(first, bisect_left(self.starts, stop))
        if last > first and self.starts[last - 1] + self.durations[last - 1] > stop:
            last -= 1
        return self._slice(first, last)

    def chunks(self, max_records: int) -> Iterator[Series]:
        """Yield the series in pieces of at most `max_records` records, in order."""
        if max_records < 1:
            raise LocalError("BAD_CHUNK", "A chunk holds at least one record", field="max_records")
        for first in range(0, len(self), max_records):
            yield self._slice(first, min(first + max_records, len(self)))

    def jumps(self) -> list[Jump]:
        """Return the places where records are absent.

        Between periods: wherever one does not start when the one before ends. Of instants, only a daily index
        has a rhythm to miss: two reads more than 25 h apart.
        """
        found: list[Jump] = []
        if not len(self) or self._is_regular():
            return found
        daily_index = self.key.kind == "index" and self.key.granularity == "P1D"
        for i in compress(range(1, len(self)), map(ne, self._ends(), islice(self.starts, 1, None))):
            end, start = self.starts[i - 1] + self.durations[i - 1], self.starts[i]
            if not self.key.is_instant or (daily_index and start - end > INDEX_DAY_SECONDS):
                found.append(Jump(i, end, start, start + self.durations[i] - end))
        return found

    def runs(self) -> list[tuple[int, int, int]]:
        """Return (start, duration_s, count) of each stretch of equally long records without a break."""
        n = len(self)
        if n and self._is_regular():
            return [(self.starts[0], self.durations[0], n)]
        breaks = set(compress(range(1, n), map(ne, self._ends(), islice(self.starts, 1, None))))
        breaks.update(compress(range(1, n), map(ne, self.durations, islice(self.durations, 1, None))))
        if 0 in self.durations:
            breaks.update(compress(range(1, n), map((0).__eq__, self.durations)))
        edges = [0, *sorted(breaks), n] if n else []
        return [(self.starts[a], self.durations[a], b - a) for a, b in pairwise(edges)]

    def _is_regular(self) -> bool:
        """Say whether every record lasts as long as the first and follows the one before; columns compared whole."""
        start, step, n = self.starts[0], self.durations[0], len(self)
        if step <= 0 or self.starts[-1] != start + step * (n - 1) or self.durations != array("i", [step]) * n:
            return False
        return self.starts == array("q", range(start, start + step * n, step))

    def _ends(self) -> Iterator[int]:
        return map(add, self.starts, self.durations)

    def _slice(self, first: int, last: int) -> Series:
        mantissas, exponent = self.mantissas[first:last], self.exponent
        if exponent:
            mantissas, exponent = _coarsest(mantissas, exponent)
        columns = (self.starts[first:last], self.durations[first:last], mantissas)
        return Series(self.key, *columns, self.gaps[first:last], exponent)


def encode(series: Series) -> bytes:
    """Return the series as the vault keeps it: the layout of this module's docstring."""
    mantissas, exponent = _coarsest(series.mantissas, series.exponent)
    low, high = min(mantissas, default=0), max(mantissas, default=0)
    width = next(w for w in _WIDTHS if -(1 << 8 * w - 1) <= low and high < 1 << 8 * w - 1)
    column = array(_WIDTHS[width], mantissas)
    if sys.byteorder == "big":
        column.byteswap()
    runs = [number for run in series.runs() for number in run]
    key = list(astuple(series.key))
    return codec.encode([_VERSION, key, exponent, runs, width, column.tobytes(), _flat_gaps(series)])


def decode(data: bytes) -> Series:
    """Read what `encode` wrote, and nothing else. Raises RemoteError BAD_SERIES, or the codec's codes."""
    match codec.decode(data, max_bytes=MAX_ENCODED_BYTES):
        case [int(version), *_] if version != _VERSION:
            raise _corrupt(f"Layout {version} is not known to this version; it writes {_VERSION}")
        case [_, list(key), int(exponent), list(runs), int(width), bytes(values), list(gaps)]:
            pass
        case _:
            raise _corrupt("The list does not have the seven parts of a series")
    if not MIN_EXPONENT <= exponent <= 0 or width not in _WIDTHS or len(values) % width:
        raise _corrupt("The exponent or the width of the values is not one that is written")
    column = array(_WIDTHS[width])
    column.frombytes(values)
    if sys.byteorder == "big":
        column.byteswap()
    starts, durations = _read_runs(_whole_numbers(runs), len(column))
    mask = _read_gaps(_whole_numbers(gaps), len(column))
    mantissas = column if width == 8 else array("q", column)
    if any(compress(mantissas, mask)):
        raise _corrupt("A gap carries a number")
    series = Series(_read_key(key), starts, durations, mantissas, mask, exponent)
    fault = series.fault()
    if fault:
        raise RemoteError("BAD_SERIES", fault[1], field=f"record {fault[0]}")
    if encode(series) != data:
        raise _corrupt("The same series has another, shorter form")
    return series


def _flat_gaps(series: Series) -> list[int]:
    flat: list[int] = []
    for index in series.gap_indices():
        if flat and flat[-2] + flat[-1] == index:
            flat[-1] += 1
        else:
            flat += (index, 1)
    return flat


def _read_key(fields: list[codec.Value]) -> SeriesKey:
    match fields:
        case [
            str(point),
            str(energy),
            str(direction),
            str(kind),
            str(granularity),
            str(unit),
            str(register),
            str(stage),
            bool(fictitious),
        ]:
            pass
        case _:
            raise _corrupt("The key does not have its nine fields")
    try:
        return SeriesKey(point, energy, direction, kind, granularity, unit, register, stage, fictitious)
    except LocalError as error:
        raise RemoteError(error.code, error.message, field=error.field) from error


def _whole_numbers(numbers: list[codec.Value]) -> list[int]:
    if not all(type(number) is int for number in numbers):
        raise _corrupt("A run or a gap is not a whole number")
    return [number for number in numbers if isinstance(number, int)]


def _read_runs(flat: list[int], n: int) -> tuple[array[int], array[int]]:
    if len(flat) % 3 or n > MAX_RECORDS or sum(flat[2::3]) != n or min(flat[2::3], default=1) < 1:
        raise _corrupt("The runs do not cover the values")
    starts, durations = array("q"), array("i")
    for start, duration, count in zip(flat[0::3], flat[1::3], flat[2::3], strict=True):
        inside = MIN_TIME <= start < MAX_TIME and 0 <= duration <= MAX_DURATION
        if not inside or (not duration and count > 1):
            raise _corrupt("A run lies outside the times that a series may have")
        starts.extend(range(start, start + duration * count, duration) if duration else (start,))
        durations.extend(array("i", [duration]) * count)
    return starts, durations


def _read_gaps(flat: list[int], n: int) -> bytes:
    mask = bytearray(n)
    end = 0
    if len(flat) % 2:
        raise _corrupt("The gaps do not come in pairs")
    for first, count in zip(flat[0::2], flat[1::2], strict=True):
        if first < end or count < 1 or first + count > n:
            raise _corrupt("A gap lies outside the values, or out of order")
        end = first + count
        mask[first:end] = b"\x01" * count
    return bytes(mask)


def _exponent(value: Decimal) -> int:
    """Return the exponent of a decimal without its trailing zeros; 0 for a whole number."""
    if not value.is_finite() or len(value.as_tuple().digits) > _MAX_DIGITS:
        raise LocalError("BAD_SERIES", "A value is not a number, or has too many digits", field="value")
    if not value:
        return 0
    if not MIN_EXPONENT <= value.adjusted() <= -MIN_EXPONENT:  # also what `normalize` could not hold
        raise LocalError("BAD_SERIES", "A value is too large for 64 bits, or too small", field="value")
    return min(0, int(value.normalize().as_tuple().exponent))


def _mantissa(value: Value, exponent: int) -> int:
    if not value:
        return 0
    if isinstance(value, Decimal):
        return int(value.scaleb(-exponent))
    return value * _scale(exponent)


def _value(mantissa: int, exponent: int) -> int | Decimal:
    whole, rest = divmod(mantissa, _scale(exponent))
    return Decimal(mantissa).scaleb(exponent).normalize() if rest else whole


def _scale(exponent: int) -> int:
    return int(10**-exponent)


def _coarsest(mantissas: array[int], exponent: int) -> tuple[array[int], int]:
    """Return the same values with the exponent nearest to zero that holds them: one form for one series."""
    while exponent < 0 and not any(m % 10 for m in mantissas):
        mantissas, exponent = array("q", [m // 10 for m in mantissas]), exponent + 1
    return mantissas, exponent


def _corrupt(message: str) -> RemoteError:
    what_to_do = "Restore the record from a backup or fetch it again"
    return RemoteError("BAD_SERIES", f"{message}. {what_to_do}.", field="series")
