"""Ticks: moving the committed maps to a boundary that every node can compute for itself (ledger.md §5).

How it works
    At a boundary B, frontier(B) is, for each feed, the newest checkpoint whose owner's time is not after B. It
    needs no proposer: nodes that hold the same checkpoints compute the same frontier, the same maps and the same
    state root. `move` brings the maps from the tick they stand at to frontier(B) by recomputing only what was named
    in between: the leaves between the old and the new extent of each feed, the entries that waited for a head of
    another feed, and the leaves whose feed counts further, or less far, than before. `rebuild` does it from nothing;
    both must give the same bytes.

    The member map holds every member's standing; the consent map every consent the ledger says anything of.

What it does not do
    It signs no attestation and decides no time: the node asks when a boundary has passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.checkpoint import Head
from ledger.consent import status
from ledger.consent.status import Place, Status
from ledger.entry import Entry
from ledger.feed import SignedHead
from ledger.governance.members import Member, Members, fold
from ledger.index import facts_of, named_consents
from ledger.maps import CONSENTS, MEMBERS, CommittedMap, state_root
from ledger.replica import Replica, digest_of
from ledger.rows import Reader, Writer, prefix_stop
from ledger.tables import SIGNER, TICK_KEY, WAITING, head_key, read_head_key, read_position
from ledger.tables import TICK as TICK_PREFIX

TICK_WAIT_SECONDS: Final = 60  # after a boundary before it is attested: late checkpoints still arrive


@dataclass(frozen=True, slots=True)
class Tick:
    """A boundary the maps stand at: its frontier (with the owners' checkpoints), and what the state hashes to."""

    boundary: int
    heads: Mapping[bytes, SignedHead]
    frontier: bytes
    state_root: bytes
    members: tuple[int, bytes]
    consents: tuple[int, bytes]

    def encode(self) -> bytes:
        """Return the row that remembers the tick."""
        heads = [[feed, *head.as_list()] for feed, head in sorted(self.heads.items())]
        return codec.encode(
            [self.boundary, self.frontier, self.state_root, list(self.members), list(self.consents), heads]
        )

    @classmethod
    def decode(cls, data: bytes) -> Tick:
        """Read the row from our own store."""
        fields: Any = codec.decode(data, max_bytes=len(data))
        boundary, frontier, root, members, consents, heads = fields
        listed = {feed: SignedHead(*rest) for feed, *rest in heads}
        return cls(boundary, listed, frontier, root, (members[0], members[1]), (consents[0], consents[1]))

    @property
    def sizes(self) -> dict[bytes, int]:
        """The leaves of each feed below the frontier."""
        return {feed: head.size for feed, head in self.heads.items()}


class Frontier:
    """The ledger below a tick's frontier: how far each feed goes and counts, and who is a member there."""

    def __init__(self, replica: Replica, rows: Reader, sizes: Mapping[bytes, int]) -> None:
        """`sizes`: leaves of each feed below the frontier."""
        self._replica, self._rows, self._sizes = replica, rows, sizes
        self.members: Members = fold(replica.genesis, replica.registrations, self)

    def size(self, feed: bytes) -> int:
        """Return how many leaves of the feed lie below the frontier."""
        return self._sizes.get(feed, 0)

    def holds(self, entry: Entry) -> bool:
        """Say whether every head the entry names lies below the frontier, as it names it."""
        return all(
            head.size <= self.size(head.feed) and self._replica.held_iat(self._rows, head) is not None
            for head in entry.seen
        )

    def counted(self, feed: bytes) -> int:
        """Return how many leaves of the feed lie below the frontier and within its reach."""
        return min(self.size(feed), self.members.reach(feed))

    def consent(self, grant_id: bytes, feeds: Sequence[bytes]) -> Status | None:
        """Return what the entries below the frontier say of a grant."""
        facts = facts_of(self._rows, grant_id, feeds, self.size)
        if not facts:
            return None
        grant = self._replica.grant(self._rows, grant_id, facts)
        if grant is None:
            return None

        def counts(entry: Entry, places: Sequence[Place]) -> bool:
            return any(index < self.members.reach(feed) for feed, index in places) and self.holds(entry)

        return status.resolve(grant, facts, self.members.reach, self.members.party_of, counts)


def committed_member(member: Member) -> bytes:
    """Return the value that stands for a member in the committed map."""
    return codec.encode([member.party[1], member.state == "member", member.voter, list(member.feeds)])


def heads_at(replica: Replica, rows: Reader, boundary: int) -> dict[bytes, SignedHead]:
    """Return, for each feed, its newest checkpoint with a time not after `boundary`, where one is held."""
    heads: dict[bytes, SignedHead] = {}
    for feed in replica.feeds:
        found = next(rows.scan("heads", feed, head_key(feed, boundary + 1, 0), limit=1, reverse=True), None)
        if found is not None:
            _, time, size = read_head_key(found[0])
            heads[feed] = SignedHead(size, found[1][:32], time, found[1][32:])
    return heads


class Ticker:
    """The committed maps of one replica, and the tick they stand at."""

    def __init__(self, replica: Replica) -> None:
        """Begin with empty maps; `load` reads what the rows hold."""
        self._replica = replica
        self.members = CommittedMap(MEMBERS)
        self.consents = CommittedMap(CONSENTS)
        self.tick: Tick | None = None

    def load(self, rows: Reader) -> None:
        """Read the maps' buckets and the tick they stand at; also after a rolled-back transaction."""
        self.members.load(rows)
        self.consents.load(rows)
        row = rows.get("meta", TICK_KEY)
        self.tick = Tick.decode(row) if row is not None else None

    def ready(self, rows: Reader, boundary: int) -> bool:
        """Say whether every leaf below frontier(boundary) is held, so that the tick can be computed."""
        heads = heads_at(self._replica, rows, boundary)
        return all(head.size <= self._replica.position(feed).size for feed, head in heads.items())

    def move(self, rows: Writer, boundary: int) -> Tick:
        """Move the maps to frontier(boundary) and return the tick. The caller has asked `ready`."""
        heads = heads_at(self._replica, rows, boundary)
        old = Frontier(self._replica, rows, self.tick.sizes if self.tick is not None else {})
        new = Frontier(self._replica, rows, {feed: head.size for feed, head in heads.items()})
        feeds = [self._replica.feed_of(number) for number in range(len(self._replica.feeds))]
        touched = _touched(self._replica, rows, old, new, heads.keys() | (self.tick.sizes if self.tick else {}).keys())
        values: dict[bytes, bytes | None] = {}
        for grant_id in touched:
            found = new.consent(grant_id, feeds)
            values[grant_id] = found.committed() if found is not None else None
        self.consents.update(rows, values)
        self.members.update(rows, _changed(old.members, new.members))
        self.tick = self._tick(boundary, heads)
        rows.put("meta", TICK_KEY, self.tick.encode())
        return self.tick

    def _tick(self, boundary: int, heads: Mapping[bytes, SignedHead]) -> Tick:
        members, consents = self.members.root(), self.consents.root()
        return Tick(
            boundary,
            heads,
            digest_of(Head(feed, head.size, head.root) for feed, head in heads.items()),
            state_root(members, consents, self._replica.genesis.evaluator_version),
            members,
            consents,
        )

    def rebuild(self, rows: Writer, boundary: int) -> Tick:
        """Compute the maps at frontier(boundary) from nothing: what `move` must agree with, byte for byte."""
        for key, _ in list(rows.scan("maps", b"")):
            rows.delete("maps", key)
        self.members, self.consents, self.tick = CommittedMap(MEMBERS), CommittedMap(CONSENTS), None
        return self.move(rows, boundary)


def _changed(old: Members, new: Members) -> dict[bytes, bytes | None]:
    before = {kid: committed_member(member) for kid, member in old.members.items()}
    after = {kid: committed_member(member) for kid, member in new.members.items()}
    changed: dict[bytes, bytes | None] = {kid: None for kid in before if kid not in after}
    changed.update({kid: value for kid, value in after.items() if before.get(kid) != value})
    return changed


def _touched(replica: Replica, rows: Reader, old: Frontier, new: Frontier, feeds: Iterable[bytes]) -> set[bytes]:
    """Return the consents whose value may differ between two frontiers."""
    places: set[tuple[int, int]] = set()
    for feed in feeds:
        number = replica.number(feed)
        for before, after in (
            (old.size(feed), new.size(feed)),
            (old.counted(feed), new.counted(feed)),
        ):
            places.update((number, index) for index in range(min(before, after), max(before, after)))
        low, high = sorted((old.size(feed), new.size(feed)))
        start, stop = (WAITING + feed + (size + 1).to_bytes(8, "big") for size in (low, high))
        places.update(read_position(key) for key, _ in rows.scan("things", start, stop))
    for kid in new.members.devices.keys() ^ old.members.devices.keys():
        prefix = SIGNER + kid
        places.update(read_position(key) for key, _ in rows.scan("things", prefix, prefix_stop(prefix)))
    touched: set[bytes] = set()
    for number, index in places:
        leaf = replica.leaf(rows, replica.feed_of(number), index)
        if not leaf.void:
            touched.update(named_consents(Entry.parse(leaf.raw)))
    return touched


def attestations(rows: Reader, replica: Replica, tick: Tick) -> dict[bytes, tuple[bytes, int]]:
    """Return who attested exactly this tick: device feed -> (entry's feed, index), one a member's device."""
    prefix = TICK_PREFIX + tick.boundary.to_bytes(8, "big")
    found: dict[bytes, tuple[bytes, int]] = {}
    for key, value in rows.scan("things", prefix, prefix_stop(prefix)):
        number, index = read_position(key)
        feed = replica.feed_of(number)
        if value == tick.frontier + tick.state_root and index < replica.members.reach(feed):
            found.setdefault(feed, (feed, index))
    return found


def prune_heads(replica: Replica, rows: Writer, boundary: int) -> None:
    """Drop the checkpoints no later tick needs: all but the newest not after `boundary`, and those after it."""
    for feed in replica.feeds:
        kept = True
        for key, _ in list(rows.scan("heads", feed, head_key(feed, boundary + 1, 0), reverse=True)):
            if not kept:
                rows.delete("heads", key)
            kept = False
