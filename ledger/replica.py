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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger import checkpoint, codec, fork, keys, merkle, tree
from ledger.checkpoint import Head
from ledger.consent import status
from ledger.consent.status import Fact, Place, Status
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import AHEAD_SECONDS_MAX, SOUND, Registration, SignedHead, judge
from ledger.governance.epoch import Genesis
from ledger.governance.members import Members, fold
from ledger.index import facts_of, index_entry
from ledger.kinds import KINDS
from ledger.merkle import EMPTY_ROOT, Peaks, PeaksBuilder, leaf_hash
from ledger.rows import Reader, Writer, prefix_stop
from ledger.tables import (
    GOVERNANCE,
    LEAF_ELSEWHERE,
    LEAF_SOUND,
    LEAF_VOID,
    MESH_KEY,
    FeedRow,
    LeafRow,
    head_key,
    leaf_row,
    position,
    read_leaf,
    read_position,
    read_positions,
)

RUN_LEAVES_MAX: Final = 4_096  # leaves in one ingested run
STATUS_CACHE_MAX: Final = 120_000  # statuses kept in memory; about 400 bytes each
HELD_CACHE_MAX: Final = 20_000  # heads known to be held; about 200 bytes each

Decoded = Entry | RemoteError


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


class _View:
    """The live frontier, as the fold sees it."""

    def __init__(self, replica: Replica, rows: Reader) -> None:
        self._replica, self._rows = replica, rows
        self.waiting = False  # whether an entry names a head that is not held yet

    def size(self, feed: bytes) -> int:
        return self._replica.position(feed).size

    def holds(self, entry: Entry) -> bool:
        held = self._replica.holds(self._rows, entry.seen)
        self.waiting |= not held
        return held


class Replica:
    """The ledger of one mesh. Made by `create` (new rows) or `load` (rows that hold one)."""

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

    def _refold(self, rows: Reader) -> None:
        view = _View(self, rows)
        self.members = fold(self.genesis, self._registrations, view)
        self._waiting = view.waiting
        self._statuses.clear()

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
