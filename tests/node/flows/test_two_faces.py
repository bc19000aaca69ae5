"""A device with two faces acts for nobody: though its channel is open, neither readings nor content go to it."""

from __future__ import annotations

from gossip.messages import DATA, Envelope
from ledger.checkpoint import Head, sign_head
from ledger.feed import SignedHead
from ledger.fork import prove_regression
from node.flows import wire
from tests.node.flows.test_disclosing import holds
from tests.node.flows.world import LONG, SHORT, Side, World, terms


def show_another_face(world: World, side: Side) -> None:
    """Have a side's device sign a smaller size later, and a third node prove it."""
    feed, third = side.device.kid, world.sides[2]
    side.act(lambda turn: turn.state("consent.acknowledge", ("consent", bytes(16)), {"grant": feed, "entry": feed}))
    world.pump()
    head = side.core.replica.signed_head(feed)
    assert head is not None
    size, later = head.size - 1, head.time + 1
    known = side.look(lambda turn: side.core.replica.head_at(turn.rows, feed, size))
    assert known is not None
    mesh_id = side.core.replica.mesh_id
    signature = sign_head(side.device, mesh_id, Head(feed, size, known.root), later, feed)
    proof = prove_regression(side.device.public, head, SignedHead(size, known.root, later, signature))
    third.act(lambda turn: turn.state("fork.proof", ("feed", feed), proof))
    world.pump()
    members = world.holder.core.replica.members
    assert members.is_member(side.party)
    assert not members.speaks(feed)


def test_nothing_more_goes_to_a_device_with_two_faces() -> None:
    world = World(3)
    world.import_series(LONG)
    side = world.recipient
    grant, _ = world.grant(terms(LONG))
    show_another_face(world, side)
    gone: list[type] = []
    post = world.post

    def watched(source: Side, peer: bytes, data: bytes) -> None:
        if source is world.holder and peer == side.device.kid and data[1] == DATA:
            gone.append(type(wire.decode(Envelope.open(data))))
        post(source, peer, data)

    world.post = watched  # type: ignore[method-assign]
    transfer, decision = world.send(grant=grant.id)
    assert decision.allowed  # its member may have them, once it has a device again
    other, _ = world.grant(terms(SHORT, purpose="Research"))
    world.pass_time(20)
    assert wire.Chunk not in gone
    assert wire.Disclose not in gone
    assert not holds(side, other)
    assert side.packs(transfer) == []
    assert world.holder.sent(transfer) is not None  # it waits
