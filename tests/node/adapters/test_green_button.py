"""Green Button: read by an independent parser, read back exactly, feeds of others, hostile feeds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.adapters import enedis_csv, green_button, household
from node.adapters.adapter import Source
from node.readings import Reading, Series
from node.series_key import SeriesKey
from tests.node.adapters.reads import all_series, left_out, refusal, whole_or_refused
from tests.node.series import CURVE, DAILY, INDEX, series
from tests.shared import shared

T0 = 1_600_000_000
FOREIGN = """<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom">
 <entry><id>urn:uuid:1</id><link rel="self" href="RetailCustomer/1/UsagePoint/01"/>
  <link rel="up" href="RetailCustomer/1/UsagePoint"/>
  <link rel="related" href="RetailCustomer/1/UsagePoint/01/MeterReading"/>
  <content><UsagePoint xmlns="http://naesb.org/espi"><ServiceCategory><kind>0</kind></ServiceCategory></UsagePoint></content>
 </entry>
 <entry><link rel="self" href="RetailCustomer/1/UsagePoint/01/MeterReading/01"/>
  <link rel="up" href="RetailCustomer/1/UsagePoint/01/MeterReading"/>
  <link rel="related" href="RetailCustomer/1/UsagePoint/01/MeterReading/01/IntervalBlock"/>
  <link rel="related" href="ReadingType/07"/><title>Hourly electricity</title>
  <content><MeterReading xmlns="http://naesb.org/espi"/></content></entry>
 <entry><link rel="self" href="ReadingType/07"/><link rel="up" href="ReadingType"/>
  <content><ReadingType xmlns="http://naesb.org/espi"><accumulationBehaviour>4</accumulationBehaviour><commodity>1</commodity>
   <dataQualifier>12</dataQualifier><flowDirection>1</flowDirection><intervalLength>3600</intervalLength><kind>12</kind>
   <phase>769</phase><powerOfTenMultiplier>0</powerOfTenMultiplier><timeAttribute>0</timeAttribute><uom>72</uom>
  </ReadingType></content></entry>
 <entry><link rel="self" href="RetailCustomer/1/UsagePoint/01/MeterReading/01/IntervalBlock/1"/>
  <link rel="up" href="RetailCustomer/1/UsagePoint/01/MeterReading/01/IntervalBlock"/>
  <content><IntervalBlock xmlns="http://naesb.org/espi"><interval><duration>14400</duration><start>1600000000</start></interval>
   <IntervalReading><cost>97</cost><timePeriod><duration>3600</duration><start>1600000000</start></timePeriod><value>974</value></IntervalReading>
   <IntervalReading><timePeriod><duration>3600</duration><start>1600007200</start></timePeriod><value>0</value></IntervalReading>
  </IntervalBlock></content></entry>
</feed>"""
PRM = Source(point="prm:12345678901234")


def tame(one: Series) -> Series:
    """What ESPI can hold: 48 bits; of instants those with a value; no stretch of gaps alone (see below)."""
    rows: list[Reading] = []
    for start, duration, count in one.runs():
        values = [reading.value for reading in one if start <= reading.start < start + max(1, duration * count)]
        kept = [None if value is None else value % 1_000_000 for value in values]
        if all(value is None for value in kept):
            kept[0] = 7
        rows += [Reading(start + i * duration, duration, value) for i, value in enumerate(kept)]
    return Series.from_readings(one.key, rows)


@pytest.mark.covers("system:Green Button")
@given(series().map(tame))
def test_what_is_written_is_read_back(one: Series) -> None:
    assert all_series(green_button.read, green_button.write([one])) == [one]


def test_a_stretch_of_gaps_alone_stays_one_without_values() -> None:
    one = Series.from_readings(CURVE, [Reading(T0, 600, 1), Reading(T0 + 600, 3600, None), Reading(T0 + 4200, 600, 2)])
    (again,) = all_series(green_button.read, green_button.write([one]))
    assert again.values() == [1, *[None] * 6, 2]
    assert again.stop == one.stop


def test_households_come_back_whole() -> None:
    start = 1_616_713_200
    made = [
        household.load_curve(1, start, 3, gaps=9),
        household.daily_totals(1, start, 3),
        household.injected(1, start, 3),
        household.gas_totals(1, start, 3),
    ]
    data = green_button.write(made)
    assert data.count(b'scheme="urn:maille:fictitious"') == 4
    assert b"Fictitious readings" in data
    assert all_series(green_button.read, data) == made


def test_the_real_load_curve_comes_back() -> None:
    (one,) = enedis_csv.parse(shared("data/enedis/hdm_c5_load_curve.csv").read_bytes())
    assert all_series(green_button.read, green_button.write([one])) == [one]


def oracle(path: Path) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parse = pytest.importorskip("greenbutton_objects.parse")
    return list(parse.parse_feed(str(path)))


@pytest.mark.covers("system:Green Button")
def test_an_independent_parser_reads_the_same(tmp_path: Path) -> None:
    start = 1_616_713_200
    made = [
        household.load_curve(2, start, 2, gaps=5),
        household.daily_totals(2, start, 2),
        household.gas_totals(2, start, 2),
    ]
    register = Series.from_readings(INDEX, [Reading(start, 0, 12_345), Reading(start + 86_400, 0, 12_400)])
    path = tmp_path / "feed.xml"
    path.write_bytes(green_button.write([*made, register]))
    points = oracle(path)
    assert [point.title for point in points] == ["prm:00000000000002", "pce:00000000000002", "prm:12345678901234"]
    found = {reading.title: reading for point in points for reading in point.meterReadings}
    for one in [*made, register]:
        theirs = [
            (int(r.timePeriod.start.timestamp()), int(r.timePeriod.duration.total_seconds()), r.value)
            for r in found[one.key.name].intervalReadings
        ]
        factor = 1000 if one.key.unit == "kWh" else 1
        assert theirs == [(r.start, r.duration_s, int(r.value) * factor) for r in one if r.value is not None]


def test_a_feed_of_others_is_a_load_curve_with_its_gaps() -> None:
    (one,) = all_series(green_button.read, FOREIGN.encode(), PRM)
    assert one.key == SeriesKey("prm:12345678901234", "electricity", "consumption", "load_curve", "PT60M", "W")
    assert one.values() == [974, None, 0, None]
    half = FOREIGN.replace("<duration>3600", "<duration>1800").replace(">3600<", ">1800<").replace("14400", "1800")
    (one,) = all_series(green_button.read, half.encode(), PRM)
    assert one.values()[0] == 1948
    scaled = FOREIGN.replace("<powerOfTenMultiplier>0", "<powerOfTenMultiplier>-3")
    (one,) = all_series(green_button.read, scaled.encode(), PRM)
    assert str(one.values()[0]) == "0.974"


def test_voltages_are_left_out_and_said() -> None:
    assert left_out(green_button.read, FOREIGN.replace("<uom>72", "<uom>29").encode(), PRM) == {"voltages": 2}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("<value>974</value>", ""), "value"),
        (("<value>974", "<value>1e3"), "value"),
        (("<uom>72", "<uom>169"), "uom"),
        (("<commodity>1", "<commodity>4"), "commodity"),
        (("<flowDirection>1", "<flowDirection>7"), "flowDirection"),
        (("<intervalLength>3600", "<intervalLength>7"), "intervalLength"),
        (("<duration>14400", "<duration>360000000"), "interval"),
        (('ReadingType/07"/><title>', 'ReadingType/08"/><title>'), "ReadingType"),
        (("<start>1600007200", "<start>1600001800"), "record"),
        (("<start>1600007200", "<start>9999999999999"), "start, duration"),
        (('rel="self" href="ReadingType/07"', 'rel="alternate" href="ReadingType/07"'), "entry"),
        (("<IntervalReading><cost>", "<Other/><IntervalReading><cost>"), "IntervalBlock"),
        (
            ('MeterReading/01/IntervalBlock"/>\n  <content>', 'MeterReading/02/IntervalBlock"/>\n  <content>'),
            "IntervalBlock",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(change: tuple[str, str], where: str) -> None:
    text = FOREIGN.replace(*change)
    if "MeterReading/02" in change[1]:
        text = text.replace("MeterReading/01/IntervalBlock/1", "MeterReading/02/IntervalBlock/1")
    assert text != FOREIGN
    error = refusal(green_button.read, text.encode(), PRM)
    assert error.code == "BAD_GREEN_BUTTON"
    assert error.field is not None
    assert error.field.endswith(where)
    assert "line " in error.field


def test_a_feed_without_a_point_needs_one() -> None:
    assert "--point" in refusal(green_button.read, FOREIGN.encode()).message


def test_names_that_the_codes_contradict_are_refused() -> None:
    data = green_button.write([household.load_curve(1, T0, 1)])
    for change in (
        (b"<uom>38", b"<uom>72"),
        (b"<flowDirection>1<", b"<flowDirection>19<"),
        (b'term="PT30M"', b'term="x"'),
    ):
        assert refusal(green_button.read, data.replace(*change)).code == "BAD_GREEN_BUTTON"


def test_what_48_bits_do_not_hold_is_not_written() -> None:
    with pytest.raises(LocalError) as error:
        green_button.write([Series.from_readings(DAILY, [Reading(T0, 86_400, 1 << 48)])])
    assert error.value.code == "NO_PLACE"


def test_blocks_are_cut(tmp_path: Path) -> None:
    one = Series.from_readings(CURVE, [Reading(T0 + 600 * i, 600, i) for i in range(10_000)])
    path = tmp_path / "feed.xml"
    path.write_bytes(green_button.write([one]))
    assert path.read_bytes().count(b"<IntervalBlock ") == 3
    assert all_series(green_button.read, path.read_bytes()) == [one]


@given(st.binary(max_size=12), st.integers(0, len(FOREIGN)), st.integers(0, 40))
def test_broken_feeds_are_read_whole_or_refused(noise: bytes, at: int, cut: int) -> None:
    data = FOREIGN.encode()
    assert whole_or_refused(green_button.read, data[:at] + noise + data[at + cut :], PRM)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["3600", "1600000000", "72", "07", "974", "14400"]), st.text("0123456789-", max_size=11)
        )
    )
)
def test_other_numbers_are_read_whole_or_refused(changes: list[tuple[str, str]]) -> None:
    text = FOREIGN
    for old, new in changes[:3]:
        text = text.replace(old, new or "0", 1)
    assume(len(text) < 10_000)
    assert whole_or_refused(green_button.read, text.encode(), PRM)
