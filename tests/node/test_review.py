"""What a hostile reader tried on a node: doors left open by an expulsion, honest holders made to look guilty."""

from __future__ import annotations

from random import Random

from ledger.consent.fault import endings
from node.core import Core
from tests.ledger.governance.polity import Polity
from tests.worlds import Node, Scribe, World, deliver_all, key, octets


def test_a_founder_expelled_before_it_ever_accepted_gossips_no_more() -> None:
    world = Polity("never came", founders=4)
    absent = world.members[3]
    absent.scribes[-1] = Scribe(absent.scribe.device, world.mesh_id)
    replicas = []
    for is_expelled in (False, True):
        if is_expelled:
            world.vote(world.members[:3], world.expel(world.members[0], absent))
        node = Node(world.genesis)
        deliver_all(node, world.scribes())
        alice = world.members[0]
        core = Core(
            node.replica,
            alice.scribe.device,
            alice.party,
            random_source=Random(1),
            random_bytes=lambda size: octets("random", size=size),
        )
        replicas.append(core.is_member_device(absent.scribe.feed))
        assert core.is_member_device(world.members[1].scribe.feed)
    assert replicas == [True, False]


def test_a_holder_is_not_guilty_of_what_a_strangers_word_came_to_mean_later() -> None:
    """A holder's feed holds a revocation by an unknown key, which the recipient certifies as its device afterwards."""
    world = World("framed", founders=2)
    holder, recipient = world.members
    consent = world.grant(holder.party, list(recipient.party), (holder.scribe.head(),))
    holder.scribe.add(consent.grant.raw)
    stranger = key("stranger")
    payload = {"grant": consent.grant.id, "reason_code": "error"}
    word = world.sign(stranger, "consent.revoke", consent.grant.thing, payload, seen=(holder.scribe.head(),))
    holder.scribe.add(word.raw)
    recipient.scribe.add(world.certificate(recipient, stranger, recipient.scribe.head()).raw)
    node = Node(world.genesis)
    deliver_all(node, world.scribes())
    with node.store.read() as rows:
        ends, told = endings(node.replica, rows, consent.grant, holder.scribe.feed)
    assert ends == {word.id: "consent.revoke"}
    assert word.id not in told
    acknowledgement = {"grant": consent.grant.id, "entry": word.id}
    world.write(holder.scribe, "consent.acknowledge", consent.grant.thing, acknowledgement)
    node = Node(world.genesis)
    deliver_all(node, world.scribes())
    with node.store.read() as rows:
        assert word.id in endings(node.replica, rows, consent.grant, holder.scribe.feed)[1]
