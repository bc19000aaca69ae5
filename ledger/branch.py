"""Which branch of a forked feed a node keeps: the one that a seal names (governance.md §2; ledger.md §4).

How it works
    A feed may show its branches to different nodes, and voters may seal one before anybody has met the other. Whoever
    holds the other could never follow that epoch. Once a fork is proven, and a certified seal that follows our newest
    epoch names another root than ours beyond the fork, `overruled` tells so, and `drop` takes our leaves from the fork
    on out of the rows: gossip then brings the branch that a quorum has sealed. Nothing below a seal of ours is ever
    dropped, for a fork holds no feed below that.

What it does not do
    It does not choose between branches that no seal names: both are held at the fork, and that is enough. It keeps
    nothing of what it drops: the caller is given it, and registers what must not be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ledger.entry import Entry
from ledger.feed import Registration, SignedHead
from ledger.index import index_rows, named_consents
from ledger.rows import Reader, Writer, prefix_stop
from ledger.tables import (
    BLOCK,
    LEAF_ELSEWHERE,
    POSITION_BYTES,
    leaf_row,
    position,
    read_head,
    read_leaf,
)

if TYPE_CHECKING:
    from ledger.checkpoint import Head
    from ledger.replica import Replica


def overruled(replica: Replica, rows: Reader) -> dict[bytes, tuple[int, Head]]:
    """Return the feeds of which leaves beyond the fork are held, and not, or not yet, those that a seal names.

    By feed: the size at which the fork holds it, and the head that the seal names.
    """
    found: dict[bytes, tuple[int, Head]] = {}
    forks = replica.members.forks
    sealed: Mapping[bytes, Head] = replica.announced(rows) if forks else {}
    for feed, hold in forks.items():
        head = sealed.get(feed)
        if head is None or head.size <= hold or replica.size(feed) <= hold:
            continue
        held = replica.head_at(rows, feed, head.size)
        if held is None or held.root != head.root:
            found[feed] = (hold, head)
    return found


def drop_leaves(rows: Writer, feed: bytes, number: int, start: int, stop: int) -> list[Entry]:
    """Take a feed's leaves from `start` to `stop`, its end, out of every table; return the sound entries among them."""
    dropped: list[Entry] = []
    for index in range(stop - 1, start - 1, -1):
        place = position(number, index)
        row = rows.get("entries", place)
        if row is None:
            continue
        leaf = read_leaf(row)
        raw = _unregister(rows, leaf.entry_id, place)
        rows.delete("entries", place)
        if not leaf.void:
            entry = Entry.parse(raw)
            dropped.append(entry)
            for key, _ in index_rows(Registration(entry, feed, index), place, named_consents(entry)):
                rows.delete("things", key)
    for key, _ in list(rows.scan("nodes", position(number, start // BLOCK), position(number + 1, 0))):
        rows.delete("nodes", key)
    return dropped[::-1]


def _unregister(rows: Writer, entry_id: bytes, place: bytes) -> bytes:
    """Forget one place of an entry and return its body, which moves on to the next place, if there is one."""
    listed = rows.get("ids", entry_id) or b""
    places = [listed[at : at + POSITION_BYTES] for at in range(0, len(listed), POSITION_BYTES)]
    row = rows.get("entries", places[0]) if places else None
    raw = read_leaf(row).raw if row is not None else b""
    if place not in places:  # a further leaf of its feed
        return raw
    rest = [each for each in places if each != place]
    if not rest:
        rows.delete("ids", entry_id)
        return raw
    rows.put("ids", entry_id, b"".join(rest))
    following = rows.get("entries", rest[0])
    if following is not None:
        leaf = read_leaf(following)
        rows.put("entries", rest[0], leaf_row(leaf.flags & ~LEAF_ELSEWHERE, leaf.iat_max, entry_id, raw))
    return raw


def drop_heads(rows: Writer, feed: bytes, size: int) -> SignedHead | None:
    """Forget a feed's checkpoints beyond a size; return the newest that is left."""
    newest: SignedHead | None = None
    for key, value in list(rows.scan("heads", feed, prefix_stop(feed))):
        head = read_head(key, value)
        if head.size > size:
            rows.delete("heads", key)
        elif newest is None or (head.size, head.time) > (newest.size, newest.time):
            newest = head
    return newest
