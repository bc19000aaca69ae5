"""Hostile handshakes and peers: each ends with a code, and keeps no more memory than it may."""

from __future__ import annotations

import struct
from collections.abc import Callable

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossip.channel import HANDSHAKE_FRAME_BYTES_MAX, Channel, Identity, Phase, Versions
from gossip.framing import frame
from gossip.handshake import Opening
from gossip.noise import IK, XX, KeyPair
from tests.gossip.ends import (
    ALICE,
    BOB,
    MALLORY,
    MESH,
    OTHER_MESH,
    End,
    initiator,
    pump,
    raw,
    responder,
    rng,
    run_raw,
    static_public,
)

HANDSHAKE_MEMORY_MAX = 8_192
"""Bytes that may wait for a peer that is not proven."""


def dial(
    who: Identity = ALICE,
    *,
    mesh: bytes = MESH,
    static: bytes | None = None,
    kid: bytes | None = None,
    versions: Versions | None = None,
    version: int | None = None,
) -> End:
    """Return an initiator that is wrong in some way."""
    channel = Channel.initiator(
        who,
        mesh,
        rng(9).randbytes,
        expected_static=static,
        expected_device_kid=kid,
        versions=versions or Versions(1, 1),
        protocol_version=version,
    )
    return End(channel).start()


def answer(who: Identity = BOB, versions: Versions | None = None) -> End:
    """Return a responder."""
    channel = Channel.responder({MESH: who}, rng(8).randbytes, versions=versions or Versions(1, 1))
    return End(channel).start()


def codes(one: End, two: End) -> tuple[str | None, str | None]:
    """Run both to their end; a stream that one side closed ends for the other."""
    pump(one, two)
    for end, other in ((one, two), (two, one)):
        if end.closed and not other.closed:
            other.take(other.channel.end_of_stream())
    return one.code, two.code


def test_wrong_mesh() -> None:
    alice, bob = dial(mesh=OTHER_MESH), responder()
    assert codes(alice, bob) == ("UNKNOWN_MESH", "UNKNOWN_MESH")
    assert (alice.closed[0].remote, bob.closed[0].remote) == (True, False)
    assert alice.closed[0].versions is None


def test_a_mesh_that_fits_the_tag_but_not_the_prologue() -> None:
    initiator_ = raw(XX, prologue=Opening.to(OTHER_MESH, XX, 1, bytes(16)).prologue(OTHER_MESH))
    bob = responder()
    bob.feed(Opening.to(MESH, XX, 1, bytes(16)).encode() + frame(initiator_.write_message(b"")))
    with pytest.raises(Exception, match="do not decrypt"):
        initiator_.read_message(bob.drain()[7:])


@pytest.mark.parametrize("ik", [False, True])
def test_wrong_device_key(ik: bool) -> None:
    alice = dial(static=static_public(BOB) if ik else None, kid=MALLORY.device.kid)
    bob = responder()
    assert codes(alice, bob) == ("WRONG_KEY", "WRONG_KEY" if ik else "STREAM_TRUNCATED")
    assert not alice.established
    assert not bob.established


def test_a_changed_static_key_is_refused_in_ik_and_found_by_xx() -> None:
    moved = Identity(BOB.device, MALLORY.static_private)
    alice, bob = dial(static=static_public(BOB), kid=BOB.device.kid), answer(moved)
    assert codes(alice, bob) == ("IK_REFUSED", "IK_REFUSED")
    assert alice.closed[0].remote
    again, bob = dial(kid=BOB.device.kid), answer(moved)
    pump(again, bob)
    assert again.established[0].peer_static == static_public(moved)


@pytest.mark.parametrize("ik", [False, True])
def test_a_device_key_that_did_not_sign_the_static_key(ik: bool) -> None:
    bob, end = responder(), raw(IK if ik else XX)
    lie = cbor2.dumps([ALICE.device.public, MALLORY.device.sign(b"something else"), 1, 1, b""])
    run_raw(end, bob, lie)
    assert bob.code == "BINDING_INVALID"
    assert not bob.established


def test_an_introduction_of_somebody_else_is_of_no_use() -> None:
    alice, bob = initiator(), responder()
    pump(alice, bob)
    end, victim = raw(XX), responder(seed=77)
    signed = b"maille-channel-binding-v1" + MESH + static_public(ALICE) + b"\x00"
    run_raw(end, victim, cbor2.dumps([ALICE.device.public, ALICE.device.sign(signed), 1, 1, b""]))
    assert victim.code == "BINDING_INVALID"


def test_an_unknown_key_is_closed_by_the_layer_above() -> None:
    mallory, bob = dial(MALLORY), responder()
    pump(mallory, bob)
    assert bob.established[0].peer_kid == MALLORY.device.kid  # known by nobody: the node closes
    bob.take(bob.channel.close("UNKNOWN_KEY", "This key is no member's device."))
    assert codes(mallory, bob) == ("UNKNOWN_KEY", "UNKNOWN_KEY")
    assert mallory.closed[0].message == "The peer closed the channel with UNKNOWN_KEY."


@pytest.mark.parametrize(
    "who", [ALICE, Identity(ALICE.device, BOB.static_private), Identity(BOB.device, ALICE.static_private)]
)
def test_a_node_that_meets_itself_or_its_copy(who: Identity) -> None:
    alice, mirror = initiator(), answer(who)
    assert codes(alice, mirror)[0] == "SELF_CONNECTION"
    assert not alice.established


# -- weak keys ---------------------------------------------------------------------------------------------


def test_a_weak_key_that_a_card_gave_is_refused_before_dialling() -> None:
    alice = dial(static=bytes(32))
    assert (alice.code, bytes(alice.out)) == ("WEAK_STATIC_KEY", b"")


@pytest.mark.parametrize("ik", [False, True])
def test_a_weak_ephemeral_key(ik: bool) -> None:
    bob = responder()
    protocol = IK if ik else XX
    bob.feed(Opening.to(MESH, protocol, 1, bytes(16)).encode() + frame(bytes(200) if ik else bytes(32)))
    assert bob.code == "WEAK_EPHEMERAL_KEY"


def test_a_weak_static_key() -> None:
    bob, end = responder(), raw(XX)
    end._s = KeyPair(bytes(32), bytes(32))
    opening = Opening.to(MESH, XX, 1, bytes(16))
    bob.feed(opening.encode() + frame(end.write_message(b"")))
    end.read_message(bob.drain()[7:])
    sealed = end.symmetric.encrypt_and_hash(bytes(32))
    bob.feed(frame(sealed + bytes(16)))
    assert bob.code == "WEAK_STATIC_KEY"


# -- versions ----------------------------------------------------------------------------------------------


@pytest.mark.covers("R18")
def test_versions_without_a_common_one_are_refused_politely() -> None:
    alice, bob = dial(versions=Versions(3, 5)), answer(versions=Versions(1, 2))
    assert codes(alice, bob) == ("VERSION_UNSUPPORTED", "VERSION_UNSUPPORTED")
    closed = alice.closed[0]
    assert (closed.remote, closed.versions) == (True, Versions(1, 2))
    assert "1 to 2" in closed.message
    assert "3 to 5" in closed.message


@pytest.mark.covers("R18")
def test_an_older_peer_is_met_at_its_highest_version() -> None:
    own = Versions(1, 5)
    alice, bob = dial(versions=own), answer(versions=Versions(1, 3))
    assert codes(alice, bob)[0] == "VERSION_UNSUPPORTED"
    theirs = alice.closed[0].versions
    assert theirs is not None
    again, bob = dial(versions=own, version=own.common(theirs)), answer(versions=Versions(1, 3))
    pump(again, bob)
    assert again.established[0].version == bob.established[0].version == 3


def test_an_older_initiator_is_met_at_its_highest_version() -> None:
    alice, bob = dial(versions=Versions(1, 2)), answer(versions=Versions(1, 9))
    pump(alice, bob)
    assert bob.established[0].version == 2


@pytest.mark.parametrize("ik", [False, True])
def test_a_downgrade_by_a_forged_refusal_is_found_out(ik: bool) -> None:
    static = static_public(BOB) if ik else None
    alice = dial(versions=Versions(1, 3), static=static)
    alice.feed(struct.pack(">BHH", 2, 1, 1))  # somebody on the way says that Bob is old
    assert (alice.code, alice.closed[0].versions) == ("VERSION_UNSUPPORTED", Versions(1, 1))
    again, bob = dial(versions=Versions(1, 3), version=1, static=static), answer(versions=Versions(1, 3))
    result = codes(again, bob)
    assert "VERSION_DOWNGRADED" in result
    assert not again.established
    assert not bob.established


# -- malformed, truncated, oversized, slow -----------------------------------------------------------------


@given(st.binary(max_size=3_000), st.booleans(), st.integers(1, 500))
def test_garbage_is_refused_in_small_memory(data: bytes, fits: bool, size: int) -> None:
    bob = responder()
    if fits:
        data = Opening.to(MESH, XX if size % 2 else IK, 1, bytes(16)).encode() + data
    for at in range(0, len(data), size):
        bob.feed(data[at : at + size])
    bob.take(bob.channel.end_of_stream())
    assert bob.code in {
        "HANDSHAKE_MALFORMED", "STREAM_TRUNCATED", "FRAME_TOO_LARGE", "UNKNOWN_MESH", "IK_REFUSED",
        "WEAK_EPHEMERAL_KEY", "DECRYPT_FAILED",
    }  # fmt: skip
    assert not bob.established
    assert bob.peak <= HANDSHAKE_MEMORY_MAX


def test_what_is_no_opening_gets_no_answer() -> None:
    bob = responder()
    bob.feed(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n" + bytes(20))
    assert (bob.code, bytes(bob.out)) == ("HANDSHAKE_MALFORMED", b"")


def test_an_opening_that_is_sent_back_is_malformed() -> None:
    alice = initiator()
    alice.feed(alice.drain())
    assert alice.code == "HANDSHAKE_MALFORMED"


def test_the_first_message_of_xx_carries_nothing() -> None:
    bob, end = responder(), raw(XX)
    bob.feed(Opening.to(MESH, XX, 1, bytes(16)).encode() + frame(end.write_message(b"in clear")))
    assert bob.code == "HANDSHAKE_MALFORMED"
    assert bob.drain() == b"\x04\x00\x00\x00\x00"


def transcript(ik: bool) -> list[tuple[str, bytes]]:
    """Return who sent what in a good handshake, and the first message after it."""
    alice, bob, said = initiator(ik=ik), responder(), list[tuple[str, bytes]]()
    while alice.out or bob.out:
        for name, end, other in (("alice", alice, bob), ("bob", bob, alice)):
            if data := end.drain():
                said.append((name, data))
                other.feed(data)
    alice.take(alice.channel.send([b"pay 100"]))
    return [*said, ("alice", alice.drain())]


@given(st.booleans(), st.data())
@settings(max_examples=120)
def test_any_flipped_bit_of_the_handshake_ends_it(ik: bool, data: st.DataObject) -> None:
    alice, bob = initiator(ik=ik), responder()
    number = data.draw(st.integers(0, len(transcript(ik)) - 2))
    ends, turn = (alice, bob), 0
    while (alice.out or bob.out) and turn <= number + 4:
        sent = bytearray(ends[0].drain())
        if turn == number:
            bit = data.draw(st.integers(0, 8 * len(sent) - 1))
            sent[bit // 8] ^= 1 << bit % 8
        ends[1].feed(bytes(sent))
        ends, turn = ends[::-1], turn + 1
    for end in (alice, bob):
        end.take(end.channel.tick(10_000))
    assert not bob.established
    assert not alice.established or number == 2  # she was done before her last message was changed
    assert bob.code
    assert max(alice.peak, bob.peak) <= HANDSHAKE_MEMORY_MAX
    assert not alice.received
    assert not bob.received


@given(st.booleans(), st.data())
def test_a_truncated_handshake_ends_with_the_stream_or_the_clock(ik: bool, data: st.DataObject) -> None:
    script = transcript(ik)[:-1]
    number = data.draw(st.integers(0, len(script) - 1))
    cut = data.draw(st.integers(0, len(script[number][1]) - 1))
    for code in ("STREAM_TRUNCATED", "HANDSHAKE_TIMEOUT"):
        ends = {"alice": initiator(ik=ik), "bob": responder()}
        for at, (name, sent) in enumerate(script[: number + 1]):
            other = ends["bob" if name == "alice" else "alice"]
            other.feed(sent[:cut] if at == number else sent)
        other = ends["bob" if script[number][0] == "alice" else "alice"]
        assert (other.closed, other.established) == ([], [])
        channel = other.channel
        other.take(channel.end_of_stream() if code == "STREAM_TRUNCATED" else channel.tick(10_000))
        assert (other.code, channel.pending) == (code, 0)


@pytest.mark.parametrize("ik", [False, True])
def test_a_replayed_initiator_gets_nowhere(ik: bool) -> None:
    script = [sent for name, sent in transcript(ik) if name == "alice"]
    bob = responder(seed=55)
    for sent in script:
        bob.feed(sent)
    assert bob.code == ("HANDSHAKE_REPLAYED" if ik else "DECRYPT_FAILED")
    assert (bob.established, bob.received) == ([], [])


def test_a_replayed_first_message_alone_is_never_acted_on() -> None:
    bob = responder(seed=55)
    bob.feed(transcript(ik=True)[0][1])
    assert bob.channel.phase is Phase.CONFIRM
    assert not bob.established
    bob.take(bob.channel.tick(10_000))
    assert bob.code == "HANDSHAKE_TIMEOUT"


def test_a_replayed_responder_gets_nowhere() -> None:
    for ik in (False, True):
        script = [sent for name, sent in transcript(ik) if name == "bob"]
        alice = initiator(ik=ik, seed=99)
        alice.feed(b"".join(script))
        assert (alice.code, alice.established) == ("DECRYPT_FAILED", [])


@pytest.mark.parametrize("size", [HANDSHAKE_FRAME_BYTES_MAX + 1, 65_535])
def test_an_oversized_handshake_message_is_refused_on_its_length(size: int) -> None:
    alice, bob = initiator(), responder()
    head = struct.pack(">H", size)
    bob.feed(Opening.to(MESH, XX, 1, bytes(16)).encode() + head)
    alice.feed(bytes(5) + head)
    assert (alice.code, bob.code) == ("FRAME_TOO_LARGE", "FRAME_TOO_LARGE")
    assert max(alice.peak, bob.peak) <= HANDSHAKE_MEMORY_MAX


def test_an_unproven_initiator_of_ik_may_send_no_large_frame() -> None:
    bob, end = responder(), raw(IK)
    signed = b"maille-channel-binding-v1" + MESH + static_public(MALLORY) + b"\x00"
    said = cbor2.dumps([MALLORY.device.public, MALLORY.device.sign(signed), 1, 1, b""])
    transport = run_raw(end, bob, said)
    assert transport is not None
    bob.feed(frame(transport.encrypt(bytes(3_000))))
    assert (bob.code, bob.established) == ("FRAME_TOO_LARGE", [])


def trickled(make: Callable[[], End], data: bytes, step_ms: int) -> tuple[End, int]:
    """Feed one byte every `step_ms`; return the end and when it closed."""
    end, now = make(), 0
    for number in range(len(data)):
        now += step_ms
        end.feed(data[number : number + 1], now)
        if end.closed:
            break
    return end, now


def test_slow_loris_ends_at_the_deadline_whatever_it_sends() -> None:
    data = transcript(ik=False)[0][1]
    bob, when = trickled(responder, data, 900)
    assert (bob.code, when) == ("HANDSHAKE_TIMEOUT", 10_800)
    alice, when = trickled(initiator, transcript(ik=False)[1][1], 900)
    assert (alice.code, when) == ("HANDSHAKE_TIMEOUT", 10_800)
