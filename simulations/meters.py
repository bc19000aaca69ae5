"""Fake meters: the readings of a fictitious household, as files that a node imports (R116, R152).

How it works
    A seed is a household: the same seed gives the same readings (node/adapters/household.py). Every file says that
    they are fictitious, and the point's number begins with eight zeros.

What it does not do
    It is no model of a home. No real meter has such a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from node.adapters import household, senml
from node.readings import Series

Kind = Literal["load_curve", "daily"]


@dataclass(frozen=True, slots=True)
class Meter:
    """The meter of one household. `seed`: 0 to 999 999."""

    seed: int

    @property
    def point(self) -> str:
        """Its point of measurement, such as prm:00000000000001."""
        return f"prm:00000000{self.seed:06}"

    def series(self, start: int, days: int, *, kind: Kind = "daily", gaps: int = 0) -> Series:
        """Return the readings of `days` days of Paris from the one that `start` (UTC seconds) falls in.

        `gaps`: half-hours of a load curve without a value. Raises LocalError BAD_HOUSEHOLD.
        """
        if kind == "daily":
            return household.daily_totals(self.seed, start, days)
        return household.load_curve(self.seed, start, days, gaps=gaps)

    def senml(self, start: int, days: int, *, kind: Kind = "daily", gaps: int = 0) -> bytes:
        """Return them as a file of SenML in JSON, for `Client.import_readings`."""
        return senml.encode_json([self.series(start, days, kind=kind, gaps=gaps)])
