"""What one node holds of one mesh's ledger, and how it is read: feeds, leaves, heads, and the status of a consent.

How it works
    `Held` mirrors in memory what every question needs (each feed's row, the governance entries, the membership they
    fold to) and reads the rest from the rows handed in with each call. `replica.Replica` adds the taking in.

What it does not do
    It writes nothing and opens no transaction. What a consent means is decided in `consent.status`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger import codec, keys, tree
from ledger.checkpoint import Head
from ledger.consent import status
from ledger.consent.status import Fact, Place, Status
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import Registration, SignedHead
from ledger.governance.epoch import Genesis
from ledger.governance.members import Members, fold
from ledger.index import facts_of
from ledger.merkle import EMPTY_ROOT
from ledger.rows import Reader, prefix_stop
from ledger.tables import (
    GOVERNANCE,
    LEAF_ELSEWHERE,
    FeedRow,
    LeafRow,
    position,
    read_leaf,
    read_position,
    read_positions,
)

RUN_LEAVES_MAX: Final = 4_096  # leaves in one ingested run
STATUS_CACHE_MAX: Final = 120_000  # statuses kept in memory; about 400 bytes each
HELD_CACHE_MAX: Final = 20_000  # heads known to be held; about 200 bytes each


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive leaves of one feed, from index `start`, and a checkpoint of the feed.

    `path`: empty when the checkpoint ends with these leaves; otherwise the consistency path (RFC 9162 §2.1.4)
    from where they end to the checkpoint, so that a long feed travels in pieces, each of them proven.
    """

    feed: bytes
    start: int
    raws: tuple[bytes, ...]
    head: SignedHead
    path: tuple[bytes, ...] = ()

    @property
    def stop(self) -> int:
        """The index after the last leaf."""
        return self.start + len(self.raws)


class _View:
    """The live frontier, as the fold sees it."""

    def __init__(self, held: Held, rows: Reader) -> None:
        self._held, self._rows = held, rows
        self.waiting = False  # whether an entry names a head that is not held yet

    def size(self, feed: bytes) -> int:
        return self._held.position(feed).size

    def holds(self, entry: Entry) -> bool:
        found = self._held.holds(self._rows, entry.seen)
        self.waiting |= not found
        return found


class Held:
    """The reading side of a replica."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.mesh_id = genesis.mesh_id
        self.members = Members(epoch=genesis.mesh_id)
        self._feeds: dict[bytes, FeedRow] = {}
        self._by_number: list[bytes] = []
        self._registrations: list[Registration] = []
        self._held: dict[tuple[bytes, int, bytes], int] = {}
        self._statuses: dict[bytes, Status | None] = {}
        self._founding = {keys.thumbprint(device): device for _, device in genesis.founders}
        self._digest: bytes | None = None
        self._waiting = False  # a governance entry waits for a head: every batch may complete it

    def reload(self, rows: Reader) -> None:
        """Forget what memory holds and read it from the rows again: after a rolled-back transaction."""
        feeds = sorted(
            ((FeedRow.decode(row), feed) for feed, row in rows.scan("feeds", b"")), key=lambda p: p[0].number
        )
        self._feeds = {feed: row for row, feed in feeds}
        self._by_number = [feed for _, feed in feeds]
        self._held.clear()
        self._statuses.clear()
        self._digest = None
        self._registrations = [
            Registration(self.leaf_entry(rows, self._by_number[number], index), self._by_number[number], index)
            for number, index in map(read_position, self._keys(rows, GOVERNANCE))
        ]
        self._refold(rows)

    @staticmethod
    def _keys(rows: Reader, prefix: bytes) -> Iterator[bytes]:
        return (key for key, _ in rows.scan("things", prefix, prefix_stop(prefix)))

    def _refold(self, rows: Reader) -> None:
        view = _View(self, rows)
        self.members = fold(self.genesis, self._registrations, view)
        self._waiting = view.waiting
        self._statuses.clear()

    # What is held

    @property
    def feeds(self) -> Mapping[bytes, FeedRow]:
        """Every feed held, by id."""
        return self._feeds

    @property
    def registrations(self) -> Sequence[Registration]:
        """Every sound governance entry held, in the order it came."""
        return self._registrations

    def position(self, feed: bytes) -> Head:
        """Return a feed's size and root as held, leaves appended but not yet signed included."""
        row = self._feeds.get(feed)
        return Head(feed, row.peaks.size, row.peaks.root()) if row is not None else Head(feed, 0, EMPTY_ROOT)

    def signed_head(self, feed: bytes) -> SignedHead | None:
        """Return the newest checkpoint of a feed, or None when there is none."""
        row = self._feeds.get(feed)
        return row.signed if row is not None else None

    def frontier_digest(self) -> bytes:
        """Return SHA-256 over the sorted (feed, size, root) of every checkpoint held: equal digests, equal ledgers."""
        if self._digest is None:
            signed = ((feed, row.signed) for feed, row in self._feeds.items())
            self._digest = digest_of(Head(feed, head.size, head.root) for feed, head in signed if head is not None)
        return self._digest

    def number(self, feed: bytes) -> int:
        """Return a feed's local number. Raises LocalError UNKNOWN_FEED."""
        row = self._feeds.get(feed)
        if row is None:
            raise LocalError("UNKNOWN_FEED", f"no feed {feed.hex()[:16]} is held here")
        return row.number

    def feed_of(self, number: int) -> bytes:
        """Return the feed with this local number."""
        return self._by_number[number]

    def public_of(self, feed: bytes) -> bytes | None:
        """Return the device key of a feed this mesh knows, or None: only such feeds are taken in."""
        device = self.members.devices.get(feed)
        return device.public if device is not None else self._founding.get(feed)

    def leaf(self, rows: Reader, feed: bytes, index: int) -> LeafRow:
        """Return one leaf with its body. Raises LocalError NO_SUCH_LEAF."""
        row = rows.get("entries", position(self.number(feed), index))
        if row is None:
            raise LocalError("NO_SUCH_LEAF", f"feed {feed.hex()[:16]} has no leaf {index} here")
        leaf = read_leaf(row)
        return replace(leaf, raw=self._body(rows, leaf)) if leaf.flags & LEAF_ELSEWHERE else leaf

    def _body(self, rows: Reader, leaf: LeafRow) -> bytes:
        if not leaf.flags & LEAF_ELSEWHERE:
            return leaf.raw
        number, index = self.places(rows, leaf.entry_id)[0]
        row = rows.get("entries", position(number, index))
        if row is None:
            raise LocalError("STORE_CORRUPT", f"the body of entry {leaf.entry_id.hex()[:16]} is missing")
        return read_leaf(row).raw

    def leaf_entry(self, rows: Reader, feed: bytes, index: int) -> Entry:
        """Return the sound entry at a leaf of our own store."""
        return Entry.parse(self.leaf(rows, feed, index).raw)

    def leaves(self, rows: Reader, feed: bytes, start: int, bytes_max: int) -> tuple[bytes, ...]:
        """Return bodies from `start`, at least one where there is one, and no more than `bytes_max` after that."""
        bodies: list[bytes] = []
        number, total = self.number(feed), 0
        for _, row in rows.scan("entries", position(number, start), position(number + 1, 0), limit=RUN_LEAVES_MAX):
            body = self._body(rows, read_leaf(row))
            total += len(body)
            if bodies and total > bytes_max:
                break
            bodies.append(body)
        return tuple(bodies)

    def run(self, rows: Reader, feed: bytes, start: int, bytes_max: int) -> Run | None:
        """Return the run from `start` to send to a peer, or None when nothing signed lies beyond `start`."""
        head = self.signed_head(feed)
        if head is None or start >= head.size:
            return None
        raws = self.leaves(rows, feed, start, bytes_max)[: head.size - start]
        stop = start + len(raws)
        path = tree.consistency(rows, self.number(feed), stop, head.size) if stop < head.size else ()
        return Run(feed, start, raws, head, tuple(path))

    def places(self, rows: Reader, entry_id: bytes) -> list[tuple[int, int]]:
        """Return the (feed number, index) pairs where an entry is registered; [] when it is not held."""
        row = rows.get("ids", entry_id)
        return read_positions(row) if row is not None else []

    def entry(self, rows: Reader, entry_id: bytes) -> Entry | None:
        """Return an entry by id, or None when it is not held or not well formed."""
        for number, index in self.places(rows, entry_id)[:1]:
            try:
                return Entry.parse(self.leaf(rows, self._by_number[number], index).raw)
            except RemoteError:
                return None  # a void leaf whose bytes are no entry
        return None

    # Heads

    def held_iat(self, rows: Reader, head: Head) -> int | None:
        """Return the largest iat below a head, or None when it is not held as named."""
        key = (head.feed, head.size, head.root)
        found = self._held.get(key)
        if found is not None:
            return found
        row = self._feeds.get(head.feed)
        if head.size == 0:
            return 0 if head.root == EMPTY_ROOT else None
        if row is None or head.size > row.peaks.size:
            return None
        same = head.size == row.peaks.size
        if head.root != (row.peaks.root() if same else tree.root_at(rows, row.number, head.size)):
            return None
        iat = (
            row.iat_max if same else read_leaf(rows.get("entries", position(row.number, head.size - 1)) or b"").iat_max
        )
        if len(self._held) >= HELD_CACHE_MAX:
            self._held.clear()
        self._held[key] = iat
        return iat

    def holds(self, rows: Reader, heads: Iterable[Head]) -> bool:
        """Say whether every head is held as named."""
        return all(self.held_iat(rows, head) is not None for head in heads)

    def closure_iat(self, rows: Reader, heads: Iterable[Head]) -> int:
        """Return the largest iat below the heads, as far as they are held: a new entry may not be dated before."""
        return max((self.held_iat(rows, head) or 0 for head in heads), default=0)

    def governance_heads(self, own: bytes) -> tuple[Head, ...]:
        """Return what a governance entry of feed `own` names as seen: its own head and the governance heads.

        Governance heads are those that no other governance entry has seen (ledger.md §3); the seven smallest feed
        ids are kept, since omission is allowed and size is not.
        """
        newest: dict[bytes, int] = {}
        seen: dict[bytes, int] = {}
        for registration in self._registrations:
            newest[registration.feed] = max(newest.get(registration.feed, 0), registration.index)
            for head in registration.entry.seen:
                if head.feed != registration.feed:
                    seen[head.feed] = max(seen.get(head.feed, 0), head.size)
        open_feeds = sorted(f for f, index in newest.items() if f != own and seen.get(f, 0) <= index)
        return (self.position(own), *(self.position(feed) for feed in open_feeds[:7]))

    # Meaning

    def consent(self, rows: Reader, grant_id: bytes) -> Status | None:
        """Return what the ledger says of a grant now, or None when it says nothing."""
        if grant_id in self._statuses:
            return self._statuses[grant_id]
        found = self._resolve(rows, grant_id)
        if len(self._statuses) >= STATUS_CACHE_MAX:
            self._statuses.pop(next(iter(self._statuses)))
        self._statuses[grant_id] = found
        return found

    def _resolve(self, rows: Reader, grant_id: bytes) -> Status | None:
        facts = facts_of(rows, grant_id, self._by_number, lambda feed: self.position(feed).size)
        grant = self.grant(rows, grant_id, facts)
        if grant is None:
            return None
        return status.resolve(grant, facts, self.members.reach, self.members.party_of, self._counts(rows))

    def _counts(self, rows: Reader) -> Any:
        def counts(grant: Entry, places: Sequence[Place]) -> bool:
            return any(i < self.members.reach(f) for f, i in places) and self.holds(rows, grant.seen)

        return counts

    def grant(self, rows: Reader, grant_id: bytes, facts: Iterable[Fact] = ()) -> Entry | None:
        """Return a grant by id, from its own leaf or from a withdrawal that carries it."""
        entry = self.entry(rows, grant_id)
        if entry is not None:
            return entry if entry.kind == "consent.grant" else None
        for fact in facts:
            if fact.row.kind == "consent.withdraw":
                withdrawal = self.entry(rows, fact.row.entry_id)
                if withdrawal is not None:
                    return status.carried_grant(withdrawal)
        return None


def digest_of(heads: Iterable[Head]) -> bytes:
    """Return SHA-256 of the deterministic CBOR of the sorted [feed, size, root] of a frontier."""
    listed = sorted([head.feed, head.size, head.root] for head in heads)
    return hashlib.sha256(b"".join(codec.encode(item) for item in listed)).digest()
