"""Capability tokens as fields of a Warp 10 token: what PRIDE asks for, and that narrowing never widens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.consent.record import DataKind
from ledger.consent.token import Limits
from node.adapters.warp10_token import Grant, allows, fields

POINT, OTHER = "prm:12345678901234", "prm:12345678901235"
GRANT = Grant(DataKind("electricity", "consumption", "daily"), "aa", "bb", "pride")
Q1 = tuple(int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (1, 4))
NOW = Q1[1] + 86_400
WHOLE = Limits(bytes(32), NOW + 1_000)
SERIES = {
    "point": POINT,
    "energy": "electricity",
    "direction": "consumption",
    "kind": "daily",
    "granularity": "P1D",
}


@pytest.mark.covers("R58", "system:PRIDE", "system:Warp 10")
def test_daily_of_one_quarter_of_one_point_is_no_more_than_that() -> None:
    limits = WHOLE.with_caveat("points", [POINT]).with_caveat("windows", [list(Q1)]).with_caveat("granularity", "P1D")
    token = fields(limits, GRANT, NOW - 10)
    week = (Q1[0], Q1[0] + 7 * 86_400)
    assert allows(token, SERIES, week, NOW)
    assert allows(token, SERIES | {"granularity": "P1M"}, week, NOW)
    refused: list[tuple[dict[str, str], tuple[int, int], int]] = [
        (SERIES | {"kind": "load_curve", "granularity": "PT30M"}, week, NOW),
        (SERIES | {"granularity": "PT30M"}, week, NOW),
        (SERIES | {"point": OTHER}, week, NOW),
        (SERIES | {"direction": "production"}, week, NOW),
        (SERIES, (Q1[1], Q1[1] + 86_400), NOW),
        (SERIES, (Q1[0], Q1[1] + 1), NOW),
        (SERIES, week, NOW + 1_000),
        (SERIES, week, NOW - 11),
    ]
    assert not any(allows(token, *one) for one in refused)


def test_the_fields_are_those_of_a_read_token() -> None:
    token = fields(WHOLE, GRANT, NOW)
    assert (token["tokenType"], token["producerId"], token["ownerId"], token["appName"]) == (
        "READ",
        "aa",
        "bb",
        "pride",
    )
    assert (token["issuanceTimestamp"], token["expiryTimestamp"]) == (NOW * 1000, (NOW + 1_000) * 1000)
    assert set(token) == {
        *("tokenType", "issuanceTimestamp", "expiryTimestamp", "producerId", "ownerId", "appName"),
        *("labels", "attributes"),
    }


TIMES = st.integers(Q1[0], Q1[1])
CAVEATS = st.one_of(
    st.tuples(st.just("points"), st.lists(st.sampled_from([POINT, OTHER]), max_size=2)),
    st.tuples(st.just("windows"), st.lists(st.tuples(TIMES, TIMES).map(sorted), max_size=2)),
    st.tuples(st.just("granularity"), st.sampled_from(["PT30M", "P1D", "P1M"])),
    st.tuples(st.just("expires"), st.integers(NOW - 5, NOW + 2_000)),
    st.tuples(st.just("aggregation"), st.just("mean")),
)


@pytest.mark.covers("R58", "system:Warp 10")
@given(
    st.lists(CAVEATS, max_size=4),
    CAVEATS,
    st.sampled_from([POINT, OTHER]),
    st.sampled_from(["PT30M", "P1D", "P1M"]),
    st.tuples(TIMES, TIMES).map(sorted),
)
def test_narrowing_never_widens(before: list[Any], more: Any, point: str, step: str, window: list[int]) -> None:
    limits = WHOLE
    for caveat in before:
        limits = limits.with_caveat(*caveat)
    wanted = SERIES | {"point": point, "granularity": step}
    wide, narrow = (fields(one, GRANT, NOW) for one in (limits, limits.with_caveat(*more)))
    span = (window[0], window[1])
    assert allows(wide, wanted, span, NOW) or not allows(narrow, wanted, span, NOW)
