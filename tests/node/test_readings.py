"""Series: what is put in comes out, in columns, in bytes, in windows and in pieces."""

from __future__ import annotations

from array import array
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.errors import LocalError, RemoteError
from node import readings
from node.readings import Jump, Reading, Series, Value
from tests.node.series import CURVE, INDEX, series

T0 = 1_600_000_000


def curve(*rows: tuple[int, int, Value]) -> Series:
    return Series.from_readings(CURVE, [Reading(T0 + start, duration, value) for start, duration, value in rows])


@pytest.mark.covers("R160")
def test_values_keep_their_kind_and_a_gap_is_not_a_zero() -> None:
    one = curve((0, 600, 0), (600, 600, None), (1200, 600, Decimal("0.10")), (1800, 600, Decimal("2.0")))
    assert [reading.value for reading in one] == [0, None, Decimal("0.1"), 2]
    assert [type(value) for value in one.values()] == [int, type(None), Decimal, int]
    assert (one.gap_count, one.gap_indices(), one.exponent) == (1, [1], -1)


@given(series())
def test_bytes_give_the_series_back_and_are_the_same_for_the_same_series(one: Series) -> None:
    data = readings.encode(one)
    again = readings.decode(data)
    assert again == one
    assert list(again) == list(one)
    assert readings.encode(Series.from_readings(one.key, list(one))) == data


@given(series(), st.data())
def test_one_changed_byte_is_refused_or_is_another_series(one: Series, data: st.DataObject) -> None:
    encoded = bytearray(readings.encode(one))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        other = readings.decode(bytes(encoded))
    except RemoteError:
        return
    assert other != one
    assert readings.encode(other) == encoded


@given(st.binary(max_size=200))
def test_any_bytes_are_a_series_or_a_remote_error(data: bytes) -> None:
    with pytest.raises(RemoteError):
        readings.decode(data)


def parts() -> list[codec.Value]:
    """The seven parts of a well-formed series of two records, the second a gap."""
    value = codec.decode(readings.encode(curve((0, 600, 300), (600, 600, None))))
    assert isinstance(value, list)
    return value


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 2),
        (1, ["prm:12345678901234"]),
        (1, ["prm:1", "electricity", "consumption", "load_curve", "PT10M", "W", "", "raw", False]),
        (2, 1),
        (2, -19),
        (2, -1),  # 300 is written as 30 then
        (3, [T0, 600]),
        (3, [T0, 600, 3]),
        (3, [T0, 600, 2**62]),
        (3, [T0, 0, 2]),
        (3, [T0, 600, 1, T0, 600, 1]),
        (3, [T0, 600, 1, T0 + 600, 600, 1]),  # one run in two
        (3, [0, 600, 2]),
        (3, [T0, True, 2]),
        (4, 3),
        (4, 4),  # not the least width, and half the values
        (5, b"\x2c\x01\x01\x00"),  # a gap that carries a number
        (5, b"\x2c"),
        (6, [1]),
        (6, [2, 1]),
        (6, [1, 0]),
        (6, [0, 1, 0, 1]),
    ],
)
def test_a_series_that_is_not_in_its_one_form_is_refused(at: int, value: codec.Value) -> None:
    corrupt = parts()
    assert readings.decode(codec.encode(corrupt)).values() == [300, None]
    corrupt[at] = value
    with pytest.raises(RemoteError) as error:
        readings.decode(codec.encode(corrupt))
    assert error.value.code in {"BAD_SERIES", "BAD_SERIES_KEY"}


def test_a_regular_curve_costs_two_bytes_a_record() -> None:
    one = curve(*((i * 600, 600, 9000 + i) for i in range(1000)))
    assert len(readings.encode(one)) < 2 * 1000 + 120


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 600, 1), (599, 600, 1)], "before the one before it has ended"),
        ([(0, 600, 1), (0, 0, 1)], "before the one before it has ended"),
        ([(-T0, 600, 1)], "outside July 1978"),
        ([(2**40, 600, 1)], "outside July 1978"),
        ([(0, -1, 1)], "A duration lies between"),
        ([(0, 600, 2**63)], "64 bits"),
        ([(0, 600, 2**62), (600, 600, Decimal("0.1"))], "64 bits"),
        ([(0, 600, Decimal("1.1E-18"))], "decimals"),
        ([(0, 600, Decimal("1E-19"))], "too small"),
        ([(0, 600, Decimal("1E-1000000"))], "too small"),
        ([(0, 600, Decimal("1E+1000000"))], "64 bits"),
        ([(0, 600, Decimal("1.000000000000000000000000000001"))], "too many digits"),
        ([(0, 600, Decimal("NaN"))], "not a number"),
    ],
)
def test_what_no_series_may_be_is_refused(rows: list[tuple[int, int, Value]], words: str) -> None:
    with pytest.raises(LocalError, match=words) as error:
        curve(*rows)
    assert error.value.code == "BAD_SERIES"


def test_instants_must_ascend() -> None:
    with pytest.raises(LocalError, match="does not come after"):
        Series.from_readings(INDEX, [Reading(T0, 0, 1), Reading(T0, 0, 2)])


def test_columns_of_different_lengths_are_a_fault() -> None:
    one = Series(CURVE, array("q", [T0]), array("i"), array("q", [1]), b"\0")
    assert one.fault() == (0, "The columns have different lengths")


@given(series(), st.data())
def test_a_window_holds_exactly_the_periods_inside_it(one: Series, data: st.DataObject) -> None:
    near = st.integers(one.starts[0] - 700, one.stop + 700) | st.sampled_from(list(one.starts))
    start, stop = data.draw(near), data.draw(near)
    expected = [r for r in one if r.start >= start and r.start < stop and r.start + r.duration_s <= stop]
    assert list(one.window(start, stop)) == expected


@given(series(), st.integers(1, 40))
def test_chunks_joined_are_the_series(one: Series, size: int) -> None:
    chunks = list(one.chunks(size))
    assert [r for chunk in chunks for r in chunk] == list(one)
    assert all(1 <= len(chunk) <= size for chunk in chunks)
    assert all(readings.decode(readings.encode(chunk)) == chunk for chunk in chunks)


def test_a_chunk_of_nothing_is_refused() -> None:
    with pytest.raises(LocalError, match="at least one record"):
        list(curve((0, 600, 1)).chunks(0))


def test_jumps_are_where_records_are_absent() -> None:
    one = curve((0, 600, 1), (600, 600, 2), (3000, 1800, 3), (4800, 600, 4))
    assert one.jumps() == [Jump(2, T0 + 1200, T0 + 3000, 3600)]
    assert one.runs() == [(T0, 600, 2), (T0 + 3000, 1800, 1), (T0 + 4800, 600, 1)]


def test_a_daily_index_jumps_when_a_day_is_missing_and_not_when_the_hour_changes() -> None:
    days = [0, 86_400, 86_400 + 90_000, 3 * 86_400 + 90_000]
    one = Series.from_readings(INDEX, [Reading(T0 + day, 0, 1) for day in days])
    assert [jump.index for jump in one.jumps()] == [3]


def test_an_empty_series_has_bytes_too() -> None:
    empty = curve()
    assert readings.decode(readings.encode(empty)) == empty
    assert (len(empty), empty.stop, empty.jumps(), list(empty.chunks(10))) == (0, 0, [], [])
