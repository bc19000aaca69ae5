"""A voter whose device has a successor goes on sealing: else a mesh of one that lost its node never could again."""

from __future__ import annotations

import pytest

from ledger.governance.certificate import Certificate, Step, vote_bytes
from ledger.governance.register import Register
from ledger.governance.sealing import Terms
from tests.ledger.fold_cases import prove_fork
from tests.ledger.governance.polity import Polity
from tests.worlds import Member, Scribe


def sealed_by(world: Polity, scribe: Scribe, others: list[Member]) -> Certificate:
    """Seal with the first founder's signature made by the device of `scribe`; return the certificate."""
    seal, before, after, heads = world.compose()
    message = vote_bytes(before.context, 0, Step.COMMIT, seal.digest(), -1)
    kids = [kid for kid, _ in before.context.voters]
    signed = [(kids.index(world.members[0].root.kid), scribe.device.sign(message))]
    signed += [(kids.index(m.root.kid), m.scribe.device.sign(message)) for m in others]
    certificate = Certificate(seal, 0, tuple(sorted(signed)))
    world.publish(scribe, certificate, before, heads)
    world.epoch = after.reference
    return certificate


@pytest.mark.parametrize("founders", [1, 2, 4])
def test_the_successor_of_a_voters_device_signs_the_next_seal(founders: int) -> None:
    world = Polity("heirs", founders=founders)
    world.seal()
    first = world.members[0]
    registrar = world.members[-1].scribe
    heir = world.succeed(first, registrar)
    sealed_by(world, heir, world.members[1:])
    assert world.governed().n == 2
    assert world.tip().governing[first.party] == heir.feed
    world.seal()
    assert world.governed().n == 3


def test_a_device_that_nobody_certified_signs_for_nobody() -> None:
    world = Polity("strangers", founders=2)
    world.seal()
    stranger = Polity("elsewhere", founders=1).members[0].scribe
    seal, before, _, heads = world.compose()
    message = vote_bytes(before.context, 0, Step.COMMIT, seal.digest(), -1)
    signed = tuple((place, stranger.device.sign(message)) for place in range(2))
    world.publish(world.members[0].scribe, Certificate(seal, 0, signed), before, heads)
    assert world.governed().n == 1


def test_a_seal_by_a_successor_counts_only_where_its_certificate_is_held() -> None:
    world = Polity("late", founders=2)
    world.seal()
    first, second = world.members
    sizes = {scribe.feed: len(scribe.raws) for scribe in world.scribes()}
    heir = world.succeed(first, second.scribe)
    sealed_by(world, heir, [second])
    sizes[heir.feed] = len(heir.raws)  # the seal is held, who signed it is not known
    assert world.governed(sizes).n == 1
    assert world.governed().n == 2


def test_a_frontier_below_what_is_sealed_is_no_seal() -> None:
    world = Polity("floor", founders=1)
    world.seal()
    base = world.tip()
    assert world.chain().compose(base, world.view(), Terms({}, world.as_of + 60)) is None


def test_a_frontier_beyond_a_proven_fork_is_no_seal_and_nobody_is_silent_who_has_no_vote() -> None:
    world = Polity("hold", founders=4)
    world.seal()
    ann, *_, tom = world.members
    size = len(tom.scribe.raws)
    world.link("link.offer", tom, ann)
    before, beyond = world.tip(), world.frontier()
    prove_fork(world, ann.scribe, tom.scribe, size)
    held = world.frontier()
    proven = {**beyond, ann.scribe.feed: held[ann.scribe.feed]}
    chain, at = world.chain(), world.as_of + 3_600
    chain.live(world.view())
    assert beyond[tom.scribe.feed].size > size == held[tom.scribe.feed].size
    assert chain.compose(before, world.view(), Terms(proven, at)) is None
    assert chain.compose(before, world.view(), Terms(held, at)) is not None
    assert chain.compose(before, world.view(), Terms(held, at, (tom.party,))) is not None
    assert chain.compose(before, world.view(), Terms(held, at, ((tom.party[0], 2),))) is None


def test_an_heir_whose_certificate_was_given_up_is_one_no_more() -> None:
    world = Polity("given up", founders=2)
    world.seal()
    first, second = world.members
    registrar, context = second.scribe, world.tip().context
    size = len(registrar.raws)
    heir = world.succeed(first, registrar)
    register = Register(world.registrations())
    assert [public for _, public in register.heirs(context, world.view().size).heirs] == [heir.device.public]
    register.truncate(lambda feed: size if feed == registrar.feed else world.view().size(feed))
    assert not register.heirs(context, world.view().size).heirs, "another leaf stands there now"
