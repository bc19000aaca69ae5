"""Keys: vectors of others for every primitive, and libsodium's verdict pinned, since the mesh rests on it."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import encode
from ledger.errors import LocalError, RemoteError
from ledger.keys import (
    SigningKey,
    check_public_key,
    derive_seed,
    did_key,
    hkdf_sha256,
    public_from_did_key,
    thumbprint,
    verify,
)
from tests.shared import shared

CCTV_ACCEPTED = 43
"""How many of the 914 edge cases of C2SP/CCTV libsodium accepts. Another number means another rule."""

KEY = SigningKey.from_seed(bytes(range(32)))


def vectors(name: str) -> Any:
    """Read a file of ../shared/vectors, or skip."""
    return json.loads(shared(f"vectors/{name}.json").read_text())


def test_cctv_pins_the_rule_of_the_mesh() -> None:
    cases = vectors("ed25519_cctv")
    accepted = [
        case["number"]
        for case in cases
        if verify(bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"]))
    ]
    assert (len(cases), len(accepted)) == (914, CCTV_ACCEPTED)
    flags = {flag for case in cases if case["number"] in accepted for flag in case["flags"] or []}
    assert not {"low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R"} & flags


def test_wycheproof() -> None:
    verdicts = [
        (
            verify(bytes.fromhex(group["publicKey"]["pk"]), bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])),
            case["result"] == "valid",
        )
        for group in vectors("ed25519_wycheproof")["testGroups"]
        for case in group["tests"]
    ]
    assert len(verdicts) == 151
    assert all(ours == theirs for ours, theirs in verdicts)


def test_rfc_8032_section_7_1_test_2() -> None:
    key = SigningKey.from_seed(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert key.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = key.sign(b"\x72")
    assert signature.hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert verify(key.public, b"\x72", signature)


@given(st.binary(max_size=200), st.integers(0, 511))
def test_sign_and_verify(message: bytes, bit: int) -> None:
    signature = KEY.sign(message)
    assert verify(KEY.public, message, signature)
    assert not verify(KEY.public, message + b"\x00", signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not verify(KEY.public, message, bytes(flipped))


@given(st.binary(max_size=100), st.binary(max_size=100), st.binary(max_size=100))
def test_verify_never_raises(public: bytes, message: bytes, signature: bytes) -> None:
    assert verify(public, message, signature) is False


def test_bytes_do_not_move_between_message_and_signature() -> None:
    signature = KEY.sign(b"abc")
    assert not verify(KEY.public, b"bc", signature + b"a")
    assert not verify(KEY.public, signature[-1:] + b"abc", signature[:-1])
    assert not verify(KEY.public + b"\x00", b"abc", signature)
    assert not verify(KEY.public[:-1], b"abc", signature)


def test_thumbprint_is_the_hash_of_the_cose_key() -> None:
    cose_key = encode({1: 1, -1: 6, -2: KEY.public})
    assert KEY.kid == thumbprint(KEY.public) == hashlib.sha256(cose_key).digest()


def test_did_key_vectors() -> None:
    cases = vectors("did_key_ed25519")
    assert len(cases) == 5
    for did, case in cases.items():
        key = SigningKey.from_seed(bytes.fromhex(case["seed"]))
        assert key.did == did_key(key.public) == did
        assert public_from_did_key(did) == key.public


@given(st.binary(min_size=32, max_size=32))
def test_did_key_round_trip(public: bytes) -> None:
    text = did_key(public)
    assert text.startswith("did:key:z6Mk")
    assert public_from_did_key(text) == public


@given(st.integers(0, 55), st.characters())
def test_a_did_key_has_one_spelling(at: int, character: str) -> None:
    text = KEY.did[:at] + character + KEY.did[at + 1 :]
    if text == KEY.did:
        return
    try:
        other = public_from_did_key(text)
    except RemoteError:
        return
    assert did_key(other) == text
    assert other != KEY.public


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:key:z",
        KEY.did[:-1],
        KEY.did + "1",
        KEY.did + " ",
        KEY.did.replace("z6", "z16"),
        KEY.did.upper(),
        "did:key:z" + "1" * 47,
        "did:key:z" + "z" * 47,
        "did:key:z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW",  # an X25519 key
        "did:web:z" + KEY.did[9:],
        KEY.did * 100_000,
    ],
)
def test_what_is_no_did_key(text: str) -> None:
    with pytest.raises(RemoteError, match="BAD_DID_KEY"):
        public_from_did_key(text)


def test_weak_keys() -> None:
    check_public_key(KEY.public)
    small_order = {case["key"] for case in vectors("ed25519_cctv") if "low_order_A" in (case["flags"] or [])}
    assert len(small_order) >= 8
    off_curve = (2).to_bytes(32, "little")
    for public in (*map(bytes.fromhex, small_order), off_curve, b"\xff" * 32, KEY.public[:-1], b""):
        with pytest.raises(RemoteError, match="WEAK_KEY"):
            check_public_key(public)


@pytest.mark.parametrize("name", [thumbprint, did_key])
def test_names_of_what_is_no_key(name: Any) -> None:
    with pytest.raises(RemoteError, match="WEAK_KEY"):
        name(bytes(31))


def test_a_signing_key_keeps_its_seed_to_itself() -> None:
    seed = hashlib.sha256(b"a seed").digest()
    key = SigningKey.from_seed(seed)
    assert key.seed == seed
    for shown in (repr(key), str(key), f"{key}", repr([key])):
        assert key.kid.hex()[:12] in shown
        assert seed.hex()[:8] not in shown
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(LocalError, match="SECRET_KEY"):
            take(key)
    assert not hasattr(key, "__dict__")


def test_wrong_seeds() -> None:
    for seed in (b"", bytes(31), bytes(64)):
        with pytest.raises(LocalError, match="BAD_SEED"):
            SigningKey.from_seed(seed)
        with pytest.raises(LocalError, match="BAD_SEED"):
            derive_seed(seed, "consent", b"")


@pytest.mark.parametrize(
    ("secret", "salt", "info", "length", "expected"),
    [
        (
            "0b" * 22,
            bytes(range(0x0D)).hex(),
            bytes(range(0xF0, 0xFA)).hex(),
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x50)).hex(),
            bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(),
            82,
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "0b" * 22,
            "",
            "",
            42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_rfc_5869_appendix_a(secret: str, salt: str, info: str, length: int, expected: str) -> None:
    output = hkdf_sha256(bytes.fromhex(secret), salt=bytes.fromhex(salt), info=bytes.fromhex(info), length=length)
    assert output.hex() == expected


def test_hkdf_lengths() -> None:
    for length in (-1, 0, 255 * 32 + 1):
        with pytest.raises(LocalError, match="BAD_LENGTH"):
            hkdf_sha256(b"secret", salt=b"", info=b"", length=length)
    assert len(hkdf_sha256(b"secret", salt=b"", info=b"", length=255 * 32)) == 255 * 32


def test_derived_seeds_are_unrelated() -> None:
    parent = bytes(range(32))
    pairs = [("consent", b"1"), ("consent", b"2"), ("consent1", b""), ("consen", b"t1"), ("", b"consent1")]
    seeds = {derive_seed(parent, context, info) for context, info in pairs}
    assert len(seeds) == len(pairs)
    assert derive_seed(parent, "consent", b"1") == derive_seed(parent, "consent", b"1")
    with pytest.raises(LocalError, match="BAD_LENGTH"):
        derive_seed(parent, "é" * 128, b"")
