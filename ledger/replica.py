"""One node's copy of one mesh's ledger: takes leaves in, keeps them, and knows what they mean.

How it works
    `ingest` takes a run of consecutive leaves of one feed with its owner's checkpoint. First everything that could
    refuse the run is checked (order, root, checkpoint signature, dates); nothing is written before that is done.
    Then each leaf is judged (`judge`) and written: sound leaves are indexed under the things they name, void
    leaves keep their place. Governance entries are also kept in memory and folded anew (members.fold) once a batch
    that brings one, or a head that one waited for.
    A node's own statements go the same way through `append`, and `sign_feed` signs one checkpoint a batch.

    The rows are handed in with every call: the caller owns the transaction. When it is rolled back, `reload`
    brings the memory back to what the rows say.

What it does not do
    It opens no transaction, sends nothing and reads no clock. Ticks and committed maps are in `ticks`; proofs of
    feeds in `tree`; what a consent means in `consent.status`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ledger import branch, checkpoint, fork, keys, merkle, tree, view
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import AHEAD_SECONDS_MAX, RUN_LEAVES_MAX, Registration, Run, SignedHead
from ledger.governance.epoch import Genesis
from ledger.held import PAST, Held, digest_of
from ledger.index import index_rows, named_consents
from ledger.judge import SOUND, judge
from ledger.kinds import is_governance, is_restrictive
from ledger.merkle import Peaks, PeaksBuilder, leaf_hash
from ledger.rows import Reader, Writer, prefix_stop
from ledger.tables import (
    LEAF_ELSEWHERE,
    LEAF_SOUND,
    LEAF_VOID,
    MESH_KEY,
    POSITION_BYTES,
    FeedRow,
    head_key,
    leaf_row,
    lists_feed,
    position,
    read_head,
    read_leaf,
)
from ledger.vouched import disown, vouch

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


class ForkSeen(RemoteError):
    """A feed showed two faces: `ours` and `theirs` are both signed by its key."""

    def __init__(self, feed: bytes, ours: SignedHead, theirs: SignedHead) -> None:
        super().__init__("FEED_FORKED", "this feed signed two histories; ask its owner to repair it")
        self.feed, self.ours, self.theirs = feed, ours, theirs


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a call to `ingest` or `append` added: sound entries in order, and whether membership may have moved.

    `fault`: the leaves are taken in, yet the time of their checkpoint contradicts another's: the node proves it
    (`regression_payload`).
    """

    feed: bytes
    start: int
    entries: tuple[Entry, ...]
    governance: bool
    fault: ForkSeen | None = None


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
        feed, head, held = run.feed, run.head, self.size(run.feed)
        public = self._key(feed)
        if len(run.raws) > RUN_LEAVES_MAX:
            raise RemoteError("RUN_TOO_LONG", f"a run has at most {RUN_LEAVES_MAX} leaves")
        if run.start > held:
            raise RemoteError("FEED_GAP", f"leaves {held} to {run.start - 1} are missing; ask for them first")
        ids = _ids(run, decoded)
        leaves = [leaf_hash(entry_id) for entry_id in ids]
        tree_at_stop = PeaksBuilder(self._peaks(rows, feed, run.start))
        tree_at_stop.extend(leaves)
        if not _lies_under(run, tree_at_stop.root()):
            self._check_signed(feed, public, head)
            self._forked_below(rows, feed, head)
            raise RemoteError("BAD_ROOT", "the checkpoint's size or root is not that of these leaves")
        self._check_head(feed, public, head, now)
        skip = min(held - run.start, len(ids))
        if skip and tree.leaf_hashes(rows, self.number(feed), run.start, run.start + skip) != leaves[:skip]:
            self._contradicted(feed, head)
        self._forked_below(rows, feed, head)
        read = list(decoded[skip:]) if decoded is not None else [decode(raw) for raw in run.raws[skip:]]
        if any(isinstance(entry, Entry) and entry.iat > now + AHEAD_SECONDS_MAX for entry in read):
            raise RemoteError(
                "DATED_AHEAD", "an entry is dated ahead of our clock; it will be taken in when its time comes"
            )
        fault = self._regression(rows, feed, head)
        grown = tree_at_stop.snapshot() if run.stop > held else None
        kept = head if head.size <= max(held, run.stop) else None
        accepted = self._write(rows, feed, run.raws[skip:], ids[skip:], leaves[skip:], read, grown, kept)
        return accepted if fault is None else replace(accepted, fault=fault)

    def _key(self, feed: bytes) -> bytes:
        public = self.feed_key(feed)
        if public is None:
            raise RemoteError("UNKNOWN_FEED", "no member of this mesh has this feed; wait for its admission")
        return public

    def _peaks(self, rows: Reader, feed: bytes, size: int) -> Peaks:
        """Return the tree over the first `size` leaves held of a feed."""
        row = self._feeds.get(feed)
        if row is None or size == row.peaks.size:
            return row.peaks if row is not None else Peaks()
        return tree.peaks_at(rows, row.number, size)

    def _check_head(self, feed: bytes, public: bytes, head: SignedHead, now: int) -> None:
        if head.time > now + AHEAD_SECONDS_MAX:
            raise RemoteError("DATED_AHEAD", "the checkpoint is dated ahead of our clock", field="time")
        self._check_signed(feed, public, head)

    def _check_signed(self, feed: bytes, public: bytes, head: SignedHead) -> None:
        if not checkpoint.verify_head(public, self.mesh_id, feed, head.size, head.root, head.time, head.signature):
            raise RemoteError("BAD_CHECKPOINT_SIGNATURE", "the feed's key did not sign this checkpoint")

    def _contradicted(self, feed: bytes, theirs: SignedHead) -> None:
        """Raise: `theirs` is signed, and covers other leaves than those held."""
        ours = self.signed_head(feed)
        if ours is not None:
            raise ForkSeen(feed, ours, theirs)
        raise RemoteError("BAD_ROOT", "leaves already held differ, and no checkpoint held signs them")

    def _forked_below(self, rows: Reader, feed: bytes, theirs: SignedHead) -> None:
        known = self.head_at(rows, feed, theirs.size)
        if known is not None and known.root != theirs.root:
            self._contradicted(feed, theirs)

    def _regression(self, rows: Reader, feed: bytes, head: SignedHead) -> ForkSeen | None:
        """Find a kept checkpoint whose size and time stand in the other order to those of `head`, a signed one.

        Kept ones stand in order among themselves (until a fault, which was told), so the two neighbours in time are
        enough, and a head that is not below the newest needs no look at all.
        """
        row = self._feeds.get(feed)
        newest = row.signed if row is not None else None
        if newest is None or (newest.size <= head.size and newest.time <= head.time):
            return None
        before = next(rows.scan("heads", feed, head_key(feed, head.time, 0), limit=1, reverse=True), None)
        after = next(rows.scan("heads", head_key(feed, head.time + 1, 0), prefix_stop(feed), limit=1), None)
        for found in (before, after):
            if found is not None:
                kept = read_head(*found)
                if (kept.time - head.time) * (kept.size - head.size) < 0:
                    return ForkSeen(feed, kept, head)
        return None

    def observe(self, rows: Writer, feed: bytes, head: SignedHead, now: int) -> bool:
        """Take in a checkpoint that came without leaves (a heartbeat). True when it is news.

        Raises RemoteError UNKNOWN_FEED, FEED_GAP (its leaves are not held), DATED_AHEAD,
        BAD_CHECKPOINT_SIGNATURE; ForkSeen.
        """
        public, held = self._key(feed), self.size(feed)
        if head.size > held:
            raise RemoteError("FEED_GAP", f"leaves {held} to {head.size - 1} are missing; ask for them first")
        kept = rows.get("heads", head_key(feed, head.time, head.size))
        if kept is not None and kept[:32] == head.root:
            return False
        self._check_head(feed, public, head, now)
        self._forked_below(rows, feed, head)
        fault = self._regression(rows, feed, head)
        if fault is not None:
            raise fault
        newest = self.signed_head(feed)
        self._keep_head(rows, feed, head)
        return newest is None or (head.size, head.time) > (newest.size, newest.time)

    def _keep_head(self, rows: Writer, feed: bytes, head: SignedHead) -> None:
        rows.put("heads", head_key(feed, head.time, head.size), head.root + head.signature)
        row = self._feeds[feed] if feed in self._feeds else self._open(feed)
        if _is_newer(head, row.signed):
            self._set_feed(rows, feed, FeedRow(row.number, row.peaks, row.iat_max, head))

    def _open(self, feed: bytes) -> FeedRow:
        row = FeedRow(len(self.by_number), Peaks(), 0, None)
        self.by_number.append(feed)
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
        grown: Peaks | None,
        head: SignedHead | None = None,
    ) -> Accepted:
        """Write leaves that follow those held. `grown`: the feed's tree with them, or None when there are none.

        `head`: a checkpoint to keep, which was checked and covers no more than is held then.
        """
        row = self._feeds[feed] if feed in self._feeds else self._open(feed)
        number, start, iat_max = row.number, row.peaks.size, row.iat_max
        below = PeaksBuilder(row.peaks)  # catches up where the device itself signed and its position is judged
        sound: list[Entry] = []
        governance = False

        def is_verified(ident: bytes) -> bool:
            place = rows.get("ids", ident)
            leaf = rows.get("entries", place[:POSITION_BYTES]) if place is not None else None
            return leaf is not None and not read_leaf(leaf).void

        for index, (raw, entry_id, entry) in enumerate(zip(raws, ids, read, strict=True), start):
            flags, place = LEAF_VOID, position(number, index)
            if isinstance(entry, Entry):
                root = b""
                if entry.kid == feed:
                    below.extend(leaves[below.size - start : index - start])
                    root = below.root()
                if judge(entry, self.mesh_id, feed, index, root, iat_max, is_verified) == SOUND:
                    flags, iat_max = LEAF_SOUND, max(iat_max, entry.iat)
                    sound.append(entry)
                    governance |= self._index(rows, Registration(entry, feed, index), place)
            older = rows.get("ids", entry_id)
            if older is None:
                rows.put("ids", entry_id, place)
                rows.put("entries", place, leaf_row(flags, iat_max, entry_id, raw))
            else:
                if not lists_feed(older, place):
                    rows.put("ids", entry_id, older + place)
                rows.put("entries", place, leaf_row(flags | LEAF_ELSEWHERE, iat_max, entry_id, b""))
        stop = start + len(leaves)
        signed = row.signed
        if head is not None:
            rows.put("heads", head_key(feed, head.time, head.size), head.root + head.signature)
            signed = head if _is_newer(head, signed) else signed
        self._set_feed(rows, feed, FeedRow(number, grown or row.peaks, iat_max, signed))
        tree.write_blocks(rows, number, stop, leaves)
        moved = self._awaited.reached(feed, stop) or governance
        if moved:
            past = self.chain.past
            self._refold(rows, (feed,))
            vouch(rows, self.chain.verified())
            if self.chain.past != past:
                rows.put("meta", PAST, self.chain.past)
        elif feed in self.members.forks and feed not in self._clamped:
            self._clamp(rows, [feed])
        return Accepted(feed, start, tuple(sound), moved)

    def _index(self, rows: Writer, registration: Registration, place: bytes) -> bool:
        consents = named_consents(registration.entry)
        for key, value in index_rows(registration, place, consents):
            rows.put("things", key, value)
        for consent in consents:
            self._statuses.pop(consent, None)
            self.delegations.forget(consent)
        if not is_governance(registration.entry.kind):
            return False
        self._register.add(registration)
        return True

    # Branches

    def announced(self, rows: Reader) -> Mapping[bytes, Head]:
        """Return the frontier of a certified seal that follows our newest epoch, and was not followed yet; else {}."""
        forked = {device.party[0] for feed in self.members.forks if (device := self.members.devices.get(feed))}
        return self.chain.announced(view.HeldView(self, rows), forked)

    def drop(self, rows: Writer, feed: bytes, size: int) -> list[Entry]:
        """Give up a feed's leaves from `size` on (`branch.overruled` says when); return the sound entries among them.

        Whoever keeps what was derived from them (`Ticker`) must forget it.
        """
        row = self._feeds[feed]
        dropped = branch.drop_leaves(rows, feed, row.number, size, row.peaks.size)
        last = rows.get("entries", position(row.number, size - 1)) if size else None
        iat_max = read_leaf(last).iat_max if last is not None else 0
        signed = branch.drop_heads(rows, feed, size)
        self._set_feed(rows, feed, FeedRow(row.number, tree.peaks_at(rows, row.number, size), iat_max, signed))
        disown(rows, (entry.id for entry in dropped))
        self.forget(rows)
        return dropped

    # Own statements

    def append(self, rows: Writer, public: bytes, entries: Sequence[Entry], *, now: int | None = None) -> Accepted:
        """Register entries in our own device's feed; `sign_feed` must follow before the transaction ends.

        `now`: unix seconds; entries that come from others must be checked against it, or peers refuse our feed.
        Raises LocalError (nothing is changed) with the void code of an entry that would be void, VOID_BACKDATED also
        for a permissive one dated before what it has seen or names, DATED_AHEAD: we never register any of these.
        """
        feed = keys.thumbprint(public)
        row = self._feeds.get(feed)
        builder, iat_max = PeaksBuilder(self._peaks(rows, feed, self.size(feed))), row.iat_max if row is not None else 0
        ids = [entry.id for entry in entries]
        leaves = [leaf_hash(entry_id) for entry_id in ids]
        for entry, leaf in zip(entries, leaves, strict=True):
            code = judge(entry, self.mesh_id, feed, builder.size, builder.root(), iat_max)
            closure = 0 if is_restrictive(entry.kind) else self.closure_iat(rows, entry.seen, entry.epoch)
            if code == SOUND and entry.iat < closure:
                code = "VOID_BACKDATED"
            if now is not None and entry.iat > now + AHEAD_SECONDS_MAX:
                code = "DATED_AHEAD"
            if code != SOUND:
                raise LocalError(code, f"this {entry.kind} would not count in our feed; make it again")
            builder.append(leaf)
            iat_max = max(iat_max, entry.iat)
        return self._write(rows, feed, [entry.raw for entry in entries], ids, leaves, entries, builder.snapshot())

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


def _lies_under(run: Run, root: bytes) -> bool:
    """Say whether the run's leaves, which end a tree with this root, are proven to lie under its checkpoint."""
    if run.stop == run.head.size:
        return root == run.head.root and not run.path
    return merkle.verify_consistency(run.stop, root, run.head.size, run.head.root, run.path)


def _is_newer(head: SignedHead, than: SignedHead | None) -> bool:
    """Say whether a checkpoint of a feed is its newest one, `than` being the newest so far."""
    return than is None or (head.size, head.time) > (than.size, than.time)


def _ids(run: Run, decoded: Sequence[Decoded] | None) -> list[bytes]:
    """Return the id of each leaf of a run; an entry that was decoded knows its own."""
    if decoded is None:
        return [hashlib.sha256(raw).digest() for raw in run.raws]
    read = zip(run.raws, decoded, strict=True)
    return [entry.id if isinstance(entry, Entry) else hashlib.sha256(raw).digest() for raw, entry in read]


def decode(raw: bytes) -> Decoded:
    """Decode an entry, or return why it is void."""
    try:
        return Entry.decode(raw)
    except RemoteError as error:
        return error


def regression_payload(replica: Replica, seen: ForkSeen) -> dict[str, Any] | None:
    """Return the fork.proof payload when one head is smaller and later than the other, else None (branches differ)."""
    public = replica.feed_key(seen.feed)
    larger, smaller = sorted((seen.ours, seen.theirs), key=lambda head: head.size, reverse=True)
    if public is None or larger.size == smaller.size or smaller.time <= larger.time:
        return None
    return fork.prove_regression(public, larger, smaller)
