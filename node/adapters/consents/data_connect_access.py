"""Enedis Data Connect: what says that a customer agreed to it, of each version; read as evidence.

How it works
    "2026": the answer of `/subscribed_services/v1`, services with their authorisation (`autorisation`), state
    (`etatCode`), kind, step and dates. v3 to v5: the answer of the token endpoint (`usage_points_id`, `scope`), which
    says which points and nothing else; and the notice of the Consometers' proxy, XML of the namespace
    https://consometers.org/dataconnect#authorize, with its usage points. Secrets of a token answer are not kept.

What it does not do
    It asks Enedis nothing. A list that may be null is a list of none: the file is refused as one that says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from node.adapters.adapter import Head, Source, refused
from node.adapters.consents.record import RECORDS_MAX, Foreign, Standing
from node.adapters.enedis_time import midnight
from node.adapters.stamps import clock_of, day_of, exact
from node.adapters.strict_json import Fields, document
from node.adapters.xml_events import elements

SYSTEM: Final = "enedis-data-connect"
CODE: Final = "BAD_SUBSCRIBED_SERVICES"
MAX_BYTES: Final = 16 << 20
"""Largest file, in bytes."""
STATES: Final = {"ACTIF": Standing.GIVEN, "DEMANDE": Standing.REQUESTED}
"""etatCode -> how a consent stands. Other codes are not documented: they are kept as they are, and stand as unknown."""
KINDS: Final = {"CDC": "load_curve", "ENERGIE": "daily", "IDX": "index", "PMAX": "max_power", "ITC": "technical"}
"""mesuresTypeCode -> kind of data."""
_AUTHORISATIONS: Final = frozenset({"EXPLICITE", "IMPLICITE", ""})
_GRANULARITY: Final = {"load_curve": "PT30M", "daily": "P1D", "index": "P1D", "max_power": "P1D"}
_STATE: Final = re.compile(r"[A-Z_]{1,40}", re.ASCII)
_WANTED: Final = frozenset({"x"})
_NOTICE: Final = frozenset({"usage-point", "usage-points", "state", "code", "message"})


def read(data: bytes, source: Source) -> Iterator[Foreign]:
    """Yield the records of a file of any version. Raises RemoteError BAD_SUBSCRIBED_SERVICES, BAD_XML."""
    if Head.of(data).kind == "xml":
        yield from _notice(data, source)
        return
    answer = document(data, source, CODE, MAX_BYTES)
    if "usage_points_id" in answer.values:
        yield from _token(answer)
        return
    if "serviceSouscrit" not in answer.values:
        raise answer.bad("serviceSouscrit", "This is no list of subscribed services, and no answer with a token")
    services = answer.objects("serviceSouscrit")
    if len(services) > RECORDS_MAX:
        raise answer.bad("serviceSouscrit", f"A list has at most {RECORDS_MAX} services")
    if answer.has("nbTotalServices") and answer.whole("nbTotalServices") != len(services):
        raise answer.bad("nbTotalServices", "The list does not have all the services that it counts; fetch the rest")
    yield from map(_service, services)


def _service(one: Fields) -> Foreign:
    authorisation = one.object("autorisation")
    if authorisation.text("autorisationType", "") not in _AUTHORISATIONS:
        raise authorisation.bad("autorisationType", "EXPLICITE or IMPLICITE was expected")
    state, kind = one.text("etatCode"), one.choice("mesuresTypeCode", KINDS)
    if _STATE.fullmatch(state) is None:
        raise one.bad("etatCode", "A state is a code of capital letters")
    standing = STATES.get(state, Standing.UNKNOWN)
    directions = [
        direction
        for name, direction in (("soutirage", "consumption"), ("injection", "production"))
        if one.flag(name, default=False)
    ]
    until = one.moment("dateFin", _time)
    return Foreign(
        system=SYSTEM,
        reference=authorisation.text("autorisationId", "") or one.text("id", ""),
        state=state,
        standing=standing,
        points=(f"prm:{_point(one, one.text('pointId'), 'pointId')}",),
        kinds=tuple(f"electricity/{direction}/{kind}" for direction in directions or ["consumption"]),
        granularity=one.text("mesuresPas", "") or _GRANULARITY.get(kind, ""),
        valid_from=one.moment("dateDebut", _time),
        valid_until=until,
        purpose=authorisation.text("autorisationLibelle", ""),
        subject=one.text("sirenTitulaire", ""),
        recipient=one.text("sirenBeneficiaire", ""),
        reason=one.text("etatLibelle", "") if standing is Standing.UNKNOWN else "",
    )


def _token(answer: Fields) -> Iterator[Foreign]:
    """Yield a record for each point that an answer of versions 3 to 5 names."""
    points = [point.strip() for point in answer.text("usage_points_id").split(",") if point.strip()]
    if not points:
        raise answer.bad("usage_points_id", "The answer names no point")
    for point in points:
        yield Foreign(
            system=SYSTEM,
            reference=f"oauth:{_point(answer, point, 'usage_points_id')}",
            state="token",
            standing=Standing.GIVEN,
            points=(f"prm:{point}",),
            valid_from=answer.moment("issued_at", exact),
        )


def _notice(data: bytes, source: Source) -> Iterator[Foreign]:
    """Yield the points of an authorisation notice of the Consometers' proxy."""
    found = [one for one in elements(data, source, _WANTED) if one.child("usage-point") is not None]
    if not found:
        raise refused(CODE, source, "line 1, x", "This is no notice of an authorisation")
    for one in found:
        if {child.name for child in one.children} - _NOTICE:
            raise refused(CODE, source, f"line {one.line}, x", "The notice has an element that is not known here")
        for child in one.children:
            if child.name == "usage-point":
                point = child.text or child.attributes.get("id", "")
                if not _is_point(point):
                    raise refused(CODE, source, f"line {child.line}, usage-point", "A point has 14 digits")
                state = one.said("state") or ""
                yield Foreign(
                    system=SYSTEM,
                    reference=f"notice:{state}:{point}",
                    state="authorised",
                    standing=Standing.GIVEN,
                    points=(f"prm:{point}",),
                )


def _point(one: Fields, text: str, name: str) -> str:
    if not _is_point(text):
        raise one.bad(name, "A point has 14 digits")
    return text


def _is_point(text: str) -> bool:
    return len(text) == 14 and text.isascii() and text.isdecimal()


def _time(text: str) -> int:
    """Return UTC seconds of a date, a local time or a stamp. Raises ValueError."""
    if len(text) == len("2021-01-31"):
        return midnight(day_of(text))
    try:
        return exact(text)
    except ValueError:
        clock = clock_of(text)
        return midnight(clock // 86_400) + clock % 86_400
