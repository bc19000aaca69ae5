"""Whoever shows two faces is caught by the others' copies: nobody cosigns both, and the proof spreads."""

from __future__ import annotations

from gossip import events as gossip
from gossip.vocabulary import Heads
from gossip.vocabulary import encode as encode_gossip
from gossip.witness import Cosigned, encode
from ledger import witnessing
from ledger.checkpoint import Head
from ledger.witnessing import Cosigned as Line
from simulations.founding import copy_store
from simulations.world import SECOND, World
from tests.simulations.test_witnessing import grant_at, made, newest, witnesses


def said(world: World, code: str) -> list[tuple[int, str]]:
    """Return (node, feed) of what nodes noted under a code."""
    return [(number, noted.fields["feed"]) for _, number, noted in world.notes if noted.code == code]


def two_faces(seed: int) -> tuple[World, Head, Head]:
    """Let node 3 of five show one face to nodes 0 and 1, and another to 2 and 4, each cosigned where it was seen.

    Returns the newest head that was cosigned of either face.
    """
    world = made(seed, 5)
    old = copy_store(world.nodes[3].store)
    world.partition([[0, 1, 3]])
    grant_at(world, 3, 1)
    world.run_for(120 * SECOND)
    first = newest(world.nodes[0], world.nodes[3].kid)
    world.crash(3)
    world.partition([[2, 3, 4]])
    world.restart(3, store=old)
    grant_at(world, 3, 2)
    grant_at(world, 3, 3)
    world.run_for(120 * SECOND)
    return world, first, newest(world.nodes[2], world.nodes[3].kid)


def test_two_faces_are_cosigned_by_nobody_twice_and_proven_by_all() -> None:
    world, first, second = two_faces(6)
    forked = world.nodes[3].kid
    assert first.root != second.root
    assert witnesses(world.nodes[0], forked, first) == {world.nodes[n].kid for n in (0, 1)}
    assert witnesses(world.nodes[2], forked, second) == {world.nodes[n].kid for n in (2, 4)}
    world.heal()
    world.run_for(180 * SECOND)
    honest = [node for node in world.nodes if node.kid != forked]
    for node in honest:
        replica = node.running.replica
        assert forked in replica.members.forks
        assert any(entry.thing[1] == forked for entry in node.entries("fork.proof"))
        assert not replica.members.speaks(forked)
    grant_at(world, 3, 4)
    world.run_for(180 * SECOND)
    for number, cosigned, rest in ((0, first, (2, 4)), (1, first, (2, 4)), (2, second, (0, 1)), (4, second, (0, 1))):
        node = world.nodes[number]
        assert newest(node, forked) == cosigned  # nothing of it is cosigned any more
        assert not witnesses(node, forked, cosigned) & {world.nodes[other].kid for other in rest}


def test_a_cosignature_of_another_face_uncovers_the_fork() -> None:
    world, first, _ = two_faces(7)
    forked, teller, hearer = world.nodes[3].kid, world.nodes[4], world.nodes[2]
    with world.nodes[0].store.read() as rows:
        device, time, signature = witnessing.cosignatures(rows, forked, first)[0]
    told = encode(Cosigned((Line(device, time, first, signature),)))
    heard: list[tuple[int, bytes]] = []
    world.on_deliver = lambda source, target, data: heard.append((target, data)) if source == 2 else None
    world.act(2, lambda turn: turn.handle(gossip.Message(teller.kid, told)))
    assert said(world, "OTHER_FACE_COSIGNED") == [(2, forked.hex())]
    with hearer.store.read() as rows:
        assert witnessing.cosignatures(rows, forked, first) == []
    ours = hearer.running.replica.signed_head(forked)
    assert ours is not None
    world.run_for(SECOND // 2)
    assert (4, encode_gossip(Heads(((forked, ours),)))) in heard
    world.crash(3)
    world.heal()
    world.run_for(60 * SECOND)
    assert all(forked in node.running.replica.members.forks for node in world.alive())
