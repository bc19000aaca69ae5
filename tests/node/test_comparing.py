"""The same fact compared across holders: equal, different, missing; a gap is no zero; unlike things are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.comparing import SHOWN_MAX, Difference, compare
from node.readings import Reading, Series
from node.series_key import SeriesKey
from tests.node.nodes import do, make_home, running
from tests.node.test_erasure_operations import CURVE, moved

KEY = SeriesKey("prm:12345678901234", "electricity", "consumption", "daily", "P1D", "Wh")
DAY = 86_400
START = 20_000 * DAY
VALUES = st.dictionaries(st.integers(0, 30), st.none() | st.integers(0, 3), max_size=20)


def series(values: dict[int, int | None], key: SeriesKey = KEY) -> Series:
    """Return daily readings: day -> value, None for a gap."""
    return Series.from_readings(key, (Reading(START + day * DAY, DAY, values[day]) for day in sorted(values)))


@given(VALUES, VALUES)
def test_every_period_is_counted_once(one: dict[int, int | None], other: dict[int, int | None]) -> None:
    found = compare(series(one), series(other))
    both = one.keys() & other.keys()
    apart = {day for day in both if one[day] != other[day]}
    assert (found.same, found.different) == (len(both) - len(apart), len(apart))
    assert (found.only_one, found.only_other) == (len(one) - len(both), len(other) - len(both))
    assert found.shown == tuple(Difference(START + day * DAY, one[day], other[day]) for day in sorted(apart))
    back = compare(series(other), series(one))
    assert (back.same, back.different, back.only_one, back.only_other) == (
        found.same,
        found.different,
        found.only_other,
        found.only_one,
    )


def test_a_gap_is_no_zero_and_few_differences_are_shown() -> None:
    found = compare(series({0: None, 1: 0}), series({0: 0, 1: 0}))
    assert found.shown == (Difference(START, None, 0),)
    many = compare(series(dict.fromkeys(range(300), 1)), series(dict.fromkeys(range(300), 2)))
    assert (many.different, len(many.shown)) == (300, SHOWN_MAX)


@pytest.mark.parametrize("change", [{"unit": "kWh"}, {"direction": "injection"}, {"point": "prm:99999999999999"}])
def test_unlike_things_are_not_compared(change: dict[str, Any]) -> None:
    with pytest.raises(LocalError) as refused:
        compare(series({}), series({}, replace(KEY, **change)))
    assert refused.value.code == "NOT_COMPARABLE"


@pytest.mark.covers("R94")
async def test_a_recipient_compares_its_own_readings_with_a_holders(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await moved(ada, bob)
        with pytest.raises(LocalError) as alone:
            await do(bob, "data compare", point=CURVE.key.point)
        assert alone.value.code == "NOT_FOUND"
        own = [replace_first(reading, index) for index, reading in enumerate(CURVE)]
        flows = bob.mesh().flows
        await bob.mesh().engine.act(lambda turn: flows.series.add(turn.vault, Series.from_readings(CURVE.key, own)))
        (row,) = (await do(bob, "data compare", point=CURVE.key.point)).comparisons
        assert (row.one, row.other, row.different, row.same) == ("this node", "ada", 1, len(CURVE) - 1)
        assert row.differences[0].one == "4242"


def replace_first(reading: Reading, index: int) -> Reading:
    """Return a reading, the first with another value."""
    return replace(reading, value=4242) if index == 0 else reading
