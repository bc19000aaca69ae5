"""SGE's answers with the declared agreement, and the recurring flows: one normal form, and no zero rows in silence."""

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


@pytest.mark.covers("system:Enedis SGE Tiers")
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


@pytest.mark.covers("system:Enedis SGE Tiers")
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
