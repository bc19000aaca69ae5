"""Recurring flows of Enedis: R50 (load curves), R151 (registers and peaks) of the segment C5, R4x (curves) of C1 to C4.

How it works
    Elements are read as they close, so that a flow of many points needs the memory of one record.
    R50: `PDC` with the stamp at the end of its step, which the heading says.
    R151: registers as they stood at the end of a day of Paris (they grow by what R50 says of that day), and the day's
    peak; the ranks of the provider's and the distributor's classes are F1 to F10 and D1 to D4.
    R4x (R4H, R4M, R4Q): `Donnees_Point_Mesure` with the stamp at the start of its step, power in kW.

What it does not do
    It keeps no plausibility index and no status of a point. Reactive power and voltage are left out, and said. The peak
    of R151 has no time of day in the flow: it stands at the midnight that begins its day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ledger.errors import LocalError, RemoteError
from node.adapters.adapter import Adapter, Found, Head, LeftOut, Source, refused
from node.adapters.enedis_measures import DIRECTIONS, OTHERS, STAGES, Group, value_of
from node.adapters.enedis_time import midnight, read_day
from node.adapters.rows import Table
from node.adapters.xml_events import CODE as BAD_XML
from node.adapters.xml_events import MAX_XML_BYTES, Element, elements
from node.readings import MAX_RECORDS, Value
from node.series_key import SeriesKey

CODE: Final = "BAD_FLUX"
"""The code of a refusal that is not of XML itself."""

_R4: Final = ("Granularite", "Unite_Mesure", "Grandeur_Metier", "Grandeur_Physique")
_WANTED: Final = {
    "R50": frozenset({"Identifiant_Flux", "Pas_Publication", "Id_PRM", "PDC"}),
    "R151": frozenset(
        {
            *("Identifiant_Flux", "Unite_Mesure_Index", "Unite_Mesure_Puissance", "Id_PRM", "Date_Releve"),
            *("Classe_Temporelle_Distributeur", "Classe_Temporelle", "Puissance_Maximale"),
        }
    ),
    "Courbe": frozenset(
        {"Identifiant_Flux", "Nature_De_Courbe_Demandee", "Identifiant_PRM", "Donnees_Point_Mesure", *_R4}
    ),
}
_OWNERS: Final = {"Classe_Temporelle_Distributeur": "D", "Classe_Temporelle": "F"}


@dataclass(slots=True)
class _Flow:
    """What was read so far. `said`: the last text of each element that describes what follows."""

    source: Source
    table: Table
    said: dict[str, str] = field(default_factory=dict)
    group: Group | None = None
    left_out: dict[str, int] = field(default_factory=dict)

    def bad(self, line: int, name: str, message: str) -> RemoteError:
        return refused(CODE, self.source, f"line {line}, {name}", message)

    def need(self, one: Element, name: str) -> str:
        """Return what was said before an element. Raises the refusal."""
        if name not in self.said:
            raise self.bad(one.line, name, f"This should stand before {one.name}")
        return self.said[name]

    def value(self, one: Element, text: str | None, name: str) -> Value:
        """Return a value, or None for a gap."""
        known, value = value_of(text)
        if not known:
            raise self.bad(one.line, name, "A number, or nothing, was expected")
        return value

    def close(self) -> None:
        """Put the measures of one point and quantity into the table."""
        if self.group is not None:
            self.group.into(self.table)
            self.group = None


def _r50(flow: _Flow, one: Element) -> None:
    if flow.group is None:
        flow.group = Group(
            flow.bad,
            one.line,
            flow.need(one, "Id_PRM"),
            "load_curve",
            flow.source.direction,
            "raw",
            "W",
            starts_said=False,
        )
    stamp, step = one.said("H"), flow.need(one, "Pas_Publication")
    if stamp is None or one.said("V") is None:
        raise flow.bad(one.line, "PDC", "A stamp H and a value V were expected")
    if step not in {"10", "15", "30", "60"}:
        raise flow.bad(one.line, "Pas_Publication", "A step of 10, 15, 30 or 60 minutes was expected")
    flow.group.add(one.line, stamp, f"PT{step}M", flow.value(one, one.said("V"), "V"))


def _r151(flow: _Flow, one: Element) -> None:
    try:
        day = read_day(flow.need(one, "Date_Releve"))
    except ValueError as error:
        raise flow.bad(one.line, "Date_Releve", str(error).capitalize()) from None
    peak = one.name == "Puissance_Maximale"
    unit_name, units = ("Unite_Mesure_Puissance", ("VA", "W")) if peak else ("Unite_Mesure_Index", ("Wh",))
    if flow.need(one, unit_name) not in units:
        raise flow.bad(one.line, unit_name, f"{' or '.join(units)} was expected")
    direction = flow.source.direction
    register = "" if peak else f"{'EAS' if direction == 'consumption' else 'EAI'} {_OWNERS[one.name]}"
    kind, unit = ("max_power", "VA") if peak else ("index", "Wh")
    if register:
        register += one.said("Rang_Cadran") or ""
    try:
        point = f"prm:{flow.need(one, 'Id_PRM')}"
        key = SeriesKey(point, "electricity", direction, kind, "P1D", unit, register)
    except LocalError as error:
        name = {"point": "Id_PRM", "register": "Rang_Cadran"}.get(error.field or "", one.name)
        raise flow.bad(one.line, name, error.message) from error
    flow.table.add(key, one.line, midnight(day if peak else day + 1), 0, flow.value(one, one.said("Valeur"), "Valeur"))


def _r4x(flow: _Flow, one: Element) -> None:
    quantity = flow.need(one, "Grandeur_Physique")
    if quantity in OTHERS:
        flow.left_out[OTHERS[quantity]] = flow.left_out.get(OTHERS[quantity], 0) + 1
        return
    if quantity != "EA":
        raise flow.bad(one.line, "Grandeur_Physique", "This quantity is not known")
    if flow.group is None:
        direction = DIRECTIONS.get(flow.need(one, "Grandeur_Metier"))
        stage = STAGES.get(flow.need(one, "Nature_De_Courbe_Demandee").upper())
        if direction is None or stage is None:
            name = "Grandeur_Metier" if direction is None else "Nature_De_Courbe_Demandee"
            raise flow.bad(one.line, name, "CONS or PROD, Brute or Corrigee were expected")
        point, unit = flow.need(one, "Identifiant_PRM"), flow.need(one, "Unite_Mesure")
        flow.group = Group(flow.bad, one.line, point, "load_curve", direction, stage, unit, starts_said=True)
    stamp, step = one.attributes.get("Horodatage"), flow.need(one, "Granularite")
    if stamp is None:
        raise flow.bad(one.line, "Horodatage", "A stamp was expected")
    flow.group.add(one.line, stamp, f"PT{step}M", flow.value(one, one.attributes.get("Valeur_Point"), "Valeur_Point"))


_RECORDS: Final = {
    "PDC": _r50,
    **dict.fromkeys((*_OWNERS, "Puissance_Maximale"), _r151),
    "Donnees_Point_Mesure": _r4x,
}
_NEW_GROUP: Final = frozenset({"Id_PRM", "Identifiant_PRM", *_R4})


def _read(data: bytes, source: Source) -> Iterator[Found]:
    root = Head.of(data).root
    if root not in _WANTED:
        raise refused(CODE, source, "line 1, root", f"One of {', '.join(_WANTED)} was expected")
    flow = _Flow(source, Table(lambda line, name, told: refused(CODE, source, f"line {line}, {name}", told)))
    for one in elements(data, source, _WANTED[root]):
        record = _RECORDS.get(one.name)
        if record is not None:
            record(flow, one)
            continue
        if one.name == "Identifiant_Flux" and one.text != root and not (root == "Courbe" and one.text.startswith("R4")):
            raise flow.bad(one.line, one.name, "The heading names another flow than the root")
        if one.name in _NEW_GROUP:
            flow.close()
        flow.said[one.name] = one.text
    flow.close()
    yield from flow.table.found()
    for what, records in flow.left_out.items():
        yield LeftOut(what, records)


def _is_flux(head: Head) -> bool:
    return head.kind == "xml" and head.root in _WANTED


ADAPTERS: Final = (
    Adapter(
        "enedis-flux",
        "Enedis recurring flows: R50, R151, R4x (R4Q, R4H, R4M)",
        _is_flux,
        _read,
        limits={"bytes": MAX_XML_BYTES, "records": MAX_RECORDS},
        codes=(CODE, BAD_XML),
    ),
)
"""What `node.adapters.registry` lists of this module."""
