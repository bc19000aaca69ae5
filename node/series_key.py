"""What a time series is about: which meter, which energy, which way, what kind, how fine, in which unit.

How it works
    `SeriesKey` names one series. Its Quoalise name, `urn:dev:prm:12345678901234_consumption/power/active/raw`
    or the like, is read and written through one table, so the two directions cannot part. The name says
    nothing of the granularity, the unit and the fictitious mark; those travel beside it. The names of
    electricity are Quoalise's (`../shared/reference/formats.md` 3.1), which calls injection "production";
    those of gas and water are ours.

What it does not do
    It holds no readings (`node.readings`), and knows no grant: the gate compares its fields with a consent's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ledger.errors import LocalError, RemoteError

INSTANT_KINDS: Final = frozenset({"index", "max_power"})
"""Kinds whose records are instants, with a duration of 0 s: a register read, a peak reached."""

_POINT: Final = re.compile(r"(prm|pce):[0-9]{14}|(water):[A-Za-z0-9-]{1,32}", re.ASCII)
_ENERGY_OF_POINT: Final = {"prm": "electricity", "pce": "gas", "water": "water"}
_MINUTES: Final = re.compile(r"PT([1-9][0-9]{0,3})M", re.ASCII)
_CALENDAR: Final = {"P1D": 86_400, "P1M": 2_592_000, "P1Y": 31_536_000}  # nominal: real days have 23 to 25 h
_DIRECTIONS: Final = {"consumption": "consumption", "injection": "production"}
_UNITS: Final = {
    ("electricity", "load_curve"): ("W",),
    ("electricity", "daily"): ("Wh", "kWh"),
    ("electricity", "index"): ("Wh", "kWh"),
    ("electricity", "max_power"): ("VA",),
    ("gas", "daily"): ("kWh", "Wh", "m3"),
    ("gas", "index"): ("m3", "kWh", "Wh"),
    ("water", "daily"): ("m3", "l"),
    ("water", "index"): ("m3", "l"),
}


def _build_names() -> dict[tuple[str, str, str, str, str], str]:
    """Return (energy, direction, kind, stage, register) -> the part of the name that follows the point."""
    names = {}
    for direction, word in _DIRECTIONS.items():
        prefix = "EAS" if direction == "consumption" else "EAI"  # energie active soutiree | injectee
        electricity = {
            ("load_curve", "raw", ""): "power/active/raw",
            ("load_curve", "corrected", ""): "power/active/corrected",
            ("daily", "raw", ""): "energy/active/daily",
            ("index", "raw", f"{prefix} T"): "energy/active/index",
            ("max_power", "raw", ""): "power/apparent/max",
        }
        for number in range(1, 11):
            electricity["index", "raw", f"{prefix} F{number}"] = f"energy/active/index/provider/F{number}"
        for number in range(1, 5):
            electricity["index", "raw", f"{prefix} D{number}"] = f"energy/active/index/distributor/D{number}"
        for (kind, stage, register), rest in electricity.items():
            names["electricity", direction, kind, stage, register] = f"{word}/{rest}"
        for energy, quantity in (("gas", "energy/gas"), ("water", "volume/water")):
            for kind in ("daily", "index"):
                names[energy, direction, kind, "raw", ""] = f"{word}/{quantity}/{kind}"
    return names


_NAMES: Final = _build_names()
_PARTS: Final = {(key[0], name): key[1:] for key, name in _NAMES.items()}


def granularity_seconds(granularity: str) -> int | None:
    """Return the nominal length in seconds of an ISO 8601 duration we know, else None.

    Known: `PT1M` to `PT9999M`, `P1D`, `P1M`, `P1Y`. One form each: an hour is `PT60M`, never `PT1H`.
    """
    minutes = _MINUTES.fullmatch(granularity)
    return int(minutes[1]) * 60 if minutes else _CALENDAR.get(granularity)


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """Which series: the fields a consent speaks of, checked on construction.

    `point`: "prm:" (electricity) or "pce:" (gas) and 14 digits, or "water:" and 1 to 32 letters, digits or
    hyphens. `energy`: electricity | gas | water. `direction`: consumption | injection. `kind`: load_curve |
    daily | index | max_power. `granularity`: see `granularity_seconds`; of a load curve whose step changes,
    the finest. `unit`: W, VA, Wh, kWh, m3, l. `register`: of an electricity index, the register ("EAS F1" to
    F10, D1 to D4, T; "EAI ..." when injected), else "". `stage`: raw | corrected. `fictitious`: of no
    real meter.

    Raises LocalError BAD_SERIES_KEY, whose field names the one that is wrong.
    """

    point: str
    energy: str
    direction: str
    kind: str
    granularity: str
    unit: str
    register: str = ""
    stage: str = "raw"
    fictitious: bool = False

    def __post_init__(self) -> None:
        """Refuse a key that names no series we know."""
        shape = _POINT.fullmatch(self.point)
        if shape is None:
            raise _bad("point", 'A point is "prm:" or "pce:" and 14 digits, or "water:" and an identifier')
        if _ENERGY_OF_POINT[shape[1] or shape[2]] != self.energy:
            raise _bad("energy", f"A point of {shape[1] or shape[2]} does not carry this energy")
        if self.direction not in _DIRECTIONS:
            raise _bad("direction", "A direction is consumption or injection")
        if (self.energy, self.kind) not in _UNITS:
            raise _bad("kind", f"This kind of series is not known for {self.energy}")
        if (self.energy, self.direction, self.kind, self.stage, self.register) not in _NAMES:
            raise _bad("register", f"A series of kind {self.kind} has no such register or stage")
        if self.unit not in _UNITS[self.energy, self.kind]:
            raise _bad("unit", f"The unit of this series is {' or '.join(_UNITS[self.energy, self.kind])}")
        if granularity_seconds(self.granularity) is None:
            raise _bad("granularity", "A granularity is a duration such as PT30M, PT60M, P1D or P1M")

    @property
    def name(self) -> str:
        """The Quoalise name, such as "urn:dev:prm:12345678901234_consumption/power/active/raw"."""
        rest = _NAMES[self.energy, self.direction, self.kind, self.stage, self.register]
        return f"urn:dev:{self.point}_{rest}"

    @property
    def is_instant(self) -> bool:
        """Whether the records are instants (index, max_power) and not periods."""
        return self.kind in INSTANT_KINDS


def key_from_name(name: str, *, granularity: str, unit: str, fictitious: bool = False) -> SeriesKey:
    """Return the key whose `name` this is; what the name does not say is given beside it.

    Raises RemoteError BAD_SERIES_NAME for a name of no series we know, BAD_SERIES_KEY for the rest.
    """
    point, _, rest = name.removeprefix("urn:dev:").partition("_")
    energy = _ENERGY_OF_POINT.get(point.partition(":")[0], "")
    parts = _PARTS.get((energy, rest))
    if parts is None or not name.startswith("urn:dev:"):
        raise RemoteError(
            "BAD_SERIES_NAME",
            "This is not the name of a meter's series; one looks like "
            "urn:dev:prm:12345678901234_consumption/power/active/raw",
            field="name",
        )
    direction, kind, stage, register = parts
    try:
        return SeriesKey(point, energy, direction, kind, granularity, unit, register, stage, fictitious)
    except LocalError as error:
        raise RemoteError(error.code, error.message, field=error.field) from error


def _bad(field: str, message: str) -> LocalError:
    return LocalError("BAD_SERIES_KEY", message, field=field)
