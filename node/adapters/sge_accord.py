"""The customer's declared agreement, as a request to Enedis' SGE carries it, and whether readings lie within it.

How it works
    A request (SOAP) has `declarationAccordClient` with `accord` (or `accordClient`) and the person, beside `dateDebut`
    and `dateFin`; older ones have `accordClient` alone. `covering` reads it and refuses readings for which nobody
    declared an agreement: the accord is false or absent, its dates do not cover them, or its point is another.
    Dates are days of Paris; `dateFin` is excluded, as SGE has it.

What it does not do
    A declaration by a third party is no consent of the person: the ledger's entry is. It is kept nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import RemoteError
from node.adapters.adapter import Source, refused
from node.adapters.enedis_time import DAY, meanings, read_day
from node.adapters.xml_events import Element, elements
from node.readings import Series

CODE: Final = "NO_ACCORD"
"""The code of the refusal of readings that no declared agreement covers."""
MAX_BYTES: Final = 1 << 20
"""Largest declaration, in bytes."""
WANTED: Final = frozenset({"declarationAccordClient", "accordClient", "dateDebut", "dateFin", "pointId"})
"""The elements of a request that are read."""

_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Declaration:
    """What was declared. `person`: "natural", "legal" or "" (not said); `name`: theirs, "" if not said.

    `first`, `last`: days from 1 January 1970, the last excluded. `point`: 14 digits, or "" (not said).
    """

    accord: bool
    person: str
    name: str
    first: int
    last: int
    point: str


def read(data: bytes, source: Source) -> Declaration:
    """Read a declaration out of a request. Raises RemoteError BAD_XML, NO_ACCORD (none is there)."""
    named = Source(f"declaration of {source.name}")
    if len(data) > MAX_BYTES:
        raise refused(CODE, named, "line 1", f"A declaration has at most {MAX_BYTES} bytes")
    found: dict[str, Element] = {}
    for one in elements(data, named, WANTED):
        if one.name in found:
            raise refused(CODE, named, f"line {one.line}", f"{one.name} stands twice")
        found[one.name] = one
    accord = found.get("declarationAccordClient")
    said = next((one for one in (accord, found.get("accordClient")) if one is not None), None)
    if said is None:
        raise refused(CODE, named, "declarationAccordClient", "No agreement of the customer is declared")
    text = said.text if accord is None else (said.said("accord") or said.said("accordClient") or "")
    if text not in _TRUTH:
        raise refused(CODE, named, f"line {said.line}", "true or false was expected for the agreement")
    person, name = _person(accord)
    point = found["pointId"].text if "pointId" in found else ""
    return Declaration(
        _TRUTH[text], person, name, _date(found, "dateDebut", named), _date(found, "dateFin", named), point
    )


def _person(accord: Element | None) -> tuple[str, str]:
    for element, kind, field in (
        ("personnePhysique", "natural", "nom"),
        ("personneMorale", "legal", "denominationSociale"),
    ):
        person = accord.child(element) if accord is not None else None
        if person is not None:
            return kind, person.said(field) or ""
    return "", ""


def _date(found: dict[str, Element], name: str, source: Source) -> int:
    one = found.get(name)
    if one is None:
        raise refused(CODE, source, name, "The declaration does not say for which days")
    try:
        return read_day(one.text)
    except ValueError as error:
        raise refused(CODE, source, f"line {one.line}, {name}", str(error).capitalize()) from None


def covering(declaration: Declaration, series: Sequence[Series], source: Source) -> None:
    """Refuse series that the declaration does not cover. Raises RemoteError NO_ACCORD."""
    if not declaration.accord:
        raise _refusal(source, "The declaration says that the customer does not agree")
    if declaration.last <= declaration.first:
        raise _refusal(source, "The declaration covers no day: it ends before it begins")
    start, stop = meanings(declaration.first * DAY)[0], meanings(declaration.last * DAY)[0]
    for one in series:
        if declaration.point and one.key.point != f"prm:{declaration.point}":
            raise _refusal(source, "The declaration is for another point")
        end = one.stop - 1 if one.key.is_instant else one.stop
        if one.starts[0] < start or end > stop:
            raise _refusal(source, "Some readings lie outside the days of the declaration")


def _refusal(source: Source, message: str) -> RemoteError:
    return refused(CODE, source, "declarationAccordClient", message)
