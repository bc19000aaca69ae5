"""Following certified seals: rules G2.1 to G2.3, with traitors who forge, alter, hide and make things up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.checkpoint import Head
from ledger.governance.certificate import Certificate, Seal
from ledger.governance.sealing import Terms
from tests.ledger.governance.seal_cases import ROOTS, certify, linked, offer, unwrite
from tests.worlds import octets

# G2.1: the voters of the epoch before certified it


def test_g2_1_a_quorum_certifies_and_one_less_does_not() -> None:
    for signers, n in ((3, 1), (2, 0)):
        world = linked()
        world.seal(by=world.members[:signers])
        assert world.governed().n == n


@pytest.mark.parametrize("forgery", ["signature", "stranger", "twice", "bitmap", "seal", "round", "garbage"])
def test_g2_1_a_forged_or_altered_certificate_is_of_no_account(forgery: str) -> None:
    world = linked()
    before = world.tip()
    seal, _ = offer(world, before, 0)
    sound = world.certify(seal, before, world.members[:3])
    size = before.context.size
    raw = sound.encode(size)
    commits = list(sound.commits)
    match forgery:
        case "signature":
            raw = raw[:-1] + bytes((raw[-1] ^ 1,))
        case "stranger":
            commits[0] = (commits[0][0], world.members[3].scribe.device.sign(b"anything"))
            raw = Certificate(seal, 0, tuple(commits)).encode(size)
        case "twice":
            raw = Certificate(seal, 0, (*commits[:2], (commits[2][0], commits[1][1]))).encode(size)
        case "bitmap":
            raw = Certificate(seal, 0, tuple(commits[:2])).encode(size)
        case "seal":
            raw = Certificate(offer(world, before, 1)[0], 0, sound.commits).encode(size)
        case "round":
            raw = Certificate(seal, 1, sound.commits).encode(size)
        case _:
            raw = b"\xff" * 40
    traitor = world.members[3]
    world.publish(traitor.scribe, sound, before, world.frontier())
    unwrite(traitor.scribe)
    world.write(traitor.scribe, "seal.certificate", ("epoch", seal.epoch.reference()), {"certificate": raw})
    members = world.governed()
    assert (members.n, members.halted) == (0, "")
    world.seal()
    assert world.governed().n == 1


@pytest.mark.parametrize("claim", ["left", "expelled", "both"])
def test_g2_1_no_traitor_certifies_alone_that_the_others_are_gone(claim: str) -> None:
    """At n = 13 four traitors claim that nine left: their seal neither halts anybody nor casts doubt on a true one."""
    for founders, traitors in ((4, 1), (13, 4)):
        world = linked(founders)
        before = world.tip()
        seal, _ = offer(world, before, 0)
        true, _ = offer(world, before, 1)
        wicked = world.members[:traitors]
        places = sorted(before.context.index(m.party[0]) or 0 for m in world.members[traitors:])
        most = (founders - 1) // 2
        left = {"left": places, "expelled": [], "both": places[: founders // 2]}[claim]
        out = {"left": [], "expelled": places[:most], "both": places[founders // 2 :][:1]}[claim]
        false = Seal(seal.epoch, tuple(left), tuple(out))
        parts = world.frontier()
        world.publish(wicked[0].scribe, world.certify(false, before, wicked), before, parts)
        members, chain = world.governed(), world.chain()
        assert (members.n, members.halted) == (0, "")
        chain.live(world.view())
        assert chain.announced(world.view(), ()) == {}, "no branch of a feed is given up for it"
        honest = [wicked[0], *world.members[traitors:]][: true.quorum(founders)]
        world.publish(honest[-1].scribe, world.certify(true, before, honest), before, parts)
        members = world.governed()
        assert (members.n, members.halted, members.branches) == (1, "", ())
        assert members.epoch == true.epoch.reference()


def test_g2_1_a_voter_that_did_leave_is_not_counted_on() -> None:
    world = linked()
    *others, dave = world.members
    world.write(dave.scribe, "member.leave", ("member", dave.root.kid), {})
    world.seal(by=others)
    assert world.governed().n == 1
    assert dave.party not in world.governed().voters


def test_g2_1_a_leave_by_somebody_else_is_no_leave() -> None:
    world = linked()
    before, (alice, *others) = world.tip(), world.members
    for other in others:
        world.write(alice.scribe, "member.leave", ("member", other.root.kid), {})
    seal, _ = offer(world, before, 0)
    places = tuple(sorted(before.context.index(m.party[0]) or 0 for m in others))
    certify(world, before, Seal(seal.epoch, left=places), [alice])
    members = world.governed()
    assert (members.n, members.halted) == (0, "")


# G2.2: the frontier is known and held


def test_g2_2_bogus_parts_of_a_frontier_stop_nobody() -> None:
    for first in (True, False):
        world = linked()
        before = world.tip()
        seal, _ = offer(world, before, 0)
        parts = world.frontier()
        traitor, digest = world.members[3], seal.epoch.frontier_digest
        thing = ("epoch", before.reference)
        if not first:
            world.publish(world.members[0].scribe, world.certify(seal, before, world.members[:3]), before, parts)
        for number, listed in ((1, []), (2, [[octets("feed"), 3, octets("root")]]), (64, [])):
            payload = {"digest": digest, "part": 0, "parts": number, "heads": listed}
            world.write(traitor.scribe, "seal.frontier", thing, payload)
        if first:
            world.publish(world.members[0].scribe, world.certify(seal, before, world.members[:3]), before, parts)
        members = world.governed()
        assert (members.n, members.halted) == (1, "")


def test_g2_2_without_its_parts_a_seal_waits_and_anybody_may_state_them() -> None:
    world = linked()
    before = world.tip()
    seal, _ = offer(world, before, 0)
    parts = world.frontier()
    certificate = world.certify(seal, before, world.members[:3])
    wrong = {**parts, world.members[0].scribe.feed: Head(world.members[0].scribe.feed, 1, octets("x"))}
    world.publish(world.members[0].scribe, certificate, before, wrong)
    assert world.governed().n == 0
    world.publish(world.members[2].scribe, certificate, before, parts)
    assert world.governed().n == 1


def test_g2_2_a_seal_whose_leaves_are_not_held_waits() -> None:
    world = linked()
    world.seal()
    bob = world.members[1].scribe
    sizes = {scribe.feed: len(scribe.raws) for scribe in world.scribes()}
    assert world.governed(sizes).n == 1
    assert world.governed({**sizes, bob.feed: len(bob.raws) - 1}).n == 0


def test_g2_2_a_frontier_holds_the_certificate_of_the_epoch_before() -> None:
    world = linked()
    old = world.frontier()
    world.seal()
    before = world.tip()
    terms = Terms(old, before.as_of + 3_600, (), bytes(32))
    assert world.chain().compose(before, world.view(), terms) is None


def test_g2_2_a_spoilt_copy_of_a_certificate_grounds_nothing() -> None:
    """A view (of a tick, say) holds a copy with a bad signature, and not the certificate: the epoch is not followed."""
    world = linked()
    before = world.tip()
    seal, _ = offer(world, before, 0)
    parts = world.frontier()
    sound = world.certify(seal, before, world.members[:3])
    raw = sound.encode(before.context.size)
    dave = world.members[3].scribe
    world.publish(dave, sound, before, parts)
    unwrite(dave)
    world.write(dave, "seal.certificate", ("epoch", seal.epoch.reference()), {"certificate": raw[:-1] + b"\x00"})
    sizes = {scribe.feed: len(scribe.raws) for scribe in world.scribes()}
    world.publish(world.members[0].scribe, sound, before, parts)
    chain = world.chain()
    assert chain.fold(world.view()).n == 1
    assert chain.fold(world.view(sizes)).n == world.chain().fold(world.view(sizes)).n == 0


# G2.3: what a quorum certified is what this node folds


def test_g2_3_a_quorum_that_folds_by_other_rules_halts_the_node() -> None:
    world = linked()
    before = world.tip()
    seal, _ = offer(world, before, 0)
    epoch = replace(seal.epoch, charter=ROOTS[0])
    certify(world, before, Seal(epoch), world.members[:3])
    members = world.governed()
    assert members.n == 0
    assert "gives another one" in members.halted
    assert not members.link_up(world.members[0].party, world.members[1].party)


def test_time_goes_up_and_no_seal_follows_itself() -> None:
    world = linked()
    before = world.tip()
    for as_of in (before.as_of, before.as_of - 1):
        assert world.chain().compose(before, world.view(), Terms(world.frontier(), as_of)) is None
    world.seal()
    certificate = next(r.entry for r in world.registrations() if r.entry.kind == "seal.certificate")
    world.write(world.members[3].scribe, "seal.certificate", certificate.thing, dict(certificate.payload))
    assert world.governed().n == 1
