"""What lies within what, on disclosed values: a grant within bounds, bounds within bounds, terms within terms.

How it works
    The gate compares whole consents (ledger.consent.grant, bounds). An auditor has the fields that somebody chose to
    disclose: each comparison here looks at the values it needs, and says apart which fields are wider and which are
    hidden. Where all is disclosed, both come to the same.

What it does not do
    It holds no value to a digest (resting) and knows no shapes: the values have passed theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.consent import bounds as limits
from ledger.consent.grant import OWN_INFORMATION, plain, window_within
from ledger.consent.granularity import covers, parse_duration
from ledger.consent.record import FIELDS

Values = Mapping[str, Any]
"""Field -> disclosed CBOR value."""
Compare = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found: the fields that are wider, and those that are hidden on either side."""

    wider: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


NARROWED: Final = ("purpose", "pii_type", "points", "granularity", "data_period", "access_period")
"""Fields that an amendment must disclose where its grant does: what they leave is told, and held against transfers."""


def beyond(values: Values, recipient: Sequence[Any], bounds: Values) -> Compared:
    """Return the bounds that a grant of these values to this recipient (as in its payload) goes beyond."""
    tests: dict[str, tuple[tuple[str, ...], Callable[[Any], bool]]] = {
        "points": (("points",), lambda bound: set(values["points"]) <= set(bound)),
        "kinds": (("pii_type",), lambda bound: values["pii_type"] in bound),
        "purposes": (("purpose", "purpose_category"), lambda bound: bool(_purposes(values) & _plain(bound))),
        "recipients": ((), lambda bound: list(recipient) in bound),
        "granularity": (("granularity",), lambda bound: values["granularity"] is None or coarse(values, bound)),
        "data_period": (("data_period",), lambda bound: _windows(values["data_period"], bound)),
        "sharing_depth": (("onward_sharing",), lambda bound: _depth(values["onward_sharing"]) <= bound),
    }
    wider, hidden = [], []
    for name, (needed, within) in tests.items():
        if name not in bounds or (bounds[name] is not None and any(each not in values for each in needed)):
            hidden.append(name)
        elif bounds[name] is not None and not within(bounds[name]):
            wider.append(name)
    return Compared(tuple(wider), tuple(hidden))


def wider_bounds(inner: Values, outer: Values) -> Compared:
    """Return the fields in which `inner` bounds allow anything that `outer` do not."""
    tests: dict[str, Compare] = {
        **dict.fromkeys(("points", "recipients", "kinds"), _subset),
        "purposes": lambda one, other: _plain(one) <= _plain(other),
        "granularity": _as_coarse,
        "data_period": _windows,
        "sharing_depth": lambda one, other: bool(one <= other),
    }
    hidden = [name for name in limits.FIELDS if name not in inner or name not in outer]
    known = [name for name in limits.FIELDS if name not in hidden and outer[name] is not None]
    wider = [name for name in known if inner[name] is None or not tests[name](inner[name], outer[name])]
    return Compared(tuple(wider), tuple(hidden))


def wider_terms(inner: Values, outer: Values, spared: Collection[str]) -> Compared:
    """Return the fields in which `inner` terms allow anything that `outer` do not. `spared`: fields not compared."""
    names = [name for name in FIELDS if name not in spared and name != "principal_role"]
    hidden = [name for name in names if name not in inner or name not in outer]
    known = [name for name in names if name not in hidden]
    wider = [name for name in known if not _TERMS.get(name, _same)(inner[name], outer[name])]
    return Compared(tuple(wider), tuple(hidden))


def passes_on(sharing: Values, recipient: Sequence[Any], parent: Values) -> bool:
    """Say whether a parent's `onward_sharing` lets data go on to this recipient under a child with its own."""
    if parent["mode"] == "none" or parent["aggregate_only"]:
        return False
    if parent["source_contract"] and sharing["source_contract"] != parent["source_contract"]:
        return False
    if parent["mode"] == "listed":
        inside = len(recipient) == 2 and any(actor["party"] == list(recipient) for actor in parent["listed"])
        same = sharing["mode"] == "listed" and _subset(sharing["listed"], parent["listed"])
        return inside and (sharing["mode"] == "none" or same)
    return sharing["mode"] == "none" or bool(sharing["mode"] == "depth" and sharing["depth"] < parent["depth"])


OF_PARENT: Final = frozenset(OWN_INFORMATION)
"""Fields in which a child differs from its parent by its nature."""
OF_CALL: Final = frozenset({"points"})
"""A call says what is asked of all; whose points they are is each member's own."""


def hull(windows: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return the first second of windows, and the one after the last."""
    return min(one[0] for one in windows), max(one[1] for one in windows)


def nothing_left(values: Values, amendment: Values) -> tuple[str, ...]:
    """Return the fields of which an amendment leaves nothing."""
    both = [name for name in NARROWED if name in values and name in amendment]
    tests: dict[str, Compare] = {
        **dict.fromkeys(("purpose", "pii_type"), _same),
        "points": lambda one, other: any(point in other for point in one),
        "data_period": lambda one, other: hull(one)[0] < hull(other)[1] and hull(other)[0] < hull(one)[1],
    }
    return tuple(name for name in both if name in tests and not tests[name](values[name], amendment[name]))


def coarse(values: Values, finest: str) -> bool:
    """Say whether the granularity among these values is as coarse as `finest`."""
    return _as_coarse(values["granularity"], finest)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other)


def _subset(inner: Sequence[Any], outer: Sequence[Any]) -> bool:
    return all(item in outer for item in inner)


def _plain(names: Sequence[str]) -> set[str]:
    return {plain(name) for name in names}


def _purposes(values: Values) -> set[str]:
    return _plain((values["purpose"], values["purpose_category"]))


def _depth(sharing: Values) -> int:
    steps: dict[str, int] = {"none": 0, "listed": 1, "depth": sharing["depth"]}
    return steps[sharing["mode"]]


def _as_coarse(asked: str | None, finest: str | None) -> bool:
    if asked is None or finest is None:
        return asked == finest
    return covers(parse_duration(finest), parse_duration(asked))


def _windows(inner: Sequence[Sequence[int]], outer: Sequence[Sequence[int]]) -> bool:
    pairs = [(start, stop) for start, stop in outer]
    return all(window_within((start, stop), pairs) for start, stop in inner)


def _access(inner: Sequence[Any], outer: Sequence[Any]) -> bool:
    ends = outer[1] is None or (inner[1] is not None and inner[1] <= outer[1])
    return bool(inner[0] >= outer[0]) and ends


def _sharing(inner: Values, outer: Values) -> bool:
    if inner["mode"] == "none":
        return True
    same = inner["mode"] == outer["mode"] and inner["source_contract"] == outer["source_contract"]
    fewer = inner["depth"] <= outer["depth"] and _subset(inner["listed"], outer["listed"])
    return same and fewer and inner["aggregate_only"] >= outer["aggregate_only"]


def _freshness(inner: Any, outer: Any) -> bool:
    inside, outside = ([] if each == "quorum" else each["home"] for each in (inner, outer))
    return _subset(outside, inside)


_TERMS: Final[dict[str, Compare]] = {
    "points": _subset,
    "processors": _subset,
    "granularity": _as_coarse,
    "retention": lambda inner, outer: _as_coarse(outer, inner),
    "data_period": _windows,
    "access_period": _access,
    "onward_sharing": _sharing,
    "stages": lambda inner, outer: all(inner[name] <= outer[name] for name in ("local", "upload", "transmit")),
    "freshness": _freshness,
    "computation": lambda inner, outer: outer is None or inner == outer,
}
"""How a field lies within another one; those that are not here must be the same."""
