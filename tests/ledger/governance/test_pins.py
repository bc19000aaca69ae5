"""Rival seals on one node: only what both permit holds, until its operator chooses; and the choice is kept."""

from __future__ import annotations

from dataclasses import replace

from ledger.held import PIN
from ledger.replica import Replica
from tests.ledger.governance.polity import Polity
from tests.worlds import Node, deliver_all


def test_a_choice_between_rivals_outlives_a_restart() -> None:
    polity = Polity()
    ada, bob, *_ = polity.members
    one, before, _, heads = polity.compose()
    polity.publish(ada.scribe, polity.certify(one, before, polity.members), before, heads)
    later = replace(one, epoch=replace(one.epoch, as_of=one.epoch.as_of + 1))
    polity.publish(bob.scribe, polity.certify(later, before, polity.members, round_=1), before, heads)
    node = Node(polity.genesis)
    deliver_all(node, polity.scribes())
    wanted, other = one.epoch.reference(), later.epoch.reference()
    assert node.replica.members.branches == tuple(sorted((wanted, other)))
    with node.store.write() as rows:
        rows.put("meta", PIN + wanted, b"")
        node.replica.reload(rows)
    assert (node.replica.members.branches, node.replica.members.epoch) == ((), wanted)
    with node.store.read() as rows:
        loaded = Replica.load(rows)
    assert (loaded.members.branches, loaded.members.epoch) == ((), wanted)


def test_a_rival_of_what_is_30_days_old_is_ignored_also_after_a_restart() -> None:
    polity = Polity()
    ada, bob, *_ = polity.members
    one, before, after, heads = polity.compose()
    polity.publish(ada.scribe, polity.certify(one, before, polity.members), before, heads)
    polity.epoch = after.reference
    later = replace(one, epoch=replace(one.epoch, as_of=one.epoch.as_of + 1))
    rival = polity.certify(later, before, polity.members, round_=1)
    for _ in range(3):
        polity.seal(hours=24 * 16)
    node = Node(polity.genesis)
    deliver_all(node, polity.scribes())
    followed = node.replica.members.epoch
    polity.publish(bob.scribe, rival, before, heads)
    with node.store.read() as rows:
        node.replica = Replica.load(rows)
    assert node.replica.chain.past != polity.mesh_id
    deliver_all(node, polity.scribes())
    assert node.replica.chain.ignored, "the rival is reported"
    assert (node.replica.members.branches, node.replica.members.epoch) == ((), followed)
