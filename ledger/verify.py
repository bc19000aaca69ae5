"""Verify a stored ledger: derive everything anew from the bodies, and name the first faults.

How it works
    Feed by feed, in order: every body is hashed, decoded and its signature checked; its leaf is judged anew; the tree
    grows beside it. What the rows say (ids, verdicts, dates, block roots, peaks, index rows, kept checkpoints) must be
    what follows. Then the governance entries found sound are folded, which gives the keys that the checkpoints are
    verified under. Last, when nothing was wrong, the committed maps are rebuilt from nothing in scratch tables at the
    stored tick's own frontier and compared row by row.

What it does not do
    It repairs nothing: a damaged ledger is fetched anew from peers, or restored. It never raises for what the rows
    hold. It cannot see leaves lost from the end of a feed together with every row that speaks of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

from ledger import checkpoint, keys, witnessing
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import MailleError, RemoteError
from ledger.feed import Registration, SignedHead
from ledger.governance.chain import Chain, fold
from ledger.governance.epoch import Genesis
from ledger.governance.members import View
from ledger.index import index_rows, named_consents
from ledger.judge import SOUND, judge
from ledger.kinds import is_governance
from ledger.maps import state_root
from ledger.merkle import EMPTY_ROOT, PeaksBuilder, leaf_hash, root_of
from ledger.overlay import Draft, Overlay
from ledger.replica import Replica
from ledger.rows import Reader, prefix_stop
from ledger.tables import (
    BLOCK,
    KEPT_KEY,
    LEAF_ELSEWHERE,
    LEAF_SOUND,
    LEAF_VOID,
    MESH_KEY,
    MOVE_KEY,
    POSITION_BYTES,
    TICK_KEY,
    FeedRow,
    LeafRow,
    leaf_id,
    position,
    read_head,
    read_leaf,
    read_position,
    read_positions,
)
from ledger.ticks import Tick, Ticker
from ledger.view import HeldView
from ledger.vouched import unfounded

FAULTS_MAX: Final = 20  # faults named; then the verification stops
PROGRESS_LEAVES: Final = 1_000  # leaves between two calls of `progress`

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it follows from the bodies. `feed`, `index`: where, as far as there is a where."""

    code: str
    message: str
    feed: bytes | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified, and the first faults (at most FAULTS_MAX). `state_root`: of the stored tick, if it stands."""

    feeds: int
    leaves: int
    checkpoints: int
    cosignatures: int
    state_root: bytes | None
    faults: tuple[Fault, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong."""
        return not self.faults


class _EnoughError(Exception):
    """There are FAULTS_MAX faults."""


@dataclass(slots=True)
class _Feed:
    """One feed while it is verified: its row, kept checkpoints, and the roots at their sizes as they come by."""

    ident: bytes
    row: FeedRow
    heads: list[SignedHead]
    roots: dict[int, bytes] = field(default_factory=dict)
    cosigned: list[witnessing.Cosigned] = field(default_factory=list)


def verify_ledger(rows: Reader, progress: Progress) -> Report:
    """Verify every row of a ledger. `progress(done, total)` counts leaves; it is called with (total, total) last."""
    work = _Work(rows, progress)
    with suppress(_EnoughError):
        work.run()
    return Report(work.feeds, work.leaves, work.checkpoints, work.cosignatures, work.state_root, tuple(work.faults))


class _Work:
    """The state of one verification."""

    def __init__(self, rows: Reader, progress: Progress) -> None:
        self.rows, self.progress = rows, progress
        self.feeds = self.leaves = self.checkpoints = self.cosignatures = 0
        self.state_root: bytes | None = None
        self.faults: list[Fault] = []
        self._registrations: list[Registration] = []
        self._firsts = self._things = self._blocks = 0  # rows that the tables ids, things and nodes must have
        self._total = rows.count("entries")

    def fault(self, code: str, message: str, feed: bytes | None = None, index: int | None = None) -> None:
        """Note a fault."""
        self.faults.append(Fault(code, message, feed, index))
        if len(self.faults) >= FAULTS_MAX:
            raise _EnoughError

    def run(self) -> None:
        """Verify bodies and leaves, then counts, checkpoints and maps."""
        genesis = self._genesis()
        if genesis is None:
            return
        feeds = self._read_feeds()
        for feed in feeds:
            self._verify_feed(genesis, feed)
            self.feeds += 1
        self._counts(sum(feed.row.peaks.size for feed in feeds))
        self._checkpoints(genesis, feeds)
        self.progress(self.leaves, self._total)
        if not self.faults:
            self._certificates(genesis)
            self._tick({feed.ident: feed for feed in feeds})

    def _genesis(self) -> Genesis | None:
        raw = self.rows.get("meta", MESH_KEY)
        try:
            return Genesis.read(Entry.decode(raw if raw is not None else b""))
        except RemoteError as error:
            self.fault("GENESIS", f"the genesis entry is missing or unsound: {error}")
            return None

    def _read_feeds(self) -> list[_Feed]:
        feeds: list[_Feed] = []
        for ident, data in self.rows.scan("feeds", b""):
            try:
                feeds.append(_Feed(ident, FeedRow.decode(data), []))
            except Exception:  # what a damaged row does to its reader cannot be listed
                self.fault("FEED_ROW", "the feed's row cannot be read", ident)
        by_ident = {feed.ident: feed for feed in feeds}
        for key, value in self.rows.scan("heads", b""):
            owner = by_ident.get(key[:32])
            if owner is None or len(key) != 48 or len(value) != 96:
                self.fault("HEAD_ROW", "a kept checkpoint belongs to no feed, or cannot be read", key[:32])
                continue
            owner.heads.append(read_head(key, value))
        for line in witnessing.stored(self.rows):
            owner = by_ident.get(line.head.feed) if line is not None else None
            if line is None or owner is None:
                self.fault("COSIGNATURE", "a kept cosignature belongs to no feed, or cannot be read")
            else:
                owner.cosigned.append(line)
        feeds.sort(key=lambda feed: feed.row.number)
        if [feed.row.number for feed in feeds] != list(range(len(feeds))):
            self.fault("FEED_NUMBERS", "the feeds' local numbers do not count from 0")
        return feeds

    def _verify_feed(self, genesis: Genesis, feed: _Feed) -> None:
        number, builder, iat_max = feed.row.number, PeaksBuilder(), 0
        signed = [feed.row.signed] if feed.row.signed is not None else []
        wanted = {head.size for head in (*feed.heads, *signed)} | {line.head.size for line in feed.cosigned}
        feed.roots[0] = EMPTY_ROOT
        block: list[bytes] = []
        for key, data in self.rows.scan("entries", position(number, 0), position(number + 1, 0)):
            index = builder.size
            raw, leaf = self._body(feed.ident, index, key, data)
            if leaf is None:
                return  # what follows hangs on this leaf
            iat_max = self._leaf(genesis, feed, index, leaf, raw, builder, iat_max)
            block.append(leaf_hash(leaf.entry_id))
            builder.append(block[-1])
            if builder.size in wanted:
                feed.roots[builder.size] = builder.root()
            if len(block) == BLOCK:
                self._blocks += 1
                if self.rows.get("nodes", position(number, index // BLOCK)) != root_of(block):
                    self.fault("BLOCK_ROOT", "the stored root of a block of leaves is another", feed.ident, index)
                block.clear()
            self.leaves += 1
            if self.leaves % PROGRESS_LEAVES == 0:
                self.progress(self.leaves, self._total)
        if builder.snapshot() != feed.row.peaks or iat_max != feed.row.iat_max:
            self.fault("FEED_ROW", "the feed's row does not fit its leaves", feed.ident, builder.size)

    def _body(self, feed: bytes, index: int, key: bytes, data: bytes) -> tuple[bytes, LeafRow | None]:
        """Return the body of a leaf and its row, or None for a row that cannot be used."""
        try:
            leaf = read_leaf(data)
        except Exception:  # as above
            self.fault("LEAF_ROW", "the leaf's row cannot be read", feed, index)
            return b"", None
        if read_position(key)[1] != index:
            self.fault("LEAF_MISSING", "the feed has a hole", feed, index)
            return b"", None
        raw, ids = leaf.raw, self.rows.get("ids", leaf.entry_id) or b""
        places = read_positions(ids) if len(ids) % POSITION_BYTES == 0 else []
        if not self._leads_here(places, *read_position(key), leaf.entry_id):
            self.fault("ID_ROW", "the entry's id does not lead to this leaf", feed, index)
            return b"", leaf
        first = places[0] == read_position(key)
        self._firsts += first
        if first == bool(leaf.flags & LEAF_ELSEWHERE) or (leaf.raw and not first):
            self.fault("LEAF_ROW", "a body stands at its entry's first place, and there alone", feed, index)
            return b"", leaf
        if not first:
            other = self.rows.get("entries", position(*places[0])) or b""
            raw = read_leaf(other).raw if len(other) >= len(data) else b""
        if hashlib.sha256(raw).digest() != leaf.entry_id:
            self.fault("ENTRY_ID", "the body's hash is not the id of the leaf", feed, index)
        return raw, leaf

    def _leads_here(self, places: list[tuple[int, int]], number: int, index: int, entry_id: bytes) -> bool:
        """Say whether places name the first leaf of this feed that is the entry. Older stores name them all."""
        ours = [at for feed, at in places if feed == number]
        if not ours or ours[0] > index or ours != sorted(set(ours)):
            return False
        first = self.rows.get("entries", position(number, ours[0])) if index not in ours else None
        return index in ours or (first is not None and leaf_id(first) == entry_id)

    def _leaf(
        self,
        genesis: Genesis,
        feed: _Feed,
        index: int,
        leaf: LeafRow,
        raw: bytes,
        builder: PeaksBuilder,
        iat_max: int,
    ) -> int:
        """Judge a leaf anew and compare its rows; return the largest iat so far."""
        verdict: int = LEAF_VOID
        entry: Entry | None = None
        with suppress(RemoteError):  # such bytes are a void leaf
            entry = Entry.decode(raw)
        if entry is not None and judge(entry, genesis.mesh_id, feed.ident, index, builder.root(), iat_max) == SOUND:
            verdict, iat_max = LEAF_SOUND, max(iat_max, entry.iat)
            registration = Registration(entry, feed.ident, index)
            if is_governance(entry.kind):
                self._registrations.append(registration)
            for key, value in index_rows(registration, position(feed.row.number, index), named_consents(entry)):
                self._things += 1
                if self.rows.get("things", key) != value:
                    self.fault("INDEX_ROW", "an index row of this leaf is missing or another", feed.ident, index)
        if leaf.flags & ~LEAF_ELSEWHERE != verdict or leaf.iat_max != iat_max:
            self.fault("VERDICT", "the stored verdict or date of this leaf is not what follows", feed.ident, index)
        return iat_max

    def _counts(self, leaves: int) -> None:
        """Hold the tables to the number of rows that were accounted for: none may stand there for nothing."""
        expected = {"entries": leaves, "ids": self._firsts, "things": self._things, "nodes": self._blocks}
        for table, count in expected.items():
            if self.rows.count(table) != count and not self.faults:
                self.fault("EXTRA_ROWS", f"the table {table} holds {self.rows.count(table)} rows, {count} follow")

    def _checkpoints(self, genesis: Genesis, feeds: list[_Feed]) -> None:
        sizes = {feed.ident: feed.row.peaks.size for feed in feeds}
        found = fold(genesis, self._registrations, _Everything(sizes)).feeds
        founding = {keys.thumbprint(device): device for _, device in genesis.founders}
        for feed in feeds:
            public = found.get(feed.ident) or founding.get(feed.ident)
            if public is None:
                self.fault("UNKNOWN_FEED", "no member was ever admitted with this feed", feed.ident)
                continue
            newest = feed.row.signed
            for head in (*feed.heads, *([newest] if newest is not None and newest not in feed.heads else [])):
                self.checkpoints += 1
                if feed.roots.get(head.size) != head.root:
                    self.fault("CHECKPOINT", "a kept checkpoint has another root", feed.ident, head.size)
                elif not checkpoint.verify_head(
                    public, genesis.mesh_id, feed.ident, head.size, head.root, head.time, head.signature
                ):
                    self.fault("CHECKPOINT", "a kept checkpoint is not signed by its feed", feed.ident, head.size)
            for line in feed.cosigned:
                witness = found.get(line.device) or founding.get(line.device)
                if feed.roots.get(line.head.size) != line.head.root:
                    self.fault("COSIGNATURE", "a kept cosignature has another root", feed.ident, line.head.size)
                elif witness is None or not witnessing.verifies(witness, genesis.mesh_id, line):
                    self.fault("COSIGNATURE", "a kept cosignature is not its device's", feed.ident, line.head.size)
                self.cosignatures += 1

    def _certificates(self, genesis: Genesis) -> None:
        """Verify every certificate that a row calls verified."""
        try:
            replica = Replica.load(self.rows)
            chain = Chain(genesis, replica.registrations)
            for _ in unfounded(self.rows, chain, HeldView(replica, self.rows)):
                self.fault("VOUCHED_ROW", "a row calls a certificate verified that is not held, or not as it should be")
        except _EnoughError:
            raise
        except Exception as error:  # as above
            self.fault("VOUCHED_ROW", f"the chain of epochs cannot be followed: {_name(error)}")

    def _tick(self, feeds: dict[bytes, _Feed]) -> None:
        rows: Reader = self.rows if self.rows.get("meta", MOVE_KEY) is None else self._arrived()
        data = rows.get("meta", TICK_KEY)
        stored = rows.scan("maps", b"")
        if data is None:
            if next(stored, None) is not None:
                self.fault("MAPS", "the committed maps hold rows, and no tick")
            return
        try:
            tick = Tick.decode(data)
            beyond = [feed for feed, head in tick.heads.items() if head.size > feeds[feed].row.peaks.size]
            if beyond:
                self.fault("TICK_ROW", "the tick names leaves that are not held", beyond[0])
                return
            scratch = Overlay(self.rows, ("maps", "meta"))
            replica = Replica.load(self.rows)
            rebuilt = Ticker(replica).rebuild_at(scratch, tick)
            for prefix in (TICK_KEY, KEPT_KEY):
                for key, row in rows.scan("meta", prefix, prefix_stop(prefix)):
                    self._remembered(replica, tick, prefix, key, row)
        except _EnoughError:
            raise
        except Exception as error:  # as above; the code alone, since messages may quote bytes
            self.fault("TICK_ROW", f"the tick cannot be rebuilt: {_name(error)}")
            return
        if rebuilt.encode() != data:
            self.fault("TICK_ROW", "the stored tick is not what follows from its own frontier")
        for ours, theirs in zip_longest(scratch.scan("maps", b""), stored):
            if ours != theirs:
                self.fault("MAPS", "a row of the committed maps is not what follows")
                return
        self.state_root = tick.state_root

    def _arrived(self) -> Reader:
        """Return the rows as they are once the move of the maps that is under way has come to its end."""
        draft = Draft(self.rows)
        try:
            ticker = Ticker(Replica.load(draft))
            ticker.load(draft)
            if ticker.moving is not None:
                ticker.finish(draft)
        except Exception as error:  # as in `_tick`
            self.fault("TICK_ROW", f"the move of the maps cannot be brought to its end: {_name(error)}")
        return draft

    def _remembered(self, replica: Replica, newest: Tick, prefix: bytes, key: bytes, row: bytes) -> None:
        """Check a tick that is kept: whose it says it is, and that its feeds signed the checkpoints it names."""
        tick = Tick.decode(row)
        named = prefix + tick.boundary.to_bytes(8, "big")
        if (
            key not in (TICK_KEY, named)
            or tick.encode() != row
            or (tick.boundary == newest.boundary and tick != newest)
        ):
            self.fault("TICK_ROW", "a tick that is kept is not the one its key names")
        version = replica.genesis.evaluator_version
        if tick.frontier != tick.digest() or tick.state_root != state_root(tick.members, tick.consents, version):
            self.fault("TICK_ROW", "a tick that is kept does not hash to what it says")
        for feed, head in tick.heads.items():
            public, parts = replica.feed_key(feed) or b"", (head.size, head.root, head.time, head.signature)
            if replica.head_at(self.rows, feed, head.size) != Head(feed, head.size, head.root):
                self.fault("TICK_ROW", "the tick names a checkpoint with another root", feed, head.size)
            elif not checkpoint.verify_head(public, replica.mesh_id, feed, *parts):
                self.fault("TICK_ROW", "the tick names a checkpoint that its feed did not sign", feed, head.size)


def _name(error: Exception) -> str:
    return error.code if isinstance(error, MailleError) else type(error).__name__


class _Everything:
    """A view through which every leaf is below the frontier: enough to know whose feeds these are."""

    def __init__(self, sizes: Mapping[bytes, int]) -> None:
        self._sizes = sizes

    def size(self, feed: bytes) -> int:
        return self._sizes.get(feed, 0)

    def holds(self, _entry: Entry, _forks: Mapping[bytes, int]) -> bool:
        return True

    def root(self, _feed: bytes, _size: int) -> bytes | None:
        return None  # no seal is followed: it would not change whose feeds these are

    def below(self, sizes: Mapping[bytes, int]) -> View:
        return _Everything(sizes)
