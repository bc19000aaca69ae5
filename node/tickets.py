"""Tickets: how somebody is invited (design.md §4): single use, time-limited, as text or QR.

How it works
    A ticket says which mesh, which device to meet, at which addresses, until when, and a secret that the inviter
    keeps only the hash of. It may be bound to one root key: then the invitee is admitted at once; an unbound one
    opens a request that the inviter approves after comparing fingerprints. The text is upper-case base32 with a
    checksum, so that it fits a small QR code and a typing error is found.

What it does not do
    It gives no right by itself, and shows nobody who is in the mesh.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.errors import RemoteError

SECRET_BYTES: Final = 16
ADDRESSES_MAX: Final = 4
TEXT_LENGTH_MAX: Final = 1_024
_HEAD: Final = "MAILLE1"
_CHECK_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Ticket:
    """An invitation. `device`: thumbprint of the inviter's device; `expires`: unix seconds; `secret`: 16 bytes."""

    mesh_id: bytes
    device: bytes
    addresses: tuple[str, ...]
    expires: int
    secret: bytes
    bound: bool

    def text(self) -> str:
        """Return the ticket for a message, a file or a QR code."""
        body = codec.encode([self.mesh_id, self.device, list(self.addresses), self.expires, self.secret, self.bound])
        check = hashlib.sha256(_HEAD.encode() + body).digest()[:_CHECK_BYTES]
        return _HEAD + base64.b32encode(body + check).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """Read a ticket; spaces, line ends and lower case are forgiven. Raises RemoteError BAD_TICKET."""
        cleaned = "".join(text.split()).upper()
        if len(cleaned) > TEXT_LENGTH_MAX or not cleaned.startswith(_HEAD):
            told = f"This is neither a ticket, which begins with {_HEAD} (copy it whole), nor a file that holds one."
            raise RemoteError("BAD_TICKET", told)
        encoded = cleaned[len(_HEAD) :]
        try:
            data = base64.b32decode(encoded + "=" * (-len(encoded) % 8))
        except ValueError:
            raise RemoteError("BAD_TICKET", "the ticket holds a character no ticket has; copy it again") from None
        body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        if hashlib.sha256(_HEAD.encode() + body).digest()[:_CHECK_BYTES] != check:
            raise RemoteError(
                "BAD_TICKET", "A character of the ticket is missing or changed (its checksum is wrong); copy it whole."
            )
        try:
            return cls._read(codec.decode(body))
        except RemoteError as error:
            raise RemoteError("BAD_TICKET", error.message) from None

    @classmethod
    def _read(cls, value: Any) -> Ticket:
        match value:
            case [bytes(mesh), bytes(device), list(addresses), int(expires), bytes(secret), bool(bound)]:
                sized = (
                    type(expires) is int
                    and len(mesh) == 32
                    and len(device) == 32
                    and len(secret) == SECRET_BYTES
                    and expires >= 0
                )
                if sized and 0 < len(addresses) <= ADDRESSES_MAX and all(type(a) is str for a in addresses):
                    return cls(mesh, device, tuple(addresses), expires, secret, bound)
        raise RemoteError("BAD_TICKET", "this ticket is of another version; ask for one made by a current node")
