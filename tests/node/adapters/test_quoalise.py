"""Quoalise: the shapes of its documents, both ways, older variant, upstream errors, hostile files."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.adapters import enedis_csv, household, quoalise
from node.readings import Reading, Series
from node.series_key import SeriesKey
from tests.node.adapters.reads import all_series, left_out, refusal, whole_or_refused
from tests.shared import shared

DOCUMENT = """<quoalise xmlns="urn:quoalise:0"><data>
  <meta>
    <device type="electricity-meter">
      <identifier authority="enedis" type="prm" value="12345678901234"/></device>
    <measurement name="active-power" direction="consumption" quantity="power"
      type="electrical" unit="W" aggregation="mean" sampling-interval="PT30M"/>
  </meta>
  <sensml xmlns="urn:ietf:params:xml:ns:senml">
    <senml bn="urn:dev:prm:12345678901234_consumption/power/active/raw"
           bt="1583016600" t="0" v="100" bu="W"/>
    <senml t="1800" v="null"/>
    <senml t="3600.0" v="0"/>
  </sensml>
</data></quoalise>"""
OLDER = """<quoalise xmlns="urn:quoalise:0"><data><meta>
  <device type="electricity-meter"><identifier authority="enedis" type="prm" value="10284856584123" /></device>
  <measurement><physical quantity="power" type="electrical" unit="W" />
    <business graph="load-profile" direction="production" /><aggregate type="average" /><sampling interval="1800" />
  </measurement></meta>
  <sensml xmlns="urn:ietf:params:xml:ns:senml">
    <senml bn="urn:dev:prm:10284856584123_production_load" bt="1600041600" t="0" v="245" bu="W" />
    <senml t="1800" v="420" /></sensml></data></quoalise>"""
BT = 1583016600


def xml(text: str) -> list[Series]:
    return all_series(quoalise.read_xml, text.encode())


def test_the_document_of_its_readme() -> None:
    (one,) = xml(DOCUMENT)
    assert one.key == SeriesKey("prm:12345678901234", "electricity", "consumption", "load_curve", "PT30M", "W")
    assert list(one) == [Reading(BT, 1800, 100), Reading(BT + 1800, 1800, None), Reading(BT + 3600, 1800, 0)]


def test_the_older_variant() -> None:
    (one,) = xml(OLDER)
    assert one.key == SeriesKey("prm:10284856584123", "electricity", "injection", "load_curve", "PT30M", "W")
    assert one.values() == [245, 420]


@pytest.mark.covers("system:Quoalise / Quolise")
def test_what_comes_back_has_the_fields_that_went_in() -> None:
    """Field-equal: every attribute of meta and every record, gap included."""
    again = ElementTree.fromstring(quoalise.write_xml(xml(DOCUMENT)))
    first = ElementTree.fromstring(DOCUMENT)

    def fields(root: ElementTree.Element) -> list[tuple[str, dict[str, str]]]:
        return [(one.tag, {k: v.removesuffix(".0") for k, v in one.attrib.items()}) for one in root.iter()]

    assert fields(again) == fields(first)


def test_an_upstream_error_is_an_error_and_says_which() -> None:
    text = '<upstream-error xmlns="urn:quoalise:0" issuer="enedis-data-connect" code="ADAM-ERR0123"/>'
    error = refusal(quoalise.read_xml, f"<iq>{text}</iq>".encode())
    assert error.code == "UPSTREAM_ERROR"
    assert "enedis-data-connect ADAM-ERR0123" in error.message
    error = refusal(quoalise.read_xml, b'<upstream-error issuer="&lt;script&gt;" code=""/>')
    assert "script" not in error.message


def test_the_twin_says_the_same() -> None:
    series = xml(DOCUMENT)
    data = quoalise.write_json(series)
    twin = json.loads(data)
    assert twin["meta"]["measurement"]["sampling-interval"] == "PT30M"
    assert twin["records"][1] == {
        "name": "urn:dev:prm:12345678901234_consumption/power/active/raw",
        "time": "2020-02-29T23:20:00Z",
        "unit": "W",
        "value": None,
    }
    assert all_series(quoalise.read_json, data) == series
    moved = data.replace(b'Z"', b'+00:00"')
    assert all_series(quoalise.read_json, moved) == series


@pytest.mark.covers("system:Quoalise / Quolise")
@settings(max_examples=15)
@given(st.integers(0, 99), st.integers(1, 4), st.integers(0, 9))
def test_households_come_back_whole(seed: int, days: int, gaps: int) -> None:
    start = 1_616_713_200  # over a change of hour
    made = [
        household.load_curve(seed, start, days, gaps=gaps),
        household.daily_totals(seed, start, days),
        household.injected(seed, start, days),
        household.gas_totals(seed, start, days),
    ]
    assert all_series(quoalise.read_xml, quoalise.write_xml(made)) == made
    assert all_series(quoalise.read_json, quoalise.write_json(made)) == made
    assert quoalise.write_xml(made).count(b'fictitious="true"') == 4


def test_the_real_load_curve_whose_step_changes_comes_back() -> None:
    (one,) = enedis_csv.parse(shared("data/enedis/hdm_c5_load_curve.csv").read_bytes())
    assert len(set(one.durations)) > 1
    for read, write in ((quoalise.read_xml, quoalise.write_xml), (quoalise.read_json, quoalise.write_json)):
        (again,) = all_series(read, write([one]))
        assert list(again) == list(one)


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.decimals(-1000, 1000, places=6), min_size=1, max_size=9))
def test_numbers_come_back_exactly(values: list[Any]) -> None:
    key = SeriesKey("prm:12345678901234", "electricity", "consumption", "index", "P1D", "Wh", "EAS F1")
    assume(all(abs(value) * 10**6 < 1 << 63 for value in values) or all(type(value) is int for value in values))
    one = Series.from_readings(key, [Reading(BT + i, 0, value) for i, value in enumerate(values)])
    (again,) = all_series(quoalise.read_xml, quoalise.write_xml([one]))
    assert again.values() == one.values()


def test_base_values_are_added_and_remarks_are_told() -> None:
    text = DOCUMENT.replace('v="100"', 'bv="40" v="100"').replace('unit="W"', 'unit="W" estimated="true"')
    (one,) = xml(text)
    assert one.values() == [140, None, 40]
    assert left_out(quoalise.read_xml, text.encode()) == {"remarks of the measurement (subtype, estimated, pricing)": 1}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (('v="100"', 'v="many"'), "BAD_QUOALISE"),
        (('v="100"', 'v="NaN"'), "BAD_QUOALISE"),
        ((' v="100"', ""), "BAD_QUOALISE"),
        (('t="1800"', 't="1800.5"'), "BAD_QUOALISE"),
        (('t="1800"', 't="900"'), "BAD_QUOALISE"),
        (('bt="1583016600"', 'bt="-5"'), "BAD_QUOALISE"),
        (('quantity="power"', 'quantity="energy"'), "BAD_QUOALISE"),
        (('direction="consumption"', 'direction="production"'), "BAD_QUOALISE"),
        (('unit="W"', 'unit="kW"'), "BAD_QUOALISE"),
        (('sampling-interval="PT30M"', ""), "BAD_QUOALISE"),
        (('value="12345678901234"', 'value="99345678901234"'), "BAD_QUOALISE"),
        (("power/active/raw", "voltage/raw"), "BAD_QUOALISE"),
        (("<quoalise", "<!DOCTYPE q [<!ENTITY a 'b'>]><quoalise"), "BAD_XML"),
        (("</quoalise>", ""), "BAD_XML"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(change: tuple[str, str], code: str) -> None:
    error = refusal(quoalise.read_xml, DOCUMENT.replace(*change).encode())
    assert error.code == code
    assert error.field is not None
    assert "line" in error.field


def test_periods_that_no_interval_says_are_not_written() -> None:
    key = SeriesKey("pce:12345678901234", "gas", "consumption", "daily", "P1D", "kWh")
    with pytest.raises(LocalError) as error:
        quoalise.write_xml([Series.from_readings(key, [Reading(BT, 600, Decimal("1.5"))])])
    assert error.value.code == "NO_PLACE"


@given(st.binary(max_size=12), st.integers(0, len(DOCUMENT)), st.integers(0, 30))
def test_broken_documents_are_read_whole_or_refused(noise: bytes, at: int, cut: int) -> None:
    for data in (DOCUMENT.encode(), OLDER.encode()):
        assert whole_or_refused(quoalise.read_xml, data[:at] + noise + data[at + cut :])


SCALARS: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
SCALARS |= st.just({}) | st.just([])


@given(
    st.dictionaries(st.sampled_from(["name", "time", "unit", "value"]), SCALARS),
    st.dictionaries(st.sampled_from(["name", "direction", "unit", "sampling", "sampling-interval"]), SCALARS),
)
def test_any_twin_is_read_whole_or_refused(record: dict[str, Any], measurement: dict[str, Any]) -> None:
    twin = json.loads(quoalise.write_json(xml(DOCUMENT)))
    twin["records"][0] |= record
    twin["meta"]["measurement"] |= measurement
    assert whole_or_refused(quoalise.read_json, json.dumps(twin).encode())
