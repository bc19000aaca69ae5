"""Reach and ballots, a set at a time: every vote is held to every rule by looking at all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from ledger import fork, keys
from tests.ledger.governance.oracle.facts import DAY, FAR, Final, Held, Leaf, Party, akin


class Ballots:
    """Reach and ballots of the entries below some sizes, after what is final."""

    def __init__(
        self,
        devices: Mapping[Party, bytes],
        leaves: Iterable[Leaf],
        at: Final,
        held: Held,
        sizes: Mapping[bytes, int],
    ) -> None:
        self.at, self.held, self.sizes = at, held, sizes
        self.devices = devices
        self.leaves = [leaf for leaf in leaves if leaf.index < sizes.get(leaf.feed, 0)]
        self.entries = {leaf.entry.id: leaf.entry for leaf in self.leaves}
        self._owners()
        self._restrict()
        self.chains: dict[Party, list[tuple[bytes, int]]] = {}
        self.ok = {(leaf.feed, leaf.index) for leaf in self.leaves if self._in_context(leaf)}
        self._expel()
        self._suspend()

    def of(self, *kinds: str) -> list[Leaf]:
        """Return the leaves of some kinds."""
        return [leaf for leaf in self.leaves if leaf.entry.kind in kinds]

    def _new(self, leaf: Leaf) -> bool:
        return leaf.index >= self.at.sizes.get(leaf.feed, 0)

    def _owners(self) -> None:
        """Each device is of the party that its root key named; the smallest where there are several."""
        self.owner: dict[bytes, Party] = {}
        for leaf in self.of("device.certify"):
            feed, party = leaf.entry.thing[1], (leaf.entry.kid, leaf.entry.payload["incarnation"])
            self.owner[feed] = min(party, self.owner.get(feed, party))

    def _floor(self, feed: bytes) -> int:
        return self.at.sizes.get(feed, 0)

    def _restrict(self) -> None:
        """What only takes away counts wherever it stands, and never reaches below what is sealed."""
        self.holds, self.bounds = dict(self.at.holds), dict(self.at.bounds)
        self.bounded = set(self.at.bounded)
        self.ends: dict[bytes, int] = {}
        self.left: set[Party] = set()
        self.heirs: dict[bytes, set[tuple[int, bytes]]] = {}
        for leaf in self.leaves:
            entry, new = leaf.entry, self._new(leaf)
            if entry.kind == "fork.proof" and new:
                hold = max(fork.hold_of(entry.payload), self._floor(entry.thing[1]))
                self.holds[entry.thing[1]] = min(hold, self.holds.get(entry.thing[1], FAR))
            elif entry.kind == "member.leave":
                party = self.owner.get(leaf.feed)
                if party is not None and party[0] == entry.thing[1]:
                    self.left.add(party)
                    self.ends[leaf.feed] = min(leaf.index + 1, self.ends.get(leaf.feed, FAR))
            elif entry.kind == "device.retire":
                feed, size, _ = entry.payload["final"]
                if new and feed == entry.thing[1] and self.owner.get(feed, (b"", 0))[0] == entry.kid:
                    self._bound(feed, size)
            elif entry.kind == "device.certify" and "predecessor" in entry.payload:
                feed, size, _ = entry.payload["predecessor"]
                party = (entry.kid, entry.payload["incarnation"])
                if feed != entry.thing[1] and self.owner.get(feed) == party == self.owner[entry.thing[1]]:
                    self.heirs.setdefault(feed, set()).add((size, entry.thing[1]))
                    if entry.id not in self.bounded:
                        self.bounded.add(entry.id)
                        self._bound(feed, size + ((leaf.feed, leaf.index) == (feed, size)))

    def _bound(self, feed: bytes, size: int) -> None:
        self.bounds[feed] = min(max(size, self._floor(feed)), self.bounds.get(feed, FAR))

    def _age(self, feed: bytes, size: int) -> int:
        """Return the newest epoch that the first leaves of a feed name."""
        named = [
            self.at.known.get(leaf.entry.epoch or b"", (0, 0))[0]
            for leaf in self.leaves
            if leaf.feed == feed
            and leaf.index < size
            and not leaf.entry.kind.startswith("seal.c")
            and leaf.entry.kind not in ("seal.frontier", "seal.certificate", "genesis")
        ]
        return max(named, default=0)

    def _in_context(self, leaf: Leaf) -> bool:
        """Its epoch is known and no older than what it has seen, and what it has seen is held."""
        entry = leaf.entry
        if (leaf.feed, leaf.index) in self.at.taken:
            return True
        known = self.at.known.get(entry.epoch or b"")
        if known is None or known[0] < self._age(leaf.feed, leaf.index):
            return False
        for head in entry.seen:
            if known[0] < self._age(head.feed, head.size):
                return False
            if head.feed == entry.kid:
                continue
            size = min(head.size, self.holds.get(head.feed, FAR))
            if size > self.sizes.get(head.feed, 0):
                return False
            root = self.held.root(head.feed, size)
            if (size and root is None) or (size == head.size and size and root != head.root):
                return False
        return True

    def _chain(self, party: Party) -> list[tuple[bytes, int]]:
        """Return through which feeds a party speaks, and until where."""
        first = keys.thumbprint(self.devices[party]) if party in self.devices else None
        for leaf in self.of("member.apply", "member.repair"):
            if first is None and (leaf.entry.kid, leaf.entry.payload["incarnation"]) == party:
                first = leaf.entry.payload["device"]
        chain: list[tuple[bytes, int]] = []
        while first is not None and first not in [feed for feed, _ in chain]:
            end = self.ends.get(first, FAR)
            chain.append((first, min(end, self.bounds.get(first, FAR))))
            size, heir = min(self.heirs.get(first, set()), default=(0, None))
            first = heir if size <= self.holds.get(first, FAR) and end == FAR else None
        return chain

    def _place(self, leaf: Leaf) -> tuple[int, int] | None:
        party = self.owner[leaf.feed]
        if party not in self.chains:
            self.chains[party] = self._chain(party)
        for rank, (feed, until) in enumerate(self.chains[party]):
            if feed == leaf.feed:
                return (rank, leaf.index) if leaf.index < until else None
        return None

    # Ballots

    def _proposals(self) -> dict[bytes, Leaf]:
        """Return the sound proposals that are open, at most eight of a voter."""
        found: dict[bytes, Leaf] = {}
        for leaf in self.of("proposal"):
            entry = leaf.entry
            electorate = self.at.electorates.get(entry.epoch or b"")
            if entry.id in self.at.closed or (leaf.feed, leaf.index) not in self.ok or electorate is None:
                continue
            as_of, voters, rules = electorate
            if not as_of < entry.payload["deadline"] <= as_of + rules["ballot_days"] * DAY:
                continue
            if entry.payload["deadline"] <= self.at.as_of:
                continue  # the seal that had to close it was made without it
            if (entry.payload["act"] in ("expel", "suspend")) != ("target" in entry.payload):
                continue
            if self.owner.get(leaf.feed) in voters and leaf.index < self.holds.get(leaf.feed, FAR):
                found[entry.id] = leaf
        return found

    def _yes(self, proposal: Leaf) -> dict[Party, Leaf]:
        """Return the votes that say yes and count, cuts ignored, by voter."""
        target = tuple(proposal.entry.payload.get("target", ()))
        _, voters, rules = self.at.electorates[proposal.entry.epoch or b""]
        deadline = proposal.entry.payload["deadline"]
        votes: dict[Party, list[tuple[tuple[int, int], Leaf]]] = {}
        for leaf in self.of("vote"):
            voter = self.owner.get(leaf.feed)
            if leaf.entry.thing[1] != proposal.entry.id or (leaf.feed, leaf.index) not in self.ok:
                continue
            if voter is None or voter not in voters or (target and akin(rules, voter, (target[0], 0))):
                continue
            place = self._place(leaf)
            if place is not None:
                votes.setdefault(voter, []).append((place, leaf))
        found = {}
        for voter, listed in votes.items():
            _, leaf = min(listed, key=lambda each: each[0])
            as_of = self.at.known[leaf.entry.epoch or b""][1]
            inside = leaf.index < max(self.holds.get(leaf.feed, FAR), self._floor(leaf.feed))
            if leaf.entry.payload["choice"] == "yes" and as_of < deadline and inside:
                found[voter] = leaf
        return found

    def _others(self, proposal: Leaf) -> int:
        target = tuple(proposal.entry.payload["target"])
        _, voters, rules = self.at.electorates[proposal.entry.epoch or b""]
        return sum(not akin(rules, party, (target[0], 0)) for party in voters)

    def _cut(self, proposal: Leaf, feed: bytes) -> int:
        named = {head[0]: head[1] for head in proposal.entry.payload.get("cut", ())}
        return int(max(named.get(feed, 0), self._floor(feed)))

    def _expel(self) -> None:
        self.proposals = self._proposals()
        expels = {i: leaf for i, leaf in self.proposals.items() if leaf.entry.payload["act"] == "expel"}
        yes = {i: self._yes(leaf) for i, leaf in expels.items()}

        def enough(ident: bytes, voters: Iterable[Party]) -> bool:
            others = self._others(expels[ident])
            return others >= 2 and 3 * len({voter[0] for voter in voters}) > 2 * others

        certified = [ident for ident in expels if enough(ident, yes[ident])]

        def live(ident: bytes, rivals: Iterable[bytes]) -> bool:
            kept = []
            for voter, leaf in yes[ident].items():
                sealed = self.at.cuts.get(voter)
                sizes = [sealed.get(leaf.feed, 0)] if sealed is not None else []
                sizes += [
                    self._cut(expels[q], leaf.feed)
                    for q in rivals
                    if q != ident and tuple(expels[q].entry.payload["target"]) == voter
                ]
                if all(leaf.index < size for size in sizes):
                    kept.append(voter)
            return enough(ident, kept)

        sets = [frozenset(s) for n in range(len(certified) + 1) for s in combinations(certified, n)]
        image = {s: frozenset(p for p in certified if live(p, s)) for s in sets}
        self.applied = frozenset[bytes]().union(*(s for s in sets if s <= image[image[s]]))
        self.cuts: dict[Party, dict[bytes, int]] = {party: dict(cut) for party, cut in self.at.cuts.items()}
        for ident in self.applied:
            leaf = expels[ident]
            party: Party = (leaf.entry.payload["target"][0], leaf.entry.payload["target"][1])
            fresh = {feed: self._cut(leaf, feed) for feed, owner in self.owner.items() if owner == party}
            known = self.cuts.get(party)
            sealed = party in self.at.cuts
            old = dict.fromkeys(fresh, 0) | (known or {}) if sealed else (known or fresh)
            self.cuts[party] = {feed: min(size, old.get(feed, size)) for feed, size in fresh.items()}
        for party, cut in self.cuts.items():
            for feed, owner in self.owner.items():
                if owner == party:
                    cut.setdefault(feed, 0)

    def _reach(self, feed: bytes) -> int:
        cut = self.cuts.get(self.owner[feed], {}).get(feed, FAR) if feed in self.owner else FAR
        return (
            min(table.get(feed, FAR) for table in (self.holds, self.bounds, self.ends))
            if cut == FAR
            else min(cut, *(table.get(feed, FAR) for table in (self.holds, self.bounds, self.ends)))
        )

    def _live(self, proposal: Leaf) -> set[bytes]:
        """Return the voices that say yes within every cut."""
        found = set()
        for voter, leaf in self._yes(proposal).items():
            cut = self.cuts.get(voter)
            if cut is None or leaf.index < cut.get(leaf.feed, 0):
                found.add(voter[0])
        return found

    def _suspend(self) -> None:
        self.suspended = {party: until for party, until in self.at.suspended.items() if until > self.at.as_of}
        self.passed: set[bytes] = set()
        self.support: dict[bytes, tuple[int, int]] = {}
        for ident, leaf in self.proposals.items():
            payload = leaf.entry.payload
            as_of, voters, rules = self.at.electorates[leaf.entry.epoch or b""]
            if payload["act"] == "expel":
                continue
            yes = self._live(leaf)
            if payload["act"] == "suspend":
                if len(yes) >= max(rules["suspenders"], self._others(leaf) // 3 + 1):
                    self.passed.add(ident)
                    until, target = as_of + rules["suspension_days"] * DAY, (payload["target"][0], payload["target"][1])
                    if until > self.at.as_of:
                        self.suspended[target] = max(until, self.suspended.get(target, 0))
            elif leaf.index < self._reach(leaf.feed) or leaf.index < self._own_reach(leaf.feed):
                self.support[ident] = (len(yes), len({party[0] for party in voters}))
                if 2 * len(yes) > len({party[0] for party in voters}):
                    self.passed.add(ident)

    def _own_reach(self, feed: bytes) -> int:
        cut = self.cuts.get(self.owner[feed], {}).get(feed, FAR)
        return min(cut, self.bounds.get(feed, FAR), self.ends.get(feed, FAR))
