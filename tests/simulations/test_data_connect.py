"""The fake holder: the shape of its answers, the sums behind them, and that it refuses what no consent covers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from simulations.data_connect import Consented, make_proxy
from simulations.meters import Meter

CURVE = "/metering_data_clc/v5/consumption_load_curve"
DAILY = "/metering_data_dc/v5/daily_consumption"
POINT = "00000000000007"


@pytest.fixture
def held() -> Consented:
    """Return what the token may read."""
    return Consented(Meter(7), "2026-03-01", "2026-05-01")


async def ask(held: Consented, path: str, start: str, end: str, point: str = POINT, token: str = "t") -> httpx.Response:
    proxy = make_proxy({"t": [held]}, today="2026-04-20")
    query = {"usage_point_id": point, "start": start, "end": end}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=proxy), base_url="http://proxy") as client:
        return await client.get(path, params=query, headers={"authorization": f"Bearer {token}"})


async def test_days_are_the_sums_of_half_hours_also_when_the_hour_changes(held: Consented) -> None:
    days: Any = (await ask(held, DAILY, "2026-03-28", "2026-03-31")).json()["meter_reading"]
    assert [one["date"] for one in days["interval_reading"]] == ["2026-03-28", "2026-03-29", "2026-03-30"]
    assert days["reading_type"]["measuring_period"] == "P1D"
    curve: Any = (await ask(held, CURVE, "2026-03-29", "2026-03-30")).json()["meter_reading"]
    steps = curve["interval_reading"]
    assert len(steps) == 46
    assert (steps[0]["date"], steps[-1]["date"]) == ("2026-03-29 00:30:00", "2026-03-30 00:00:00")
    assert str(sum(int(one["value"]) for one in steps) // 2) == days["interval_reading"][1]["value"]


@pytest.mark.covers("R153", "system:data-connect-proxy / data-connect")
@pytest.mark.parametrize(
    ("start", "end", "point", "token", "status", "code"),
    [
        ("2026-03-02", "2026-03-03", "00000000000008", "t", 403, "ADAM-DC-0008"),
        ("2026-02-27", "2026-03-03", POINT, "t", 403, "ADAM-DC-0008"),
        ("2026-04-30", "2026-05-02", POINT, "t", 403, "ADAM-DC-0008"),
        ("2026-03-02", "2026-03-03", POINT, "other", 401, "invalid_token"),
        ("2026-03-02", "2026-03-02", POINT, "t", 400, "ADAM-ERR0123"),
        ("2026-03-02", "2026-03-20", POINT, "t", 400, "ADAM-ERR0123"),
        ("yesterday", "2026-03-20", POINT, "t", 400, "ADAM-ERR0123"),
        ("2026-04-20", "2026-04-21", POINT, "t", 404, "no_data_found"),
    ],
)
async def test_refusals(held: Consented, start: str, end: str, point: str, token: str, status: int, code: str) -> None:
    answer = await ask(held, CURVE, start, end, point, token)
    assert (answer.status_code, answer.json()["error"]) == (status, code)


@pytest.mark.covers("R153", "system:data-connect-proxy / data-connect", "system:Viriya")
async def test_nothing_comes_after_withdrawal(held: Consented) -> None:
    assert (await ask(held, DAILY, "2026-03-02", "2026-03-03")).status_code == 200
    held.withdrawn = True
    assert (await ask(held, DAILY, "2026-03-02", "2026-03-03")).status_code == 403
