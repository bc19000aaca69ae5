"""Frames on the stream and records inside them, without I/O.

How it works
    Two layers, each a byte stream cut into lengths. Outside, a frame is a 2-byte big-endian length and that
    many bytes of one Noise message (at most 65 535). Inside, the plaintexts of all frames of one direction
    are one stream of records: a 4-byte big-endian word and a body. The word's top bit is 0 for an application
    message (the word is then its length, at most `MESSAGE_BYTES_MAX`) and 1 for a control record of the
    channel (the low 31 bits are then its length). So small messages share a frame, large ones fill several,
    and no byte is spent on saying which. `plaintexts` cuts messages into frames; `FrameBuffer` and
    `RecordBuffer` put chunks of any size together again, copying each byte a fixed number of times.

What it does not do
    It encrypts nothing and gives control records no meaning. It keeps no more than one unfinished frame or
    one unfinished record, and reserves nothing on the word of a length it was only told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from gossip.noise import PLAINTEXT_MAX
from ledger.errors import LocalError, RemoteError

FRAME_BODY_MAX: Final = 65_535
"""Largest body of a frame, in bytes."""
FRAME_HEADER_BYTES: Final = 2
"""Bytes of a frame's length."""
RECORD_HEADER_BYTES: Final = 4
"""Bytes of a record's word."""
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Largest application message, in bytes; longer ones are refused at both ends."""
CONTROL_BYTES_MAX: Final = 64
"""Largest body of a control record, in bytes."""

_CONTROL_BIT: Final = 0x8000_0000
_FRAME_HEADER: Final = Struct(">H")
_RECORD_HEADER: Final = Struct(">I")


def frame(body: bytes) -> bytes:
    """Return `body` (at most 65 535 bytes) as one frame. Raises `LocalError` FRAME_TOO_LARGE."""
    if len(body) > FRAME_BODY_MAX:
        raise LocalError("FRAME_TOO_LARGE", f"A frame holds {FRAME_BODY_MAX} bytes, not {len(body)}.")
    return _FRAME_HEADER.pack(len(body)) + body


def control(body: bytes) -> bytes:
    """Return `body` (at most 64 bytes) as one control record, to be sealed in a frame of its own."""
    if len(body) > CONTROL_BYTES_MAX:
        told = f"A control record holds {CONTROL_BYTES_MAX} bytes, not {len(body)}."
        raise LocalError("MESSAGE_TOO_LARGE", told)
    return _RECORD_HEADER.pack(_CONTROL_BIT | len(body)) + body


def plaintexts(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the plaintexts of the frames that carry `messages`: all full (65 519 bytes) but the last.

    Every length was checked before (`check_message`). A message larger than a frame is sliced without first
    being copied whole.
    """
    parts: list[bytes | memoryview] = []
    room = PLAINTEXT_MAX
    for message in messages:
        size = len(message)
        if size + RECORD_HEADER_BYTES <= room:  # the way of nearly every message
            parts += (_RECORD_HEADER.pack(size), message)
            room -= size + RECORD_HEADER_BYTES
            continue
        for piece in (_RECORD_HEADER.pack(size), message):
            at, view = 0, memoryview(piece)
            while at < len(piece):
                if room == 0:
                    yield b"".join(parts)
                    parts, room = [], PLAINTEXT_MAX
                parts.append(view[at : at + room])
                taken = len(parts[-1])
                at, room = at + taken, room - taken
    if parts:
        yield b"".join(parts)


def check_message(message: bytes) -> None:
    """Refuse a message that no peer would take. Raises `LocalError` MESSAGE_TOO_LARGE."""
    if len(message) > MESSAGE_BYTES_MAX:
        told = f"A message holds {MESSAGE_BYTES_MAX} bytes, not {len(message)}; send it in parts."
        raise LocalError("MESSAGE_TOO_LARGE", told)


class FrameBuffer:
    """Chunks of a stream in, whole frame bodies out.

    `limit` is the largest body taken, in bytes; it may be raised between two frames (a handshake takes less
    than a transport). At most `limit` + 2 bytes wait in it after the frames were taken out.
    """

    __slots__ = ("_at", "_data", "_partial", "limit")

    def __init__(self, limit: int = FRAME_BODY_MAX) -> None:
        """Start empty."""
        self.limit = limit
        self._data = b""  # the newest chunk, read in place
        self._at = 0  # how far it was read
        self._partial = bytearray()  # the start of a frame whose end was in no chunk yet

    @property
    def pending(self) -> int:
        """Bytes that wait."""
        return len(self._partial) + len(self._data) - self._at

    def push(self, data: bytes) -> None:
        """Add a chunk; the one before must have been read to its end (`next` or `exactly` gave None)."""
        if self._at < len(self._data):
            data = self._data[self._at :] + data
        self._data, self._at = data, 0

    def exactly(self, size: int) -> bytes | None:
        """Take the next `size` bytes, or None while they are not all there."""
        start, at = self._partial, self._at
        if not start and at + size <= len(self._data):
            self._at = at + size
            return self._data[at : at + size]
        missing = size - len(start)
        start += self._data[at : at + missing]
        self._at = min(at + missing, len(self._data))
        if len(start) < size:
            return None
        taken = bytes(start)
        start.clear()
        return taken

    def next(self) -> bytes | None:
        """Take the next frame's body, or None. Raises `RemoteError` FRAME_TOO_LARGE on the length alone."""
        data, at = self._data, self._at
        if not self._partial and len(data) - at >= FRAME_HEADER_BYTES:
            end = at + FRAME_HEADER_BYTES + self._checked(_FRAME_HEADER.unpack_from(data, at)[0])
            if end <= len(data):
                self._at = end
                return data[at + FRAME_HEADER_BYTES : end]
        return self._next_across()

    def _next_across(self) -> bytes | None:
        """Go on with a frame that crosses chunks: gather its length, then its body."""
        start = self._partial
        if len(start) < FRAME_HEADER_BYTES:
            self._gather(FRAME_HEADER_BYTES)
            if len(start) < FRAME_HEADER_BYTES:
                return None
        whole = FRAME_HEADER_BYTES + self._checked(_FRAME_HEADER.unpack_from(start)[0])
        self._gather(whole)
        if len(start) < whole:
            return None
        body = bytes(memoryview(start)[FRAME_HEADER_BYTES:])
        self._partial = bytearray()
        return body

    def _gather(self, size: int) -> None:
        missing = size - len(self._partial)
        self._partial += self._data[self._at : self._at + missing]
        self._at = min(self._at + missing, len(self._data))
        if self._at == len(self._data):
            self._data, self._at = b"", 0  # let go of a chunk that was read

    def _checked(self, size: int) -> int:
        if size > self.limit:
            told = f"A frame of {size} bytes was announced where at most {self.limit} are allowed."
            raise RemoteError("FRAME_TOO_LARGE", told)
        return size


class RecordBuffer:
    """Plaintexts of frames in, application messages and control bodies out, in order."""

    __slots__ = ("_limit", "_partial", "_whole")

    def __init__(self, limit: int = MESSAGE_BYTES_MAX) -> None:
        """Start empty; `limit` is the largest message taken, in bytes."""
        self._limit = limit
        self._partial = bytearray()  # the start of a record whose end was in no plaintext yet
        self._whole = 0  # bytes of that record with its word, once the word is known

    @property
    def pending(self) -> int:
        """Bytes of the unfinished record: at most the limit and 4."""
        return len(self._partial)

    def feed(self, plaintext: bytes, messages: list[bytes], controls: list[bytes]) -> None:
        """Add one plaintext; append what it completes to `messages` and `controls`.

        What came before the fault is appended all the same. Raises `RemoteError` MESSAGE_TOO_LARGE or
        RECORD_MALFORMED, on the length alone.
        """
        at, end = 0, len(plaintext)
        if self._partial:
            at = self._complete(plaintext, messages, controls)
        unpack, limit, append = _RECORD_HEADER.unpack_from, self._limit, messages.append
        while at + RECORD_HEADER_BYTES <= end:
            (word,) = unpack(plaintext, at)
            body = at + RECORD_HEADER_BYTES
            if word <= limit:
                after = body + word
                if after > end:
                    break
                append(plaintext[body:after])
            else:
                after = body + self._size(word)
                if after > end:
                    break
                controls.append(plaintext[body:after])
            at = after
        if at < end:
            self._partial += plaintext[at:]
            self._whole = self._expected()

    def _complete(self, plaintext: bytes, messages: list[bytes], controls: list[bytes]) -> int:
        """Go on with the unfinished record; return how many bytes of `plaintext` it took."""
        partial, at = self._partial, 0
        if len(partial) < RECORD_HEADER_BYTES:
            at = RECORD_HEADER_BYTES - len(partial)
            partial += plaintext[:at]
            if len(partial) < RECORD_HEADER_BYTES:
                return len(plaintext)
            self._whole = self._expected()
        taken = min(self._whole - len(partial), len(plaintext) - at)
        partial += memoryview(plaintext)[at : at + taken]
        if len(partial) == self._whole:
            kind = controls if partial[0] & 0x80 else messages
            kind.append(bytes(memoryview(partial)[RECORD_HEADER_BYTES:]))
            self._partial, self._whole = bytearray(), 0
        return at + taken

    def _expected(self) -> int:
        if len(self._partial) < RECORD_HEADER_BYTES:
            return 0
        return RECORD_HEADER_BYTES + self._size(_RECORD_HEADER.unpack_from(self._partial)[0])

    def _size(self, word: int) -> int:
        if word & _CONTROL_BIT:
            if word ^ _CONTROL_BIT > CONTROL_BYTES_MAX:
                raise RemoteError("RECORD_MALFORMED", "The peer announced a control record that is too long.")
            return word ^ _CONTROL_BIT
        if word > self._limit:
            told = f"A message of {word} bytes was announced where at most {self._limit} are allowed."
            raise RemoteError("MESSAGE_TOO_LARGE", told)
        return word
