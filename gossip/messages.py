"""The envelope of every message inside a channel, and the checks that readers of bodies share.

How it works
    A message is a deterministic CBOR list [family, version, kind, body...]. The first three are small integers
    (below 24, one byte each), so a message can be routed and measured before anything in it is parsed:
    `Envelope.open` reads four bytes. Families: 0 the protocol itself (`Unsupported`), 1 gossip (gossip.vocabulary),
    2 knock (gossip.knock), 3 data, 4 seals (gossip.seals), 5 cosignatures (gossip.witness). Only the owner of a family
    parses its bodies, with the checks at the end of this module. gossip/README.md is the wire specification.

What it does not do
    It knows no body but that of `Unsupported`, checks no signature, and routes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ledger import codec
from ledger.errors import LocalError, RemoteError

PROTOCOL: Final = 0
"""The family of messages about the protocol itself."""
GOSSIP: Final = 1
"""The family of gossip."""
KNOCK: Final = 2
"""The family of what a stranger may say."""
DATA: Final = 3
"""The family of transfers and disclosures."""
SEALS: Final = 4
"""The family of the agreement on the next epoch."""
WITNESS: Final = 5
"""The family of cosignatures."""
RELAY: Final = 6
"""The family of sealed frames that a member passes on."""
VERSION: Final = 1
"""The version of families 0 to 2 and 4 to 6 that this code speaks."""

FAMILY_BYTES_MAX: Final = {
    PROTOCOL: 256,
    GOSSIP: 1 << 20,
    KNOCK: 1 << 20,
    DATA: 16 << 20,
    SEALS: 1 << 16,
    WITNESS: 1 << 18,
    RELAY: 1 << 15,
}
"""The largest message of each family, in bytes."""
SMALL_MAX: Final = 23
"""The largest family, version or kind: they take one byte each."""

_HEADER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message of which only family, version and kind have been read; `data` is all of it."""

    family: int
    version: int
    kind: int
    data: bytes

    @classmethod
    def open(cls, data: bytes) -> Envelope:
        """Read the first four bytes. Raises RemoteError BAD_MESSAGE, MESSAGE_TOO_LARGE (for its family)."""
        header = data[:_HEADER_BYTES]
        if len(header) < _HEADER_BYTES or not 0x83 <= header[0] <= 0x97 or max(header[1:]) > SMALL_MAX:
            raise bad("envelope", "A message is a list of 3 to 23 values that opens with three integers below 24.")
        limit = FAMILY_BYTES_MAX.get(header[1])
        if limit is not None and len(data) > limit:
            told = f"A message of family {header[1]} has at most {limit} bytes, not {len(data)}."
            raise RemoteError("MESSAGE_TOO_LARGE", told)
        return cls(header[1], header[2], header[3], data)

    def body(self) -> list[Any]:
        """Return the values after the first three. Raises RemoteError BAD_MESSAGE unless all is strict CBOR."""
        try:
            value = codec.decode(self.data, max_bytes=FAMILY_BYTES_MAX.get(self.family, codec.MAX_BYTES))
        except RemoteError as error:
            raise bad("envelope", f"{error.message} ({error.code})") from None
        if not isinstance(value, list):
            raise bad("envelope", "A message is a list.")
        return value[3:]


def seal(family: int, version: int, kind: int, body: Iterable[object]) -> bytes:
    """Return the bytes of a message. Raises LocalError MESSAGE_TOO_LARGE, UNENCODABLE, BAD_MESSAGE_HEADER."""
    if min(family, version, kind) < 0 or max(family, version, kind) > SMALL_MAX:
        raise LocalError("BAD_MESSAGE_HEADER", "Family, version and kind go from 0 to 23.")
    data = codec.encode([family, version, kind, *body])
    limit = FAMILY_BYTES_MAX.get(family)
    if limit is not None and len(data) > limit:
        raise LocalError("MESSAGE_TOO_LARGE", f"A message of family {family} has at most {limit} bytes; send less.")
    return data


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Family 0: `family` is spoken here only in `versions`."""

    KIND: ClassVar[int] = 1
    family: int
    versions: tuple[int, ...]

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.family, list(self.versions)]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Unsupported:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        family, versions = parts(body, 2)
        listed = a_list(versions, SMALL_MAX, "versions")
        return cls(uint(family, SMALL_MAX, "family"), tuple(uint(v, SMALL_MAX, "versions") for v in listed))

    def encode(self) -> bytes:
        """Return the bytes of the message."""
        return seal(PROTOCOL, VERSION, self.KIND, self.body())


# Checks of a peer's values; each raises RemoteError BAD_MESSAGE.


def parts(value: Any, count: int) -> Sequence[Any]:
    """Return a list that has exactly `count` values."""
    if type(value) is not list or len(value) != count:
        raise bad("body", f"A list of {count} values belongs here.")
    return value


def a_list(value: Any, most: int, field: str) -> list[Any]:
    """Return a list of at most `most` values."""
    if type(value) is not list or len(value) > most:
        raise bad(field, f"It must be a list of at most {most}.")
    return value


def uint(value: Any, most: int, field: str) -> int:
    """Return an integer from 0 to `most`."""
    if type(value) is not int or not 0 <= value <= most:
        raise bad(field, f"It must be an integer from 0 to {most}.")
    return value


def octets(value: Any, size: int, field: str) -> bytes:
    """Return exactly `size` bytes."""
    if type(value) is not bytes or len(value) != size:
        raise bad(field, f"It must be {size} bytes.")
    return value


def multiple(value: Any, size: int, most: int, field: str) -> bytes:
    """Return bytes that are up to `most` pieces of `size` bytes."""
    if type(value) is not bytes or len(value) % size or len(value) > most * size:
        raise bad(field, f"It must be at most {most} pieces of {size} bytes.")
    return value


def bad(field: str, why: str) -> RemoteError:
    """Return the error of a body that is not as it must be."""
    return RemoteError("BAD_MESSAGE", why, field=field)
