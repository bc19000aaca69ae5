"""The chain of certified epochs, and the fold of a whole ledger along it (governance.md §2, §4 Rivals).

How it works
    From the genesis on, `Chain` looks for a certificate of the next epoch. It follows one when
      G2.1 the voters of the epoch before certified it (`certificate.verify_certificate`);
      G2.2 its frontier is known by its digest, and everything below is held, the certificate of the epoch before
           included;
      G2.3 composing the seal from the entries below that frontier (`sealing.compose`) gives the very same seal.
    What lies beyond the last frontier is folded over the tables of that epoch. A certificate that G2.3 contradicts
    means that this node folds by other rules than a quorum: it permits nothing and says so.
    Two seals of one epoch that pass all three are rivals. If striking voters who are proven to have signed twice
    leaves one that still has its quorum, that one is followed; else both are, and only what both permit holds
    (`roster.meet`), until people choose: `pins` are epochs that a node's operator or its invitation vouches for.
    What a chain followed alone for 30 days of governance time (`past`) it does not leave for a rival that parts before;
    `ignored` names such rivals. No time that a seal itself claims can choose between branches: whoever holds the old
    keys of long gone voters writes any time. A node keeps `past` over a restart.
    All results are kept, so a ledger that grew by a few entries costs the fold of the open epoch alone. A view that
    ends earlier (a tick's) is folded over the newest epoch that lies inside it.

What it does not do
    It verifies no state root: that covers consents, and voters checked it before they signed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance.certificate import Certificate, Seal
from ledger.governance.certified import Certified, has_quorum
from ledger.governance.epoch import Genesis
from ledger.governance.members import Folded, advance, members_of
from ledger.governance.onward import Onward
from ledger.governance.register import Register, Sighting
from ledger.governance.roster import Members, View, meet
from ledger.governance.sealing import RIVALS_SECONDS, Terms, compose, frontier_digest
from ledger.governance.state import Base, first_base
from ledger.governance.waiting import Waiting, due, park

BASES_MAX: Final = 64  # epochs whose tables are kept; an older one is derived anew from the genesis


class Chain:
    """The epochs of one mesh as far as a node holds them. `genesis`: the mesh's; `register`: grows with the ledger."""

    def __init__(self, genesis: Genesis, register: Register, pins: Iterable[bytes] = ()) -> None:
        self.pins = frozenset(pins)
        self._genesis, self._register = genesis, register
        self._first = first_base(genesis)
        self._line: list[Base] = [self._first]  # the chain followed last by the live view, its newest part
        self._composed: dict[tuple[bytes, bytes], Base] = {}  # (epoch before, seal's digest) -> tables
        self._changes: dict[bytes, tuple[bytes, frozenset[bytes]]] = {}  # epoch -> frontier's digest, feeds it moves
        self._refuted: dict[tuple[bytes, bytes], Seal] = {}  # the same -> what the entries yield instead
        self._certified = Certified(register, self._first.context)
        self.disputed = ""
        self.past = genesis.mesh_id
        self._tips: list[Base] = [self._first]  # found by the last look
        self.newest = self._first
        self._onward: Onward | None = None  # the live fold, gone on with as long as the register only grows
        self._looked = (0, 0)  # the register's disorder and length at that fold
        self.spared = False  # the last live fold left out some that it knew to have no effect
        self.went_on = False  # the last live fold only looked at what was new, and at what that woke

    # Verifying

    def trust(self, idents: frozenset[bytes]) -> None:
        """Take the signatures of these certificates' entries for verified: our own store says that they were."""
        self._certified.trusted = idents

    def verified(self) -> list[bytes]:
        """Return the entries of certificates verified since the last call, those that were trusted left out."""
        found, self._certified.fresh = self._certified.fresh, []
        return found

    # Folding

    def live(self, view: View, grown: Iterable[bytes] | None = None) -> Members:
        """Fold all that is held, and remember the newest epoch: new entries name it, and the next seal follows it.

        `grown`: the feeds of which more is held than at the last call, by default any.
        """
        onward = self._onward if self._register.disorder == self._looked[0] else None
        fresh = self._register.since(self._looked[1])
        self._looked = (self._register.disorder, len(self._register))
        tips = [onward.tip] if onward is not None and self._is_quiet(onward.tip) else self.tips(view)
        self.newest, self._onward, self.went_on, self.spared = tips[0], None, False, False
        if len(tips) > 1 or self.disputed:
            return self._over(tips, view)
        members = onward.take(fresh, view, grown) if onward is not None and onward.tip is tips[0] else None
        self.went_on = members is not None
        if onward is None or members is None:
            onward = self._anew(tips[0], view, onward)
        self._onward = onward
        return onward.members

    def _anew(self, tip: Base, view: View, before: Onward | None) -> Onward:
        """Fold anew from a base, but for what a fold `before` from it put to sleep, and which changes nothing."""
        waiting = before.waiting if before is not None and before.tip is tip else Waiting()
        folded = self.open(tip, view, waiting.mute)
        if before is not None and waiting.mute and folded.base.reaches.forks != before.forks:
            waiting = Waiting()  # a head beyond a fork stands for less: it may be held now
            folded = self.open(tip, view)
        waiting.renew()
        self.spared = bool(waiting.mute)
        return Onward(self._genesis, tip, folded, members_of(self._genesis, folded), view, waiting)

    def _is_quiet(self, tip: Base) -> bool:
        """Say whether no certificate is held, good or bad, that may follow an epoch or rival one of its past."""
        return not self._register.after(tip.reference) and not any(self._register.contested())

    def fold(self, view: View) -> Members:
        """Return what the entries below a view's frontier mean."""
        return self._over(self.tips(view), view)

    def _over(self, tips: list[Base], view: View) -> Members:
        found = [members_of(self._genesis, self.open(tip, view), self.disputed) for tip in tips]
        members = found[0]
        for other in found[1:]:
            members = meet(members, other)
        return members

    def open(self, tip: Base, view: View, asleep: Collection[tuple[bytes, int]] = frozenset()) -> Folded:
        """Fold what lies beyond an epoch's frontier and below the view's. `asleep`: (feed, index) to leave out."""
        fresh = self._register.beyond(tip.frontier)
        if asleep:
            fresh = (each for each in fresh if (each.feed, each.index) not in asleep)
        return advance(self._genesis, tip, fresh, view)

    def tips(self, view: View) -> list[Base]:
        """Return the newest epochs inside a view: one, or one a branch where seals are rivals."""
        self.disputed = ""
        tips = self._tips = self._chosen(self._walk(self._start(view), view))
        if len(tips) == 1 and (tips[0].n >= self._line[-1].n or self._line[-1].reference not in tips[0].known):
            self._pass(tips[0])
            line = [base for base in self._line if base.reference in tips[0].known]
            self._line = (line if tips[0] is line[-1] else [*line, *self._between(line[-1], tips[0])])[-BASES_MAX:]
        return tips

    def _pass(self, tip: Base) -> None:
        """Note what lies 30 days behind a tip; a look at an old view takes nothing of the past back."""
        old = [(n, r) for r, (n, as_of) in tip.known.items() if as_of <= tip.as_of - RIVALS_SECONDS]
        n, reference = max(old, default=(0, self.past))
        is_older = self.past not in tip.known and tip.reference in self._line[-1].known
        if not is_older and n >= tip.known.get(self.past, (0, 0))[0]:
            self.past = reference

    @property
    def ignored(self) -> tuple[bytes, ...]:
        """The certified epochs that are held and followed in no branch, sorted."""
        heard = (s for r in self._register.contested() if r in self._tips[0].known for s in self._register.after(r))
        found = {each.seal.epoch.reference() for each in heard if self._certified.verify(each) is not None}
        return tuple(sorted(ref for ref in found if not any(ref in tip.known for tip in self._tips)))

    def _start(self, view: View) -> Base:
        """Return the newest epoch of the line that a view holds, and up to which no seal inside it has a rival.

        What parts before our past is not looked at, unless a pin may lie on it: we would not follow it, and a walk from
        there at every look would let old keys freeze the living.
        """
        known = self._line[-1].known
        least = known[self.past][0] if self.past in known and self.pins <= known.keys() else 0
        heard = (r for r in self._register.contested() if r in known and known[r][0] >= least)
        contested = (r for r in heard if self._certified.is_contested(r, view))
        first = min((known[r][0] for r in contested), default=self._line[-1].n)
        inside = (base for base in reversed(self._line) if base.n <= first and self._contains(view, base))
        return next(inside, self._first)

    def truncate(self, size: Callable[[bytes], int]) -> None:
        """Forget epochs that held leaves at or beyond each feed's size: other leaves may come to stand there."""

        def is_left(base: Base) -> bool:
            return all(head.size <= size(feed) for feed, head in base.frontier.items())

        self._line = [base for base in self._line if is_left(base)] or [self._first]
        self._composed = {key: base for key, base in self._composed.items() if is_left(base)}
        self._refuted.clear()
        self._onward = None

    def _between(self, older: Base, newer: Base) -> list[Base]:
        """Return the epochs after `older` up to `newer`, as far as their tables are kept."""
        kept = {base.reference: base for base in self._composed.values()}
        wanted = sorted((n, reference) for reference, (n, _) in newer.known.items() if n > older.n)
        return [kept[reference] for _, reference in wanted if reference in kept]

    def _contains(self, view: View, base: Base) -> bool:
        """Say whether a view holds all of an epoch: its frontier and its certificate."""
        return self._is_inside(base, view) and self._certified.holds(base.reference, view)

    def _walk(self, base: Base, view: View) -> list[Base]:
        """Follow certificates from an epoch on; return the ends."""
        ends, queue = [], [base]
        while queue:
            at = queue.pop()
            nexts = self._nexts(at, view)
            queue += nexts
            if not nexts:
                ends.append(at)
        return sorted(ends, key=lambda end: (end.as_of, end.reference), reverse=True)

    def _chosen(self, tips: list[Base]) -> list[Base]:
        """Return the branches that count: those that most pins vouch for, and of these those of this chain's past."""
        if len(tips) == 1:
            return tips
        worth = [(len(self.pins.intersection(tip.known)), self.past in tip.known) for tip in tips]
        return [tip for tip, each in zip(tips, worth, strict=True) if each == max(worth)]

    # Looking back

    def line(self, tip: Base, view: View, since: int = 0) -> list[Base]:
        """Return the epochs from number `since` on to a tip: as kept, else derived anew from the genesis."""
        kept = [base for base in self._line if base.n <= tip.n and base.reference in tip.known]
        if not kept or kept[-1].reference != tip.reference or kept[0].n > since:
            kept = [self._first]
            while kept[-1].reference != tip.reference:
                after = [base for base in self._nexts(kept[-1], view) if base.reference in tip.known]
                if not after:
                    break
                kept.append(after[0])
        return [base for base in kept if base.n >= since]

    def at(self, base: Base, view: View) -> Members:
        """Return who was in when an epoch was sealed."""
        return members_of(self._genesis, self.open(base, view.below(base.floors())))

    def announced(self, view: View, forked: Collection[bytes]) -> Mapping[bytes, Head]:
        """Return the frontier of the certified seal that follows the newest epoch; {} without one, or with rivals.

        `forked`: voters with a proven fork, whose leave may stand in the branch that is not held.
        """
        certified = self._certified.after(self.newest.reference, view, forked)
        if len(certified) != 1:
            return {}
        (certificates,) = certified.values()
        return self._frontier(self.newest, certificates[0].seal, view) or {}

    def ungrounded(self, frontier: Mapping[bytes, Head], view: View) -> Entry | None:
        """Return the certificate of the newest epoch if a frontier does not hold it, else None.

        Sealing under that epoch needs it in another feed: a fork holds the one that it stands in below it.
        """
        grounded = not frontier or self.is_grounded(self.newest, frontier, view)
        return None if grounded else self._certified.entry(self.newest.reference, view)

    def assess(self, sighting: Sighting, base: Base, view: View) -> str:
        """Return "" for a certificate that may be followed from an epoch, or the number of the rule that fails."""
        certificate = self._certified.verify(sighting, view)
        if certificate is None or certificate.seal.digest() not in self._certified.after(base.reference, view):
            return "G2.1"
        frontier = self._frontier(base, certificate.seal, view)
        if frontier is None or not self.is_grounded(base, frontier, view):
            return "G2.2"
        return "" if self._follow(base, [certificate], view) is not None else "G2.3"

    # Following

    def _nexts(self, base: Base, view: View) -> list[Base]:
        """Return what may follow an epoch: nothing, one, or several rivals."""
        certified = self._certified.after(base.reference, view)
        found = {digest: self._follow(base, each, view) for digest, each in certified.items()}
        followed = {digest: after for digest, after in found.items() if after is not None}
        if len(followed) > 1:
            standing = self._certified.standing({digest: certified[digest] for digest in followed}, view)
            if len(standing) == 1:
                return [followed[standing[0]]]
        return list(followed.values())

    def _follow(self, base: Base, certificates: list[Certificate], view: View) -> Base | None:
        """Return the tables of a certified epoch (G2.2, G2.3); None where something below it is not held.

        `certificates`: of one seal. One that fails G2.3 is of no account, unless so many signed it that a quorum must
        see other rules than this node.
        """
        seal = certificates[0].seal
        key = (base.reference, seal.digest())
        known = self._composed.get(key)
        if known is not None:
            return known if self._is_inside(known, view) and self.is_grounded(base, known.frontier, view) else None
        if key not in self._refuted:
            frontier = self._frontier(base, seal, view)
            if frontier is None:
                return None
            voters = sorted(base.voters)
            silent = tuple(voters[place] for place in seal.silent)
            composed = self.compose(base, view, Terms(frontier, seal.epoch.as_of, silent, seal.epoch.state_root))
            if composed is None:
                return None
            if composed[0] == seal:
                self._keep(key, seal.epoch.frontier_digest, base, composed[1])
                return composed[1]
            self._refuted[key] = composed[0]
        if has_quorum(certificates, self._refuted[key], base.context):
            self.disputed = f"epoch {seal.epoch.n} is certified, and this node's own fold gives another one"
        return None

    def _keep(self, key: tuple[bytes, bytes], digest: bytes, before: Base, after: Base) -> None:
        if len(self._composed) >= BASES_MAX:
            self._composed.pop(next(iter(self._composed)))
        self._composed[key] = after
        moved = (feed for feed, head in after.frontier.items() if before.frontier.get(feed) != head)
        self._changes[after.reference] = (digest, frozenset(moved))
        if len(self._changes) > 4 * BASES_MAX:
            kept = {base.reference for base in (*self._line, *self._composed.values())}
            self._changes = {reference: each for reference, each in self._changes.items() if reference in kept}
        self._certified.enter(after.context, before.context)

    def compose(self, base: Base, view: View, terms: Terms) -> tuple[Seal, Base] | None:
        """Return the seal that may follow an epoch on these terms, and the tables after it."""
        if not self.is_grounded(base, terms.frontier, view):
            return None
        moved = {f: head.size for f, head in terms.frontier.items() if head is not base.frontier.get(f)}
        again = due(base)
        fresh = (*self._register.beyond(base.frontier, moved), *again)
        composed = compose(self._genesis, base, fresh, view, terms)
        if composed is not None:
            park(composed[1], again)
        return composed

    def is_grounded(self, base: Base, frontier: Mapping[bytes, Head], view: View) -> bool:
        """Say whether a frontier holds the certificate of the epoch it is sealed under, and what that one sealed."""
        return self._contains(view.below({feed: head.size for feed, head in frontier.items()}), base)

    def _frontier(self, base: Base, seal: Seal, view: View) -> dict[bytes, Head] | None:
        """Put a frontier together from its parts: what it changes of the one before.

        Each feed's parts are taken by themselves, the first that it wrote: nobody spoils another's.
        """
        digest = seal.epoch.frontier_digest
        for changed in self._stated(digest, view):
            frontier = {**base.frontier, **changed}
            if frontier_digest(frontier.values()) == digest:
                return frontier
        return None

    def _stated(self, digest: bytes, view: View) -> Iterator[dict[bytes, Head]]:
        """Yield what feeds inside a view say that a frontier changes of the one before, where they say it whole."""
        by_signer: dict[tuple[bytes, int], dict[int, Registration]] = {}
        for part in sorted(self._register.parts(digest), key=lambda each: each.index):
            if part.index < view.size(part.feed):
                payload = part.entry.payload
                by_signer.setdefault((part.feed, payload["parts"]), {}).setdefault(payload["part"], part)
        for (_, parts), held in by_signer.items():
            if len(held) == parts:
                heads = (head for part in held.values() for head in part.entry.payload["heads"])
                yield {feed: Head(feed, size, root) for feed, size, root in heads}

    def _is_inside(self, base: Base, view: View) -> bool:
        """Say whether a view holds what lies below an epoch's frontier, and the parts that say what that is."""
        if any(view.size(feed) < head.size for feed, head in base.frontier.items()):
            return False
        digest, changed = self._changes.get(base.reference, (b"", frozenset()))
        return base.n == 0 or any(
            changed <= listed.keys() and all(base.frontier.get(feed) == head for feed, head in listed.items())
            for listed in self._stated(digest, view)
        )


def fold(genesis: Genesis, registrations: Iterable[Registration], view: View) -> Members:
    """Fold a whole ledger from scratch. `registrations`: of sound leaves below or beyond the view, in any order."""
    return Chain(genesis, Register(registrations)).fold(view)
