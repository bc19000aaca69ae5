"""Laws of the fold of governance over worlds in turmoil: one set of entries means one thing, however it is taken in.

Each world is built once, and held to every law of this file in turn: 500 worlds in each run, 20 000 in a nightly one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import RemoteError
from ledger.feed import Registration
from ledger.governance.chain import Chain, fold
from ledger.governance.register import Register
from ledger.governance.roster import Members
from ledger.governance.state import Base
from ledger.replica import Replica
from tests.conftest import PROFILE
from tests.ledger.governance.honest import Cached
from tests.ledger.governance.oracle import Oracle
from tests.ledger.governance.traitors import betrayed, beyond, revenge
from tests.ledger.governance.turmoil import Drawn, build, worlds
from tests.ledger.replica_cases import state_root
from tests.strategies import deliver
from tests.worlds import LATER, Node

BEYOND = ("delegate", "double", "evidence")
"""What the independent model does not know."""
WORLDS = {"ci": 500, "nightly": 20_000}[PROFILE]


def tables(chain: Chain, world: Cached, sizes: Mapping[bytes, int] | None = None) -> list[Base]:
    """Return what stands at every tip, and after the open epoch."""
    view = world.view(sizes)
    tips = chain.tips(view)
    return [*tips, *(chain.open(tip, view).base for tip in tips)]


def check_order(drawn: Sequence[Drawn], random: Any) -> None:
    """Hold a world to the laws of order, duplication and pace."""
    world = build(drawn)
    registrations = world.registrations()
    whole = fold(world.genesis, registrations, world.view())
    mixed = registrations * 2
    random.shuffle(mixed)
    assert fold(world.genesis, mixed, world.view()) == whole

    # Entry by entry, feed by feed in any order: at every stop the chain says what a fresh one says.
    waiting: dict[bytes, list[Registration]] = {}
    for each in registrations:
        waiting.setdefault(each.feed, []).append(each)
    register, sizes = Register(), dict[bytes, int]()
    chain = Chain(world.genesis, register)
    stops = max(1, len(registrations) // 6)
    for count in range(len(registrations)):
        feed = random.choice(sorted(waiting))
        each = waiting[feed].pop(0)
        register.add(each)
        sizes[feed] = each.index + 1
        if not waiting[feed]:
            del waiting[feed]
            sizes[feed] = 2**40
        if random.randrange(stops) == 0 or count == len(registrations) - 1:
            grown = chain.live(world.view(sizes))
            assert grown == chain.fold(world.view(sizes))
            fresh = Chain(world.genesis, Register(registrations), [chain.past])  # which a restarted node remembers
            assert grown == fresh.fold(world.view(sizes))
            assert tables(chain, world, sizes) == tables(fresh, world, sizes)
    if chain.past == world.mesh_id:
        assert chain.fold(world.view()) == whole


def check_oracle(drawn: Sequence[Drawn], random: Any) -> None:
    """Hold a world to what the independent model says of it, whole and at random sizes."""
    acts = [(name, i, j + (j % 4 == 2), k) for name, i, j, k in drawn]  # no ballot sets another invitation cap
    world = build([act for act in acts if act[0] not in BEYOND], founders=3 + random.randrange(3))
    registrations = world.registrations()
    founders = world.genesis.founders
    oracle = Oracle(world.mesh_id, world.genesis.entry.iat, founders, registrations)
    for sizes in (None, {s.feed: random.randrange(len(s.raws) // 2, len(s.raws) + 1) for s in world.scribes()}):
        members = world.governed(sizes)
        said = oracle.verdict(world.view(sizes))
        assert not members.halted
        ours = {
            "n": members.n,
            "as_of": members.as_of,
            "states": {m.party: m.state for m in members.members.values()},
            "voters": sorted(members.voters),
            "expelled": set(members.expelled),
            "reach": {feed: device.reach for feed, device in members.devices.items() if feed in said["reach"]},
        }
        assert ours == said
        idle = (device for feed, device in members.devices.items() if feed not in said["reach"])
        assert all(device.reach == 0 for device in idle)


def check_quorum(_: object, random: Any) -> None:
    """Let an honest quorum expel traitors, and these say what they like: nobody else is out, and they are."""
    world, honest, traitors = betrayed(random)
    revenge(world, honest, traitors, random)
    members = world.governed()
    bearable = (len(honest) + len(traitors) - 1) // 3
    assert not members.halted
    assert not members.branches
    assert set(members.expelled) >= {traitor.party for traitor in traitors}
    for member in honest:
        standing = members.members[member.root.kid]
        assert standing.party == member.party
        # Suspension lapses, and is only held to be proof against a third: more than n - T traitors can be.
        assert standing.state == "member" or (standing.state == "suspended" and len(traitors) > bearable)
        assert member.party not in members.expelled
        assert member.party in members.voters
        assert members.speaks(member.scribe.feed)
    assert set(members.voters) == {member.party for member in honest}


def permitted(members: Members) -> set[object]:
    """Return all that a fold permits: memberships, votes, edges, devices that speak, and how far feeds count."""
    found: set[object] = {("member", m.party) for m in members.members.values() if m.state == "member"}
    found |= {("link", pair) for pair in members.links if members.link_up(*pair)}
    found |= {("speaks", feed) for feed in members.devices if members.speaks(feed)}
    return found | {("voter", party) for party in members.voters}


def check_shrinking(drawn: Sequence[Drawn], random: Any) -> None:
    """Let members that are out go on speaking beyond their cut: nothing that was not permitted is permitted now."""
    world = build(drawn)
    before = world.governed()
    out = [member for member in world.members if member.party in before.expelled]
    if not out:
        world.expel(world.members[0], world.members[-1])
        proposal = [r.entry for r in world.registrations() if r.entry.kind == "proposal"]
        world.vote(world.members[:-1], max(proposal, key=lambda each: each.iat))
        before = world.governed()
        out = [member for member in world.members if member.party in before.expelled]
    allowed, rules = permitted(before), world.tip().rules
    for member in out:
        cut = {feed: before.reach(feed) for feed in before.devices if before.devices[feed].party == member.party}
        if all(len(scribe.raws) >= cut.get(scribe.feed, 0) for scribe in member.scribes):
            for _ in range(random.randint(1, 4)):
                beyond(world, member, random)
    after = world.governed()
    assert permitted(after) <= allowed
    assert set(after.expelled) >= set(before.expelled)
    if not before.branches:  # nor does a seal that comes after find any ballot of theirs passed
        with contextlib.suppress(AssertionError):
            sealed = world.seal(hours=1)
            assert sealed.rules == rules or any(r.passed for r in sealed.results.values())


def check_replicas(drawn: Sequence[Drawn], random: Any) -> None:
    """Bring a world to two nodes in pieces, with transactions that fail on the way: they hold and say the same."""
    world = build(drawn)
    if world.now > LATER:
        return  # a node refuses what is dated ahead of its clock
    world.now += 1
    for scribe in world.scribes():
        scribe.sign(world.now)
    nodes = [Node(world.genesis), Node(world.genesis)]
    for node in nodes:
        pieces = [random.randrange(10_000) for _ in range(random.randrange(20))]
        deliver(node, world, pieces, whole=False)
        before = node.replica.members
        assert node.take(partial(_take_all_and_fail, world, node)) == "TEST"
        with node.store.read() as rows:
            node.replica.reload(rows)
        assert node.replica.members == before
        deliver(node, world, pieces)
    one, other = nodes
    assert one.replica.frontier_digest() == other.replica.frontier_digest()
    assert one.replica.members == other.replica.members
    assert state_root(one, LATER) == state_root(other, LATER)
    with one.store.read() as rows:
        loaded = Replica.load(rows)
        if not loaded.members.branches and not one.replica.members.branches:
            assert loaded.members == one.replica.members


def _take_all_and_fail(world: Cached, node: Node, rows: Any) -> None:
    for scribe in world.scribes():
        if scribe.raws:
            with contextlib.suppress(RemoteError):
                node.replica.ingest(rows, scribe.run(0, len(scribe.raws), scribe.heads[-1]), LATER)
    raise RemoteError("TEST", "the transaction is rolled back")


@settings(max_examples=WORLDS)
@given(drawn=worlds("double"), random=st.randoms(use_true_random=False))
def test_nodes_that_hold_the_same_say_the_same(drawn: Sequence[Drawn], random: Any) -> None:
    check_replicas(drawn, random)


@settings(max_examples=WORLDS)
@given(random=st.randoms(use_true_random=False))
def test_traitors_below_the_threshold_change_nothing(random: Any) -> None:
    check_quorum(None, random)


@settings(max_examples=WORLDS)
@given(drawn=worlds("double"), random=st.randoms(use_true_random=False))
def test_what_the_expelled_say_beyond_their_cut_only_shrinks_what_is_permitted(
    drawn: Sequence[Drawn], random: Any
) -> None:
    check_shrinking(drawn, random)


@settings(max_examples=WORLDS)
@given(drawn=worlds(), random=st.randoms(use_true_random=False))
def test_order_duplication_and_pace_mean_nothing(drawn: Sequence[Drawn], random: Any) -> None:
    check_order(drawn, random)


@settings(max_examples=WORLDS)
@given(drawn=worlds(*BEYOND), random=st.randoms(use_true_random=False))
def test_an_independent_model_agrees(drawn: Sequence[Drawn], random: Any) -> None:
    check_oracle(drawn, random)
