"""The `meta` of Quoalise: which device, what it measures, how finely; in its present form and the older one.

How it works
    A map of texts and maps, as the JSON twin has it; XML's attributes and children are the same. The older form nests
    <physical quantity type unit/><business graph direction/><aggregate type/><sampling interval/> in the measurement,
    its interval in seconds. What is read is held against the series' name (`Meta.agree`), so no second truth stands.

What it does not do
    It reads no records: `node.adapters.quoalise` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ledger.errors import RemoteError
from node.adapters.enedis_time import DAY, meanings
from node.adapters.senml_records import description
from node.adapters.stamps import shown
from node.series_key import SeriesKey, granularity_seconds

Bad = Callable[[str, str], RemoteError]
"""(field, sentence without its full stop) -> the error that refuses the file."""

_NAMES: Final = {
    "load_curve": "active-power",
    "daily": "active-energy",
    "index": "active-energy-index",
    "max_power": "apparent-power",
}
_DEVICES: Final = {
    "electricity": ("electricity-meter", "enedis", "electrical"),
    "gas": ("gas-meter", "grdf", "gas"),
    "water": ("water-meter", "distributor", "water"),
}
_REMARKS: Final = ("subtype", "estimated", "pricing")
_KNOWN: Final = frozenset(
    {
        *("name", "direction", "quantity", "type", "unit", "aggregation", "sampling-interval", "corrected"),
        *("fictitious", "physical", "business", "aggregate", "sampling", *_REMARKS),
    }
)
_AGGREGATES: Final = {"average": "mean", "mean": "mean", "sum": "sum", "max": "max", "maximum": "max", "none": "none"}
_DIRECTIONS: Final = frozenset({"consumption", "production"})
_POINT: Final = re.compile(r"[0-9A-Za-z-]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Meta:
    """What meta says; "" where it does not say. `granularity`: ISO 8601. `remarks`: how many were left out."""

    point: str
    direction: str
    quantity: str
    unit: str
    aggregation: str
    granularity: str
    fictitious: bool = False
    remarks: int = 0

    @classmethod
    def of(cls, key: SeriesKey, granularity: str) -> Meta:
        """Return the meta of a series, or of a stretch of it with a step of its own."""
        quantity, direction, aggregation = description(key)
        return cls(key.point, direction, quantity, key.unit, aggregation, granularity, key.fictitious)

    def as_map(self) -> dict[str, Any]:
        """Return it as XML and JSON have it."""
        scheme, _, number = self.point.partition(":")
        energy = {"prm": "electricity", "pce": "gas"}.get(scheme, "water")
        device, authority, kind = _DEVICES[energy]
        by_words = {("power", "mean"): "load_curve", ("power", "max"): "max_power"}
        default = "daily" if self.aggregation == "sum" else "index"
        measurement = {
            "name": _NAMES[by_words.get((self.quantity, self.aggregation), default)],
            "direction": self.direction,
            "quantity": self.quantity,
            "type": kind,
            "unit": self.unit,
            "aggregation": self.aggregation,
            "sampling-interval": self.granularity,
            **({"fictitious": "true"} if self.fictitious else {}),
        }
        identifier = {"authority": authority, "type": scheme, "value": number}
        return {"device": {"type": device, "identifier": identifier}, "measurement": measurement}

    def agree(self, key: SeriesKey, bad: Bad) -> None:
        """Hold it against the series that a record's name says. Raises what `bad` makes."""
        for name, own, truth in zip(
            ("quantity", "direction", "aggregation"),
            (self.quantity, self.direction, self.aggregation),
            description(key),
            strict=True,
        ):
            if own and own != truth:
                raise bad(f"meta, {name}", "The meta contradicts the name of the series")
        if self.point and self.point != key.point:
            raise bad("meta, identifier", "The meta is of another device than the series")
        if self.unit and self.unit != key.unit:
            raise bad("meta, unit", "The meta contradicts the unit of the records")


def meta_of(value: Mapping[str, Any], bad: Bad) -> Meta:
    """Read a meta of either form. Raises what `bad` makes, with the field."""
    measurement = _map(value, "measurement", bad)
    if not measurement.keys() <= _KNOWN:
        raise bad("measurement", "The measurement has a field that is not known here")
    identifier = _map(_map(value, "device", bad), "identifier", bad)
    physical, business = _map(measurement, "physical", bad), _map(measurement, "business", bad)
    aggregate, sampling = _map(measurement, "aggregate", bad), _map(measurement, "sampling", bad)
    scheme, number = _text(identifier, "type", bad), _text(identifier, "value", bad)
    if identifier and (scheme not in {"prm", "pce", "water"} or not _POINT.fullmatch(number)):
        raise bad("identifier", "A device is identified by a prm, a pce or a water meter")
    aggregation = _text(measurement, "aggregation", bad) or _text(aggregate, "type", bad)
    if aggregation and aggregation not in _AGGREGATES:
        raise bad("aggregation", f"An aggregation is {' | '.join(_AGGREGATES)}")
    direction = _text(measurement, "direction", bad) or _text(business, "direction", bad)
    if direction and direction not in _DIRECTIONS:
        raise bad("direction", "A direction is consumption or production")
    fictitious = _text(measurement, "fictitious", bad)
    if fictitious not in {"", "true", "false"}:
        raise bad("fictitious", "fictitious is true or false")
    return Meta(
        f"{scheme}:{number}" if identifier else "",
        direction,
        _text(measurement, "quantity", bad) or _text(physical, "quantity", bad),
        _text(measurement, "unit", bad) or _text(physical, "unit", bad),
        _AGGREGATES.get(aggregation, ""),
        _granularity(_text(measurement, "sampling-interval", bad) or _text(sampling, "interval", bad), bad),
        fictitious == "true",
        sum(name in measurement for name in _REMARKS),
    )


def period(start: int, granularity: str) -> int:
    """Return the seconds from a start to the end of its period: of a day, to the same hour of the next in Paris.

    Months and years are nominal unless they begin at a first of the month, in Paris.
    """
    step = granularity_seconds(granularity) or 0
    if step < DAY:
        return step
    clock = shown(start)
    if granularity == "P1D":
        return _moment(clock + DAY) - start
    at = datetime.fromtimestamp(clock, UTC)
    if at.day != 1 or (granularity == "P1Y" and at.month != 1):
        return step
    later = (1, at.year + 1) if granularity == "P1Y" or at.month == 12 else (at.month + 1, at.year)
    return _moment(int(at.replace(month=later[0], year=later[1]).timestamp())) - start


def _moment(clock: int) -> int:
    return (meanings(clock) or meanings(clock + 3_600))[0]


def _granularity(text: str, bad: Bad) -> str:
    """Return an interval as our series have it: "PT30M" or seconds, as the older form has them."""
    if text.isascii() and text.isdecimal() and len(text) < 9 and int(text) % 60 == 0:
        text = "P1D" if int(text) == DAY else f"PT{int(text) // 60}M"
    text = {"PT1H": "PT60M", "PT24H": "P1D"}.get(text, text)
    if granularity_seconds(text) is None:
        raise bad("sampling-interval", "A sampling interval is a duration such as PT30M or P1D")
    return text


def _map(value: Mapping[str, Any], name: str, bad: Bad) -> Mapping[str, Any]:
    found = value.get(name, {})
    if not isinstance(found, dict):
        raise bad(name, "A group of fields was expected")
    return found


def _text(value: Mapping[str, Any], name: str, bad: Bad) -> str:
    found = value.get(name, "")
    if not isinstance(found, str) or len(found) > 100:
        raise bad(name, "A short text was expected")
    return found
