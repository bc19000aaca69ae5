"""What lies within what, by RULES.md ("Within"): values of grants, calls and delegations as they are disclosed.

How it works
    Each comparison returns (whether something is wider, whether something that is needed is hidden).

What it does not do
    It opens nothing (rests).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from tests.proofs.second.shapes import BOUNDS, FIELDS

Values = dict[str, Any]
Found = tuple[bool, bool]
INFORMATION: Final = {
    *("recipients", "controllers", "processors", "onward_sharing", "storage"),
    *("withdrawal_method", "rights", "authority", "dpo_contact"),
}
NARROWED: Final = ("purpose", "pii_type", "points", "granularity", "data_period", "access_period")
_NEEDS: Final[dict[str, list[str]]] = {
    "points": ["points"],
    "kinds": ["pii_type"],
    "purposes": ["purpose", "purpose_category"],
    "recipients": [],
    "granularity": ["granularity"],
    "data_period": ["data_period"],
    "sharing_depth": ["onward_sharing"],
}


def plain(text: str) -> str:
    """Fold a purpose."""
    return " ".join(text.split()).casefold()


def _seconds(text: str) -> tuple[str, int, int, int]:
    """Return (unit, count, shortest, longest) of a duration."""
    number, letter = int(re.sub(r"[^0-9]", "", text)), text[-1]
    if text[1] == "T":
        count = number * {"H": 3_600, "M": 60, "S": 1}[letter]
        return "s", count, count, count
    if letter in "WD":
        count = number * (7 if letter == "W" else 1)
        return "d", count, count * 86_400 - 3_600, count * 86_400 + 3_600
    count = number * (12 if letter == "Y" else 1)
    return "m", count, count * 28 * 86_400 - 3_600, count * 31 * 86_400 + 3_600


def coarse(asked: str | None, finest: str | None) -> bool:
    """Say whether a granularity is as coarse as another."""
    if asked is None or finest is None:
        return asked == finest
    one, other = _seconds(asked), _seconds(finest)
    return one[1] >= other[1] if one[0] == other[0] else one[2] >= other[3]


def windows(inner: list[Any], outer: list[Any]) -> bool:
    """Say whether each window lies in the others, walked in their order."""
    for reached, stop in inner:
        at, inside = reached, False
        for begin, end in outer:
            at = end if begin <= at < end else at
            inside = inside or at >= stop
        if not inside:
            return False
    return True


def subset(inner: list[Any], outer: list[Any]) -> bool:
    """Say whether each item is one of the others."""
    return all(each in outer for each in inner)


def _names(listed: Iterable[str]) -> set[str]:
    return {plain(each) for each in listed}


def _steps(sharing: Values) -> int:
    return {"none": 0, "listed": 1, "depth": int(sharing["depth"])}[sharing["mode"]]


def beyond(values: Values, recipient: list[Any], bounds: Values) -> Found:
    """Hold a grant to bounds."""
    hidden = wider = False
    for name, needed in _NEEDS.items():
        if name not in bounds:
            hidden = True
            continue
        bound = bounds[name]
        if bound is None:
            continue
        if not set(needed) <= values.keys():
            hidden = True
            continue
        match name:
            case "points":
                good = subset(values["points"], bound)
            case "kinds":
                good = values["pii_type"] in bound
            case "purposes":
                good = bool(_names([values["purpose"], values["purpose_category"]]) & _names(bound))
            case "recipients":
                good = recipient in bound
            case "granularity":
                good = values["granularity"] is None or coarse(values["granularity"], bound)
            case "data_period":
                good = windows(values["data_period"], bound)
            case _:
                good = _steps(values["onward_sharing"]) <= bound
        wider = wider or not good
    return wider, hidden


def attenuates(inner: Values, outer: Values) -> Found:
    """Hold bounds to those above."""
    hidden = wider = False
    for name in BOUNDS:
        if name not in inner or name not in outer:
            hidden = True
        elif outer[name] is not None:
            one, other = inner[name], outer[name]
            if one is None:
                wider = True
            elif name == "purposes":
                wider = wider or not _names(one) <= _names(other)
            elif name == "granularity":
                wider = wider or not coarse(one, other)
            elif name == "data_period":
                wider = wider or not windows(one, other)
            elif name == "sharing_depth":
                wider = wider or one > other
            else:
                wider = wider or not subset(one, other)
    return wider, hidden


def terms(inner: Values, outer: Values, spared: set[str]) -> Found:
    """Hold terms to terms."""
    hidden = wider = False
    for name in FIELDS:
        if name in spared or name == "principal_role":
            continue
        if name not in inner or name not in outer:
            hidden = True
        else:
            wider = wider or not _within(name, inner[name], outer[name])
    return wider, hidden


def _within(name: str, one: Any, other: Any) -> bool:
    match name:
        case "points" | "processors":
            return subset(one, other)
        case "granularity":
            return coarse(one, other)
        case "retention":
            return coarse(other, one)
        case "data_period":
            return windows(one, other)
        case "access_period":
            return one[0] >= other[0] and (other[1] is None or (one[1] is not None and one[1] <= other[1]))
        case "onward_sharing":
            same = one["mode"] == other["mode"] and one["source_contract"] == other["source_contract"]
            fewer = one["depth"] <= other["depth"] and subset(one["listed"], other["listed"])
            return one["mode"] == "none" or (same and fewer and (one["aggregate_only"] or not other["aggregate_only"]))
        case "stages":
            return all(other[each] or not one[each] for each in ("local", "upload", "transmit"))
        case "freshness":
            return subset(*([] if each == "quorum" else each["home"] for each in (other, one)))
        case "computation":
            return other is None or one == other
        case _:
            return bool(one == other)


def passes_on(own: Values, recipient: list[Any], rule: Values) -> bool:
    """Say whether a parent's onward sharing allows a child's recipient, and the child's own."""
    if rule["mode"] == "none" or rule["aggregate_only"]:
        return False
    if rule["source_contract"] not in ("", own["source_contract"]):
        return False
    if rule["mode"] == "depth":
        return own["mode"] == "none" or bool(own["mode"] == "depth" and own["depth"] < rule["depth"])
    if len(recipient) != 2 or recipient not in [each["party"] for each in rule["listed"]]:
        return False
    return own["mode"] == "none" or (own["mode"] == "listed" and subset(own["listed"], rule["listed"]))


def leaves_nothing(values: Values, amendment: Values) -> bool:
    """Say whether an amendment leaves nothing of purpose, kind of data, points or windows."""
    both = values.keys() & amendment.keys()
    if any(name in both and values[name] != amendment[name] for name in ("purpose", "pii_type")):
        return True
    if "points" in both and not any(each in amendment["points"] for each in values["points"]):
        return True
    if "data_period" not in both:
        return False
    (first, last), (start, stop) = hull(values["data_period"]), hull(amendment["data_period"])
    return not (first < stop and start < last)


def hull(listed: list[Any]) -> tuple[int, int]:
    """Return the first start and the last stop."""
    return min(each[0] for each in listed), max(each[1] for each in listed)
