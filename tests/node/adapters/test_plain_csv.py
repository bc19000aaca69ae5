"""Plain CSV: what Python's csv module reads back is what the series holds."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from decimal import Decimal

from hypothesis import given

from node.adapters import plain_csv
from node.readings import Reading, Series
from tests.node.series import CURVE, series


@given(series())
def test_every_record_is_in_its_line(one: Series) -> None:
    text = plain_csv.to_csv([one, one]).decode()
    assert text.count("\r\n") == text.count("\n") == 2 * len(one) + 1
    rows = list(csv.DictReader(io.StringIO(text)))
    read = [
        Reading(
            int(datetime.fromisoformat(row["start"]).timestamp()),
            int(row["duration_s"]),
            Decimal(row["value"]) if row["value"] else None,
        )
        for row in rows
    ]
    assert read == [*one, *one]
    about = {(row["series"], row["unit"], row["fictitious"]) for row in rows}
    assert about == {(one.key.name, one.key.unit, str(one.key.fictitious).lower())}


def test_a_line_looks_as_documented() -> None:
    one = Series.from_readings(
        CURVE, [Reading(1_610_024_400, 600, Decimal("0.000001")), Reading(1_610_025_000, 600, None)]
    )
    assert plain_csv.to_csv([one]).decode().split("\r\n")[1:] == [
        f"{CURVE.name},2021-01-07T13:00:00Z,600,0.000001,W,false",
        f"{CURVE.name},2021-01-07T13:10:00Z,600,,W,false",
        "",
    ]
