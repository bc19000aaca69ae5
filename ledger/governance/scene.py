"""One branch of a ledger, folded, and what keeps a statement from counting in it (rules M1, M2, M6, M7).

How it works
    The fold asks of every statement whether it counts, and keeps no reason. A `Scene` asks the same of one statement
    after the fold, step by step, and says which step it fails at (`explain` lists the rules).

What it does not do
    It folds nothing by itself and knows no kind of entry: `explain` and `explain_ballots` do.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.feed import Registration
from ledger.governance.chain import Chain
from ledger.governance.epoch import Genesis
from ledger.governance.members import Counting, Folded, state_of
from ledger.governance.register import Register
from ledger.governance.roster import Party, View
from ledger.governance.state import Base
from ledger.verdict import Account, superseded, void, waits


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is held of a mesh's governance, as far as a view reaches."""

    genesis: Genesis
    register: Register
    chain: Chain
    view: View


class Scene:
    """One branch, folded, and what keeps statements from counting in it."""

    def __init__(self, ledger: Ledger, tip: Base) -> None:
        self.ledger, self.tip = ledger, tip
        self.folded: Folded = ledger.chain.open(tip, ledger.view)
        self.base = self.folded.base
        self.reaches = self.base.reaches
        self._counting = Counting(self.base, ledger.view)

    def held(self, registration: Registration) -> Account | None:
        """Return why epoch or `seen` of a statement do not do (M6, M7), or None where they do."""
        entry, view = registration.entry, self.ledger.view
        known = self.base.known.get(entry.epoch or b"")
        if known is None:
            return waits("M6", "it names an epoch that no certificate held here leads to")
        if known[1] > entry.iat:
            return void("M6", f"it is dated before the time of epoch {known[0]}, which it names")
        if known[0] < self._counting.age(registration):
            return void("M7", f"it names epoch {known[0]}, and has seen what names a later one")
        if view.holds(entry, self.reaches.forks):
            return None
        missing = [head.feed.hex()[:12] for head in entry.seen if view.root(head.feed, head.size) is None]
        if missing:
            return waits("M6", f"what it has seen of the feed(s) {', '.join(missing)} is not held here")
        return void("M6", "a head that it has seen is not the one held, or is dated after it")

    def permissive(self, registration: Registration) -> Account | None:
        """Return what keeps a permissive statement from counting (M1, M2, M6, M7), or None."""
        feed = registration.feed
        if feed not in self.base.active:
            return self.idle(feed)
        if registration.index >= self.reaches.reach(feed):
            return self.bound(feed)
        return self.held(registration)

    def idle(self, feed: bytes) -> Account:
        """Return why a feed does not count (M1)."""
        owner = self.reaches.owners.get(feed)
        if owner is None:
            return waits("M1", "no certificate held here says whose device wrote it")
        if owner not in self.base.found:
            return waits("M1", "the member whose device wrote it is not in")
        return waits("M1", "no certificate that counts makes the device that wrote it one of its member's")

    def bound(self, feed: bytes) -> Account:
        """Return what bounds a feed (M2), as the account of what lies beyond."""
        return void("M2", *self.reach(feed))

    def reach(self, feed: bytes) -> tuple[str, *tuple[bytes, ...]]:
        """Return in words what bounds a feed the most, and the entries that do it."""
        tables = self.reaches
        reach, owner = tables.reach(feed), tables.owners.get(feed)
        told = f"the feed counts for its first {reach} leaves alone: "
        if tables.cuts.get(feed) == reach and owner is not None:
            bound = self.folded.count.resolution.bound(owner, feed)
            return f"{told}its member is expelled, and cut there", *(bound.why if bound is not None else ())
        if tables.forks.get(feed) == reach:
            return f"{told}it is proven to have forked", *sorted(i for i, f in tables.proofs.items() if f == feed)
        if tables.ends.get(feed) == reach and owner in tables.left:
            return f"{told}its member left", tables.left[owner]
        told += "its device was retired, or another took over"
        return told, *(r.entry.id for r in self.ledger.register if _ends(r, feed))

    def belongs(self, party: Party) -> bool:
        """Say whether a party is in, in its newest incarnation, and not out again."""
        return self.ended(party) is None

    def ended(self, party: Party) -> Account | None:
        """Return what ended a party's membership, or that it never began; None for a member."""
        found = self.base.found
        if party not in found:
            return waits("M3", "the party is not in")
        newer = max(other for other in found if other[0] == party[0])
        if newer != party:
            return superseded("M3", "a later incarnation took its place", *found[newer].why)
        state, why = state_of(self.folded, party)
        match state:
            case "expelled":
                return superseded("M5", "the member was expelled since", *why)
            case "left":
                return superseded("M2", "the member left since", *why)
            case _:
                return None


def _ends(registration: Registration, feed: bytes) -> bool:
    """Say whether an entry retires a feed's device, or names a successor of it."""
    entry = registration.entry
    if entry.kind == "device.retire":
        return entry.thing[1] == feed
    return entry.kind == "device.certify" and (entry.payload.get("predecessor") or (b"",))[0] == feed
