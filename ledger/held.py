"""What one node holds of one mesh's ledger, and how it is read: feeds, leaves, heads, and the status of a consent.

How it works
    `Held` mirrors in memory what every question needs (each feed's row, the governance entries, the membership they
    fold to) and reads the rest from the rows handed in with each call. `replica.Replica` adds the taking in.

What it does not do
    It writes nothing and opens no transaction. What a consent means is decided in `consent.status`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ledger import codec, keys, tree
from ledger.checkpoint import Head
from ledger.consent import status
from ledger.consent.standing import carried_grant
from ledger.consent.status import Fact, Place, Status
from ledger.delegations import Delegations
from ledger.entry import Entry
from ledger.errors import LocalError, RemoteError
from ledger.feed import RUN_LEAVES_MAX, Registration, Run, SignedHead
from ledger.governance.chain import Chain
from ledger.governance.epoch import Genesis
from ledger.governance.members import Members
from ledger.governance.register import Register
from ledger.governance.waiting import Awaited
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
from ledger.view import HeldView
from ledger.vouched import vouched

PAST: Final = b"past"  # in "meta": the epoch that is left for no rival any more (governance.chain)
PIN: Final = b"pin "  # in "meta": and the reference of an epoch that our operator vouches for
STATUS_CACHE_MAX: Final = 120_000  # statuses kept in memory; about 400 bytes each
HELD_CACHE_MAX: Final = 4_096  # heads known to be held; about 400 bytes each


class Held:
    """The reading side of a replica."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.mesh_id = genesis.mesh_id
        self.members = Members(
            epoch=genesis.mesh_id, as_of=genesis.entry.iat, forbidden_purposes=genesis.rules.forbidden_purposes
        )
        self._feeds: dict[bytes, FeedRow] = {}
        self.by_number: list[bytes] = []  # feed of each local number
        self._register = Register()
        self.chain = Chain(genesis, self._register)
        self._roots: dict[tuple[bytes, int], tuple[bytes, int]] = {}  # (feed, size) -> root, largest iat below
        self._statuses: dict[bytes, Status | None] = {}
        self.delegations = Delegations()
        self.founding = {keys.thumbprint(device): device for _, device in genesis.founders}  # first devices
        self._digest: bytes | None = None
        self._awaited = Awaited()  # what governance entries wait for
        self._clamped: dict[bytes, Head] = {}  # where feeds with a proven fork stand
        self._dropped = False  # leaves were given up: a rolled-back transaction may bring them back

    def reload(self, rows: Reader) -> None:
        """Forget what memory holds and read it from the rows again: after a rolled-back transaction."""
        feeds = sorted(
            ((FeedRow.decode(row), feed) for feed, row in rows.scan("feeds", b"")), key=lambda p: p[0].number
        )
        self._feeds = {feed: row for row, feed in feeds}
        self.by_number = [feed for _, feed in feeds]
        self._roots.clear()
        self._statuses.clear()
        self.delegations.clear()
        self._digest = None
        self.chain.pins = frozenset(key[len(PIN) :] for key, _ in rows.scan("meta", PIN, prefix_stop(PIN)))
        self.chain.past = rows.get("meta", PAST) or self.mesh_id
        self.chain.trust(vouched(rows))
        self.chain.truncate(self.size)
        self._register.truncate(self.size if not self._dropped else lambda _: 0)
        if not len(self._register):  # else a rolled-back transaction only took leaves from the ends of feeds
            for number, index in map(read_position, self._keys(rows, GOVERNANCE)):
                feed = self.by_number[number]
                self._register.add(Registration(self.leaf_entry(rows, feed, index), feed, index))
        self._refold(rows)

    def forget(self, rows: Reader) -> None:
        """Forget what memory holds of leaves that were given up, within the transaction that does so."""
        self._dropped = True
        self._roots.clear()
        self.chain.truncate(self.size)
        self._register.truncate(self.size)
        self._refold(rows)

    @staticmethod
    def _keys(rows: Reader, prefix: bytes) -> Iterator[bytes]:
        return (key for key, _ in rows.scan("things", prefix, prefix_stop(prefix)))

    def _refold(self, rows: Reader, grown: Iterable[bytes] | None = None) -> None:
        """Fold what is held. `grown`: the feeds of which more is held than at the last time, by default any."""
        view = HeldView(self, rows)
        before, self.members = self.members, self.chain.live(view, grown)
        if not (self.chain.went_on or self.chain.spared):
            self._awaited.clear()
        self._awaited.add(view.missing)
        if self.members is not before:
            self._statuses.clear()
            self.delegations.clear()
        self._clamp(rows, self.members.forks)

    def _clamp(self, rows: Reader, feeds: Iterable[bytes]) -> None:
        """Note where feeds with a proven fork stand: at the hold, as soon as it is reached."""
        self._clamped = {feed: head for feed, head in self._clamped.items() if feed in self.members.forks}
        for feed in feeds:
            head = self.head_at(rows, feed, self.members.forks[feed])
            if head is not None:
                self._clamped[feed] = head
        self._digest = None

    # What is held

    @property
    def feeds(self) -> Mapping[bytes, FeedRow]:
        """Every feed held, by id."""
        return self._feeds

    @property
    def registrations(self) -> Register:
        """Every sound governance entry held."""
        return self._register

    def position(self, feed: bytes) -> Head:
        """Return a feed's size and root as held, leaves appended but not yet signed included."""
        row = self._feeds.get(feed)
        return Head(feed, row.peaks.size, row.peaks.root()) if row is not None else Head(feed, 0, EMPTY_ROOT)

    def size(self, feed: bytes) -> int:
        """Return how many leaves of a feed are held."""
        row = self._feeds.get(feed)
        return row.peaks.size if row is not None else 0

    def signed_head(self, feed: bytes) -> SignedHead | None:
        """Return the newest checkpoint of a feed, or None when there is none."""
        row = self._feeds.get(feed)
        return row.signed if row is not None else None

    def frontier(self) -> dict[bytes, Head]:
        """Return where each feed with a checkpoint stands: at its newest one, or at the hold of a proven fork.

        Two nodes that hold different branches of a feed thus agree again once both know the proof.
        """
        heads: dict[bytes, Head] = {}
        for feed, row in self._feeds.items():
            signed, clamped = row.signed, self._clamped.get(feed)
            if signed is not None:
                cut = clamped is not None and clamped.size < signed.size
                heads[feed] = clamped if clamped is not None and cut else Head(feed, signed.size, signed.root)
        return heads

    def frontier_digest(self) -> bytes:
        """Return the digest of `frontier()`: equal digests, equal ledgers."""
        if self._digest is None:
            self._digest = digest_of(self.frontier().values())
        return self._digest

    def number(self, feed: bytes) -> int:
        """Return a feed's local number. Raises LocalError UNKNOWN_FEED."""
        row = self._feeds.get(feed)
        if row is None:
            raise LocalError("UNKNOWN_FEED", f"no feed {feed.hex()[:16]} is held here")
        return row.number

    def feed_of(self, number: int) -> bytes:
        """Return the feed with this local number."""
        return self.by_number[number]

    def feed_key(self, feed: bytes) -> bytes | None:
        """Return the key of a feed that is taken in, or None. Void admissions count, else late learners hold less."""
        return self.members.feeds.get(feed) or self.founding.get(feed)

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
        leaf = self.leaf(rows, feed, index)
        return Entry.kept(leaf.raw, leaf.entry_id)

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
        """Return the (feed number, index) pairs of an entry's first leaf in each feed; [] when it is not held."""
        row = rows.get("ids", entry_id)
        return read_positions(row) if row is not None else []

    def entry(self, rows: Reader, entry_id: bytes) -> Entry | None:
        """Return an entry by id, or None when it is not held, not well formed or not signed."""
        places = self.places(rows, entry_id)
        if not places:
            return None
        leaf = self.leaf(rows, self.by_number[places[0][0]], places[0][1])
        try:
            # A void leaf may be void because its signature is bad: only a sound one needs no second look.
            return Entry.decode(leaf.raw) if leaf.void else Entry.kept(leaf.raw, entry_id)
        except RemoteError:
            return None

    # Heads

    def head_at(self, rows: Reader, feed: bytes, size: int) -> Head | None:
        """Return a feed's head at a size, or None when so much of it is not held."""
        known = self._at(rows, feed, size)
        return Head(feed, size, known[0]) if known is not None else None

    def _at(self, rows: Reader, feed: bytes, size: int) -> tuple[bytes, int] | None:
        """Return (root, largest iat below) of a feed at a size, or None when so much of it is not held."""
        row = self._feeds.get(feed)
        if size == 0:
            return EMPTY_ROOT, 0
        if row is None or size > row.peaks.size:
            return None
        if size == row.peaks.size:
            return row.peaks.root(), row.iat_max
        known = self._roots.get((feed, size))
        if known is None:
            leaf = rows.get("entries", position(row.number, size - 1))
            if leaf is None:
                raise LocalError("STORE_CORRUPT", f"leaf {size - 1} of feed {feed.hex()[:16]} is missing; restore it")
            known = tree.root_at(rows, row.number, size), read_leaf(leaf).iat_max
            if len(self._roots) >= HELD_CACHE_MAX:
                self._roots.clear()
            self._roots[(feed, size)] = known
        return known

    def held_iat(self, rows: Reader, head: Head) -> int | None:
        """Return the largest iat below a head, or None when it is not held as named."""
        known = self._at(rows, head.feed, head.size)
        return known[1] if known is not None and known[0] == head.root else None

    def resolves(
        self,
        rows: Reader,
        entry: Entry,
        size: Callable[[bytes], int],
        forks: Mapping[bytes, int],
        missing: set[tuple[bytes, int]] | None = None,
    ) -> bool:
        """Say whether what a sound permissive entry has seen is held below `size`, and not dated after the entry.

        A head beyond a proven fork (`forks`: feed -> hold) stands for the feed at its hold: nobody can hold both
        branches. The signer's own feed is not asked for: its leaf was judged there. `missing` gets the (feed, size)
        that a longer feed may bring.
        """
        for head in entry.seen:
            if head.feed == entry.kid:
                continue
            wanted = min(head.size, forks.get(head.feed, head.size))
            if wanted > size(head.feed):
                if missing is not None:
                    missing.add((head.feed, wanted))
                return False
            known = self._at(rows, head.feed, wanted)
            if known is None or known[1] > entry.iat or (wanted == head.size and known[0] != head.root):
                return False
        return True

    def holds(self, rows: Reader, heads: Iterable[Head]) -> bool:
        """Say whether every head is held as named."""
        return all(self.held_iat(rows, head) is not None for head in heads)

    def closure_iat(self, rows: Reader, heads: Iterable[Head], epoch: bytes | None = None) -> int:
        """Return the earliest date of a new entry that names these heads and, in governance, this epoch.

        That is the largest iat below the heads, as far as they are held, or the time of the epoch.
        """
        _, as_of = self.chain.newest.known.get(epoch or b"", (0, 0))
        return max([as_of, *(self.held_iat(rows, head) or 0 for head in heads)])

    def governance_heads(self, own: bytes) -> tuple[Head, ...]:
        """Return what a governance entry of feed `own` names as seen: its own head and the governance heads.

        Governance heads are those that no other governance entry has seen (ledger.md §3); the seven smallest feed
        ids are kept, since omission is allowed and size is not.
        """
        open_feeds = sorted(feed for feed in self._register.unseen() if feed != own)
        return (self.position(own), *(self.position(feed) for feed in open_feeds[:7]))

    # Meaning

    def consent(self, rows: Reader, grant_id: bytes) -> Status | None:
        """Return what the ledger says of a grant now, or None when it says nothing."""
        if grant_id in self._statuses:
            return self._statuses[grant_id]
        missing: set[tuple[bytes, int]] = set()
        found = self.consent_below(rows, grant_id, self.members, self.size, missing)
        if not missing:  # else any batch may complete it
            if len(self._statuses) >= STATUS_CACHE_MAX:
                self._statuses.pop(next(iter(self._statuses)))
            if found is not None:
                grant_id, found = found.grant, status.sharing(found, self.members.known)
            self._statuses[grant_id] = found
        return found

    def consent_below(
        self,
        rows: Reader,
        grant_id: bytes,
        members: Members,
        size: Callable[[bytes], int],
        missing: set[tuple[bytes, int]] | None = None,
    ) -> Status | None:
        """Return what the entries below each feed's `size` say of a grant, `members` being what they fold to."""
        facts = facts_of(rows, grant_id, self.by_number, size)
        grant = self.grant(rows, grant_id, facts)

        def counts(entry: Entry, places: Sequence[Place]) -> bool:
            inside = any(index < members.reach(feed) for feed, index in places)
            return inside and self.resolves(rows, entry, size, members.forks, missing)

        return None if grant is None else status.resolve(grant, facts, members.reach, members.party_of, counts)

    def grant(self, rows: Reader, grant_id: bytes, facts: Iterable[Fact] | None = None) -> Entry | None:
        """Return a grant by id, from a sound leaf of its own or from a withdrawal that carries it.

        `facts`: those to look among, where the caller has them already.
        """
        if facts is None:
            facts = facts_of(rows, grant_id, self.by_number, self.size)
        for fact in facts:
            if fact.row.kind in {"consent.grant", "consent.withdraw"}:
                entry = self.entry(rows, fact.row.entry_id)
                if entry is not None:
                    return carried_grant(entry) if entry.kind == "consent.withdraw" else entry
        return None


def digest_of(heads: Iterable[Head]) -> bytes:
    """Return SHA-256 over the deterministic CBOR of each [feed, size, root] of a frontier, sorted and joined."""
    return hashlib.sha256(b"".join(map(codec.encode, sorted([h.feed, h.size, h.root] for h in heads)))).digest()
