"""Data Connect in three shapes, SGE's answers, the recurring flows: one normal form, and no zero rows in silence."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ledger.errors import RemoteError
from node.adapters import enedis_csv, registry, sge_accord
from node.adapters.adapter import LeftOut, Parsed, Source
from node.readings import Reading, Series
from node.series_key import SeriesKey
from tests.shared import shared

PARIS = ZoneInfo("Europe/Paris")
POINT = "12345678901234"
WINTER = "2026-01-14"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp())


def read(data: bytes | dict[str, Any], source: Source | None = None) -> list[Series]:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return [one.series for one in registry.read(raw, source or Source()) if isinstance(one, Parsed)]


def only(data: bytes | dict[str, Any], source: Source | None = None) -> Series:
    (one,) = read(data, source)
    return one


def refusal(data: bytes | dict[str, Any], source: Source | None = None) -> RemoteError:
    with pytest.raises(RemoteError) as error:
        read(data, source)
    return error.value


# Data Connect


def v3(
    values: list[Any], *, kind: str = "power", step: Any = 1800, unit: str = "W", start: str = WINTER
) -> dict[str, Any]:
    aggregate = {"power": "average", "energy": "sum"}[kind]
    reading = {
        "usage_point_id": POINT,
        "start": start,
        "end": "2026-01-16",
        "reading_type": {"measurement_kind": kind, "interval_length": step, "unit": unit, "aggregate": aggregate},
        "interval_reading": [{"rank": rank, "value": value} for rank, value in enumerate(values, 1)],
    }
    return {"usage_point": [{"meter_reading": reading}]}


def v5(values: list[tuple[str, Any]], *, kind: str = "power", unit: str = "W", **more: Any) -> dict[str, Any]:
    aggregate = {"power": "average", "energy": "sum"}[kind]
    length = {"interval_length": "PT30M", "measure_type": "B"} if kind == "power" else {}
    reading = {
        "usage_point_id": POINT,
        "start": WINTER,
        "end": "2026-01-16",
        "quality": "BRUT",
        "reading_type": {"measurement_kind": kind, "unit": unit, "aggregate": aggregate, **more},
        "interval_reading": [{"value": value, "date": stamp, **length} for stamp, value in values],
    }
    return {"meter_reading": reading}


def y2026(values: list[tuple[str, Any]], *, kind: str = "PA", unit: str = "W", metier: str = "CONS") -> dict[str, Any]:
    step = {"p": "PT30M"} if kind == "PA" else {}
    quantity = {
        "grandeurMetier": metier,
        "grandeurPhysique": kind,
        "unite": unit,
        "points": [{"v": value, "d": stamp, "n": "B", **step} for stamp, value in values],
    }
    return {
        "idPrm": POINT,
        "etapeMetier": "BRUT",
        "periode": {"dateDebut": WINTER, "dateFin": "2026-01-16"},
        "modeCalcul": "R",
        "grandeur": [quantity],
        "contexte": [],
    }


def test_the_three_versions_give_the_same_load_curve() -> None:
    stamps = [f"{WINTER} 00:30:00", f"{WINTER} 01:00:00", f"{WINTER} 01:30:00"]
    values = ["540", None, "0"]
    wanted = Series.from_readings(
        SeriesKey(f"prm:{POINT}", "electricity", "consumption", "load_curve", "PT30M", "W"),
        [Reading(at(f"{WINTER}T00:00:00") + 1800 * n, 1800, value) for n, value in enumerate((540, None, 0))],
    )
    assert only(v3(values)) == wanted
    assert only(v5(list(zip(stamps, values, strict=True)))) == wanted
    assert only(y2026(list(zip(stamps, values, strict=True)))) == wanted
    with_null = [(stamp, "null" if value is None else value) for stamp, value in zip(stamps, values, strict=True)]
    assert only(v5(with_null)) == wanted
    bare: dict[str, Any] = v5(list(zip(stamps, values, strict=True)))["meter_reading"]
    assert only(bare) == wanted
    iso = [(f"{stamp.replace(' ', 'T')}.000+01:00", value) for stamp, value in zip(stamps, values, strict=True)]
    assert only(y2026(iso)) == wanted


def test_the_three_versions_give_the_same_daily_totals() -> None:
    days = [(WINTER, "12571"), ("2026-01-15", "9800")]
    wanted = Series.from_readings(
        SeriesKey(f"prm:{POINT}", "electricity", "consumption", "daily", "P1D", "Wh"),
        [Reading(at(f"{WINTER}T00:00:00"), 86_400, 12_571), Reading(at("2026-01-15T00:00:00"), 86_400, 9_800)],
    )
    assert only(v3([value for _, value in days], kind="energy", step="P1D", unit="Wh")) == wanted
    assert only(v3([value for _, value in days], kind="energy", step=86400, unit="Wh")) == wanted
    assert only(v5(days, kind="energy", unit="Wh", measuring_period="P1D")) == wanted
    assert only(y2026(days, kind="EA", unit="Wh")) == wanted
    kilo = [(day, f"{int(value) / 1000}") for day, value in days]
    assert only(y2026(kilo, kind="EA", unit="kWh")) == wanted


def test_a_day_of_v3_has_as_many_half_hours_as_the_day() -> None:
    one = only(v3([str(n) for n in range(46)], start="2026-03-29"))
    assert one.stop == at("2026-03-30T00:00:00")
    assert only(v3(["1", "2"], kind="energy", step=86400, unit="Wh", start="2026-03-29")).durations[0] == 82_800


def test_directions_peaks_and_what_is_left_out() -> None:
    assert only(v5([(WINTER, "5")], kind="energy", unit="Wh", flow_direction="reverse")).key.direction == "injection"
    assert (
        only(v5([(WINTER, "5")], kind="energy", unit="Wh"), Source(direction="injection")).key.direction == "injection"
    )
    peak = only(y2026([(f"{WINTER} 18:04:09", "6")], kind="PMA", unit="kVA", metier="PROD"))
    assert (peak.key.kind, peak.key.direction, peak.key.unit, list(peak)) == (
        "max_power",
        "injection",
        "VA",
        [Reading(at(f"{WINTER}T18:04:09"), 0, 6000)],
    )
    both = y2026([(WINTER, "5")], kind="EA", unit="Wh")
    both["grandeur"].append(y2026([(f"{WINTER} 00:30:00", "5")], kind="PRI", unit="VAr")["grandeur"][0])
    assert list(registry.read(json.dumps(both).encode(), Source()))[1:] == [LeftOut("reactive power", 1)]


def test_registers_of_an_index_below_their_context() -> None:
    def register(cadran: str, value: int) -> dict[str, Any]:
        return {"idClasseTemporelle": "HP", "codeCadran": cadran, "valeur": [{"d": WINTER, "v": value, "iv": 0}]}

    calendar = {
        "idCalendrier": "FC000013",
        "libelleGrille": "x",
        "classeTemporelle": [register("1", 7), register("02", 8)],
    }
    answer = y2026([])
    answer["contexte"] = [
        {"grandeur": [{"grandeurMetier": "CONS", "grandeurPhysique": "EA", "unite": "Wh", "calendrier": [calendar]}]}
    ]
    found = read(answer)
    assert [(one.key.register, one.key.unit, list(one)) for one in found] == [
        ("EAS F1", "Wh", [Reading(at(f"{WINTER}T00:00:00"), 0, 7)]),
        ("EAS F2", "Wh", [Reading(at(f"{WINTER}T00:00:00"), 0, 8)]),
    ]


def test_the_hour_told_twice_in_october() -> None:
    stamps = [datetime.fromtimestamp(at("2026-10-25T00:00:00") + 1800 * n, PARIS) for n in range(1, 51)]
    one = only(v5([(stamp.strftime("%Y-%m-%d %H:%M:%S"), "1") for stamp in stamps]))
    assert (len(one), one.jumps(), one.stop) == (50, [], at("2026-10-26T00:00:00"))


def changed(answer: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return an answer with one member changed, or added."""
    copy: dict[str, Any] = json.loads(json.dumps(answer))
    inner: Any = copy
    *way, last = path.split(".")
    for step in way:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    inner[last] = value
    return copy


READ, ITEM = "file, answer, meter_reading", "meter_reading.interval_reading.0"
CURVE5 = v5([(f"{WINTER} 00:30:00", "540")])
CURVE2026 = y2026([(f"{WINTER} 00:30:00", "540")])


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        (changed(CURVE5, "meter_reading.usage_point_id", "123"), f"{READ}, point"),
        (changed(CURVE5, "meter_reading.reading_type.unit", "MW"), f"{READ}, unit"),
        (changed(CURVE5, "meter_reading.reading_type.aggregate", "max"), f"{READ}, reading_type, aggregate"),
        (changed(CURVE5, "meter_reading.quality", "?"), f"{READ}, quality"),
        (changed(CURVE5, "meter_reading.new_name", 1), f"{READ}"),
        (changed(CURVE5, f"{ITEM}.date", "14/01/2026"), f"{READ}, interval_reading 1, date"),
        (changed(CURVE5, f"{ITEM}.value", "1e3"), f"{READ}, interval_reading 1, value"),
        (changed(CURVE5, f"{ITEM}.interval_length", "P1D"), f"{READ}, interval_reading 1, step"),
        (changed(CURVE2026, "grandeur.0.grandeurPhysique", "XX"), "file, answer, grandeur 1, grandeurPhysique"),
        (changed(CURVE2026, "grandeur.0.grandeurMetier", "XX"), "file, answer, grandeur 1, grandeurMetier"),
        (changed(CURVE2026, "mesures", []), "file, answer"),
        (changed(CURVE2026, "periode.dateDebut", "hier"), "file, answer, periode, dateDebut"),
        (v3(["1"], step=1234), "file, answer, usage_point 1, meter_reading, reading_type, interval_length"),
    ],
)  # fmt: skip
def test_an_unknown_shape_is_refused_with_its_place(answer: dict[str, Any], field: str) -> None:
    error = refusal(answer)
    assert (error.code, error.field) == ("BAD_DATA_CONNECT", field)


@pytest.mark.parametrize(
    "answer", [v3([]), v5([]), y2026([]), {"usage_point": [], "meter_reading": 1}, {"meter_reading": {}}]
)
def test_no_rows_is_an_error_and_never_an_empty_success(answer: dict[str, Any]) -> None:
    assert refusal(answer).code in {"NOTHING_READ", "BAD_DATA_CONNECT"}


# SGE


def sge(*measures: str, head: str = "", point: str = POINT, kind: str = "PA", unit: str = "W", more: str = "") -> bytes:
    return f"""<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">
<s:Header>{head}</s:Header><s:Body><m:consulterMesuresDetailleesResponse xmlns:m="urn:m"><pointId>{point}</pointId>
<mesuresCorrigees>BRUT</mesuresCorrigees><periode><dateDebut>2026-01-14</dateDebut><dateFin>2026-01-15</dateFin></periode>
<grandeur><grandeurMetier>CONS</grandeurMetier><grandeurPhysique>{kind}</grandeurPhysique><unite>{unit}</unite>
{"".join(measures)}</grandeur>{more}</m:consulterMesuresDetailleesResponse></s:Body></s:Envelope>""".encode()


def measure(value: str | None, stamp: str, step: str = "PT30M") -> str:
    return f"<mesure>{f'<v>{value}</v>' if value is not None else ''}<d>{stamp}</d><p>{step}</p><n>B</n></mesure>"


M1, M2 = measure("430", "2026-01-14T00:30:00.000+01:00"), measure(None, "2026-01-14T01:00:00.000+01:00")


def test_sge_says_what_the_csv_export_of_the_same_days_says() -> None:
    one = only(shared("data/enedis/sge_detailed_c5_active_power.xml").read_bytes())
    (curve,) = enedis_csv.parse(shared("data/enedis/hdm_c5_load_curve.csv").read_bytes())
    assert list(one) == list(curve.window(one.starts[0], one.stop))
    assert (len(one), one.key) == (336, curve.key)


def test_an_answer_of_sge_in_the_normal_form() -> None:
    assert list(only(sge(M1, M2))) == [
        Reading(at("2026-01-14T00:00:00"), 1800, 430),
        Reading(at("2026-01-14T00:30:00"), 1800, None),
    ]
    assert only(sge(measure("7", "2026-01-14+01:00"[:10], "P1D"), kind="EA", unit="Wh")).key.kind == "daily"


def test_meters_of_c1_to_c4_stamp_the_start_of_a_step() -> None:
    first = measure("1", "2026-01-14T00:00:00+01:00", "PT10M")
    assert list(only(sge(first))) == [Reading(at("2026-01-14T00:00:00"), 600, 1)]
    alone = measure("1", "2026-01-14T05:00:00+01:00", "PT10M")
    assert only(sge(alone)).starts[0] == at("2026-01-14T05:00:00")
    end = measure("1", "2026-01-15T00:00:00+01:00", "PT10M")
    assert only(sge(end)).stop == at("2026-01-15T00:00:00")


DECLARED = """<r xmlns="urn:x"><pointId>{point}</pointId><dateDebut>{first}</dateDebut><dateFin>{last}</dateFin>
<declarationAccordClient><accord>{accord}</accord><personnePhysique><civilite>M</civilite><nom>DUPONT</nom>
</personnePhysique></declarationAccordClient></r>"""


def declared(first: str = "2026-01-01", last: str = "2027-01-01", accord: str = "true", point: str = POINT) -> bytes:
    return DECLARED.format(first=first, last=last, accord=accord, point=point).encode()


def test_readings_within_the_declared_agreement_are_read() -> None:
    assert len(only(sge(M1, M2), Source(declaration=declared(last="2026-01-15")))) == 2
    said = sge_accord.read(declared(), Source())
    assert (said.accord, said.person, said.name, said.point) == (True, "natural", "DUPONT", POINT)
    older = b"<d><dateDebut>2026-01-14</dateDebut><dateFin>2026-01-15</dateFin><accordClient>true</accordClient></d>"
    assert only(sge(M1), Source(declaration=older))


@pytest.mark.parametrize(
    "declaration",
    [
        declared(accord="false"),
        declared(first="2026-01-15"),
        declared(last="2026-01-14"),
        declared(first="2026-02-01", last="2026-01-01"),
        declared(point="99999999999999"),
        declared(accord="maybe"),
        declared(first="soon"),
        declared().replace(b"declarationAccordClient", b"other"),
        declared().replace(b"dateFin", b"other"),
        declared() .replace(b"</r>", b"<dateFin>2030-01-01</dateFin></r>"),
    ],
)  # fmt: skip
def test_readings_without_a_declared_agreement_are_refused(declaration: bytes) -> None:
    assert refusal(sge(M1), Source(declaration=declaration)).code == "NO_ACCORD"


def test_a_declaration_inside_the_answer_counts_too() -> None:
    head = (
        "<dateDebut>2026-01-01</dateDebut><dateFin>2027-01-01</dateFin>"
        "<declarationAccordClient><accord>{}</accord></declarationAccordClient>"
    )
    inside = sge(M1, more="").replace(b"<dateDebut>2026-01-14</dateDebut><dateFin>2026-01-15</dateFin>", b"")
    inside = inside.replace(b"<periode></periode>", b"")
    for accord in ("true", "false"):
        data = inside.replace(b"<s:Header></s:Header>", f"<s:Header>{head.format(accord)}</s:Header>".encode())
        if accord == "true":
            assert len(only(data)) == 1
        else:
            assert refusal(data).code == "NO_ACCORD"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (sge(M1, head='<a><resultat code="SGT500">no</resultat></a>'), "BAD_SGE"),
        (sge(more="<Fault/>"), "BAD_SGE"),
        (sge(), "NOTHING_READ"),
        (sge(M1, kind="PRI"), "NOTHING_READ"),
        (sge(M1, kind="XX"), "BAD_SGE"),
        (sge(M1, unit="A"), "BAD_SGE"),
        (sge(M1, point="1"), "BAD_SGE"),
        (sge(measure("x", "2026-01-14T00:30:00+01:00")), "BAD_SGE"),
        (sge(measure("1", "14/01/2026")), "BAD_SGE"),
        (sge(measure("1", "2026-01-14T00:30:00+01:00", "PT3S")), "BAD_SGE"),
        (sge(M1, M1.replace("430", "431")), "BAD_SGE"),
        (sge(M1, "<mesure><v>1</v></mesure>"), "BAD_SGE"),
        (sge(M1)[:-9], "BAD_XML"),
        (sge(M1).replace(b"<?xml version=\"1.0\"?>", b"<!DOCTYPE x [<!ENTITY a 'b'>]>"), "BAD_XML"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_refused(data: bytes, code: str) -> None:
    error = refusal(data)
    assert error.code == code
    assert code == "NOTHING_READ" or "line" in (error.field or "")


# Flows


def test_r151_has_the_registers_of_the_end_of_its_day() -> None:
    """The last daily read of the export, and what R50 says was consumed on the day of R151, make its register."""
    found = read(shared("data/enedis/r151_c5_index.xml").read_bytes())
    keys = [(one.key.kind, one.key.register) for one in found]
    assert keys == [("index", "EAS D1"), ("index", "EAS F1"), ("max_power", "")]
    day = only(shared("data/enedis/r50_c5_load_curve.xml").read_bytes())
    exported = {one.key: one for one in enedis_csv.parse(shared("data/enedis/hdm_c5_index.csv").read_bytes())}
    for one in found[:2]:
        assert one.mantissas[0] == exported[one.key].mantissas[-1] + sum(day.mantissas) // 2
        assert one.starts[0] == day.stop == at("2022-02-03T00:00:00")
    assert found[2].starts[0] == at("2022-02-02T00:00:00")


def test_r50_begins_where_the_export_ends() -> None:
    one = only(shared("data/enedis/r50_c5_load_curve.xml").read_bytes())
    (curve,) = enedis_csv.parse(shared("data/enedis/hdm_c5_load_curve.csv").read_bytes())
    assert (len(one), one.starts[0], one.key) == (48, curve.stop, curve.key)


R4Q = """<Courbe><Entete><Identifiant_Flux>R4x</Identifiant_Flux><Frequence_Publication>Q</Frequence_Publication>
<Nature_De_Courbe_Demandee>Brute</Nature_De_Courbe_Demandee></Entete><Corps>
<Identifiant_PRM>12345678901234</Identifiant_PRM>{}</Corps></Courbe>"""
R4Q_CURVE = """<Donnees_Courbe><Horodatage_Debut>2026-01-14T00:00:00+01:00</Horodatage_Debut>
<Granularite>10</Granularite><Unite_Mesure>{}</Unite_Mesure><Grandeur_Metier>{}</Grandeur_Metier>
<Grandeur_Physique>{}</Grandeur_Physique>{}</Donnees_Courbe>"""
R4Q_POINTS = (
    '<Donnees_Point_Mesure Horodatage="2026-01-14T00:00:00+01:00" Valeur_Point="38" Statut_Point="R"/>'
    '<Donnees_Point_Mesure Horodatage="2026-01-14T00:10:00+01:00" Statut_Point="S"/>'
)


def test_r4q_has_starts_kilowatts_two_directions_and_what_is_left_out() -> None:
    curves = [("kW", "CONS", "EA"), ("kW", "PROD", "EA"), ("kWr", "CONS", "ERI"), ("V", "CONS", "E")]
    data = R4Q.format("".join(R4Q_CURVE.format(*curve, R4Q_POINTS) for curve in curves)).encode()
    *found, reactive, voltage = registry.read(data, Source())
    assert [one.series.key.direction for one in found if isinstance(one, Parsed)] == ["consumption", "injection"]
    for one in found:
        assert isinstance(one, Parsed)
        assert list(one.series) == [
            Reading(at("2026-01-14T00:00:00"), 600, 38_000),
            Reading(at("2026-01-14T00:10:00"), 600, None),
        ]
    assert (reactive, voltage) == (LeftOut("reactive power", 2), LeftOut("voltage", 2))


R50 = """<R50><En_Tete_Flux><Identifiant_Flux>R50</Identifiant_Flux><Pas_Publication>{step}</Pas_Publication>
</En_Tete_Flux>{prms}</R50>"""


def r50(*points: tuple[str, str], step: str = "30") -> bytes:
    prms = "".join(f"<PRM><Id_PRM>{p}</Id_PRM><Donnees_Releve>{rows}</Donnees_Releve></PRM>" for p, rows in points)
    return R50.format(step=step, prms=prms).encode()


def pdc(stamp: str, value: str) -> str:
    return f"<PDC><H>{stamp}</H><V>{value}</V><IV>0</IV></PDC>"


ROW = pdc("2026-01-14T00:30:00+01:00", "5")


def test_a_flow_holds_several_points() -> None:
    found = read(r50((POINT, ROW), ("99999999999999", ROW + pdc("2026-01-14T01:00:00+01:00", ""))))
    assert [(one.key.point[4:], one.values()) for one in found] == [(POINT, [5]), ("99999999999999", [5, None])]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (r50((POINT, ROW), step="31"), "BAD_FLUX"),
        (r50((POINT, "")), "NOTHING_READ"),
        (r50(("", ROW)), "BAD_FLUX"),
        (r50((POINT, ROW.replace("<V>5</V>", ""))), "BAD_FLUX"),
        (r50((POINT, pdc("2026-01-14T00:30:00+01:00", "five"))), "BAD_FLUX"),
        (r50((POINT, pdc("2026-01-14", "5"))), "BAD_FLUX"),
        (r50((POINT, ROW + ROW.replace("5</V>", "6</V>"))), "BAD_FLUX"),
        (r50((POINT, ROW)).replace(b">R50<", b">R151<"), "BAD_FLUX"),
        (r50((POINT, ROW)).replace(b"Pas_Publication", b"Pas"), "BAD_FLUX"),
        (b"<R50><PRM>" + b"<a>" * 30, "BAD_XML"),
        (b"<R151/>", "NOTHING_READ"),
        (R4Q.format(R4Q_CURVE.format("kW", "CONS", "XX", R4Q_POINTS)).encode(), "BAD_FLUX"),
        (R4Q.format(R4Q_CURVE.format("kW", "BOTH", "EA", R4Q_POINTS)).encode(), "BAD_FLUX"),
        (R4Q.format(R4Q_CURVE.format("hp", "CONS", "EA", R4Q_POINTS)).encode(), "BAD_FLUX"),
    ],
)  # fmt: skip
def test_a_bad_flow_is_refused(data: bytes, code: str) -> None:
    assert refusal(data).code == code
