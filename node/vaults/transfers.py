"""Transfers under way, at both ends: tables `outgoing` and `incoming`.

| table | key | value |
|---|---|---|
| outgoing | "t", transfer (16) | `Outgoing`: where a transfer stands |
| outgoing | "w", blind(recipient), transfer | empty: what waits for a recipient |
| outgoing | "y", grant (32), transfer | empty: what rests on a grant |
| outgoing | "p", transfer | the plan: [[series (16), start, stop], …] |
| outgoing | "c", transfer, number (4) | a pack that was sent and is not acknowledged yet |
| outgoing | "e", transfer, number (4) | a result that was computed and is not acknowledged yet |
| incoming | "m", transfer | `Incoming`: where it stands, and whose and what it is |
| incoming | "q", transfer | empty: asked for, and not answered yet |
| incoming | "g", grant, transfer | empty: what was received under a grant |
| incoming | "d", transfer, number (4) | a pack, the bytes that were received |

How it works
    A pack is kept until it is acknowledged, so that what is sent again is the same to the byte, whatever was
    imported meanwhile: a recipient that has stored it drops the copy by its number alone. Both ends keep a chain
    over the packs: h(0) = SHA-256(transfer), h(n+1) = SHA-256(h(n) ‖ SHA-256(pack n)); the receipt's hash is its end.

What it does not do
    It decides nothing and sends nothing. Packs received stay until the deletion duty or the operator removes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.record import DataKind, Window
from ledger.governance.members import Party
from ledger.rows import Reader, Writer, prefix_stop
from node.series_key import SeriesKey
from node.vaults import Blind

OUTGOING: Final = "outgoing"
INCOMING: Final = "incoming"
TRANSFER_BYTES: Final = 16
_STATE, _WAITS, _GRANT, _PLAN, _PACK, _RESULT = b"t", b"w", b"y", b"p", b"c", b"e"
_META, _ASKED, _UNDER, _DATA = b"m", b"q", b"g", b"d"
_NUMBER: Final = 4
_BIG: Final = 16 << 20  # bytes of a plan: far beyond what a consent's points can make

WAITING: Final = "waiting"
SENDING: Final = "sending"
STOPPING: Final = "stopping"  # the recipient's last word is missing
ASKED: Final = "asked"
RECEIVING: Final = "receiving"
DONE: Final = "done"
STOPPED: Final = "stopped"
OPEN: Final = frozenset({WAITING, SENDING, STOPPING})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Data asked for, or offered: between whom, and what. None leaves it to the consent that is found or named.

    `computation`: hash of the one whose results are offered, None for readings.
    `token`: what was shown with the request (ledger.consent.token), None for none.
    """

    holder: Party
    recipient: Party
    grant: bytes | None = None
    point: str | None = None
    kind: DataKind | None = None
    granularity: str | None = None
    window: Window | None = None
    purpose: str | None = None
    computation: bytes | None = None
    token: bytes | None = None

    def value(self) -> list[Any]:
        """Return it as a CBOR list."""
        kind = None if self.kind is None else list(self.kind)
        window = None if self.window is None else list(self.window)
        parties = [list(self.holder), list(self.recipient)]
        more = [self.computation, self.token]
        while more and more[-1] is None:
            more.pop()
        return [*parties, self.grant, self.point, kind, self.granularity, window, self.purpose, *more]

    @classmethod
    def read(cls, value: list[Any]) -> Wanted:
        """Read what `value` wrote, once its shape was checked."""
        holder, recipient, grant, point, kind, granularity, window, purpose, *more = value
        return cls(
            (holder[0], holder[1]),
            (recipient[0], recipient[1]),
            grant,
            point,
            None if kind is None else DataKind(*kind),
            granularity,
            None if window is None else (window[0], window[1]),
            purpose,
            *more,
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """One pack: its number, what it holds (for the gate, and for the receipt), its bytes, and the chain after it.

    `computation`: hash of the one whose result it is, None for readings.
    """

    number: int
    point: str
    kind: DataKind
    granularity: str
    window: Window
    count: int
    gaps: int
    size: int
    chain: bytes
    computation: bytes | None = None

    def value(self) -> list[Any]:
        """Return it as a CBOR list."""
        what = [self.number, self.point, list(self.kind), self.granularity, list(self.window)]
        computed = [] if self.computation is None else [self.computation]
        return [*what, self.count, self.gaps, self.size, self.chain, *computed]

    @classmethod
    def read(cls, value: list[Any]) -> Piece:
        """Read what `value` wrote."""
        number, point, kind, granularity, window, *rest = value
        return cls(number, point, DataKind(*kind), granularity, (window[0], window[1]), *rest)


@dataclass(frozen=True, slots=True)
class Tally:
    """What has passed for good: packs, records, gaps among them, their whole window (0, 0: none), the chain."""

    packs: int
    count: int
    gaps: int
    window: Window
    chain: bytes

    def plus(self, piece: Piece) -> Tally:
        """Return the tally after one more pack."""
        first, stop = piece.window
        if self.count:
            first, stop = min(first, self.window[0]), max(stop, self.window[1])
        return Tally(self.packs + 1, self.count + piece.count, self.gaps + piece.gaps, (first, stop), piece.chain)

    def value(self) -> list[Any]:
        """Return it as a CBOR list."""
        return [self.packs, self.count, self.gaps, list(self.window), self.chain]

    @classmethod
    def read(cls, value: list[Any]) -> Tally:
        """Read what `value` wrote."""
        packs, count, gaps, window, chain = value
        return cls(packs, count, gaps, (window[0], window[1]), chain)

    @classmethod
    def begin(cls, transfer: bytes) -> Tally:
        """Return the tally of a transfer before its first pack."""
        return cls(0, 0, 0, (0, 0), hashlib.sha256(transfer).digest())


def chained(chain: bytes, pack: bytes) -> bytes:
    """Return the chain after one more pack."""
    return hashlib.sha256(chain + hashlib.sha256(pack).digest()).digest()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A transfer as the holder keeps it.

    `grant`: the one it rests on. `item`, `at`: where the next pack begins in the plan (item -1: no plan yet).
    `complete`: nothing is left to pack. `flight`: packs sent and not acknowledged, in order. `reason`: why it waits
    or stopped, "" while it flows.
    """

    transfer: bytes
    wanted: Wanted
    grant: bytes
    created: int
    state: str
    reason: str
    item: int
    at: int
    complete: bool
    acked: Tally
    flight: tuple[Piece, ...]

    @property
    def next_number(self) -> int:
        """The number of the next new pack."""
        return self.acked.packs + len(self.flight)

    def encode(self) -> bytes:
        """Return the row."""
        plain = [1, self.transfer, self.wanted.value(), self.grant, self.created, self.state, self.reason]
        rest = [self.item, self.at, self.complete, self.acked.value(), [piece.value() for piece in self.flight]]
        return codec.encode([*plain, *rest])

    @classmethod
    def decode(cls, data: bytes) -> Outgoing:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data, max_bytes=_BIG)
        _, transfer, wanted, grant, created, state, reason, item, at, complete, acked, flight = fields
        pieces = tuple(map(Piece.read, flight))
        read = (transfer, Wanted.read(wanted), grant, created, state, reason, item, at, complete)
        return cls(*read, Tally.read(acked), pieces)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A transfer as the recipient keeps it. `grant`: None while it is only asked for. `series`: what came, so far."""

    transfer: bytes
    wanted: Wanted
    grant: bytes | None
    created: int
    state: str
    reason: str
    tally: Tally
    series: tuple[SeriesKey, ...]

    def encode(self) -> bytes:
        """Return the row."""
        keys = [list(astuple(key)) for key in self.series]
        plain = [1, self.transfer, self.wanted.value(), self.grant, self.created, self.state, self.reason]
        return codec.encode([*plain, self.tally.value(), keys])

    @classmethod
    def decode(cls, data: bytes) -> Incoming:
        """Read a row of our own vault."""
        fields: Any = codec.decode(data, max_bytes=_BIG)
        _, transfer, wanted, grant, created, state, reason, tally, keys = fields
        series = tuple(SeriesKey(*key) for key in keys)
        return cls(transfer, Wanted.read(wanted), grant, created, state, reason, Tally.read(tally), series)


PlanItem = tuple[bytes, int, int]
"""A series by its blinded name, and the window of it that is granted."""


class OutgoingRows:
    """What this node sends. `blind`: names in row keys."""

    def __init__(self, blind: Blind) -> None:
        self._blind = blind

    def _waits(self, recipient: Party, transfer: bytes) -> bytes:
        return _WAITS + self._blind(b"recipient" + codec.encode(list(recipient))) + transfer

    def get(self, vault: Reader, transfer: bytes) -> Outgoing | None:
        """Return a transfer that is under way, or None."""
        found = vault.get(OUTGOING, _STATE + transfer)
        return Outgoing.decode(found) if found is not None else None

    def begin(self, vault: Writer, row: Outgoing) -> None:
        """Keep a new transfer."""
        self.put(vault, row)
        vault.put(OUTGOING, self._waits(row.wanted.recipient, row.transfer), b"\x00")
        vault.put(OUTGOING, _GRANT + row.grant + row.transfer, b"\x00")

    def put(self, vault: Writer, row: Outgoing) -> None:
        """Keep where a transfer stands now."""
        vault.put(OUTGOING, _STATE + row.transfer, row.encode())

    def end(self, vault: Writer, row: Outgoing) -> None:
        """Forget a transfer: its receipt tells of it from now on."""
        self.drop_packs(vault, row.transfer, row.acked.packs, row.next_number)
        self.drop_results(vault, row.transfer)
        keys = (_STATE + row.transfer, _PLAN + row.transfer, _GRANT + row.grant + row.transfer)
        for key in (*keys, self._waits(row.wanted.recipient, row.transfer)):
            vault.delete(OUTGOING, key)

    def waiting(self, vault: Reader, recipient: Party, limit: int) -> list[bytes]:
        """Return transfers to a recipient that are under way."""
        prefix = self._waits(recipient, b"")
        return [key[-TRANSFER_BYTES:] for key, _ in vault.scan(OUTGOING, prefix, prefix_stop(prefix), limit=limit)]

    def under(self, vault: Reader, grant: bytes) -> list[bytes]:
        """Return transfers under way that rest on a grant."""
        prefix = _GRANT + grant
        return [key[-TRANSFER_BYTES:] for key, _ in vault.scan(OUTGOING, prefix, prefix_stop(prefix))]

    def any(self, vault: Reader) -> bool:
        """Say whether anything is under way."""
        return next(vault.scan(OUTGOING, _STATE, prefix_stop(_STATE), limit=1), None) is not None

    def put_plan(self, vault: Writer, transfer: bytes, plan: list[PlanItem]) -> None:
        """Keep what a transfer is to send, in order."""
        vault.put(OUTGOING, _PLAN + transfer, codec.encode([list(item) for item in plan]))

    def plan(self, vault: Reader, transfer: bytes) -> list[PlanItem]:
        """Return what a transfer is to send."""
        items: Any = codec.decode(vault.get(OUTGOING, _PLAN + transfer) or b"\x80", max_bytes=_BIG)
        return [(name, start, stop) for name, start, stop in items]

    def put_pack(self, vault: Writer, transfer: bytes, number: int, pack: bytes) -> None:
        """Keep a pack until it is acknowledged."""
        vault.put(OUTGOING, _PACK + transfer + number.to_bytes(_NUMBER, "big"), pack)

    def pack(self, vault: Reader, transfer: bytes, number: int) -> bytes | None:
        """Return a pack that is not acknowledged yet."""
        return vault.get(OUTGOING, _PACK + transfer + number.to_bytes(_NUMBER, "big"))

    def drop_packs(self, vault: Writer, transfer: bytes, start: int, stop: int) -> None:
        """Forget the packs numbered from `start` to `stop` (excluded)."""
        for number in range(start, stop):
            vault.delete(OUTGOING, _PACK + transfer + number.to_bytes(_NUMBER, "big"))

    def put_results(self, vault: Writer, transfer: bytes, results: Sequence[bytes]) -> None:
        """Keep results until the transfer ends."""
        for number, result in enumerate(results):
            vault.put(OUTGOING, _RESULT + transfer + number.to_bytes(_NUMBER, "big"), result)

    def result(self, vault: Reader, transfer: bytes, number: int) -> bytes | None:
        """Return one result of a transfer, or None beyond the last."""
        return vault.get(OUTGOING, _RESULT + transfer + number.to_bytes(_NUMBER, "big"))

    def drop_results(self, vault: Writer, transfer: bytes) -> None:
        """Forget the results of a transfer."""
        prefix = _RESULT + transfer
        for key in [key for key, _ in vault.scan(OUTGOING, prefix, prefix_stop(prefix))]:
            vault.delete(OUTGOING, key)


class IncomingRows:
    """What this node has asked for and received."""

    def get(self, vault: Reader, transfer: bytes) -> Incoming | None:
        """Return a transfer, under way or ended, or None."""
        found = vault.get(INCOMING, _META + transfer)
        return Incoming.decode(found) if found is not None else None

    def put(self, vault: Writer, row: Incoming) -> None:
        """Keep where a transfer stands now."""
        vault.put(INCOMING, _META + row.transfer, row.encode())
        if row.grant is not None and row.tally.packs == 1:
            vault.put(INCOMING, _UNDER + row.grant + row.transfer, b"\x00")
        if row.state == ASKED:
            vault.put(INCOMING, _ASKED + row.transfer, b"\x00")
        elif row.tally.packs <= 1:
            vault.delete(INCOMING, _ASKED + row.transfer)

    def asked(self, vault: Reader, limit: int) -> list[bytes]:
        """Return the transfers asked for and not answered."""
        scan = vault.scan(INCOMING, _ASKED, prefix_stop(_ASKED), limit=limit)
        return [key[-TRANSFER_BYTES:] for key, _ in scan]

    def listing(self, vault: Reader) -> Iterator[Incoming]:
        """Yield every transfer, by id."""
        return (Incoming.decode(value) for _, value in vault.scan(INCOMING, _META, prefix_stop(_META)))

    def under(self, vault: Reader, grant: bytes) -> list[bytes]:
        """Return the transfers received under a grant."""
        prefix = _UNDER + grant
        return [key[-TRANSFER_BYTES:] for key, _ in vault.scan(INCOMING, prefix, prefix_stop(prefix))]

    def forget(self, vault: Writer, row: Incoming) -> None:
        """Forget a transfer whose packs are gone: its receipt, if it has one, tells of it."""
        vault.delete(INCOMING, _META + row.transfer)
        vault.delete(INCOMING, _ASKED + row.transfer)
        if row.grant is not None:
            vault.delete(INCOMING, _UNDER + row.grant + row.transfer)

    def put_pack(self, vault: Writer, transfer: bytes, number: int, pack: bytes) -> None:
        """Keep a pack as it was received."""
        vault.put(INCOMING, _DATA + transfer + number.to_bytes(_NUMBER, "big"), pack)

    def packs(self, vault: Reader, transfer: bytes) -> Iterator[bytes]:
        """Yield the packs of a transfer, in order."""
        prefix = _DATA + transfer
        return (pack for _, pack in vault.scan(INCOMING, prefix, prefix_stop(prefix)))

    def drop_packs(self, vault: Writer, transfer: bytes, limit: int) -> int:
        """Destroy up to `limit` packs of a transfer; return how many there were."""
        prefix = _DATA + transfer
        keys = [key for key, _ in vault.scan(INCOMING, prefix, prefix_stop(prefix), limit=limit)]
        for key in keys:
            vault.delete(INCOMING, key)
        return len(keys)
