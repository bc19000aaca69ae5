"""Witnessing: members cosign each other's checkpoints, and what is kept of it (ledger.md §4, C2SP tlog-cosignature).

How it works
    When the maps have moved to a tick, `cosign` goes through the checkpoints of its frontier. A feed that moved by
    more than its owner's attestations is looked at: its leaves are all held, so its root at that size is computed
    here, and so is the root at the size that was cosigned last: both must be what was signed. Then our device signs the
    head (cosignature/v1, the same note that the owner signed). The newest head of each feed is written down before
    anything leaves: a smaller or a diverging one is never cosigned, whatever happens.
    A cosignature says: by this time I had checked this tree, and cosigned no larger one.

    In a mesh of more than WITNESSES_MAX devices each feed has as many witnesses, those whose hash with the feed's id
    is smallest: a note has no room for more lines.

    `keep` takes in those of others: only of heads that are marks or stand in a tick, by devices that speak for other
    members, each verified first. `prune` drops those of heads that no remembered tick holds any more, unless a receipt
    names such a tick (`retire`), and the newest of each feed always stays.

    | table    | key                                             | value                                        |
    |----------|-------------------------------------------------|----------------------------------------------|
    | cosigned | b"c", feed, size (8), root (32), device (32)    | time (8), signature (64)                     |
    | cosigned | b"n", feed                                      | boundary (8), size (8), root (32), owner's   |
    |          |                                                 | time (8) and signature (64), our time (8)    |
    | cosigned | b"o", boundary (8), feed                        | first boundary (8), size (8), root (32)      |

    "n" is the newest head of a feed that was to be cosigned, "o" the one that another overtook at this boundary.

What it does not do
    It sends nothing and reads no clock (node/witness.py does). It proves no fork: node/forks.py does. It does not say
    how many witnesses are enough: a policy does.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger import checkpoint
from ledger.checkpoint import MAX_COSIGNATURES, Head
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.feed import AHEAD_SECONDS_MAX, SignedHead
from ledger.governance.members import Members
from ledger.keys import SigningKey
from ledger.replica import Replica
from ledger.rows import COSIGNED, Reader, Writer, prefix_stop
from ledger.tables import KEPT_KEY, TICK_KEY, read_head
from ledger.ticks import Tick

WITNESSES_MAX: Final = MAX_COSIGNATURES - 1
"""Witnesses of one feed; its owner signs the remaining line of the note."""
SPARE_LEAVES: Final = 64
"""Attestations of one feed between two ticks that are looked through; a feed with more has moved."""

_LINE: Final = struct.Struct(">Q64s")
_HEAD: Final = struct.Struct(">32sQ32s")
_NEWEST: Final = struct.Struct(">QQ32sQ64sQ")
_OVERTAKEN: Final = struct.Struct(">QQ32s")
_LINE_KEY_BYTES: Final = 1 + _HEAD.size + 32


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A cosignature by `device` of `head` at `time` (unix seconds)."""

    device: bytes
    time: int
    head: Head
    signature: bytes


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest head of a feed that was to be cosigned: the boundary of its tick, as its owner signed it, our time."""

    boundary: int
    feed: bytes
    signed: SignedHead
    time: int

    @property
    def head(self) -> Head:
        """The head alone."""
        return Head(self.feed, self.signed.size, self.signed.root)

    def encode(self) -> bytes:
        """Return the row's bytes."""
        signed = self.signed
        return _NEWEST.pack(self.boundary, signed.size, signed.root, signed.time, signed.signature, self.time)

    @classmethod
    def decode(cls, feed: bytes, row: bytes) -> Newest:
        """Read a row from our own store."""
        boundary, size, root, owner_time, signature, time = _NEWEST.unpack(row)
        return cls(boundary, feed, SignedHead(size, root, owner_time, signature), time)


class Witnesses:
    """Which devices witness which feeds, by one state of membership."""

    def __init__(self, members: Members) -> None:
        self._members = members
        speaking = (feed for feed in members.devices if members.speaks(feed))
        self._devices = sorted(feed for feed in speaking if members.is_member(members.party_of(feed)))
        self._of: dict[bytes, tuple[bytes, ...]] = {}

    def of(self, feed: bytes) -> tuple[bytes, ...]:
        """Return the devices that cosign a feed's heads, in order of their ids; none for a feed that may not write."""
        found = self._of.get(feed)
        if found is None:
            found = self._of[feed] = self._choose(feed)
        return found

    def _choose(self, feed: bytes) -> tuple[bytes, ...]:
        if not self._members.speaks(feed):
            return ()
        owner = self._members.party_of(feed)
        others = [device for device in self._devices if self._members.party_of(device) != owner]
        if len(others) > WITNESSES_MAX:
            others.sort(key=lambda device: sha256(feed + device).digest())
            others = sorted(others[:WITNESSES_MAX])
        return tuple(others)


# What is held


def cosignatures(rows: Reader, feed: bytes, head: Head) -> list[tuple[bytes, int, bytes]]:
    """Return the cosignatures held of a feed's head: (device feed, unix seconds, signature), in order of devices.

    Each was verified under the device's key when it was taken in. The owner's own signature is not among them.
    """
    prefix = _prefix(Head(feed, head.size, head.root))
    return [(key[-32:], *_LINE.unpack(value)) for key, value in rows.scan(COSIGNED, prefix, prefix_stop(prefix))]


def cosigned_at(rows: Reader, feed: bytes, size: int) -> Iterator[Cosigned]:
    """Yield the cosignatures held of a feed's head at a size; nothing is computed from the tree."""
    prefix = b"c" + feed + size.to_bytes(8, "big")
    for key, value in rows.scan(COSIGNED, prefix, prefix_stop(prefix)):
        time, signature = _LINE.unpack(value)
        yield Cosigned(key[-32:], time, Head(*_HEAD.unpack_from(key, 1)), signature)


def newest(rows: Reader) -> Iterator[Newest]:
    """Yield the newest head of each feed that was to be cosigned, in order of feeds."""
    for key, value in rows.scan(COSIGNED, b"n", b"o"):
        yield Newest.decode(key[1:], value)


def newest_of(rows: Reader, feed: bytes) -> Newest | None:
    """Return the newest head of a feed that was to be cosigned, or None."""
    value = rows.get(COSIGNED, b"n" + feed)
    return Newest.decode(feed, value) if value is not None else None


# Our own


def cosign(
    rows: Writer, replica: Replica, tick: Tick, before: Mapping[bytes, int], key: SigningKey, now: int
) -> tuple[list[Cosigned], list[bytes]]:
    """Cosign what moved up to a tick; return it, and the feeds that contradict what was cosigned of them before.

    `before`: leaves of each feed below the tick before. Nothing of a feed with a proven fork is cosigned.
    """
    moved = []
    for feed, signed in sorted(tick.heads.items()):
        last = newest_of(rows, feed)
        start = max(last.signed.size, before.get(feed, 0)) if last is not None else 0
        if last is None or (signed.size > last.signed.size and _moved(replica, rows, last.head, start, signed.size)):
            moved.append(feed)
    return follow(rows, replica, tick, moved, key, now)


def follow(
    rows: Writer, replica: Replica, tick: Tick, feeds: Iterable[bytes], key: SigningKey, now: int
) -> tuple[list[Cosigned], list[bytes]]:
    """Cosign some feeds' heads at a tick, where they are larger than what was cosigned before; else as `cosign`."""
    witnesses, made, diverged = Witnesses(replica.members), list[Cosigned](), list[bytes]()
    for feed in feeds:
        signed, last = tick.heads[feed], newest_of(rows, feed)
        if signed.size <= (last.signed.size if last is not None else 0):
            continue
        if feed in tick.cuts or not replica.members.speaks(feed):
            continue  # a device with a proven fork does not speak
        head = Head(feed, signed.size, signed.root)
        if replica.head_at(rows, feed, head.size) != head or (
            last is not None and replica.head_at(rows, feed, last.signed.size) != last.head
        ):
            diverged.append(feed)
            continue
        time = max(now, last.time) if last is not None else now
        _advance(rows, Newest(tick.boundary, feed, signed, time), last)
        if key.kid in witnesses.of(feed):
            signature = checkpoint.sign_head(key, replica.mesh_id, head, time, key.kid)
            rows.put(COSIGNED, _prefix(head) + key.kid, _LINE.pack(time, signature))
            made.append(Cosigned(key.kid, time, head, signature))
    return made, diverged


def _moved(replica: Replica, rows: Reader, last: Head, start: int, stop: int) -> bool:
    """Say whether a feed holds more from `start` to `stop` than what its own device attests at ticks.

    Those need no witness: they are a witness' own word, and every member makes one at every tick. But where somebody
    who was away has cosigned beyond the `last` head, all follow (`follow`), or each would have another newest head.
    """
    feed = last.feed
    beyond = b"c" + feed + (last.size + 1).to_bytes(8, "big")
    if stop - start > SPARE_LEAVES or next(rows.scan(COSIGNED, beyond, prefix_stop(b"c" + feed), limit=1), None):
        return True
    for index in range(start, stop):
        leaf = replica.leaf(rows, feed, index)
        if leaf.void or Entry.kept(leaf.raw, leaf.entry_id).kind != "state.attestation":
            return True
    return False


def _advance(rows: Writer, to: Newest, last: Newest | None) -> None:
    """Write down the newest head, and when it overtook the last one; what lies between is no tick's."""
    feed = to.feed
    rows.put(COSIGNED, b"n" + feed, to.encode())
    if last is not None:
        overtaken = _OVERTAKEN.pack(last.boundary, last.head.size, last.head.root)
        rows.put(COSIGNED, b"o" + to.boundary.to_bytes(8, "big") + feed, overtaken)
    start = b"c" + feed + ((last.head.size + 1) if last is not None else 0).to_bytes(8, "big")
    for line, _ in list(rows.scan(COSIGNED, start, b"c" + feed + to.head.size.to_bytes(8, "big"))):
        rows.delete(COSIGNED, line)


# Those of others


def keep(rows: Writer, replica: Replica, tick: Tick | None, witnesses: Witnesses, told: Cosigned, now: int) -> bool:
    """Take in a cosignature. True: it is news.

    Raises RemoteError (nothing is changed): NOT_A_WITNESS (of this feed, as we see the members), DATED_AHEAD,
    HEAD_NOT_HELD (or no mark and in no tick), BAD_COSIGNATURE, OTHER_FACE (sound, over leaves that are not ours).
    """
    head = told.head
    if rows.get(COSIGNED, _prefix(head) + told.device) is not None:
        return False
    public = replica.feed_key(told.device)
    if public is None or told.device not in witnesses.of(head.feed):
        raise RemoteError("NOT_A_WITNESS", "this device does not witness this feed")
    if told.time > now + AHEAD_SECONDS_MAX:
        raise RemoteError("DATED_AHEAD", "the cosignature is dated ahead of our clock", field="time")
    ours = replica.head_at(rows, head.feed, head.size)
    if ours is None or (ours == head and not _is_mark(rows, tick, head)):
        raise RemoteError("HEAD_NOT_HELD", "this head is not held here, or no tick may rest on it")
    if not verifies(public, replica.mesh_id, told):
        raise RemoteError("BAD_COSIGNATURE", "the device's key did not sign this head")
    if ours != head:
        raise RemoteError("OTHER_FACE", "this witness was shown other leaves than we were")
    rows.put(COSIGNED, _prefix(head) + told.device, _LINE.pack(told.time, told.signature))
    return True


def verifies(public: bytes, mesh_id: bytes, told: Cosigned) -> bool:
    """Say whether the cosignature verifies under the key of its device."""
    head = told.head
    return checkpoint.verify_head(public, mesh_id, head.feed, head.size, head.root, told.time, told.signature)


def _is_mark(rows: Reader, tick: Tick | None, head: Head) -> bool:
    """Say whether a head that we hold stands in our tick, was cosigned before, or is a checkpoint that is kept."""
    marked = tick.heads.get(head.feed) if tick is not None else None
    last = newest_of(rows, head.feed)
    if (marked is not None and marked.size == head.size) or (last is not None and last.head == head):
        return True
    prefix = _prefix(head)
    if next(rows.scan(COSIGNED, prefix, prefix_stop(prefix), limit=1), None) is not None:
        return True
    kept = rows.scan("heads", head.feed, prefix_stop(head.feed), reverse=True)
    return any(read_head(key, value).size == head.size for key, value in kept)


def is_beyond(rows: Reader, tick: Tick, feed: bytes) -> bool:
    """Say whether somebody cosigned the feed's head at our tick, and we an earlier one."""
    signed, last = tick.heads.get(feed), newest_of(rows, feed)
    if signed is None or (last is not None and signed.size <= last.signed.size):
        return False
    prefix = _prefix(Head(feed, signed.size, signed.root))
    return next(rows.scan(COSIGNED, prefix, prefix_stop(prefix), limit=1), None) is not None


# Dropping


def prune(rows: Writer) -> None:
    """Drop the cosignatures of heads that no tick holds which is remembered or kept."""
    oldest = next(rows.scan("meta", TICK_KEY + bytes(8), prefix_stop(TICK_KEY), limit=1), None)
    if oldest is None:
        return
    stop = int.from_bytes(oldest[0][len(TICK_KEY) :], "big") + 1
    for key, value in list(rows.scan(COSIGNED, b"o", b"o" + stop.to_bytes(8, "big"))):
        until, feed = key[1:9], key[9:]
        since, size, root = _OVERTAKEN.unpack(value)
        rows.delete(COSIGNED, key)
        kept = rows.scan("meta", KEPT_KEY + since.to_bytes(8, "big"), KEPT_KEY + until, limit=1)
        if next(kept, None) is None:
            prefix = _prefix(Head(feed, size, root))
            for line, _ in list(rows.scan(COSIGNED, prefix, prefix_stop(prefix))):
                rows.delete(COSIGNED, line)


def forget(rows: Writer, feed: bytes, size: int) -> None:
    """Drop the cosignatures of a feed's heads above `size`: those leaves were given up.

    The newest head that we cosigned stays on record: no other branch of this feed is ever cosigned by us.
    """
    start = b"c" + feed + (size + 1).to_bytes(8, "big")
    for key, _ in list(rows.scan(COSIGNED, start, prefix_stop(b"c" + feed))):
        rows.delete(COSIGNED, key)


# Verifying what is stored


def stored(rows: Reader) -> Iterator[Cosigned | None]:
    """Yield every cosignature that is stored; None for a row that cannot be read."""
    for key, value in rows.scan(COSIGNED, b"c", b"d"):
        if len(key) == _LINE_KEY_BYTES and len(value) == _LINE.size:
            time, signature = _LINE.unpack(value)
            yield Cosigned(key[-32:], time, Head(*_HEAD.unpack_from(key, 1)), signature)
        else:
            yield None


def lacking(held: Iterable[tuple[bytes, int, bytes]], witnesses: Sequence[bytes]) -> int:
    """Return the witnesses whose cosignature is not held, as a bitmap: bit i for the i-th."""
    have = {device for device, _, _ in held}
    return sum(1 << place for place, device in enumerate(witnesses) if device not in have)


def _prefix(head: Head) -> bytes:
    return b"c" + _HEAD.pack(head.feed, head.size, head.root)
