"""Who is in, a round at a time until a round adds nothing; and what a seal makes final."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import cbor2

from ledger import keys
from ledger.entry import Entry
from tests.ledger.governance.oracle.ballots import Ballots
from tests.ledger.governance.oracle.facts import DAY, FAR, Final, Leaf, Party, akin


class Open(Ballots):
    """Who is in, and what a seal makes final."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._grow()

    # Who is in

    def _counts(self, leaf: Leaf) -> bool:
        place = (leaf.feed, leaf.index)
        if place in self.at.taken:
            return True
        return place in self.ok and leaf.index < self._reach(leaf.feed)

    def _grow(self) -> None:
        self.members, self.active = dict(self.at.members), set(self.at.active)
        self.taken = set(self.at.taken)
        self.why: dict[Party, Entry] = {}
        size = -1
        while size != len(self.members) + len(self.active) + len(self.taken):
            size = len(self.members) + len(self.active) + len(self.taken)
            self._take()
            self._certify()
            self._admit()

    def _take(self) -> None:
        firsts = {keys.thumbprint(device): party for party, device in self.devices.items()}
        for leaf in self.leaves:
            kind, own = leaf.entry.kind, leaf.entry.thing[1] == leaf.feed
            inside = leaf.feed in self.active
            if leaf.feed in firsts and kind in ("genesis.accept", "device.certify"):
                inside |= own or leaf.entry.thing[1] == firsts[leaf.feed][0]
            if kind == "device.certify" and own and "predecessor" in leaf.entry.payload:
                inside |= leaf.entry.payload["predecessor"][0] in self.active
            if kind in ("member.admit", "member.sponsor") and self.owner.get(leaf.feed) in self.suspended:
                continue
            if inside and kind not in {"vote", "proposal"} and self._counts(leaf):
                self.taken.add((leaf.feed, leaf.index))

    def _certify(self) -> None:
        """Let feeds count: firsts of who is in, and heirs within what their predecessor's end leaves."""
        for leaf in self.of("device.certify"):
            feed = leaf.entry.thing[1]
            party = (leaf.entry.kid, leaf.entry.payload["incarnation"])
            if (leaf.feed, leaf.index) not in self.taken or self.owner[feed] != party or party not in self.members:
                continue
            if self._first(party) == feed:
                self.active.add(feed)
            claim = leaf.entry.payload.get("predecessor")
            if claim is not None and claim[0] in self.active and self.owner.get(claim[0]) == party:
                cut = self.cuts.get(party, {}).get(claim[0], FAR)
                if claim[1] <= min(self.holds.get(claim[0], FAR), cut) and claim[0] not in self.ends:
                    self.active.add(feed)

    def _first(self, party: Party) -> bytes | None:
        if party in self.devices:
            return keys.thumbprint(self.devices[party])
        for leaf in self.of("member.apply", "member.repair"):
            if (leaf.entry.kid, leaf.entry.payload["incarnation"]) == party:
                return bytes(leaf.entry.payload["device"])
        return None

    def _endorsers(self, application: Entry, *, strict: bool = True) -> set[Party]:
        found = set()
        for leaf in self.of("member.admit", "member.sponsor"):
            entry = leaf.entry
            if (leaf.feed, leaf.index) not in self.taken or entry.payload["application"] != application.id:
                continue
            who = self.owner[leaf.feed]
            named = (
                entry.thing[1] == application.kid and entry.payload["incarnation"] == application.payload["incarnation"]
            )
            asked = entry.kind == "member.sponsor" or tuple(application.payload["inviter"]) == who
            if (
                named
                and who[0] != application.kid
                and (not strict or (asked and application.payload["expires"] >= entry.iat))
            ):
                found.add(who)
        return found

    def _admit(self) -> None:
        for party in self.devices:
            taken = [
                x for x in self.of("genesis.accept") if (x.feed, x.index) in self.taken and x.entry.thing[1] == party[0]
            ]
            if taken and party not in self.members:
                self.members[party] = 0
        for leaf in self.of("member.apply"):
            entry = leaf.entry
            party = (entry.kid, entry.payload["incarnation"])
            if (leaf.feed, leaf.index) not in self.taken or entry.thing[1] != entry.kid or party in self.members:
                continue
            if self._holds(self.at.rules["admission"], entry):
                self.members[party] = self.at.n

    def _holds(self, form: Any, application: Entry) -> bool:
        match form:
            case ["bilateral"]:
                return len({who[0] for who in self._endorsers(application)}) >= 1
            case ["sponsors", k]:
                return len({who[0] for who in self._endorsers(application)}) >= int(k)
            case ["charter", version]:
                return bool(application.payload.get("charter") == version)
            case ["all", parts]:
                return all(self._holds(part, application) for part in parts)
        raise AssertionError(form)

    # Outcomes

    def verdict(self) -> dict[str, Any]:
        """Return what stands."""
        newest = dict(sorted(self.members))
        states = {}
        for kid, number in newest.items():
            party = (kid, number)
            states[party] = (
                "expelled"
                if party in self.cuts
                else "left"
                if party in self.left
                else "suspended"
                if party in self.suspended
                else "member"
            )
        inside = {party for party, state in states.items() if state in ("member", "suspended")}
        return {
            "n": self.at.n,
            "as_of": self.at.as_of,
            "states": states,
            "voters": sorted(party for party in self.at.voters if party in inside),
            "expelled": set(self.cuts),
            "reach": {feed: self._reach(feed) for feed in self.active if (self.owner[feed][0]) in newest},
        }

    def seal(
        self, ref: bytes, as_of: int, lost: set[Party], frontier: Mapping[bytes, tuple[int, bytes]]
    ) -> Final | None:
        """Return what is final once this frontier is sealed."""
        at = self.at
        rules, closed = dict(at.rules), set(at.closed)
        by_act: dict[str, list[bytes]] = {}
        for ident in self.passed:
            by_act.setdefault(self.proposals[ident].entry.payload["act"], []).append(ident)
        for act in ("policy", "charter", "evaluator"):
            ranked = sorted(by_act.get(act, []), key=lambda ident: -self.support[ident][0] / self.support[ident][1])
            if not ranked:
                continue
            best = [i for i in ranked if self.support[i] == self.support[ranked[0]]]
            if len(best) == 1 and (len(ranked) == 1 or self._more(ranked[0], ranked[1])):
                closed.update(ranked)
                if act == "policy":
                    rules = cbor2.loads(self.proposals[ranked[0]].entry.payload["rules"])
        closed |= {i for i, leaf in self.proposals.items() if leaf.entry.payload["deadline"] <= as_of} | self.applied
        sizes = {feed: size for feed, (size, _) in frontier.items()}
        room = max(1, len(at.voters) // 3) - sum(count for time, count in at.added if time > as_of - DAY)
        voters, resting, chosen = self._seats(rules, lost, sizes, room)
        publics = {leaf.entry.thing[1]: leaf.entry.payload["device"] for leaf in self.of("device.certify")}
        feeds = {party: self._speaks(party) or at.voters[party] for party in voters}
        added = tuple(each for each in at.added if each[0] > as_of - DAY)
        n = at.n + 1
        known = {**at.known, ref: (n, as_of)}
        return replace(
            at,
            n=n,
            ref=ref,
            as_of=as_of,
            rules=rules,
            known=known,
            voters=feeds,
            keys={party: publics.get(feed, self.devices.get(party, b"")) for party, feed in feeds.items()},
            electorates={**at.electorates, ref: (as_of, frozenset(feeds), rules)},
            sizes=sizes,
            roots={feed: root for feed, (_, root) in frontier.items()},
            taken=frozenset(self.taken),
            members=self.members,
            active=frozenset(self.active),
            cuts=self.cuts,
            holds=self.holds,
            bounds=self.bounds,
            bounded=frozenset(self.bounded),
            closed=frozenset(closed),
            suspended={party: until for party, until in self.suspended.items() if until > as_of},
            added=(*added, (as_of, chosen)) if chosen else added,
            resting=resting,
        )

    def _more(self, one: bytes, other: bytes) -> bool:
        (yes, of), (less, whole) = self.support[one], self.support[other]
        return yes * whole > less * of

    def _speaks(self, party: Party) -> bytes | None:
        chain = self._chain(party)
        if chain and chain[-1][1] == FAR and chain[-1][0] in self.active and self.owner[chain[-1][0]] == party:
            return chain[-1][0]
        return None

    def _seats(
        self, rules: Mapping[str, Any], lost: set[Party], sizes: Mapping[bytes, int], room: int
    ) -> tuple[list[Party], frozenset[Party], int]:
        """Return who votes next, whose vote rests, and how many members got a vote that their group had not."""
        at, newest = self.at, dict(sorted(self.members))

        def order(party: Party) -> tuple[bool, bool, Party]:
            feed = self._speaks(party) or at.voters.get(party, b"")
            return self._out(party), sizes.get(feed, 0) <= at.sizes.get(feed, 0), party

        def seat(parties: Iterable[Party], room: int = len(self.members) + len(at.voters)) -> int:
            before = len(seats)
            for party in parties:
                if len(seats) - before < room and not any(akin(rules, party, other) for other in seats):
                    seats.append(party)
            return len(seats) - before

        seats: list[Party] = []
        stay = sorted(set(at.voters) - lost, key=order)
        current = [party for party in stay if newest.get(party[0], party[1]) == party[1]]
        seat(current)
        rest = {p for p in (*at.resting, *current) if newest.get(p[0], p[1]) == p[1]}
        rest -= {*seats, *self.left, *self.cuts}
        able = sorted((p for p in rest if not self._out(p) and self._speaks(p)), key=order)
        seat(p for p in able if any(akin(rules, p, v) for v in at.voters))
        if not seats:
            seat(stay)
        oldest = sorted((since, p) for p, since in self.members.items() if p in able or self._may_vote(p))
        added = seat((party for _, party in oldest), room)
        return seats, frozenset(rest.difference(seats)), added

    def _out(self, party: Party) -> bool:
        return party in self.left or party in self.cuts or party in self.suspended

    def _may_vote(self, party: Party) -> bool:
        if self._out(party) or party in self.at.voters or self._speaks(party) is None:
            return False
        for leaf in self.of("member.apply"):
            if (leaf.entry.kid, leaf.entry.payload["incarnation"]) == party and party in self.members:
                endorsers = self._endorsers(leaf.entry, strict=False) & set(self.at.voters)
                if len({who[0] for who in endorsers}) >= len({v[0] for v in self.at.voters}) // 3 + 1:
                    return True
        return False
