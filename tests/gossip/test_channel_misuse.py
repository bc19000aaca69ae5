"""A proven peer that misbehaves once the channel is open: each fault ends it with a code."""

from __future__ import annotations

import struct

import cbor2
import pytest

from gossip.framing import frame
from gossip.noise import XX, Transport
from tests.gossip.ends import MALLORY, MESH, End, connected, raw, responder, run_raw, static_public


def proven() -> tuple[Transport, End]:
    """Return Mallory's bare transport and Bob, who believes in her."""
    bob, end = responder(), raw(XX)
    signed = b"maille-channel-binding-v1" + MESH + static_public(MALLORY) + b"\x00"
    said = cbor2.dumps([MALLORY.device.public, MALLORY.device.sign(signed), 1, 1, b""])
    transport = run_raw(end, bob, said)
    assert transport is not None
    assert bob.established
    return transport, bob


@pytest.mark.parametrize(
    ("plaintext", "code"),
    [
        (struct.pack(">I", 16 * 1024 * 1024 + 1), "MESSAGE_TOO_LARGE"),
        (struct.pack(">I", 0x8000_0041), "RECORD_MALFORMED"),
        (struct.pack(">I", 0x8000_0003) + b"\x02no", "RECORD_MALFORMED"),
    ],
)
def test_a_wrong_record_ends_the_channel_after_the_good_ones(plaintext: bytes, code: str) -> None:
    transport, bob = proven()
    bob.feed(frame(transport.encrypt(struct.pack(">I", 4) + b"good" + plaintext)))
    assert (bob.received, bob.code) == ([b"good"], code)
    assert transport.decrypt(bob.drain()[2:]) == struct.pack(">IB", 0x8000_0001 + len(code), 2) + code.encode()


def test_frames_too_short_for_a_tag_end_the_channel() -> None:
    for size in (0, 1, 15):
        _, bob = proven()
        bob.feed(frame(bytes(size)))
        assert bob.code == "DECRYPT_FAILED"


def test_a_frame_twice_or_out_of_order_ends_the_channel() -> None:
    for order in ((0, 0), (1, 0)):
        transport, bob = proven()
        frames = [frame(transport.encrypt(struct.pack(">I", 1) + b"%d" % n)) for n in range(2)]
        bob.feed(b"".join(frames[n] for n in order))
        assert bob.code == "DECRYPT_FAILED"
        assert bob.received == [b"0"][: order[0] == 0]


def test_a_stream_cut_after_a_whole_frame_is_seen() -> None:
    alice, bob = connected()
    alice.take(alice.channel.send([b"first"]))
    bob.feed(alice.drain())
    bob.take(bob.channel.end_of_stream())
    assert (bob.received, bob.code, bob.closed[0].remote) == ([b"first"], "STREAM_TRUNCATED", True)


def test_slow_loris_inside_a_frame_does_not_keep_a_channel_alive() -> None:
    alice, bob = connected()
    alice.take(alice.channel.send([bytes(60_000)]))
    data, now = alice.drain(), 0
    for number in range(200):
        now += 1_000
        bob.feed(data[number : number + 1], now)
        bob.take(bob.channel.tick(now))
        if bob.closed:
            break
    assert (bob.code, now) == ("IDLE_TIMEOUT", 90_000)


def test_a_sleeper_is_not_cut_off_by_its_own_sleep() -> None:
    alice, bob = connected()
    alice.take(alice.channel.send([b"while you slept"]))
    bob.feed(alice.drain(), 3_000_000)  # the bytes waited in the kernel
    bob.take(bob.channel.tick(3_000_000))
    assert (bob.received, bob.closed) == ([b"while you slept"], [])
