"""ADICT's lines of gas: shapes as GRDF sends them, gaps, provisional and definitive lines, and hostile ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.adapters import adict, household
from node.readings import Reading, Series
from node.series_key import SeriesKey
from tests.node.adapters.reads import all_series, left_out, refusal, whole_or_refused

SIX = int(datetime(2021, 8, 16, 4, tzinfo=UTC).timestamp())
DAY = 86_400


def line(day: int = 16, **conso: Any) -> dict[str, Any]:
    """A line of daily gas, as `donnees_consos_informatives` sends it."""
    at = f"2021-08-{day:02}T06:00:00+02:00"
    return {
        "pce": {"id_pce": "23000000000000"},
        "periode": {"valeur": None, "date_debut": "2021-08-16", "date_fin": "2021-08-19"},
        "releve_debut": {"date_releve": None, "index_brut_debut": {"valeur_index": None, "horodate_Index": None}},
        "releve_fin": {
            "date_releve": f"2021-08-{day + 1:02}T06:00:00+02:00",
            "index_brut_fin": {"valeur_index": 1309 + day, "horodate_Index": f"2021-08-{day + 1:02}T06:00:00+02:00"},
        },
        "consommation": {
            "date_debut_consommation": at,
            "date_fin_consommation": f"2021-08-{day + 1:02}T06:00:00+02:00",
            "flag_retour_zero": None,
            "volume_brut": 1,
            "coeff_calcul": {"coeff_pta": None, "valeur_pcs": None, "coeff_conversion": 11.16},
            "energie": 8,
            "type_qualif_conso": "Mesuré",
            "sens_flux_gaz": "Consommation",
            "statut_conso": "Provisoire",
            "journee_gaziere": at[:10],
            "type_conso": "Informative Journalier",
            **conso,
        },
        "statut_restitution": None,
    }


def file(*lines: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def test_a_day_is_energy_volume_and_register() -> None:
    kwh, m3, index = all_series(adict.read, file(line(16), line(17, energie=9.5)))
    assert (kwh.key.point, kwh.key.kind, kwh.key.unit, kwh.key.granularity) == (
        "pce:23000000000000",
        "daily",
        "kWh",
        "P1D",
    )
    assert list(kwh) == [Reading(SIX, DAY, 8), Reading(SIX + DAY, DAY, Decimal("9.5"))]
    assert m3.values() == [1, 1]
    assert list(index) == [Reading(SIX + DAY, 0, 1325), Reading(SIX + 2 * DAY, 0, 1326)]


def test_published_months_keep_their_own_length() -> None:
    one = line(
        16, date_debut_consommation="2021-01-01T06:00:00+01:00", date_fin_consommation="2021-01-23T06:00:00+01:00"
    )
    kwh, *_ = all_series(adict.read, file(one))
    assert (kwh.key.granularity, kwh.durations[0]) == ("P1M", 22 * DAY)


def test_a_day_without_value_is_a_gap_and_no_zero() -> None:
    empty = line(17, energie=None, volume_brut=None)
    kwh, *_ = all_series(adict.read, file(line(16), empty, line(18)))
    assert kwh.values() == [8, None, 8]
    bare = {"pce": {"id_pce": "23000000000000"}, "periode": {"date_debut": "2021-08-17", "date_fin": "2021-08-18"}}
    kwh, *_ = all_series(adict.read, file(line(16), bare))
    assert kwh.values() == [8, None]
    month = {"pce": {"id_pce": "23000000000000"}, "periode": {"date_debut": "2021-06-01", "date_fin": "2021-07-01"}}
    assert left_out(adict.read, file(line(16), month)) == {"periods longer than a day without a value": 1}


def test_the_definitive_line_counts_whatever_the_order() -> None:
    final = line(16, statut_conso="Définitive", energie=10)
    for lines in ([line(16), final], [final, line(16)]):
        assert all_series(adict.read, file(*lines))[0].values() == [10]


def test_the_trailer_is_no_line_and_its_failure_refuses() -> None:
    good = {"code_statut_traitement": "0000000000", "message_retour_traitement": "ok"}
    assert len(all_series(adict.read, file(line(), good))) == 3
    bad = {"code_statut_traitement": "1000008", "message_retour_traitement": "no"}
    error = refusal(adict.read, file(line(), bad))
    assert (error.code, error.field) == ("BAD_ADICT", "file, line 2, code_statut_traitement")
    assert refusal(adict.read, file(good)).field == "file, file"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"energie": "8"}, "line 1, consommation, energie"),
        ({"energie": 1e300}, "line 1, consommation, energie"),
        ({"sens_flux_gaz": "Injection"}, "line 1, consommation, sens_flux_gaz"),
        ({"date_debut_consommation": "2021-08-16T06:00:00"}, "line 1, consommation, date_debut_consommation"),
        ({"date_fin_consommation": "2021-08-15"}, "line 1, date_fin_consommation"),
        ({"nouveau_champ": 1}, "line 1, consommation"),
        ({"statut_conso": "Estimée"}, "line 1, consommation, statut_conso"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_field(change: dict[str, Any], where: str) -> None:
    error = refusal(adict.read, file(line(16, **change)))
    assert (error.code, error.field) == ("BAD_ADICT", f"file, {where}")
    assert "2021-08-1" not in error.message


def test_two_lines_that_contradict_each_other_refuse_the_file() -> None:
    assert refusal(adict.read, file(line(16), line(16, energie=9))).field == "file, line 2"
    assert len(all_series(adict.read, file(line(16), line(16)))[0]) == 1


def test_a_point_without_14_digits_is_refused() -> None:
    one = line() | {"pce": {"id_pce": "GI000000"}}
    assert refusal(adict.read, file(one)).field == "file, line 1, pce, id_pce"


@pytest.mark.covers("system:GRDF ADICT")
@given(st.integers(0, 99), st.integers(1, 40), st.lists(st.integers(0, 39), max_size=5))
def test_what_is_written_is_read_back(seed: int, days: int, gaps: list[int]) -> None:
    gas = household.gas_totals(seed, 1_616_713_200, days)  # over a change of hour
    rows = [Reading(r.start, r.duration_s, None if i in gaps else r.value) for i, r in enumerate(gas)]
    one = Series.from_readings(gas.key, rows)
    assert all_series(adict.read, adict.write([one])) == [one]


def test_volumes_stand_beside_the_energy() -> None:
    series = all_series(adict.read, file(line(16), line(17)))[:2]
    assert all_series(adict.read, adict.write(series)) == series


def test_what_has_no_place_is_not_written() -> None:
    curve = household.load_curve(1, 1_616_713_200, 1)
    volume = Series.from_readings(SeriesKey("pce:23000000000000", "gas", "consumption", "daily", "P1D", "m3"), [])
    for series in ([curve], [volume]):
        with pytest.raises(LocalError) as error:
            adict.write(series)
        assert error.value.code == "NO_PLACE"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda x: st.lists(x, max_size=3)
)


@given(
    st.dictionaries(st.sampled_from([*line(), "x"]), JSON),
    st.dictionaries(st.sampled_from([*line()["consommation"]]), JSON),
)
def test_any_object_is_read_whole_or_refused(outer: dict[str, Any], conso: dict[str, Any]) -> None:
    assert whole_or_refused(adict.read, file(line() | outer))
    assert whole_or_refused(adict.read, file(line(16, **conso)))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_whole_or_refused(data: bytes) -> None:
    assert whole_or_refused(adict.read, data)
