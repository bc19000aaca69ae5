"""The stream of an open channel: messages to sealed frames and back, with new keys by volume.

How it works
    `SealedStream` joins a Noise transport with the record layer (framing). Both ends count the bytes of frame
    bodies in each direction and rekey it after the frame with which `rekey_bytes` are reached. A control
    record is one byte of kind, and for a close a code: keep-alive (0), rekey (1: the sender's new key holds
    from the next frame on), close (2). A kind that is not known has no effect.

What it does not do
    It knows no time and no phases (channel does), and it splits no chunks into frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from gossip.framing import RecordBuffer, control, frame, plaintexts
from gossip.noise import Transport
from ledger.errors import LocalError, RemoteError

CHUNK_FRAMES: Final = 4
"""Frames in one chunk of `seal`, so that a large message goes out while the rest of it is sealed."""

_KEEP_ALIVE: Final = b"\x00"
_REKEY: Final = b"\x01"
_CLOSE: Final = b"\x02"
_CODE: Final = re.compile(rb"[A-Z][A-Z0-9_]{0,47}")


class SealedStream:
    """Both directions of an open channel."""

    def __init__(self, transport: Transport, rekey_bytes: int) -> None:
        """Start after the handshake; `rekey_bytes` is the same at both ends."""
        self._transport = transport
        self._rekey_bytes = rekey_bytes
        self._records = RecordBuffer()
        self._sent = self._received = 0  # bytes of bodies since the last new key of the direction

    @property
    def pending(self) -> int:
        """Bytes that wait for the rest of a message."""
        return self._records.pending

    def seal(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the frames of messages whose lengths were checked, joined in chunks of up to 1 MiB."""
        parts: list[bytes] = []
        for plaintext in plaintexts(messages):
            sealed = self._seal(plaintext)
            parts += (len(sealed).to_bytes(2, "big"), sealed)
            if len(parts) == 2 * CHUNK_FRAMES:
                yield b"".join(parts)
                parts = []
        if parts:
            yield b"".join(parts)

    def keep_alive(self) -> bytes:
        """Return the frame that says no more than that this end lives and holds the keys."""
        return frame(self._seal(control(_KEEP_ALIVE)))

    def rekey(self) -> bytes:
        """Return the frame after which this end sends under a new key."""
        sealed = self._transport.encrypt(control(_REKEY))
        self._transport.sending.rekey()
        self._sent = 0
        return frame(sealed)

    def close(self, code: str) -> bytes:
        """Return the frame that tells the peer why this end closes. Raises `LocalError` CODE_MALFORMED."""
        said = code.encode()
        if _CODE.fullmatch(said) is None:
            raise LocalError("CODE_MALFORMED", "A code is 1 to 48 of A-Z, 0-9 and _.", field="code")
        return frame(self._seal(control(_CLOSE + said)))

    def open(self, body: bytes, messages: list[bytes]) -> str | None:
        """Open one frame: append the messages it completes; return the code if the peer closes, else None.

        Messages before a wrong record are appended all the same. Raises `RemoteError` DECRYPT_FAILED,
        MESSAGE_TOO_LARGE or RECORD_MALFORMED; the stream is of no more use then.
        """
        plaintext = self._transport.decrypt(body)
        self._received += len(body)
        controls: list[bytes] = []
        self._records.feed(plaintext, messages, controls)
        rekey = self._received >= self._rekey_bytes
        for said in controls:
            if said[:1] == _CLOSE:
                if _CODE.fullmatch(said, 1) is None:
                    raise RemoteError("RECORD_MALFORMED", "The peer closed with a malformed code.")
                return said[1:].decode()
            rekey = rekey or said == _REKEY
        if rekey:
            self._transport.receiving.rekey()
            self._received = 0
        return None

    def _seal(self, plaintext: bytes) -> bytes:
        sealed = self._transport.encrypt(plaintext)
        self._sent += len(sealed)
        if self._sent >= self._rekey_bytes:
            self._transport.sending.rekey()
            self._sent = 0
        return sealed
