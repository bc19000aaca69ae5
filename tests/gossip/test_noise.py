"""Noise: the published vectors byte for byte, an independent peer in both roles, and hostile messages."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise.connection import Keypair, NoiseConnection

from gossip.noise import (
    IK,
    KEY_BYTES,
    MESSAGE_MAX,
    NONCE_MAX,
    XX,
    CipherState,
    HandshakeState,
    KeyPair,
    Transport,
    dh,
)
from ledger.errors import LocalError, RemoteError
from tests.shared import shared

LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]
"""Public keys whose product with every private key is zero (cr.yp.to/ecdh.html#validate)."""


def vectors() -> list[Any]:
    """Return the published vectors."""
    return list(json.loads(shared("vectors/noise_cacophony.json").read_text())["vectors"])


def side(vector: dict[str, Any], role: str) -> HandshakeState:
    """Return one end of a vector; `role` is `init` or `resp`."""
    static = vector.get(f"{role}_remote_static")
    return HandshakeState(
        vector["protocol_name"],
        initiator=role == "init",
        prologue=bytes.fromhex(vector[f"{role}_prologue"]),
        static=KeyPair.from_private(bytes.fromhex(vector[f"{role}_static"])),
        random_bytes=lambda n: bytes.fromhex(vector[f"{role}_ephemeral"])[:n],
        remote_static=bytes.fromhex(static) if static else None,
        psks=[bytes.fromhex(psk) for psk in vector.get(f"{role}_psks", [])],
    )


def pair(protocol: str, seed: int = 0) -> tuple[HandshakeState, HandshakeState]:
    """Return an initiator and a responder that know what they must."""
    rng = random.Random(seed).randbytes
    first, second = KeyPair.from_private(rng(KEY_BYTES)), KeyPair.from_private(rng(KEY_BYTES))
    known = second.public if protocol == IK else None
    return (
        HandshakeState(protocol, initiator=True, prologue=b"p", static=first, random_bytes=rng, remote_static=known),
        HandshakeState(protocol, initiator=False, prologue=b"p", static=second, random_bytes=rng),
    )


def finish(initiator: HandshakeState, responder: HandshakeState) -> tuple[Transport, Transport]:
    """Run a handshake to its end."""
    writer, reader = initiator, responder
    while not writer.finished:
        reader.read_message(writer.write_message(b"payload"))
        writer, reader = reader, writer
    return initiator.split(), responder.split()


def test_there_are_vectors_for_both_patterns() -> None:
    names = {vector["protocol_name"] for vector in vectors()}
    assert {XX, IK} <= names
    assert len(names) == 8


@pytest.mark.covers("R9")
@pytest.mark.parametrize("number", range(8))
def test_published_vectors_byte_for_byte(number: int) -> None:
    vector = vectors()[number]
    writer, reader = side(vector, "init"), side(vector, "resp")
    ends: tuple[Transport, Transport] | None = None
    for message in vector["messages"]:
        payload, expected = bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])
        if ends is None:
            assert writer.write_message(payload) == expected
            assert reader.read_message(expected) == payload
            writer, reader = reader, writer
            if writer.finished:
                hashes = {writer.handshake_hash.hex(), reader.handshake_hash.hex()}
                assert hashes == {vector["handshake_hash"]}
                ends = writer.split(), reader.split()
        else:
            assert ends[0].encrypt(payload) == expected
            assert ends[1].decrypt(expected) == payload
            ends = ends[1], ends[0]
    assert ends is not None


def independent(protocol: str, *, initiator: bool, static: bytes, remote: bytes | None) -> NoiseConnection:
    """Return the other implementation, ready."""
    peer = NoiseConnection.from_name(protocol.encode())
    peer.set_prologue(b"p")
    if initiator:
        peer.set_as_initiator()
    else:
        peer.set_as_responder()
    peer.set_keypair_from_private_bytes(Keypair.STATIC, static)
    if remote is not None:
        peer.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, remote)
    peer.start_handshake()
    return peer


@pytest.mark.parametrize("protocol", [XX, IK])
@pytest.mark.parametrize("we_initiate", [True, False])
def test_an_independent_implementation_is_understood(protocol: str, we_initiate: bool) -> None:
    rng = random.Random(7).randbytes
    ours, theirs = KeyPair.from_private(rng(32)), KeyPair.from_private(rng(32))
    we = HandshakeState(
        protocol,
        initiator=we_initiate,
        prologue=b"p",
        static=ours,
        random_bytes=rng,
        remote_static=theirs.public if protocol == IK and we_initiate else None,
    )
    known = ours.public if protocol == IK and not we_initiate else None
    they = independent(protocol, initiator=not we_initiate, static=theirs.private, remote=known)
    turn = 0
    while not we.finished:
        payload = rng(turn * 100)
        if we.my_turn:
            assert they.read_message(we.write_message(payload)) == payload
        else:
            assert we.read_message(bytes(they.write_message(payload))) == payload
        turn += 1
    assert they.handshake_finished
    assert we.rs == theirs.public
    assert they.get_handshake_hash() == we.handshake_hash
    transport = we.split()
    for size in (0, 1, 400, 65_519):
        plain = rng(size)
        assert they.decrypt(transport.encrypt(plain)) == plain
        assert transport.decrypt(they.encrypt(plain)) == plain
    transport.sending.rekey()
    they.rekey_inbound_cipher()
    transport.receiving.rekey()
    they.rekey_outbound_cipher()
    assert they.decrypt(transport.encrypt(b"new key")) == b"new key"
    assert transport.decrypt(they.encrypt(b"new key")) == b"new key"


@pytest.mark.parametrize("public", LOW_ORDER)
@pytest.mark.parametrize("kind", ["STATIC", "EPHEMERAL"])
def test_low_order_keys_are_refused(public: bytes, kind: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        dh(KeyPair.from_private(b"\x07" * 32), public, kind)
    assert caught.value.code == f"WEAK_{kind}_KEY"


def test_a_low_order_ephemeral_ends_the_handshake() -> None:
    _, responder = pair(XX)
    responder.read_message(bytes(32))  # the first message of XX is a key alone
    with pytest.raises(RemoteError, match="low order"):
        responder.write_message(b"")


def handshakes() -> Iterator[tuple[str, int]]:
    """Every message of every pattern."""
    yield from ((XX, 0), (XX, 1), (XX, 2), (IK, 0), (IK, 1))


@given(st.sampled_from(list(handshakes())), st.data())
def test_any_flipped_bit_of_a_handshake_is_refused(where: tuple[str, int], data: st.DataObject) -> None:
    protocol, number = where
    ends = pair(protocol)

    def run() -> None:
        (writer, reader), turn = ends, 0
        while not writer.finished:
            message = bytearray(writer.write_message(b"payload"))
            if turn == number:
                bit = data.draw(st.integers(0, 8 * len(message) - 1))
                message[bit // 8] ^= 1 << bit % 8
            reader.read_message(bytes(message))
            writer, reader = reader, writer
            turn += 1

    with pytest.raises(RemoteError) as caught:
        run()
    assert caught.value.code in {"DECRYPT_FAILED", "WEAK_EPHEMERAL_KEY", "WEAK_STATIC_KEY"}


@given(st.sampled_from(list(handshakes())), st.data())
def test_any_truncated_message_is_refused(where: tuple[str, int], data: st.DataObject) -> None:
    protocol, number = where
    writer, reader = pair(protocol)
    for _ in range(number):
        reader.read_message(writer.write_message(b""))
        writer, reader = reader, writer
    message = writer.write_message(b"")
    with pytest.raises(RemoteError) as caught:
        reader.read_message(message[: data.draw(st.integers(0, len(message) - 1))])
    assert caught.value.code in {"DECRYPT_FAILED", "HANDSHAKE_MALFORMED"}


def test_another_prologue_is_refused() -> None:
    rng = random.Random(1).randbytes
    keys = [KeyPair.from_private(rng(32)) for _ in range(2)]
    initiator = HandshakeState(XX, initiator=True, prologue=b"a", static=keys[0], random_bytes=rng)
    responder = HandshakeState(XX, initiator=False, prologue=b"b", static=keys[1], random_bytes=rng)
    responder.read_message(initiator.write_message(b""))
    with pytest.raises(RemoteError, match="do not decrypt"):
        initiator.read_message(responder.write_message(b""))


def test_messages_out_of_turn_are_refused() -> None:
    initiator, responder = pair(XX)
    with pytest.raises(LocalError, match="turn"):
        responder.write_message(b"")
    with pytest.raises(RemoteError, match="turn"):
        initiator.read_message(bytes(64))
    with pytest.raises(LocalError, match="not ended"):
        initiator.split()
    with pytest.raises(RemoteError, match="too long"):
        responder.read_message(bytes(MESSAGE_MAX + 1))


def test_a_handshake_message_has_a_limit() -> None:
    initiator, _ = pair(XX)
    with pytest.raises(LocalError) as caught:
        initiator.write_message(bytes(MESSAGE_MAX))
    assert caught.value.code == "HANDSHAKE_LENGTH"


def test_replay_reorder_and_reflection_are_refused() -> None:
    first, second = finish(*pair(XX))
    one, two = first.encrypt(b"one"), first.encrypt(b"two")
    for wrong in (two, one[:-1], one[:15], b""):
        with pytest.raises(RemoteError) as caught:
            second.decrypt(wrong)
        assert caught.value.code == "DECRYPT_FAILED"
    assert second.decrypt(one) == b"one"  # what failed moved nothing
    for wrong in (one, second.encrypt(b"one")):
        with pytest.raises(RemoteError, match="decrypt"):
            second.decrypt(wrong)
    assert second.decrypt(two) == b"two"


def test_the_last_nonce_is_kept_for_rekey() -> None:
    cipher, twin = CipherState(bytes(32)), CipherState(bytes(32))
    cipher.set_nonce(NONCE_MAX - 1)
    twin.set_nonce(NONCE_MAX - 1)
    assert twin.decrypt_with_ad(b"", cipher.encrypt_with_ad(b"", b"last")) == b"last"
    with pytest.raises(LocalError) as ours:
        cipher.encrypt_with_ad(b"", b"")
    with pytest.raises(RemoteError) as peers:
        twin.decrypt_with_ad(b"", bytes(16))
    assert ours.value.code == peers.value.code == "NONCE_EXHAUSTED"


def test_rekey_changes_the_key_and_keeps_the_counter() -> None:
    cipher, twin, old = (CipherState(b"\x05" * 32) for _ in range(3))
    for state in (cipher, twin, old):
        state.encrypt_with_ad(b"", b"")
    cipher.rekey()
    sealed = cipher.encrypt_with_ad(b"", b"x")
    with pytest.raises(RemoteError, match="decrypt"):
        old.decrypt_with_ad(b"", sealed)
    twin.rekey()
    assert (twin.decrypt_with_ad(b"", sealed), twin.n) == (b"x", 2)
    with pytest.raises(LocalError, match="rekeyed"):
        CipherState().rekey()


@pytest.mark.parametrize("name", ["", "Noise_NN_25519_ChaChaPoly_BLAKE2b", "Noise_XX_448_ChaChaPoly_BLAKE2b"])
def test_other_protocols_are_refused(name: str) -> None:
    with pytest.raises(LocalError) as caught:
        HandshakeState(name, initiator=True, prologue=b"", static=KeyPair.from_private(bytes(32)), random_bytes=bytes)
    assert caught.value.code == "NOISE_PROTOCOL"


def test_another_hash_is_refused() -> None:
    with pytest.raises(LocalError, match="hash"):
        HandshakeState(
            XX.replace("BLAKE2b", "MD5"),
            initiator=True,
            prologue=b"",
            static=KeyPair.from_private(bytes(32)),
            random_bytes=bytes,
        )


def test_keys_are_asked_for_where_they_are_needed() -> None:
    static = KeyPair.from_private(b"\x01" * 32)
    for protocol, remote in ((IK, None), (XX, static.public)):
        with pytest.raises(LocalError) as caught:
            HandshakeState(
                protocol,
                initiator=True,
                prologue=b"",
                static=static,
                random_bytes=bytes,
                remote_static=remote,
            )
        assert caught.value.code == "REMOTE_STATIC"
    with pytest.raises(LocalError, match="32 bytes, not 31"):
        KeyPair.from_private(bytes(31))
    psk = HandshakeState(
        XX.replace("XX", "XXpsk3"),
        initiator=True,
        prologue=b"",
        static=static,
        random_bytes=lambda n: b"\x09" * n,
    )
    with pytest.raises(LocalError, match="pre-shared"):
        psk._mix("psk")


def test_a_private_key_is_never_shown() -> None:
    secret = KeyPair.from_private(b"\x42" * 32)
    assert "42" * 32 not in repr(secret)
