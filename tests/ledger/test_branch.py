"""Giving up a branch leaves nothing behind: the node is as if it had never held those leaves."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.tables import BLOCK
from tests.ledger.replica_cases import dump, grown, held, memory, statuses
from tests.worlds import LATER, NOW, Consent, Node, Scribe, World


class Undone(Exception):
    """Ends a transaction."""


def busy(seed: int) -> tuple[World, Scribe, Scribe, int]:
    """Return a world whose second feed went on with leaves of every sort, some registered elsewhere too."""
    rng = random.Random(seed)
    world, alice, bob = grown()
    size = len(bob.raws) + rng.randrange(3)
    bob.add(*(b"junk %d" % number for number in range(size - len(bob.raws))))
    alice_member, bob_member = world.members[0], world.members[1]
    for number in range(rng.randrange(1, 12)):
        match rng.choice(("junk", "grant", "both", "withdraw", "governance", "many", "repeated")):
            case "junk":
                bob.add(b"more junk %d" % number)
            case "many":
                bob.add(*(b"%d of many %d" % (one, number) for one in range(rng.randrange(2 * BLOCK))))
            case "repeated":
                raw = consent(world, alice).grant.raw
                for scribe in rng.choices((alice, bob), k=5):
                    scribe.add(raw, b"again", rng.choice(scribe.raws))
            case "grant":
                bob.add(consent(world, alice).grant.raw)
            case "both":
                raw = consent(world, alice).grant.raw
                for scribe in rng.sample((alice, bob), 2):
                    scribe.add(raw)
            case "withdraw":
                made = consent(world, alice)
                alice.add(made.grant.raw)
                bob.add(world.withdrawal(made, [alice.head()]).raw)
            case _:
                world.link("link.sever", bob_member, alice_member)
    return world, alice, bob, size


def consent(world: World, scribe: Scribe) -> Consent:
    """Return a consent between the two members."""
    return world.grant(world.members[0].party, world.members[1].party, [scribe.head()])


def fill(node: Node, world: World, bob: Scribe, alice: Scribe, size: int, stop: int) -> None:
    """Bring both feeds, the second one up to `size`, and then up to `stop`."""
    head = bob.sign(NOW + 50, size)
    assert node.ingest(bob.run(0, size, head)) == ""
    if stop > size:
        longer = bob.sign(LATER, stop)
        assert node.ingest(bob.run(size, stop, longer)) == ""
    assert node.ingest(alice.run(0, len(alice.raws), alice.sign(LATER))) == ""
    assert statuses(node, world) is not None


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_what_is_given_up_leaves_nothing_behind(seed: int) -> None:
    world, alice, bob, size = busy(seed)
    whole, never = Node(world.genesis), Node(world.genesis)
    fill(whole, world, bob, alice, size, len(bob.raws))
    fill(never, world, bob, alice, size, size)
    before = dump(whole), memory(whole)

    def drop_and_fail() -> None:
        with whole.store.write() as rows:
            whole.replica.drop(rows, bob.feed, size)
            raise Undone

    with pytest.raises(Undone):
        drop_and_fail()
    with whole.store.read() as reading:
        whole.replica.reload(reading)
    assert (dump(whole), memory(whole)) == before
    with whole.store.write() as rows:
        dropped = whole.replica.drop(rows, bob.feed, size)
    assert {entry.id for entry in dropped} <= set(map(_ident, bob.raws[size:]))
    assert sorted(dump(whole)) == sorted(dump(never))
    assert memory(whole) == memory(never)
    assert statuses(whole, world) == statuses(never, world)
    again = bob.sign(LATER, len(bob.raws))
    assert whole.ingest(bob.run(size, len(bob.raws), again)) == ""
    assert memory(whole)[3:] == before[1][3:]
    with whole.store.read() as reading:
        whole.replica.reload(reading)
    assert memory(whole)[3:] == before[1][3:]


def _ident(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def test_nothing_is_overruled_without_a_fork() -> None:
    world, _, _ = grown()
    node = held(world)
    with node.store.read() as rows:
        assert node.replica.announced(rows) == {}
