"""Series made by Hypothesis, for the tests of readings and adapters."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from node.readings import Reading, Series, Value
from node.series_key import SeriesKey

CURVE = SeriesKey("prm:12345678901234", "electricity", "consumption", "load_curve", "PT10M", "W")
INDEX = SeriesKey("prm:12345678901234", "electricity", "consumption", "index", "P1D", "Wh", "EAS F1")
DAILY = SeriesKey("pce:12345678901234", "gas", "consumption", "daily", "P1D", "kWh", fictitious=True)


def _canonical(value: Decimal) -> Value:
    return int(value) if value == value.to_integral_value() else value.normalize()


WHOLE: st.SearchStrategy[Value] = st.integers(-(10**6), 10**6) | st.integers(-(2**63), 2**63 - 1)
DECIMALS: st.SearchStrategy[Value] = st.decimals(-(10**12), 10**12, allow_nan=False, places=6).map(_canonical)


@st.composite
def series(draw: st.DrawFn) -> Series:
    """Any series: periods of changing length with jumps, or instants; gaps; whole numbers or decimals."""
    key = draw(st.sampled_from([CURVE, INDEX, DAILY]))
    value = draw(st.sampled_from([WHOLE, DECIMALS]))
    at = draw(st.integers(1 << 28, 1 << 31))
    readings = []
    for _ in range(draw(st.integers(1, 30))):
        duration = 0 if key.is_instant else draw(st.sampled_from([600, 1800, 3600, 82_800]))
        readings.append(Reading(at, duration, draw(st.none() | value)))
        at += duration + draw(st.sampled_from([1, 86_400] if key.is_instant else [0, 0, 0, 600, 45_000]))
    return Series.from_readings(key, readings)
