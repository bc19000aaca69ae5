"""Feeds that show two faces, at a node: what it states about others, and that it never accuses itself."""

from __future__ import annotations

from functools import partial

from gossip import events as gossip
from gossip.peers import Limits
from gossip.vocabulary import Heads, Runs, encode
from ledger.checkpoint import sign_head
from ledger.feed import Registration, Run, SignedHead
from node.core import Noted
from node.forks import PROOF_SECONDS
from simulations.people import person
from tests.node.sites import NOW, SEED, Site, sites
from tests.node.test_core import grant, up


def proofs(site: Site) -> list[Registration]:
    """Return the fork proofs that a site holds."""
    return [each for each in site.core.replica.registrations if each.entry.kind == "fork.proof"]


def test_a_device_that_forked_does_not_accuse_itself() -> None:
    one, two = sites(2)
    up(one, two)
    one.act(grant)
    mine = one.core.replica.signed_head(one.kid)
    one.now_ms += 5_000
    twin = sites(2)[0]
    twin.now_ms = one.now_ms
    twin.act(lambda turn: turn.heartbeat())
    old = twin.core.replica.signed_head(twin.kid)
    assert mine is not None
    assert old is not None
    assert old.size < mine.size
    effects = one.tell(gossip.Message(two.kid, encode(Heads(((one.kid, old),)))))
    assert "OWN_FEED_FORKED" in {e.code for e in effects if isinstance(e, Noted)}
    two.tell(gossip.PeerUp(one.kid, False))
    with one.store.read() as rows:
        run = one.core.replica.run(rows, one.kid, two.core.replica.position(one.kid).size, 1 << 20)
    assert run is not None
    two.now_ms = one.now_ms
    two.tell(
        gossip.Message(one.kid, encode(Runs(0, (run,)))), gossip.Message(one.kid, encode(Heads(((one.kid, old),))))
    )
    assert two.core.replica.members.reach(one.kid) == old.size


def test_ever_smaller_sizes_of_a_held_device_are_stated_now_and_then() -> None:
    """Each is a proof of its own: a device could have every node fill its feed with them."""
    one, two = sites(2)
    up(one, two)
    for number in range(12):
        one.act(partial(grant, who=person(SEED, number)))
    with one.store.read() as rows:
        run = one.core.replica.run(rows, one.kid, two.core.replica.position(one.kid).size, 1 << 20)
        heads = [one.core.replica.head_at(rows, one.kid, size) for size in range(11)]
    assert run is not None
    two.now_ms += 100_000
    two.tell(gossip.PeerUp(one.kid, False), gossip.Message(one.kid, encode(Runs(0, (run,)))))
    for late, head in enumerate(reversed(heads[3:]), 1):
        assert head is not None
        time = NOW + late
        signed = sign_head(one.who.device, one.core.replica.mesh_id, head, time, one.kid)
        two.tell(gossip.Message(one.kid, encode(Heads(((one.kid, SignedHead(head.size, head.root, time, signed)),)))))
        assert two.core.replica.members.forks == {one.kid: 10}
    assert len(proofs(two)) == 1
    two.now_ms += PROOF_SECONDS * 1_000
    two.act(lambda turn: turn.heartbeat())
    assert len(proofs(two)) == 2
    assert two.core.replica.members.forks == {one.kid: 3}
    two.now_ms += PROOF_SECONDS * 1_000
    two.act(lambda turn: turn.heartbeat())
    assert len([each for each in two.core.replica.registrations if each.entry.kind == "fork.proof"]) == 2


def test_leaves_that_nobody_signed_end_the_channel() -> None:
    """Each run would have us hash thousands of them; the other branch of a fork is signed."""
    one, two = sites(2)
    two.tell(gossip.PeerUp(one.kid, False))
    size = two.core.replica.size(one.kid)
    head = SignedHead(size + 1, bytes(32), NOW, bytes(64))
    for number in range(Limits().faults_max):
        junk = Run(one.kid, size, (b"%d" % number,), head)
        two.tell(gossip.Message(one.kid, encode(Runs(0, (junk,)))))
    assert [e.code for e in two.effects if isinstance(e, gossip.Disconnect)] == ["BAD_RUNS"]
