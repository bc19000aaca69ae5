"""The names of series: both directions agree, and what is no series is refused with its field."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError, RemoteError
from node.series_key import SeriesKey, granularity_seconds, key_from_name

CURVE = SeriesKey("prm:12345678901234", "electricity", "consumption", "load_curve", "PT30M", "W")


def test_the_name_of_a_load_curve_is_that_of_quoalise() -> None:
    assert CURVE.name == "urn:dev:prm:12345678901234_consumption/power/active/raw"


@pytest.mark.parametrize(
    ("key", "rest"),
    [
        (replace(CURVE, direction="injection", stage="corrected"), "production/power/active/corrected"),
        (replace(CURVE, kind="daily", granularity="P1D", unit="Wh"), "consumption/energy/active/daily"),
        (replace(CURVE, kind="max_power", granularity="P1D", unit="VA"), "consumption/power/apparent/max"),
        (replace(CURVE, kind="index", unit="Wh", register="EAS T"), "consumption/energy/active/index"),
        (
            replace(CURVE, kind="index", unit="Wh", register="EAS F10"),
            "consumption/energy/active/index/provider/F10",
        ),
        (
            replace(CURVE, kind="index", unit="Wh", register="EAI D1", direction="injection"),
            "production/energy/active/index/distributor/D1",
        ),
        (
            SeriesKey("pce:12345678901234", "gas", "consumption", "daily", "P1D", "kWh"),
            "consumption/energy/gas/daily",
        ),
        (
            SeriesKey("water:A-17", "water", "consumption", "index", "P1D", "m3"),
            "consumption/volume/water/index",
        ),
    ],
)
def test_a_key_and_its_name_say_the_same(key: SeriesKey, rest: str) -> None:
    assert key.name == f"urn:dev:{key.point}_{rest}"
    assert key_from_name(key.name, granularity=key.granularity, unit=key.unit) == key


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"point": "prm:1234567890123"}, "point"),
        ({"point": "prm:１２３４５６７８９０１２３４"}, "point"),
        ({"point": "12345678901234"}, "point"),
        ({"energy": "gas"}, "energy"),
        ({"direction": "production"}, "direction"),
        ({"kind": "curve"}, "kind"),
        ({"register": "EAS F1"}, "register"),
        ({"stage": "guessed"}, "register"),
        ({"unit": "kWh"}, "unit"),
        ({"granularity": "PT1H"}, "granularity"),
    ],
)
def test_a_key_that_names_no_series_is_refused(change: dict[str, str], field: str) -> None:
    fields = {name: getattr(CURVE, name) for name in CURVE.__slots__} | change
    with pytest.raises(LocalError) as error:
        SeriesKey(**fields)
    assert (error.value.code, error.value.field) == ("BAD_SERIES_KEY", field)


@given(st.text() | st.from_regex(r"urn:dev:(prm|pce|water):[0-9]{14}_(consumption|production)/[a-z/]{0,30}"))
def test_any_name_is_a_key_or_a_remote_error(name: str) -> None:
    try:
        key = key_from_name(name, granularity="P1D", unit="Wh")
    except RemoteError:
        return
    assert key.name == name


def test_granularities_have_one_form_each() -> None:
    assert [granularity_seconds(g) for g in ("PT10M", "PT30M", "PT60M", "P1D")] == [600, 1800, 3600, 86_400]
    assert [granularity_seconds(g) for g in ("PT1H", "PT030M", "PT0M", "30", "")] == [None] * 5
