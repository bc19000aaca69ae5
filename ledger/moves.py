"""What a move of the committed maps from one frontier to another has to look at, in an order that can be resumed.

How it works
    The value of a consent may differ between two frontiers only if a leaf that names it came in, counts further or
    less far, waited for a head that came in, or was signed by a device that speaks for another party now. `touched`
    yields such leaves one by one, by place and then by key of the table `things`, each with a cursor: what follows a
    cursor is the same in every later transaction, since the frontiers do not change. A million leaves thus take no
    memory, and a slice of them is a bounded piece of work. A consent may come up more than once: its value is the same.
    What is said of a group moves the outcome of each of its calls: `values_of` finds these.
    `Move` is what is remembered between the slices.

What it does not do
    It writes nothing: `ticks.Ticker` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ledger import codec
from ledger.consent.group import ROLE
from ledger.consent.status import Status
from ledger.delegations import delegation_below
from ledger.entry import Entry
from ledger.feed import SignedHead
from ledger.governance.members import Members, View
from ledger.groups import Below
from ledger.index import named_consents, resting_on
from ledger.keys import thumbprint
from ledger.replica import Replica
from ledger.rows import Reader, prefix_stop
from ledger.tables import SIGNER, WAITING, position, read_position
from ledger.view import HeldView

PLACES: Final = b"\x00"  # cursors of leaves by place; those of rows of `things` begin with the row's key
MOVED: Final = b"\xff"  # the cursor behind all leaves


@dataclass(frozen=True, slots=True)
class Move:
    """A move under way: where to, how far it has come, and which buckets of the consent map wait to be hashed.

    `heads`, `cuts`: as in a tick. `cursor`: of the last leaf dealt with. `buckets`: a bit a bucket.
    """

    boundary: int
    heads: Mapping[bytes, SignedHead]
    cuts: Mapping[bytes, tuple[int, bytes]]
    cursor: bytes = b""
    buckets: int = 0

    @property
    def sizes(self) -> dict[bytes, int]:
        """The leaves of each feed below the frontier."""
        return {feed: self.cuts[feed][0] if feed in self.cuts else head.size for feed, head in self.heads.items()}

    def encode(self) -> tuple[bytes, bytes]:
        """Return the row that says where to, and the row that says how far."""
        heads = [[feed, *head.as_list()] for feed, head in sorted(self.heads.items())]
        cuts = [[feed, *cut] for feed, cut in sorted(self.cuts.items())]
        buckets = self.buckets.to_bytes(-(-self.buckets.bit_length() // 8), "big")
        return codec.encode([self.boundary, heads, cuts]), codec.encode([self.cursor, buckets])

    @classmethod
    def decode(cls, target: bytes, progress: bytes) -> Move:
        """Read the rows from our own store."""
        fields: Any = codec.decode(target, max_bytes=len(target))
        so_far: Any = codec.decode(progress)
        boundary, heads, cuts = fields
        listed = {feed: SignedHead(*rest) for feed, *rest in heads}
        cut = {feed: (size, root) for feed, size, root in cuts}
        return cls(boundary, listed, cut, so_far[0], int.from_bytes(so_far[1], "big"))


class Frontier:
    """The ledger below a tick's frontier: how far each feed goes and counts, and who is a member there."""

    def __init__(self, replica: Replica, rows: Reader, sizes: Mapping[bytes, int]) -> None:
        """`sizes`: leaves of each feed below the frontier."""
        self._replica, self._rows, self._sizes = replica, rows, sizes
        self.members: Members = replica.chain.fold(self)

    def within(self, rows: Reader) -> Frontier:
        """Read through the rows of another transaction from now on; nothing below a frontier changes."""
        self._rows = rows
        return self

    def size(self, feed: bytes) -> int:
        """Return how many leaves of the feed lie below the frontier."""
        return self._sizes.get(feed, 0)

    def holds(self, entry: Entry, forks: Mapping[bytes, int]) -> bool:
        """Say whether every head the entry names lies below the frontier, and none is dated after it."""
        return self._replica.resolves(self._rows, entry, self.size, forks)

    def root(self, feed: bytes, size: int) -> bytes | None:
        """Return the feed's root at a size, or None where so much of it does not lie below the frontier."""
        return self.below(self._sizes).root(feed, size)

    def below(self, sizes: Mapping[bytes, int]) -> View:
        """Return the view of a frontier inside this one."""
        return HeldView(self._replica, self._rows, sizes)

    def counted(self, feed: bytes) -> int:
        """Return how many leaves of the feed lie below the frontier and within its reach."""
        return min(self.size(feed), self.members.reach(feed))

    def consent(self, grant_id: bytes) -> Status | None:
        """Return what the entries below the frontier say of a grant."""
        return self._replica.consent_below(self._rows, grant_id, self.members, self.size)

    def committed(self, ident: bytes) -> bytes | None:
        """Return what the committed map holds of a consent, a delegation or a call; None: nothing is known of it."""
        found = self.consent(ident) or delegation_below(self._replica, self._rows, ident, self.members, self.size)
        return found.committed() if found is not None else self._below().committed(ident)

    def _below(self) -> Below:
        return Below(self._replica, self._rows, self.members, self.size)


def touched(
    replica: Replica, rows: Reader, old: Frontier, new: Frontier, after: bytes = b""
) -> Iterator[tuple[bytes, list[bytes], list[bytes]]]:
    """Yield (cursor, consents, groups) for each leaf behind the cursor `after` whose consents may differ in value.

    `groups`: by kid; the calls of these may differ too. The rows must not change between two steps of the iterator.
    """
    for cursor, (number, index) in _places(replica, rows, old, new, after):
        leaf = replica.leaf(rows, replica.feed_of(number), index)
        entry = None if leaf.void else Entry.kept(leaf.raw, leaf.entry_id)
        yield cursor, [] if entry is None else named_consents(entry), [] if entry is None else _groups(entry)


def _groups(entry: Entry) -> list[bytes]:
    """Return the group about whose members or rules an entry says something, by its kid."""
    if entry.kind in {"group.open", "group.admit"}:
        return [entry.thing[1]]
    given = Entry.parse(entry.payload["links"][0]) if entry.kind == "delegation.revoke" else entry
    joins = given.kind == "delegation.give" and given.payload["role"] == ROLE
    return [thumbprint(given.payload["delegate"])] if joins else []


def values_of(
    replica: Replica, rows: Reader, dealt: Iterable[tuple[bytes, list[bytes], list[bytes]]], new: Frontier
) -> dict[bytes, bytes | None]:
    """Return what the committed map holds of all that `dealt` leaves of `touched` name, calls of groups included."""
    named, groups = set[bytes](), set[bytes]()
    for _, idents, of_groups in dealt:
        named.update(idents)
        groups.update(of_groups)
    for group in groups:
        resting = resting_on(rows, group, replica.by_number, replica.size)
        named.update(fact.row.entry_id for fact in resting if fact.row.kind == "group.call")
    return {ident: new.committed(ident) for ident in named}


def _places(
    replica: Replica, rows: Reader, old: Frontier, new: Frontier, after: bytes
) -> Iterator[tuple[bytes, tuple[int, int]]]:
    spoke = {feed for feed in old.members.devices.keys() | new.members.devices.keys() if _spokesman(old, new, feed)}
    begun = read_position(after) if after[:1] == PLACES else (0, -1)
    if after[:1] in (b"", PLACES):
        for feed in replica.feeds:  # in the order of their numbers; one that came meanwhile lies below no frontier
            number = replica.number(feed)
            for start, stop in _spans(old, new, feed, spoken=feed in spoke):
                first = max(start, begun[1] + 1) if number == begun[0] else start
                for index in range(first, stop) if number >= begun[0] else ():
                    yield PLACES + position(number, index), (number, index)
    for start_key, stop_key in _ranges(replica, old, new, spoke):
        if stop_key is None or after < stop_key:
            for key, _ in rows.scan("things", max(start_key, after), stop_key):
                if key > after:
                    yield key, read_position(key)


def _spans(old: Frontier, new: Frontier, feed: bytes, *, spoken: bool) -> list[tuple[int, int]]:
    """Return the leaves of a feed that came, went, or count otherwise, as ascending ranges that do not overlap."""
    sizes, counted = sorted((old.size(feed), new.size(feed))), sorted((old.counted(feed), new.counted(feed)))
    if spoken:
        return [(0, sizes[1])]
    first, second = sorted(((sizes[0], sizes[1]), (counted[0], counted[1])))
    if second[0] <= first[1]:
        return [(first[0], max(first[1], second[1]))]
    return [first, second]


def _ranges(replica: Replica, old: Frontier, new: Frontier, spoke: set[bytes]) -> list[tuple[bytes, bytes | None]]:
    """Return ranges of `things`, ascending: entries that wait for heads that came or went; those of `spoke`."""
    forked = old.members.forks.keys() | new.members.forks.keys()
    found: list[tuple[bytes, bytes | None]] = [(SIGNER + kid, prefix_stop(SIGNER + kid)) for kid in spoke]
    for feed in replica.feeds:
        low, high = sorted((old.size(feed), new.size(feed)))
        prefix = WAITING + feed
        if feed in forked:  # heads beyond a hold stand for the hold
            found.append((prefix, prefix_stop(prefix)))
        elif low < high:
            found.append((prefix + (low + 1).to_bytes(8, "big"), prefix + (high + 1).to_bytes(8, "big")))
    return sorted(found, key=lambda keys: keys[0])


def _spokesman(old: Frontier, new: Frontier, feed: bytes) -> bool:
    """Say whether a device speaks for another party than it did."""
    return old.members.party_of(feed) != new.members.party_of(feed)
