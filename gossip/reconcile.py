"""Reconcile two sets of feed heads by a rateless invertible Bloom lookup table.

What it is
    Two nodes hold almost the same set of fixed-size items. One sends an endless stream of coded symbols, the
    other stops it as soon as it can tell the difference. The number of symbols needed depends on the number
    of differences, not on the size of the sets. Source: Yang, Gilad, Alizadeh, "Practical Rateless Set
    Reconciliation", SIGCOMM 2024, with its mapping at alpha = 0.5. An item is a feed head, 72 bytes:
    feed id (32) ‖ size (8, big-endian) ‖ root (32). A feed that both know, with other heads, is TWO
    differences: the old head on one side and the new head on the other.

How it works
    * Every item has a checksum: 8 bytes of BLAKE2b under the key of the exchange. From the checksum follows,
      by a generator, the increasing list of symbol indices that the item belongs to: index i with probability
      1 / (1 + i/2), so 0 always, 7.5 of the first 64 and 17 of the first 8192 on average.
    * Symbol i is the XOR of its items (72 bytes) ‖ the XOR of their checksums (8) ‖ their number mod 256 (1).
      One byte is enough: the number only tells whose item is left. Whether one is left, the checksum says.
    * The decoder edits its own set until its symbols equal those received. Where they differ by exactly one
      item (the checksum holds), that item is added or removed, which can lay bare others ("peeling").
      When no symbol differs, the edits are the difference.
    * Items wait in a bucket at the next index they belong to, so each symbol costs only its own items.
    * The generator uses IEEE 754 doubles with basic operations and a square root, which round in one way
      only. A platform that rounded otherwise would fail to decode, and fall back.

The key, and the adversary
    * An author of feeds who knew the checksums could choose two heads with the same one; they would share
      every symbol and never be told apart. So nothing here is unkeyed. A key is random, made by the side that
      encodes, and sent before its symbols. That side may serve many peers from one `Encoder` (a set some
      seconds old is harmless) but should change the key every few minutes: who asks learns the key, and a
      collision costs about 2^32 hashes. All it buys is that an exchange falls back.
    * The peer itself can send any symbols, so it can hide or invent differences, which is the same as lying
      about its set: it harms its own exchange, and another neighbour repairs it. `only_mine` is always part
      of our own set. `only_theirs` is a claim: compare it with signed heads before anything is done.
      The work is bounded: an item is recovered once, from a symbol it belongs to, at most one for each symbol
      received (in an honest exchange each recovery settles one symbol for good); it then touches the few
      symbols its checksum names. When symbol 0, which holds every item, agrees, all others must. Whatever
      breaks this is BAD_SYMBOLS. Random bytes never decode: they end at MAX_SYMBOLS.
    * Not decoded after as many symbols as the caller cares to spend (MAX_SYMBOLS at most): fall back to
      sending the heads themselves.

What it does not do
    No messages, no choice of chunk sizes, no limits by peer, no parsing of heads, no fallback. It keeps no
    table from one key to the next: an `Encoder` costs time and memory in proportion to its items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from ledger.errors import LocalError, RemoteError

ITEM_BYTES = 72
"""Bytes of an item: feed id (32) ‖ size (8, big-endian) ‖ root (32)."""

CHECKSUM_BYTES = 8
"""Bytes of an item's keyed checksum."""

SYMBOL_BYTES = ITEM_BYTES + CHECKSUM_BYTES + 1
"""Bytes of a coded symbol on the wire: item sum ‖ checksum sum ‖ number of items mod 256."""

MIN_KEY_BYTES = 16
"""Shortest key of an exchange, in bytes."""

MAX_KEY_BYTES = 64
"""Longest key of an exchange, in bytes (BLAKE2b's own limit)."""

MAX_SYMBOLS = 8192
"""Longest stream, in symbols: enough for about 6 000 differences. Beyond, a plain list is the better way."""

_SUM_BYTES = ITEM_BYTES + CHECKSUM_BYTES
_CHECKSUM_BITS = 8 * CHECKSUM_BYTES
_MASK_64 = (1 << 64) - 1
_MULTIPLIER = 0xDA942042E4DD58B5  # 5 mod 8: the longest period, 2^62, from every odd state
_TWO_64 = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two sets. Both tuples are sorted and hold items of ITEM_BYTES.

    `only_mine`: in the decoder's own set and not in the peer's. `only_theirs`: what the peer claims to have
    beyond ours; unchecked bytes of a peer.
    """

    only_mine: tuple[bytes, ...]
    only_theirs: tuple[bytes, ...]


class Encoder:
    """The symbols of a set, made when they are asked for and kept, so that any part can be sent again."""

    def __init__(self, items: Iterable[bytes], key: bytes) -> None:
        """Take a set of items (repeats count once) and the key of the exchange (16 to 64 bytes, random).

        Raises LocalError BAD_ITEM, BAD_KEY.
        """
        self._table = _Table(set(items), key)

    def symbols(self, start: int, stop: int) -> bytes:
        """Return symbols `start` to `stop` (excluded), SYMBOL_BYTES each, one after the other.

        The stream is one: symbols(0, b) + symbols(b, c) == symbols(0, c). Raises LocalError BAD_RANGE unless
        0 <= start <= stop <= MAX_SYMBOLS.
        """
        if not 0 <= start <= stop <= MAX_SYMBOLS:
            why = f"Symbols {start} to {stop} do not exist; stay within 0 and {MAX_SYMBOLS}."
            raise LocalError("BAD_RANGE", why, field="start")
        table = self._table
        table.grow(stop)
        return b"".join(
            table.sums[index].to_bytes(_SUM_BYTES, "big") + bytes((table.counts[index] & 0xFF,))
            for index in range(start, stop)
        )


class Decoder:
    """Finds the difference between our own set and the one whose symbols arrive.

    Feed the stream from its beginning, in order, in pieces of any whole number of symbols.
    """

    def __init__(self, own_items: Iterable[bytes], key: bytes) -> None:
        """Take our own set (repeats count once) and the key under which the peer encodes.

        Raises LocalError BAD_ITEM, BAD_KEY.
        """
        self._own = frozenset(own_items)
        self._table = _Table(self._own, key)  # our set, edited as items are recovered
        self._sums: list[int] = []  # the peer's symbols
        self._counts: list[int] = []
        self._mine: set[bytes] = set()
        self._theirs: set[bytes] = set()
        self._used = 0
        self._decoded = False
        self._refusal = ""

    @property
    def symbols_used(self) -> int:
        """Symbols looked at so far; once decoded, the number that was enough."""
        return self._used

    def add(self, symbols: bytes) -> bool:
        """Take the next symbols of the stream and return True once the difference is known.

        False: send more, or fall back. Symbols after the last one needed are ignored. Raises RemoteError
        BAD_SYMBOLS for a piece that is empty or not whole, for more than MAX_SYMBOLS in all, and for symbols
        that no set can have. After the last kind the decoder is of no use and repeats its refusal.
        """
        if self._refusal:
            raise _bad(self._refusal)
        fresh, rest = divmod(len(symbols), SYMBOL_BYTES)
        if rest or not fresh:
            raise _bad(f"{len(symbols)} bytes are not a whole number of symbols of {SYMBOL_BYTES} bytes.")
        if self._used + fresh > MAX_SYMBOLS:
            raise _bad(f"More than {MAX_SYMBOLS} symbols; exchange the heads themselves instead.")
        if self._decoded:
            return True
        self._read(symbols)
        try:
            while not self._decoded and self._used < len(self._sums):
                self._used += 1
                self._peel(self._used - 1)
                self._decoded = self._settled()
        except RemoteError as refusal:
            self._refusal = refusal.message
            raise
        return self._decoded

    def result(self) -> Difference:
        """Return the difference. Raises LocalError NOT_DECODED before `add` has returned True."""
        if not self._decoded:
            raise LocalError("NOT_DECODED", "The difference is not known yet; add more symbols or fall back.")
        return Difference(tuple(sorted(self._mine)), tuple(sorted(self._theirs)))

    def _read(self, symbols: bytes) -> None:
        for at in range(0, len(symbols), SYMBOL_BYTES):
            self._sums.append(int.from_bytes(symbols[at : at + _SUM_BYTES], "big"))
            self._counts.append(symbols[at + _SUM_BYTES])
        self._table.grow(len(self._sums))

    def _settled(self) -> bool:
        """Whether our edited set has the symbols received. Symbol 0 holds every item: it speaks for all."""
        table, used = self._table, self._used
        if table.sums[0] != self._sums[0]:
            return False
        same_counts = all(not (self._counts[at] - table.counts[at]) & 0xFF for at in range(used))
        if table.sums[:used] != self._sums[:used] or not same_counts:
            raise _bad("Symbol 0 says that nothing is left, another symbol that something is.")
        return True

    def _peel(self, index: int) -> None:
        """Recover what symbol `index` lays bare, then what that lays bare, until nothing more comes."""
        table = self._table
        suspects = [index]
        while suspects:
            index = suspects.pop()
            count = (self._counts[index] - table.counts[index]) & 0xFF
            if count not in (1, 0xFF):
                continue
            value = self._sums[index] ^ table.sums[index]
            item = (value >> _CHECKSUM_BITS).to_bytes(ITEM_BYTES, "big")
            if table.value(item) != value:
                continue
            touched = self._recover(item, value, 1 if count == 1 else -1)
            if index not in touched:
                raise _bad(f"Symbol {index} holds an item that does not belong to it.")
            suspects.extend(other for other in touched if other < self._used)

    def _recover(self, item: bytes, value: int, sign: int) -> list[int]:
        """Edit our set by one item: sign 1 adds one of theirs, -1 removes one of ours. Return the indices."""
        if sign == 1:
            possible, found = item not in self._own, self._theirs
        else:
            possible, found = item in self._own, self._mine
        if item in found:
            raise _bad("Two symbols give the same item.")
        if not possible:
            raise _bad("A symbol adds an item that is there already, or removes one that is not.")
        if len(self._mine) + len(self._theirs) >= self._used:
            raise _bad(f"More differences than the {self._used} symbols can hold.")
        found.add(item)
        return self._table.edit(value, sign)


class _Table:
    """The symbols of a set as far as they have been made, and the items waiting for later ones.

    `sums` and `counts`, one of each per symbol made. A sum is the big-endian integer of item ‖ checksum;
    counts are whole numbers here and are cut to a byte on the wire.
    """

    __slots__ = ("_hash", "_waiting", "counts", "sums")

    def __init__(self, items: Iterable[bytes], key: bytes) -> None:
        if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
            why = f"A key has {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes; this one has {len(key)}."
            raise LocalError("BAD_KEY", why, field="key")
        self._hash = hashlib.blake2b(digest_size=CHECKSUM_BYTES, key=key)
        self.sums: list[int] = []
        self.counts: list[int] = []
        self._waiting: dict[int, list[tuple[int, int, int]]] = {0: []}  # index -> (value, sign, generator)
        start = self._waiting[0]
        for item in items:
            if len(item) != ITEM_BYTES:
                why = f"An item has {ITEM_BYTES} bytes; this one has {len(item)}."
                raise LocalError("BAD_ITEM", why, field="items")
            value = self.value(item)
            start.append((value, 1, _seed(value)))

    def value(self, item: bytes) -> int:
        """Return item ‖ checksum as one integer: what is XORed into the sums."""
        keyed = self._hash.copy()  # the key's block is hashed once, not once for each item
        keyed.update(item)
        return int.from_bytes(item + keyed.digest(), "big")

    def grow(self, stop: int) -> None:
        """Make the symbols up to `stop` (excluded)."""
        made = len(self.sums)
        if stop <= made:
            return
        sums, counts, waiting = self.sums, self.counts, self._waiting
        sums.extend([0] * (stop - made))
        counts.extend([0] * (stop - made))
        for first in range(made, stop):
            for value, sign, state in waiting.pop(first, ()):
                indices, following, later = _indices(first, state, stop)
                for index in indices:
                    sums[index] ^= value
                    counts[index] += sign
                if following < MAX_SYMBOLS:
                    waiting.setdefault(following, []).append((value, sign, later))

    def edit(self, value: int, sign: int) -> list[int]:
        """Add (sign 1) or remove (sign -1) an item, in symbols made and to come; return the made ones."""
        indices, following, state = _indices(0, _seed(value), len(self.sums))
        for index in indices:
            self.sums[index] ^= value
            self.counts[index] += sign
        if following < MAX_SYMBOLS:
            self._waiting.setdefault(following, []).append((value, sign, state))
        return indices


def _seed(value: int) -> int:
    """Return the generator's first state: the checksum, made odd because the generator multiplies."""
    return value & _MASK_64 | 1


def _indices(index: int, state: int, stop: int) -> tuple[list[int], int, int]:
    """Walk an item's indices from `index`: those below `stop`, the first not below it, and the state there.

    From index i, the next one is beyond j with probability (i+1)(i+2) / ((j+1)(j+2)). With a uniform
    u = state / 2^64 it is therefore floor(sqrt((i+1)(i+2)/u + 1/4) - 1/2), never below i + 1. (The paper
    approximates this inverse; ours holds index i exactly as often as said, and the overhead is the same.)
    """
    indices = []
    while index < stop:
        indices.append(index)
        state = state * _MULTIPLIER & _MASK_64
        index = int(sqrt((index + 1) * (index + 2) * _TWO_64 / state + 0.25) - 0.5)
    return indices, index, state


def _bad(why: str) -> RemoteError:
    return RemoteError("BAD_SYMBOLS", why, field="symbols")
