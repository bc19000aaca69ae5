"""The fold that goes on gives what a fold from the base gives, whatever comes, in whatever order, after every entry."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.feed import Registration
from ledger.governance.chain import Chain
from ledger.governance.epoch import Policy
from ledger.governance.policy import Ballot, Sponsors
from ledger.governance.register import Register
from ledger.governance.rules import Rules
from tests.benchmarks.assembly import Assembly, Grown, Shape
from tests.conftest import PROFILE
from tests.ledger.governance.polity import Polity, Whole
from tests.worlds import Scribe, key


class Follower:
    """A node that takes a world's feeds leaf by leaf, folds after each, and compares with a fold from scratch."""

    def __init__(self, polity: Polity) -> None:
        self.polity, self.sizes = polity, dict[bytes, int]()
        self.register = Register()
        self.chain = Chain(polity.genesis, self.register)
        self.onward = 0
        self._by_place: dict[tuple[bytes, int], Registration] = {}

    def take(self, scribe: Scribe) -> None:
        """Take the next leaf of a feed."""
        if scribe.feed not in self.sizes or self.sizes[scribe.feed] < len(scribe.raws):
            index = self.sizes.get(scribe.feed, 0)
            self.sizes[scribe.feed] = index + 1
            if (scribe.feed, index) in self._by_place:
                self.register.add(self._by_place[scribe.feed, index])
            before = self.chain._onward
            view = Whole(self.polity, self.sizes)
            members = self.chain.live(view)
            self.onward += before is not None and self.chain._onward is before
            assert members == Chain(self.polity.genesis, Register(self.register)).live(view)

    def take_all(self, rng: random.Random) -> None:
        """Take what is written, the feeds in a random order, each in its own."""
        self._by_place.update({(r.feed, r.index): r for r in self.polity.registrations()})
        while waiting := [each for each in self.polity.scribes() if self.sizes.get(each.feed, 0) < len(each.raws)]:
            self.take(rng.choice(waiting))


def live(polity: Polity, rng: random.Random, steps: int) -> None:
    """Let a mesh do anything, right or wrong."""
    for _ in range(steps):
        member, other = rng.choice(polity.members), rng.choice(polity.members)
        proposals = [r.entry for r in polity.registrations() if r.entry.kind == "proposal"]
        match rng.randrange(16):
            case 0 | 1 if len(polity.members) < 9:
                polity.join(member)
            case 2 | 3 if member is not other:
                polity.link(rng.choice(("link.offer", "link.accept", "link.sever", "link.refuse")), member, other)
            case 4 if member is not other:
                polity.expel(member, other)
            case 5:
                polity.propose(member, "suspend", target=list(other.party))
            case 6:
                admitted = [r.entry for r in polity.registrations() if r.entry.kind == "member.apply"]
                subject = rng.choice(admitted).id if admitted else polity.random(32)
                polity.propose(member, "admit", application=subject)
            case 7 | 8 | 9 | 10 if proposals:
                polity.vote([member], rng.choice(proposals), rng.choice(("yes", "yes", "yes", "no")))
            case 11:
                to = None if member is other else list(other.party)
                polity.write(member.scribe, "vote.delegate", ("member", member.party[0]), {"to": to})
            case 12:
                polity.write(member.scribe, "vote.default", ("member", member.party[0]), {"choice": "yes"})
            case 13 if rng.random() < 0.3:
                polity.succeed(member, rng.choice((member, other)).scribe)
            case 14 if rng.random() < 0.3:
                polity.write(member.scribe, "member.leave", ("member", member.party[0]), {})
            case 15:
                applied = [r.entry for r in polity.registrations() if r.entry.kind == "member.apply"]
                if applied:
                    entry = rng.choice(applied)
                    payload = {"application": entry.id, "incarnation": entry.payload["incarnation"]}
                    polity.write(member.scribe, "member.sponsor", ("member", entry.kid), payload)
            case _:
                proposal = polity.propose(member, "charter", charter=polity.random(32))
                polity.vote(rng.sample(polity.members, 2), proposal)


@settings(max_examples=300 if PROFILE == "nightly" else 15)
@given(st.integers(0, 2**32))
def test_whatever_comes_it_is_what_a_fold_from_scratch_gives(seed: int) -> None:
    rng = random.Random(seed)
    polity = Polity(seed)
    follower = Follower(polity)
    for _ in range(2):
        live(polity, rng, 14)
        follower.take_all(rng)
        if rng.random() < 0.6 and len(polity.tip().voters) == 4:
            polity.seal()
            follower.take_all(rng)
    live(polity, rng, 8)
    follower.take_all(rng)


def test_most_entries_cost_no_fold_from_the_base() -> None:
    assembly = Assembly(Shape(400, 7, 60))
    assembly.live()
    register, view = Register(), Grown(assembly.grown.roots)
    chain = Chain(assembly.genesis, register)
    onward, members = 0, chain.live(view)
    for registration in assembly.written:
        view.sizes[registration.feed] = registration.index + 1
        register.add(registration)
        before = chain._onward
        members = chain.live(view)
        onward += before is not None and chain._onward is before
    assert members == Chain(assembly.genesis, Register(assembly.written)).live(view)
    assert onward > 0.7 * len(assembly.written)


# What is folded anew: one scenario a condition, in many orders


def expels(polity: Polity) -> None:
    """O4: the last vote that is needed."""
    proposal = polity.expel(polity.members[0], polity.members[3])
    polity.vote(polity.members[:3], proposal)
    polity.link("link.offer", polity.members[3], polity.members[1])


def suspends(polity: Polity) -> None:
    """O4: as soon as two say so."""
    proposal = polity.propose(polity.members[0], "suspend", target=list(polity.members[3].party))
    polity.vote(polity.members[:3], proposal)
    polity.join(polity.members[3])


def admits(polity: Polity) -> None:
    """O4: members let an applicant in by a ballot, one of them by a delegate."""
    member, guest = polity.members[0], polity.join(polity.members[0])
    application = next(r.entry for r in polity.registrations() if r.entry.kind == "member.apply")
    proposal = polity.propose(member, "admit", application=application.id)
    polity.vote(polity.members[:3], proposal)
    polity.link("link.offer", guest, member)


def sponsors(polity: Polity) -> None:
    """O2: more endorse than are needed."""
    guest = polity.join(polity.members[0])
    application = next(r.entry for r in polity.registrations() if r.entry.kind == "member.apply")
    for member in polity.members[1:4]:
        polity.sponsor(member, application.id, guest)


def applies_twice(polity: Polity) -> None:
    """O2: one newcomer asks two members, with two devices."""
    guest = polity.join(polity.members[0])
    polity.join(polity.members[1], again=guest)
    polity.link("link.offer", guest, polity.members[2])


def comes_back(polity: Polity) -> None:
    """O2: a founder leaves, and is admitted as another incarnation."""
    founder = polity.members[3]
    polity.link("link.offer", founder, polity.members[1])
    polity.write(founder.scribe, "member.leave", ("member", founder.party[0]), {})
    again = polity.join(polity.members[0], incarnation=2, again=founder)
    polity.link("link.offer", again, polity.members[2])


def certified_twice(polity: Polity) -> None:
    """O2: two members say that a device is theirs."""
    device = polity.members[0].scribe.device
    for member in polity.members[1:]:
        member.scribe.add(polity.certificate(member, key("contested")).raw, polity.certificate(member, device).raw)


def succeeds_early(polity: Polity) -> None:
    """O2: the successor of a device is named before the device itself."""
    guest = polity.join(polity.members[0])
    polity.link("link.offer", guest, polity.members[1])
    polity.succeed(guest, polity.members[1].scribe, claim=0)


def invites_from_two_feeds(polity: Polity) -> None:
    """O3: which invitation is the one too many follows from the order of the feeds."""
    member = polity.members[0]
    old = member.scribe
    polity.join(member)
    polity.succeed(member, polity.members[1].scribe)
    polity.join(member)
    assert member.scribe is not old


def lets_go_before_it_is_in(polity: Polity) -> None:
    """O1: a newcomer refuses a link, then offers it; it is in once what its inviter had seen is held."""
    ada, bob = polity.members[:2]
    polity.link("link.accept", bob, ada)
    guest = polity.join(ada, admission_sees=[bob.scribe.head()])
    for kind in ("link.sever", "link.offer"):
        polity.link(kind, guest, bob)
    polity.link("link.accept", bob, guest)


SCENARIOS: dict[Callable[[Polity], None], Rules] = {
    expels: Rules(),
    suspends: Rules(),
    admits: Rules(admission=Ballot((1, 2))),
    sponsors: Rules(admission=Sponsors(2)),
    applies_twice: Rules(),
    comes_back: Rules(),
    certified_twice: Rules(),
    succeeds_early: Rules(),
    lets_go_before_it_is_in: Rules(),
    invites_from_two_feeds: Rules(invitations_a_day=1),
}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_what_may_depend_on_order_is_folded_anew(scenario: Callable[[Polity], None]) -> None:
    for seed in range(12):
        polity = Polity(scenario.__name__, policy=Policy(rules=SCENARIOS[scenario].encode()))
        follower, rng = Follower(polity), random.Random(seed)
        follower.take_all(rng)
        scenario(polity)
        follower.take_all(rng)
