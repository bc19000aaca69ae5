"""Opening, reply and introduction: golden bytes, every refusal, versions."""

from __future__ import annotations

import hashlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.handshake import (
    INTRODUCTION_BYTES_MAX,
    OPENING_BYTES,
    PAYLOAD_BYTES_MAX,
    REFUSALS,
    Opening,
    Versions,
    accept,
    check_version,
    introduce,
    read_introduction,
    read_reply,
    refuse,
)
from gossip.noise import IK, XX
from ledger.errors import LocalError, RemoteError
from ledger.keys import thumbprint
from tests.gossip.ends import ALICE, MESH, OTHER_MESH, static_public

SALT = bytes(range(16))
STATIC = static_public(ALICE)
RANGES = st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda pair: Versions(pair[0], pair[0] + pair[1]))


@pytest.mark.parametrize(("protocol", "marker"), [(XX, b"X"), (IK, b"I")])
def test_the_bytes_of_an_opening(protocol: str, marker: bytes) -> None:
    opening = Opening.to(MESH, protocol, 0x0102, SALT)
    tag = hashlib.sha256(b"maille-mesh-tag" + SALT + MESH).digest()
    assert opening.encode() == marker + b"\x01\x02" + SALT + tag
    assert opening.prologue(MESH) == b"maille\x01\x02" + marker + MESH
    assert len(opening.encode()) == OPENING_BYTES
    assert Opening.decode(opening.encode()) == opening
    assert MESH not in opening.encode()


def test_the_mesh_is_found_among_several_or_not() -> None:
    opening = Opening.to(MESH, XX, 1, SALT)
    assert opening.mesh_among([OTHER_MESH, MESH]) == MESH
    for hosted in ([], [OTHER_MESH]):
        with pytest.raises(RemoteError) as caught:
            opening.mesh_among(hosted)
        assert caught.value.code == "UNKNOWN_MESH"


@given(st.binary(min_size=OPENING_BYTES, max_size=OPENING_BYTES))
def test_an_opening_is_read_or_refused(data: bytes) -> None:
    if data[:1] in {b"X", b"I"}:
        assert Opening.decode(data).encode() == data
        return
    with pytest.raises(RemoteError) as caught:
        Opening.decode(data)
    assert caught.value.code == "HANDSHAKE_MALFORMED"


def test_replies() -> None:
    own = Versions(3, 5)
    assert accept() == bytes(5)
    assert read_reply(accept()) is None
    for code in REFUSALS.values():
        versions = own if code == "VERSION_UNSUPPORTED" else None
        assert read_reply(refuse(code, own)) == (code, versions)
    assert read_reply(refuse("BINDING_INVALID", own)) == ("HANDSHAKE_REFUSED", None)
    assert refuse("UNKNOWN_MESH", own) == b"\x01\x00\x00\x00\x00"  # a stranger learns no versions


@pytest.mark.parametrize(
    "data", [b"\x05\0\0\0\0", b"HTTP/", b"\x02\0\0\0\0", b"\x02\0\x02\0\x01", b"\0\0\1\0\1", b"\1\0\0\0\1"]
)
def test_other_replies_are_malformed(data: bytes) -> None:
    with pytest.raises(RemoteError) as caught:
        read_reply(data)
    assert caught.value.code == "HANDSHAKE_MALFORMED"


def said(*, initiator: bool = True, payload: bytes = b"hello") -> bytes:
    """Return Alice's introduction."""
    return introduce(ALICE.device, STATIC, MESH, initiator=initiator, versions=Versions(1, 4), payload=payload)


@pytest.mark.parametrize("initiator", [True, False])
def test_an_introduction_proves_the_device(initiator: bool) -> None:
    peer = read_introduction(said(initiator=initiator), STATIC, MESH, initiator=initiator)
    assert (peer.device_public, peer.kid) == (ALICE.device.public, thumbprint(ALICE.device.public))
    assert (peer.versions, peer.payload) == (Versions(1, 4), b"hello")
    bound = b"maille-channel-binding-v1" + MESH + STATIC + (b"\x00" if initiator else b"\x01")
    expected = [ALICE.device.public, ALICE.device.sign(bound), 1, 4, b"hello"]
    assert cbor2.loads(said(initiator=initiator)) == expected


def test_an_introduction_holds_for_one_mesh_one_role_one_static_key() -> None:
    for static, mesh, initiator in ((STATIC, MESH, False), (STATIC, OTHER_MESH, True), (bytes(32), MESH, True)):
        with pytest.raises(RemoteError) as caught:
            read_introduction(said(), static, mesh, initiator=initiator)
        assert caught.value.code == "BINDING_INVALID"


@given(st.integers(0, 8 * len(said()) - 1))
def test_a_flipped_bit_in_key_or_signature_is_refused(bit: int) -> None:
    data = bytearray(said())
    data[bit // 8] ^= 1 << bit % 8
    if bit // 8 >= 1 + 34 + 66:  # versions and payload are bound by the encryption alone
        return
    with pytest.raises(RemoteError) as caught:
        read_introduction(bytes(data), STATIC, MESH, initiator=True)
    assert caught.value.code in {"BINDING_INVALID", "HANDSHAKE_MALFORMED"}


FIELDS = [ALICE.device.public, bytes(64), 1, 1, b""]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        said() + b"\x00",
        cbor2.dumps({}),
        cbor2.dumps(FIELDS[:4]),
        cbor2.dumps([*FIELDS, 1]),
        cbor2.dumps([bytes(31), *FIELDS[1:]]),
        cbor2.dumps([FIELDS[0], bytes(63), 1, 1, b""]),
        cbor2.dumps([*FIELDS[:2], 0, 1, b""]),
        cbor2.dumps([*FIELDS[:2], 2, 1, b""]),
        cbor2.dumps([*FIELDS[:2], 1, 65_536, b""]),
        cbor2.dumps([*FIELDS[:2], "1", 1, b""]),
        cbor2.dumps([*FIELDS[:4], bytes(PAYLOAD_BYTES_MAX + 1)]),
        cbor2.dumps([*FIELDS[:4], bytes(INTRODUCTION_BYTES_MAX)]),
        cbor2.dumps([*FIELDS[:4], "text"]),
    ],
)
def test_other_introductions_are_malformed(data: bytes) -> None:
    with pytest.raises(RemoteError) as caught:
        read_introduction(data, STATIC, MESH, initiator=True)
    assert caught.value.code == "HANDSHAKE_MALFORMED"


def test_the_payload_has_a_limit() -> None:
    largest = said(payload=bytes(PAYLOAD_BYTES_MAX))
    assert len(largest) <= INTRODUCTION_BYTES_MAX
    assert len(read_introduction(largest, STATIC, MESH, initiator=True).payload) == PAYLOAD_BYTES_MAX
    with pytest.raises(LocalError) as caught:
        said(payload=bytes(PAYLOAD_BYTES_MAX + 1))
    assert caught.value.code == "PAYLOAD_TOO_LARGE"


@given(RANGES, RANGES)
def test_the_common_version_is_the_highest_of_both(one: Versions, two: Versions) -> None:
    both = set(range(one.lowest, one.highest + 1)) & set(range(two.lowest, two.highest + 1))
    assert one.common(two) == two.common(one) == (max(both) if both else None)


@given(RANGES, RANGES, st.integers(1, 18))
def test_only_the_highest_common_version_passes(own: Versions, peer: Versions, version: int) -> None:
    if version == own.common(peer):
        check_version(version, own, peer)
        return
    with pytest.raises(RemoteError) as caught:
        check_version(version, own, peer)
    assert caught.value.code == ("VERSION_DOWNGRADED" if version in peer else "HANDSHAKE_MALFORMED")


@pytest.mark.parametrize(("lowest", "highest"), [(0, 1), (2, 1), (1, 65_536)])
def test_impossible_ranges(lowest: int, highest: int) -> None:
    with pytest.raises(LocalError) as caught:
        Versions(lowest, highest)
    assert caught.value.code == "VERSION_RANGE"


def test_an_identity_never_shows_its_static_key() -> None:
    assert ALICE.static_private.hex() not in repr(ALICE)
    assert repr(ALICE.static_private) not in repr(ALICE)
