"""Statements that cannot count yet, by what they wait for: an entry wakes what waits for it, and nothing else.

How it works
    `causes` says of a statement that a fold left over which events may let it have an effect: a feed that gets an owner
    or comes to count, a feed of which more is held. What nothing of the kind can help (its vote is on no known
    proposal, its epoch is unknown) has no cause: only a fold from a base looks at it again. `Waiting` keeps statements
    under each of their causes; whatever comes first takes them out. It names more causes than need be rather than one
    too few: whoever is woken in vain is put back.

    `park` bounds what an epoch hands on to the next: of each feed the first `WAITING_A_FEED_MAX` that wait, what only
    restricts first, then what its own device says, and `WAITING_MAX` of all feeds. The others are parked, and `due`
    lets so many of them have their turn, in that order, at the next seal as there is room for. Both follow from what is
    sealed alone, so all nodes park the same; whoever says much that waits for nothing parks its own.
    A fold from a base leaves out what is `mute`: statements of kinds that have no effect while a head they name is not
    held. It looks at them again when that head comes, or a fork is proven.

What it does not do
    It says of nothing whether it counts, and loses nothing: every statement in it stands in the register too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Final

from ledger.feed import Registration
from ledger.governance import edges
from ledger.governance.roster import View
from ledger.governance.state import Base
from ledger.kinds import KINDS

WAITING_A_FEED_MAX: Final = 256
"""Statements of one feed that a seal hands on to be looked at in every fold; the others wait for their turn."""
WAITING_MAX: Final = 4_096
"""Statements of all feeds that a seal so hands on: shared alike among those that have any, at least one each."""

MARKS_SPARE: Final = 1_024
"""Marks of what is awake again that may lie about, beside as many as there are mute ones."""

MUTE: Final = frozenset({"proposal", "vote", "vote.delegate", "vote.default", "tenant.host"}) | edges.POSITIVE
"""Kinds that a fold does not even look at while what they have seen is not held."""

Place = tuple[bytes, int]  # (feed, index)
Mark = tuple[int, Place]  # a number that is given once, and the statement that was put to sleep with it


def causes(work: Base, registration: Registration, view: View) -> tuple[set[bytes], tuple[bytes, int] | None]:
    """Return the feeds and the (feed, size) that may wake a statement which a fold over `work` left over."""
    entry = registration.entry
    named = {registration.feed}
    match entry.kind:
        case kind if kind in edges.TENANTS:
            named.add(entry.kid)
        case "device.retire":
            named.add(entry.thing[1])
        case "device.certify" if "predecessor" in entry.payload:
            named.add(entry.payload["predecessor"][0])
        case "member.repair":
            named.add(work.reaches.proofs.get(entry.payload["fork"], registration.feed))
        case _:
            pass
    feeds = {feed for feed in named if feed not in work.active or feed not in work.reaches.owners}
    return feeds, None if KINDS[entry.kind].restrictive else missing(registration, view.size, work.reaches.forks)


def missing(
    registration: Registration, size: Callable[[bytes], int], forks: dict[bytes, int]
) -> tuple[bytes, int] | None:
    """Return the first (feed, size) that a permissive statement has seen and that is not held, or None."""
    for head in registration.entry.seen:
        wanted = min(head.size, forks.get(head.feed, head.size))
        if head.feed != registration.entry.kid and wanted > size(head.feed):
            return head.feed, wanted
    return None


def is_mute(work: Base, registration: Registration) -> bool:
    """Say whether a statement has no effect at all on a fold while a head that it has seen is not held.

    Others have: they name a device's owner, take one of a day's invitations, or are the first to name a later epoch.
    """
    marks = work.ages.get(registration.feed, ())
    return registration.entry.kind in MUTE and all(index != registration.index for index, _ in marks)


class Waiting:
    """See the module. Each statement is in it once, under all its causes. `mute`: places of those that are so."""

    def __init__(self) -> None:
        self.mute: dict[Place, tuple[int, Registration]] = {}
        self._asleep: dict[Place, tuple[int, Registration]] = {}
        self._by_feed: dict[bytes, list[Mark]] = {}
        self._by_head: dict[bytes, list[tuple[int, Mark]]] = {}  # by feed: a heap of (size, mark)
        self._given = 0
        self._swept = 0  # how many marks were given when those that stand for nothing were last thrown away

    def __len__(self) -> int:
        """Return how many statements wait for something."""
        return len(self._asleep) + len(self.mute)

    def renew(self) -> None:
        """Forget all but the mute: a fold looks at the rest again."""
        self._asleep = {}
        if self._given - self._swept > len(self.mute) + MARKS_SPARE:
            self._sweep()

    def _sweep(self) -> None:
        """Throw away the marks that stand for nothing: an epoch that nobody seals may see any number of folds."""
        by_feed = {feed: [mark for mark in marks if self._stands(mark)] for feed, marks in self._by_feed.items()}
        by_head = {feed: [at for at in heap if self._stands(at[1])] for feed, heap in self._by_head.items()}
        self._by_feed = {feed: marks for feed, marks in by_feed.items() if marks}
        self._by_head = {feed: sorted(heap) for feed, heap in by_head.items() if heap}  # a sorted list is a heap
        self._swept = self._given

    def _stands(self, mark: Mark) -> bool:
        number, place = mark
        found = self._asleep.get(place) or self.mute.get(place)
        return found is not None and found[0] == number

    def put(
        self, registration: Registration, feeds: Iterable[bytes], head: tuple[bytes, int] | None, *, mute: bool = False
    ) -> None:
        """Let a statement wait for feeds, and for a head. Without a cause it is not kept."""
        self._given += 1
        place = (registration.feed, registration.index)
        mark, has_cause = (self._given, place), head is not None
        for feed in feeds:
            self._by_feed.setdefault(feed, []).append(mark)
            has_cause = True
        if head is not None:
            heappush(self._by_head.setdefault(head[0], []), (head[1], mark))
        if has_cause:
            table = self.mute if mute and head is not None else self._asleep
            table[place] = self._given, registration

    def counting(self, feeds: Iterable[bytes]) -> list[Registration]:
        """Take out what waits for feeds that have an owner now, or have come to count."""
        return [each for feed in feeds for each in self._woken(self._by_feed.pop(feed, ()))]

    def held(self, size: Callable[[bytes], int], grown: Iterable[bytes] | None = None) -> list[Registration]:
        """Take out what waits for no more than is held now. `grown`: the feeds to look at; all where it is None."""
        found: list[Registration] = []
        for feed in list(self._by_head) if grown is None else grown:
            found += self._woken(self._reached(feed, size(feed)))
        return found

    def _reached(self, feed: bytes, size: int) -> Iterator[Mark]:
        heap = self._by_head.get(feed, [])
        while heap and heap[0][0] <= size:
            yield heappop(heap)[1]
        if not heap:
            self._by_head.pop(feed, None)

    def _woken(self, marks: Iterable[Mark]) -> Iterator[Registration]:
        """Take out what these marks stand for; an older mark stands for nothing any more."""
        for number, place in marks:
            for table in (self._asleep, self.mute):
                found = table.get(place)
                if found is not None and found[0] == number:
                    del table[place]
                    yield found[1]


class Awaited:
    """The sizes that feeds must reach before a fold could find anything else."""

    def __init__(self) -> None:
        self._sizes: dict[bytes, list[int]] = {}  # by feed: a heap
        self._known: set[tuple[bytes, int]] = set()

    def clear(self) -> None:
        """Wait for nothing."""
        self._sizes.clear()
        self._known.clear()

    def add(self, missing: Iterable[tuple[bytes, int]]) -> None:
        """Wait for more: (feed, size)."""
        for feed, size in [each for each in missing if each not in self._known]:
            heappush(self._sizes.setdefault(feed, []), size)
            self._known.add((feed, size))

    def reached(self, feed: bytes, size: int) -> bool:
        """Say whether a feed was to hold as much as it does now; what it has reached is waited for no more."""
        sizes, found = self._sizes.get(feed, []), False
        while sizes and sizes[0] <= size:
            self._known.remove((feed, heappop(sizes)))
            found = True
        if not sizes:
            self._sizes.pop(feed, None)
        return found


# Between epochs


def due(base: Base) -> tuple[Registration, ...]:
    """Return what was parked and has its turn at the seal that follows an epoch: as much as its feed has room for.

    What only restricts comes first, as it does in `park`: no waiting permission keeps it from its turn.
    """
    taken = Counter(each.feed for each in base.pending)
    found = []
    for each in sorted(base.parked, key=_turn):
        if taken[each.feed] < WAITING_A_FEED_MAX:
            taken[each.feed] += 1
            found.append(each)
    return tuple(found)


def _turn(each: Registration) -> tuple[bool, bool, int]:
    """Order what a feed has: what only restricts, then what its own device says, then what it registered for others.

    Else whoever has a member register much that waits for nothing keeps that member's own word waiting.
    """
    return not KINDS[each.entry.kind].restrictive, each.entry.kid != each.feed, each.index


def park(work: Base, again: Iterable[Registration]) -> None:
    """Bound what waits in a new epoch's tables. `again`: what had its turn, and is not parked now unless it is anew."""
    waiting: dict[bytes, list[Registration]] = defaultdict(list)
    for each in work.pending:
        waiting[each.feed].append(each)
    share = max(1, min(WAITING_A_FEED_MAX, WAITING_MAX // max(1, len(waiting))))
    kept, over = list[Registration](), list[Registration]()
    for _, listed in sorted(waiting.items()):
        listed.sort(key=_turn)
        kept += listed[:share]
        over += listed[share:]
    had = {(each.feed, each.index) for each in again}
    parked = [*over, *(each for each in work.parked if (each.feed, each.index) not in had)]
    work.pending = tuple(sorted(kept, key=lambda each: (each.feed, each.index)))
    work.parked = tuple(sorted(parked, key=lambda each: (each.feed, each.index)))
