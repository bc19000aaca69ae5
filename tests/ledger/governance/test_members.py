"""The fold that goes on, where a newcomer has devices of another incarnation that was never let in."""

from __future__ import annotations

from ledger.governance.chain import Chain
from ledger.governance.register import Register
from tests.ledger.governance.honest import Cached
from tests.worlds import octets


def test_a_newcomer_brings_the_devices_of_its_other_incarnations_with_it() -> None:
    world = Cached()
    alice, bob, carol, dave = world.members
    final = [dave.scribe.feed, len(dave.scribe.raws), octets("root")]
    head = (carol.scribe.head(),)
    carol.scribe.add(
        world.sign(dave.root, "device.retire", ("device", dave.scribe.feed), {"final": final}, seen=head).raw
    )
    never = world.join(dave)  # beyond the reach of dave's feed
    again = world.join(alice, incarnation=2, again=never)
    register, sizes = Register(), {scribe.feed: len(scribe.raws) for scribe in world.scribes()}
    chain = Chain(world.genesis, register)
    entries = world.registrations()
    for each in [
        *(e for e in entries if e.feed != alice.scribe.feed),
        *(e for e in entries if e.feed == alice.scribe.feed),
    ]:
        register.add(each)
        grown = chain.live(world.view({**sizes, each.feed: each.index + 1}))
        assert grown == Chain(world.genesis, Register(register)).fold(world.view({**sizes, each.feed: each.index + 1}))
    members = world.governed()
    assert members.is_member(again.party)
    assert members.reach(never.scribe.feed) == 0
    assert bob.party in members.voters
