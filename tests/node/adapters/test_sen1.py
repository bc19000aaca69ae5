"""SEN1's messages: values at moments, one destination, hostile messages refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.adapters import sen1
from node.adapters.adapter import Source
from node.readings import Reading
from tests.node.adapters.reads import all_series, refusal, whole_or_refused

PRM = Source(point="prm:12345678901234")
MESSAGE = """<Sen1Message xmlns="http://xmpp.rocks">
 <username>anna</username><name>maison</name><metaname></metaname><metavalue></metavalue><unite>W</unite>
 <type>dt_numeric</type><applicationSrc>bmhs</applicationSrc><applicationDst>maille</applicationDst>
 <Sen1Datas>
  <Sen1Data><value>120.5</value><timestamp>2019-05-06 14:30:00</timestamp></Sen1Data>
  <Sen1Data><value></value><timestamp>2019-05-06 14:40:00</timestamp></Sen1Data>
  <Sen1Data><value>0</value><timestamp>2019-05-06 15:00:00</timestamp></Sen1Data>
 </Sen1Datas></Sen1Message>"""


def test_power_is_a_mean_over_the_step_that_shows() -> None:
    (one,) = all_series(sen1.read, MESSAGE.encode(), PRM)
    start = int(datetime(2019, 5, 6, 12, 30, tzinfo=UTC).timestamp())
    assert (one.key.kind, one.key.granularity) == ("load_curve", "PT10M")
    rows = [Reading(start, 600, Decimal("120.5")), Reading(start + 600, 600, None), Reading(start + 1800, 600, 0)]
    assert list(one) == rows
    assert len(one.jumps()) == 1


def test_energy_is_a_register_and_water_too() -> None:
    (one,) = all_series(sen1.read, MESSAGE.replace("<unite>W", "<unite>kWh").encode(), PRM)
    assert (one.key.kind, one.key.register, one.durations[0]) == ("index", "EAS T", 0)
    (one,) = all_series(sen1.read, MESSAGE.replace("<unite>W", "<unite>m³").encode(), Source(point="water:A1"))
    assert (one.key.energy, one.key.unit) == ("water", "m3")


def test_several_messages_with_offsets() -> None:
    moved = MESSAGE.replace(":00</t", ":00+02:00</t").replace("05-06", "05-07")
    (one,) = all_series(sen1.read, f"<stream>{MESSAGE}{moved}</stream>".encode(), PRM)
    assert len(one) == 6


@pytest.mark.covers("R17", "system:SEN / SEN1 POC")
def test_a_message_for_another_application_is_refused_with_that_reason() -> None:
    error = refusal(sen1.read, MESSAGE.replace(">maille<", ">lognact<").encode(), PRM)
    assert (error.code, error.field) == ("SEN1_OTHER_DESTINATION", "file, line 1, applicationDst")
    assert "lognact" not in error.message


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("dt_numeric", "dt_string"), "line 1, type"),
        (("<unite>W", "<unite>°C"), "line 1, unite"),
        (("120.5", "beaucoup"), "line 5, value"),
        (("14:40:00", "14:40"), None),
        (("14:40:00", "24:40:00"), "line 5, timestamp"),
        (("<value>0</value>", ""), "line 7, value"),
        (("<metaname></metaname>", "<token>secret</token>"), "line 1, Sen1Message"),
        (("<Sen1Datas>", "<Sen1Datas><x/>"), "line 1, Sen1Datas"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(change: tuple[str, str], where: str | None) -> None:
    data = MESSAGE.replace(*change).encode()
    if where is None:
        assert len(all_series(sen1.read, data, PRM)[0]) == 3
        return
    error = refusal(sen1.read, data, PRM)
    assert (error.code, error.field) == ("BAD_SEN1", f"file, {where}")


def test_one_moment_alone_has_no_mean_and_no_point_is_no_series() -> None:
    one = MESSAGE[: MESSAGE.index("  <Sen1Data><value></value>")] + "</Sen1Datas></Sen1Message>"
    assert refusal(sen1.read, one.encode(), PRM).field == "file, line 1, timestamp"
    assert "--point" in refusal(sen1.read, MESSAGE.encode()).message


@given(st.binary(max_size=12), st.integers(0, len(MESSAGE)), st.integers(0, 30))
def test_broken_messages_are_read_whole_or_refused(noise: bytes, at: int, cut: int) -> None:
    data = MESSAGE.encode()
    assert whole_or_refused(sen1.read, data[:at] + noise + data[at + cut :], PRM)
