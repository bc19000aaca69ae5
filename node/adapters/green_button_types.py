"""What a ReadingType of ESPI means for a series of ours, and the other way round.

How it works
    Codes are those of NAESB ESPI: unit (uom), commodity, accumulation, qualifier, direction of flow. `UNITS` and
    `BEHAVIOUR` are read in both directions, so that what is written is what is read.

What it does not do
    It knows no prices. Units of heat (therms, BTU) are refused: they need a calorific value that no feed gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ledger.errors import LocalError, MailleError, RemoteError
from node.adapters.numbers import plain, whole_number
from node.adapters.xml_events import Element
from node.readings import Value
from node.series_key import SeriesKey, key_from_name

CODE: Final = "BAD_GREEN_BUTTON"
CATEGORY: Final = "urn:maille:"
"""How the schemes of our own categories begin."""
UNITS: Final = {"W": (38, 0), "VA": (61, 0), "Wh": (72, 0), "kWh": (72, 3), "m3": (42, 0), "l": (134, 0)}
"""Our unit -> (uom, power of ten between them)."""
COMMODITIES: Final = {"electricity": 1, "gas": 7, "water": 9}
SERVICES: Final = {"electricity": 0, "gas": 1, "water": 2}
FLOWS: Final = {"consumption": 1, "injection": 19}
BEHAVIOUR: Final = {"load_curve": (6, 2, 37), "daily": (4, 12, 12), "index": (1, 12, 12), "max_power": (6, 8, 37)}
"""Kind of series -> (accumulationBehaviour, dataQualifier, kind)."""
NOT_KEPT: Final = {5: "currents", 29: "voltages", 33: "frequencies", 63: "reactive power", 65: "power factors"} | {
    71: "apparent energy",
    73: "reactive energy",
}
"""uom -> what is left out, and said."""
_DAY: Final = 86_400
_LONG: Final = {_DAY: "P1D", 2_592_000: "P1M", 31_536_000: "P1Y"}
_MULTIPLIER_MAX: Final = 12

Bad = Callable[[str, str], RemoteError]


@dataclass(frozen=True, slots=True)
class ReadingType:
    """The codes of one ReadingType. `multiplier`: power of ten of its values."""

    line: int
    uom: int
    commodity: int
    accumulation: int
    qualifier: int
    flow: int
    interval_length: int
    multiplier: int

    @classmethod
    def of(cls, element: Element, bad: Callable[[int, str, str], RemoteError]) -> ReadingType:
        """Read it. Raises what `bad` makes, with the line."""
        codes = {}
        for name, default in _CODES.items():
            text = element.said(name)
            code = default if text is None else whole_number(text)
            if code is None:
                raise bad(element.line, name, "A whole number was expected")
            codes[name] = code
        if abs(codes["powerOfTenMultiplier"]) > _MULTIPLIER_MAX or not 0 <= codes["intervalLength"] < 1 << 31:
            raise bad(element.line, "powerOfTenMultiplier, intervalLength", "This is out of what ESPI allows")
        return cls(element.line, *codes.values())

    @property
    def not_kept(self) -> str:
        """What is left out of a feed because no series of ours has it; "" of what is kept."""
        return NOT_KEPT.get(self.uom, "")

    def own_key(self, name: str, categories: dict[str, str], bad: Bad) -> SeriesKey:
        """Return the series that our own title and categories say; the codes must agree."""
        said = {
            scheme.removeprefix(CATEGORY): term for scheme, term in categories.items() if scheme.startswith(CATEGORY)
        }
        fictitious = said.get("fictitious", "false")
        try:
            key = key_from_name(
                name,
                granularity=said.get("granularity", ""),
                unit=said.get("unit", ""),
                fictitious=fictitious == "true",
            )
        except MailleError as error:
            raise bad("title, category", error.message) from None
        agrees = (self.uom, self.commodity, self.flow, self.accumulation) == (
            UNITS[key.unit][0],
            COMMODITIES[key.energy],
            FLOWS[key.direction],
            BEHAVIOUR[key.kind][0],
        )
        if not agrees or fictitious not in {"true", "false"}:
            raise bad("ReadingType", "The codes contradict the name of the series")
        return key

    def key(self, point: str, bad: Bad) -> SeriesKey:
        """Return the series of a feed of others, of the point that was named. Raises what `bad` makes."""
        energies = {1: "electricity", 2: "electricity", 7: "gas", 9: "water"}
        if self.commodity not in energies:
            raise bad("commodity", "Electricity, gas and water are known here")
        if self.flow not in {0, *FLOWS.values()}:
            raise bad("flowDirection", "Forward (1) and reverse (19) are known here")
        direction = "injection" if self.flow == FLOWS["injection"] else "consumption"
        kind, granularity, unit = self._kind(bad)
        register = ""
        if kind == "index" and energies[self.commodity] == "electricity":
            register = "EAI T" if direction == "injection" else "EAS T"
        try:
            return SeriesKey(point, energies[self.commodity], direction, kind, granularity, unit, register)
        except LocalError as error:
            raise bad(f"ReadingType, {error.field}", error.message) from None

    def _kind(self, bad: Bad) -> tuple[str, str, str]:
        """Return kind, granularity and unit."""
        units = {38: "W", 61: "VA", 72: "Wh", 42: "m3", 134: "l"}
        if self.uom not in units:
            raise bad("uom", "W, VA, Wh, m3 and litres are known here")
        unit, length = units[self.uom], self.interval_length
        if self.accumulation in {1, 3, 9}:
            return "index", "P1D", unit
        if unit == "VA" or self.qualifier == 8:
            return "max_power", "P1D", unit
        if length in _LONG or length > _DAY:
            return "daily", _LONG.get(length, "P1M"), unit
        if length <= 0 or length % 60 or unit not in {"W", "Wh"}:
            raise bad("intervalLength", "Steps are whole minutes; gas and water come by the day or coarser")
        return "load_curve", f"PT{length // 60}M", "W"


_CODES: Final = {
    "uom": None,
    "commodity": None,
    "accumulationBehaviour": 0,
    "dataQualifier": 0,
    "flowDirection": 0,
    "intervalLength": 0,
    "powerOfTenMultiplier": 0,
}
"""Element -> its code where it is absent; None: it is required."""


def scaled(key: SeriesKey, type_: ReadingType, value: int, duration: int) -> Value:
    """Return a value in the unit of its series; None where no decimal of 18 places says it exactly."""
    exact = Decimal(value).scaleb(type_.multiplier - UNITS[key.unit][1])
    if key.kind == "load_curve" and type_.uom == UNITS["Wh"][0]:
        if duration <= 0:
            return None
        quotient = exact * 3_600 / duration
        if quotient * duration != exact * 3_600:
            return None
        exact = quotient
    return plain(exact)
