"""The person's view: who received what, when, under which consent, passed on included, and whose word it is."""

from __future__ import annotations

from dataclasses import replace

from ledger.entry import Entry
from ledger.rows import Reader
from node.core import Turn
from node.flows.trail import Passed, Stated, trail
from node.vaults.receipts import HOLDER, Receipt, ReceiptRows
from tests.node.flows.losing import half_written
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


def test_a_view_reads_what_waits_under_its_own_consents_and_nobody_elses() -> None:
    scene = Scene()
    scene.receive()
    ada = scene.ada
    (transfer,) = ada.transfers()
    own = ada.account(HOLDER, transfer)
    assert own is not None

    def many(turn: Turn) -> None:
        for number in range(300):
            ident, grant = number.to_bytes(16, "big"), number.to_bytes(32, "big")
            ada.flows.receipts.close(turn.vault, replace(own, transfer=ident, grant=grant))

    ada.act(many)
    read: list[bytes] = []

    class Counting(ReceiptRows):
        def get(self, vault: Reader, role: bytes, transfer: bytes) -> Receipt | None:
            read.append(transfer)
            return super().get(vault, role, transfer)

    view = ada.look(lambda turn: trail(turn, Stated(), Counting(), ada.flows.incoming, [scene.parent]))
    assert [one.transfer for one in view] == [transfer]
    assert set(read) == {transfer}
    assert ada.act(ada.flows.accounts.state) > 300
    again = ada.look(lambda turn: ada.flows.receipts.unstated_of(turn.vault, HOLDER, scene.parent.id, 9))
    assert again == []
    assert seen(scene, ada, scene.parent)[0].stated


def test_what_the_ledger_lost_waits_under_its_consent_again() -> None:
    scene = Scene()
    scene.receive()
    ada = scene.ada
    (transfer,) = ada.transfers()
    half_written(scene.world, ada, ada.flows.accounts.state)
    ada.act(lambda turn: ada.flows.receipts.confirm(turn.vault, lambda _entry: False))
    waiting = ada.look(lambda turn: ada.flows.receipts.unstated_of(turn.vault, HOLDER, scene.parent.id, 9))
    assert [one.transfer for one in waiting] == [transfer]
