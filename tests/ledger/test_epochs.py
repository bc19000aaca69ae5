"""What sealing asks of a replica: an expulsion that a seal leaves out, who is silent, what a seal would cover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ledger.checkpoint import Head
from ledger.epochs import Epochs
from ledger.governance.sealing import SILENT_SECONDS
from ledger.ticks import Ticker
from tests.ledger.fold_cases import prove_fork
from tests.ledger.governance.polity import Polity
from tests.worlds import LATER, Node, deliver_all

T = TypeVar("T")


def asked(world: Polity, question: Callable[[Epochs, Any], T], time: int = LATER) -> T:
    """Ask a node that holds all of a world, each feed under a checkpoint of `time`."""
    node = Node(world.genesis)
    deliver_all(node, world.scribes(), time)
    with node.store.read() as rows:
        return question(Epochs(node.replica, Ticker(node.replica)), rows)


def test_a_seal_that_leaves_out_an_expulsion_held_complete_omits_it() -> None:
    world = Polity("omits", founders=5)
    world.seal()
    ann, bob, cyd, dan, tom = world.members
    before = world.frontier()
    without, *_ = world.compose(frontier=before)
    assert not asked(world, lambda epochs, rows: epochs.omits_expulsion(rows, without))
    proposal = world.expel(ann, tom)
    world.vote((ann, bob), proposal)
    assert not asked(world, lambda epochs, rows: epochs.omits_expulsion(rows, without)), "it is not complete"
    world.vote((cyd, dan), proposal)
    whole, *_ = world.compose()
    assert whole.expelled
    assert asked(world, lambda epochs, rows: epochs.omits_expulsion(rows, without))
    assert not asked(world, lambda epochs, rows: epochs.omits_expulsion(rows, whole))
    world.write(tom.scribe, "member.leave", ("member", tom.root.kid), {})
    left, *_ = world.compose()
    assert left.left == whole.expelled
    assert not asked(world, lambda epochs, rows: epochs.omits_expulsion(rows, left)), "who left needs no expulsion"


def test_a_voter_is_silent_after_thirty_days_without_a_checkpoint_of_any_device() -> None:
    world = Polity("silent", founders=3)
    world.seal()
    ann, *_ = world.members
    over = LATER + SILENT_SECONDS

    def silent(as_of: int) -> list[int]:
        return list(asked(world, lambda epochs, rows: epochs.silent_voters(rows, as_of)))

    assert silent(over - 1) == []
    assert silent(over) == [0, 1, 2]
    node = Node(world.genesis)
    deliver_all(node, world.scribes())
    assert node.observe(ann.scribe.feed, ann.scribe.sign(LATER + 1), LATER + 1) == ""
    place = sorted(member.party for member in world.members).index(ann.party)
    with node.store.read() as rows:
        found = Epochs(node.replica, Ticker(node.replica)).silent_voters(rows, over)
    assert list(found) == [each for each in range(3) if each != place]


def test_a_seal_would_cover_what_is_signed_as_far_as_a_fork_lets_it_and_never_less_than_is_sealed() -> None:
    world = Polity("covers", founders=3)
    world.seal()
    ann, _, tom = world.members
    size = len(tom.scribe.raws)
    world.link("link.offer", tom, ann)
    heads = asked(world, lambda epochs, _: dict(epochs.heads_now()))
    assert heads == {scribe.feed: scribe.head() for scribe in world.scribes()}
    prove_fork(world, ann.scribe, tom.scribe, size)
    heads = asked(world, lambda epochs, _: dict(epochs.heads_now()))
    assert heads[tom.scribe.feed].size == size
    prove_fork(world, ann.scribe, tom.scribe, 0)  # below what is sealed
    sealed: dict[bytes, Head] = asked(world, lambda epochs, _: dict(epochs.sealed_frontier()))
    heads = asked(world, lambda epochs, _: dict(epochs.heads_now()))
    assert heads[tom.scribe.feed] == sealed[tom.scribe.feed]
