"""Receipts and acknowledgements: the same account at both ends, and its digest on the ledger."""

from __future__ import annotations

import pytest

from ledger.schema import DAY
from node.vaults.receipts import HOLDER, RECIPIENT, Receipt
from node.vaults.transfers import Tally, chained
from tests.node.flows.world import LONG, SHORT, World, terms


def accounts(world: World, transfer: bytes) -> tuple[Receipt, Receipt]:
    """Return the receipt and the acknowledgement of a transfer."""
    receipt = world.holder.account(HOLDER, transfer)
    ack = world.recipient.account(RECIPIENT, transfer)
    assert receipt is not None
    assert ack is not None
    return receipt, ack


@pytest.mark.covers("R96")
def test_both_ends_keep_the_same_account_and_state_it_on_the_ledger() -> None:
    world = World()
    world.import_series(LONG)
    grant, _ = world.grant(terms(LONG))
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    receipt, ack = accounts(world, transfer)
    assert receipt.tally == ack.tally
    assert receipt.tally.count == len(LONG)
    assert receipt.tally.window == (LONG.starts[0], LONG.stop)
    tally = Tally.begin(transfer).chain
    for pack in world.recipient.packs(transfer):
        tally = chained(tally, pack)
    assert tally == receipt.tally.chain
    assert receipt.grant == ack.grant == grant.id
    assert receipt.salt != ack.salt
    for side, role, kind in ((world.holder, HOLDER, "transfer.receipt"), (world.recipient, RECIPIENT, "transfer.ack")):
        assert side.act(side.flows.accounts.state) == 1
        assert side.act(side.flows.accounts.state) == 0
        held = side.account(role, transfer)
        assert held is not None
        assert held.stated is not None
        entry = side.entry(held.stated)
        assert entry is not None
        assert entry.kind == kind
        rows = entry.payload["receipts" if role == HOLDER else "acks"]
        assert rows[0][0] == transfer
        assert held.digest() in rows[0]
    world.pump()


def test_receipts_are_stated_once_a_day_at_a_moment_of_the_nodes_own() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    due = world.holder.timers["data:receipts"]
    assert world.now * 1_000 < due <= (world.now + 2 * DAY) * 1_000
    assert due != world.recipient.timers["data:receipts"]
    world.pass_time(2 * DAY)
    receipt, ack = accounts(world, transfer)
    assert receipt.stated is not None
    assert ack.stated is not None


def test_a_receipt_rests_on_the_newest_attested_tick() -> None:
    world = World()
    world.import_series(SHORT)
    grant, _ = world.grant(terms(SHORT))
    world.now = world.now // 300 * 300 + 400
    for side in world.sides:
        side.act(lambda turn: turn.heartbeat())
    world.pump()
    tick = world.holder.act(lambda turn: turn.attest(world.now // 300 * 300))
    assert tick is not None
    transfer, _ = world.send(grant=grant.id)
    world.pump()
    receipt, _ = accounts(world, transfer)
    assert receipt.frontier == tick.frontier
