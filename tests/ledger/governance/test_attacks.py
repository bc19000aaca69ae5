"""The attacks of governance.md §7 over signed entries, seals and cuts.

`tests/attacks` tries the same attacks on bare values and on two textbook rules; here they have to pass every rule of
the fold at once, and those are added that need entries: devices, invitations, epochs.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from ledger import fork, merkle
from ledger.governance.chain import fold
from ledger.governance.sealing import Terms
from ledger.schema import DAY
from tests.ledger.fold_cases import prove_fork
from tests.ledger.governance.honest import Cached
from tests.ledger.governance.polity import Polity
from tests.ledger.governance.test_cases import ousted, out
from tests.ledger.governance.test_voters import application, endorse
from tests.worlds import LATER, NOW, Member, Node, Scribe, deliver_all, key, octets

# §7


@pytest.mark.parametrize("sealed", [False, True])
def test_attack_expelled_admin_appends_removals_to_the_old_head(sealed: bool) -> None:
    world = ousted(sealed=sealed)
    tom = world.members[-1]
    for epoch in world.epochs:
        world.epoch = epoch
        for target in world.members[:2]:
            world.vote([tom], world.expel(tom, target, cut=0))
    assert out(world) == {"m3"}


def test_attack_expelled_managers_backdated_counter_removal() -> None:
    world = Cached(founders=5)
    ann, bob, cyd, tim, tom = world.members
    counter = world.expel(tom, ann, cut=0)
    world.vote([tim], counter)
    world.vote([ann, bob, cyd], world.expel(ann, tom, cut=len(tom.scribe.raws)))
    world.vote([tom], counter)
    assert out(world) == {"m4"}


def test_attack_removal_with_ancient_causes_voids_no_history_that_is_sealed() -> None:
    world = Cached()
    ann, *others = world.members
    guest = world.join(ann)
    world.seal()
    late = world.join(ann)
    world.vote(others, world.expel(others[0], ann, cut=0))
    members = world.governed()
    assert out(world) == {"m0"}
    assert members.is_member(guest.party)
    assert not members.is_member(late.party)
    assert members.reach(ann.scribe.feed) == world.tip().floor(ann.scribe.feed)


def test_attack_a_founder_is_expelled_like_anybody() -> None:
    world = Cached()
    tom, *others = world.members
    world.vote([tom], world.expel(tom, others[0], cut=0))
    world.vote(others, world.expel(others[0], tom))
    assert out(world) == {"m0"}


def test_attack_grinding_an_id_wins_no_tie() -> None:
    found = set()
    for salt in range(12):
        world = Cached()
        ann, bob, cyd, tom = world.members
        first = world.expel(ann, tom, cut=len(tom.scribe.raws))
        for _ in range(salt):
            world.random(16)
        second = world.expel(tom, ann, cut=len(ann.scribe.raws) - 1)
        world.vote([ann, bob, cyd], first)
        world.vote([tom, bob, cyd], second)
        found.add(frozenset(out(world)))
    assert found == {frozenset({"m0", "m3"})}, "each cost three signatures"


def test_attack_an_old_small_electorate_certifies_for_ever() -> None:
    """Two of three founders, long outnumbered, expel the third and seal on, under the first epoch."""
    world = Cached(founders=3)
    ann, tim, tom = world.members
    first, parts = world.tip(), world.frontier()
    guests = [world.join(ann) for _ in range(5)]
    endorse(world, guests[0], tim, tom)
    for _ in range(6):
        world.seal(hours=30)
        voters = world.governed().voters
        for guest in guests:
            if guest.party not in voters:
                endorse(world, guest, *[each for each in guests if each.party in voters])
    assert len(world.governed().voters) == 8
    world.seal(hours=24 * 40)
    world.epoch = world.mesh_id
    removal = world.expel(tim, ann, cut=0, deadline=first.as_of + 7 * DAY)
    world.vote([tim, tom], removal)
    members = world.governed()
    assert members.is_member(ann.party)
    assert len(members.voters) == 8
    composed = world.chain().compose(first, world.view(), Terms(parts, world.as_of + DAY, (), bytes(32)))
    assert composed is not None
    world.publish(tim.scribe, world.certify(composed[0], first, [tim, tom]), first, parts)
    assert world.governed() == members, "two of three were never a quorum"


def test_attack_double_vote_and_fork_at_equal_height() -> None:
    world = Cached(founders=5)
    ann, bob, cyd, dan, tom = world.members
    removal = world.expel(ann, dan)
    place = len(tom.scribe.raws)
    world.vote([ann, bob, tom], removal)
    assert out(world) == {"m3"}
    prove_fork(world, cyd.scribe, tom.scribe, place)
    assert out(world) == set()
    world.vote([tom], removal)
    assert out(world) == set()
    world.vote([cyd], removal)
    assert out(world) == {"m3"}


def test_attack_sybils_by_invitation_over_many_epochs() -> None:
    """A third of the voters invite and endorse all they can, for twenty days: the invited never get a vote."""
    world = Cached(founders=7)
    traitors = world.members[5:]
    for day in range(20):
        guests = [world.join(traitor) for traitor in traitors] if day < 6 else []
        for guest in guests:
            for traitor in traitors:
                world.sponsor(traitor, application(world, guest), guest)
        if guests:
            for guest in guests:
                world.sponsor(guests[0], application(world, guest), guest)
        world.seal(hours=25)
    members = world.governed()
    assert len(members.members) == 19
    assert set(members.voters) == {member.party for member in world.members[:7]}
    world.vote(world.members[5:], world.expel(traitors[0], world.members[0]))
    assert out(world) == set()


def test_attack_epochs_sealed_fast_do_not_starve_a_ballot() -> None:
    world = Cached()
    *others, tom = world.members
    proposal = world.expel(others[0], tom)
    for voter in others:
        for _ in range(4):
            world.seal()
        world.vote([voter], proposal)
    assert out(world) == {"m3"}


def test_attack_a_withheld_expulsion_delivered_after_the_target_acted() -> None:
    world = Cached()
    *others, tom = world.members
    heads = {scribe.feed: len(scribe.raws) for scribe in world.scribes()}
    world.vote(others, world.expel(others[0], tom))
    guest = world.join(tom)
    world.vote([tom], world.expel(tom, others[0]))
    blind = {**heads, tom.scribe.feed: len(tom.scribe.raws)}
    assert world.governed(blind).is_member(guest.party), "who does not hold the expulsion cannot know"
    members = world.governed()
    assert not members.is_member(guest.party)
    assert set(members.expelled) == {tom.party}
    for order in permutations(world.scribes(), 3):
        rest = [scribe for scribe in world.scribes() if scribe not in order]
        node = Node(world.genesis)
        deliver_all(node, [*order, *rest])
        assert node.replica.members.expelled == members.expelled
        assert not node.replica.members.is_member(guest.party)


def test_attack_an_access_list_is_not_read_as_of_now() -> None:
    """What tom did before his cut stands, what he did beyond does not, in whatever order it is learned."""
    world = Cached()
    *others, tom = world.members
    before = world.join(tom)
    world.vote(others, world.expel(others[0], tom))
    after = world.join(tom)
    for seed in range(6):
        entries = world.registrations()
        entries = entries[seed * 3 :] + entries[: seed * 3]
        members = fold(world.genesis, entries, world.view())
        assert members.is_member(before.party)
        assert not members.is_member(after.party)


@pytest.mark.parametrize("first", ["leaves", "heartbeat"])
def test_attack_a_heartbeat_that_keeps_showing_an_old_consistent_size(first: str) -> None:
    """It looks alive while it withholds: a rule that compares sizes and roots alone finds nothing in its heads."""
    world = Polity("old size", founders=2)
    ann, tom = world.members
    deliver_all(node := Node(world.genesis), [ann.scribe])
    shown, told = len(tom.scribe.raws), tom.scribe.sign(NOW + 100)
    world.link("link.offer", tom, ann)
    newer = tom.scribe.sign(NOW + 200)
    beats = [tom.scribe.sign(NOW + 260 + 60 * number, shown) for number in range(3)]
    assert {(head.size, head.root) for head in beats} == {(told.size, told.root)}  # no two faces of one size
    path = merkle.consistency_path(tom.scribe.leaves, shown, newer.size)
    assert merkle.verify_consistency(shown, told.root, newer.size, newer.root, path)  # and each a prefix of the rest
    assert node.ingest(tom.scribe.run(0, shown, told)) == ""
    leaves = tom.scribe.run(shown, newer.size, newer)
    if first == "leaves":
        assert node.ingest(leaves) == ""
        assert {node.observe(tom.scribe.feed, beat) for beat in beats} == {"FEED_FORKED"}
    else:
        assert [node.observe(tom.scribe.feed, beat) for beat in beats] == [""] * 3
        with node.store.write() as rows:
            fault = node.replica.ingest(rows, leaves, LATER).fault
        assert fault is not None
    payload = fork.prove_regression(tom.scribe.device.public, newer, beats[0])
    world.write(ann.scribe, "fork.proof", ("feed", tom.scribe.feed), payload)
    assert world.governed().reach(tom.scribe.feed) == shown


def test_attack_another_members_device_named_in_an_application() -> None:
    """An applicant names a newcomer's device as its own: the newcomer speaks all the same, and the thief does not."""
    for first in (True, False):
        world = Cached()
        alice, bob, *_ = world.members
        guest = world.join(alice) if first else None
        number = len(world.members) + (0 if first else 1)
        device = guest.scribe.feed if guest is not None else key(world.label, "device", number, 1).kid
        thief = Member(key("thief"), (key("thief").kid, 1), [Scribe(key("thief's device"), world.mesh_id)])
        stolen = world.application(thief, bob.party, device)
        bob.scribe.add(stolen.raw)
        world.admission(bob.scribe, stolen)
        world.members.append(thief)
        victim = guest if guest is not None else world.join(alice)
        assert victim.scribe.feed == device
        for voter in world.members[:3]:
            world.sponsor(voter, stolen.id, thief)
        members = world.governed()
        assert members.speaks(device)
        assert members.party_of(device) == victim.party
        assert thief.party not in world.seal().voters


def test_attack_a_proposers_fork_or_retirement_takes_no_sealed_expulsion_back() -> None:
    world = Cached()
    alice, *others, tom = world.members
    world.vote([alice, *others], world.expel(alice, tom))
    world.seal()
    prove_fork(world, others[0].scribe, alice.scribe, 2)
    final = [alice.scribe.feed, 1, octets("root")]
    others[0].scribe.add(
        world.sign(
            alice.root,
            "device.retire",
            ("device", alice.scribe.feed),
            {"final": final},
            seen=(others[0].scribe.head(),),
        ).raw
    )
    assert out(world) == {"m3"}
