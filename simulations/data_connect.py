"""A fake holder: answers as a grid operator's Data Connect proxy would, with fictitious households (R153).

    from simulations.data_connect import Consented, make_proxy

    proxy = make_proxy({"secret": [Consented(Meter(7), "2026-01-01", "2027-01-01")]}, today="2026-06-01")
    httpx.AsyncClient(transport=httpx.ASGITransport(app=proxy), base_url="http://proxy")    # or any ASGI server

How it works
    An ASGI application with the paths and the JSON of Data Connect v5: metering_data_clc (load curve) and
    metering_data_dc (daily), by `usage_point_id`, `start` and `end` (the day after the last), with a bearer token.
    Values are strings, half-hours are stamped at their end, as there. A token stands for consents; without one for that
    point, or on days outside it, the answer is 403 with the proxy's codes, and so it is after `Consented.withdrawn` was
    set: code that is tested against it must fail closed.

What it does not do
    It is written from public descriptions of the format, not from the operator's own pages; it has no authorisation
    page, no quotas and no production data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from node.readings import Series
from simulations.meters import Kind, Meter

PARIS: Final = ZoneInfo("Europe/Paris")
CURVE_DAYS_MAX: Final = 7
"""Days of a load curve in one answer, as there."""
DAILY_DAYS_MAX: Final = 1_095
_PREFIX: Final = "prm:"


@dataclass(slots=True)
class Consented:
    """What a token may read: one household, on the days from `start` to before `end`. `withdrawn`: no more."""

    meter: Meter
    start: str
    end: str
    withdrawn: bool = False

    @property
    def usage_point(self) -> str:
        """The number of its point, 14 digits."""
        return self.meter.point.removeprefix(_PREFIX)


def make_proxy(tokens: Mapping[str, Sequence[Consented]], *, today: str) -> Starlette:
    """Return the application. `tokens`: bearer token -> consents. `today`: days from then on are not there."""

    def answer(request: Request, kind: Kind, days_max: int) -> Response:
        held = tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if held is None:
            return _refused(401, "invalid_token", "The token is unknown.")
        asked = _asked(request, days_max)
        if isinstance(asked, Response):
            return asked
        point, start, end = asked
        fits = [one for one in held if one.usage_point == point and not one.withdrawn]
        if not any(date.fromisoformat(one.start) <= start and end <= date.fromisoformat(one.end) for one in fits):
            return _refused(403, "ADAM-DC-0008", "No consent covers this point and these days.")
        end = min(end, date.fromisoformat(today))
        if start >= end:
            return _refused(404, "no_data_found", "There are no data for these days.")
        at = int(datetime(start.year, start.month, start.day, 12, tzinfo=UTC).timestamp())
        series = fits[0].meter.series(at, (end - start).days, kind=kind)
        return JSONResponse({"meter_reading": _meter_reading(point, start, end, series, kind)})

    async def curve(request: Request) -> Response:
        return answer(request, "load_curve", CURVE_DAYS_MAX)

    async def daily(request: Request) -> Response:
        return answer(request, "daily", DAILY_DAYS_MAX)

    return Starlette(
        routes=[
            Route("/metering_data_clc/v5/consumption_load_curve", curve),
            Route("/metering_data_dc/v5/daily_consumption", daily),
        ]
    )


def _asked(request: Request, days_max: int) -> tuple[str, date, date] | Response:
    query = request.query_params
    try:
        point = query["usage_point_id"]
        start, end = date.fromisoformat(query["start"]), date.fromisoformat(query["end"])
    except (KeyError, ValueError):
        return _refused(400, "ADAM-ERR0123", "Give usage_point_id, start and end (YYYY-MM-DD).")
    if not timedelta(0) < end - start <= timedelta(days=days_max):
        return _refused(400, "ADAM-ERR0123", f"Ask for 1 to {days_max} days.")
    return point, start, end


def _meter_reading(point: str, start: date, end: date, series: Series, kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {
        "usage_point_id": point,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "quality": "BRUT",
    }
    if kind == "daily":
        found["reading_type"] = {
            "measurement_kind": "energy",
            "unit": "Wh",
            "aggregate": "sum",
            "measuring_period": "P1D",
        }
        found["interval_reading"] = [
            {"value": str(one.value), "date": f"{datetime.fromtimestamp(one.start, PARIS):%Y-%m-%d}"} for one in series
        ]
        return found
    found["reading_type"] = {"measurement_kind": "power", "unit": "W", "aggregate": "average"}
    found["interval_reading"] = [
        {
            "value": str(one.value),
            "date": f"{datetime.fromtimestamp(one.start + one.duration_s, PARIS):%Y-%m-%d %H:%M:%S}",
            "interval_length": "PT30M",
            "measure_type": "B",
        }
        for one in series
    ]
    return found


def _refused(status: int, code: str, text: str) -> Response:
    return JSONResponse({"error": code, "error_description": text}, status)
