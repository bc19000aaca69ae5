"""Family 3, kinds 12 to 23: disclosures, widely registered withdrawals, transfers and tables, between members.

| kind | message | answered with |
|---|---|---|
| 12 | AskTable [transfer, id or name of a published table] | Tabled, or Refuse |
| 13 | Tabled [transfer, table, at, signature] | Got (final), or Refuse |
| 14 | Redeem [share, code, party]: the code of a share, shown for this party | Redeemed |
| 15 | Redeemed [share, why not, token] | |
| 16 | Disclose [entry, sealed blob] | Taken, once it is opened, checked and kept |
| 17 | Register [entry]: a person's withdrawal or refusal, to be registered by you too | Taken |
| 18 | Taken [entry id] | |
| 19 | Ask [transfer, what is wanted, computation or null, token or null] | Chunk …, or Refuse |
| 20 | Refuse [transfer, code, final, next, chain, at, signature] | Got (final), to a holder that stops |
| 21 | Chunk [transfer, number, grant, pack, at, salt, signature] | Got, or Refuse |
| 22 | Got [transfer, next number, chain, final] | |
| 23 | Done [transfer, packs] | Got (final) |

How it works
    As in gossip.messages: each message is a frozen dataclass that gives its body with `body` and is read by `read`
    from a peer's values, which checks every type and bound. A pack is SenML CBOR and opaque here. A holder signs
    what it answers (ledger.consent.answer): `at` is its clock, `salt` opens the digest of a pack.

What it does not do
    It believes nothing: that a message is well formed says nothing of consent. Kind 1 is the directory's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from gossip.messages import DATA, Envelope, octets, parts, seal, uint
from ledger import codec
from ledger.consent.answer import SALT_BYTES
from ledger.consent.disclosure import SEALED_MAX
from ledger.consent.granularity import is_duration
from ledger.consent.record import DataKind
from ledger.consent.token import TOKEN_BYTES_MAX
from ledger.errors import RemoteError
from ledger.governance.members import Party
from ledger.keys import SIGNATURE_BYTES
from ledger.schema import INCARNATION_MAX, TIME_MAX
from node.adapters.senml import MAX_CBOR_BYTES
from node.aggregates.handing import TABLE_BYTES_MAX
from node.vaults.shares import SHARE_ID_BYTES
from node.vaults.transfers import TRANSFER_BYTES, Wanted

VERSION: Final = 1
PACKS_MAX: Final = 1 << 24
"""Packs of one transfer: at 4 096 records each, more than any meter makes."""
WANTED_VALUES: Final = 8
"""Values of what is wanted that every request states, null where it leaves them open."""
CODE_LETTERS_MAX: Final = 64
_HASH: Final = 32
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,47}")
_TEXT_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class Disclose:
    """The sealed content of a grant or request, with the entry it belongs to, for a named reader."""

    KIND: ClassVar[int] = 16
    entry: bytes
    blob: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.entry, self.blob]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Disclose:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        entry, blob = parts(body, 2)
        return cls(_upto(entry, codec.MAX_BYTES, "entry"), _upto(blob, SEALED_MAX, "blob"))


@dataclass(frozen=True, slots=True)
class Register:
    """A person's restrictive entry: register it in your feed too, so that no single host can hide it."""

    KIND: ClassVar[int] = 17
    entry: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.entry]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Register:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        (entry,) = parts(body, 1)
        return cls(_upto(entry, codec.MAX_BYTES, "entry"))


@dataclass(frozen=True, slots=True)
class Taken:
    """What you sent about this entry is dealt with: do not send it again."""

    KIND: ClassVar[int] = 18
    entry_id: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.entry_id]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Taken:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        (entry_id,) = parts(body, 1)
        return cls(octets(entry_id, _HASH, "entry_id"))


@dataclass(frozen=True, slots=True)
class Ask:
    """Send me these data, as transfer `transfer`."""

    KIND: ClassVar[int] = 19
    transfer: bytes
    wanted: Wanted

    def body(self) -> list[Any]:
        """Return the values after the header."""
        values = self.wanted.value()[:WANTED_VALUES]
        return [self.transfer, *values, self.wanted.computation, self.wanted.token]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Ask:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        transfer, holder, recipient, grant, point, kind, granularity, window, purpose, computation, token = parts(
            body, 11
        )
        if granularity is not None and not is_duration(granularity):
            raise _bad("granularity", "It must be a duration such as PT30M, or null.")
        wanted = Wanted(
            _party(holder, "holder"),
            _party(recipient, "recipient"),
            None if grant is None else octets(grant, _HASH, "grant"),
            _text(point, "point"),
            None if kind is None else DataKind(*(_text(part, "kind") or "" for part in parts(kind, 3))),
            granularity,
            None if window is None else _window(window),
            _text(purpose, "purpose"),
            computation=None if computation is None else octets(computation, _HASH, "computation"),
            token=None if token is None else _upto(token, TOKEN_BYTES_MAX, "token"),
        )
        return cls(octets(transfer, TRANSFER_BYTES, "transfer"), wanted)


@dataclass(frozen=True, slots=True)
class Refuse:
    """No, for the reason `code`. Unless `final`, the same may pass later, and the transfer waits.

    `next`, `chain`: the packs that the sender of this message holds, as in Got; a holder says 0 and 32 zero bytes.
    `at`, `signature`: a holder's, over its answer; a recipient says 0 and no bytes.
    """

    KIND: ClassVar[int] = 20
    transfer: bytes
    code: str
    final: bool
    next: int = 0
    chain: bytes = bytes(_HASH)
    at: int = 0
    signature: bytes = b""

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.transfer, self.code, self.final, self.next, self.chain, self.at, self.signature]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Refuse:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        transfer, code, final, number, chain, at, signature = parts(body, 7)
        if type(code) is not str or not _CODE.fullmatch(code):
            raise _bad("code", "A code is 1 to 48 capital letters, digits and underscores.")
        held = (uint(number, PACKS_MAX, "next"), octets(chain, _HASH, "chain"))
        signed = (uint(at, TIME_MAX, "at"), octets(signature, SIGNATURE_BYTES if signature else 0, "signature"))
        return cls(octets(transfer, TRANSFER_BYTES, "transfer"), code, _flag(final), *held, *signed)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pack `number` (from 0) of a transfer, which rests on `grant`; with the holder's signature on that."""

    KIND: ClassVar[int] = 21
    transfer: bytes
    number: int
    grant: bytes
    pack: bytes
    at: int
    salt: bytes
    signature: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.transfer, self.number, self.grant, self.pack, self.at, self.salt, self.signature]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Chunk:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        transfer, number, grant, pack, at, salt, signature = parts(body, 7)
        return cls(
            octets(transfer, TRANSFER_BYTES, "transfer"),
            uint(number, PACKS_MAX, "number"),
            octets(grant, _HASH, "grant"),
            _upto(pack, MAX_CBOR_BYTES, "pack"),
            uint(at, TIME_MAX, "at"),
            octets(salt, SALT_BYTES, "salt"),
            octets(signature, SIGNATURE_BYTES, "signature"),
        )


@dataclass(frozen=True, slots=True)
class Got:
    """I hold the packs below `next`, durably; `chain` is over them. `final`: I expect nothing more."""

    KIND: ClassVar[int] = 22
    transfer: bytes
    next: int
    chain: bytes
    final: bool

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.transfer, self.next, self.chain, self.final]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Got:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        transfer, number, chain, final = parts(body, 4)
        transfer = octets(transfer, TRANSFER_BYTES, "transfer")
        return cls(transfer, uint(number, PACKS_MAX, "next"), octets(chain, _HASH, "chain"), _flag(final))


@dataclass(frozen=True, slots=True)
class Done:
    """That was all: `packs` packs."""

    KIND: ClassVar[int] = 23
    transfer: bytes
    packs: int

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.transfer, self.packs]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Done:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        transfer, packs = parts(body, 2)
        return cls(octets(transfer, TRANSFER_BYTES, "transfer"), uint(packs, PACKS_MAX, "packs"))


@dataclass(frozen=True, slots=True)
class Redeem:
    """The code of a share, shown once: its token is for `party`, the sender or a tenant of it."""

    KIND: ClassVar[int] = 14
    share: bytes
    code: str
    party: Party

    def __repr__(self) -> str:
        """Show no code: it must not reach a log by accident."""
        return f"Redeem({self.share.hex()})"

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.share, self.code, list(self.party)]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Redeem:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        share, code, party = parts(body, 3)
        if type(code) is not str or not 0 < len(code) <= CODE_LETTERS_MAX:
            raise _bad("code", f"A code has 1 to {CODE_LETTERS_MAX} letters.")
        return cls(octets(share, SHARE_ID_BYTES, "share"), code, _party(party, "party"))


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The token that a code opened, or why it did not: `code` "" or a stable one."""

    KIND: ClassVar[int] = 15
    share: bytes
    code: str
    token: bytes

    def __repr__(self) -> str:
        """Show no token: it must not reach a log by accident."""
        return f"Redeemed({self.share.hex()}, {self.code!r})"

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.share, self.code, self.token]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Redeemed:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        share, code, token = parts(body, 3)
        if type(code) is not str or (code and not _CODE.fullmatch(code)):
            raise _bad("code", "A code is empty, or 1 to 48 capital letters, digits and underscores.")
        if code:
            token = octets(token, 0, "token")
        return cls(
            octets(share, SHARE_ID_BYTES, "share"), code, b"" if code else _upto(token, TOKEN_BYTES_MAX, "token")
        )


@dataclass(frozen=True, slots=True)
class AskTable:
    """Send me a table that you have published, as transfer `transfer`. `table`: its id in hexadecimal, or its name."""

    KIND: ClassVar[int] = 12
    transfer: bytes
    table: str

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.transfer, self.table]

    @classmethod
    def read(cls, body: Sequence[Any]) -> AskTable:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        transfer, table = parts(body, 2)
        return cls(octets(transfer, TRANSFER_BYTES, "transfer"), _text(table, "table") or "")


@dataclass(frozen=True, slots=True)
class Tabled:
    """A published table (node.aggregates.handing), with its holder's signature of now."""

    KIND: ClassVar[int] = 13
    transfer: bytes
    data: bytes
    at: int
    signature: bytes

    def body(self) -> list[Any]:
        """Return the values after the header."""
        return [self.transfer, self.data, self.at, self.signature]

    @classmethod
    def read(cls, body: Sequence[Any]) -> Tabled:
        """Check a peer's values. Raises RemoteError BAD_MESSAGE."""
        transfer, data, at, signature = parts(body, 4)
        signed = (uint(at, TIME_MAX, "at"), octets(signature, SIGNATURE_BYTES, "signature"))
        return cls(octets(transfer, TRANSFER_BYTES, "transfer"), _upto(data, TABLE_BYTES_MAX, "data"), *signed)


Message: TypeAlias = (
    Disclose | Register | Taken | Ask | Refuse | Chunk | Got | Done | Redeem | Redeemed | AskTable | Tabled
)
"""The messages of this module."""

_KINDS: Final = (Disclose, Register, Taken, Ask, Refuse, Chunk, Got, Done, Redeem, Redeemed, AskTable, Tabled)
_READERS: Final[dict[int, Callable[[Sequence[Any]], Message]]] = {kind.KIND: kind.read for kind in _KINDS}


def encode(message: Message) -> bytes:
    """Return the bytes of a message. Raises LocalError MESSAGE_TOO_LARGE, UNENCODABLE."""
    return seal(DATA, VERSION, message.KIND, message.body())


def decode(envelope: Envelope) -> Message | None:
    """Return a message, or None for a kind that is unknown here. Raises RemoteError BAD_MESSAGE."""
    reader = _READERS.get(envelope.kind)
    return reader(envelope.body()) if reader is not None else None


def _upto(value: Any, most: int, field: str) -> bytes:
    if type(value) is not bytes or not 0 < len(value) <= most:
        raise _bad(field, f"It must be 1 to {most} bytes.")
    return value


def _text(value: Any, field: str) -> str | None:
    if value is not None and (type(value) is not str or len(value.encode()) > _TEXT_MAX):
        raise _bad(field, f"It must be a text of at most {_TEXT_MAX} bytes, or null.")
    return value


def _party(value: Any, field: str) -> Party:
    kid, incarnation = parts(value, 2)
    return octets(kid, _HASH, field), uint(incarnation, INCARNATION_MAX, field)


def _window(value: Any) -> tuple[int, int]:
    start, stop = parts(value, 2)
    return uint(start, TIME_MAX, "window"), uint(stop, TIME_MAX, "window")


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _bad("final", "It must be true or false.")
    return value


def _bad(field: str, why: str) -> RemoteError:
    return RemoteError("BAD_MESSAGE", why, field=field)
