"""The channel: two machines back to back, an independent peer, any chunking, clocks and deadlines."""

from __future__ import annotations

import hashlib
import struct

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise.connection import Keypair, NoiseConnection

from gossip.channel import Channel, Closed, Limits, Phase, Transmit
from gossip.framing import MESSAGE_BYTES_MAX, frame
from gossip.noise import IK, XX
from ledger.errors import LocalError
from tests.gossip.ends import (
    ALICE,
    BOB,
    MALLORY,
    MESH,
    OTHER_MESH,
    End,
    connected,
    initiator,
    pump,
    responder,
    rng,
    static_public,
)


@pytest.mark.covers("R9")
@pytest.mark.parametrize("ik", [False, True])
def test_two_ends_prove_themselves_and_talk(ik: bool) -> None:
    alice, bob = connected(ik=ik)
    (to_bob,), (to_alice,) = alice.established, bob.established
    assert (to_bob.peer_device_public, to_bob.peer_kid) == (BOB.device.public, BOB.device.kid)
    assert (to_alice.peer_device_public, to_alice.peer_kid) == (ALICE.device.public, ALICE.device.kid)
    assert (to_bob.peer_static, to_alice.peer_static) == (static_public(BOB), static_public(ALICE))
    assert (to_bob.payload, to_alice.payload) == (b"from bob", b"from alice")
    assert to_bob.mesh_id == to_alice.mesh_id == MESH
    assert to_bob.version == to_alice.version == 1
    assert to_bob.handshake_hash == to_alice.handshake_hash
    sent = [b"", b"one", bytes(70_000), b"two"]
    alice.take(alice.channel.send(sent))
    bob.take(bob.channel.send(sent[::-1]))
    pump(alice, bob)
    assert (bob.received, alice.received) == (sent, sent[::-1])


def test_the_largest_message_passes_and_a_larger_one_is_refused_whole() -> None:
    alice, bob = connected()
    largest = bytes(MESSAGE_BYTES_MAX)
    alice.take(alice.channel.send([largest]))
    with pytest.raises(LocalError) as caught:
        alice.channel.send([b"never sent", largest + b"x"])
    assert caught.value.code == "MESSAGE_TOO_LARGE"
    alice.take(alice.channel.send([b"after"]))
    pump(alice, bob)
    assert bob.received == [largest, b"after"]


def test_small_messages_share_a_frame() -> None:
    alice, _ = connected()
    effects = alice.channel.send([bytes(400)] * 100)
    assert effects == [Transmit(effects[0].data)] if isinstance(effects[0], Transmit) else False
    assert sum(len(effect.data) for effect in effects if isinstance(effect, Transmit)) == 2 + 16 + 100 * 404
    assert alice.channel.send([]) == []


def test_the_same_seeds_give_the_same_bytes() -> None:
    def transcript() -> str:
        alice, bob = initiator(), responder()
        seen = hashlib.sha256()
        while alice.out or bob.out:
            for end, other in ((alice, bob), (bob, alice)):
                data = end.drain()
                seen.update(data)
                other.feed(data)
        return seen.hexdigest()

    assert transcript() == transcript()


def test_a_responder_of_several_meshes_uses_the_identity_of_the_right_one() -> None:
    alice = initiator()
    bob = End(Channel.responder({OTHER_MESH: MALLORY, MESH: BOB}, rng(2).randbytes)).start()
    pump(alice, bob)
    assert alice.established[0].peer_kid == BOB.device.kid
    assert bob.established[0].mesh_id == MESH


# -- any chunking ------------------------------------------------------------------------------------------


@given(
    st.booleans(),
    st.lists(st.lists(st.integers(0, 2_000), max_size=5), max_size=6),
    st.integers(0, 2**32),
    st.sampled_from([1, 7, 100, 5_000, 100_000]),
)
@settings(max_examples=40)
def test_any_chunking_gives_the_same_events(ik: bool, batches: list[list[int]], seed: int, top: int) -> None:
    source = rng(seed)

    def trickle(one: End, two: End) -> None:
        while one.out or two.out:
            for end, other in ((one, two), (two, one)):
                data = end.drain()
                while data:
                    size = source.randint(1, top)
                    other.feed(data[:size])
                    data = data[size:]

    plain, cut = (initiator(ik=ik), responder()), (initiator(ik=ik), responder())
    pump(*plain)
    trickle(*cut)
    for batch in batches:
        for (alice, bob), carry in ((plain, pump), (cut, trickle)):
            alice.take(alice.channel.send([bytes([n % 256]) * size for n, size in enumerate(batch)]))
            bob.take(bob.channel.send([b"ack"]))
            carry(alice, bob)
    for end, twin in zip(plain, cut, strict=True):
        assert (end.established, end.received, end.closed) == (twin.established, twin.received, twin.closed)
    assert len(plain[1].received) == sum(map(len, batches))


@given(st.booleans(), st.data())
def test_any_flipped_bit_of_the_transport_ends_the_channel(ik: bool, data: st.DataObject) -> None:
    alice, bob = connected(ik=ik)
    alice.take(alice.channel.send([b"good"]))
    good = alice.drain()
    alice.take(alice.channel.send([b"a message", b"another"]))
    bad = bytearray(alice.drain())
    bit = data.draw(st.integers(0, 8 * len(bad) - 1))
    bad[bit // 8] ^= 1 << bit % 8
    bob.feed(good + bytes(bad) + bytes(70_000))
    assert bob.received == [b"good"]
    assert bob.code == "DECRYPT_FAILED"
    assert bob.channel.pending == 0
    pump(alice, bob)
    assert (alice.code, alice.closed[0].remote) == ("DECRYPT_FAILED", True)


# -- clocks ------------------------------------------------------------------------------------------------


def test_a_quiet_channel_is_kept_alive_and_a_dead_one_ends() -> None:
    alice, bob = connected()
    now = 0
    for _ in range(50):
        now = min(end.channel.deadline_ms or 0 for end in (alice, bob))
        for end in (alice, bob):
            end.take(end.channel.tick(now))
        pump(alice, bob, now)
    assert now > 20 * 30_000
    assert (alice.closed, bob.closed) == ([], [])
    alice.take(alice.channel.tick(now + 89_999))
    assert alice.out
    assert not alice.closed
    alice.take(alice.channel.tick(now + 90_000))
    assert (alice.code, alice.closed[0].remote) == ("IDLE_TIMEOUT", False)
    assert alice.channel.deadline_ms is None
    bob.feed(alice.drain(), now)
    assert bob.code == "IDLE_TIMEOUT"


def test_what_was_sent_saves_a_keep_alive() -> None:
    alice, _ = connected()
    alice.take(alice.channel.tick(29_999))
    alice.take(alice.channel.send([b"x"]))
    alice.drain()
    alice.take(alice.channel.tick(59_998))
    assert not alice.out
    alice.take(alice.channel.tick(59_999))
    assert alice.out


def test_a_clock_that_steps_back_changes_nothing() -> None:
    alice, _ = connected()
    before = alice.channel.deadline_ms
    alice.take(alice.channel.tick(-(10**12)))
    assert (alice.channel.deadline_ms, bytes(alice.out), alice.code) == (before, b"", None)


def test_each_direction_gets_a_new_key_every_hour() -> None:
    limits = Limits(idle_ms=10**9, keep_alive_ms=10**9, rekey_ms=1_000)
    alice = End(Channel.initiator(ALICE, MESH, rng(1).randbytes, limits=limits)).start()
    bob = End(Channel.responder({MESH: BOB}, rng(2).randbytes)).start()
    pump(alice, bob)
    for hour in range(1, 5):
        assert alice.channel.deadline_ms == hour * 1_000
        alice.take(alice.channel.tick(hour * 1_000))
        assert alice.out
        alice.take(alice.channel.send([b"%d" % hour]))
        pump(alice, bob)
    assert bob.received == [b"1", b"2", b"3", b"4"]
    assert not bob.closed


def test_channels_rekey_by_volume_in_both_directions() -> None:
    limits = Limits(rekey_bytes=10_000)
    alice = End(Channel.initiator(ALICE, MESH, rng(1).randbytes, limits=limits)).start()
    bob = End(Channel.responder({MESH: BOB}, rng(2).randbytes, limits=limits)).start()
    pump(alice, bob)
    for number in range(20):
        alice.take(alice.channel.send([bytes([number]) * 3_000]))
        bob.take(bob.channel.send([bytes([number]) * 70_000]))
        pump(alice, bob)
    assert (len(alice.received), len(bob.received)) == (20, 20)


# -- ends --------------------------------------------------------------------------------------------------


def test_a_close_is_told_and_heard_once() -> None:
    alice, bob = connected()
    alice.take(alice.channel.send([b"last words"]))
    alice.take(alice.channel.close("MEMBER_EXPELLED", "The peer was expelled by its mesh."))
    pump(alice, bob)
    assert bob.received == [b"last words"]
    assert bob.closed == [Closed("MEMBER_EXPELLED", bob.closed[0].message, True)]
    assert alice.closed == [Closed("MEMBER_EXPELLED", "The peer was expelled by its mesh.", False)]
    for end in (alice, bob):
        assert end.channel.phase is Phase.CLOSED
        end.feed(b"anything")
        end.take(end.channel.end_of_stream())
        end.take(end.channel.close("AGAIN", "Once more."))
        end.take(end.channel.tick(10**9))
        with pytest.raises(LocalError) as caught:
            end.channel.send([b"x"])
        assert caught.value.code == "CHANNEL_NOT_OPEN"


def test_rules_for_the_caller() -> None:
    fresh = Channel.responder({MESH: BOB}, rng(1).randbytes)
    with pytest.raises(LocalError, match="Start the channel"):
        fresh.receive(b"", 0)
    with pytest.raises(LocalError, match="Messages pass between"):
        fresh.send([b"x"])
    assert (fresh.tick(0), fresh.deadline_ms) == ([], None)
    fresh.start(0)
    with pytest.raises(LocalError, match="started before"):
        fresh.start(0)
    with pytest.raises(LocalError, match="not 1025"):
        responder(payload=bytes(1_025))
    with pytest.raises(LocalError, match="not 1025"):
        initiator(payload=bytes(1_025))
    with pytest.raises(LocalError, match="speaks versions 1 to 1, not 2"):
        Channel.initiator(ALICE, MESH, rng(1).randbytes, protocol_version=2)
    with pytest.raises(LocalError, match="A-Z"):
        connected()[0].channel.close("not a code", "")


@pytest.mark.parametrize("ik", [False, True])
def test_the_largest_payload_fits(ik: bool) -> None:
    alice, bob = initiator(ik=ik, payload=bytes(1_024)), responder(payload=b"\xff" * 1_024)
    pump(alice, bob)
    assert bob.established[0].payload == bytes(1_024)
    assert alice.established[0].payload == b"\xff" * 1_024


# -- an independent peer -----------------------------------------------------------------------------------


def introduction(role: bytes) -> bytes:
    """Return Mallory's introduction, written from the module's text alone."""
    signed = b"maille-channel-binding-v1" + MESH + static_public(MALLORY) + role
    return cbor2.dumps([MALLORY.device.public, MALLORY.device.sign(signed), 1, 1, b"independent"])


def independent(name: str, marker: bytes, *, dials: bool) -> NoiseConnection:
    """Return Mallory's end over the other implementation of Noise."""
    peer = NoiseConnection.from_name(name.encode())
    if dials:
        peer.set_as_initiator()
    else:
        peer.set_as_responder()
    peer.set_prologue(b"maille\x00\x01" + marker + MESH)
    peer.set_keypair_from_private_bytes(Keypair.STATIC, MALLORY.static_private)
    if name == IK and dials:
        peer.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, static_public(BOB))
    peer.start_handshake()
    return peer


def record(message: bytes) -> bytes:
    """Return a message as it stands in a plaintext."""
    return struct.pack(">I", len(message)) + message


@pytest.mark.covers("R9", "R17")
@pytest.mark.parametrize(("name", "marker"), [(XX, b"X"), (IK, b"I")])
def test_an_independent_peer_dials_us(name: str, marker: bytes) -> None:
    peer, bob = independent(name, marker, dials=True), responder()
    salt = bytes(16)
    tag = hashlib.sha256(b"maille-mesh-tag" + salt + MESH).digest()
    first = introduction(b"\x00") if name == IK else b""
    bob.feed(marker + b"\x00\x01" + salt + tag + frame(bytes(peer.write_message(first))))
    reply = bob.drain()
    assert reply[:5] == bytes(5)
    assert int.from_bytes(reply[5:7], "big") == len(reply) - 7
    said = cbor2.loads(bytes(peer.read_message(reply[7:])))
    assert (said[0], said[2:]) == (BOB.device.public, [1, 1, b"from bob"])
    if name == XX:
        bob.feed(frame(bytes(peer.write_message(introduction(b"\x00")))))
    assert bool(bob.established) == (name == XX)
    bob.feed(frame(peer.encrypt(b"\x80\x00\x00\x01\x00")))  # keep-alive: the initiator of IK is live
    assert bob.established[0].peer_kid == MALLORY.device.kid
    assert bob.established[0].payload == b"independent"
    bob.feed(frame(peer.encrypt(record(b"hello") + record(b"bob"))))
    assert bob.received == [b"hello", b"bob"]
    bob.take(bob.channel.send([b"hello yourself"]))
    assert peer.decrypt(bob.drain()[2:]) == record(b"hello yourself")


@pytest.mark.parametrize(("name", "marker"), [(XX, b"X"), (IK, b"I")])
def test_an_independent_peer_answers_us(name: str, marker: bytes) -> None:
    known = static_public(MALLORY) if name == IK else None
    alice = End(Channel.initiator(ALICE, MESH, rng(5).randbytes, expected_static=known)).start()
    peer, opening = independent(name, marker, dials=False), alice.drain()
    assert opening[:3] == marker + b"\x00\x01"
    assert opening[19:51] == hashlib.sha256(b"maille-mesh-tag" + opening[3:19] + MESH).digest()
    said = bytes(peer.read_message(opening[53:]))
    alice.feed(bytes(5) + frame(bytes(peer.write_message(introduction(b"\x01")))))
    rest = alice.drain()
    if name == XX:
        said = bytes(peer.read_message(rest[2:]))
    else:
        assert peer.decrypt(rest[2:]) == b"\x80\x00\x00\x01\x00"
    assert cbor2.loads(said)[0] == ALICE.device.public
    assert alice.established[0].peer_kid == MALLORY.device.kid
    alice.feed(frame(peer.encrypt(record(b"hello"))))
    assert alice.received == [b"hello"]
