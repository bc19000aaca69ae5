"""Read the columns of an Automerge change: run-length, delta and boolean codings, each with a bound.

How it works
    A column is a byte string that holds one value a row. The caller says how many rows there are, and a column that
    would hold more is refused before it is expanded: a few bytes can claim 2^60 rows. Each list of values has one
    coding here, the one that Automerge writes; any other is refused, so that a change has one form.

What it does not do
    It knows nothing of changes or operations (`change`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.errors import RemoteError

NUMBER_MAX: Final = 2**32 - 1  # Automerge counts operations in 32 bits
_LEB_BYTES_MAX: Final = 5

Item = Callable[[bytes, int], tuple[int, int]]
"""Reads one value of a column: (data, offset) -> (value, offset behind it)."""


def malformed(what: str) -> RemoteError:
    """Return the error of bytes that are no change."""
    return RemoteError("CHANGE_MALFORMED", f"the change cannot be read: {what}", field="change")


def unsigned(data: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned LEB128 number in its shortest form, at most NUMBER_MAX."""
    value, shift = 0, 0
    for place in range(at, min(at + _LEB_BYTES_MAX, len(data))):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if (byte == 0 and shift) or value > NUMBER_MAX:
                break
            return value, place + 1
        shift += 7
    raise malformed("a number is cut short, too large, or not in its shortest form")


def signed(data: bytes, at: int) -> tuple[int, int]:
    """Read a signed LEB128 number in its shortest form, within 34 bits."""
    value, shift, before = 0, 0, 0
    for place in range(at, min(at + _LEB_BYTES_MAX, len(data))):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            padding = (byte == 0x00 and not before & 0x40) or (byte == 0x7F and before & 0x40)
            if place > at and padding:
                break
            return (value - (1 << shift) if byte & 0x40 else value), place + 1
        before = byte
    raise malformed("a number is cut short, too large, or not in its shortest form")


def runs(data: bytes, rows_max: int, item: Item = unsigned) -> list[int | None]:
    """Expand a run-length column of at most `rows_max` values; None stands for null."""
    values: list[int | None] = []
    at, literal, nulls = 0, False, False  # what the last run was
    while at < len(data):
        count, at = signed(data, at)
        if count == 0:
            count, at = unsigned(data, at)
            _fits(not nulls and count > 0, values, count, rows_max)
            values += [None] * count
            literal, nulls = False, True
        elif count > 0:
            value, at = item(data, at)
            _fits(count > 1 and (not values or values[-1] != value), values, count, rows_max)
            values += [value] * count
            literal, nulls = False, False
        else:
            _fits(not literal, values, -count, rows_max)
            for _ in range(-count):
                value, at = item(data, at)
                if values and values[-1] == value:
                    raise malformed("equal values are not in one run")
                values.append(value)
            literal, nulls = True, False
    if set(values) == {None}:
        raise malformed("a column of nulls is left out")
    return values


def _fits(canonical: bool, values: list[int | None], count: int, rows_max: int) -> None:
    if not canonical:
        raise malformed("a run is not coded as Automerge codes it")
    if len(values) + count > rows_max:
        raise RemoteError("CHANGE_TOO_MANY_OPS", f"a column claims more than {rows_max} rows", field="change")


def deltas(data: bytes, rows_max: int) -> list[int | None]:
    """Expand a column of differences to the values they add up to, each from 0 to NUMBER_MAX."""
    total, values = 0, runs(data, rows_max, signed)
    for place, step in enumerate(values):
        if step is not None:
            total += step
            if not 0 <= total <= NUMBER_MAX:
                raise malformed("a number is negative or too large")
            values[place] = total
    return values


def flags(data: bytes, rows: int) -> bytes:
    """Expand a boolean column to `rows` bytes, 0 or 1."""
    found, value, at = bytearray(), 0, 0
    while at < len(data):
        count, at = unsigned(data, at)
        if (count == 0 and found) or len(found) + count > rows or (count == 0 and value):
            raise malformed("a boolean column is not coded as Automerge codes it")
        found += bytes((value,)) * count
        value ^= 1
    if len(found) != rows:
        raise malformed("a boolean column has another number of rows")
    return bytes(found)
