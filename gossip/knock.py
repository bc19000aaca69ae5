"""Family 2: what a stranger may say at the door, and what it is told.

How it works
    A node that is not a member yet (or no longer) gets through the encrypted channel and no further than this. It
    may ask for the genesis, and hand in an application with the secret of a ticket, if it was given one. The member
    answers with a code and with what the stranger needs next: the genesis, and entries (its admission, the entries
    by which it was admitted). Entries are opaque here.

What it does not do
    It decides nothing: whether a ticket is good and an application welcome is the node's question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from gossip.messages import KNOCK, VERSION, Envelope, a_list, octets, parts, seal
from ledger import codec
from ledger.errors import RemoteError
from ledger.keys import KEY_BYTES

TICKET_BYTES_MAX: Final = 64
"""The longest secret of a ticket, in bytes."""
KNOCK_ENTRIES_MAX: Final = 16
"""Entries that a stranger may hand in at once."""
ANSWER_ENTRIES_MAX: Final = 1_024
"""Entries in one answer."""

_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,47}")


@dataclass(frozen=True, slots=True)
class Knock:
    """An application: the secret of a ticket or None, entries as they were signed, the device's Ed25519 key."""

    KIND: ClassVar[int] = 1
    ticket: bytes | None
    entries: tuple[bytes, ...]
    device: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.ticket, list(self.entries), self.device]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Knock:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        ticket, entries, device = parts(body, 3)
        if ticket is not None and (type(ticket) is not bytes or not 0 < len(ticket) <= TICKET_BYTES_MAX):
            raise _bad("ticket", f"A ticket's secret has 1 to {TICKET_BYTES_MAX} bytes.")
        return cls(ticket, _entries(entries, KNOCK_ENTRIES_MAX), octets(device, KEY_BYTES, "device"))


@dataclass(frozen=True, slots=True)
class KnockAnswer:
    """What the stranger is told: a stable code (UPPER_SNAKE), the genesis or None, entries it may need."""

    KIND: ClassVar[int] = 2
    code: str
    genesis: bytes | None
    entries: tuple[bytes, ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.code, self.genesis, list(self.entries)]

    @classmethod
    def read(cls, body: Sequence[Any]) -> KnockAnswer:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        code, genesis, entries = parts(body, 3)
        if type(code) is not str or not _CODE.fullmatch(code):
            raise _bad("code", "A code is 1 to 48 capital letters, digits and underscores.")
        if genesis is not None:
            (genesis,) = _entries([genesis], 1)
        return cls(code, genesis, _entries(entries, ANSWER_ENTRIES_MAX))


@dataclass(frozen=True, slots=True)
class GenesisRequest:
    """Which mesh is this? Answered with a KnockAnswer that holds the genesis."""

    KIND: ClassVar[int] = 3

    def body(self) -> list[Any]:
        """Return the values after the header: none."""
        return []

    @classmethod
    def read(cls, body: Sequence[Any]) -> GenesisRequest:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        parts(body, 0)
        return cls()


KnockMessage: TypeAlias = Knock | KnockAnswer | GenesisRequest
"""The messages of family 2."""


def encode(message: KnockMessage) -> bytes:
    """Return the bytes of a message of family 2. Raises LocalError MESSAGE_TOO_LARGE, UNENCODABLE."""
    return seal(KNOCK, VERSION, message.KIND, message.body())


def decode(envelope: Envelope) -> KnockMessage | None:
    """Return a message of family 2, or None for an unknown kind. Raises RemoteError BAD_MESSAGE."""
    match envelope.kind:
        case Knock.KIND:
            return Knock.read(envelope.body())
        case KnockAnswer.KIND:
            return KnockAnswer.read(envelope.body())
        case GenesisRequest.KIND:
            return GenesisRequest.read(envelope.body())
        case _:
            return None


def _entries(value: Any, most: int) -> tuple[bytes, ...]:
    entries = a_list(value, most, "entries")
    if not all(type(raw) is bytes and 0 < len(raw) <= codec.MAX_BYTES for raw in entries):
        raise _bad("entries", f"An entry is a byte string of at most {codec.MAX_BYTES} bytes.")
    return tuple(entries)


def _bad(field: str, why: str) -> RemoteError:
    return RemoteError("BAD_MESSAGE", why, field=field)
