"""What a delegate may grant: the sealed half of a delegation, in eight slots, null where nothing is bounded.

How it works
    `Bounds` is the typed value; `FIELDS` its table in slot order, hidden like the fields of a consent (disclosure).
    `beyond` names the fields in which a grant goes beyond bounds, `wider_bounds` those in which bounds further down a
    chain do: each link may only attenuate.

What it does not do
    It knows no chain, no end and no depth of links: those stand in clear (delegation).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger.consent.grant import Recipient, RecipientClass, plain, window_within
from ledger.consent.granularity import DURATION, covers, parse_duration
from ledger.consent.kinds import BOUND_COUNT
from ledger.consent.record import (
    DATE_MAX,
    DEPTH_MAX,
    DIRECTIONS,
    ENERGIES,
    KINDS_OF_DATA,
    POINT_NAME,
    POINTS_MAX,
    WINDOWS_MAX,
    DataKind,
    Terms,
    Window,
)
from ledger.consent.status import Party
from ledger.errors import LocalError, RemoteError
from ledger.schema import NULL, PARTY
from ledger.shapes import Field, either, integer, list_of, one_of, text, tuple_of, wrong_field

PURPOSES_MAX: Final = 32
RECIPIENTS_MAX: Final = 64
_DATE: Final = integer(0, DATE_MAX)
_KIND: Final = tuple_of(one_of(*ENERGIES), one_of(*DIRECTIONS), one_of(*KINDS_OF_DATA))

FIELDS: Final[dict[str, Field]] = {
    "points": Field(either(list_of(POINT_NAME, 1, POINTS_MAX), NULL)),
    "kinds": Field(either(list_of(_KIND, 1, 48), NULL)),
    "purposes": Field(either(list_of(text(300), 1, PURPOSES_MAX), NULL)),
    "recipients": Field(either(list_of(PARTY, 1, RECIPIENTS_MAX), NULL)),
    "granularity": Field(either(DURATION, NULL)),
    "data_period": Field(either(list_of(tuple_of(_DATE, _DATE), 1, WINDOWS_MAX), NULL)),
    "sharing_depth": Field(either(integer(0, DEPTH_MAX), NULL)),
}
"""The sealed fields of a delegation, in slot order; the slots beyond are reserved, and hold decoys."""

SLOTS: Final[dict[str, int]] = {name: slot for slot, name in enumerate(FIELDS)}
FREE_SLOTS: Final = BOUND_COUNT - len(SLOTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a delegate may grant. None: anything. `granularity`: the finest; `data_period`: windows in order.

    `purposes`: as the terms of a grant name them, by purpose or category. `recipients`: parties of the mesh; a class
    is none of them. `sharing_depth`: steps of onward sharing that a grant may allow; a list of others counts as one.

    Raises LocalError BOUNDS_INVALID with the field.
    """

    points: frozenset[str] | None = None
    kinds: frozenset[DataKind] | None = None
    purposes: frozenset[str] | None = None
    recipients: frozenset[Party] | None = None
    granularity: str | None = None
    data_period: tuple[Window, ...] | None = None
    sharing_depth: int | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        name = wrong_field(FIELDS, self.values())
        if name is not None:
            raise LocalError("BOUNDS_INVALID", f"this bound must be {FIELDS[name].shape.words}", field=name)
        stop_before = -1
        for start, stop in self.data_period or ():
            if not stop_before <= start < stop:
                told = "windows are [start, stop) with start before stop, in order, without overlap"
                raise LocalError("BOUNDS_INVALID", told, field="data_period")
            stop_before = stop

    def values(self) -> dict[str, Any]:
        """Return every field as a CBOR value, in slot order; sets are sorted."""
        windows = self.data_period
        return {
            "points": _sorted(self.points),
            "kinds": _sorted(self.kinds),
            "purposes": _sorted(self.purposes),
            "recipients": _sorted(self.recipients),
            "granularity": self.granularity,
            "data_period": None if windows is None else [list(window) for window in windows],
            "sharing_depth": self.sharing_depth,
        }

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Bounds:
        """Read what `values()` wrote. Raises RemoteError BOUNDS_INVALID with the field."""
        name = wrong_field(FIELDS, values) or next((name for name in values if name not in FIELDS), None)
        if name is not None:
            raise RemoteError("BOUNDS_INVALID", "this bound is missing, unknown or out of shape", field=name)
        kinds, parties, windows = values["kinds"], values["recipients"], values["data_period"]
        try:
            bounds = cls(
                points=_set(values["points"]),
                kinds=None if kinds is None else frozenset(DataKind(*kind) for kind in kinds),
                purposes=_set(values["purposes"]),
                recipients=None if parties is None else frozenset((ident, number) for ident, number in parties),
                granularity=values["granularity"],
                data_period=None if windows is None else tuple((start, stop) for start, stop in windows),
                sharing_depth=values["sharing_depth"],
            )
        except LocalError as error:
            raise RemoteError(error.code, error.message, field=error.field) from None
        for name, value in bounds.values().items():
            if value != values[name]:
                raise RemoteError("BOUNDS_INVALID", "this bound is not written as it must be", field=name)
        return bounds


def _sorted(values: Iterable[Any] | None) -> list[Any] | None:
    if values is None:
        return None
    return [value if type(value) is str else list(value) for value in sorted(values)]


def _set(values: list[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def beyond(terms: Terms, recipient: Recipient, bounds: Bounds) -> tuple[str, ...]:
    """Return the bounds that a grant of these terms to this recipient goes beyond. Empty: the delegate may grant it."""
    names = {plain(terms.purpose), plain(terms.purpose_category)}
    sharing = terms.onward_sharing
    depth = {"none": 0, "listed": 1, "depth": sharing.depth}[sharing.mode]
    within = {
        "points": bounds.points is None or bounds.points.issuperset(terms.points),
        "kinds": bounds.kinds is None or terms.pii_type in bounds.kinds,
        "purposes": bounds.purposes is None or not names.isdisjoint(map(plain, bounds.purposes)),
        "recipients": bounds.recipients is None
        or (not isinstance(recipient, RecipientClass) and recipient in bounds.recipients),
        "granularity": terms.granularity is None or _as_coarse(terms.granularity, bounds.granularity),
        "data_period": bounds.data_period is None
        or all(window_within(window, bounds.data_period) for window in terms.data_period),
        "sharing_depth": bounds.sharing_depth is None or depth <= bounds.sharing_depth,
    }
    return tuple(name for name, inside in within.items() if not inside)


def wider_bounds(inner: Bounds, outer: Bounds) -> tuple[str, ...]:
    """Return the fields in which `inner` bounds allow anything that `outer` do not. Empty: they attenuate."""
    inner_purposes = None if inner.purposes is None else frozenset(map(plain, inner.purposes))
    outer_purposes = None if outer.purposes is None else frozenset(map(plain, outer.purposes))
    windows = inner.data_period
    within = {
        "points": _within(inner.points, outer.points),
        "kinds": _within(inner.kinds, outer.kinds),
        "purposes": _within(inner_purposes, outer_purposes),
        "recipients": _within(inner.recipients, outer.recipients),
        "granularity": outer.granularity is None
        or (inner.granularity is not None and _as_coarse(inner.granularity, outer.granularity)),
        "data_period": outer.data_period is None
        or (windows is not None and all(window_within(window, outer.data_period) for window in windows)),
        "sharing_depth": outer.sharing_depth is None
        or (inner.sharing_depth is not None and inner.sharing_depth <= outer.sharing_depth),
    }
    return tuple(name for name, inside in within.items() if not inside)


def _within(inner: frozenset[Any] | None, outer: frozenset[Any] | None) -> bool:
    return outer is None or (inner is not None and inner <= outer)


def _as_coarse(asked: str, finest: str | None) -> bool:
    return finest is None or covers(parse_duration(finest), parse_duration(asked))
