"""Ticks: moving the committed maps to a boundary that every node can compute for itself (ledger.md §5).

How it works
    At a boundary B, frontier(B) is, for each feed, the newest checkpoint whose owner's time is not after B. It
    needs no proposer: nodes that hold the same checkpoints compute the same frontier, the same maps and the same
    state root. `move` brings the maps from the tick they stand at to frontier(B) by recomputing only what was named
    in between: the leaves between the old and the new extent of each feed, the entries that waited for a head of
    another feed, and the leaves whose feed counts further, or less far, than before. `rebuild` does it from nothing;
    both must give the same bytes. A feed with a proven fork stands at its hold at most (ledger.md §4), so that nodes
    with different branches agree again: which proofs cut is read off the checkpoints' extents, what the entries mean
    off the cut ones.

    A move of many leaves is done in steps, each a transaction of its own (`begin`, `step`; ledger/moves.py).

    The member map holds every member's standing; the consent map every consent, delegation and call of a group that the
    ledger says anything of.

What it does not do
    It signs no attestation and decides no time: the node asks when a boundary has passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from ledger import codec
from ledger.checkpoint import Head
from ledger.errors import LocalError
from ledger.feed import SignedHead
from ledger.governance.members import Member, Members
from ledger.governance.policy import voice
from ledger.governance.rules import voices
from ledger.maps import CONSENTS, MEMBERS, CommittedMap, state_root
from ledger.moves import MOVED, Frontier, Move, touched, values_of
from ledger.overlay import Draft
from ledger.replica import Replica, digest_of
from ledger.rows import Reader, Writer, prefix_stop
from ledger.tables import KEPT_KEY, MOVE_KEY, NAMED, PROGRESS_KEY, TICK_KEY, head_key, read_head, read_position
from ledger.tables import TICK as TICK_PREFIX
from ledger.view import HeldView

TICK_WAIT_SECONDS: Final = 60  # after a boundary before it is attested: late checkpoints still arrive
TICKS_KEPT: Final = 1_000  # ticks remembered with their frontiers, so that a proof can show an earlier state
MOVE_LEAVES: Final = 512  # whose consents one step of a move computes anew
MOVE_BUCKETS: Final = 256  # of the consent map that one step hashes anew
DRAFT_LEAVES_MAX: Final = 50_000  # between the maps and a frontier whose state root is asked for (a few seconds)
_BOUNDARY_MAX: Final = 2**62


@dataclass(frozen=True, slots=True)
class Tick:
    """A boundary the maps stand at: its frontier (with the owners' checkpoints), and what the state hashes to.

    `cuts`: where feeds with a proven fork stand, below their checkpoint: feed -> (size, root).
    """

    boundary: int
    heads: Mapping[bytes, SignedHead]
    frontier: bytes
    state_root: bytes
    members: tuple[int, bytes]
    consents: tuple[int, bytes]
    cuts: Mapping[bytes, tuple[int, bytes]] = field(default_factory=dict)

    def digest(self) -> bytes:
        """Return what `frontier` must be: the digest of the heads, cut where a fork is proven."""
        heads = self.heads.items()
        return digest_of(Head(feed, *self.cuts.get(feed, (head.size, head.root))) for feed, head in heads)

    def encode(self) -> bytes:
        """Return the row that remembers the tick."""
        heads = [[feed, *head.as_list()] for feed, head in sorted(self.heads.items())]
        cuts = [[feed, *cut] for feed, cut in sorted(self.cuts.items())]
        roots = [list(self.members), list(self.consents)]
        return codec.encode([self.boundary, self.frontier, self.state_root, *roots, heads, cuts])

    @classmethod
    def decode(cls, data: bytes) -> Tick:
        """Read the row from our own store."""
        fields: Any = codec.decode(data, max_bytes=len(data))
        boundary, frontier, root, members, consents, heads, cuts = fields
        listed = {feed: SignedHead(*rest) for feed, *rest in heads}
        cut = {feed: (size, cut_root) for feed, size, cut_root in cuts}
        return cls(boundary, listed, frontier, root, (members[0], members[1]), (consents[0], consents[1]), cut)

    def is_contradicted(self, attestation: Mapping[str, Any]) -> bool:
        """Say whether an attestation (its payload) gives this very frontier another state."""
        said = (attestation["boundary"], attestation["frontier"])
        return said == (self.boundary, self.frontier) and attestation["state_root"] != self.state_root

    @property
    def sizes(self) -> dict[bytes, int]:
        """The leaves of each feed below the frontier."""
        return {feed: self.cuts[feed][0] if feed in self.cuts else head.size for feed, head in self.heads.items()}


def committed_member(member: Member) -> bytes:
    """Return the value that stands for a member in the committed map."""
    return codec.encode([member.party[1], member.state == "member", member.voter, list(member.feeds)])


def heads_at(replica: Replica, rows: Reader, boundary: int) -> dict[bytes, SignedHead]:
    """Return, for each feed, its newest checkpoint with a time not after `boundary`, where one is held."""
    heads: dict[bytes, SignedHead] = {}
    for feed in replica.feeds:
        found = next(rows.scan("heads", feed, head_key(feed, boundary + 1, 0), limit=1, reverse=True), None)
        if found is not None:
            heads[feed] = read_head(*found)
    return heads


def cuts_below(replica: Replica, rows: Reader, heads: Mapping[bytes, SignedHead]) -> dict[bytes, tuple[int, bytes]]:
    """Return where feeds stand whose fork is proven below these checkpoints, and below their own checkpoint.

    Never below what a seal holds, as everywhere: else the maps would stay below that seal for ever.
    """
    if not replica.members.forks:
        return {}
    holds = replica.chain.fold(HeldView(replica, rows, {feed: head.size for feed, head in heads.items()})).forks
    cut = {feed: replica.head_at(rows, feed, size) for feed, size in holds.items() if feed in heads}
    return {feed: (at.size, at.root) for feed, at in cut.items() if at and at.size < heads[feed].size}


def _remembered(boundary: int) -> bytes:
    return TICK_KEY + boundary.to_bytes(8, "big")


def _retire(rows: Writer, key: bytes, row: bytes) -> None:
    """Remember a tick no longer, but keep it where a transfer receipt names it: its proof needs the frontier."""
    rows.delete("meta", key)
    named = NAMED + Tick.decode(row).frontier
    if next(rows.scan("things", named, prefix_stop(named), limit=1), None) is not None:
        rows.put("meta", KEPT_KEY + key[len(TICK_KEY) :], row)


class Ticker:
    """The committed maps of one replica, and the tick they stand at."""

    def __init__(self, replica: Replica) -> None:
        """Begin with empty maps; `load` reads what the rows hold."""
        self._replica = replica
        self.members = CommittedMap(MEMBERS)
        self.consents = CommittedMap(CONSENTS)
        self.tick: Tick | None = None
        self.moving: Move | None = None
        self._frontiers: tuple[Frontier, Frontier] | None = None
        self._remembered = 0

    def load(self, rows: Reader) -> None:
        """Read the maps' buckets and the tick they stand at; also after a rolled-back transaction."""
        self.members.load(rows)
        self.consents.load(rows)
        row = rows.get("meta", TICK_KEY)
        self.tick = Tick.decode(row) if row is not None else None
        target, progress = rows.get("meta", MOVE_KEY), rows.get("meta", PROGRESS_KEY)
        self._aim(Move.decode(target, progress) if target is not None and progress is not None else None)
        self._remembered = sum(1 for _ in rows.scan("meta", _remembered(0), _remembered(_BOUNDARY_MAX)))

    def ready(self, rows: Reader, boundary: int) -> bool:
        """Say whether every leaf below frontier(boundary) is held, so that the tick can be computed."""
        heads = heads_at(self._replica, rows, boundary)
        return all(head.size <= self._replica.position(feed).size for feed, head in heads.items())

    def move(self, rows: Writer, boundary: int) -> Tick:
        """Move the maps to frontier(boundary) in one go and return the tick. The caller has asked `ready`.

        A move under way is brought to its end first.
        """
        if self.moving is not None:
            self.finish(rows)
        self.begin(rows, boundary)
        return self.finish(rows)

    def begin(self, rows: Reader, boundary: int) -> None:
        """Begin to move the maps to frontier(boundary), by way of `step`. The caller has asked `ready`."""
        heads = heads_at(self._replica, rows, boundary)
        self._aim(Move(boundary, heads, cuts_below(self._replica, rows, heads)))

    def _aim(self, move: Move | None) -> None:
        self.moving, self._frontiers = move, None

    def finish(self, rows: Writer) -> Tick:
        """Bring the move under way to its end and return the tick."""
        while (tick := self.step(rows)) is None:
            pass
        return tick

    def step(self, rows: Writer, leaves: int = MOVE_LEAVES, buckets: int = MOVE_BUCKETS) -> Tick | None:
        """Do a bounded part of the move under way; return the tick when it was the last, else None.

        In between the maps stand at no tick: nothing is proven or attested from them (`moving`). How far the move has
        come is in the rows, so a crash or a rolled-back transaction loses no more than its own part.
        Raises LocalError NOT_MOVING.
        """
        move = self.moving
        if move is None:
            raise LocalError("NOT_MOVING", "no move of the committed maps is under way; begin one")
        old, new = self._ends(rows, move)
        dealt = list(islice(touched(self._replica, rows, old, new, move.cursor), leaves))
        stale = move.buckets | self.consents.stage(rows, values_of(self._replica, rows, dealt, new))
        cursor = dealt[-1][0] if len(dealt) == leaves else MOVED
        if cursor == MOVED:
            stale = self.consents.rehash(rows, stale, buckets)
            if not stale:
                self.members.update(rows, changed_members(old.members, new.members))
                return self._arrive(rows, move)
        self.moving = replace(move, cursor=cursor, buckets=stale)
        target, progress = self.moving.encode()
        if rows.get("meta", MOVE_KEY) != target:
            rows.put("meta", MOVE_KEY, target)
        rows.put("meta", PROGRESS_KEY, progress)
        return None

    def _ends(self, rows: Reader, move: Move) -> tuple[Frontier, Frontier]:
        """Return the frontiers between which the maps move; they are folded once, not in every step."""
        if self._frontiers is None:
            before = self.tick.sizes if self.tick is not None else {}
            self._frontiers = Frontier(self._replica, rows, before), Frontier(self._replica, rows, move.sizes)
        return self._frontiers[0].within(rows), self._frontiers[1].within(rows)

    def _arrive(self, rows: Writer, move: Move) -> Tick:
        """Note that the maps stand at a tick."""
        boundary = move.boundary
        self._aim(None)
        rows.delete("meta", MOVE_KEY)
        rows.delete("meta", PROGRESS_KEY)
        self.tick = self._tick(boundary, move.heads, move.cuts)
        row = self.tick.encode()
        rows.put("meta", TICK_KEY, row)
        if rows.get("meta", _remembered(boundary)) is None:
            oldest = next(rows.scan("meta", _remembered(0), _remembered(boundary), limit=1), None)
            if oldest is not None and self._remembered >= TICKS_KEPT:
                _retire(rows, *oldest)
            else:
                self._remembered += 1
        rows.put("meta", _remembered(boundary), row)
        return self.tick

    def root_at(self, rows: Reader, sizes: Mapping[bytes, int]) -> bytes | None:
        """Return the state root at any frontier, the maps staying where they are. `sizes`: leaves of each feed.

        None when more than `DRAFT_LEAVES_MAX` leaves lie between, or a move is under way: the maps have to move first.
        """
        before = self.tick.sizes if self.tick is not None else {}
        apart = sum(abs(sizes.get(feed, 0) - before.get(feed, 0)) for feed in {*sizes, *before})
        if apart > DRAFT_LEAVES_MAX or self.moving is not None:
            return None
        draft, members, consents = Draft(rows), self.members.copy(), self.consents.copy()
        old, new = Frontier(self._replica, rows, before), Frontier(self._replica, rows, sizes)
        dealt = touched(self._replica, rows, old, new)
        consents.update(draft, values_of(self._replica, rows, dealt, new))
        members.update(draft, changed_members(old.members, new.members))
        return state_root(members.root(), consents.root(), self._replica.genesis.evaluator_version)

    def remembered(self, rows: Reader, at: int) -> Tick | None:
        """Return the newest tick computed here with a boundary not after `at` (unix seconds), as far as it is kept."""
        found = next(rows.scan("meta", _remembered(0), _remembered(at + 1), limit=1, reverse=True), None)
        return Tick.decode(found[1]) if found is not None else None

    def newest(self, rows: Reader, most: int) -> Iterator[Tick]:
        """Yield the newest ticks computed here, at most so many, the newest first."""
        if self.tick is not None:
            yield self.tick
            before = rows.scan("meta", _remembered(0), _remembered(self.tick.boundary), limit=most - 1, reverse=True)
            yield from (Tick.decode(row) for _, row in before)

    def kept(self, rows: Reader, boundary: int) -> Tick | None:
        """Return the tick of a boundary that is remembered, or was kept because a receipt names it; else None."""
        row = rows.get("meta", _remembered(boundary)) or rows.get("meta", KEPT_KEY + boundary.to_bytes(8, "big"))
        return Tick.decode(row) if row is not None else None

    def _tick(self, boundary: int, heads: Mapping[bytes, SignedHead], cuts: Mapping[bytes, tuple[int, bytes]]) -> Tick:
        members, consents = self.members.root(), self.consents.root()
        return Tick(
            boundary,
            heads,
            digest_of(Head(feed, *cuts.get(feed, (head.size, head.root))) for feed, head in heads.items()),
            state_root(members, consents, self._replica.genesis.evaluator_version),
            members,
            consents,
            cuts,
        )

    def rebuild(self, rows: Writer, boundary: int) -> Tick:
        """Compute the maps at frontier(boundary) from nothing: what `move` must agree with, byte for byte."""
        self._clear(rows)
        return self.move(rows, boundary)

    def rebuild_at(self, rows: Writer, tick: Tick) -> Tick:
        """Compute the maps at a tick's own frontier from nothing, whatever checkpoints arrived since."""
        self._clear(rows)
        self._aim(Move(tick.boundary, tick.heads, tick.cuts))
        return self.finish(rows)

    def forget(self, rows: Writer, feed: bytes, size: int) -> None:
        """Forget the maps if they rest on leaves of a feed from `size` on, which were given up; ticks make new ones."""
        ends = [self.tick.sizes if self.tick is not None else {}, self.moving.sizes if self.moving is not None else {}]
        if any(sizes.get(feed, 0) > size for sizes in ends):
            self._clear(rows)
            rows.delete("meta", TICK_KEY)

    def _clear(self, rows: Writer) -> None:
        for key, _ in list(rows.scan("maps", b"")):
            rows.delete("maps", key)
        self.members, self.consents, self.tick = CommittedMap(MEMBERS), CommittedMap(CONSENTS), None
        self._aim(None)
        rows.delete("meta", MOVE_KEY)
        rows.delete("meta", PROGRESS_KEY)


def changed_members(old: Members, new: Members) -> dict[bytes, bytes | None]:
    """Return the committed values of the members that differ; None: no longer a member of the map."""
    before = {kid: committed_member(member) for kid, member in old.members.items()}
    after = {kid: committed_member(member) for kid, member in new.members.items()}
    changed: dict[bytes, bytes | None] = {kid: None for kid in before if kid not in after}
    changed.update({kid: value for kid, value in after.items() if before.get(kid) != value})
    return changed


def attestations(rows: Reader, replica: Replica, tick: Tick) -> dict[bytes, tuple[bytes, int]]:
    """Return who attested exactly this tick: device feed -> (entry's feed, index), one a member's device."""
    found: dict[bytes, tuple[bytes, int]] = {}
    for feed, index in _attesting(rows, replica, tick):
        found.setdefault(feed, (feed, index))
    return found


def _attesting(rows: Reader, replica: Replica, tick: Tick) -> Iterator[tuple[bytes, int]]:
    return ((feed, index) for root, feed, index in _said_of(rows, replica, tick) if root == tick.state_root)


def _said_of(rows: Reader, replica: Replica, tick: Tick) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield each attestation of a tick's very frontier that counts: the state root it gives, feed and index."""
    prefix = TICK_PREFIX + tick.boundary.to_bytes(8, "big")
    for key, value in rows.scan("things", prefix, prefix_stop(prefix)):
        number, index = read_position(key)
        feed = replica.feed_of(number)
        if value[:32] == tick.frontier and index < replica.members.reach(feed):
            yield value[32:], feed, index


def attested(rows: Reader, replica: Replica, ticks: Iterable[Tick], need: int) -> Tick | None:
    """Return the first of these ticks that so many members attest, affiliated ones counted once (governance.md §4)."""
    members, groups = replica.members, voices(replica.chain.newest.rules.affiliations)
    for tick in ticks:
        heard = set[bytes]()
        for device, _ in _attesting(rows, replica, tick):
            heard.add(voice(members.party_of(device), groups))
            if len(heard) >= need:
                return tick
    return None


def contradictions(rows: Reader, replica: Replica, tick: Tick) -> tuple[bytes, ...]:
    """Return the devices that attest another state of this tick's very frontier: a bug or an attack, never silent."""
    return tuple(sorted({feed for root, feed, _ in _said_of(rows, replica, tick) if root != tick.state_root}))


def prune_heads(replica: Replica, rows: Writer, boundary: int) -> None:
    """Drop the checkpoints no later tick needs: all but the newest not after `boundary`, and those after it."""
    for feed in replica.feeds:
        older = rows.scan("heads", feed, head_key(feed, boundary + 1, 0), reverse=True)
        for key, _ in list(older)[1:]:
            rows.delete("heads", key)
