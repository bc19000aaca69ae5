"""Who is in: the fold of the governance entries below a frontier (governance.md §2 to §4).

How it works
    The fold is a pure function of the *set* of registrations below a frontier. `chain` cuts it at the certified seals;
    `advance` folds what one open epoch adds to the `Base` of its seal, in passes that do not depend on order:
      M2 reach: how far a feed counts: the smallest of proven forks, retirements, successors' claims, the member's own
         leave and the cut of an expulsion. Permissive entries beyond the reach are void; restrictive ones still count.
      M5 ballots: all that is open is counted (`voting`). Who votes was sealed, so this comes before who is in. An
         expulsion adds its cuts to M2; a suspension silences its target until a governance time.
      M1 devices: a device's feed counts once a counting certificate of its member's root key names it, and it is the
         founder's first, the one an admitted application names, or the successor of a feed that counts, within what
         that one's fork, leave or cut allows. A founder's first feed and a successor's may bear their own certificate.
      M3 members: founders who accepted, then whoever the predicate of the epoch's rules lets in, each member inviting
         at most `invitations_a_day`. A higher incarnation takes the place of a lower one.
      M4 links and tenants: `edges`.
    A permissive entry counts only in a feed that counts, within its reach, where the heads in its `seen` are held as it
    names them, under an epoch that is known and not dated after the statement (M6), nor older than any that it has
    seen (M7).

What it does not do
    It makes no seal (`sealing`) and follows none (`chain`). A device of a leaver that is no successor of the leaving
    one goes on counting: its member could as well not have left.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from ledger import keys
from ledger.entry import Entry
from ledger.feed import Registration
from ledger.governance import edges, reaches, voting
from ledger.governance.ballots import Act, Sealed
from ledger.governance.epoch import EVALUATOR_VERSION, Genesis
from ledger.governance.growth import APPLICATIONS, ENDORSEMENTS, Growth
from ledger.governance.policy import AllOf, AnyOf, Authority, Predicate, Threshold
from ledger.governance.roster import (
    UNBOUNDED,
    Device,
    Member,
    Members,
    Party,
    Tenancy,
    View,
    edge,
    link_id,
    possession_message,
)
from ledger.governance.rounds import guilty
from ledger.governance.state import Base
from ledger.governance.tally import suspended_until
from ledger.governance.voting import Count
from ledger.kinds import KINDS

__all__ = (
    "UNBOUNDED",
    "Device",
    "Folded",
    "Member",
    "Members",
    "Party",
    "Tenancy",
    "View",
    "advance",
    "edge",
    "link_id",
    "members_of",
    "possession_message",
)

VOTING: Final = ("proposal", "vote", "vote.delegate", "vote.default")
"""Kinds of which ballots are made, in the order in which they are read."""
ABOUT: Final = tuple(kind for kind in KINDS if kind in edges.LINKS | edges.TENANTS)
"""Kinds about links and tenants."""
REPEATED_MAX: Final = 16
"""Certificates of one device, or credentials of one member, that one feed has looked at in an epoch."""
_REPEATED: Final = frozenset({"device.certify", "member.credential"})
_SEALS: Final = frozenset({"seal.frontier", "seal.certificate", "genesis"})  # not the fold's: `chain` reads them


@dataclass(frozen=True, slots=True)
class Folded:
    """What an open epoch comes to: its tables, its ballots, and why applicants are in or not."""

    base: Base
    count: Count
    growth: Growth
    taken: frozenset[tuple[bytes, int]]  # (feed, index) of what needs no second look


class Counting:
    """Says of a statement whether it counts, over the tables of one fold."""

    def __init__(self, base: Base, view: View) -> None:
        self._base, self._view = base, view

    def held(self, registration: Registration) -> bool:
        """Say whether epoch and `seen` of a statement are held and fit (M6, M7)."""
        entry = registration.entry
        known = self._base.known.get(entry.epoch or b"")
        return (
            known is not None
            and known[1] <= entry.iat
            and known[0] >= self.age(registration)
            and self._view.holds(entry, self._base.reaches.forks)
        )

    def inside(self, registration: Registration) -> bool:
        """Say whether a statement counts in a feed that does, within its reach."""
        feed = registration.feed
        return registration.index < self._base.reaches.reach(feed) and self.held(registration)

    def active(self, registration: Registration) -> bool:
        """Say whether a statement counts, and its feed does."""
        return registration.feed in self._base.active and self.inside(registration)

    def age(self, registration: Registration) -> int:
        """Return the number of the newest epoch that anything in the statement's closure names."""
        own = _newest(self._base.ages.get(registration.feed, ()), registration.index)
        heads = registration.entry.seen
        return max(own, max((_newest(self._base.ages.get(h.feed, ()), h.size) for h in heads), default=0))


def _newest(ages: tuple[tuple[int, int], ...], size: int) -> int:
    place = bisect_left(ages, (size, 0))
    return ages[place - 1][1] if place else 0


@dataclass(frozen=True, slots=True)
class Inputs:
    """Statements that a fold looks at, by feed and index; `by_kind` and `by_feed` in that order."""

    all: tuple[Registration, ...]
    by_kind: Mapping[str, list[Registration]]
    by_feed: Mapping[bytes, list[Registration]]

    @classmethod
    def of(cls, registrations: Iterable[Registration], evaluator: int) -> Inputs:
        """Sort statements of the kinds that an evaluator knows (governance.md §2), each place once."""
        unique = {(r.feed, r.index): r for r in registrations if _known(r.entry, evaluator)}
        inputs = _bounded(r for _, r in sorted(unique.items()))
        by_kind: dict[str, list[Registration]] = defaultdict(list)
        by_feed: dict[bytes, list[Registration]] = defaultdict(list)
        for registration in inputs:
            by_kind[registration.entry.kind].append(registration)
            by_feed[registration.feed].append(registration)
        return cls(inputs, by_kind, by_feed)

    def of_kinds(self, kinds: Iterable[str]) -> list[Registration]:
        """Return the statements of some kinds, kind by kind."""
        return [r for kind in kinds for r in self.by_kind.get(kind, ())]


def _bounded(ordered: Iterable[Registration]) -> tuple[Registration, ...]:
    """Leave out what a feed says beyond `REPEATED_MAX` times, which would be held against all that was said before."""
    said = Counter[tuple[bytes, str, bytes]]()
    kept = []
    for each in ordered:
        if each.entry.kind in _REPEATED:
            key = (each.feed, each.entry.kind, each.entry.thing[1])
            said[key] += 1
            if said[key] > REPEATED_MAX:
                continue
        kept.append(each)
    return tuple(kept)


def advance(
    genesis: Genesis, base: Base, fresh: Iterable[Registration], view: View, closing: Sealed | None = None
) -> Folded:
    """Fold what lies beyond a base's frontier and below the view's. `fresh`: registrations of sound leaves, any order.

    `closing`: the seal that is being made at this very frontier, when there is one.
    """
    work = base.copy()
    inputs = Inputs.of((r for r in (*base.pending, *fresh) if r.index < view.size(r.feed)), base.evaluator)
    done = begin(work, inputs)
    counting = Counting(work, view)
    done |= voting.take(work, inputs.of_kinds(VOTING), counting.held)
    count = voting.count(work, closing)
    work.reaches.cuts = {f: b.size for f, b in count.resolution.bounds(work.reaches.owners).items()}
    _suspend(work, count)
    growth = Growth(genesis, work, inputs.by_feed, counting.inside, _won(count), work.suspended)
    growth.run()
    done |= growth.done
    work.admitted |= work.found.keys() - work.admitted
    end(work, inputs, counting, done)
    return Folded(work, count, growth, frozenset(done))


def begin(work: Base, inputs: Inputs) -> set[tuple[bytes, int]]:
    """Read what only restricts (M2); return the (feed, index) of what needs no second look."""
    _note_ages(work, inputs.all)
    voices = {feed: party for party, feed in work.governing.items()}
    read = reaches.read(work.reaches, inputs.by_kind, work.floor, lambda entry: _convicted(work, entry), voices)
    return {(r.feed, r.index) for r in read}


def end(work: Base, inputs: Inputs, counting: Counting, done: set[tuple[bytes, int]]) -> None:
    """Read what is said of links and tenants (M4), whose feeds are taken in, and what has to wait. Adds to `done`."""
    done |= edges.take(work, inputs.of_kinds(ABOUT), counting.active)
    _take_in(work, inputs.by_kind)
    work.pending = tuple(r for r in inputs.all if (r.feed, r.index) not in done and not _is_dead(work, r))


def _known(entry: Entry, evaluator: int) -> bool:
    """Say whether the epoch's evaluator knows the kind (governance.md §2)."""
    return entry.kind not in _SEALS and entry.kind in KINDS and KINDS[entry.kind].since <= evaluator


def _is_dead(work: Base, registration: Registration) -> bool:
    """Say whether a statement can never count any more: what binds a feed is never loosened."""
    kind, bound = registration.entry.kind, work.reaches.reach(registration.feed)
    return not KINDS[kind].restrictive and kind not in voting.KINDS and registration.index >= bound


def _note_ages(work: Base, inputs: Iterable[Registration]) -> None:
    for registration in inputs:
        known = work.known.get(registration.entry.epoch or b"")
        ages = work.ages.get(registration.feed, ())
        if (
            known is not None
            and known[0] > (ages[-1][1] if ages else 0)
            and (not ages or ages[-1][0] < registration.index)
        ):
            work.ages[registration.feed] = (*ages, (registration.index, known[0]))


def _convicted(work: Base, entry: Entry) -> bytes | None:
    """Return the feed of the voter whom two seal messages convict; b"" for none, None where the epoch is unknown."""
    instant = work.history.get(entry.payload["epoch"])
    if instant is None:
        return b"" if entry.payload["epoch"] in work.known else None  # so long ago that nobody is asked any more
    voter = guilty(entry.payload["messages"], instant.context)
    if voter is None:
        return b""
    feed = keys.thumbprint(instant.context.voters[voter][1])
    return feed if feed == entry.thing[1] else b""


def _suspend(work: Base, count: Count) -> None:
    work.suspended = {party: held for party, held in work.suspended.items() if held[0] > work.as_of}
    for tally in count.passed(Act.SUSPEND):
        target = tally.proposal.target
        until = suspended_until(count.poll.electorate(tally.proposal))
        if target is not None and until > work.as_of:
            work.suspended[target] = max(work.suspended.get(target, (0, b"")), (until, tally.proposal.id))


def _won(count: Count) -> dict[bytes, list[tuple[bytes, Fraction]]]:
    """Return the support of the ballots on each application."""
    won: dict[bytes, list[tuple[bytes, Fraction]]] = defaultdict(list)
    for ident, tally in count.tallies.items():
        if tally.proposal.act is Act.ADMIT and tally.proposal.subject is not None:
            won[tally.proposal.subject].append((ident, tally.support))
    return won


def _take_in(work: Base, by_kind: Mapping[str, list[Registration]]) -> None:
    """Note whose feeds are taken in: of every party that anybody ever admitted, whatever else is held.

    The set only grows: else whoever learned late that an admission is void would never hold what others do.
    """
    applied = [r.entry for kind in APPLICATIONS for r in by_kind.get(kind, ())]
    work.applied.update((entry.id, (entry.kid, entry.payload["incarnation"])) for entry in applied)
    endorsed = {r.entry.payload["application"] for kind in ENDORSEMENTS for r in by_kind.get(kind, ())}
    if endorsed:
        work.named |= endorsed
    news = {
        ident
        for ident in (*endorsed, *(entry.id for entry in applied))
        if ident in work.named and ident in work.applied
    }
    if news:
        work.admitted |= {work.applied[ident] for ident in news}


def members_of(genesis: Genesis, folded: Folded, halted: str = "") -> Members:
    """Return what a fold means. `halted`: why nothing is permitted here, or ""."""
    work, known = folded.base, folded.base.reaches
    members = _members(folded)

    def belongs(party: Party) -> bool:
        member = members.get(party[0])
        return member is not None and member.party == party and member.state in ("member", "suspended")

    listed = [*work.active, *(feed for feed in known.owners if feed not in work.active)]
    devices = {feed: device_of(work, feed) for feed in listed if known.owners[feed][0] in members}
    taken_in = {*work.admitted, *((keys.thumbprint(root), 1) for root, _ in genesis.founders)}
    if work.evaluator > EVALUATOR_VERSION:
        halted = f"the mesh works by evaluator {work.evaluator}, this node knows {EVALUATOR_VERSION}: upgrade it"
    return Members(
        epoch=work.reference,
        devices=devices,
        members=members,
        links=edges.links(work, belongs),
        tenants=edges.tenants(work, belongs),
        voters=tuple(sorted(party for party in work.voters if belongs(party))),
        forks=known.forks,
        feeds={feed: known.publics[feed] for feed, owner in known.owners.items() if owner in taken_in},
        n=work.n,
        as_of=work.as_of,
        expelled={party: cut.why for party, cut in folded.count.resolution.expelled.items()},
        halted=halted,
        forbidden_purposes=work.rules.forbidden_purposes,
    )


def _members(folded: Folded) -> dict[bytes, Member]:
    work = folded.base
    feeds: dict[Party, list[bytes]] = defaultdict(list)
    for feed in sorted(work.active):
        feeds[work.reaches.owners[feed]].append(feed)
    revoked = revoked_by(work.rules.admission)
    return {  # a higher incarnation replaces a lower one
        party[0]: member_of(folded, party, tuple(feeds[party]), revoked) for party in sorted(work.found)
    }


def member_of(folded: Folded, party: Party, feeds: tuple[bytes, ...], revoked: frozenset[bytes]) -> Member:
    """Return a party that is in, as it stands. `feeds`: those of it that count, sorted."""
    found = folded.base.found[party]
    state, why = state_of(folded, party, revoked.intersection(found.serials))
    voter = party in folded.base.voters
    return Member(party, found.root, found.name, state, voter, feeds, (*found.why, *why))


def device_of(work: Base, feed: bytes) -> Device:
    """Return a certified device, as far as it counts."""
    known, public, owner = work.reaches, work.reaches.publics[feed], work.reaches.owners[feed]
    if feed not in work.active:
        return Device(feed, public, owner, 0, 0)
    return Device(feed, public, owner, known.reach(feed), known.writes(feed))


def state_of(folded: Folded, party: Party, revoked: Iterable[bytes] = ()) -> tuple[str, tuple[bytes, ...]]:
    """Return a party's standing, and the entries that took some of it away."""
    work = folded.base
    cut = folded.count.resolution.expelled.get(party)
    if cut is not None:
        return "expelled", cut.why
    if party in work.reaches.left:
        return "left", (work.reaches.left[party],)
    if any(revoked):
        return "revoked", ()
    if party in work.suspended:
        return "suspended", (work.suspended[party][1],)
    return "member", ()


def revoked_by(predicate: Predicate) -> frozenset[bytes]:
    """Return every serial that a predicate says is revoked."""
    match predicate:
        case Authority(_, _, revoked):
            return frozenset(revoked)
        case AllOf(parts) | AnyOf(parts) | Threshold(_, parts):
            return frozenset(serial for part in parts for serial in revoked_by(part))
        case _:
            return frozenset()
