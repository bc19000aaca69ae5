"""Rivals: two certified seals of one epoch, evidence, pins, and old keys that leak (governance.md §4)."""

from __future__ import annotations

import pytest

from ledger.epochs import Epochs
from ledger.governance.certificate import Step
from ledger.governance.chain import Chain
from ledger.governance.register import Register
from ledger.governance.roster import edge
from ledger.governance.rounds import Message, sign_message
from ledger.governance.sealing import Terms
from ledger.schema import DAY
from ledger.ticks import Ticker
from tests.ledger.governance.seal_cases import ROOTS, double, linked, offer, says
from tests.worlds import Node, deliver_all, octets

# Rivals


def test_double_voters_are_struck_and_the_seal_that_keeps_its_quorum_stands() -> None:
    """Seven voters, five needed: one seal has all seven, the other five of them; three were enough to convict."""
    world = linked(7)
    everybody = world.members
    stands, _ = double(world, everybody, everybody[:1])
    assert world.governed().epoch == stands.reference, "one signature is no rival"
    world = linked(10)
    first, second = double(world, world.members[:9], [*world.members[7:10], *world.members[3:7]])
    members = world.governed()
    assert set(members.branches) == {first.reference, second.reference}


def test_evidence_strikes_a_voter_from_both_seals() -> None:
    """Two rounds: nobody signed twice in one, and both stand, until evidence convicts those who broke their lock."""
    world = linked(4)
    alice, bob, carol, dave = world.members
    before = world.tip()
    first, _ = double(world, [alice, bob, carol, dave], [bob, carol, dave], rounds=(0, 1))
    assert world.governed().branches
    context = before.context
    for guilty in (dave,):
        place = context.index(guilty.party[0])
        assert place is not None
        raws = [
            sign_message(
                guilty.scribe.device.sign, context, Message(place, 3, Step.PREPARE, octets("seal", n), -1, b"")
            ).encode(context)
            for n in range(2)
        ]
        payload = {"epoch": context.reference, "messages": raws}
        world.write(alice.scribe, "seal.evidence", ("feed", guilty.scribe.feed), payload)
    members = world.governed()
    assert members.epoch == first.reference, "three of four stand for it without dave; the other has two"
    assert not members.branches


def test_seal_evidence_holds_the_feed_at_what_is_sealed() -> None:
    world = linked()
    world.seal()
    before, (alice, _, _, dave) = world.tip(), world.members
    sealed = before.floor(dave.scribe.feed)
    proposal = world.propose(alice, "charter", charter=octets("text"))
    world.vote([dave], proposal)
    place = before.context.index(dave.party[0])
    assert place is not None
    raws = [
        sign_message(
            dave.scribe.device.sign, before.context, Message(place, 0, Step.COMMIT, octets("seal", n), -1, b"")
        ).encode(before.context)
        for n in range(2)
    ]
    payload = {"epoch": before.reference, "messages": raws}
    world.write(alice.scribe, "seal.evidence", ("feed", dave.scribe.feed), payload)
    members = world.governed()
    assert members.forks[dave.scribe.feed] == members.reach(dave.scribe.feed) == sealed
    assert not members.speaks(dave.scribe.feed)
    world.vote(world.members[1:3], proposal)
    assert world.seal().charter is None, "dave's vote is void, and two of four are no majority"
    world.vote([alice], proposal)
    assert world.seal().charter == octets("text")
    world.vote([dave], again := world.propose(alice, "charter", charter=octets("other")))
    assert not world.seal(hours=200).results[again.id].yes


@pytest.mark.parametrize("fault", ["same", "another", "later"])
def test_evidence_that_shows_nothing_holds_nobody(fault: str) -> None:
    world = linked()
    before, (alice, bob, _, dave) = world.tip(), world.members
    place, other = before.context.index(dave.party[0]), before.context.index(bob.party[0])
    assert place is not None
    assert other is not None
    rounds = (0, 1) if fault == "later" else (0, 0)
    said = [
        (place, dave, octets("seal", 0)),
        (other, bob, octets("seal", 1)) if fault == "another" else (place, dave, octets("seal", int(fault != "same"))),
    ]
    raws = [
        sign_message(who.scribe.device.sign, before.context, Message(at, round_, Step.PREPARE, digest, -1, b"")).encode(
            before.context
        )
        for (at, who, digest), round_ in zip(said, rounds, strict=True)
    ]
    payload = {"epoch": before.reference, "messages": raws}
    world.write(alice.scribe, "seal.evidence", ("feed", dave.scribe.feed), payload)
    assert not world.governed().forks


def test_while_governance_is_forked_only_what_every_branch_permits_holds_until_people_choose() -> None:
    world = linked()
    alice, bob, carol, dave = world.members
    one, other = double(world, [alice, bob, carol], [bob, carol, dave])
    world.epoch = one.reference
    world.link("link.offer", carol, dave)
    world.link("link.accept", dave, carol)
    members = world.governed()
    assert set(members.branches) == {one.reference, other.reference}
    assert members.link_up(alice.party, bob.party), "both branches hold the older edge"
    assert not members.link_up(carol.party, dave.party), "one of them does not know the epoch it names"
    assert not members.is_member(world.join(alice).party)
    assert says(world, one.reference).link_up(carol.party, dave.party)
    assert says(world, one.reference).epoch == one.reference
    chosen = says(world, other.reference)
    assert (chosen.epoch, chosen.branches) == (other.reference, ())
    assert edge(carol.party, dave.party) not in chosen.links


def test_no_voter_seals_while_governance_is_forked() -> None:
    world = linked()
    alice, bob, carol, dave = world.members

    def offers() -> bool:
        node = Node(world.genesis)
        deliver_all(node, world.scribes(), world.now)
        epochs = Epochs(node.replica, Ticker(node.replica))
        with node.store.read() as rows:
            return epochs.next_seal(rows, epochs.heads_now(), world.now + 3_600, ()) is not None

    assert offers()
    double(world, [alice, bob, carol], [bob, carol, dave])
    assert not offers()


def test_a_rival_that_appears_after_the_next_seal_forks_governance_all_the_same() -> None:
    world = linked()
    alice, bob, carol, dave = world.members
    before, parts = world.tip(), world.frontier()
    late, _ = offer(world, before, 1)
    world.seal(by=[alice, bob, carol])
    world.seal(by=[alice, bob, carol], hours=24 * 20)
    chain = world.chain()
    assert not chain.fold(world.view()).branches
    world.publish(dave.scribe, world.certify(late, before, [bob, carol, dave]), before, parts)
    assert world.governed().branches


def test_old_keys_that_leak_freeze_nobody_whatever_time_they_claim() -> None:
    """Whoever holds the keys of the first voters writes a branch of years; a node that lived through its own stays."""
    for years in (0, 50):
        world = linked()
        before, parts = world.tip(), world.frontier()
        terms = Terms(parts, before.as_of + 60 + years * 365 * DAY, (), ROOTS[1])
        composed = world.chain().compose(before, world.view(), terms)
        assert composed is not None
        for _ in range(3):
            world.seal(hours=24 * 20)
        register = Register(world.registrations())
        chain = Chain(world.genesis, register)
        alive = chain.fold(world.view())
        assert chain.past in world.tip().known
        assert chain.past != world.mesh_id
        certificate = world.certify(composed[0], before, world.members[:3])
        world.publish(world.members[3].scribe, certificate, before, parts)
        for each in world.registrations():
            register.add(each)
        members = chain.fold(world.view())
        assert (members.epoch, members.branches) == (alive.epoch, ())
        assert chain.ignored == (composed[0].epoch.reference(),)
        assert says(world, chain.past).epoch == alive.epoch, "a restarted node keeps its past as a pin"
        stranger = says(world)
        assert stranger.branches, "who comes fresh and holds no recent epoch must be told by people"
