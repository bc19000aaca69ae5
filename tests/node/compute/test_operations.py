"""The reviewed operations, against plain sums; windows of results; descriptions and their hashes."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.errors import LocalError, RemoteError
from node.adapters import household
from node.compute.computation import (
    STEPS_MAX,
    Brought,
    Reviewed,
    brought,
    read_computation,
    windows_of,
)
from node.compute.operations import (
    OPERATIONS,
    UNKNOWN,
    Outcome,
    check,
    decimal,
    reference_of,
    reviewed,
    run,
    words_of,
)
from node.readings import Reading, Series
from tests.node.series import CURVE, DAILY, INDEX

START = 1_700_006_400  # a midnight, UTC
HALF = 1_800


def unix(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]


def curve(*values: int | Decimal | None, start: int = START) -> Series:
    rows = [Reading(start + HALF * n, HALF, value) for n, value in enumerate(values)]
    return Series.from_readings(CURVE, rows)


def of(name: str, one: Series, window: tuple[int, int] | None = None, **parameters: int) -> Outcome:
    return run(reviewed(name, parameters, ""), [one], window or (one.starts[0], one.stop))


def test_each_operation_on_a_small_curve() -> None:
    one = curve(100, 300, 200, 200)
    assert of("sum", one) == Outcome("400", "Wh", 4, 0, True)  # 100 W and so on, half an hour each
    assert of("mean", one) == Outcome("200", "W", 4, 0, True)
    assert of("maximum", one) == Outcome("300", "W", 4, 0, True)
    assert of("count_above", one, threshold=200) == Outcome("1", "records", 4, 0, True)
    assert of("load_factor", one) == Outcome("66.666667", "%", 4, 0, True)
    assert of("sum_below", one, threshold=401).value == "yes"
    assert of("sum_below", one, threshold=400).value == "no"
    assert of("maximum_below", one, threshold=301).value == "yes"
    assert of("maximum_below", one, threshold=300).value == "no"
    both = curve(100, 100, 300, 100)
    middle = START + 2 * HALF
    base = {"reference_start": START, "reference_stop": middle}
    assert of("compared", both, (middle, both.stop), **base) == Outcome("200", "%", 2, 0, True)


def test_a_gap_or_an_absent_record_is_never_a_zero() -> None:
    gap = curve(100, None, 200)
    assert of("sum", gap) == Outcome("150", "Wh", 3, 1, False)
    assert of("mean", gap).value == "150"
    assert of("sum_below", gap, threshold=1_000).value == UNKNOWN
    assert of("sum_below", gap, threshold=150).value == "no"
    assert of("maximum_below", gap, threshold=1_000).value == UNKNOWN
    assert of("maximum_below", gap, threshold=200).value == "no"
    late = curve(100, 200, start=START + HALF)
    assert of("sum", late, (START, START + 3 * HALF)).complete is False
    assert of("sum", late, (START + HALF, START + 3 * HALF)).complete is True
    assert of("sum", late, (START + HALF, START + 4 * HALF)).complete is False
    nothing = of("mean", gap, (START - HALF, START))
    assert nothing == Outcome("", "W", 0, 0, False)
    assert of("compared", gap, reference_start=START, reference_stop=START + HALF).value == ""
    assert of("load_factor", curve(0, 0)).value == ""


def test_daily_totals_and_indexes() -> None:
    days = Series.from_readings(DAILY, [Reading(START + 86_400 * n, 86_400, value) for n, value in enumerate((5, 7))])
    assert (of("sum", days).value, of("sum", days).unit) == ("12", DAILY.unit)
    reads = Series.from_readings(INDEX, [Reading(START + 86_400 * n, 0, value) for n, value in enumerate((50, 57, 61))])
    assert of("advance", reads, (START, START + 3 * 86_400)).value == "11"
    assert of("advance", reads, (START, START + 86_400)).value == ""
    with pytest.raises(LocalError, match="for series of kind") as caught:
        of("sum", reads)
    assert caught.value.code == "NOT_FOR_KIND"


@given(st.lists(st.none() | st.integers(-(10**6), 10**6), min_size=1, max_size=60))
def test_sum_mean_and_maximum_against_plain_python(values: list[int | None]) -> None:
    one, there = curve(*values), [value for value in values if value is not None]
    assert of("sum", one).value == ("" if not there else decimal(Fraction(sum(there), 2)))
    assert of("mean", one).value == ("" if not there else decimal(Fraction(sum(there), len(there))))
    assert of("maximum", one).value == ("" if not there else str(max(there)))
    assert of("sum", one).gaps == values.count(None)


@given(st.fractions(min_value=-(10**9), max_value=10**9))
def test_decimals_are_near_and_plain(value: Fraction) -> None:
    text = decimal(value)
    assert abs(Fraction(text) - value) <= Fraction(1, 2 * 10**6)
    assert "e" not in text.lower()
    assert not (("." in text) and text.endswith("0"))


def test_results_are_over_whole_steps_of_the_calendar_alone() -> None:
    granted = ((unix(2025, 1, 15), unix(2025, 4, 1)), (unix(2026, 1, 1), unix(2027, 1, 1) + 5))
    assert windows_of("", granted, None) == list(granted)
    months = windows_of("P1M", granted[:1], None)
    assert months == [(unix(2025, 2, 1), unix(2025, 3, 1)), (unix(2025, 3, 1), unix(2025, 4, 1))]
    assert windows_of("P1Y", granted, None) == [(unix(2026, 1, 1), unix(2027, 1, 1))]
    days = windows_of("P1D", granted, (unix(2025, 1, 20) + 1, unix(2025, 1, 23)))
    assert days == [(unix(2025, 1, 21), unix(2025, 1, 22)), (unix(2025, 1, 22), unix(2025, 1, 23))]
    assert windows_of("", granted, (unix(2025, 2, 1), unix(2027, 2, 1))) == [granted[1]]
    with pytest.raises(LocalError) as caught:
        windows_of("P1D", ((0, (STEPS_MAX + 2) * 86_400),), None)
    assert caught.value.code == "TOO_MANY_STEPS"


@given(st.integers(0, 4_000_000_000), st.integers(1, 400_000_000), st.sampled_from(["P1M", "P1Y"]))
def test_steps_follow_one_another_and_stay_inside(start: int, length: int, step: str) -> None:
    found = windows_of(step, ((start, start + length),), None)
    assert all(start <= a < b <= start + length for a, b in found)
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert all(datetime.fromtimestamp(a, UTC).day == 1 for a, _ in found)


def test_a_description_says_all_and_reads_back() -> None:
    for name, operation in OPERATIONS.items():
        made = reviewed(name, {key: n + 1 for n, key in enumerate(operation.parameters)}, "P1D")
        assert read_computation(made.encode()) == made
        assert check(made) is operation
        assert "{" not in words_of(made)
        assert words_of(made, "fr") != words_of(made)
    module = brought(b"x", "P1M", fuel=5, memory_bytes=6, output_bytes=7)
    assert read_computation(module.encode()) == module
    daily, monthly = reviewed("sum", {}, "P1D"), reviewed("sum", {}, "P1M")
    assert len({daily.hash, monthly.hash, module.hash}) == 3
    assert reference_of(daily) is None
    assert reviewed("sum", {}, "").hash.hex() == "0da954c6affa405ad3405808da50d9f04254a30ee5cdbc4106e9f7114f135a99"


@pytest.mark.parametrize(
    "value",
    [
        ["maille computation 2", "operation", "sum", 1, [], ""],
        ["maille computation 1", "operation", "sum", 1, [["b", 1], ["a", 1]], ""],
        ["maille computation 1", "operation", "sum", 1, [["a", 1], ["a", 1]], ""],
        ["maille computation 1", "operation", "sum", 1, [["a", True]], ""],
        ["maille computation 1", "operation", "sum", 1, [], "PT30M"],
        ["maille computation 1", "module", 1, bytes(31), 1, 1, 1, ""],
        ["maille computation 1", "module", 2, bytes(32), 1, 1, 1, ""],
        ["maille computation 1", "module", 1, bytes(32), 0, 1, 1, ""],
        ["maille computation 1", "module", 1, bytes(32), 1, 1, 1_025, ""],
        [],
        7,
    ],
)
def test_other_descriptions_are_refused(value: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        read_computation(codec.encode(value))
    assert caught.value.code == "BAD_COMPUTATION"


def test_an_operation_that_is_not_there_or_wants_other_parameters_is_refused() -> None:
    for made, code in (
        (Reviewed("sum", 2, (), ""), "NO_SUCH_OPERATION"),
        (Reviewed("exec", 1, (), ""), "NO_SUCH_OPERATION"),
        (Reviewed("sum", 1, (("threshold", 1),), ""), "BAD_COMPUTATION"),
        (Reviewed("count_above", 1, (), ""), "BAD_COMPUTATION"),
        (Reviewed("count_above", 1, (("threshold", 1 << 63),), ""), "BAD_COMPUTATION"),
        (Reviewed("compared", 1, (("reference_start", 5), ("reference_stop", 5)), ""), "BAD_COMPUTATION"),
        (Reviewed("sum", 1, (), "PT10M"), "BAD_COMPUTATION"),
    ):
        with pytest.raises(LocalError) as caught:
            check(made)
        assert caught.value.code == code
    with pytest.raises(LocalError, match="there are sum"):
        reviewed("exec", {}, "")


@given(st.binary(max_size=100))
def test_any_bytes_are_a_description_or_refused(data: bytes) -> None:
    try:
        found: Reviewed | Brought | None = read_computation(data)
    except RemoteError:
        found = None
    assert found is None or found.encode() == data


def test_a_year_of_half_hours() -> None:
    year = household.load_curve(1, START, 365)
    values = [value for value in year.values() if value is not None]
    assert of("sum", year).value == decimal(sum(map(Fraction, values), Fraction(0)) / 2)
