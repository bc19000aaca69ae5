"""SenML packs: exact both ways, readable by others, hostile packs refused."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError, RemoteError
from node.adapters import enedis_csv, senml
from node.readings import Reading, Series, Value
from node.series_key import SeriesKey
from tests.node.series import CURVE, series
from tests.shared import shared

T0 = 1_600_000_000
NAME = CURVE.name


def curve(*values: Value, duration: int = 600) -> Series:
    return Series.from_readings(CURVE, [Reading(T0 + i * duration, duration, v) for i, v in enumerate(values)])


@given(series())
def test_packs_give_the_series_back_exactly(one: Series) -> None:
    (from_cbor,) = senml.decode_cbor(senml.encode_cbor(one))
    (from_json,) = senml.decode_json(senml.encode_json([one]))
    assert from_cbor == from_json == one
    assert list(map(type, from_cbor.values())) == list(map(type, one.values()))


def test_the_real_load_curve_crosses_in_chunks() -> None:
    (one,) = enedis_csv.parse(shared("data/enedis/hdm_c5_load_curve.csv").read_bytes())
    received = [senml.decode_cbor(senml.encode_cbor(chunk))[0] for chunk in one.chunks(1000)]
    assert [reading for chunk in received for reading in chunk] == list(one)
    assert senml.decode_json(senml.encode_json([one])) == [one]


def test_a_pack_is_what_a_plain_encoder_writes() -> None:
    one = Series.from_readings(
        CURVE,
        [
            Reading(T0, 3600, 100),
            Reading(T0 + 3600, 1800, None),
            Reading(T0 + 5400, 1800, -7),
            Reading(T0 + 90_000, 1800, 70_000),
        ],
    )
    base: dict[int | str, Any] = {
        "bq:quantity": "power",
        "bq:direction": "consumption",
        "bq:aggregation": "mean",
        "bq:sampling-interval": "PT10M",
        "bq:fictitious": False,
        "bq:duration": 3600,
    }
    records: list[dict[int | str, Any]] = [
        {-2: NAME, -3: T0, -4: "W", **base, 6: 0, 2: 100},
        {"bq:duration": 1800, 6: 3600, 3: "null"},
        {6: 5400, 2: -7},
        {6: 90_000, 2: 70_000},
    ]
    assert senml.encode_cbor(one) == cbor2.dumps(records)
    names = {-2: "bn", -3: "bt", -4: "bu", 6: "t", 2: "v", 3: "vs"}
    as_json = [{names.get(k, k) if isinstance(k, int) else k: v for k, v in r.items()} for r in records]
    assert json.loads(senml.encode_json([one])) == as_json


@pytest.mark.parametrize("count", [1, 23, 24, 255, 256, 65_536])
def test_packs_of_every_length_of_head(count: int) -> None:
    one = curve(*range(count))
    pack = senml.encode_cbor(one)
    assert len(cbor2.loads(pack)) == count
    assert senml.decode_cbor(pack) == [one]


def test_decimals_are_doubles_while_these_are_exact_and_decimal_fractions_beyond() -> None:
    short, long = Decimal("0.1"), Decimal("1234567.8901234567")
    records = cbor2.loads(senml.encode_cbor(curve(short, long, 3)))
    assert [r[2] for r in records] == [0.1, long, 3]
    assert [type(r[2]) for r in records] == [float, Decimal, int]
    assert b'"v":0.1}' in senml.encode_json([curve(short, 3)])


def test_a_gap_is_never_a_number_for_a_reader_that_knows_plain_senml() -> None:
    """Resolved as RFC 8428 says, by code that shares nothing with ours."""
    now: dict[str, Any] = {}
    resolved = []
    for record in json.loads(senml.encode_json([curve(5, None, 0)])):
        now |= {label: value for label, value in record.items() if label.startswith("b")}
        resolved.append((now["bn"] + record.get("n", ""), now["bt"] + record["t"], now["bu"], record.get("v")))
    assert resolved == [(NAME, T0, "W", 5), (NAME, T0 + 600, "W", None), (NAME, T0 + 1200, "W", 0)]


@pytest.mark.covers("R17", "R160")
def test_an_independent_library_reads_the_values() -> None:
    """kpn-senml wants a name in every record, and knows neither texts under Python 3 nor times: so no gap here."""
    kpn = pytest.importorskip("kpn_senml")
    records = json.loads(senml.encode_json([curve(5, 0, 7)]))
    read: list[Any] = []

    def first(record: Any, **_: Any) -> None:
        record.actuate = lambda again: read.append(again.value)
        read.append(record.value)

    pack = kpn.SenmlPack(NAME, first)
    pack.from_json(json.dumps([{**record, "n": ""} for record in records]))
    assert read == [5, 0, 7]


def test_several_series_share_one_json_pack() -> None:
    gas = SeriesKey("pce:12345678901234", "gas", "consumption", "daily", "P1D", "kWh")
    daily = Series.from_readings(gas, [Reading(T0, 86_400, Decimal("1.5"))])
    assert senml.decode_json(senml.encode_json([curve(1, 2), daily])) == [curve(1, 2), daily]


BASE: dict[str, Any] = {"bn": NAME, "bt": T0, "bu": "W", "bq:sampling-interval": "PT10M"}


def load(*records: Any) -> list[Series]:
    return senml.decode_json(json.dumps(records).encode())


def test_packs_of_others_are_resolved() -> None:
    point = NAME.partition("_")[0]
    expected = curve(10, 11, 12)
    assert load({**BASE, "v": 10}, {"t": 600, "v": 11}, {"t": 1200, "v": 12}) == [expected]
    assert load({**BASE, "bv": 10, "v": 0}, {"t": 600, "v": 1}, {"t": 1200.0, "v": 2.0}) == [expected]
    assert load({**BASE, "bv": 9.5, "v": 0.5}, {"t": 600, "v": 1.5}, {"t": 1200, "v": 2.5}) == [expected]
    assert load({**BASE, "v": 10}, {"bt": T0 + 600, "v": 11}, {"t": 600, "v": 12}) == [expected]
    split = {**BASE, "bn": point, "n": NAME.removeprefix(point), "v": 10}
    assert load(split, *({"n": split["n"], "t": 600 * i, "v": 10 + i} for i in (1, 2))) == [expected]
    extra = {"x-colour": "blue", "bver": 10, "ut": 3, "t": 600, "v": 11}
    assert load({**BASE, "v": 10}, extra, {"t": 1200, "v": 12, "x": []}) == [expected]


def test_a_name_or_unit_of_one_record_holds_for_that_record_only() -> None:
    point, rest = NAME.partition("_")[0], "_production/power/active/raw"
    one, two = load({**BASE, "bn": point, "n": NAME.removeprefix(point), "v": 1}, {"n": rest, "v": 2})
    assert (one.key.direction, two.key.direction) == ("consumption", "injection")
    with pytest.raises(RemoteError) as error:
        load({**BASE, "bn": point, "n": rest, "v": 1}, {"t": 600, "v": 2})
    assert error.value.code == "BAD_SERIES_NAME"


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "at least one record"),
        ([[]], "at least one record"),
        ([{}], "A name and a unit"),
        ([{**BASE, "bn": 1, "v": 1}], "A name and a unit"),
        ([{**BASE, "bn": "urn:dev:mac:0024befffe804ff1", "v": 1}], "not the name of a meter's series"),
        ([{**BASE, "bq:sampling-interval": 10, "v": 1}], "sampling-interval"),
        ([{**BASE, "bq:sampling-interval": "PT1H", "v": 1}], "granularity"),
        ([{**BASE, "bq:direction": "production", "v": 1}], "contradicts"),
        ([{**BASE, "bq:fictitious": 1, "v": 1}], "true or false"),
        ([{**BASE, "bu": "kW", "v": 1}], "unit"),
        ([BASE], 'a number "v"'),
        ([{**BASE, "vs": ""}], 'a number "v"'),
        ([{**BASE, "v": 1}, {"t": 600, "vs": "NULL"}], 'a number "v"'),
        ([{**BASE, "v": 1}, {"t": 600, "vs": []}], 'a number "v"'),
        ([{**BASE, "v": 1}, {"t": 600, "v": None}], "A value is a number"),
        ([{**BASE, "v": 1}, {"t": 600, "v": True}], "A value is a number"),
        ([{**BASE, "v": 1}, {"t": 600, "v": "1"}], "A value is a number"),
        ([{**BASE, "v": 1, "vs": "null"}], "one value"),
        ([{**BASE, "v": 1}, {"v": 2, "vs": "null"}], "one value"),
        ([{**BASE, "vb": False}], "not readings"),
        ([{**BASE, "s": 1}], "not readings"),
        ([{**BASE, "v": 1, "bver": 11}], "version"),
        ([{**BASE, "v": 1, "gap_": True}], "must be understood"),
        ([{**BASE, "v": 1, "bt": 0}], "July 1978"),
        ([{**BASE, "v": 1, "bt": T0 + 0.5}], "whole seconds"),
        ([{**BASE, "v": 1, "bt": 1e300}], "whole seconds"),
        ([{**BASE, "v": 1, "bt": True}], "whole seconds"),
        ([{**BASE, "v": 1}, {"t": 10**30, "v": 1}], "64 bits"),
        ([{**BASE, "v": 1, "bq:duration": -1}], "duration"),
        ([{**BASE, "v": 1, "bq:duration": 10**10}], "64 bits"),
        ([{**BASE, "v": 2**63}], "64 bits"),
        ([{**BASE, "v": 1}, {"t": 600, "v": 2**63}], "64 bits"),
        ([{**BASE, "v": 1e-30}], "too small"),
        ([{**BASE, "v": 1}, {"t": 600, "v": 1e30}], "64 bits"),
        ([{**BASE, "bv": 1e40, "v": 1e-40}], "too many digits"),
        ([{**BASE, "v": 1}, {"t": 0, "v": 1}], "before the one before"),
        ([{**BASE, "v": 1}, {"t": 300, "v": 1}], "before the one before"),
    ],
)
def test_packs_that_are_no_readings_are_refused(records: list[Any], words: str) -> None:
    with pytest.raises(RemoteError, match=words):
        load(*records)


@pytest.mark.parametrize(
    "data",
    [b"", b"[", b"{}", b'[{"bn":1,"bn":2}]', b'[{"v":NaN}]', b'[{"v":1e99999999999999999999}]', b"\xff", b"[" * 10**5],
)
def test_what_is_not_plain_json_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteError) as error:
        senml.decode_json(data)
    assert error.value.code == "BAD_SENML"


def test_what_is_not_plain_cbor_is_refused() -> None:
    pack = senml.encode_cbor(curve(1, 2))
    twice = bytearray(pack)
    twice[-4:] = b"\x02\x01\x02\x01"
    for bad in (b"", pack[:-1], pack + b"\0", b"\x81" * 9 + b"\0", bytes(twice), b"\x9b" + b"\xff" * 8):
        with pytest.raises(RemoteError) as error:
            senml.decode_cbor(bad)
        assert error.value.code == "BAD_SENML"


def test_tags_are_refused_before_anything_is_built() -> None:
    """Every tag but big numbers and decimal fractions, so that a new cbor2 cannot add one unseen."""
    for tag in range(65_536):
        if tag not in {2, 3, 4}:
            head = bytes([0xC0 + tag]) if tag < 24 else b"\xd9" + tag.to_bytes(2, "big")
            with pytest.raises(RemoteError):
                senml.decode_cbor(b"\x81\xa1\x02" + head + b"\x61(")


def test_sizes_are_held() -> None:
    with pytest.raises(RemoteError, match="at most 1048576 bytes"):
        senml.decode_cbor(bytes(senml.MAX_CBOR_BYTES + 1))
    with pytest.raises(RemoteError, match="at most 67108864 bytes"):
        senml.decode_json(bytes(senml.MAX_JSON_BYTES + 1))
    with pytest.raises(RemoteError, match="at most 2000000 records"):
        senml.decode_json(b"[" + b"{}," * 2_000_001)


def test_an_empty_series_is_no_pack() -> None:
    for encode in (senml.encode_cbor, lambda one: senml.encode_json([one])):
        with pytest.raises(LocalError) as error:
            encode(curve())
        assert error.value.code == "EMPTY_PACK"


def test_full_tables_of_pieces_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senml, "_REMEMBERED", 2)
    one = curve(9_000_001, 9_000_002, 9_000_003, 9_000_004)
    assert senml.decode_cbor(senml.encode_cbor(one)) == [one]


@given(st.binary(max_size=200))
def test_any_bytes_are_series_or_a_remote_error(data: bytes) -> None:
    for decode in (senml.decode_cbor, senml.decode_json):
        with pytest.raises(RemoteError):
            decode(data)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([NAME, "W"])
FIELDS = st.dictionaries(
    st.sampled_from([-1, -2, -3, -4, -5, -6, *range(9), "bq:duration", "bq:sampling-interval", "x_"]),
    SCALARS | st.lists(SCALARS, max_size=2) | st.decimals() | st.integers(T0, 2 * T0),
    max_size=4,
)


@given(st.lists(FIELDS, max_size=6))
def test_any_records_are_series_or_a_remote_error(records: list[dict[Any, Any]]) -> None:
    base = {-2: NAME, -3: T0, -4: "W", "bq:sampling-interval": "PT10M", 2: 1}
    try:
        found = senml.decode_cbor(cbor2.dumps([base, *records]))
    except RemoteError:
        return
    assert sum(map(len, found)) == len(records) + 1
    assert all(one.fault() is None for one in found)


@given(series(), st.data())
def test_one_changed_byte_is_refused_or_is_other_readings(one: Series, data: st.DataObject) -> None:
    pack = bytearray(senml.encode_cbor(one))
    pack[data.draw(st.integers(0, len(pack) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = senml.decode_cbor(bytes(pack))
    except RemoteError:
        return
    assert sum(map(len, found)) == len(one)


def test_a_digest_is_of_the_bytes() -> None:
    assert senml.digest(b"pack") == hashlib.sha256(b"pack").digest()
