"""What sealing asks of one replica: whose turn it is to seal, what a seal would be, and what it may not leave out.

How it works
    Every question is answered from the newest epoch that the replica holds (`Replica.chain`) and its committed maps
    (`ticks`), inside the caller's rows. The driver of sealing (node.sealing) agrees with other voters; here is what
    this node's own fold says. An answer to `next_seal` follows from its arguments and the epoch alone.

What it does not do
    It signs and sends nothing, and reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.governance.certificate import EpochContext, Seal, expulsions_max
from ledger.governance.roster import Party
from ledger.governance.sealing import SILENT_SECONDS, Terms
from ledger.governance.state import Base
from ledger.replica import Replica
from ledger.rows import Reader
from ledger.ticks import Ticker
from ledger.view import HeldView

SIGNS_OF_LIFE: Final = frozenset({"state.attestation", "seal.certificate", "seal.frontier"})
"""Kinds that nodes state though nothing happens."""
LOOK_LEAVES: Final = 4_096
"""Leaves that are looked at in one go, some 0.1 s."""


class Epochs:
    """The epochs of one replica, as a driver of sealing sees them."""

    def __init__(self, replica: Replica, ticker: Ticker) -> None:
        self._replica, self._ticker = replica, ticker
        self._looked_at = b""
        self._looked: dict[bytes, int] = {}  # feed -> up to where nothing but signs of life was found

    def newest(self) -> Base:
        """Return the tables of the newest epoch held; of the branch that is followed first, where seals are rivals."""
        return self._replica.chain.newest

    def epoch_context(self) -> EpochContext:
        """Return what judges the successor of the newest epoch held, successors of its voters' devices included."""
        return self._replica.registrations.heirs(self.newest().context, self._replica.size)

    def governance_waits(self) -> bool:
        """Say whether governance entries lie beyond the sealed frontier; those of seals never count."""
        beyond = self._replica.registrations.beyond(self.newest().frontier)
        return any(not each.entry.kind.startswith("seal.") for each in beyond)

    def lapses_at(self) -> int | None:
        """Return when time alone next changes something (unix seconds): a ballot's deadline, a suspension's end.

        Both are counted in governance time, which only a seal moves: where nothing else happens, one is made for them.
        """
        base = self.newest()
        ends = [proposal.deadline for proposal in base.proposals.values()]
        return min([*ends, *(until for until, _ in base.suspended.values())], default=None)

    def anything_waits(self, rows: Reader) -> bool:
        """Say whether anything lies beyond the sealed frontier but attestations and seals, which nodes state anyway.

        Leaves are read once an epoch, and no more than `LOOK_LEAVES` a call: the rest has its turn the next time.
        """
        base = self.newest()
        if base.reference != self._looked_at:
            self._looked_at, self._looked = base.reference, {}
        room = LOOK_LEAVES
        for feed, head in self.heads_now().items():
            start = max(self._looked.get(feed, 0), base.frontier[feed].size if feed in base.frontier else 0)
            stop = min(head.size, start + room)
            for index in range(start, stop):
                leaf = self._replica.leaf(rows, feed, index)
                if leaf.void or Entry.kept(leaf.raw, leaf.entry_id).kind not in SIGNS_OF_LIFE:
                    return True
                self._looked[feed] = index + 1
            room -= max(0, stop - start)
        return False

    def sealed_frontier(self) -> Mapping[bytes, Head]:
        """Return the frontier of the newest epoch held, by feed."""
        return self.newest().frontier

    def heads_now(self) -> Mapping[bytes, Head]:
        """Return where every feed's checkpoint stands, at its hold where forked, and never below what is sealed."""
        sealed = self.newest().frontier
        heads = {feed: head for feed, head in self._replica.frontier().items() if head.size}
        return {**sealed, **{f: head for f, head in heads.items() if f not in sealed or head.size >= sealed[f].size}}

    def ungrounded(self, rows: Reader) -> Entry | None:
        """Return the certificate of the newest epoch if no seal made now could cover it: it stands beyond a fork.

        Whoever states it anew, with the frontier, lets the mesh seal again.
        """
        return self._replica.chain.ungrounded(self.heads_now(), HeldView(self._replica, rows))

    def next_seal(self, rows: Reader, frontier: Mapping[bytes, Head], as_of: int, silent: Sequence[int]) -> Seal | None:
        """Return the seal that our own fold yields at a frontier; None where it is not held whole, or cannot be one.

        `as_of`: unix seconds. `silent`: voters, by index, that lose their vote. None too while governance is forked or
        halted: people choose first, and no branch grows by itself.
        """
        if self._replica.members.branches or self._replica.members.halted:
            return None
        base, view = self.newest(), HeldView(self._replica, rows)
        voters = sorted(base.voters)
        if any(not 0 <= place < len(voters) for place in silent):
            return None
        if any(view.root(feed, head.size) != head.root for feed, head in frontier.items()):
            return None
        root = self._ticker.root_at(rows, {feed: head.size for feed, head in frontier.items()})
        if root is None:
            return None
        terms = Terms(frontier, as_of, tuple(voters[place] for place in silent), root)
        composed = self._replica.chain.compose(base, view, terms)
        return composed[0] if composed is not None else None

    def silent_voters(self, rows: Reader, as_of: int) -> Sequence[int]:
        """Return the indexes of the voters that have shown no checkpoint for 30 days before `as_of`.

        `rows` is not read: the newest checkpoint of a feed is in memory.
        """
        del rows
        base = self.newest()
        return [
            place
            for place, party in enumerate(sorted(base.voters))
            if self._last_heard(party) <= as_of - SILENT_SECONDS
        ]

    def _last_heard(self, party: Party) -> int:
        """Return the time of the newest checkpoint of any of a party's devices; or of the genesis."""
        members = self._replica.members
        feeds = [device.feed for device in members.devices.values() if device.party == party]
        heads = [head for feed in feeds if (head := self._replica.signed_head(feed)) is not None]
        return max((head.time for head in heads), default=self._replica.genesis.entry.iat)

    def gone(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (left, expelled): indexes of the epoch's voters that are gone by the live fold."""
        members, voters = self._replica.members, sorted(self.newest().voters)
        standing = [members.members.get(party[0]) for party in voters]
        states = [m.state if m is not None and m.party == p else "" for m, p in zip(standing, voters, strict=True)]
        left = tuple(place for place, state in enumerate(states) if state == "left")
        return left, tuple(place for place, state in enumerate(states) if state == "expelled")

    def omits_expulsion(self, rows: Reader, seal: Seal) -> bool:
        """Say whether a seal leaves out an expulsion of a voter that is held complete, and could have held it.

        `rows` is not read: the live fold is in memory.
        """
        del rows
        base, expelled = self.newest(), self._replica.members.expelled
        voters = sorted(base.voters)
        named = {voters[place] for place in (*seal.expelled, *seal.left)}
        left = {voters[place] for place in seal.left}
        out = [party for party in voters if party in expelled and party not in left]
        return any(party not in named for party in out[: expulsions_max(len(voters), len(seal.left))])
