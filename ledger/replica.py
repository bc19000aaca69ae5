"""One node's copy of one mesh's ledger: takes leaves in, keeps them, and knows what they mean.

How it works
    `ingest` takes a run of consecutive leaves of one feed with its owner's checkpoint. First everything that could
    refuse the run is checked (order, root, checkpoint signature, dates); nothing is written before that is done.
    Then each leaf is judged (feed.judge) and written: sound leaves are indexed under the things they name, void
    leaves keep their place. Governance entries are also kept in memory and folded anew (members.fold) once a batch.
    A node's own statements go the same way through `append`, and `sign_feed` signs one checkpoint a batch.

    The rows are handed in with every call: the caller owns the transaction. When it is rolled back, `reload`
    brings the memory back to what the rows say.

What it does not do
    It opens no transaction, sends nothing and reads no clock. Ticks and committed maps are in `ticks`; proofs of
    feeds in `tree`; what a consent means in `consent.status`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ledger import checkpoint, fork, keys, merkle, tree
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import AHEAD_SECONDS_MAX, SOUND, Registration, SignedHead, judge
from ledger.governance.epoch import Genesis
from ledger.held import RUN_LEAVES_MAX, Held, Run, digest_of
from ledger.index import index_entry
from ledger.kinds import KINDS
from ledger.merkle import Peaks, PeaksBuilder, leaf_hash
from ledger.rows import Reader, Writer
from ledger.tables import (
    LEAF_ELSEWHERE,
    LEAF_SOUND,
    LEAF_VOID,
    MESH_KEY,
    FeedRow,
    head_key,
    leaf_row,
    position,
    read_leaf,
)

__all__ = (
    "RUN_LEAVES_MAX",
    "Accepted",
    "Decoded",
    "ForkSeen",
    "Replica",
    "Run",
    "decode",
    "digest_of",
    "regression_payload",
)

Decoded = Entry | RemoteError


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a call to `ingest` or `append` added: sound entries in order, and whether membership may have moved."""

    feed: bytes
    start: int
    entries: tuple[Entry, ...]
    governance: bool


class ForkSeen(RemoteError):
    """A feed showed two faces: `ours` and `theirs` are both signed by its key."""

    def __init__(self, feed: bytes, ours: SignedHead, theirs: SignedHead) -> None:
        super().__init__("FEED_FORKED", "this feed signed two histories; ask its owner to repair it")
        self.feed, self.ours, self.theirs = feed, ours, theirs


class Replica(Held):
    """The ledger of one mesh. Made by `create` (new rows) or `load` (rows that hold one)."""

    # Life

    @classmethod
    def create(cls, rows: Writer, genesis: Genesis) -> Replica:
        """Begin an empty copy of a mesh. Raises LocalError MESH_EXISTS when the rows hold another."""
        held = rows.get("meta", MESH_KEY)
        if held is not None and held != genesis.entry.raw:
            raise LocalError("MESH_EXISTS", "these rows hold the ledger of another mesh")
        rows.put("meta", MESH_KEY, genesis.entry.raw)
        return cls(genesis)

    @classmethod
    def load(cls, rows: Reader) -> Replica:
        """Open the copy in these rows, without replaying it. Raises LocalError NO_MESH."""
        raw = rows.get("meta", MESH_KEY)
        if raw is None:
            raise LocalError("NO_MESH", "these rows hold no ledger")
        replica = cls(Genesis.read(Entry.parse(raw)))
        replica.reload(rows)
        return replica

    # Taking in

    def ingest(self, rows: Writer, run: Run, now: int, decoded: Sequence[Decoded] | None = None) -> Accepted:
        """Take in a run of another feed. `decoded`: what verifying workers made of `run.raws`, where they did.

        Leaves already held are skipped once they are seen to be the same. Raises RemoteError (nothing is changed):
        UNKNOWN_FEED, RUN_TOO_LONG, FEED_GAP, BAD_ROOT, BAD_CHECKPOINT_SIGNATURE, DATED_AHEAD; ForkSeen.
        """
        public = self.public_of(run.feed)
        if public is None:
            raise RemoteError("UNKNOWN_FEED", "no member of this mesh has this feed; wait for its admission")
        if len(run.raws) > RUN_LEAVES_MAX:
            raise RemoteError("RUN_TOO_LONG", f"a run has at most {RUN_LEAVES_MAX} leaves")
        held = self.position(run.feed).size
        if run.start > held:
            raise RemoteError("FEED_GAP", f"leaves {held} to {run.start - 1} are missing; ask for them first")
        ids = [hashlib.sha256(raw).digest() for raw in run.raws]
        if run.start < held:
            self._same(rows, run, ids[: held - run.start], public)
        skip = min(held - run.start, len(ids))
        leaves = [leaf_hash(entry_id) for entry_id in ids[skip:]]
        row = self._feeds.get(run.feed)
        builder = PeaksBuilder(row.peaks if row is not None else None)
        builder.extend(leaves)
        if not _ends_in(run, max(run.stop, held), builder):
            self._forked(rows, run.feed, public, run.head)
            raise RemoteError("BAD_ROOT", "the checkpoint's size or root is not that of these leaves")
        self._check_head(run.feed, public, run.head, now)
        read = list(decoded[skip:]) if decoded is not None else [decode(raw) for raw in run.raws[skip:]]
        ahead = next((e for e in read if isinstance(e, Entry) and e.iat > now + AHEAD_SECONDS_MAX), None)
        if ahead is not None:
            raise RemoteError(
                "DATED_AHEAD", "an entry is dated ahead of our clock; it will be taken in when its time comes"
            )
        accepted = self._write(rows, run.feed, run.raws[skip:], ids[skip:], leaves, read)
        if run.head.size <= self.position(run.feed).size:
            self._keep_head(rows, run.feed, run.head)
        if accepted.governance or self._waiting:
            self._refold(rows)
        return accepted

    def _same(self, rows: Reader, run: Run, ids: Sequence[bytes], public: bytes) -> None:
        number = self.number(run.feed)
        scan = rows.scan("entries", position(number, run.start), position(number, run.start + len(ids)))
        if any(read_leaf(row).entry_id != entry_id for entry_id, (_, row) in zip(ids, scan, strict=True)):
            self._forked(rows, run.feed, public, run.head)
            raise RemoteError("BAD_ROOT", "leaves already held differ, and no checkpoint of this feed signs that")

    def _check_head(self, feed: bytes, public: bytes, head: SignedHead, now: int) -> None:
        if head.time > now + AHEAD_SECONDS_MAX:
            raise RemoteError("DATED_AHEAD", "the checkpoint is dated ahead of our clock", field="time")
        if not checkpoint.verify_head(public, self.mesh_id, feed, head.size, head.root, head.time, head.signature):
            raise RemoteError("BAD_CHECKPOINT_SIGNATURE", "the feed's key did not sign this checkpoint")

    def _forked(self, rows: Reader, feed: bytes, public: bytes, theirs: SignedHead) -> None:
        """Raise ForkSeen when `theirs` is signed by the feed's key and contradicts what is held."""
        ours = self.signed_head(feed)
        if ours is None or not checkpoint.verify_head(
            public, self.mesh_id, feed, theirs.size, theirs.root, theirs.time, theirs.signature
        ):
            return
        regression = theirs.size < ours.size and theirs.time > ours.time
        contradiction = theirs.size <= ours.size and self.held_iat(rows, Head(feed, theirs.size, theirs.root)) is None
        if regression or contradiction:
            raise ForkSeen(feed, ours, theirs)

    def observe(self, rows: Writer, feed: bytes, head: SignedHead, now: int) -> bool:
        """Take in a checkpoint that came without leaves (a heartbeat). True when it is news.

        Raises RemoteError UNKNOWN_FEED, FEED_GAP (its leaves are not held), DATED_AHEAD,
        BAD_CHECKPOINT_SIGNATURE; ForkSeen.
        """
        public = self.public_of(feed)
        if public is None:
            raise RemoteError("UNKNOWN_FEED", "no member of this mesh has this feed; wait for its admission")
        held = self.position(feed)
        if head.size > held.size:
            raise RemoteError("FEED_GAP", f"leaves {held.size} to {head.size - 1} are missing; ask for them first")
        ours = self.signed_head(feed)
        if ours is not None and (head.time, head.size) <= (ours.time, ours.size) and head.root == ours.root:
            return False
        if rows.get("heads", head_key(feed, head.time, head.size)) is not None:
            return False
        self._check_head(feed, public, head, now)
        self._forked(rows, feed, public, head)
        self._keep_head(rows, feed, head)
        return True

    def _keep_head(self, rows: Writer, feed: bytes, head: SignedHead) -> None:
        rows.put("heads", head_key(feed, head.time, head.size), head.root + head.signature)
        row = self._feeds[feed] if feed in self._feeds else self._open(feed)
        if row.signed is None or (head.size, head.time) > (row.signed.size, row.signed.time):
            self._set_feed(rows, feed, replace(row, signed=head))

    def _open(self, feed: bytes) -> FeedRow:
        row = FeedRow(len(self._by_number), Peaks(), 0, None)
        self._by_number.append(feed)
        self._feeds[feed] = row
        return row

    def _set_feed(self, rows: Writer, feed: bytes, row: FeedRow) -> None:
        self._feeds[feed] = row
        rows.put("feeds", feed, row.encode())
        self._digest = None

    def _write(
        self,
        rows: Writer,
        feed: bytes,
        raws: Sequence[bytes],
        ids: Sequence[bytes],
        leaves: Sequence[bytes],
        read: Sequence[Decoded],
    ) -> Accepted:
        row = self._feeds[feed] if feed in self._feeds else self._open(feed)
        builder, number, start, iat_max = PeaksBuilder(row.peaks), row.number, row.peaks.size, row.iat_max
        sound: list[Entry] = []
        governance = False
        for index, (raw, entry_id, leaf, entry) in enumerate(zip(raws, ids, leaves, read, strict=True), start):
            flags = LEAF_VOID
            if isinstance(entry, Entry):
                root = builder.root() if entry.kid == feed else b""
                if root:
                    self._held[(feed, index, root)] = iat_max
                closure = self.closure_iat(rows, entry.seen)
                if judge(entry, self.mesh_id, feed, index, root, closure) == SOUND:
                    flags, iat_max = LEAF_SOUND, max(iat_max, entry.iat)
                    sound.append(entry)
                    governance |= self._index(rows, Registration(entry, feed, index), number)
            builder.append(leaf)
            older = rows.get("ids", entry_id)
            rows.put("ids", entry_id, (older or b"") + position(number, index))
            body = (flags | LEAF_ELSEWHERE, b"") if older is not None else (flags, raw)
            rows.put("entries", position(number, index), leaf_row(body[0], iat_max, entry_id, body[1]))
        self._set_feed(rows, feed, replace(row, peaks=builder.snapshot(), iat_max=iat_max))
        tree.write_blocks(rows, number, start + len(leaves), leaves)
        return Accepted(feed, start, tuple(sound), governance)

    def _index(self, rows: Writer, registration: Registration, number: int) -> bool:
        for consent in index_entry(rows, registration, number):
            self._statuses.pop(consent, None)
        row = KINDS.get(registration.entry.kind)
        if row is None or not row.governance:
            return False
        self._registrations.append(registration)
        return True

    # Own statements

    def append(self, rows: Writer, public: bytes, entries: Sequence[Entry]) -> Accepted:
        """Register entries in our own device's feed; `sign_feed` must follow before the transaction ends.

        Raises LocalError with the void code of an entry that would be void: nothing void is ever registered by us.
        """
        feed = keys.thumbprint(public)
        held = self.position(feed)
        for offset, entry in enumerate(entries):
            root = held.root if offset == 0 else b""
            code = judge(entry, self.mesh_id, feed, held.size + offset, root, self.closure_iat(rows, entry.seen))
            if code != SOUND:
                raise LocalError(code, f"this {entry.kind} would be void in our feed; make it again")
        ids = [entry.id for entry in entries]
        leaves = [leaf_hash(entry_id) for entry_id in ids]
        accepted = self._write(rows, feed, [entry.raw for entry in entries], ids, leaves, entries)
        if accepted.governance or self._waiting:
            self._refold(rows)
        return accepted

    def sign_feed(self, rows: Writer, key: keys.SigningKey, now: int) -> SignedHead:
        """Sign our feed's checkpoint as of `now`; never at a time before the last one (a clock may step back)."""
        feed = key.kid
        if feed not in self._feeds:
            self._open(feed)
        signed, held = self._feeds[feed].signed, self.position(feed)
        time = max(now, signed.time) if signed is not None else now
        signature = checkpoint.sign_head(key, self.mesh_id, held, time, feed)
        head = SignedHead(held.size, held.root, time, signature)
        self._keep_head(rows, feed, head)
        return head


def _ends_in(run: Run, size: int, builder: PeaksBuilder) -> bool:
    """Say whether the leaves, which end a tree of `size`, are proven to lie under the run's checkpoint."""
    if size == run.head.size:
        return builder.root() == run.head.root
    return merkle.verify_consistency(size, builder.root(), run.head.size, run.head.root, run.path)


def decode(raw: bytes) -> Decoded:
    """Decode an entry, or return why it is void."""
    try:
        return Entry.decode(raw)
    except RemoteError as error:
        return error


def regression_payload(replica: Replica, seen: ForkSeen) -> dict[str, Any] | None:
    """Return the fork.proof payload when a ForkSeen is a smaller size signed later, else None (branches differ)."""
    public = replica.public_of(seen.feed)
    if public is None or not (seen.theirs.size < seen.ours.size and seen.theirs.time > seen.ours.time):
        return None
    return fork.prove_regression(public, seen.ours, seen.theirs)
