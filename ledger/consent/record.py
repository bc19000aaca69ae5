"""The sealed half of a consent record: its fields, their slots, and `Terms`, which holds them (consent.md §1).

How it works
    `FIELDS` is the one table, in slot order: field n of the table is hidden in slot n of the grant's payload
    (disclosure). `Terms` is the same as a typed value. A `Terms` that exists is in shape and consistent: its
    points are meters of its energy, its windows are in order, daily totals are not a load curve in disguise.
    A field that does not apply holds null, nothing or an empty text; it is disclosed like any other. Leaving it
    out would let someone who hides a limit pass it off as one that was never set.

What it does not do
    What stands in clear on the ledger (holder, recipient, end, notice) is in grant. A `Terms` may fail to inform
    the person: grant.missing_information tells. Field names follow ISO/IEC TS 27560.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from ledger.consent.granularity import DURATION, Unit, parse_duration
from ledger.consent.kinds import RIGHTS, SLOT_COUNT
from ledger.errors import LocalError, RemoteError
from ledger.schema import PARTY
from ledger.shapes import (
    Field,
    Shape,
    constant,
    either,
    integer,
    list_of,
    octets,
    one_of,
    record,
    text,
    tuple_of,
    wrong_field,
)

SCHEMA: Final = 1
"""The version of the slot table; it stands in clear in each grant. Another table is another schema."""

ENERGIES: Final = ("electricity", "gas", "water", "heat")
DIRECTIONS: Final = ("consumption", "production")
SERIES_KINDS: Final = ("index", "daily", "load_curve", "max_power")
"""Kinds of data that are rows over time, and so have a granularity."""
KINDS_OF_DATA: Final = (*SERIES_KINDS, "contract", "technical")
LEGAL_BASES: Final = (
    "consent",
    "contract",
    "legal_obligation",
    "vital_interests",
    "public_interest",
    "legitimate_interest",
)
PRINCIPAL_ROLES: Final = (
    "contract_holder",
    "household_member",
    "organisation",
    "guardian",
    "carer",
    "trustee",
)
SHARING_MODES: Final = ("none", "listed", "depth")
POINT_SCHEMES: Final = {"prm": "electricity", "pce": "gas", "water": "water", "heat": "heat"}
"""How the name of a point begins, and the energy it meters."""

POINTS_MAX: Final = 1_000
WINDOWS_MAX: Final = 32
ACTORS_MAX: Final = 16
HOME_FEEDS_MAX: Final = 2
DEPTH_MAX: Final = 8
DATE_MAX: Final = 253_402_300_799  # unix seconds: the last of the year 9999
_POINT: Final = re.compile(r"(?:(?:prm|pce):[0-9]{14}|(?:water|heat):[0-9A-Za-z._-]{1,32})", re.ASCII)

Window: TypeAlias = tuple[int, int]
"""[start, stop) in unix seconds."""


class DataKind(NamedTuple):
    """A category of data: which energy, which direction, which kind. Two are the same or they are not."""

    energy: str
    direction: str
    kind: str


@dataclass(frozen=True, slots=True)
class Actor:
    """A party as the person is shown it. `party`: its key id and incarnation, where it is known to the mesh."""

    name: str
    role: str
    contact: str = ""
    party: tuple[bytes, int] | None = None

    def value(self) -> dict[str, Any]:
        """Return it as a CBOR map."""
        party = None if self.party is None else list(self.party)
        return {"name": self.name, "role": self.role, "contact": self.contact, "party": party}

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Actor:
        """Read what `value` wrote, once its shape was checked."""
        party = value["party"]
        return cls(value["name"], value["role"], value["contact"], None if party is None else tuple(party))


@dataclass(frozen=True, slots=True)
class OnwardSharing:
    """Whether the recipient may share further: with nobody, with the `listed`, or along `depth` more steps.

    `aggregate_only`: only threshold-checked aggregates. `source_contract`: a contract that may forbid it all.
    """

    mode: str = "none"
    depth: int = 0
    listed: tuple[Actor, ...] = ()
    aggregate_only: bool = False
    source_contract: str = ""

    def value(self) -> dict[str, Any]:
        """Return it as a CBOR map."""
        listed = [actor.value() for actor in self.listed]
        return {
            "mode": self.mode,
            "depth": self.depth,
            "listed": listed,
            "aggregate_only": self.aggregate_only,
            "source_contract": self.source_contract,
        }

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> OnwardSharing:
        """Read what `value` wrote, once its shape was checked."""
        listed = tuple(map(Actor.read, value["listed"]))
        return cls(value["mode"], value["depth"], listed, value["aggregate_only"], value["source_contract"])


@dataclass(frozen=True, slots=True)
class Rights:
    """The person's rights, each with how to use it; an empty text says that she was not told."""

    access: str = ""
    rectification: str = ""
    objection: str = ""
    erasure: str = ""
    portability: str = ""


@dataclass(frozen=True, slots=True)
class Stages:
    """The three switches of a smart meter, each by itself: local recording, upload, transmission to others."""

    local: bool
    upload: bool
    transmit: bool


STAGES: Final = ("local", "upload", "transmit")


def _open_text(length_max: int) -> Shape:
    return either(text(length_max), constant("", '""'))


def _actors(roles: tuple[str, ...], low: int) -> Shape:
    actor = record(
        {
            "name": Field(text(200)),
            "role": Field(one_of(*roles)),
            "contact": Field(_open_text(200)),
            "party": Field(either(PARTY, _NULL)),
        }
    )
    return list_of(actor, low, ACTORS_MAX)


_NULL: Final = Shape(lambda value: value is None, "null", "null")
_BOOL: Final = Shape(lambda value: type(value) is bool, "true or false", "bool")
_DATE: Final = integer(0, DATE_MAX)
POINT_NAME: Final = Shape(
    lambda value: type(value) is str and _POINT.fullmatch(value) is not None,
    '"prm:" or "pce:" and 14 digits, or "water:" or "heat:" and a name',
    "tstr .size (5..40)",
)

FIELDS: Final[dict[str, Field]] = {
    "purpose": Field(_open_text(300)),
    "purpose_category": Field(text(100)),  # a term of the W3C Data Privacy Vocabulary
    "legal_basis": Field(one_of(*LEGAL_BASES)),
    "points": Field(list_of(POINT_NAME, 1, POINTS_MAX)),
    "pii_type": Field(either(tuple_of(one_of(*ENERGIES), one_of(*DIRECTIONS), one_of(*KINDS_OF_DATA)), _NULL)),
    "granularity": Field(either(DURATION, _NULL)),
    "data_period": Field(list_of(tuple_of(_DATE, _DATE), 1, WINDOWS_MAX)),
    "access_period": Field(tuple_of(_DATE, either(_DATE, _NULL))),
    "controllers": Field(_actors(("controller", "joint_controller"), 1)),
    "processors": Field(_actors(("processor", "sub_processor"), 0)),
    "recipients": Field(_actors(("recipient", "category"), 0)),
    "onward_sharing": Field(
        record(
            {
                "mode": Field(one_of(*SHARING_MODES)),
                "depth": Field(integer(0, DEPTH_MAX)),
                "listed": Field(_actors(("recipient", "category"), 0)),
                "aggregate_only": Field(_BOOL),
                "source_contract": Field(_open_text(200)),
            }
        )
    ),
    "retention": Field(DURATION),  # how long after the end the recipient may keep what it received
    "storage": Field(text(300)),
    "jurisdiction": Field(text(100)),
    "withdrawal_method": Field(_open_text(500)),
    "rights": Field(record({name: Field(_open_text(500)) for name in RIGHTS})),
    "authority": Field(text(200)),
    "dpo_contact": Field(text(200)),
    "stages": Field(record({name: Field(_BOOL) for name in STAGES})),
    "freshness": Field(
        either(
            constant("quorum", '"quorum"'),
            record({"home": Field(list_of(octets(32), 1, HOME_FEEDS_MAX))}),
        )
    ),
    "principal_role": Field(one_of(*PRINCIPAL_ROLES)),
    "computation": Field(either(octets(32), _NULL)),
}
"""The sealed fields of schema 1, in slot order, with the shape of each."""

SLOTS: Final[dict[str, int]] = {name: slot for slot, name in enumerate(FIELDS)}
"""Field -> slot. The slots beyond (one of `SLOT_COUNT` in schema 1) are reserved, and hold decoys."""

FREE_SLOTS: Final = SLOT_COUNT - len(SLOTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The sealed fields of one consent: one purpose, one kind and granularity of data, one recipient.

    `points`: "prm:14 digits", "pce:14 digits", "water:…", "heat:…". `granularity`: the finest allowed, None for
    data that are no series. `data_period`: which data, as windows in order. `access_period`: when they may be
    had, [from, until or None for the grant's own end). `processors`: in chain order. `recipients`: the one
    recipient or its category; more only where onward sharing allows them. `freshness`: () asks for the quorum,
    one or two feed ids for these homes. `computation`: hash of the named computation whose result alone may go.

    Raises LocalError TERMS_INVALID with the field when made with values that are out of shape or at odds.
    """

    purpose: str
    purpose_category: str
    legal_basis: str
    points: tuple[str, ...]
    pii_type: DataKind | None
    granularity: str | None
    data_period: tuple[Window, ...]
    access_period: tuple[int, int | None]
    controllers: tuple[Actor, ...]
    recipients: tuple[Actor, ...]
    retention: str
    storage: str
    jurisdiction: str
    withdrawal_method: str
    rights: Rights
    authority: str
    dpo_contact: str
    stages: Stages
    principal_role: str
    processors: tuple[Actor, ...] = ()
    onward_sharing: OnwardSharing = OnwardSharing()
    freshness: tuple[bytes, ...] = ()
    computation: bytes | None = None

    def __post_init__(self) -> None:
        """Check every field, and the fields against one another."""
        fault = _shape_fault(self.values()) or _conflict(self)
        if fault is not None:
            raise LocalError("TERMS_INVALID", fault[1], field=fault[0])

    def values(self) -> dict[str, Any]:
        """Return every field as a CBOR value, in slot order."""
        return {
            "purpose": self.purpose,
            "purpose_category": self.purpose_category,
            "legal_basis": self.legal_basis,
            "points": list(self.points),
            "pii_type": None if self.pii_type is None else list(self.pii_type),
            "granularity": self.granularity,
            "data_period": [list(window) for window in self.data_period],
            "access_period": list(self.access_period),
            "controllers": [actor.value() for actor in self.controllers],
            "processors": [actor.value() for actor in self.processors],
            "recipients": [actor.value() for actor in self.recipients],
            "onward_sharing": self.onward_sharing.value(),
            "retention": self.retention,
            "storage": self.storage,
            "jurisdiction": self.jurisdiction,
            "withdrawal_method": self.withdrawal_method,
            "rights": {name: getattr(self.rights, name) for name in RIGHTS},
            "authority": self.authority,
            "dpo_contact": self.dpo_contact,
            "stages": {name: getattr(self.stages, name) for name in STAGES},
            "freshness": {"home": list(self.freshness)} if self.freshness else "quorum",
            "principal_role": self.principal_role,
            "computation": self.computation,
        }

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Terms:
        """Read what `values()` wrote. Raises RemoteError TERMS_INVALID with the field."""
        fault = _shape_fault(values)
        if fault is not None:
            raise RemoteError("TERMS_INVALID", fault[1], field=fault[0])
        try:
            terms = cls(**{name: _READERS[name](value) for name, value in values.items()})
        except LocalError as error:
            raise RemoteError(error.code, error.message, field=error.field) from None
        # A key that nobody reads would be a place for a second truth: schema 1 has none to spare.
        for name, value in terms.values().items():
            if value != values[name]:
                raise RemoteError("TERMS_INVALID", "this field holds what schema 1 does not know", field=name)
        return terms


def _same(value: Any) -> Any:
    return value


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(FIELDS, _same),
    "points": tuple,
    "pii_type": lambda value: None if value is None else DataKind(*value),
    "data_period": lambda value: tuple(map(tuple, value)),
    "access_period": tuple,
    **dict.fromkeys(("controllers", "processors", "recipients"), lambda value: tuple(map(Actor.read, value))),
    "onward_sharing": OnwardSharing.read,
    "rights": lambda value: Rights(*(value[name] for name in RIGHTS)),
    "stages": lambda value: Stages(*(value[name] for name in STAGES)),
    "freshness": lambda value: () if value == "quorum" else tuple(value["home"]),
}


def _shape_fault(values: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in values:
        if name not in FIELDS:
            return name, "schema 1 has no such field"
    name_at_fault = wrong_field(FIELDS, values)
    if name_at_fault is None:
        return None
    if name_at_fault not in values:
        return name_at_fault, "this field is required and missing"
    return name_at_fault, f"this field must be {FIELDS[name_at_fault].shape.words}"


def _same_actor(one: Actor, other: Actor) -> bool:
    """Say whether two actors are one party: by key where both are known to the mesh, else by name."""
    if one.party is not None and other.party is not None:
        return one.party[0] == other.party[0]
    return one.name == other.name


def _conflict(terms: Terms) -> tuple[str, str] | None:
    """Return the first field that is at odds with another, and the rule it breaks."""
    if len(set(terms.points)) != len(terms.points):
        return "points", "a point is named once"
    if terms.pii_type is not None:
        for point in terms.points:
            if POINT_SCHEMES[point.partition(":")[0]] != terms.pii_type.energy:
                return "points", f"a point of another energy than {terms.pii_type.energy}: one fluid a grant"
    stop_before = -1
    for start, stop in terms.data_period:
        if not stop_before <= start < stop:
            return "data_period", "windows are [start, stop) with start before stop, in order, without overlap"
        stop_before = stop
    begin, until = terms.access_period
    if until is not None and until <= begin:
        return "access_period", "it must end after it begins"
    if terms.processors and terms.processors[0].role != "processor":
        return "processors", "the chain begins with a processor; sub-processors follow"
    if any(_same_actor(one, other) for one in terms.processors for other in terms.controllers):
        return "processors", "whoever acts for a controller has no purpose of its own: it is not a controller too"
    sharing = terms.onward_sharing
    if (sharing.mode == "depth") != (sharing.depth > 0) or (sharing.mode == "listed") != bool(sharing.listed):
        return "onward_sharing", "mode depth goes with a depth, mode listed with a list, none with neither"
    if len(terms.recipients) > 1 and sharing.mode == "none":
        return "recipients", "a grant has one recipient; name others only where onward sharing allows them"
    return _granularity_conflict(terms)


def _granularity_conflict(terms: Terms) -> tuple[str, str] | None:
    if terms.pii_type is None or terms.granularity is None:
        return None  # the person was not told the category: grant.missing_information says so
    if terms.pii_type.kind not in SERIES_KINDS:
        return "granularity", f"data of kind {terms.pii_type.kind} are no series and have none"
    # A "daily" total each half hour would be the load curve under another name.
    if terms.pii_type.kind == "daily" and parse_duration(terms.granularity).unit is Unit.SECOND:
        return "granularity", "daily totals come by the day or coarser"
    return None
