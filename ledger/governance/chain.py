"""The chain of certified epochs, and the fold of a whole ledger along it (governance.md §2, §4 Rivals).

How it works
    From the genesis on, `Chain` looks for a certificate of the next epoch. It follows one when
      G2.1 the voters of the epoch before certified it (`certificate.verify_certificate`);
      G2.2 its frontier is known by its digest, and everything below is held, the certificate of the epoch before
           included;
      G2.3 composing the seal from the entries below that frontier (`sealing.compose`) gives the very same seal.
    What lies beyond the last frontier is folded over the tables of that epoch. A certificate that G2.3 contradicts
    means that this node folds by other rules than a quorum: it permits nothing and says so.
    Two seals of one epoch are rivals. If striking voters who are proven to have signed twice leaves one that still has
    its quorum, that one is followed; else both are, and only what both permit holds (`roster.meet`), until people
    choose: `pins` are epochs that a node's operator, its invitation or its own past vouches for.
    All results are kept, so a ledger that grew by a few entries costs the fold of the open epoch alone. A view that
    ends earlier (a tick's) is folded over the newest epoch that lies inside it.

What it does not do
    It verifies no state root: that covers consents, and voters checked it before they signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ledger.checkpoint import Head
from ledger.errors import RemoteError
from ledger.feed import Registration
from ledger.governance.certificate import Certificate, Seal, joined, rivals, verify_certificate
from ledger.governance.epoch import Genesis
from ledger.governance.members import Folded, advance, members_of
from ledger.governance.register import Register, Sighting
from ledger.governance.roster import Members, View, meet
from ledger.governance.sealing import RIVALS_SECONDS, Terms, compose, frontier_digest
from ledger.governance.state import Base, first_base

BASES_MAX: Final = 64  # epochs whose tables are kept; an older one is derived anew from the genesis
VERIFIED_MAX: Final = 4_096  # certificates remembered as good or bad


class Chain:
    """The epochs of one mesh as far as a node holds them. `genesis`: the mesh's; `register`: grows with the ledger."""

    def __init__(self, genesis: Genesis, register: Register, pins: Iterable[bytes] = ()) -> None:
        self.pins = frozenset(pins)
        self._genesis, self._register = genesis, register
        self._first = first_base(genesis)
        self._line: list[Base] = [self._first]  # the chain followed last by the live view, its newest part
        self._composed: dict[tuple[bytes, bytes], Base] = {}  # (epoch before, seal's digest) -> tables
        self._verified: dict[tuple[bytes, bytes], Certificate | None] = {}
        self.disputed = ""
        self.newest = self._first

    # Folding

    def live(self, view: View) -> Members:
        """Fold all that is held, and remember the newest epoch: new entries name it, and the next seal follows it."""
        tips = self.tips(view)
        self.newest = tips[0]
        return self._over(tips, view)

    def fold(self, view: View) -> Members:
        """Return what the entries below a view's frontier mean."""
        return self._over(self.tips(view), view)

    def _over(self, tips: list[Base], view: View) -> Members:
        found = [members_of(self._genesis, self.open(tip, view), self.disputed) for tip in tips]
        members = found[0]
        for other in found[1:]:
            members = meet(members, other)
        return members

    def open(self, tip: Base, view: View) -> Folded:
        """Fold what lies beyond an epoch's frontier and below the view's."""
        return advance(self._genesis, tip, self._register.beyond(tip.frontier), view)

    def tips(self, view: View) -> list[Base]:
        """Return the newest epochs inside a view: one, or one a branch where seals are rivals."""
        self.disputed = ""
        contested = [r for r in self._register.contested() if r == self._genesis.mesh_id or self._knows(r)]
        start = self._first
        if not contested:
            inside = [base for base in self._line if self._contains(view, base)]
            start = inside[-1] if inside else self._first
        tips = self._walk(start, view)
        if len(tips) == 1 and tips[0].n >= self._line[-1].n:
            line = [base for base in self._line if base.n <= tips[0].n]
            self._line = (line if tips[0] is line[-1] else [*line, *self._between(line[-1], tips[0])])[-BASES_MAX:]
        return self._chosen(tips)

    def _knows(self, reference: bytes) -> bool:
        return any(reference in base.known for base in self._line[-1:])

    def _between(self, older: Base, newer: Base) -> list[Base]:
        """Return the epochs after `older` up to `newer`, as far as their tables are kept."""
        kept = {base.reference: base for base in self._composed.values()}
        wanted = sorted((n, reference) for reference, (n, _) in newer.known.items() if n > older.n)
        return [kept[reference] for _, reference in wanted if reference in kept]

    def _contains(self, view: View, base: Base) -> bool:
        """Say whether a view holds all of an epoch: its frontier and its certificate."""
        return all(view.size(feed) >= head.size for feed, head in base.frontier.items()) and (
            base.n == 0 or self._is_sighted(base, {}, view)
        )

    def _is_sighted(self, base: Base, sizes: Mapping[bytes, Head], view: View | None) -> bool:
        """Say whether an epoch's certificate stands below a frontier, or inside a view."""
        prev = next((r for r, (n, _) in base.known.items() if n == base.n - 1), b"")
        for sighting in self._register.after(prev):
            registration = sighting.registration
            size = view.size(registration.feed) if view is not None else _size(sizes, registration.feed)
            if registration.index < size and sighting.seal.epoch.reference() == base.reference:
                return True
        return False

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
        """Return the branches that count: those that a pin vouches for, and no rival from long ago."""
        if len(tips) == 1:
            return tips
        pinned = [tip for tip in tips if not self.pins.isdisjoint(tip.known)]
        most = max((len(self.pins.intersection(tip.known)) for tip in pinned), default=0)
        tips = [tip for tip in pinned if len(self.pins.intersection(tip.known)) == most] or tips
        newest = tips[0]
        return [tip for tip in tips if self._parted(newest, tip) > newest.as_of - RIVALS_SECONDS]

    @staticmethod
    def _parted(one: Base, other: Base) -> int:
        """Return the governance time at which two branches part; the end's own where they do not."""
        if one is other:
            return one.as_of
        shared = one.known.keys() & other.known.keys()
        apart = [as_of for reference, (_, as_of) in one.known.items() if reference not in shared]
        return min(apart, default=one.as_of)

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

    def assess(self, sighting: Sighting, base: Base, view: View) -> str:
        """Return "" for a certificate that may be followed from an epoch, or the number of the rule that fails."""
        certificate = self._verify(sighting, base)
        if certificate is None:
            return "G2.1"
        frontier = self._frontier(base, certificate.seal, view)
        if frontier is None or not self.is_grounded(base, frontier):
            return "G2.2"
        return "" if self._follow(base, certificate, view) is not None else "G2.3"

    # Following

    def _nexts(self, base: Base, view: View) -> list[Base]:
        """Return what may follow an epoch: nothing, one, or several rivals."""
        by_seal: dict[bytes, list[Certificate]] = {}
        for sighting in self._register.after(base.reference):
            if sighting.registration.index < view.size(sighting.registration.feed):
                certificate = self._verify(sighting, base)
                if certificate is not None:
                    by_seal.setdefault(certificate.seal.digest(), []).append(certificate)
        certificates = [_join(found) for _, found in sorted(by_seal.items())]
        if len(certificates) == 2:
            compared = rivals(certificates[0], certificates[1], base.context)
            if compared is not None and compared.stands is not None:
                certificates = [compared.stands]
        followed = (self._follow(base, each, view) for each in certificates)
        return [each for each in followed if each is not None]

    def _verify(self, sighting: Sighting, base: Base) -> Certificate | None:
        """Return a certificate that the voters of an epoch signed (G2.1), or None; each is verified once."""
        entry = sighting.registration.entry
        key = (base.reference, entry.id)
        if key not in self._verified:
            if len(self._verified) >= VERIFIED_MAX:
                self._verified.clear()
            try:
                certificate = Certificate.decode(entry.payload["certificate"], base.context.size)
                verify_certificate(certificate, base.context)
                self._verified[key] = certificate
            except RemoteError:
                self._verified[key] = None
        return self._verified[key]

    def trust(self, entry_id: bytes, reference: bytes, certificate: Certificate) -> None:
        """Take a certificate for verified: our own store held it as such."""
        self._verified[(reference, entry_id)] = certificate

    def _follow(self, base: Base, certificate: Certificate, view: View) -> Base | None:
        """Return the tables of the certified epoch (G2.2, G2.3); None where something below it is not held."""
        seal = certificate.seal
        key = (base.reference, seal.digest())
        known = self._composed.get(key)
        if known is not None:
            inside = all(view.size(feed) >= head.size for feed, head in known.frontier.items())
            return known if inside else None
        frontier = self._frontier(base, seal, view)
        if frontier is None or not self.is_grounded(base, frontier):
            return None
        voters = sorted(base.voters)
        terms = Terms(frontier, seal.epoch.as_of, tuple(voters[place] for place in seal.silent), seal.epoch.state_root)
        composed = self.compose(base, view, terms)
        if composed is None:
            return None
        if composed[0] != seal:
            self.disputed = f"epoch {seal.epoch.n} is certified, and this node's own fold gives another one"
            return None
        if len(self._composed) >= BASES_MAX:
            self._composed.pop(next(iter(self._composed)))
        self._composed[key] = composed[1]
        return composed[1]

    def compose(self, base: Base, view: View, terms: Terms) -> tuple[Seal, Base] | None:
        """Return the seal that may follow an epoch on these terms, and the tables after it."""
        if not self.is_grounded(base, terms.frontier):
            return None
        return compose(self._genesis, base, self._register.beyond(base.frontier), view, terms)

    def is_grounded(self, base: Base, frontier: Mapping[bytes, Head]) -> bool:
        """Say whether a frontier holds the certificate of the epoch it is sealed under."""
        return base.n == 0 or self._is_sighted(base, frontier, None)

    def _frontier(self, base: Base, seal: Seal, view: View) -> dict[bytes, Head] | None:
        """Put a frontier together from its parts: what it changes of the one before."""
        digest = seal.epoch.frontier_digest
        by_signer: dict[tuple[bytes, int], dict[int, Registration]] = {}
        for part in self._register.parts(digest):
            if part.index < view.size(part.feed):
                payload = part.entry.payload
                by_signer.setdefault((part.feed, payload["parts"]), {}).setdefault(payload["part"], part)
        for (_, parts), held in by_signer.items():
            if len(held) == parts:
                changed = (head for part in held.values() for head in part.entry.payload["heads"])
                frontier = {**base.frontier, **{feed: Head(feed, size, root) for feed, size, root in changed}}
                if frontier_digest(frontier.values()) == digest:
                    return frontier
        return None


def _size(frontier: Mapping[bytes, Head], feed: bytes) -> int:
    head = frontier.get(feed)
    return head.size if head is not None else 0


def _join(certificates: list[Certificate]) -> Certificate:
    """Return one certificate with all commits that are known for a seal in the round of the first."""
    first = certificates[0]
    for other in certificates[1:]:
        if other.round == first.round:
            first = joined(first, other)
    return first


def fold(genesis: Genesis, registrations: Iterable[Registration], view: View) -> Members:
    """Fold a whole ledger from scratch. `registrations`: of sound leaves below or beyond the view, in any order."""
    return Chain(genesis, Register(registrations)).fold(view)
