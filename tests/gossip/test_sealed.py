"""The sealed stream: new keys by volume and on demand, closing codes, unknown kinds of control."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.framing import FrameBuffer, control, frame
from gossip.noise import CipherState, Transport
from gossip.sealed import CHUNK_FRAMES, SealedStream
from ledger.errors import LocalError, RemoteError

BIG = 2**30


def transports() -> tuple[Transport, Transport]:
    """Return both ends of the same keys."""
    keys = bytes(32), b"\x01" * 32
    return (
        Transport(CipherState(keys[0]), CipherState(keys[1])),
        Transport(CipherState(keys[1]), CipherState(keys[0])),
    )


def bodies(data: bytes) -> list[bytes]:
    """Return the frames of a stream."""
    buffer, made = FrameBuffer(), []
    buffer.push(data)
    while (body := buffer.next()) is not None:
        made.append(body)
    return made


def deliver(stream: SealedStream, data: bytes) -> tuple[list[bytes], list[str | None]]:
    """Open every frame of `data`."""
    messages: list[bytes] = []
    return messages, [stream.open(body, messages) for body in bodies(data)]


STEPS = st.lists(
    st.one_of(st.lists(st.integers(0, 3_000), min_size=1, max_size=4), st.sampled_from(["rekey", "alive"])),
    max_size=30,
)


@given(STEPS, st.integers(1, 6_000))
def test_both_ends_rekey_at_the_same_frames(steps: list[list[int] | str], volume: int) -> None:
    first, second = transports()
    sender, receiver = SealedStream(first, volume), SealedStream(second, volume)
    keys = {first.sending._k}
    for step in steps:
        sent: list[bytes] = []
        if step == "rekey":
            data = sender.rekey()
        elif step == "alive":
            data = sender.keep_alive()
        else:
            sent = [bytes(int(size)) for size in step]
            data = b"".join(sender.seal(sent))
        assert deliver(receiver, data)[0] == sent
        assert first.sending._k == second.receiving._k
        keys.add(first.sending._k)
    if sum(4 + 16 + size for step in steps if isinstance(step, list) for size in step) >= volume + 16 * 4:
        assert len(keys) > 1


def test_ends_that_count_differently_part() -> None:
    first, second = transports()
    sender, receiver = SealedStream(first, 100), SealedStream(second, BIG)
    deliver(receiver, b"".join(sender.seal([bytes(100)])))
    with pytest.raises(RemoteError) as caught:
        deliver(receiver, b"".join(sender.seal([b"x"])))
    assert caught.value.code == "DECRYPT_FAILED"


def test_a_large_message_leaves_in_chunks() -> None:
    first, second = transports()
    sender, receiver = SealedStream(first, BIG), SealedStream(second, BIG)
    message = bytes(range(256)) * 12_000
    chunks = list(sender.seal([message]))
    assert len(chunks) == -(-len(message) // (CHUNK_FRAMES * 65_519))
    assert deliver(receiver, b"".join(chunks))[0] == [message]
    assert list(sender.seal([])) == []


def test_a_close_carries_its_code_after_the_messages() -> None:
    first, second = transports()
    sender, receiver = SealedStream(first, BIG), SealedStream(second, BIG)
    data = b"".join(sender.seal([b"last"])) + sender.close("SHUTTING_DOWN")
    assert deliver(receiver, data) == ([b"last"], [None, "SHUTTING_DOWN"])


@pytest.mark.parametrize("code", ["", "lower", "É", "A" * 49, "1A", "A B", "A\n"])
def test_codes_are_upper_snake(code: str) -> None:
    first, second = transports()
    with pytest.raises(LocalError) as ours:
        SealedStream(first, BIG).close(code)
    assert ours.value.code == "CODE_MALFORMED"
    body = first.encrypt(control(b"\x02" + code.encode()))
    with pytest.raises(RemoteError) as theirs:
        SealedStream(second, BIG).open(body, [])
    assert theirs.value.code == "RECORD_MALFORMED"


def test_unknown_controls_have_no_effect() -> None:
    first, second = transports()
    receiver = SealedStream(second, BIG)
    for body in (b"", b"\x03", b"\xff" * 64, b"\x01\x00", b"\x00later"):
        assert deliver(receiver, frame(first.encrypt(control(body)))) == ([], [None])
    assert deliver(receiver, frame(first.encrypt(b""))) == ([], [None])
    assert first.sending._k == second.receiving._k
