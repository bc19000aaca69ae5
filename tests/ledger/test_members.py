"""The membership fold: rules M1 to M4, order independence, and that nothing beyond a reach adds a right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import fork
from ledger.checkpoint import Head
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.feed import Registration
from ledger.governance.epoch import Policy, make_genesis
from ledger.governance.members import UNBOUNDED, Members, Party, edge, fold, link_id
from ledger.merkle import EMPTY_ROOT
from tests.strategies import Act, acts, build
from tests.worlds import LATER, NOW, Everything, Member, Scribe, World, key, octets


class Blind(Everything):
    """A view that does not hold what some entries have seen."""

    def __init__(self, *unheld: Entry) -> None:
        self._unheld = {entry.id for entry in unheld}

    def holds(self, entry: Entry, _forks: Mapping[bytes, int]) -> bool:
        """Say whether an entry's `seen` is held."""
        return entry.id not in self._unheld


class Below(Everything):
    """A view of the first leaves of each feed."""

    def __init__(self, **sizes: int) -> None:
        self._sizes = {bytes.fromhex(feed): size for feed, size in sizes.items()}

    def size(self, feed: bytes) -> int:
        """Return the extent of a feed."""
        return self._sizes.get(feed, 2**40)


def world(**options: Any) -> tuple[World, Member, Member]:
    """Return a world with its two founders."""
    made = World("members", **options)
    alice, bob = made.members
    return made, alice, bob


def rights(members: Members) -> set[object]:
    """Return what a fold permits."""
    found: set[object] = {member.party for member in members.members.values() if member.state == "member"}
    found |= {("link", pair) for pair, how in members.links.items() if how == "up"}
    found |= {("host", tenancy.tenant, tenancy.host) for tenancy in members.tenants.values()}
    return found


def prove_fork(made: World, witness: Scribe, forked: Scribe, size: int) -> Entry:
    """Let a witness prove that a feed forked at `size`."""
    twin = forked.branch(size)
    twin.add(octets("other branch"))
    ours, theirs = forked.sign(made.now), twin.sign(made.now)
    payload = fork.prove_branches(forked.device.public, ours, forked.leaves, theirs, twin.leaves)
    return made.write(witness, "fork.proof", ("feed", forked.feed), payload)


@given(drawn=acts, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_registrations_does_not_matter(drawn: Sequence[Act], shuffle: Any) -> None:
    made = build(drawn)
    mixed = made.registrations() * 2
    shuffle.shuffle(mixed)
    assert fold(made.genesis, mixed, Everything()) == made.folded()


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
    made.succeed(bob, alice.scribe)
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


# M4: links and tenants


def statements(made: World, alice: Member, bob: Member, *kinds: str) -> str | None:
    """Let Alice and Bob state things of their edge in turn ("a:offer"), and return what it is."""
    for statement in kinds:
        who, kind = statement.split(":")
        source, target = (alice, bob) if who == "a" else (bob, alice)
        made.link(f"link.{kind}", source, target)
    return made.folded().links.get(edge(alice.party, bob.party))


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ([], None),
        (["a:offer"], "offered"),
        (["a:offer", "b:accept"], "up"),
        (["a:offer", "b:offer"], "up"),
        (["a:offer", "b:refuse"], "refused"),
        (["a:offer", "b:accept", "a:sever"], "severed"),
        (["a:offer", "b:accept", "b:sever"], "severed"),
        (["a:offer", "b:accept", "b:sever", "a:offer"], "severed"),
        (["a:offer", "b:accept", "b:sever", "b:accept"], "up"),
        (["a:offer", "a:accept"], "offered"),
    ],
)
def test_m4_an_edge_is_up_when_each_ends_newest_word_is_positive(kinds: list[str], state: str | None) -> None:
    assert statements(*world(), *kinds) == state


def test_m4_only_an_end_speaks_for_it() -> None:
    made, alice, bob = world()
    carol = made.join(alice)
    payload = {"from": list(bob.party), "to": list(alice.party)}
    made.link("link.offer", alice, bob)
    made.write(carol.scribe, "link.accept", ("link", link_id(alice.party, bob.party)), payload)
    made.write(bob.scribe, "link.accept", ("link", octets("another edge")), payload)
    assert made.folded().links == {edge(alice.party, bob.party): "offered"}


def test_m4_a_positive_word_beyond_reach_or_not_held_is_void_and_a_restrictive_one_counts() -> None:
    made, alice, bob = world()
    carol = made.join(alice)
    statements(made, alice, bob, "b:offer")
    prove_fork(made, carol.scribe, bob.scribe, len(bob.scribe.raws) - 1)
    assert statements(made, alice, bob, "a:offer", "b:accept") == "offered"
    assert statements(made, alice, bob, "b:sever") == "severed"
    made, alice, bob = world()
    assert statements(made, alice, bob, "a:offer", "b:accept") == "up"
    accept = made.registrations()[-1].entry
    assert made.folded(Blind(accept)).links == {edge(alice.party, bob.party): "offered"}


def test_m4_an_edge_needs_two_members() -> None:
    made, alice, bob = world()
    assert statements(made, alice, bob, "a:offer", "b:accept") == "up"
    made.write(bob.scribe, "member.leave", ("member", bob.root.kid), {})
    assert made.folded().links == {}
    assert made.folded().link_up(alice.party, alice.party)


def hosting(made: World, kind: str, member: Member, serial: int, *, by: Any, scribe: Scribe) -> None:
    """State something of hosting tenant T, by its key or a device's, in some feed."""
    tenant = key("members", "tenant")
    payload: dict[str, Any] = {"host": list(member.party), "serial": serial}
    if kind == "tenant.host":
        payload["terms"] = {"green_button": True}
    signer = tenant if by is None else by.device
    scribe.add(made.sign(signer, kind, ("tenant", tenant.kid), payload, seen=(scribe.head(),)).raw)


def hosts(made: World) -> set[Party]:
    """Return who hosts tenants."""
    return {tenancy.host for tenancy in made.folded().tenants.values()}


def test_m4_a_tenant_is_hosted_when_both_signed_and_moves_by_its_own_word() -> None:
    made, alice, bob = world()
    hosting(made, "tenant.host", alice, 1, by=alice.scribe, scribe=alice.scribe)
    assert hosts(made) == set()
    hosting(made, "tenant.host", alice, 1, by=None, scribe=bob.scribe)
    assert hosts(made) == {alice.party}
    hosting(made, "tenant.host", bob, 2, by=None, scribe=alice.scribe)
    assert hosts(made) == set()
    hosting(made, "tenant.host", bob, 1, by=bob.scribe, scribe=bob.scribe)
    assert hosts(made) == {bob.party}
    for scribe in (alice.scribe, bob.scribe):
        hosting(made, "tenant.host", alice, 1, by=None, scribe=scribe)
    assert hosts(made) == {bob.party}
    hosting(made, "tenant.unhost", bob, 2, by=None, scribe=alice.scribe)
    assert hosts(made) == set()
    hosting(made, "tenant.host", bob, 2, by=None, scribe=bob.scribe)
    assert hosts(made) == set()


def test_m4_a_host_ends_hosting_for_good_and_permits_in_its_own_feed_alone() -> None:
    made, alice, bob = world()
    hosting(made, "tenant.host", bob, 1, by=None, scribe=alice.scribe)
    hosting(made, "tenant.host", bob, 1, by=bob.scribe, scribe=alice.scribe)
    assert hosts(made) == set()
    hosting(made, "tenant.host", bob, 1, by=bob.scribe, scribe=bob.scribe)
    assert hosts(made) == {bob.party}
    hosting(made, "tenant.unhost", bob, 1, by=bob.scribe, scribe=alice.scribe)
    hosting(made, "tenant.host", bob, 2, by=bob.scribe, scribe=bob.scribe)
    assert hosts(made) == set()


# Laws


def test_the_view_bounds_what_is_folded() -> None:
    made, alice, _ = world()
    carol = made.join(alice)
    below = Below(**{alice.scribe.feed.hex(): len(alice.scribe.raws) - 1})
    assert not made.folded(below).is_member(carol.party)


def _leave(made: World, member: Member, witness: Scribe) -> None:
    made.write(member.scribe, "member.leave", ("member", member.root.kid), {})


def _fork_end(made: World, member: Member, witness: Scribe) -> None:
    prove_fork(made, witness, member.scribe, len(member.scribe.raws) - 1)


def _retire(made: World, member: Member, witness: Scribe) -> None:
    feed = member.scribe.feed
    payload = {"final": [feed, len(member.scribe.raws), octets("root")]}
    witness.add(made.sign(member.root, "device.retire", ("device", feed), payload, seen=(witness.head(),)).raw)


ENDS: dict[str, Callable[[World, Member, Scribe], None]] = {"leave": _leave, "fork": _fork_end, "retire": _retire}
AFTER = ("join", "link", "grant", "tenant", "certificate", "again")


@given(
    drawn=acts,
    end=st.sampled_from(list(ENDS)),
    who=st.integers(0, 4),
    more=st.lists(st.tuples(st.sampled_from(AFTER), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8),
)
def test_entries_beyond_a_reach_never_add_a_right(
    drawn: Sequence[Act], end: str, who: int, more: Sequence[tuple[str, int, int]]
) -> None:
    made = build(drawn)
    member = made.members[who % len(made.members)]
    scribe = member.scribe
    witness = next(other.scribe for other in made.members if other is not member)
    if scribe.raws:
        ENDS[end](made, member, witness)
    before, reach = made.folded(), made.folded().reach(scribe.feed)
    if reach > len(scribe.raws):
        return  # the feed did not count, or its end does not: nothing lies beyond
    for name, i, j in more:
        other = made.members[j % len(made.members)]
        match name:
            case "join":
                made.join(member)
            case "link" if other is not member:
                made.link(("link.offer", "link.accept", "link.sever", "link.refuse")[i % 4], member, other)
            case "tenant":
                hosting(made, "tenant.host", member, i, by=scribe, scribe=scribe)
                hosting(made, "tenant.host", other, i, by=None, scribe=scribe)
            case "certificate":
                scribe.add(made.certificate(other, key("beyond", i), other.scribe.head()).raw)
            case "again":
                scribe.add(other.scribe.raws[i % len(other.scribe.raws)] if other.scribe.raws else b"")
            case _:
                made.grant(member.party, other.party, [scribe.head()])
    assert rights(made.folded()) <= rights(before)


@given(drawn=acts, at=st.integers(0, 40))
def test_the_feeds_taken_in_only_ever_grow(drawn: Sequence[Act], at: int) -> None:
    made = build(drawn)
    registrations = made.registrations()
    some = fold(made.genesis, registrations[:at], Everything())
    assert some.feeds.items() <= made.folded().feeds.items()


def test_a_genesis_lists_each_key_once_and_its_signer() -> None:
    root, device = key("genesis", "root"), key("genesis", "device")
    other = (key("genesis", "other").public, key("genesis", "other device").public)
    for founders in (
        [other],
        [(root.public, device.public)] * 2,
        [(root.public, device.public), (other[0], device.public)],
    ):
        with pytest.raises(RemoteError, match="NOT_A_GENESIS"):
            make_genesis(root, "x", founders, Policy(), now=NOW, random16=bytes(16))


def test_a_registration_is_a_value() -> None:
    made, alice, _ = world()
    assert made.registrations()[0] == Registration(made.genesis.entry, alice.scribe.feed, 0)
