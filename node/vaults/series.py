"""Readings of one's own meters and customers, in the vault's table `readings`.

| key | value |
|---|---|
| "n", blind(point), blind(series) | [1, key's nine fields, count, gaps, first start, last start, stop] |
| "c", blind(series), start of the first record (8) | a chunk of at most CHUNK_RECORDS records (node.readings.encode) |

How it works
    A chunk is sealed as one value: never one a reading. New records that come after everything held extend the
    last chunk; others are merged into the chunks they fall between. A record that is held already, with the same
    period and value, is skipped; one that contradicts what is held refuses the whole import, with its date.

What it does not do
    It fills nothing in, corrects nothing, and lets nothing out: `node.flows` asks the gate. The start of a chunk
    stands in clear in its key, under a blinded name.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from ledger import codec
from ledger.errors import LocalError
from ledger.rows import Reader, Writer, prefix_stop
from node.readings import Series, decode, encode
from node.series_key import SeriesKey
from node.vaults import Blind

TABLE: Final = "readings"
CHUNK_RECORDS: Final = 4_096
"""Records in one stored chunk, and so in one pack of a transfer."""
_NAME: Final = b"n"
_CHUNK: Final = b"c"
_TIME_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """What is known of one series without reading it. Times in UTC seconds; `stop`: end of the last period."""

    key: SeriesKey
    count: int
    gaps: int
    first: int
    last: int
    stop: int

    def encode(self) -> bytes:
        """Return the row."""
        return codec.encode([1, list(astuple(self.key)), self.count, self.gaps, self.first, self.last, self.stop])

    @classmethod
    def decode(cls, data: bytes) -> SeriesRow:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data)
        return cls(SeriesKey(*fields[1]), *fields[2:])


@dataclass(frozen=True, slots=True)
class Added:
    """What an import did with one series: records that were new, and records that were held already."""

    key: SeriesKey
    new: int
    same: int


class SeriesRows:
    """The rows of this module. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

    def name(self, key: SeriesKey) -> bytes:
        """Return what stands for a series in row keys: 16 bytes."""
        return self._blind(b"series" + codec.encode(list(astuple(key))))

    def _place(self, key: SeriesKey) -> bytes:
        return _NAME + self._blind(b"point" + key.point.encode()) + self.name(key)

    def row(self, vault: Reader, key: SeriesKey) -> SeriesRow | None:
        """Return what is known of a series, or None when none of it is held."""
        found = vault.get(TABLE, self._place(key))
        return SeriesRow.decode(found) if found is not None else None

    def listing(self, vault: Reader, point: str | None = None) -> list[SeriesRow]:
        """Return every series held, or those of one point, by name and granularity."""
        prefix = _NAME + (self._blind(b"point" + point.encode()) if point is not None else b"")
        found = [SeriesRow.decode(value) for _, value in vault.scan(TABLE, prefix, prefix_stop(prefix))]
        return sorted(found, key=lambda row: (row.key.name, row.key.granularity, row.key.unit, row.key.fictitious))

    # Reading

    def pieces(self, vault: Reader, key: SeriesKey) -> Iterator[Series]:
        """Yield the stored chunks of a series, in order."""
        prefix = _CHUNK + self.name(key)
        return (decode(value) for _, value in vault.scan(TABLE, prefix, prefix_stop(prefix)))

    def load(self, vault: Reader, key: SeriesKey) -> Series:
        """Return a whole series. Raises LocalError NO_SUCH_SERIES."""
        found = list(self.pieces(vault, key))
        if not found:
            raise LocalError("NO_SUCH_SERIES", "no readings of this series are held here", field="series")
        return _joined(found)

    def piece(self, vault: Reader, name: bytes, start: int, stop: int) -> Series | None:
        """Return the records of the first stored chunk that has any whole period in [start, stop), or None."""
        prefix = _CHUNK + name
        at = prefix + start.to_bytes(_TIME_BYTES, "big")
        end = prefix + stop.to_bytes(_TIME_BYTES, "big")
        before = next(vault.scan(TABLE, prefix, at + b"\x00", limit=1, reverse=True), None)
        if before is not None:
            found = decode(before[1]).window(start, stop)
            if len(found):
                return found
        for _, value in vault.scan(TABLE, at + b"\x00", end, limit=1):
            found = decode(value).window(start, stop)
            return found if len(found) else None
        return None

    # Writing

    def add(self, vault: Writer, series: Series) -> Added:
        """Keep a series' records. Raises LocalError READINGS_CONFLICT, with the date of the first one."""
        if not len(series):
            return Added(series.key, 0, 0)
        name, row = self.name(series.key), self.row(vault, series.key)
        if row is None or (series.starts[0] >= row.stop and series.starts[0] > row.last):
            self._append(vault, name, series)
            fresh, same = series, 0
        else:
            fresh, same = self._merge(vault, name, series)
        if len(fresh):
            count, gaps = len(fresh), fresh.gap_count
            first, last, stop = fresh.starts[0], fresh.starts[-1], fresh.stop
            if row is not None:
                count, gaps = count + row.count, gaps + row.gaps
                first, last, stop = min(first, row.first), max(last, row.last), max(stop, row.stop)
            vault.put(TABLE, self._place(series.key), SeriesRow(series.key, count, gaps, first, last, stop).encode())
        return Added(series.key, len(fresh), same)

    def _append(self, vault: Writer, name: bytes, series: Series) -> None:
        tail = vault.last(TABLE, _CHUNK + name)
        if tail is not None:
            held = decode(tail[1])
            if len(held) < CHUNK_RECORDS:
                vault.delete(TABLE, tail[0])
                series = _joined([held, series])
        self._write(vault, name, series)

    def _write(self, vault: Writer, name: bytes, series: Series) -> None:
        for chunk in series.chunks(CHUNK_RECORDS):
            vault.put(TABLE, _CHUNK + name + chunk.starts[0].to_bytes(_TIME_BYTES, "big"), encode(chunk))

    def _merge(self, vault: Writer, name: bytes, series: Series) -> tuple[Series, int]:
        """Merge records into the chunks they fall between; return those that were new, and how many were not."""
        prefix = _CHUNK + name
        at = prefix + series.starts[0].to_bytes(_TIME_BYTES, "big") + b"\x00"
        before = next(vault.scan(TABLE, prefix, at, limit=1, reverse=True), None)
        first = before[0] if before is not None else prefix
        # One more second: an instant may stand where the last new period ends.
        rows = list(vault.scan(TABLE, first, prefix + (series.stop + 1).to_bytes(_TIME_BYTES, "big")))
        held = {r.start: r for _, value in rows for r in decode(value)}
        fresh = []
        for reading in series:
            known = held.get(reading.start)
            if known is None:
                fresh.append(reading)
            elif known != reading:
                raise _conflict(reading.start, "another value or duration is held for it")
        same = len(series) - len(fresh)
        if not fresh:
            return Series.from_readings(series.key, ()), same
        merged = sorted([*held.values(), *fresh], key=lambda reading: reading.start)
        for one, other in pairwise(merged):
            if one.start + one.duration_s > other.start:
                start = one.start if one.start not in held else other.start
                raise _conflict(start, "it overlaps a period that is held")
        for key, _ in rows:
            vault.delete(TABLE, key)
        self._write(vault, name, Series.from_readings(series.key, merged))
        return Series.from_readings(series.key, fresh), same


def _conflict(start: int, why: str) -> LocalError:
    when = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = f"the record of {when} contradicts what is held: {why}. Nothing was imported; find out which one is right"
    return LocalError("READINGS_CONFLICT", told, field=when)


def _joined(pieces: Sequence[Series]) -> Series:
    """Return pieces that follow one another as one series."""
    key = pieces[0].key
    if len({piece.exponent for piece in pieces}) == 1:
        starts, durations, mantissas = array("q"), array("i"), array("q")
        for piece in pieces:
            starts.extend(piece.starts)
            durations.extend(piece.durations)
            mantissas.extend(piece.mantissas)
        return Series(key, starts, durations, mantissas, b"".join(p.gaps for p in pieces), pieces[0].exponent)
    return Series.from_columns(
        key,
        [start for piece in pieces for start in piece.starts],
        [duration for piece in pieces for duration in piece.durations],
        [value for piece in pieces for value in piece.values()],
    )
