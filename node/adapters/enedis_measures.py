"""Measures as Enedis' services give them (quantity, unit, step, stamps), put into the normal form.

How it works
    A `Group` takes the measures of one quantity of one point, whatever the wire format, and adds them to a table at the
    end: active power as a load curve in W, daily energy in Wh, the day's or month's peak in VA. Stamps carry their
    offset, or are those on the wall in Paris (`node.adapters.enedis_time`). Meters of the segment C5 stamp the end of a
    step; those of C1 to C4 its start, with steps of 5 or 10 minutes. What shows which is meant is, in this order: a
    stamp at the very start of the period asked for, or at its very end; else the step.

What it does not do
    Other quantities (reactive power, voltage) have no place in the normal form: `kind_of` gives None for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ledger.errors import LocalError
from node.adapters.enedis_time import DAY, NoTimeError, meanings, period_of_day, read_duration, read_stamp, resolve
from node.adapters.rows import Refuse, Table, number, times
from node.readings import Value
from node.series_key import SeriesKey

DIRECTIONS: Final = {"CONS": "consumption", "PROD": "injection"}
"""grandeurMetier -> direction."""
STAGES: Final = {"BRUT": "raw", "BRUTE": "raw", "CORRIGE": "corrected", "CORRIGEE": "corrected", "BEST": "corrected"}
"""Stage of the data -> stage of the series. BEST: corrected where that is known."""
OTHERS: Final = {
    **{"PRI": "reactive power", "PRC": "reactive power", "ERI": "reactive power", "ERC": "reactive power"},
    **{"E": "voltage", "PMA1": "peak power of one class", "PMA2": "peak power of one class"},
    **{"PMA3": "peak power of one class", "DD": "overrun", "DE": "overrun", "TF": "time of operation"},
}
"""Quantities that are known and not kept -> what is said of them."""
_QUANTITIES: Final = {"PA": "load_curve", "EA": "daily", "PMA": "max_power"}
_FACTORS: Final = {
    "load_curve": {"W": 1, "kW": 1000},
    "daily": {"Wh": 1, "kWh": 1000},
    "max_power": {"VA": 1, "kVA": 1000, "W": 1},
}
_UNITS: Final = {"load_curve": "W", "daily": "Wh", "max_power": "VA"}
_START_STEPS: Final = (300, 600)


def kind_of(quantity: str) -> str | None:
    """Return the kind of series of a grandeurPhysique, or None where it has none."""
    return _QUANTITIES.get(quantity)


@dataclass(slots=True)
class Group:
    """The measures of one quantity. `place`: where it opens, for errors. `unit`: as the file prints it.

    `kind`, `direction`, `stage`: of the series. `asked`: first and last day, the last excluded, as numbers of days.
    `starts_said`: the format says that stamps are the start of their step.
    """

    refuse: Refuse
    place: int
    point: str
    kind: str
    direction: str
    stage: str
    unit: str
    asked: tuple[int, int] | None = None
    starts_said: bool = False
    _stamps: list[int] = field(default_factory=list)
    _steps: list[int] = field(default_factory=list)
    _values: list[Value] = field(default_factory=list)
    _places: list[int] = field(default_factory=list)
    _local: bool | None = None
    _monthly: bool = False

    def factor(self) -> int:
        """Return what makes the normal unit of the file's. Raises the refusal."""
        factors = _FACTORS[self.kind]
        if self.unit not in factors:
            raise self.refuse(self.place, "unit", f"One of {', '.join(factors)} was expected")
        return factors[self.unit]

    def add(self, place: int, stamp: str, step: str | None, value: Value) -> None:
        """Add one measure. `stamp`, `step`: as the file prints them (step None: a day)."""
        self._values.append(None if value is None else times(value, self.factor()))
        self._places.append(place)
        self._steps.append(self._seconds(place, step))
        try:
            day_only = len(stamp) == len("2026-09-14") and self.kind != "load_curve"
            seconds, local = read_stamp(f"{stamp} 00:00:00" if day_only else stamp)
        except ValueError as error:
            raise self.refuse(place, "date", str(error).capitalize()) from None
        if self._local not in {None, local}:
            raise self.refuse(place, "date", "Some stamps have an offset from UTC, some have none")
        self._local = local
        self._stamps.append(seconds)

    def into(self, table: Table) -> None:
        """Add what was taken to the table. Raises the refusal."""
        if not self._stamps:
            return
        key = self._key()
        for at, (start, duration) in enumerate(self._periods()):
            table.add(key, self._places[at], start, duration, self._values[at])

    def _seconds(self, place: int, step: str | None) -> int:
        if self.kind != "load_curve":
            if step not in {None, "P1D", "P1M"} or (step == "P1M" and self.kind == "daily"):
                raise self.refuse(place, "step", "A step of P1D was expected")
            self._monthly = self._monthly or step == "P1M"
            return 0
        seconds = read_duration(step or "")
        if seconds is None or seconds > 3_600:
            raise self.refuse(place, "step", "A step such as PT30M was expected")
        return seconds

    def _key(self) -> SeriesKey:
        granularity = "P1M" if self._monthly else "P1D"
        if self.kind == "load_curve":
            granularity = f"PT{min(self._steps) // 60}M"
        try:
            return SeriesKey(
                f"prm:{self.point}",
                "electricity",
                self.direction,
                self.kind,
                granularity,
                _UNITS[self.kind],
                stage=self.stage,
            )
        except LocalError as error:
            raise self.refuse(self.place, error.field or "series", error.message) from error

    def _periods(self) -> list[tuple[int, int]]:
        """Return start and duration of each measure."""
        if self.kind == "daily":
            return [period_of_day(self._day(stamp)) for stamp in self._stamps]
        stamps = self._stamps
        if self._local:
            try:
                stamps = resolve(stamps, self._steps)
            except NoTimeError as error:
                raise self.refuse(self._places[error.index], "date", error.message) from None
        if self.kind == "max_power":
            return [(stamp, 0) for stamp in stamps]
        if self.starts_said or self._stamped_at_start(stamps):
            return list(zip(stamps, self._steps, strict=True))
        return [(stamp - step, step) for stamp, step in zip(stamps, self._steps, strict=True)]

    def _day(self, stamp: int) -> int:
        """Return the day of Paris of a daily measure's stamp."""
        if self._local:
            return stamp // DAY
        return (stamp + 7_200) // DAY  # midnight in Paris is 22:00 or 23:00 UTC of the day before

    def _stamped_at_start(self, stamps: list[int]) -> bool:
        if self.asked is not None:
            first, last = (meanings(day * DAY)[0] for day in self.asked)
            if first in stamps and last not in stamps:
                return True
            if last in stamps and first not in stamps:
                return False
            if first in stamps:
                raise self.refuse(self.place, "date", "Both ends of the period have a stamp: start or end of a step?")
        return max(self._steps) in _START_STEPS


def value_of(text: str | None) -> tuple[bool, Value]:
    """Return whether a text is a value, and which: nothing and "null" are gaps."""
    if text is None or text in {"", "null"}:
        return True, None
    value = number(text)
    return value is not None, value
