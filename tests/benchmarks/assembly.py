"""A mesh that governs itself, at any size: signed entries in the order in which they were made, seals included.

How it works
    `Assembly` is a `tests.ledger.governance.polity.Polity` that keeps one chain over a growing register, so that each
    seal costs its own epoch alone. `statements` lets its founders, who are the voters, found it, admit members (three
    entries each) and link with them; propose charters, policies, admissions, suspensions and expulsions and vote on
    them; delegate and set defaults; replace devices, leave and sever. A seal is made as soon as `cadence` entries wait
    (never, where it is 0). `kept` keeps the bytes between runs, under a name that changes with the parameters and
    with the sources that decide them.
    `Grown` is what a node holds after so many of these entries: a view whose roots were computed beforehand.

What it does not do
    It holds no consents, no forks and no rival seals, and no voter is silent.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import msgspec

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance.certificate import Seal
from ledger.governance.chain import Chain
from ledger.governance.epoch import Genesis
from ledger.governance.members import Party
from ledger.governance.register import Register
from ledger.governance.rules import Rules
from ledger.governance.sealing import Terms
from ledger.governance.state import Base
from ledger.merkle import EMPTY_ROOT, PeaksBuilder, leaf_hash
from tests.benchmarks import measure
from tests.ledger.governance.polity import Polity
from tests.worlds import Member, Scribe

_HERE = Path(__file__).parent
_MADE_BY = (  # a seal that was made by other rules than those in force would not be followed
    Path(__file__),
    _HERE / "../worlds.py",
    _HERE / "../ledger/governance/polity.py",
    *sorted((measure.ROOT / "ledger" / "governance").glob("*.py")),
)

Roots = dict[tuple[bytes, int], bytes]


@dataclass(frozen=True, slots=True)
class Shape:
    """How large: governance entries in all, voters, entries that wait for a seal (0: none is ever made)."""

    entries: int
    voters: int
    cadence: int


class Grown:
    """What is held: so many leaves of each feed. `roots`: of every feed at every size, by (feed, size)."""

    def __init__(self, roots: Roots, sizes: Mapping[bytes, int] | None = None) -> None:
        self.roots = roots
        self.sizes: dict[bytes, int] = dict(sizes or {})

    def size(self, feed: bytes) -> int:
        """Return how many leaves of a feed are held."""
        return self.sizes.get(feed, 0)

    def holds(self, entry: Entry, forks: Mapping[bytes, int]) -> bool:
        """Say whether every head the entry has seen is held as it names it."""
        for head in entry.seen:
            wanted = min(head.size, forks.get(head.feed, head.size))
            if head.feed != entry.kid and self.root(head.feed, wanted) != head.root:
                return False
        return True

    def root(self, feed: bytes, size: int) -> bytes | None:
        """Return a feed's root at a size, or None."""
        if size == 0:
            return EMPTY_ROOT
        return self.roots[feed, size] if size <= self.sizes.get(feed, 0) else None

    def below(self, sizes: Mapping[bytes, int]) -> Grown:
        """Return the view of a frontier."""
        return Grown(self.roots, sizes)


@dataclass(frozen=True, slots=True)
class Made:
    """Entries with their feeds, in the order in which they were made, and the roots of those feeds."""

    genesis: Genesis
    raws: tuple[tuple[bytes, bytes], ...]
    roots: Roots

    def registrations(self) -> list[Registration]:
        """Read every entry anew."""
        sizes: dict[bytes, int] = {}
        found = []
        for feed, raw in self.raws:
            index = sizes[feed] = sizes.get(feed, -1) + 1
            found.append(Registration(Entry.parse(raw), feed, index))
        return found


class Assembly(Polity):
    """A polity with one chain over what it has written so far. `written`: every registration, in order."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(astuple(shape), founders=shape.voters)
        self.shape, self.draw = shape, random.Random(repr(shape))
        self.written: list[Registration] = []
        self.register = Register()
        self.kept = Chain(self.genesis, self.register)
        self.grown = Grown({})
        self._trees: dict[bytes, PeaksBuilder] = {}
        self.sealed = 0

    def take(self) -> None:
        """Take what scribes have written since the last call, in the order of their dates."""
        fresh = []
        for scribe in self.scribes():
            tree = self._trees.setdefault(scribe.feed, PeaksBuilder())
            for index in range(tree.size, len(scribe.raws)):
                raw = scribe.raws[index]
                tree.append(leaf_hash(hashlib.sha256(raw).digest()))
                self.grown.roots[scribe.feed, index + 1] = tree.root()
                fresh.append(Registration(Entry.parse(raw), scribe.feed, index))
            self.grown.sizes[scribe.feed] = tree.size
        fresh.sort(key=lambda each: (each.entry.iat, each.feed, each.index))
        for registration in fresh:
            self.register.add(registration)
        self.written += fresh

    def compose(
        self, *, hours: int = 1, frontier: Mapping[bytes, Head] | None = None, silent: Sequence[Party] = ()
    ) -> tuple[Seal, Base, Base, dict[bytes, Head]]:
        """Return the next seal, the bases before and after it, and its frontier."""
        self.take()
        before = self.kept.tips(self.grown)[0]
        heads = {f: Head(f, n, self.grown.roots[f, n]) for f, n in self.grown.sizes.items() if n}
        heads = heads if frontier is None else dict(frontier)
        self.as_of += hours * 3_600
        self.now = max(self.now, self.as_of)
        composed = self.kept.compose(before, self.grown, Terms(heads, self.as_of, tuple(silent), bytes(32)))
        assert composed is not None, "no seal can have this frontier"
        return composed[0], before, composed[1], heads

    def statements(self) -> Iterator[None]:
        """Let the mesh live; each step writes a few entries."""
        voters = list(self.members)
        founded = len(voters)
        guests, ballots = list[Member](), deque[tuple[Entry, Member]]()
        gone: set[Party] = set()
        number = 0
        while True:
            inviter = voters[number % founded]
            if inviter.party not in gone:
                guest = self.join(inviter)
                guests.append(guest)
                yield
                self.link("link.offer", inviter, guest)
                self.link("link.accept", guest, inviter)
                yield
            if number % 18 == 0:
                speakers = [each for each in voters if each.party not in gone]
                proposal = self._propose(number // 18, speakers, guests, gone)
                ballots += [(proposal, each) for each in self.draw.sample(speakers, len(speakers))]
                yield
            for _ in range(min(6, len(ballots))):
                proposal, voter = ballots.popleft()
                expels = proposal.payload["act"] in ("expel", "suspend")
                choice = "yes" if expels else self.draw.choices(("yes", "no", "abstain"), (75, 20, 5))[0]
                if voter.party not in gone:
                    self.vote([voter], proposal, choice)
                    yield
            self._seldom(number, guests, gone)
            number += 1

    def _propose(self, number: int, speakers: list[Member], guests: list[Member], gone: set[Party]) -> Entry:
        proposer = speakers[number % len(speakers)]
        match number % 5:
            case 0:
                return self.propose(proposer, "charter", days=1, charter=self.random(32))
            case 1:
                rules = Rules(suspenders=3 + number % 7).encode()
                return self.propose(proposer, "policy", days=1, rules=rules)
            case 2:
                target = speakers[(number * 7 + 3) % len(speakers)] if number == 27 else guests[number % len(guests)]
                gone.add(target.party)
                return self.expel(proposer, target, days=1)
            case 3:
                return self.propose(proposer, "admit", days=1, application=self.random(32))
            case _:
                target = guests[(number * 3) % len(guests)]
                return self.propose(proposer, "suspend", days=1, target=list(target.party))

    def _seldom(self, number: int, guests: list[Member], gone: Collection[Party]) -> None:
        """Delegate, set defaults, replace devices, leave and sever, each now and then."""
        member = self.members[number * 7 % self.shape.voters]
        other = self.members[number * 11 % self.shape.voters]
        guest = guests[number * 5 % len(guests)]
        about = ("member", member.party[0])
        if number % 8 == 1 and member.party not in gone:
            to = None if member is other else list(other.party)
            self.write(member.scribe, "vote.delegate", about, {"to": to})
        if number % 16 == 2 and member.party not in gone:
            self.write(member.scribe, "vote.default", about, {"choice": "yes"})
        if guest.party not in gone:
            match number % 40:
                case 7:
                    self.succeed(guest, guest.scribe)
                case 21:
                    self.link("link.sever", guest, member)
                case 33:
                    self.write(guest.scribe, "member.leave", ("member", guest.party[0]), {})

    def live(self) -> None:
        """Write as many entries as the shape asks for, with a seal whenever enough of them wait."""
        self.take()
        life, since = self.statements(), 0
        while len(self.written) < self.shape.entries:
            next(life)
            self.take()
            if self.shape.cadence and len(self.written) - since >= self.shape.cadence - 2:
                self.seal(publisher=self._publisher())
                self.sealed += 1
                self.take()
                since = len(self.written)

    def _publisher(self) -> Scribe:
        return self.members[self.sealed % self.shape.voters].scribe


def kept(shape: Shape) -> Made:
    """Return the entries of a shape; signed once, then read from the kept file."""
    digest = hashlib.sha256(repr(shape).encode())
    for source in _MADE_BY:
        digest.update(source.read_bytes())
    file = measure.kept() / f"assembly-{shape.entries}-{shape.voters}-{shape.cadence}-{digest.hexdigest()[:16]}.msgpack"
    if not file.exists():
        measure.progress(f"signing {shape.entries} governance entries")
        assembly = Assembly(shape)
        assembly.live()
        young = file.with_suffix(".partial")
        listed = [(each.feed, each.entry.raw) for each in assembly.written[: shape.entries]]
        young.write_bytes(msgspec.msgpack.encode([assembly.genesis.entry.raw, listed]))
        young.replace(file)
    genesis, raws = msgspec.msgpack.decode(file.read_bytes())
    roots: Roots = {}
    trees: dict[bytes, PeaksBuilder] = {}
    for feed, raw in raws:
        tree = trees.setdefault(feed, PeaksBuilder())
        tree.append(leaf_hash(hashlib.sha256(raw).digest()))
        roots[feed, tree.size] = tree.root()
    return Made(Genesis.read(Entry.parse(genesis)), tuple((feed, raw) for feed, raw in raws), roots)
