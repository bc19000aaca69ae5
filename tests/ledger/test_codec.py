"""The codec: what goes in comes out, one encoding for each value, and every other encoding is refused."""

from __future__ import annotations

import struct
import unicodedata
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import cbor2
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ledger.codec import MAX_BYTES, MAX_DEPTH, Value, decode, decode_sign1, encode, encode_joined, encode_sign1
from ledger.errors import LocalError, RemoteError

TEXT = st.text(st.characters(max_codepoint=0x2FF) | st.sampled_from("\u1e9e€中é\u05d0📈ⅷ"), max_size=30)
INTS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32])
SCALARS = st.none() | st.booleans() | INTS | st.binary(max_size=300) | TEXT
LABELS = st.dictionaries(st.integers(0, 23) | st.integers(-80_000, -70_000), SCALARS, max_size=5)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | LABELS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXT, inner, max_size=6),
    max_leaves=30,
)


def head(major: int, number: int) -> bytes:
    """Write the shortest head (RFC 8949 §3)."""
    if number < 24:
        return bytes([major << 5 | number])
    for extra, limit in ((24, 8), (25, 16), (26, 32), (27, 64)):
        if number < 1 << limit:
            return bytes([major << 5 | extra]) + number.to_bytes(limit // 8, "big")
    raise AssertionError


def model(value: Any) -> bytes:
    """Encode as RFC 8949 §4.2.1 reads, keys in bytewise order; shares nothing with the codec or with cbor2."""
    match value:
        case None | True | False:
            return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
        case int():
            return head(0, value) if value >= 0 else head(1, -1 - value)
        case bytes():
            return head(2, len(value)) + value
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(model, value))
        case _:
            pairs = sorted((model(key), model(item)) for key, item in value.items())
            return head(5, len(value)) + b"".join(key + item for key, item in pairs)


def refusal(data: bytes) -> str:
    """Return the code with which `decode` refuses."""
    with pytest.raises(RemoteError) as caught:
        decode(data)
    return caught.value.code


@given(VALUES)
@example([])
@example(list(range(300)))
@example({"é" * 12: 1, "b" * 23: 2, "c" * 24: 3})
def test_round_trip_and_bytewise_order(value: Value) -> None:
    data = encode(value)
    assert data == model(value)
    assert decode(data) == value
    assert encode(decode(data)) == data


@given(st.data(), VALUES)
def test_order_of_entries_does_not_matter(data: st.DataObject, value: Value) -> None:
    def shuffled(item: Any) -> Any:
        if type(item) is dict:
            return {key: shuffled(item[key]) for key in data.draw(st.permutations(list(item)))}
        return [shuffled(part) for part in item] if type(item) is list else item

    assert encode(shuffled(value)) == encode(value)


@given(st.binary(max_size=40))
@example(bytes.fromhex("9800"))
def test_any_bytes_are_the_encoding_or_refused(data: bytes) -> None:
    try:
        value = decode(data)
    except RemoteError:
        return
    assert model(value) == data


@given(st.data(), VALUES)
def test_flipped_bytes_are_another_value_or_refused(data: st.DataObject, value: Value) -> None:
    encoded = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        other = decode(bytes(encoded))
    except RemoteError:
        return
    assert model(other) == encoded


@given(VALUES, st.binary(min_size=1, max_size=5))
def test_trailing_bytes(value: Value, more: bytes) -> None:
    assert refusal(encode(value) + more) == "CBOR_TRAILING"


@given(VALUES)
def test_cut_bytes(value: Value) -> None:
    encoded = encode(value)
    assert refusal(encoded[:-1]) == "CBOR_MALFORMED"


@given(st.integers(0, 2**63 - 1), st.sampled_from([0, 1]), st.sampled_from([1, 2, 4, 8]))
def test_longer_heads_than_needed(number: int, major: int, width: int) -> None:
    assume(number < 1 << 8 * width)
    data = bytes([major << 5 | 23 + width.bit_length()]) + number.to_bytes(width, "big")
    if data == head(major, number):
        assert decode(data) == (number if major == 0 else -1 - number)
    else:
        assert refusal(data) == "CBOR_NOT_DETERMINISTIC"
        assert refusal(b"\x82\x01" + data) == "CBOR_NOT_DETERMINISTIC"


@given(st.lists(TEXT, min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_keys_out_of_order(keys: list[str], shuffle: Any) -> None:
    mixed = keys[:]
    shuffle.shuffle(mixed)
    data = head(5, len(mixed)) + b"".join(model(key) + b"\x00" for key in mixed)
    if data == model(dict.fromkeys(keys, 0)):
        assert decode(data) == dict.fromkeys(keys, 0)
    else:
        assert refusal(data) == "CBOR_NOT_DETERMINISTIC"


@given(st.dictionaries(st.integers(-300, 300) | st.text("ab", max_size=2), st.none(), max_size=6))
def test_the_two_orders_never_part(value: dict[int | str, None]) -> None:
    keys = [model(key) for key in value]
    agree = sorted(keys) == sorted(keys, key=lambda key: (len(key), key))
    if agree:
        assert encode(value) == cbor2.dumps(value, canonical=True) == model(value)
        assert decode(model(value)) == value
    else:
        with pytest.raises(LocalError, match="UNENCODABLE"):
            encode(value)
        assert refusal(model(value)) == "CBOR_MODEL"
        assert refusal(cbor2.dumps(value, canonical=True)) in {"CBOR_NOT_DETERMINISTIC", "CBOR_MODEL"}


@given(st.floats() | st.integers(max_value=-(2**63) - 1) | st.integers(min_value=2**63))
def test_floats_and_large_integers(value: float) -> None:
    assert refusal(cbor2.dumps(value)) == "CBOR_MODEL"
    assert refusal(cbor2.dumps({"a": [value]}, canonical=True)) == "CBOR_MODEL"
    with pytest.raises(LocalError, match="UNENCODABLE"):
        encode([value])


class Colour(IntEnum):
    """An integer by inheritance."""

    RED = 1


class Name(str):
    """A text by inheritance."""

    __slots__ = ()


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        bytearray(b"a"),
        memoryview(b"a"),
        Colour.RED,
        Name("a"),
        {Name("a"): 1},
        {1.0: 1},
        {True: 1},
        {None: 1},
        {b"a": 1},
        {"a": 1, None: 2},
        {1, 2},
        datetime(2026, 1, 1, tzinfo=UTC),
        cbor2.undefined,
        cbor2.CBORSimpleValue(99),
        cbor2.CBORTag(18, [1]),
        "e\u0301",
        {"e\u0301": 1},
        {1: 0, "e\u0301": 1},
        "\ud800",
        {"\ud800": 1},
        CYCLE,
        object(),
    ],
)
def test_what_encode_refuses(value: object) -> None:
    with pytest.raises(LocalError, match="UNENCODABLE"):
        encode(value)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "CBOR_MALFORMED"),
        ("1c", "CBOR_MALFORMED"),
        ("ff", "CBOR_MALFORMED"),
        ("62c328", "CBOR_MALFORMED"),  # not UTF-8
        ("63eda080", "CBOR_MALFORMED"),  # a surrogate in UTF-8
        ("f814", "CBOR_MALFORMED"),  # false in two bytes
        ("5b7fffffffffffffff", "CBOR_MALFORMED"),
        ("9b7fffffffffffffff", "CBOR_MALFORMED"),
        ("bb7fffffffffffffff", "CBOR_MALFORMED"),
        ("9fff", "CBOR_NOT_DETERMINISTIC"),
        ("bfff", "CBOR_NOT_DETERMINISTIC"),
        ("5f4101ff", "CBOR_NOT_DETERMINISTIC"),
        ("7f6161ff", "CBOR_NOT_DETERMINISTIC"),
        ("9f" + "00" * 30 + "ff", "CBOR_NOT_DETERMINISTIC"),  # as long as the shortest definite form
        ("9f" + "00" * 300 + "ff", "CBOR_NOT_DETERMINISTIC"),  # shorter than it
        ("a201020103", "CBOR_MODEL"),  # a key twice
        ("a2616101616102", "CBOR_MODEL"),
        ("f7", "CBOR_MODEL"),  # undefined
        ("e0", "CBOR_MODEL"),
        ("f820", "CBOR_MODEL"),
        ("1b8000000000000000", "CBOR_MODEL"),
        ("3b8000000000000000", "CBOR_MODEL"),
        ("a1f500", "CBOR_MODEL"),
        ("a1f600", "CBOR_MODEL"),
        ("a1410000", "CBOR_MODEL"),
        ("a1800000"[:6], "CBOR_MODEL"),
        ("a1a000", "CBOR_MODEL"),
        ("a2616101f602", "CBOR_MODEL"),
        ("6365cc81", "CBOR_MODEL"),  # e and a combining accent
        ("d28440a0f640", "CBOR_MODEL"),  # tag 18 anywhere but through decode_sign1
    ],
)
def test_what_decode_refuses(data: str, code: str) -> None:
    assert refusal(bytes.fromhex(data)) == code


CONTENTS = [
    bytes.fromhex(part)
    for part in ("00", "20", "4101", "40", "6161", "80", "820102", "a0", "f6", "f97e00", "44c0000201")
]


def test_no_tag_gets_in() -> None:
    """cbor2 turns some tags into Python objects; this fails when a release of it learns a new one."""
    for tag in (*range(2_000), *range(2_000, 65_536, 7), 43_000, 55_799, 2**16, 2**32 - 1, 2**63, 2**64 - 1):
        for content in CONTENTS if tag < 2_000 else CONTENTS[:1]:
            with pytest.raises(RemoteError) as caught:
                decode(head(6, tag) + content)
            assert (caught.value.code, "a tag" in caught.value.message) == ("CBOR_MODEL", True), tag


def test_cbor2_runs_no_decoder_of_its_own() -> None:
    """Shared references could build a cycle, or a value that doubles with each level."""
    doubling = b"\x82\xd8\x1c\x81\x00\xd8\x1d\x00"
    assert refusal(doubling) == "CBOR_MODEL"
    assert refusal(bytes.fromhex("d81c81d81d00")) == "CBOR_MODEL"
    assert refusal(bytes.fromhex("c5821b7fffffffffffffff01")) == "CBOR_MODEL"  # 2^(2^63) if it were computed


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x00"])
def test_depth(opening: bytes) -> None:
    assert encode(decode(opening * MAX_DEPTH + b"\x00")) == opening * MAX_DEPTH + b"\x00"
    assert refusal(opening * (MAX_DEPTH + 1) + b"\x00") == "CBOR_MODEL"
    assert refusal(opening * 30_000 + b"\x00") == "CBOR_MALFORMED"
    deep: Any = 0
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    with pytest.raises(LocalError, match="UNENCODABLE"):
        encode(deep)
    assert encode(deep[0])


def test_size() -> None:
    data = encode(bytes(MAX_BYTES - 3))
    assert len(data) == MAX_BYTES
    assert decode(data) == bytes(MAX_BYTES - 3)
    assert refusal(encode(bytes(MAX_BYTES - 2))) == "CBOR_TOO_LARGE"
    assert decode(encode(bytes(MAX_BYTES)), max_bytes=MAX_BYTES + 5) == bytes(MAX_BYTES)


@pytest.mark.parametrize("text", ["", "é", "Straẞe", "12 €", "📈", "中文", "ქართული", "\u0220", "Ελλάδα"])
def test_text_that_is_taken(text: str) -> None:
    assert decode(encode(text)) == text


@pytest.mark.parametrize("character", ["\u0378", "\u0897", "\U00011131", "\U00010efd", "\uffff", "\U000e01f0"])
def test_characters_that_unicode_tables_disagree_on(character: str) -> None:
    """Python 3.11 knows Unicode 14, later ones more: nodes would differ on what is NFC."""
    assert refusal(model("a" + character)) == "CBOR_MODEL"
    with pytest.raises(LocalError, match="UNENCODABLE"):
        encode({character: 1})


def test_every_character_taken_is_stable() -> None:
    """What a later table than Unicode 3.2 added neither combines nor decomposes here."""
    for code in (*range(0xD800), *range(0xE000, 0x20000)):
        character = chr(code)
        if unicodedata.ucd_3_2_0.category(character) == "Cn":
            try:
                encode(character)
            except LocalError:
                continue
            assert unicodedata.combining(character) == 0
            assert unicodedata.normalize("NFD", character) == character


@given(st.lists(VALUES, min_size=4, max_size=4))
def test_sign1(parts: list[Value]) -> None:
    data = encode_sign1(parts)
    assert data == b"\xd2" + model(parts)
    assert decode_sign1(data) == parts
    assert cbor2.loads(data).tag == 18
    assert refusal(data) == "CBOR_MODEL"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "CBOR_MODEL"),
        ("d2", "CBOR_MALFORMED"),
        ("84010203" + "04", "CBOR_MODEL"),  # no tag
        ("d8128401020304", "CBOR_MODEL"),  # a longer head for tag 18
        ("d1840102" + "0304", "CBOR_MODEL"),  # tag 17
        ("d2d28401020304", "CBOR_MODEL"),
        ("d283010203", "CBOR_MODEL"),
        ("d2850102030405", "CBOR_MODEL"),
        ("d2a401020304050607" + "08", "CBOR_MODEL"),
        ("d29f01020304ff", "CBOR_NOT_DETERMINISTIC"),
        ("d2840102030400", "CBOR_TRAILING"),
        ("d284010203d28401020304", "CBOR_MODEL"),
    ],
)
def test_what_decode_sign1_refuses(data: str, code: str) -> None:
    with pytest.raises(RemoteError) as caught:
        decode_sign1(bytes.fromhex(data))
    assert caught.value.code == code


def test_sign1_limits() -> None:
    full: list[Value] = [bytes(MAX_BYTES - 8), 0, 0, 0]
    assert len(encode_sign1(full)) == MAX_BYTES
    assert decode_sign1(encode_sign1(full)) == full
    full[1] = 24
    with pytest.raises(RemoteError, match="CBOR_TOO_LARGE"):
        decode_sign1(encode_sign1(full))
    with pytest.raises(LocalError, match="UNENCODABLE"):
        encode_sign1([1, 2, 3])


@given(st.binary(min_size=8, max_size=8))
def test_no_float_by_any_head(raw: bytes) -> None:
    assume(struct.unpack(">d", raw)[0] is not None)
    for data in (b"\xfb" + raw, b"\xfa" + raw[:4], b"\xf9" + raw[:2]):
        assert refusal(data) == "CBOR_MODEL"


@given(st.lists(st.integers(0, 2**40), max_size=300))
def test_a_list_of_encoded_items_is_the_list_encoded(items: list[int]) -> None:
    assert encode_joined([encode(item) for item in items]) == encode(items)


def test_long_lists_of_encoded_items_have_long_heads() -> None:
    for count in (0, 23, 24, 255, 256, 65_535, 65_536):
        assert encode_joined([b"\x00"] * count) == encode([0] * count)
