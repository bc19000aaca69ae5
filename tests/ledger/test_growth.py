"""How membership grows: rules M1 (devices), M2 (reach) and M3 (members), each by name."""

from __future__ import annotations

import pytest

from ledger.checkpoint import Head
from ledger.governance.epoch import Policy
from ledger.governance.members import UNBOUNDED
from ledger.merkle import EMPTY_ROOT
from tests.ledger.fold_cases import Blind, prove_fork, rights, world
from tests.worlds import LATER, Member, Scribe, key, octets

# M1: devices


def test_m1_founders_and_those_they_admit_have_feeds_that_count() -> None:
    made, alice, _ = world()
    carol = made.join(alice)
    members = made.folded()
    for member in made.members:
        assert members.reach(member.scribe.feed) == UNBOUNDED
        assert members.speaks(member.scribe.feed)
        assert members.party_of(member.scribe.feed) == member.party
        assert members.members[member.root.kid].feeds == (member.scribe.feed,)
    assert members.feeds[carol.scribe.feed] == carol.scribe.device.public


def test_m1_a_feed_without_certificate_counts_for_nothing() -> None:
    made, alice, _ = world()
    member = Member(key("m1", "root"), (key("m1", "root").kid, 1))
    application = made.application(member, alice.party, octets("device"))
    alice.scribe.add(application.raw)
    made.admission(alice.scribe, application)
    members = made.folded()
    assert members.is_member(member.party)
    assert members.reach(octets("device")) == 0
    assert not members.speaks(octets("device"))


def test_m1_a_certificate_beyond_a_reach_adds_no_device() -> None:
    made, alice, bob = world()
    made.write(alice.scribe, "member.leave", ("member", alice.root.kid), {})
    heir = made.succeed(bob, alice.scribe)
    assert made.folded().reach(heir.feed) == 0


def test_m1_a_feed_may_end_by_naming_its_heir_and_an_heir_may_bear_its_own_certificate() -> None:
    made, _, bob = world()
    old = bob.scribe
    heir = made.succeed(bob, old)
    members = made.folded()
    assert members.reach(old.feed) == len(old.raws)
    assert members.reach(heir.feed) == UNBOUNDED
    assert members.speaks(heir.feed)
    assert not members.speaks(old.feed)
    device = key("m1", "heir of the heir")
    third = Scribe(device, made.mesh_id)
    third.add(made.certificate(bob, device, heir.head()).raw)
    bob.scribes.append(third)
    assert made.folded().speaks(third.feed)


def test_m1_a_certificate_whose_seen_is_not_held_does_not_count_yet() -> None:
    made, alice, bob = world()
    carol = made.join(alice)
    certificates = {r.entry.thing[1]: r.entry for r in made.registrations() if r.entry.kind == "device.certify"}
    for member in (bob, carol):
        members = made.folded(Blind(certificates[member.scribe.feed]))
        assert members.is_member(member.party)
        assert members.reach(member.scribe.feed) == 0


def test_m1_an_application_names_one_device_and_another_does_not_count() -> None:
    made, alice, _ = world()
    carol = made.join(alice)
    device = key("m1", "second")
    alice.scribe.add(made.certificate(carol, device).raw)
    members = made.folded()
    assert members.reach(device.kid) == 0
    assert members.reach(carol.scribe.feed) == UNBOUNDED


def test_m1_a_device_of_a_stranger_is_not_inherited() -> None:
    """A root key names another member's feed as its predecessor: it gains nothing and bounds nothing."""
    made, alice, bob = world()
    device = key("m1", "thief")
    final = Head(bob.scribe.feed, 0, EMPTY_ROOT)
    alice.scribe.add(made.certificate(alice, device, final).raw)
    members = made.folded()
    assert members.reach(device.kid) == 0
    assert members.reach(bob.scribe.feed) == UNBOUNDED


# M2: reach


def test_m2_a_proven_fork_bounds_its_feed_and_the_smallest_hold_wins() -> None:
    made, alice, bob = world()
    for _ in range(4):
        made.join(alice)
    prove_fork(made, bob.scribe, alice.scribe, 9)
    assert made.folded().reach(alice.scribe.feed) == 9
    prove_fork(made, bob.scribe, alice.scribe, 5)
    prove_fork(made, bob.scribe, alice.scribe, 12)
    members = made.folded()
    assert members.reach(alice.scribe.feed) == members.forks[alice.scribe.feed] == 5
    assert not members.speaks(alice.scribe.feed)


def test_m2_a_leave_bounds_its_feed_and_is_final() -> None:
    made, _, bob = world()
    made.write(bob.scribe, "member.leave", ("member", bob.root.kid), {})
    size = len(bob.scribe.raws)
    members = made.folded()
    assert members.reach(bob.scribe.feed) == size
    assert not members.is_member(bob.party)
    assert members.members[bob.root.kid].state == "left"
    assert bob.party not in members.voters
    made.write(bob.scribe, "genesis.accept", ("member", bob.root.kid), {})
    assert not made.folded().is_member(bob.party)


def test_m2_nobody_leaves_for_another() -> None:
    made, alice, bob = world()
    made.write(alice.scribe, "member.leave", ("member", bob.root.kid), {})
    assert rights(made.folded()) >= {alice.party, bob.party}


def test_m2_the_lowest_retirement_wins_and_only_the_root_key_retires() -> None:
    made, alice, bob = world()
    feed = bob.scribe.feed
    for size, root in ((7, bob.root), (3, bob.root), (5, bob.root), (1, alice.root)):
        payload = {"final": [feed, size, octets("root")]}
        head = alice.scribe.head()
        alice.scribe.add(made.sign(root, "device.retire", ("device", feed), payload, seen=(head,)).raw)
    assert made.folded().reach(feed) == 3


def test_m2_a_successor_bounds_its_predecessor_by_the_lowest_claim() -> None:
    made, alice, bob = world()
    old = bob.scribe
    made.link("link.offer", bob, alice)
    first = made.succeed(bob, alice.scribe, claim=3)
    bob.scribes[-1:] = []
    second = made.succeed(bob, alice.scribe, claim=2)
    members = made.folded()
    assert members.reach(old.feed) == 2
    assert {members.reach(first.feed), members.reach(second.feed)} == {UNBOUNDED}


def test_m2_what_stands_beyond_a_leave_or_a_fork_is_not_inherited() -> None:
    for end in ("leave", "fork"):
        made, alice, bob = world()
        old = bob.scribe
        if end == "leave":
            made.write(old, "member.leave", ("member", bob.root.kid), {})
        else:
            made.link("link.offer", bob, alice)
            made.link("link.offer", bob, alice)
            prove_fork(made, alice.scribe, old, 3)
        heir = made.succeed(bob, alice.scribe)
        members = made.folded()
        assert members.reach(heir.feed) == 0, end
        assert members.party_of(heir.feed) == bob.party


def test_m2_a_fresh_device_after_a_leave_admits_nobody() -> None:
    made, alice, bob = world()
    made.write(bob.scribe, "member.leave", ("member", bob.root.kid), {})
    left = bob.scribe.head()
    heir = made.succeed(bob, alice.scribe)
    heir.add(made.certificate(bob, heir.device, left).raw)
    carol = made.join(bob)
    assert not made.folded().is_member(carol.party)


# M3: members


def test_m3_a_founder_is_in_once_it_accepted() -> None:
    made, alice, bob = world()
    bob.scribe.raws.pop()
    members = made.folded()
    assert not members.is_member(bob.party)
    assert members.voters == (alice.party,)
    assert members.members[alice.root.kid].voter


@pytest.mark.parametrize("fault", ["expired", "incarnation", "inviter", "thing", "unknown", "unsigned", "cut"])
def test_m3_an_admission_matches_its_application(fault: str) -> None:
    made, alice, bob = world()
    member = Member(key("m3", "root"), (key("m3", "root").kid, 1))
    device = key("m3", "device")
    inviter = bob.party if fault == "inviter" else alice.party
    expires = made.now - 5 if fault == "expired" else LATER
    application = made.application(member, inviter, device.kid, expires=expires)
    if fault != "unsigned":
        alice.scribe.add(application.raw)
    alice.scribe.add(made.certificate(member, device).raw)
    if fault == "cut":
        made.write(alice.scribe, "member.leave", ("member", alice.root.kid), {})
    payload = {
        "application": octets("another") if fault == "unknown" else application.id,
        "incarnation": 2 if fault == "incarnation" else 1,
    }
    thing = ("member", octets("another") if fault == "thing" else member.root.kid)
    made.write(alice.scribe, "member.admit", thing, payload)
    assert not made.folded().is_member(member.party)


def test_m3_an_applicant_speaks_for_itself_alone() -> None:
    made, alice, _ = world()
    victim, thief = key("m3", "victim"), key("m3", "thief")
    payload = {"incarnation": 1, "inviter": list(alice.party), "device": thief.kid, "expires": LATER}
    start = Head(alice.scribe.feed, 0, EMPTY_ROOT)
    application = made.sign(thief, "member.apply", ("member", victim.kid), payload, seen=(start,))
    alice.scribe.add(application.raw)
    made.write(alice.scribe, "member.admit", ("member", thief.kid), {"application": application.id, "incarnation": 1})
    assert not made.folded().is_member((victim.kid, 1))
    assert not made.folded().is_member((thief.kid, 1))


def test_m3_invitations_a_day_are_bounded_in_feed_order() -> None:
    made, alice, _ = world(policy=Policy(invitations_a_day=2))
    guests = [made.join(alice) for _ in range(4)]
    members = made.folded()
    assert [members.is_member(guest.party) for guest in guests] == [True, True, False, False]
    assert members.feeds.keys() >= {guest.scribe.feed for guest in guests}
    made.now += 86_400
    assert made.folded().is_member(guests[0].party)
    late = made.join(alice)
    assert made.folded().is_member(late.party)


def test_m3_an_admission_that_waits_still_takes_its_place_of_the_day() -> None:
    made, alice, _ = world(policy=Policy(invitations_a_day=1))
    made.join(alice)
    waiting = made.registrations()[-1].entry
    second = made.join(alice)
    waiting = next(r.entry for r in made.registrations() if r.entry.kind == "member.admit")
    assert not made.folded(Blind(waiting)).is_member(second.party)


def test_m3_whom_a_cut_member_admitted_beyond_the_cut_is_out_with_all_it_admitted() -> None:
    made, alice, bob = world()
    carol = made.join(bob)
    dave = made.join(carol)
    erin = made.join(dave)
    assert rights(made.folded()) >= {carol.party, dave.party, erin.party}
    prove_fork(made, alice.scribe, bob.scribe, 2)
    members = made.folded()
    assert rights(members) == {alice.party, bob.party}
    assert members.feeds.keys() >= {dave.scribe.feed, erin.scribe.feed}


def test_m3_readmission_is_a_new_incarnation_and_no_old_right_revives() -> None:
    made, alice, bob = world()
    carol = made.join(alice)
    made.link("link.offer", alice, carol)
    made.link("link.accept", carol, alice)
    assert made.folded().link_up(alice.party, carol.party)
    made.write(carol.scribe, "member.leave", ("member", carol.root.kid), {})
    again = made.join(bob, incarnation=2, again=carol)
    members = made.folded()
    assert members.is_member(again.party)
    assert not members.is_member(carol.party)
    assert not members.link_up(alice.party, carol.party)
    assert not members.link_up(alice.party, again.party)
    assert members.reach(carol.scribe.feed) == len(carol.scribe.raws)


def test_m3_entries_whose_seen_is_not_held_do_not_count_yet() -> None:
    made, alice, _ = world()
    carol = made.join(alice)
    for kind in ("member.apply", "member.admit"):
        entry = next(r.entry for r in made.registrations() if r.entry.kind == kind)
        assert not made.folded(Blind(entry)).is_member(carol.party)
