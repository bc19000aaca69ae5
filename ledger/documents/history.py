"""Which changes make up a document: a pure function of the set of its entries, without Automerge.

How it works
    A document is the set of its effective changes. Each rule is a function of the entry's own feed below it, or of
    the change's own closure, so the set is the same in whatever order entries came, and grows with them:
      D1 the entry counts: `authorised(feed, index)`, which the caller says;
      D2 the bytes are a change of the profile (`change`), by the actor of this feed in this document;
      D3 its seq is the next of that feed, in feed order, and it follows the feed's change before it. So no two changes
         have one (actor, seq), which would let replicas part. What breaks D1 to D4 takes no seq;
      D4 the feed's quota (ENTRIES_MAX to BYTES_MAX) is not used up: a writer can exhaust its own alone;
      D5 every change it follows is effective; until then it waits;
      D6 its operations are numbered on from what it follows, touch only characters inserted there, and delete only
         what still stands there. A change that breaks this is dead, and whatever follows it waits for ever.
    What a change follows, whole, is known by its clock: the newest seq of every actor below it.

    A version is named by its heads: effective changes none of which follows another. `version_id` hashes them.

What it does not do
    It makes no text (`render`) and reads no rows (`shelf`). It does not say who may write, or what an adoption is for.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger import codec
from ledger.documents.change import ACTOR_BYTES, BASE_HASH, BASE_OPS, Change
from ledger.errors import RemoteError

DOCUMENT_ID_BYTES: Final = 16
ENTRIES_MAX: Final = 8_192  # of one feed about one document that are read as changes, right or wrong
CHANGES_MAX: Final = 4_096  # of one feed in one document
OPS_MAX: Final = 131_072  # characters inserted or deleted by one feed in one document
BYTES_MAX: Final = 4 << 20  # of changes of one feed in one document

EFFECTIVE: Final = ""
WAITING: Final = "CHANGE_WAITING"

_DOCUMENT: Final = b"maille-document-v1"

Authorised = Callable[[bytes, int], bool]
"""Says whether a change at leaf `index` of `feed` counts: certified, and below its fork, leave and retirement."""


@dataclass(frozen=True, slots=True)
class Written:
    """The change that stands as leaf `index` of `feed`."""

    feed: bytes
    index: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Counted:
    """An effective change of a document. `clock`: newest seq of every actor below it, itself included."""

    change: Change
    feed: bytes
    index: int
    actor: int
    clock: Sequence[int]


def document_id(feed: bytes, index: int) -> bytes:
    """Return the id of the document that leaf `index` of `feed` opens: no other leaf can open it."""
    return hashlib.sha256(_DOCUMENT + feed + index.to_bytes(8, "big")).digest()[:DOCUMENT_ID_BYTES]


def actor_id(feed: bytes, document: bytes) -> bytes:
    """Return as which actor (16 bytes) a feed writes in a document (governance.md §5)."""
    return hashlib.sha256(feed + document).digest()[:ACTOR_BYTES]


def version_id(document: bytes, heads: Iterable[bytes]) -> bytes:
    """Return the id (32 bytes) of a version: SHA-256 over deterministic CBOR of [document, sorted heads]."""
    return hashlib.sha256(codec.encode([document, sorted(heads)])).digest()


class History:
    """The changes of one document. `document`: its id; `feeds`: of its writers, sorted."""

    def __init__(self, document: bytes, written: Iterable[Written], authorised: Authorised) -> None:
        """Sort the changes of a document out. `written`: in any order, each as often as it likes.

        Of every feed it holds all changes below some size: a feed has no holes.
        """
        self.document = document
        placed: dict[bytes, dict[int, bytes]] = defaultdict(dict)
        for one in written:
            placed[one.feed][one.index] = one.raw
        self.feeds = tuple(sorted(placed))
        self._actors = {actor_id(feed, document): number for number, feed in enumerate(self.feeds)}
        self._verdicts: dict[tuple[bytes, int], str] = {}
        self._changes: dict[bytes, Counted] = {}  # effective ones by hash, each behind those it follows
        self._lines: list[list[Counted]] = [[] for _ in self.feeds]  # effective ones of each actor, by seq
        self._firsts: list[list[int]] = [[] for _ in self.feeds]  # where their operations begin
        self._gone: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}  # deleted: by which (actor, seq)
        self._heads = {BASE_HASH}
        self._seqs = [0] * len(self.feeds)
        self._resolve([one for feed in self.feeds for one in self._line(feed, placed[feed], authorised)])

    # D1 to D4: what a feed's own order decides

    def _line(self, feed: bytes, placed: Mapping[int, bytes], authorised: Authorised) -> list[Counted]:
        """Return the changes of a feed that take a seq, in its order; their clocks are still empty."""
        actor, own = actor_id(feed, self.document), self._actors[actor_id(feed, self.document)]
        line: list[Counted] = []
        ops = size = 0
        for index in sorted(placed)[:ENTRIES_MAX]:
            raw = placed[index]
            if not authorised(feed, index):
                self._verdicts[feed, index] = "CHANGE_UNAUTHORISED"
                continue
            try:
                change = Change.read(raw)
            except RemoteError as error:
                self._verdicts[feed, index] = error.code
                continue
            verdict = EFFECTIVE
            if change.actor != actor:
                verdict = "CHANGE_WRONG_ACTOR"
            elif change.seq != len(line) + 1 or (line and line[-1].change.hash not in change.dependencies):
                verdict = "CHANGE_WRONG_SEQ"
            elif len(line) >= CHANGES_MAX or ops + len(change.inserts) > OPS_MAX or size + len(raw) > BYTES_MAX:
                verdict = "CHANGE_OVER_QUOTA"
            else:
                ops, size = ops + len(change.inserts), size + len(raw)
                line.append(Counted(change, feed, index, own, ()))
            self._verdicts[feed, index] = verdict or WAITING
        self._seqs[own] = len(line)
        return line

    # D5 and D6: what the closure decides

    def _resolve(self, nodes: Sequence[Counted]) -> None:
        followers: dict[bytes, list[Counted]] = defaultdict(list)
        lacking: dict[bytes, int] = {}
        ready: list[Counted] = []
        for node in nodes:
            missing = [one for one in node.change.dependencies if one != BASE_HASH]
            lacking[node.change.hash] = len(missing)
            for one in missing:
                followers[one].append(node)
            if not missing:
                ready.append(node)
        while ready:
            node = ready.pop()
            verdict = self._add(node)
            self._verdicts[node.feed, node.index] = verdict
            for follower in followers[node.change.hash] if verdict == EFFECTIVE else ():
                lacking[follower.change.hash] -= 1
                if not lacking[follower.change.hash]:
                    ready.append(follower)
        # Whatever follows a change begins behind it. In this order Automerge inserts without searching.
        self._changes = dict(sorted(self._changes.items(), key=lambda item: (item[1].change.first, item[0])))

    def _add(self, node: Counted) -> str:
        """Add a change all of whose dependencies are effective, or return why it is dead."""
        change = node.change
        clock, last = array("I", bytes(4 * len(self.feeds))), BASE_OPS
        known = (self._changes[one] for one in change.dependencies if one != BASE_HASH)
        for below in sorted(known, key=lambda one: one.change.last, reverse=True):
            last = max(last, below.change.last)
            if clock[below.actor] < below.change.seq:  # else it lies below a newer one
                clock = array("I", map(max, clock, below.clock))
        if change.first != last + 1:
            return "CHANGE_WRONG_START"
        if not self._touches_only(node, clock):
            return "CHANGE_UNKNOWN_CHARACTER"
        if not self._delete(node, clock):
            return "CHANGE_DELETED_BEFORE"
        clock[node.actor] = change.seq
        self._changes[change.hash] = Counted(change, node.feed, node.index, node.actor, clock)
        self._lines[node.actor].append(self._changes[change.hash])
        self._firsts[node.actor].append(change.first)
        self._heads.difference_update(change.dependencies)
        self._heads.add(change.hash)
        return EFFECTIVE

    def _touches_only(self, node: Counted, clock: Sequence[int]) -> bool:
        """Say whether every character that the change names was inserted below it, or by itself before."""
        change = node.change
        actors = [self._actors.get(actor, -1) for actor in change.actors]
        low, high, inserts, holder = 0, -1, b"", -1  # the change that held the character before: most follow each other
        for place, element in enumerate(change.elements):
            if element is None:
                continue
            number = element[1]
            if element[0] == 0 and number >= change.first:
                if number >= change.first + place or not change.inserts[number - change.first]:
                    return False
                continue
            if element[0] != holder or not low <= number <= high:
                actor = actors[element[0]]
                at = bisect_right(self._firsts[actor], number) - 1 if actor >= 0 else -1
                if at < 0 or at + 1 > clock[actor]:
                    return False
                found = self._lines[actor][at].change
                holder, low, high, inserts = element[0], found.first, found.last, found.inserts
            if number > high or not inserts[number - low]:
                return False
        return True

    def _delete(self, node: Counted, clock: Sequence[int]) -> bool:
        """Note what the change deletes, unless some of it is deleted below it already."""
        change = node.change
        actors = [self._actors.get(actor, -1) for actor in change.actors]
        gone = [
            (actors[element[0]], element[1])
            for element, insert in zip(change.elements, change.inserts, strict=True)
            if element is not None and not insert
        ]
        for element in gone:
            if any(seq <= clock[actor] for actor, seq in self._gone.get(element, ())):
                return False
        for element in gone:
            self._gone[element] = (*self._gone.get(element, ()), (node.actor, change.seq))
        return True

    # What came of it

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The heads of everything effective, sorted: the newest version."""
        return tuple(sorted(self._heads))

    @property
    def changes(self) -> tuple[Counted, ...]:
        """Every effective change, each behind those it follows."""
        return tuple(self._changes.values())

    @property
    def size(self) -> int:
        """How many characters were ever inserted or deleted."""
        return sum(len(node.change.inserts) for node in self._changes.values())

    def verdict(self, feed: bytes, index: int) -> str | None:
        """Return EFFECTIVE, WAITING, or the code of the rule that a change breaks; None for another leaf."""
        return self._verdicts.get((feed, index))

    @property
    def verdicts(self) -> Mapping[tuple[bytes, int], str]:
        """The verdict on every change, by its place."""
        return self._verdicts

    def next_seq(self, feed: bytes) -> int | None:
        """Return the seq that a feed's next change takes; None while a change of its own waits, or is dead."""
        number = self._actors.get(actor_id(feed, self.document))
        if number is None:
            return 1
        return self._seqs[number] + 1 if self._seqs[number] == len(self._lines[number]) else None

    def is_version(self, heads: Sequence[bytes]) -> bool:
        """Say whether these are, sorted, the heads of a version whose every change is effective."""
        if not heads or list(heads) != sorted(set(heads)):
            return False
        if BASE_HASH in heads:
            return len(heads) == 1
        nodes = [self._changes.get(head) for head in heads]
        for node in nodes:
            if node is None or any(
                other is not None and other is not node and other.clock[node.actor] >= node.change.seq
                for other in nodes
            ):
                return False
        return True

    def below(self, heads: Iterable[bytes]) -> tuple[Counted, ...]:
        """Return the changes of a version, each behind those it follows. `heads`: see `is_version`."""
        tops = [self._changes[head] for head in heads if head != BASE_HASH]
        clock = [max(seqs) for seqs in zip(*(node.clock for node in tops), strict=True)]
        return tuple(node for node in self.changes if clock and node.change.seq <= clock[node.actor])
