"""The person's view: who received what, when, under which consent, passed on included, and whose word it is."""

from __future__ import annotations

from ledger.entry import Entry
from node.core import Turn
from node.flows.trail import Passed, Stated, trail
from tests.node.flows.test_passing import Scene
from tests.node.flows.world import SHORT, Side

RECORDS = len(SHORT.starts)


def seen(scene: Scene, side: Side, *grants: Entry) -> list[Passed]:
    """Return the view of these consents at a side."""
    return side.look(lambda turn: trail(turn, Stated(), side.flows.receipts, side.flows.incoming, grants))


def test_the_view_tells_of_what_went_and_of_what_was_passed_on() -> None:
    scene = Scene()
    scene.receive()
    child = scene.pass_on()
    assert scene.flows(child)[1] == ""
    (own,) = seen(scene, scene.ada, scene.parent)  # what bob passed on is not stated yet, and no account of it is here
    assert (own.grant, own.parties, own.stated) == (scene.parent, (scene.ada.party, scene.bob.party), False)
    assert own.account is not None
    assert own.account.tally.count == RECORDS
    for side in scene.world.sides[:2]:
        side.act(side.flows.accounts.state)
    scene.world.pump()
    first, second = seen(scene, scene.ada, scene.parent)
    assert (first.grant, first.stated, first.account is not None) == (scene.parent, True, True)
    assert (second.grant, second.stated, second.account) == (child, True, None)
    assert second.parties == (scene.bob.party, scene.cyd.party)
    assert [one.transfer for one in seen(scene, scene.eve, scene.parent)] == [first.transfer, second.transfer]
    assert seen(scene, scene.cyd, child)[0].account is not None


def test_only_the_holders_word_counts() -> None:
    scene = Scene()
    own = [[b"t" * 16, scene.parent.id, b"d" * 32, None]]

    def lie(turn: Turn) -> None:
        turn.state("transfer.receipt", ("transfers", turn.core.device.kid), {"receipts": own})

    scene.eve.act(lie)
    scene.world.pump()
    assert seen(scene, scene.ada, scene.parent) == []
    scene.ada.act(lie)
    scene.world.pump()
    assert [one.transfer for one in seen(scene, scene.bob, scene.parent)] == [b"t" * 16]
