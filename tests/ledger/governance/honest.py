"""What honest members do in a world in turmoil: each act is chosen by three small numbers, who, what and when.

How it works
    `Cached` is a polity whose leaves are parsed once and whose roots are computed once. `HONEST` lists the acts.

What it does not do
    It has no opinion on what comes of an act.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.feed import Registration, start_of
from ledger.governance.epoch import Policy
from ledger.governance.policy import Sponsors
from ledger.governance.roster import Party
from ledger.governance.rules import Rules, weak
from ledger.kinds import KINDS
from ledger.merkle import EMPTY_ROOT, PeaksBuilder
from tests.ledger.governance.polity import Polity, Whole
from tests.worlds import LATER, Member, Scribe, octets, parsed

MEMBERS_MAX = 8
HOURS = (1, 1, 30, 1, 200, 400, 800)
"""Between seals: minutes of work, more than a day, more than a deadline, more than a month."""
CHARTER = octets("charter")


class Cached(Polity):
    """A polity whose leaves are parsed once, and whose roots are computed once."""

    def __init__(self, label: object = 0, *, founders: int = 4, policy: Policy | None = None) -> None:
        self._read: dict[bytes, list[Registration]] = {}
        self._known: dict[bytes, tuple[PeaksBuilder, list[bytes]]] = {}
        super().__init__(label, founders=founders, policy=policy)
        self.epochs = [self.mesh_id]
        self.accepts: bytes | None = None  # the charter that applicants accept

    def view(self, sizes: Mapping[bytes, int] | None = None) -> Sight:
        """Return the view of all that is registered, or of what lies below these sizes."""
        return Sight(self, sizes)

    def application(self, member: Member, inviter: Party, device: bytes, *, expires: int = LATER) -> Entry:
        """Let an applicant ask a member to admit it; it accepts a charter where it has one to accept."""
        payload = {"incarnation": member.party[1], "inviter": list(inviter), "device": device, "expires": expires}
        if self.accepts is not None:
            payload["charter"] = self.accepts
        return self.sign(member.root, "member.apply", ("member", member.root.kid), payload, seen=(start_of(device),))

    def registrations(self) -> list[Registration]:
        """Return every well-formed governance entry at its place."""
        found = []
        for scribe in self.scribes():
            listed = self._read.setdefault(scribe.feed, [])
            known = self._known.setdefault(b"read" + scribe.feed, (PeaksBuilder(), []))[1]
            for index in range(len(known), len(scribe.raws)):
                known.append(b"")
                entry = parsed(scribe.raws[index])
                if entry is not None and entry.kind in KINDS and KINDS[entry.kind].governance:
                    listed.append(Registration(entry, scribe.feed, index))
            found += listed
        return found

    def root_at(self, scribe: Scribe, size: int) -> bytes:
        """Return a feed's root at a size."""
        builder, roots = self._known.setdefault(scribe.feed, (PeaksBuilder(), [EMPTY_ROOT]))
        leaves = scribe.leaves[len(roots) - 1 :] if len(roots) <= size else []
        for leaf in leaves:
            builder.append(leaf)
            roots.append(builder.root())
        return roots[size]


class Sight(Whole):
    """A view of a cached polity."""

    def root(self, feed: bytes, size: int) -> bytes | None:
        """Return a feed's root at a size, or None."""
        if size > self.size(feed):
            return None
        assert isinstance(self._world, Cached)
        return self._world.root_at(self._scribes[feed], size) if size else EMPTY_ROOT

    def below(self, sizes: Mapping[bytes, int]) -> Sight:
        """Return the view of a frontier inside this one."""
        return Sight(self._world, {feed: min(size, self.size(feed)) for feed, size in sizes.items()})


# Choosing


def pick(world: Polity, i: int) -> Member:
    return world.members[i % len(world.members)]


def pick_entry(kind: str, world: Polity, number: int) -> Any:
    """Return one of the entries of a kind, or None."""
    found = [r.entry for r in world.registrations() if r.entry.kind == kind]
    return found[number % len(found)] if found else None


# Honest acts


def _join(world: Cached, i: int, j: int, k: int) -> None:
    if len(world.members) < MEMBERS_MAX:
        world.accepts = CHARTER if k % 2 else None
        world.join(pick(world, i))


def _sponsor(world: Cached, i: int, j: int, k: int) -> None:
    guest, application = pick(world, j), pick_entry("member.apply", world, j)
    if application is not None:
        guest = next((m for m in world.members if m.party[0] == application.kid), guest)
        for member in (pick(world, i), *([pick(world, i + 1)] if k % 2 else [])):
            world.sponsor(member, application.id, guest)


def _propose(world: Cached, i: int, j: int, k: int) -> None:
    who, target, days = pick(world, i), pick(world, j), (7, 1, 14)[k % 3]
    application = pick_entry("member.apply", world, j)
    match k % 7:
        case 0 | 1:
            world.expel(who, target, cut=(None, max(0, len(target.scribe.raws) - 2))[k // 7], days=days)
        case 2:
            world.propose(who, "suspend", days=days, target=list(target.party))
        case 3:
            rules = (Rules(admission=Sponsors(2)), weak(CHARTER), Rules(invitations_a_day=1), Rules())[j % 4]
            world.propose(who, "policy", days=days, rules=rules.encode())
        case 4:
            world.propose(who, "charter", days=days, charter=octets("text", j))
        case 5 if application is not None:
            world.propose(who, "admit", days=days, application=application.id)
        case _:
            world.propose(who, "evaluator", days=days, evaluator_version=1)


def _vote(world: Cached, i: int, j: int, k: int) -> None:
    """Let some members vote; most often the newest proposal is meant, and most say yes."""
    proposals = [r.entry for r in world.registrations() if r.entry.kind == "proposal"]
    if proposals:
        proposal = proposals[-1 - i % 3 % len(proposals)]
        voters = [m for place, m in enumerate(world.members) if (j * 37 + 11) >> (place % 8) & 1 or k < 5]
        voters = [m for m in voters if list(m.party) != proposal.payload.get("target") or k % 3 == 2]
        world.vote(voters, proposal, ("yes", "yes", "yes", "no")[k % 4])


def _ballot(world: Cached, i: int, j: int, k: int) -> None:
    """Propose, and let most vote for it."""
    before = len(world.registrations())
    _propose(world, i, j, k)
    proposals = [r.entry for r in world.registrations() if r.entry.kind == "proposal"]
    if len(world.registrations()) > before:
        newest = max(proposals, key=lambda each: each.iat)
        target = newest.payload.get("target")
        voters = [m for place, m in enumerate(world.members) if list(m.party) != target and place % 7 != j % 7]
        world.vote(voters, newest)


def _seal(world: Cached, i: int, j: int, k: int) -> None:
    hours = HOURS[j % len(HOURS)]
    frontier = None
    if k % 4 == 3:  # a quorum that has not seen all
        before = world.tip()
        frontier = {}
        for head in world.frontier().values():
            sealed = before.frontier.get(head.feed)
            least = sealed.size if sealed is not None else 0
            size = max(least, head.size - (i + k) % 3)
            scribe = next(s for s in world.scribes() if s.feed == head.feed)
            if size:
                frontier[head.feed] = Head(head.feed, size, world.root_at(scribe, size))
    with contextlib.suppress(AssertionError):
        silent = [sorted(world.tip().voters)[i % len(world.tip().voters)]] if k == 5 else []
        after = world.seal(hours=hours, frontier=frontier, silent=silent, publisher=pick(world, i).scribe)
        world.epochs.append(after.reference)


def _leave(world: Cached, i: int, j: int, k: int) -> None:
    member = pick(world, i)
    world.write(member.scribe, "member.leave", ("member", member.root.kid), {})


def _again(world: Cached, i: int, j: int, k: int) -> None:
    if len(world.members) < MEMBERS_MAX:
        old = pick(world, i)
        number = max(m.party[1] for m in world.members if m.root.kid == old.root.kid)
        world.join(pick(world, j), incarnation=number + 1, again=old)


def _link(world: Cached, i: int, j: int, k: int) -> None:
    source, target = pick(world, i), pick(world, j)
    if source is not target:
        world.link(("link.offer", "link.accept", "link.accept", "link.refuse", "link.sever")[k % 5], source, target)


def _succeed(world: Cached, i: int, j: int, k: int) -> None:
    member = pick(world, i)
    if len(member.scribes) < 3:
        world.succeed(member, pick(world, j).scribe, claim=None if k % 3 else k)


def _delegate(world: Cached, i: int, j: int, k: int) -> None:
    member, to = pick(world, i), pick(world, j)
    if k % 3 == 2:
        payload: dict[str, Any] = {"choice": (None, "yes", "no")[j % 3]}
        world.write(member.scribe, "vote.default", ("member", member.root.kid), payload)
    else:
        payload = {"to": None if k % 5 == 4 else list(to.party)}
        world.write(member.scribe, "vote.delegate", ("member", member.root.kid), payload)


def _affiliate(world: Cached, i: int, j: int, k: int) -> None:
    """Declare affiliates, or undo it, by a ballot that most vote for, and seal."""
    kids = sorted({member.root.kid for member in world.members})
    places = dict(enumerate(kids))
    one = {kid for at, kid in places.items() if (j * 5 + 3) >> (at % 4) & 1}
    other = {kid for at, kid in places.items() if (k * 11 + 6) >> (at % 5) & 1} - one
    groups = tuple(tuple(group) for group in (one, other) if len(group) > 1) if j % 5 else ()
    voters = [member for member in world.members if member.party in world.tip().voters]
    if voters:
        rules = Rules(affiliations=groups)
        proposal = world.propose(voters[i % len(voters)], "policy", days=7, rules=rules.encode())
        world.vote([m for place, m in enumerate(voters) if len(voters) < 3 or place % 7 != k % 7], proposal)
        _seal(world, i, j, k)


Act = Callable[[Cached, int, int, int], None]

HONEST: dict[str, Act] = {
    "vote": _vote,
    "seal": _seal,
    "propose": _propose,
    "ballot": _ballot,
    "join": _join,
    "sponsor": _sponsor,
    "link": _link,
    "leave": _leave,
    "again": _again,
    "succeed": _succeed,
    "delegate": _delegate,
    "affiliate": _affiliate,
}
