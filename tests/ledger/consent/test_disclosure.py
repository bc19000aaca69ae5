"""Disclosures: slots that hide, and a seal that nobody can change, move or open who is not named."""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_box_seal_open, crypto_scalarmult_base, crypto_sign_ed25519_sk_to_curve25519

from ledger import codec
from ledger.consent.disclosure import (
    READERS_MAX,
    SEALED_MAX,
    Disclosures,
    Evidence,
    check,
    hide,
    open_sealed,
    seal,
    sealed_for,
    slot_digest,
)
from ledger.consent.kinds import SLOT_COUNT
from ledger.consent.record import FREE_SLOTS, SLOTS
from ledger.errors import LocalError, RemoteError
from tests.ledger.consent.cases import TERMS, but, device, grant, resigned, seeded

GRANT, DISCLOSED = grant()
ANN, BOB, EVE = device(1), device(2), device(3)
BLOB = seal(DISCLOSED, GRANT, [ANN.public, BOB.public], seeded(5))


def test_slots_are_what_anybody_can_recompute() -> None:
    """The construction, spelt out with another encoder: SHA-256 over bstr(CBOR [salt, value, field])."""
    slots = GRANT.payload["slots"]
    assert len(slots) == 32 * SLOT_COUNT
    for name, (salt, value) in DISCLOSED.fields.items():
        inner = cbor2.dumps([salt, value, name], canonical=True)
        digest = hashlib.sha256(cbor2.dumps(inner)).digest()
        assert slots[32 * SLOTS[name] :][:32] == digest == slot_digest(salt, value, name)


def test_terms_come_back() -> None:
    assert open_sealed(BLOB, GRANT, ANN).terms() == TERMS
    assert open_sealed(BLOB, GRANT, BOB).terms() == TERMS
    assert Disclosures.decode(DISCLOSED.encode()) == DISCLOSED


def test_an_observer_learns_nothing_from_a_grant() -> None:
    """Same size whatever was granted, no value in the bytes, and no digest that comes twice."""
    plain = but(points=(TERMS.points[0],), computation=None)
    rich = but(points=tuple(f"prm:{n:014}" for n in range(200)), computation=b"c" * 32, purpose="x" * 300)
    grants = [grant(terms, seed=seed)[0] for seed, terms in enumerate((plain, rich, plain))]
    assert len({len(entry.raw) for entry in grants}) == 1
    for entry in grants:
        for secret in (b"12345678901234", b"insulation", b"load_curve", b"PT30M", b"dpv:", b"Lyon"):
            assert secret not in entry.raw
    digests = [entry.payload["slots"][at : at + 32] for entry in grants for at in range(0, 32 * SLOT_COUNT, 32)]
    assert len(set(digests)) == len(digests)


@given(st.integers(0, 2**32))
def test_decoys_look_like_digests_even_from_a_poor_source(seed: int) -> None:
    """A source that gives a constant would show decoys as such, were they not hashed; sizes and slots agree too."""
    slots, _ = hide(TERMS, lambda size: bytes([seed % 256]) * size)
    digests = [slots[at : at + 32] for at in range(0, len(slots), 32)]
    assert len(digests) == SLOT_COUNT
    assert len(digests[len(SLOTS) :]) == FREE_SLOTS > 0
    ones = [sum(byte.bit_count() for byte in digest) for digest in digests]
    assert all(80 < count < 176 for count in ones)  # 256 fair bits, eight deviations wide


def test_two_grants_share_no_salt() -> None:
    _, other = grant(seed=1)
    salts = {salt for salt, _ in DISCLOSED.fields.values()} | {salt for salt, _ in other.fields.values()}
    assert len(salts) == 2 * len(SLOTS)


FIELD = st.sampled_from(list(SLOTS))


@given(FIELD, st.integers(0, 127))
def test_an_altered_salt_is_refused(name: str, bit: int) -> None:
    salt, value = DISCLOSED.fields[name]
    flipped = (int.from_bytes(salt, "big") ^ 1 << bit).to_bytes(16, "big")
    _refused({**DISCLOSED.fields, name: (flipped, value)}, name)


@given(FIELD, st.none() | st.integers(-5, 5) | st.text(max_size=3) | st.lists(st.integers(0, 3), max_size=2))
def test_an_altered_value_is_refused(name: str, value: Any) -> None:
    salt, true = DISCLOSED.fields[name]
    if value != true:
        _refused({**DISCLOSED.fields, name: (salt, value)}, name)


@given(FIELD, FIELD)
def test_a_disclosure_in_another_slot_is_refused(one: str, other: str) -> None:
    if one != other:
        _refused({**DISCLOSED.fields, one: DISCLOSED.fields[other]}, one)


def test_a_second_truth_among_the_decoys_is_refused() -> None:
    """A signer hides another purpose in the reserved slot: no field is bound to it, so none can be opened there."""
    salt = b"s" * 16
    lie = slot_digest(salt, "Selling the data", "purpose")
    entry = resigned(GRANT, slots=GRANT.payload["slots"][:-32] + lie)
    with pytest.raises(RemoteError) as error:
        check(Disclosures({"purpose": (salt, "Selling the data")}), entry.payload["slots"])
    assert error.value.field == "purpose"
    check(DISCLOSED, entry.payload["slots"])


def _refused(fields: dict[str, tuple[bytes, Any]], name: str) -> None:
    with pytest.raises(RemoteError) as error:
        check(Disclosures(fields), GRANT.payload["slots"])
    assert (error.value.code, error.value.field) == ("DISCLOSURE_MISMATCH", name)


def test_an_unknown_field_opens_no_slot() -> None:
    with pytest.raises(RemoteError):
        check(Disclosures({"nonsense": (b"s" * 16, 1)}), GRANT.payload["slots"])


@pytest.mark.parametrize("data", [[], {"nonsense": [b"s" * 16, 1]}, {"purpose": [b"short", 1]}, {"purpose": 1}, {1: 2}])
def test_malformed_disclosures_are_refused(data: Any) -> None:
    with pytest.raises(RemoteError) as error:
        Disclosures.decode(codec.encode(data))
    assert error.value.code == "DISCLOSURES_MALFORMED"


def test_a_part_can_be_disclosed_by_itself() -> None:
    part = DISCLOSED.only(["purpose", "granularity"])
    opened = open_sealed(seal(part, GRANT, [EVE.public], seeded(6)), GRANT, EVE)
    assert opened == part
    with pytest.raises(RemoteError) as error:
        opened.terms()
    assert error.value.code == "DISCLOSURE_MISSING"
    assert error.value.field is not None
    assert "points" in error.value.field
    assert "granularity" not in error.value.field
    with pytest.raises(LocalError):
        part.only(["points"])


def test_only_named_readers_open_it() -> None:
    assert sealed_for(BLOB) == (GRANT.id, (ANN.kid, BOB.kid))
    with pytest.raises(RemoteError) as error:
        open_sealed(BLOB, GRANT, EVE)
    assert error.value.code == "DISCLOSURE_NOT_FOR_YOU"


def test_a_seal_belongs_to_one_entry() -> None:
    other, _ = grant(seed=9)
    with pytest.raises(RemoteError) as error:
        open_sealed(BLOB, other, ANN)
    assert error.value.code == "SEALED_OTHER_ENTRY"
    parts: Any = codec.decode(BLOB)
    moved = codec.encode([parts[0], other.id, *parts[2:]])
    with pytest.raises(RemoteError) as again:
        open_sealed(moved, other, ANN)
    assert again.value.code == "SEALED_BROKEN"


@settings(max_examples=300)
@given(st.integers(0, len(BLOB) * 8 - 1))
def test_any_bit_flipped_is_refused_by_every_reader(bit: int) -> None:
    broken = bytearray(BLOB)
    broken[bit // 8] ^= 1 << bit % 8
    for reader in (ANN, BOB):
        with pytest.raises(RemoteError):
            open_sealed(bytes(broken), GRANT, reader)


@given(st.integers(0, len(BLOB) - 1))
def test_any_truncation_is_refused(size: int) -> None:
    with pytest.raises(RemoteError):
        open_sealed(BLOB[:size], GRANT, ANN)


SHORT = st.binary(max_size=80)
READERS = st.lists(st.lists(st.just(ANN.kid) | SHORT, min_size=0, max_size=3), max_size=3)


@given(st.lists(st.just(1) | st.just(GRANT.id) | SHORT | st.just(b"n" * 24) | READERS, max_size=6))
def test_hostile_blobs_end_with_a_code(parts: list[Any]) -> None:
    with pytest.raises(RemoteError):
        open_sealed(codec.encode(parts), GRANT, ANN)


@given(st.binary(max_size=130), st.binary(max_size=60))
def test_hostile_wraps_and_ciphertexts_end_with_a_code(wrapped: bytes, sealed: bytes) -> None:
    blob = codec.encode([1, GRANT.id, [[ANN.kid, wrapped]], b"n" * 24, sealed])
    with pytest.raises(RemoteError) as error:
        open_sealed(blob, GRANT, ANN)
    assert error.value.code == "SEALED_BROKEN"


def test_a_wrapped_key_of_another_reader_or_point_of_small_order_is_refused() -> None:
    parts: Any = codec.decode(BLOB)
    swapped = [[ANN.kid, parts[2][1][1]], [BOB.kid, parts[2][0][1]]]
    for wraps in (swapped, [[ANN.kid, bytes(32) + parts[2][0][1][32:]]]):
        with pytest.raises(RemoteError) as error:
            open_sealed(codec.encode([*parts[:2], wraps, *parts[3:]]), GRANT, ANN)
        assert error.value.code == "SEALED_BROKEN"


def test_wrapped_keys_are_sealed_boxes_of_libsodium() -> None:
    """Whoever has libsodium opens them: our construction is its construction."""
    parts: Any = codec.decode(BLOB)
    secret = crypto_sign_ed25519_sk_to_curve25519(ANN.seed + ANN.public)
    inner: Any = codec.decode(crypto_box_seal_open(parts[2][0][1], crypto_scalarmult_base(secret), secret))
    assert inner[:2] == [GRANT.id, ANN.kid]


def test_an_unknown_suite_is_named() -> None:
    parts: Any = codec.decode(BLOB)
    with pytest.raises(RemoteError) as error:
        open_sealed(codec.encode([2, *parts[1:]]), GRANT, ANN)
    assert error.value.code == "SEALED_SUITE"


def test_readers_are_few_distinct_and_sound() -> None:
    for readers in ([], [ANN.public] * 2, [device(n).public for n in range(1, READERS_MAX + 2)]):
        with pytest.raises(LocalError) as error:
            seal(DISCLOSED, GRANT, readers, seeded(1))
        assert error.value.code == "SEAL_READERS"
    for weak in (bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"short"):
        with pytest.raises(RemoteError) as remote:
            seal(DISCLOSED, GRANT, [weak], seeded(1))
        assert remote.value.code == "WEAK_KEY"


def test_nothing_is_sealed_that_its_reader_would_refuse() -> None:
    _, other = grant(seed=3)
    with pytest.raises(RemoteError) as error:
        seal(other, GRANT, [ANN.public], seeded(1))
    assert error.value.code == "DISCLOSURE_MISMATCH"


def test_sizes_are_bounded() -> None:
    with pytest.raises(LocalError) as error:
        Disclosures({"points": (b"s" * 16, "x" * SEALED_MAX)}).encode()
    assert error.value.code == "DISCLOSURES_TOO_LARGE"
    with pytest.raises(RemoteError) as remote:
        open_sealed(bytes(SEALED_MAX + 1), GRANT, ANN)
    assert remote.value.code == "CBOR_TOO_LARGE"
    largest = but(points=tuple(f"prm:{n:014}" for n in range(1_000)))
    entry, disclosed = grant(largest)
    readers = [device(n).public for n in range(1, READERS_MAX + 1)]
    assert open_sealed(seal(disclosed, entry, readers, seeded(2)), entry, ANN).terms() == largest


def test_text_that_is_not_nfc_is_refused_with_its_field() -> None:
    with pytest.raises(LocalError) as error:
        hide(but(storage="e\u0301"), seeded(1))
    assert (error.value.code, error.value.field) == ("UNENCODABLE", "storage")


def test_a_log_line_shows_no_value() -> None:
    assert "12345678901234" not in repr(DISCLOSED)


def test_evidence_is_salted() -> None:
    paper = Evidence("signed paper", b"h" * 32, "application/pdf", 1_700_000_000, b"1" * 16)
    again = Evidence("signed paper", b"h" * 32, "application/pdf", 1_700_000_000, b"2" * 16)
    assert paper.digest() != again.digest()
    assert len(paper.digest()) == 32
