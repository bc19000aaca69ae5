"""Answers of Enedis' SGE to third parties: detailed measures (ConsultationMesuresDetaillees), SOAP, versions 2 and 3.

How it works
    The body is read as it comes: the point, the stage, the period, then each `grandeur` with its measures
    (`node.adapters.enedis_measures`). A fault, or an acknowledgement that is none of success, refuses the file with
    its code. If the caller hands the declaration with which the answer was asked for, or the document itself holds
    one, readings that it does not cover are refused (`node.adapters.sge_accord`).

What it does not do
    It calls no service. Quantities without a place in the normal form are left out, and said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ledger.errors import RemoteError
from node.adapters import sge_accord
from node.adapters.adapter import Adapter, Found, Head, LeftOut, Source, refused
from node.adapters.enedis_measures import DIRECTIONS, OTHERS, STAGES, Group, kind_of, value_of
from node.adapters.enedis_time import read_day
from node.adapters.rows import Table
from node.adapters.xml_events import CODE as BAD_XML
from node.adapters.xml_events import MAX_XML_BYTES, Element, elements
from node.readings import MAX_RECORDS

CODE: Final = "BAD_SGE"
"""The code of a refusal that is not of XML itself."""

_ROOT: Final = "consulterMesuresDetailleesResponse"
_WANTED: Final = frozenset(
    {
        *("pointId", "mesuresCorrigees", "etapeMetier", "periode", "pas", "mesuresPas", "grandeurMetier"),
        *("grandeurPhysique", "unite", "mesure", "points", "resultat", "Fault", "declarationAccordClient"),
        *("contexteReleve", "calendrier"),
    }
)
_SUCCESS: Final = "SGT200"


@dataclass(slots=True)
class _Answer:
    """What was read so far."""

    source: Source
    table: Table
    said: dict[str, str] = field(default_factory=dict)
    asked: tuple[int, int] | None = None
    group: Group | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    measures: int = 0

    def bad(self, line: int, name: str, message: str) -> RemoteError:
        return refused(CODE, self.source, f"line {line}, {name}", message)

    def close(self) -> None:
        if self.group is not None:
            self.group.into(self.table)
            self.group = None


def _open(answer: _Answer, one: Element) -> None:
    """Begin the group of a quantity, at its first measure."""
    missing = [name for name in ("pointId", "grandeurMetier", "grandeurPhysique", "unite") if name not in answer.said]
    if missing:
        raise answer.bad(one.line, missing[0], "This should stand before the first measure")
    said = answer.said
    direction = DIRECTIONS.get(said["grandeurMetier"])
    if direction is None:
        raise answer.bad(one.line, "grandeurMetier", f"One of {', '.join(DIRECTIONS)} was expected")
    stage = STAGES.get(said.get("mesuresCorrigees", said.get("etapeMetier", "BRUT")))
    if stage is None:
        raise answer.bad(one.line, "mesuresCorrigees", f"One of {', '.join(STAGES)} was expected")
    kind = kind_of(said["grandeurPhysique"])
    if kind is None:
        raise answer.bad(one.line, "grandeurPhysique", "This quantity is not known")
    answer.group = Group(answer.bad, one.line, said["pointId"], kind, direction, stage, said["unite"], answer.asked)


def _measure(answer: _Answer, one: Element) -> None:
    """Take one measure."""
    quantity = answer.said.get("grandeurPhysique", "")
    answer.measures += 1
    if quantity in OTHERS:
        answer.left_out[OTHERS[quantity]] = answer.left_out.get(OTHERS[quantity], 0) + 1
        return
    if answer.group is None:
        _open(answer, one)
    stamp = one.said("d")
    if stamp is None or answer.group is None:
        raise answer.bad(one.line, "d", "A measure has a date")
    known, value = value_of(one.said("v"))
    if not known:
        raise answer.bad(one.line, "v", "A number, or nothing, was expected")
    step = one.said("p") or answer.said.get("pas") or answer.said.get("mesuresPas")
    answer.group.add(one.line, stamp, step, value)


def _take(answer: _Answer, one: Element) -> None:
    """Take an element as it closes."""
    match one.name:
        case "mesure" | "points":
            _measure(answer, one)
        case "periode":
            answer.asked = (_day(answer, one, "dateDebut"), _day(answer, one, "dateFin"))
        case "grandeurMetier" | "grandeurPhysique" | "unite" | "pointId":
            if one.name in {"grandeurMetier", "pointId"}:
                answer.close()
            answer.said[one.name] = one.text
        case "resultat":
            if one.attributes.get("code", _SUCCESS) != _SUCCESS:
                raise answer.bad(one.line, "resultat", "The service refused the request; its code is in the file")
        case "Fault":
            raise answer.bad(one.line, "Fault", "The service answered with a fault instead of measures")
        case "contexteReleve" | "calendrier":
            answer.left_out["registers"] = answer.left_out.get("registers", 0) + 1
        case "declarationAccordClient":
            pass  # read by sge_accord, out of the whole document
        case _:
            answer.said[one.name] = one.text


def _day(answer: _Answer, one: Element, name: str) -> int:
    try:
        return read_day(one.said(name) or "")
    except ValueError as error:
        raise answer.bad(one.line, name, str(error).capitalize()) from None


def _read(data: bytes, source: Source) -> Iterator[Found]:
    answer = _Answer(source, Table(lambda line, name, told: refused(CODE, source, f"line {line}, {name}", told)))
    declared = b""
    for one in elements(data, source, _WANTED):
        if one.name == "declarationAccordClient":
            declared = data
        _take(answer, one)
    answer.close()
    found = list(answer.table.found())
    for declaration in (source.declaration, declared):
        if declaration:
            said = sge_accord.read(declaration, source)
            sge_accord.covering(said, [one.series for one in found], source)
    yield from found
    for what, records in answer.left_out.items():
        yield LeftOut(what, records)


def _is_sge(head: Head) -> bool:
    return head.kind == "xml" and (head.root == _ROOT or (head.root == "Envelope" and _ROOT in head.tags))


ADAPTERS: Final = (
    Adapter(
        "sge-soap",
        "Enedis SGE answers: detailed measures (SOAP), with the customer's declared agreement",
        _is_sge,
        _read,
        limits={"bytes": MAX_XML_BYTES, "records": MAX_RECORDS},
        codes=(CODE, BAD_XML, sge_accord.CODE),
    ),
)
"""What `node.adapters.registry` lists of this module."""
