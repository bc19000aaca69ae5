"""Lines of Warp 10: exact both ways, gaps apart, hostile lines refused by number."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.adapters import household, warp10
from node.readings import Reading, Series
from tests.node.adapters.reads import all_series, left_out, refusal, whole_or_refused
from tests.node.series import CURVE, series

T0 = 1_600_000_000
LABELS = "{duration_s=600,fictitious=false,granularity=PT10M,point=prm%3A12345678901234,unit=W}"
LINE = f"{T0}000000// consumption%2Fpower%2Factive%2Fraw{LABELS} 1061\n"


def test_a_line_is_as_warp_10_reads_it() -> None:
    one = Series.from_readings(CURVE, [Reading(T0, 600, 1061), Reading(T0 + 600, 600, None)])
    gap = f"{T0 + 600}000000// consumption%2Fpower%2Factive%2Fraw.gap{LABELS} T\n"
    assert warp10.write([one]).decode() == LINE + gap
    assert all_series(warp10.read, (LINE + gap).encode()) == [one]


@pytest.mark.covers("system:Warp 10")
@given(series())
def test_what_is_written_is_read_back(one: Series) -> None:
    assert all_series(warp10.read, warp10.write([one])) == [one]


def test_one_series_has_one_type() -> None:
    one = Series.from_readings(CURVE, [Reading(T0, 600, 7), Reading(T0 + 600, 600, Decimal("0.5"))])
    assert [line.split()[-1] for line in warp10.write([one]).decode().splitlines()] == ["7.0", "0.5"]


def test_lines_with_an_equals_sign_go_on_and_comments_are_none() -> None:
    (one,) = all_series(warp10.read, f"# from a store\n{LINE}={T0 + 600}000000// 5\n\n".encode())
    assert one.values() == [1061, 5]


def test_places_are_left_out_and_said() -> None:
    data = LINE.replace("//", "/48.1:-4.2/12000").encode()
    assert left_out(warp10.read, data) == {"places of measurement": 1}


def test_the_mark_of_what_is_made_up_survives() -> None:
    data = warp10.write([household.load_curve(1, T0, 1)])
    assert data.count(b"fictitious=true") == 48
    assert all_series(warp10.read, data)[0].key.fictitious


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("nonsense", "line 1, line"),
        (LINE.replace("1061", "'null'"), "line 1, value"),
        (LINE.replace("1061", "NaN"), "line 1, value"),
        (LINE.replace("1061", "T"), "line 1, value"),
        (LINE.replace("000000//", "000001//"), "line 1, moment"),
        (LINE.replace(f"{T0}000000", ""), "line 1, moment"),
        (LINE.replace("unit=W", "unit=V"), "line 1, class and labels"),
        (LINE.replace(",unit=W", ""), "line 1, labels"),
        (LINE.replace("fictitious=false", "fictitious=no"), "line 1, labels"),
        (f"={T0}000000// 5", "line 1, class"),
        (LINE + LINE.replace("1061", "1062"), "line 2, time"),
    ],
)
def test_what_is_wrong_is_named_by_line(line: str, where: str) -> None:
    error = refusal(warp10.read, line.encode())
    assert (error.code, error.field) == ("BAD_WARP10", f"file, {where}")


@given(st.text("0123456789-=/:. {}%abcfrw,T'\n", max_size=120))
def test_any_text_is_read_whole_or_refused(text: str) -> None:
    assert whole_or_refused(warp10.read, text.encode())


@given(st.binary(max_size=8), st.integers(0, len(LINE)))
def test_a_broken_line_is_read_whole_or_refused(noise: bytes, at: int) -> None:
    assert whole_or_refused(warp10.read, LINE.encode()[:at] + noise + LINE.encode()[at:])
