"""Framing: any chunking gives the same frames, any cut of the plaintext the same messages; limits hold."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.framing import (
    CONTROL_BYTES_MAX,
    FRAME_BODY_MAX,
    MESSAGE_BYTES_MAX,
    FrameBuffer,
    RecordBuffer,
    check_message,
    control,
    frame,
    plaintexts,
)
from gossip.noise import PLAINTEXT_MAX
from ledger.errors import LocalError, RemoteError

BODIES = st.lists(st.one_of(st.binary(max_size=40), st.integers(0, FRAME_BODY_MAX).map(bytes)), max_size=8)
CUTS = st.lists(st.integers(1, 70_000), max_size=40)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut `data` by the lengths of `cuts`, the last piece takes the rest."""
    made, at = [], 0
    for cut in cuts:
        made.append(data[at : at + cut])
        at += cut
    return [*made, data[at:]]


def frames_of(buffer: FrameBuffer, data: bytes) -> list[bytes]:
    """Push one chunk and take what it completes."""
    buffer.push(data)
    made = []
    while (body := buffer.next()) is not None:
        made.append(body)
    return made


def records_of(parts: list[bytes], buffer: RecordBuffer | None = None) -> tuple[list[bytes], list[bytes]]:
    """Feed plaintexts; return messages and controls."""
    messages: list[bytes] = []
    controls: list[bytes] = []
    buffer = buffer or RecordBuffer()
    for part in parts:
        buffer.feed(part, messages, controls)
    assert buffer.pending == 0
    return messages, controls


@given(BODIES, CUTS)
def test_any_chunking_gives_the_same_frames(bodies: list[bytes], cuts: list[int]) -> None:
    buffer = FrameBuffer()
    stream = b"".join(map(frame, bodies))
    seen = [body for chunk in chunks(stream, cuts) for body in frames_of(buffer, chunk)]
    assert seen == bodies
    assert buffer.pending == 0


@given(st.binary(max_size=60), st.binary(max_size=60), st.lists(st.integers(1, 9), max_size=60))
def test_clear_bytes_and_frames_share_a_stream(clear: bytes, body: bytes, cuts: list[int]) -> None:
    buffer, got = FrameBuffer(), list[bytes]()
    for chunk in chunks(clear + frame(body), cuts):
        buffer.push(chunk)
        if not got and (taken := buffer.exactly(len(clear))) is not None:
            got.append(taken)
        if got and (taken := buffer.next()) is not None:
            got.append(taken)
    assert got == [clear, body]


@given(st.integers(0, 3_000), st.lists(st.integers(1, 500), max_size=20))
def test_a_frame_above_the_limit_is_refused_on_its_length(size: int, cuts: list[int]) -> None:
    buffer, kept = FrameBuffer(2_048), [0]

    def run() -> None:
        for chunk in chunks(frame(bytes(size)), cuts):
            frames_of(buffer, chunk)
            kept.append(buffer.pending)

    if size <= 2_048:
        run()
        assert max(kept) <= 2_050
        return
    with pytest.raises(RemoteError) as caught:
        run()
    assert caught.value.code == "FRAME_TOO_LARGE"
    assert max(kept) < 2  # the length alone was enough


def test_a_frame_has_a_limit() -> None:
    with pytest.raises(LocalError) as caught:
        frame(bytes(FRAME_BODY_MAX + 1))
    assert caught.value.code == "FRAME_TOO_LARGE"


def test_a_buffer_holds_no_chunk_that_was_read() -> None:
    buffer = FrameBuffer()
    assert frames_of(buffer, frame(b"a") * 1_000 + b"\x00") == [b"a"] * 1_000
    assert buffer.pending == 1


SIZES = st.lists(
    st.one_of(st.integers(0, 500), st.integers(PLAINTEXT_MAX - 12, PLAINTEXT_MAX + 12), st.integers(0, 200_000)),
    max_size=8,
)


@given(SIZES)
def test_messages_fill_frames_and_come_back(sizes: list[int]) -> None:
    messages = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    parts = list(plaintexts(messages))
    assert all(len(part) == PLAINTEXT_MAX for part in parts[:-1])
    assert sum(map(len, parts)) == sum(sizes) + 4 * len(sizes)
    assert all(parts)
    assert records_of(parts) == (messages, [])


@given(SIZES, CUTS)
def test_any_cut_of_the_plaintext_gives_the_same_messages(sizes: list[int], cuts: list[int]) -> None:
    messages = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    assert records_of(chunks(b"".join(plaintexts(messages)), cuts)) == (messages, [])


@given(st.lists(st.binary(max_size=CONTROL_BYTES_MAX), max_size=5), st.lists(st.integers(1, 7), max_size=50))
def test_controls_and_messages_are_told_apart(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(control(body) + b"".join(plaintexts([body])) for body in bodies)
    assert records_of(chunks(stream, cuts)) == (bodies, bodies)


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("word", "code"),
    [
        (MESSAGE_BYTES_MAX + 1, "MESSAGE_TOO_LARGE"),
        (0x7FFF_FFFF, "MESSAGE_TOO_LARGE"),
        (0x8000_0000 + CONTROL_BYTES_MAX + 1, "RECORD_MALFORMED"),
        (0xFFFF_FFFF, "RECORD_MALFORMED"),
    ],
)
def test_lengths_above_the_limit_are_refused_at_once(word: int, code: str, cut: int) -> None:
    stream = b"\x00\x00\x00\x01a" + struct.pack(">I", word)
    messages: list[bytes] = []
    buffer = RecordBuffer()

    def run() -> None:
        for part in (stream[: 4 + cut], stream[4 + cut :]):
            buffer.feed(part, messages, [])

    with pytest.raises(RemoteError) as caught:
        run()
    assert caught.value.code == code
    assert messages == [b"a"]  # what came before the fault


def test_the_largest_message_passes_and_one_byte_more_does_not() -> None:
    largest = bytes(MESSAGE_BYTES_MAX)
    check_message(largest)
    assert records_of(list(plaintexts([largest]))) == ([largest], [])
    with pytest.raises(LocalError, match="in parts"):
        check_message(largest + b"x")
    with pytest.raises(LocalError, match="control"):
        control(bytes(CONTROL_BYTES_MAX + 1))


def test_a_length_alone_reserves_nothing() -> None:
    buffer = RecordBuffer()
    buffer.feed(struct.pack(">I", MESSAGE_BYTES_MAX) + b"start", [], [])
    assert buffer.pending == 9
