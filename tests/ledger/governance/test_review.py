"""What a hostile reader tried on the chain of epochs: keys that voters share, heirs without end, old rivals."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from ledger import keys
from ledger.errors import RemoteError
from ledger.governance import chain as chains
from ledger.governance import sealing
from ledger.governance.certificate import VOTERS_MAX, Certificate, EpochContext, Step, vote_bytes
from ledger.governance.chain import Chain
from ledger.governance.epoch import FOUNDERS_MAX, Policy, make_genesis
from ledger.governance.members import REPEATED_MAX
from ledger.governance.register import Register
from ledger.governance.roster import Member as Standing
from ledger.governance.roster import Members, meet
from ledger.governance.sealing import Terms
from tests.ledger.governance.polity import Polity
from tests.ledger.governance.seal_cases import ROOTS, linked
from tests.worlds import Member, Scribe, World, key, octets


def silence(world: World, *numbers: int) -> None:
    """Take back what founders wrote: they never came."""
    for number in numbers:
        member = world.members[number]
        member.scribes[-1] = Scribe(member.scribe.device, world.mesh_id)


def counted(real: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    """Return a function that notes each call."""

    def noting(*args: Any) -> Any:
        calls.append(1)
        return real(*args)

    return noting


# Two voters with one key


def test_a_voter_that_takes_over_the_device_of_another_stops_no_seal() -> None:
    """A founder that never came lends its key to another one: with one key for two voters no epoch could be made."""
    world = Polity("shared", founders=7)
    silence(world, 6)
    absent, helper = world.members[6], world.members[5]
    device = absent.scribe.device
    final = helper.scribe.head()
    world.members[0].scribe.add(world.certificate(helper, device, final).raw)
    world.seal(by=world.members[:5])
    tip = world.tip()
    assert tip.n == 1
    assert len(set(dict(tip.context.voters).values())) == 7
    assert tip.governing[helper.party] != tip.governing[absent.party]
    world.seal(by=world.members[:5])


def test_a_device_of_a_voter_without_leaves_is_claimed_by_nobody_else() -> None:
    world = Polity("claimed", founders=4)
    silence(world, 3)
    absent = world.members[3]
    thief = min(world.members[:3], key=lambda member: member.party)
    world.members[0].scribe.add(world.certificate(thief, absent.scribe.device).raw)
    world.members[0].scribe.add(world.certificate(absent, absent.scribe.device).raw)
    assert world.chain().open(world.tip(), world.view()).base.reaches.owners[absent.scribe.feed] == absent.party


# As many voters as there may be


def test_one_more_endorsed_member_than_there_may_be_voters_stops_no_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.governance.seats.VOTERS_MAX", 4)
    assert VOTERS_MAX > 4
    world = Polity("full", founders=4)
    world.seal()
    guest = world.join(world.members[0])
    application = next(r.entry for r in world.registrations() if r.entry.kind == "member.apply")
    for member in world.members[1:3]:
        world.sponsor(member, application.id, guest)
    world.seal(hours=25, by=world.members[:4])
    assert world.tip().n == 2
    assert guest.party not in world.tip().voters


def test_a_genesis_with_more_founders_than_there_may_be_voters_is_refused() -> None:
    assert FOUNDERS_MAX == VOTERS_MAX
    pairs = [(key("root", n).public, key("device", n).public) for n in range(FOUNDERS_MAX + 1)]
    with pytest.raises(RemoteError, match="founders"):
        make_genesis(key("root", 0), "crowd", pairs, Policy(), now=1_800_000_000, random16=bytes(16))


# Heirs


def heirs_of(world: Polity, register: Register) -> tuple[tuple[int, bytes], ...]:
    """Return the successors of the first epoch's voters."""
    context: EpochContext = Chain(world.genesis, register).newest.context
    return register.heirs(context, world.view().size).heirs


def brood(world: Polity, direct: int, below: int) -> None:
    """Let the last founder certify some successors of its device, and some of each of these."""
    traitor = world.members[-1]
    first = traitor.scribe
    for _ in range(direct):
        traitor.scribes = [first]
        child = world.succeed(traitor, world.members[0].scribe, claim=2)
        for _ in range(below):
            traitor.scribes = [first, child]
            world.succeed(traitor, world.members[1].scribe, claim=0)
    traitor.scribes = [first]


def test_heirs_are_the_same_in_whatever_order_their_certificates_came() -> None:
    world = Polity("order", founders=4)
    brood(world, 4, 4)
    registrations = world.registrations()
    found = set()
    for seed in range(8):
        shuffled = list(registrations)
        random.Random(seed).shuffle(shuffled)
        found.add(heirs_of(world, Register(shuffled)))
    assert len(found) == 1


def test_a_later_heir_never_takes_a_seal_back() -> None:
    """What a successor signed stays signed, however many others its member certifies afterwards."""
    world = Polity("later", founders=4)
    traitor = world.members[3]
    first = traitor.scribe
    child = world.succeed(traitor, world.members[0].scribe, claim=2)
    grandchild = world.succeed(traitor, world.members[0].scribe, claim=0)
    seal, before, _, heads = world.compose()
    message = vote_bytes(before.context, 0, Step.COMMIT, seal.digest(), -1)
    kids = [kid for kid, _ in before.context.voters]
    signed = [(kids.index(m.root.kid), m.scribe.device.sign(message)) for m in world.members[:2]]
    signed.append((kids.index(traitor.root.kid), grandchild.device.sign(message)))
    world.publish(world.members[0].scribe, Certificate(seal, 0, tuple(sorted(signed))), before, heads)
    assert world.governed().n == 1
    for _ in range(20):
        for old in (first, child):
            traitor.scribes = [old]
            world.succeed(traitor, world.members[1].scribe, claim=0)
    traitor.scribes = [first, child, grandchild]
    assert world.governed().n == 1


def test_each_further_heir_costs_one_verification_of_what_nobody_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Polity("many", founders=4)
    traitor, register = world.members[3], Register()
    seal, before, _, heads = world.compose()
    sound = world.certify(seal, before, world.members[:3])
    place = before.context.index(traitor.party[0])
    assert place is not None
    spoilt = tuple(sorted((*sound.commits[:2], (place, bytes(64)))))
    if place in dict(sound.commits[:2]):
        spoilt = tuple(sorted((*sound.commits[1:], (place, bytes(64)))))
    world.publish(traitor.scribe, Certificate(seal, 0, spoilt), before, heads)
    chain = Chain(world.genesis, register)
    calls: list[int] = []
    real = keys.verify
    for _ in range(20):
        brood(world, 1, 0)
        for each in world.registrations():
            register.add(each)
        with monkeypatch.context() as patch:
            patch.setattr(keys, "verify", counted(real, calls))
            assert chain.live(world.view()).n == 0
    assert len(calls) <= 20 + 3


# What one feed says over and over


def test_what_a_feed_repeats_without_end_is_looked_at_so_many_times() -> None:
    world = Polity("repeats", founders=2)
    stranger = Member(key("stranger"), (key("stranger").kid, 1))
    for number in range(3 * REPEATED_MAX):
        for member in world.members:
            payload = {"serial": bytes((number, 1)), "valid": [0, 2**40]}
            thing = ("member", stranger.root.kid)
            seen = (member.scribe.head(),)
            credential = world.sign(key("authority"), "member.credential", thing, payload, seen=seen)
            member.scribe.add(credential.raw, world.certificate(stranger, key("device")).raw)
    base = world.chain().open(world.tip(), world.view()).base
    assert len(base.credentials[stranger.root.kid]) == 2 * REPEATED_MAX
    assert len(base.certificates[key("device").kid]) == 2 * REPEATED_MAX
    assert base == Chain(world.genesis, Register(reversed(world.registrations()))).open(world.tip(), world.view()).base
    world.seal()


# Rivals of long ago


def test_an_old_rival_does_not_make_every_look_begin_at_the_genesis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "BASES_MAX", 4)
    world = linked()
    before, parts = world.tip(), world.frontier()
    composed = world.chain().compose(before, world.view(), Terms(parts, before.as_of + 60, (), ROOTS[1]))
    assert composed is not None
    for _ in range(10):
        world.seal(hours=24 * 10)
    register = Register(world.registrations())
    chain = Chain(world.genesis, register)
    alive = chain.live(world.view())
    world.publish(world.members[3].scribe, world.certify(composed[0], before, world.members[:3]), before, parts)
    for each in world.registrations():
        register.add(each)
    assert chain.live(world.view()).epoch == alive.epoch
    made: list[int] = []
    real = sealing.compose
    for _ in range(3):
        world.seal(hours=1)
        for each in world.registrations():
            register.add(each)
        with monkeypatch.context() as patch:
            patch.setattr(chains, "compose", counted(real, made))
            chain.live(world.view())
    assert chain.newest.n == alive.n + 3
    assert not chain.live(world.view()).branches
    assert len(made) <= 6, f"{len(made)} seals composed for three new ones"
    assert chain.ignored == (composed[0].epoch.reference(),)


def test_a_look_at_an_old_view_does_not_forget_the_past() -> None:
    world = linked()
    old = {scribe.feed: len(scribe.raws) for scribe in world.scribes()}
    for step in range(10):
        world.seal(hours=24 * 10)
        if step == 5:
            old = {scribe.feed: len(scribe.raws) for scribe in world.scribes()}
    chain = Chain(world.genesis, Register(world.registrations()))
    chain.live(world.view())
    past = chain.past
    chain.fold(world.view(old))
    assert chain.past == past


# Branches


def standing(kid: bytes, state: str) -> Members:
    """Return a roster of one member."""
    member = Standing((kid, 1), key("root").public, "", state, True, (), ())
    return Members(epoch=octets("epoch", state), members={kid: member})


@pytest.mark.parametrize("worse", ["left", "expelled", "revoked"])
def test_who_is_out_in_one_branch_belongs_in_none(worse: str) -> None:
    kid = octets("member")
    for other in ("member", "suspended"):
        for one, two in ((worse, other), (other, worse)):
            assert not meet(standing(kid, one), standing(kid, two)).belongs((kid, 1)), (one, two)
    assert meet(standing(kid, "suspended"), standing(kid, "member")).members[kid].state == "suspended"
