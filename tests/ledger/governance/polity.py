"""A mesh that governs itself, as signed entries: proposals, votes, and seals that its voters certify.

How it works
    A `Polity` is a `tests.worlds.World` with a view over all its feeds, roots included. `seal` composes what the fold
    yields, signs it with the voters' own devices as one round of sealing would, and registers frontier and certificate.

What it does not do
    It runs no rounds: `tests/ledger/governance/test_sealing.py` does. It is as honest as whoever drives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.governance.certificate import Certificate, Seal, Step, vote_bytes
from ledger.governance.chain import Chain, fold
from ledger.governance.epoch import Policy
from ledger.governance.members import Members, Party
from ledger.governance.register import Register
from ledger.governance.sealing import Terms
from ledger.governance.state import Base
from ledger.keys import SigningKey
from ledger.kinds import FRONTIER_HEADS_MAX
from ledger.merkle import EMPTY_ROOT, root_of
from ledger.schema import DAY
from tests.worlds import Member, Scribe, World


class Whole:
    """What lies below some sizes of a world's feeds; by default all of it."""

    def __init__(self, world: World, sizes: Mapping[bytes, int] | None = None) -> None:
        self._world, self._sizes = world, sizes
        self._scribes = {scribe.feed: scribe for scribe in world.scribes()}

    def size(self, feed: bytes) -> int:
        """Return how many leaves lie below the frontier."""
        scribe = self._scribes.get(feed)
        held = len(scribe.raws) if scribe is not None else 0
        return held if self._sizes is None else min(held, self._sizes.get(feed, 0))

    def holds(self, entry: Entry, forks: Mapping[bytes, int]) -> bool:
        """Say whether every head the entry has seen is held as it names it."""
        for head in entry.seen:
            wanted = min(head.size, forks.get(head.feed, head.size))
            root = EMPTY_ROOT if head.size == 0 else self.root(head.feed, wanted)
            if head.feed != entry.kid and (root is None or (wanted == head.size and root != head.root)):
                return False
        return True

    def root(self, feed: bytes, size: int) -> bytes | None:
        """Return a feed's root at a size, or None."""
        if size > self.size(feed):
            return None
        return root_of(self._scribes[feed].leaves[:size]) if size else EMPTY_ROOT

    def below(self, sizes: Mapping[bytes, int]) -> Whole:
        """Return the view of a frontier."""
        return Whole(self._world, {feed: min(size, self.size(feed)) for feed, size in sizes.items()})


class Polity(World):
    """A world whose members propose, vote and seal."""

    def __init__(self, label: object = 0, *, founders: int = 4, policy: Policy | None = None) -> None:
        super().__init__(label, policy=policy, founders=founders)
        self.as_of = self.now

    def view(self, sizes: Mapping[bytes, int] | None = None) -> Whole:
        """Return the view of all that is registered, or of what lies below these sizes."""
        return Whole(self, sizes)

    def chain(self) -> Chain:
        """Return a chain over everything that is registered, from scratch."""
        return Chain(self.genesis, Register(self.registrations()))

    def tip(self) -> Base:
        """Return the newest epoch that all the entries certify."""
        return self.chain().tips(self.view())[0]

    def governed(self, sizes: Mapping[bytes, int] | None = None) -> Members:
        """Fold everything, or what lies below these sizes."""
        return fold(self.genesis, self.registrations(), self.view(sizes))

    def others(self, scribe: Scribe) -> tuple[Head, ...]:
        """Return where the first seven feeds beside one stand."""
        return tuple(each.head() for each in self.scribes() if each is not scribe and each.raws)[:7]

    def propose(self, member: Member, act: str, *, days: int = 7, **fields: Any) -> Entry:
        """Let a member propose; it has seen everything."""
        payload = {"act": act, "deadline": self.as_of + days * DAY, **fields}
        return self.write(member.scribe, "proposal", ("ballot", self.random(16)), payload, *self.others(member.scribe))

    def expel(self, member: Member, target: Member, *, cut: int | None = None, **fields: Any) -> Entry:
        """Let a member propose to expel another, cut where its feed ends now unless told otherwise."""
        size = len(target.scribe.raws) if cut is None else cut
        leaves = target.scribe.leaves[:size]
        head = [target.scribe.feed, size, root_of(leaves) if leaves else EMPTY_ROOT]
        return self.propose(member, "expel", target=list(target.party), cut=[head], reason="it turned", **fields)

    def vote(self, members: Iterable[Member], proposal: Entry, choice: str = "yes") -> list[Entry]:
        """Let members vote, each having seen its own feed and the proposal's."""
        scribes = {scribe.feed: scribe for scribe in self.scribes()}
        made = []
        for member in members:
            seen = [scribes[proposal.kid].head()] if proposal.kid != member.scribe.feed else []
            made.append(self.write(member.scribe, "vote", ("ballot", proposal.id), {"choice": choice}, *seen))
        return made

    def sponsor(self, member: Member, application: bytes, guest: Member) -> Entry:
        """Let a member endorse another's application."""
        payload = {"application": application, "incarnation": guest.party[1]}
        return self.write(member.scribe, "member.sponsor", ("member", guest.party[0]), payload)

    def frontier(self) -> dict[bytes, Head]:
        """Return where every feed stands, held where a fork is proven."""
        holds = self.governed().forks
        heads = {}
        for scribe in self.scribes():
            size = min(len(scribe.raws), holds.get(scribe.feed, 2**40))
            if size:
                heads[scribe.feed] = Head(scribe.feed, size, root_of(scribe.leaves[:size]))
        return heads

    def compose(
        self, *, hours: int = 1, frontier: Mapping[bytes, Head] | None = None, silent: Sequence[Party] = ()
    ) -> tuple[Seal, Base, Base, dict[bytes, Head]]:
        """Return the seal that everybody here would agree on, the bases before and after it, and its frontier."""
        chain = self.chain()
        before = chain.tips(self.view())[0]
        heads = dict(self.frontier() if frontier is None else frontier)
        self.as_of += hours * 3_600
        self.now = max(self.now, self.as_of)
        composed = chain.compose(before, self.view(), Terms(heads, self.as_of, tuple(silent), bytes(32)))
        assert composed is not None, "no seal can have this frontier"
        return composed[0], before, composed[1], heads

    def certify(self, seal: Seal, before: Base, signers: Iterable[Member], *, round_: int = 0) -> Certificate:
        """Sign a seal as these members' governing devices."""
        devices = {scribe.feed: scribe.device for scribe in self.scribes()}
        places = {kid: place for place, (kid, _) in enumerate(before.context.voters)}
        message = vote_bytes(before.context, round_, Step.COMMIT, seal.digest(), -1)
        commits = []
        for member in signers:
            device: SigningKey = devices[before.governing[member.party]]
            commits.append((places[member.party[0]], device.sign(message)))
        return Certificate(seal, round_, tuple(sorted(commits)))

    def publish(self, scribe: Scribe, certificate: Certificate, before: Base, heads: Mapping[bytes, Head]) -> None:
        """Register a certificate with its frontier, as a node does: not dated before the epoch, nor is what follows."""
        self.now = max(self.now, certificate.epoch.as_of)
        changed = [[h.feed, h.size, h.root] for h in heads.values() if before.frontier.get(h.feed) != h]
        parts = [changed[at : at + FRONTIER_HEADS_MAX] for at in range(0, len(changed), FRONTIER_HEADS_MAX)] or [[]]
        digest = certificate.epoch.frontier_digest
        for part, listed in enumerate(parts):
            payload = {"digest": digest, "part": part, "parts": len(parts), "heads": listed}
            self.write(scribe, "seal.frontier", ("epoch", before.reference), payload)
        encoded = certificate.encode(before.context.size)
        thing = ("epoch", certificate.epoch.reference())
        self.write(scribe, "seal.certificate", thing, {"certificate": encoded})

    def seal(
        self,
        *,
        by: Sequence[Member] | None = None,
        hours: int = 1,
        frontier: Mapping[bytes, Head] | None = None,
        silent: Sequence[Party] = (),
        publisher: Scribe | None = None,
    ) -> Base:
        """Seal what is held; by default every voter that remains signs. Returns the next epoch's tables."""
        seal, before, after, heads = self.compose(hours=hours, frontier=frontier, silent=silent)
        remaining = seal.remaining(before.context.size)
        kids = {kid for place, (kid, _) in enumerate(before.context.voters) if place in remaining}
        signers = [m for m in self.members if m.party in before.voters and m.party[0] in kids] if by is None else by
        certificate = self.certify(seal, before, signers)
        self.publish(publisher or signers[0].scribe, certificate, before, heads)
        self.epoch = after.reference
        return after
